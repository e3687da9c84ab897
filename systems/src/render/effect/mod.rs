//! Effects, between what a layer looks like by itself and what is composed.
//!
//! A layer with pixels of its own has them filtered once, when they or a parameter change; it can then move, turn and fade as it is.
//! What stays is found in the [`RasterCache`]; what changes on every tick is made in buffers that are used again, and not kept. Layers
//! that hold others together are in [`group`]. Nothing here depends on what was shown before: a picture follows from its tick alone.

mod group;
mod mask;
mod plan;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use bevy_ecs::prelude::*;
use components::derived::{Computed, LayoutBox};
use components::effect::Effects;
use components::layer::{Crop, LayerId};
use components::source::ImageSource;
use glam::{Affine2, Vec2};
use raster::filter::{Margin, Pixels, Scratch};
use raster::{Paint, Raster};

pub(super) use group::{Folding, OpenFold};

use self::mask::MaskPictures;
use self::plan::{Plan, Step};
use super::cache::{CachedRaster, RasterCache, RasterCosts};
use super::drawn::Drawn;
use crate::assets::{PictureKind, Pictures};
use crate::clock::FrameClock;
use crate::layout::{Placed, RasterScale, ShownPicture, crop_box};
use crate::profile::Profile;

/// The most pixels that a picture with its effects may have; one that would have more is shown without them.
const PIXELS_MAX: u64 = 64 << 20;

/// Buffers that every layer's effects are worked out in.
#[derive(Resource, Default)]
pub struct EffectRoom {
    scratch: Scratch,
    work: Pixels,
    mask: Pixels,
    plan: Plan,
    computed: u64,
}

impl EffectRoom {
    /// Pictures that were filtered since the start.
    pub fn computed(&self) -> u64 {
        self.computed
    }

    /// Runs the plan on what is in `work`, and puts the result into `old`'s place when nobody shows that any more.
    fn finish(&mut self, masks: &MaskPictures, old: Option<Arc<Raster>>) -> Option<Arc<Raster>> {
        let Self {
            scratch,
            work,
            mask,
            plan,
            computed,
        } = self;
        plan.run(work, masks, mask, scratch);
        *computed += 1;
        if let Some(mut raster) = old
            && let Some(own) = Arc::get_mut(&mut raster)
        {
            work.exchange(own).ok()?;
            return Some(raster);
        }
        std::mem::take(work).into_raster().ok().map(Arc::new)
    }
}

/// What a layer with effects shows.
#[derive(Clone, Default)]
pub(super) enum Outcome {
    /// What it looks like by itself.
    #[default]
    AsDrawn,
    /// Nothing.
    Nothing,
    /// This.
    Picture(Drawn),
}

/// What the effects of a layer with pixels of its own make of them. On every such layer that has effects; written in `Render`.
#[derive(Component, Default)]
pub struct Effected {
    outcome: Outcome,
    seen: Seen,
    plan: Plan,
    masks: MaskPictures,
    buffers: Buffers,
}

/// What the effects of a layer make of all below it, as one picture. On every layer with effects that has no pixels of its own;
/// written in `Render`.
#[derive(Component, Default)]
pub struct Flattened(group::State);

/// When a picture changed, and the one before it, whose buffer is used again.
#[derive(Default)]
struct Buffers {
    changed_on: Option<u64>,
    before: Option<Arc<Raster>>,
}

impl Buffers {
    /// Whether a picture that changes on this tick did so on the last one too.
    fn moves(&self, tick: u64) -> bool {
        self.changed_on
            .is_some_and(|changed| changed == tick || changed + 1 == tick)
    }

    /// Lets go of the buffer once the picture stands still.
    fn settle(&mut self, tick: u64) {
        if self.before.is_some() && !self.moves(tick) {
            self.before = None;
        }
    }
}

/// What a picture was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seen {
    /// The colour, or the number of the pixels.
    content: u64,
    /// Where the pixels are: those that were drawn anew under the same number are found out.
    address: usize,
    pixels: [u32; 2],
}

/// A layer's own picture, in its pixels.
struct Own<'a> {
    drawn: &'a Drawn,
    pixels: [u32; 2],
    /// Pixels a pixel of the layer's box.
    scale: Vec2,
    /// The place of its top left in the layer's box.
    origin: Vec2,
}

impl<'a> Own<'a> {
    fn new(drawn: &'a Drawn, raster_scale: Vec2) -> Option<Self> {
        let matrix = drawn.layer_from_paint.matrix2;
        let layer_from_paint = Vec2::new(matrix.x_axis.x, matrix.y_axis.y);
        let (pixels, scale) = match drawn.paint.as_ref()? {
            Paint::Raster(raster) => ([raster.width(), raster.height()], layer_from_paint.recip()),
            Paint::Solid(_) => {
                // Whole pixels that fill the box exactly.
                let size = drawn.size * layer_from_paint;
                let pixels = (size * raster_scale).round().max(Vec2::ONE);
                ([pixels.x as u32, pixels.y as u32], pixels / size)
            }
            // Decoded pictures are filtered with all that stands in their layer.
            Paint::Planes(_) => return None,
        };
        let is_usable = scale.is_finite() && scale.min_element() > 0.0;
        is_usable.then_some(Self {
            drawn,
            pixels,
            scale,
            origin: drawn.layer_from_paint.translation,
        })
    }

    fn seen(&self) -> Seen {
        let (content, address) = match &self.drawn.paint {
            Some(Paint::Solid(colour)) => (u64::from(u32::from_le_bytes(*colour)), 0),
            Some(Paint::Raster(raster)) => (self.drawn.revision, Arc::as_ptr(raster).addr()),
            Some(Paint::Planes(_)) | None => (0, 0),
        };
        Seen {
            content,
            address,
            pixels: self.pixels,
        }
    }

    /// Puts the picture with room round it into `work`; false when that would be too large.
    fn fill(&self, work: &mut Pixels, room: Margin) -> bool {
        if !fits(self.pixels, room) {
            return false;
        }
        match &self.drawn.paint {
            Some(Paint::Raster(raster)) => work.fill_from(raster, room).is_ok(),
            Some(Paint::Solid(colour)) => {
                let [width, height] = self.pixels;
                work.reset(
                    width + room.left + room.right,
                    height + room.top + room.bottom,
                );
                let (row, left) = (work.width(), room.left as usize);
                let rows = work.words_mut().chunks_exact_mut(row);
                for row in rows.skip(room.top as usize).take(height as usize) {
                    row[left..left + width as usize].fill(u32::from_le_bytes(*colour));
                }
                true
            }
            Some(Paint::Planes(_)) | None => false,
        }
    }

    /// The result where it lies in the layer's box.
    fn show(&self, raster: Arc<Raster>, room: Margin, revision: u64) -> Drawn {
        Drawn {
            size: Vec2::new(raster.width() as f32, raster.height() as f32),
            paint: Some(Paint::Raster(raster)),
            layer_from_paint: self.layer_from_result(room),
            revision,
        }
    }

    fn layer_from_result(&self, room: Margin) -> Affine2 {
        let room = Vec2::new(room.left as f32, room.top as f32);
        let layer_from_pixels = self.scale.recip();
        let origin = self.origin - room * layer_from_pixels;
        Affine2::from_scale_angle_translation(layer_from_pixels, 0.0, origin)
    }
}

fn fits([width, height]: [u32; 2], room: Margin) -> bool {
    let side = |own: u32, a: u32, b: u32| u64::from(own) + u64::from(a) + u64::from(b);
    let (width, height) = (
        side(width, room.left, room.right),
        side(height, room.top, room.bottom),
    );
    let longest = u64::from(raster::SIDE_MAX);
    width <= longest && height <= longest && width * height <= PIXELS_MAX
}

type Row<'a> = (
    &'a LayerId,
    &'a Computed<Effects>,
    &'a Drawn,
    &'a RasterScale,
    &'a LayoutBox,
    &'a Computed<Crop>,
    &'a Placed,
    Has<ImageSource>,
    Option<&'a ShownPicture>,
    &'a mut Effected,
);

/// Filters the pictures of layers that have pixels of their own.
pub(super) fn apply(
    clock: Res<FrameClock>,
    profile: Res<Profile>,
    mut room: ResMut<EffectRoom>,
    mut cache: ResMut<RasterCache>,
    mut costs: ResMut<RasterCosts>,
    mut pictures: ResMut<Pictures>,
    mut layers: Query<Row>,
) {
    for (id, Computed(effects), drawn, scale, layout, crop, placed, is_image, shown, effected) in
        &mut layers
    {
        let effected = effected.into_inner();
        effected.buffers.settle(clock.tick);
        let Some(own) = Own::new(drawn, scale.0).filter(|_| effects.has_enabled()) else {
            *effected = Effected::default();
            continue;
        };
        // Of a picture what is seen of it, of all else the box without what is cut off.
        let (low, size) = if is_image {
            (own.origin, drawn.size / own.scale)
        } else {
            crop_box(layout.0, &crop.0)
        };
        let area = ((low - own.origin) * own.scale, size * own.scale);
        room.plan.make(effects, own.scale, area, &mut pictures);
        let seen = own.seen();
        if effected.plan == room.plan && effected.seen == seen {
            if let Outcome::Picture(picture) = &mut effected.outcome {
                // The same pixels may lie elsewhere in the box.
                picture.layer_from_paint = own.layer_from_result(room.plan.room);
            }
            continue;
        }
        let is_animated = shown.and_then(|shown| shown.picture.as_ref());
        let is_animated =
            is_animated.is_some_and(|picture| matches!(picture.kind(), PictureKind::Animated(_)));
        let moves = is_animated || effected.buffers.moves(clock.tick);
        effected.buffers.changed_on = Some(clock.tick);
        if moves && !(placed.visible && placed.opacity > 0.0) {
            // Nobody sees it; what it comes to is made when it is seen, or stands still.
            effected.seen = Seen::default();
            continue;
        }
        costs.time(&profile, id.as_str(), || {
            effected.renew(
                &own,
                seen,
                effects,
                moves,
                &mut room,
                &mut cache,
                &mut pictures,
            );
        });
    }
}

impl Effected {
    /// What is composed of the layer; `None` when nothing is.
    pub(super) fn shown<'a>(&'a self, drawn: &'a Drawn) -> Option<&'a Drawn> {
        match &self.outcome {
            Outcome::AsDrawn => Some(drawn),
            Outcome::Nothing => None,
            Outcome::Picture(picture) => Some(picture),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a system's parameters, passed on"
    )]
    fn renew(
        &mut self,
        own: &Own,
        seen: Seen,
        effects: &Effects,
        moves: bool,
        room: &mut EffectRoom,
        cache: &mut RasterCache,
        pictures: &mut Pictures,
    ) {
        self.plan.copy_from(&room.plan);
        self.seen = seen;
        let margin = room.plan.room;
        let before = match std::mem::take(&mut self.outcome) {
            Outcome::Picture(Drawn {
                paint: Some(Paint::Raster(raster)),
                ..
            }) => Some(raster),
            _ => None,
        };
        if room.plan.hides {
            self.outcome = Outcome::Nothing;
            return;
        }
        let (scale, size) = (own.scale, room.plan.area.1);
        self.masks
            .renew(effects, scale, size, moves, pictures, cache);
        let masks = &self.masks;
        let mut make = |spare: Option<Arc<Raster>>| {
            if !own.fill(&mut room.work, margin) {
                return None;
            }
            room.finish(masks, spare)
        };
        let made = if moves {
            let spare = std::mem::replace(&mut self.buffers.before, before);
            make(spare).map(|raster| (raster, None))
        } else {
            let key = still_key(effects, &self.plan, own, seen);
            let found = cache.get_or_draw(key, || {
                let raster = make(None)?;
                Some((Arc::into_inner(raster)?, Vec2::ZERO))
            });
            found.map(|CachedRaster { raster, .. }| (raster, Some(key)))
        };
        let Some((raster, key)) = made else {
            return;
        };
        let revision = key.unwrap_or(room.computed);
        self.outcome = Outcome::Picture(own.show(raster, margin, revision));
    }
}

/// A hash of all that a picture with its effects follows from, the same in every process: a scene that was drawn ahead of time by
/// another world is found by it.
fn still_key(effects: &Effects, plan: &Plan, own: &Own, seen: Seen) -> u64 {
    let mut hasher = DefaultHasher::new();
    "effects".hash(&mut hasher);
    // Authored effects always serialise: they came from JSON.
    serde_json::to_string(effects)
        .unwrap_or_default()
        .hash(&mut hasher);
    (seen.content, seen.pixels).hash(&mut hasher);
    matches!(own.drawn.paint, Some(Paint::Solid(_))).hash(&mut hasher);
    let (low, size) = plan.area;
    for number in [plan.scale.x, plan.scale.y, low.x, low.y, size.x, size.y] {
        number.to_bits().hash(&mut hasher);
    }
    for step in &plan.steps {
        if let Step::Mask(_, mask) = step {
            mask.content.hash(&mut hasher);
        }
    }
    hasher.finish()
}
