//! Redis frozen, killed, flushed, full, slow, read-only or locked: the persister says what is wrong, never waits longer than its
//! timeouts, and the state is whole afterwards.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use stream_manager::store::{
    Documents, PersistState, PersistStatus, Persister, RedisStore, Store, StoreError,
};

use super::support::{
    LONG, Proxy, Server, apply, batch, link, persist, puts, text, wait_for, wait_ok, wait_until,
};

/// Makes changes and knows what they come to.
struct Writer {
    persister: Persister,
    revision: u64,
    model: Documents,
}

impl Writer {
    async fn start(store: RedisStore) -> Self {
        Self {
            persister: persist(Store::Redis(store)).await,
            revision: 0,
            model: Documents::new(),
        }
    }

    fn change(&mut self, count: u64) {
        for _ in 0..count {
            self.revision += 1;
            let value = || text(format!("{}", self.revision));
            let name = format!("data/{}", self.revision % 9);
            let gone = format!("data/{}", (self.revision + 4) % 9);
            let puts = puts([("last", value()), (&name, value()), (&gone, None)]);
            apply(&mut self.model, &puts);
            self.persister.put(self.revision, puts).unwrap();
        }
    }

    /// Changes documents that have no revision of their own, and waits until that is saved. Each of them is changed once.
    async fn beside(&mut self, number: u64) {
        let name = format!("keys/{number}");
        let puts = puts([(&name, text(format!("{number}")))]);
        apply(&mut self.model, &puts);
        self.persister.put(0, puts).unwrap();
        assert!(self.persister.settled(LONG).await);
    }

    async fn durable(&self) {
        self.persister.durable(self.revision, LONG).await.unwrap();
    }

    async fn told(&self, state: PersistState) -> PersistStatus {
        wait_for(&mut self.persister.status(), "its state", |status| {
            status.state == state
        })
        .await
    }

    async fn is_whole(&self, server: &Server, id: &str) {
        wait_ok(&self.persister).await;
        let saved = Store::Redis(server.store(id)).load().await.unwrap();
        assert_eq!(
            (saved.revision, &saved.documents),
            (self.revision, &self.model)
        );
    }
}

#[tokio::test]
async fn a_frozen_server_is_told_and_gets_everything_when_it_goes_on() {
    let server = Server::start(&[]);
    let mut writer = Writer::start(server.store("a")).await;
    writer.change(20);
    writer.durable().await;
    server.signal(Signal::STOP);
    writer.change(50);
    let told = writer.told(PersistState::Down).await;
    assert!(told.reason.unwrap().contains("no answer within"));
    assert!(told.durable_revision < told.revision && told.pending > 0);
    // A call of its own ends in time too.
    let begun = Instant::now();
    let error = Store::Redis(server.store("a")).load().await.unwrap_err();
    assert!(error.is_away() && begun.elapsed() < LONG, "{error}");
    writer.change(50);
    server.signal(Signal::CONT);
    writer.durable().await;
    writer.is_whole(&server, "a").await;
}

#[tokio::test]
async fn a_killed_server_that_comes_back_empty_gets_everything() {
    let mut server = Server::start(&[]);
    let mut writer = Writer::start(server.store("a")).await;
    writer.change(30);
    writer.durable().await;
    server.kill();
    writer.told(PersistState::Down).await;
    writer.change(30);
    assert!(
        writer
            .persister
            .durable(writer.revision, Duration::from_millis(50))
            .await
            .is_err()
    );
    server.run();
    writer.durable().await;
    writer.is_whole(&server, "a").await;
}

#[tokio::test]
async fn a_flush_is_noticed_while_nothing_changes_and_while_something_does() {
    let server = Server::start(&[]);
    let mut writer = Writer::start(server.store("a")).await;
    for _ in 0..3 {
        writer.change(10);
        writer.durable().await;
        server.ask(&["FLUSHALL"]).await;
        wait_until("it is written anew", LONG, || async {
            Store::Redis(server.store("a"))
                .load()
                .await
                .unwrap()
                .documents
                == writer.model
        })
        .await;
        server.ask(&["FLUSHALL"]).await;
        writer.change(1);
        writer.durable().await;
        writer.is_whole(&server, "a").await;
    }
}

/// A server that is there in the place of the one that had the newest commit: its replica, or itself from an older file.
#[tokio::test]
async fn a_server_without_the_newest_commit_gets_it_again_though_its_revision_is_the_same() {
    let mut server = Server::start(&[]);
    let mut writer = Writer::start(server.store("a")).await;
    writer.change(3);
    writer.durable().await;
    for number in 0..4 {
        server.ask(&["SAVE"]).await;
        writer.beside(number).await;
        server.kill();
        server.run();
        let older = Store::Redis(server.store("a")).load().await;
        // Where something is changed before it is looked, the change finds it.
        if number % 2 == 0 {
            wait_until("it is written anew", LONG, || async {
                let saved = Store::Redis(server.store("a")).load().await;
                saved.is_ok_and(|saved| saved.documents == writer.model)
            })
            .await;
        } else {
            writer.beside(number + 100).await;
        }
        assert_eq!(older.unwrap().revision, writer.revision);
        writer.is_whole(&server, "a").await;
    }
}

#[tokio::test]
async fn a_dropped_connection_costs_nothing_but_a_new_one() {
    let server = Server::start(&[]);
    let store = Store::Redis(server.store("a"));
    for revision in 1..=10 {
        store
            .commit(batch(revision, [("a", text(format!("{revision}")))]))
            .await
            .unwrap();
        server
            .ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
            .await;
        // Scripts are forgotten by a server that was restarted, too.
        server.ask(&["SCRIPT", "FLUSH"]).await;
    }
    assert_eq!(store.load().await.unwrap().revision, 10);
}

#[tokio::test]
async fn a_full_server_keeps_what_it_has_and_takes_the_rest_when_there_is_room() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let mut writer = Writer::start(server.store("a")).await;
    writer.change(10);
    writer.durable().await;
    let before = Store::Redis(server.store("a")).load().await.unwrap();
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    writer.change(10);
    let told = writer.told(PersistState::Degraded).await;
    assert!(told.reason.unwrap().contains("is full"));
    assert_eq!(
        Store::Redis(server.store("a")).load().await.unwrap(),
        before
    );
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    writer.durable().await;
    writer.is_whole(&server, "a").await;
}

#[tokio::test]
async fn a_replica_is_told_to_be_read_only() {
    let (master, server) = (Server::start(&[]), Server::start(&[]));
    let mut writer = Writer::start(server.store("a")).await;
    writer.change(5);
    writer.durable().await;
    server
        .ask(&["REPLICAOF", "127.0.0.1", &master.port.to_string()])
        .await;
    writer.change(5);
    let told = wait_for(&mut writer.persister.status(), "read-only", |status| {
        status
            .reason
            .as_ref()
            .is_some_and(|reason| reason.contains("can only be read"))
    })
    .await;
    assert_eq!(told.state, PersistState::Degraded);
    server.ask(&["REPLICAOF", "NO", "ONE"]).await;
    writer.durable().await;
    writer.is_whole(&server, "a").await;
}

#[tokio::test]
async fn a_slow_server_is_told_and_loses_nothing() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let store = RedisStore::new(link(&proxy.url()), "a");
    let mut writer = Writer::start(store).await;
    writer.change(5);
    writer.durable().await;
    proxy.set_delay(Duration::from_millis(220));
    writer.change(5);
    let told = writer.told(PersistState::Degraded).await;
    assert_eq!(told.reason.as_deref(), Some("the store is slow"));
    writer.change(50);
    writer.durable().await;
    // Slower than its timeout: it counts as away.
    proxy.set_delay(Duration::from_secs(2));
    writer.change(5);
    writer.told(PersistState::Down).await;
    proxy.set_delay(Duration::ZERO);
    writer.durable().await;
    writer.is_whole(&server, "a").await;
}

#[tokio::test]
async fn a_wrong_password_is_told_and_never_shown() {
    let server = Server::start(&["--requirepass", "open-sesame"]);
    let port = server.port;
    for (url, word) in [
        (format!("redis://127.0.0.1:{port}"), "NOAUTH"),
        (format!("redis://:hush-hush@127.0.0.1:{port}"), "WRONGPASS"),
        (
            format!("redis://nobody:hush-hush@127.0.0.1:{port}"),
            "WRONGPASS",
        ),
    ] {
        let store = Store::Redis(RedisStore::new(link(&url), "a"));
        let error = store.load().await.unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        let told = format!("{error} {error:?} {store:?}");
        assert!(
            !told.contains("hush-hush") && !told.contains("nobody"),
            "{told}"
        );
        assert!(told.contains(word) || told.contains("assword"), "{told}");
        // Not at once again, and the same is heard meanwhile.
        assert!(matches!(
            store.load().await,
            Err(StoreError::Refused { .. })
        ));
    }
    let url = format!("redis://:open-sesame@127.0.0.1:{port}");
    assert_eq!(
        Store::Redis(RedisStore::new(link(&url), "a"))
            .load()
            .await
            .unwrap()
            .revision,
        0
    );
}
