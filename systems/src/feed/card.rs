//! The built-in card of a feed: picture, title, artist, bid, time left, and where in the feed it stands.
//!
//! It is made of ordinary layers, upright beside something or as a wide strip below it, after the form of the feed's box. Which layers
//! there are never changes, so that a new bid or the next second touches but the layers that say it.

use std::fmt::Write as _;
use std::sync::Arc;

use components::animation::{Easing, Glide};
use components::layer::{Fit, LayerSpec, Position, Size, Visible, ZIndex};
use components::source::{
    Align, CornerRadii, Counter, FitText, Font, Grouping, ImageSource, Overflow, Playback,
    ShapeKind, ShapeSource, Source, Stroke, TextDirection, TextSource, VerticalAlign,
};
use components::value::{
    Colour, Gradient, GradientKind, GradientStop, Number, Paint, Point, Template,
};
use glam::Vec2;

/// Upright: its width, and the heights that it can have.
const UPRIGHT: (f32, f32, f32) = (520.0, 660.0, 980.0);
/// Wide: its height, and the widths that it can have.
const WIDE: (f32, f32, f32) = (240.0, 900.0, 1800.0);
/// The form from which on the card is wide.
const WIDE_FROM: f32 = 1.5;
/// Seconds before the end from which on the time left is warm.
const WARM_SECONDS: u64 = 60;
/// The most items that are shown as dots.
const DOTS_MAX: usize = 12;

const PANEL: Colour = Colour::opaque(0x0e, 0x11, 0x18);
const EDGE: Colour = clear(0x1f);
const WHITE: Colour = Colour::opaque(0xf5, 0xf3, 0xee);
const QUIET: Colour = Colour::opaque(0x93, 0x9b, 0xad);
const GOLD: Colour = Colour::opaque(0xdd, 0xb8, 0x72);
const WARM: Colour = Colour::opaque(0xff, 0x97, 0x52);

/// White that lets most of what is below through.
const fn clear(alpha: u8) -> Colour {
    Colour {
        red: 255,
        green: 255,
        blue: 255,
        alpha,
    }
}

/// What the layers of a card depend on besides the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    /// As [`nominal`] gives it.
    pub size: Vec2,
    pub bid: Option<f64>,
    pub has_bidder: bool,
    pub has_artist: bool,
    pub has_image: bool,
    pub seconds_left: Option<u64>,
    pub index: usize,
    pub count: usize,
}

/// The canvas of a card for a box of this size; it is fitted into the box afterwards.
pub(super) fn nominal(layout: Option<Vec2>) -> Vec2 {
    let Some(layout) = layout.filter(|layout| layout.min_element() > 0.0) else {
        return Vec2::new(UPRIGHT.0, 760.0);
    };
    let form = layout.x / layout.y;
    if form >= WIDE_FROM {
        Vec2::new((WIDE.0 * form).clamp(WIDE.1, WIDE.2).round(), WIDE.0)
    } else {
        let height = (UPRIGHT.0 / form).clamp(UPRIGHT.1, UPRIGHT.2);
        Vec2::new(UPRIGHT.0, height.round())
    }
}

/// Where things stand on a card: left, top, width, height.
struct Places {
    image: [f32; 4],
    artist: [f32; 4],
    title: [f32; 4],
    title_size: f32,
    line: [f32; 4],
    bid: [f32; 2],
    left: [f32; 2],
    bid_width: f32,
    left_width: f32,
    left_align: Align,
    value_size: f32,
    dots: [f32; 4],
    dots_align: Align,
}

fn places(look: &Look) -> Places {
    let Vec2 {
        x: width,
        y: height,
    } = look.size;
    if height == WIDE.0 {
        return wide_places(look);
    }
    let side = 18.0;
    let inner = width - 2.0 * 30.0;
    let top = height - 250.0;
    Places {
        image: [side, side, width - 2.0 * side, top - 22.0 - side],
        artist: [30.0, top, inner, 26.0],
        title: [30.0, top + 26.0, inner, 46.0],
        title_size: 35.0,
        line: [30.0, top + 88.0, inner, 1.0],
        bid: [30.0, top + 106.0],
        left: [width - 30.0 - 190.0, top + 106.0],
        bid_width: inner - 190.0 - 12.0,
        left_width: 190.0,
        left_align: Align::Right,
        value_size: 38.0,
        dots: [30.0, height - 30.0, inner, 8.0],
        dots_align: Align::Center,
    }
}

fn wide_places(look: &Look) -> Places {
    let side = 16.0;
    let image = WIDE.0 - 2.0 * side;
    let text = side + image + 32.0;
    let end = look.size.x - 36.0;
    let left_width = 190.0;
    let bid_width = 290.0;
    let left = end
        - if look.seconds_left.is_some() {
            left_width
        } else {
            0.0
        };
    let bid = left - if look.bid.is_some() { bid_width } else { 0.0 };
    let has_figures = look.bid.is_some() || look.seconds_left.is_some();
    let text_end = if has_figures { bid - 32.0 } else { end };
    Places {
        image: [side, side, image, image],
        artist: [text, 52.0, text_end - text, 28.0],
        title: [text, 82.0, text_end - text, 60.0],
        title_size: 44.0,
        line: [bid - 4.0, 52.0, 1.0, WIDE.0 - 104.0],
        bid: [bid + 28.0, 56.0],
        left: [left + 28.0, 56.0],
        bid_width: bid_width - 40.0,
        left_width: left_width - 28.0,
        left_align: Align::Left,
        value_size: 42.0,
        dots: [text, WIDE.0 - 60.0, text_end - text, 8.0],
        dots_align: Align::Left,
    }
}

/// The layers of a card, from the back to the front.
pub(super) fn card(look: &Look) -> Vec<Arc<LayerSpec>> {
    let at = places(look);
    let [_, _, image_width, image_height] = at.image;
    let whole = [0.0, 0.0, look.size.x, look.size.y];
    let has_ended = look.seconds_left == Some(0);
    let mut layers = vec![
        layer(
            "panel",
            whole,
            shape(30.0, Some(PANEL.into_paint()), Some((EDGE, 1.5))),
        ),
        layer("empty", at.image, shape(0.0, Some(empty_fill()), None)),
        layer("mark", at.image, mark(image_width, image_height)),
        layer(
            "image",
            at.image,
            Source::Image(ImageSource {
                src: words("{{item.image}}"),
                playback: Playback::default(),
            }),
        ),
        layer(
            "corners",
            at.image,
            corners(image_width, image_height, 18.0),
        ),
        layer("frame", at.image, shape(18.0, None, Some((EDGE, 1.0)))),
        layer(
            "artist",
            at.artist,
            text("{{item.artist}}", 19.0, 600.0, GOLD),
        ),
        layer("title", at.title, title(at.title_size)),
        layer(
            "line",
            at.line,
            shape(0.0, Some(clear(0x1a).into_paint()), None),
        ),
    ];
    layers[3].fit = Fit::Cover;
    show(&mut layers[3], look.has_image);
    show(&mut layers[6], look.has_artist);
    let has_figures = look.bid.is_some() || look.seconds_left.is_some();
    show(&mut layers[8], has_figures);
    let bid_label = if has_ended {
        "FINAL BID"
    } else {
        "CURRENT BID"
    };
    let left_label = if has_ended { "AUCTION" } else { "ENDS IN" };
    layers.extend(figure(
        "bid",
        at.bid,
        at.bid_width,
        Align::Left,
        bid_label,
        bid(look, at.value_size),
        look.bid.is_some(),
    ));
    let mut bidder = layer(
        "bidder",
        [at.bid[0], at.bid[1] + 74.0, at.bid_width, 24.0],
        text("by {{item.bidder}}", 17.0, 500.0, QUIET),
    );
    show(&mut bidder, look.bid.is_some() && look.has_bidder);
    layers.push(bidder);
    let left = time_left(look, at.value_size, at.left_align);
    layers.extend(figure(
        "left",
        at.left,
        at.left_width,
        at.left_align,
        left_label,
        left,
        look.seconds_left.is_some(),
    ));
    layers.extend(dots(look, &at));
    for (place, layer) in (0..).zip(&mut layers) {
        layer.z_index = ZIndex(Some(place));
    }
    layers.into_iter().map(Arc::new).collect()
}

/// A label and a value below it.
fn figure(
    id: &str,
    [x, y]: [f32; 2],
    width: f32,
    align: Align,
    label: &str,
    value: TextSource,
    visible: bool,
) -> [LayerSpec; 2] {
    let mut above = plain_text(label, 14.0, 600.0, QUIET);
    above.font.letter_spacing = 1.4;
    above.align = align;
    let mut label = layer(
        &format!("{id}-label"),
        [x, y, width, 20.0],
        Source::Text(above),
    );
    let mut value = layer(id, [x, y + 21.0, width, 52.0], Source::Text(value));
    show(&mut label, visible);
    show(&mut value, visible);
    [label, value]
}

fn bid(look: &Look, size: f32) -> TextSource {
    let mut source = plain_text("{{counter}} {{item.currency}}", size, 700.0, WHITE);
    source.font.tabular_figures = true;
    source.fit_to_box = Some(FitText {
        min_size: size * 0.5,
        max_size: None,
    });
    source.counter = Some(Counter {
        value: Number::Bound("item.bid".into()),
        decimals: decimals(look.bid.unwrap_or_default()),
        grouping: Grouping::Comma,
        roll: Glide {
            duration: 0.9,
            easing: Easing::EaseOutCubic,
            delay: 0.0,
        },
    });
    source
}

/// Two digits after the point, more for a bid that has more, none for whole thousands.
fn decimals(bid: f64) -> u8 {
    if bid >= 1000.0 && bid.fract() == 0.0 {
        return 0;
    }
    let written = bid.to_string();
    let digits = written.split_once('.').map_or(0, |(_, rest)| rest.len());
    digits.clamp(2, 6) as u8
}

fn time_left(look: &Look, size: f32, align: Align) -> TextSource {
    let colour = match look.seconds_left {
        Some(0) => QUIET,
        Some(seconds) if seconds <= WARM_SECONDS => WARM,
        _ => WHITE,
    };
    let mut source = plain_text("{{item.countdown}}", size, 700.0, colour);
    source.font.tabular_figures = true;
    source.align = align;
    source.fit_to_box = Some(FitText {
        min_size: size * 0.5,
        max_size: None,
    });
    source
}

fn title(size: f32) -> Source {
    let mut source = plain_text("{{item.title}}", size, 700.0, WHITE);
    source.font.letter_spacing = -0.4;
    source.fit_to_box = Some(FitText {
        min_size: size * 0.7,
        max_size: None,
    });
    Source::Text(source)
}

/// A dot an item and a longer one for the item on show; numbers when there are many.
fn dots(look: &Look, at: &Places) -> [LayerSpec; 3] {
    let (dot, gap, long) = (8.0, 8.0, 26.0);
    let as_dots = (2..=DOTS_MAX).contains(&look.count);
    let [_, _, width, _] = at.dots;
    let all = (look.count.max(1) - 1) as f32 * (dot + gap) + long;
    let mut x = match at.dots_align {
        Align::Center => ((width - all) / 2.0).round(),
        _ => 0.0,
    };
    let (mut others, mut own) = (String::new(), String::new());
    if as_dots {
        for place in 0..look.count {
            let is_own = place == look.index;
            let width = if is_own { long } else { dot };
            pill(if is_own { &mut own } else { &mut others }, x, width, dot);
            x += width + gap;
        }
    } else {
        // A path is never empty; these are not seen.
        pill(&mut own, 0.0, long, dot);
        pill(&mut others, 0.0, dot, dot);
    }
    let mut others = layer("dots", at.dots, path(others, Some(clear(0x38)), None));
    let mut own = layer("dot", at.dots, path(own, Some(GOLD), None));
    let mut number = plain_text("{{item.index}} / {{item.count}}", 16.0, 600.0, QUIET);
    number.font.tabular_figures = true;
    number.align = at.dots_align;
    let [x, y, width, _] = at.dots;
    let mut number = layer("place", [x, y - 8.0, width, 22.0], Source::Text(number));
    show(&mut others, as_dots);
    show(&mut own, as_dots);
    show(&mut number, look.count > DOTS_MAX);
    [others, own, number]
}

/// Cubic curves come within a thousandth of a quarter of a circle with this part of its radius.
const ROUND: f32 = 0.552_3;

fn pill(out: &mut String, x: f32, width: f32, height: f32) {
    let radius = height / 2.0;
    let (near, far) = (radius - radius * ROUND, radius + radius * ROUND);
    let (left, right) = (x + radius, x + width - radius);
    let end = x + width;
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "M{left} 0H{right}C{} 0 {end} {near} {end} {radius}C{end} {far} {} {height} {right} {height}H{left}C{} {height} {x} {far} {x} {radius}C{x} {near} {} 0 {left} 0Z",
        right + radius * ROUND,
        right + radius * ROUND,
        left - radius * ROUND,
        left - radius * ROUND,
    );
}

/// The panel over the four corners of the picture, which makes them round.
fn corners(width: f32, height: f32, radius: f32) -> Source {
    let near = radius - radius * ROUND;
    let mut line = String::new();
    for (x, y, right, down) in [
        (0.0, 0.0, 1.0, 1.0),
        (width, 0.0, -1.0, 1.0),
        (width, height, -1.0, -1.0),
        (0.0, height, 1.0, -1.0),
    ] {
        let (h, v) = (|part: f32| x + right * part, |part: f32| y + down * part);
        let _ = write!(
            line,
            "M{x} {y}L{} {y}C{} {y} {x} {} {x} {}Z",
            h(radius),
            h(near),
            v(near),
            v(radius)
        );
    }
    path(line, Some(PANEL), None)
}

/// What stands where a picture is missing: a quiet frame with hills and a sun.
fn mark(width: f32, height: f32) -> Source {
    let scale = width.min(height) / 484.0;
    let (x, y) = (width / 2.0, height / 2.0);
    let h = |part: f32| x + part * scale.max(0.6);
    let v = |part: f32| y + part * scale.max(0.6);
    let line = format!(
        "M{} {}H{}V{}H{}ZM{} {}L{} {}L{} {}L{} {}L{} {}",
        h(-56.0),
        v(-44.0),
        h(56.0),
        v(44.0),
        h(-56.0),
        h(-56.0),
        v(30.0),
        h(-22.0),
        v(-8.0),
        h(6.0),
        v(22.0),
        h(24.0),
        v(4.0),
        h(56.0),
        v(34.0),
    );
    path(line, None, Some((clear(0x2e), 3.0)))
}

fn empty_fill() -> Paint {
    let stop = |at, color| GradientStop { at, color };
    Paint::Gradient(Gradient {
        kind: GradientKind::Linear,
        angle: 160.0,
        center: Point::default(),
        radius: 0.5,
        stops: vec![
            stop(0.0, Colour::opaque(0x1d, 0x23, 0x30)),
            stop(1.0, Colour::opaque(0x12, 0x16, 0x1f)),
        ],
    })
}

trait IntoPaint {
    fn into_paint(self) -> Paint;
}

impl IntoPaint for Colour {
    fn into_paint(self) -> Paint {
        Paint::Solid(self)
    }
}

fn layer(id: &str, [x, y, width, height]: [f32; 4], source: Source) -> LayerSpec {
    let mut layer = LayerSpec::new(id);
    layer.source = source;
    layer.position = Position {
        x: x.into(),
        y: y.into(),
    };
    layer.size = Some(Size {
        width: width.max(1.0).into(),
        height: height.max(1.0).into(),
    });
    layer
}

fn show(layer: &mut LayerSpec, visible: bool) {
    layer.visible = Visible(visible);
}

fn stroke(line: Option<(Colour, f32)>) -> Option<Stroke> {
    line.map(|(colour, width)| Stroke {
        paint: Paint::Solid(colour),
        width,
        dash: Vec::new(),
    })
}

fn shape(radius: f32, fill: Option<Paint>, line: Option<(Colour, f32)>) -> Source {
    Source::Shape(ShapeSource {
        shape: ShapeKind::Rectangle,
        radius: CornerRadii([radius; 4]),
        path: None,
        fill,
        stroke: stroke(line),
    })
}

fn path(line: String, fill: Option<Colour>, edge: Option<(Colour, f32)>) -> Source {
    Source::Shape(ShapeSource {
        shape: ShapeKind::Path,
        radius: CornerRadii::default(),
        path: Some(line),
        fill: fill.map(Paint::Solid),
        stroke: stroke(edge),
    })
}

fn text(content: &str, size: f32, weight: f32, colour: Colour) -> Source {
    Source::Text(plain_text(content, size, weight, colour))
}

/// One line in the middle of its box, ended by `…` where it is too long.
fn plain_text(content: &str, size: f32, weight: f32, colour: Colour) -> TextSource {
    TextSource {
        text: words(content),
        font: Font {
            size,
            weight,
            ..Font::default()
        },
        fill: Paint::Solid(colour),
        align: Align::Left,
        vertical_align: VerticalAlign::Middle,
        wrap: true,
        max_lines: Some(1),
        overflow: Overflow::Ellipsis,
        fit_to_box: None,
        outline: None,
        shadow: None,
        direction: TextDirection::Auto,
        counter: None,
    }
}

fn words(text: &str) -> Template {
    Template::parse(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use components::{Problems, Validate};

    fn look(size: Vec2) -> Look {
        Look {
            size,
            bid: Some(2.4),
            has_bidder: true,
            has_artist: true,
            has_image: true,
            seconds_left: Some(61),
            index: 1,
            count: 5,
        }
    }

    #[test]
    fn a_card_is_made_of_good_layers_whatever_it_shows() {
        for size in [
            None,
            Some(Vec2::new(1600.0, 240.0)),
            Some(Vec2::new(300.0, 900.0)),
        ] {
            let size = nominal(size);
            let first = card(&look(size));
            for count in [1, 2, 12, 13, 900] {
                for seconds_left in [None, Some(0), Some(59), Some(4000)] {
                    let other = Look {
                        count,
                        seconds_left,
                        bid: seconds_left.map(|_| 12_000.0),
                        ..look(size)
                    };
                    let layers = card(&other);
                    let ids = |layers: &[Arc<LayerSpec>]| -> Vec<String> {
                        layers.iter().map(|layer| layer.id.to_string()).collect()
                    };
                    assert_eq!(ids(&layers), ids(&first), "the same layers");
                    for layer in &layers {
                        let mut problems = Problems::new();
                        layer.validate(&mut problems);
                        assert_eq!(problems.into_vec(), [], "{}", layer.id);
                        if let Source::Shape(shape) = &layer.source
                            && let Some(line) = &shape.path
                        {
                            assert!(crate::render::parse_path(line).is_ok(), "{line}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn bids_have_the_digits_that_they_need() {
        assert_eq!(
            [0.0, 2.4, 0.085, 12_000.0, 12_000.5, 0.123_456_7].map(decimals),
            [2, 2, 3, 0, 2, 6]
        );
    }
}
