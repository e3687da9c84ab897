//! The kinds of effect: what each can be told, its ranges and what holds by default.
//!
//! A kind is written once, in [`parameters!`]: from it follow its JSON, its schema, its checks and what tracks can move of it.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::animation::{FieldMut, Fields, below};
use crate::layer::Fit;
use crate::source::CornerRadii;
use crate::validate::{Problems, Validate};
use crate::value::{Colour, Gradient, Number};

/// One parameter of an effect, whatever its type.
trait Parameter: Serialize + Sized {
    /// What tracks can move of it, at a path of its own that is empty for the whole.
    fn slot(&mut self, _path: &str, _range: [f32; 2]) -> Option<FieldMut<'_>> {
        None
    }

    /// The paths that [`slot`](Self::slot) knows.
    fn paths(&self) -> Vec<String> {
        Vec::new()
    }

    /// Writes it as a field.
    fn write<S: SerializeStruct>(
        &self,
        name: &'static str,
        fields: &mut S,
    ) -> Result<(), S::Error> {
        fields.serialize_field(name, self)
    }

    /// Reports what is wrong with it.
    fn check(&self, _name: &str, _range: [f32; 2], _problems: &mut Problems) {}
}

impl Parameter for f32 {
    fn slot(&mut self, path: &str, [low, high]: [f32; 2]) -> Option<FieldMut<'_>> {
        let value = self;
        path.is_empty()
            .then_some(FieldMut::Number { value, low, high })
    }

    fn paths(&self) -> Vec<String> {
        vec![String::new()]
    }

    /// As people write it: whole numbers without a fraction.
    fn write<S: SerializeStruct>(
        &self,
        name: &'static str,
        fields: &mut S,
    ) -> Result<(), S::Error> {
        fields.serialize_field(name, &Number::Literal(*self))
    }

    fn check(&self, name: &str, [low, high]: [f32; 2], problems: &mut Problems) {
        problems.range(name, *self, low..=high);
    }
}

impl Parameter for Colour {
    fn slot(&mut self, path: &str, _: [f32; 2]) -> Option<FieldMut<'_>> {
        path.is_empty().then_some(FieldMut::Colour(self))
    }

    fn paths(&self) -> Vec<String> {
        vec![String::new()]
    }
}

impl Parameter for Radii {
    fn slot(&mut self, path: &str, range: [f32; 2]) -> Option<FieldMut<'_>> {
        match self {
            Self::All(radius) => radius.slot(path, range),
            Self::Each(radii) => {
                let radius = radii.get_mut(path.parse::<usize>().ok()?)?;
                radius.slot("", range)
            }
        }
    }

    fn paths(&self) -> Vec<String> {
        match self {
            Self::All(radius) => radius.paths(),
            Self::Each(_) => (0..4).map(|index: u32| index.to_string()).collect(),
        }
    }

    fn check(&self, name: &str, range: [f32; 2], problems: &mut Problems) {
        for radius in self.corners() {
            radius.check(name, range, problems);
        }
    }
}

impl Parameter for Option<Gradient> {
    fn slot(&mut self, path: &str, _: [f32; 2]) -> Option<FieldMut<'_>> {
        self.as_mut()?.field_mut(path)
    }

    fn paths(&self) -> Vec<String> {
        self.as_ref().map_or_else(Vec::new, Fields::field_paths)
    }

    fn check(&self, name: &str, _: [f32; 2], problems: &mut Problems) {
        if let Some(gradient) = self {
            problems.at(name, |problems| gradient.validate(problems));
        }
    }
}

impl Parameter for Option<String> {
    fn check(&self, name: &str, _: [f32; 2], problems: &mut Problems) {
        let is_usable = |src: &String| (1..=SRC_MAX).contains(&src.len());
        if !self.as_ref().is_none_or(is_usable) {
            let rule = format!("it must have from 1 to {SRC_MAX} bytes");
            problems.at(name, |problems| problems.report(rule));
        }
    }
}

/// The longest `src` of a mask, in bytes.
const SRC_MAX: usize = 1024;

impl Parameter for bool {}
impl Parameter for BorderPlacement {}
impl Parameter for MaskMode {}
impl Parameter for MaskFit {}

/// The range of a parameter; of those that are no numbers nobody asks for it.
macro_rules! range {
    () => {
        [0.0, 0.0]
    };
    ($low:literal, $high:literal) => {
        [$low, $high]
    };
}

/// Makes of one list the struct of a kind and all that is known of its parameters. What holds by default is not written.
macro_rules! parameters {
    ($($(#[$doc:meta])* $kind:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr $(, $low:literal to $high:literal)?;)+
    })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $kind {
            $($(#[$field_doc])* $(#[schemars(range(min = $low, max = $high))])? pub $field: $type,)+
        }

        impl Default for $kind {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let default = Self::default();
                let length = 0 $(+ usize::from(self.$field != default.$field))+;
                let mut fields = serializer.serialize_struct(stringify!($kind), length)?;
                $(if self.$field != default.$field {
                    self.$field.write(stringify!($field), &mut fields)?;
                })+
                fields.end()
            }
        }

        impl $kind {
            fn check(&self, problems: &mut Problems) {
                $(self.$field.check(stringify!($field), range!($($low, $high)?), problems);)+
            }
        }

        impl Fields for $kind {
            fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
                let (name, rest) = path.split_once('.').unwrap_or((path, ""));
                match name {
                    $(stringify!($field) => self.$field.slot(rest, range!($($low, $high)?)),)+
                    _ => None,
                }
            }

            fn field_paths(&self) -> Vec<String> {
                let mut paths = Vec::new();
                $(paths.extend(below(stringify!($field), self.$field.paths()));)+
                paths
            }
        }
    )+};
}

/// Black, in the strength of a shadow.
const SHADE: Colour = Colour {
    alpha: 0x80,
    ..Colour::BLACK
};

parameters! {
    /// Blurs, as CSS `blur()` does: `{"type": "blur", "radius": 12}`. The soft edge reaches beyond the layer.
    Blur {
        /// Standard deviation in pixels, 0 to 250. Default 8.
        radius: f32 = 8.0, 0.0 to 250.0;
    }

    /// A shadow below: `{"type": "dropShadow", "y": 8, "blur": 24, "color": "#0008"}`.
    DropShadow {
        /// Pixels to the right, -1000 to 1000. Default 0.
        x: f32 = 0.0, -1000.0 to 1000.0;
        /// Pixels down, -1000 to 1000. Default 8.
        y: f32 = 8.0, -1000.0 to 1000.0;
        /// Pixels over which its edge fades, as CSS `box-shadow` counts them (twice the standard deviation), 0 to 500. Default 24.
        blur: f32 = 24.0, 0.0 to 500.0;
        /// Pixels by which it is larger than the shape on every side, -250 to 250. Default 0.
        spread: f32 = 0.0, -250.0 to 250.0;
        /// Its colour. Default half transparent black.
        color: Colour = SHADE;
    }

    /// Light round the shape: `{"type": "glow", "radius": 16, "color": "#0af", "intensity": 2}`.
    Glow {
        /// Standard deviation in pixels, 0 to 250. Default 12.
        radius: f32 = 12.0, 0.0 to 250.0;
        /// Its colour. Default white.
        color: Colour = Colour::WHITE;
        /// Its strength, 0 to 16; 1 is as strong as the blurred shape. Default 1.
        intensity: f32 = 1.0, 0.0 to 16.0;
    }

    /// A line along the edge of the shape: `{"type": "border", "width": 4, "color": "#fff", "placement": "inside"}`.
    Border {
        /// Pixels, 0 to 500. Default 4.
        width: f32 = 4.0, 0.0 to 500.0;
        /// Its colour. Default white.
        color: Colour = Colour::WHITE;
        /// On which side of the edge it lies. Default `outside`.
        placement: BorderPlacement = BorderPlacement::Outside;
    }

    /// Rounds the corners of the layer's box: `{"type": "cornerRadius", "radius": 24}`. Of a picture it rounds what is seen of it; of a
    /// group without a size, what its layers cover.
    CornerRadius {
        /// Pixels, 0 to 16384: one number, or `[topLeft, topRight, bottomRight, bottomLeft]`. Default 16.
        radius: Radii = Radii::All(16.0), 0.0 to 16384.0;
    }

    /// Shows what a picture or a gradient over the layer's box shows: `{"type": "mask", "src": "assets/brush.png", "mode": "luma"}`.
    ///
    /// It has a `src` or a `gradient`. While the picture cannot be had, nothing is seen of the layer.
    Mask {
        /// Name of an entry in the scene's `assets`, or a path relative to the scene file. Of a moving picture the first frame counts.
        #[schemars(length(min = 1, max = 1024))]
        src: Option<String> = None;
        /// A gradient in the place of a picture, for soft edges.
        gradient: Option<Gradient> = None;
        /// What of it counts. Default `alpha`.
        mode: MaskMode = MaskMode::Alpha;
        /// Whether it shows what it would hide, and hides what it would show. Default false.
        invert: bool = false;
        /// How the picture fills the box. Default `fill`.
        fit: MaskFit = MaskFit(Fit::Fill);
    }

    /// Changes colours: `{"type": "color", "saturation": 0, "contrast": 1.2}`.
    ColourChange {
        /// Added to every channel, -1 to 1. Default 0.
        brightness: f32 = 0.0, -1.0 to 1.0;
        /// Factor on the distance from middle grey, 0 to 4. Default 1.
        contrast: f32 = 1.0, 0.0 to 4.0;
        /// Factor on the distance from grey, 0 (grey) to 4. Default 1.
        saturation: f32 = 1.0, 0.0 to 4.0;
        /// Turn of the hue in degrees, -3600 to 3600. Default 0.
        hue: f32 = 0.0, -3600.0 to 3600.0;
        /// Above 1 middle tones are lighter, below 1 darker, 0.1 to 10. Default 1.
        gamma: f32 = 1.0, 0.1 to 10.0;
    }

    /// Makes a colour transparent, such as that of a green screen: `{"type": "chromaKey", "color": "#00b140", "similarity": 0.4}`.
    ///
    /// Distances are those of the colours without their brightness, 0 to 1.
    ChromaKey {
        /// The colour of the background. Default `#00ff00`.
        color: Colour = Colour::opaque(0, 255, 0);
        /// The distance up to which nothing is seen, 0 to 1. Default 0.4.
        similarity: f32 = 0.4, 0.0 to 1.0;
        /// How much further away all is seen, 0 to 1. Default 0.08.
        smoothness: f32 = 0.08, 0.0 to 1.0;
        /// How much further away than the similarity colours are kept whole; nearer ones turn grey, so that no light of the screen
        /// stays on the edges. 0 to 1. Default 0.1.
        spill: f32 = 0.1, 0.0 to 1.0;
    }

    /// Large pixels: `{"type": "pixelate", "size": 16}`.
    Pixelate {
        /// Side of a block in pixels, 1 (nothing changes) to 1000. Default 8.
        size: f32 = 8.0, 1.0 to 1000.0;
    }

    /// Darkens towards the corners of the layer's box: `{"type": "vignette", "amount": 0.6}`. Transparency stays.
    Vignette {
        /// How much of the colour there is where it is strongest, 0 to 1. Default 0.5.
        amount: f32 = 0.5, 0.0 to 1.0;
        /// Where it begins: 0 in the middle, 1 in the corners. Default 0.5.
        size: f32 = 0.5, 0.0 to 1.0;
        /// How wide its fade is, in the unit of `size`, 0 to 1. Default 0.5.
        softness: f32 = 0.5, 0.0 to 1.0;
        /// Its colour, whose alpha is left out. Default black.
        color: Colour = Colour::BLACK;
    }
}

/// Where the line of a [`Border`] lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BorderPlacement {
    /// Over the layer.
    Inside,
    /// Half over it, half beside it.
    Center,
    /// Beside it.
    #[default]
    Outside,
}

/// What of a [`Mask`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MaskMode {
    /// Its transparency.
    #[default]
    Alpha,
    /// Its brightness; what is transparent is black.
    Luma,
}

/// How the picture of a [`Mask`] fills the box: as [`Fit`], stretched by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct MaskFit(pub Fit);

/// The radii of a [`CornerRadius`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Radii {
    /// Of all corners.
    All(f32),
    /// Clockwise from the top left.
    Each([f32; 4]),
}

impl Radii {
    /// Clockwise from the top left.
    pub fn corners(&self) -> [f32; 4] {
        match *self {
            Self::All(radius) => [radius; 4],
            Self::Each(radii) => radii,
        }
    }
}

impl Serialize for Radii {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::All(radius) => Number::Literal(radius).serialize(serializer),
            Self::Each(radii) => radii.map(Number::Literal).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Radii {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let CornerRadii(radii) = CornerRadii::deserialize(deserializer)?;
        let is_one = radii.iter().all(|radius| *radius == radii[0]);
        Ok(if is_one {
            Self::All(radii[0])
        } else {
            Self::Each(radii)
        })
    }
}

impl JsonSchema for Radii {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        CornerRadii::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        CornerRadii::json_schema(generator)
    }
}

/// Makes of one list the enum of all kinds and what is done alike for each of them.
macro_rules! kinds {
    ($($name:literal => $variant:ident($kind:ident);)+) => {
        /// What an effect does; `type` tells the kind.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type")]
        pub enum EffectKind {
            $(
                #[doc = concat!("`", $name, "`.")]
                #[serde(rename = $name)]
                $variant($kind),
            )+
        }

        impl EffectKind {
            /// The `type` of every kind, as files write them.
            pub const NAMES: &[&str] = &[$($name),+];

            /// The `type` of this one.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)+ }
            }

            fn fields_mut(&mut self) -> &mut dyn Fields {
                match self { $(Self::$variant(kind) => kind,)+ }
            }

            fn fields(&self) -> &dyn Fields {
                match self { $(Self::$variant(kind) => kind,)+ }
            }

            /// The schema of each kind's own fields, by its `type`.
            pub(super) fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
                vec![$(($name, <$kind as JsonSchema>::json_schema(generator))),+]
            }
        }

        impl Validate for EffectKind {
            fn validate(&self, problems: &mut Problems) {
                match self { $(Self::$variant(kind) => kind.check(problems),)+ }
                if let Self::Mask(mask) = self {
                    mask.check_source(problems);
                }
            }
        }
    };
}

kinds! {
    "blur" => Blur(Blur);
    "dropShadow" => DropShadow(DropShadow);
    "glow" => Glow(Glow);
    "border" => Border(Border);
    "cornerRadius" => CornerRadius(CornerRadius);
    "mask" => Mask(Mask);
    "color" => Colour(ColourChange);
    "chromaKey" => ChromaKey(ChromaKey);
    "pixelate" => Pixelate(Pixelate);
    "vignette" => Vignette(Vignette);
}

impl Fields for EffectKind {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        self.fields_mut().field_mut(path)
    }

    fn field_paths(&self) -> Vec<String> {
        self.fields().field_paths()
    }
}

impl Mask {
    fn check_source(&self, problems: &mut Problems) {
        match (&self.src, &self.gradient) {
            (None, None) => problems.report("a mask needs a `src` or a `gradient`"),
            (Some(_), Some(_)) => problems.report("a mask has a `src` or a `gradient`, not both"),
            _ => {}
        }
    }
}
