//! Events out: `PUBLISH sm:{ID}:events`, each as WebSocket clients get it. Who listens late hears nothing of before; for what must not
//! be missed there is the log.

use futures_util::StreamExt as _;
use redis::aio::{PubSubSink, PubSubStream};

use crate::store::error::StoreError;
use crate::store::remote::{Link, RedisStore};

/// Tells events.
#[derive(Clone, Debug)]
pub struct EventTeller {
    link: Link,
    channel: String,
}

impl EventTeller {
    /// Of one stream.
    pub fn new(store: &RedisStore) -> Self {
        Self {
            link: store.link().clone(),
            channel: store.keys().of("events"),
        }
    }

    /// Tells one to whoever listens, and how many did.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn tell(&self, json: &str) -> Result<u64, StoreError> {
        let mut command = redis::cmd("PUBLISH");
        command.arg(&self.channel).arg(json);
        self.link.ask(&command).await
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
