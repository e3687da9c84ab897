//! Effects: what is done to a layer's picture before it is composed, one after another.
//!
//! The list is authored; `Computed<Effects>` holds it with what tracks move of it. The pixels are made in the set `Render`.

mod kinds;

use std::borrow::Cow;

use bevy_ecs::component::Component;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use kinds::{
    Blur, Border, BorderPlacement, ChromaKey, ColourChange, CornerRadius, DropShadow, EffectKind,
    Glow, Mask, MaskFit, MaskMode, Pixelate, Radii, Vignette,
};

use crate::animation::{FieldMut, Fields, below};
use crate::validate::{Problems, Validate};

/// One effect of a layer.
///
/// `{"type": "dropShadow", "id": "lift", "y": 8, "blur": 24, "color": "#0008"}`
///
/// Lengths are pixels of the layer's box, and grow with the layer. Files are read by `scene::registry` in the program (kind first,
/// then its fields), so that an error keeps its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// What it does.
    #[serde(flatten)]
    pub kind: EffectKind,
    /// A name for tracks and the API, unique in its layer. Without one it is known by its `type`, and by its place from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<str>>,
    /// Whether it does anything. Default true.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

/// The fields that every kind of effect has.
const HEAD: [&str; 3] = ["type", "id", "enabled"];
/// What the name of an effect looks like: it is part of the paths of tracks, and no number.
const ID_PATTERN: &str = "^[A-Za-z][A-Za-z0-9_-]{0,63}$";

impl Effect {
    /// The fields that every kind of effect has.
    pub const HEAD: &[&str] = &HEAD;

    /// Whether `id` can name an effect: a letter, then at most 63 letters, digits, `-` and `_`.
    pub fn is_name(id: &str) -> bool {
        id.len() <= 64
            && id.starts_with(|first: char| first.is_ascii_alphabetic())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    }
}

impl From<EffectKind> for Effect {
    fn from(kind: EffectKind) -> Self {
        Self {
            kind,
            id: None,
            enabled: true,
        }
    }
}

impl Validate for Effect {
    fn validate(&self, problems: &mut Problems) {
        if self.id.as_deref().is_some_and(|id| !Self::is_name(id)) {
            let rule = "the id of an effect is a letter, then at most 63 letters from a to z, digits, `-` and `_`";
            problems.at("id", |problems| problems.report(rule));
        }
        self.kind.validate(problems);
    }
}

/// By hand: each kind has the same head, and no field of another kind.
impl JsonSchema for Effect {
    fn schema_name() -> Cow<'static, str> {
        "Effect".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<Value> = EffectKind::schemas(generator)
            .into_iter()
            .map(|(name, schema)| with_head(schema.to_value(), name))
            .collect();
        json_schema!({
            "description": "One thing that is done to a layer's picture before it is composed. Lengths are pixels of the layer's box, and grow with the layer.",
            "oneOf": kinds,
        })
    }
}

fn with_head(mut schema: Value, name: &str) -> Value {
    schema["title"] = name.into();
    schema["properties"]["type"] = json!({"type": "string", "const": name});
    schema["properties"]["id"] = json!({
        "type": ["string", "null"],
        "pattern": ID_PATTERN,
        "description": "A name for tracks and the API, unique in its layer. Without one it is known by its `type`, and by its place from 0.",
    });
    schema["properties"]["enabled"] = json!({"type": "boolean", "default": true, "description": "Whether it does anything. Default true."});
    schema["required"] = json!(["type"]);
    schema
}

/// The effects of a layer, in the order in which they are applied. Of a group: to all that its layers come to, as one picture; of any
/// other layer: to its own picture, and not to the layers below it. Written by spawning and by edits.
#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Effects(#[schemars(length(max = 16))] pub Vec<Effect>);

impl Effects {
    /// The most effects of a layer.
    pub const MAX: usize = 16;

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them does anything.
    pub fn has_enabled(&self) -> bool {
        self.0.iter().any(|effect| effect.enabled)
    }

    /// The place of the effect that `name` stands for: the one with this `id`, else the first of this `type`, else the one at this
    /// place.
    pub fn find(&self, name: &str) -> Option<usize> {
        let by_id = |effect: &Effect| effect.id.as_deref() == Some(name);
        let by_kind = |effect: &Effect| effect.kind.name() == name;
        let effects = &self.0;
        effects
            .iter()
            .position(by_id)
            .or_else(|| effects.iter().position(by_kind))
            .or_else(|| {
                // No sign, no noughts in front: a place has one name.
                let index = name.parse::<usize>().ok()?;
                (index < effects.len() && index.to_string() == name).then_some(index)
            })
    }

    /// The name of the effect at a place that tells it from all others: its `id`, its `type`, or its place.
    pub fn name(&self, index: usize) -> Cow<'_, str> {
        let Some(effect) = self.0.get(index) else {
            return Cow::Borrowed("");
        };
        let names = [effect.id.as_deref(), Some(effect.kind.name())];
        let own = names.into_iter().flatten();
        let mut unique = own.filter(|name| self.find(name) == Some(index));
        unique
            .next()
            .map_or_else(|| Cow::Owned(index.to_string()), Cow::Borrowed)
    }

    /// The words of the `src` of every mask that is a picture, with the place of its effect.
    pub fn pictures(&self) -> impl Iterator<Item = (usize, &str)> {
        let effects = self.0.iter().enumerate();
        effects.filter_map(|(index, effect)| match &effect.kind {
            EffectKind::Mask(mask) => Some((index, mask.src.as_deref()?)),
            _ => None,
        })
    }

    /// Whether tracks mean the same effects in both.
    pub fn has_same_names(&self, other: &Self) -> bool {
        let name = |effect: &Effect| (effect.id.clone(), effect.kind.name());
        self.0.iter().map(name).eq(other.0.iter().map(name))
    }
}

impl Validate for Effects {
    fn validate(&self, problems: &mut Problems) {
        if self.0.len() > Self::MAX {
            let rule = format!("a layer has at most {} effects", Self::MAX);
            problems.at("effects", |problems| problems.report(rule));
        }
        for (index, effect) in self.0.iter().enumerate() {
            problems.at_index("effects", index, |problems| {
                effect.validate(problems);
                let id = effect.id.as_deref();
                let mut before = self.0[..index].iter();
                if id.is_some() && before.any(|other| other.id.as_deref() == id) {
                    problems.at("id", |problems| {
                        problems.report("another effect of the layer has this id")
                    });
                }
            });
        }
    }
}

/// A path begins with the effect: its `id`, its `type` or its place.
impl Fields for Effects {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        let (name, rest) = path.split_once('.')?;
        let index = self.find(name)?;
        self.0[index].kind.field_mut(rest)
    }

    fn field_paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for (index, effect) in self.0.iter().enumerate() {
            paths.extend(below(&self.name(index), effect.kind.field_paths()));
        }
        paths
    }

    fn own_path<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let named = path.split_once('.').and_then(|(name, rest)| {
            let own = self.name(self.find(name)?);
            (own != name).then(|| format!("{own}.{rest}"))
        });
        named.map_or(Cow::Borrowed(path), Cow::Owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(value: Value) -> Effects {
        serde_json::from_value(value).unwrap_or_default()
    }

    fn one_of_each() -> Effects {
        let gradient = json!({"stops": [{"at": 0, "color": "#000"}, {"at": 1, "color": "#0000"}]});
        let list: Vec<Value> = EffectKind::NAMES
            .iter()
            .map(|name| match *name {
                "mask" => json!({"type": name, "gradient": gradient}),
                name => json!({"type": name}),
            })
            .collect();
        effects(list.into())
    }

    #[test]
    fn every_path_that_is_told_reaches_a_field() {
        let mut all = one_of_each();
        assert_eq!(all.0.len(), EffectKind::NAMES.len());
        let paths = all.field_paths();
        assert!(paths.len() > 30, "{paths:?}");
        for path in &paths {
            assert!(all.field_mut(path).is_some(), "{path}");
        }
        for path in [
            "",
            "blur",
            "blur.",
            "blur.width",
            "blur.radius.0",
            "10.radius",
            "mask.src",
        ] {
            assert!(all.field_mut(path).is_none(), "{path}");
        }
    }

    #[test]
    fn what_holds_by_default_is_in_range_and_is_not_written() {
        let all = one_of_each();
        let mut problems = Problems::new();
        all.validate(&mut problems);
        assert_eq!(problems.into_vec(), []);
        for effect in &all.0 {
            let written = serde_json::to_value(effect).unwrap_or_default();
            let fields = usize::from(effect.kind.name() == "mask") + 1;
            assert_eq!(
                written.as_object().map(|map| map.len()),
                Some(fields),
                "{written}"
            );
        }
    }

    #[test]
    fn an_effect_has_one_name_of_its_own_and_is_found_by_others() {
        let list = effects(json!([
            {"type": "glow"}, {"type": "blur", "id": "soft"}, {"type": "blur"}, {"type": "glow", "id": "blur"},
        ]));
        let names: Vec<_> = (0..4).map(|index| list.name(index)).collect();
        assert_eq!(names, ["glow", "soft", "2", "blur"]);
        for (name, place) in [
            ("soft", 1),
            ("1", 1),
            ("blur", 3),
            ("2", 2),
            ("glow", 0),
            ("3", 3),
        ] {
            assert_eq!(list.find(name), Some(place), "{name}");
        }
        for name in ["4", "01", "+1", "shadow", ""] {
            assert_eq!(list.find(name), None, "{name}");
        }
        assert_eq!(list.own_path("1.radius"), "soft.radius");
        assert_eq!(list.own_path("soft.radius"), "soft.radius");
        assert_eq!(list.own_path("nothing.radius"), "nothing.radius");
    }

    #[test]
    fn lists_that_cannot_be_used_are_refused_at_their_places() {
        let paths = |value: Value| -> Vec<String> {
            let mut problems = Problems::new();
            effects(value).validate(&mut problems);
            problems
                .into_vec()
                .into_iter()
                .map(|problem| problem.path)
                .collect()
        };
        assert_eq!(
            paths(json!([
                {"type": "blur", "radius": 251}, {"type": "mask"}, {"type": "glow", "id": "0"},
                {"type": "mask", "src": "a.png", "gradient": {"stops": []}},
                {"type": "cornerRadius", "radius": [1, 2, 3, -4]},
                {"type": "blur", "id": "a"}, {"type": "blur", "id": "a"},
            ])),
            [
                "effects[0].radius",
                "effects[1]",
                "effects[2].id",
                "effects[3].gradient.stops",
                "effects[3]",
                "effects[4].radius",
                "effects[6].id",
            ]
        );
        let many = vec![json!({"type": "blur"}); Effects::MAX + 1];
        assert_eq!(paths(many.into()), ["effects"]);
    }
}
