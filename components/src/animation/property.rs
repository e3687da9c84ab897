//! What a track can move: the properties of every layer, and the fields of sources and effects by their paths.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use serde_json::Value;

use crate::value::{Colour, Number};

/// A property that a track can move, by its name: `"position.y"`, `"opacity"`, `"source.fill"`, `"effects.glow.radius"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Property {
    /// Both coordinates, in pixels.
    Position,
    /// Pixels from the left.
    PositionX,
    /// Pixels from the top.
    PositionY,
    /// Both sides of the box, in pixels.
    Size,
    /// Pixels.
    SizeWidth,
    /// Pixels.
    SizeHeight,
    /// Both parts of the anchor.
    Anchor,
    /// 0 is the left edge of the box, 1 the right one.
    AnchorX,
    /// 0 is the top edge of the box, 1 the bottom one.
    AnchorY,
    /// Both factors.
    Scale,
    /// Horizontal factor.
    ScaleX,
    /// Vertical factor.
    ScaleY,
    /// Degrees clockwise.
    Rotation,
    /// 0 to 1.
    Opacity,
    /// What is cut off all four edges, in pixels.
    Crop,
    /// Pixels.
    CropLeft,
    /// Pixels.
    CropTop,
    /// Pixels.
    CropRight,
    /// Pixels.
    CropBottom,
    /// Place among its siblings; a whole number is made of it.
    ZIndex,
    /// A number or a colour of the layer's source, by its path there: `fill`, `stroke.width`, `gradient.stops.0.color`.
    Source(Box<str>),
    /// A number or a colour of one of the layer's effects: the effect's `id`, its `type` or its place from 0, then the name: `blur.radius`.
    Effect(Box<str>),
    /// A number of the layer's sound, by its name there: `gain`, `pan`.
    Sound(Box<str>),
}

const NAMES: &[&str] = &[
    "position",
    "position.x",
    "position.y",
    "size",
    "size.width",
    "size.height",
    "anchor",
    "anchor.x",
    "anchor.y",
    "scale",
    "scale.x",
    "scale.y",
    "rotation",
    "opacity",
    "crop",
    "crop.left",
    "crop.top",
    "crop.right",
    "crop.bottom",
    "zIndex",
    "source.",
    "effects.",
    "sound.",
];
const SOURCE: &str = "source.";
const EFFECTS: &str = "effects.";
const SOUND: &str = "sound.";

impl Property {
    /// The properties that every layer has.
    pub const OF_LAYERS: [Self; 20] = [
        Self::Position,
        Self::PositionX,
        Self::PositionY,
        Self::Size,
        Self::SizeWidth,
        Self::SizeHeight,
        Self::Anchor,
        Self::AnchorX,
        Self::AnchorY,
        Self::Scale,
        Self::ScaleX,
        Self::ScaleY,
        Self::Rotation,
        Self::Opacity,
        Self::Crop,
        Self::CropLeft,
        Self::CropTop,
        Self::CropRight,
        Self::CropBottom,
        Self::ZIndex,
    ];

    /// Which of the value's four numbers are moved. A colour has red, green, blue and alpha, a crop left, top, right and bottom.
    pub fn mask(&self) -> [bool; 4] {
        match self {
            Self::PositionX
            | Self::SizeWidth
            | Self::AnchorX
            | Self::ScaleX
            | Self::Rotation
            | Self::Opacity
            | Self::CropLeft
            | Self::ZIndex => [true, false, false, false],
            Self::PositionY | Self::SizeHeight | Self::AnchorY | Self::ScaleY | Self::CropTop => {
                [false, true, false, false]
            }
            Self::CropRight => [false, false, true, false],
            Self::CropBottom => [false, false, false, true],
            Self::Position | Self::Size | Self::Anchor | Self::Scale => [true, true, false, false],
            Self::Crop | Self::Source(_) | Self::Effect(_) | Self::Sound(_) => [true; 4],
        }
    }

    /// The name as files write it.
    pub fn name(&self) -> Cow<'static, str> {
        let plain = |index: usize| Cow::Borrowed(NAMES.get(index).copied().unwrap_or_default());
        match self {
            Self::Position => plain(0),
            Self::PositionX => plain(1),
            Self::PositionY => plain(2),
            Self::Size => plain(3),
            Self::SizeWidth => plain(4),
            Self::SizeHeight => plain(5),
            Self::Anchor => plain(6),
            Self::AnchorX => plain(7),
            Self::AnchorY => plain(8),
            Self::Scale => plain(9),
            Self::ScaleX => plain(10),
            Self::ScaleY => plain(11),
            Self::Rotation => plain(12),
            Self::Opacity => plain(13),
            Self::Crop => plain(14),
            Self::CropLeft => plain(15),
            Self::CropTop => plain(16),
            Self::CropRight => plain(17),
            Self::CropBottom => plain(18),
            Self::ZIndex => plain(19),
            Self::Source(path) => format!("{SOURCE}{path}").into(),
            Self::Effect(path) => format!("{EFFECTS}{path}").into(),
            Self::Sound(path) => format!("{SOUND}{path}").into(),
        }
    }

    /// The property of a name; `None` when there is none.
    pub fn parse(name: &str) -> Option<Self> {
        let path = |prefix: &str| {
            let path = name.strip_prefix(prefix)?;
            (!path.is_empty() && path.len() <= 256).then(|| Box::from(path))
        };
        if let Some(path) = path(SOURCE) {
            return Some(Self::Source(path));
        }
        if let Some(path) = path(EFFECTS) {
            return Some(Self::Effect(path));
        }
        if let Some(path) = path(SOUND) {
            return Some(Self::Sound(path));
        }
        Self::OF_LAYERS
            .into_iter()
            .find(|property| property.name() == name)
    }

    /// The smallest and the largest value; `None` where it depends on the source or the effect.
    pub fn range(&self) -> Option<(f32, f32)> {
        match self {
            Self::Position | Self::PositionX | Self::PositionY | Self::Rotation | Self::ZIndex => {
                Some((-1e6, 1e6))
            }
            Self::Anchor | Self::AnchorX | Self::AnchorY => Some((-100.0, 100.0)),
            Self::Crop | Self::CropLeft | Self::CropTop | Self::CropRight | Self::CropBottom => {
                Some((0.0, crate::layer::Size::MAX))
            }
            Self::Size | Self::SizeWidth | Self::SizeHeight => {
                Some((0.01, crate::layer::Size::MAX))
            }
            Self::Scale | Self::ScaleX | Self::ScaleY => Some((-1000.0, 1000.0)),
            Self::Opacity => Some((0.0, 1.0)),
            Self::Source(_) | Self::Effect(_) | Self::Sound(_) => None,
        }
    }

    /// Whether the value may be a pair.
    pub fn is_pair(&self) -> bool {
        matches!(
            self,
            Self::Position | Self::Scale | Self::Size | Self::Anchor
        )
    }
}

impl fmt::Display for Property {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name())
    }
}

impl Serialize for Property {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| de::Error::unknown_variant(&name, NAMES))
    }
}

impl JsonSchema for Property {
    fn schema_name() -> Cow<'static, str> {
        "Property".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = Self::OF_LAYERS
            .iter()
            .map(|property| property.name())
            .collect();
        json_schema!({
            "description": "A property of every layer, or the path of a number or a colour of its source (`source.fill`) or of one of its effects (`effects.blur.radius`; an effect is named by its `id`, its `type` or its place from 0), or of its sound (`sound.gain`).",
            "anyOf": [
                {"enum": names},
                {"type": "string", "pattern": r"^(source|effects|sound)\..+$", "maxLength": 264}
            ],
            "examples": ["position.y", "opacity", "source.fill", "effects.blur.radius"]
        })
    }
}

/// A field that tracks can move, borrowed from its component.
#[derive(Debug)]
pub enum FieldMut<'a> {
    /// A number within a range, both ends included.
    Number {
        /// The number.
        value: &'a mut f32,
        /// The smallest that it may be.
        low: f32,
        /// The largest that it may be.
        high: f32,
    },
    /// A number within a range that may be bound to data; once it was moved it is written out.
    Template {
        /// The number.
        value: &'a mut Number,
        /// The smallest that it may be.
        low: f32,
        /// The largest that it may be.
        high: f32,
    },
    /// A colour.
    Colour(&'a mut Colour),
}

/// A component whose fields tracks can move by their paths, as the JSON has them, with dots between the names.
pub trait Fields {
    /// The field at `path`; `None` when there is none that can be moved.
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>>;

    /// The paths of all fields that this value has.
    fn field_paths(&self) -> Vec<String>;

    /// The path that [`field_paths`](Self::field_paths) has for the field at `path`, where a field can be named in several ways.
    fn own_path<'p>(&self, path: &'p str) -> Cow<'p, str> {
        Cow::Borrowed(path)
    }
}

impl FieldMut<'_> {
    /// The value as four numbers: the number and noughts, or red, green, blue and alpha from 0 to 255. A number that is bound is
    /// looked up, and is 0 where there is none.
    pub fn get<'v>(&self, lookup: &dyn Fn(&str) -> Option<&'v Value>) -> [f32; 4] {
        match self {
            Self::Number { value, .. } => [**value, 0.0, 0.0, 0.0],
            Self::Template { value, .. } => {
                let found = value.resolve(lookup);
                // Data may say "nan".
                let number = if found.is_finite() { found } else { 0.0 };
                [number, 0.0, 0.0, 0.0]
            }
            Self::Colour(colour) => {
                [colour.red, colour.green, colour.blue, colour.alpha].map(f32::from)
            }
        }
    }

    /// Writes the value, cut to its range; a colour's channels are rounded.
    pub fn set(self, numbers: [f32; 4]) {
        match self {
            Self::Number { value, low, high } => *value = numbers[0].clamp(low, high),
            Self::Template { value, low, high } => {
                *value = Number::Literal(numbers[0].clamp(low, high));
            }
            Self::Colour(colour) => {
                // A float that becomes a byte is cut to 0..=255.
                let [red, green, blue, alpha] = numbers.map(|number| (number + 0.5) as u8);
                *colour = Colour {
                    red,
                    green,
                    blue,
                    alpha,
                };
            }
        }
    }
}

/// A number field.
pub(crate) fn number(value: &mut f32, low: f32, high: f32) -> Option<FieldMut<'_>> {
    Some(FieldMut::Number { value, low, high })
}

/// A number field that may be bound to data.
pub(crate) fn template(value: &mut Number, low: f32, high: f32) -> Option<FieldMut<'_>> {
    Some(FieldMut::Template { value, low, high })
}

/// What stands behind `name` and a dot in a path.
pub(crate) fn within<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    path.strip_prefix(name)?.strip_prefix('.')
}

/// Puts `prefix` and a dot before each path.
pub(crate) fn below(prefix: &str, paths: Vec<String>) -> impl Iterator<Item = String> + use<'_> {
    paths.into_iter().map(move |path| {
        if path.is_empty() {
            prefix.to_owned()
        } else {
            format!("{prefix}.{path}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for property in Property::OF_LAYERS {
            assert_eq!(Property::parse(&property.name()), Some(property));
        }
        for name in ["source.gradient.stops.0.color", "effects.glow.radius"] {
            assert_eq!(
                Property::parse(name).map(|property| property.name().into_owned()),
                Some(name.to_owned())
            );
        }
        for name in ["", "source.", "effects", "position.z"] {
            assert_eq!(Property::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_field_keeps_its_range() {
        let mut value = 1.0;
        if let Some(field) = number(&mut value, 0.0, 2.0) {
            field.set([9.0, 0.0, 0.0, 0.0]);
        }
        assert_eq!(value, 2.0);
        let mut colour = Colour::BLACK;
        FieldMut::Colour(&mut colour).set([300.0, -4.0, 127.6, 255.0]);
        assert_eq!(colour, Colour::opaque(255, 0, 128));
    }
}
