//! Assets that two programs share: one leads and writes, the other follows, until they change places.

use std::time::Duration;

use stream_manager::control::assets::sharing::AssetSharing;
use stream_manager::control::assets::{Asset, AssetStore};
use stream_manager::store::RedisStore;
use tempfile::TempDir;

use super::support::{LONG, Server, wait_until};

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_until(what, LONG, || std::future::ready(is_so())).await;
}

/// One program's assets.
struct Program {
    folder: TempDir,
    store: AssetStore,
    sharing: AssetSharing,
}

impl Program {
    fn start(redis: &RedisStore, leads: bool) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), redis, leads)
    }

    fn start_in(folder: TempDir, redis: &RedisStore, leads: bool) -> Self {
        let store = AssetStore::new(folder.path().join("assets"));
        let sharing = AssetSharing::spawn(store.clone(), redis, leads, |_| {});
        Self {
            folder,
            store,
            sharing,
        }
    }

    fn upload(&self, name: &str, colour: u8) -> Asset {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_pixel(4, 4, image::Rgb([colour; 3]))
            .write_to(&mut bytes, image::ImageFormat::Png)
            .unwrap();
        let mut incoming = self.store.begin().unwrap();
        incoming.write(bytes.get_ref()).unwrap();
        self.store.finish(incoming, name).unwrap().0
    }

    fn has(&self, asset: &Asset) -> bool {
        let known = self.store.get(&asset.id).ok();
        known.as_ref() == Some(asset) && self.store.file(&asset.id).is_ok()
    }

    fn has_not(&self, asset: &Asset) -> bool {
        self.store.get(&asset.id).is_err() && !self.store.list().contains(asset)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_leader_takes_in_and_deletes_the_other_has_and_has_not() {
    let server = Server::start(&[]);
    let redis = server.store("a");
    let leader = Program::start(&redis, true);
    let early = leader.upload("early.png", 1);
    assert!(leader.sharing.level(LONG).await);
    let other = Program::start(&redis, false);
    assert!(other.sharing.level(LONG).await);
    until("what was there before", || other.has(&early)).await;
    let late = leader.upload("late.png", 2);
    until("what came later", || other.has(&late)).await;
    assert_eq!(other.store.list(), leader.store.list());
    leader.store.delete(&early.id).unwrap();
    until("what was deleted", || other.has_not(&early)).await;

    // What is deleted while the other is away is gone when it comes back, and what it has of its own stays.
    other.sharing.stop().await;
    leader.store.delete(&late.id).unwrap();
    let newest = leader.upload("newest.png", 3);
    let other = Program::start_in(other.folder, &redis, false);
    until("what was deleted", || other.has_not(&late)).await;
    until("the newest", || other.has(&newest)).await;

    // They change places.
    leader.sharing.set_leads(false);
    let own = other.upload("own.png", 4);
    let not_told = leader.store.get(&own.id).is_err();
    other.sharing.set_leads(true);
    assert!(not_told, "it did not lead");
    until("what the new leader had", || leader.has(&own)).await;
    other.store.delete(&newest.id).unwrap();
    until("what the new leader deleted", || leader.has_not(&newest)).await;
    leader.sharing.stop().await;
    other.sharing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_and_came_again_elsewhere_is_not_deleted_by_who_leads_again() {
    let server = Server::start(&[]);
    let redis = server.store("a");
    let (one, two) = (Program::start(&redis, true), Program::start(&redis, false));
    let before = one.upload("before.png", 1);
    until("the asset", || two.has(&before)).await;
    // Redis does not hear of it before another one leads.
    one.sharing.set_leads(false);
    one.store.delete(&before.id).unwrap();
    two.sharing.set_leads(true);
    two.store.delete(&before.id).unwrap();
    let again = two.upload("again.png", 1);
    assert_eq!(again.id, before.id);
    until("what came again", || one.has(&again)).await;
    two.sharing.set_leads(false);
    one.sharing.set_leads(true);
    for (name, colour) in [("next.png", 2), ("last.png", 3)] {
        let asset = one.upload(name, colour);
        until("what came later", || two.has(&asset)).await;
    }
    assert!(one.has(&again) && two.has(&again));
    one.sharing.stop().await;
    two.sharing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn assets_outlive_a_server_that_comes_back_empty() {
    let mut server = Server::start(&[]);
    let redis = server.store("a");
    let (leader, other) = (Program::start(&redis, true), Program::start(&redis, false));
    let asset = leader.upload("kept.png", 1);
    until("the asset", || other.has(&asset)).await;
    server.kill();
    let meanwhile = leader.upload("meanwhile.png", 2);
    assert!(leader.has(&meanwhile) && !other.has(&meanwhile));
    assert!(!leader.sharing.level(Duration::ZERO).await || leader.has(&asset));
    server.run();
    until("what came meanwhile", || other.has(&meanwhile)).await;
    assert!(other.has(&asset));
    leader.sharing.stop().await;
    other.sharing.stop().await;
}
