//! The program for players: the main rendition's packets, as they leave the encoder, into a feed.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use codec::{AudioCodec, Packet, StreamDescription, StreamKind, VideoCodec};

use super::amf::{self, Value};
use super::feed::{Feed, Kind, Media};
use super::flv::{self, ParameterSets};
use crate::streaming::{EncoderSettings, PacketTap};

/// The program, which players take without another encode. Cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct Program(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    feed: Arc<Feed>,
    /// Whether what is kept between two players is of use to the second.
    is_cached: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    has_sound: bool,
    /// Why nobody can play it.
    refusal: Option<String>,
    /// Of the header that players have.
    sets: ParameterSets,
}

impl Program {
    /// One that keeps the last group of pictures also while nobody plays it, where `is_cached`.
    pub fn new(is_cached: bool) -> Self {
        let program = Self::default();
        program.0.is_cached.store(is_cached, Relaxed);
        program
    }

    /// What players get.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.0.feed
    }

    /// Why nobody can play it now.
    pub fn refusal(&self) -> Option<String> {
        self.lock().refusal.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn header(&self, state: &mut State, sets: ParameterSets, time_ms: i64) {
        if let Some(body) = sets.header() {
            self.0.feed.push(Media {
                kind: Kind::VideoHeader,
                time_ms,
                body,
            });
            state.sets = sets;
        }
    }
}

impl PacketTap for Program {
    fn is_wanted(&self) -> bool {
        self.0.feed.players() > 0
    }

    fn begin(&self, settings: &EncoderSettings, streams: &[StreamDescription]) {
        let picture = streams.iter().find_map(StreamDescription::video_codec);
        let sound = streams
            .iter()
            .find(|stream| stream.audio_codec() == Some(AudioCodec::Aac));
        let mut state = self.lock();
        state.has_sound = sound.is_some();
        state.refusal = (picture != Some(VideoCodec::H264)).then(|| {
            let codec = picture.map_or("unknown", VideoCodec::as_str);
            format!("the program's picture is {codec}; over RTMP it can be watched as h264 with aac (STREAM_CODEC, AUDIO_CODEC)")
        });
        let feed = &self.0.feed;
        feed.begin();
        let push = |kind, body| {
            feed.push(Media {
                kind,
                time_ms: 0,
                body,
            });
        };
        push(Kind::Data, metadata(settings, sound.is_some()));
        for stream in streams {
            if stream.video_codec() == Some(VideoCodec::H264) {
                let sets = ParameterSets::find(stream.headers());
                self.header(&mut state, sets, 0);
            }
        }
        if let Some(sound) = sound {
            push(Kind::AudioHeader, flv::aac_header(sound.headers()));
        }
    }

    fn push(&self, packet: &Packet) {
        if !self.is_wanted() && !self.0.is_cached.load(Relaxed) {
            return;
        }
        let mut state = self.lock();
        if state.refusal.is_some() {
            return;
        }
        let time_ms = packet.dts_nanoseconds() / 1_000_000;
        let media = match packet.kind() {
            StreamKind::Video => {
                let is_key = packet.is_key();
                if is_key {
                    // An encoder that took the place of another may write other headers.
                    let sets = ParameterSets::find(packet.data());
                    if sets != state.sets {
                        self.header(&mut state, sets, time_ms);
                    }
                }
                Media {
                    kind: if is_key { Kind::Key } else { Kind::Picture },
                    time_ms,
                    body: flv::picture(packet.data(), is_key),
                }
            }
            StreamKind::Audio if state.has_sound => Media {
                kind: Kind::Sound,
                time_ms,
                body: flv::aac(packet.data()),
            },
            StreamKind::Audio => return,
        };
        drop(state);
        self.0.feed.push(media);
    }

    fn end(&self) {
        self.0.feed.end();
    }
}

/// `onMetaData` of the program (FLV specification, annex E.5).
fn metadata(settings: &EncoderSettings, has_sound: bool) -> Bytes {
    let video = &settings.video;
    let number = |number: u32| Value::Number(f64::from(number));
    let rate = video.frame_rate;
    let mut fields = vec![
        ("width", number(video.width)),
        ("height", number(video.height)),
        (
            "framerate",
            Value::Number(f64::from(rate.numerator) / f64::from(rate.denominator.max(1))),
        ),
        ("videocodecid", number(7)),
        ("videodatarate", number(video.bitrate_kbps)),
    ];
    if let Some(audio) = settings.audio.as_ref().filter(|_| has_sound) {
        fields.extend([
            ("audiocodecid", number(10)),
            ("audiodatarate", number(audio.bitrate_kbps)),
            ("audiosamplerate", number(48_000)),
            ("audiosamplesize", number(16)),
            ("stereo", Value::Boolean(true)),
        ]);
    }
    fields.push((
        "encoder",
        Value::text(concat!("Stream Manager ", env!("CARGO_PKG_VERSION"))),
    ));
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    amf::write(&[Value::text("onMetaData"), Value::Object(fields.collect())])
}
