//! The engine: a world, its schedule, and the number of the next tick.

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{IntoScheduleConfigs, Schedules};
use bevy_ecs::system::ScheduleSystem;
use components::scene::FrameRate;
use components::viewport::CanvasFit;
use raster::{Compositor, FramePool, RasterError, Workers};

use crate::assets::{PictureDoor, Pictures};
use crate::audio::{LevelBoard, MixedSound, SourceSounds};
use crate::clock::FrameClock;
use crate::command::{CommandQueue, CommandSender, NextTick};
use crate::data::SceneData;
use crate::encode::{FrameOut, FramePort, FramePorts};
use crate::feed::Epoch;
use crate::input::{InputDoor, InputRequests, WaitsForInputs};
use crate::layout::{CanvasSize, OutputSize};
use crate::profile::{NowNanos, Profile};
use crate::publish::{Counters, LatestBlame, PlacedDoor, StatusBoard, blame_tick};
use crate::render::{CachedRaster, Canvas, ComposedFrame, Hold, RasterCache, RasterCosts, picture};
use crate::scene::{
    MaxLayers, MotionsDoor, SceneBundle, SceneError, Standing, replace_scene, resume,
};
use crate::schedule::{Repeat, Tick, TickSet};
use crate::speech::{SpeechDoor, Teller};
use crate::transition::MixPlace;
use crate::{
    animate, audio, command, encode, feed, input, layout, publish, render, schedule, speech,
    transition,
};

/// What an engine is made with.
#[derive(Clone, Copy, Debug)]
pub struct EngineSettings {
    /// Width of the frames in pixels, even. A scene's canvas of another size is scaled to them, and drawn with their pixels.
    pub width: u32,
    /// Height of the frames in pixels, even.
    pub height: u32,
    /// Ticks a second.
    pub rate: FrameRate,
    /// Threads that compose, the tick's own among them; at least 1.
    pub render_threads: usize,
    /// Frames of the pool: one that is composed, one that is shown, and what the encoders hold.
    pub pool_frames: usize,
    /// The most layers, children counted.
    pub max_layers: usize,
    /// The moment of tick 0 in milliseconds since 1970 (UTC), for what counts down to a moment.
    pub epoch_unix_ms: i64,
    /// Nanoseconds of a clock that never goes back, for the profile alone.
    pub now_nanos: NowNanos,
}

/// Composes one frame a tick.
pub struct Engine {
    world: World,
    schedule: Schedule,
    /// The sound of a tick alone.
    repeat: Schedule,
    commands: CommandSender,
    pictures: PictureDoor,
    placed: PlacedDoor,
    motions: MotionsDoor,
    inputs: InputDoor,
    speech: SpeechDoor,
}

/// What one tick came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickReport {
    /// The tick.
    pub tick: u64,
    /// Whether there is a frame at all.
    pub has_frame: bool,
}

/// A picture of the whole frame.
pub struct Picture {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// RGBA8, rows tightly packed, alpha 255.
    pub rgba: Vec<u8>,
}

impl Engine {
    /// An engine with an empty, black scene.
    ///
    /// # Errors
    /// The frame's size is odd, nought or too large.
    pub fn new(settings: EngineSettings) -> Result<Self, RasterError> {
        let (commands, queue) = CommandQueue::new();
        let (pictures, door) = Pictures::new();
        let (placed, placed_requests) = PlacedDoor::new();
        let (motions, motion_requests) = MotionsDoor::new();
        let (inputs, input_requests) = InputRequests::new();
        let (speech, teller) = Teller::new();
        let mut app = App::empty();
        app.insert_resource(Profile::new(settings.now_nanos))
            .insert_resource(FrameClock {
                tick: 0,
                rate: settings.rate,
            })
            .insert_resource(CanvasSize {
                width: settings.width,
                height: settings.height,
            })
            .insert_resource(OutputSize {
                width: settings.width,
                height: settings.height,
                fit: CanvasFit::default(),
            })
            .insert_resource(MaxLayers(settings.max_layers))
            .insert_resource(Epoch(settings.epoch_unix_ms))
            .insert_resource(Canvas {
                compositor: Compositor::new(
                    settings.width,
                    settings.height,
                    settings.render_threads,
                ),
                pool: FramePool::new(settings.pool_frames, settings.width, settings.height)?,
                workers: Workers::new(settings.render_threads),
            })
            .insert_resource(queue)
            .insert_resource(pictures)
            .insert_resource(placed_requests)
            .insert_resource(motion_requests)
            .insert_resource(input_requests)
            .insert_resource(teller)
            .init_resource::<SceneData>()
            .init_resource::<NextTick>()
            .add_plugins((
                schedule::plugin,
                command::plugin,
                input::plugin,
                speech::plugin,
                feed::plugin,
                animate::plugin,
                layout::plugin,
            ))
            .add_plugins((
                transition::plugin,
                audio::plugin,
                render::plugin,
                encode::plugin,
                publish::plugin,
            ));

        let mut world = std::mem::take(app.world_mut());
        let mut schedules = world.resource_mut::<Schedules>();
        let schedule = schedules.remove(Tick);
        let repeat = schedules.remove(Repeat);
        let mut repeat = repeat.unwrap_or_else(|| Schedule::new(Repeat));
        // Not on the first late tick, which has no time for it. What is wrong with it is told there.
        drop(repeat.initialize(&mut world));
        Ok(Self {
            world,
            schedule: schedule.unwrap_or_else(|| Schedule::new(Tick)),
            repeat,
            commands,
            pictures: door,
            placed,
            motions,
            inputs,
            speech,
        })
    }

    /// Chooses how canvases of other proportions fill the frames; [`CanvasFit::Contain`] when nothing is chosen.
    pub fn set_fit(&mut self, fit: CanvasFit) {
        self.world.resource_mut::<OutputSize>().fit = fit;
    }

    /// Where changes are sent.
    pub fn commands(&self) -> CommandSender {
        self.commands.clone()
    }

    /// Where pictures that are asked for later are read from and put.
    pub fn picture_door(&self) -> PictureDoor {
        self.pictures.clone()
    }

    /// Where it is asked how a tick placed the layers.
    pub fn placed_door(&self) -> PlacedDoor {
        self.placed.clone()
    }

    /// Where it is asked what is on its way after a tick.
    pub fn motions_door(&self) -> MotionsDoor {
        self.motions.clone()
    }

    /// Where inputs are asked for, for whoever decodes.
    pub fn input_door(&self) -> InputDoor {
        self.inputs.clone()
    }

    /// Where others hear and see what is said.
    pub fn speech_door(&self) -> SpeechDoor {
        self.speech.clone()
    }

    /// Has each tick wait for the pictures and the sound of files, so that every run gives the same frames. For offline work, with
    /// somebody at the [`input_door`](Self::input_door); inputs that play as they come are not waited for.
    pub fn set_waits_for_inputs(&mut self, waits: bool) {
        self.world.insert_resource(WaitsForInputs(waits));
    }

    /// Where others see what the ticks come to.
    pub fn status_board(&self) -> StatusBoard {
        self.world.resource::<StatusBoard>().clone()
    }

    /// Where others see how loud the ticks are.
    pub fn level_board(&self) -> LevelBoard {
        self.world.resource::<LevelBoard>().clone()
    }

    /// The times of all systems.
    pub fn profile(&self) -> Profile {
        self.world.resource::<Profile>().clone()
    }

    /// Has every frame offered to one more encoder.
    pub fn add_port(&mut self, port: Box<dyn FramePort>) {
        self.world.resource_mut::<FramePorts>().0.push(port);
    }

    /// Lets go of all encoders, which ends them.
    pub fn close_ports(&mut self) {
        self.world.resource_mut::<FramePorts>().0.clear();
    }

    /// Takes a scene on air before the next tick, without the queue; for the start and for offline work.
    ///
    /// # Errors
    /// As [`replace_scene`].
    pub fn load(&mut self, bundle: SceneBundle) -> Result<(), SceneError> {
        let next = self.world.resource::<NextTick>().0;
        self.world.resource_mut::<FrameClock>().tick = next;
        replace_scene(&mut self.world, bundle)
    }

    /// Has the scene on air stand where it stood in an earlier run, of which the ticks go on with `tick`. Comes right after
    /// [`load`](Self::load), which had the tick on which the scene came on air in that run.
    pub fn resume(&mut self, standing: &Standing, tick: u64) {
        resume(&mut self.world, standing, tick);
        self.seek(tick);
    }

    /// Has the change of scenes that the last [`load`](Self::load) began stand where it stood in an earlier run; false where that has begun
    /// none.
    pub fn resume_mix(&mut self, place: MixPlace) -> bool {
        transition::resume(&mut self.world, place)
    }

    /// Shows something in the place of the scene from the next tick on, without the queue; for the start.
    pub fn hold(&mut self, hold: Hold) {
        self.world.insert_resource(hold);
    }

    /// Runs one tick: one frame and exactly its sound.
    pub fn tick(&mut self) -> TickReport {
        self.world.resource_mut::<RasterCosts>().reset();
        self.world.resource::<Profile>().begin_tick();
        self.schedule.run(&mut self.world);
        self.world.clear_trackers();
        TickReport {
            tick: self.world.resource::<FrameClock>().tick,
            has_frame: self.world.resource::<ComposedFrame>().frame.is_some(),
        }
    }

    /// Lets a tick pass on which there was no time to compose: the encoders get the last good frame again, with that tick's own sound,
    /// which is taken from its sources and mixed as on any other.
    pub fn repeat(&mut self) {
        let tick = self.world.resource::<NextTick>().0;
        self.world.resource_mut::<NextTick>().0 += 1;
        self.world.resource_mut::<FrameClock>().tick = tick;
        let clock = *self.world.resource::<FrameClock>();
        self.world.resource::<Profile>().begin_tick();
        self.repeat.run(&mut self.world);
        let Some(frame) = self.world.resource::<ComposedFrame>().frame.clone() else {
            return;
        };
        let sound = self.world.resource::<MixedSound>().0.clone();
        let full = self
            .world
            .resource_mut::<FramePorts>()
            .offer(&clock, &frame, &sound);
        let mut counters = self.world.resource_mut::<Counters>();
        counters.frames += 1;
        counters.repeated += 1;
        counters.encoder_full += full;
    }

    /// Notes that the last tick ended late, and what was to blame.
    pub fn note_late(&mut self, late_ms: f64) {
        self.world.resource_mut::<Counters>().late += 1;
        let world = &self.world;
        let tick = world.resource::<FrameClock>().tick;
        let blame = blame_tick(
            world.resource::<Profile>(),
            world.resource::<RasterCosts>(),
            "system",
            tick,
            late_ms,
        );
        self.world.resource_mut::<LatestBlame>().0 = Some(blame);
    }

    /// Ticks a second.
    pub fn rate(&self) -> FrameRate {
        self.world.resource::<FrameClock>().rate
    }

    /// The tick that runs next.
    pub fn next_tick(&self) -> u64 {
        self.world.resource::<NextTick>().0
    }

    /// Sets the moment of tick 0, in milliseconds since 1970 (UTC); for a start that took its time.
    pub fn set_epoch(&mut self, unix_ms: i64) {
        feed::set_epoch(&mut self.world, unix_ms);
    }

    /// Makes `tick` the next one, for offline work that starts in the middle.
    pub fn seek(&mut self, tick: u64) {
        self.world.resource_mut::<NextTick>().0 = tick;
    }

    /// The frame exactly as the last tick composed it.
    pub fn picture(&self) -> Picture {
        let size = *self.world.resource::<OutputSize>();
        Picture {
            width: size.width,
            height: size.height,
            rgba: picture(&self.world),
        }
    }

    /// The last tick's frame and its sound; `None` before the first tick.
    pub fn frame(&self) -> Option<FrameOut> {
        let clock = self.world.resource::<FrameClock>();
        let frame = self.world.resource::<ComposedFrame>().frame.clone()?;
        Some(FrameOut {
            tick: clock.tick,
            frame,
            sound: self.world.resource::<MixedSound>().0.clone(),
        })
    }

    /// Counts since the start.
    pub fn counters(&self) -> Counters {
        *self.world.resource::<Counters>()
    }

    /// Takes out every raster that has been drawn, so that another engine need not draw it again.
    pub fn take_rasters(&mut self) -> Vec<(u64, CachedRaster)> {
        self.world.resource_mut::<RasterCache>().take()
    }

    /// Adds systems to every tick, after those that write [`SourceSound`](crate::audio::SourceSound), for benches and tests; see [`add_to_every_tick`](schedule::add_to_every_tick).
    pub fn add_sound_systems<M>(
        &mut self,
        set: TickSet,
        systems: impl IntoScheduleConfigs<ScheduleSystem, M> + Copy,
    ) {
        self.schedule
            .add_systems(systems.in_set(set).after(SourceSounds));
        self.repeat
            .add_systems(systems.in_set(set).after(SourceSounds));
    }

    /// The world itself, for benches and tests.
    pub fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }
}
