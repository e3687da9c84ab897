//! The list of assets in memory: those of the folder, looked at again only when the folder has changed, and those that other programs have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{ASSETS_MAX, Asset, is_id};

/// A folder that was changed less than this ago may be changed again without another time.
const SETTLES_AFTER: Duration = Duration::from_secs(2);

/// What is known of all assets.
#[derive(Debug, Default)]
pub(super) struct AssetList {
    /// When the folder was changed last, as it was listed; `None` while that is not sure to change with it.
    changed: Option<(i64, i64)>,
    here: BTreeMap<String, Asset>,
    /// Those that are listed in Redis, also such as are here.
    shared: BTreeMap<String, Asset>,
}

impl AssetList {
    /// Follows the folder; `facts` reads those of an asset that is not known yet.
    pub(super) fn refresh(&mut self, folder: &Path, facts: impl Fn(&str) -> Option<Asset>) {
        let Ok(metadata) = fs::metadata(folder) else {
            self.here.clear();
            self.changed = None;
            return;
        };
        let changed = (metadata.mtime(), metadata.mtime_nsec());
        if self.changed == Some(changed) {
            return;
        }
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        let ids: BTreeSet<String> = entries
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                let id = name.strip_suffix(".json")?;
                is_id(id).then(|| id.to_owned())
            })
            .take(ASSETS_MAX)
            .collect();
        self.here.retain(|id, _| ids.contains(id));
        for id in ids {
            if !self.here.contains_key(&id)
                && let Some(asset) = facts(&id)
            {
                self.here.insert(id, asset);
            }
        }
        let modified = metadata.modified().ok();
        let age = modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        let is_settled = age.is_some_and(|age| age >= SETTLES_AFTER);
        self.changed = is_settled.then_some(changed);
    }

    /// Every asset, the newest first.
    pub(super) fn all(&self) -> Vec<Asset> {
        let ids =
            |(id, asset): (&String, &Asset)| (!self.here.contains_key(id)).then(|| away(asset));
        let elsewhere = self.shared.iter().filter_map(ids);
        let mut assets: Vec<Asset> = self.here.values().cloned().chain(elsewhere).collect();
        assets.sort_by(|a, b| (b.created_at, &a.id).cmp(&(a.created_at, &b.id)));
        assets
    }

    pub(super) fn add(&mut self, asset: Asset) {
        self.here.insert(asset.id.clone(), asset);
    }

    /// One that only other programs have.
    pub(super) fn elsewhere(&self, id: &str) -> Option<Asset> {
        self.shared.get(id).map(away)
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.here.remove(id);
        self.shared.remove(id);
    }

    /// Takes over what is listed in Redis.
    pub(super) fn set_shared(&mut self, shared: BTreeMap<String, Asset>) {
        self.shared = shared;
    }

    pub(super) fn add_shared(&mut self, asset: Asset) {
        self.shared.insert(asset.id.clone(), asset);
    }
}

fn away(asset: &Asset) -> Asset {
    Asset {
        missing: true,
        ..asset.clone()
    }
}
