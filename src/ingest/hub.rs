//! Who publishes now, and who takes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::IngestPacket;

/// Packets that may wait for one taker: over 5 s of pictures at 60 a second and their sound.
const READER_PACKETS_MAX: usize = 640;

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
    live: HashMap<String, Live>,
    /// Takers by number, whether what they take is there or not.
    readers: HashMap<u64, Reader>,
}

#[derive(Debug)]
struct Live {
    name: String,
    video: Option<IngestPacket>,
    audio: Option<IngestPacket>,
}

#[derive(Debug)]
struct Reader {
    key: String,
    sender: Sender<Received>,
    /// Whether packets are left out until the next keyframe.
    skips: bool,
}

/// What a taker gets.
#[derive(Clone, Debug)]
pub enum Received {
    /// A publisher is there; its headers come next.
    Begun,
    /// A packet.
    Packet(IngestPacket),
    /// Packets were lost, since the taker was behind; a keyframe comes next.
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
        inner.tell(id, &Received::Begun);
        Ok(Publisher {
            hub: self.clone(),
            key: id.to_owned(),
        })
    }

    /// Takes what is published with a key, by its `id` or its name.
    pub fn read(&self, key: &str) -> IngestReader {
        let (sender, receiver) = bounded(READER_PACKETS_MAX);
        let mut inner = self.lock();
        inner.next += 1;
        let number = inner.next;
        let found = inner
            .live
            .iter()
            .find(|(id, live)| *id == key || live.name == key);
        if let Some((_, live)) = found {
            // A new way has room for these.
            let _sent = sender.try_send(Received::Begun);
            for header in live.video.iter().chain(&live.audio) {
                let _sent = sender.try_send(Received::Packet(header.clone()));
            }
        }
        let reader = Reader {
            key: key.to_owned(),
            sender,
            skips: true,
        };
        inner.readers.insert(number, reader);
        IngestReader {
            hub: self.clone(),
            number,
            receiver,
        }
    }

    /// The `id`s of the keys with which somebody publishes now.
    pub fn live(&self) -> Vec<String> {
        self.lock().live.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Tells all who take what the key's publisher sends. Never waits.
    fn tell(&mut self, id: &str, what: &Received) {
        let name = self.live.get(id).map(|live| live.name.clone());
        let takes = |key: &str| key == id || name.as_deref() == Some(key);
        for reader in self
            .readers
            .values_mut()
            .filter(|reader| takes(&reader.key))
        {
            reader.give(what);
        }
    }
}

impl Reader {
    fn give(&mut self, what: &Received) {
        if let Received::Packet(IngestPacket::Video { keyframe, .. }) = what {
            if self.skips && !keyframe {
                return;
            }
            self.skips = false;
        }
        match self.sender.try_send(what.clone()) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => self.skips = true,
        }
    }
}

impl Publisher {
    /// Hands a packet to all who take it. Never waits.
    pub fn send(&self, packet: IngestPacket) {
        let mut inner = self.hub.lock();
        if let Some(live) = inner.live.get_mut(&self.key) {
            match &packet {
                IngestPacket::VideoHeader { .. } => live.video = Some(packet.clone()),
                IngestPacket::AudioHeader { .. } => live.audio = Some(packet.clone()),
                IngestPacket::Video { .. } | IngestPacket::Audio { .. } => {}
            }
        }
        inner.tell(&self.key, &Received::Packet(packet));
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        inner.tell(&self.key, &Received::Gone);
        inner.live.remove(&self.key);
    }
}

impl IngestReader {
    /// What comes next; `None` when nothing came for `timeout`.
    pub fn next(&self, timeout: Duration) -> Option<Received> {
        // The hub holds the other end of the way as long as this is there.
        self.receiver.recv_timeout(timeout).ok()
    }
}

impl Drop for IngestReader {
    fn drop(&mut self) {
        self.hub.lock().readers.remove(&self.number);
    }
}
