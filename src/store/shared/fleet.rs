//! Many streams over many machines: each instance says how many it can carry and takes streams that nobody has, by leases.
//!
//! Keys begin with `sm:{fleet:NAME}:`: `channels` (hash: the id of each stream that is wanted, with its settings as JSON), `holder:ID`
//! (which instance has it), `instances` (set), `instance:NAME` (JSON with `capacity` and `channels`). What is decided here is who carries
//! a stream. Who may push it is decided by the stream's own lease, so a holder that comes back late does no harm.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;
use serde::{Deserialize, Serialize};

use crate::store::error::StoreError;
use crate::store::remote::{Keys, Link};

const BEAT: &str = include_str!("fleet.lua");
static BEAT_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(BEAT));

/// How an instance takes part.
#[derive(Clone, Copy, Debug)]
pub struct FleetOptions {
    /// How many streams it can carry.
    pub capacity: usize,
    /// How long a stream stays its own without a word from it.
    pub time: Duration,
}

/// A stream that the fleet is to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its STREAM_ID.
    pub id: String,
    /// Its settings, as whoever wanted it wrote them.
    pub json: String,
}

/// A stream and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Its STREAM_ID.
    pub channel: String,
    /// The instance that has it.
    pub instance: Option<String>,
}

/// An instance of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// How many streams it can carry.
    pub capacity: usize,
    /// How many it carries.
    pub channels: usize,
}

/// One instance's part in a fleet.
#[derive(Clone, Debug)]
pub struct Fleet {
    link: Link,
    keys: Keys,
    instance: String,
    options: FleetOptions,
}

impl Fleet {
    /// An instance of the fleet of this name. Its connection is its own, since in a cluster its keys may lie elsewhere than a stream's.
    pub fn new(link: &Link, name: &str, instance: String, options: FleetOptions) -> Self {
        Self {
            link: link.beside(Duration::ZERO),
            keys: Keys::new(&format!("fleet:{name}")),
            instance,
            options,
        }
    }

    /// Says that it is there, keeps what it has, takes one more where `takes` and there is room, and gives all that it has now. To be
    /// called at least at a third of the time; what is not in the answer was lost.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn beat(&self, takes: bool) -> Result<Vec<Channel>, StoreError> {
        let (prefix, instances) = (self.keys.of(""), self.keys.of("instances"));
        let capacity = self.options.capacity.to_string();
        let time_ms = self.options.time.as_millis().to_string();
        let arguments = [
            prefix.as_bytes(),
            self.instance.as_bytes(),
            capacity.as_bytes(),
            time_ms.as_bytes(),
            if takes { b"1" } else { b"0" },
        ];
        let keys = [&*instances];
        let held: Vec<(String, String)> =
            self.link.run(&BEAT_SCRIPT, BEAT, &keys, &arguments).await?;
        let channels = held.into_iter().map(|(id, json)| Channel { id, json });
        Ok(channels.collect())
    }

    /// Wants a stream to be carried, or changes its settings.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn want(&self, channel: &Channel) -> Result<(), StoreError> {
        let mut command = redis::cmd("HSET");
        command
            .arg(self.keys.of("channels"))
            .arg(&channel.id)
            .arg(&channel.json);
        let _added: i64 = self.link.ask(&command).await?;
        Ok(())
    }

    /// Wants a stream no more: whoever has it finds it missing at its next beat.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn drop_channel(&self, id: &str) -> Result<(), StoreError> {
        let mut command = redis::cmd("HDEL");
        command.arg(self.keys.of("channels")).arg(id);
        let _removed: i64 = self.link.ask(&command).await?;
        Ok(())
    }

    /// Gives back all that it has, so that others can take it at once.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let none = Self {
            options: FleetOptions {
                capacity: 0,
                ..self.options
            },
            ..self.clone()
        };
        none.beat(false).await?;
        let mut command = redis::cmd("SREM");
        command.arg(self.keys.of("instances")).arg(&self.instance);
        let _removed: i64 = self.link.ask(&command).await?;
        let mut command = redis::cmd("DEL");
        command.arg(self.keys.of(&format!("instance:{}", self.instance)));
        let _removed: i64 = self.link.ask(&command).await?;
        Ok(())
    }

    /// Every stream that is wanted, and who has it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn holdings(&self) -> Result<Vec<Holding>, StoreError> {
        let mut command = redis::cmd("HKEYS");
        command.arg(self.keys.of("channels"));
        let mut channels: Vec<String> = self.link.ask(&command).await?;
        channels.sort();
        let holders = self.values("holder:", &channels).await?;
        let holdings = channels.into_iter().zip(holders);
        let holdings = holdings.map(|(channel, instance)| Holding { channel, instance });
        Ok(holdings.collect())
    }

    /// The instances that are there.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn instances(&self) -> Result<Vec<Instance>, StoreError> {
        let mut command = redis::cmd("SMEMBERS");
        command.arg(self.keys.of("instances"));
        let mut names: Vec<String> = self.link.ask(&command).await?;
        names.sort();
        let values = self.values("instance:", &names).await?;
        let there = names.into_iter().zip(values).filter_map(|(name, json)| {
            let instance: Instance = serde_json::from_str(&json?).ok()?;
            Some(Instance { name, ..instance })
        });
        Ok(there.collect())
    }

    async fn values(
        &self,
        kind: &str,
        names: &[String],
    ) -> Result<Vec<Option<String>>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("MGET");
        for name in names {
            command.arg(self.keys.of(&format!("{kind}{name}")));
        }
        self.link.ask(&command).await
    }
}
