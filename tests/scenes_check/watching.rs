//! Hot reload, polled under a limit.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use stream_manager::scene::{LoadOptions, LoadedScene, SceneErrors, SceneWatcher, load_scene};

use super::GOOD;
use super::folder::Folder;

type States = Receiver<Result<LoadedScene, SceneErrors>>;

fn watch(folder: &Folder) -> (SceneWatcher, States) {
    let options = LoadOptions::default();
    let scene = load_scene(&folder.path().join("scene.json"), &options).unwrap();
    let (send, states) = sync_channel(64);
    let watcher = SceneWatcher::start(&scene, options, move |state| {
        // The test may have seen enough.
        let _sent = send.send(state);
    })
    .unwrap();
    (watcher, states)
}

/// Waits for a state that fits; states before it may be told more than once.
fn until(states: &States, fits: impl Fn(&Result<LoadedScene, SceneErrors>) -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    let mut last = String::from("nothing");
    loop {
        let left = limit.saturating_duration_since(Instant::now());
        match states.recv_timeout(left) {
            Ok(state) if fits(&state) => return,
            Ok(Ok(scene)) => last = scene.spec.name,
            Ok(Err(errors)) => last = errors.plain(),
            Err(_) => panic!("the state did not come; the last was {last}"),
        }
    }
}

fn named(name: &'static str) -> impl Fn(&Result<LoadedScene, SceneErrors>) -> bool {
    move |state| state.as_ref().is_ok_and(|scene| scene.spec.name == name)
}

#[test]
fn a_scene_is_read_again_when_it_is_replaced_or_written_over() {
    let folder = Folder::with_good_scene();
    let (_watcher, states) = watch(&folder);
    folder.write("scene.json", GOOD.replace("Good", "Renamed"));
    until(&states, named("Renamed"));
    std::fs::write(
        folder.path().join("scene.json"),
        GOOD.replace("Good", "Over"),
    )
    .unwrap();
    until(&states, named("Over"));
}

#[test]
fn a_broken_scene_is_told_and_mending_it_too() {
    let folder = Folder::with_good_scene();
    let (_watcher, states) = watch(&folder);
    folder.write("scene.json", GOOD.replace("0.9", "9"));
    until(&states, |state| {
        state
            .as_ref()
            .is_err_and(|errors| errors.plain().contains("9 is out of range"))
    });
    std::fs::remove_file(folder.path().join("scene.json")).unwrap();
    until(&states, |state| state.is_err());
    folder.write("scene.json", GOOD.replace("Good", "Mended"));
    until(&states, named("Mended"));
}

#[test]
fn the_files_of_a_scene_are_watched_too() {
    let folder = Folder::with_good_scene();
    let (_watcher, states) = watch(&folder);
    folder.write("assets/logo.png", "no picture any more");
    until(&states, |state| {
        state
            .as_ref()
            .is_err_and(|errors| errors.plain().contains("is not a picture"))
    });
    folder.write("assets/logo.png", b"\x89PNG\r\n\x1a\nagain");
    until(&states, Result::is_ok);
}

#[test]
fn what_changed_before_watching_began_is_told() {
    let folder = Folder::with_good_scene();
    let options = LoadOptions::default();
    let scene = load_scene(&folder.path().join("scene.json"), &options).unwrap();
    folder.write("scene.json", GOOD.replace("Good", "Longer name"));
    let (send, states) = sync_channel(64);
    let _watcher = SceneWatcher::start(&scene, options, move |state| {
        let _sent = send.send(state);
    })
    .unwrap();
    until(&states, named("Longer name"));
}

#[test]
fn nothing_is_told_after_the_watcher_is_dropped() {
    let folder = Folder::with_good_scene();
    let (watcher, states) = watch(&folder);
    drop(watcher);
    // The callback went with the thread, so the channel has ended.
    assert!(states.recv().is_err());
}

#[test]
fn a_scene_within_the_scene_is_watched_too() {
    let folder = Folder::new();
    let inner = r#"{"version": 1, "name": "Inner", "layers": []}"#;
    folder.write("inner.json", inner);
    folder.write(
        "scene.json",
        r#"{"version": 1, "name": "Outer", "layers": [{"id": "in", "source": {"type": "scene", "src": "inner"}}]}"#,
    );
    let (_watcher, states) = watch(&folder);
    folder.write("inner.json", inner.replace("[]", r#"[{"id": "new"}]"#));
    until(&states, |state| {
        state
            .as_ref()
            .is_ok_and(|scene| scene.spec.count_layers() == 2)
    });
}
