//! Opens the store that the settings name. In Redis this program is one of the instances of a stream, and writes once it has the lease.
//!
//! A program that comes back on the same DATA_DIR is known by the name that it left there under a lock, and need not wait until the
//! lease of its dead self has run out.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::RELEASE_WAIT_MAX;
use super::handover::{self, Handover, Place};
use crate::config::{Role, Settings};
use crate::control::assets::sharing::named_in;
use crate::control::now_ms;
use crate::store::remote::{Link, RedisUrl, Timeouts};
use crate::store::shared::{
    Lease, LeaseOptions, LeasePass, LeaseState, announce, contact_of, instance_name,
};
use crate::store::{Embedded, RedisStore, Saved, Store, StoreError, embedded};
use crate::streaming::Leave;

/// The name of the file in DATA_DIR that holds this instance's name.
const INSTANCE_FILE: &str = "instance";
/// How often an instance says where it is.
const SAY_WHERE_EVERY: Duration = Duration::from_secs(10);
/// How long it is looked for where the one before is.
const CONTACT_WAIT_MAX: Duration = Duration::from_millis(300);
/// The pause between two tries to read what Redis holds.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// A store with what it holds, for the one who writes to it.
#[derive(Debug)]
pub struct Opened {
    pub(super) store: Store,
    pub(super) saved: Saved,
    /// Where it is, without a password.
    pub(super) place: String,
    pub(super) lease: Option<Lease>,
    /// Held as long as the program runs.
    pub(super) lock: Option<File>,
    /// Whether another instance led the stream before this one.
    is_takeover: bool,
    name: Option<String>,
    /// What the lease was taken with.
    pub(super) fence: u64,
    pass: Option<LeasePass>,
    handover: Option<Handover>,
    pub(super) announcing: Option<AbortOnDrop>,
}

impl Opened {
    /// What it holds.
    pub fn saved(&self) -> &Saved {
        &self.saved
    }

    /// Where it is, without a password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether another instance led the stream before this one.
    pub fn is_takeover(&self) -> bool {
        self.is_takeover
    }

    /// The name of this instance, where several may share the stream.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What lets go where another instance asks for it.
    pub fn handover(&self) -> Option<Handover> {
        self.handover.clone()
    }

    /// What outputs ask before they send.
    pub fn leave(&self) -> Leave {
        match self.pass.clone() {
            None => Leave::default(),
            Some(pass) => Leave::asking(move || pass.may_act()),
        }
    }

    /// How far the stream would be by now, in nanoseconds since its tick 0, as the instance before has told; `None` where none has.
    pub fn position_ns(&self) -> Option<u64> {
        self.lease.as_ref()?.predecessor()?.position_now_ns()
    }

    /// The number behind which this program's events begin: milliseconds since 1970, by the clock of Redis where one instance follows the
    /// other, so that they rise whatever the clocks of two machines say.
    pub fn events_after(&self) -> u64 {
        match self.lease {
            Some(_) => self.fence,
            None => now_ms(),
        }
    }

    /// The Redis that the state is in.
    pub fn redis(&self) -> Option<&RedisStore> {
        match &self.store {
            Store::Redis(redis) => Some(redis),
            Store::Embedded(_) => None,
        }
    }

    /// The ids of the assets that the saved state names.
    pub fn assets_named(&self) -> BTreeSet<String> {
        let documents = self.saved.documents.values();
        documents.flat_map(|bytes| named_in(bytes)).collect()
    }

    /// Lets the lease go at once, where this instance cannot begin.
    pub async fn give_back(self) {
        if let Some(lease) = self.lease {
            let _runs_out_by_itself = timeout(RELEASE_WAIT_MAX, lease.release()).await;
        }
    }
}

/// Opens the file of DATA_DIR and reads everything in it.
///
/// # Errors
/// It cannot be opened, is damaged, or is another program's.
pub async fn open(settings: &Settings) -> anyhow::Result<Opened> {
    let path = settings.data_dir.join(embedded::FILE_NAME);
    let place = path.display().to_string();
    let store = Store::Embedded(Embedded::open(path).await?);
    let saved = store.load().await?;
    Ok(Opened {
        store,
        saved,
        place,
        lease: None,
        lock: None,
        is_takeover: false,
        name: None,
        fence: 0,
        pass: None,
        handover: None,
        announcing: None,
    })
}

/// One of the instances of a stream in Redis: it seeks the lease.
#[derive(Debug)]
pub struct Member {
    redis: RedisStore,
    lease: Lease,
    lock: File,
    place: String,
    name: String,
    contact: Place,
    announcing: AbortOnDrop,
    /// Whether this instance may ever lead.
    may_lead: bool,
}

/// A task that ends with this.
#[derive(Debug)]
pub(super) struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Takes part in the stream of the settings, on the runtime that this is called on. Waits for nobody.
///
/// # Errors
/// DATA_DIR cannot be used, or another process does.
pub fn join(settings: &Settings, url: RedisUrl, health_port: u16) -> anyhow::Result<Member> {
    let (name, lock) = instance(&settings.data_dir)?;
    let place = format!("{url}, stream `{}`", settings.stream_id);
    let redis = RedisStore::new(Link::new(url, Timeouts::default()), &settings.stream_id);
    let options = LeaseOptions {
        may_take: settings.role != Role::Standby,
        ..LeaseOptions::default()
    };
    let lease = Lease::seek(redis.link(), redis.keys(), name.clone(), options)?;
    let contact = handover::Place::new(settings, health_port);
    contact.warn_if_alone();
    let announcing = tokio::spawn(say_where(redis.clone(), name.clone(), contact.clone()));
    Ok(Member {
        redis,
        lease,
        lock,
        place,
        name,
        contact,
        announcing: AbortOnDrop(announcing),
        may_lead: settings.role != Role::Standby,
    })
}

/// Keeps in Redis where this instance is.
async fn say_where(redis: RedisStore, name: String, place: Place) {
    loop {
        let looking = {
            let place = place.clone();
            // A name may have to be asked for.
            tokio::task::spawn_blocking(move || place.contact())
        };
        let said = match looking.await {
            Ok(contact) => announce(&redis, &name, &contact).await,
            Err(_) => Ok(()),
        };
        sleep(if said.is_ok() {
            SAY_WHERE_EVERY
        } else {
            AGAIN_AFTER
        })
        .await;
    }
}

impl Member {
    /// The store that the instances share.
    pub fn redis(&self) -> &RedisStore {
        &self.redis
    }

    /// Where that is, without a password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The name of this instance.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who leads.
    pub fn state(&self) -> watch::Receiver<LeaseState> {
        self.lease.state()
    }

    /// Reads what is saved, once this instance leads. Waits while the server does not answer.
    ///
    /// # Errors
    /// What is saved cannot be read.
    pub async fn load(&self) -> Result<Saved, StoreError> {
        loop {
            match Store::Redis(self.redis.clone()).load().await {
                Err(error) if passes(&error) => {
                    tracing::warn!(%error, "the state cannot be read yet");
                    sleep(AGAIN_AFTER).await;
                }
                result => return result,
            }
        }
    }

    /// Takes the store over with what it was found to hold, under the fence that was held before that was read.
    pub fn lead(self, saved: Saved, fence: u64, is_takeover: bool) -> Opened {
        let pass = self.lease.pass(fence);
        Opened {
            fence,
            handover: Some(Handover::new(pass.clone(), self.contact.word())),
            pass: Some(pass),
            announcing: Some(self.announcing),
            store: Store::Redis(self.redis),
            saved,
            place: self.place,
            lease: Some(self.lease),
            lock: Some(self.lock),
            is_takeover,
            name: Some(self.name),
        }
    }

    /// Whether this instance may take the lease from now on.
    pub fn set_may_take(&self, may_take: bool) {
        self.lease.set_may_take(may_take && self.may_lead);
    }

    /// Has the instance that led before send nothing more, where it can be reached and is only cut off from Redis. Says whether it was
    /// there and let go.
    pub async fn relieve(&self) -> bool {
        let before = self.lease.predecessor().map(|before| before.name);
        let Some(before) = before.filter(|before| *before != self.name) else {
            return false;
        };
        let contact = match timeout(CONTACT_WAIT_MAX, contact_of(&self.redis, &before)).await {
            Ok(Ok(Some(contact))) => contact,
            Ok(Ok(None)) => return false,
            Ok(Err(error)) => {
                tracing::warn!(instance = before, %error, "it is not known where the instance that led before is");
                return false;
            }
            Err(_) => {
                tracing::warn!(
                    instance = before,
                    "it is not known in time where the instance that led before is"
                );
                return false;
            }
        };
        let has_let_go = handover::ask(&contact).await;
        if has_let_go {
            tracing::warn!(instance = before, "the instance that led has let go");
        } else {
            let address = contact.address;
            tracing::info!(
                instance = before,
                address,
                "the instance that led before does not answer; it counts as gone"
            );
        }
        has_let_go
    }

    /// Lets the lease go, where it has come meanwhile.
    pub async fn leave(self) {
        let _runs_out_by_itself = timeout(RELEASE_WAIT_MAX, self.lease.release()).await;
    }
}

/// Whether the server may answer another time.
fn passes(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable { .. } | StoreError::Refused { .. }
    )
}

/// The name that this program has among others, and the lock on the file in `folder` that keeps it.
///
/// # Errors
/// The folder cannot be written to, or another process has it.
pub fn instance(folder: &Path) -> anyhow::Result<(String, File)> {
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
        .take(300)
        .read_to_string(&mut kept)
        .with_context(failed)?;
    let facts = file.metadata().with_context(failed)?;
    let place = format!("{}:{}", facts.dev(), facts.ino());
    // A folder that was copied, here or to another machine, is another instance.
    if let Some((name, of)) = kept.split_once(' ')
        && of.trim_end() == place
        && machine(name) == machine(&fresh)
    {
        return Ok((name.to_owned(), file));
    }
    file.set_len(0).with_context(failed)?;
    file.rewind().with_context(failed)?;
    let line = format!("{fresh} {place}\n");
    file.write_all(line.as_bytes()).with_context(failed)?;
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
        let copy = tempfile::tempdir().expect("a folder");
        std::fs::copy(&path, copy.path().join(INSTANCE_FILE)).expect("copied");
        let (other, _copied) = instance(copy.path()).expect("a name");
        assert_ne!(other, first);
        let line = std::fs::read_to_string(&path).expect("read");
        let (_, place) = line.split_once(' ').expect("a place");
        std::fs::write(path, format!("elsewhere-with-a-name-1-00ff {place}")).expect("written");
        let (other, _lock) = instance(folder.path()).expect("a name");
        assert_ne!(other, "elsewhere-with-a-name-1-00ff");
    }
}
