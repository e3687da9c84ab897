//! FFmpeg's video encoders: which of them does the work, what it is told, and how it is given frames.

use std::sync::Arc;

use ffmpeg::{codec, format, frame};
use ffmpeg_next as ffmpeg;
use raster::I420Frame;

use crate::codecs::{Acceleration, VideoCodec};
use crate::ffi;
use crate::settings::{RateControl, VideoSettings};

/// One of FFmpeg's encoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    X264,
    Vp8,
    Vp9,
    Nvenc,
    Qsv,
    Vaapi,
}

/// An option and its value.
pub(super) type Pair = (&'static str, String);

impl Backend {
    /// The software encoder of a codec.
    pub(super) fn software(codec: VideoCodec) -> Self {
        match codec {
            VideoCodec::H264 => Self::X264,
            VideoCodec::Vp8 => Self::Vp8,
            VideoCodec::Vp9 => Self::Vp9,
        }
    }

    /// What may encode in hardware, in the order in which it is tried.
    pub(super) fn hardware(acceleration: Acceleration) -> &'static [Self] {
        match acceleration {
            Acceleration::None => &[],
            Acceleration::Auto => &[Self::Nvenc, Self::Qsv, Self::Vaapi],
            Acceleration::Nvenc => &[Self::Nvenc],
            Acceleration::Qsv => &[Self::Qsv],
            Acceleration::Vaapi => &[Self::Vaapi],
        }
    }

    /// FFmpeg's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::X264 => "libx264",
            Self::Vp8 => "libvpx",
            Self::Vp9 => "libvpx-vp9",
            Self::Nvenc => "h264_nvenc",
            Self::Qsv => "h264_qsv",
            Self::Vaapi => "h264_vaapi",
        }
    }

    /// What is most likely missing when FFmpeg itself says nothing.
    pub(super) fn missing(self) -> Option<&'static str> {
        (self == Self::Vaapi).then_some("no VA-API device could be opened")
    }

    /// Whether a new rate is taken up between two frames. libavcodec/libvpxenc.c tells libvpx its settings once, and the
    /// Quick Sync and VA-API ones of FFmpeg 5 look at the rate once too.
    pub(super) fn changes_bitrate_live(self) -> bool {
        matches!(self, Self::X264 | Self::Nvenc)
    }

    /// The pixels that the open encoder takes.
    pub(super) fn pixels(self) -> format::Pixel {
        match self {
            Self::Qsv => format::Pixel::NV12,
            Self::Vaapi => format::Pixel::VAAPI,
            Self::X264 | Self::Vp8 | Self::Vp9 | Self::Nvenc => format::Pixel::YUV420P,
        }
    }

    /// Whether the encoder counts frames from one keyframe to the next, whichever asked for it. libvpx's VP8 counts from
    /// the first frame on, so that both of its encoders are told each keyframe.
    pub(super) fn keeps_beat(self) -> bool {
        !matches!(self, Self::Vp8 | Self::Vp9)
    }

    /// The options of the encoder, without its rate.
    pub(super) fn options(self, settings: &VideoSettings) -> Vec<Pair> {
        match self {
            Self::X264 => x264(settings),
            Self::Vp8 | Self::Vp9 => vpx(self, settings),
            Self::Nvenc => vec![
                ("preset", settings.preset.nvenc().to_owned()),
                ("tune", "ll".to_owned()),
                ("profile", "high".to_owned()),
                ("rc", "cbr".to_owned()),
                ("rc-lookahead", "0".to_owned()),
                ("no-scenecut", "1".to_owned()),
                ("forced-idr", "1".to_owned()),
                ("zerolatency", "1".to_owned()),
                ("delay", "0".to_owned()),
            ],
            // Mean and ceiling being equal is what makes it constant here.
            Self::Qsv => vec![
                ("preset", settings.preset.qsv().to_owned()),
                ("profile", "high".to_owned()),
                ("forced_idr", "1".to_owned()),
                ("async_depth", "1".to_owned()),
                ("adaptive_i", "0".to_owned()),
                ("adaptive_b", "0".to_owned()),
                ("look_ahead", "0".to_owned()),
            ],
            Self::Vaapi => vec![
                ("compression_level", settings.preset.vaapi().to_owned()),
                ("profile", "high".to_owned()),
                ("rc_mode", "CBR".to_owned()),
                ("async_depth", "1".to_owned()),
                ("idr_interval", "0".to_owned()),
                // Its timing messages bring the rate into the headers, which must stay the same when the rate changes.
                ("sei", "0".to_owned()),
            ],
        }
    }

    /// What the encoder may spend.
    pub(super) fn rate(self, settings: &VideoSettings) -> ffi::Rate {
        let bits_per_second = i64::from(settings.bitrate_kbps) * 1000;
        let none = ffi::Rate {
            bits_per_second: 0,
            ceiling_bits_per_second: 0,
            floor_bits_per_second: 0,
            buffer_bits: 0,
        };
        match settings.rate_control {
            RateControl::Constant { buffer_s } => {
                let bits_per_second = if self == Self::X264 {
                    bits_per_second * X264_CONSTANT_PERCENT / 100
                } else {
                    bits_per_second
                };
                // At most 200 Mbit/s times 10 s, which is below 2^31.
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "bounded by the ranges that `validate` holds"
                )]
                let buffer_bits =
                    (f64::from(settings.bitrate_kbps) * 1000.0 * f64::from(buffer_s)) as i32;
                ffi::Rate {
                    bits_per_second,
                    ceiling_bits_per_second: bits_per_second,
                    // Mean, ceiling and floor being equal is what makes it constant to libvpx.
                    floor_bits_per_second: match self {
                        Self::Vp8 | Self::Vp9 => bits_per_second,
                        _ => 0,
                    },
                    buffer_bits,
                }
            }
            RateControl::Average => ffi::Rate {
                bits_per_second,
                ..none
            },
            // VP8 holds a quality only below a rate, so it is given the highest.
            RateControl::Quality { .. } if self == Self::Vp8 => ffi::Rate {
                bits_per_second: 200_000_000,
                ..none
            },
            RateControl::Quality { .. } => none,
        }
    }

    /// Makes ready how the encoder is given frames; before it is opened.
    pub(super) fn feed(
        self,
        context: &mut codec::Context,
        settings: &VideoSettings,
    ) -> Result<Feed, ffmpeg::Error> {
        let (width, height) = (settings.width, settings.height);
        Ok(match self {
            Self::Qsv => Feed::Converted(ffi::Nv12Frame::new(width, height)),
            Self::Vaapi => Feed::Uploaded(ffi::VaapiUpload::attach(context, width, height)?),
            Self::X264 | Self::Vp8 | Self::Vp9 | Self::Nvenc => Feed::Lent(frame::Video::empty()),
        })
    }
}

/// Of the wanted rate, what libx264 is told: with threads of frames it plans by the progress of the others, and goes over the rate by
/// up to an eighth for a second on a busy machine. What is left keeps every second within a tenth.
const X264_CONSTANT_PERCENT: i64 = 96;

/// How an encoder is given a frame.
pub(super) enum Feed {
    /// It reads the planes where they lie. The frame is blank between frames.
    Lent(frame::Video),
    /// It gets a copy in NV12.
    Converted(ffi::Nv12Frame),
    /// It gets a copy in the memory of the hardware.
    Uploaded(ffi::VaapiUpload),
}

impl Feed {
    pub(super) fn send(
        &mut self,
        context: &mut codec::Context,
        picture: &Arc<I420Frame>,
        pts: i64,
        keyframe: bool,
    ) -> Result<(), ffmpeg::Error> {
        match self {
            Self::Lent(holder) => ffi::send_borrowed_frame(context, holder, picture, pts, keyframe),
            Self::Converted(frame) => {
                frame.fill(picture)?;
                frame.send(context, pts, keyframe)
            }
            Self::Uploaded(upload) => upload.send(context, picture, pts, keyframe),
        }
    }
}

fn x264(settings: &VideoSettings) -> Vec<Pair> {
    let mut options = vec![
        ("preset", settings.preset.to_string()),
        ("profile", "high".to_owned()),
        ("threads", settings.threads.to_string()),
        // A keyframe at each cut would break the beat that segments and joining viewers rely on.
        ("sc_threshold", "0".to_owned()),
        ("forced-idr", "1".to_owned()),
        // There is no `nal-hrd=cbr`: it writes the rate into the headers, and libx264 then refuses to change it live.
    ];
    if settings.preset.has_common_headers() {
        // One of these can follow another while the stream goes on: all of them write the same headers then.
        options.push(("refs", "1".to_owned()));
    }
    if let RateControl::Quality { rate_factor } = settings.rate_control {
        options.push(("crf", rate_factor.to_string()));
    }
    if settings.low_latency {
        options.push(("tune", "zerolatency".to_owned()));
        return options;
    }
    if let Some(frames) = settings.lookahead_frames {
        options.push(("rc-lookahead", frames.to_string()));
    }
    // libx264 would hold one frame back to see the next one's time, and another for a lookahead thread that has nothing to do.
    // Without a lookahead it has no macroblock tree either, and would say so.
    let private = if settings.lookahead_frames == Some(0) {
        "force-cfr=1:sync-lookahead=0:mbtree=0"
    } else {
        "force-cfr=1"
    };
    options.push(("x264-params", private.to_owned()));
    options
}

/// Frames between libvpx's own keyframes: over a year.
const KEYFRAMES_NEVER: u32 = 1_000_000_000;

/// The widest that one of VP9's tile columns should be, pixels: its own least width, so that all threads have work.
const TILE_WIDTH: u32 = 256;

fn vpx(backend: Backend, settings: &VideoSettings) -> Vec<Pair> {
    let mut options = vec![
        ("deadline", "realtime".to_owned()),
        ("threads", settings.threads.to_string()),
        ("lag-in-frames", "0".to_owned()),
        ("auto-alt-ref", "0".to_owned()),
        // None of its own, which at cuts or by a count of its own would break the beat that the encoder here keeps.
        ("g", KEYFRAMES_NEVER.to_string()),
        ("keyint_min", KEYFRAMES_NEVER.to_string()),
    ];
    if backend == Backend::Vp9 {
        let columns = (settings.width / TILE_WIDTH).clamp(1, 64).ilog2();
        let wanted = settings.threads.next_power_of_two().ilog2();
        options.extend([
            ("cpu-used", settings.preset.vp9_speed().to_owned()),
            ("row-mt", "1".to_owned()),
            ("tile-columns", columns.min(wanted).to_string()),
        ]);
    } else {
        options.push(("cpu-used", settings.preset.vp8_speed().to_owned()));
    }
    match settings.rate_control {
        RateControl::Constant { buffer_s } => {
            // Of the bits of a mean frame, what a keyframe may take, in percent: half of the buffer, as libvpx's own
            // programs have it for live pictures, and no less than three frames.
            let buffer_frames = f64::from(buffer_s) * settings.frame_rate.as_f64();
            let percent = (buffer_frames * 50.0).round().max(300.0);
            options.push(("max-intra-rate", format!("{percent}")));
            if backend == Backend::Vp9 {
                // The one that libvpx made for a constant rate.
                options.push(("aq-mode", "cyclic".to_owned()));
            }
        }
        RateControl::Quality { rate_factor } => {
            let factor = (rate_factor * 63.0 / 51.0).round();
            options.push(("crf", format!("{factor}")));
        }
        RateControl::Average => {}
    }
    options
}
