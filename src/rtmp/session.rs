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
use super::playing::{Next, Playing, WRITE_BYTES};
use super::table::Role;
use super::throttle::Throttle;
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
/// What either side may send before the other says that it has got it.
pub(super) const WINDOW_BYTES: u32 = 2_500_000;

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
    /// It is let go, and told why.
    #[error("the client is let go: {0}")]
    Kicked(&'static str),
    /// It was told why, and waits for nothing.
    #[error("{0}")]
    Refused(String),
    #[error("the client said nothing for too long")]
    Silent,
    #[error("the client does not read what is sent")]
    Stuck,
    #[error("the client sends more than it may (a publisher, RTMP_BANDWIDTH)")]
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
    /// Whether hands were shaken, so that messages may be written.
    is_met: bool,
    asking: Asking,
}

/// How long a peer has not said what it wants.
#[derive(Debug, Default)]
struct Asking {
    /// Seconds since it came, or published or played last.
    idle_s: u64,
}

impl Asking {
    /// Notes a second more; whether it goes on.
    fn second(&mut self, is_busy: bool) -> bool {
        self.idle_s = if is_busy { 0 } else { self.idle_s + 1 };
        self.idle_s <= ASK_MAX.as_secs()
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
        is_met: false,
        asking: Asking::default(),
    };
    let reason = async {
        kicked
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|kicked| *kicked)
    };
    let end = tokio::select! {
        end = conversation.run(&mut stream) => end,
        reason = reason => Err(End::Kicked(reason.unwrap_or_default())),
    };
    conversation.stop_playing();
    drop(conversation.publishing.take());
    let Err(end) = end else {
        return;
    };
    conversation.say_goodbye(&mut stream, &end).await;
    let peer = session.peer;
    match &end {
        End::Gone | End::Done => tracing::debug!(%peer, session = session.id, "{end}"),
        End::Kicked(_) => tracing::info!(%peer, session = session.id, "{end}"),
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
        self.is_met = true;
        self.talk(stream).await
    }

    /// Tells a peer that it is let go. What is said last must arrive: bytes that were not read would tear the connection down before.
    async fn say_goodbye(&mut self, stream: &mut TcpStream, end: &End) {
        match end {
            End::Kicked(reason) if self.is_met => {
                self.status("error", "NetConnection.Connect.Closed", reason);
            }
            End::Refused(_) | End::Done => {}
            _ => return,
        }
        let goodbye = async {
            stream.write_all_buf(&mut self.output).await?;
            stream.shutdown().await?;
            let mut rest = vec![0; READ_BYTES];
            while stream.read(&mut rest).await? > 0 {}
            std::io::Result::Ok(())
        };
        let _said = timeout(GOODBYE_MAX, goodbye).await;
    }

    /// Ends what it watches.
    pub(super) fn stop_playing(&mut self) {
        if self.playing.take().is_none() {
            return;
        }
        let (_, stream) = self.session.role();
        self.session.set_role(Role::Connecting, None);
        let stream = stream.unwrap_or_default();
        let data = json!({"id": self.session.id.to_string(), "stream": stream});
        self.rtmp.tell_seldom("rtmp:stop", &stream, data);
    }

    async fn talk(&mut self, stream: &mut TcpStream) -> Result<(), End> {
        let (mut read, mut write) = stream.split();
        let mut input = BytesMut::with_capacity(READ_BYTES);
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut seconds = 0u64;
        let mut throttle = Throttle::new(self.rtmp.0.options.bytes_per_second, Instant::now());
        loop {
            let has_more = self.fill()?;
            if !self.output.is_empty() {
                let bytes = self.output.len() as u64;
                // What is written is taken out of it, also when this is ended in the middle.
                timeout(WRITE_MAX, write.write_all_buf(&mut self.output))
                    .await
                    .map_err(|_| End::Stuck)??;
                self.session.sent.fetch_add(bytes, Relaxed);
                self.rtmp.0.counts.sent.fetch_add(bytes, Relaxed);
                if self.output.capacity() > 4 * WRITE_BYTES {
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
                        let bytes = message.body.len();
                        self.message(message).await?;
                        throttle.set_publishing(self.publishing.is_some());
                        if let Some(pause) = throttle.take_message(bytes, Instant::now())? {
                            tokio::time::sleep(pause).await;
                        }
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
        if !self.asking.second(is_busy) || silent >= options.ping_timeout {
            return Err(End::Silent);
        }
        if seconds.is_multiple_of(options.ping.as_secs().max(1)) {
            let now_ms = self.rtmp.now_ms() as u32;
            self.user_control(6, now_ms);
        }
        Ok(())
    }

    /// Writes what is next for a player; whether there is more.
    fn fill(&mut self) -> Result<bool, End> {
        let Some(playing) = &mut self.playing else {
            return Ok(false);
        };
        let next = playing.fill(self.writer, &mut self.output);
        let skipped = playing.skipped();
        self.rtmp.0.counts.skips.fetch_add(skipped, Relaxed);
        if next == Next::End {
            self.status(
                "status",
                "NetStream.Play.UnpublishNotify",
                "the stream has ended",
            );
            self.user_control(1, 1);
            return Err(End::Done);
        }
        Ok(next == Next::More)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stops_publishing_may_ask_for_something_else_for_as_long_as_who_came() {
        let mut asking = Asking::default();
        assert!((0..15).all(|_| asking.second(false)));
        assert!((0..100).all(|_| asking.second(true)), "it publishes");
        let seconds = (0..100).take_while(|_| asking.second(false)).count();
        assert_eq!(seconds as u64, ASK_MAX.as_secs());
    }
}
