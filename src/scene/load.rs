//! From a file or a text to a scene that keeps every rule, or to all of its problems.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use components::Problem;
use components::layer::DEFAULT_MAX_LAYERS;
use components::scene::SceneSpec;
use serde_json::Value;

use super::error::{Found, SceneErrors};
use super::file::read_scene;
use super::nested::{Around, Nesting};
use super::span::{Lines, MAX_BYTES, SpanIndex};
use super::validate::{self, SceneRules};

/// What loading a scene depends on besides the file.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The most layers, children included (the setting `MAX_LAYERS`).
    pub max_layers: usize,
    /// Whether files must be there: pictures and fonts, films, and scenes that stand in this one, which are left out otherwise.
    pub check_files: bool,
    /// The longest text, in bytes. A file has at most [`MAX_BYTES`] whatever this says.
    pub text_bytes_max: usize,
    /// The folder of uploaded assets, which scenes name `asset:<id>`; where there is none they are taken for missing.
    pub assets: Option<PathBuf>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            max_layers: DEFAULT_MAX_LAYERS,
            check_files: true,
            text_bytes_max: MAX_BYTES,
            assets: None,
        }
    }
}

/// A scene that keeps every rule.
#[derive(Clone, Debug)]
pub struct LoadedScene {
    /// The scene.
    pub spec: SceneSpec,
    /// The folder that its files are relative to.
    pub folder: PathBuf,
    /// The file that it was read from.
    pub path: PathBuf,
    pub(super) stamps: Vec<Stamp>,
}

impl LoadedScene {
    /// A scene that came from elsewhere than the file that it is to be written to.
    pub fn new(spec: SceneSpec, folder: PathBuf, path: PathBuf) -> Self {
        Self {
            spec,
            folder,
            path,
            stamps: Vec::new(),
        }
    }

    /// The same for a watcher, where its file says something else by now or cannot be read: where it is there, it is read at once.
    pub fn unread(mut self) -> Self {
        let path = self.path.clone();
        self.stamps = vec![Stamp { path, state: None }];
        self
    }

    /// Whether that is so.
    pub fn is_unread(&self) -> bool {
        matches!(&*self.stamps, [stamp] if stamp.state.is_none())
    }

    /// Whether it uses other files than `before` did, or the same ones written since. Its own file is not looked at.
    pub fn uses_other_files(&self, before: &Self) -> bool {
        let used = |scene: &Self| -> Vec<Stamp> {
            let stamps = scene.stamps.iter();
            stamps
                .filter(|stamp| stamp.path != scene.path)
                .cloned()
                .collect()
        };
        used(self) != used(before)
    }
}

/// A file's state when it was read, by which a change is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) path: PathBuf,
    state: Option<(SystemTime, u64)>,
}

impl Stamp {
    pub(super) fn of(path: PathBuf) -> Self {
        let state = fs::metadata(&path)
            .ok()
            .and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
        Self { path, state }
    }

    pub(super) fn is_outdated(&self) -> bool {
        *self != Self::of(self.path.clone())
    }
}

/// Reads and checks a scene file. Its problems carry the path as it is given here.
///
/// # Errors
/// Every problem of the file, at least one.
pub fn load_scene(path: &Path, options: &LoadOptions) -> Result<LoadedScene, SceneErrors> {
    load_noting_files(path, options).0
}

/// The folder that the files of a scene are relative to.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// As [`load_scene`], together with the files that it depends on, of a broken scene too as far as they are known.
pub(super) fn load_noting_files(
    path: &Path,
    options: &LoadOptions,
) -> (Result<LoadedScene, SceneErrors>, Vec<Stamp>) {
    let mut stamps = vec![Stamp::of(path.to_owned())];
    let folder = folder_of(path);
    let name = path.display().to_string();
    let text = match read_text(path, &name) {
        Ok(text) => text,
        Err(errors) => return (Err(errors), stamps),
    };
    let own = path.file_stem().unwrap_or_default().to_string_lossy();
    let (spec, index, found) = examine(&text, options, Some(folder), &own);
    if let Some(spec) = &spec {
        stamps.extend(
            validate::used_files(spec, folder)
                .into_iter()
                .map(Stamp::of),
        );
    }
    let loaded = match spec {
        Some(spec) if found.is_empty() => Ok(LoadedScene {
            spec,
            folder: folder.to_owned(),
            path: path.to_owned(),
            stamps: stamps.clone(),
        }),
        _ => Err(SceneErrors::new(&name, &text, &index, found)),
    };
    (loaded, stamps)
}

/// Reads and checks the text of a scene. `name` stands for the file in problems, and is the scene's own among those within it; files are looked at when there is a `folder` and the
/// options say so.
///
/// # Errors
/// Every problem of the text, at least one.
pub fn scene_from_text(
    text: &str,
    name: &str,
    folder: Option<&Path>,
    options: &LoadOptions,
) -> Result<SceneSpec, SceneErrors> {
    let own = name.strip_suffix(".json").unwrap_or(name);
    match examine(text, options, folder, own) {
        (Some(spec), _, found) if found.is_empty() => Ok(spec),
        (_, index, found) => Err(SceneErrors::new(name, text, &index, found)),
    }
}

/// As [`scene_from_text`], for bytes that may not be UTF-8.
///
/// # Errors
/// Every problem of the text, at least one.
pub fn scene_from_bytes(
    bytes: &[u8],
    name: &str,
    folder: Option<&Path>,
    options: &LoadOptions,
) -> Result<SceneSpec, SceneErrors> {
    let text = as_text(bytes, name)?;
    scene_from_text(text, name, folder, options)
}

fn read_text(path: &Path, name: &str) -> Result<String, SceneErrors> {
    let unreadable = |error: std::io::Error| {
        SceneErrors::of_file(name, format!("the file cannot be read: {error}"), None)
    };
    // Asked first: opening a pipe would wait for a writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(SceneErrors::of_file(
            name,
            "this is not a file".to_owned(),
            None,
        ));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    as_text(&bytes, name).map(str::to_owned)
}

fn as_text<'b>(bytes: &'b [u8], name: &str) -> Result<&'b str, SceneErrors> {
    std::str::from_utf8(bytes).map_err(|error| {
        if bytes.len() > MAX_BYTES {
            return SceneErrors::of_file(name, too_large(MAX_BYTES), None);
        }
        let at = error.valid_up_to();
        let message = if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            "the text is UTF-16, and must be UTF-8"
        } else {
            "the text is not UTF-8 from here on"
        };
        let found = Found {
            problem: Problem {
                message: message.to_owned(),
                ..Problem::default()
            },
            span: Some(at..at + 1),
        };
        let text = String::from_utf8_lossy(bytes);
        SceneErrors::new(name, &text, &SpanIndex::default(), vec![found])
    })
}

fn too_large(bytes_max: usize) -> String {
    format!("the text is longer than {} MiB", bytes_max >> 20)
}

/// The scene as far as it can be read, where its parts stand, and what is wrong with it. Without a scene there is a problem.
fn examine(
    text: &str,
    options: &LoadOptions,
    folder: Option<&Path>,
    own: &str,
) -> (Option<SceneSpec>, SpanIndex, Vec<Found>) {
    let mut nesting = Nesting::new(options, own);
    examine_within(text, options, folder, &mut nesting, &Around::default())
}

/// Reads and checks the file of a scene that stands in others.
pub(super) fn read_inner(
    path: &Path,
    folder: &Path,
    nesting: &mut Nesting<'_>,
    around: &Around,
) -> Result<SceneSpec, SceneErrors> {
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    let text = read_text(path, &name)?;
    let options = nesting.options();
    match examine_within(&text, options, Some(folder), nesting, around) {
        (Some(spec), _, found) if found.is_empty() => Ok(spec),
        (_, index, found) => Err(SceneErrors::new(&name, &text, &index, found)),
    }
}

fn examine_within(
    text: &str,
    options: &LoadOptions,
    folder: Option<&Path>,
    nesting: &mut Nesting<'_>,
    around: &Around,
) -> (Option<SceneSpec>, SpanIndex, Vec<Found>) {
    if text.len() > options.text_bytes_max {
        let problem = Problem {
            message: too_large(options.text_bytes_max),
            ..Problem::default()
        };
        let found = Found {
            problem,
            span: Some(0..0),
        };
        return (None, SpanIndex::default(), vec![found]);
    }
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            return (
                None,
                SpanIndex::default(),
                vec![syntax_problem(text, &error)],
            );
        }
    };
    let index = SpanIndex::new(text);
    let mut problems = Vec::new();
    let mut spec = read_scene(&value, &mut problems);
    if let Some(spec) = &mut spec {
        let seen = around.seen_by(&spec.data);
        if let Some(folder) = folder {
            nesting.fill(spec, folder, &seen, &mut problems);
        }
        let rules = SceneRules {
            max_layers: options.max_layers,
            folder: folder.filter(|_| options.check_files),
            assets: options.assets.as_deref(),
        };
        let own = std::mem::replace(&mut spec.data, Arc::new(seen));
        validate::check(spec, &rules, &mut problems);
        spec.data = own;
    }
    let lines = Lines::new(text);
    let duplicates = index.duplicates().iter().map(|twice| {
        let (line, _) = lines.position(twice.first.start);
        Found {
            problem: Problem {
                path: twice.path.clone(),
                message: format!("the field `{}` is written twice", twice.name),
                help: Some(format!("it was first written on line {line}")),
                on_key: true,
            },
            span: Some(twice.key.clone()),
        }
    });
    let found = duplicates
        .chain(problems.into_iter().map(Found::from))
        .collect();
    (spec, index, found)
}

/// A text that is not JSON.
fn syntax_problem(text: &str, error: &serde_json::Error) -> Found {
    let said = error.to_string();
    let reason = said
        .rsplit_once(" at line ")
        .map_or(&*said, |(reason, _)| reason);
    let at = Lines::new(text).offset(error.line(), error.column());
    // A text that breaks off: the last character is shown, since past it there is nothing to underline.
    let at = if at >= text.len() {
        text.trim_end()
            .char_indices()
            .next_back()
            .map_or(0, |(last, _)| last)
    } else {
        at
    };
    let here = text.get(at..).unwrap_or_default();
    let (message, help) = if text.is_empty() {
        ("the file is empty".to_owned(), None)
    } else if text.starts_with('\u{feff}') {
        let help = "save it as UTF-8 without one";
        (
            "the text starts with a byte order mark".to_owned(),
            Some(help),
        )
    } else if reason.starts_with("recursion limit") {
        (
            "lists and objects stand too deep in each other".to_owned(),
            None,
        )
    } else {
        let help = if here.starts_with("//") || here.starts_with("/*") || here.starts_with('#') {
            Some("JSON has no comments")
        } else if here.starts_with('\'') {
            Some("JSON has double quotes only")
        } else if ["NaN", "Inf", "-Inf", "undefined"]
            .iter()
            .any(|word| here.starts_with(word))
        {
            Some("JSON numbers are finite")
        } else if reason == "trailing comma" {
            Some("take the last comma away")
        } else {
            None
        };
        (format!("this is not JSON: {reason}"), help)
    };
    Found {
        problem: Problem {
            message,
            help: help.map(str::to_owned),
            ..Problem::default()
        },
        span: Some(at..at + 1),
    }
}
