//! The scene's variables, and the built-in ones that follow the clock and what avatars say.

use std::sync::{Arc, LazyLock};

use bevy_ecs::prelude::*;
use components::scene::FrameRate;
use components::value::Template;
use serde_json::{Map, Value};

use crate::speech::{SPEECH_PREFIX, SpeechData};

/// What `{{path.to.value}}` is looked up in.
///
/// Values stand in scopes: the scene on air has one, and so has each scene within a scene and each item of a feed, whose names hide
/// those of the scope above.
#[derive(Resource, Debug)]
pub struct SceneData {
    /// Scopes by number; the free ones are empty.
    scopes: Vec<Option<Scope>>,
    program: DataScope,
    clock: ClockData,
    clock_changed: ClockChange,
    speech: SpeechData,
}

/// The scope in which a layer looks its data up. On the layer's entity; written by spawning.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[component(immutable)]
pub struct DataScope(u32);

#[derive(Debug, Default)]
struct Scope {
    values: Arc<Map<String, Value>>,
    above: Option<DataScope>,
    changed: bool,
}

#[derive(Debug)]
struct ClockData {
    frame: Value,
    seconds: Value,
    hms: Value,
    whole_seconds: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct ClockChange {
    second: bool,
    frame: bool,
}

/// Which values differ from those of the tick before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataChange {
    /// The values of the scope, or of one above it.
    pub own: bool,
    /// `clock.seconds` and `clock.hms`.
    pub second: bool,
    /// `clock.frame`.
    pub frame: bool,
    /// Those of `speech`.
    pub speech: bool,
}

/// The prefix of the built-in values.
pub const CLOCK_PREFIX: &str = "clock.";

impl Default for SceneData {
    fn default() -> Self {
        let program = Scope {
            changed: true,
            ..Scope::default()
        };
        Self {
            scopes: vec![Some(program)],
            program: DataScope(0),
            clock: ClockData {
                frame: 0.into(),
                seconds: 0.into(),
                hms: "0:00:00".into(),
                whole_seconds: 0,
            },
            clock_changed: ClockChange {
                second: true,
                frame: true,
            },
            speech: SpeechData::default(),
        }
    }
}

impl SceneData {
    /// The value at a dotted path: `auction.bid`, or the built-in `clock.hms` (time on air as `h:mm:ss`), `clock.seconds` (whole
    /// seconds on air), `clock.frame` (the number of the tick), and `speech.<layer>.text`, `.line`, `.word` and `.speaking` (what an
    /// avatar says with captions).
    pub fn lookup(&self, scope: DataScope, path: &str) -> Option<&Value> {
        if let Some(name) = path.strip_prefix(CLOCK_PREFIX) {
            return match name {
                "frame" => Some(&self.clock.frame),
                "seconds" => Some(&self.clock.seconds),
                "hms" => Some(&self.clock.hms),
                _ => None,
            };
        }
        if let Some(path) = path.strip_prefix(SPEECH_PREFIX) {
            return self.speech.lookup(path);
        }
        let mut names = path.split('.');
        let first = names.next()?;
        let mut value = self
            .chain(scope)
            .find_map(|scope| scope.values.get(first))?;
        for name in names {
            value = match value {
                Value::Object(map) => map.get(name)?,
                Value::Array(list) => list.get(name.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// A scope and those above it.
    fn chain(&self, scope: DataScope) -> impl Iterator<Item = &Scope> {
        let at = |scope: DataScope| self.scopes.get(scope.0 as usize)?.as_ref();
        std::iter::successors(at(scope), move |scope| at(scope.above?))
    }

    /// The scope of the scene on air.
    pub fn program(&self) -> DataScope {
        self.program
    }

    /// The values of the scene on air.
    pub fn values(&self) -> &Map<String, Value> {
        match self.chain(self.program).next() {
            Some(scope) => &scope.values,
            None => empty_map(),
        }
    }

    /// Takes the place of all values of the scene on air.
    pub fn replace(&mut self, values: Arc<Map<String, Value>>) {
        self.set(self.program, values);
    }

    /// Makes a scope for the scene that comes on air; the one before it stays until it is removed.
    pub fn begin_program(&mut self, values: Arc<Map<String, Value>>) -> DataScope {
        self.program = self.add(values, None);
        self.program
    }

    /// Makes another scope that of the scene on air, and gives the one that was.
    pub fn swap_program(&mut self, scope: DataScope) -> DataScope {
        std::mem::replace(&mut self.program, scope)
    }

    /// Makes a scope, below another one if so wished.
    pub fn add(&mut self, values: Arc<Map<String, Value>>, above: Option<DataScope>) -> DataScope {
        let scope = Some(Scope {
            values,
            above,
            changed: true,
        });
        let free = self
            .scopes
            .iter_mut()
            .zip(0..)
            .find(|(slot, _)| slot.is_none());
        match free {
            Some((slot, number)) => {
                *slot = scope;
                DataScope(number)
            }
            None => {
                self.scopes.push(scope);
                DataScope(self.scopes.len() as u32 - 1)
            }
        }
    }

    /// Takes the place of all values of a scope.
    pub fn set(&mut self, scope: DataScope, values: Arc<Map<String, Value>>) {
        if let Some(Some(scope)) = self.scopes.get_mut(scope.0 as usize) {
            scope.values = values;
            scope.changed = true;
        }
    }

    /// Lets go of a scope that no layer looks into any more.
    pub fn remove(&mut self, scope: DataScope) {
        if scope != self.program
            && let Some(slot) = self.scopes.get_mut(scope.0 as usize)
        {
            *slot = None;
        }
    }

    /// What differs from the tick before.
    pub fn changed(&self, scope: DataScope) -> DataChange {
        DataChange {
            own: self.chain(scope).any(|scope| scope.changed),
            second: self.clock_changed.second,
            frame: self.clock_changed.frame,
            speech: self.speech.changed,
        }
    }

    /// What is shown of speech.
    pub(crate) fn speech_mut(&mut self) -> &mut SpeechData {
        &mut self.speech
    }

    /// Whether a template's words may differ from those of the tick before.
    pub fn touches(&self, scope: DataScope, template: &Template) -> bool {
        let changed = self.changed(scope);
        template
            .paths()
            .any(|path| match path.strip_prefix(CLOCK_PREFIX) {
                Some("frame") => changed.frame,
                Some(_) => changed.second,
                None if path.starts_with(SPEECH_PREFIX) => changed.speech,
                None => changed.own,
            })
    }

    /// Moves the built-in values on to `tick`. Words are made anew once a second, not once a tick.
    pub(crate) fn follow_clock(&mut self, tick: u64, rate: FrameRate) {
        let seconds = rate.nanos_at(tick) / 1_000_000_000;
        self.clock.frame = tick.into();
        self.clock_changed.frame = true;
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
            self.clock_changed.second = true;
        }
    }

    /// Marks everything as seen; runs when the set `Animate` has used it.
    pub(crate) fn settle(&mut self) {
        self.clock_changed = ClockChange::default();
        self.speech.changed = false;
        for scope in self.scopes.iter_mut().flatten() {
            scope.changed = false;
        }
    }
}

fn empty_map() -> &'static Map<String, Value> {
    static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    &EMPTY
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
        assert_eq!(data.lookup(data.program(), "lots.1.bid"), Some(&json!(4)));
        assert_eq!(data.lookup(data.program(), "lots.2.bid"), None);
        assert_eq!(
            data.lookup(data.program(), "clock.hms"),
            Some(&json!("0:00:00"))
        );
    }

    #[test]
    fn a_scope_hides_names_of_the_one_above_and_its_number_is_used_again() {
        let object = |value: Value| Arc::new(value.as_object().cloned().unwrap_or_default());
        let mut data = data(json!({"title": "Show", "bid": 1}));
        let item = data.add(object(json!({"title": "Lot 7"})), Some(data.program()));
        assert_eq!(data.lookup(item, "title"), Some(&json!("Lot 7")));
        assert_eq!(data.lookup(item, "bid"), Some(&json!(1)));
        data.settle();
        data.replace(object(json!({"bid": 2})));
        assert!(data.changed(item).own, "a change above is seen below");
        data.settle();
        data.set(item, object(json!({"title": "Lot 8"})));
        assert!(!data.changed(data.program()).own);
        data.remove(item);
        assert_eq!(data.lookup(item, "title"), None);
        assert_eq!(data.add(object(json!({})), None), item);
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
                let touched = data.touches(data.program(), &template);
                data.settle();
                touched
            })
            .collect();
        assert_eq!(changes, [30, 60, 90]);
    }
}
