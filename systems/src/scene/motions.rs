//! What is on its way in the scene on air and cannot be told from what is authored: glides, layers that come and go, tickers. All of it
//! follows from ticks, so that another run that is told of it shows the same from then on.

use std::collections::BTreeMap;

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use components::effect::Effects;
use components::layer::{Anchor, Crop, LayerId, Opacity, Position, Rotation, Scale, Size, ZIndex};
use components::sound::Sound;
use components::source::{
    AvatarSource, ChatSource, ColourSource, GradientSource, ImageSource, ShapeSource, TextSource,
    TickerSource,
};
use serde::{Deserialize, Serialize};

use super::Reachable;
use crate::animate::{
    FieldMotions, GlidePlace, Motion, MovingFields, MovingProperty, Strip, StripPlace,
};
use crate::audio::Bus;
use crate::clock::FrameClock;
use crate::publish::{Door, Requests};
use crate::transition::{Presence, PresencePlace};

/// What goes before the path of a field of a source, of the effects, and of the sound.
const SOURCE: &str = "source.";
const EFFECTS: &str = "effects.";
const SOUND: &str = "sound.";

/// What is on its way, by the names of the layers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Motions {
    /// Glides by what they move: `position`, `source.fontSize`, `effects.soft.radius`, `sound.gain`.
    pub glides: BTreeMap<String, BTreeMap<String, GlidePlace>>,
    /// Layers that come or go.
    pub presences: BTreeMap<String, PresencePlace>,
    /// Tickers that have not simply run since they came.
    pub strips: BTreeMap<String, StripPlace>,
    /// The gain of the sum of all sounds.
    pub master: Option<GlidePlace>,
}

impl Motions {
    /// The same with every tick made another.
    #[must_use]
    pub fn moved(mut self, to: impl Fn(u64) -> u64) -> Self {
        let glides = self.glides.values_mut().flat_map(BTreeMap::values_mut);
        for glide in glides.chain(&mut self.master) {
            glide.since_tick = to(glide.since_tick);
        }
        for presence in self.presences.values_mut() {
            presence.since_tick = to(presence.since_tick);
        }
        for strip in self.strips.values_mut() {
            (strip.since_tick, strip.summed_to) = (to(strip.since_tick), to(strip.summed_to));
        }
        self
    }

    /// The same without what began after `tick`.
    #[must_use]
    pub fn until(mut self, tick: u64) -> Self {
        for glides in self.glides.values_mut() {
            glides.retain(|_, glide| glide.since_tick < tick);
        }
        self.glides.retain(|_, glides| !glides.is_empty());
        self.master = self.master.filter(|glide| glide.since_tick < tick);
        self.presences
            .retain(|_, presence| presence.since_tick <= tick);
        self.strips.retain(|_, strip| strip.since_tick <= tick);
        self
    }

    fn glide(&mut self, layer: &LayerId, of: String, place: GlidePlace) {
        let glides = self.glides.entry(layer.as_str().to_owned()).or_default();
        glides.insert(of, place);
    }

    fn property<T: MovingProperty>(&mut self, name: &str, layers: &Properties<T>) {
        for (layer, motion) in layers {
            if let Some(place) = motion.place() {
                self.glide(layer, name.to_owned(), place);
            }
        }
    }

    fn fields<S: MovingFields>(&mut self, kind: &str, layers: &FieldsOf<S>) {
        for (layer, motions) in layers {
            for (path, place) in motions.places() {
                self.glide(layer, format!("{kind}{path}"), place);
            }
        }
    }
}

/// Where it is asked what is on its way.
pub type MotionsDoor = Door<Motions>;

type Properties<'w, 's, T> = Query<'w, 's, (&'static LayerId, &'static Motion<T>), Reachable>;
type FieldsOf<'w, 's, S> = Query<'w, 's, (&'static LayerId, &'static FieldMotions<S>), Reachable>;

/// The properties that every layer has.
#[derive(SystemParam)]
pub(crate) struct AllProperties<'w, 's> {
    position: Properties<'w, 's, Position>,
    size: Properties<'w, 's, Size>,
    anchor: Properties<'w, 's, Anchor>,
    scale: Properties<'w, 's, Scale>,
    rotation: Properties<'w, 's, Rotation>,
    opacity: Properties<'w, 's, Opacity>,
    crop: Properties<'w, 's, Crop>,
    z_index: Properties<'w, 's, ZIndex>,
}

/// The fields of sources, effects and sounds.
#[derive(SystemParam)]
pub(crate) struct AllFields<'w, 's> {
    colours: FieldsOf<'w, 's, ColourSource>,
    gradients: FieldsOf<'w, 's, GradientSource>,
    shapes: FieldsOf<'w, 's, ShapeSource>,
    texts: FieldsOf<'w, 's, TextSource>,
    avatars: FieldsOf<'w, 's, AvatarSource>,
    images: FieldsOf<'w, 's, ImageSource>,
    tickers: FieldsOf<'w, 's, TickerSource>,
    chats: FieldsOf<'w, 's, ChatSource>,
    effects: FieldsOf<'w, 's, Effects>,
    sounds: FieldsOf<'w, 's, Sound>,
}

/// Tells what is on its way after this tick.
pub(crate) fn answer(
    requests: Res<Requests<Motions>>,
    bus: Res<Bus>,
    properties: AllProperties,
    fields: AllFields,
    presences: Query<(&LayerId, &Presence), Reachable>,
    strips: Query<(&LayerId, &Strip), Reachable>,
) {
    requests.answer(|| {
        let mut all = Motions {
            master: bus.glide_place(),
            ..Motions::default()
        };
        all.property("position", &properties.position);
        all.property("size", &properties.size);
        all.property("anchor", &properties.anchor);
        all.property("scale", &properties.scale);
        all.property("rotation", &properties.rotation);
        all.property("opacity", &properties.opacity);
        all.property("crop", &properties.crop);
        all.property("zIndex", &properties.z_index);
        all.fields(SOURCE, &fields.colours);
        all.fields(SOURCE, &fields.gradients);
        all.fields(SOURCE, &fields.shapes);
        all.fields(SOURCE, &fields.texts);
        all.fields(SOURCE, &fields.avatars);
        all.fields(SOURCE, &fields.images);
        all.fields(SOURCE, &fields.tickers);
        all.fields(SOURCE, &fields.chats);
        all.fields(EFFECTS, &fields.effects);
        all.fields(SOUND, &fields.sounds);
        let places = presences.iter();
        all.presences.extend(
            places.filter_map(|(layer, presence)| {
                Some((layer.as_str().to_owned(), presence.place()?))
            }),
        );
        let places = strips.iter();
        all.strips.extend(
            places.filter_map(|(layer, strip)| Some((layer.as_str().to_owned(), strip.place()?))),
        );
        all
    });
}

/// Has the scene on air go on with that. What it does not have is passed over.
pub(super) fn resume(world: &mut World, motions: &Motions) {
    if let Some(place) = motions.master.filter(GlidePlace::is_sound) {
        world.resource_mut::<Bus>().go_on(place);
    }
    let rate = world.resource::<FrameClock>().rate;
    let mut layers = world.query_filtered::<(Entity, &LayerId), Reachable>();
    let layers: Vec<(Entity, String)> = layers
        .iter(world)
        .map(|(entity, id)| (entity, id.as_str().to_owned()))
        .collect();
    for (entity, id) in layers {
        let mut layer = world.entity_mut(entity);
        if let Some(place) = motions.presences.get(&id)
            && let Some(mut presence) = layer.get_mut::<Presence>()
        {
            *presence = Presence::going_on(*place);
        }
        if let Some(place) = motions.strips.get(&id)
            && let Some(mut strip) = layer.get_mut::<Strip>()
        {
            strip.go_on(*place, rate);
        }
        let glides = motions.glides.get(&id).into_iter().flatten();
        for (of, place) in glides.filter(|(_, place)| place.is_sound()) {
            glide_on(&mut layer, of, *place);
        }
    }
}

fn glide_on(layer: &mut EntityWorldMut, of: &str, place: GlidePlace) {
    match of {
        "position" => property::<Position>(layer, place),
        "size" => property::<Size>(layer, place),
        "anchor" => property::<Anchor>(layer, place),
        "scale" => property::<Scale>(layer, place),
        "rotation" => property::<Rotation>(layer, place),
        "opacity" => property::<Opacity>(layer, place),
        "crop" => property::<Crop>(layer, place),
        "zIndex" => property::<ZIndex>(layer, place),
        _ => {
            if let Some(path) = of.strip_prefix(SOURCE) {
                field::<ColourSource>(layer, path, place);
                field::<GradientSource>(layer, path, place);
                field::<ShapeSource>(layer, path, place);
                field::<TextSource>(layer, path, place);
                field::<AvatarSource>(layer, path, place);
                field::<ImageSource>(layer, path, place);
                field::<TickerSource>(layer, path, place);
                field::<ChatSource>(layer, path, place);
            } else if let Some(path) = of.strip_prefix(EFFECTS) {
                field::<Effects>(layer, path, place);
            } else if let Some(path) = of.strip_prefix(SOUND) {
                field::<Sound>(layer, path, place);
            }
        }
    }
}

fn property<T>(layer: &mut EntityWorldMut, place: GlidePlace)
where
    T: MovingProperty + Component<Mutability = Mutable>,
{
    if layer.contains::<T>() {
        layer.insert(Motion::<T>::going_on(place));
    }
}

fn field<S: MovingFields>(layer: &mut EntityWorldMut, path: &str, place: GlidePlace) {
    if !layer.contains::<S>() {
        return;
    }
    if !layer.contains::<FieldMotions<S>>() {
        layer.insert(FieldMotions::<S>::default());
    }
    if let Some(mut motions) = layer.get_mut::<FieldMotions<S>>() {
        motions.go_on(path, place);
    }
}
