//! Opens the store that the settings name, and in Redis first takes the lease, so that this program is the only one that writes.
//!
//! A program that comes back on the same DATA_DIR is known by the name that it left there under a lock, and need not wait until the
//! lease of its dead self has run out.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

use crate::config::{Role, Settings};
use crate::store::remote::{Link, Timeouts};
use crate::store::shared::{Lease, LeaseOptions, LeaseState, instance_name};
use crate::store::{Embedded, RedisStore, Saved, Store, StoreError, embedded};

/// The name of the file in DATA_DIR that holds this instance's name.
const INSTANCE_FILE: &str = "instance";
/// How often it is said what is waited for, and how long a program that is to lead waits for another one: the lease of one that died
/// runs out sooner.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// The pause between two tries to read what Redis holds.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// A store with what it holds.
#[derive(Debug)]
pub struct Opened {
    pub(super) store: Store,
    pub(super) saved: Saved,
    /// Where it is, without a password.
    pub(super) place: String,
    pub(super) lease: Option<Lease>,
    /// The name of this instance among those that share a stream; `None` where it is the only one.
    pub(super) instance: Option<String>,
    /// Held as long as the program runs.
    pub(super) lock: Option<File>,
}

/// Opens the store and reads everything in it. With Redis it waits: until the server answers, and until no other instance leads.
///
/// # Errors
/// The file cannot be opened, is damaged, or is another program's; what Redis holds cannot be read.
pub async fn open(settings: &Settings) -> anyhow::Result<Opened> {
    let Some(url) = settings.redis() else {
        let path = settings.data_dir.join(embedded::FILE_NAME);
        let place = path.display().to_string();
        let store = Store::Embedded(Embedded::open(path).await?);
        let saved = store.load().await?;
        return Ok(Opened {
            store,
            saved,
            place,
            lease: None,
            instance: None,
            lock: None,
        });
    };
    let (instance, lock) = instance(&settings.data_dir)?;
    let place = format!("{url}, stream `{}`", settings.stream_id);
    let redis = RedisStore::new(Link::new(url, Timeouts::default()), &settings.stream_id);
    let lease = Lease::seek(
        redis.link().clone(),
        redis.keys(),
        instance.clone(),
        LeaseOptions::default(),
    );
    let store = Store::Redis(redis);
    loop {
        leads(&lease, &place, settings.role).await?;
        match store.load().await {
            Ok(saved) => {
                return Ok(Opened {
                    store,
                    saved,
                    place,
                    lease: Some(lease),
                    instance: Some(instance),
                    lock: Some(lock),
                });
            }
            Err(error) if passes(&error) => {
                tracing::warn!(%error, "the state cannot be read yet");
                sleep(AGAIN_AFTER).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the server may answer another time.
fn passes(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable { .. } | StoreError::Refused { .. }
    )
}

/// Waits until this instance leads.
async fn leads(lease: &Lease, place: &str, role: Role) -> anyhow::Result<()> {
    let mut state = lease.state();
    let mut waits_for = String::new();
    let begun = Instant::now();
    loop {
        let what = match &*state.borrow_and_update() {
            LeaseState::Held { .. } => return Ok(()),
            LeaseState::Standby { leader }
                if role == Role::Leader && begun.elapsed() >= SAY_EVERY =>
            {
                anyhow::bail!(
                    "{place}: `{leader}` leads this stream, and ROLE=leader says that this program must"
                )
            }
            LeaseState::Standby { leader } => {
                format!("`{leader}` leads this stream, and this program waits to take its place")
            }
            LeaseState::Seeking {
                reason: Some(reason),
            } => reason.clone(),
            LeaseState::Unconfirmed { reason, .. } => reason.clone(),
            LeaseState::Seeking { reason: None } => String::new(),
        };
        if !what.is_empty() && what != waits_for {
            tracing::warn!("{place}: {what}");
            waits_for = what;
        }
        match tokio::time::timeout(SAY_EVERY, state.changed()).await {
            Ok(changed) => changed.context("the task of the lease ended")?,
            Err(_) => waits_for.clear(),
        }
    }
}

/// The name that this program has among others, and the lock on the file that keeps it.
fn instance(folder: &Path) -> anyhow::Result<(String, File)> {
    let path = folder.join(INSTANCE_FILE);
    let failed = || format!("`{}` cannot be used", path.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(failed)?;
    if let Err(error) = file.try_lock() {
        anyhow::bail!(
            "`{}` is in use by another process ({error}); each needs a DATA_DIR of its own",
            path.display()
        );
    }
    let fresh = instance_name();
    let mut kept = String::new();
    (&file)
        .take(200)
        .read_to_string(&mut kept)
        .with_context(failed)?;
    // A folder that was copied to another machine is another instance.
    if !kept.is_empty() && machine(&kept) == machine(&fresh) {
        return Ok((kept, file));
    }
    file.set_len(0).with_context(failed)?;
    file.rewind().with_context(failed)?;
    file.write_all(fresh.as_bytes()).with_context(failed)?;
    file.sync_all().with_context(failed)?;
    Ok((fresh, file))
}

/// The part of an instance's name that tells the machine.
fn machine(name: &str) -> Option<&str> {
    name.rsplitn(3, '-').nth(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_instance_and_is_one_processs_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, lock) = instance(folder.path()).expect("a name");
        let error = instance(folder.path()).expect_err("it is locked");
        assert!(error.to_string().contains("DATA_DIR"), "{error}");
        drop(lock);
        let (again, lock) = instance(folder.path()).expect("a name");
        assert_eq!(first, again);
        drop(lock);
        let path = folder.path().join(INSTANCE_FILE);
        std::fs::write(path, "elsewhere-with-a-name-1-00ff").expect("written");
        let (other, _lock) = instance(folder.path()).expect("a name");
        assert_ne!(other, "elsewhere-with-a-name-1-00ff");
    }
}
