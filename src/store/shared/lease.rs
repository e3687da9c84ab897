//! Who leads a stream: a lease with a fence, renewed at a third of its time, and taken over when it runs out.
//!
//! A fence is a number that rises with each new holder. Every commit names its own, and the script that saves refuses all but that of
//! the holder, so a process that was paused and goes on can do no harm there. What it may do elsewhere, such as push to a server, it
//! must ask [`Lease::may_act`] for: that is false as soon as the task here was not run for nearly the time of the lease, until Redis has
//! confirmed it. While Redis itself does not answer, nobody can take the lease, and the holder goes on (`Unconfirmed`). Whoever finds
//! Redis back after it was away lets the old holder come first, for the time of one lease.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use redis::{FromRedisValue as _, Script, Value};
use tokio::sync::{oneshot, watch};

use crate::store::error::StoreError;
use crate::store::remote::{Keys, Link, Timeouts};

const LEASE: &str = include_str!("lease.lua");
const RELEASE: &str = include_str!("release.lua");
static LEASE_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(LEASE));
static RELEASE_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(RELEASE));

/// How a lease is kept.
#[derive(Clone, Copy, Debug)]
pub struct LeaseOptions {
    /// How long it holds without being renewed. A standby takes over within this and a tenth more.
    pub time: Duration,
    /// Whether this instance may become the leader, or only watches.
    pub may_take: bool,
}

impl Default for LeaseOptions {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(3),
            may_take: true,
        }
    }
}

/// Where an instance stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// It is not known yet, or not any more, who leads; this instance must not.
    Seeking {
        /// Why, where something is wrong.
        reason: Option<String>,
    },
    /// Another instance leads.
    Standby {
        /// Its name.
        leader: String,
    },
    /// This instance leads.
    Held {
        /// What its commits are made under.
        fence: u64,
    },
    /// This instance led when Redis was last heard of, and nobody can have taken it from there but where Redis was only away from here.
    Unconfirmed {
        /// What its commits are made under.
        fence: u64,
        /// What Redis said or did not say.
        reason: String,
    },
}

impl LeaseState {
    /// The fence of a leader.
    pub fn fence(&self) -> Option<u64> {
        match self {
            Self::Held { fence } | Self::Unconfirmed { fence, .. } => Some(*fence),
            _ => None,
        }
    }
}

/// A lease that is sought and kept by a task. Ending without [`Lease::release`] lets it run out.
#[derive(Debug)]
pub struct Lease {
    state: watch::Receiver<LeaseState>,
    beat: Arc<Beat>,
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

/// Says on any thread whether this instance may do what only the leader does. Cheap to copy.
#[derive(Clone, Debug)]
pub struct LeasePass {
    state: watch::Receiver<LeaseState>,
    beat: Arc<Beat>,
    fence: u64,
}

impl LeasePass {
    /// Whether it may at this very moment. Costs a look at the clock.
    pub fn may_act(&self) -> bool {
        let is_well = !self.beat.is_late() && !self.beat.has_let_go.load(Ordering::Acquire);
        is_well && self.state.borrow().fence() == Some(self.fence)
    }

    /// Another instance has the lease: this one does nothing more, until Redis confirms that it has it after all.
    pub fn let_go(&self) {
        self.beat.has_let_go.store(true, Ordering::Release);
    }
}

/// When the task last ran, and what is said to it and by it.
struct Beat {
    epoch: Instant,
    at_ms: AtomicU64,
    limit: Duration,
    /// Whether another instance has asked to let go, until Redis says that this one still has the lease.
    has_let_go: AtomicBool,
    /// Whether this instance may become the leader.
    may_take: AtomicBool,
    /// How far the stream is.
    position: OnceLock<Position>,
    predecessor: Mutex<Option<Predecessor>>,
}

/// Gives how far the stream is, in nanoseconds since its tick 0.
type Position = Box<dyn Fn() -> u64 + Send + Sync>;

/// Who had the lease before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// Its name; that of this instance, where this one has come back.
    pub name: String,
    /// How far the stream was when it last said so, in nanoseconds since its tick 0.
    pub position_ns: Option<u64>,
    /// The moment at which it is as far as that, by the clock of Redis, as this machine's clock has it.
    pub at: Instant,
}

impl Predecessor {
    /// How far the stream would be by now, in nanoseconds since its tick 0.
    pub fn position_now_ns(&self) -> Option<u64> {
        let gone_ns = u64::try_from(self.at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Some(self.position_ns?.saturating_add(gone_ns))
    }
}

impl std::fmt::Debug for Beat {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Beat").finish_non_exhaustive()
    }
}

impl Beat {
    /// Says that the task runs, and whether it did not for too long before.
    fn now(&self) -> bool {
        let now = self.epoch.elapsed();
        let ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let before = Duration::from_millis(self.at_ms.swap(ms, Ordering::AcqRel));
        now.saturating_sub(before) > self.limit
    }

    fn is_late(&self) -> bool {
        let at = Duration::from_millis(self.at_ms.load(Ordering::Acquire));
        self.epoch.elapsed().saturating_sub(at) > self.limit
    }
}

/// A name for this process that no other has.
pub fn instance_name() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host: String = host
        .trim()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(40)
        .collect();
    let chance = getrandom::u64().unwrap_or_default();
    format!("{host}-{}-{chance:016x}", std::process::id())
}

impl Lease {
    /// Begins to seek the lease of a stream, on a thread of its own: what keeps others busy does not make it late.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn seek(
        link: &Link,
        keys: &Keys,
        instance: String,
        options: LeaseOptions,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (lease, seeking) = Self::prepare(link, keys, instance, options);
        let thread = std::thread::Builder::new().name("lease".to_owned());
        thread.spawn(move || runtime.block_on(seeking))?;
        Ok(lease)
    }

    /// As [`Lease::seek`], on the runtime that this is called on, and no longer than that runs.
    pub fn seek_here(link: &Link, keys: &Keys, instance: String, options: LeaseOptions) -> Self {
        let (lease, seeking) = Self::prepare(link, keys, instance, options);
        tokio::spawn(seeking);
        lease
    }

    /// A lease, and what seeks it.
    fn prepare(
        link: &Link,
        keys: &Keys,
        instance: String,
        options: LeaseOptions,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, state) = watch::channel(LeaseState::Seeking { reason: None });
        let beat = Arc::new(Beat {
            epoch: Instant::now(),
            at_ms: AtomicU64::new(0),
            limit: options.time * 4 / 5,
            has_let_go: AtomicBool::new(false),
            may_take: AtomicBool::new(options.may_take),
            position: OnceLock::new(),
            predecessor: Mutex::default(),
        });
        let seeker = Seeker {
            // Nothing else that is asked of Redis holds it up.
            link: link.within_at_most(Timeouts::OF_LEASE),
            lease: keys.lease.clone(),
            fence_key: keys.of("fence"),
            story: keys.of("story"),
            instance,
            options,
            state: sender,
            beat: Arc::clone(&beat),
            fence: 0,
            was_away: false,
            was_slow: false,
            saw_nothing: false,
            looked: Instant::now(),
            not_before: Instant::now(),
        };
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        let seeking = async move {
            seeker.run(stopped).await;
            // Who let it go may not wait for that.
            let _heard = ending.send(());
        };
        let lease = Self {
            state,
            beat,
            stop,
            ended,
        };
        (lease, seeking)
    }

    /// Where this instance stands, from change to change.
    pub fn state(&self) -> watch::Receiver<LeaseState> {
        self.state.clone()
    }

    /// Whether this instance may do what only the leader does, at this very moment. Costs a look at the clock.
    pub fn may_act(&self) -> bool {
        let fence = self.state.borrow().fence();
        fence.is_some_and(|fence| self.pass(fence).may_act())
    }

    /// What says so wherever it is asked, for who began to lead under this fence: under another one, others may have led in between.
    pub fn pass(&self, fence: u64) -> LeasePass {
        LeasePass {
            state: self.state.clone(),
            beat: Arc::clone(&self.beat),
            fence,
        }
    }

    /// Whether this instance may take the lease from now on, or only watches.
    pub fn set_may_take(&self, may_take: bool) {
        self.beat.may_take.store(may_take, Ordering::Release);
    }

    /// Who had the lease before this instance has taken it; `None` for the first of all.
    pub fn predecessor(&self) -> Option<Predecessor> {
        let predecessor = self.beat.predecessor.lock();
        predecessor.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has each renewal say how far the stream is: `position` gives that in nanoseconds since tick 0. Only the first call counts.
    pub fn tell_position(&self, position: impl Fn() -> u64 + Send + Sync + 'static) {
        let _first_counts = self.beat.position.set(Box::new(position));
    }

    /// Lets the lease go, so that a standby can take it at once.
    pub async fn release(self) {
        let _task_may_be_over = self.stop.send(());
        let _ended = self.ended.await;
    }
}

struct Seeker {
    link: Link,
    lease: String,
    fence_key: String,
    story: String,
    instance: String,
    options: LeaseOptions,
    state: watch::Sender<LeaseState>,
    beat: Arc<Beat>,
    /// The fence that this instance has, or had and may have again; 0 for none.
    fence: u64,
    /// Whether Redis did not answer the last time.
    was_away: bool,
    /// Whether Redis took long to answer the last time.
    was_slow: bool,
    /// Whether nothing was there the last time.
    saw_nothing: bool,
    /// When it last had an answer or gave up waiting for one.
    looked: Instant,
    /// Before then the lease is not taken, so that who had it before Redis was away can have it again.
    not_before: Instant,
}

enum Found {
    Mine(u64),
    Other {
        leader: String,
        left: Duration,
    },
    Free {
        /// Nothing says that anybody ever had it: this is the first time, or the keys were deleted.
        is_unknown: bool,
    },
}

/// A word, what it tells, a time, and the story of the one before.
type Parts = (String, String, i64, Option<(String, String)>);

fn parts(answer: Value) -> Option<Parts> {
    if let Value::Array(list) = &answer
        && list.len() > 3
    {
        let (word, detail, time, name, position) =
            <(String, String, i64, String, String)>::from_redis_value(answer).ok()?;
        return Some((word, detail, time, Some((name, position))));
    }
    let (word, detail, time) = <(String, String, i64)>::from_redis_value(answer).ok()?;
    Some((word, detail, time, None))
}

impl Seeker {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            let pause = tokio::select! {
                biased;
                _ = &mut stopped => break,
                pause = self.turn() => pause,
            };
            let next = Instant::now() + pause;
            while Instant::now() < next {
                self.mind_the_gap();
                let step = next.saturating_duration_since(Instant::now());
                tokio::select! {
                    biased;
                    _ = &mut stopped => return self.release().await,
                    () = tokio::time::sleep(step.min(self.options.time / 10)) => {}
                }
            }
        }
        self.release().await;
    }

    /// Says that it is there; where it was not for too long, the lease counts as lost until Redis has confirmed it.
    fn mind_the_gap(&self) {
        // The state is told before anybody can see the beat again.
        if self.beat.is_late() {
            let reason = Some("this process was paused".to_owned());
            self.state.send_replace(LeaseState::Seeking { reason });
        }
        if self.beat.now() {
            let reason = Some("this process was paused".to_owned());
            self.state.send_replace(LeaseState::Seeking { reason });
        }
    }

    /// Asks once, and says how long to wait until it asks again.
    async fn turn(&mut self) -> Duration {
        self.mind_the_gap();
        let third = self.options.time / 3;
        let begun = Instant::now();
        let mut answer = self.patiently(false).await;
        // A connection that stalls is not used again, and says nothing of Redis.
        if !self.was_away && matches!(&answer, Err(error) if error.is_away()) {
            answer = self.patiently(false).await;
        }
        let was_slow =
            std::mem::replace(&mut self.was_slow, begun.elapsed() > self.options.time / 4);
        if answer.is_ok() && (self.was_away || (self.was_slow && !was_slow)) {
            self.not_before = Instant::now() + self.options.time;
        }
        if let Ok(Found::Free { is_unknown }) = answer {
            // Who has it may not have noticed yet that the keys are gone, or was stopped, until its own time is over.
            let was_looking = self.looked.elapsed() < self.options.time / 4;
            if is_unknown && !(std::mem::replace(&mut self.saw_nothing, true) && was_looking) {
                let end = Instant::now() + self.options.time;
                self.not_before = self.not_before.max(end);
            }
            // Only now, that it was found free without delay: a call that takes could have been held up, as the holder's was.
            if self.beat.may_take.load(Ordering::Acquire) && Instant::now() >= self.not_before {
                answer = self.patiently(true).await;
            }
        } else {
            self.saw_nothing = false;
        }
        self.looked = Instant::now();
        // A pause may have come between the question and now: the answer is an old one then.
        self.mind_the_gap();
        if begun.elapsed() > self.beat.limit && matches!(answer, Ok(Found::Mine(_))) {
            return Duration::ZERO;
        }
        match answer {
            Ok(found) => {
                self.was_away = false;
                self.settle(found)
            }
            Err(error) => {
                self.was_away = true;
                let reason = error.to_string();
                let leads = self.state.borrow().fence();
                self.tell(match leads {
                    Some(fence) => LeaseState::Unconfirmed { fence, reason },
                    None => LeaseState::Seeking {
                        reason: Some(reason),
                    },
                });
                third / 2
            }
        }
    }

    /// The answer; while Redis takes its time, this task still says that it is there.
    async fn patiently(&self, takes: bool) -> Result<Found, StoreError> {
        let mut asking = std::pin::pin!(self.ask(takes));
        loop {
            match tokio::time::timeout(self.options.time / 10, &mut asking).await {
                Ok(answer) => return answer,
                Err(_) => self.mind_the_gap(),
            }
        }
    }

    fn settle(&mut self, found: Found) -> Duration {
        let third = self.options.time / 3;
        match found {
            Found::Mine(fence) => {
                if fence != self.fence {
                    tracing::info!(fence, instance = %self.instance, "this instance leads");
                }
                self.fence = fence;
                self.beat.has_let_go.store(false, Ordering::Release);
                self.tell(LeaseState::Held { fence });
                third
            }
            Found::Other { leader, left } => {
                if self.fence != 0 {
                    tracing::warn!(%leader, "another instance leads now");
                }
                self.fence = 0;
                self.tell(LeaseState::Standby { leader });
                // At the moment at which it runs out, or earlier where it is let go.
                (left + Duration::from_millis(10)).min(third / 2)
            }
            Found::Free { .. } => {
                self.tell(LeaseState::Seeking { reason: None });
                third / 4
            }
        }
    }

    async fn ask(&self, takes: bool) -> Result<Found, StoreError> {
        let time_ms = self.options.time.as_millis().to_string();
        let fence = self.fence.to_string();
        let position = self.beat.position.get().map(|position| position());
        let position = position.map_or_else(String::new, |position| position.to_string());
        let arguments = [
            self.instance.as_bytes(),
            time_ms.as_bytes(),
            fence.as_bytes(),
            if takes { b"1" } else { b"0" },
            position.as_bytes(),
        ];
        let keys = [&*self.lease, &self.fence_key, &self.story];
        let answer: Value = self
            .link
            .run(&LEASE_SCRIPT, LEASE, &keys, &arguments)
            .await?;
        let unreadable = || {
            self.link
                .unavailable("the answer cannot be read".to_owned())
        };
        let (word, detail, left_ms, story) = parts(answer).ok_or_else(unreadable)?;
        match word.as_str() {
            "HELD" => {
                if let Some((name, position)) = story {
                    self.note_story(name, &position, left_ms);
                }
                match detail.parse() {
                    Ok(fence) => Ok(Found::Mine(fence)),
                    Err(_) => Err(self.link.unavailable("the fence is no number".to_owned())),
                }
            }
            "OTHER" => Ok(Found::Other {
                leader: detail
                    .split_once(':')
                    .map_or(detail.clone(), |(_, instance)| instance.to_owned()),
                left: Duration::from_millis(u64::try_from(left_ms).unwrap_or_default()),
            }),
            _ => Ok(Found::Free {
                is_unknown: detail.is_empty(),
            }),
        }
    }

    /// Keeps who had the lease before. `since_ms` is how long ago it said how far it was.
    fn note_story(&self, name: String, position: &str, since_ms: i64) {
        let since = Duration::from_millis(u64::try_from(since_ms).unwrap_or_default());
        let now = Instant::now();
        let predecessor = (!name.is_empty()).then(|| Predecessor {
            name,
            position_ns: position.parse().ok(),
            at: now.checked_sub(since).unwrap_or(now),
        });
        let kept = self.beat.predecessor.lock();
        *kept.unwrap_or_else(PoisonError::into_inner) = predecessor;
    }

    fn tell(&self, next: LeaseState) {
        self.state.send_if_modified(|state| {
            let is_changed = *state != next;
            *state = next;
            is_changed
        });
    }

    async fn release(self) {
        if self.fence == 0 {
            return;
        }
        self.tell(LeaseState::Seeking { reason: None });
        let held = format!("{}:{}", self.fence, self.instance);
        let keys = [&*self.lease];
        let arguments = [held.as_bytes()];
        let result: Result<i64, _> = self
            .link
            .run(&RELEASE_SCRIPT, RELEASE, &keys, &arguments)
            .await;
        if let Err(error) = result {
            tracing::debug!(%error, "the lease runs out by itself");
        }
    }
}
