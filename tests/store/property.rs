//! Any row of batches, with crashes and lost answers between: what is loaded is what a map would hold.

use bytes::Bytes;
use proptest::prelude::*;
use stream_manager::store::{Batch, Documents, Embedded, Puts, Standing, Store, StoreError};

use super::support::{Server, apply, file};

#[derive(Clone, Debug)]
enum Step {
    /// By so many revisions: what stands beside the show makes none.
    Commit(Puts, u64),
    /// Everything anew.
    Whole(Puts),
    /// Its answer was lost: it is sent again, with more.
    Twice(Puts, Puts, u64),
    /// Made to a commit that is not there.
    Stray(Puts, u64),
    Reopen,
}

fn some_puts() -> impl Strategy<Value = Puts> {
    let value = proptest::option::weighted(0.7, proptest::collection::vec(any::<u8>(), 0..2000));
    let put = (0..8u8, value)
        .prop_map(|(key, value)| (format!("k/{key}").into(), value.map(Bytes::from)));
    proptest::collection::btree_map(
        put.clone().prop_map(|(key, _)| key),
        put.prop_map(|(_, value)| value),
        0..5,
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (some_puts(), 0..2u64).prop_map(|(puts, gain)| Step::Commit(puts, gain)),
        1 => some_puts().prop_map(Step::Whole),
        1 => (some_puts(), some_puts(), 0..2u64).prop_map(|(a, b, gain)| Step::Twice(a, b, gain)),
        1 => (some_puts(), 0..2u64).prop_map(|(puts, gain)| Step::Stray(puts, gain)),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..16)
}

async fn hold<F: Future<Output = Store>>(
    steps: Vec<Step>,
    fence: u64,
    mut open: impl FnMut() -> F,
) {
    let mut store = open().await;
    let (mut at, mut model) = (Standing::default(), Documents::new());
    let mut writes = 0;
    for step in steps {
        let mut batch = |after, revision, puts: &Puts| {
            writes += 1;
            Batch {
                after,
                revision,
                fence,
                writes,
                puts: puts.clone(),
            }
        };
        match step {
            Step::Commit(puts, gain) => {
                let batch = batch(Some(at), at.revision + gain, &puts);
                at = batch.makes();
                store.commit(batch).await.unwrap();
                apply(&mut model, &puts);
            }
            Step::Whole(puts) => {
                let batch = batch(None, at.revision + 3, &puts);
                at = batch.makes();
                store.commit(batch).await.unwrap();
                model.clear();
                apply(&mut model, &puts);
            }
            Step::Twice(first, second, gain) => {
                let once = batch(Some(at), at.revision + gain, &first);
                store.commit(once).await.unwrap();
                let mut both = first.clone();
                both.extend(second);
                let again = batch(Some(at), at.revision + 2 * gain, &both);
                at = again.makes();
                store.commit(again).await.unwrap();
                apply(&mut model, &both);
            }
            Step::Stray(puts, gain) => {
                // The store never got the newest commit, or has lost it.
                let lost = batch(Some(at), at.revision + gain, &puts).makes();
                let error = store
                    .commit(batch(Some(lost), lost.revision + 1, &puts))
                    .await;
                assert!(matches!(error, Err(StoreError::Diverged { found, .. }) if found == at));
            }
            Step::Reopen => {
                store.close().await;
                store = open().await;
            }
        }
        let saved = store.load().await.unwrap();
        assert_eq!((saved.standing(), &saved.documents), (at, &model));
        assert_eq!(store.health().await.unwrap(), at);
    }
    store.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_file_holds_what_a_map_would(steps in steps()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(hold(steps, 0, || async {
            Store::Embedded(Embedded::open(file(folder.path())).await.unwrap())
        }));
    }
}

#[test]
fn redis_holds_what_a_map_would() {
    let server = Server::start(&[]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut case = 0;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
    let case = std::cell::RefCell::new(&mut case);
    runner
        .run(&steps(), |steps| {
            **case.borrow_mut() += 1;
            let id = format!("case-{}", case.borrow());
            let lease = format!("sm:{{{id}}}:lease");
            runtime.block_on(async {
                server.ask(&["SET", &lease, "7:leader"]).await;
                hold(steps, 7, || async { Store::Redis(server.store(&id)) }).await;
            });
            Ok(())
        })
        .unwrap();
}
