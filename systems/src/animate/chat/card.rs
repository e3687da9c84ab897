//! One message as layers: measured, and put together from shapes, texts and pictures. It says nothing of where its row stands.

use std::sync::Arc;

use components::layer::{Fit, LayerSpec, Position, Size};
use components::source::{
    Align, AvatarShape, ChatBadge, ChatMessage, ChatSource, CornerRadii, Font, ImageSource,
    Outline, Overflow, Playback, Shadow, ShapeKind, ShapeSource, Source, TextSource, VerticalAlign,
};
use components::value::{Colour, Paint, Point, Template};
use glam::Vec2;
use text::FontLibrary;

use super::colours::{is_dark, name_colour, readable};

/// Pixels between the avatar and the bubble, as a part of the avatar.
const AVATAR_GAP: f32 = 0.22;
/// Pixels between badges and the name, as a part of the name's size.
const BADGE_GAP: f32 = 0.3;
/// The size of the letters of names over that of the words, where names have no font of their own.
const NAME_SIZE: f32 = 0.85;
/// The name of an avatar's layer, which is cut round.
pub(super) const AVATAR: &str = "avatar";

/// A message laid out.
pub(super) struct Card {
    /// Its layers, the top left of the row at their origin.
    pub spec: LayerSpec,
    /// Pixels, whole.
    pub size: Vec2,
}

/// Lays a message out in a chat of `width` pixels.
pub(super) fn lay_out(
    chat: &ChatSource,
    message: &ChatMessage,
    width: f32,
    fonts: &mut FontLibrary,
) -> Card {
    let avatar = chat.avatars.size.min(width / 2.0).round();
    let left = if avatar > 0.0 {
        avatar + (avatar * AVATAR_GAP).round()
    } else {
        0.0
    };
    let pad = Vec2::new(chat.bubble.padding * 1.5, chat.bubble.padding).round();
    let room = (width - left - pad.x * 2.0).max(chat.font.size).floor();

    let head = Head::new(chat, message, room, fonts);
    let words = Words::new(chat, message, room, fonts);
    let column = if chat.bubble.stretch {
        room
    } else {
        head.width.max(words.size.x).min(room)
    };
    let bubble = Vec2::new(column, head.height + words.size.y) + pad * 2.0;
    let size = Vec2::new(left + bubble.x, bubble.y.max(avatar));

    let mut spec = LayerSpec::new("message");
    let children = &mut spec.children;
    if avatar > 0.0 {
        add_avatar(chat, message, avatar, fonts, children);
    }
    let stroke = chat.bubble.stroke.as_ref();
    if is_seen(&chat.bubble.fill) || stroke.is_some() {
        let source = ShapeSource {
            shape: ShapeKind::Rectangle,
            radius: CornerRadii([chat.bubble.radius.min(bubble.min_element() / 2.0); 4]),
            path: None,
            fill: Some(chat.bubble.fill.clone()),
            stroke: stroke.cloned(),
        };
        let source = Source::Shape(source);
        children.push(layer("bubble", source, Vec2::new(left, 0.0), bubble));
    }
    let at = Vec2::new(left, 0.0) + pad;
    let below = at + Vec2::new(0.0, head.height);
    head.add(at, column, children);
    words.add(below, column, children);
    Card { spec, size }
}

/// The name and what stands beside it, on one line.
struct Head {
    name: Option<(TextSource, Vec2)>,
    badges: Vec<Badge>,
    gap: f32,
    width: f32,
    height: f32,
    /// Whether the name is read from the right, so that the line begins there.
    mirrored: bool,
}

struct Badge {
    source: Source,
    label: Option<(TextSource, Vec2)>,
    size: Vec2,
}

impl Head {
    fn new(chat: &ChatSource, message: &ChatMessage, room: f32, fonts: &mut FontLibrary) -> Self {
        let font = name_font(chat);
        let gap = (font.size * BADGE_GAP).round();
        let side = (font.size * 0.95).round();
        let mut head = Self {
            name: None,
            badges: Vec::new(),
            gap,
            width: 0.0,
            height: 0.0,
            mirrored: reads_from_right(&message.author),
        };
        for badge in &message.badges {
            let badge = Badge::new(chat, badge, &font, side, fonts);
            if head.width + badge.size.x > room * 0.6 {
                break;
            }
            head.width += badge.size.x + gap;
            head.height = head.height.max(badge.size.y);
            head.badges.push(badge);
        }
        if message.author.is_empty() {
            head.width = (head.width - gap).max(0.0);
        } else {
            let (outline, shadow) = on_picture(chat);
            let source = TextSource {
                fill: Paint::Solid(readable(name_colour(chat, message), &chat.bubble.fill)),
                font,
                wrap: false,
                max_lines: Some(1),
                overflow: Overflow::Ellipsis,
                outline,
                shadow,
                ..TextSource::plain(Template::literal(message.author.as_str()))
            };
            let mut size = fonts.measure(&source, &message.author, None, None);
            size.x = size.x.min(room - head.width);
            head.width += size.x;
            head.height = head.height.max(size.y);
            head.name = Some((source, size));
        }
        head
    }

    fn add(self, at: Vec2, column: f32, children: &mut Vec<Arc<LayerSpec>>) {
        let mut used = 0.0;
        let mut place = |size: Vec2, gap: f32| {
            let x = if self.mirrored {
                column - used - size.x
            } else {
                used
            };
            used += size.x + gap;
            at + Vec2::new(x, ((self.height - size.y) / 2.0).round())
        };
        for badge in self.badges {
            let corner = place(badge.size, self.gap);
            children.push(layer("badge", badge.source, corner, badge.size));
            if let Some((label, size)) = badge.label {
                let inside = corner + ((badge.size - size) / 2.0).round();
                children.push(layer("badge-text", Source::Text(label), inside, size));
            }
        }
        if let Some((source, size)) = self.name {
            let corner = place(size, 0.0);
            children.push(layer("name", Source::Text(source), corner, size));
        }
    }
}

impl Badge {
    fn new(
        chat: &ChatSource,
        badge: &ChatBadge,
        font: &Font,
        side: f32,
        fonts: &mut FontLibrary,
    ) -> Self {
        let words = match badge {
            ChatBadge::Image(badge) => {
                let src = Template::literal(badge.image.as_str());
                return Self {
                    source: Source::Image(ImageSource {
                        src,
                        playback: Playback::default(),
                    }),
                    label: None,
                    size: Vec2::splat(side),
                };
            }
            ChatBadge::Text(words) => words,
        };
        let (back, front) = if !is_seen(&chat.bubble.fill) {
            (black_with(0xa0), Colour::WHITE)
        } else if is_dark(&chat.bubble.fill) {
            (white_with(0x2e), white_with(0xe6))
        } else {
            (black_with(0x20), black_with(0xd0))
        };
        let label = TextSource {
            font: Font {
                size: (font.size * 0.6).round().max(1.0),
                weight: 700.0,
                line_height: 1.2,
                ..font.clone()
            },
            fill: Paint::Solid(front),
            wrap: false,
            ..TextSource::plain(Template::literal(words.as_str()))
        };
        let size = fonts.measure(&label, words, None, None);
        let outer = Vec2::new(size.x + (side * 0.5).round(), side).max(Vec2::splat(side));
        let source = ShapeSource {
            shape: ShapeKind::Rectangle,
            radius: CornerRadii([(side * 0.28).round(); 4]),
            path: None,
            fill: Some(Paint::Solid(back)),
            stroke: None,
        };
        Self {
            source: Source::Shape(source),
            label: Some((label, size)),
            size: outer,
        }
    }
}

/// What was written, broken into lines.
struct Words {
    source: TextSource,
    size: Vec2,
}

impl Words {
    fn new(chat: &ChatSource, message: &ChatMessage, room: f32, fonts: &mut FontLibrary) -> Self {
        let (outline, shadow) = on_picture(chat);
        let source = TextSource {
            font: chat.font.clone(),
            fill: chat.fill.clone(),
            outline,
            shadow,
            ..TextSource::plain(Template::literal(message.text.as_str()))
        };
        let size = if message.text.is_empty() {
            Vec2::ZERO
        } else {
            fonts.measure(&source, &message.text, Some(room), None)
        };
        Self { source, size }
    }

    fn add(self, at: Vec2, column: f32, children: &mut Vec<Arc<LayerSpec>>) {
        if self.size.y > 0.0 {
            let size = Vec2::new(column, self.size.y);
            children.push(layer("words", Source::Text(self.source), at, size));
        }
    }
}

/// The author's picture, on a disc in the author's colour; the first letter of the name where there is none.
fn add_avatar(
    chat: &ChatSource,
    message: &ChatMessage,
    side: f32,
    fonts: &mut FontLibrary,
    children: &mut Vec<Arc<LayerSpec>>,
) {
    let colour = name_colour(chat, message);
    let size = Vec2::splat(side);
    let source = ShapeSource {
        shape: ShapeKind::Rectangle,
        radius: CornerRadii([avatar_radius(chat, side); 4]),
        path: None,
        fill: Some(Paint::Solid(colour)),
        stroke: None,
    };
    children.push(layer("disc", Source::Shape(source), Vec2::ZERO, size));
    let Some(src) = &message.avatar else {
        let Some(letter) = message
            .author
            .chars()
            .find(|letter| letter.is_alphanumeric())
        else {
            return;
        };
        let letter: String = letter.to_uppercase().collect();
        let source = TextSource {
            font: Font {
                size: (side * 0.48).round().max(1.0),
                weight: 700.0,
                ..name_font(chat)
            },
            fill: Paint::Solid(if is_dark(&Paint::Solid(colour)) {
                Colour::WHITE
            } else {
                Colour::opaque(11, 13, 23)
            }),
            align: Align::Center,
            vertical_align: VerticalAlign::Middle,
            wrap: false,
            ..TextSource::plain(Template::literal(letter.as_str()))
        };
        let wide = fonts.measure(&source, &letter, None, None).x.max(side);
        let corner = Vec2::new((side - wide) / 2.0, 0.0);
        let size = Vec2::new(wide, side);
        children.push(layer("letter", Source::Text(source), corner, size));
        return;
    };
    let src = Template::literal(src.as_str());
    let mut picture = Arc::unwrap_or_clone(layer(
        AVATAR,
        Source::Image(ImageSource {
            src,
            playback: Playback::default(),
        }),
        Vec2::ZERO,
        size,
    ));
    picture.fit = Fit::Cover;
    children.push(Arc::new(picture));
}

/// How round avatars are, in pixels.
pub(super) fn avatar_radius(chat: &ChatSource, side: f32) -> f32 {
    match chat.avatars.shape {
        AvatarShape::Circle => side / 2.0,
        AvatarShape::Rounded => (side * 0.22).round(),
        AvatarShape::Square => 0.0,
    }
}

fn name_font(chat: &ChatSource) -> Font {
    chat.name_font.clone().unwrap_or_else(|| Font {
        size: (chat.font.size * NAME_SIZE).round().max(1.0),
        weight: 700.0,
        line_height: 1.3,
        ..chat.font.clone()
    })
}

/// Letters without a bubble stand on the picture itself, and need a dark line and a shadow to be read.
fn on_picture(chat: &ChatSource) -> (Option<Outline>, Option<Shadow>) {
    if chat.shadow.is_some() || is_seen(&chat.bubble.fill) {
        return (None, chat.shadow.clone());
    }
    let outline = Outline {
        color: black_with(0xb8),
        width: (chat.font.size / 16.0).clamp(1.0, 4.0),
    };
    let shadow = Shadow {
        color: black_with(0xb8),
        offset: Point { x: 0.0, y: 1.0 },
        blur: 4.0,
    };
    (Some(outline), Some(shadow))
}

fn is_seen(paint: &Paint) -> bool {
    !matches!(paint, Paint::Solid(colour) if colour.alpha == 0)
}

fn black_with(alpha: u8) -> Colour {
    Colour {
        alpha,
        ..Colour::BLACK
    }
}

fn white_with(alpha: u8) -> Colour {
    Colour {
        alpha,
        ..Colour::WHITE
    }
}

/// Whether the first letter that has a direction is one of a script that is read from the right.
fn reads_from_right(text: &str) -> bool {
    let first = text.chars().find(|letter| letter.is_alphabetic());
    first.is_some_and(|letter| {
        matches!(letter, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
    })
}

fn layer(name: &str, source: Source, corner: Vec2, size: Vec2) -> Arc<LayerSpec> {
    let mut layer = LayerSpec::new(name);
    layer.source = source;
    layer.position = Position {
        x: corner.x.into(),
        y: corner.y.into(),
    };
    layer.size = Some(Size {
        width: size.x.into(),
        height: size.y.into(),
    });
    Arc::new(layer)
}
