//! A layer as files and the API write it: its components side by side, and its children below.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Anchor, BlendMode, Crop, Fit, LayerId, LayerName, Opacity, Position, Role, Rotation, Scale,
    Size, Visible, ZIndex,
};
use crate::effect::Effects;
use crate::sound::Sound;
use crate::source::Source;
use crate::transition::Transition;
use crate::validate::{Problems, Validate};
use crate::value::{Number, Template};

/// One layer of a scene file.
///
/// Reading goes through `scene::registry` in the program, which gives every error its place; this type writes and describes.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields)]
pub struct LayerSpec {
    /// Unique name.
    pub id: LayerId,
    /// Title for people. Default empty.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(default)]
    pub name: LayerName,
    /// Role; decides the z band. Default `overlay`.
    #[serde(rename = "type")]
    #[schemars(default)]
    pub role: Role,
    /// Where the pixels come from. A layer without a source is a group.
    #[schemars(default)]
    pub source: Source,
    /// Whether it is drawn. Default true.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(default)]
    pub visible: Visible,
    /// Where its anchor stands. Default 0, 0.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(default)]
    pub position: Position,
    /// Its box. Default as large as the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// The point that stands at the position. Default the top left.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(default)]
    pub anchor: Anchor,
    /// Size on the canvas over size of the box. Default 1.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(default)]
    pub scale: Scale,
    /// Degrees clockwise. Default 0.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(default)]
    pub rotation: Rotation,
    /// 0 to 1. Default 1.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(default)]
    pub opacity: Opacity,
    /// Place among the siblings. Default the band of the role.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(default)]
    pub z_index: ZIndex,
    /// How it meets what is below. Default `normal`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(default)]
    pub blend: BlendMode,
    /// What is cut off the source's edges. Default nothing.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(default)]
    pub crop: Crop,
    /// How the source fills the box. Default `contain`.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(default)]
    pub fit: Fit,
    /// What is done to its picture before it is composed, in order. Default nothing.
    #[serde(skip_serializing_if = "Effects::is_empty")]
    #[schemars(default)]
    pub effects: Effects,
    /// How its sound is mixed, where its source has sound. Default as it is.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(default)]
    pub sound: Sound,
    /// How it comes: when it is created, when it becomes visible, and with its scene. At once when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enter: Option<Transition>,
    /// How it goes: when it becomes invisible, and when it is removed. At once when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<Transition>,
    /// Layers in this one's space, drawn over it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub children: Vec<Arc<LayerSpec>>,
}

/// The name of a picture: that of an asset, or a path.
#[derive(Clone, Copy, Debug)]
pub enum PictureName<'a> {
    /// As it stands.
    Plain(&'a str),
    /// With holes for data, if any.
    Template(&'a Template),
}

impl PictureName<'_> {
    /// The name when it does not depend on data.
    pub fn literal(&self) -> Option<String> {
        match self {
            Self::Plain(name) => Some((*name).to_owned()),
            Self::Template(template) if template.is_bound() => None,
            Self::Template(template) => Some(template.to_string()),
        }
    }

    /// The name with its holes filled.
    pub fn fill<'d>(&self, lookup: impl Fn(&str) -> Option<&'d serde_json::Value>) -> String {
        let mut words = String::new();
        match self {
            Self::Plain(name) => words.push_str(name),
            Self::Template(template) => template.fill(lookup, &mut words),
        }
        words
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl LayerSpec {
    /// The names of a layer's fields, as files write them.
    pub const FIELDS: &[&str] = &[
        "id", "name", "type", "source", "visible", "position", "size", "anchor", "scale",
        "rotation", "opacity", "zIndex", "blend", "crop", "fit", "effects", "sound", "enter",
        "exit", "children",
    ];

    /// A group of no size at the origin, to be filled in.
    pub fn new(id: impl Into<LayerId>) -> Self {
        Self {
            id: id.into(),
            name: LayerName::default(),
            role: Role::default(),
            source: Source::default(),
            visible: Visible::default(),
            position: Position::default(),
            size: None,
            anchor: Anchor::default(),
            scale: Scale::default(),
            rotation: Rotation::default(),
            opacity: Opacity::default(),
            z_index: ZIndex::default(),
            blend: BlendMode::default(),
            crop: Crop::default(),
            fit: Fit::default(),
            effects: Effects::default(),
            sound: Sound::default(),
            enter: None,
            exit: None,
            children: Vec::new(),
        }
    }

    /// The layer's own fields alone.
    pub fn without_children(&self) -> Self {
        Self {
            id: self.id.clone(),
            name: self.name.clone(),
            role: self.role,
            source: self.source.clone(),
            visible: self.visible,
            position: self.position.clone(),
            size: self.size.clone(),
            anchor: self.anchor,
            scale: self.scale.clone(),
            rotation: self.rotation.clone(),
            opacity: self.opacity.clone(),
            z_index: self.z_index,
            blend: self.blend,
            crop: self.crop,
            fit: self.fit,
            effects: self.effects.clone(),
            sound: self.sound.clone(),
            enter: self.enter.clone(),
            exit: self.exit.clone(),
            children: Vec::new(),
        }
    }

    /// Calls `visit` with every picture that the layer itself names, and the path of the name in the layer.
    pub fn visit_pictures(&self, visit: &mut dyn FnMut(&str, PictureName)) {
        for (path, transition) in [("enter.src", &self.enter), ("exit.src", &self.exit)] {
            if let Some(src) = transition.as_ref().and_then(|way| way.src.as_deref()) {
                visit(path, PictureName::Plain(src));
            }
        }
        for (index, src) in self.effects.pictures() {
            visit(&format!("effects[{index}].src"), PictureName::Plain(src));
        }
        match &self.source {
            Source::Image(image) => visit("source.src", PictureName::Template(&image.src)),
            source
                if source
                    .reception()
                    .is_some_and(|held| held.fallback.is_some()) =>
            {
                let held = source.reception().and_then(|held| held.fallback.as_deref());
                visit(
                    "source.reception.fallback",
                    PictureName::Plain(held.unwrap_or_default()),
                );
            }
            Source::Avatar(avatar) => {
                for (path, src) in avatar.pictures() {
                    visit(&format!("source.{path}"), PictureName::Plain(src));
                }
            }
            _ => {}
        }
    }

    /// Its place among its siblings: its `zIndex`, or the band of its role.
    pub fn z(&self) -> i32 {
        self.z_index.0.unwrap_or_else(|| self.role.z_band())
    }

    /// This layer and all below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        for child in &self.children {
            child.walk(visit);
        }
    }
}

/// Checks this layer alone, without its children.
impl Validate for LayerSpec {
    fn validate(&self, problems: &mut Problems) {
        if !self.id.is_well_formed() {
            let rule = format!(
                "an id has 1 to {} letters from a to z, digits, `-`, `_` and `.`, and does not begin with a dot",
                LayerId::MAX_LENGTH
            );
            problems.at("id", |problems| problems.report(rule));
        }
        let mut literal =
            |outer: &str, inner: Option<&str>, number: &Number, low: f32, high: f32| {
                if let Some(value) = number.literal() {
                    match inner {
                        Some(inner) => {
                            problems.at(outer, |problems| problems.range(inner, value, low..=high))
                        }
                        None => problems.range(outer, value, low..=high),
                    }
                }
            };
        literal("position", Some("x"), &self.position.x, -1e6, 1e6);
        literal("position", Some("y"), &self.position.y, -1e6, 1e6);
        if let Some(size) = &self.size {
            literal("size", Some("width"), &size.width, 0.01, Size::MAX);
            literal("size", Some("height"), &size.height, 0.01, Size::MAX);
        }
        literal("rotation", None, &self.rotation.0, -1e6, 1e6);
        literal("opacity", None, &self.opacity.0, 0.0, 1.0);
        if self.scale.x == self.scale.y {
            literal("scale", None, &self.scale.x, -1000.0, 1000.0);
        } else {
            literal("scale", Some("x"), &self.scale.x, -1000.0, 1000.0);
            literal("scale", Some("y"), &self.scale.y, -1000.0, 1000.0);
        }
        problems.at("anchor", |problems| {
            problems.range("x", self.anchor.x, -100.0..=100.0);
            problems.range("y", self.anchor.y, -100.0..=100.0);
        });
        problems.at("crop", |problems| self.crop.validate(problems));
        self.effects.validate(problems);
        problems.at("sound", |problems| {
            self.sound.validate(problems);
            if self.sound != Sound::default() && self.source.sound_role().is_none() {
                let kind = self.source.kind();
                problems.report(format!("a layer of the kind `{kind}` has no sound"));
            }
            if self.sound.delay != 0.0 && matches!(self.source, Source::Avatar(_)) {
                problems.at("delay", |problems| {
                    problems.report("what an avatar says and its mouth stay on one frame");
                });
            }
        });
        for (name, transition) in [("enter", &self.enter), ("exit", &self.exit)] {
            if let Some(transition) = transition {
                problems.at(name, |problems| transition.validate(problems));
            }
        }
        problems.at("source", |problems| self.source.validate(problems));
        if let Source::Text(text) = &self.source
            && text.fit_to_box.is_some()
            && self.size.is_none()
        {
            problems.at("source.fitToBox", |problems| {
                problems.report("`fitToBox` needs the layer's `size`")
            });
        }
        let fills_a_box = matches!(
            self.source,
            Source::Shape(_) | Source::Ticker(_) | Source::Chat(_)
        );
        if fills_a_box && self.size.is_none() {
            let kind = self.source.kind();
            problems.report(format!("a {kind} needs the layer's `size`"));
        }
        if let Source::VisualFeed(feed) = &self.source
            && feed.template.is_some()
            && self.size.is_none()
        {
            problems.at("source.template", |problems| {
                problems.report("a `template` needs the layer's `size`")
            });
        }
    }
}
