//! The whole scene as a file writes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::CanvasSpec;
use crate::animation::TimelineSpec;
use crate::layer::LayerSpec;
use crate::output::{OutputSpec, RenditionSpec};
use crate::sound::AudioSpec;
use crate::source::Source;
use crate::transition::Transition;
use crate::validate::{Problems, Validate};

/// The version of the scene format that this program writes and reads.
pub const SCENE_VERSION: u32 = 1;

/// A scene file. Its parts are shared, so that a copy of a scene that differs in one layer costs one layer.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, title = "Stream Manager scene")]
pub struct SceneSpec {
    /// Where editors find this schema. Kept as it is.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Version of the format.
    #[schemars(extend("const" = SCENE_VERSION))]
    pub version: u32,
    /// Title for people.
    pub name: String,
    /// The picture that is composed.
    #[schemars(default)]
    pub canvas: CanvasSpec,
    /// Files that the scene uses, by name. Fonts are loaded when listed here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(default)]
    pub assets: BTreeMap<String, AssetSpec>,
    /// Variables for `{{path.to.value}}`.
    #[serde(skip_serializing_if = "no_data")]
    #[schemars(default)]
    pub data: Arc<Map<String, Value>>,
    /// The layers; the order of the file breaks ties of `zIndex`.
    #[schemars(default)]
    pub layers: Vec<Arc<LayerSpec>>,
    /// Motion.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub timelines: Vec<Arc<TimelineSpec>>,
    /// How this scene takes the place of another.
    #[serde(skip_serializing_if = "Transitions::is_default")]
    #[schemars(default)]
    pub transitions: Transitions,
    /// What is done to the program's sound.
    #[serde(skip_serializing_if = "AudioSpec::is_default")]
    #[schemars(default)]
    pub audio: AudioSpec,
    /// Encodings of the program besides `main`, at most 7, and what `main` has otherwise than the settings say. Those of the scene that the
    /// program starts with count; a scene that comes on air later leaves them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default, length(max = 8))]
    pub renditions: Vec<Arc<RenditionSpec>>,
    /// Where the program goes, at most 32. Those of the scene that the program starts with count; a scene that comes on air later leaves
    /// them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default, length(max = 32))]
    pub outputs: Vec<Arc<OutputSpec>>,
}

/// A file that a scene uses.
///
/// `{"path": "assets/fonts/Inter.ttf"}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssetSpec {
    /// Path relative to the scene file; it cannot leave the scene's folder.
    pub path: String,
}

/// How scenes follow each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Transitions {
    /// How this scene comes on air, at a reload too.
    pub scene: Transition,
}

impl Transitions {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl SceneSpec {
    /// The names of a scene's fields, as files write them.
    pub const FIELDS: &[&str] = &[
        "$schema",
        "version",
        "name",
        "canvas",
        "assets",
        "data",
        "layers",
        "timelines",
        "transitions",
        "audio",
        "renditions",
        "outputs",
    ];

    /// An empty scene on a canvas of the default size.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            schema: None,
            version: SCENE_VERSION,
            name: name.into(),
            canvas: CanvasSpec::default(),
            assets: BTreeMap::new(),
            data: Arc::default(),
            layers: Vec::new(),
            timelines: Vec::new(),
            transitions: Transitions::default(),
            audio: AudioSpec::default(),
            renditions: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// How many layers the world holds for this scene: those of scenes within it, and what feeds show, count too.
    pub fn count_layers(&self) -> usize {
        let mut count = 0;
        self.walk_layers(|layer| count += 1 + layer.source.count_inner());
        count
    }

    /// Every layer, parents before their children.
    pub fn walk_layers<'a>(&'a self, mut visit: impl FnMut(&'a LayerSpec)) {
        for layer in &self.layers {
            layer.walk(&mut visit);
        }
    }

    /// This scene and all scenes within it, the outermost first.
    pub fn walk_scenes<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        self.walk_layers(|layer| {
            if let Source::Scene(source) = &layer.source
                && let Some(inner) = &source.inner
            {
                inner.walk_scenes(visit);
            }
        });
    }

    /// Whether the scene of this name stands in it, however deep.
    pub fn holds_scene(&self, id: &str) -> bool {
        let mut holds = false;
        self.walk_scenes(&mut |scene| {
            scene.walk_layers(|layer| {
                let source = &layer.source;
                holds |= matches!(source, Source::Scene(source) if source.scene_id() == id);
            });
        });
        holds
    }
}

fn no_data(data: &Map<String, Value>) -> bool {
    data.is_empty()
}

impl Validate for Transitions {
    fn validate(&self, problems: &mut Problems) {
        problems.at("scene", |problems| self.scene.validate(problems));
    }
}
