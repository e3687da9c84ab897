//! A strip of words that runs through its box without an end.

use std::fmt;

use bevy_ecs::component::Component;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::image::{read_template, write_template};
use super::shape::paint_path;
use super::text::{Font, Outline, Shadow, TextDirection, below_some, white};
use crate::animation::{FieldMut, Fields, below, number, within};
use crate::validate::{Problems, Validate};
use crate::value::{Paint, Template};

/// A news ticker: its items run through the layer's box one after the other, and begin again without a seam. The layer needs a size;
/// the words stand in the middle of its height and are cut at its sides.
///
/// `{"type": "ticker", "items": ["Doors open at eight", "Current bid {{bid.amount}}"], "speed": 120}`
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TickerSource {
    /// What runs by: one text, or a list of texts and of `{"text": ..., "fill": ...}`. Data paths in double braces are filled from the
    /// scene's data; an item without words is left out.
    #[serde(serialize_with = "write_items", deserialize_with = "read_items")]
    #[schemars(schema_with = "items")]
    pub items: Vec<TickerItem>,
    /// What stands between two items, and between the last one and the first. Default `•`; none when empty.
    #[serde(
        default = "bullet",
        serialize_with = "write_template",
        deserialize_with = "read_template"
    )]
    #[schemars(with = "String")]
    pub separator: Template,
    /// What separators are filled with. That of the items when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator_fill: Option<Paint>,
    /// Pixels a second to the left; below 0 to the right. Default 120. Whole pixels a frame are the crispest: multiples of the frame rate.
    #[serde(default = "speed")]
    #[schemars(range(min = -5000, max = 5000))]
    pub speed: f32,
    /// Pixels on each side of a separator, or between two items where there is none. Default 28.
    #[serde(default = "gap")]
    #[schemars(range(min = 0, max = 5000))]
    pub gap: f32,
    /// How the letters look.
    #[serde(default)]
    pub font: Font,
    /// What the letters are filled with where an item has no fill of its own. Default white.
    #[serde(default = "white")]
    pub fill: Paint,
    /// A line around the letters. None when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<Outline>,
    /// A shadow behind the letters. None when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
    /// Base direction of each item; with `rtl` the items also follow each other to the left. Default `auto`, which follows to the right.
    #[serde(default)]
    pub direction: TextDirection,
}

/// One item of a ticker.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TickerItem {
    /// The words, on one line; `{{path}}` is filled from the scene's data.
    #[schemars(with = "String", length(max = 500))]
    pub text: Template,
    /// What they are filled with. That of the ticker when left out.
    #[schemars(default)]
    pub fill: Option<Paint>,
}

impl TickerSource {
    /// The most items.
    pub const ITEMS_MAX: usize = 200;
    /// The most letters of an item as it is written.
    pub const LETTERS_MAX: usize = 500;
}

fn bullet() -> Template {
    Template::literal("•")
}

fn speed() -> f32 {
    120.0
}

fn gap() -> f32 {
    28.0
}

fn items(generator: &mut SchemaGenerator) -> Schema {
    let item = generator.subschema_for::<TickerItem>();
    let text = serde_json::json!({"type": "string", "maxLength": TickerSource::LETTERS_MAX});
    json_schema!({
        "anyOf": [
            text,
            {"type": "array", "items": {"anyOf": [text, item]}, "minItems": 1, "maxItems": TickerSource::ITEMS_MAX},
        ],
        "examples": [["Doors open at eight", {"text": "Sold out", "fill": "#ff5c5c"}], "{{headline}}"],
    })
}

/// One plain item is one text, as authors write it.
fn write_items<S: Serializer>(items: &[TickerItem], serializer: S) -> Result<S::Ok, S::Error> {
    match items {
        [TickerItem { text, fill: None }] => serializer.collect_str(text),
        items => items.serialize(serializer),
    }
}

fn read_items<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TickerItem>, D::Error> {
    struct Visitor;
    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Vec<TickerItem>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a text, or a list of items")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![plain(text)?])
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(de::value::SeqAccessDeserializer::new(list))
        }
    }
    deserializer.deserialize_any(Visitor)
}

fn plain<E: de::Error>(text: &str) -> Result<TickerItem, E> {
    Ok(TickerItem {
        text: Template::parse(text).map_err(E::custom)?,
        fill: None,
    })
}

/// The fields of an item that is no plain text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(serialize_with = "write_template", deserialize_with = "read_template")]
    text: Template,
    #[serde(default)]
    fill: Option<Paint>,
}

impl Serialize for TickerItem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.fill {
            None => serializer.collect_str(&self.text),
            Some(_) => Written {
                text: self.text.clone(),
                fill: self.fill.clone(),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TickerItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = TickerItem;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(
                    "a text, or an item such as {\"text\": \"Sold out\", \"fill\": \"#ff5c5c\"}",
                )
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<TickerItem, E> {
                plain(text)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<TickerItem, A::Error> {
                let Written { text, fill } =
                    Written::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(TickerItem { text, fill })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl TickerSource {
    /// Whether two tickers look the same while they stand still.
    pub fn has_looks_of(&self, other: &Self) -> bool {
        self.items == other.items
            && (&self.separator, &self.separator_fill) == (&other.separator, &other.separator_fill)
            && self.gap == other.gap
            && (&self.font, &self.fill) == (&other.font, &other.fill)
            && (&self.outline, &self.shadow) == (&other.outline, &other.shadow)
            && self.direction == other.direction
    }
}

impl Fields for TickerSource {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        match path {
            "speed" => return number(&mut self.speed, -5000.0, 5000.0),
            "gap" => return number(&mut self.gap, 0.0, 5000.0),
            _ => {}
        }
        if let Some(path) = within(path, "items") {
            let (index, path) = path.split_once('.')?;
            let item = self.items.get_mut(index.parse::<usize>().ok()?)?;
            return item.fill.as_mut()?.field_mut(paint_path(path, "fill")?);
        }
        if let Some(path) = within(path, "font") {
            return self.font.field_mut(path);
        }
        if let Some(path) = within(path, "outline") {
            return self.outline.as_mut()?.field_mut(path);
        }
        if let Some(path) = within(path, "shadow") {
            return self.shadow.as_mut()?.field_mut(path);
        }
        if let Some(path) = paint_path(path, "separatorFill") {
            return self.separator_fill.as_mut()?.field_mut(path);
        }
        self.fill.field_mut(paint_path(path, "fill")?)
    }

    fn field_paths(&self) -> Vec<String> {
        let mut paths = vec!["speed".to_owned(), "gap".to_owned()];
        paths.extend(below("font", self.font.field_paths()));
        paths.extend(below("fill", self.fill.field_paths()));
        paths.extend(below_some("separatorFill", self.separator_fill.as_ref()));
        paths.extend(below_some("outline", self.outline.as_ref()));
        paths.extend(below_some("shadow", self.shadow.as_ref()));
        for (index, item) in self.items.iter().enumerate() {
            let prefix = format!("items.{index}.fill");
            paths.extend(below_some(&prefix, item.fill.as_ref()));
        }
        paths
    }
}

impl Validate for TickerSource {
    fn validate(&self, problems: &mut Problems) {
        if self.items.is_empty() || self.items.len() > Self::ITEMS_MAX {
            let message = format!("a ticker has 1 to {} items", Self::ITEMS_MAX);
            problems.at("items", |problems| problems.report(message));
        }
        for (index, item) in self.items.iter().enumerate().take(Self::ITEMS_MAX) {
            problems.at_index("items", index, |problems| {
                if item.text.to_string().chars().count() > Self::LETTERS_MAX {
                    let message = format!("an item has at most {} letters", Self::LETTERS_MAX);
                    problems.report(message);
                }
                if let Some(fill) = &item.fill {
                    problems.at("fill", |problems| fill.validate(problems));
                }
            });
        }
        problems.range("speed", self.speed, -5000.0..=5000.0);
        problems.range("gap", self.gap, 0.0..=5000.0);
        problems.at("font", |problems| self.font.validate(problems));
        problems.at("fill", |problems| self.fill.validate(problems));
        if let Some(fill) = &self.separator_fill {
            problems.at("separatorFill", |problems| fill.validate(problems));
        }
        if let Some(outline) = &self.outline {
            problems.at("outline", |problems| outline.validate(problems));
        }
        if let Some(shadow) = &self.shadow {
            problems.at("shadow", |problems| shadow.validate(problems));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn items_are_one_text_or_a_list_and_come_back_as_they_were() {
        for items in [
            json!("{{headline}}"),
            json!(["one", {"text": "two", "fill": "#ff0000"}]),
        ] {
            let source: TickerSource =
                serde_json::from_value(json!({"items": items})).expect("a ticker");
            let written: Value = serde_json::to_value(&source).expect("JSON");
            assert_eq!(written["items"], items);
            let mut problems = Problems::new();
            source.validate(&mut problems);
            assert_eq!(problems.into_vec(), []);
        }
        for items in [json!(3), json!([3]), json!([{"fill": "red"}]), json!("{{")] {
            let read = serde_json::from_value::<TickerSource>(json!({"items": items}));
            assert!(read.is_err(), "{items}");
        }
    }
}
