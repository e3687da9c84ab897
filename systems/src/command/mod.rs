//! Set `Command`: the only way to change the world from outside.
//!
//! A bounded queue is drained at the start of a tick, within a budget. Every command is answered with the tick on which it landed
//! and the revision that it made; one that cannot be applied changes nothing and says why.

use bevy_app::App;
use bevy_ecs::prelude::*;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use serde_json::Value;

use crate::clock::FrameClock;
use crate::data::SceneData;
use crate::profile::AddTimed;
use crate::publish::Counters;
use crate::scene::{SceneBundle, SceneError, replace_scene};
use crate::schedule::{Tick, TickSet};

/// How many commands may wait.
pub const QUEUE_LENGTH: usize = 1024;
/// How many commands one tick applies; the rest wait for the next.
pub const BUDGET_PER_TICK: usize = 256;

/// One requested change of the world.
pub enum Command {
    /// Takes the scene on air from the next frame on, through the scene's own transition.
    LoadScene(Box<SceneBundle>),
    /// Applies a JSON merge patch (RFC 7396) to the scene's data; everything bound to it changes on one frame.
    MergeData(Value),
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
    /// A merge patch must be an object.
    #[error("scene data is changed by a JSON object")]
    NotAnObject,
    /// The scene cannot be taken on air.
    #[error(transparent)]
    Scene(#[from] SceneError),
}

/// Called with the answer, on the engine's thread: it must not wait.
pub type Reply = Box<dyn FnOnce(Result<Applied, CommandError>) + Send>;

struct Request {
    command: Command,
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
        self.0
            .try_send(Request {
                command,
                reply: Box::new(reply),
            })
            .map_err(|error| match error {
                TrySendError::Full(_) => CommandError::QueueFull,
                TrySendError::Disconnected(_) => CommandError::Ended,
            })
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
        let Ok(Request { command, reply }) = world.resource::<CommandQueue>().0.try_recv() else {
            return;
        };
        let result = apply(world, command).map(|()| {
            let mut counters = world.resource_mut::<Counters>();
            counters.revision += 1;
            Applied {
                revision: counters.revision,
                tick: world.resource::<FrameClock>().tick,
            }
        });
        reply(result);
    }
}

fn apply(world: &mut World, command: Command) -> Result<(), CommandError> {
    match command {
        Command::LoadScene(bundle) => replace_scene(world, *bundle)?,
        Command::MergeData(patch) if !patch.is_object() => return Err(CommandError::NotAnObject),
        Command::MergeData(patch) => world.resource_mut::<SceneData>().merge(&patch),
    }
    Ok(())
}
