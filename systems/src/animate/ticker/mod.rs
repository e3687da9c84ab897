//! Tickers: one text layer for each item, as many copies of it as cover the box, and where each stands on this tick.
//!
//! Every item is a raster of its own, so that words which change are drawn anew alone, and a long strip needs no large raster.

mod way;

use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::derived::{Computed, FilledText};
use components::layer::{LayerSpec, Opacity, Position, Size};
use components::scene::FrameRate;
use components::source::{Source, TextDirection, TextSource, TickerSource};
use components::value::{Paint, Template};
use glam::Vec2;

use crate::clock::FrameClock;
use crate::layout::{Flows, Fonts};
use crate::scene::{despawn_internal, spawn_internal};
pub use way::StripPlace;
use way::Way;
pub(super) use way::run;

/// The most copies of one item; a strip that is shorter than a 256th of its box leaves some of it empty.
const COPIES_MAX: usize = 256;
/// Places are whole parts of a pixel, so that a strip that has come round stands exactly where it stood.
const STEPS_PER_PX: f64 = 256.0;

/// The strip of a ticker. On the ticker's layer; written in `Animate`.
#[derive(Component, Debug, Default)]
pub(crate) struct Strip {
    way: Way,
    elements: Vec<Element>,
    /// Pixels from an item to its next copy; 0 when there is nothing to see.
    length: f64,
    /// The same as it is authored, before anything has moved gaps or letters.
    own_length: f64,
    /// What it was laid out from.
    looks: Option<TickerSource>,
    box_size: Vec2,
    mirrored: bool,
}

/// One item or one separator.
#[derive(Debug)]
struct Element {
    text: TextSource,
    /// What `size` was measured of.
    words: String,
    size: Vec2,
    /// The same as it is authored.
    own_size: Vec2,
    /// Pixels from the start of the strip.
    start: f64,
    /// The same as it is authored.
    own_start: f64,
    copies: Vec<Entity>,
}

/// Says of a text to which ticker it belongs.
#[derive(Component, Clone, Copy, Debug)]
pub(crate) struct StripPart(Entity);

impl Strip {
    /// A strip that comes on air on `tick`; its texts are made on the same tick.
    pub(crate) fn new(tick: u64) -> Self {
        Self {
            way: Way::new(tick),
            ..Self::default()
        }
    }

    /// The strip came on air on `tick`; before it was laid out.
    pub(crate) fn began_on(&mut self, tick: u64) {
        self.way = Way::new(tick);
    }

    /// Where it stands, if it has not simply run since it came.
    pub(crate) fn place(&self) -> Option<StripPlace> {
        self.way.place()
    }

    /// It goes on from there; before it was laid out.
    pub(crate) fn go_on(&mut self, place: StripPlace, rate: FrameRate) {
        self.way = Way::going_on(place, rate);
    }

    fn has_looks_of(&self, source: &TickerSource) -> bool {
        let looks = self.looks.as_ref();
        looks.is_some_and(|looks| looks.has_looks_of(source))
    }

    /// Where an element stands while nothing has moved yet.
    fn home(&self, element: &Element) -> f64 {
        if self.mirrored {
            f64::from(self.box_size.x) - element.start - f64::from(element.size.x)
        } else {
            element.start
        }
    }

    /// How long the strip is over what is authored.
    fn stretch(&self) -> f64 {
        if self.own_length > 0.0 && self.length > 0.0 {
            self.length / self.own_length
        } else {
            1.0
        }
    }

    /// Pixels that the strip has moved.
    fn moved(&self, clock: &FrameClock) -> f64 {
        self.way.at(clock) * self.stretch()
    }

    /// Where the first copy of an element stands that is not left of the box, `moved` pixels on.
    fn first(&self, element: &Element, moved: f64) -> f64 {
        let width = f64::from(element.size.x);
        let from_left = self.home(element) - moved + width;
        let steps = (from_left.rem_euclid(self.length) * STEPS_PER_PX).round();
        steps / STEPS_PER_PX - width
    }
}

type Hosts<'w> = (
    Entity,
    &'w TickerSource,
    Ref<'w, Computed<TickerSource>>,
    &'w Strip,
    Option<Ref<'w, Computed<Size>>>,
);
type Parts<'w> = (
    &'w StripPart,
    Ref<'w, FilledText>,
    Ref<'w, Computed<TextSource>>,
);

/// Follows changes of items, words and boxes: makes and takes away texts, and lays them out in a row.
pub(super) fn follow(
    world: &mut World,
    hosts: &mut QueryState<Hosts<'static>>,
    parts: &mut QueryState<Parts<'static>>,
    mut stale: Local<Vec<Entity>>,
) {
    stale.clear();
    let rate = world.resource::<FrameClock>().rate;
    stale.extend(
        hosts
            .iter(world)
            .filter(|(_, authored, source, strip, size)| {
                source.is_changed() && !strip.has_looks_of(&source.0)
                    || !strip.way.goes_at(authored.speed, rate)
                    || size.as_ref().is_some_and(|size| size.is_changed())
            })
            .map(|(host, ..)| host),
    );
    for (part, words, text) in parts.iter(world) {
        if (words.is_changed() || text.is_changed()) && !stale.contains(&part.0) {
            stale.push(part.0);
        }
    }
    for host in &*stale {
        lay_out(world, *host);
    }
}

fn lay_out(world: &mut World, host: Entity) {
    let clock = *world.resource::<FrameClock>();
    let (Some(authored), Some(source)) = (
        world.get::<TickerSource>(host).cloned(),
        world.get::<Computed<TickerSource>>(host),
    ) else {
        return;
    };
    let source = source.0.clone();
    let box_size = world
        .get::<Computed<Size>>(host)
        .map_or(Vec2::ZERO, |size| size.0);
    let Some(mut strip) = world.get_mut::<Strip>(host).map(|mut strip| {
        let strip = strip.bypass_change_detection();
        std::mem::take(strip)
    }) else {
        return;
    };
    let anchor = anchor(&strip, strip.moved(&clock));
    let before = strip.own_length;
    strip.box_size = box_size;
    strip.mirrored = source.direction == TextDirection::Rtl;

    write_elements(world, host, &mut strip, &source);
    let is_moved = measure(world, &mut strip, &source, &authored);
    strip.way.turn(authored.speed, &clock);
    // What stands at the left edge stays there, whatever became longer or shorter further on.
    if let (Some((index, left)), true) = (anchor, is_moved && before > 0.0)
        && let Some(element) = strip.elements.get(index)
    {
        let from = (strip.home(element) - left) / strip.stretch();
        strip.way.restart(from, &clock);
    }
    copy(world, host, &mut strip);
    strip.looks = Some(source);
    if let Some(mut slot) = world.get_mut::<Strip>(host) {
        *slot = strip;
    }
}

/// The element that is cut by the left edge of the box or comes first after it, and where it stands.
fn anchor(strip: &Strip, moved: f64) -> Option<(usize, f64)> {
    if strip.length <= 0.0 {
        return None;
    }
    let places = strip.elements.iter().enumerate();
    places
        .filter(|(_, element)| element.size.x > 0.0)
        .map(|(index, element)| (index, strip.first(element, moved)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
}

/// Has an element for each item and for each separator; those that stay the same keep their layers.
fn write_elements(world: &mut World, host: Entity, strip: &mut Strip, source: &TickerSource) {
    let texts = texts(source);
    for element in strip
        .elements
        .drain(texts.len().min(strip.elements.len())..)
    {
        for copy in element.copies {
            despawn_internal(world, copy);
        }
    }
    for (index, text) in texts.into_iter().enumerate() {
        match strip.elements.get_mut(index) {
            Some(element) if element.text == text => {}
            Some(element) if element.text.text == text.text => dress(world, element, text),
            Some(element) => {
                // The next tick fills the words of these; this one must see them already.
                for copy in element.copies.drain(..) {
                    despawn_internal(world, copy);
                }
                element.text = text;
            }
            None => strip.elements.push(Element {
                text,
                words: String::new(),
                size: Vec2::ZERO,
                own_size: Vec2::ZERO,
                start: 0.0,
                own_start: 0.0,
                copies: Vec::new(),
            }),
        }
        if let Some(element) = strip.elements.get_mut(index)
            && element.copies.is_empty()
        {
            spawn(world, host, element);
            element.words.clear();
            element.size = Vec2::ZERO;
        }
    }
}

/// Gives an element that keeps its words another look, in the layers that are there.
fn dress(world: &mut World, element: &mut Element, text: TextSource) {
    for copy in &element.copies {
        // The systems of texts have run already on this tick.
        if let Ok(mut copy) = world.get_entity_mut(*copy) {
            copy.insert((text.clone(), Computed::<TextSource>(text.clone())));
        }
    }
    let same_form = TextSource {
        fill: text.fill.clone(),
        ..element.text.clone()
    };
    if same_form != text {
        element.words.clear();
        element.size = Vec2::ZERO;
    }
    element.text = text;
}

fn texts(source: &TickerSource) -> Vec<TextSource> {
    let text = |words: &Template, fill: &Paint| TextSource {
        font: source.font.clone(),
        fill: fill.clone(),
        wrap: false,
        max_lines: Some(1),
        outline: source.outline.clone(),
        shadow: source.shadow.clone(),
        direction: source.direction,
        ..TextSource::plain(words.clone())
    };
    let mut texts = Vec::with_capacity(source.items.len() * 2);
    for item in &source.items {
        texts.push(text(&item.text, item.fill.as_ref().unwrap_or(&source.fill)));
        if has_separator(source) {
            let fill = source.separator_fill.as_ref().unwrap_or(&source.fill);
            texts.push(text(&source.separator, fill));
        }
    }
    texts
}

fn has_separator(source: &TickerSource) -> bool {
    !source.separator.parts().is_empty()
}

fn spawn(world: &mut World, host: Entity, element: &mut Element) {
    let mut spec = LayerSpec::new("item");
    spec.source = Source::Text(element.text.clone());
    if let Some(copy) = spawn_internal(world, host, Arc::new(spec)) {
        world
            .entity_mut(copy)
            .insert((StripPart(host), Flows(true)));
        element.copies.push(copy);
    }
}

/// Measures what has other words than before, and puts the elements in a row. Gives whether any of them would stand elsewhere as the
/// strip is authored.
fn measure(
    world: &mut World,
    strip: &mut Strip,
    source: &TickerSource,
    authored: &TickerSource,
) -> bool {
    let has_own_letters = (&source.font, &source.outline, &source.shadow)
        == (&authored.font, &authored.outline, &authored.shadow);
    world.resource_scope(|world, mut fonts: Mut<Fonts>| {
        for element in &mut strip.elements {
            let filled = element
                .copies
                .first()
                .and_then(|copy| world.get::<FilledText>(*copy));
            let Some(FilledText(words)) = filled else {
                continue;
            };
            if element.words != *words || element.size == Vec2::ZERO {
                element.words.clone_from(words);
                element.size = match words.trim().is_empty() {
                    true => Vec2::ZERO,
                    false => fonts.library.measure(&element.text, words, None, None),
                };
            }
            element.own_size = element.size;
            if !has_own_letters && element.size != Vec2::ZERO {
                let text = TextSource {
                    font: authored.font.clone(),
                    outline: authored.outline.clone(),
                    shadow: authored.shadow.clone(),
                    ..element.text.clone()
                };
                element.own_size = fonts.library.measure(&text, words, None, None);
            }
        }
    });
    let before = (strip.own_length, strip.elements.len());
    let mut is_moved = false;
    let (mut end, mut own_end) = (0.0, 0.0);
    // A separator goes with its item: both are left out when the item has no words.
    let is_separated = has_separator(source);
    let mut is_empty = false;
    for (index, element) in strip.elements.iter_mut().enumerate() {
        if is_separated && index % 2 == 1 && is_empty {
            (element.size, element.own_size) = (Vec2::ZERO, Vec2::ZERO);
        }
        is_empty = element.size.x <= 0.0;
        is_moved |= element.own_start != own_end;
        (element.start, element.own_start) = (end, own_end);
        if !is_empty {
            end += f64::from(element.size.x) + f64::from(source.gap);
            own_end += f64::from(element.own_size.x) + f64::from(authored.gap);
        }
    }
    (strip.length, strip.own_length) = (end, own_end);
    is_moved || before != (strip.own_length, strip.elements.len())
}

/// Has as many copies of each element as can be in the box at one time.
fn copy(world: &mut World, host: Entity, strip: &mut Strip) {
    let width = f64::from(strip.box_size.x);
    for element in &mut strip.elements {
        // One stays where there are no words, to show them when they come.
        let mut wanted = 1;
        if strip.length > 0.0 && element.size.x > 0.0 {
            let copies = ((width + f64::from(element.size.x)) / strip.length).ceil();
            wanted = (copies as usize).clamp(1, COPIES_MAX);
        }
        while element.copies.len() > wanted {
            if let Some(copy) = element.copies.pop() {
                despawn_internal(world, copy);
            }
        }
        for _ in element.copies.len()..wanted {
            spawn(world, host, element);
        }
    }
}

type Placing<'a> = (
    &'a mut Computed<Position>,
    &'a mut Computed<Opacity>,
    &'a mut Flows,
);

/// Puts every copy where it stands on this tick.
pub(super) fn flow(
    clock: Res<FrameClock>,
    mut strips: Query<(&Computed<TickerSource>, &mut Strip)>,
    mut parts: Query<Placing, With<StripPart>>,
) {
    for (Computed(source), mut strip) in &mut strips {
        let strip = strip.bypass_change_detection();
        strip.way.note(source.speed);
        let moved = strip.moved(&clock);
        for element in &strip.elements {
            let is_seen = strip.length > 0.0 && element.size.x > 0.0;
            let first = if is_seen {
                strip.first(element, moved)
            } else {
                0.0
            };
            let y = ((strip.box_size.y - element.size.y) / 2.0).round();
            let mut x = first;
            for copy in &element.copies {
                let Ok((mut position, mut opacity, mut flows)) = parts.get_mut(*copy) else {
                    continue;
                };
                position.set_if_neq(Computed(Vec2::new(x as f32, y)));
                opacity.set_if_neq(Computed(f32::from(u8::from(is_seen))));
                flows.set_if_neq(Flows(source.speed != 0.0));
                x += strip.length;
            }
        }
    }
}
