//! What the API shows of layers, timelines and scenes: what is authored, and what follows from it.

use std::sync::Arc;

use components::animation::{LoopMode, PlayState, Timeline};
use components::effect::Effects;
use components::layer::{
    Anchor, BlendMode, Crop, Fit, LayerId, LayerName, LayerSpec, Opacity, Position, Role, Rotation,
    Scale, Size, Visible,
};
use components::scene::FrameRate;
use components::sound::Sound;
use components::source::{FeedItem, Source, VisualFeedSource};
use components::transition::Transition;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};
use systems::animate::{has_ended, local_seconds, start_followers};
use systems::clock::FrameClock;
use systems::feed::{FeedState, show_at};

use super::show::Snapshot;

/// A value as JSON whose numbers are written as people write them: `1.2`, and not the longer one that the 32 bits of it stand for.
pub fn json_of(value: &impl Serialize) -> Value {
    serde_json::to_string(value)
        .and_then(|text| serde_json::from_str(&text))
        .unwrap_or_default()
}

/// A layer in full: every field, those that hold by default too, and the name of the layer above it. Its children are named, and
/// listed beside it.
pub fn layer(layer: &LayerSpec, parent: Option<&str>) -> Value {
    let children: Vec<&str> = layer
        .children
        .iter()
        .map(|child| child.id.as_str())
        .collect();
    let view = Fields {
        id: &layer.id,
        name: &layer.name,
        role: layer.role,
        source: &layer.source,
        visible: layer.visible,
        position: &layer.position,
        size: layer.size.as_ref(),
        anchor: layer.anchor,
        scale: &layer.scale,
        rotation: &layer.rotation,
        opacity: &layer.opacity,
        z_index: layer.z(),
        blend: layer.blend,
        crop: layer.crop,
        fit: layer.fit,
        effects: &layer.effects,
        sound: layer.source.sound_role().map(|_| &layer.sound),
        enter: layer.enter.as_ref(),
        exit: layer.exit.as_ref(),
        parent,
        children,
    };
    json_of(&view)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    id: &'a LayerId,
    name: &'a LayerName,
    #[serde(rename = "type")]
    role: Role,
    source: &'a Source,
    visible: Visible,
    position: &'a Position,
    size: Option<&'a Size>,
    anchor: Anchor,
    scale: &'a Scale,
    rotation: &'a Rotation,
    opacity: &'a Opacity,
    z_index: i32,
    blend: BlendMode,
    crop: Crop,
    fit: Fit,
    effects: &'a Effects,
    sound: Option<&'a Sound>,
    enter: Option<&'a Transition>,
    exit: Option<&'a Transition>,
    parent: Option<&'a str>,
    children: Vec<&'a str>,
}

/// The schema of what [`layer`] gives.
pub struct LayerView;

impl JsonSchema for LayerView {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LayerState".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = <LayerSpec as JsonSchema>::json_schema(generator).to_value();
        if let Value::Object(map) = &mut schema {
            map.insert(
                "description".to_owned(),
                "A layer on air with every field, those that hold by default too.".into(),
            );
            if let Some(Value::Object(properties)) = map.get_mut("properties") {
                properties.insert(
                    "parent".to_owned(),
                    json!({"type": ["string", "null"], "description": "The layer in whose space it stands."}),
                );
                properties.insert(
                    "children".to_owned(),
                    json!({"type": "array", "items": {"type": "string"}, "description": "The names of the layers in its space."}),
                );
                properties.insert(
                    "zIndex".to_owned(),
                    json!({"type": "integer", "description": "Place among its siblings; the band of the role when none was written."}),
                );
                for name in ["size", "sound", "enter", "exit"] {
                    if let Some(field) = properties.get_mut(name) {
                        let own = std::mem::take(field);
                        *field = json!({"anyOf": [own, {"type": "null"}]});
                    }
                }
                // Only what is heard has a sound.
                let names: Vec<Value> = properties
                    .keys()
                    .filter(|name| *name != "sound")
                    .map(|name| name.as_str().into())
                    .collect();
                map.insert("required".to_owned(), names.into());
            }
        }
        Schema::try_from(schema).unwrap_or_default()
    }
}

/// The change from one scene to another.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TransitionState")]
pub struct TransitionView {
    /// Whether one is in course; nothing else is told where none is.
    pub active: bool,
    /// The scene that goes.
    pub from: Option<String>,
    /// The scene that comes.
    pub to: Option<String>,
    /// How much of the coming scene is there, 0 to 1, before the easing.
    pub position: Option<f64>,
    /// Whether it stands until it is moved on.
    pub held: bool,
    /// The way.
    #[schemars(with = "Option<Transition>")]
    pub transition: Option<Value>,
}

/// The change of scenes as it stands on a tick.
pub fn transition(snapshot: &Snapshot, tick: u64) -> TransitionView {
    let clock = FrameClock {
        tick,
        rate: snapshot.rate,
    };
    let show = &snapshot.show;
    let changing = snapshot.mix.as_ref().zip(show.changing.as_ref());
    let changing = changing.filter(|(mix, _)| !mix.place.course.is_over(&clock));
    TransitionView {
        active: changing.is_some(),
        from: changing.map(|(_, changing)| changing.from.id.clone()),
        to: changing.map(|_| show.program.id.clone()),
        // A millionth is less than any frame shows.
        position: changing.map(|(mix, _)| (mix.place.course.part(&clock) * 1e6).round() / 1e6),
        held: changing.is_some_and(|(mix, _)| mix.place.course.is_held()),
        transition: changing.map(|(_, changing)| json_of(&changing.transition)),
    }
}

/// A feed on air.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Feed")]
pub struct FeedView {
    /// The items, in their order.
    pub items: Vec<Arc<FeedItem>>,
    /// How many there are.
    pub count: usize,
    /// How many there may be.
    pub max_items: u32,
    /// The item on show; null while the feed is empty.
    pub showing: Option<ShowingView>,
}

/// The item of a feed that is on show.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FeedShowing")]
pub struct ShowingView {
    /// Its id.
    pub item: LayerId,
    /// Its place among the items, from 0.
    pub index: usize,
    /// Seconds that it has been on show.
    pub seconds: f64,
    /// Whether it stays until the feed is told otherwise.
    pub pinned: bool,
    /// The id of the item that comes next; its own when none does.
    pub next: LayerId,
}

/// A feed as it stands on a tick.
pub fn feed(
    source: &VisualFeedSource,
    state: Option<&FeedState>,
    rate: FrameRate,
    tick: u64,
) -> FeedView {
    let start = FeedState::start(source, tick);
    let showing = show_at(state.unwrap_or(&start), source, &FrameClock { tick, rate });
    let showing = showing.and_then(|showing| {
        Some(ShowingView {
            item: source.items.get(showing.index)?.id.clone(),
            index: showing.index,
            seconds: showing.seconds,
            pinned: showing.pinned,
            next: source.items.get(showing.next)?.id.clone(),
        })
    });
    FeedView {
        items: source.items.clone(),
        count: source.items.len(),
        max_items: source.max_items,
        showing,
    }
}

/// Whether a timeline moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TimelineState {
    /// It moves.
    Playing,
    /// It stands still.
    Paused,
    /// It has come to its end and stands there.
    Ended,
    /// It moves nothing.
    Stopped,
}

/// A timeline on air.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Timeline")]
pub struct TimelineView {
    /// Its name.
    pub id: String,
    /// Whether it moves.
    pub state: TimelineState,
    /// Seconds from its start; null while it is stopped.
    pub position: Option<f64>,
    /// Seconds from start to end.
    pub duration: f64,
    /// What happens at its end.
    #[serde(rename = "loop")]
    pub loop_mode: LoopMode,
    /// Seconds of the timeline a second of the stream.
    pub speed: f64,
    /// Seconds between being played and moving.
    pub delay: f64,
}

/// Every timeline of the scene on air as it stands on a tick, those that started after others among them.
pub fn timelines(snapshot: &Snapshot, tick: u64) -> Vec<TimelineView> {
    let clock = FrameClock {
        tick,
        rate: snapshot.rate,
    };
    let mut timelines = (*snapshot.timelines).clone();
    start_followers(&mut timelines, &clock);
    let view =
        |(id, timeline): (&String, &Timeline)| self::timeline(id, timeline, clock.rate, tick);
    timelines.iter().map(view).collect()
}

/// A timeline as it stands on a tick.
pub fn timeline(id: &str, timeline: &Timeline, rate: FrameRate, tick: u64) -> TimelineView {
    let clock = FrameClock { tick, rate };
    let state = match timeline.state {
        PlayState::Stopped => TimelineState::Stopped,
        _ if has_ended(timeline, &clock) => TimelineState::Ended,
        PlayState::Playing { .. } => TimelineState::Playing,
        PlayState::Paused { .. } => TimelineState::Paused,
    };
    TimelineView {
        id: id.to_owned(),
        state,
        position: local_seconds(timeline, &clock),
        duration: timeline.duration,
        loop_mode: timeline.loop_mode,
        speed: timeline.speed,
        delay: timeline.delay,
    }
}
