//! Who is connected, and who publishes what.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use super::channel::Channel;
use super::session::Session;
use crate::control::keys::AcceptedKey;
use crate::ingest::IngestHub;

/// What a connection does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Nothing yet.
    #[default]
    Connecting,
    /// It sends a stream.
    Publisher,
    /// It watches one.
    Player,
}

/// A connection in the list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionEntry {
    /// A number from 1 on, by which the API names it; none is used twice in a run.
    pub id: String,
    /// What it does.
    pub kind: Role,
    /// What is sent or watched: `program`, or the `id` of a key; `null` until that is known.
    pub stream: Option<String>,
    /// The address and port that it comes from.
    pub address: String,
    /// Bytes that came from it.
    pub received: u64,
    /// Bytes that went to it.
    pub sent: u64,
    /// Milliseconds since 1970 (UTC) at which it connected.
    pub since: u64,
    /// Codecs of a publisher's stream: `h264`, `aac`.
    pub codecs: Vec<String>,
}

/// All of it.
#[derive(Debug)]
pub struct Table {
    hub: IngestHub,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    sessions: BTreeMap<u64, Arc<Session>>,
    /// By the `id` of the key.
    channels: HashMap<String, Held>,
}

#[derive(Debug)]
struct Held {
    channel: Arc<Channel>,
    /// Who publishes; `None` while a publisher that was lost is waited for.
    holder: Option<Arc<Session>>,
    lost_at: Instant,
}

/// How somebody came to publish.
#[derive(Debug)]
pub enum Joined {
    /// As the first.
    New(Arc<Channel>),
    /// In the place of a connection that was lost.
    Resumed(Arc<Channel>),
    /// Not at all: somebody does.
    Busy,
}

impl Table {
    /// Nobody is there.
    pub fn new(hub: IngestHub) -> Self {
        Self {
            hub,
            inner: Mutex::default(),
        }
    }

    /// One more connection; `None` when there are too many.
    pub fn admit(
        &self,
        peer: SocketAddr,
        most: usize,
        most_of_address: usize,
    ) -> Option<Arc<Session>> {
        let mut inner = self.lock();
        let sessions = &inner.sessions;
        let of_address = sessions
            .values()
            .filter(|session| session.peer.ip() == peer.ip());
        if sessions.len() >= most || of_address.count() >= most_of_address {
            return None;
        }
        inner.last += 1;
        let session = Arc::new(Session::new(inner.last, peer));
        inner.sessions.insert(session.id, Arc::clone(&session));
        Some(session)
    }

    /// A connection is gone.
    pub fn leave(&self, id: u64) {
        self.lock().sessions.remove(&id);
    }

    /// `session` publishes with `key`: as the first, or in the place of one that was lost, or is silent for `grace`.
    pub fn join(
        &self,
        key: &AcceptedKey,
        session: &Arc<Session>,
        now_ms: u64,
        grace: Duration,
    ) -> Joined {
        let mut inner = self.lock();
        if let Some(held) = inner.channels.get_mut(&key.id) {
            if let Some(holder) = &held.holder {
                let silent_ms = now_ms.saturating_sub(holder.heard_ms.load(Relaxed));
                if u128::from(silent_ms) <= grace.as_millis() {
                    return Joined::Busy;
                }
                holder.kick("another connection took its place");
            }
            held.holder = Some(Arc::clone(session));
            held.channel.resume();
            return Joined::Resumed(Arc::clone(&held.channel));
        }
        let Ok(publisher) = self.hub.publish(&key.id, &key.name) else {
            return Joined::Busy;
        };
        let channel = Arc::new(Channel::new(key.clone(), publisher));
        let held = Held {
            channel: Arc::clone(&channel),
            holder: Some(Arc::clone(session)),
            lost_at: Instant::now(),
        };
        inner.channels.insert(key.id.clone(), held);
        Joined::New(channel)
    }

    /// `session` publishes no more. Where it did not say goodbye it is waited for. The channel when it has ended.
    pub fn part(&self, key: &str, session: u64, is_clean: bool) -> Option<Arc<Channel>> {
        let mut inner = self.lock();
        let held = inner.channels.get_mut(key)?;
        if held
            .holder
            .as_ref()
            .is_none_or(|holder| holder.id != session)
        {
            return None;
        }
        if is_clean {
            return inner.channels.remove(key).map(|held| held.channel);
        }
        held.holder = None;
        held.lost_at = Instant::now();
        None
    }

    /// Ends a channel, and lets who publishes into it go.
    pub fn drop_channel(&self, key: &str) -> Option<Arc<Channel>> {
        let held = self.lock().channels.remove(key)?;
        if let Some(holder) = held.holder {
            holder.kick("its key is gone");
        }
        Some(held.channel)
    }

    /// Channels whose publishers did not come back in time: they have ended.
    pub fn expire(&self, grace: Duration) -> Vec<(String, Arc<Channel>)> {
        let mut inner = self.lock();
        let is_over =
            |_: &String, held: &mut Held| held.holder.is_none() && held.lost_at.elapsed() >= grace;
        let over = inner.channels.extract_if(is_over);
        over.map(|(id, held)| (id, held.channel)).collect()
    }

    /// What is published with a key, by its `id` or its name.
    pub fn channel(&self, name: &str) -> Option<Arc<Channel>> {
        let inner = self.lock();
        let held = inner.channels.get(name).or_else(|| {
            let mut channels = inner.channels.values();
            channels.find(|held| !name.is_empty() && held.channel.key.name == name)
        });
        held.map(|held| Arc::clone(&held.channel))
    }

    /// The `id`s of the keys with which somebody publishes.
    pub fn publishing(&self) -> Vec<String> {
        self.lock().channels.keys().cloned().collect()
    }

    /// A connection.
    pub fn session(&self, id: u64) -> Option<Arc<Session>> {
        self.lock().sessions.get(&id).cloned()
    }

    /// Lets everybody go.
    pub fn kick_all(&self, reason: &'static str) {
        for session in self.lock().sessions.values() {
            session.kick(reason);
        }
    }

    /// Connections, publishers and players.
    pub fn numbers(&self) -> (usize, usize, usize) {
        let inner = self.lock();
        let count = |role| {
            let sessions = inner.sessions.values();
            sessions.filter(|session| session.role().0 == role).count()
        };
        (
            inner.sessions.len(),
            count(Role::Publisher),
            count(Role::Player),
        )
    }

    /// Every connection, the oldest first.
    pub fn list(&self) -> Vec<SessionEntry> {
        let inner = self.lock();
        let entry = |session: &Arc<Session>| {
            let (kind, stream) = session.role();
            let channel = stream.as_ref().and_then(|id| inner.channels.get(id));
            let codecs = channel.map(|held| held.channel.codecs());
            SessionEntry {
                id: session.id.to_string(),
                kind,
                stream,
                address: session.peer.to_string(),
                received: session.received.load(Relaxed),
                sent: session.sent.load(Relaxed),
                since: session.since_ms,
                codecs: codecs
                    .unwrap_or_default()
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
            }
        };
        inner.sessions.values().map(entry).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
