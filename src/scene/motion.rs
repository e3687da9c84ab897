//! Rules of timelines that only the whole scene can break: names, what follows what, and the properties that layers have.

use std::collections::HashMap;

use components::animation::{FieldMut, Fields, KeyframeValue, LoopMode, Property, TrackSpec};
use components::layer::LayerSpec;
use systems::animate::LengthPath;

use super::registry::field;
use super::validate::{Checker, NAMES_MAX};
use super::words;

impl<'a> Checker<'a> {
    pub(super) fn timelines(&mut self) {
        let mut ids: HashMap<&str, usize> = HashMap::new();
        for (index, timeline) in self.scene.timelines.iter().enumerate() {
            let path = format!("timelines[{index}]");
            let id = timeline.id.as_str();
            let first = *ids.entry(id).or_insert(index);
            if first != index && !(id.is_empty() && self.broken) {
                let message = format!(
                    "the id {} is taken by timelines[{first}]; ids are unique",
                    words::name(id)
                );
                self.report(field(&path, "id"), message, None);
            }
            for (number, track) in timeline.tracks.iter().enumerate() {
                if self.is_full() {
                    return;
                }
                self.track(track, &format!("{path}.tracks[{number}]"));
            }
        }
        for (index, timeline) in self.scene.timelines.iter().enumerate() {
            let path = format!("timelines[{index}]");
            if let Some(group) = &timeline.group
                && ids.contains_key(group.as_str())
            {
                let message = format!("{} is the id of a timeline", words::name(group));
                self.report(field(&path, "group"), message, None);
            }
            if let Some(leader) = &timeline.start_after {
                self.leader(index, leader, &ids, field(&path, "startAfter"));
            }
        }
    }

    /// The timeline that another one starts after.
    fn leader(&mut self, index: usize, leader: &str, ids: &HashMap<&str, usize>, at: String) {
        let Some(&place) = ids.get(leader) else {
            let mut known: Vec<&str> = ids.keys().copied().take(NAMES_MAX).collect();
            known.sort_unstable();
            let help = words::suggest(leader, &known);
            let message = format!("there is no timeline {}", words::name(leader));
            self.report(at, message, help);
            return;
        };
        let timelines = &self.scene.timelines;
        if timelines[place].loop_mode != LoopMode::Once {
            let message = format!("{} does not end: it plays again", words::name(leader));
            self.report(at, message, None);
            return;
        }
        // Who follows whom is walked as long as there are timelines: past that it is a circle.
        let mut next = Some(place);
        for _ in 0..timelines.len() {
            let Some(place) = next.filter(|place| *place != index) else {
                break;
            };
            let leader = timelines[place].start_after.as_deref();
            next = leader.and_then(|leader| ids.get(leader).copied());
        }
        if next == Some(index) {
            let message = "timelines start after each other in a circle".to_owned();
            self.report(at, message, None);
        }
    }

    fn track(&mut self, track: &'a TrackSpec, path: &str) {
        for (place, id) in track.layers.iter().enumerate() {
            let at = match track.layers.0.len() {
                1 => field(path, "layer"),
                _ => format!("{}[{place}]", field(path, "layer")),
            };
            let id = id.as_str();
            if id.is_empty() && self.broken {
                continue;
            }
            match self.ids.get(id) {
                Some((_, layer)) => {
                    let layer: &LayerSpec = layer;
                    self.property(track, layer, path);
                }
                None => {
                    let mut known: Vec<&str> = self.ids.keys().copied().take(NAMES_MAX).collect();
                    known.sort_unstable();
                    let help = words::suggest(id, &known);
                    self.report(at, format!("there is no layer {}", words::name(id)), help);
                }
            }
        }
        if let Some(line) = &track.path
            && let Err(error) = LengthPath::parse(&line.d)
        {
            self.report(field(path, "path.d"), error, None);
        }
    }

    /// Whether the layer has the property, and the property takes the values.
    fn property(&mut self, track: &TrackSpec, layer: &LayerSpec, path: &str) {
        let at = field(path, "property");
        let (mut source, mut effects, mut sound);
        let (fields, prefix, inner): (&mut dyn Fields, _, _) = match &track.property {
            Property::Size | Property::SizeWidth | Property::SizeHeight => {
                if layer.size.is_none() && !self.broken {
                    let message =
                        format!("the layer {} has no `size`", words::name(layer.id.as_str()));
                    self.report(at, message, None);
                }
                return;
            }
            Property::Source(inner) => {
                source = layer.source.clone();
                (&mut source, "source", inner)
            }
            Property::Effect(inner) => {
                effects = layer.effects.clone();
                (&mut effects, "effects", inner)
            }
            Property::Sound(inner) => {
                if layer.source.sound_role().is_none() {
                    let name = words::name(layer.id.as_str());
                    let message = format!("the layer {name} has no sound");
                    self.report(at, message, None);
                    return;
                }
                sound = layer.sound.clone();
                (&mut sound, "sound", inner)
            }
            _ => return,
        };
        let paths = fields.field_paths();
        let Some(slot) = fields.field_mut(inner) else {
            let names: Vec<String> = paths
                .iter()
                .map(|path| format!("{prefix}.{path}"))
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let name = track.property.name();
            let message = format!(
                "the layer {} has nothing that moves as {}",
                words::name(layer.id.as_str()),
                words::name(&name)
            );
            self.report(at, message, words::suggest(&name, &names));
            return;
        };
        for (index, keyframe) in track.keyframes.iter().enumerate() {
            let message = match (&slot, keyframe.value) {
                (FieldMut::Colour(_), KeyframeValue::Colour(_)) => continue,
                (
                    FieldMut::Number { low, high, .. } | FieldMut::Template { low, high, .. },
                    KeyframeValue::Number(value),
                ) => {
                    if (*low..=*high).contains(&value) {
                        continue;
                    }
                    format!("{value} is out of range; it must be from {low} to {high}")
                }
                (FieldMut::Colour(_), _) => "this property is a colour".to_owned(),
                (FieldMut::Number { .. } | FieldMut::Template { .. }, _) => {
                    "this property is a number".to_owned()
                }
            };
            let at = format!("{path}.keyframes[{index}].value");
            self.report(at, message, None);
        }
    }
}
