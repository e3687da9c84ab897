//! Who publishes now, and who takes it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::IngestPacket;

/// Packets that may wait for one taker: over 5 s of pictures at 60 a second and their sound.
const READER_PACKETS_MAX: usize = 640;
/// Bytes that may wait for one taker.
const READER_BYTES_MAX: usize = 16 << 20;
/// Places that are free before a taker that was behind gets more, so that it does not lose packets again at once.
const CATCH_UP_ROOM: usize = READER_PACKETS_MAX / 2;
/// Places that no packet takes, so that an end is always told.
const ENDS: usize = 1;

/// Why nobody may publish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// Somebody publishes with the same key already.
    #[error("somebody publishes with the key `{key}` already")]
    Busy {
        /// The key's `id`.
        key: String,
    },
}

/// All publishers. Cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct IngestHub(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// Publishers by the `id` of their key.
    live: BTreeMap<String, Live>,
    /// Takers by number, whether what they take is there or not.
    readers: HashMap<u64, Reader>,
}

#[derive(Debug)]
struct Live {
    name: String,
    video: Option<IngestPacket>,
    audio: Option<IngestPacket>,
}

/// A taker, as who publishes sees it.
#[derive(Debug)]
struct Reader {
    key: String,
    sender: Sender<Received>,
    /// Bytes that wait.
    bytes: Arc<AtomicUsize>,
    /// The `id` of the publisher that it takes, until that one has gone.
    of: Option<String>,
    /// Whether it knows of that publisher.
    is_told: bool,
    /// Whether something was left out since.
    is_behind: bool,
    /// Whether pictures are left out until the next keyframe.
    skips: bool,
    /// Headers that it has not got: of pictures, of sound.
    owes: [bool; 2],
}

/// What a taker gets.
#[derive(Clone, Debug)]
pub enum Received {
    /// A publisher is there; its headers come next.
    Begun,
    /// A packet.
    Packet(IngestPacket),
    /// Packets were lost, since the taker was behind or the publisher's connection broke. Headers that are new come next, and pictures go
    /// on with a keyframe.
    Lost,
    /// The publisher has gone; another may come.
    Gone,
}

/// Somebody who publishes; dropping it ends that.
#[derive(Debug)]
pub struct Publisher {
    hub: IngestHub,
    key: String,
}

/// Somebody who takes what is published with one key, now and later.
#[derive(Debug)]
pub struct IngestReader {
    hub: IngestHub,
    number: u64,
    receiver: Receiver<Received>,
    bytes: Arc<AtomicUsize>,
}

impl IngestHub {
    /// Begins to publish with the key of an `id`, which is also known by its `name`.
    ///
    /// # Errors
    /// [`IngestError::Busy`].
    pub fn publish(&self, id: &str, name: &str) -> Result<Publisher, IngestError> {
        let mut inner = self.lock();
        if inner.live.contains_key(id) {
            return Err(IngestError::Busy { key: id.to_owned() });
        }
        let live = Live {
            name: name.to_owned(),
            video: None,
            audio: None,
        };
        inner.live.insert(id.to_owned(), live);
        inner.begin();
        Ok(Publisher {
            hub: self.clone(),
            key: id.to_owned(),
        })
    }

    /// Takes what is published with a key, by its `id` or its name. A taker takes one publisher until that one has gone.
    pub fn read(&self, key: &str) -> IngestReader {
        let (sender, receiver) = bounded(READER_PACKETS_MAX);
        let bytes = Arc::new(AtomicUsize::new(0));
        let mut inner = self.lock();
        inner.next += 1;
        let number = inner.next;
        let reader = Reader {
            key: key.to_owned(),
            sender,
            bytes: Arc::clone(&bytes),
            of: None,
            is_told: false,
            is_behind: false,
            skips: true,
            owes: [false; 2],
        };
        inner.readers.insert(number, reader);
        inner.begin();
        IngestReader {
            hub: self.clone(),
            number,
            receiver,
            bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Finds a publisher for each taker that has none: the key of this `id` before one of this name.
    fn begin(&mut self) {
        let Self { live, readers, .. } = self;
        for reader in readers.values_mut().filter(|reader| reader.of.is_none()) {
            let key = &reader.key;
            let found = live.get_key_value(key).or_else(|| {
                let mut all = live.iter();
                all.find(|(_, live)| !key.is_empty() && live.name == *key)
            });
            if let Some((id, live)) = found {
                reader.begin(id, live);
            }
        }
    }

    /// The publisher of an `id`, and those who take it.
    fn of(&mut self, id: &str) -> (Option<&mut Live>, impl Iterator<Item = &mut Reader>) {
        let readers = self.readers.values_mut();
        let takes = move |reader: &&mut Reader| reader.of.as_deref() == Some(id);
        (self.live.get_mut(id), readers.filter(takes))
    }
}

impl Live {
    /// The headers of pictures and of sound.
    fn headers(&self) -> [Option<&IngestPacket>; 2] {
        [self.video.as_ref(), self.audio.as_ref()]
    }
}

/// Nothing here waits: what has no room is left out.
impl Reader {
    /// Takes the publisher of an `id` from now on.
    fn begin(&mut self, id: &str, live: &Live) {
        self.of = Some(id.to_owned());
        self.is_told = false;
        self.owes = live.headers().map(|header| header.is_some());
        self.fall_behind();
        self.catch_up(live, 0);
    }

    /// The publisher has gone. There is a place for that, since none was told of before without another beginning.
    fn end(&mut self) {
        self.of = None;
        self.is_behind = false;
        if std::mem::take(&mut self.is_told) {
            self.send(Received::Gone);
        }
    }

    fn give(&mut self, packet: &IngestPacket, live: &Live) {
        let header = match packet {
            IngestPacket::VideoHeader { .. } => Some(0),
            IngestPacket::AudioHeader { .. } => Some(1),
            IngestPacket::Video { keyframe, .. } => {
                if self.skips && !keyframe {
                    return;
                }
                None
            }
            IngestPacket::Audio { .. } => None,
        };
        if let Some(header) = header {
            self.owes[header] = true;
            if !self.is_behind && !self.send_headers(live) {
                self.fall_behind();
            }
            return;
        }
        let bytes = packet.bytes();
        if self.is_behind && !self.catch_up(live, bytes) {
            return;
        }
        if !self.has_room(1, bytes) {
            return self.fall_behind();
        }
        if matches!(packet, IngestPacket::Video { .. }) {
            self.skips = false;
        }
        self.send(Received::Packet(packet.clone()));
    }

    fn fall_behind(&mut self) {
        (self.is_behind, self.skips) = (true, true);
    }

    /// Tells what was left out, when there is room for that and a packet of so many bytes; whether it goes on.
    fn catch_up(&mut self, live: &Live, bytes: usize) -> bool {
        let owed: usize = self.owed(live).map(IngestPacket::bytes).sum();
        if !self.has_room(CATCH_UP_ROOM, owed + bytes) {
            return false;
        }
        let was_told = std::mem::replace(&mut self.is_told, true);
        self.send(if was_told {
            Received::Lost
        } else {
            Received::Begun
        });
        self.is_behind = false;
        self.send_headers(live)
    }

    fn owed<'a>(&self, live: &'a Live) -> impl Iterator<Item = &'a IngestPacket> + use<'a> {
        let owed = live.headers().into_iter().zip(self.owes);
        owed.filter_map(|(header, is_owed)| header.filter(|_| is_owed))
    }

    /// Gives the headers that it has not got; whether there was room.
    fn send_headers(&mut self, live: &Live) -> bool {
        let bytes = self.owed(live).map(IngestPacket::bytes).sum();
        if !self.has_room(2, bytes) {
            return false;
        }
        for header in self.owed(live) {
            self.send(Received::Packet(header.clone()));
        }
        self.owes = [false; 2];
        true
    }

    fn has_room(&self, packets: usize, bytes: usize) -> bool {
        self.sender.len() + packets + ENDS <= READER_PACKETS_MAX
            && self.bytes.load(Relaxed) + bytes <= READER_BYTES_MAX
    }

    /// Puts something where it was seen that there is room: only who has the hub puts anything in.
    fn send(&self, what: Received) {
        self.bytes.fetch_add(what.bytes(), Relaxed);
        let _sent = self.sender.try_send(what);
    }
}

impl Received {
    fn bytes(&self) -> usize {
        match self {
            Self::Packet(packet) => packet.bytes(),
            Self::Begun | Self::Lost | Self::Gone => 0,
        }
    }
}

impl Publisher {
    /// Hands a packet to all who take it. Never waits.
    pub fn send(&self, packet: IngestPacket) {
        let mut inner = self.hub.lock();
        let (Some(live), readers) = inner.of(&self.key) else {
            return;
        };
        match &packet {
            IngestPacket::VideoHeader { .. } => live.video = Some(packet.clone()),
            IngestPacket::AudioHeader { .. } => live.audio = Some(packet.clone()),
            IngestPacket::Video { .. } | IngestPacket::Audio { .. } => {}
        }
        readers.for_each(|reader| reader.give(&packet, live));
    }

    /// Another connection goes on with it: its headers are to come, and what came before was broken off.
    pub fn resume(&self) {
        let mut inner = self.hub.lock();
        let (Some(live), readers) = inner.of(&self.key) else {
            return;
        };
        (live.video, live.audio) = (None, None);
        for reader in readers {
            reader.owes = [false; 2];
            reader.fall_behind();
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        inner.of(&self.key).1.for_each(Reader::end);
        inner.live.remove(&self.key);
        inner.begin();
    }
}

impl IngestReader {
    /// What comes next; `None` when nothing came for `timeout`.
    pub fn next(&self, timeout: Duration) -> Option<Received> {
        // The hub holds the other end of the way as long as this is there.
        let received = self.receiver.recv_timeout(timeout).ok()?;
        self.bytes.fetch_sub(received.bytes(), Relaxed);
        Some(received)
    }
}

impl Drop for IngestReader {
    fn drop(&mut self) {
        self.hub.lock().readers.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ingest::{IngestAudioCodec, IngestVideoCodec};

    fn video_header(byte: u8) -> IngestPacket {
        IngestPacket::VideoHeader {
            codec: IngestVideoCodec::H264,
            header: Bytes::from(vec![byte]),
        }
    }

    fn audio_header() -> IngestPacket {
        IngestPacket::AudioHeader {
            codec: IngestAudioCodec::Aac,
            header: Bytes::from_static(&[9]),
        }
    }

    fn picture(keyframe: bool, dts_ms: i64, bytes: usize) -> IngestPacket {
        IngestPacket::Video {
            dts_ms,
            composition_ms: 0,
            keyframe,
            data: vec![0; bytes].into(),
        }
    }

    fn sound(pts_ms: i64) -> IngestPacket {
        IngestPacket::Audio {
            pts_ms,
            data: Bytes::from_static(&[1]),
        }
    }

    /// What waits, each in a word.
    fn take(reader: &IngestReader) -> Vec<String> {
        let all = std::iter::from_fn(|| reader.next(Duration::ZERO));
        all.map(|received| match received {
            Received::Begun => "begun".to_owned(),
            Received::Lost => "lost".to_owned(),
            Received::Gone => "gone".to_owned(),
            Received::Packet(IngestPacket::VideoHeader { header, .. }) => format!("v{}", header[0]),
            Received::Packet(IngestPacket::AudioHeader { header, .. }) => format!("a{}", header[0]),
            Received::Packet(IngestPacket::Video {
                keyframe, dts_ms, ..
            }) => format!("{}{dts_ms}", if keyframe { "key" } else { "picture" }),
            Received::Packet(IngestPacket::Audio { pts_ms, .. }) => format!("sound{pts_ms}"),
        })
        .collect()
    }

    /// A publisher whose taker has all the packets that may wait, and lost some.
    fn full() -> (IngestHub, Publisher, IngestReader) {
        let hub = IngestHub::default();
        let reader = hub.read("studio");
        let publisher = hub.publish("1", "studio").expect("nobody else");
        publisher.send(video_header(1));
        publisher.send(audio_header());
        for index in 0..1000 {
            publisher.send(picture(index % 50 == 0, index, 10));
        }
        (hub, publisher, reader)
    }

    #[test]
    fn who_was_behind_is_told_and_goes_on_with_new_headers_and_a_keyframe() {
        let (_hub, publisher, reader) = full();
        publisher.send(video_header(2));
        let taken = take(&reader);
        assert_eq!(taken.len(), READER_PACKETS_MAX - ENDS);
        assert_eq!(taken[..4], ["begun", "v1", "a9", "key0"]);
        publisher.send(picture(false, 1001, 10));
        assert_eq!(take(&reader), [""; 0], "no picture without a keyframe");
        publisher.send(sound(1002));
        publisher.send(picture(false, 1003, 10));
        publisher.send(picture(true, 1004, 10));
        publisher.send(picture(false, 1005, 10));
        assert_eq!(
            take(&reader),
            ["lost", "v2", "sound1002", "key1004", "picture1005"]
        );
    }

    #[test]
    fn an_end_and_what_begins_after_it_are_told_however_far_behind_somebody_is() {
        let (hub, publisher, reader) = full();
        drop(publisher);
        for _ in 0..3 {
            let publisher = hub.publish("1", "studio").expect("nobody else");
            publisher.send(video_header(3));
            publisher.send(picture(true, 0, 10));
        }
        let publisher = hub.publish("1", "studio").expect("nobody else");
        publisher.send(video_header(4));
        let taken = take(&reader);
        assert_eq!(taken.len(), READER_PACKETS_MAX);
        assert_eq!(taken.last().expect("an end"), "gone");
        publisher.send(picture(true, 7, 10));
        assert_eq!(take(&reader), ["begun", "v4", "key7"]);
        drop(publisher);
        assert_eq!(take(&reader), ["gone"]);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes() {
        let hub = IngestHub::default();
        let reader = hub.read("1");
        let publisher = hub.publish("1", "").expect("nobody else");
        for index in 0..5 {
            publisher.send(picture(true, index, 7 << 20));
        }
        assert_eq!(reader.bytes.load(Relaxed), 14 << 20);
        assert_eq!(take(&reader), ["begun", "key0", "key1"]);
        assert_eq!(reader.bytes.load(Relaxed), 0);
        publisher.send(picture(true, 5, 7 << 20));
        assert_eq!(take(&reader), ["lost", "key5"]);
    }

    #[test]
    fn a_taker_takes_one_publisher_until_that_one_has_gone() {
        let hub = IngestHub::default();
        let reader = hub.read("studio");
        let [one, other] = ["1", "2"].map(|id| hub.publish(id, "studio").expect("nobody else"));
        other.send(video_header(2));
        one.send(picture(true, 1, 10));
        other.send(picture(true, 2, 10));
        assert_eq!(take(&reader), ["begun", "key1"]);
        drop(one);
        other.send(picture(true, 3, 10));
        assert_eq!(take(&reader), ["gone", "begun", "v2", "key3"]);
        // Its id comes before a name.
        let named = hub.publish("3", "2").expect("nobody else");
        named.send(sound(1));
        other.send(sound(2));
        assert_eq!(take(&hub.read("2")), ["begun", "v2"]);
    }

    #[test]
    fn headers_of_a_connection_that_broke_are_not_given_to_who_comes() {
        let hub = IngestHub::default();
        let early = hub.read("1");
        let publisher = hub.publish("1", "").expect("nobody else");
        publisher.send(video_header(1));
        publisher.send(picture(true, 1, 10));
        publisher.resume();
        let late = hub.read("1");
        publisher.send(audio_header());
        publisher.send(picture(false, 2, 10));
        publisher.send(sound(3));
        assert_eq!(
            take(&early),
            ["begun", "v1", "key1", "lost", "a9", "sound3"]
        );
        assert_eq!(take(&late), ["begun", "a9", "sound3"]);
    }
}
