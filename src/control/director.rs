//! The one who changes things: takes requests in order, plans each on what the one before came to, sends the commands into the
//! world, and tells what landed on which tick.
//!
//! The director is a task of its own and the only writer of the show. Requests wait in a bounded queue; a request that needs files
//! waits for them aside, and the others go on. Nothing is answered before the tick that shows it.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use components::scene::{FrameRate, SceneSpec};
use raster::I420Frame;
use systems::EngineSettings;
use systems::assets::Picture;
use systems::command::CommandSender;
use systems::encode::FramePort;
use systems::scene::Standing;
use systems::speech::SpeechOrder;
use tokio::sync::{mpsc, oneshot, watch};

use super::change::Asked;
use super::config::ConfigPatch;
use super::error::{ApiError, ErrorCode};
use super::events::Events;
use super::library::Library;
use super::outputs::{OutputList, Saved as OutputChanges};
use super::plan::{Prepared, ReadScene, ReadSound};
use super::show::{MixNow, Show, Snapshot, Waiting};
use super::speech::SpeechDesk;
use super::task::Task;
use super::ticks::Ticks;

/// How many requests may wait for the director.
pub const REQUESTS_MAX: usize = 1024;
/// How many requests may wait for a later tick.
pub const SCHEDULED_MAX: usize = 256;
/// How far ahead a request may be scheduled.
pub const AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);

tokio::task_local! {
    /// Goes along with the first work that a task asks for, until it is planned.
    static PLANNED: Cell<Option<oneshot::Sender<()>>>;
}

/// The same task, and what ends as soon as the director has planned what it asks for first, or the task is over: whatever is asked for
/// from then on comes after it.
pub fn in_turn<T: Future>(task: T) -> (impl Future<Output = T::Output>, oneshot::Receiver<()>) {
    let (planned, heard) = oneshot::channel();
    (PLANNED.scope(Cell::new(Some(planned)), task), heard)
}

/// What is asked of the director.
pub enum Work {
    /// Changes, all or none.
    Changes(Vec<Asked>),
    /// The stream went on air: every frame is offered to this encoder from now on.
    GoLive {
        /// The encoder.
        port: Box<dyn FramePort>,
        /// Milliseconds since 1970.
        since_ms: u64,
    },
    /// The stream was stopped.
    GoOff,
    /// The scene on air was written anew, or its files were.
    Reload(Arc<Prepared>),
    /// A scene of the library was written or deleted; what was prepared of it is stale.
    Forget(String),
    /// The outputs are others, and with them perhaps the settings that stand for the main rendition.
    Outputs {
        /// All of them.
        list: Arc<OutputList>,
        /// What the API has changed of them.
        changes: Arc<OutputChanges>,
        /// What changes of the settings.
        patch: ConfigPatch,
    },
    /// An avatar is told what to say.
    Speech {
        /// Its layer.
        layer: String,
        /// What it is told.
        order: SpeechOrder,
    },
    /// The scene on air was saved.
    Saved {
        /// The name that it was saved under.
        id: String,
        /// What was saved.
        spec: Arc<SceneSpec>,
        /// Its [`fingerprint`](super::show::fingerprint).
        file: Arc<str>,
    },
}

/// When and whether work is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// The tick whose frame is to be the first to show it; at once when absent.
    pub at_tick: Option<u64>,
    /// The revision that the world must have.
    pub if_revision: Option<u64>,
    /// Whether it is only to be tried.
    pub dry_run: bool,
}

/// What became of work.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The tick whose frame is the first to show it; for a dry run the tick that comes next.
    pub tick: u64,
    /// The revision after it; for a dry run the one that is.
    pub revision: u64,
    /// The show after it.
    pub show: Arc<Show>,
    /// Its number among the scheduled ones when it waits for a later tick.
    pub scheduled: Option<u64>,
}

/// Work that waits for its tick.
#[derive(Clone, Debug, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scheduled {
    /// Its number.
    pub id: u64,
    /// The tick.
    pub tick: u64,
    /// How many commands it has.
    pub commands: usize,
}

/// Who hears what became of work.
pub(super) enum Answer {
    /// Whoever asked.
    Caller(oneshot::Sender<Result<Outcome, ApiError>>),
    /// Everybody who listens to events: it waited under this number.
    Events(u64),
}

/// Work on its way through the director.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) terms: Terms,
    pub(super) answer: Answer,
    /// Dropped when it is planned.
    pub(super) _planned: Option<oneshot::Sender<()>>,
    /// How often files were read for it.
    pub(super) attempt: u32,
    /// Pictures read for it.
    pub(super) read: HashMap<Arc<str>, Picture>,
    /// Scenes read for it, to stand in the one on air.
    pub(super) scenes: HashMap<String, ReadScene>,
    /// Sounds read for it, by their places among what avatars are told.
    pub(super) sounds: HashMap<usize, ReadSound>,
}

pub(super) enum Message {
    Do(Job, Option<Arc<Prepared>>),
    Fail(Answer, ApiError),
    Cancel {
        id: u64,
        answer: oneshot::Sender<bool>,
    },
}

/// Asks the director, from any task. Cheap to copy.
#[derive(Clone)]
pub struct Director {
    messages: mpsc::Sender<Message>,
    engine: EngineSettings,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    scheduled: watch::Receiver<Arc<Vec<Scheduled>>>,
}

/// What the director starts with.
pub struct Start {
    /// The show on air.
    pub show: Show,
    /// The rate of the ticks.
    pub rate: FrameRate,
    /// The tick that comes next.
    pub tick: u64,
    /// The tick on which the scene came on air.
    pub since_tick: u64,
    /// The tick on which it was paused, if it is.
    pub paused_tick: Option<u64>,
    /// The tick on which the stream went on air, where it goes on.
    pub origin_tick: Option<u64>,
    /// Where its timelines and feeds stand.
    pub standing: Standing,
    /// Where the change of scenes stands that is in course, if one is.
    pub mix: Option<MixNow>,
    /// What the last run had scheduled.
    pub schedule: Vec<Arc<Waiting>>,
    /// The way into the world.
    pub commands: CommandSender,
    /// How an engine is made, to draw scenes ahead.
    pub engine: EngineSettings,
    /// Where scenes are.
    pub library: Library,
    /// Pictures that the world has.
    pub known: HashSet<Arc<str>>,
    /// What a paused stream shows.
    pub slate: Arc<I420Frame>,
    /// The ticks as they go by.
    pub ticks: Ticks,
    /// Where events are told.
    pub events: Events,
    /// Where speech is asked for.
    pub speech: SpeechDesk,
}

impl Director {
    /// Starts the director on the runtime that this is called on.
    pub fn start(start: Start) -> Self {
        let (messages, requests) = mpsc::channel(REQUESTS_MAX);
        let engine = start.engine;
        let (snapshots, scheduled) = Task::spawn(start, messages.downgrade(), requests);
        Self {
            messages,
            engine,
            snapshots,
            scheduled,
        }
    }

    /// Shows what another instance has on air, and does nothing that is asked of it. What is shown goes through the other side.
    pub fn mirror(engine: EngineSettings, first: Snapshot) -> (Self, Mirror) {
        let (messages, _nobody_reads) = mpsc::channel(1);
        let list = scheduled_of(&first);
        let (publish, snapshots) = watch::channel(Arc::new(first));
        let (schedule, scheduled) = watch::channel(list);
        let director = Self {
            messages,
            engine,
            snapshots,
            scheduled,
        };
        (director, Mirror { publish, schedule })
    }

    /// What is on air, from change to change.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// How an engine is made for the scene on air.
    pub fn engine_settings(&self) -> EngineSettings {
        EngineSettings {
            rate: self.snapshot().rate,
            max_layers: self.snapshot().show.config.max_layers,
            ..self.engine
        }
    }

    /// What is on air.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// What waits for a later tick.
    pub fn scheduled(&self) -> Arc<Vec<Scheduled>> {
        Arc::clone(&self.scheduled.borrow())
    }

    /// Has work done; answers once it is on air, refused, tried or scheduled.
    ///
    /// # Errors
    /// Why it is not done; nothing has changed then.
    pub async fn ask(&self, work: Work, terms: Terms) -> Result<Outcome, ApiError> {
        let answered = self.post(work, terms)?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Has work done without waiting for it; what comes of it can be heard later, or not at all. Work is done in the order in which
    /// it was asked for.
    ///
    /// # Errors
    /// Too much waits.
    pub fn post(
        &self,
        work: Work,
        terms: Terms,
    ) -> Result<oneshot::Receiver<Result<Outcome, ApiError>>, ApiError> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            work,
            terms,
            answer: Answer::Caller(answer),
            _planned: PLANNED.try_with(Cell::take).ok().flatten(),
            attempt: 0,
            read: HashMap::new(),
            scenes: HashMap::new(),
            sounds: HashMap::new(),
        };
        let message = Message::Do(job, None);
        self.messages
            .try_send(message)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => ApiError::new(
                    ErrorCode::Unavailable,
                    format!("{REQUESTS_MAX} changes wait; try again later"),
                ),
                mpsc::error::TrySendError::Closed(_) => ended(),
            })?;
        Ok(answered)
    }

    /// Has changes made at once.
    ///
    /// # Errors
    /// As [`Director::ask`].
    pub async fn change(&self, asked: impl Into<Asked>, terms: Terms) -> Result<Outcome, ApiError> {
        self.ask(Work::Changes(vec![asked.into()]), terms).await
    }

    /// Takes scheduled work back; false when there is none of this number.
    pub async fn cancel(&self, id: u64) -> bool {
        let (answer, answered) = oneshot::channel();
        let sent = self.messages.send(Message::Cancel { id, answer }).await;
        sent.is_ok() && answered.await.unwrap_or(false)
    }
}

/// Where it is said what a [`Director::mirror`] shows.
pub struct Mirror {
    publish: watch::Sender<Arc<Snapshot>>,
    schedule: watch::Sender<Arc<Vec<Scheduled>>>,
}

impl Mirror {
    /// Shows this from now on.
    pub fn show(&self, snapshot: Snapshot) {
        self.schedule.send_replace(scheduled_of(&snapshot));
        self.publish.send_replace(Arc::new(snapshot));
    }
}

fn scheduled_of(snapshot: &Snapshot) -> Arc<Vec<Scheduled>> {
    let waiting = snapshot.schedule.iter();
    let list = waiting.map(|waiting| Scheduled {
        id: waiting.id,
        tick: waiting.tick,
        commands: waiting.commands.len(),
    });
    Arc::new(list.collect())
}

pub(super) fn ended() -> ApiError {
    ApiError::new(ErrorCode::Unavailable, "the program is ending")
}
