//! What fills a shape or a text: one colour, or a gradient.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::Colour;
use crate::animation::{FieldMut, Fields, number};
use crate::validate::{Problems, Validate};

/// A colour (`"#fff"`) or a gradient (`{"kind": "linear", ...}`).
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Paint {
    /// One colour everywhere.
    Solid(Colour),
    /// A run of colours across the box that is painted.
    Gradient(Gradient),
}

/// Colours that run into each other across a box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gradient {
    /// The form of the run. Default `linear`.
    #[serde(default)]
    pub kind: GradientKind,
    /// Direction of a linear gradient in degrees, as CSS counts it: 0 runs to the top, 90 to the right, 180 (the default) to the bottom.
    /// The run spans the box from corner to corner.
    #[serde(default = "to_bottom", skip_serializing_if = "is_to_bottom")]
    #[schemars(range(min = -1e6, max = 1e6))]
    pub angle: f32,
    /// Centre of a radial or conic gradient, as parts of the box. Default the middle.
    #[serde(default)]
    pub center: Point,
    /// Radius of a radial gradient as a part of the box's longer side. Default 0.5.
    #[serde(default = "half")]
    #[schemars(range(min = 0.001, max = 100))]
    pub radius: f32,
    /// At least two colours and where they stand.
    #[schemars(length(min = 2, max = 64))]
    pub stops: Vec<GradientStop>,
}

/// The most stops of a gradient.
const STOPS_MAX: usize = 64;

/// The form of a [`Gradient`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GradientKind {
    /// Along a straight line.
    #[default]
    Linear,
    /// From a centre outwards.
    Radial,
    /// Around a centre, clockwise from the top.
    Conic,
}

/// One colour of a [`Gradient`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GradientStop {
    /// Place on the run, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub at: f32,
    /// Colour at that place.
    pub color: Colour,
}

/// A place in a box, as parts of its width and height.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// 0 is the left edge, 1 the right one.
    #[schemars(range(min = -1000, max = 1000))]
    pub x: f32,
    /// 0 is the top edge, 1 the bottom one.
    #[schemars(range(min = -1000, max = 1000))]
    pub y: f32,
}

impl Default for Point {
    fn default() -> Self {
        Self { x: 0.5, y: 0.5 }
    }
}

fn to_bottom() -> f32 {
    180.0
}

fn is_to_bottom(angle: &f32) -> bool {
    *angle == 180.0
}

fn half() -> f32 {
    0.5
}

/// By hand, and not untagged, so that an error inside a gradient keeps its own words and place.
impl<'de> Deserialize<'de> for Paint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Paint;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a colour or a gradient")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Paint, E> {
                Colour::parse(text).map(Paint::Solid).map_err(E::custom)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Paint, A::Error> {
                Gradient::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(Paint::Gradient)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Validate for Paint {
    fn validate(&self, problems: &mut Problems) {
        if let Self::Gradient(gradient) = self {
            gradient.validate(problems);
        }
    }
}

impl Validate for Gradient {
    fn validate(&self, problems: &mut Problems) {
        if self.stops.len() < 2 {
            problems.at("stops", |problems| {
                problems.report("a gradient needs at least two stops")
            });
        }
        if self.stops.len() > STOPS_MAX {
            problems.at("stops", |problems| {
                problems.report(format!("a gradient has at most {STOPS_MAX} stops"));
            });
            return;
        }
        for (index, stop) in self.stops.iter().enumerate() {
            problems.at_index("stops", index, |problems| {
                problems.range("at", stop.at, 0.0..=1.0)
            });
        }
        if self.stops.windows(2).any(|pair| pair[0].at > pair[1].at) {
            problems.at("stops", |problems| {
                problems.report("stops must stand in rising order of `at`")
            });
        }
        problems.range("angle", self.angle, -1e6..=1e6);
        problems.at("center", |problems| self.center.validate(problems));
        problems.range("radius", self.radius, 0.001..=100.0);
    }
}

impl Validate for Point {
    fn validate(&self, problems: &mut Problems) {
        problems.range("x", self.x, -1000.0..=1000.0);
        problems.range("y", self.y, -1000.0..=1000.0);
    }
}

/// A solid colour is the field itself (an empty path); a gradient has its fields below it.
impl Fields for Paint {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        match self {
            Self::Solid(colour) => path.is_empty().then_some(FieldMut::Colour(colour)),
            Self::Gradient(gradient) => gradient.field_mut(path),
        }
    }

    fn field_paths(&self) -> Vec<String> {
        match self {
            Self::Solid(_) => vec![String::new()],
            Self::Gradient(gradient) => gradient.field_paths(),
        }
    }
}

impl Fields for Gradient {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        match path {
            "angle" => number(&mut self.angle, -1e6, 1e6),
            "center.x" => number(&mut self.center.x, -1000.0, 1000.0),
            "center.y" => number(&mut self.center.y, -1000.0, 1000.0),
            "radius" => number(&mut self.radius, 0.001, 100.0),
            _ => {
                let (index, field) = path.strip_prefix("stops.")?.split_once('.')?;
                let stop = self.stops.get_mut(index.parse::<usize>().ok()?)?;
                match field {
                    "at" => number(&mut stop.at, 0.0, 1.0),
                    "color" => Some(FieldMut::Colour(&mut stop.color)),
                    _ => None,
                }
            }
        }
    }

    fn field_paths(&self) -> Vec<String> {
        let own = ["angle", "center.x", "center.y", "radius"];
        let stops = (0..self.stops.len())
            .flat_map(|index| ["at", "color"].map(|name| format!("stops.{index}.{name}")));
        own.map(str::to_owned).into_iter().chain(stops).collect()
    }
}
