//! Rules that only the whole scene can break: references between its parts, data, files and counts.
//!
//! What a layer or a timeline can tell by itself is checked where it is read, in [`super::registry`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use components::layer::LayerSpec;
use components::scene::SceneSpec;
use components::source::{Source, TextSource};
use components::value::Template;
use components::{Number, Problem, Problems};
use serde_json::{Map, Value};
use systems::animate::COUNTER;

use super::feeds;
use super::files::{self, FileError, FileKind};
use super::outputs;
use super::reader::MAX_PROBLEMS;
use super::registry::field;
use super::words;

/// How many layers deep a layer may stand, itself counted.
pub const MAX_NESTING: usize = 32;
/// The name in `data` that is kept for built-in values.
pub const CLOCK: &str = "clock";
/// The built-in values: seconds on air, the same as h:mm:ss, and the number of the frame.
pub const CLOCK_PATHS: &[&str] = &["clock.seconds", "clock.hms", "clock.frame"];
/// The most ids, or data paths, that are looked through for a near one.
pub(super) const NAMES_MAX: usize = 1000;

/// What a scene is held to.
#[derive(Clone, Copy, Debug)]
pub struct SceneRules<'a> {
    /// The most layers, children included.
    pub max_layers: usize,
    /// The scene's folder when files are to be looked at.
    pub folder: Option<&'a Path>,
    /// The folder of uploaded assets, which scenes name `asset:<id>`.
    pub assets: Option<&'a Path>,
}

/// Adds every problem of the whole scene to `problems`.
pub fn check_scene(scene: &SceneSpec, rules: &SceneRules<'_>, problems: &mut Problems) {
    let mut found = Vec::new();
    check(scene, rules, &mut found);
    for problem in found {
        problems.push(problem);
    }
}

/// The files that a scene names and that lie in its folder, whether they exist or not.
pub fn used_files(scene: &SceneSpec, folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = scene
        .assets
        .values()
        .filter_map(|asset| files::join_inside(folder, &asset.path).ok())
        .collect();
    let mut inner_files = Vec::new();
    let mut add = |name: &str| {
        if !scene.assets.contains_key(name) {
            files.extend(files::join_inside(folder, name).ok());
        }
    };
    scene.transitions.scene.src.iter().for_each(|src| add(src));
    scene.walk_layers(|layer| {
        if let Source::Scene(source) = &layer.source {
            add(&format!("{}.json", source.scene_id()));
            let inner = source.inner.iter();
            inner_files.extend(inner.flat_map(|inner| used_files(inner, folder)));
        }
        if let Source::VisualFeed(feed) = &layer.source {
            feeds::pictures(feed, &mut add);
        }
        layer.visit_pictures(&mut |_, name| {
            if let Some(name) = name.literal() {
                add(&name);
            }
        });
    });
    files.extend(inner_files);
    files.sort();
    files.dedup();
    files
}

/// As [`check_scene`]; when something was found before, stand-ins for what could not be read are left alone.
pub(super) fn check(scene: &SceneSpec, rules: &SceneRules<'_>, found: &mut Vec<Problem>) {
    let mut checker = Checker {
        scene,
        rules,
        broken: !found.is_empty(),
        data_broken: found.iter().any(|problem| problem.path == "data"),
        data_paths: None,
        ids: HashMap::new(),
        layer_count: 0,
        in_item: false,
        found,
    };
    checker.data();
    checker.assets();
    checker.layers(&scene.layers, "layers", 1);
    if let Some(src) = &scene.transitions.scene.src {
        checker.picture(src, "transitions.scene.src".to_owned());
    }
    checker.timelines();
    outputs::check(scene, found);
}

pub(super) struct Checker<'a> {
    pub(super) scene: &'a SceneSpec,
    rules: &'a SceneRules<'a>,
    pub(super) broken: bool,
    data_broken: bool,
    /// Every path of `data`, once one was missed.
    data_paths: Option<Vec<String>>,
    /// Each layer, and where its id was seen first.
    pub(super) ids: HashMap<&'a str, (String, &'a LayerSpec)>,
    layer_count: usize,
    /// Whether it is in the template of a feed.
    pub(super) in_item: bool,
    found: &'a mut Vec<Problem>,
}

impl<'a> Checker<'a> {
    pub(super) fn report(&mut self, path: String, message: String, help: Option<String>) {
        self.found.push(Problem {
            path,
            message,
            help,
            on_key: false,
        });
    }

    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= MAX_PROBLEMS
    }

    fn data(&mut self) {
        if self.scene.data.contains_key(CLOCK) {
            self.found.push(Problem {
                path: field("data", CLOCK),
                message: format!("the name `{CLOCK}` is kept for built-in values"),
                help: Some("give it another name".to_owned()),
                on_key: true,
            });
        }
    }

    fn assets(&mut self) {
        for (name, asset) in &self.scene.assets {
            if self.is_full() || self.broken && asset.path.is_empty() {
                continue;
            }
            let path = field(&field("assets", name), "path");
            self.file(&asset.path, files::kind_by_name(&asset.path), path);
        }
    }

    fn layers(&mut self, layers: &'a [Arc<LayerSpec>], list: &str, depth: usize) {
        for (index, layer) in layers.iter().enumerate() {
            if self.is_full() {
                return;
            }
            let path = format!("{list}[{index}]");
            if depth > MAX_NESTING {
                let message = format!("layers stand at most {MAX_NESTING} deep in each other");
                self.report(path, message, None);
                return;
            }
            let fitted = self.layer_count <= self.rules.max_layers;
            self.layer_count += 1 + layer.source.count_inner();
            if fitted && self.layer_count > self.rules.max_layers {
                let count = self.scene.count_layers();
                let message = format!(
                    "the scene has {count} layers; {} are allowed",
                    self.rules.max_layers
                );
                let help = "raise the setting MAX_LAYERS, or take layers out".to_owned();
                self.report(path.clone(), message, Some(help));
            }
            self.layer(layer, &path);
            self.layers(&layer.children, &field(&path, "children"), depth + 1);
        }
    }

    fn layer(&mut self, layer: &'a LayerSpec, path: &str) {
        let id = layer.id.as_str();
        if !(id.is_empty() && self.broken) {
            match self.ids.get(id) {
                Some((first, _)) => {
                    let message = format!(
                        "the id {} is taken by {first}; ids are unique",
                        words::name(id)
                    );
                    self.report(field(path, "id"), message, None);
                }
                None => {
                    self.ids.insert(id, (path.to_owned(), layer));
                }
            }
        }
        self.contents(layer, path);
    }

    /// What a layer says and shows, apart from its name.
    pub(super) fn contents(&mut self, layer: &'a LayerSpec, path: &str) {
        self.numbers(layer, path);
        self.texts(&layer.source, &field(path, "source"));
        if let Source::Text(TextSource { counter, .. }) = &layer.source
            && let Some(data_path) = counter.as_ref().and_then(|counter| counter.value.path())
        {
            let at = field(path, "source.counter.value");
            self.number(data_path, at);
        }
        if let Source::Avatar(avatar) = &layer.source
            && let Some(level) = avatar.mouth.as_ref().and_then(|mouth| mouth.level.path())
        {
            self.number(level, field(path, "source.mouth.level"));
        }
        self.media(layer, path);
        let mut named = Vec::new();
        layer.visit_pictures(&mut |at, name| {
            if let Some(name) = name.literal() {
                named.push((field(path, at), name));
            }
        });
        for (at, name) in named {
            self.picture(&name, at);
        }
    }

    /// The file of a film or of a sound; what is read from an address is found out on air.
    fn media(&mut self, layer: &LayerSpec, path: &str) {
        let src = match &layer.source {
            Source::Video(video) => &video.src,
            Source::Audio(audio) => &audio.src,
            _ => return,
        };
        let is_elsewhere = src.is_empty() || src.contains("://");
        if !is_elsewhere && !self.scene.assets.contains_key(src) {
            self.file(src, FileKind::Other, field(path, "source.src"));
        }
    }

    /// A picture that is named at a place.
    pub(super) fn picture(&mut self, name: &str, at: String) {
        match self.scene.assets.get(name) {
            Some(asset) => self.picture_asset(name, &asset.path, at),
            None => self.file(name, FileKind::Picture, at),
        }
    }

    /// Numbers that are bound to data.
    fn numbers(&mut self, layer: &LayerSpec, path: &str) {
        let size = layer.size.as_ref();
        let same_scale = layer.scale.x == layer.scale.y;
        let numbers: [(&str, Option<&Number>); 9] = [
            ("position.x", Some(&layer.position.x)),
            ("position.y", Some(&layer.position.y)),
            ("size.width", size.map(|size| &size.width)),
            ("size.height", size.map(|size| &size.height)),
            ("scale", same_scale.then_some(&layer.scale.x)),
            ("scale.x", (!same_scale).then_some(&layer.scale.x)),
            ("scale.y", (!same_scale).then_some(&layer.scale.y)),
            ("rotation", Some(&layer.rotation.0)),
            ("opacity", Some(&layer.opacity.0)),
        ];
        for (name, number) in numbers {
            if let Some(data_path) = number.and_then(Number::path) {
                self.number(data_path, field(path, name));
            }
        }
    }

    /// A data path at `at` that must give a number.
    fn number(&mut self, data_path: &str, at: String) {
        let is_number = match self.lookup(data_path, &at) {
            Some(Value::String(text)) => text.trim().parse::<f32>().is_ok(),
            // Null is a place that is filled later.
            Some(value) => value.is_number() || value.is_null(),
            None => data_path != "clock.hms" && !self.is_text_of_item(data_path),
        };
        if !is_number {
            let message = format!("`{data_path}` is not a number, and one is needed here");
            self.report(at, message, None);
        }
    }

    /// Texts of the source, whatever its kind, that have holes.
    fn texts(&mut self, source: &'a Source, path: &str) {
        if let Source::VisualFeed(feed) = source {
            return self.feed(feed, path);
        }
        if let Source::Scene(_) | Source::Chat(_) = source {
            // Values are no texts, a scene was looked at when it was read, and what viewers write has no holes.
            return;
        }
        // As JSON, so that a new kind of source is looked at without a line here.
        if let Ok(value) = serde_json::to_value(source) {
            let has_counter = matches!(source, Source::Text(text) if text.counter.is_some());
            self.holes(&value, path, has_counter);
        }
    }

    fn holes(&mut self, value: &Value, path: &str, has_counter: bool) {
        match value {
            Value::String(text) if text.contains("{{") => {
                let template = Template::parse(text);
                for data_path in template.iter().flat_map(Template::paths) {
                    if !(has_counter && data_path == COUNTER) {
                        self.lookup(data_path, path);
                    }
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    self.holes(value, &format!("{path}[{index}]"), has_counter);
                }
            }
            Value::Object(map) => {
                for (name, value) in map {
                    self.holes(value, &field(path, name), has_counter);
                }
            }
            _ => {}
        }
    }

    /// The value at a data path, which is reported at `at` when it does not exist. Built-in values exist and have none here.
    fn lookup(&mut self, data_path: &str, at: &str) -> Option<&'a Value> {
        let scene = self.scene;
        if self.is_of_item(data_path, at) {
            return None;
        }
        if data_path == CLOCK || data_path.starts_with("clock.") {
            if !CLOCK_PATHS.contains(&data_path) {
                let message = format!("there is no built-in value `{data_path}`");
                self.report(
                    at.to_owned(),
                    message,
                    words::suggest(data_path, CLOCK_PATHS),
                );
            }
            return None;
        }
        let value = data_value(&scene.data, data_path);
        if value.is_none() && !self.data_broken && !self.is_full() {
            let paths = self.data_paths.get_or_insert_with(|| {
                let mut paths = Vec::new();
                data_paths(&scene.data, &mut paths);
                paths.extend(CLOCK_PATHS.iter().map(|path| (*path).to_owned()));
                paths
            });
            let help = match words::nearest(data_path, paths.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add it to `data`; a value that comes later can be null".to_owned(),
            };
            let message = format!("there is no `{data_path}` in the scene's `data`");
            self.report(at.to_owned(), message, Some(help));
        }
        value
    }

    /// An asset that is used as a picture. What is wrong with the file itself was told at the asset.
    fn picture_asset(&mut self, name: &str, file: &str, path: String) {
        let promised = files::kind_by_name(file);
        let kind = self
            .rules
            .folder
            .and_then(|folder| files::find_inside(folder, file).ok())
            .and_then(|file| files::sniff(&file).ok())
            .unwrap_or(promised);
        if kind != FileKind::Picture && promised != FileKind::Picture && !file.is_empty() {
            let message = format!("the asset `{name}` ({file}) is not a picture");
            self.report(path, message, Some(PICTURES.to_owned()));
        }
    }

    /// A file that must be of a kind; [`FileKind::Other`] takes any.
    fn file(&mut self, file: &str, wanted: FileKind, path: String) {
        let Some(folder) = self.rules.folder else {
            if let Err(error) = files::join_inside(Path::new(""), file) {
                self.report(path, error.to_string(), None);
            }
            return;
        };
        let found = match files::asset_id(file) {
            Some(id) => files::find_asset(self.rules.assets, id),
            None => files::find_inside(folder, file),
        };
        let real = match found {
            Ok(real) => real,
            Err(error) => {
                let help = match error {
                    FileError::Missing(_) => self.near_file(folder, file),
                    _ => None,
                };
                self.report(path, error.to_string(), help);
                return;
            }
        };
        let shown = words::quote(file);
        match files::sniff(&real) {
            Err(error) => self.report(
                path,
                format!("the file {shown} cannot be read: {error}"),
                None,
            ),
            Ok(kind) if kind == wanted || wanted == FileKind::Other => {}
            Ok(_) if wanted == FileKind::Font => {
                let help = "TrueType and OpenType fonts are read".to_owned();
                self.report(path, format!("the file {shown} is not a font"), Some(help));
            }
            Ok(_) => {
                let message = format!("the file {shown} is not a picture");
                self.report(path, message, Some(PICTURES.to_owned()));
            }
        }
    }

    fn near_file(&self, folder: &Path, file: &str) -> Option<String> {
        let assets = self.scene.assets.keys().map(String::as_str);
        words::nearest(file, assets)
            .map(str::to_owned)
            .or_else(|| files::nearest_file(folder, file))
            .map(|near| format!("did you mean \"{near}\"?"))
    }
}

const PICTURES: &str = "PNG, JPEG, WebP, GIF, APNG and SVG are read";

/// The value at a dotted path; numbers count the elements of lists from 0.
fn data_value<'a>(data: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut names = path.split('.');
    let first = data.get(names.next()?)?;
    names.try_fold(first, |value, name| match value {
        Value::Object(map) => map.get(name),
        Value::Array(list) => list.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

fn data_paths(data: &Map<String, Value>, paths: &mut Vec<String>) {
    fn below(value: &Value, path: &str, paths: &mut Vec<String>) {
        if paths.len() >= NAMES_MAX {
            return;
        }
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    below(value, &field(path, name), paths);
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate().take(NAMES_MAX) {
                    below(value, &field(path, &index.to_string()), paths);
                }
            }
            _ => paths.push(path.to_owned()),
        }
    }
    for (name, value) in data {
        below(value, name, paths);
    }
}
