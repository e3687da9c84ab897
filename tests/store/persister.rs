//! The persister over a file: order, gathering, waiting, and its end.

use std::time::Duration;

use stream_manager::store::shared::Follower;
use stream_manager::store::{Embedded, PersistState, Persister, Store};

use super::support::{LONG, Server, file, options, persist, puts, text, wait_ok};

async fn open(folder: &std::path::Path) -> Store {
    Store::Embedded(Embedded::open(file(folder)).await.unwrap())
}

#[tokio::test]
async fn changes_become_durable_in_order_and_the_last_value_wins() {
    let folder = tempfile::tempdir().unwrap();
    let persister = persist(open(folder.path()).await).await;
    let mut status = persister.status();
    for revision in 1..=500 {
        let name = format!("data/{}", revision % 3);
        persister
            .put(
                revision,
                puts([
                    (&name, text(format!("{revision}"))),
                    ("last", text(format!("{revision}"))),
                ]),
            )
            .unwrap();
    }
    persister.durable(500, LONG).await.unwrap();
    let told = status.borrow_and_update().clone();
    assert_eq!((told.engine, told.state), ("embedded", PersistState::Ok));
    assert_eq!(
        (told.revision, told.durable_revision, told.pending),
        (500, 500, 0)
    );
    assert!(
        persister
            .durable(501, Duration::from_millis(20))
            .await
            .is_err()
    );
    persister.put(501, puts([("last", None)])).unwrap();
    persister.shut_down(LONG).await.unwrap();
    let saved = open(folder.path()).await.load().await.unwrap();
    assert_eq!(saved.revision, 501);
    assert_eq!(saved.documents.len(), 3);
    assert_eq!(&saved.documents["data/2"][..], b"500");
}

#[tokio::test]
async fn every_commit_is_a_whole_revision() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let persister = persist(store.clone()).await;
    for revision in 1..=200_u64 {
        let value = || text(format!("{revision}"));
        persister
            .put(revision, puts([("a", value()), ("b", value())]))
            .unwrap();
        tokio::task::yield_now().await;
        let saved = store.load().await.unwrap();
        assert_eq!(saved.documents.get("a"), saved.documents.get("b"));
        let told = saved.documents.get("a").map_or(0, |bytes| {
            std::str::from_utf8(bytes).unwrap().parse().unwrap()
        });
        assert_eq!(saved.revision, told);
    }
    persister.shut_down(LONG).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_taken_away_gets_everything_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let persister = persist(store.clone()).await;
    persister
        .put(1, puts([("a", text("1")), ("b", text("2"))]))
        .unwrap();
    persister.durable(1, LONG).await.unwrap();
    std::fs::remove_file(file(folder.path())).unwrap();
    super::support::wait_until("it is written anew", LONG, || async {
        file(folder.path()).exists()
            && store
                .load()
                .await
                .is_ok_and(|saved| saved.documents.len() == 2)
    })
    .await;
    wait_ok(&persister).await;
    persister.shut_down(LONG).await.unwrap();
}

#[tokio::test]
async fn more_than_a_store_takes_is_refused_and_nothing_of_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let saved = store.load().await.unwrap();
    let persister = Persister::start(store, &saved, options());
    assert!(
        persister
            .put(
                1,
                puts([("good", text("1")), (&"x".repeat(300), text("2"))])
            )
            .is_err()
    );
    let many = (0..4000).map(|index| (format!("k/{index}").into(), text("1")));
    persister.put(1, many.collect()).unwrap();
    let more = (0..200).map(|index| (format!("m/{index}").into(), text("1")));
    let error = persister.put(2, more.collect()).unwrap_err();
    assert!(error.to_string().contains("4096 documents"), "{error}");
    persister.durable(1, LONG).await.unwrap();
    assert_eq!(wait_ok(&persister).await.revision, 1);
    persister.shut_down(LONG).await.unwrap();
    assert_eq!(
        open(folder.path())
            .await
            .load()
            .await
            .unwrap()
            .documents
            .len(),
        4000
    );
}

/// What stands beside the show has no revision of its own.
async fn goes_with_the_revision_that_is_there(store: Store) {
    let persister = persist(store.clone()).await;
    persister.put(0, puts([("keys", text("[0]"))])).unwrap();
    assert!(persister.settled(LONG).await);
    assert_eq!(store.load().await.unwrap().revision, 0);
    persister.put(7, puts([("show", text("{}"))])).unwrap();
    for number in 1..=20 {
        let value = text(format!("[{number}]"));
        persister.put(0, puts([("keys", value)])).unwrap();
        if number % 7 == 0 {
            assert!(persister.settled(LONG).await);
        }
    }
    assert!(persister.settled(LONG).await);
    let saved = store.load().await.unwrap();
    assert_eq!(
        (saved.revision, &saved.documents["keys"][..]),
        (7, &b"[20]"[..])
    );
    assert_eq!(wait_ok(&persister).await.revision, 7);
    let many = (0..4100).map(|index| (format!("k/{index}").into(), text("1")));
    assert!(persister.check(&many.collect()).is_err());
    assert!(persister.check(&puts([("one", text("1"))])).is_ok());
    persister.shut_down(LONG).await.unwrap();
}

#[tokio::test]
async fn documents_without_a_revision_go_with_the_one_that_is_there_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    goes_with_the_revision_that_is_there(store).await;
    let saved = open(folder.path()).await.load().await.unwrap();
    assert_eq!((saved.revision, saved.documents.len()), (7, 2));
}

#[tokio::test]
async fn documents_without_a_revision_go_with_the_one_that_is_there_in_redis_and_are_followed() {
    let server = Server::start(&[]);
    goes_with_the_revision_that_is_there(Store::Redis(server.store("a"))).await;
    let mut follower = Follower::new(&server.store("a"), Duration::from_millis(50));
    let change = follower.next().await.unwrap().unwrap();
    assert_eq!((change.revision, change.is_whole), (7, true));
    let persister = persist(Store::Redis(server.store("a"))).await;
    persister.put(0, puts([("keys", text("[21]"))])).unwrap();
    assert!(persister.settled(LONG).await);
    let change = follower.next().await.unwrap().unwrap();
    assert_eq!((change.revision, change.is_whole), (7, false));
    assert_eq!(change.puts, puts([("keys", text("[21]"))]));
    persister.shut_down(LONG).await.unwrap();
}
