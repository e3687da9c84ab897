//! What is authored, as one value: the scene on air with every change made to it, what is prepared, and how the stream stands.
//!
//! A [`Show`] never changes; a change makes a new one that shares what is the same. Readers hold the one that was true on a tick.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use components::animation::Timeline;
use components::layer::{LayerId, LayerSpec};
use components::scene::{FrameRate, SceneSpec};
use components::transition::Transition;
use serde_json::Value;
use systems::feed::{Arrivals, FeedState};
use systems::scene::{Came, Standing};
use systems::transition::MixPlace;

use super::config::Config;
use super::outputs::{OutputList, Saved as OutputChanges};
use crate::scene::{LoadedScene, to_json};
use crate::store::archive::sha256;

/// The authored state of the program.
#[derive(Clone, Debug)]
pub struct Show {
    /// Raised by every change.
    pub revision: u64,
    /// The scene on air.
    pub program: Staged,
    /// The scene that is prepared to come next.
    pub preview: Option<Staged>,
    /// The change from another scene that is in course.
    pub changing: Option<Changing>,
    /// What is shown in the place of the scene.
    pub pause: Option<PausedAs>,
    /// When the stream went on air, in milliseconds since 1970 (UTC); `None` while it is stopped.
    pub live_since_ms: Option<u64>,
    /// Settings that can be changed while running.
    pub config: Config,
    /// Where the program goes, and in which encodings.
    pub outputs: Arc<OutputList>,
    /// What the API has changed of that.
    pub output_changes: Arc<OutputChanges>,
}

impl Show {
    /// Whether nothing differs but the revision.
    pub fn is_same(&self, other: &Self) -> bool {
        let preview = |show: &Self| show.preview.as_ref().map(|scene| Arc::clone(&scene.spec));
        let same_preview = match (preview(self), preview(other)) {
            (Some(a), Some(b)) => Arc::ptr_eq(&a, &b),
            (None, None) => true,
            _ => false,
        };
        let goes = |show: &Self| {
            let changing = show.changing.as_ref();
            changing.map(|changing| Arc::as_ptr(&changing.from.spec))
        };
        same_preview
            && goes(self) == goes(other)
            && Arc::ptr_eq(&self.program.spec, &other.program.spec)
            && self.program.id == other.program.id
            && self.program.is_edited == other.program.is_edited
            && self.pause == other.pause
            && self.live_since_ms == other.live_since_ms
            && self.config == other.config
            && self.outputs == other.outputs
            && self.output_changes == other.output_changes
    }
}

/// A scene, the name by which it is asked for, and where its files are.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The name of its file without `.json`.
    pub id: String,
    /// The scene.
    pub spec: Arc<SceneSpec>,
    /// The folder that its files are named relative to.
    pub folder: PathBuf,
    /// Whether it was changed since it was read or saved.
    pub is_edited: bool,
    /// What its file said when it was read or saved: [`fingerprint`].
    pub file: Arc<str>,
}

impl Staged {
    /// A scene as its file says.
    pub fn of(id: &str, scene: LoadedScene) -> Self {
        Self {
            id: id.to_owned(),
            file: fingerprint(&scene.spec),
            spec: Arc::new(scene.spec),
            folder: scene.folder,
            is_edited: false,
        }
    }

    /// Whether another one is the same scene, with the same in it.
    pub fn says_the_same(&self, other: &Self) -> bool {
        (&self.id, &self.folder, self.is_edited, &self.spec)
            == (&other.id, &other.folder, other.is_edited, &other.spec)
    }
}

/// SHA-256 of a scene as its file would be written, by which one file is known from another that says something else.
pub fn fingerprint(spec: &SceneSpec) -> Arc<str> {
    sha256(to_json(spec).as_bytes()).into()
}

/// A scene gives way to the one on air.
#[derive(Clone, Debug)]
pub struct Changing {
    /// The scene that goes.
    pub from: Staged,
    /// The way.
    pub transition: Transition,
}

/// What a paused stream shows.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum PausedAs {
    /// A still picture that says that the stream will be back.
    #[default]
    Slate,
    /// The last frame before the pause.
    LastFrame,
}

/// A [`Show`] that is on air, and when it came there.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What is on air.
    pub show: Arc<Show>,
    /// The tick of the last change.
    pub tick: u64,
    /// The timelines of the scene on air as the world has them, by name.
    pub timelines: Arc<BTreeMap<String, Timeline>>,
    /// The feeds of the scene on air as the world has them, by the names of their layers.
    pub feeds: Arc<BTreeMap<String, FeedState>>,
    /// When items of feeds came on air, by the names of the layers.
    pub arrivals: Arc<BTreeMap<String, Arrivals>>,
    /// The tick on which the scene on air came there.
    pub since_tick: u64,
    /// When layers and messages came there that came later.
    pub came: Arc<Came>,
    /// The first tick on which something else is shown, while the stream is paused.
    pub paused_tick: Option<u64>,
    /// The tick on which the stream went on air, in whichever process; `None` while it is stopped.
    pub origin_tick: Option<u64>,
    /// The rate of the ticks.
    pub rate: FrameRate,
    /// Where the change of scenes stands, if one is in course.
    pub mix: Option<MixNow>,
    /// What waits for a later tick, by their numbers.
    pub schedule: Arc<Vec<Arc<Waiting>>>,
}

impl Snapshot {
    /// A show whose timelines and feeds stand as they do, on tick 0.
    pub fn standing(show: Arc<Show>, standing: Standing, rate: FrameRate) -> Self {
        Self {
            show,
            tick: 0,
            timelines: Arc::new(standing.timelines),
            feeds: Arc::new(standing.feeds),
            arrivals: Arc::new(standing.arrivals),
            since_tick: 0,
            came: Arc::new(standing.came),
            paused_tick: None,
            origin_tick: None,
            rate,
            mix: None,
            schedule: Arc::default(),
        }
    }
}

/// A change of scenes in course.
#[derive(Clone, Debug)]
pub struct MixNow {
    /// Where it stands.
    pub place: MixPlace,
    /// The timelines of the scene that goes.
    pub timelines: Arc<BTreeMap<String, Timeline>>,
    /// The tick on which that scene came on air.
    pub since_tick: u64,
    /// When layers and messages of it came that came later.
    pub came: Arc<Came>,
}

/// A batch that waits for its tick.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Waiting {
    /// Its number.
    pub id: u64,
    /// The tick.
    pub tick: u64,
    /// Its changes, as they are asked for.
    pub commands: Vec<Value>,
    /// The revision that the world must have then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_revision: Option<u64>,
}

/// The place of a layer in a scene: the numbers of its ancestors and its own among their siblings.
pub type LayerPath = Vec<usize>;

/// Where a layer stands.
pub fn find_layer(layers: &[Arc<LayerSpec>], id: &str) -> Option<LayerPath> {
    for (index, layer) in layers.iter().enumerate() {
        if layer.id.as_str() == id {
            return Some(vec![index]);
        }
        if let Some(below) = find_layer(&layer.children, id) {
            return Some(std::iter::once(index).chain(below).collect());
        }
    }
    None
}

/// The layer at a place.
pub fn layer_at<'a>(layers: &'a [Arc<LayerSpec>], path: &[usize]) -> Option<&'a Arc<LayerSpec>> {
    let (first, rest) = path.split_first()?;
    let layer = layers.get(*first)?;
    if rest.is_empty() {
        Some(layer)
    } else {
        layer_at(&layer.children, rest)
    }
}

/// The list that the layer at a place stands in; only the layers above it are copied.
pub fn siblings_mut<'a>(
    layers: &'a mut Vec<Arc<LayerSpec>>,
    path: &[usize],
) -> Option<&'a mut Vec<Arc<LayerSpec>>> {
    match path.split_first() {
        None | Some((_, [])) => Some(layers),
        Some((first, rest)) => {
            let layer = layers.get_mut(*first)?;
            siblings_mut(&mut Arc::make_mut(layer).children, rest)
        }
    }
}

/// The path of a layer as problems write it: `layers[2].children[0]`.
pub fn written(path: &[usize]) -> String {
    let mut text = String::new();
    for (depth, index) in path.iter().enumerate() {
        let list = if depth == 0 { "layers" } else { ".children" };
        text.push_str(&format!("{list}[{index}]"));
    }
    text
}

/// The names of all layers.
pub fn layer_ids(scene: &SceneSpec) -> Vec<&str> {
    let mut ids = Vec::new();
    scene.walk_layers(|layer| ids.push(layer.id.as_str()));
    ids
}

/// A layer by its name, with the name of the one above it.
pub fn layer_with_parent<'a>(
    scene: &'a SceneSpec,
    id: &str,
) -> Option<(&'a Arc<LayerSpec>, Option<&'a LayerId>)> {
    let path = find_layer(&scene.layers, id)?;
    let layer = layer_at(&scene.layers, &path)?;
    let above = path.get(..path.len() - 1).unwrap_or_default();
    Some((
        layer,
        layer_at(&scene.layers, above).map(|parent| &parent.id),
    ))
}
