//! Pictures in planes at another size, plane by plane: finished frames for the renditions of a ladder, and decoded ones for the place
//! where they are shown.
//!
//! Nothing is converted: luma and chroma are resized as they are. Chroma pixels stand for the mean of two by two, so that
//! they keep their centres as luma does, and the two stay on each other. Works on the thread that calls it, which is an
//! encoder's or a decoder's and never the tick's of a live program.

use std::sync::Arc;

use crate::{
    frame::{Content, I420Frame},
    kernels::{
        Level,
        resize::{COLUMN_UNIT, Columns, ROW_UNIT, Taps, blend_rows, resize_row},
    },
    planes::Planes,
    raster::RasterError,
};

/// Makes frames of one size out of frames of any. Its own frames are allocated at the start and used again; the tables that a
/// size needs are made when that size comes.
#[derive(Debug)]
pub struct Scaler {
    width: u32,
    height: u32,
    level: Level,
    slots: Vec<Slot>,
    plan: Plan,
    rows: Rows,
    /// What was scaled last, and where it is.
    newest: Option<(Content, usize)>,
}

/// A frame, and the part of it that is not black.
#[derive(Debug)]
struct Slot {
    frame: Arc<I420Frame>,
    place: Place,
}

/// Pixels of the result that the picture covers; all even.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

/// How frames of one size are scaled.
#[derive(Debug, Default)]
struct Plan {
    source: (u32, u32),
    place: Place,
    luma: PlaneTaps,
    chroma: PlaneTaps,
}

#[derive(Debug, Default)]
struct PlaneTaps {
    rows: Taps,
    columns: Columns,
}

/// Rows of the source that have the width of the result: as many as one row of it is made of, in places that are taken in turn.
#[derive(Debug, Default)]
struct Rows {
    pixels: Vec<u16>,
    /// What each place weighs.
    weights: Vec<u16>,
}

/// Makes pictures in planes of one size out of such of another, whatever their proportions. The tables are made when a size comes.
#[derive(Debug)]
pub struct PlanesScaler {
    level: Level,
    source: (u32, u32),
    target: (u32, u32),
    luma: PlaneTaps,
    chroma: PlaneTaps,
    rows: Rows,
}

/// Where a picture in planes goes: the planes of luma, blue and red difference, and the bytes from one row to the next.
pub struct PlanesMut<'a> {
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Chroma has half as many rows and columns, rounded up.
    pub planes: [&'a mut [u8]; 3],
    /// At least the width of each.
    pub strides: [usize; 3],
}

impl Default for PlanesScaler {
    fn default() -> Self {
        Self {
            level: Level::new(),
            source: (0, 0),
            target: (0, 0),
            luma: PlaneTaps::default(),
            chroma: PlaneTaps::default(),
            rows: Rows::default(),
        }
    }
}

impl PlanesScaler {
    /// Fills `target` with `source`.
    pub fn scale(&mut self, source: &dyn Planes, target: PlanesMut<'_>) {
        let size = (source.width(), source.height());
        if self.source != size || self.target != target.size {
            (self.source, self.target) = (size, target.size);
            self.luma = PlaneTaps::new(size, target.size, size, target.size);
            let halves = |(width, height): (u32, u32)| (width.div_ceil(2), height.div_ceil(2));
            self.chroma = PlaneTaps::new(halves(size), halves(target.size), size, target.size);
        }
        let PlanesMut {
            planes, strides, ..
        } = target;
        let sources = [
            (&self.luma, source.y(), source.luma_stride()),
            (&self.chroma, source.u(), source.chroma_stride()),
            (&self.chroma, source.v(), source.chroma_stride()),
        ];
        for ((taps, plane, stride), target) in
            sources.into_iter().zip(planes.into_iter().zip(strides))
        {
            taps.scale(self.level, (plane, stride), target, &mut self.rows);
        }
    }
}

impl Scaler {
    /// Allocates `frames` frames (at least one) of `width` by `height` pixels. Add up: one is being made, and the encoder holds
    /// those that it has not let go of.
    ///
    /// # Errors
    /// As [`I420Frame::new`].
    pub fn new(width: u32, height: u32, frames: usize) -> Result<Self, RasterError> {
        let slot = || {
            I420Frame::new(width, height).map(|frame| Slot {
                frame: Arc::new(frame),
                place: Place::default(),
            })
        };
        Ok(Self {
            width,
            height,
            level: Level::new(),
            slots: (0..frames.max(1))
                .map(|_| slot())
                .collect::<Result<_, _>>()?,
            plan: Plan::default(),
            rows: Rows::default(),
            newest: None,
        })
    }

    /// `source` whole and as large as fits, in its proportions, between black bars where they differ. The same picture as
    /// before costs nothing. `None` when all frames are held by others.
    pub fn scale(&mut self, source: &I420Frame) -> Option<Arc<I420Frame>> {
        let size = (source.width(), source.height());
        if self.plan.source != size {
            self.plan = Plan::new(size, (self.width, self.height));
            self.newest = None;
        }
        let content = source.content();
        if let Some((newest, index)) = self.newest
            && newest == content
            && content != Content::default()
        {
            return Some(Arc::clone(&self.slots[index].frame));
        }
        let place = self.plan.place;
        let free = self.slots.iter_mut().enumerate().find_map(|(index, slot)| {
            let Slot { frame, place } = slot;
            Arc::get_mut(frame).map(|frame| (index, frame, place))
        });
        let (index, frame, shown) = free?;
        let strides = [frame.luma_stride(), frame.chroma_stride()];
        let [y, u, v] = frame.planes_mut();
        if *shown != place {
            y.fill(16);
            u.fill(128);
            v.fill(128);
            *shown = place;
        }
        let (left, top) = (place.left as usize, place.top as usize);
        let luma_from = top * strides[0] + left;
        let chroma_from = top / 2 * strides[1] + left / 2;
        let (rows, level) = (&mut self.rows, self.level);
        for (plane, from) in [(u, source.u()), (v, source.v())] {
            let target = (&mut plane[chroma_from..], strides[1]);
            self.plan
                .chroma
                .scale(level, (from, source.chroma_stride()), target, rows);
        }
        let target = (&mut y[luma_from..], strides[0]);
        self.plan
            .luma
            .scale(level, (source.y(), source.luma_stride()), target, rows);
        self.newest = Some((content, index));
        Some(Arc::clone(&self.slots[index].frame))
    }

    /// Bytes of heap held by its frames.
    pub fn byte_len(&self) -> usize {
        self.slots.iter().map(|slot| slot.frame.byte_len()).sum()
    }
}

impl Plan {
    fn new(source: (u32, u32), target: (u32, u32)) -> Self {
        let place = Place::fit(source, target);
        let shown = (place.width, place.height);
        let taps = |divisor: u32| {
            let part = |(width, height): (u32, u32)| (width / divisor, height / divisor);
            PlaneTaps::new(part(source), part(shown), source, shown)
        };
        Self {
            source,
            place,
            luma: taps(1),
            chroma: taps(2),
        }
    }
}

impl Place {
    /// The largest even rectangle of the source's proportions in the middle of the target. Sizes such as 854 by 480, which are
    /// not quite 16 to 9, are filled.
    fn fit(source: (u32, u32), target: (u32, u32)) -> Self {
        let scale = (f64::from(target.0) / f64::from(source.0))
            .min(f64::from(target.1) / f64::from(source.1));
        let side = |from: u32, to: u32| {
            let halves = (f64::from(from) * scale / 2.0).round() as u32;
            let side = (halves * 2).clamp(2, to);
            // Nobody sees half a percent of stretching, and everybody a bright or dark hairline at the edge.
            if to - side <= to / 200 { to } else { side }
        };
        let (width, height) = (side(source.0, target.0), side(source.1, target.1));
        Self {
            left: ((target.0 - width) / 2) & !1,
            top: ((target.1 - height) / 2) & !1,
            width,
            height,
        }
    }
}

impl PlaneTaps {
    /// For a plane of `from` to one of `to` pixels, of pictures whose sizes are `source` and `target`.
    fn new(from: (u32, u32), to: (u32, u32), source: (u32, u32), target: (u32, u32)) -> Self {
        let scale = |from: u32, to: u32| f64::from(from.max(1)) / f64::from(to.max(1));
        let columns = Taps::new(from.0, to.0, scale(source.0, target.0), COLUMN_UNIT);
        Self {
            rows: Taps::new(from.1, to.1, scale(source.1, target.1), ROW_UNIT),
            columns: Columns::new(columns, from.0),
        }
    }

    /// Planes are given with their strides. Each row of the source is resized once, and kept while it is needed.
    fn scale(
        &self,
        level: Level,
        (source, source_stride): (&[u8], usize),
        (target, target_stride): (&mut [u8], usize),
        kept: &mut Rows,
    ) {
        let (width, count) = (self.columns.made(), self.rows.count());
        kept.pixels.resize(width * count, 0);
        kept.weights.resize(count, 0);
        let mut next = 0;
        for (index, target) in target
            .chunks_mut(target_stride)
            .take(self.rows.made())
            .enumerate()
        {
            let (first, weights) = self.rows.at(index);
            let end = first + weights.len();
            for row in next.max(first)..end {
                let pixels = &source[row * source_stride..][..self.columns.from()];
                let kept = &mut kept.pixels[row % count * width..][..width];
                resize_row(level, pixels, &self.columns, kept);
            }
            next = end;
            kept.weights.copy_from_slice(weights);
            kept.weights.rotate_right(first % count);
            blend_rows(level, &kept.pixels, &kept.weights, &mut target[..width]);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Waves and noise, different in each plane.
    fn picture(width: u32, height: u32) -> I420Frame {
        let mut frame = I420Frame::new(width, height).unwrap();
        let mut state = 0x2545_f491_u32;
        for plane in frame.planes_mut() {
            for (index, pixel) in plane.iter_mut().enumerate() {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                let wave = (index as f64 * 0.013).sin() * 80.0 + 128.0;
                *pixel = if index % 3 == 0 {
                    state as u8
                } else {
                    wave as u8
                };
            }
        }
        frame
    }

    /// One pixel of a plane scaled in floats, by both filters at once.
    fn reference(
        plane: &[u8],
        stride: usize,
        from: (u32, u32),
        to: (u32, u32),
        at: (u32, u32),
    ) -> f64 {
        let weights = |from: u32, to: u32, at: u32| -> Vec<(usize, f64)> {
            let scale = f64::from(from) / f64::from(to);
            let centre = (f64::from(at) + 0.5) * scale;
            let weight = |index: u32| {
                let x = (f64::from(index) + 0.5 - centre) / scale.max(1.0);
                if x.abs() >= 1.0 {
                    0.0
                } else if scale <= 1.0 {
                    1.0 - x.abs()
                } else if x == 0.0 {
                    1.0
                } else {
                    let angle = std::f64::consts::PI * x;
                    (0.54 + 0.46 * angle.cos()) * angle.sin() / angle
                }
            };
            let all: Vec<_> = (0..from)
                .map(|index| (index as usize, weight(index)))
                .collect();
            let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
            all.into_iter()
                .filter(|(_, weight)| *weight > 0.0)
                .map(|(index, weight)| (index, weight / sum))
                .collect()
        };
        let (across, down) = (weights(from.0, to.0, at.0), weights(from.1, to.1, at.1));
        down.iter()
            .flat_map(|(y, above)| {
                across
                    .iter()
                    .map(move |(x, beside)| f64::from(plane[y * stride + x]) * above * beside)
            })
            .sum()
    }

    #[test]
    fn sizes_of_a_ladder_are_near_the_reference() {
        let source = picture(1920, 1080);
        for (width, height) in [
            (1280, 720),
            (854, 480),
            (640, 360),
            (426, 240),
            (1918, 1078),
            (2560, 1440),
        ] {
            let mut scaler = Scaler::new(width, height, 1).unwrap();
            let scaled = scaler.scale(&source).unwrap();
            let place = scaler.plan.place;
            assert_eq!(
                (place.left, place.top, place.width, place.height),
                (0, 0, width, height)
            );
            let (mut worst, mut total, mut count) = (0.0f64, 0.0, 0);
            for step in 0..400u32 {
                let at = (step * 7919 % (width / 2), step * 104_729 % (height / 2));
                let chroma =
                    [(source.u(), scaled.u()), (source.v(), scaled.v())].map(|(from, to)| {
                        let expected = reference(
                            from,
                            source.chroma_stride(),
                            (960, 540),
                            (width / 2, height / 2),
                            at,
                        );
                        let actual = to[at.1 as usize * scaled.chroma_stride() + at.0 as usize];
                        (expected - f64::from(actual)).abs()
                    });
                let at = (at.0 * 2 + step % 2, at.1 * 2 + step / 2 % 2);
                let expected = reference(
                    source.y(),
                    source.luma_stride(),
                    (1920, 1080),
                    (width, height),
                    at,
                );
                let actual = scaled.y()[at.1 as usize * scaled.luma_stride() + at.0 as usize];
                let luma = (expected - f64::from(actual)).abs();
                for difference in [chroma[0], chroma[1], luma] {
                    worst = worst.max(difference);
                    total += difference;
                    count += 1;
                }
            }
            assert!(worst <= 1.5, "{width}x{height}: {worst}");
            assert!(
                total / f64::from(count) < 0.5,
                "{width}x{height}: {total} in {count}"
            );
        }
    }

    #[test]
    fn other_proportions_get_black_bars() {
        let mut source = I420Frame::new(320, 320).unwrap();
        let [y, u, v] = source.planes_mut();
        y.fill(200);
        u.fill(90);
        v.fill(170);
        let mut scaler = Scaler::new(320, 180, 1).unwrap();
        let scaled = scaler.scale(&source).unwrap();
        for row in 0..180 {
            for x in 0..320 {
                let is_inside = (70..250).contains(&x);
                let chroma = row / 2 * scaled.chroma_stride() + x / 2;
                let pixel = (
                    scaled.y()[row * scaled.luma_stride() + x],
                    scaled.u()[chroma],
                    scaled.v()[chroma],
                );
                let expected = if is_inside {
                    (200, 90, 170)
                } else {
                    (16, 128, 128)
                };
                assert_eq!(pixel, expected, "{x}, {row}");
            }
        }
        drop(scaled);
        // Another source into the same frame leaves nothing of the first.
        let scaled = scaler.scale(&I420Frame::new(640, 180).unwrap()).unwrap();
        assert!(scaled.y().iter().all(|y| *y == 16));
    }

    #[test]
    fn frames_are_bounded_and_the_same_picture_is_scaled_once() {
        let mut scaler = Scaler::new(32, 32, 2).unwrap();
        let mut source = I420Frame::new(64, 64).unwrap();
        source.set_content(Content {
            owner: 3,
            serial: 1,
        });
        let first = scaler.scale(&source).unwrap();
        assert!(Arc::ptr_eq(&first, &scaler.scale(&source).unwrap()));
        source.set_content(Content {
            owner: 3,
            serial: 2,
        });
        let second = scaler.scale(&source).unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        source.set_content(Content {
            owner: 3,
            serial: 3,
        });
        assert!(scaler.scale(&source).is_none());
        drop(first);
        assert!(scaler.scale(&source).is_some());
    }
}
