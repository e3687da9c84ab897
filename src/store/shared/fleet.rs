//! Many streams over many machines: each instance says how many it can carry and takes streams that nobody has, by leases.
//!
//! Keys begin with `sm:{fleet:NAME}:`: `channels` (hash: the id of each stream that is wanted, with its settings as JSON), `holder:ID`
//! (which instance has it), `since` (hash: milliseconds since 1970 at which it took it), `instances` (set), `instance:NAME` (JSON with
//! `capacity` and `channels`), `begun` (a mark that is another one after the server lost what it held). What is decided here is who carries
//! a stream. Who may push it is decided by the stream's own lease, so a holder that comes back late does no harm.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Script;
use serde::{Deserialize, Serialize};

use crate::store::error::StoreError;
use crate::store::remote::{Keys, Link, Timeouts};

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

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            capacity: 1,
            time: Duration::from_secs(3),
        }
    }
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
    /// Its settings, as whoever wanted it wrote them.
    pub json: String,
    /// The instance that has it.
    pub instance: Option<String>,
    /// When that took it, in milliseconds since 1970 by the clock of Redis.
    pub since_ms: Option<u64>,
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
    /// For what must not be late.
    beats: Link,
    keys: Keys,
    instance: String,
    options: FleetOptions,
    /// The mark that was seen last.
    begun: Arc<Mutex<String>>,
}

impl Fleet {
    /// An instance of the fleet of this name. Its connection is its own, since in a cluster its keys may lie elsewhere than a stream's.
    pub fn new(link: &Link, name: &str, instance: String, options: FleetOptions) -> Self {
        Self {
            link: link.beside(Duration::ZERO),
            beats: link.within_at_most(Timeouts::OF_LEASE),
            keys: Keys::new(&format!("fleet:{name}")),
            instance,
            options,
            begun: Arc::default(),
        }
    }

    /// Says that it is there, keeps what it has, takes one more where `takes` and there is room, and gives all that it has now. To be
    /// called at least at a third of the time; what is not in the answer was lost. Of what is `carried` here, that which nobody has
    /// comes back to it, and where Redis lost everything it is wanted again. As many as are `refused`, since they cannot be started, take
    /// no room.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn beat(
        &self,
        takes: bool,
        carried: &[Channel],
        refused: usize,
    ) -> Result<Vec<Channel>, StoreError> {
        let (prefix, instances) = (self.keys.of(""), self.keys.of("instances"));
        let capacity = self.options.capacity.to_string();
        let time_ms = self.options.time.as_millis().to_string();
        let (begun, refused) = (self.begun().clone(), refused.to_string());
        let mut arguments = vec![
            prefix.as_bytes(),
            self.instance.as_bytes(),
            capacity.as_bytes(),
            time_ms.as_bytes(),
            if takes { b"1" } else { b"0" },
            begun.as_bytes(),
            refused.as_bytes(),
        ];
        for channel in carried {
            arguments.extend([channel.id.as_bytes(), channel.json.as_bytes()]);
        }
        let keys = [&*instances];
        let beat = || {
            self.beats
                .run::<Vec<Vec<u8>>>(&BEAT_SCRIPT, BEAT, &keys, &arguments)
        };
        let answer = match beat().await {
            // A connection that stalls is not used again, and says nothing of Redis.
            Err(error) if error.is_away() => beat().await?,
            answer => answer?,
        };
        // Whatever others wrote there must not end the beat.
        let mut answer = answer.iter().map(|bytes| lossy(bytes));
        *self.begun() = answer.next().unwrap_or_default();
        let mut held = Vec::new();
        while let (Some(id), Some(json)) = (answer.next(), answer.next()) {
            held.push(Channel { id, json });
        }
        Ok(held)
    }

    fn begun(&self) -> MutexGuard<'_, String> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wants a stream to be carried, or changes its settings; says whether it is new.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn want(&self, channel: &Channel) -> Result<bool, StoreError> {
        let mut command = redis::cmd("HSET");
        command
            .arg(self.keys.of("channels"))
            .arg(&channel.id)
            .arg(&channel.json);
        let added: i64 = self.link.ask(&command).await?;
        Ok(added > 0)
    }

    /// Wants a stream no more: whoever has it finds it missing at its next beat. Says whether it was wanted.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn drop_channel(&self, id: &str) -> Result<bool, StoreError> {
        let mut command = redis::cmd("HDEL");
        command.arg(self.keys.of("since")).arg(id);
        let _forgotten: i64 = self.link.ask(&command).await?;
        let mut command = redis::cmd("HDEL");
        command.arg(self.keys.of("channels")).arg(id);
        let removed: i64 = self.link.ask(&command).await?;
        Ok(removed > 0)
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
        none.beat(false, &[], 0).await?;
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
        let mut command = redis::cmd("HGETALL");
        command.arg(self.keys.of("channels"));
        let channels: BTreeMap<Vec<u8>, Vec<u8>> = self.link.ask(&command).await?;
        let names: Vec<String> = channels.keys().map(|name| lossy(name)).collect();
        let holders = self.values("holder:", &names).await?;
        let mut command = redis::cmd("HGETALL");
        command.arg(self.keys.of("since"));
        let since: BTreeMap<String, u64> = self.link.ask(&command).await?;
        let holdings = names.into_iter().zip(channels.values()).zip(holders);
        let holdings = holdings.map(|((channel, json), instance)| Holding {
            since_ms: instance.as_ref().and_then(|_| since.get(&channel).copied()),
            channel,
            json: lossy(json),
            instance,
        });
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

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
