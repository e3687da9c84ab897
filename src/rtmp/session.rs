//! One connection: its bytes in and out, its deadlines and its bounds. What its messages ask for is in `commands`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::channel::Channel;
use super::chunk::{ChunkError, ChunkReader, ChunkWriter, Message};
use super::feed::{Kind, Media, Place};
use super::table::Role;
use super::{Rtmp, handshake};
use crate::control::keys::AcceptedKey;
use crate::control::now_ms;

/// A peer has so long for the handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// A peer has so long to say what it wants.
const ASK_MAX: Duration = Duration::from_secs(20);
/// A peer has so long to take what is written.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// A peer that is refused has so long to read why.
const GOODBYE_MAX: Duration = Duration::from_secs(1);
/// A message before somebody may publish.
pub(super) const COMMAND_BYTES_MAX: usize = 64 << 10;
/// A message of a publisher: a keyframe of 8 MiB is one of 4K at 100 Mbit/s and more.
pub(super) const MEDIA_BYTES_MAX: usize = 8 << 20;
/// What is read at once.
const READ_BYTES: usize = 64 << 10;
/// What is taken from a feed at once.
const WRITE_BYTES: usize = 256 << 10;
/// A peer says that it has got so many bytes, whatever it was told.
const WINDOW_BYTES: u32 = 2_500_000;
/// Seconds of the bandwidth that may come at once.
const BURST_S: f64 = 2.0;
/// A peer that sends more than it may is read slower for so long, then let go.
const THROTTLED_MAX: Duration = Duration::from_secs(10);

/// A connection, as others see it.
#[derive(Debug)]
pub struct Session {
    /// Its number.
    pub id: u64,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Milliseconds since 1970 at which it came.
    pub since_ms: u64,
    /// Bytes that came from it.
    pub received: AtomicU64,
    /// Bytes that went to it.
    pub sent: AtomicU64,
    /// When it was last heard, on the server's clock.
    pub heard_ms: AtomicU64,
    role: Mutex<(Role, Option<String>)>,
    kicked: watch::Sender<Option<&'static str>>,
}

impl Session {
    /// One that has just come.
    pub fn new(id: u64, peer: SocketAddr) -> Self {
        Self {
            id,
            peer,
            since_ms: now_ms(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            heard_ms: AtomicU64::new(u64::MAX),
            role: Mutex::default(),
            kicked: watch::Sender::new(None),
        }
    }

    /// What it does, and with which stream.
    pub fn role(&self) -> (Role, Option<String>) {
        self.role
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn set_role(&self, role: Role, stream: Option<String>) {
        *self.role.lock().unwrap_or_else(PoisonError::into_inner) = (role, stream);
    }

    /// Lets it go.
    pub fn kick(&self, reason: &'static str) {
        self.kicked.send_replace(Some(reason));
    }
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The peer went.
    #[error("the client went")]
    Gone,
    /// The peer is done.
    #[error("the client is done")]
    Done,
    /// It was told why, and waits for nothing.
    #[error("{0}")]
    Refused(String),
    #[error("the client said nothing for too long")]
    Silent,
    #[error("the client does not read what is sent")]
    Stuck,
    #[error("the client sends more than RTMP_BANDWIDTH allows")]
    Bandwidth,
    #[error("the client speaks no RTMP: {0}")]
    Chunks(#[from] ChunkError),
    #[error("the connection failed: {0}")]
    Io(std::io::Error),
}

impl From<std::io::Error> for End {
    /// Players hang up while something is on its way to them.
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        match error.kind() {
            BrokenPipe | ConnectionReset | UnexpectedEof => Self::Gone,
            _ => Self::Io(error),
        }
    }
}

/// Somebody who publishes; dropping it ends that, at once or after the time of grace.
pub(super) struct Publishing {
    rtmp: Rtmp,
    session: Arc<Session>,
    pub(super) channel: Arc<Channel>,
    pub(super) is_clean: bool,
}

impl Publishing {
    pub(super) fn new(rtmp: &Rtmp, session: &Arc<Session>, channel: Arc<Channel>) -> Self {
        Self {
            rtmp: rtmp.clone(),
            session: Arc::clone(session),
            channel,
            is_clean: false,
        }
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        let is_clean = self.is_clean || self.session.kicked.borrow().is_some();
        let id = &self.channel.key.id;
        if let Some(channel) = self.rtmp.0.table.part(id, self.session.id, is_clean) {
            channel.feed.end();
            self.rtmp.tell("rtmp:unpublish", id, json!({"key": id}));
        }
    }
}

/// A connection at work.
pub(super) struct Conversation {
    pub(super) rtmp: Rtmp,
    pub(super) session: Arc<Session>,
    pub(super) reader: ChunkReader,
    pub(super) writer: ChunkWriter,
    /// What goes out next.
    pub(super) output: BytesMut,
    pub(super) publishing: Option<Publishing>,
    pub(super) playing: Option<Playing>,
    /// Of the query of the address that was connected to.
    pub(super) query: String,
    /// The key whose user and password were given when it connected.
    pub(super) login: Option<AcceptedKey>,
    /// The peer wants to hear of so many bytes.
    pub(super) window: u64,
    acknowledged: u64,
}

/// Somebody who watches.
pub(super) struct Playing {
    pub(super) place: Place,
    /// The time of the first message, which is nought for the player.
    start_ms: Option<i64>,
    last_ms: i64,
    skips: u64,
}

impl Playing {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            start_ms: None,
            last_ms: 0,
            skips: 0,
        }
    }
}

/// Talks with a peer until one of both goes.
pub(super) async fn converse(rtmp: &Rtmp, mut stream: TcpStream, session: &Arc<Session>) {
    let _set = stream.set_nodelay(true);
    session.heard_ms.store(rtmp.now_ms(), Relaxed);
    let mut kicked = session.kicked.subscribe();
    let mut conversation = Conversation {
        rtmp: rtmp.clone(),
        session: Arc::clone(session),
        reader: ChunkReader::new(COMMAND_BYTES_MAX),
        writer: ChunkWriter::default(),
        output: BytesMut::new(),
        publishing: None,
        playing: None,
        query: String::new(),
        login: None,
        window: u64::from(WINDOW_BYTES),
        acknowledged: 0,
    };
    let end = tokio::select! {
        end = conversation.run(&mut stream) => end,
        _ = kicked.wait_for(Option::is_some) => Err(End::Done),
    };
    let (role, name) = session.role();
    drop(conversation);
    if role == Role::Player {
        let name = name.unwrap_or_default();
        let data = json!({"id": session.id.to_string(), "stream": name});
        rtmp.tell_seldom("rtmp:stop", &name, data);
    }
    let Err(end) = end else {
        return;
    };
    let peer = session.peer;
    match &end {
        End::Gone | End::Done => tracing::debug!(%peer, session = session.id, "{end}"),
        End::Refused(_) => {}
        _ => {
            rtmp.0.counts.errors.fetch_add(1, Relaxed);
            tracing::debug!(%peer, session = session.id, "{end}");
            if matches!(end, End::Bandwidth) {
                rtmp.refuse(peer.ip(), &end.to_string());
            }
        }
    }
}

impl Conversation {
    async fn run(&mut self, stream: &mut TcpStream) -> Result<(), End> {
        timeout(HANDSHAKE_MAX, handshake::shake(stream))
            .await
            .map_err(|_| End::Silent)??;
        let data =
            json!({"id": self.session.id.to_string(), "address": self.session.peer.to_string()});
        let id = self.session.id.to_string();
        self.rtmp.tell_seldom("rtmp:connected", &id, data);
        let end = self.talk(stream).await;
        if let Err(End::Refused(_) | End::Done) = &end {
            // What is said last must arrive: bytes that were not read would tear the connection down before.
            let goodbye = async {
                stream.write_all(&self.output).await?;
                stream.shutdown().await?;
                let mut rest = vec![0; READ_BYTES];
                while stream.read(&mut rest).await? > 0 {}
                std::io::Result::Ok(())
            };
            let _said = timeout(GOODBYE_MAX, goodbye).await;
        }
        end
    }

    async fn talk(&mut self, stream: &mut TcpStream) -> Result<(), End> {
        let (mut read, mut write) = stream.split();
        let mut input = BytesMut::with_capacity(READ_BYTES);
        let mut batch = Vec::new();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut seconds = 0u64;
        let mut throttle = Throttle::new(self.rtmp.0.options.bytes_per_second);
        loop {
            let has_more = self.fill(&mut batch)?;
            if !self.output.is_empty() {
                timeout(WRITE_MAX, write.write_all(&self.output))
                    .await
                    .map_err(|_| End::Stuck)??;
                let bytes = self.output.len() as u64;
                self.session.sent.fetch_add(bytes, Relaxed);
                self.rtmp.0.counts.sent.fetch_add(bytes, Relaxed);
                self.output.clear();
                if self.output.capacity() > 2 * WRITE_BYTES {
                    self.output = BytesMut::new();
                }
            }
            let playing = self.playing.as_mut();
            let is_playing = playing.is_some();
            let moved = async {
                if let Some(playing) = playing {
                    playing.place.moved().await;
                }
            };
            tokio::select! {
                bytes = async { input.reserve(READ_BYTES); read.read_buf(&mut input).await } => {
                    let bytes = bytes?;
                    if bytes == 0 {
                        return Err(End::Gone);
                    }
                    self.heard(bytes as u64);
                    while let Some(message) = self.reader.next(&mut input)? {
                        self.message(message).await?;
                    }
                    if let Some(pause) = throttle.take(bytes, Instant::now())? {
                        tokio::time::sleep(pause).await;
                    }
                }
                () = moved, if is_playing && !has_more => {}
                () = std::future::ready(()), if has_more => {}
                _ = second.tick() => {
                    seconds += 1;
                    self.each_second(seconds)?;
                }
            }
        }
    }

    fn heard(&mut self, bytes: u64) {
        self.session.heard_ms.store(self.rtmp.now_ms(), Relaxed);
        let received = self.session.received.fetch_add(bytes, Relaxed) + bytes;
        self.rtmp.0.counts.received.fetch_add(bytes, Relaxed);
        if received - self.acknowledged >= self.window / 2 {
            self.acknowledged = received;
            // 32 bits, which begin again.
            self.control(3, &(received as u32).to_be_bytes());
        }
    }

    fn each_second(&mut self, seconds: u64) -> Result<(), End> {
        let options = &self.rtmp.0.options;
        let heard_ms = self.session.heard_ms.load(Relaxed);
        let silent = Duration::from_millis(self.rtmp.now_ms().saturating_sub(heard_ms));
        let is_busy = self.publishing.is_some() || self.playing.is_some();
        if silent >= options.ping_timeout || (!is_busy && seconds > ASK_MAX.as_secs()) {
            return Err(End::Silent);
        }
        if seconds.is_multiple_of(options.ping.as_secs().max(1)) {
            let now_ms = self.rtmp.now_ms() as u32;
            self.user_control(6, now_ms);
        }
        Ok(())
    }

    /// Takes what is next for a player; whether there is more.
    fn fill(&mut self, batch: &mut Vec<Media>) -> Result<bool, End> {
        let Some(playing) = &mut self.playing else {
            return Ok(false);
        };
        batch.clear();
        let goes_on = playing.place.take(batch, WRITE_BYTES);
        let skips = playing.place.skips();
        let skipped = skips - std::mem::replace(&mut playing.skips, skips);
        self.rtmp.0.counts.skips.fetch_add(skipped, Relaxed);
        let mut bytes = 0;
        for media in batch.drain(..) {
            let start_ms = *playing.start_ms.get_or_insert(media.time_ms);
            let time_ms = media.time_ms - start_ms;
            playing.last_ms = time_ms.max(0);
            bytes += media.body.len();
            let (id, kind) = match media.kind {
                Kind::Data => (4, 18),
                Kind::VideoHeader | Kind::Key | Kind::Picture => (6, 9),
                Kind::AudioHeader | Kind::Sound => (5, 8),
            };
            let message = Message {
                kind,
                stream: 1,
                // 32 bits, which begin again after 49 days.
                time_ms: playing.last_ms as u32,
                body: media.body,
            };
            self.writer.write(id, &message, &mut self.output);
        }
        if !goes_on {
            self.status(
                "status",
                "NetStream.Play.UnpublishNotify",
                "the stream has ended",
            );
            self.user_control(1, 1);
            return Err(End::Done);
        }
        Ok(bytes >= WRITE_BYTES)
    }

    /// Writes a message of the protocol itself.
    pub(super) fn control(&mut self, kind: u8, body: &[u8]) {
        let message = Message {
            kind,
            stream: 0,
            time_ms: 0,
            body: Bytes::copy_from_slice(body),
        };
        self.writer.write(2, &message, &mut self.output);
    }

    /// Writes a user control message with one number.
    pub(super) fn user_control(&mut self, event: u16, number: u32) {
        let mut body = BytesMut::with_capacity(6);
        body.put_u16(event);
        body.put_u32(number);
        self.control(4, &body);
    }
}

/// Reads a peer no faster than it may send.
struct Throttle {
    rate: f64,
    left: f64,
    at: Instant,
    since: Option<Instant>,
}

impl Throttle {
    fn new(rate: f64) -> Self {
        Self {
            rate,
            left: rate * BURST_S,
            at: Instant::now(),
            since: None,
        }
    }

    /// Notes bytes that came: how long to wait before more are read.
    fn take(&mut self, bytes: usize, now: Instant) -> Result<Option<Duration>, End> {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        self.left = (self.left + gained).min(self.rate * BURST_S);
        self.at = now;
        if self.left > self.rate * BURST_S / 2.0 {
            self.since = None;
        }
        self.left -= bytes as f64;
        if self.left >= 0.0 {
            return Ok(None);
        }
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) > THROTTLED_MAX {
            return Err(End::Bandwidth);
        }
        Ok(Some(Duration::from_secs_f64(-self.left / self.rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_sends_too_much_is_slowed_and_then_let_go() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(1000.0);
        throttle.at = now;
        assert_eq!(throttle.take(2000, now).expect("a burst"), None);
        let mut read = 2000.0;
        let start = now;
        let end = loop {
            match throttle.take(500, now) {
                Ok(pause) => now += pause.unwrap_or_default(),
                Err(end) => break end,
            }
            read += 500.0;
        };
        assert!(matches!(end, End::Bandwidth));
        let seconds = (now - start).as_secs_f64();
        assert!((9.0..12.0).contains(&seconds), "{seconds}");
        assert!(read <= 2000.0 + 1000.0 * seconds + 500.0, "{read}");
        // One that keeps to it is never let go.
        let mut throttle = Throttle::new(1000.0);
        throttle.at = now;
        for _ in 0..100 {
            now += Duration::from_millis(500);
            assert_eq!(throttle.take(450, now).expect("good"), None);
        }
    }
}
