//! Containers as ffprobe and ffmpeg see them: what fits into each, whether sound meets picture, and what a killed process
//! leaves behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::sync::Arc;

use stream_manager_codec::{
    AudioCodec, CodecError, Container, HlsOptions, Muxer, MuxerOptions, Preset, RateControl,
    SegmentType, VideoCodec, VideoEncoder, VideoSettings,
};
use support::{
    Encoded, FPS, TempFolder, WIDTH, beep, decoded_s, offset_s, plain, probe, video_settings,
};

/// Every way in which streams are laid out: container, file, and the type of HLS segments.
const LAYOUTS: [(Container, &str, SegmentType); 8] = [
    (Container::Flv, "a.flv", SegmentType::Fmp4),
    (Container::FragmentedMp4, "a.mp4", SegmentType::Fmp4),
    (Container::Mp4, "b.mp4", SegmentType::Fmp4),
    (Container::Matroska, "a.mkv", SegmentType::Fmp4),
    (Container::MpegTs, "a.ts", SegmentType::Fmp4),
    (Container::WebM, "a.webm", SegmentType::Fmp4),
    (Container::Hls, "a.m3u8", SegmentType::Fmp4),
    (Container::Hls, "b.m3u8", SegmentType::MpegTs),
];

fn options(segment_type: SegmentType) -> MuxerOptions {
    MuxerOptions {
        hls: HlsOptions {
            segment_type,
            ..HlsOptions::default()
        },
        ..MuxerOptions::default()
    }
}

fn fits(
    container: Container,
    segment_type: SegmentType,
    video: VideoCodec,
    audio: Option<AudioCodec>,
) -> bool {
    match container {
        Container::Hls => segment_type.check(video, audio).is_ok(),
        _ => container.check(video, audio).is_ok(),
    }
}

fn write(
    encoded: &Encoded,
    target: &str,
    container: Container,
    options: &MuxerOptions,
) -> Result<Muxer, CodecError> {
    let mut muxer = Muxer::open(
        target,
        container,
        &encoded.streams,
        options,
        &Arc::default(),
    )?;
    // The first packet is the start, as in every output.
    let start = encoded.packets[0].dts_nanoseconds();
    encoded
        .packets
        .iter()
        .try_for_each(|packet| muxer.write_shifted(packet, start))?;
    Ok(muxer)
}

/// A flash and a beep on tick 50 of 80.
fn flash(video: VideoCodec, audio: AudioCodec) -> Encoded {
    let (black, white) = (plain([0, 0, 0]), plain([255, 255, 255]));
    Encoded::of(&video_settings(video), Some(audio), 80, |tick| {
        if tick == 50 {
            (Arc::clone(&white), Some(beep()))
        } else {
            (Arc::clone(&black), None)
        }
    })
}

#[test]
fn what_fits_is_read_back_in_sync_and_the_rest_is_refused() {
    let folder = TempFolder::new("layouts");
    for video in VideoCodec::ALL {
        for audio in AudioCodec::ALL {
            let encoded = flash(*video, *audio);
            for (container, name, segment_type) in LAYOUTS {
                let path = folder.path(&format!("{video}-{audio}-{name}"));
                let target = path.to_str().unwrap();
                let written = write(&encoded, target, container, &options(segment_type));
                if !fits(container, segment_type, *video, Some(*audio)) {
                    assert!(
                        matches!(written, Err(CodecError::Unsupported(_))),
                        "{target}"
                    );
                    assert!(!path.exists(), "{target}");
                    continue;
                }
                written.unwrap().finish().unwrap();
                let seen = probe(&path, "v", "codec_name,width");
                assert_eq!(seen, format!("{video},{WIDTH}"), "{target}");
                assert_eq!(probe(&path, "a", "codec_name"), audio.as_str(), "{target}");
                let frames_s = decoded_s(&path, "v");
                assert_eq!(frames_s.len(), 80, "{target}");
                let offset = offset_s(&path, &frames_s);
                assert!(offset.abs() < 0.005, "{target}: {offset} s");
            }
        }
    }
}

#[test]
fn vp8_and_vp9_are_tagged_as_high_definition() {
    let folder = TempFolder::new("tags");
    for (video, name) in [
        (VideoCodec::Vp8, "a.webm"),
        (VideoCodec::Vp9, "b.webm"),
        (VideoCodec::Vp9, "b.mp4"),
    ] {
        let encoded = Encoded::noise(video, None, 1);
        let container = Container::from_path(name.as_ref()).unwrap();
        let muxer = write(
            &encoded,
            &folder.target(name),
            container,
            &MuxerOptions::default(),
        );
        muxer.unwrap().finish().unwrap();
        for (field, value) in [
            ("color_range", "tv"),
            ("color_space", "bt709"),
            ("color_transfer", "bt709"),
            ("color_primaries", "bt709"),
            ("pix_fmt", "yuv420p"),
        ] {
            assert_eq!(
                probe(&folder.path(name), "v", field),
                value,
                "{name} {field}"
            );
        }
    }
}

/// Ten seconds are written, and then the process is gone: no trailer, no close.
#[test]
fn a_killed_process_leaves_all_but_the_last_second() {
    let folder = TempFolder::new("killed");
    for (container, name, video, audio) in [
        (Container::Flv, "a.flv", VideoCodec::H264, AudioCodec::Aac),
        (
            Container::FragmentedMp4,
            "a.mp4",
            VideoCodec::H264,
            AudioCodec::Aac,
        ),
        (
            Container::FragmentedMp4,
            "o.mp4",
            VideoCodec::Vp9,
            AudioCodec::Opus,
        ),
        (
            Container::Matroska,
            "a.mkv",
            VideoCodec::H264,
            AudioCodec::Aac,
        ),
        (
            Container::Matroska,
            "o.mkv",
            VideoCodec::H264,
            AudioCodec::Opus,
        ),
        (Container::MpegTs, "a.ts", VideoCodec::H264, AudioCodec::Aac),
        (
            Container::MpegTs,
            "o.ts",
            VideoCodec::H264,
            AudioCodec::Opus,
        ),
        (Container::WebM, "a.webm", VideoCodec::Vp8, AudioCodec::Opus),
    ] {
        // Keyframes so rare that they alone would not do.
        let settings = VideoSettings {
            keyframe_interval_s: 4.0,
            ..video_settings(video)
        };
        let frames = support::noise(30);
        let encoded = Encoded::of(&settings, Some(audio), 300, |tick| {
            (Arc::clone(&frames[tick as usize % 30]), Some(beep()))
        });
        let path = folder.path(name);
        let muxer = write(
            &encoded,
            path.to_str().unwrap(),
            container,
            &MuxerOptions::default(),
        );
        // What a killed process does: nothing.
        std::mem::forget(muxer.unwrap());
        for kind in ["v", "a"] {
            let times = decoded_s(&path, kind);
            let (first, last) = (times[0], times[times.len() - 1]);
            assert!(last - first > 9.0, "{name} {kind}: {first} to {last}");
            if kind == "v" {
                let expected = ((last - first) * f64::from(FPS)).round() as usize + 1;
                assert_eq!(times.len(), expected, "{name}: frames are missing");
            }
        }
    }
}

fn playlist(folder: &TempFolder, name: &str) -> String {
    std::fs::read_to_string(folder.path(name)).unwrap()
}

#[test]
fn variants_of_a_ladder_line_up_and_runs_do_not_mix() {
    let folder = TempFolder::new("ladder");
    let encoded = Encoded::noise(VideoCodec::H264, Some(AudioCodec::Aac), 20);
    let hls = HlsOptions {
        window: 4,
        program_date_time: true,
        first_number: 77,
        run: Some("20260101-10".to_owned()),
        ..HlsOptions::default()
    };
    for (variant, segment_type) in [("high", SegmentType::Fmp4), ("low", SegmentType::MpegTs)] {
        std::fs::create_dir(folder.path(variant)).unwrap();
        let options = MuxerOptions {
            hls: HlsOptions {
                segment_type,
                ..hls.clone()
            },
            ..MuxerOptions::default()
        };
        let target = folder.target(&format!("{variant}/video.m3u8"));
        let muxer = write(&encoded, &target, Container::Hls, &options).unwrap();
        muxer.finish().unwrap();
    }
    let (high, low) = (
        playlist(&folder, "high/video.m3u8"),
        playlist(&folder, "low/video.m3u8"),
    );
    assert!(
        high.contains("#EXT-X-MAP:URI=\"init_20260101-10.mp4\""),
        "{high}"
    );
    for (text, extension) in [(&high, "m4s"), (&low, "ts")] {
        // Ten segments of two seconds, the last four of them.
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:83\n"), "{text}");
        for number in 83..87 {
            let name = format!("video_20260101-10_000{number}.{extension}");
            assert!(text.contains(&name), "{text}");
            assert!(HlsOptions::makes_file("video", &name));
        }
        assert_eq!(
            text.matches("#EXT-X-PROGRAM-DATE-TIME:").count(),
            4,
            "{text}"
        );
        assert_eq!(text.matches("#EXTINF:2.000000,").count(), 4, "{text}");
    }
    for variant in ["high", "low"] {
        let files = std::fs::read_dir(folder.path(variant)).unwrap();
        for file in files {
            let name = file.unwrap().file_name().into_string().unwrap();
            assert!(HlsOptions::makes_file("video", &name), "{name}");
        }
        assert_eq!(
            decoded_s(&folder.path(&format!("{variant}/video.m3u8")), "v").len(),
            240
        );
    }
}

#[test]
fn a_later_run_says_that_its_timestamps_begin_anew() {
    let folder = TempFolder::new("runs");
    let encoded = Encoded::noise(VideoCodec::H264, None, 4);
    for (first_number, discontinuities) in [(0, 0), (5, 1)] {
        let options = MuxerOptions {
            hls: HlsOptions {
                first_number,
                ..HlsOptions::default()
            },
            ..MuxerOptions::default()
        };
        let target = folder.target("program.m3u8");
        let muxer = write(&encoded, &target, Container::Hls, &options).unwrap();
        muxer.finish().unwrap();
        let text = playlist(&folder, "program.m3u8");
        let found = text.matches("#EXT-X-DISCONTINUITY\n").count();
        assert_eq!(found, discontinuities, "{text}");
        let first = format!("program_{first_number:05}.m4s");
        assert!(text.contains(&first), "{text}");
    }
}

/// The names that players are told are those that FFmpeg wrote into the headers.
#[test]
fn codecs_are_named_as_their_headers_are() {
    let folder = TempFolder::new("names");
    let h264 = Encoded::noise(VideoCodec::H264, Some(AudioCodec::Aac), 1);
    let name = h264.streams[0].rfc6381().unwrap();
    assert_eq!(h264.streams[0].size(), Some((WIDTH, support::HEIGHT)));
    assert_eq!(h264.streams[1].rfc6381().as_deref(), Some("mp4a.40.2"));
    assert_eq!(h264.streams[1].size(), None);
    let path = folder.path("a.mp4");
    let muxer = write(
        &h264,
        path.to_str().unwrap(),
        Container::FragmentedMp4,
        &MuxerOptions::default(),
    );
    muxer.unwrap().finish().unwrap();
    let level: u32 = probe(&path, "v", "level").parse().unwrap();
    assert_eq!(name, format!("avc1.6400{level:02x}"));

    let vp9 = Encoded::noise(VideoCodec::Vp9, Some(AudioCodec::Opus), 1);
    assert_eq!(vp9.streams[1].rfc6381().as_deref(), Some("opus"));
    let path = folder.path("b.mp4");
    let muxer = write(
        &vp9,
        path.to_str().unwrap(),
        Container::FragmentedMp4,
        &MuxerOptions::default(),
    );
    muxer.unwrap().finish().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|bytes| bytes == b"vpcC").unwrap();
    // Version and flags, then profile, level and, in half a byte, the bits of a sample.
    let [profile, level, bits] = bytes[at + 8..at + 11].try_into().unwrap();
    assert_eq!(
        vp9.streams[0].rfc6381(),
        Some(format!("vp09.{profile:02}.{level:02}.{:02}", bits >> 4))
    );
}

/// VP8 and VP9 keep a rate on pictures that no rate is enough for.
#[test]
fn a_constant_rate_is_kept() {
    for video in VideoCodec::ALL {
        let encoded = Encoded::noise(*video, None, 8);
        for second in 1..8 {
            let range = second * 1_000_000_000..(second + 1) * 1_000_000_000;
            let bytes: usize = encoded
                .packets
                .iter()
                .filter(|packet| range.contains(&packet.dts_nanoseconds()))
                .map(|packet| packet.len())
                .sum();
            let kbps = bytes as f64 * 8.0 / 1000.0;
            assert!(kbps < 600.0 * 1.1, "{video} second {second}: {kbps} kbit/s");
        }
    }
}

#[test]
fn the_same_frames_give_the_same_bytes_when_a_file_is_made() {
    let frames = support::noise(30);
    for video in VideoCodec::ALL {
        for rate_control in [
            RateControl::Average,
            RateControl::Quality { rate_factor: 23.0 },
        ] {
            let settings = VideoSettings {
                rate_control,
                threads: 3,
                ..video_settings(*video)
            };
            let bytes = || {
                let encoded = Encoded::of(&settings, None, 60, |tick| {
                    (Arc::clone(&frames[tick as usize % 30]), None)
                });
                let packets = encoded.packets.iter();
                packets
                    .flat_map(|packet| packet.data().to_vec())
                    .collect::<Vec<u8>>()
            };
            assert!(bytes() == bytes(), "{video} {rate_control:?}");
        }
    }
}

#[test]
fn presets_of_one_stream_can_take_turns() {
    for video in VideoCodec::ALL {
        for from in Preset::ALL {
            let settings = VideoSettings {
                preset: from,
                ..video_settings(*video)
            };
            let encoder = VideoEncoder::open(&settings).unwrap();
            for to in Preset::ALL {
                let next = VideoSettings {
                    preset: to,
                    bitrate_kbps: 4000,
                    ..settings.clone()
                };
                // What is said to fit does; what is not may by chance.
                if settings.continues_with(to) {
                    encoder.reopened(&next).unwrap();
                }
            }
        }
    }
}
