//! The scene's variables, and the built-in ones that follow the clock.

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::scene::FrameRate;
use components::value::Template;
use serde_json::{Map, Value};

/// What `{{path.to.value}}` is looked up in.
#[derive(Resource, Debug)]
pub struct SceneData {
    values: Arc<Map<String, Value>>,
    clock: ClockData,
    /// Raised when the scene's own values change.
    revision: u64,
    /// The rates at which built-in values change; see [`SceneData::follow_clock`].
    changed: DataChange,
}

#[derive(Debug)]
struct ClockData {
    frame: Value,
    seconds: Value,
    hms: Value,
    whole_seconds: u64,
}

/// Which values differ from those of the tick before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataChange {
    /// The scene's own values.
    pub own: bool,
    /// `clock.seconds` and `clock.hms`.
    pub second: bool,
    /// `clock.frame`.
    pub frame: bool,
}

/// The prefix of the built-in values.
pub const CLOCK_PREFIX: &str = "clock.";

impl Default for SceneData {
    fn default() -> Self {
        Self {
            values: Arc::default(),
            clock: ClockData {
                frame: 0.into(),
                seconds: 0.into(),
                hms: "0:00:00".into(),
                whole_seconds: 0,
            },
            revision: 0,
            changed: DataChange {
                own: true,
                second: true,
                frame: true,
            },
        }
    }
}

impl SceneData {
    /// The value at a dotted path: `auction.bid`, or the built-in `clock.hms` (time on air as `h:mm:ss`), `clock.seconds` (whole
    /// seconds on air) and `clock.frame` (the number of the tick).
    pub fn lookup(&self, path: &str) -> Option<&Value> {
        if let Some(name) = path.strip_prefix(CLOCK_PREFIX) {
            return match name {
                "frame" => Some(&self.clock.frame),
                "seconds" => Some(&self.clock.seconds),
                "hms" => Some(&self.clock.hms),
                _ => None,
            };
        }
        let mut names = path.split('.');
        let mut value = self.values.get(names.next()?)?;
        for name in names {
            value = match value {
                Value::Object(map) => map.get(name)?,
                Value::Array(list) => list.get(name.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The scene's own values.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// Takes the place of all values.
    pub fn replace(&mut self, values: Arc<Map<String, Value>>) {
        self.values = values;
        self.own_changed();
    }

    fn own_changed(&mut self) {
        self.revision += 1;
        self.changed.own = true;
    }

    /// What differs from the tick before.
    pub fn changed(&self) -> DataChange {
        self.changed
    }

    /// Whether a template's words may differ from those of the tick before.
    pub fn touches(&self, template: &Template) -> bool {
        let changed = self.changed;
        template
            .paths()
            .any(|path| match path.strip_prefix(CLOCK_PREFIX) {
                Some("frame") => changed.frame,
                Some(_) => changed.second,
                None => changed.own,
            })
    }

    /// Moves the built-in values on to `tick`. Words are made anew once a second, not once a tick.
    pub(crate) fn follow_clock(&mut self, tick: u64, rate: FrameRate) {
        let seconds = rate.nanos_at(tick) / 1_000_000_000;
        self.clock.frame = tick.into();
        self.changed.frame = true;
        if seconds != self.clock.whole_seconds {
            self.clock.whole_seconds = seconds;
            self.clock.seconds = seconds.into();
            self.clock.hms = format!(
                "{}:{:02}:{:02}",
                seconds / 3600,
                seconds / 60 % 60,
                seconds % 60
            )
            .into();
            self.changed.second = true;
        }
    }

    /// Marks everything as seen; runs when the set `Animate` has used it.
    pub(crate) fn settle(&mut self) {
        self.changed = DataChange::default();
    }
}

/// Applies a JSON merge patch (RFC 7396) to an object.
pub fn merge_object(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.shift_remove(name);
            }
            Value::Object(inner) => {
                let slot = target
                    .entry(name.clone())
                    .or_insert_with(|| Value::Object(Map::new()));
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(slot) = slot {
                    merge_object(slot, inner);
                }
            }
            value => {
                target.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn data(value: Value) -> SceneData {
        let mut data = SceneData::default();
        data.replace(Arc::new(value.as_object().cloned().unwrap_or_default()));
        data
    }

    #[test]
    fn paths_reach_into_objects_and_lists() {
        let data = data(json!({"lots": [{"bid": 3}, {"bid": 4}]}));
        assert_eq!(data.lookup("lots.1.bid"), Some(&json!(4)));
        assert_eq!(data.lookup("lots.2.bid"), None);
        assert_eq!(data.lookup("clock.hms"), Some(&json!("0:00:00")));
    }

    #[test]
    fn a_merge_patch_follows_rfc_7396() {
        let mut target = json!({"a": {"b": 1, "c": 2}, "d": [1, 2]});
        let patch = json!({"a": {"b": null, "e": {"f": null, "g": 3}}, "d": [9]});
        if let (Some(target), Some(patch)) = (target.as_object_mut(), patch.as_object()) {
            merge_object(target, patch);
        }
        assert_eq!(target, json!({"a": {"c": 2, "e": {"g": 3}}, "d": [9]}));
    }

    #[test]
    fn words_that_follow_the_clock_change_once_a_second() {
        let mut data = SceneData::default();
        let template = Template::parse("{{clock.hms}}").expect("well formed");
        data.settle();
        let changes: Vec<u64> = (1..=90)
            .filter(|tick| {
                data.follow_clock(*tick, FrameRate::whole(30));
                let touched = data.touches(&template);
                data.settle();
                touched
            })
            .collect();
        assert_eq!(changes, [30, 60, 90]);
    }
}
