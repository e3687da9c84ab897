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

/// From one time of a kind to its next: more is a jump and no pause, and the clock goes on as though nothing was.
const STEP_MAX_MS: i64 = 60_000;
/// So little back is no jump: some senders round. Nothing is given an earlier time for it.
const BACK_MAX_MS: i64 = 1000;

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

/// A publisher's 32-bit times on a clock that goes on, over wraps, jumps and connections. Pictures and sound stay together.
#[derive(Debug, Default)]
struct Timeline {
    /// Of pictures, and of sound.
    tracks: [Track; 2],
    /// A time as it came since the last jump, and where it is on the clock.
    anchor: Option<(u32, i64)>,
    newest_ms: i64,
    at: Option<Instant>,
}

/// The times of one kind.
#[derive(Debug, Default)]
struct Track {
    /// The last time as it came, and where it is on the clock; none since the connection began.
    last: Option<(u32, i64)>,
    /// The last that was given, which never goes back.
    given_ms: Option<i64>,
}

/// Which of a timeline's tracks.
#[derive(Clone, Copy, Debug)]
enum Of {
    Pictures,
    Sound,
}

impl Timeline {
    /// Another connection goes on with it.
    fn resume(&mut self) {
        self.anchor = None;
        for track in &mut self.tracks {
            track.last = None;
        }
    }

    fn map(&mut self, of: Of, time_ms: u32, at: Instant) -> i64 {
        let now_ms = self
            .step(of, time_ms)
            .or_else(|| self.anchored(of, time_ms))
            .unwrap_or_else(|| {
                let now_ms = match self.at {
                    // The first of all says where the clock is.
                    None => i64::from(time_ms),
                    // As much later as it came.
                    Some(before) => self.newest_ms + past_ms(at.saturating_duration_since(before)),
                };
                self.anchor = Some((time_ms, now_ms));
                now_ms
            });
        let track = &mut self.tracks[of as usize];
        track.last = Some((time_ms, now_ms));
        let given_ms = track.given_ms.map_or(now_ms, |before| before.max(now_ms));
        track.given_ms = Some(given_ms);
        self.newest_ms = self.newest_ms.max(given_ms);
        self.at = Some(at);
        given_ms
    }

    /// Where a time is that goes on from the last of its kind.
    fn step(&self, of: Of, time_ms: u32) -> Option<i64> {
        let (last, now_ms) = self.tracks[of as usize].last?;
        let step = difference_ms(last, time_ms);
        (-BACK_MAX_MS..=STEP_MAX_MS)
            .contains(&step)
            .then_some(now_ms + step)
    }

    /// Where a time is that goes on from what the other kind has jumped to, so that both stay together.
    fn anchored(&self, of: Of, time_ms: u32) -> Option<i64> {
        let (from, from_ms) = self.anchor?;
        let now_ms = from_ms + difference_ms(from, time_ms);
        let is_near = (now_ms - self.newest_ms).abs() <= STEP_MAX_MS;
        let given_ms = self.tracks[of as usize].given_ms;
        let goes_on = given_ms.is_none_or(|given_ms| now_ms >= given_ms - BACK_MAX_MS);
        (is_near && goes_on).then_some(now_ms)
    }
}

/// From one of a sender's times to another, which may be before it.
fn difference_ms(from: u32, to: u32) -> i64 {
    i64::from(to.wrapping_sub(from).cast_signed())
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

    /// Another connection goes on with it. What it sends may be something else, so nothing is kept of the headers.
    pub fn resume(&self) {
        let mut state = self.lock();
        state.timeline.resume();
        (state.video, state.audio) = (None, None);
        self.publisher.resume();
        self.feed.begin();
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
        let dts_ms = match tag {
            Tag::Video { .. } => state.timeline.map(Of::Pictures, time_ms, Instant::now()),
            // Of a header, many senders say that it is at nought whenever it comes.
            _ => state.timeline.newest_ms,
        };
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
        let pts_ms = match tag {
            Tag::Audio(..) => state.timeline.map(Of::Sound, time_ms, Instant::now()),
            _ => state.timeline.newest_ms,
        };
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

    use super::Of::{Pictures, Sound};
    use crate::ingest::{IngestHub, Received};

    #[test]
    fn times_go_on_over_wraps_jumps_and_connections() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timeline = Timeline::default();
        let first_ms = i64::from(u32::MAX) - 9;
        let mut map = |of, time_ms, ms| timeline.map(of, time_ms, at(ms)) - first_ms;
        assert_eq!(map(Pictures, u32::MAX - 9, 0), 0);
        // Sound may be a little earlier than the picture before it.
        assert_eq!(map(Sound, u32::MAX - 12, 0), -3);
        assert_eq!(map(Pictures, 10, 20), 20);
        assert_eq!(map(Sound, 5, 20), 15);
        assert_eq!(map(Pictures, 5_000_000, 60), 60, "a jump");
        assert_eq!(map(Sound, 4_999_995, 60), 55, "and sound beside it");
        timeline.resume();
        let mut map = |of, time_ms, ms| timeline.map(of, time_ms, at(ms)) - first_ms;
        assert_eq!(map(Pictures, 0, 2060), 2060);
        assert_eq!(map(Sound, 20, 2070), 2080);
        assert_eq!(map(Pictures, 40, 2100), 2100);
    }

    #[test]
    fn a_step_back_stops_nobody() {
        let start = Instant::now();
        let mut timeline = Timeline::default();
        let (mut last, mut newest_ms) = ([i64::MIN; 2], 0);
        // An encoder begins anew 40 s before where it was, and another rounds by some ms.
        for index in 0..200u32 {
            let at = start + Duration::from_millis(u64::from(index) * 40);
            let back_ms = if index < 100 { 0 } else { 40_000 };
            let rounded_ms = if index % 10 == 0 { 45 } else { 0 };
            let time_ms = 100_000 + index * 40 - back_ms - rounded_ms;
            for (of, time_ms) in [(Pictures, time_ms), (Sound, time_ms + 10)] {
                let mapped_ms = timeline.map(of, time_ms, at);
                assert!(mapped_ms >= last[of as usize], "{index} {of:?}");
                last[of as usize] = mapped_ms;
                newest_ms = mapped_ms;
            }
            assert!((last[0] - last[1]).abs() <= 10, "{index}: {last:?}");
        }
        let expected_ms = 100_000 + 199 * 40;
        assert!((newest_ms - expected_ms).abs() < 100, "{newest_ms}");
    }

    /// A channel, and what decoders get of it.
    fn channel() -> (Channel, crate::ingest::IngestReader) {
        let hub = IngestHub::default();
        let reader = hub.read("1");
        let publisher = hub.publish("1", "").expect("nobody else");
        let key = AcceptedKey {
            id: "1".to_owned(),
            name: String::new(),
        };
        (Channel::new(key, publisher), reader)
    }

    fn picture(channel: &Channel, time_ms: u32, is_header: bool) {
        let body = [0x17, u8::from(!is_header), 0, 0, 0, 1];
        let taken = channel.video(time_ms, Bytes::copy_from_slice(&body));
        taken.expect("H.264");
    }

    #[test]
    fn a_header_at_nought_moves_no_clock() {
        let (channel, reader) = channel();
        for index in 0..100 {
            picture(&channel, 0, true);
            picture(&channel, 500_000 + index * 40, false);
        }
        let times = std::iter::from_fn(|| reader.next(Duration::ZERO));
        let times = times.filter_map(|received| match received {
            Received::Packet(IngestPacket::Video { dts_ms, .. }) => Some(dts_ms),
            _ => None,
        });
        let expected = (0..100).map(|index| 500_000 + index * 40);
        assert_eq!(times.collect::<Vec<i64>>(), expected.collect::<Vec<i64>>());
    }

    #[test]
    fn who_comes_back_with_sound_alone_has_no_pictures() {
        let (channel, _reader) = channel();
        picture(&channel, 0, true);
        picture(&channel, 0, false);
        channel.resume();
        assert_eq!(channel.codecs(), [""; 0]);
        channel
            .audio(0, Bytes::from_static(&[0xaf, 0, 1]))
            .expect("AAC");
        channel
            .audio(20, Bytes::from_static(&[0xaf, 1, 1]))
            .expect("AAC");
        assert_eq!(channel.codecs(), ["aac"]);
        let mut place = channel.feed.join(true);
        channel
            .audio(40, Bytes::from_static(&[0xaf, 1, 1]))
            .expect("AAC");
        let mut taken = Vec::new();
        place.take(&mut taken, usize::MAX);
        let kinds = taken.iter().map(|media| media.kind);
        assert_eq!(
            kinds.collect::<Vec<Kind>>(),
            [Kind::AudioHeader, Kind::Sound]
        );
    }
}
