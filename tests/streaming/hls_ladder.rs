//! An HLS folder with several renditions, as a player finds it.

use std::path::Path;
use std::time::Duration;

use codec::VideoSettings;
use stream_manager::streaming::{
    EncoderSettings, Ladder, OutputSettings, OutputState, RenditionSettings, Streaming,
    StreamingError,
};

use crate::support::events::Heard;
use crate::support::probe::Probe;
use crate::support::{
    TempFolder, Ticker, encoder_settings, file_output, noise, output, push_fast, shut_down,
    wait_until,
};

const IDS: [&str; 3] = ["high", "mid", "low"];

/// Renditions of one size and three bitrates.
fn ladder() -> Ladder {
    let renditions = IDS.iter().zip([1500, 800, 300]).map(|(id, kbps)| {
        let base = encoder_settings(kbps);
        let encoder = EncoderSettings {
            video: VideoSettings {
                keyframe_interval_s: 1.0,
                ..base.video
            },
            ..base
        };
        RenditionSettings::new(*id, encoder)
    });
    Ladder::new(renditions.collect())
}

fn hls(folder: &TempFolder) -> OutputSettings {
    let mut settings = file_output("hls", &folder.target("live/"));
    settings.renditions = IDS.map(str::to_owned).to_vec();
    settings.hls.segment_s = 1;
    settings
}

/// The value of an attribute of an `EXT-X-STREAM-INF` line.
fn attribute<'a>(line: &'a str, name: &str) -> &'a str {
    let start = line.find(&format!("{name}=")).unwrap() + name.len() + 1;
    let rest = &line[start..];
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap(),
        None => rest.split(',').next().unwrap(),
    }
}

/// The segments of a playlist: name and length.
fn segments(playlist: &Path) -> Vec<(String, f64)> {
    let text = std::fs::read_to_string(playlist).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let of = |pair: &[&str]| {
        let length = pair[0].strip_prefix("#EXTINF:")?;
        let seconds = length.trim_end_matches(',').parse().unwrap();
        Some((pair[1].to_owned(), seconds))
    };
    lines.windows(2).filter_map(of).collect()
}

#[test]
fn renditions_share_their_time_and_their_borders() {
    let folder = TempFolder::new("ladder");
    for old in [
        "live/gone/program.m3u8",
        "live/gone/program_00001.m4s",
        "live/master.m3u8",
    ] {
        std::fs::create_dir_all(folder.path(old).parent().unwrap()).unwrap();
        std::fs::write(folder.path(old), "of an earlier run").unwrap();
    }
    let streaming = Streaming::start(ladder(), vec![hls(&folder)]).unwrap();
    push_fast(&streaming, &noise(320, 180, 30), 0..300, "hls");
    assert_eq!(output(&streaming, "hls").unwrap().rendition, "high,mid,low");
    shut_down(streaming, &[]);

    assert!(!folder.path("live/gone").exists());
    let master = std::fs::read_to_string(folder.path("live/master.m3u8")).unwrap();
    assert!(
        master.starts_with("#EXTM3U\n#EXT-X-VERSION:7\n"),
        "{master}"
    );
    let lines: Vec<&str> = master.lines().collect();
    let variants: Vec<(&str, &str)> = lines
        .windows(2)
        .filter(|pair| pair[0].starts_with("#EXT-X-STREAM-INF:"))
        .map(|pair| (pair[0], pair[1]))
        .collect();
    let uris: Vec<&str> = variants.iter().map(|(_, uri)| *uri).collect();
    assert_eq!(uris, IDS.map(|id| format!("{id}/program.m3u8")));
    let mut names = Vec::new();
    for (line, uri) in &variants {
        let path = folder.path(&format!("live/{uri}"));
        let listed = segments(&path);
        assert_eq!(listed.len(), 6, "{uri}: the window");
        let peak: f64 = attribute(line, "BANDWIDTH").parse().unwrap();
        let mean: f64 = attribute(line, "AVERAGE-BANDWIDTH").parse().unwrap();
        let (mut bytes, mut seconds) = (0.0, 0.0);
        for (name, length_s) in &listed {
            let file = std::fs::metadata(path.with_file_name(name)).unwrap();
            let bps = file.len() as f64 * 8.0 / length_s;
            assert!(bps <= peak, "{uri} {name}: {bps} of {peak} bit/s");
            (bytes, seconds) = (bytes + file.len() as f64, seconds + length_s);
        }
        let found = bytes * 8.0 / seconds;
        assert!(
            (0.8..1.05).contains(&(found / mean)),
            "{uri}: {found} of {mean} bit/s"
        );
        assert_eq!(attribute(line, "RESOLUTION"), "320x180");
        assert_eq!(attribute(line, "FRAME-RATE"), "30.000");
        let probe = Probe::open(&path);
        probe.assert_house_format(320, 180);
        let level: u32 = probe.stream("video")["level"].as_u64().unwrap() as u32;
        let codecs = format!("avc1.6400{level:02x},mp4a.40.2");
        assert_eq!(attribute(line, "CODECS"), codecs, "High is 0x64");
        names.push(listed);
    }
    assert!(names.windows(2).all(|pair| pair[0] == pair[1]), "{names:?}");
    // Segments of the same name start at the same time, in picture.
    let starts: Vec<Vec<f64>> = IDS
        .iter()
        .map(|id| {
            let probe = Probe::open(&folder.path(&format!("live/{id}/program.m3u8")));
            let keyframes = probe.video().into_iter().filter(|packet| packet.is_key);
            keyframes.map(|packet| packet.pts_s).collect()
        })
        .collect();
    assert!(starts[0].len() >= 6);
    assert!(
        starts.windows(2).all(|pair| pair[0] == pair[1]),
        "{starts:?}"
    );
    // FFmpeg plays what it finds behind the master playlist.
    let whole = Probe::open(&folder.path("live/master.m3u8"));
    assert_eq!(whole.streams.len(), 6);
}

#[test]
fn a_ladder_added_later_begins_at_a_common_keyframe() {
    let (folder, heard) = (TempFolder::new("late-ladder"), Heard::default());
    let early = file_output("early", &folder.target("early.mp4"));
    let streaming = Streaming::start_with(ladder(), vec![early], heard.listener()).unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    wait_until("it runs", Duration::from_secs(10), || {
        streaming.stats().encoder().frames > 10
    });
    streaming.add_output(hls(&folder)).unwrap();
    // One that asks for keyframes of its own meanwhile.
    let mut single = file_output("single", &folder.target("single.mp4"));
    single.renditions = vec!["low".to_owned()];
    streaming.add_output(single).unwrap();
    let master = folder.path("live/master.m3u8");
    wait_until("the folder is ready", Duration::from_secs(15), || {
        master.exists()
            && IDS.iter().all(|id| {
                let path = folder.path(&format!("live/{id}/program.m3u8"));
                segments(&path).len() >= 2
            })
    });
    drop(ticker);
    shut_down(streaming, &[]);
    let first: Vec<_> = IDS
        .iter()
        .map(|id| segments(&folder.path(&format!("live/{id}/program.m3u8")))[..2].to_vec())
        .collect();
    assert!(first.windows(2).all(|pair| pair[0] == pair[1]), "{first:?}");
    assert_eq!(heard.states("hls").len(), 3, "{:?}", heard.states("hls"));
}

#[test]
fn a_ladder_is_stopped_and_begun_anew_in_a_clean_folder() {
    let (folder, heard) = (TempFolder::new("again-ladder"), Heard::default());
    let streaming = Streaming::start_with(ladder(), vec![hls(&folder)], heard.listener()).unwrap();
    let frames = noise(320, 180, 30);
    push_fast(&streaming, &frames, 0..150, "hls");
    let low = folder.path("live/low/program.m3u8");
    let master = folder.path("live/master.m3u8");
    wait_until("the folder is ready", Duration::from_secs(10), || {
        master.exists()
    });
    streaming.stop_output("hls").unwrap();
    wait_until("it rests", Duration::from_secs(5), || {
        output(&streaming, "hls").unwrap().state == OutputState::Idle
    });
    assert!(
        std::fs::read_to_string(&low)
            .unwrap()
            .contains("#EXT-X-ENDLIST")
    );
    std::fs::write(folder.path("live/low/program_99999.m4s"), "old").unwrap();
    streaming.start_output("hls").unwrap();
    wait_until("it waits for keyframes", Duration::from_secs(5), || {
        !master.exists()
    });
    push_fast(&streaming, &frames, 150..300, "hls");
    wait_until("the folder is ready again", Duration::from_secs(10), || {
        master.exists()
    });
    shut_down(streaming, &[]);
    assert!(!folder.path("live/low/program_99999.m4s").exists());
    let listed: Vec<_> = IDS
        .iter()
        .map(|id| segments(&folder.path(&format!("live/{id}/program.m3u8"))))
        .collect();
    assert!(listed[0].len() >= 2);
    assert!(
        listed.windows(2).all(|pair| pair[0] == pair[1]),
        "{listed:?}"
    );
    assert!(heard.states("hls").contains(&OutputState::Idle));
}

#[test]
fn one_rendition_has_a_master_playlist_too() {
    let folder = TempFolder::new("one-rung");
    let streaming = Streaming::start(
        encoder_settings(600),
        vec![file_output("hls", &folder.target("live/"))],
    )
    .unwrap();
    push_fast(&streaming, &noise(320, 180, 30), 0..200, "hls");
    shut_down(streaming, &[]);
    let master = std::fs::read_to_string(folder.path("live/master.m3u8")).unwrap();
    assert!(master.ends_with("\nprogram.m3u8\n"), "{master}");
    assert!(folder.path("live/program.m3u8").exists());
    assert!(!segments(&folder.path("live/program.m3u8")).is_empty());
}

#[test]
fn a_rendition_that_is_not_there_is_named() {
    let folder = TempFolder::new("no-rung");
    let mut settings = hls(&folder);
    settings.renditions.push("8k".to_owned());
    let result = Streaming::start(ladder(), vec![settings]);
    assert!(matches!(result, Err(StreamingError::UnknownRendition { id }) if id == "8k"));
}
