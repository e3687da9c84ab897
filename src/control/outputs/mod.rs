//! Where the program goes: the outputs of the settings, of the first scene and of the API as one list, and the renditions that they carry.
//!
//! The list is authored and part of the [`Show`](super::Show), so that it has revisions, dry runs and events like everything else; it is
//! no part of the world, and no tick waits for it. What is asked for goes from here ([`OutputList::after`], a function without I/O) into
//! the show, which is saved with what the API has changed ([`saved`]), and to the running stream ([`desk`], by way of [`engine`]). Secrets
//! leave this folder masked.

pub mod check;
mod desk;
mod engine;
pub(super) mod news;
mod saved;
mod secrets;
pub mod view;

use std::sync::Arc;

use components::output::{OutputSpec, OutputType, RenditionSpec, Secret};
use components::scene::SceneSpec;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::authored;
use super::error::{ApiError, ErrorCode};
use super::view::json_of;
use crate::config::Settings;

pub use desk::{Desk, OutputNow};
pub use engine::{
    audio_codec, begin, container_for, container_of_path, end, follow_rendition, is_accelerated,
    ladder, layout, recorder, rendition_settings, video_codec,
};
pub use saved::{Saved, SavedOutput};
pub use secrets::{keep_scene_secrets, masked, masked_scene};

/// Who wrote an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// HLS or STREAM_URL.
    Settings,
    /// The scene that the program started with.
    Scene,
    /// The API.
    Api,
}

/// An output of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What is authored.
    pub spec: Arc<OutputSpec>,
    /// Who wrote it first.
    pub origin: Origin,
    /// Whether the API has changed it since.
    pub is_changed: bool,
}

/// Every output and every rendition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputList {
    /// The outputs: those of the settings, then of the scene, then of the API.
    pub outputs: Vec<Entry>,
    /// The renditions, `main` first.
    pub renditions: Vec<Arc<RenditionSpec>>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub enum OutputChange {
    /// A further output.
    Add(Box<OutputSpec>),
    /// Some fields of an output (JSON merge patch, RFC 7396).
    Patch(String, Map<String, Value>),
    /// One output less.
    Remove(String),
    /// Some fields of a rendition.
    Rendition(String, Map<String, Value>),
}

impl OutputList {
    /// What settings and scene ask for; a name that both have is the scene's.
    pub fn of(settings: &Settings, scene: &SceneSpec) -> Self {
        let mut outputs: Vec<Entry> = of_settings(settings)
            .into_iter()
            .filter(|spec| scene.outputs.iter().all(|other| other.id != spec.id))
            .map(|spec| Entry::new(spec, Origin::Settings))
            .collect();
        let of_scene = scene.outputs.iter();
        outputs.extend(of_scene.map(|spec| Entry::new((**spec).clone(), Origin::Scene)));
        let mut renditions: Vec<Arc<RenditionSpec>> = Vec::new();
        let given = settings
            .renditions
            .iter()
            .map(|spec| Arc::new(spec.clone()));
        for spec in given.chain(scene.renditions.iter().cloned()) {
            match renditions.iter_mut().find(|other| other.id == spec.id) {
                Some(other) => *other = spec,
                None => renditions.push(spec),
            }
        }
        let is_main = |spec: &Arc<RenditionSpec>| spec.id == RenditionSpec::MAIN;
        if !renditions.iter().any(is_main) {
            renditions.push(Arc::new(RenditionSpec::new(RenditionSpec::MAIN)));
        }
        // The main one first; the others stay in order.
        renditions.sort_by_key(|spec| !is_main(spec));
        renditions.truncate(RenditionSpec::COUNT_MAX);
        Self {
            outputs,
            renditions,
        }
    }

    /// The list with what the API saved laid over it. What does not fit any more, because settings or scene are others, is left out and
    /// said.
    pub fn with_saved(&self, saved: &Saved) -> Self {
        let mut list = self.clone();
        for (id, entry) in &saved.outputs {
            let place = list.outputs.iter().position(|entry| entry.spec.id == *id);
            match (entry, place) {
                (SavedOutput::Removed, Some(place)) => {
                    list.outputs.remove(place);
                }
                (SavedOutput::Added(spec), Some(place)) => {
                    list.outputs[place] = Entry::new((**spec).clone(), Origin::Api);
                }
                (SavedOutput::Added(spec), None) => {
                    list.outputs.push(Entry::new((**spec).clone(), Origin::Api));
                }
                (SavedOutput::Changed(patch), Some(place)) => {
                    let entry = &mut list.outputs[place];
                    match patched_output(&entry.spec, patch) {
                        Ok(spec) => {
                            entry.spec = Arc::new(spec);
                            entry.is_changed = true;
                        }
                        Err(error) => {
                            tracing::warn!(output = id, %error, "a saved change of an output does not fit any more");
                        }
                    }
                }
                (SavedOutput::Removed | SavedOutput::Changed(_), None) => {
                    tracing::debug!(
                        output = id,
                        "a saved change is of an output that is not there"
                    );
                }
            }
        }
        for (id, patch) in &saved.renditions {
            let Some(spec) = list.renditions.iter_mut().find(|spec| spec.id == *id) else {
                continue;
            };
            match patched_rendition(spec, patch) {
                Ok(changed) => *spec = Arc::new(changed),
                Err(error) => {
                    tracing::warn!(rendition = id, %error, "a saved change of a rendition does not fit any more");
                }
            }
        }
        list
    }

    /// An output by its name.
    ///
    /// # Errors
    /// There is none.
    pub fn output(&self, id: &str) -> Result<&Entry, ApiError> {
        let known = self.outputs.iter().map(|entry| entry.spec.id.as_str());
        let found = self.outputs.iter().find(|entry| entry.spec.id == id);
        found.ok_or_else(|| ApiError::not_found("output", id, known))
    }

    /// A rendition by its name.
    ///
    /// # Errors
    /// There is none.
    pub fn rendition(&self, id: &str) -> Result<&Arc<RenditionSpec>, ApiError> {
        let known = self.renditions.iter().map(|spec| spec.id.as_str());
        let found = self.renditions.iter().find(|spec| spec.id == id);
        found.ok_or_else(|| ApiError::not_found("rendition", id, known))
    }

    /// The list after a change, and what is saved of it then. `base` is what settings and scene ask for.
    ///
    /// # Errors
    /// There is no such output, the name is taken, or a value cannot be used.
    pub fn after(
        &self,
        change: &OutputChange,
        base: &Self,
        saved: &Saved,
    ) -> Result<(Self, Saved), ApiError> {
        let mut saved = saved.clone();
        match change {
            OutputChange::Add(spec) => {
                self.check_new(spec)?;
                let added = SavedOutput::Added(spec.clone());
                saved.outputs.insert(spec.id.clone(), added);
            }
            OutputChange::Patch(id, patch) => {
                let entry = self.output(id)?;
                let patch = secrets::without_masks(&entry.spec, patch)?;
                // Looked at before it is saved.
                let spec = patched_output(&entry.spec, &patch)?;
                let next = match saved.outputs.remove(id) {
                    Some(SavedOutput::Added(_)) => SavedOutput::Added(Box::new(spec)),
                    Some(SavedOutput::Changed(mut before)) => {
                        lay_over(&mut before, &patch);
                        SavedOutput::Changed(before)
                    }
                    Some(SavedOutput::Removed) | None => SavedOutput::Changed(patch),
                };
                saved.outputs.insert(id.clone(), next);
            }
            OutputChange::Remove(id) => {
                self.output(id)?;
                saved.outputs.remove(id);
                if base.output(id).is_ok() {
                    saved.outputs.insert(id.clone(), SavedOutput::Removed);
                }
            }
            OutputChange::Rendition(id, patch) => {
                patched_rendition(self.rendition(id)?, patch)?;
                lay_over(saved.renditions.entry(id.clone()).or_default(), patch);
            }
        }
        Ok((base.with_saved(&saved), saved))
    }

    fn check_new(&self, spec: &OutputSpec) -> Result<(), ApiError> {
        if self.output(&spec.id).is_ok() {
            let message = format!("there is an output `{}` already", spec.id);
            return Err(ApiError::conflict(message));
        }
        if self.outputs.len() >= OutputSpec::COUNT_MAX {
            let message = format!(
                "there are {} outputs, which is the most; remove some",
                OutputSpec::COUNT_MAX
            );
            return Err(ApiError::conflict(message));
        }
        secrets::without_stand_ins(spec)
    }
}

impl Entry {
    fn new(spec: OutputSpec, origin: Origin) -> Self {
        Self {
            spec: Arc::new(spec),
            origin,
            is_changed: false,
        }
    }
}

/// Reads an output that came in a request.
///
/// # Errors
/// Every problem of it, each at its path.
pub fn read_output(value: &Value) -> Result<OutputSpec, ApiError> {
    authored::value(value, "")
}

/// The outputs that settings ask for.
fn of_settings(settings: &Settings) -> Vec<OutputSpec> {
    let mut outputs = Vec::new();
    if settings.hls {
        outputs.push(OutputSpec {
            kind: Some(OutputType::Hls),
            ..OutputSpec::new(engine::HLS)
        });
    }
    if let Some(url) = &settings.stream_url {
        outputs.push(OutputSpec {
            url: Some(Secret::new(url.reveal())),
            ..OutputSpec::new("push")
        });
    }
    outputs
}

fn patched_output(spec: &OutputSpec, patch: &Map<String, Value>) -> Result<OutputSpec, ApiError> {
    let patched: OutputSpec = authored::patched_value(&merged(spec, patch))?;
    keep_id(&spec.id, &patched.id)?;
    Ok(patched)
}

fn patched_rendition(
    spec: &RenditionSpec,
    patch: &Map<String, Value>,
) -> Result<RenditionSpec, ApiError> {
    let patched: RenditionSpec = authored::patched_value(&merged(spec, patch))?;
    keep_id(&spec.id, &patched.id)?;
    Ok(patched)
}

fn merged(spec: &impl Serialize, patch: &Map<String, Value>) -> Value {
    let mut whole = json_of(spec);
    if let Value::Object(map) = &mut whole {
        systems::data::merge_object(map, patch);
    }
    whole
}

fn keep_id(id: &str, patched: &str) -> Result<(), ApiError> {
    if id == patched {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::Invalid,
        "id: the name stays; add another one and remove this",
    ))
}

/// The patch that does what both do, the second over the first.
fn lay_over(first: &mut Map<String, Value>, second: &Map<String, Value>) {
    for (name, value) in second {
        match (first.get_mut(name), value) {
            (Some(Value::Object(before)), Value::Object(after)) => lay_over(before, after),
            _ => {
                first.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
