//! Events out: `PUBLISH sm:{ID}:events`, each as WebSocket clients get it, in order and each once. Who listens late hears nothing of
//! before, and sees by the numbers that something is missing; for what must not be missed there is the log.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::Script;
use redis::aio::{PubSubSink, PubSubStream};

use super::commands::held;
use crate::store::error::StoreError;
use crate::store::remote::{Link, RedisStore};

const TELL: &str = include_str!("tell.lua");
static TELL_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(TELL));

/// Tells events, for the leader.
#[derive(Clone, Debug)]
pub struct EventTeller {
    link: Link,
    channel: String,
    lease: String,
    told: String,
    fence: u64,
}

impl EventTeller {
    /// Of one stream, by a connection of its own.
    pub fn new(store: &RedisStore, fence: u64) -> Self {
        Self {
            link: store.link().beside(Duration::ZERO),
            channel: store.keys().of("events"),
            lease: store.keys().lease.clone(),
            told: store.keys().of("told"),
            fence,
        }
    }

    /// Tells events with their numbers, which rise, to whoever listens. Those up to a number that was told before are left out.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another instance leads, else as [`StoreError`] says; telling them again is safe.
    pub async fn tell<'e>(
        &self,
        events: impl IntoIterator<Item = (u64, &'e [u8])>,
    ) -> Result<(), StoreError> {
        let fence = self.fence.to_string();
        let events: Vec<(String, &[u8])> = events
            .into_iter()
            .map(|(seq, json)| (seq.to_string(), json))
            .collect();
        if events.is_empty() {
            return Ok(());
        }
        let mut arguments = vec![fence.as_bytes(), self.channel.as_bytes()];
        for (seq, json) in &events {
            arguments.extend([seq.as_bytes(), *json]);
        }
        let keys = [&*self.lease, &self.told];
        let (word, detail): (String, String) =
            self.link.run(&TELL_SCRIPT, TELL, &keys, &arguments).await?;
        held(&self.link, self.fence, &word, &detail)
    }
}

/// Hears the events of a stream; it ends when the connection does.
pub struct EventListener {
    messages: PubSubStream,
    /// The subscription lasts as long as this is there.
    _sink: PubSubSink,
}

impl EventListener {
    /// Listens from now on.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn listen(store: &RedisStore) -> Result<Self, StoreError> {
        Self::listen_to(store, &store.keys().of("events")).await
    }

    /// Listens to a channel from now on.
    pub(super) async fn listen_to(store: &RedisStore, channel: &str) -> Result<Self, StoreError> {
        let link = store.link();
        let client = link.client().await?;
        let failed = |error: redis::RedisError| link.unavailable(error.to_string());
        let subscribing = async {
            let pubsub = client.get_async_pubsub().await.map_err(failed)?;
            let (mut sink, messages) = pubsub.split();
            sink.subscribe(channel).await.map_err(failed)?;
            Ok(Self {
                messages,
                _sink: sink,
            })
        };
        link.within(subscribing).await
    }

    /// The next event; `None` when the connection is gone.
    pub async fn next(&mut self) -> Option<String> {
        let message = self.messages.next().await?;
        message.get_payload().ok()
    }
}
