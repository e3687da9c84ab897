//! Files of a process that was killed.

use std::process::Command;
use std::time::Duration;

use stream_manager::streaming::Streaming;

use crate::support::probe::Probe;
use crate::support::{
    Process, TempFolder, encoder_settings, file_output, noise, push_fast, wait_until,
};

const FOLDER: &str = "STREAM_MANAGER_TEST_CRASH_FOLDER";
const NAMES: [&str; 3] = ["a.mp4", "a.mkv", "a.flv"];

#[test]
fn files_are_playable_after_kill_9() {
    let folder = TempFolder::new("crash");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::writes_until_killed", "--nocapture"])
        .env(FOLDER, folder.root())
        .spawn()
        .unwrap();
    let mut child = Process(child);
    let size =
        |name: &str| std::fs::metadata(folder.path(name)).map_or(0, |metadata| metadata.len());
    wait_until("all files grow", Duration::from_secs(20), || {
        NAMES.iter().all(|name| size(name) > 400_000)
    });
    child.kill();
    for name in NAMES {
        // A cut last frame may be told of, but nothing else is wrong.
        let probe = Probe::open_cut(&folder.path(name));
        probe.assert_house_format(320, 180);
        assert!(
            probe.video().len() >= 120,
            "{name}: {} frames",
            probe.video().len()
        );
        assert!(
            probe.audio().len() >= 180,
            "{name}: {} packets of sound",
            probe.audio().len()
        );
    }
}

/// The process that gets killed; by itself, without the folder to write to, it does nothing.
#[test]
fn writes_until_killed() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let outputs = NAMES.map(|name| file_output(name, &format!("{folder}/{name}")));
    let streaming = Streaming::start(encoder_settings(600), outputs.to_vec()).unwrap();
    let frames = noise(320, 180, 30);
    // An end, should the parent be killed first.
    push_fast(&streaming, &frames, 0..30_000, "a.mp4");
}
