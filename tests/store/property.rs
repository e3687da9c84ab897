//! Any row of batches, with crashes and lost answers between: what is loaded is what a map would hold.

use bytes::Bytes;
use proptest::prelude::*;
use stream_manager::store::{Batch, Documents, Embedded, Puts, Store, StoreError};

use super::support::{Server, apply, file};

#[derive(Clone, Debug)]
enum Step {
    Commit(Puts),
    /// Everything anew.
    Whole(Puts),
    /// Its answer was lost: it is sent again, with more.
    Twice(Puts, Puts),
    /// Made to a revision that is not there.
    Stray(Puts),
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
        4 => some_puts().prop_map(Step::Commit),
        1 => some_puts().prop_map(Step::Whole),
        1 => (some_puts(), some_puts()).prop_map(|(a, b)| Step::Twice(a, b)),
        1 => some_puts().prop_map(Step::Stray),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..16)
}

async fn hold<F: Future<Output = Store>>(steps: Vec<Step>, mut open: impl FnMut() -> F) {
    let mut store = open().await;
    let (mut revision, mut model) = (0, Documents::new());
    for step in steps {
        let batch = |after, revision, puts: &Puts| Batch {
            after,
            revision,
            fence: 0,
            puts: puts.clone(),
        };
        match step {
            Step::Commit(puts) => {
                store
                    .commit(batch(Some(revision), revision + 1, &puts))
                    .await
                    .unwrap();
                revision += 1;
                apply(&mut model, &puts);
            }
            Step::Whole(puts) => {
                store
                    .commit(batch(None, revision + 3, &puts))
                    .await
                    .unwrap();
                revision += 3;
                model.clear();
                apply(&mut model, &puts);
            }
            Step::Twice(first, second) => {
                store
                    .commit(batch(Some(revision), revision + 1, &first))
                    .await
                    .unwrap();
                let mut both = first.clone();
                both.extend(second);
                store
                    .commit(batch(Some(revision), revision + 2, &both))
                    .await
                    .unwrap();
                revision += 2;
                apply(&mut model, &both);
            }
            Step::Stray(puts) => {
                let error = store
                    .commit(batch(Some(revision + 1), revision + 2, &puts))
                    .await;
                assert!(matches!(error, Err(StoreError::Diverged { .. })));
            }
            Step::Reopen => {
                store.close().await;
                store = open().await;
            }
        }
        let saved = store.load().await.unwrap();
        assert_eq!((saved.revision, &saved.documents), (revision, &model));
        assert_eq!(store.health().await.unwrap().revision, revision);
    }
    store.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_file_holds_what_a_map_would(steps in steps()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(hold(steps, || async {
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
            runtime.block_on(hold(steps, || async { Store::Redis(server.store(&id)) }));
            Ok(())
        })
        .unwrap();
}
