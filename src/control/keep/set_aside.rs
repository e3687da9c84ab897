//! A copy of what was saved, before something else begins in its place: `DATA_DIR/state.before/<revision>.json`, of the form that
//! `state import` reads. The newest few are kept; the assets that they name stay where they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::store::{Saved, StoreError, archive};

/// The folder in DATA_DIR.
const FOLDER: &str = "state.before";
/// How many copies are kept.
const KEPT_MAX: usize = 5;

/// Writes the copy, which its owner alone can read, and says where it is.
///
/// # Errors
/// The disk's.
pub(super) fn set_aside(saved: &Saved, data_dir: &Path) -> Result<PathBuf, StoreError> {
    let folder = data_dir.join(FOLDER);
    fs::create_dir_all(&folder).map_err(|error| StoreError::Unavailable {
        place: folder.display().to_string(),
        what: error.to_string(),
    })?;
    // A program that dies before it has saved anything sets the same aside again, under the same name.
    let path = folder.join(format!("{}.json", saved.revision));
    archive::export(saved, &[], &path)?;
    forget_oldest(&folder, &path);
    Ok(path)
}

/// Deletes all but the newest copies, and never `newest`.
fn forget_oldest(folder: &Path, newest: &Path) {
    let copies = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut copies: Vec<(SystemTime, PathBuf)> = copies
        .filter(|entry| entry.path() != newest && is_copy(&entry.path()))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    copies.sort_unstable();
    let count = (copies.len() + 1).saturating_sub(KEPT_MAX);
    for (_, path) in copies.iter().take(count) {
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(path = %path.display(), %error, "an old copy of the state cannot be deleted");
        }
    }
}

/// Whether a file has the name of a copy: nothing else is deleted.
fn is_copy(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let is_revision = stem.is_some_and(|stem| stem.parse::<u64>().is_ok());
    is_revision
        && path
            .extension()
            .is_some_and(|extension| extension == "json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_copies_are_kept_and_nothing_else_is_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let aside = folder.path().join(FOLDER);
        fs::create_dir(&aside).expect("a folder");
        fs::write(aside.join("notes.json"), "{}").expect("written");
        let saved = |revision| Saved {
            revision,
            documents: [("show".into(), "{}".into())].into(),
            ..Saved::default()
        };
        let day = std::time::Duration::from_secs(86_400);
        for revision in (1..=9).rev() {
            let path = set_aside(&saved(revision), folder.path()).expect("a copy");
            // Older with each revision: it is not the number that counts.
            let file = fs::File::open(&path).expect("a file");
            let time = SystemTime::now() - day * u32::try_from(revision).expect("small");
            file.set_modified(time).expect("set");
            assert_eq!(archive::read(&path).expect("readable").0.revision, revision);
        }
        let names = fs::read_dir(&aside).expect("a folder");
        let mut names: Vec<_> = names
            .map(|entry| entry.expect("a file").file_name())
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "1.json",
                "2.json",
                "3.json",
                "4.json",
                "5.json",
                "notes.json"
            ]
        );
    }
}
