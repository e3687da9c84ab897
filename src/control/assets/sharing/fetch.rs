//! From Redis into the folder of assets: nothing of what is there is believed.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tokio::runtime;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config::Settings;
use crate::control::assets::{ASSET_MAX, Asset, AssetStore, is_id, shown_name};
use crate::store::remote::{Link, Timeouts};
use crate::store::shared::{ASSET_SHARE_MAX, SharedAssets};
use crate::store::{RedisStore, StoreError};

/// How long the assets that a scene names are waited for before it is prepared.
pub const FETCH_WAIT_MAX: Duration = Duration::from_secs(5);

/// What became of an asset that was fetched.
pub(super) enum Fetched {
    Here(Asset),
    NotThere,
    Refused,
}

/// Fetches the bytes of an asset and keeps them, if they are what its facts say.
pub(super) async fn fetch(
    store: &AssetStore,
    redis: &SharedAssets,
    facts: &Asset,
) -> Result<Fetched, StoreError> {
    let bytes = redis.bytes(&facts.id).await?;
    let id = facts.id.clone();
    if bytes.is_empty() {
        tracing::debug!(id, "the bytes of an asset are not in Redis");
        return Ok(Fetched::NotThere);
    }
    if bytes.len() as u64 != facts.bytes || bytes.len() > ASSET_SHARE_MAX {
        let (there, said) = (bytes.len(), facts.bytes);
        tracing::warn!(
            id,
            there,
            said,
            "an asset in Redis has another length than it should"
        );
        return Ok(Fetched::Refused);
    }
    let (store, facts) = (store.clone(), facts.clone());
    let kept = spawn_blocking(move || match store.own(&facts.id) {
        Some(asset) => Ok(asset),
        None => store.adopt(&facts, &bytes),
    });
    match kept.await {
        Ok(Ok(asset)) => Ok(Fetched::Here(asset)),
        Ok(Err(error)) => {
            tracing::warn!(id, %error, "an asset in Redis cannot be used");
            Ok(Fetched::Refused)
        }
        Err(_) => Ok(Fetched::Refused),
    }
}

/// The facts of an asset as another program wrote them.
pub(super) fn read_facts(id: &str, json: &str) -> Result<Asset, String> {
    let asset: Asset = serde_json::from_str(json).map_err(|error| error.to_string())?;
    if !is_id(id) || asset.id != id {
        return Err("it has another id".to_owned());
    }
    if asset.bytes == 0 || asset.bytes > ASSET_MAX {
        return Err(format!("it is to have {} bytes", asset.bytes));
    }
    let is_plain = asset.media_type.bytes().all(|byte| byte.is_ascii_graphic());
    if asset.media_type.len() > 100 || !is_plain {
        return Err("its media type is none".to_owned());
    }
    Ok(Asset {
        name: shown_name(&asset.name),
        missing: false,
        ..asset
    })
}

pub(super) fn is_small(asset: &Asset) -> bool {
    asset.bytes <= ASSET_SHARE_MAX as u64
}

/// The ids of all assets that a text names as `asset:<id>`.
pub fn named_in(text: &[u8]) -> BTreeSet<String> {
    const WORD: &[u8] = b"asset:";
    let places = text.windows(WORD.len()).enumerate();
    places
        .filter(|(_, word)| *word == WORD)
        .filter_map(|(at, _)| {
            let id = text.get(at + WORD.len()..at + WORD.len() + 32)?;
            let id = std::str::from_utf8(id).ok()?;
            is_id(id).then(|| id.to_owned())
        })
        .collect()
}

/// Fetches those of some assets that are not here, before somebody needs them; for [`FETCH_WAIT_MAX`] at most.
pub async fn fetch_named(store: &AssetStore, redis: &RedisStore, ids: &BTreeSet<String>) {
    let redis = SharedAssets::new(redis);
    let fetching = async {
        for id in ids {
            let (own, wanted) = (store.clone(), id.clone());
            if !matches!(spawn_blocking(move || own.own(&wanted)).await, Ok(None)) {
                continue;
            }
            let facts = redis.facts(id).await?;
            let facts = facts.and_then(|facts| read_facts(id, &facts).ok());
            if let Some(facts) = facts.filter(is_small) {
                fetch(store, &redis, &facts).await?;
            }
        }
        Ok::<(), StoreError>(())
    };
    match timeout(FETCH_WAIT_MAX, fetching).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "assets cannot be fetched"),
        Err(_) => tracing::warn!(wait = ?FETCH_WAIT_MAX, "fetching assets takes too long"),
    }
}

/// Fetches the assets that a scene's file names, before it is read and its files are looked for. Waits; without Redis it does nothing.
pub fn fetch_for_scene(settings: &Settings, scene: &Path) {
    let Some(url) = settings.redis() else {
        return;
    };
    let store = AssetStore::new(settings.assets_dir());
    let text = std::fs::read(scene).unwrap_or_default();
    let mut ids = named_in(&text);
    ids.retain(|id| store.own(id).is_none());
    if ids.is_empty() {
        return;
    }
    let Ok(runtime) = runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    let redis = RedisStore::new(Link::new(url, Timeouts::default()), &settings.stream_id);
    runtime.block_on(fetch_named(&store, &redis, &ids));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::shared::AssetTold;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn facts_of_others_are_not_believed() {
        let facts = |change: serde_json::Value| {
            let mut facts = json!({
                "id": ID, "name": "../a\u{7}/logo.png", "kind": "image", "mediaType": "image/png", "bytes": 7, "createdAt": 1,
            });
            for (name, value) in change.as_object().expect("an object") {
                facts[name] = value.clone();
            }
            read_facts(ID, &facts.to_string())
        };
        let good = facts(json!({"missing": true})).expect("good");
        assert_eq!((good.name.as_str(), good.missing), ("logo.png", false));
        for bad in [
            json!({"id": "../../../../../../etc/passwd"}),
            json!({"id": ID.replace('0', "1")}),
            json!({"bytes": 0}),
            json!({"bytes": ASSET_MAX + 1}),
            json!({"bytes": -1}),
            json!({"mediaType": "text/html\r\nSet-Cookie: a"}),
            json!({"kind": "program"}),
        ] {
            assert!(facts(bad.clone()).is_err(), "{bad}");
        }
        assert!(read_facts(ID, "[").is_err());
        let path = "../etc/passwd";
        assert!(read_facts(path, &json!({"id": path}).to_string()).is_err());
    }

    #[test]
    fn assets_are_found_in_any_text() {
        let text = format!("{{\"src\": \"asset:{ID}\", \"b\": \"asset:short\", asset:{ID}");
        assert_eq!(named_in(text.as_bytes()), [ID.to_owned()].into());
        assert!(named_in(b"asset:").is_empty());
        assert!(named_in(&[0xff; 100]).is_empty());
    }

    #[test]
    fn messages_of_others_are_not_believed() {
        let told = AssetTold::parse(&format!("added {ID}"));
        assert_eq!(told, Some(AssetTold::Added(ID.to_owned())));
        for bad in [
            "",
            "added",
            "added ../../etc/passwd",
            "moved 0",
            "deleted  ",
        ] {
            assert_eq!(AssetTold::parse(bad), None, "{bad}");
        }
    }
}
