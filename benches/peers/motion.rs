//! Effects and transitions at work, with one thread: a blur on a layer that moves, and one scene that fades into another.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::assets;
use crate::figures::Figure;
use crate::ours::{self, FPS, POOL_FRAMES};
use crate::report::Run;
use crate::scenes::{HEIGHT, Stage, WIDTH};
use crate::usage::{Who, measure};

/// Radius of the blur in pixels.
const RADIUS: f64 = 20.0;

/// The scenes, read and decoded.
pub struct Scenes {
    blur: Stage,
    moving_blur: Stage,
    /// From which scene, to which.
    crossfades: [(Stage, Stage); 2],
}

impl Scenes {
    /// Writes and reads them all.
    ///
    /// # Errors
    /// As [`Stage::new`].
    pub fn new() -> Result<Self> {
        let pair = |name, cards| -> Result<(Stage, Stage)> {
            let stage = |file: &str, photo, first| {
                Stage::new(
                    name,
                    &format!("{file} of {name}"),
                    &still(photo, first, cards),
                )
            };
            Ok((
                stage("one side", "photo.png", 0)?,
                stage("other side", "photo-other.png", 5)?,
            ))
        };
        Ok(Self {
            blur: Stage::new("blur", "blur", &blurred(false))?,
            moving_blur: Stage::new("moving blur", "moving-blur", &blurred(true))?,
            crossfades: [pair("crossfade", 0)?, pair("crossfade of cards", 5)?],
        })
    }

    /// One round of them all.
    ///
    /// # Errors
    /// The engine's.
    pub fn measure(&self, frames: u64, run: &mut Run) -> Result<()> {
        for stage in [&self.blur, &self.moving_blur] {
            let (tick_ms, effects_ms) = run.quietly(|| {
                let mut engine = ours::warm(stage, 1)?;
                let tick_ms = ours::median_tick_ms(&mut engine, frames);
                Ok((tick_ms, ours::system_ms(&engine, "render::effects")))
            })?;
            run.figures.add(stage.name, Figure::Tick, tick_ms);
            run.figures
                .add(stage.name, Figure::EffectsSystem, effects_ms);
        }
        for (from, to) in &self.crossfades {
            let cost = run.quietly(|| {
                let mut engine = from.engine(FPS, 1, POOL_FRAMES)?;
                engine.tick();
                to.follow(&mut engine)?;
                // The first ticks of a change make what the others use.
                ours::median_tick_ms(&mut engine, u64::from(FPS));
                let before = engine.counters().tiles_composed;
                let (_, cost) = measure(Who::Ourselves, || {
                    Ok(ours::median_tick_ms(&mut engine, frames))
                })?;
                let composed = engine.counters().tiles_composed - before;
                ensure!(composed > 0, "the change was over before it was measured");
                Ok(cost)
            })?;
            run.figures
                .add(from.name, Figure::OneThread, cost.cpu_ms(frames));
        }
        Ok(())
    }
}

/// A glass of 600 by 400 pixels that crosses a photograph, blurred; `moving` swings the radius by a pixel too.
fn blurred(moving: bool) -> Value {
    let folder = assets::folder();
    let swing = |property: &str, low: f64, high: f64, seconds: f64| {
        json!({
            "id": property.replace('.', "-"),
            "loop": "pingPong",
            "tracks": [{
                "layer": "glass",
                "property": property,
                "keyframes": [{"at": 0, "value": low}, {"at": seconds, "value": high}]
            }]
        })
    };
    let mut timelines = vec![swing("position.x", 100.0, 1200.0, 5.0)];
    if moving {
        timelines.push(swing(
            "effects.blur.radius",
            RADIUS - 1.0,
            RADIUS + 1.0,
            3.0,
        ));
    }
    json!({
        "version": 1,
        "name": "A blur that moves",
        "canvas": {"width": WIDTH, "height": HEIGHT},
        "layers": [
            {"id": "ground", "source": {"type": "image", "src": format!("{folder}/photo.png")}},
            {
                "id": "glass",
                "position": {"x": 100, "y": 340},
                "source": {"type": "image", "src": format!("{folder}/glass-0.png")},
                "effects": [{"type": "blur", "radius": RADIUS}]
            }
        ],
        "timelines": timelines
    })
}

/// A photograph with `cards` cards on it, which comes by the longest fade.
fn still(photo: &str, first: usize, cards: usize) -> Value {
    let folder = assets::folder();
    let mut layers = vec![json!({
        "id": "ground",
        "source": {"type": "image", "src": format!("{folder}/{photo}")}
    })];
    layers.extend((0..cards).map(|index| {
        json!({
            "id": format!("card-{index}"),
            "position": {"x": 60 + 360 * index, "y": 120 + 140 * index},
            "source": {"type": "image", "src": format!("{folder}/card-{}.png", first + index)}
        })
    }));
    json!({
        "version": 1,
        "name": "Still",
        "canvas": {"width": WIDTH, "height": HEIGHT},
        "layers": layers,
        "transitions": {"scene": {"type": "fade", "duration": 60, "easing": "linear"}}
    })
}
