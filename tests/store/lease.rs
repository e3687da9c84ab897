//! The lease: never two holders at once, and a standby that takes over in time.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rustix::process::Signal;
use stream_manager::store::remote::{Link, Timeouts};
use stream_manager::store::shared::{Lease, LeaseOptions, LeaseState};
use stream_manager::store::{RedisStore, RedisUrl, Store, StoreError};

use super::support::{LONG, Proxy, Server, batch, pass, text, wait_until};

/// A contender on a thread of its own, which can be held up as a process that is stopped.
struct Contender {
    lease: Arc<Lease>,
    orders: SyncSender<Order>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    /// Nothing runs until the other end is dropped.
    Stop(std::sync::mpsc::Receiver<()>),
}

impl Contender {
    fn start(server: &Server, name: &str, time: Duration) -> Self {
        let (store, name) = (server.store("lease"), name.to_owned());
        let (orders, received) = sync_channel::<Order>(1);
        let (ready, begun) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let options = LeaseOptions {
                    time,
                    may_take: true,
                };
                let lease = Lease::seek_here(store.link(), store.keys(), name, options);
                ready.send(Arc::new(lease)).unwrap();
                let mut looks = tokio::time::interval(Duration::from_millis(2));
                loop {
                    match received.try_recv() {
                        // The whole runtime is blocked by this, as by SIGSTOP.
                        Ok(Order::Stop(until)) => drop(until.recv()),
                        Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                        Err(_) => {}
                    }
                    looks.tick().await;
                }
            });
        });
        Self {
            lease: begun.recv().unwrap(),
            orders,
            thread: Some(thread),
        }
    }

    /// Stops it until what this gives is dropped.
    fn stop(&self) -> SyncSender<()> {
        let (held, until) = sync_channel(0);
        self.orders.send(Order::Stop(until)).unwrap();
        held
    }

    fn fence(&self) -> Option<u64> {
        self.lease
            .may_act()
            .then(|| self.lease.state().borrow().fence())
            .flatten()
    }

    fn end(mut self) {
        let thread = self.thread.take().unwrap();
        drop(self);
        thread.join().unwrap();
    }
}

/// At most one may act; a look at one after the other is no proof, so who was first is looked at again.
fn holder(contenders: &[Contender]) -> Option<u64> {
    let acting = || contenders.iter().map(Contender::fence).collect::<Vec<_>>();
    let (first, second) = (acting(), acting());
    let both: Vec<_> = first
        .iter()
        .zip(&second)
        .filter(|(a, b)| a.is_some() && a == b)
        .collect();
    assert!(both.len() < 2, "two hold the lease: {first:?} {second:?}");
    both.first().and_then(|(fence, _)| **fence)
}

#[derive(Clone, Copy, Debug)]
enum Event {
    StopHolder,
    Stop(usize),
    GoOn(usize),
    FreezeServer,
    ThawServer,
    Flush,
    Time(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => Just(Event::StopHolder),
        1 => (0..3_usize).prop_map(Event::Stop),
        3 => (0..3_usize).prop_map(Event::GoOn),
        1 => Just(Event::FreezeServer),
        2 => Just(Event::ThawServer),
        1 => Just(Event::Flush),
        4 => (1..12_u64).prop_map(|tens| Event::Time(tens * 25)),
    ];
    proptest::collection::vec(event, 4..12)
}

fn play(server: &Server, events: &[Event]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let time = Duration::from_millis(250);
    let contenders = ["a", "b", "c"].map(|name| Contender::start(server, name, time));
    let mut stopped = [None, None, None];
    let mut is_frozen = false;
    let mut newest = 0;
    let mut watch = |limit: Duration, ends: bool| {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(fence) = holder(&contenders) {
                assert!(fence >= newest, "fence {fence} after {newest}");
                newest = fence;
                if ends {
                    return true;
                }
            }
            std::thread::yield_now();
        }
        !ends
    };
    for event in events {
        match *event {
            Event::StopHolder => {
                let acting = contenders
                    .iter()
                    .position(|contender| contender.fence().is_some());
                if let Some(index) = acting.filter(|index| stopped[*index].is_none()) {
                    stopped[index] = Some(contenders[index].stop());
                }
            }
            Event::Stop(index) if stopped[index].is_none() => {
                stopped[index] = Some(contenders[index].stop());
            }
            Event::GoOn(index) => stopped[index] = None,
            Event::FreezeServer if !is_frozen => {
                server.signal(Signal::STOP);
                is_frozen = true;
            }
            Event::ThawServer => {
                server.signal(Signal::CONT);
                is_frozen = false;
            }
            Event::Flush if !is_frozen => {
                // Who has just taken it has been seen by those that look: keys that go before that are the one way to two holders.
                watch(Duration::from_millis(600), true);
                watch(Duration::from_millis(100), false);
                runtime.block_on(async { server.ask(&["FLUSHALL"]).await });
            }
            Event::Time(ms) => drop(watch(Duration::from_millis(ms), false)),
            _ => {}
        }
        watch(Duration::from_millis(5), false);
    }
    server.signal(Signal::CONT);
    stopped = [None, None, None];
    drop(stopped);
    assert!(watch(LONG, true), "nobody takes the lease");
    contenders.into_iter().for_each(Contender::end);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn two_never_hold_it_at_once(events in events()) {
        let server = Server::start(&[]);
        play(&server, &events);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over_and_the_old_leader_is_fenced() {
    let server = Server::start(&[]);
    let options = LeaseOptions::default();
    let first = Contender::start(&server, "first", options.time);
    wait_until("the first leads", LONG, || async {
        first.fence().is_some()
    })
    .await;
    let fence = first.fence().unwrap();
    let store = Store::Redis(server.store("lease"));
    let mut ours = batch(1, [("a", text("first"))]);
    ours.fence = fence;
    store.commit(ours.clone()).await.unwrap();
    let second = Contender::start(&server, "second", options.time);
    wait_until("the second waits", LONG, || async {
        *second.lease.state().borrow()
            == LeaseState::Standby {
                leader: "first".to_owned(),
            }
    })
    .await;
    let held = first.stop();
    wait_until("the second leads", Duration::from_secs(5), || async {
        second.fence().is_some()
    })
    .await;
    assert!(
        first.fence().is_none(),
        "the one that is stopped must not act"
    );
    let next = second.fence().unwrap();
    assert!(next > fence);
    ours.after = Some(ours.makes());
    (ours.revision, ours.writes) = (2, 2);
    let error = store.commit(ours.clone()).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Fenced { holder, .. } if holder.contains("second")),
        "{error}"
    );
    ours.fence = next;
    store.commit(ours).await.unwrap();
    drop(held);
    wait_until("the first finds itself a standby", LONG, || async {
        *first.lease.state().borrow()
            == LeaseState::Standby {
                leader: "second".to_owned(),
            }
    })
    .await;
    // Without a lease nobody writes while somebody leads.
    let error = store.commit(batch(3, [])).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
    first.end();
    second.end();
}

#[tokio::test]
async fn a_lease_that_is_let_go_is_taken_at_once_and_survives_a_flush_and_a_server_that_was_away() {
    let server = Server::start(&[]);
    let store = server.store("lease");
    let seek = |name: &str| {
        Lease::seek(
            store.link(),
            store.keys(),
            name.to_owned(),
            LeaseOptions::default(),
        )
        .unwrap()
    };
    let first = seek("first");
    wait_until("the first leads", LONG, || async { first.may_act() }).await;
    let second = seek("second");
    first.release().await;
    wait_until("the second leads", Duration::from_secs(5), || async {
        second.may_act()
    })
    .await;
    let fence = second.state().borrow().fence();
    server.ask(&["FLUSHALL"]).await;
    server.signal(Signal::STOP);
    let mut state = second.state();
    let away = state.wait_for(|state| matches!(state, LeaseState::Unconfirmed { .. }));
    tokio::time::timeout(LONG, away).await.unwrap().unwrap();
    pass(Duration::from_secs(3)).await;
    assert!(
        second.may_act(),
        "nobody else can have it while the server is away"
    );
    server.signal(Signal::CONT);
    let mut state = second.state();
    let back = state.wait_for(|state| matches!(state, LeaseState::Held { .. }));
    tokio::time::timeout(LONG, back).await.unwrap().unwrap();
    assert_eq!(second.state().borrow().fence(), fence);
    second.release().await;
}

/// Seeks the lease by a way of its own, as a program does.
fn seek(url: &str, name: &str) -> Lease {
    let link = Link::new(RedisUrl::parse(url).unwrap(), Timeouts::default());
    let store = RedisStore::new(link, "lease");
    let options = LeaseOptions::default();
    Lease::seek(store.link(), store.keys(), name.to_owned(), options).unwrap()
}

/// Looks for a while at whether the first one leads, as it did, and the other one does not.
async fn leads_on(first: &Lease, fence: u64, second: &Lease, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert_eq!(first.state().borrow().fence(), Some(fence));
        assert!(first.may_act() && !second.may_act());
        pass(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_stalls_costs_no_lease() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let first = seek(&proxy.url(), "first");
    wait_until("the first leads", LONG, || async { first.may_act() }).await;
    let second = seek(&server.url(), "second");
    let mut state = second.state();
    let waits = state.wait_for(|state| matches!(state, LeaseState::Standby { .. }));
    drop(tokio::time::timeout(LONG, waits).await.unwrap().unwrap());
    let fence = first.state().borrow().fence().unwrap();
    for _ in 0..2 {
        let before = proxy.connections();
        proxy.stall();
        leads_on(&first, fence, &second, Duration::from_millis(4500)).await;
        assert!(proxy.connections() > before);
        assert_eq!(*first.state().borrow(), LeaseState::Held { fence });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_as_it_was_before_ends_no_lease() {
    let server = Server::start(&[]);
    let before = seek(&server.url(), "before");
    wait_until("it leads", LONG, || async { before.may_act() }).await;
    let old = before.state().borrow().fence().unwrap();
    before.release().await;
    let first = seek(&server.url(), "first");
    wait_until("the first leads", LONG, || async { first.may_act() }).await;
    let fence = first.state().borrow().fence().unwrap();
    assert!(old < fence);
    let second = seek(&server.url(), "second");
    let mut state = second.state();
    let waits = state.wait_for(|state| matches!(state, LeaseState::Standby { .. }));
    drop(tokio::time::timeout(LONG, waits).await.unwrap().unwrap());
    // Frozen for as long as a server takes that is started anew, so that all find it away.
    server.signal(Signal::STOP);
    let mut state = first.state();
    let away = state.wait_for(|state| matches!(state, LeaseState::Unconfirmed { .. }));
    drop(tokio::time::timeout(LONG, away).await.unwrap().unwrap());
    let restoring = async {
        let fence = old.to_string();
        let script = "redis.call('SET', KEYS[1], ARGV[1]) redis.call('DEL', KEYS[2])";
        let keys = ["sm:{lease}:fence", "sm:{lease}:lease"];
        server
            .ask(&["EVAL", script, "2", keys[0], keys[1], &fence])
            .await
    };
    server.signal(Signal::CONT);
    restoring.await;
    let mut state = first.state();
    let back = state.wait_for(|state| matches!(state, LeaseState::Held { .. }));
    drop(tokio::time::timeout(LONG, back).await.unwrap().unwrap());
    leads_on(&first, fence, &second, Duration::from_secs(4)).await;
    let newest = server.ask(&["GET", "sm:{lease}:fence"]).await;
    assert_eq!(newest, redis::Value::BulkString(fence.to_string().into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_half_a_second_away_is_led_by_all_the_same() {
    let server = Server::start(&["--requirepass", "far"]);
    let proxy = Proxy::start(server.port).await;
    let url = |port: u16| format!("redis://:far@127.0.0.1:{port}");
    let first = seek(&url(proxy.port), "first");
    wait_until("the first leads", LONG, || async { first.may_act() }).await;
    let second = seek(&url(server.port), "second");
    let fence = first.state().borrow().fence().unwrap();
    proxy.set_delay(Duration::from_millis(500));
    leads_on(&first, fence, &second, Duration::from_secs(8)).await;
    assert_eq!(*first.state().borrow(), LeaseState::Held { fence });
}
