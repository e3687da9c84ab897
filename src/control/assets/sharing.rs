//! Assets that programs with one `STREAM_ID` share through Redis: all of them are listed there, and small ones have their bytes there too.
//!
//! A task listens to what is told, keeps the list in memory, and fetches what is not here into DATA_DIR. The program that leads puts there
//! what was uploaded to it and takes away what was deleted, also what Redis has lost. After each connection, and when the number of assets
//! there is another than expected, everything is compared anew. What is larger than
//! [`ASSET_SHARE_MAX`](crate::store::shared::ASSET_SHARE_MAX) is only listed: programs on several machines need a folder in common for such
//! (`DATA_DIR/assets`). Nothing of what Redis says is believed: an id is the hash of the bytes that it stands for, which are looked at as
//! an upload is.

mod fetch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::outbox::Mark;
use super::{Asset, AssetStore};
use crate::control::events::Event;
use crate::store::shared::{
    ASSETS_LISTED_MAX, ASSETS_SHARE_BYTES_MAX, AssetTold, EventListener, SharedAssets,
};
use crate::store::{RedisStore, StoreError};
use fetch::{Fetched, fetch, is_small, read_facts};

pub use fetch::{FETCH_WAIT_MAX, fetch_for_scene, fetch_named, named_in};

/// How often it is looked whether Redis still has as many assets as it should.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// How often everything is compared though nothing was told.
const COMPARE_EVERY: Duration = Duration::from_secs(300);
/// The pause before a new connection.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How many assets with bad bytes are remembered, so that they are not fetched again and again.
const REFUSED_MAX: usize = ASSETS_LISTED_MAX;

/// What was heard of an asset from another program.
#[derive(Clone, Debug, PartialEq)]
pub enum AssetNews {
    /// It can be used here, or at least is listed.
    Added(Asset),
    /// It is gone.
    Deleted(String),
}

impl AssetNews {
    /// As it is told to everybody.
    pub fn event(&self) -> Event {
        match self {
            Self::Added(asset) => Event::about("asset:create", &asset.id, json!(asset)),
            Self::Deleted(id) => Event::about("asset:delete", id, json!({"id": id})),
        }
    }
}

/// Shares assets as long as it is there, until it is stopped.
#[derive(Debug)]
pub struct AssetSharing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    leads: watch::Sender<bool>,
    is_level: watch::Receiver<bool>,
}

impl AssetSharing {
    /// Begins to share, on the runtime that this is called on. `leads` says whether this program is the one that writes; `hear` is told
    /// what others have done.
    pub fn spawn(
        store: AssetStore,
        redis: &RedisStore,
        leads: bool,
        hear: impl Fn(AssetNews) + Send + Sync + 'static,
    ) -> Self {
        // From here on an answer is not given before what it says is noted.
        store.note_for_others();
        let (stop, stopped) = oneshot::channel();
        let (leads, led) = watch::channel(leads);
        let (level, is_level) = watch::channel(false);
        let sharer = Sharer {
            store,
            redis: SharedAssets::new(redis),
            leads: led,
            hear: Arc::new(hear),
            level,
            listed: BTreeMap::new(),
            count: 0,
            shared_bytes: 0,
            wanted: VecDeque::new(),
            refused: BTreeSet::new(),
        };
        Self {
            stop,
            task: tokio::spawn(sharer.run(stopped)),
            leads,
            is_level,
        }
    }

    /// Says whether this program is the one that writes from now on.
    pub fn set_leads(&self, leads: bool) {
        self.leads.send_if_modified(|now| {
            let is_other = *now != leads;
            *now = leads;
            is_other
        });
    }

    /// Waits until everything that can be had is here; false when that takes longer than `within`.
    pub async fn level(&self, within: Duration) -> bool {
        let mut is_level = self.is_level.clone();
        let waiting = is_level.wait_for(|is_level| *is_level);
        matches!(timeout(within, waiting).await, Ok(Ok(_)))
    }

    /// Ends it. What is noted for Redis stays noted.
    pub async fn stop(self) {
        let _heard = self.stop.send(());
        let _ended = self.task.await;
    }
}

struct Sharer {
    store: AssetStore,
    redis: SharedAssets,
    leads: watch::Receiver<bool>,
    hear: Arc<dyn Fn(AssetNews) + Send + Sync>,
    level: watch::Sender<bool>,
    /// What is listed in Redis and makes sense.
    listed: BTreeMap<String, Asset>,
    /// How many should be listed, whatever they are.
    count: u64,
    /// Bytes of assets in Redis, as far as this program knows.
    shared_bytes: u64,
    /// What is to be fetched.
    wanted: VecDeque<String>,
    /// What was fetched and is not what it should be.
    refused: BTreeSet<String>,
}

impl Sharer {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut was_well = true;
        loop {
            let error = tokio::select! {
                biased;
                _ = &mut stopped => return,
                ended = self.session(&mut was_well) => match ended {
                    Ok(never) => match never {},
                    Err(error) => error,
                },
            };
            self.level.send_replace(false);
            if std::mem::replace(&mut was_well, false) {
                tracing::warn!(%error, "assets are not shared for now");
            }
            tokio::select! {
                biased;
                _ = &mut stopped => return,
                () = sleep(AGAIN_AFTER) => {}
            }
        }
    }

    /// Shares until something goes wrong.
    async fn session(&mut self, was_well: &mut bool) -> Result<Infallible, StoreError> {
        // Before the list is read, so that nothing falls between.
        let mut listener = self.redis.listen().await?;
        self.refused.clear();
        self.compare().await?;
        if !std::mem::replace(was_well, true) {
            tracing::info!("assets are shared again");
        }
        let mut check = interval(CHECK_EVERY);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut compared = Instant::now();
        let store = self.store.clone();
        loop {
            tokio::select! {
                biased;
                told = next(&mut listener) => self.heard(&told?).await?,
                () = store.inner.noted.notified() => self.tell_noted().await?,
                changed = self.leads.changed() => match changed {
                    Ok(()) => self.compare().await?,
                    Err(_) => return Ok(std::future::pending().await),
                },
                _ = check.tick() => {
                    let is_other = self.redis.count().await? != self.count;
                    if is_other || compared.elapsed() >= COMPARE_EVERY {
                        self.compare().await?;
                        compared = Instant::now();
                    }
                }
                () = std::future::ready(()), if !self.wanted.is_empty() => self.fetch_next().await?,
            }
            self.level.send_if_modified(|is_level| {
                let was_level = std::mem::replace(is_level, self.wanted.is_empty());
                was_level != *is_level
            });
        }
    }

    fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    /// Reads the whole list, and brings both sides to the same: what is noted here goes there first.
    async fn compare(&mut self) -> Result<(), StoreError> {
        self.tell_noted().await?;
        let listing = self.redis.list().await?;
        self.count = listing.count;
        if listing.count > ASSETS_LISTED_MAX as u64 {
            let (count, most) = (listing.count, ASSETS_LISTED_MAX);
            tracing::warn!(
                count,
                most,
                "Redis lists too many assets, so none of them are taken"
            );
            return Ok(());
        }
        let mut bad = listing.left_out;
        self.listed.clear();
        for (id, facts) in &listing.assets {
            match read_facts(id, facts) {
                Ok(asset) => drop(self.listed.insert(id.clone(), asset)),
                Err(reason) => {
                    bad += 1;
                    tracing::debug!(id, reason, "an asset in Redis is passed over");
                }
            }
        }
        if bad > 0 {
            tracing::warn!(bad, "assets in Redis make no sense and are passed over");
        }
        let here = self.here().await;
        let mut gone = Vec::new();
        for id in listing.deleted {
            if here.contains_key(&id) && !self.listed.contains_key(&id) {
                gone.push(id);
            }
        }
        for id in &gone {
            self.drop_here(id).await;
        }
        if self.leads() {
            self.put_missing(&here, &gone).await?;
        }
        self.store.known().set_shared(self.listed.clone());
        self.wanted = self
            .listed
            .values()
            .filter(|asset| !here.contains_key(&asset.id) && self.can_fetch(asset))
            .map(|asset| asset.id.clone())
            .collect();
        Ok(())
    }

    /// Puts into Redis what is here and not there: assets, and the bytes of small ones.
    async fn put_missing(
        &mut self,
        here: &BTreeMap<String, Asset>,
        gone: &[String],
    ) -> Result<(), StoreError> {
        let small: Vec<&str> = here
            .values()
            .chain(
                self.listed
                    .values()
                    .filter(|asset| !here.contains_key(&asset.id)),
            )
            .filter(|asset| is_small(asset))
            .map(|asset| asset.id.as_str())
            .collect();
        let sizes = self.redis.sizes(&small).await?;
        self.shared_bytes = sizes.iter().sum();
        let there: BTreeSet<String> = small
            .iter()
            .zip(&sizes)
            .filter(|(_, size)| **size > 0)
            .map(|(id, _)| (*id).to_owned())
            .collect();
        let mut newest_first: Vec<&Asset> = here.values().collect();
        newest_first.sort_by_key(|asset| u64::MAX - asset.created_at);
        let mut put = 0;
        for asset in newest_first {
            let has_bytes = there.contains(&asset.id) || !is_small(asset);
            let is_listed = self.listed.contains_key(&asset.id);
            let is_gone = gone.contains(&asset.id);
            let no_room = is_listed && !self.has_room(asset);
            if is_gone || no_room || (has_bytes && is_listed) {
                continue;
            }
            self.put(asset, has_bytes).await?;
            put += 1;
        }
        if put > 0 {
            tracing::info!(put, "assets were put into Redis");
        }
        Ok(())
    }

    fn has_room(&self, asset: &Asset) -> bool {
        self.shared_bytes + asset.bytes <= ASSETS_SHARE_BYTES_MAX
    }

    /// Lists an asset in Redis, with its bytes where they are small, not there yet, and there is room.
    async fn put(&mut self, asset: &Asset, has_bytes: bool) -> Result<(), StoreError> {
        let mut bytes = None;
        if !has_bytes && is_small(asset) && self.has_room(asset) {
            let (store, id) = (self.store.clone(), asset.id.clone());
            let reading = spawn_blocking(move || std::fs::read(store.folder.join(id)));
            // One that was deleted meanwhile is told of next.
            bytes = reading.await.ok().and_then(Result::ok);
            bytes.take_if(|bytes| bytes.len() as u64 != asset.bytes);
        }
        let Ok(facts) = serde_json::to_string(asset) else {
            return Ok(());
        };
        self.redis.put(&asset.id, &facts, bytes.as_deref()).await?;
        self.shared_bytes += bytes.map_or(0, |bytes| bytes.len() as u64);
        if self
            .listed
            .insert(asset.id.clone(), asset.clone())
            .is_none()
        {
            self.count += 1;
        }
        self.store.known().add_shared(asset.clone());
        Ok(())
    }

    /// Tells Redis what is noted here, where this program leads.
    async fn tell_noted(&mut self) -> Result<(), StoreError> {
        if !self.leads() {
            return Ok(());
        }
        let store = self.store.clone();
        let noted = spawn_blocking(move || store.outbox().list()).await;
        for (id, mark) in noted.unwrap_or_default() {
            match mark {
                Mark::Added => {
                    if let Some(asset) = self.own(&id).await {
                        // Its bytes may be there already, where it came once more.
                        let sizes = self.redis.sizes(&[&id]).await?;
                        self.put(&asset, sizes.iter().any(|size| *size > 0)).await?;
                    }
                }
                // What was uploaded anew since, where another one led, stays.
                Mark::Deleted(created_at) if self.is_later(&id, created_at).await? => {}
                Mark::Deleted(_) => {
                    self.redis.delete(&id).await?;
                    if let Some(asset) = self.listed.remove(&id) {
                        self.count = self.count.saturating_sub(1);
                        let bytes = if is_small(&asset) { asset.bytes } else { 0 };
                        self.shared_bytes = self.shared_bytes.saturating_sub(bytes);
                    }
                }
            }
            let store = self.store.clone();
            let cleared = spawn_blocking(move || store.outbox().clear(&id, mark)).await;
            if let Ok(Err(error)) = cleared {
                tracing::warn!(%error, "what was told of an asset will be told again");
            }
        }
        Ok(())
    }

    /// Whether Redis lists another upload of an asset than that of `created_at`.
    async fn is_later(&self, id: &str, created_at: u64) -> Result<bool, StoreError> {
        let facts = self.redis.facts(id).await?;
        let there = facts.and_then(|facts| read_facts(id, &facts).ok());
        Ok(there.is_some_and(|asset| asset.created_at != created_at))
    }

    async fn heard(&mut self, message: &str) -> Result<(), StoreError> {
        match AssetTold::parse(message) {
            None => tracing::debug!("a message about assets makes no sense"),
            Some(AssetTold::Added(id)) => {
                let Some(facts) = self.redis.facts(&id).await? else {
                    return Ok(());
                };
                let asset = match read_facts(&id, &facts) {
                    Ok(asset) => asset,
                    Err(reason) => {
                        tracing::warn!(id, reason, "an asset in Redis is passed over");
                        return Ok(());
                    }
                };
                if self.listed.insert(id.clone(), asset.clone()).is_none() {
                    self.count += 1;
                }
                self.store.known().add_shared(asset.clone());
                self.refused.remove(&id);
                if self.own(&id).await.is_some() {
                    return Ok(());
                }
                if self.can_fetch(&asset) {
                    self.wanted.push_back(id);
                } else {
                    let missing = true;
                    (self.hear)(AssetNews::Added(Asset { missing, ..asset }));
                }
            }
            // Only what Redis has counts: it may have come back since.
            Some(AssetTold::Deleted(id)) => {
                if self.redis.facts(&id).await?.is_none() && self.redis.is_deleted(&id).await? {
                    if self.listed.remove(&id).is_some() {
                        self.count = self.count.saturating_sub(1);
                    }
                    self.wanted.retain(|other| *other != id);
                    self.drop_here(&id).await;
                }
            }
        }
        Ok(())
    }

    fn can_fetch(&self, asset: &Asset) -> bool {
        is_small(asset) && !self.refused.contains(&asset.id)
    }

    async fn fetch_next(&mut self) -> Result<(), StoreError> {
        let Some(id) = self.wanted.pop_front() else {
            return Ok(());
        };
        let Some(asset) = self.listed.get(&id).cloned() else {
            return Ok(());
        };
        match fetch(&self.store, &self.redis, &asset).await? {
            Fetched::Here(asset) => {
                tracing::info!(id, name = asset.name, "an asset came from another program");
                (self.hear)(AssetNews::Added(asset));
            }
            Fetched::NotThere => {}
            Fetched::Refused => {
                if self.refused.len() >= REFUSED_MAX {
                    self.refused.clear();
                }
                self.refused.insert(id);
            }
        }
        Ok(())
    }

    /// Deletes an asset that was deleted elsewhere, unless it came here since.
    async fn drop_here(&self, id: &str) {
        let (store, gone) = (self.store.clone(), id.to_owned());
        let dropped = spawn_blocking(move || {
            let _changing = store.changing();
            if store.outbox().get(&gone) == Some(Mark::Added) {
                return Ok(false);
            }
            let was_known = store.get(&gone).is_ok();
            store.remove(&gone).map(|()| was_known)
        });
        match dropped.await {
            Ok(Ok(true)) => (self.hear)(AssetNews::Deleted(id.to_owned())),
            Ok(Err(error)) => {
                tracing::warn!(id, %error, "an asset that was deleted elsewhere stays here");
            }
            _ => {}
        }
    }

    async fn own(&self, id: &str) -> Option<Asset> {
        let (store, id) = (self.store.clone(), id.to_owned());
        spawn_blocking(move || store.own(&id)).await.ok()?
    }

    async fn here(&self) -> BTreeMap<String, Asset> {
        let store = self.store.clone();
        let listing = spawn_blocking(move || store.list()).await;
        let here = listing.unwrap_or_default().into_iter();
        here.filter(|asset| !asset.missing)
            .map(|asset| (asset.id.clone(), asset))
            .collect()
    }
}

async fn next(listener: &mut EventListener) -> Result<String, StoreError> {
    listener
        .next()
        .await
        .ok_or_else(|| StoreError::Unavailable {
            place: "Redis".to_owned(),
            what: "the subscription ended".to_owned(),
        })
}
