//! A scene within a scene.

use std::sync::Arc;

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::layer::LayerId;
use crate::scene::SceneSpec;
use crate::validate::{Problems, Validate};

/// How many scenes deep a scene may stand in others, the outermost counted.
pub const SCENE_DEPTH_MAX: usize = 4;

/// Another scene, with its own layers and timelines, in the layer's box. It is scaled by the layer's `fit` and cut at the box; the
/// layer's `crop` cuts its canvas. A layer without a size is as large as that canvas.
///
/// `{{path}}` is looked up in `data`, then in the inner scene's own data, then in that of the scene around it.
///
/// `{"type": "scene", "src": "scoreboard", "background": true, "data": {"title": "Lot 12"}}`
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SceneSource {
    /// The name of a scene file beside this one, with or without `.json`. Scenes stand at most 4 deep in each other, and never in a
    /// circle.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"), example = &"scoreboard")]
    pub src: String,
    /// Whether its canvas's colour is drawn behind its layers. Default false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub background: bool,
    /// Values that take the place of those of the inner scene, merged into them (JSON merge patch, RFC 7396). Default none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
    /// The scene itself, with the scenes within it. Put in by whoever reads files; not written.
    #[serde(skip)]
    pub inner: Option<Arc<SceneSpec>>,
}

impl SceneSource {
    /// The name of the scene, without `.json`.
    pub fn scene_id(&self) -> &str {
        self.src.strip_suffix(".json").unwrap_or(&self.src)
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl Validate for SceneSource {
    fn validate(&self, problems: &mut Problems) {
        if !LayerId::from(self.scene_id()).is_well_formed() {
            problems.at("src", |problems| {
                problems.report(
                    "a scene is named by its file beside this one: letters from a to z, digits, `-`, `_` and `.`, and no folder",
                );
            });
        }
        if self.data.contains_key("clock") {
            problems.at("data", |problems| {
                problems.report("the name `clock` is kept for built-in values");
            });
        }
    }
}
