//! What a standby shows on its ports: the API over the show as the leader has saved it, without an engine that runs.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use systems::{Engine, EngineSettings};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep, timeout};

use super::Watcher;
use crate::control::events::Told;
use crate::control::keep::{Begin, Saving, next_tick};
use crate::control::keys::KeyStore;
use crate::control::outputs::Desk;
use crate::control::speech::SpeechDesk;
use crate::control::{
    Director, Ear, Events, Mirror, Parts, Show, Snapshot, Station, Ticks, now_ms, recordings,
};
use crate::ingest::IngestHub;
use crate::live::leader;
use crate::ports::{FrameRequests, PlacedRequests};
use crate::prepare;
use crate::rtmp::{self, Rtmp};
use crate::server::{Api, Guard, Membership, Standby};
use crate::store::shared::EventListener;
use crate::store::{RedisStore, Saved, Store};
use crate::streaming::Leave;

/// The leader tells that it has left out events.
const RESYNC: &str = "resync";
/// How often the ticks are counted on, where nothing ticks.
const BEAT: Duration = Duration::from_millis(100);
/// How long it is waited until the leader's events are listened to.
const LISTEN_MAX: Duration = Duration::from_secs(1);
/// How long the leader may tell nothing.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// The pause after events could not be listened to.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// What is saved, read.
pub(super) struct Seen {
    begin: Begin,
}

impl Seen {
    /// Of what this instance would begin with; `None` where nothing goes on.
    pub(super) fn of(begin: Begin) -> Option<Self> {
        begin.resumed.is_some().then_some(Self { begin })
    }
}

/// The API of a standby.
pub(super) struct View {
    api: Api,
    mirror: Mirror,
    saving: Saving,
    keys: KeyStore,
    recordings: recordings::Store,
    ticks: Ticks,
    tasks: Vec<JoinHandle<()>>,
    /// Never runs; the station's doors lead to it.
    _engine: Engine,
}

impl View {
    /// Opens it with the first show, on the runtime that this is called on.
    pub(super) async fn open(
        watcher: &Watcher<'_>,
        seen: Seen,
        saved: &Saved,
    ) -> anyhow::Result<Self> {
        let Seen { begin } = seen;
        let (redis, leader) = (watcher.member.redis(), watcher.leader.subscribe());
        let program = watcher.program;
        let (settings, library) = (program.settings, &program.library);
        let engine_settings = prepare::engine_settings(
            &begin.first.spec,
            begin.rate,
            settings.render_threads,
            settings.pool_size,
            begin.show.config.max_layers,
        );
        let engine = Engine::new(EngineSettings {
            width: 64,
            height: 64,
            render_threads: 1,
            pool_frames: 2,
            ..engine_settings
        })?;
        let ticks = Ticks::default();
        let first = snapshot(&begin, &ticks).ok_or_else(|| anyhow::anyhow!("nothing is on air"))?;
        let (director, mirror) = Director::mirror(engine_settings, first);
        let (events, hub) = (Events::after(now_ms()), IngestHub::default());
        let inputs = leader::serve_inputs(&engine, settings, library, &events, &hub)?;
        let (keys, recordings) = begin.look_beside();
        let saving = Saving::watching(Store::Redis(redis.clone()), saved);
        let (frames, _no_frames_come) = FrameRequests::new();
        let players = rtmp::Program::new(false);
        let station = Station::new(Parts {
            settings: settings.clone(),
            director: director.clone(),
            board: engine.status_board(),
            levels: engine.level_board(),
            profile: engine.profile(),
            ticks: ticks.clone(),
            events: events.clone(),
            frames,
            placed: PlacedRequests(engine.placed_door()),
            desk: Desk::new(begin.base_outputs.clone()),
            recordings: recordings.clone(),
            ear: Ear::new().0,
            inputs,
            players: Arc::new(players.clone()),
            speech: SpeechDesk::new(engine.speech_door()),
            saving: saving.clone(),
            leave: Leave::asking(|| false),
        });
        let rtmp = Rtmp::new(settings, station.clone(), keys.clone(), hub, players);
        let trouble = watcher.trouble.subscribe();
        let standby = Standby::new(redis.clone(), leader, director.snapshots(), trouble);
        let (listening, listens) = oneshot::channel();
        let tasks = vec![
            tokio::spawn(count_on(ticks.clone(), director.snapshots())),
            tokio::spawn(relay(redis.clone(), events, listening)),
            tokio::spawn(station.clone().tell_saving()),
        ];
        let api = Api::new(
            station,
            library.clone(),
            program.assets.clone(),
            keys.clone(),
            rtmp,
            Guard::new(settings),
            Membership::Standby(standby),
        );
        // Who connects misses none of the leader's events then.
        let _late = timeout(LISTEN_MAX, listens).await;
        Ok(Self {
            api,
            mirror,
            saving,
            keys,
            recordings,
            ticks,
            tasks,
            _engine: engine,
        })
    }

    /// What is served.
    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    /// Shows what the leader has saved since.
    pub(super) fn show(&self, seen: Seen) {
        seen.begin.show_beside(&self.keys, &self.recordings);
        if let Some(snapshot) = snapshot(&seen.begin, &self.ticks) {
            self.saving.note_saved(snapshot.show.revision);
            self.mirror.show(snapshot);
        }
    }

    /// Lets everybody go.
    pub(super) async fn close(self) {
        self.api.end();
        for task in &self.tasks {
            task.abort();
        }
        self.saving.close().await;
    }
}

/// The show as it was saved, at its place in time; `None` where there is none.
fn snapshot(begin: &Begin, ticks: &Ticks) -> Option<Snapshot> {
    let resumed = begin.resumed.as_ref()?;
    let from = resumed.ticks(begin.rate, now_ms().cast_signed(), None);
    ticks.set_epoch(from.epoch);
    ticks.note(from.tick);
    let mix = resumed.mix.as_ref();
    let mix = mix.and_then(|mix| Some((mix.changing(), mix.at(begin.rate, &from)?.0)));
    let (changing, mix) = mix.unzip();
    let show = Show {
        changing,
        ..begin.show.clone()
    };
    let standing = resumed.standing(&show.program.spec, begin.rate, &from);
    Some(Snapshot {
        mix,
        tick: resumed.tick(begin.rate),
        since_tick: from.since_tick,
        paused_tick: from.paused_tick,
        origin_tick: resumed.origin_tick(begin.rate),
        schedule: Arc::new(resumed.schedule(begin.rate)),
        ..Snapshot::standing(Arc::new(show), standing, begin.rate)
    })
}

/// Counts the leader's ticks by the clock of this machine.
async fn count_on(ticks: Ticks, snapshots: watch::Receiver<Arc<Snapshot>>) {
    let mut beat = interval(BEAT);
    loop {
        beat.tick().await;
        let rate = snapshots.borrow().rate;
        let now_ms = now_ms().cast_signed();
        ticks.note(next_tick(ticks.epoch(), rate, now_ms));
    }
}

/// An event as the leader tells it.
#[derive(Deserialize)]
struct Heard {
    event: String,
    seq: u64,
    revision: u64,
    #[serde(default)]
    subject: Option<String>,
}

/// Tells here what the leader tells.
async fn relay(redis: RedisStore, events: Events, listening: oneshot::Sender<()>) {
    let mut listening = Some(listening);
    loop {
        match EventListener::listen(&redis).await {
            Ok(mut listener) => {
                if let Some(listening) = listening.take() {
                    let _heard = listening.send(());
                }
                // The leader tells how it goes each second: of a connection that is silent for longer, the other end is gone.
                while let Ok(Some(json)) = timeout(SILENCE_MAX, listener.next()).await {
                    match serde_json::from_str::<Heard>(&json) {
                        // Some are missing: whoever listens is to look at everything.
                        Ok(heard) if heard.event == RESYNC => events.miss(heard.seq),
                        Ok(heard) => events.relay(Told {
                            seq: heard.seq,
                            revision: heard.revision,
                            kind: Cow::Owned(heard.event),
                            subject: heard.subject.map(Into::into),
                            is_after_gap: false,
                            json: json.into(),
                        }),
                        Err(error) => tracing::debug!(%error, "no event of the leader's"),
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "the leader's events cannot be heard"),
        }
        sleep(AGAIN_AFTER).await;
    }
}
