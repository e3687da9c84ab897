//! Sound and picture meet: a flash and a beep on the same tick, found again in what was written.

use std::path::Path;
use std::sync::Arc;

use codec::FrameRate;
use stream_manager::streaming::offline::{OfflineEncoder, OfflineSettings};
use stream_manager::streaming::{AudioChunk, StereoSamples, Streaming, TickMedia};

use crate::support::probe::{Probe, brightness, left_channel};
use crate::support::{
    SAMPLES_PER_TICK, TempFolder, encoder_settings, file_output, plain, shut_down,
};

const FLASH_TICK: u64 = 100;
const TICKS: u64 = 150;

fn media(tick: u64) -> (Arc<raster::I420Frame>, AudioChunk) {
    if tick != FLASH_TICK {
        return (
            plain(320, 180, [0, 0, 0]),
            AudioChunk::Silence {
                samples: SAMPLES_PER_TICK,
            },
        );
    }
    let left: Vec<f32> = (0..SAMPLES_PER_TICK)
        .map(|index| if index / 24 % 2 == 0 { 0.8 } else { -0.8 })
        .collect();
    (
        plain(320, 180, [255, 255, 255]),
        AudioChunk::Samples(Arc::new(StereoSamples {
            right: left.clone(),
            left,
        })),
    )
}

/// Seconds by which the beep is later than the flash.
fn offset_s(path: &Path) -> f64 {
    let probe = Probe::open(path);
    let flash = brightness(path)
        .iter()
        .position(|mean| *mean > 128)
        .unwrap();
    let flash_s = probe.video()[flash].pts_s;
    let beep = left_channel(path)
        .iter()
        .position(|sample| sample.abs() > 0.3)
        .unwrap();
    // A decoder leaves out what the file says to leave out, which comes before the stream's start.
    let start_s: f64 = probe.stream("audio")["start_time"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    start_s + beep as f64 / 48_000.0 - flash_s
}

#[test]
fn a_beep_is_with_its_flash_in_live_files() {
    let folder = TempFolder::new("sync");
    let names = ["a.mp4", "a.mkv", "a.flv"];
    let outputs = names.map(|name| file_output(name, &folder.target(name)));
    let streaming = Streaming::start(encoder_settings(600), outputs.to_vec()).unwrap();
    for tick in 0..TICKS {
        let (frame, audio) = media(tick);
        streaming
            .sender()
            .send(TickMedia { tick, frame, audio })
            .unwrap();
    }
    shut_down(streaming, &[]);
    for name in names {
        let offset = offset_s(&folder.path(name));
        assert!(offset.abs() < 0.005, "{name}: {offset} s");
    }
}

#[test]
fn a_beep_is_with_its_flash_in_a_rendered_file() {
    let folder = TempFolder::new("sync-offline");
    let path = folder.path("a.mp4");
    let mut encoder =
        OfflineEncoder::create(&path, &OfflineSettings::new(320, 180, FrameRate::whole(30)))
            .unwrap();
    for tick in 0..TICKS {
        let (frame, audio) = media(tick);
        encoder.push(frame, audio).unwrap();
    }
    encoder.finish().unwrap();
    let offset = offset_s(&path);
    assert!(offset.abs() < 0.005, "{offset} s");
}

/// Ticks that never came leave the rest where it belongs, filled with silence.
#[test]
fn lost_ticks_move_nothing() {
    let folder = TempFolder::new("sync-gap");
    let streaming = Streaming::start(
        encoder_settings(600),
        vec![file_output("a", &folder.target("a.mkv"))],
    )
    .unwrap();
    for tick in (0..TICKS).filter(|tick| !(30..70).contains(tick)) {
        let (frame, audio) = media(tick);
        streaming
            .sender()
            .send(TickMedia { tick, frame, audio })
            .unwrap();
    }
    let limit = std::time::Duration::from_secs(10);
    crate::support::wait_until("all is encoded", limit, || {
        streaming.stats().encoder().frames == TICKS - 40
    });
    assert_eq!(
        streaming.stats().encoder().silence_samples,
        40 * SAMPLES_PER_TICK as u64
    );
    shut_down(streaming, &[]);
    let offset = offset_s(&folder.path("a.mkv"));
    assert!(offset.abs() < 0.005, "{offset} s");
}
