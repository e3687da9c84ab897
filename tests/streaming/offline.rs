//! Rendering to a file.

use std::path::Path;

use codec::FrameRate;
use stream_manager::streaming::offline::{OfflineEncoder, OfflineReport, OfflineSettings};

use crate::support::probe::Probe;
use crate::support::{TempFolder, noise, tone};

fn render(path: &Path) -> OfflineReport {
    let frames = noise(320, 180, 40);
    let mut encoder =
        OfflineEncoder::create(path, &OfflineSettings::new(320, 180, FrameRate::whole(30)))
            .unwrap();
    for tick in 0..130 {
        encoder
            .push(frames[tick as usize % 40].clone(), tone(tick))
            .unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn the_same_frames_give_the_same_bytes() {
    let folder = TempFolder::new("offline");
    for name in ["a.mp4", "a.mkv", "a.flv"] {
        let (first, second) = (
            folder.path(&format!("1{name}")),
            folder.path(&format!("2{name}")),
        );
        let report = render(&first);
        assert_eq!(report.frames, 130);
        assert_eq!(render(&second), report);
        assert!(
            std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap(),
            "{name} differs"
        );
        let probe = Probe::open(&first);
        probe.assert_house_format(320, 180);
        probe.assert_steady(if name.ends_with("mp4") { 1e-6 } else { 0.001 });
        assert_eq!(probe.video().len(), 130);
    }
}

#[test]
fn a_file_that_cannot_be_made_is_named() {
    let settings = OfflineSettings::new(320, 180, FrameRate::whole(30));
    let error = OfflineEncoder::create(Path::new("/nowhere/a.mp4"), &settings)
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nowhere/a.mp4"), "{error}");
    let error = OfflineEncoder::create(Path::new("a.txt"), &settings)
        .unwrap_err()
        .to_string();
    assert!(error.contains("a.txt"), "{error}");
}

#[test]
fn a_full_disk_is_told() {
    let folder = TempFolder::new("offline-full");
    let path = folder.path("full.mkv");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let settings = OfflineSettings::new(320, 180, FrameRate::whole(30));
    let frames = noise(320, 180, 4);
    let result = OfflineEncoder::create(&path, &settings).and_then(|mut encoder| {
        for tick in 0..300 {
            encoder.push(frames[tick as usize % 4].clone(), tone(tick))?;
        }
        encoder.finish()
    });
    let error = result.unwrap_err().to_string();
    assert!(error.contains("No space left on device"), "{error}");
}
