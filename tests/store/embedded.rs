//! The engine of one file: what is damaged, locked, full, removed or of another release.

use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::process::Command;

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use redb::{ReadableTable as _, TableDefinition};
use stream_manager::store::{Embedded, Store, StoreError};

use super::support::{apply, batch, child, file, standing, text};

async fn open(folder: &std::path::Path) -> Result<Store, StoreError> {
    Ok(Store::Embedded(Embedded::open(file(folder)).await?))
}

#[tokio::test]
async fn what_was_committed_is_there_and_its_owner_alone_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("deep/er")).await.unwrap();
    assert_eq!(store.load().await.unwrap().revision, 0);
    store
        .commit(batch(1, [("a", text("1")), ("b", text("2"))]))
        .await
        .unwrap();
    store
        .commit(batch(2, [("a", None), ("c", text("3"))]))
        .await
        .unwrap();
    let path = folder.path().join("deep/er/state.redb");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    store.close().await;
    let store = open(&folder.path().join("deep/er")).await.unwrap();
    let saved = store.load().await.unwrap();
    assert_eq!((saved.revision, saved.format), (2, 1));
    assert_eq!(
        saved.documents.keys().map(|key| &**key).collect::<Vec<_>>(),
        ["b", "c"]
    );
    assert!(!format!("{saved:?}").contains('3'));
    // The same once more, as after a lost answer; something else; a name that is too long.
    store
        .commit(batch(2, [("a", None), ("c", text("3"))]))
        .await
        .unwrap();
    let error = store.commit(batch(9, [])).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Diverged { found, expected, .. }
            if (found, expected) == (standing(2), standing(8))),
        "{error}"
    );
    let error = store
        .commit(batch(3, [(&"x".repeat(201), text(""))]))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::TooMuch { .. }), "{error}");
    let mut old = batch(3, []);
    old.fence = 5;
    store.commit(old).await.unwrap();
    let error = store.commit(batch(4, [])).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
    assert_eq!(store.load().await.unwrap().documents.len(), 2);
}

const LOCKED: &str = "STREAM_MANAGER_TEST_LOCKED";

#[tokio::test]
async fn a_second_process_hears_that_the_file_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    store.commit(batch(1, [("a", text("1"))])).await.unwrap();
    let path = folder.path().to_str().unwrap();
    let status = child("embedded::finds_it_in_use", LOCKED, path)
        .status()
        .unwrap();
    assert!(status.success());
    assert!(matches!(
        open(folder.path()).await,
        Err(StoreError::InUse { .. })
    ));
    store.commit(batch(2, [("a", text("2"))])).await.unwrap();
    store.close().await;
    assert_eq!(
        open(folder.path())
            .await
            .unwrap()
            .load()
            .await
            .unwrap()
            .revision,
        2
    );
}

/// The second process; by itself it does nothing.
#[tokio::test]
async fn finds_it_in_use() {
    let Ok(folder) = std::env::var(LOCKED) else {
        return;
    };
    let error = open(folder.as_ref()).await.unwrap_err();
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );
}

#[tokio::test]
async fn a_damaged_file_is_refused_or_holds_a_whole_revision_and_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path());
    let mut states = vec![stream_manager::store::Documents::new()];
    {
        let store = open(folder.path()).await.unwrap();
        for revision in 1..=12 {
            let size = 200 * revision as usize;
            let name = format!("scenes/{}", revision % 5);
            let batch = batch(
                revision,
                [
                    (&name, text("x".repeat(size))),
                    ("data", text(format!("{revision}"))),
                ],
            );
            let mut next = states.last().unwrap().clone();
            apply(&mut next, &batch.puts);
            states.push(next);
            store.commit(batch).await.unwrap();
        }
        store.close().await;
    }
    let whole = std::fs::read(&path).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut chance = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut refused = 0;
    for round in 0..240 {
        let mut bytes = whole.clone();
        match round % 4 {
            // The headers, then pages, then what a torn write leaves, then a file that ends early.
            0 => bytes[chance.next_u32() as usize % 512] ^= 1 << (round % 8),
            1 => bytes[chance.next_u32() as usize % used] ^= 0xff,
            2 => {
                let at = chance.next_u32() as usize % used;
                let end = (at + 4096).min(bytes.len());
                bytes[at..end].fill(0);
            }
            _ => bytes.truncate(1 + chance.next_u32() as usize % used),
        }
        std::fs::write(&path, &bytes).unwrap();
        match open(folder.path()).await {
            Ok(store) => {
                let saved = store.load().await.unwrap();
                assert_eq!(
                    saved.documents, states[saved.revision as usize],
                    "round {round}"
                );
                store.close().await;
            }
            Err(error) => {
                refused += 1;
                assert!(
                    matches!(error, StoreError::Corrupt { .. } | StoreError::Newer { .. }),
                    "round {round}: {error}"
                );
                assert_eq!(std::fs::read(&path).unwrap(), bytes, "round {round}");
                let told = error.to_string();
                assert!(
                    told.contains("state.redb") && !told.contains("xxxx"),
                    "{told}"
                );
            }
        }
    }
    assert!(refused > 60, "{refused}");
    for text in [&b"not a database"[..], &[7; 100_000]] {
        std::fs::write(&path, text).unwrap();
        let error = open(folder.path()).await.unwrap_err();
        assert!(error.to_string().contains("state import"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), text);
    }
}

/// A disk that takes what is written and fails before it is safe.
#[derive(Debug)]
struct Ending(std::fs::File);

impl redb::StorageBackend for Ending {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}

#[tokio::test]
async fn a_file_whose_making_was_not_finished_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path());
    let disk = Ending(
        std::fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap(),
    );
    redb::Builder::new()
        .create_with_backend(disk)
        .expect_err("it fails");
    let begun = std::fs::read(&path).unwrap();
    assert!(begun.iter().any(|byte| *byte != 0), "it has a header");
    let zeros = vec![0; begun.len()];
    for unfinished in [&begun[..], &zeros, &zeros[..5]] {
        std::fs::write(&path, unfinished).unwrap();
        let store = open(folder.path()).await.unwrap();
        assert_eq!(store.load().await.unwrap().revision, 0);
        store.commit(batch(1, [("a", text("1"))])).await.unwrap();
        store.close().await;
        let store = open(folder.path()).await.unwrap();
        assert_eq!(store.load().await.unwrap().revision, 1);
        store.close().await;
    }
    // One that holds something and has lost its beginning is damaged.
    let mut damaged = std::fs::read(&path).unwrap();
    damaged[..4096].fill(0);
    std::fs::write(&path, &damaged).unwrap();
    let error = open(folder.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), damaged);
}

#[tokio::test]
async fn a_document_that_was_changed_behind_its_back_and_a_newer_format_are_refused() {
    const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    const DOCUMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("documents");
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    store
        .commit(batch(1, [("a", text("hello")), ("b", text("hello"))]))
        .await
        .unwrap();
    store.close().await;
    let change = |act: &dyn Fn(&redb::WriteTransaction)| {
        let database = redb::Database::create(file(folder.path())).unwrap();
        let transaction = database.begin_write().unwrap();
        act(&transaction);
        transaction.commit().unwrap();
    };
    change(&|transaction| {
        let mut table = transaction.open_table(DOCUMENTS).unwrap();
        let other = table.get("b").unwrap().unwrap().value().to_vec();
        table.insert("a", &*other).unwrap();
    });
    let error = open(folder.path()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("document `a` is not what was written"),
        "{error}"
    );
    change(&|transaction| {
        let mut table = transaction.open_table(META).unwrap();
        table.insert("format", 2).unwrap();
    });
    let before = std::fs::read(file(folder.path())).unwrap();
    let error = open(folder.path()).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Newer {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(std::fs::read(file(folder.path())).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_taken_away_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    store.commit(batch(1, [("a", text("1"))])).await.unwrap();
    std::fs::remove_file(file(folder.path())).unwrap();
    assert_eq!(store.health().await.unwrap().revision, 0);
    let error = store.commit(batch(2, [])).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Diverged { found, .. } if found == standing(0)),
        "{error}"
    );
    let mut whole = batch(2, [("a", text("2"))]);
    whole.after = None;
    store.commit(whole).await.unwrap();
    store.close().await;
    assert_eq!(
        open(folder.path())
            .await
            .unwrap()
            .load()
            .await
            .unwrap()
            .revision,
        2
    );
}

const SMALL_DISK: &str = "STREAM_MANAGER_TEST_SMALL_STATE_DISK";

/// On a disk of a few megabytes, which fills up and gets room again: in a process that may mount one.
#[test]
fn a_small_disk_fills_up_and_empties() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=16m tmpfs \"$1\" && exec \"$2\" --exact embedded::saves_to_a_small_disk --nocapture";
    let status = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .env(SMALL_DISK, folder.path())
        .status()
        .unwrap();
    assert!(
        status.success(),
        "this test needs a user namespace with a mount of its own, or a failure is above"
    );
}

/// The process with the small disk; by itself, without one, it does nothing.
#[tokio::test]
async fn saves_to_a_small_disk() {
    let Ok(disk) = std::env::var(SMALL_DISK) else {
        return;
    };
    let disk = std::path::Path::new(&disk);
    let store = open(disk).await.unwrap();
    store.commit(batch(1, [("a", text("1"))])).await.unwrap();
    let large = || text("x".repeat(8_000_000));
    let filler = disk.join("filler");
    std::fs::write(&filler, vec![1; 12_000_000]).unwrap();
    for _ in 0..3 {
        let error = store
            .commit(batch(2, [("a", text("2")), ("b", large())]))
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        let saved = store.load().await.unwrap();
        assert_eq!((saved.revision, saved.documents.len()), (1, 1));
    }
    std::fs::remove_file(&filler).unwrap();
    store
        .commit(batch(
            2,
            [("a", text("2")), ("b", text("x".repeat(600_000)))],
        ))
        .await
        .unwrap();
    store.close().await;
    let saved = open(disk).await.unwrap().load().await.unwrap();
    assert_eq!((saved.revision, saved.documents["b"].len()), (2, 600_000));
}
