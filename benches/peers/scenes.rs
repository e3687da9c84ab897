//! The workloads, each written once and told twice: as a scene file for the engine, and (in [`crate::ffmpeg`]) as a filter graph.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use components::scene::FrameRate;
use serde_json::{Value, json};
use stream_manager::prepare;
use stream_manager::scene::{LoadOptions, LoadedScene, load_scene};
use systems::scene::SceneBundle;
use systems::{Engine, EngineSettings};

use crate::assets;

/// Width of every canvas.
pub const WIDTH: u32 = 1920;
/// Height of every canvas.
pub const HEIGHT: u32 = 1080;
/// More layers than any workload has.
const LAYERS_MAX: usize = 2000;

/// A workload.
pub struct Workload {
    /// `W1`.
    pub name: &'static str,
    /// What it stands for.
    pub title: &'static str,
    /// From the back to the front.
    pub layers: Vec<Layer>,
}

/// One layer.
pub struct Layer {
    pub id: String,
    pub paint: Paint,
    pub x: Course,
    pub y: Course,
    pub opacity: Option<Fade>,
}

/// What a layer shows.
pub enum Paint {
    /// A file of the assets' folder.
    Picture(String),
    /// A film of the assets' folder, scaled.
    Film {
        file: String,
        width: u32,
        height: u32,
    },
    /// Words that hold the whole seconds on air.
    Seconds {
        before: &'static str,
        after: &'static str,
    },
}

/// A coordinate over time, in whole pixels.
#[derive(Clone, Copy)]
pub enum Course {
    Still(i32),
    /// There and back again.
    Swing {
        from: i32,
        to: i32,
        seconds: f32,
    },
    /// There, and from the start again.
    Run {
        from: i32,
        to: i32,
        seconds: f32,
    },
}

/// An opacity that goes up and down again and again.
#[derive(Clone, Copy)]
pub struct Fade {
    pub low: f32,
    pub high: f32,
    pub seconds: f32,
}

/// How positions go from one end to the other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// From whole pixel to whole pixel, as the overlay filter can.
    WholePixels,
    /// On a sine, between pixels too.
    SubPixels,
}

/// Every workload that has a peer.
pub fn all() -> Vec<Workload> {
    vec![
        still(),
        auction(),
        everything_moves(),
        fifty_layers(),
        crate::wall::workload(),
    ]
}

/// W1: a scene as it is on most streams.
fn auction() -> Workload {
    let mut layers = vec![picture(
        "ground",
        "photo.png",
        Course::Still(0),
        Course::Still(0),
    )];
    let bob = Course::Swing {
        from: 90,
        to: 178,
        seconds: 1.3,
    };
    layers.push(picture("host", "avatar.png", Course::Still(560), bob));
    for index in 0..12 {
        let (x, y) = (index % 4 * 470 + 20, index / 4 * 330 + 60);
        layers.push(picture(
            &format!("card-{index}"),
            &format!("card-{index}.png"),
            Course::Still(x),
            Course::Still(y),
        ));
    }
    let run = Course::Run {
        from: 0,
        to: -1920,
        seconds: 12.8,
    };
    layers.push(picture("ticker", "ticker.png", run, Course::Still(1016)));
    for (index, (before, after)) in (0..).zip([
        ("On air for ", " seconds"),
        ("Bid ", " ETH"),
        ("", " viewers"),
    ]) {
        layers.push(Layer {
            id: format!("text-{index}"),
            paint: Paint::Seconds { before, after },
            x: Course::Still(40 + 640 * index),
            y: Course::Still(6),
            opacity: None,
        });
    }
    Workload {
        name: "W1",
        title: "auction stream",
        layers,
    }
}

/// W2: no pixel stays as it is.
fn everything_moves() -> Workload {
    let ground_x = Course::Swing {
        from: 0,
        to: -320,
        seconds: 4.0,
    };
    let ground_y = Course::Swing {
        from: 0,
        to: -180,
        seconds: 2.6,
    };
    let mut layers = vec![picture("ground", "photo-wide.png", ground_x, ground_y)];
    for index in 0..20 {
        let across = Course::Swing {
            from: index * 61 % 400,
            to: 900 + index * 37 % 420,
            seconds: 4.0 + (index % 5) as f32 * 0.7,
        };
        let down = Course::Swing {
            from: index * 53 % 200,
            to: 400 + index * 29 % 280,
            seconds: 2.1 + (index % 7) as f32 * 0.2,
        };
        layers.push(picture(
            &format!("glass-{index}"),
            &format!("glass-{index}.png"),
            across,
            down,
        ));
    }
    let mut other = picture(
        "other",
        "photo-other.png",
        Course::Still(0),
        Course::Still(0),
    );
    other.opacity = Some(Fade {
        low: 0.02,
        high: 0.98,
        seconds: 3.0,
    });
    layers.push(other);
    Workload {
        name: "W2",
        title: "everything moves",
        layers,
    }
}

/// W3: many layers, of which a few move.
fn fifty_layers() -> Workload {
    let mut layers = vec![picture(
        "ground",
        "photo.png",
        Course::Still(0),
        Course::Still(0),
    )];
    for index in 0..49 {
        let (x, y) = (index % 9 * 205 + 5, index / 9 * 175 + 8);
        let (x, y) = if index < 44 {
            (Course::Still(x), Course::Still(y))
        } else {
            let place = index - 44;
            let from = 60 + 330 * place;
            let across = Course::Swing {
                from,
                to: from + 200,
                seconds: 2.0 + place as f32 * 0.2,
            };
            (
                across,
                Course::Swing {
                    from: 40,
                    to: 840,
                    seconds: 3.3 + place as f32 * 0.4,
                },
            )
        };
        layers.push(picture(
            &format!("small-{index}"),
            &format!("small-{index}.png"),
            x,
            y,
        ));
    }
    Workload {
        name: "W3",
        title: "fifty layers",
        layers,
    }
}

/// W0: W3 with nothing moving.
fn still() -> Workload {
    let mut workload = fifty_layers();
    for layer in &mut workload.layers {
        (layer.x, layer.y) = (layer.x.at_rest(), layer.y.at_rest());
    }
    Workload {
        name: "W0",
        title: "still",
        ..workload
    }
}

/// A thousand layers over a ground, none of which moves.
pub fn thousand_still() -> Workload {
    let mut layers = vec![picture(
        "ground",
        "photo.png",
        Course::Still(0),
        Course::Still(0),
    )];
    for index in 0..999 {
        let (x, y) = (
            Course::Still(index % 40 * 46),
            Course::Still(index / 40 * 40),
        );
        layers.push(picture(&format!("tiny-{index}"), "tiny.png", x, y));
    }
    Workload {
        name: "thousand",
        title: "a thousand still layers",
        layers,
    }
}

pub fn picture(id: &str, file: &str, x: Course, y: Course) -> Layer {
    Layer {
        id: id.to_owned(),
        paint: Paint::Picture(file.to_owned()),
        x,
        y,
        opacity: None,
    }
}

impl Course {
    fn at_rest(self) -> Self {
        match self {
            Self::Still(at) | Self::Swing { from: at, .. } | Self::Run { from: at, .. } => {
                Self::Still(at)
            }
        }
    }

    /// Where it starts.
    pub fn start(self) -> i32 {
        match self.at_rest() {
            Self::Still(at) | Self::Swing { from: at, .. } | Self::Run { from: at, .. } => at,
        }
    }

    /// A timeline of its own, since each has its own length.
    fn timeline(self, layer: &str, property: &str, motion: Motion) -> Option<Value> {
        let (mode, from, to, seconds) = match self {
            Self::Still(_) => return None,
            Self::Swing { from, to, seconds } => ("pingPong", from, to, seconds),
            Self::Run { from, to, seconds } => ("loop", from, to, seconds),
        };
        let easing = match (motion, self) {
            (Motion::WholePixels, _) => json!({"steps": from.abs_diff(to)}),
            (Motion::SubPixels, Self::Run { .. }) => json!("linear"),
            (Motion::SubPixels, _) => json!("easeInOutSine"),
        };
        Some(timeline(
            layer,
            property,
            mode,
            json!(from),
            json!(to),
            seconds,
            easing,
        ))
    }
}

fn timeline(
    layer: &str,
    property: &str,
    mode: &str,
    from: Value,
    to: Value,
    seconds: f32,
    easing: Value,
) -> Value {
    json!({
        "id": format!("{layer}-{property}"),
        "loop": mode,
        "tracks": [{
            "layer": layer,
            "property": property,
            "keyframes": [{"at": 0, "value": from}, {"at": seconds, "value": to, "easing": easing}]
        }]
    })
}

impl Workload {
    fn to_json(&self, motion: Motion) -> Value {
        let folder = assets::folder();
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| {
                let source = match &layer.paint {
                    Paint::Picture(file) => json!({"type": "image", "src": format!("{folder}/{file}")}),
                    Paint::Film { file, .. } => json!({"type": "video", "src": format!("{folder}/{file}"), "loop": true}),
                    Paint::Seconds { before, after } => json!({
                        "type": "text",
                        "text": format!("{before}{{{{clock.seconds}}}}{after}"),
                        "font": {"family": "Inter", "weight": 700, "size": 40}
                    }),
                };
                let mut value = json!({"id": layer.id, "source": source, "position": {"x": layer.x.start(), "y": layer.y.start()}});
                if let Paint::Film { width, height, .. } = &layer.paint {
                    value["size"] = json!({"width": width, "height": height});
                }
                value
            })
            .collect();
        let mut timelines = Vec::new();
        for layer in &self.layers {
            timelines.extend(layer.x.timeline(&layer.id, "position.x", motion));
            timelines.extend(layer.y.timeline(&layer.id, "position.y", motion));
            timelines.extend(layer.opacity.map(|fade| {
                let (low, high) = (json!(fade.low), json!(fade.high));
                timeline(
                    &layer.id,
                    "opacity",
                    "pingPong",
                    low,
                    high,
                    fade.seconds,
                    json!("linear"),
                )
            }));
        }
        json!({
            "version": 1,
            "name": format!("{} {}", self.name, self.title),
            "canvas": {"width": WIDTH, "height": HEIGHT},
            "assets": {"font": {"path": format!("{folder}/{}", assets::FONT)}},
            "layers": layers,
            "timelines": timelines
        })
    }

    /// Writes the scene file and reads it as the program would.
    ///
    /// # Errors
    /// As [`Stage::new`].
    pub fn stage(&self, motion: Motion) -> Result<Stage> {
        let suffix = if motion == Motion::SubPixels {
            "-sub-pixel"
        } else {
            ""
        };
        Stage::new(
            self.name,
            &format!("{}{suffix}", self.name),
            &self.to_json(motion),
        )
    }
}

/// A workload that has been read and decoded, from which engines are made.
pub struct Stage {
    pub name: &'static str,
    scene: LoadedScene,
    bundle: SceneBundle,
}

impl Stage {
    /// Writes a scene file and reads it as the program would.
    ///
    /// # Errors
    /// The file cannot be written, or the product refuses the scene.
    pub fn new(name: &'static str, file: &str, scene: &Value) -> Result<Self> {
        let path = assets::out_folder().join(format!("{file}.json"));
        fs::write(&path, serde_json::to_string_pretty(scene)?)
            .with_context(|| format!("`{}` cannot be written", path.display()))?;
        let options = LoadOptions {
            max_layers: LAYERS_MAX,
            ..LoadOptions::default()
        };
        let scene = load_scene(&path, &options).map_err(|errors| anyhow!(errors.plain()))?;
        let bundle = prepare::bundle(&scene, &PathBuf::new().into())?;
        Ok(Self {
            name,
            scene,
            bundle,
        })
    }

    /// Puts the scene in the place of the one that the engine shows, by its own transition.
    ///
    /// # Errors
    /// The engine's.
    pub fn follow(&self, engine: &mut Engine) -> Result<()> {
        Ok(engine.load(self.bundle.clone())?)
    }

    /// An engine with the scene in it, as the program makes it.
    ///
    /// # Errors
    /// The engine's.
    pub fn engine(&self, fps: u32, threads: usize, pool_frames: usize) -> Result<Engine> {
        self.engine_with(prepare::engine_settings(
            &self.scene.spec,
            FrameRate::whole(fps),
            threads,
            pool_frames,
            LAYERS_MAX,
        ))
    }

    fn engine_with(&self, settings: EngineSettings) -> Result<Engine> {
        let mut engine = Engine::new(settings)?;
        if self.name == "W4" {
            crate::wall::serve(&mut engine)?;
        }
        engine.load(self.bundle.clone())?;
        Ok(engine)
    }
}
