//! How large inputs are, which part of their box their pictures fill, and at which size they are to be decoded.

use bevy_ecs::prelude::*;
use components::derived::{Computed, LayoutBox, NaturalSize};
use components::layer::{Crop, Fit};
use glam::Vec2;

use super::measure::{crop_box, fitted};
use super::propagate::RasterScale;
use crate::clock::FrameClock;
use crate::input::{InputContent, LiveInput, ShownInput, WantedSize};

/// Where the picture of an input lies in its layer's box, in layer pixels. On each layer whose input may have pictures; written in
/// `Layout`.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct InputPlace {
    /// Top left and size of the whole picture, which may hang over the box.
    pub picture: (Vec2, Vec2),
    /// Top left and size of what is seen of it, where that is not all.
    pub cut: Option<(Vec2, Vec2)>,
}

/// Ticks for which a size must have been wanted before a decoder is told: one that is animated would have it begin anew on each tick.
const SETTLED_TICKS: u64 = 8;
/// The longest side that is asked for, in pixels.
const SIDE_MAX: f32 = 4096.0;

fn natural_size(content: &InputContent) -> Option<Vec2> {
    match content {
        InputContent::Nothing => None,
        InputContent::Live { natural, .. } => Some(Vec2::new(natural.0 as f32, natural.1 as f32)),
        InputContent::Fallback(picture, _) => Some(picture.size()),
    }
}

type MeasureRow<'a> = (&'a ShownInput, &'a Computed<Crop>, &'a mut NaturalSize);
type MeasureChanged = Or<(Changed<ShownInput>, Changed<Computed<Crop>>)>;

/// An input without a size is as large as its pictures; one that shows nothing keeps the size that it had.
pub(super) fn measure_inputs(mut layers: Query<MeasureRow, MeasureChanged>) {
    for (shown, Computed(crop), mut natural) in &mut layers {
        if let Some(size) = natural_size(&shown.content) {
            natural.set_if_neq(NaturalSize(crop_box(size, crop).1));
        }
    }
}

type FitRow<'a> = (
    &'a ShownInput,
    &'a Computed<Crop>,
    &'a LayoutBox,
    &'a Fit,
    &'a mut InputPlace,
);
type FitChanged = Or<(
    Changed<ShownInput>,
    Changed<Computed<Crop>>,
    Changed<LayoutBox>,
    Changed<Fit>,
)>;

/// Puts each picture into its box: cropped first, then fitted, as images are.
pub(super) fn fit_inputs(mut layers: Query<FitRow, FitChanged>) {
    for (shown, Computed(crop), layout, fit, mut place) in &mut layers {
        let Some(size) = natural_size(&shown.content) else {
            continue;
        };
        place.set_if_neq(place_of(size, crop, layout.0, *fit));
    }
}

fn place_of(natural: Vec2, crop: &Crop, layout: Vec2, fit: Fit) -> InputPlace {
    let (crop_origin, cropped) = crop_box(natural, crop);
    let (origin, size) = fitted(cropped, layout, fit);
    if cropped.min_element() <= 0.0 || size.min_element() <= 0.0 {
        return InputPlace::default();
    }
    let enlarged = size / cropped;
    let picture = (origin - crop_origin * enlarged, natural * enlarged);
    let low = origin.max(Vec2::ZERO);
    let high = (origin + size).min(layout).max(low);
    let is_whole =
        low.abs_diff_eq(picture.0, 1e-3) && high.abs_diff_eq(picture.0 + picture.1, 1e-3);
    InputPlace {
        picture,
        cut: (!is_whole).then_some((low, high - low)),
    }
}

type WantRow<'a> = (
    &'a mut LiveInput,
    &'a ShownInput,
    &'a InputPlace,
    &'a RasterScale,
);

/// Tells decoders how large their pictures are shown, once that has settled.
pub(super) fn want_sizes(clock: Res<FrameClock>, mut layers: Query<WantRow>) {
    for (mut input, shown, place, scale) in &mut layers {
        if !matches!(shown.content, InputContent::Live { .. }) {
            continue;
        }
        let side = |pixels: f32| (pixels.min(SIDE_MAX) / 2.0).round().max(1.0) as u32 * 2;
        let size = place.picture.1 * scale.0;
        let wanted = WantedSize {
            width: side(size.x),
            height: side(size.y),
        };
        let input = input.bypass_change_detection();
        if input.wanting.0 != wanted {
            input.wanting = (wanted, clock.tick);
        }
        let since_tick = input.wanting.1;
        let Some(state) = input.state() else { continue };
        let told = state.wanted();
        let is_settled = clock.tick.saturating_sub(since_tick) >= SETTLED_TICKS;
        if told != wanted && (told == WantedSize::default() || is_settled) {
            state.set_wanted(wanted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cropped_picture_is_cut_where_it_hangs_over() {
        let crop = Crop {
            left: 20.0,
            ..Crop::default()
        };
        let (natural, layout) = (Vec2::new(120.0, 100.0), Vec2::new(200.0, 100.0));
        let place = place_of(natural, &crop, layout, Fit::Cover);
        // What is left is square and twice as large as it is high.
        assert_eq!(
            place.picture,
            (Vec2::new(-40.0, -50.0), Vec2::new(240.0, 200.0))
        );
        assert_eq!(place.cut, Some((Vec2::ZERO, layout)));
        let whole = place_of(natural, &Crop::default(), layout, Fit::Contain);
        assert_eq!(whole.picture, (Vec2::new(40.0, 0.0), natural));
        assert_eq!(whole.cut, None);
    }
}
