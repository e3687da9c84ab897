//! Sources: what gives a layer its pixels. One component a kind; a layer has exactly one.
//!
//! To add a kind: one file here, one in `systems`, one line in [`Source`].

mod audio;
mod avatar;
mod chat;
mod chat_message;
mod colour;
mod feed;
mod gradient;
mod image;
mod ingest;
mod input;
mod rtsp;
mod scene;
mod shape;
mod text;
mod ticker;
mod video;

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::Serialize;

pub use audio::AudioSource;
pub use avatar::{
    AvatarBlink, AvatarBreath, AvatarEmotion, AvatarFade, AvatarMouth, AvatarOverride,
    AvatarPicture, AvatarShapes, AvatarSlots, AvatarSource, AvatarState, MouthShape, Offset,
};
pub use chat::{
    AvatarShape, Avatars, Bubble, ChatDirection, ChatMotion, ChatMotionKind, ChatSource,
};
pub use chat_message::{ChatBadge, ChatBadgeImage, ChatMessage};
pub use colour::ColourSource;
pub use feed::{
    FEED_ITEMS_MAX, FeedDirection, FeedItem, FeedOrder, FeedTransition, FeedTransitionKind,
    VisualFeedSource,
};
pub use gradient::GradientSource;
pub use image::{ImageSource, Playback, PlaybackLoop};
pub use ingest::IngestSource;
pub use input::Reception;
pub use rtsp::{RtspSource, RtspTransport};
pub use scene::{SCENE_DEPTH_MAX, SceneSource};
pub use shape::{CornerRadii, ShapeKind, ShapeSource, Stroke};
pub use text::{
    Align, Counter, FitText, Font, FontStyle, Grouping, Outline, Overflow, Shadow, TextDirection,
    TextSource, VerticalAlign,
};
pub use ticker::{TickerItem, TickerSource};
pub use video::VideoSource;

use crate::animation::{FieldMut, Fields};
use crate::sound::SoundRole;
use crate::validate::{Problems, Validate};

/// The source of a layer as files and the API write it; `type` tells the kind.
///
/// It is read by `scene::registry` in the program (kind first, then its fields), so that an error keeps its place.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Source {
    /// One colour.
    #[serde(rename = "color")]
    Colour(ColourSource),
    /// A run of colours.
    Gradient(GradientSource),
    /// A picture, still or moving.
    Image(ImageSource),
    /// A rectangle, an ellipse or a path.
    Shape(ShapeSource),
    /// Words.
    Text(TextSource),
    /// A character of pictures, with a mouth that follows a level.
    Avatar(AvatarSource),
    /// Words that run through the box without an end.
    Ticker(TickerSource),
    /// Items that are shown one after the other.
    VisualFeed(VisualFeedSource),
    /// Another scene.
    Scene(SceneSource),
    /// What viewers write.
    Chat(Box<ChatSource>),
    /// A film from a file or a URL.
    Video(VideoSource),
    /// A camera over RTSP.
    Rtsp(RtspSource),
    /// A publisher on the program's RTMP server.
    Ingest(IngestSource),
    /// Sound from a file, without a picture.
    Audio(AudioSource),
    /// Nothing of its own: it holds its children together.
    Group(GroupSource),
}

/// A layer that draws only its children.
#[derive(
    Component, Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct GroupSource {}

impl Source {
    /// The `type` of every kind, as files write them.
    pub const KINDS: &[&str] = &[
        "color",
        "gradient",
        "image",
        "shape",
        "text",
        "avatar",
        "ticker",
        "chat",
        "visualFeed",
        "scene",
        "video",
        "rtsp",
        "ingest",
        "audio",
        "group",
    ];

    /// The `type` of this one.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Colour(_) => "color",
            Self::Gradient(_) => "gradient",
            Self::Image(_) => "image",
            Self::Shape(_) => "shape",
            Self::Text(_) => "text",
            Self::Avatar(_) => "avatar",
            Self::Ticker(_) => "ticker",
            Self::VisualFeed(_) => "visualFeed",
            Self::Scene(_) => "scene",
            Self::Chat(_) => "chat",
            Self::Video(_) => "video",
            Self::Rtsp(_) => "rtsp",
            Self::Ingest(_) => "ingest",
            Self::Audio(_) => "audio",
            Self::Group(_) => "group",
        }
    }
}

impl Source {
    /// How many layers the source makes for itself.
    pub fn count_inner(&self) -> usize {
        match self {
            Self::Scene(source) => source
                .inner
                .as_ref()
                .map_or(0, |inner| inner.count_layers()),
            Self::VisualFeed(source) => source.count_inner(),
            _ => 0,
        }
    }
}

impl Source {
    /// What its sound is when the layer does not say; `None` when it has none.
    pub fn sound_role(&self) -> Option<SoundRole> {
        match self {
            Self::Avatar(_) => Some(SoundRole::Speech),
            Self::Audio(_) => Some(SoundRole::Music),
            Self::Video(_) | Self::Rtsp(_) | Self::Ingest(_) => Some(SoundRole::Content),
            _ => None,
        }
    }

    /// How a live input is held together; `None` of everything else.
    pub fn reception(&self) -> Option<&Reception> {
        match self {
            Self::Video(source) => Some(&source.reception),
            Self::Rtsp(source) => Some(&source.reception),
            Self::Ingest(source) => Some(&source.reception),
            _ => None,
        }
    }
}

impl Default for Source {
    fn default() -> Self {
        Self::Group(GroupSource::default())
    }
}

impl Validate for Source {
    fn validate(&self, problems: &mut Problems) {
        match self {
            Self::Colour(_) | Self::Group(_) => {}
            Self::Image(source) => source.validate(problems),
            Self::Gradient(source) => {
                problems.at("gradient", |problems| source.gradient.validate(problems))
            }
            Self::Shape(source) => source.validate(problems),
            Self::Text(source) => source.validate(problems),
            Self::Avatar(source) => source.validate(problems),
            Self::Ticker(source) => source.validate(problems),
            Self::VisualFeed(source) => source.validate(problems),
            Self::Scene(source) => source.validate(problems),
            Self::Chat(source) => source.validate(problems),
            Self::Video(source) => source.validate(problems),
            Self::Rtsp(source) => source.validate(problems),
            Self::Ingest(source) => source.validate(problems),
            Self::Audio(source) => source.validate(problems),
        }
    }
}

impl Source {
    /// What tracks can move of it; none where nothing can be moved.
    fn fields(&mut self) -> Option<&mut dyn Fields> {
        match self {
            Self::Colour(source) => Some(source),
            Self::Gradient(source) => Some(source),
            Self::Shape(source) => Some(source),
            Self::Text(source) => Some(source),
            Self::Avatar(source) => Some(source),
            Self::Ticker(source) => Some(source),
            Self::Chat(source) => Some(&mut **source),
            Self::Image(source) => Some(source),
            Self::VisualFeed(_)
            | Self::Scene(_)
            | Self::Video(_)
            | Self::Rtsp(_)
            | Self::Ingest(_)
            | Self::Audio(_)
            | Self::Group(_) => None,
        }
    }
}

impl Fields for Source {
    fn field_mut(&mut self, path: &str) -> Option<FieldMut<'_>> {
        self.fields()?.field_mut(path)
    }

    fn field_paths(&self) -> Vec<String> {
        let mut own = self.clone();
        own.fields()
            .map_or_else(Vec::new, |fields| fields.field_paths())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_path_that_is_told_reaches_a_field() {
        let gradient = json!({"stops": [{"at": 0, "color": "#f06"}, {"at": 1, "color": "#06f"}]});
        let text = json!({
            "text": "{{counter}}", "fill": gradient, "counter": {"value": 3},
            "outline": {"color": "red", "width": 2}, "shadow": {"color": "#0008"},
        });
        let shape =
            json!({"shape": "rectangle", "fill": "red", "stroke": {"paint": gradient, "width": 2}});
        let ticker = json!({
            "items": ["one", {"text": "two", "fill": gradient}], "fill": "red", "separatorFill": "red",
            "outline": {"color": "red", "width": 2}, "shadow": {"color": "#0008"},
        });
        let chat = json!({
            "nameFont": {}, "fill": gradient, "shadow": {"color": "#0008"},
            "bubble": {"stroke": {"paint": "red", "width": 2}},
        });
        let avatar = json!({
            "states": {"idle": {"src": "a.png"}}, "mouth": {"level": "{{level}}"}, "breathe": {},
        });
        let mut sources = [
            serde_json::from_value(json!({"color": "red"})).map(Source::Colour),
            serde_json::from_value(json!({"gradient": gradient})).map(Source::Gradient),
            serde_json::from_value(shape).map(Source::Shape),
            serde_json::from_value(text).map(Source::Text),
            serde_json::from_value(ticker).map(Source::Ticker),
            serde_json::from_value(chat).map(Box::new).map(Source::Chat),
            serde_json::from_value(avatar).map(Source::Avatar),
            serde_json::from_value(json!({"src": "a.gif"})).map(Source::Image),
        ];
        for source in sources.iter_mut().flatten() {
            let paths = source.field_paths();
            assert!(!paths.is_empty());
            for path in paths {
                assert!(
                    source.field_mut(&path).is_some(),
                    "{} {path}",
                    source.kind()
                );
            }
            for path in [
                "",
                "nothing",
                "fill.stops.9.color",
                "radius.4",
                "items.0.fill",
                "items.9.fill",
            ] {
                assert!(source.field_mut(path).is_none(), "{} {path}", source.kind());
            }
        }
        assert_eq!(sources.iter().flatten().count(), 8);
    }
}
