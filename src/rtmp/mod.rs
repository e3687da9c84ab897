//! The RTMP server: publishers send to `/live/<key>`, players watch `/live/program` and what publishers send.
//!
//! ```text
//! publisher --chunks--> session --> channel --> IngestHub --> decoders
//!                                        \----> feed --> session --> player
//! encoder --packets--> program --------------> feed --> session --> player
//! ```
//!
//! One task a connection, on the runtime of the servers. Nothing here waits for a player, and no player makes anything grow: a feed is a ring
//! in which players have places. The wire is our own (`amf`, `chunk`, `flv`), with a bound on all that a peer may make large, since a peer
//! sends most of it before anybody knows who it is. Keys and tokens are in no log, event, error or metric.

pub mod amf;
mod channel;
pub mod chunk;
mod commands;
pub mod feed;
pub mod flv;
mod handshake;
mod keyframes;
mod login;
mod offered;
mod playing;
mod program;
mod session;
mod table;
mod throttle;
mod wrong_keys;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

pub use program::Program;
pub use table::{Role, SessionEntry};

use crate::config::Settings;
use crate::control::keys::KeyStore;
use crate::control::{Event, Station, Viewers};
use crate::ingest::IngestHub;
use table::Table;
use wrong_keys::WrongKeys;

/// After the system gave no connection, the next try.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// How often it is looked for publishers that do not come back, and for keys that are gone.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looks from one for keys that are gone to the next.
const KEY_LOOKS: u32 = 8;
/// Events a second that anybody can cause by connecting.
const EVENTS_PER_SECOND: u32 = 10;

/// What the server is held to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether players begin at the last keyframe.
    pub gop_cache: bool,
    /// Bytes of the pieces that go out.
    pub chunk_size: usize,
    /// From one ping to the next.
    pub ping: Duration,
    /// A peer that is silent for so long is let go.
    pub ping_timeout: Duration,
    /// Connections at a time.
    pub connections: usize,
    /// Connections of one address at a time.
    pub address_connections: usize,
    /// Bytes a second that a peer may send.
    pub bytes_per_second: f64,
    /// How long a publisher that was lost is waited for.
    pub grace: Duration,
}

impl From<&Settings> for Options {
    fn from(settings: &Settings) -> Self {
        Self {
            gop_cache: settings.gop_cache,
            chunk_size: settings.chunk_size,
            ping: settings.ping,
            ping_timeout: settings.ping_timeout,
            connections: settings.rtmp_connections,
            address_connections: settings.rtmp_address_connections,
            bytes_per_second: f64::from(settings.rtmp_bandwidth_kbps) * 125.0,
            grace: settings.rtmp_grace,
        }
    }
}

/// What is counted over all connections.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections that were taken.
    pub connections: AtomicU64,
    /// Connections that ended by an error, or were let go.
    pub errors: AtomicU64,
    /// Publishers, players and connections that were refused.
    pub refused: AtomicU64,
    /// Bytes that came.
    pub received: AtomicU64,
    /// Bytes that went.
    pub sent: AtomicU64,
    /// Times that players were brought to a keyframe since they were behind.
    pub skips: AtomicU64,
    /// Publishers that came back within the time of grace.
    pub resumed: AtomicU64,
    /// Bytes that came and went in the last second.
    pub bytes_per_second: AtomicU64,
    /// Events that were left out.
    pub events_left_out: AtomicU64,
}

/// The server. Cheap to copy.
#[derive(Clone)]
pub struct Rtmp(Arc<Inner>);

struct Inner {
    options: Options,
    station: Station,
    keys: KeyStore,
    program: Program,
    viewers: Viewers,
    token: Option<String>,
    table: Table,
    counts: Counts,
    wrong: WrongKeys,
    login: login::Login,
    keyframes: keyframes::Keyframes,
    /// Events that may still be told in this second.
    events_left: AtomicU64,
    started: Instant,
}

impl Rtmp {
    /// A server that nobody reaches yet.
    pub fn new(
        settings: &Settings,
        station: Station,
        keys: KeyStore,
        hub: IngestHub,
        program: Program,
    ) -> Self {
        let token = settings.api_token.as_ref();
        let viewers = station.viewers().clone();
        Self(Arc::new(Inner {
            options: settings.into(),
            station,
            keys,
            program,
            viewers,
            token: token.map(|token| token.reveal().to_owned()),
            table: Table::new(hub),
            counts: Counts::default(),
            wrong: WrongKeys::new(Instant::now()),
            login: login::Login::new(),
            keyframes: keyframes::Keyframes::default(),
            events_left: AtomicU64::new(u64::from(EVENTS_PER_SECOND)),
            started: Instant::now(),
        }))
    }

    /// Serves who comes to `listener` until `stop` is done.
    pub async fn serve(self, listener: Arc<TcpListener>, stop: impl Future<Output = ()> + Send) {
        tokio::select! {
            () = stop => {}
            () = self.accept(&listener) => {}
            () = self.look() => {}
        }
        self.0.table.kick_all("the program ends");
    }

    async fn accept(&self, listener: &TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.take(stream, peer),
                Err(error) => {
                    // No more descriptors, most likely; some will come free.
                    tracing::debug!(%error, "no RTMP connection could be taken");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr) {
        self.0.counts.connections.fetch_add(1, Relaxed);
        let options = &self.0.options;
        let admitted = self
            .0
            .table
            .admit(peer, options.connections, options.address_connections);
        let Some(session) = admitted else {
            self.refuse(peer.ip(), "too many connections");
            return;
        };
        let rtmp = self.clone();
        tokio::spawn(async move {
            session::converse(&rtmp, stream, &session).await;
            rtmp.0.table.leave(session.id);
        });
    }

    /// Lets publishers go that do not come back, and those whose key is gone; measures once a second.
    async fn look(&self) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        let (mut looks, mut bytes) = (0u32, 0u64);
        loop {
            every.tick().await;
            looks = looks.wrapping_add(1);
            for (id, channel) in self.0.table.expire(self.0.options.grace) {
                channel.feed.end();
                self.tell("rtmp:unpublish", &id, json!({"key": id}));
            }
            if self.0.keyframes.is_due(Instant::now()) {
                self.request_keyframe();
            }
            self.0.viewers.set_rtmp(self.0.program.feed().players());
            if looks.is_multiple_of(4) {
                let counts = &self.0.counts;
                let now = counts.received.load(Relaxed) + counts.sent.load(Relaxed);
                counts
                    .bytes_per_second
                    .store(now.saturating_sub(bytes), Relaxed);
                bytes = now;
                self.0
                    .events_left
                    .store(u64::from(EVENTS_PER_SECOND), Relaxed);
            }
            if looks.is_multiple_of(KEY_LOOKS) {
                let publishing = self.0.table.publishing();
                let keys = self.0.keys.clone();
                let look = move || {
                    let gone = publishing.into_iter().filter(|id| !keys.contains(id));
                    gone.collect::<Vec<String>>()
                };
                for id in tokio::task::spawn_blocking(look).await.unwrap_or_default() {
                    self.kick_key(&id);
                }
            }
        }
    }

    /// Every connection, the oldest first.
    pub fn sessions(&self) -> Vec<SessionEntry> {
        self.0.table.list()
    }

    /// Lets a connection go; `false` when there is none of this name.
    pub fn kick(&self, id: &str) -> bool {
        let session = id.parse().ok().and_then(|id| self.0.table.session(id));
        session
            .inspect(|session| session.kick("the operator has closed it"))
            .is_some()
    }

    /// Lets the publisher of a key go, whose key is gone.
    pub fn kick_key(&self, id: &str) {
        if let Some(channel) = self.0.table.drop_channel(id) {
            channel.feed.end();
            self.tell("rtmp:unpublish", id, json!({"key": id}));
        }
    }

    /// A player of the program waits for a keyframe.
    fn want_keyframe(&self) {
        self.0.keyframes.want();
        if self.0.keyframes.is_due(Instant::now()) {
            self.request_keyframe();
        }
    }

    fn request_keyframe(&self) {
        if let Some(streaming) = self.0.station.streaming() {
            streaming.request_keyframe();
        }
    }

    /// What is counted.
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Connections, publishers and players now.
    pub fn numbers(&self) -> (usize, usize, usize) {
        self.0.table.numbers()
    }

    fn tell(&self, kind: &'static str, subject: &str, data: Value) {
        self.0.station.tell(Event::about(kind, subject, data));
    }

    /// Tells what anybody can cause, so often at most.
    fn tell_seldom(&self, kind: &'static str, subject: &str, data: Value) {
        let left = &self.0.events_left;
        if left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .is_ok()
        {
            self.tell(kind, subject, data);
        } else {
            self.0.counts.events_left_out.fetch_add(1, Relaxed);
        }
    }

    fn refuse(&self, address: IpAddr, reason: &str) {
        self.0.counts.refused.fetch_add(1, Relaxed);
        tracing::debug!(%address, reason, "an RTMP client is refused");
        let data = json!({"address": address.to_string(), "reason": reason});
        self.tell_seldom("rtmp:refused", &address.to_string(), data);
    }

    /// Milliseconds since the server was made.
    fn now_ms(&self) -> u64 {
        self.0.started.elapsed().as_millis() as u64
    }
}
