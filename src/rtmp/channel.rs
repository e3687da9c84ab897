//! What one key's publisher sends, on its way to players and decoders; it outlives the connection for a while, so that a publisher that
//! was lost comes back to those who take it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::amf::{self, Value};
use super::feed::{Feed, Kind, Media};
use super::flv::{self, Tag, TagError};
use crate::control::keys::AcceptedKey;
use crate::ingest::{IngestAudioCodec, IngestPacket, IngestVideoCodec, Publisher};

/// A difference of times that is a jump and no pause; then the clock goes on as though nothing was.
const JUMP_MAX_MS: i64 = 60_000;

/// The stream of one key.
#[derive(Debug)]
pub struct Channel {
    /// The key.
    pub key: AcceptedKey,
    /// What players get.
    pub feed: Arc<Feed>,
    publisher: Publisher,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    timeline: Timeline,
    video: Option<IngestVideoCodec>,
    audio: Option<IngestAudioCodec>,
}

/// A publisher's 32-bit times on a clock that goes on, over wraps and over connections.
#[derive(Debug, Default)]
struct Timeline {
    /// The last time as it came; none since the connection began.
    last: Option<u32>,
    now_ms: i64,
    newest_ms: i64,
    at: Option<Instant>,
}

impl Timeline {
    /// Another connection goes on with it.
    fn resume(&mut self) {
        self.last = None;
    }

    fn map(&mut self, time_ms: u32, at: Instant) -> i64 {
        let past = self.at.map(|before| at.saturating_duration_since(before));
        self.now_ms = match (self.last, past) {
            // The first of all says where the clock is.
            (None, None) => i64::from(time_ms),
            // As much later as it came.
            (None, Some(past)) => self.newest_ms + past_ms(past),
            (Some(last), _) => {
                let step = i64::from(time_ms.wrapping_sub(last).cast_signed());
                if step.abs() > JUMP_MAX_MS {
                    self.newest_ms + past.map_or(0, past_ms)
                } else {
                    self.now_ms + step
                }
            }
        };
        self.last = Some(time_ms);
        self.newest_ms = self.newest_ms.max(self.now_ms);
        self.at = Some(at);
        self.now_ms
    }
}

fn past_ms(past: Duration) -> i64 {
    i64::try_from(past.as_millis()).unwrap_or(0).max(1)
}

impl Channel {
    /// Of a key whose publisher begins.
    pub fn new(key: AcceptedKey, publisher: Publisher) -> Self {
        let feed = Arc::new(Feed::default());
        feed.begin();
        Self {
            key,
            feed,
            publisher,
            state: Mutex::default(),
        }
    }

    /// Another connection goes on with it.
    pub fn resume(&self) {
        self.lock().timeline.resume();
    }

    /// The names of the codecs that are sent.
    pub fn codecs(&self) -> Vec<&'static str> {
        let state = self.lock();
        let video = state.video.map(flv::video_name);
        video
            .into_iter()
            .chain(state.audio.map(flv::audio_name))
            .collect()
    }

    /// Takes a video message.
    ///
    /// # Errors
    /// It is cut off, or of a codec that is not taken.
    pub fn video(&self, time_ms: u32, body: Bytes) -> Result<(), TagError> {
        let tag = flv::video(&body)?;
        let mut state = self.lock();
        let dts_ms = state.timeline.map(time_ms, Instant::now());
        let kind = match tag {
            Tag::VideoHeader(codec, header) => {
                state.video = Some(codec);
                self.publisher
                    .send(IngestPacket::VideoHeader { codec, header });
                Kind::VideoHeader
            }
            Tag::Video {
                codec,
                composition_ms,
                is_key,
                data,
            } => {
                if state.video != Some(codec) {
                    state.video = Some(codec);
                    let header = Bytes::new();
                    self.publisher
                        .send(IngestPacket::VideoHeader { codec, header });
                }
                self.publisher.send(IngestPacket::Video {
                    dts_ms,
                    composition_ms,
                    keyframe: is_key,
                    data,
                });
                if is_key { Kind::Key } else { Kind::Picture }
            }
            _ => return Ok(()),
        };
        drop(state);
        self.push(kind, dts_ms, body);
        Ok(())
    }

    /// Takes an audio message.
    ///
    /// # Errors
    /// It is cut off, or of a codec that is not taken.
    pub fn audio(&self, time_ms: u32, body: Bytes) -> Result<(), TagError> {
        let tag = flv::audio(&body)?;
        let mut state = self.lock();
        let pts_ms = state.timeline.map(time_ms, Instant::now());
        let kind = match tag {
            Tag::AudioHeader(codec, header) => {
                state.audio = Some(codec);
                self.publisher
                    .send(IngestPacket::AudioHeader { codec, header });
                Kind::AudioHeader
            }
            Tag::Audio(codec, data) => {
                if state.audio != Some(codec) {
                    state.audio = Some(codec);
                    let header = Bytes::new();
                    self.publisher
                        .send(IngestPacket::AudioHeader { codec, header });
                }
                self.publisher.send(IngestPacket::Audio { pts_ms, data });
                Kind::Sound
            }
            _ => return Ok(()),
        };
        drop(state);
        self.push(kind, pts_ms, body);
        Ok(())
    }

    /// Takes metadata, which players get as it is.
    pub fn metadata(&self, metadata: Value) {
        let time_ms = self.lock().timeline.newest_ms;
        let body = amf::write(&[Value::text("onMetaData"), metadata]);
        self.push(Kind::Data, time_ms, body);
    }

    fn push(&self, kind: Kind, time_ms: i64, body: Bytes) {
        self.feed.push(Media {
            kind,
            time_ms,
            body,
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_on_over_wraps_jumps_and_connections() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timeline = Timeline::default();
        assert_eq!(timeline.map(u32::MAX - 9, at(0)), i64::from(u32::MAX) - 9);
        assert_eq!(timeline.map(10, at(20)), i64::from(u32::MAX) + 11);
        // Sound may be a little earlier than the picture before it.
        assert_eq!(timeline.map(5, at(20)), i64::from(u32::MAX) + 6);
        assert_eq!(
            timeline.map(5_000_000, at(60)),
            i64::from(u32::MAX) + 51,
            "a jump"
        );
        timeline.resume();
        assert_eq!(timeline.map(0, at(2060)), i64::from(u32::MAX) + 2051);
        assert_eq!(timeline.map(40, at(2100)), i64::from(u32::MAX) + 2091);
    }
}
