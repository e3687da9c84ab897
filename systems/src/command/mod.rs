//! Set `Command`: the only way to change the world from outside.
//!
//! A bounded queue is drained at the start of a tick, within a budget. Every command is answered with the tick on which it landed
//! and the revision that it made; one that cannot be applied changes nothing and says why.

use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::*;
use components::animation::{Glide, Timeline, TimelineId};
use components::scene::FrameRate;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::animate::{TimelineAction, after_action, blend_timeline, from_now};
use crate::audio;
use crate::avatar::set_avatar_rate;
use crate::clock::FrameClock;
use crate::data::SceneData;
use crate::encode::{FramePort, FramePorts};
use crate::feed::{self, Epoch, FeedAction, FeedClock};
use crate::input::{self, PlaybackAction};
use crate::layout::ShownPicture;
use crate::profile::AddTimed;
use crate::publish::Counters;
use crate::render::Hold;
use crate::scene::{
    MaxLayers, Reachable, SceneBundle, SceneEdit, SceneError, check_scene, edit_scene,
    replace_scene,
};
use crate::schedule::{Tick, TickSet};
use crate::speech::{self, SpeechOrder};
use crate::transition::{self, MixAction, SceneMix};

/// How many commands may wait.
pub const QUEUE_LENGTH: usize = 1024;
/// How many commands one tick applies; the rest wait for the next.
pub const BUDGET_PER_TICK: usize = 256;

/// One requested change of the world.
pub enum Command {
    /// Takes the scene on air from the next frame on, through the scene's own transition.
    LoadScene(Box<SceneBundle>),
    /// Changes parts of the scene on air.
    EditScene(Box<SceneEdit>),
    /// Plays, pauses, moves or stops a timeline of the scene on air.
    Timeline {
        /// Its name.
        id: Arc<str>,
        /// What it is told.
        action: TimelineAction,
        /// How what it moves goes there from what is on screen; at once when there is none.
        blend: Option<Glide>,
    },
    /// Moves, turns round or ends the change of scenes that is in course.
    Mix {
        /// What it is told.
        action: MixAction,
        /// The scene that is wanted back. It is loaded when the change has come to its end meanwhile.
        back: Option<Box<SceneBundle>>,
    },
    /// Has the feed of a layer of the scene on air show another item.
    Feed {
        /// The layer's name.
        layer: Arc<str>,
        /// What it is told.
        action: FeedAction,
    },
    /// Has the file of a layer of the scene on air go on at another place.
    Playback {
        /// The layer's name.
        layer: Arc<str>,
        /// What it is told.
        action: PlaybackAction,
    },
    /// Tells an avatar of the scene on air what to say.
    Speech {
        /// The layer's name.
        layer: Arc<str>,
        /// What it is told.
        order: SpeechOrder,
    },
    /// Has the meters of sound begin anew what they show of the whole time.
    ResetMeters,
    /// Shows something else in the place of the scene, which goes on behind it, or the scene again.
    Hold(Hold),
    /// Offers every frame to one more encoder.
    AddPort(Box<dyn FramePort>),
    /// Lets go of all encoders, which ends them.
    ClosePorts,
    /// Changes the rate of the ticks. Timelines and moving pictures go on from where they stand. Only while nothing is encoded.
    SetRate(FrameRate),
    /// Changes how many layers the world may hold.
    SetMaxLayers(usize),
}

/// Where a change landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The tick whose frame is the first to show it.
    pub tick: u64,
    /// The world's revision after it.
    pub revision: u64,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Too many commands wait; try again later.
    #[error("the command queue is full ({QUEUE_LENGTH} wait); try again later")]
    QueueFull,
    /// The engine has ended.
    #[error("the engine has ended")]
    Ended,
    /// There is no such timeline in the scene on air.
    #[error("there is no timeline `{0}` in the scene on air")]
    NoTimeline(Arc<str>),
    /// No scene gives way to another.
    #[error("no change of scenes is in course")]
    NoMix,
    /// The scene cannot be taken on air.
    #[error(transparent)]
    Scene(#[from] SceneError),
}

/// Called with the answer, on the engine's thread: it must not wait.
pub type Reply = Box<dyn FnOnce(Result<Applied, CommandError>) + Send>;

struct Request {
    commands: Vec<Command>,
    revision: Option<u64>,
    reply: Reply,
}

/// Sends commands into the world, from any thread.
#[derive(Clone)]
pub struct CommandSender(Sender<Request>);

impl CommandSender {
    /// Puts a command into the queue; `reply` is called once it is applied or refused.
    ///
    /// # Errors
    /// [`CommandError::QueueFull`] or [`CommandError::Ended`], in which case `reply` is not called.
    pub fn send(
        &self,
        command: Command,
        reply: impl FnOnce(Result<Applied, CommandError>) + Send + 'static,
    ) -> Result<(), CommandError> {
        self.send_batch(vec![command], None, reply)
    }

    /// Puts commands into the queue that are applied on one tick, all or none. The world has `revision` after them, or the next
    /// number when there is none.
    ///
    /// # Errors
    /// [`CommandError::QueueFull`] or [`CommandError::Ended`], in which case `reply` is not called.
    pub fn send_batch(
        &self,
        commands: Vec<Command>,
        revision: Option<u64>,
        reply: impl FnOnce(Result<Applied, CommandError>) + Send + 'static,
    ) -> Result<(), CommandError> {
        self.0
            .try_send(Request {
                commands,
                revision,
                reply: Box::new(reply),
            })
            .map_err(|error| match error {
                TrySendError::Full(_) => CommandError::QueueFull,
                TrySendError::Disconnected(_) => CommandError::Ended,
            })
    }

    /// How many batches wait.
    pub fn waiting(&self) -> usize {
        self.0.len()
    }
}

/// The world's end of the queue.
#[derive(Resource)]
pub struct CommandQueue(Receiver<Request>);

impl CommandQueue {
    /// A queue and its other end.
    pub fn new() -> (CommandSender, Self) {
        let (sender, receiver) = bounded(QUEUE_LENGTH);
        (CommandSender(sender), Self(receiver))
    }
}

/// Adds the set's systems.
pub fn plugin(app: &mut App) {
    let systems = (
        app.timed(TickSet::Command, "command::advance_clock", advance_clock),
        app.timed(TickSet::Command, "command::apply", apply_commands),
    )
        .chain();
    app.add_systems(Tick, systems);
}

/// The tick that comes next; the engine counts, this set shows it to everybody.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct NextTick(pub u64);

fn advance_clock(
    mut clock: ResMut<FrameClock>,
    mut next: ResMut<NextTick>,
    mut data: ResMut<SceneData>,
) {
    clock.tick = next.0;
    next.0 += 1;
    data.follow_clock(clock.tick, clock.rate);
}

fn apply_commands(world: &mut World) {
    for _ in 0..BUDGET_PER_TICK {
        let Ok(request) = world.resource::<CommandQueue>().0.try_recv() else {
            return;
        };
        let result = apply(world, request.commands).map(|()| {
            let mut counters = world.resource_mut::<Counters>();
            counters.revision = request.revision.unwrap_or(counters.revision + 1);
            Applied {
                revision: counters.revision,
                tick: world.resource::<FrameClock>().tick,
            }
        });
        (request.reply)(result);
    }
}

/// All of them, or none.
fn apply(world: &mut World, commands: Vec<Command>) -> Result<(), CommandError> {
    // A scene or an edit before it may bring what a later command needs.
    let is_plain = !commands
        .iter()
        .any(|command| matches!(command, Command::LoadScene(_) | Command::EditScene(_)));
    for command in &commands {
        match command {
            Command::LoadScene(bundle) => check_scene(world, &bundle.spec)?,
            Command::Timeline { id, .. } if is_plain && find_timeline(world, id).is_none() => {
                return Err(CommandError::NoTimeline(Arc::clone(id)));
            }
            Command::Mix { back: None, .. }
                if is_plain && !world.resource::<SceneMix>().is_active() =>
            {
                return Err(CommandError::NoMix);
            }
            Command::Mix {
                back: Some(bundle), ..
            } => check_scene(world, &bundle.spec)?,
            _ => {}
        }
    }
    for command in commands {
        match command {
            Command::LoadScene(bundle) => replace_scene(world, *bundle)?,
            Command::EditScene(edit) => edit_scene(world, *edit),
            Command::Timeline { id, action, blend } => set_timeline(world, &id, action, blend),
            Command::Mix { action, back } => {
                if !transition::tell(world, action)
                    && let Some(bundle) = back
                {
                    replace_scene(world, *bundle)?;
                }
            }
            Command::Feed { layer, action } => feed::act(world, &layer, &action),
            Command::Playback { layer, action } => input::act(world, &layer, action),
            Command::Speech { layer, order } => speech::act(world, &layer, order),
            Command::ResetMeters => audio::reset_meters(world),
            Command::Hold(hold) => *world.resource_mut::<Hold>() = hold,
            Command::AddPort(port) => world.resource_mut::<FramePorts>().0.push(port),
            Command::ClosePorts => world
                .resource_mut::<FramePorts>()
                .0
                .retain(|port| !port.is_encoder()),
            Command::SetRate(rate) => set_rate(world, rate),
            Command::SetMaxLayers(max) => world.resource_mut::<MaxLayers>().0 = max,
        }
    }
    Ok(())
}

fn set_rate(world: &mut World, rate: FrameRate) {
    let clock = *world.resource::<FrameClock>();
    let mut timelines = world.query::<&mut Timeline>();
    for mut timeline in timelines.iter_mut(world) {
        timeline.state = from_now(&timeline, &clock);
    }
    set_avatar_rate(world, rate);
    let mut pictures = world.query::<&mut ShownPicture>();
    for mut picture in pictures.iter_mut(world) {
        picture.bypass_change_detection().count_from(&clock);
    }
    let mut feeds = world.query::<&mut FeedClock>();
    for mut feed in feeds.iter_mut(world) {
        feed.0 = feed::from_now(&feed.0, &clock);
    }
    let new = FrameClock { rate, ..clock };
    input::count_from(world, &clock, &new);
    world.resource_mut::<Epoch>().keep(&clock, &new);
    world.insert_resource(new);
}

fn find_timeline(world: &mut World, id: &str) -> Option<Entity> {
    let mut timelines = world.query_filtered::<(Entity, &TimelineId), Reachable>();
    timelines
        .iter(world)
        .find_map(|(entity, other)| (&*other.0 == id).then_some(entity))
}

fn set_timeline(world: &mut World, id: &str, action: TimelineAction, blend: Option<Glide>) {
    let clock = *world.resource::<FrameClock>();
    let Some(entity) = find_timeline(world, id) else {
        return;
    };
    if let Some(glide) = blend {
        blend_timeline(world, entity, &glide, &clock);
    }
    if let Some(mut timeline) = world.get_mut::<Timeline>(entity) {
        timeline.state = after_action(&timeline, action, &clock);
    }
}
