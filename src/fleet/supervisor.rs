//! The supervisor of one instance: each second it says that it is there, hears what it has, and brings the processes to that.
//!
//! While Redis is away everything that runs goes on: who may push is the business of each stream's own lease. Once it is back, nobody
//! takes anything new for the time of one lease, so that those who carry a channel have it again first. Nor does who starts, for whom it
//! may just be back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until, timeout};

use super::board::{BEAT, Board, ChannelState, ChannelStatus, RedisState};
use super::carrier::{Carrier, END_MAX, Launch, Place};
use super::channel::{ChannelSpec, check_id};
use super::lines::Lines;
use super::ports::Ports;
use crate::store::StoreError;
use crate::store::shared::{Channel, Fleet};

/// The pause after a channel was taken, until the next one is.
const NEXT_AFTER: Duration = Duration::from_millis(250);
/// How long the end waits for processes beyond the time that each of them has.
const END_SLACK: Duration = Duration::from_secs(1);
/// How long the end waits for Redis.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// How an instance takes part.
#[derive(Debug)]
pub struct Terms {
    /// Its part in the fleet.
    pub fleet: Fleet,
    /// How long its leases hold.
    pub lease: Duration,
    /// Channels that it carries at most.
    pub capacity: usize,
    /// The first port of its first place.
    pub port_base: u16,
    /// Whether channels have an RTMP server.
    pub has_rtmp: bool,
    /// What processes are started with.
    pub launch: Arc<Launch>,
}

struct Supervisor {
    terms: Terms,
    board: Board,
    lines: Lines,
    held: BTreeMap<String, Held>,
    /// Nothing new is taken before.
    takes_from: Instant,
}

/// A channel that this instance has, or that it had and still ends.
struct Held {
    /// As it stands in Redis.
    json: String,
    /// Its place and its process; none where what stands in Redis cannot be started.
    carried: Option<(u16, Carrier)>,
    is_lost: bool,
}

/// Carries channels until `stop` is done; then ends all of them and leaves the fleet. What goes wrong meanwhile is told on the board.
pub async fn run(terms: Terms, board: Board, lines: Lines, stop: impl Future<Output = ()>) {
    let mut supervisor = Supervisor {
        takes_from: Instant::now() + terms.lease,
        terms,
        board,
        lines,
        held: BTreeMap::new(),
    };
    tokio::select! {
        () = stop => {}
        () = supervisor.beat_on() => {}
    }
    supervisor.end().await;
}

impl Supervisor {
    async fn beat_on(&mut self) {
        loop {
            let begun = Instant::now();
            let pause = if self.beat().await { NEXT_AFTER } else { BEAT };
            sleep_until(begun + pause).await;
        }
    }

    /// Says once that it is there, and does what follows; whether it has something new.
    async fn beat(&mut self) -> bool {
        self.board.write().last_beat = std::time::Instant::now();
        let carried = self.held.iter().filter(|(_, held)| !held.is_lost);
        let carried: Vec<Channel> = carried
            .map(|(id, held)| Channel {
                id: id.clone(),
                json: held.json.clone(),
            })
            .collect();
        let takes = Instant::now() >= self.takes_from;
        let refused = self.held.values().filter(|held| held.carried.is_none());
        let refused = refused.count();
        let answer = self.terms.fleet.beat(takes, &carried, refused).await;
        self.tell_redis(answer.as_ref().err());
        match answer {
            Ok(channels) => self.settle(channels),
            Err(_) => {
                self.takes_from = Instant::now() + self.terms.lease;
                false
            }
        }
    }

    fn tell_redis(&self, error: Option<&StoreError>) {
        let mut status = self.board.write();
        let before = status.redis;
        status.last_beat = std::time::Instant::now();
        status.redis_error = error.map(ToString::to_string);
        status.redis = match error {
            None => RedisState::Ok,
            Some(_) => RedisState::Away,
        };
        drop(status);
        match (before, error) {
            (RedisState::Unknown | RedisState::Ok, Some(error)) => {
                tracing::warn!(%error, "Redis is away; what runs goes on");
            }
            (RedisState::Away, None) => tracing::info!("Redis is back"),
            _ => {}
        }
    }

    /// Brings what runs to what this instance has; whether something is new.
    fn settle(&mut self, channels: Vec<Channel>) -> bool {
        let names: BTreeSet<&String> = channels.iter().map(|channel| &channel.id).collect();
        for (id, held) in &mut self.held {
            if !held.is_lost && !names.contains(id) {
                tracing::info!(channel = %id, "the channel is not this instance's any more");
                held.is_lost = true;
                if let Some((_, carrier)) = &held.carried {
                    carrier.end();
                }
            }
        }
        let board = &self.board;
        self.held.retain(|id, held| {
            let is_over = match &held.carried {
                Some((_, carrier)) => carrier.has_ended(),
                None => held.is_lost,
            };
            if is_over {
                board.write().channels.remove(id);
            }
            !is_over
        });
        let mut is_new = false;
        for Channel { id, json } in channels {
            match self.held.get_mut(&id) {
                // What still ends is begun anew once that is over.
                Some(held) if held.is_lost || held.json == json => {}
                Some(held) => {
                    held.json.clone_from(&json);
                    self.change(&id, &json);
                }
                None => is_new |= self.start(id, json),
            }
        }
        is_new
    }

    /// Starts a channel; `false` where there is no place before another one has ended.
    fn start(&mut self, id: String, json: String) -> bool {
        let read = check_id(&id).and_then(|()| ChannelSpec::parse(&json));
        let carried = match &read {
            Ok(spec) => match self.free_slot() {
                Some(slot) => Some((slot, spec)),
                None => return false,
            },
            Err(error) => {
                tracing::error!(channel = %id, %error, "the channel cannot be started");
                None
            }
        };
        let ports = carried.map(|(slot, _)| self.ports(slot));
        let status = ChannelStatus {
            id: id.clone(),
            scene: read.as_ref().ok().map(|spec| spec.scene().to_owned()),
            state: ChannelState::Refused,
            pid: None,
            is_well: None,
            slot: carried.map(|(slot, _)| slot),
            ports,
            restarts: 0,
            since_ms: None,
            error: read.as_ref().err().map(ToString::to_string),
        };
        self.board.write().channels.insert(id.clone(), status);
        let carried = carried.zip(ports).map(|((slot, spec), ports)| {
            let place = Place {
                id: id.clone(),
                ports,
            };
            let carrier = Carrier::start(
                place,
                Arc::new(spec.clone()),
                Arc::clone(&self.terms.launch),
                self.board.clone(),
                self.lines.clone(),
            );
            (slot, carrier)
        });
        let held = Held {
            json,
            carried,
            is_lost: false,
        };
        self.held.insert(id, held);
        true
    }

    /// Takes new settings of a channel over. Where they cannot be used, what runs goes on with the old ones.
    fn change(&mut self, id: &str, json: &str) {
        let carrier = self
            .held
            .get(id)
            .and_then(|held| held.carried.as_ref())
            .map(|(_, carrier)| carrier);
        match (ChannelSpec::parse(json), carrier) {
            (Ok(spec), Some(carrier)) => {
                tracing::info!(channel = %id, "the channel's settings have changed");
                self.board.change(id, |channel| {
                    channel.scene = Some(spec.scene().to_owned());
                    channel.error = None;
                });
                carrier.change(Arc::new(spec));
            }
            (Ok(_), None) => {
                // Begun anew with the next beat.
                self.held.remove(id);
                self.board.write().channels.remove(id);
            }
            (Err(error), _) => {
                tracing::error!(channel = %id, %error, "the channel's new settings cannot be used");
                let error = format!("its new settings cannot be used: {error}");
                self.board.change(id, |channel| channel.error = Some(error));
            }
        }
    }

    fn free_slot(&self) -> Option<u16> {
        let held = self.held.values();
        let taken: BTreeSet<u16> = held
            .filter_map(|held| held.carried.as_ref())
            .map(|(slot, _)| *slot)
            .collect();
        let count = u16::try_from(self.terms.capacity).unwrap_or(u16::MAX);
        (0..count).find(|slot| !taken.contains(slot))
    }

    fn ports(&self, slot: u16) -> Ports {
        let ports = Ports::of(self.terms.port_base, slot);
        Ports {
            rtmp: ports.rtmp.filter(|_| self.terms.has_rtmp),
            ..ports
        }
    }

    /// Ends everything at the same time, and lets others have it meanwhile: they wait for each stream's own lease.
    async fn end(self) {
        let carriers: Vec<Carrier> = self
            .held
            .into_values()
            .filter_map(|held| held.carried)
            .map(|(_, carrier)| carrier)
            .collect();
        tracing::info!(channels = carriers.len(), "leaving the fleet");
        for carrier in &carriers {
            carrier.end();
        }
        let ended = join_all(carriers.into_iter().map(Carrier::ended));
        let (ended, left) = tokio::join!(
            timeout(END_MAX + END_SLACK, ended),
            timeout(LEAVE_MAX, self.terms.fleet.leave()),
        );
        if ended.is_err() {
            tracing::warn!("a channel's process does not end");
        }
        match left {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the leases run out by themselves"),
            Err(_) => tracing::warn!("the leases run out by themselves"),
        }
    }
}
