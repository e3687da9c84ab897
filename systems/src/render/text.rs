//! Words, shaped and drawn by the text crate.

use bevy_ecs::prelude::*;
use components::derived::{Computed, FilledText};
use components::layer::Size;
use components::source::TextSource;
use raster::Raster;
use text::TextRequest;

use super::cache::{RasterCache, RasterCosts, raster_key};
use super::drawn::{Stale, Target};
use super::shape::set_raster;
use crate::layout::Fonts;
use crate::profile::Profile;

pub(super) fn draw(
    profile: Res<Profile>,
    mut fonts: ResMut<Fonts>,
    mut cache: ResMut<RasterCache>,
    mut costs: ResMut<RasterCosts>,
    mut layers: Query<
        (
            &Computed<TextSource>,
            &FilledText,
            Has<Computed<Size>>,
            Target,
        ),
        Stale<Computed<TextSource>>,
    >,
) {
    for (Computed(source), words, sized, mut target) in &mut layers {
        let (layout, scale) = (target.layout.0, target.scale.0);
        let request = TextRequest {
            source,
            words: &words.0,
            size: sized.then_some(layout),
            scale,
        };
        let key = raster_key(
            "text",
            source,
            &[
                layout.x,
                layout.y,
                f32::from(u8::from(sized)),
                scale.x,
                scale.y,
            ],
            &words.0,
        ) ^ fonts.set;
        let raster = costs.time(&profile, target.id.as_str(), || {
            cache.get_or_draw(key, || match fonts.library.draw(&request) {
                Ok(drawn) => Some((Raster::from_pixmap(drawn.pixmap), drawn.origin)),
                Err(error) => {
                    tracing::warn!(layer = target.id.as_str(), %error, "a text cannot be drawn");
                    None
                }
            })
        });
        set_raster(&mut target, raster, key);
    }
}
