//! The director's own task: plans, sends, and notes what has landed.

mod schedule;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use components::scene::FrameRate;
use raster::I420Frame;
use serde_json::json;
use systems::EngineSettings;
use systems::assets::Picture;
use systems::clock::FrameClock;
use systems::command::{Applied, Command, CommandError, CommandSender, QUEUE_LENGTH};
use systems::input::PlaybackAction;
use systems::render::Hold;
use systems::scene::SceneBundle;
use tokio::sync::{mpsc, watch};

use super::director::{Answer, Job, Message, Outcome, Scheduled, Start, Work, ended};
use super::error::{ApiError, ErrorCode};
use super::events::{Event, Events};
use super::landed::{landed_feeds, landed_mix};
use super::library::Library;
use super::news;
use super::plan::{
    FeedTold, Means, Mixing, Need, Plan, Planned, Prepared, ReadScene, ReadSound, Told, plan,
    plan_reload,
};
use super::show::{Show, Snapshot, Waiting};
use super::speech::{self, SpeechDesk};
use super::ticks::Ticks;

/// How many scenes are kept ready.
const PREPARED_MAX: usize = 4;
/// How often a request may ask for files before it is given up: what it needs changes under it.
const ATTEMPTS_MAX: u32 = 8;

/// What was read for a request, apart from a whole scene.
#[derive(Default)]
struct ReadFiles {
    pictures: Vec<(Arc<str>, Picture)>,
    scenes: Vec<(String, ReadScene)>,
    sounds: Vec<(usize, ReadSound)>,
}

/// What came back from the world.
struct Done {
    result: Result<Applied, CommandError>,
    sent: Sent,
}

/// What went into the world.
pub(super) struct Sent {
    pub(super) show: Arc<Show>,
    pub(super) plan: Landing,
    answer: Answer,
}

/// What to note when it has landed.
pub(super) struct Landing {
    pub(super) actions: Vec<Told>,
    pub(super) mixes: Vec<Mixing>,
    pub(super) feeds: Vec<FeedTold>,
    pub(super) playbacks: Vec<(String, PlaybackAction)>,
    pub(super) loads_scene: bool,
    /// The rate of the ticks before it, where that changes.
    pub(super) old_rate: Option<FrameRate>,
}

pub(super) struct Task {
    /// The newest show that was planned; some of it may not be on air yet.
    show: Arc<Show>,
    revision: u64,
    rate: FrameRate,
    commands: CommandSender,
    engine: EngineSettings,
    library: Library,
    prepared: HashMap<String, Arc<Prepared>>,
    /// The names of what is prepared, the oldest first.
    order: Vec<String>,
    known: HashSet<Arc<str>>,
    slate: Arc<I420Frame>,
    ticks: Ticks,
    events: Events,
    speech: SpeechDesk,
    publish: watch::Sender<Arc<Snapshot>>,
    schedule: watch::Sender<Arc<Vec<Scheduled>>>,
    /// By tick and number.
    waiting: BTreeMap<(u64, u64), Job>,
    /// What is saved of them by their numbers, until each has landed or failed, and how many bytes that has.
    kept: BTreeMap<u64, (Arc<Waiting>, usize)>,
    next_id: u64,
    /// Batches that were sent and have not been noted as landed.
    outstanding: usize,
    done: mpsc::Sender<Done>,
    /// To itself, for requests whose files have been read.
    again: mpsc::WeakSender<Message>,
}

impl Task {
    /// Starts it on the runtime that this is called on; gives what it publishes.
    pub(super) fn spawn(
        start: Start,
        again: mpsc::WeakSender<Message>,
        requests: mpsc::Receiver<Message>,
    ) -> (
        watch::Receiver<Arc<Snapshot>>,
        watch::Receiver<Arc<Vec<Scheduled>>>,
    ) {
        let show = Arc::new(start.show);
        let snapshot = Arc::new(Snapshot {
            tick: start.tick,
            since_tick: start.since_tick,
            paused_tick: start.paused_tick,
            origin_tick: start.origin_tick,
            mix: start.mix,
            ..Snapshot::standing(Arc::clone(&show), start.standing, start.rate)
        });
        let (publish, snapshots) = watch::channel(snapshot);
        let (schedule, scheduled) = watch::channel(Arc::default());
        // As many as can be on their way through the world's queue, and some: the tick never finds it full.
        let (done, completions) = mpsc::channel(QUEUE_LENGTH + 16);
        let mut task = Task {
            show,
            revision: snapshots.borrow().show.revision,
            rate: start.rate,
            commands: start.commands,
            engine: start.engine,
            library: start.library,
            prepared: HashMap::new(),
            order: Vec::new(),
            known: start.known,
            slate: start.slate,
            ticks: start.ticks,
            events: start.events,
            speech: start.speech,
            publish,
            schedule,
            waiting: BTreeMap::new(),
            kept: BTreeMap::new(),
            next_id: 1,
            outstanding: 0,
            done,
            again,
        };
        task.take_up(&start.schedule);
        tokio::spawn(task.run(requests, completions));
        (snapshots, scheduled)
    }

    async fn run(
        mut self,
        mut requests: mpsc::Receiver<Message>,
        mut completions: mpsc::Receiver<Done>,
    ) {
        loop {
            let waiting = self.waiting.keys().next().map(|(tick, _)| *tick);
            let next_due = [waiting, self.mix_end()].into_iter().flatten().min();
            let due = {
                let ticks = self.ticks.clone();
                async move {
                    match next_due {
                        // As soon as the tick before it has ended.
                        Some(tick) => ticks.wait_for(tick).await,
                        None => std::future::pending().await,
                    }
                }
            };
            tokio::select! {
                biased;
                done = completions.recv() => {
                    if let Some(done) = done {
                        self.land(done);
                    }
                    while let Ok(done) = completions.try_recv() {
                        self.land(done);
                    }
                }
                () = due => self.run_due(),
                message = requests.recv() => match message {
                    Some(message) => self.take(message),
                    None => return,
                },
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Do(job, prepared) => {
                if let Some(prepared) = prepared {
                    self.keep(prepared);
                }
                self.take_job(job);
            }
            Message::Fail(answer, error) => self.settle(answer, Err(error)),
            Message::Cancel { id, answer } => {
                let before = self.waiting.len();
                self.waiting.retain(|(_, other), _| *other != id);
                let is_gone = self.waiting.len() < before;
                if is_gone {
                    self.kept.remove(&id);
                }
                self.publish_schedule();
                let _heard = answer.send(is_gone);
            }
        }
    }

    /// Keeps a scene ready; the one that was prepared first goes when there are too many.
    fn keep(&mut self, prepared: Arc<Prepared>) {
        let id = prepared.staged.id.clone();
        self.order.retain(|other| *other != id);
        self.order.push(id.clone());
        self.prepared.insert(id, prepared);
        while self.order.len() > PREPARED_MAX {
            let oldest = self.order.remove(0);
            self.prepared.remove(&oldest);
        }
    }

    fn forget(&mut self, id: &str) {
        // Those that it stands in are stale as well.
        let is_stale =
            |other: &str, prepared: &Prepared| other == id || prepared.staged.spec.holds_scene(id);
        self.prepared
            .retain(|other, prepared| !is_stale(other, prepared));
        self.order.retain(|other| self.prepared.contains_key(other));
    }

    /// The tick before which the change of scenes in course comes to its end.
    fn mix_end(&self) -> Option<u64> {
        let snapshot = self.publish.borrow();
        let course = snapshot.mix.as_ref()?.place.course;
        course.end_tick(snapshot.rate).map(|tick| tick + 1)
    }

    /// Notes that the scene that comes is there alone.
    fn end_mix(&mut self) {
        if self.mix_end().is_none_or(|end| end > self.ticks.next()) {
            return;
        }
        let before = Arc::clone(&self.publish.borrow());
        let snapshot = Snapshot {
            show: without_change(&before.show),
            mix: None,
            ..(*before).clone()
        };
        self.publish.send_replace(Arc::new(snapshot));
        let program = &before.show.program;
        let from = before.show.changing.as_ref();
        let data = json!({"from": from.map(|changing| &changing.from.id), "to": program.id});
        let event = Event::about("transition:end", &program.id, data);
        let tick = self.ticks.next().saturating_sub(1);
        self.events.tell(event, before.show.revision, tick);
    }

    fn take_job(&mut self, job: Job) {
        self.end_mix();
        // Everything has landed, and nothing of what was planned is in course any more.
        let is_over = self.outstanding == 0 && self.publish.borrow().mix.is_none();
        if is_over && self.show.changing.is_some() {
            self.show = without_change(&self.show);
        }
        let terms = job.terms;
        if let Some(expected) = terms.if_revision
            && expected != self.show.revision
        {
            let revision = self.show.revision;
            let message = format!("the world is at revision {revision}, not {expected}");
            let error = ApiError::new(ErrorCode::RevisionConflict, message);
            self.settle(job.answer, Err(error.with("revision", revision)));
            return;
        }
        let plan = match self.plan(&job) {
            Ok(Planned::Ready(plan)) => *plan,
            Ok(Planned::Needs(need)) => return self.read_for(need, job),
            Err(error) => return self.settle(job.answer, Err(error)),
        };
        if terms.dry_run {
            let outcome = Outcome {
                tick: self.ticks.next(),
                revision: self.show.revision,
                show: Arc::new(plan.show),
                scheduled: None,
            };
            return self.settle(job.answer, Ok(outcome));
        }
        match terms.at_tick {
            Some(tick) => self.put_off(job, tick),
            None => self.send(job, plan),
        }
    }

    fn plan(&self, job: &Job) -> Result<Planned, ApiError> {
        let plain = |show: Show| Plan {
            show,
            commands: Vec::new(),
            actions: Vec::new(),
            feeds: Vec::new(),
            loads_scene: false,
            pictures: Vec::new(),
            mixes: Vec::new(),
        };
        let mut show = (*self.show).clone();
        Ok(Planned::Ready(Box::new(match &job.work {
            Work::Changes(asked) => {
                let means = Means {
                    prepared: &self.prepared,
                    known: &self.known,
                    read: &job.read,
                    scenes: &job.scenes,
                    sounds: &job.sounds,
                    slate: &self.slate,
                };
                return plan(&self.show, asked, &means);
            }
            Work::GoLive { since_ms, .. } => {
                show.live_since_ms = Some(*since_ms);
                show.config = show.config.started();
                Plan {
                    // What they show of the whole time is that of the stream.
                    commands: vec![Command::ResetMeters],
                    ..plain(show)
                }
            }
            Work::GoOff => {
                show.live_since_ms = None;
                show.pause = None;
                Plan {
                    commands: vec![Command::ClosePorts, Command::Hold(Hold::Scene)],
                    ..plain(show)
                }
            }
            Work::Reload(prepared) => plan_reload(&self.show, prepared)?,
            Work::Forget(id) => {
                if show
                    .preview
                    .as_ref()
                    .is_some_and(|preview| preview.id == *id)
                {
                    show.preview = None;
                }
                plain(show)
            }
            Work::Outputs {
                list,
                changes,
                patch,
            } => {
                show.outputs = Arc::clone(list);
                show.output_changes = Arc::clone(changes);
                show.config = show.config.patched(patch, None)?;
                plain(show)
            }
            Work::Speech { layer, order } => {
                speech::may_order(&self.show, layer, order)?;
                Plan {
                    commands: vec![Command::Speech {
                        layer: layer.as_str().into(),
                        order: order.clone(),
                    }],
                    ..plain(show)
                }
            }
            Work::Saved { id, spec, file } => {
                show.program.file = Arc::clone(file);
                // Changes may have come since.
                show.program.is_edited = !Arc::ptr_eq(spec, &show.program.spec);
                show.program.id.clone_from(id);
                plain(show)
            }
        })))
    }

    /// Sends a plan into the world; the show is the planned one from now on.
    fn send(&mut self, job: Job, mut plan: Plan) {
        // Nobody else sends into the world's queue. What has landed and was not noted yet counts too, so that there is a place for
        // every completion.
        if self.outstanding >= QUEUE_LENGTH {
            return self.settle(job.answer, Err(CommandError::QueueFull.into()));
        }
        let rate = plan.show.config.fps;
        let old_rate = (rate != self.rate).then_some(self.rate);
        if old_rate.is_some() {
            plan.commands.push(Command::SetRate(rate));
        }
        match job.work {
            Work::GoLive { port, .. } => plan.commands.push(Command::AddPort(port)),
            Work::Forget(id) => self.forget(&id),
            // Its file is another one now.
            Work::Saved { id, .. } => self.forget(&id),
            Work::Reload(prepared) => self.keep(prepared),
            Work::Changes(_) | Work::Outputs { .. } | Work::Speech { .. } | Work::GoOff => {}
        }
        // What changes nothing is answered from the tick as well, so that what was asked for before it is on air.
        // What is said is no part of what is authored: who edits that is not in its way.
        // Nor is where the frames go: a stream that goes on after a restart is the one that it was.
        let is_authored = |command: &Command| {
            !matches!(
                command,
                Command::Speech { .. } | Command::ResetMeters | Command::AddPort(_)
            )
        };
        let is_change = plan.commands.iter().any(is_authored) || !plan.show.is_same(&self.show);
        let revision = self.revision + u64::from(is_change);
        plan.show.revision = revision;
        let show = Arc::new(plan.show);
        let playbacks = plan.commands.iter().filter_map(|command| match command {
            Command::Playback { layer, action } => Some((layer.to_string(), *action)),
            _ => None,
        });
        let playbacks = playbacks.collect();
        let done = self.done.clone();
        let sent = Sent {
            show: Arc::clone(&show),
            plan: Landing {
                actions: plan.actions,
                mixes: plan.mixes,
                feeds: plan.feeds,
                playbacks,
                loads_scene: plan.loads_scene,
                old_rate,
            },
            answer: job.answer,
        };
        let reply = move |result| {
            // There is room for as many as the world's queue holds.
            let _told = done.try_send(Done { result, sent });
        };
        // What the world then asks for is looked for in the files of the scene that it asks for it.
        if !Arc::ptr_eq(&self.show.program.spec, &show.program.spec) {
            self.library.follow(&show.program);
        }
        // Refused, it drops the answer, and who waits for it hears that the program is ending.
        if self
            .commands
            .send_batch(plan.commands, Some(revision), reply)
            .is_ok()
        {
            if plan.loads_scene {
                self.known.clear();
            }
            self.known.extend(plan.pictures);
            self.outstanding += 1;
            self.revision = revision;
            self.rate = rate;
            self.show = show;
        }
    }

    /// What was sent is on air: says so to everybody.
    fn land(&mut self, done: Done) {
        let Done { result, sent } = done;
        self.outstanding -= 1;
        let applied = match result {
            Ok(applied) => applied,
            Err(error) => {
                // Every rule was checked before; the show is ahead of the world now.
                tracing::error!(%error, "a planned change was refused by the engine; the whole scene is sent again");
                self.send_whole_scene();
                return self.settle(sent.answer, Err(error.into()));
            }
        };
        let before = Arc::clone(&self.publish.borrow());
        let clock = FrameClock {
            tick: applied.tick,
            rate: sent.show.config.fps,
        };
        if let Some(rate) = sent.plan.old_rate {
            let (mut epoch, tick) = (self.ticks.epoch(), applied.tick);
            epoch.keep(&FrameClock { tick, rate }, &clock);
            self.ticks.set_epoch(epoch);
        }
        let on_air = landed_mix(&before, &sent, &clock);
        let (feeds, arrivals) = landed_feeds(&before, &sent, &clock, self.ticks.epoch());
        let show = match &on_air.mix {
            // It came to its end before this was on air.
            None if sent.show.changing.is_some() => without_change(&sent.show),
            _ => Arc::clone(&sent.show),
        };
        // What waited is saved until what it did is, in one and the same revision.
        if let Answer::Events(id) = &sent.answer {
            self.kept.remove(id);
        }
        let snapshot = Arc::new(Snapshot {
            schedule: self.saved_schedule(&before),
            timelines: on_air.timelines,
            mix: on_air.mix,
            show,
            feeds,
            arrivals,
            since_tick: on_air.since_tick,
            came: on_air.came,
            paused_tick: on_air.paused_tick,
            origin_tick: sent
                .show
                .live_since_ms
                .map(|_| before.origin_tick.unwrap_or(applied.tick)),
            tick: applied.tick,
            rate: sent.show.config.fps,
        });
        self.publish.send_replace(Arc::clone(&snapshot));
        for event in news::of(&before, &snapshot, sent.plan.loads_scene) {
            self.events.tell(event, applied.revision, applied.tick);
        }
        let outcome = Outcome {
            tick: applied.tick,
            revision: applied.revision,
            show: sent.show,
            scheduled: None,
        };
        self.settle(sent.answer, Ok(outcome));
    }

    /// Tells what became of work.
    fn settle(&mut self, answer: Answer, result: Result<Outcome, ApiError>) {
        if let Answer::Events(id) = &answer
            && self.kept.remove(id).is_some()
        {
            self.publish_schedule();
        }
        match (answer, result) {
            (Answer::Caller(caller), result) => {
                // Who asked may be gone.
                let _heard = caller.send(result);
            }
            (Answer::Events(id), Ok(outcome)) => {
                let data = json!({"id": id, "tick": outcome.tick});
                let event = Event::about("command:applied", &id.to_string(), data);
                self.events.tell(event, outcome.revision, outcome.tick);
            }
            (Answer::Events(id), Err(error)) => {
                let data = json!({"id": id, "error": error});
                let event = Event::about("command:failed", &id.to_string(), data);
                self.events
                    .tell(event, self.show.revision, self.ticks.next());
            }
        }
    }

    fn send_whole_scene(&mut self) {
        let program = &self.show.program;
        let mut bundle = SceneBundle::new((*program.spec).clone());
        if let Some(prepared) = self.prepared.get(&program.id) {
            bundle.pictures.clone_from(&prepared.bundle.pictures);
            bundle.fonts.clone_from(&prepared.bundle.fonts);
        }
        let reply = |result: Result<Applied, CommandError>| {
            if let Err(error) = result {
                tracing::error!(%error, "the whole scene was refused too");
            }
        };
        let commands = vec![Command::LoadScene(Box::new(bundle))];
        let sent = self
            .commands
            .send_batch(commands, Some(self.revision), reply);
        if let Err(error) = sent {
            tracing::error!(%error, "the whole scene could not be sent");
        }
    }

    /// Has files read aside; the job comes back when they are there.
    fn read_for(&mut self, need: Need, mut job: Job) {
        if job.attempt >= ATTEMPTS_MAX {
            let error =
                ApiError::conflict("the scene changed again and again meanwhile; try again");
            return self.settle(job.answer, Err(error));
        }
        job.attempt += 1;
        let Some(again) = self.again.upgrade() else {
            return self.settle(job.answer, Err(ended()));
        };
        let (library, engine) = (self.library.clone(), self.engine);
        let program = self.show.program.clone();
        let max_layers = self.show.config.max_layers;
        let speech = self.speech.clone();
        tokio::spawn(async move {
            let desk = speech.clone();
            let _permit = match &need {
                Need::Sounds(_) => desk.decoding().await,
                _ => None,
            };
            let reading = tokio::task::spawn_blocking(move || match need {
                Need::Scene(id) => {
                    let prepared = library.prepare(&id, max_layers, &engine)?;
                    Ok((Some(Arc::new(prepared)), ReadFiles::default()))
                }
                Need::Inner(wanted) => {
                    let scenes = library.inner_scenes(&program, &wanted, max_layers)?;
                    let files = ReadFiles {
                        scenes,
                        ..ReadFiles::default()
                    };
                    Ok((None, files))
                }
                Need::Pictures(words) => {
                    let pictures = library.pictures(&program, &words)?;
                    let files = ReadFiles {
                        pictures,
                        ..ReadFiles::default()
                    };
                    Ok((None, files))
                }
                Need::Sounds(wanted) => {
                    let sounds = speech.read_sounds(&library, &wanted)?;
                    let files = ReadFiles {
                        sounds,
                        ..ReadFiles::default()
                    };
                    Ok((None, files))
                }
            });
            let read = reading
                .await
                .unwrap_or_else(|_| Err(ApiError::internal("reading files failed")));
            let message = match read {
                Ok((prepared, files)) => {
                    job.read.extend(files.pictures);
                    job.scenes.extend(files.scenes);
                    job.sounds.extend(files.sounds);
                    Message::Do(job, prepared)
                }
                Err(error) => Message::Fail(job.answer, error),
            };
            let _sent = again.send(message).await;
        });
    }
}

fn without_change(show: &Arc<Show>) -> Arc<Show> {
    Arc::new(Show {
        changing: None,
        ..(**show).clone()
    })
}
