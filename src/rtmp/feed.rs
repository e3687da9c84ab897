//! What players get: the last seconds of one stream in a ring, in which each player has a place and no queue of its own.
//!
//! Whoever puts messages in never waits. A player that is behind is brought to the newest keyframe. What is kept goes back to the last
//! keyframe, so that a player who comes has a picture and sound at once, and is bounded in bytes whatever a publisher sends.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

/// The most bytes that a feed keeps.
pub const FEED_BYTES_MAX: usize = 16 << 20;
/// The most messages that a feed keeps.
const MESSAGES_MAX: usize = 8192;
/// A player that is further behind is brought to the newest keyframe.
const BEHIND_MAX_MS: i64 = 4000;
/// A cached group of pictures that has not gone on for so long is of no use any more.
const STALE: Duration = Duration::from_secs(1);

/// What a message of a feed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `onMetaData`.
    Data,
    /// What a decoder of pictures must know.
    VideoHeader,
    /// What a decoder of sound must know.
    AudioHeader,
    /// A picture that a decoder can begin with.
    Key,
    /// Another picture.
    Picture,
    /// Sound.
    Sound,
}

/// A message for players.
#[derive(Clone, Debug)]
pub struct Media {
    /// What it is.
    pub kind: Kind,
    /// Milliseconds on the feed's clock, which never goes back.
    pub time_ms: i64,
    /// What the RTMP message carries.
    pub body: Bytes,
}

/// One stream for any number of players.
#[derive(Debug)]
pub struct Feed {
    ring: Mutex<Ring>,
    moved: watch::Sender<u64>,
    players: AtomicUsize,
}

#[derive(Debug, Default)]
struct Ring {
    kept: VecDeque<Media>,
    /// The number of the first that is kept.
    first: u64,
    bytes: usize,
    /// The number of the last keyframe, while a player can begin with it.
    key: Option<u64>,
    /// When the last picture came.
    picture_at: Option<Instant>,
    data: Option<Media>,
    video: Option<Media>,
    audio: Option<Media>,
    is_live: bool,
}

/// Where a player is. Dropping it takes the player off.
#[derive(Debug)]
pub struct Place {
    feed: Arc<Feed>,
    moved: watch::Receiver<u64>,
    next: u64,
    /// Whether headers come before anything else.
    wants_headers: bool,
    /// Whether everything is left out until the next keyframe.
    waits: bool,
    skips: u64,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            ring: Mutex::default(),
            moved: watch::Sender::new(0),
            players: AtomicUsize::new(0),
        }
    }
}

impl Feed {
    /// Begins, or begins again. What was kept is of another stream, and headers come anew.
    pub fn begin(&self) {
        let mut ring = self.lock();
        ring.key = None;
        (ring.data, ring.video, ring.audio) = (None, None, None);
        ring.is_live = true;
    }

    /// Ends: who plays it gets what is left, and hears of it.
    pub fn end(&self) {
        self.lock().is_live = false;
        self.moved.send_modify(|moves| *moves += 1);
    }

    /// Whether something comes.
    pub fn is_live(&self) -> bool {
        self.lock().is_live
    }

    /// How many play it.
    pub fn players(&self) -> usize {
        self.players.load(Relaxed)
    }

    /// Puts a message in. Never waits.
    pub fn push(&self, media: Media) {
        let mut ring = self.lock();
        ring.push(media);
        drop(ring);
        self.moved.send_modify(|moves| *moves += 1);
    }

    /// A place for one more player: at the last keyframe where `is_cached` and there is one, else before the next.
    pub fn join(self: &Arc<Self>, is_cached: bool) -> Place {
        let ring = self.lock();
        let is_fresh = ring.picture_at.is_some_and(|at| at.elapsed() < STALE);
        let key = ring.key.filter(|_| is_cached && is_fresh);
        let place = Place {
            feed: Arc::clone(self),
            moved: self.moved.subscribe(),
            next: key.unwrap_or(ring.first + ring.kept.len() as u64),
            wants_headers: true,
            waits: key.is_none(),
            skips: 0,
        };
        self.players.fetch_add(1, Relaxed);
        place
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, media: Media) {
        let number = self.first + self.kept.len() as u64;
        let header = match media.kind {
            Kind::Data => Some(&mut self.data),
            Kind::VideoHeader => Some(&mut self.video),
            Kind::AudioHeader => Some(&mut self.audio),
            Kind::Key => {
                self.key = Some(number);
                self.picture_at = Some(Instant::now());
                None
            }
            Kind::Picture => {
                self.picture_at = Some(Instant::now());
                None
            }
            Kind::Sound => None,
        };
        if let Some(header) = header {
            if media.kind == Kind::VideoHeader
                && header.as_ref().is_none_or(|old| old.body != media.body)
            {
                // What came before is not decoded by what this one says.
                self.key = None;
            }
            *header = Some(media.clone());
        }
        self.bytes += media.body.len();
        let newest_ms = media.time_ms;
        self.kept.push_back(media);
        // One group of pictures is kept, and a little more for who is behind.
        while let Some(oldest) = self.kept.front() {
            let is_heavy = self.bytes > FEED_BYTES_MAX || self.kept.len() > MESSAGES_MAX;
            let is_old = newest_ms - oldest.time_ms > BEHIND_MAX_MS
                && self.key.is_none_or(|key| self.first < key);
            if !is_heavy && !is_old {
                break;
            }
            self.bytes -= oldest.body.len();
            self.kept.pop_front();
            self.key = self.key.filter(|key| *key > self.first);
            self.first += 1;
        }
    }

    fn at(&self, number: u64) -> Option<&Media> {
        let index = number.checked_sub(self.first)?;
        self.kept.get(usize::try_from(index).ok()?)
    }
}

impl Place {
    /// Puts what is next into `taken`, about `bytes_max` of it; `false` when nothing will come any more.
    pub fn take(&mut self, taken: &mut Vec<Media>, bytes_max: usize) -> bool {
        let feed = Arc::clone(&self.feed);
        let ring = feed.lock();
        self.catch_up(&ring);
        let mut bytes = 0;
        while bytes < bytes_max {
            let Some(media) = ring.at(self.next) else {
                return ring.is_live || !taken.is_empty();
            };
            self.next += 1;
            if self.waits {
                // Where there are no pictures, sound does not wait for one.
                let is_start =
                    media.kind == Kind::Key || (media.kind == Kind::Sound && ring.video.is_none());
                if !is_start {
                    continue;
                }
                self.waits = false;
            }
            if std::mem::take(&mut self.wants_headers) {
                let headers = [&ring.data, &ring.video, &ring.audio];
                for header in headers.into_iter().flatten() {
                    bytes += header.body.len();
                    let time_ms = media.time_ms;
                    taken.push(Media {
                        time_ms,
                        ..header.clone()
                    });
                }
            }
            bytes += media.body.len();
            taken.push(media.clone());
        }
        true
    }

    /// Brings it to the newest keyframe when it is too far behind, or when what it needs is not kept any more.
    fn catch_up(&mut self, ring: &Ring) {
        let is_lost = self.next < ring.first;
        let newest_ms = ring.kept.back().map_or(0, |media| media.time_ms);
        let is_behind = ring
            .at(self.next)
            .is_some_and(|media| newest_ms - media.time_ms > BEHIND_MAX_MS);
        let key = ring.key.filter(|key| *key > self.next);
        match key {
            Some(key) if is_lost || is_behind => {
                self.next = key;
                self.waits = false;
            }
            None if is_lost => {
                self.next = ring.first + ring.kept.len() as u64;
                self.waits = true;
            }
            _ => return,
        }
        self.wants_headers = true;
        self.skips += 1;
    }

    /// Returns when something may have come.
    pub async fn moved(&mut self) {
        // The feed is held, so its end of the way is there.
        let _moved = self.moved.changed().await;
    }

    /// Whether it waits for the next keyframe.
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// How often something was left out.
    pub fn skips(&self) -> u64 {
        self.skips
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.feed.players.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(kind: Kind, time_ms: i64, bytes: usize) -> Media {
        Media {
            kind,
            time_ms,
            body: vec![0; bytes].into(),
        }
    }

    /// Two seconds a group: ten pictures and their sound a second, from `from_s` on.
    fn play(feed: &Feed, from_s: i64, seconds: i64, bytes: usize) {
        for index in from_s * 10..(from_s + seconds) * 10 {
            let kind = if index % 20 == 0 {
                Kind::Key
            } else {
                Kind::Picture
            };
            feed.push(media(kind, index * 100, bytes));
            feed.push(media(Kind::Sound, index * 100 + 50, 10));
        }
    }

    fn begun() -> Arc<Feed> {
        let feed = Arc::new(Feed::default());
        feed.begin();
        feed.push(media(Kind::VideoHeader, 0, 3));
        feed.push(media(Kind::AudioHeader, 0, 2));
        feed
    }

    fn take(place: &mut Place) -> Vec<(Kind, i64)> {
        let mut taken = Vec::new();
        place.take(&mut taken, usize::MAX);
        taken
            .iter()
            .map(|media| (media.kind, media.time_ms))
            .collect()
    }

    #[test]
    fn a_player_begins_at_the_last_keyframe_or_waits_for_the_next() {
        let feed = begun();
        play(&feed, 0, 5, 100);
        let (mut cached, mut waiting) = (feed.join(true), feed.join(false));
        let first = take(&mut cached);
        assert_eq!(
            first[..4],
            [
                (Kind::VideoHeader, 4000),
                (Kind::AudioHeader, 4000),
                (Kind::Key, 4000),
                (Kind::Sound, 4050)
            ]
        );
        assert_eq!(first.len(), 22);
        assert_eq!(take(&mut waiting), []);
        play(&feed, 5, 2, 100);
        assert_eq!(take(&mut waiting)[2], (Kind::Key, 6000));
        assert_eq!(take(&mut cached)[0], (Kind::Picture, 5000));
        assert_eq!(feed.players(), 2);
        drop((cached, waiting));
        assert_eq!(feed.players(), 0);
    }

    #[test]
    fn who_is_behind_is_brought_to_the_newest_keyframe() {
        let feed = begun();
        let mut place = feed.join(true);
        play(&feed, 0, 3, 100);
        assert_eq!(take(&mut place)[2], (Kind::Key, 0));
        play(&feed, 3, 8, 100);
        let taken = take(&mut place);
        assert_eq!(taken[0], (Kind::VideoHeader, 10_000));
        assert_eq!(taken[2], (Kind::Key, 10_000));
        assert_eq!(place.skips(), 1);
    }

    #[test]
    fn what_is_kept_is_bounded_by_bytes_and_by_time() {
        let feed = begun();
        play(&feed, 0, 60, 1000);
        assert!(feed.lock().kept.len() < 130, "about six seconds");
        // One group that never ends.
        for index in 0..100 {
            feed.push(media(Kind::Picture, 60_000 + index, 1 << 20));
            assert!(feed.lock().bytes <= FEED_BYTES_MAX);
        }
        assert_eq!(feed.lock().key, None);
        assert_eq!(take(&mut feed.join(true)), [], "it waits for a keyframe");
        for index in 0..20_000 {
            feed.push(media(Kind::Sound, 60_100, 0));
            assert!(feed.lock().kept.len() <= MESSAGES_MAX, "{index}");
        }
    }

    #[test]
    fn an_end_is_told_when_all_is_taken() {
        let feed = begun();
        play(&feed, 0, 1, 10);
        let mut place = feed.join(true);
        feed.end();
        let mut taken = Vec::new();
        assert!(place.take(&mut taken, usize::MAX));
        taken.clear();
        assert!(!place.take(&mut taken, usize::MAX));
    }

    #[test]
    fn another_header_makes_what_came_before_useless() {
        let feed = begun();
        play(&feed, 0, 1, 10);
        feed.push(media(Kind::VideoHeader, 1000, 3));
        assert!(feed.lock().key.is_some(), "the same again");
        feed.push(media(Kind::VideoHeader, 1000, 4));
        assert!(feed.lock().key.is_none());
    }
}
