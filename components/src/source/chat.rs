//! A chat: what viewers write, as rows that come in, are pushed on, and go.

use std::collections::HashSet;
use std::sync::Arc;

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chat_message::{ChatBadge, ChatMessage, read_messages};
use super::shape::{Stroke, paint_path};
use super::text::{Font, Shadow, below_some, white};
use crate::animation::{Easing, FieldMut, Fields, Glide, Spring, below, number, within};
use crate::validate::{Problems, Validate};
use crate::value::{Colour, Paint};

/// A chat over the picture: each message is a row of avatar, name, badges and words. The layer needs a size; rows that do not fit are
/// not shown. Messages come one by one by the command `chat.push`, and are part of the layer.
///
/// `{"type": "chat", "messages": [{"author": "Mira", "text": "Good evening 👋"}], "maxMessages": 50, "lifetime": 30}`
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatSource {
    /// The messages, the oldest first, at most 200. Only the newest `maxMessages` are shown. Default none.
    #[serde(default, deserialize_with = "read_messages")]
    #[schemars(with = "Vec<ChatMessage>", length(max = 200))]
    pub messages: Vec<Arc<ChatMessage>>,
    /// How many messages are kept, 1 to 200; the oldest go when more come. Default 50.
    #[serde(default = "max_messages")]
    #[schemars(range(min = 1, max = 200))]
    pub max_messages: u32,
    /// Seconds for which a message is shown, 0.1 to 86400. Until it is pushed out when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.1, max = 86_400))]
    pub lifetime: Option<f32>,
    /// Where rows go. Default `up`.
    #[serde(default)]
    pub direction: ChatDirection,
    /// How a row comes. Default `slide` in 0.35 seconds.
    #[serde(default = "entrance")]
    pub entrance: ChatMotion,
    /// How a row goes whose time is over, or which is one too many. A message that is deleted is gone at once. Default `fade` in 0.4 seconds.
    #[serde(default = "exit")]
    pub exit: ChatMotion,
    /// How rows go on when others come or go. Default a spring of 0.45 seconds that does not swing.
    #[serde(default = "push")]
    pub push: Glide,
    /// Pixels between rows, 0 to 500. Default 10.
    #[serde(default = "gap")]
    #[schemars(range(min = 0, max = 500))]
    pub gap: f32,
    /// Pixels between the box and the rows, 0 to 500. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 500))]
    pub padding: f32,
    /// How the words look. Default Inter in 26 pixels, weight 500.
    #[serde(default = "font")]
    pub font: Font,
    /// How names look. The font of the words, bold and a little smaller, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_font: Option<Font>,
    /// What the words are filled with. Default white.
    #[serde(default = "white")]
    pub fill: Paint,
    /// Colours for the names of authors who have none, 1 to 32: each author keeps one.
    #[serde(default = "name_colors")]
    #[schemars(length(min = 1, max = 32))]
    pub name_colors: Vec<Colour>,
    /// A shadow behind names and words. When left out, a soft one with a thin dark line where the bubble has no fill, else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
    /// What stands behind a message.
    #[serde(default)]
    pub bubble: Bubble,
    /// The pictures of authors.
    #[serde(default)]
    pub avatars: Avatars,
}

/// Where the rows of a chat go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ChatDirection {
    /// The newest stands at the bottom and pushes the others up.
    #[default]
    Up,
    /// The newest stands at the top and pushes the others down.
    Down,
}

/// How a row comes or goes.
///
/// `{"type": "pop", "duration": 0.4, "easing": "easeOutBack"}`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatMotion {
    /// In which way.
    #[serde(rename = "type")]
    pub kind: ChatMotionKind,
    /// Seconds, 0 to 10. Default 0.35.
    #[serde(default = "motion_duration")]
    #[schemars(range(min = 0, max = 10))]
    pub duration: f32,
    /// Its course. Default `easeOutCubic`.
    #[serde(default = "motion_easing")]
    pub easing: Easing,
}

/// In which way a row comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ChatMotionKind {
    /// It becomes visible, or invisible.
    Fade,
    /// It comes from the left, or goes there, and fades.
    Slide,
    /// It grows to its size, or becomes smaller, and fades.
    Pop,
}

/// What stands behind a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Bubble {
    /// Its colour or gradient; `"transparent"` for none. Default `#0b0d17c4`.
    pub fill: Paint,
    /// The line along its edge. None when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stroke: Option<Stroke>,
    /// Radius of its corners in pixels, 0 to 500. Default 16.
    #[schemars(range(min = 0, max = 500))]
    pub radius: f32,
    /// Pixels between its edge and the words, 0 to 200; half as much again at the sides. Default 12.
    #[schemars(range(min = 0, max = 200))]
    pub padding: f32,
    /// Whether it is as wide as the chat, and not as its words. Default false.
    pub stretch: bool,
}

/// The pictures of authors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Avatars {
    /// Width and height in pixels, 0 to 500; none are shown with 0. Default 48.
    #[schemars(range(min = 0, max = 500))]
    pub size: f32,
    /// Their form. Default `circle`.
    pub shape: AvatarShape,
}

/// The form of avatars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AvatarShape {
    /// Round.
    #[default]
    Circle,
    /// Square with round corners.
    Rounded,
    /// Square.
    Square,
}

impl Default for Bubble {
    fn default() -> Self {
        let fill = Colour {
            red: 11,
            green: 13,
            blue: 23,
            alpha: 0xc4,
        };
        Self {
            fill: Paint::Solid(fill),
            stroke: None,
            radius: 16.0,
            padding: 12.0,
            stretch: false,
        }
    }
}

impl Default for Avatars {
    fn default() -> Self {
        Self {
            size: 48.0,
            shape: AvatarShape::Circle,
        }
    }
}

fn max_messages() -> u32 {
    50
}

fn motion_duration() -> f32 {
    0.35
}

fn motion_easing() -> Easing {
    Easing::EaseOutCubic
}

fn entrance() -> ChatMotion {
    ChatMotion {
        kind: ChatMotionKind::Slide,
        duration: motion_duration(),
        easing: motion_easing(),
    }
}

fn exit() -> ChatMotion {
    ChatMotion {
        kind: ChatMotionKind::Fade,
        duration: 0.4,
        easing: motion_easing(),
    }
}

fn push() -> Glide {
    Glide {
        duration: 0.45,
        easing: Easing::Spring(Spring { bounce: 0.0 }),
        delay: 0.0,
    }
}

fn gap() -> f32 {
    10.0
}

fn font() -> Font {
    Font {
        size: 26.0,
        weight: 500.0,
        line_height: 1.35,
        ..Font::default()
    }
}

/// Light colours that are told apart on dark bubbles and over pictures.
fn name_colors() -> Vec<Colour> {
    [
        [255, 138, 128],
        [255, 183, 77],
        [255, 224, 130],
        [165, 214, 120],
        [77, 208, 190],
        [100, 194, 255],
        [160, 170, 255],
        [240, 150, 230],
    ]
    .map(|[red, green, blue]| Colour::opaque(red, green, blue))
    .into()
}

impl ChatSource {
    /// The most messages that a chat keeps.
    pub const MESSAGES_MAX: usize = 200;

    /// The pictures of the messages that are shown, as they are named.
    pub fn pictures(&self) -> impl Iterator<Item = &str> {
        let shown = self.messages.iter().rev().take(self.max_messages as usize);
        shown.flat_map(|message| {
            let badges = message.badges.iter().filter_map(|badge| match badge {
                ChatBadge::Image(badge) => Some(badge.image.as_str()),
                ChatBadge::Text(_) => None,
            });
            message.avatar.as_deref().into_iter().chain(badges)
        })
    }

    /// The chat without its messages: how it looks.
    pub fn style(&self) -> Self {
        Self {
            messages: Vec::new(),
            ..self.clone()
        }
    }

    /// Whether two chats look the same, whatever was written.
    pub fn has_style_of(&self, other: &Self) -> bool {
        self.gap == other.gap && self.has_cards_of(other)
    }

    /// Whether each message looks the same in two chats, wherever it stands.
    pub fn has_cards_of(&self, other: &Self) -> bool {
        self.max_messages == other.max_messages
            && self.lifetime == other.lifetime
            && self.direction == other.direction
            && (self.entrance, self.exit, self.push) == (other.entrance, other.exit, other.push)
            && self.padding == other.padding
            && (&self.font, &self.name_font) == (&other.font, &other.name_font)
            && (&self.fill, &self.name_colors) == (&other.fill, &other.name_colors)
            && (&self.shadow, &self.bubble) == (&other.shadow, &other.bubble)
            && self.avatars == other.avatars
    }
}

impl Fields for Bubble {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        match path {
            "radius" => return number(&mut self.radius, 0.0, 500.0),
            "padding" => return number(&mut self.padding, 0.0, 200.0),
            _ => {}
        }
        if let Some(path) = within(path, "stroke") {
            return self.stroke.as_mut()?.field_mut(path);
        }
        self.fill.field_mut(paint_path(path, "fill")?)
    }

    fn field_paths(&self) -> Vec<String> {
        let mut paths = vec!["radius".to_owned(), "padding".to_owned()];
        paths.extend(below("fill", self.fill.field_paths()));
        paths.extend(below_some("stroke", self.stroke.as_ref()));
        paths
    }
}

/// How a chat looks can be moved; what says when rows come and go cannot.
impl Fields for ChatSource {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        match path {
            "gap" => return number(&mut self.gap, 0.0, 500.0),
            "padding" => return number(&mut self.padding, 0.0, 500.0),
            "avatars.size" => return number(&mut self.avatars.size, 0.0, 500.0),
            _ => {}
        }
        if let Some(index) = within(path, "nameColors") {
            let colour = self.name_colors.get_mut(index.parse::<usize>().ok()?)?;
            return Some(FieldMut::Colour(colour));
        }
        if let Some(path) = within(path, "font") {
            return self.font.field_mut(path);
        }
        if let Some(path) = within(path, "nameFont") {
            return self.name_font.as_mut()?.field_mut(path);
        }
        if let Some(path) = within(path, "shadow") {
            return self.shadow.as_mut()?.field_mut(path);
        }
        if let Some(path) = within(path, "bubble") {
            return self.bubble.field_mut(path);
        }
        self.fill.field_mut(paint_path(path, "fill")?)
    }

    fn field_paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = ["gap", "padding", "avatars.size"].map(str::to_owned).into();
        paths.extend(below("font", self.font.field_paths()));
        paths.extend(below_some("nameFont", self.name_font.as_ref()));
        paths.extend(below("fill", self.fill.field_paths()));
        paths.extend((0..self.name_colors.len()).map(|index| format!("nameColors.{index}")));
        paths.extend(below_some("shadow", self.shadow.as_ref()));
        paths.extend(below("bubble", self.bubble.field_paths()));
        paths
    }
}

impl Validate for ChatMotion {
    fn validate(&self, problems: &mut Problems) {
        problems.range("duration", self.duration, 0.0..=10.0);
        problems.at("easing", |problems| self.easing.validate(problems));
    }
}

impl Validate for Bubble {
    fn validate(&self, problems: &mut Problems) {
        problems.at("fill", |problems| self.fill.validate(problems));
        if let Some(stroke) = &self.stroke {
            problems.at("stroke", |problems| stroke.validate(problems));
        }
        problems.range("radius", self.radius, 0.0..=500.0);
        problems.range("padding", self.padding, 0.0..=200.0);
    }
}

impl Validate for ChatSource {
    fn validate(&self, problems: &mut Problems) {
        self.validate_messages(problems);
        let max = Self::MESSAGES_MAX as f32;
        problems.range("maxMessages", self.max_messages as f32, 1.0..=max);
        if let Some(lifetime) = self.lifetime {
            problems.range("lifetime", lifetime, 0.1..=86_400.0);
        }
        problems.at("entrance", |problems| self.entrance.validate(problems));
        problems.at("exit", |problems| self.exit.validate(problems));
        problems.at("push", |problems| self.push.validate(problems));
        problems.range("gap", self.gap, 0.0..=500.0);
        problems.range("padding", self.padding, 0.0..=500.0);
        problems.at("font", |problems| self.font.validate(problems));
        if let Some(font) = &self.name_font {
            problems.at("nameFont", |problems| font.validate(problems));
        }
        problems.at("fill", |problems| self.fill.validate(problems));
        if !(1..=32).contains(&self.name_colors.len()) {
            problems.at("nameColors", |problems| {
                problems.report("there must be 1 to 32 colours for names");
            });
        }
        if let Some(shadow) = &self.shadow {
            problems.at("shadow", |problems| shadow.validate(problems));
        }
        problems.at("bubble", |problems| self.bubble.validate(problems));
        problems.at("avatars", |problems| {
            problems.range("size", self.avatars.size, 0.0..=500.0);
        });
    }
}

impl ChatSource {
    fn validate_messages(&self, problems: &mut Problems) {
        if self.messages.len() > Self::MESSAGES_MAX {
            let message = format!("a chat has at most {} messages", Self::MESSAGES_MAX);
            problems.at("messages", |problems| problems.report(message));
            return;
        }
        let mut ids = HashSet::new();
        for (index, message) in self.messages.iter().enumerate() {
            problems.at_index("messages", index, |problems| {
                message.validate(problems);
                if !ids.insert(message.id.as_str()) {
                    problems.at("id", |problems| {
                        problems.report("another message has this id");
                    });
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_style_is_all_but_the_messages() {
        let plain: ChatSource = serde_json::from_value(json!({})).expect("a chat");
        let other = json!({
            "maxMessages": 3, "lifetime": 4, "direction": "down", "entrance": {"type": "pop"},
            "exit": {"type": "pop"}, "push": {"duration": 1}, "gap": 3, "padding": 3, "font": {"size": 9},
            "nameFont": {"size": 9}, "fill": "red", "nameColors": ["red"], "shadow": {"color": "red"},
            "bubble": {"radius": 1}, "avatars": {"size": 1},
        });
        let fields = other.as_object().cloned().unwrap_or_default();
        let written = serde_json::to_value(&plain).expect("JSON");
        let names = written.as_object().map_or(0, serde_json::Map::len);
        // What is left out when it is not there: lifetime, nameFont, shadow; and the messages.
        assert_eq!(names + 3, fields.len() + 1, "each field is looked at");
        for (name, value) in fields {
            let chat: ChatSource =
                serde_json::from_value(json!({ name.as_str(): value })).expect("a chat");
            assert!(!chat.has_style_of(&plain), "{name}");
        }
        let chat: ChatSource =
            serde_json::from_value(json!({"messages": [{"text": "a"}]})).expect("a chat");
        assert!(chat.has_style_of(&plain) && chat.style() == plain);
    }
}
