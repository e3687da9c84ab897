//! Everything that a timeline moves goes on from what is on screen, when the timeline is told to play, jump or stop.

use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use components::animation::Glide;
use components::effect::Effects;
use components::layer::{Anchor, Crop, LayerId, Opacity, Position, Rotation, Scale, Size, ZIndex};
use components::sound::Sound;
use components::source::{
    AvatarSource, ChatSource, ColourSource, GradientSource, ImageSource, ShapeSource, TextSource,
    TickerSource,
};

use super::fields::glide_with;
use super::property::{CompiledTracks, MovingProperty, begin_glide};
use crate::clock::FrameClock;

/// Begins a glide of each property that `timeline` moves.
pub(crate) fn blend_timeline(
    world: &mut World,
    timeline: Entity,
    glide: &Glide,
    clock: &FrameClock,
) {
    let mut layers = world.query_filtered::<Entity, With<LayerId>>();
    let layers: Vec<Entity> = layers.iter(world).collect();
    for layer in layers {
        let mut layer = world.entity_mut(layer);
        property::<Position>(&mut layer, timeline, glide, clock);
        property::<Size>(&mut layer, timeline, glide, clock);
        property::<Anchor>(&mut layer, timeline, glide, clock);
        property::<Scale>(&mut layer, timeline, glide, clock);
        property::<Rotation>(&mut layer, timeline, glide, clock);
        property::<Opacity>(&mut layer, timeline, glide, clock);
        property::<Crop>(&mut layer, timeline, glide, clock);
        property::<ZIndex>(&mut layer, timeline, glide, clock);
        glide_with::<ColourSource>(&mut layer, timeline, glide, clock);
        glide_with::<GradientSource>(&mut layer, timeline, glide, clock);
        glide_with::<ShapeSource>(&mut layer, timeline, glide, clock);
        glide_with::<TextSource>(&mut layer, timeline, glide, clock);
        glide_with::<AvatarSource>(&mut layer, timeline, glide, clock);
        glide_with::<ImageSource>(&mut layer, timeline, glide, clock);
        glide_with::<TickerSource>(&mut layer, timeline, glide, clock);
        glide_with::<ChatSource>(&mut layer, timeline, glide, clock);
        glide_with::<Effects>(&mut layer, timeline, glide, clock);
        glide_with::<Sound>(&mut layer, timeline, glide, clock);
    }
}

fn property<T>(layer: &mut EntityWorldMut, timeline: Entity, glide: &Glide, clock: &FrameClock)
where
    T: MovingProperty + Component<Mutability = Mutable>,
{
    let follows = layer
        .get::<CompiledTracks<T>>()
        .is_some_and(|tracks| tracks.follows(timeline));
    if follows {
        begin_glide::<T>(layer, glide, clock);
    }
}
