//! Files that are split, disks that fill up, disks that hang.

use std::process::Command;
use std::time::Duration;

use stream_manager::streaming::OutputState::{BackingOff, Live, Stalled};
use stream_manager::streaming::{OutputSettings, Split, Streaming};

use crate::support::events::Heard;
use crate::support::probe::Probe;
use crate::support::{
    Process, TempFolder, Ticker, encoder_settings, file_output, noise, output, push_fast,
    shut_down, wait_until,
};

#[test]
fn a_file_is_split_at_keyframes_by_time_and_by_size() {
    let (folder, heard) = (TempFolder::new("split"), Heard::default());
    // Of an earlier run.
    std::fs::write(folder.path("time-0002.mp4"), "precious").unwrap();
    let after = |seconds| Split {
        after: Some(Duration::from_secs(seconds)),
        bytes: None,
    };
    let bytes = Split {
        after: None,
        bytes: Some(400_000),
    };
    let splits = [
        ("time.mp4", after(3)),
        ("time.mkv", after(2)),
        ("time.ts", after(4)),
        ("size.flv", bytes),
    ];
    let outputs = splits.map(|(name, split)| OutputSettings {
        split,
        ..file_output(name, &folder.target(name))
    });
    let streaming =
        Streaming::start_with(encoder_settings(600), outputs.to_vec(), heard.listener()).unwrap();
    push_fast(&streaming, &noise(320, 180, 30), 0..420, "time.mp4");
    shut_down(streaming, &[]);
    assert_eq!(
        std::fs::read(folder.path("time-0002.mp4")).unwrap(),
        b"precious"
    );
    // Keyframes are 2 s apart: 3 s end at the second one.
    for (name, seconds) in [("time.mp4", 4.0), ("time.mkv", 2.0), ("time.ts", 4.0)] {
        let finished = heard.finished(name);
        for (path, duration, _) in &finished[..finished.len() - 1] {
            let found_s = duration.as_secs_f64();
            assert!((found_s - seconds).abs() < 0.05, "{path:?}: {found_s} s");
        }
    }
    for name in splits.map(|(name, _)| name) {
        let finished = heard.finished(name);
        let paths: Vec<_> = finished.iter().map(|(path, ..)| path.clone()).collect();
        assert_eq!(heard.started(name), paths, "{name}");
        assert!(paths.len() >= 3, "{paths:?}");
        let mut frames = 0;
        for (path, duration, bytes) in &finished {
            let probe = Probe::open(path);
            let video = probe.video();
            assert!(
                video[0].is_key && video[0].pts_s.abs() < 0.002,
                "{path:?} starts with {:?}",
                video[0]
            );
            let length_s = video.len() as f64 / 30.0;
            assert!((length_s - duration.as_secs_f64()).abs() < 0.05, "{path:?}");
            let packets: u64 = probe.packets.iter().map(|packet| packet.bytes).sum();
            // TS and MP4 write headers into the stream, or leave them out of it.
            assert!(packets.abs_diff(*bytes) < bytes / 10, "{path:?}");
            frames += video.len();
        }
        assert_eq!(frames, 420, "{name}: nothing is lost between two files");
    }
    let sizes = heard.finished("size.flv");
    for (path, _, bytes) in &sizes[..sizes.len() - 1] {
        assert!((400_000..650_000).contains(bytes), "{path:?}: {bytes}");
    }
    let names: Vec<_> = heard.started("time.mp4");
    assert_eq!(names[0], folder.path("time-0001.mp4"));
    assert_eq!(names[1], folder.path("time-0003.mp4"));
}

#[test]
fn a_full_disk_harms_nobody_and_a_new_part_follows() {
    let (folder, heard) = (TempFolder::new("full"), Heard::default());
    // What is written there fails; the next file is another one, on the disk of the folder.
    std::os::unix::fs::symlink("/dev/full", folder.path("full.mkv")).unwrap();
    let outputs = vec![
        file_output("full", &folder.target("full.mkv")),
        file_output("good", &folder.target("b.mkv")),
    ];
    let streaming =
        Streaming::start_with(encoder_settings(600), outputs, heard.listener()).unwrap();
    let frames = noise(320, 180, 4);
    push_fast(&streaming, &frames, 0..120, "good");
    let full = || output(&streaming, "full").unwrap();
    wait_until("it waits", Duration::from_secs(5), || {
        full().state == BackingOff
    });
    let error = full().last_error.unwrap();
    assert!(error.starts_with("the disk is full"), "{error}");
    assert_eq!(heard.disks_full("full"), 1);
    assert_eq!(output(&streaming, "good").unwrap().packets_dropped, 0);
    streaming.retry_output("full").unwrap();
    wait_until("it goes on", Duration::from_secs(5), || {
        full().state == Live
    });
    push_fast(&streaming, &frames, 120..240, "good");
    shut_down(streaming, &[]);
    assert_eq!(Probe::open(&folder.path("b.mkv")).video().len(), 240);
    let rest = Probe::open(&folder.path("full-0002.mkv"));
    assert!(rest.video()[0].is_key && rest.video()[0].pts_s == 0.0);
    assert!(rest.video().len() > 100, "{}", rest.video().len());
}

const SMALL_DISK: &str = "STREAM_MANAGER_TEST_SMALL_DISK";

/// On a disk of a few megabytes, which fills up and gets room again: in a process that may mount one.
#[test]
fn a_small_disk_fills_up_and_empties() {
    let folder = TempFolder::new("small-disk");
    let script = "mount -t tmpfs -o size=3m tmpfs \"$1\" && exec \"$2\" --exact recordings::writes_to_a_small_disk --nocapture";
    let status = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(folder.root())
        .arg(std::env::current_exe().unwrap())
        .env(SMALL_DISK, folder.root())
        .status()
        .unwrap();
    assert!(
        status.success(),
        "this test needs a user namespace with a mount of its own, or a failure is above"
    );
}

/// The process with the small disk; by itself, without one, it does nothing.
#[test]
fn writes_to_a_small_disk() {
    let Ok(disk) = std::env::var(SMALL_DISK) else {
        return;
    };
    let (other, heard) = (TempFolder::new("large-disk"), Heard::default());
    let small = ["a.mp4", "a.mkv", "a.flv", "a.ts", "hls/"];
    let mut outputs: Vec<_> = small
        .iter()
        .map(|name| file_output(name, &format!("{disk}/{name}")))
        .collect();
    outputs.push(file_output("good", &other.target("good.mp4")));
    let streaming =
        Streaming::start_with(encoder_settings(2000), outputs, heard.listener()).unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    let stats = |name: &str| output(&streaming, name).unwrap();
    wait_until("all find the disk full", Duration::from_secs(30), || {
        small.iter().all(|name| stats(name).state == BackingOff)
    });
    for name in small {
        assert_eq!(heard.disks_full(name), 1, "{name}");
        if name != "hls/" {
            let probe = Probe::open_cut(std::path::Path::new(&format!("{disk}/{name}")));
            assert!(probe.video()[0].is_key, "{name} plays");
        }
    }
    assert_eq!(stats("good").packets_dropped, 0);
    // Room again, for a while.
    for name in &small[..4] {
        std::fs::remove_file(format!("{disk}/{name}")).unwrap();
    }
    let _ = std::fs::remove_dir_all(format!("{disk}/hls"));
    let took = wait_until("new parts are begun", Duration::from_secs(12), || {
        small
            .iter()
            .all(|name| heard.states(name).ends_with(&[Live]))
            || std::fs::metadata(format!("{disk}/a-0002.mp4")).is_ok()
    });
    eprintln!("a new part after {took:?}");
    drop(ticker);
    let frames = streaming.stats().encoder().frames;
    shut_down(streaming, &small);
    let good = Probe::open(&other.path("good.mp4")).video().len() as u64;
    assert_eq!(good, frames);
}

#[test]
fn a_disk_that_hangs_is_seen_and_reaches_nobody() {
    let folder = TempFolder::new("hang");
    let status = Command::new("mkfifo").arg(folder.path("slow.mkv")).status();
    assert!(status.unwrap().success());
    // It opens the pipe and reads nothing: as a disk that takes what comes and then no more.
    let script = format!("exec 3<'{}'; exec sleep 600", folder.target("slow.mkv"));
    let reader = Process::start("sh", &["-c", &script]);
    let outputs = vec![
        file_output("slow", &folder.target("slow.mkv")),
        file_output("good", &folder.target("b.mkv")),
    ];
    let streaming = Streaming::start(encoder_settings(600), outputs).unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    wait_until("it stalls", Duration::from_secs(10), || {
        output(&streaming, "slow").unwrap().state == Stalled
    });
    let good = output(&streaming, "good").unwrap();
    assert_eq!((good.state, good.packets_dropped), (Live, 0));
    assert!(output(&streaming, "slow").unwrap().queue_len > 0);
    // No deadline reaches a write to a disk; its thread ends with the pipe.
    drop(reader);
    wait_until("the write ends", Duration::from_secs(5), || {
        output(&streaming, "slow").unwrap().failures > 0
    });
    drop(ticker);
    shut_down(streaming, &["slow"]);
}
