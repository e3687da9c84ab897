//! Scenes within scenes: finds the file of each, reads and checks it as a scene of its own, and puts it into the layer that shows it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use components::Problem;
use components::layer::LayerSpec;
use components::scene::SceneSpec;
use components::source::{SCENE_DEPTH_MAX, SceneSource, Source};
use components::value::Template;
use serde_json::{Map, Value};
use systems::data::merge_object;

use super::files::{self, FileError};
use super::load::{LoadOptions, read_inner};
use super::reader::MAX_PROBLEMS;
use super::registry::field;
use super::words;

/// What `{{paths}}` of a scene can be looked up in besides its own data.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Values of the scenes around it, which its own hide.
    pub outer: Map<String, Value>,
    /// Values that are given to it, in the place of its own.
    pub given: Map<String, Value>,
}

impl Around {
    /// All values that the scene sees.
    pub(super) fn seen_by(&self, own: &Map<String, Value>) -> Map<String, Value> {
        let mut own = own.clone();
        merge_object(&mut own, &self.given);
        let mut seen = self.outer.clone();
        seen.extend(own);
        seen
    }
}

/// The scenes that stand in each other on the way to the one that is read.
pub(super) struct Nesting<'a> {
    options: &'a LoadOptions,
    /// Their names, the outermost first.
    chain: Vec<String>,
    /// How many files were read, of which there are no more than layers may be.
    count: usize,
}

impl<'a> Nesting<'a> {
    /// Within no scene but `own`.
    pub(super) fn new(options: &'a LoadOptions, own: &str) -> Self {
        Self {
            options,
            chain: vec![own.to_owned()],
            count: 0,
        }
    }

    pub(super) fn options(&self) -> &'a LoadOptions {
        self.options
    }

    /// Puts the scenes of `spec`, which sees the values `seen`, into its layers.
    pub(super) fn fill(
        &mut self,
        spec: &mut SceneSpec,
        folder: &Path,
        seen: &Map<String, Value>,
        found: &mut Vec<Problem>,
    ) {
        let mut filler = Filler {
            nesting: self,
            folder,
            seen,
            read: HashMap::new(),
            found,
        };
        filler.layers(&mut spec.layers, "layers");
    }
}

struct Filler<'a, 'n> {
    nesting: &'a mut Nesting<'n>,
    folder: &'a Path,
    seen: &'a Map<String, Value>,
    /// By name and by the data that they are given.
    read: HashMap<(String, String), Option<Arc<SceneSpec>>>,
    found: &'a mut Vec<Problem>,
}

impl Filler<'_, '_> {
    fn layers(&mut self, layers: &mut [Arc<LayerSpec>], list: &str) {
        for (index, layer) in layers.iter_mut().enumerate() {
            let path = format!("{list}[{index}]");
            if self.found.len() >= MAX_PROBLEMS {
                return;
            }
            if matches!(layer.source, Source::Scene(_)) {
                let at = field(&path, "source.src");
                if let Source::Scene(source) = &mut Arc::make_mut(layer).source {
                    source.inner = self.scene(source, at);
                }
            }
            if !layer.children.is_empty() && has_scene(&layer.children) {
                let children = &mut Arc::make_mut(layer).children;
                self.layers(children, &field(&path, "children"));
            }
        }
    }

    fn scene(&mut self, source: &SceneSource, at: String) -> Option<Arc<SceneSpec>> {
        let id = source.scene_id();
        let given = serde_json::to_string(&source.data).unwrap_or_default();
        let key = (id.to_owned(), given);
        if let Some(read) = self.read.get(&key) {
            // What is wrong with it was told where it stands first.
            return read.clone();
        }
        let read = match self.read(id, &source.data) {
            Ok(spec) => Some(Arc::new(spec)),
            Err(_) if !self.nesting.options.check_files => None,
            Err((message, help)) => {
                self.found.push(Problem {
                    path: at,
                    message,
                    help,
                    on_key: false,
                });
                None
            }
        };
        self.read.insert(key, read.clone());
        read
    }

    fn read(
        &mut self,
        id: &str,
        given: &Map<String, Value>,
    ) -> Result<SceneSpec, (String, Option<String>)> {
        let name = words::name(id);
        if !components::layer::LayerId::from(id).is_well_formed() {
            return Err((format!("{name} is not the name of a scene"), None));
        }
        let nesting = &mut *self.nesting;
        if let Some(first) = nesting.chain.iter().position(|other| other == id) {
            let mut circle = nesting.chain[first..].to_vec();
            circle.push(id.to_owned());
            let message = format!(
                "scenes stand in each other in a circle: {}",
                circle.join(" → ")
            );
            return Err((message, None));
        }
        if nesting.chain.len() >= SCENE_DEPTH_MAX {
            let message = format!(
                "scenes stand at most {SCENE_DEPTH_MAX} deep in each other, and {} → {id} is deeper",
                nesting.chain.join(" → ")
            );
            return Err((message, None));
        }
        nesting.count += 1;
        let max = nesting.options.max_layers;
        if nesting.count > max {
            return Err((
                format!(
                    "there are more scenes in each other than the {max} layers that are allowed"
                ),
                None,
            ));
        }
        let file = format!("{id}.json");
        let path = files::find_inside(self.folder, &file).map_err(|error| {
            let near = matches!(error, FileError::Missing(_))
                .then(|| files::nearest_file(self.folder, &file))
                .flatten()
                .filter(|near| near.ends_with(".json") && !near.ends_with(".schema.json"));
            let help =
                near.map(|near| format!("did you mean \"{}\"?", near.trim_end_matches(".json")));
            (format!("there is no scene {name}: {error}"), help)
        })?;
        let around = Around {
            outer: self.seen.clone(),
            given: given.clone(),
        };
        nesting.chain.push(id.to_owned());
        let read = read_inner(&path, self.folder, nesting, &around);
        nesting.chain.pop();
        let spec = read.map_err(|errors| {
            let lines = errors.plain();
            let mut lines = lines.lines();
            let first = lines.next().unwrap_or_default().to_owned();
            let more = match lines.count() {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            (
                format!("the scene {name} cannot be used: {first}{more}"),
                None,
            )
        })?;
        Ok(with_paths(spec))
    }
}

fn has_scene(layers: &[Arc<LayerSpec>]) -> bool {
    layers
        .iter()
        .any(|layer| matches!(layer.source, Source::Scene(_)) || has_scene(&layer.children))
}

/// The scene with the paths of its pictures in the place of their names, which are another scene's where it is shown.
fn with_paths(mut spec: SceneSpec) -> SceneSpec {
    fn below(layers: &mut [Arc<LayerSpec>], names: &dyn Fn(&str) -> Option<Template>) {
        for layer in layers {
            let path = match &layer.source {
                Source::Image(image) if !image.src.is_bound() => names(&image.src.to_string()),
                _ => None,
            };
            if let Source::VisualFeed(feed) = &mut Arc::make_mut(layer).source {
                let items = feed.items.iter_mut();
                for item in items.filter(|item| item.image.is_some()) {
                    let path = item.image.as_deref().and_then(names);
                    if let Some(path) = path {
                        Arc::make_mut(item).image = Some(path.to_string());
                    }
                }
                if let Some(template) = &mut feed.template {
                    below(template, names);
                }
            }
            let file = |name: &mut String| {
                if let Some(path) = names(name) {
                    *name = path.to_string();
                }
            };
            match &mut Arc::make_mut(layer).source {
                Source::Image(image) => image.src = path.unwrap_or_else(|| image.src.clone()),
                Source::Video(video) => {
                    file(&mut video.src);
                    video.reception.fallback.as_mut().map(file);
                }
                Source::Rtsp(rtsp) => drop(rtsp.reception.fallback.as_mut().map(file)),
                Source::Ingest(ingest) => drop(ingest.reception.fallback.as_mut().map(file)),
                Source::Audio(audio) => file(&mut audio.src),
                _ => {}
            }
            if !layer.children.is_empty() {
                below(&mut Arc::make_mut(layer).children, names);
            }
        }
    }
    let assets = spec.assets.clone();
    let path = |name: &str| Template::parse(&assets.get(name)?.path).ok();
    below(&mut spec.layers, &path);
    spec
}

/// Reads one scene that is to stand in the scene `program`, which sees `around.outer`.
///
/// # Errors
/// What is wrong with it, in one sentence.
pub fn load_inner(
    id: &str,
    program: &str,
    folder: &Path,
    around: &Around,
    options: &LoadOptions,
) -> Result<SceneSpec, String> {
    let mut nesting = Nesting::new(options, program);
    let mut found = Vec::new();
    let mut filler = Filler {
        nesting: &mut nesting,
        folder,
        seen: &around.outer,
        read: HashMap::new(),
        found: &mut found,
    };
    filler
        .read(id, &around.given)
        .map_err(|(message, help)| match help {
            Some(help) => format!("{message}; {help}"),
            None => message,
        })
}
