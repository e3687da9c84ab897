//! Scenes within scenes that a request writes: found among those that are there, or asked for.

use std::collections::HashMap;
use std::sync::Arc;

use components::Problem;
use components::layer::LayerSpec;
use components::scene::SceneSpec;
use components::source::{SceneSource, Source};
use serde_json::{Map, Value};

use super::Work;
use crate::scene::registry::field;

/// A scene that is to stand in the scene on air.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedScene {
    /// Its name.
    pub id: String,
    /// The values that it is given.
    pub given: Map<String, Value>,
    /// Where the request names it.
    pub at: String,
}

/// A scene that was read to stand in another.
#[derive(Clone, Debug)]
pub struct ReadScene {
    /// The scene, with those within it.
    pub spec: Arc<SceneSpec>,
    /// Its fonts, by name for messages.
    pub fonts: Vec<(String, Arc<[u8]>)>,
}

impl Work<'_> {
    /// Puts scenes into the layers that name one and have none. Gives those that have to be read first, and the fonts of those that
    /// were. A layer whose scene was gone when the stream came back stays without, as long as it names the same.
    pub(super) fn fill_scenes(&mut self) -> (Vec<WantedScene>, Vec<(String, Arc<[u8]>)>) {
        if !has_unfilled(&self.show.program.spec.layers) {
            return Default::default();
        }
        let mut known: HashMap<String, Arc<SceneSpec>> = HashMap::new();
        for spec in [&self.base, &self.before.program.spec] {
            spec.walk_layers(|layer| {
                if let Source::Scene(source) = &layer.source
                    && let Some(inner) = &source.inner
                {
                    let id = source.scene_id().to_owned();
                    known.entry(id).or_insert_with(|| Arc::clone(inner));
                }
            });
        }
        let mut fonts = Vec::new();
        for (id, read) in self.means.scenes {
            fonts.extend(read.fonts.iter().cloned());
            known.insert(id.clone(), Arc::clone(&read.spec));
        }
        let before = Arc::clone(&self.before.program.spec);
        let mut gone = HashMap::new();
        before.walk_layers(|layer| {
            if let Some(source) = unfilled(layer) {
                gone.insert(layer.id.as_str(), source);
            }
        });
        let mut wanted = Vec::new();
        let layers = &mut self.scene().layers;
        fill(layers, "layers", &Near { known, gone }, &mut wanted);
        for scene in &mut wanted {
            let mut problem = Problem {
                path: std::mem::take(&mut scene.at),
                ..Problem::default()
            };
            self.place_in_request(&mut problem);
            scene.at = problem.path;
        }
        (wanted, fonts)
    }
}

/// The scenes that are at hand.
struct Near<'a> {
    known: HashMap<String, Arc<SceneSpec>>,
    /// By layer: what named a scene that was not there before either.
    gone: HashMap<&'a str, &'a SceneSource>,
}

/// What names a scene that is not there yet.
fn unfilled(layer: &LayerSpec) -> Option<&SceneSource> {
    match &layer.source {
        Source::Scene(source) if source.inner.is_none() => Some(source),
        _ => None,
    }
}

fn has_unfilled(layers: &[Arc<LayerSpec>]) -> bool {
    let mut layers = layers.iter();
    layers.any(|layer| unfilled(layer).is_some() || has_unfilled(&layer.children))
}

fn fill(layers: &mut [Arc<LayerSpec>], list: &str, near: &Near<'_>, wanted: &mut Vec<WantedScene>) {
    for (index, layer) in layers.iter_mut().enumerate() {
        let path = format!("{list}[{index}]");
        let gone = near.gone.get(layer.id.as_str()).copied();
        if unfilled(layer).is_some_and(|source| gone != Some(source))
            && let Source::Scene(source) = &mut Arc::make_mut(layer).source
        {
            match near.known.get(source.scene_id()) {
                Some(spec) => source.inner = Some(Arc::clone(spec)),
                None if wanted.iter().any(|other| other.id == source.scene_id()) => {}
                None => wanted.push(WantedScene {
                    id: source.scene_id().to_owned(),
                    given: source.data.clone(),
                    at: field(&path, "source.src"),
                }),
            }
        }
        if has_unfilled(&layer.children) {
            let children = &mut Arc::make_mut(layer).children;
            fill(children, &field(&path, "children"), near, wanted);
        }
    }
}
