//! Fits an avatar's frame into its layer's box.

use bevy_ecs::prelude::*;
use components::animation::Easing;
use components::derived::{Computed, LayoutBox, NaturalSize};
use components::layer::{Crop, Fit};
use components::source::AvatarSource;
use glam::{Affine2, Vec2};

use super::Avatar;
use crate::animate::sample_easing;
use crate::assets::Picture;
use crate::clock::FrameClock;
use crate::layout::{ChildSpace, ShownPicture, crop_box, fitted};

/// How many steps a pixel of breath has: too small to be seen, and few enough that most ticks compose nothing.
const BREATH_STEPS: f32 = 4.0;

/// An avatar without a size is as large as its pictures.
pub(crate) fn measure(
    mut avatars: Query<(&Avatar, &Computed<Crop>, &mut NaturalSize)>,
    pictures: Query<&ShownPicture>,
) {
    for (avatar, crop, mut natural) in &mut avatars {
        if let Some(frame) = frame_of(avatar, &pictures) {
            natural.set_if_neq(NaturalSize(crop_box(frame, &crop.0).1));
        }
    }
}

/// The size of the first body that is there; all have the same.
fn frame_of(avatar: &Avatar, pictures: &Query<&ShownPicture>) -> Option<Vec2> {
    avatar.bodies().iter().find_map(|body| {
        let shown = pictures.get(*body).ok()?;
        shown.picture.as_ref().map(Picture::size)
    })
}

type FitRow<'a> = (
    &'a Avatar,
    &'a Computed<AvatarSource>,
    &'a LayoutBox,
    &'a Computed<Crop>,
    &'a Fit,
);

/// Where the frame lies in the layer's box, and how far it breathes.
pub(crate) fn fit(
    clock: Res<FrameClock>,
    avatars: Query<FitRow>,
    pictures: Query<&ShownPicture>,
    mut spaces: Query<&mut ChildSpace>,
) {
    for (avatar, Computed(source), layout, Computed(crop), fit) in &avatars {
        let space = avatar.rig.and_then(|rig| spaces.get_mut(rig).ok());
        let (Some(mut space), Some(frame)) = (space, frame_of(avatar, &pictures)) else {
            continue;
        };
        let (crop_origin, cropped) = crop_box(frame, crop);
        let (origin, size) = fitted(cropped, layout.0, *fit);
        let scale = size / cropped.max(Vec2::splat(f32::MIN_POSITIVE));
        let mut layer_from_frame = Affine2::from_scale_angle_translation(scale, 0.0, origin)
            * Affine2::from_translation(-crop_origin);
        if let Some(breathe) = &source.breathe {
            let period = f64::from(breathe.period);
            let turn = (clock.seconds() / period).fract();
            let in_and_out = 1.0 - (2.0 * turn - 1.0).abs();
            let breath = sample_easing(Easing::EaseInOutSine, in_and_out) as f32;
            let rise = (breathe.amount * breath * BREATH_STEPS).round() / BREATH_STEPS;
            let stretch = 1.0 + rise / frame.y.max(1.0);
            let foot = Affine2::from_translation(Vec2::new(0.0, frame.y));
            layer_from_frame = layer_from_frame
                * foot
                * Affine2::from_scale(Vec2::new(1.0, stretch))
                * foot.inverse();
        }
        let hangs_over = (size - layout.0).max_element() > 1e-3;
        let low = origin.max(Vec2::ZERO);
        let clip = (hangs_over || !crop.is_none())
            .then(|| (low, ((origin + size).min(layout.0) - low).max(Vec2::ZERO)));
        space.set_if_neq(ChildSpace {
            layer_from_children: layer_from_frame,
            scale,
            clip,
            moves: source.breathe.is_some_and(|breathe| breathe.amount > 0.0),
        });
    }
}
