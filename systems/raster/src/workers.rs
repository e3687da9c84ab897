//! A parallel for-loop over a few long-lived threads, without an allocation per run.
//!
//! bevy's scopes box a future for each spawn. Here each thread of a dedicated [`TaskPool`] gets one task for life, which
//! sleeps between runs; a run is a pointer to the caller's closure, which stays valid because the caller waits for everyone
//! who took it up. A worker that wakes too late finds the run closed and goes back to sleep: nobody waits for it to wake.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bevy_tasks::{Task, TaskPool, TaskPoolBuilder};

/// The body of a loop: called with the item's index and the worker's.
type Body<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// A closure whose lifetime was erased; see the safety comments where it is made and called.
#[derive(Clone, Copy)]
struct BodyPtr(*const Body<'static>);

// SAFETY: the closure behind the pointer is `Sync`, so calling it from another thread is what it is made for.
unsafe impl Send for BodyPtr {}

#[derive(Default)]
struct State {
    /// Counts runs, so that a worker takes up each at most once.
    run: u64,
    body: Option<BodyPtr>,
    items: usize,
    /// Workers that took up the run and have not left it.
    inside: usize,
    panic: Option<Box<dyn Any + Send>>,
    ending: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    done: Condvar,
    /// The next item nobody has claimed.
    next: AtomicUsize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, and the state would be whole if it did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims items until none is left. A panic ends the run early and is kept for the caller.
    fn work_off(&self, body: &Body<'_>, items: usize, worker: usize) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let item = self.next.fetch_add(1, Ordering::Relaxed);
                if item >= items {
                    break;
                }
                body(item, worker);
            }
        }));
        if let Err(payload) = outcome {
            self.next.store(items, Ordering::Relaxed);
            self.lock().panic.get_or_insert(payload);
        }
    }
}

/// A fixed crew for data-parallel loops: the calling thread and `threads - 1` others, which sleep between runs.
pub struct Workers {
    shared: Arc<Shared>,
    /// Held so that the tasks live as long as the crew.
    _tasks: Vec<Task<()>>,
    pool: Option<TaskPool>,
    /// Whose turn it is: runs do not overlap.
    turn: Mutex<()>,
    threads: usize,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl Workers {
    /// A crew of `threads`, counting the caller; 0 is taken as 1. With 1, every run is a plain loop.
    pub fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        let shared = Arc::new(Shared::default());
        let pool = (threads > 1).then(|| {
            TaskPoolBuilder::new()
                .num_threads(threads - 1)
                .thread_name("compose".to_owned())
                .build()
        });
        let tasks = pool
            .iter()
            .flat_map(|pool| (1..threads).map(move |worker| (pool, worker)));
        let tasks = tasks
            .map(|(pool, worker)| {
                let shared = Arc::clone(&shared);
                pool.spawn(async move { attend(&shared, worker) })
            })
            .collect();
        Self {
            shared,
            _tasks: tasks,
            pool,
            turn: Mutex::new(()),
            threads,
        }
    }

    /// Threads that take part in a run, the caller among them.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `body(item, worker)` once for each item in `0..items`, in any order; `worker` is below [`Workers::threads`], 0 for
    /// the caller, and never the same for two calls at the same time. Returns when all calls have.
    ///
    /// A run from inside a run, or from a second thread, is a plain loop on the caller.
    ///
    /// # Panics
    /// With the panic of `body`, should it panic, after every worker has left the loop; the crew stays usable.
    pub fn run(&self, items: usize, body: &(dyn Fn(usize, usize) + Sync)) {
        let turn = if self.threads > 1 && items > 1 {
            self.turn.try_lock().ok()
        } else {
            None
        };
        let Some(_turn) = turn else {
            (0..items).for_each(|item| body(item, 0));
            return;
        };
        self.shared.next.store(0, Ordering::Relaxed);
        // SAFETY: only the lifetime is erased. The pointer is taken back below, before this call returns or unwinds: `close`
        // removes it and waits until no worker is inside, and nothing between here and there can panic.
        let erased = unsafe { std::mem::transmute::<*const Body<'_>, *const Body<'static>>(body) };
        {
            let mut state = self.shared.lock();
            state.run += 1;
            state.items = items;
            state.body = Some(BodyPtr(erased));
        }
        self.shared.work.notify_all();
        self.shared.work_off(body, items, 0);
        if let Some(payload) = self.close() {
            drop(_turn);
            resume_unwind(payload);
        }
    }

    /// Lets no more workers into the run and waits for those inside.
    fn close(&self) -> Option<Box<dyn Any + Send>> {
        let mut state = self.shared.lock();
        state.body = None;
        while state.inside > 0 {
            state = self
                .shared
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.panic.take()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().ending = true;
        self.shared.work.notify_all();
        // Joins the threads, whose tasks return on `ending`.
        drop(self.pool.take());
    }
}

/// A worker's life: sleep, take up a run, work it off, sleep.
fn attend(shared: &Shared, worker: usize) {
    let mut seen = 0;
    let mut state = shared.lock();
    loop {
        if state.ending {
            return;
        }
        match state.body {
            Some(body) if state.run != seen => {
                seen = state.run;
                state.inside += 1;
                let items = state.items;
                drop(state);
                // SAFETY: this worker is counted as inside, so `Workers::run` has not returned and its closure lives.
                let body = unsafe { &*body.0 };
                shared.work_off(body, items, worker);
                state = shared.lock();
                state.inside -= 1;
                if state.inside == 0 {
                    shared.done.notify_one();
                }
            }
            _ => {
                state = shared
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn every_item_is_done_once() {
        for threads in [0, 1, 2, 4] {
            let workers = Workers::new(threads);
            for items in [0, 1, 2, 100] {
                let counts: Vec<AtomicU64> = (0..items).map(|_| AtomicU64::new(0)).collect();
                workers.run(items, &|item, worker| {
                    assert!(worker < workers.threads());
                    counts[item].fetch_add(1, Ordering::Relaxed);
                });
                assert!(
                    counts
                        .iter()
                        .all(|count| count.load(Ordering::Relaxed) == 1)
                );
            }
        }
    }

    #[test]
    fn other_threads_take_part() {
        let workers = Workers::new(2);
        // Each of the two items waits for the other, which one thread alone could not do.
        let barrier = std::sync::Barrier::new(2);
        workers.run(2, &|_, _| {
            barrier.wait();
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_crew_survives() {
        let workers = Workers::new(3);
        for _ in 0..20 {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                workers.run(50, &|item, _| assert!(item != 20, "item twenty"))
            }));
            let payload = outcome.unwrap_err();
            assert!(
                payload
                    .downcast_ref::<&str>()
                    .is_some_and(|text| text.contains("twenty"))
            );
            let sum = AtomicU64::new(0);
            workers.run(50, &|item, _| {
                sum.fetch_add(item as u64, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 49 * 25);
        }
    }

    #[test]
    fn a_run_inside_a_run_is_a_plain_loop() {
        let workers = Workers::new(2);
        let sum = AtomicU64::new(0);
        workers.run(4, &|_, _| {
            workers.run(4, &|item, worker| {
                assert_eq!(worker, 0);
                sum.fetch_add(item as u64, Ordering::Relaxed);
            });
        });
        assert_eq!(sum.into_inner(), 24);
    }
}
