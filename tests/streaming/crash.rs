//! Files of a process that was killed.

use std::process::Command;
use std::time::Duration;

use codec::{AudioCodec, AudioSettings, VideoCodec, VideoSettings};
use stream_manager::streaming::{EncoderSettings, Ladder, RenditionSettings, Streaming};

use crate::support::probe::Probe;
use crate::support::{
    Process, TempFolder, encoder_settings, file_output, noise, output, push_fast, wait_until,
};

const FOLDER: &str = "STREAM_MANAGER_TEST_CRASH_FOLDER";
/// Every container; the last from a rendition of its own, with the codecs that fit there.
const NAMES: [&str; 5] = ["a.mp4", "a.mkv", "a.flv", "a.ts", WEB];
const WEB: &str = "a.webm";
/// What may be missing at the end, beside what was on its way: a fragment of half a second that was being made.
const LOST_S_MAX: f64 = 1.0;

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
    let told = std::fs::read_to_string(folder.path("written_s"));
    child.kill();
    let written_s: f64 = told.unwrap().parse().unwrap();
    for name in NAMES {
        // A cut last frame may be told of, but nothing else is wrong.
        let probe = Probe::open_cut(&folder.path(name));
        if name != WEB {
            probe.assert_house_format(320, 180);
        }
        assert!(
            probe.video().len() >= 120,
            "{name}: {} frames",
            probe.video().len()
        );
        let end_s = probe.video().last().unwrap().pts_s - probe.video()[0].pts_s;
        assert!(
            end_s > written_s - LOST_S_MAX,
            "{name}: {end_s} s of {written_s} s"
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
    let web = EncoderSettings {
        video: VideoSettings {
            codec: VideoCodec::Vp8,
            ..encoder_settings(600).video
        },
        audio: Some(AudioSettings {
            codec: AudioCodec::Opus,
            ..AudioSettings::default()
        }),
        ..EncoderSettings::default()
    };
    let rendition = RenditionSettings::new;
    let ladder = vec![
        rendition("main", encoder_settings(600)),
        rendition("web", web),
    ];
    let mut outputs = NAMES.map(|name| file_output(name, &format!("{folder}/{name}")));
    outputs[4].renditions = vec!["web".to_owned()];
    let streaming = Streaming::start(Ladder::new(ladder), outputs.to_vec()).unwrap();
    let frames = noise(320, 180, 30);
    // An end, should the parent be killed first.
    for part in 0..1000 {
        push_fast(&streaming, &frames, part * 30..(part + 1) * 30, "a.mp4");
        // What each output has written: the packets of its picture and of its sound.
        let written = NAMES.map(|name| output(&streaming, name).unwrap().packets);
        let written_s = *written.iter().min().unwrap() as f64 / (30.0 + 48_000.0 / 1024.0);
        let aside = format!("{folder}/aside");
        std::fs::write(&aside, written_s.to_string()).unwrap();
        std::fs::rename(aside, format!("{folder}/written_s")).unwrap();
    }
}
