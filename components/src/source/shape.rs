//! Rectangles, ellipses and paths, filled and stroked.

use std::fmt;

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::text::below_some;
use crate::animation::{FieldMut, Fields, below, number, within};
use crate::validate::{Problems, Validate};
use crate::value::Paint;

/// A vector shape in the layer's box.
///
/// `{"type": "shape", "shape": "rectangle", "radius": 24, "fill": "#ffffff14", "stroke": {"paint": "#ffffff33", "width": 2}}`
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShapeSource {
    /// Which shape.
    pub shape: ShapeKind,
    /// Corner radii of a rectangle in pixels: one number, or `[topLeft, topRight, bottomRight, bottomLeft]`. Default 0.
    #[serde(default, skip_serializing_if = "CornerRadii::is_none")]
    pub radius: CornerRadii,
    /// SVG path data (the `d` of a `<path>`) in the pixels of the layer's box; needed by, and only by, the shape `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is inside. Nothing when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<Paint>,
    /// The line along the edge, drawn inside it for rectangles and ellipses and centred on a path. None when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stroke: Option<Stroke>,
}

/// Which shape a [`ShapeSource`] draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ShapeKind {
    /// The whole box, with round corners where `radius` says so.
    Rectangle,
    /// The ellipse that touches the box on four sides.
    Ellipse,
    /// The line of `path`.
    Path,
}

/// A line along an edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stroke {
    /// Its colour or gradient.
    pub paint: Paint,
    /// Pixels, above 0.
    #[schemars(range(min = 0.01, max = 1000))]
    pub width: f32,
    /// Lengths of dashes and gaps in turn, in pixels. A whole line when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(range(min = 0, max = 10_000)))]
    pub dash: Vec<f32>,
}

/// Corner radii in pixels, clockwise from the top left.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CornerRadii(pub [f32; 4]);

impl CornerRadii {
    /// Whether all corners are square.
    pub fn is_none(&self) -> bool {
        self.0 == [0.0; 4]
    }
}

impl Serialize for CornerRadii {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [first, rest @ ..] = self.0;
        if rest.iter().all(|radius| *radius == first) {
            serializer.serialize_f32(first)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for CornerRadii {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = CornerRadii;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a radius in pixels, or four of them")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<CornerRadii, E> {
                Ok(CornerRadii([value as f32; 4]))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<CornerRadii, E> {
                self.visit_f64(value as f64)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<CornerRadii, E> {
                self.visit_f64(value as f64)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<CornerRadii, A::Error> {
                <[f32; 4]>::deserialize(de::value::SeqAccessDeserializer::new(list))
                    .map(CornerRadii)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for CornerRadii {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CornerRadii".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 16384},
                {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 16384}, "minItems": 4, "maxItems": 4}
            ],
            "examples": [24, [24, 24, 0, 0]]
        })
    }
}

impl Validate for ShapeSource {
    fn validate(&self, problems: &mut Problems) {
        match (self.shape, &self.path) {
            (ShapeKind::Path, None) => problems.report("the shape `path` needs its `path` data"),
            (ShapeKind::Rectangle | ShapeKind::Ellipse, Some(_)) => {
                problems.at("path", |problems| {
                    problems.report("`path` data belongs to the shape `path` alone")
                });
            }
            _ => {}
        }
        if self.shape != ShapeKind::Rectangle && !self.radius.is_none() {
            problems.at("radius", |problems| {
                problems.report("only a rectangle has corner radii")
            });
        }
        for radius in self.radius.0 {
            problems.range("radius", radius, 0.0..=16384.0);
        }
        if let Some(fill) = &self.fill {
            problems.at("fill", |problems| fill.validate(problems));
        }
        if let Some(stroke) = &self.stroke {
            problems.at("stroke", |problems| stroke.validate(problems));
        }
        if self.fill.is_none() && self.stroke.is_none() {
            problems.report("a shape needs a `fill` or a `stroke`, else nothing is seen");
        }
    }
}

impl Validate for Stroke {
    fn validate(&self, problems: &mut Problems) {
        problems.range("width", self.width, 0.01..=1000.0);
        problems.at("paint", |problems| self.paint.validate(problems));
        let whole = self.dash.iter().sum::<f32>();
        for (index, length) in self.dash.iter().enumerate() {
            if !(0.0..=10_000.0).contains(length) || whole <= 0.0 {
                problems.at_index("dash", index, |problems| {
                    problems.report("dashes and gaps must be from 0 to 10000, and not all 0")
                });
            }
        }
    }
}

/// The corner radii move one by one, as `radius.0` to `radius.3`, clockwise from the top left.
impl Fields for Stroke {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        match path {
            "width" => number(&mut self.width, 0.01, 1000.0),
            _ => self.paint.field_mut(paint_path(path, "paint")?),
        }
    }

    fn field_paths(&self) -> Vec<String> {
        let mut paths = vec!["width".to_owned()];
        paths.extend(below("paint", self.paint.field_paths()));
        paths
    }
}

impl Fields for ShapeSource {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        if let Some(index) = path.strip_prefix("radius.") {
            let radius = self.radius.0.get_mut(index.parse::<usize>().ok()?)?;
            return number(radius, 0.0, 16384.0);
        }
        if let Some(path) = within(path, "stroke") {
            return self.stroke.as_mut()?.field_mut(path);
        }
        self.fill.as_mut()?.field_mut(paint_path(path, "fill")?)
    }

    fn field_paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = Vec::new();
        if self.shape == ShapeKind::Rectangle {
            paths.extend((0..4).map(|index| format!("radius.{index}")));
        }
        if let Some(fill) = &self.fill {
            paths.extend(below("fill", fill.field_paths()));
        }
        paths.extend(below_some("stroke", self.stroke.as_ref()));
        paths
    }
}

/// The path inside the paint `name`: empty for the paint itself.
pub(super) fn paint_path<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(name)?;
    if rest.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix('.')
    }
}
