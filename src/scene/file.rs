//! The scene file: its versioned envelope, read and written.

use std::sync::Arc;

use components::Problem;
use components::scene::{AssetSpec, SCENE_VERSION, SceneSpec};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::reader::{self, MAX_PROBLEMS, Skip};
use super::{fault, registry};

/// Reads the scene that a JSON document holds, and adds every problem to `found`.
///
/// What is broken has its default in the scene, or a stand-in with an empty name, and keeps its place in lists; so further rules can be
/// looked at. `None` when the document is no scene of a version that is known, of which nothing else can be said.
pub(super) fn read_scene(value: &Value, found: &mut Vec<Problem>) -> Option<SceneSpec> {
    let Value::Object(map) = value else {
        found.push(fault::mismatch("a scene, which is an object", value, ""));
        return None;
    };
    version(map, found)?;
    let mut scene = SceneSpec::new("");
    let failed = &mut Vec::new();
    for (name, value) in map {
        if found.len() >= MAX_PROBLEMS {
            break;
        }
        match name.as_str() {
            "version" => {}
            "$schema" => scene.schema = plain(value, name, found).flatten(),
            "name" => scene.name = plain(value, name, found).unwrap_or_default(),
            "canvas" => {
                if let Some(canvas) = registry::take_checked(value, name, failed, found) {
                    scene.canvas = canvas;
                }
            }
            "assets" => assets(value, &mut scene, found),
            "data" => match value {
                Value::Object(data) => scene.data = Arc::new(data.clone()),
                _ => found.push(fault::mismatch("an object", value, name)),
            },
            "layers" => scene.layers = shared(registry::list(value, name, found, registry::layer)),
            "timelines" => {
                scene.timelines = shared(registry::list(value, name, found, registry::timeline))
            }
            "audio" => {
                if let Some(audio) = registry::take_checked(value, name, failed, found) {
                    scene.audio = audio;
                }
            }
            "transitions" => {
                if let Some(transitions) = registry::take_checked(value, name, failed, found) {
                    scene.transitions = transitions;
                }
            }
            "renditions" => {
                scene.renditions = shared(registry::list(value, name, found, registry::rendition))
            }
            "outputs" => {
                scene.outputs = shared(registry::list(value, name, found, registry::output))
            }
            _ => found.push(fault::unknown_field(name, name, SceneSpec::FIELDS)),
        }
    }
    if !map.contains_key("name") {
        found.push(fault::missing("name", "scene", ""));
    }
    Some(scene)
}

fn shared<T>(list: Vec<T>) -> Vec<Arc<T>> {
    list.into_iter().map(Arc::new).collect()
}

/// The scene as a file holds it, for people to read. Reading it again gives the same scene.
pub fn to_json(scene: &SceneSpec) -> String {
    #[expect(
        clippy::expect_used,
        reason = "every map of a scene has strings for keys, and none of its types refuses to be written"
    )]
    let mut text = serde_json::to_string_pretty(scene).expect("a scene is always JSON");
    text.push('\n');
    text
}

fn version(map: &Map<String, Value>, found: &mut Vec<Problem>) -> Option<()> {
    let help = Some(format!("write \"version\": {SCENE_VERSION}"));
    let Some(version) = map.get("version") else {
        let mut problem = fault::missing("version", "scene", "");
        problem.help = help;
        found.push(problem);
        // Taken for the present one, so that the rest is looked at too.
        return Some(());
    };
    match version.as_f64() {
        Some(number) if number == f64::from(SCENE_VERSION) => Some(()),
        Some(_) => {
            found.push(Problem {
                path: "version".to_owned(),
                message: format!(
                    "version {version} is not supported; this program reads version {SCENE_VERSION}"
                ),
                ..Problem::default()
            });
            None
        }
        None => {
            let mut problem = fault::mismatch("the number of a version", version, "version");
            problem.help = help;
            found.push(problem);
            Some(())
        }
    }
}

fn plain<T: DeserializeOwned>(value: &Value, path: &str, found: &mut Vec<Problem>) -> Option<T> {
    reader::read(value, path, Skip::default(), found).value
}

fn assets(value: &Value, scene: &mut SceneSpec, found: &mut Vec<Problem>) {
    let Value::Object(map) = value else {
        found.push(fault::mismatch("an object", value, "assets"));
        return;
    };
    for (name, value) in map {
        if found.len() >= MAX_PROBLEMS {
            break;
        }
        let path = registry::field("assets", name);
        let read = reader::read(value, &path, Skip::default(), found).value;
        let asset = read.unwrap_or(AssetSpec {
            path: String::new(),
        });
        scene.assets.insert(name.clone(), asset);
    }
}
