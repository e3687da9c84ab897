//! Draws one row of one item, or of one composed group, into a row of the strip being composed.

use components::BlendMode;

use crate::{
    group::PreparedGroup,
    item::{DrawItem, Paint},
    kernels::{
        Level,
        bilinear::{SampleRow, mix_rows, sample_row},
        blend::blend,
        over::{fade, over, over_opacity, over_solid},
        planes::{double_row, planes_row},
        ramp::{over_by, scale_by},
        scale::scale_row,
    },
    matte::Matte,
    planes::{Planes, SampledRows, sample_planes},
    prepare::{Draw, Prepared},
    raster::Raster,
    rect::IRect,
};

/// Rows a worker needs on the way, as wide as the canvas and a bit.
#[derive(Debug)]
pub(crate) struct RowScratch {
    /// A row of an item before it is blended.
    fetched: Vec<u32>,
    /// A row between two rows of a raster.
    mixed: Vec<u32>,
    /// What a raster has above and below itself.
    transparent: Vec<u32>,
    /// A row of a matte.
    coverage: Vec<u32>,
    /// Rows of a decoded picture, each as long as the row of pixels that they become.
    planes: [Vec<u8>; 3],
}

impl RowScratch {
    pub fn new(width: usize) -> Self {
        Self {
            fetched: vec![0; width],
            mixed: vec![0; width + 1],
            transparent: vec![0; width + 1],
            coverage: vec![0; width],
            planes: std::array::from_fn(|_| vec![0; width]),
        }
    }
}

/// An item and the way it is drawn.
#[derive(Clone, Copy)]
pub(crate) struct Drawable<'a> {
    pub item: &'a DrawItem,
    pub prepared: &'a Prepared,
    /// The item's matte, unless all of what is being drawn shows in it.
    pub matte: Option<&'a Matte>,
}

impl<'a> Drawable<'a> {
    fn raster(&self) -> Option<&'a Raster> {
        match &self.item.paint {
            Paint::Raster(raster) => Some(raster),
            Paint::Solid(_) | Paint::Planes(_) => None,
        }
    }

    fn planes(&self) -> Option<&'a dyn Planes> {
        match &self.item.paint {
            Paint::Planes(planes) => Some(&**planes),
            Paint::Solid(_) | Paint::Raster(_) => None,
        }
    }

    /// The planes that can be copied into the frame's where nothing lies over them, and the place in them of canvas pixel 0, 0.
    pub fn plain_planes(&self) -> Option<(&'a dyn Planes, i32, i32)> {
        let Draw::Shift { dx, dy } = self.prepared.draw else {
            return None;
        };
        let is_even = dx % 2 == 0 && dy % 2 == 0;
        Some((self.planes().filter(|_| is_even)?, dx, dy))
    }

    /// The item's own pixels from column `x0` of canvas row `y`, when it is an opaque raster on whole pixels that covers them.
    pub fn plain_row(&self, y: i32, x0: i32, width: usize) -> Option<&'a [u32]> {
        let Draw::Shift { dx, dy } = self.prepared.draw else {
            return None;
        };
        let row = self.raster()?.row((y + dy) as usize);
        Some(&row[(x0 + dx) as usize..][..width])
    }
}

/// Draws what `drawable` has on row `y` into `row`, which starts at column `x0`.
pub(crate) fn draw_row(
    level: Level,
    drawable: Drawable<'_>,
    row: &mut [u32],
    x0: i32,
    y: i32,
    scratch: &mut RowScratch,
) {
    let Prepared { bounds, cover, .. } = *drawable.prepared;
    if y < bounds.y0 || y >= bounds.y1 {
        return;
    }
    let (from, to) = (bounds.x0.max(x0), bounds.x1.min(x0 + row.len() as i32));
    if from >= to {
        return;
    }
    let row = &mut row[(from - x0) as usize..(to - x0) as usize];
    match drawable.prepared.draw {
        Draw::Shift { dx, dy } if is_plain(drawable) && drawable.raster().is_some() => {
            if let Some(raster) = drawable.raster() {
                draw_shifted(
                    level,
                    raster,
                    drawable.prepared.opacity,
                    row,
                    (from + dx) as usize,
                    (y + dy) as usize,
                );
            }
        }
        Draw::Solid(colour) if is_plain(drawable) && drawable.prepared.edges.is_none() => {
            if colour >> 24 == 255 {
                row.fill(colour);
            } else {
                over_solid(level, row, colour);
            }
        }
        _ if drawable.matte.is_none()
            && (cover.y0..cover.y1).contains(&y)
            && cover.x0 < to
            && cover.x1 > from =>
        {
            // Inside the cover nothing shows through: the samples are the result.
            let (left, right) = (
                (cover.x0.max(from) - from) as usize,
                (cover.x1.min(to) - from) as usize,
            );
            let (left_row, rest) = row.split_at_mut(left);
            let (inside, right_row) = rest.split_at_mut(right - left);
            draw_fetched(level, drawable, left_row, from, y, scratch);
            fetch(level, drawable, inside, from + left as i32, y, scratch);
            draw_fetched(level, drawable, right_row, from + right as i32, y, scratch);
        }
        _ => draw_fetched(level, drawable, row, from, y, scratch),
    }
}

/// Whether the pixels go over those below as they are, opacity aside.
fn is_plain(drawable: Drawable<'_>) -> bool {
    let Prepared { blend, clip, .. } = drawable.prepared;
    *blend == BlendMode::Normal && clip.is_none() && drawable.matte.is_none()
}

fn draw_shifted(level: Level, raster: &Raster, opacity: u8, row: &mut [u32], x: usize, y: usize) {
    let source = &raster.row(y)[x..x + row.len()];
    let Some(spans) = raster.row_spans(y) else {
        if opacity == 255 {
            row.copy_from_slice(source);
        } else {
            fade(level, row, source, opacity);
        }
        return;
    };
    let end = x + row.len();
    for span in spans {
        let (from, to) = ((span.start as usize).max(x), (span.end as usize).min(end));
        if from >= to {
            continue;
        }
        let (row, source) = (&mut row[from - x..to - x], &source[from - x..to - x]);
        if opacity < 255 {
            over_opacity(level, row, source, opacity);
        } else if span.opaque {
            row.copy_from_slice(source);
        } else {
            over(level, row, source);
        }
    }
}

/// The general way: the item's row on its own, then cut by edges and clip, then blended.
fn draw_fetched(
    level: Level,
    drawable: Drawable<'_>,
    row: &mut [u32],
    x0: i32,
    y: i32,
    scratch: &mut RowScratch,
) {
    let prepared = drawable.prepared;
    let (mut from, mut to) = (x0, x0 + row.len() as i32);
    for coverage in prepared.edges.iter().chain(&prepared.clip) {
        (from, to) = coverage.columns(y, from, to);
    }
    if from >= to {
        return;
    }
    let row = &mut row[(from - x0) as usize..(to - x0) as usize];
    let mut fetched = std::mem::take(&mut scratch.fetched);
    let pixels = &mut fetched[..row.len()];
    fetch(level, drawable, pixels, from, y, scratch);
    for coverage in prepared.edges.iter().chain(&prepared.clip) {
        coverage.apply(pixels, from, y);
    }
    // A solid colour has its opacity in it already.
    let opacity = match prepared.draw {
        Draw::Solid(_) => 255,
        _ => prepared.opacity,
    };
    if let Some(matte) = drawable.matte {
        let coverage = &mut scratch.coverage[..pixels.len()];
        matte.coverage_row(level, coverage, from, y);
        if prepared.blend == BlendMode::Normal && opacity == 255 {
            over_by(level, row, pixels, coverage);
            scratch.fetched = fetched;
            return;
        }
        scale_by(level, pixels, coverage);
    }
    blend_row(level, row, pixels, prepared.blend, opacity);
    scratch.fetched = fetched;
}

/// Blends finished pixels, which may be changed on the way.
fn blend_row(level: Level, row: &mut [u32], pixels: &mut [u32], mode: BlendMode, opacity: u8) {
    match mode {
        BlendMode::Normal if opacity < 255 => over_opacity(level, row, pixels, opacity),
        BlendMode::Normal => over(level, row, pixels),
        mode => {
            if opacity < 255 {
                scale_row(level, pixels, opacity);
            }
            blend(level, mode, row, pixels);
        }
    }
}

/// A row of a composed group, on its way to what lies below.
#[derive(Clone, Copy)]
pub(crate) struct GroupRow<'a> {
    pub group: &'a PreparedGroup,
    /// The group's matte, unless all of what is being drawn shows in it.
    pub matte: Option<&'a Matte>,
    pub pixels: &'a [u32],
    /// Whether every alpha is 255.
    pub opaque: bool,
}

/// Draws a row of a group into `row`, which is as long and starts at column `x0` of canvas row `y`.
pub(crate) fn draw_group_row(
    level: Level,
    source: GroupRow<'_>,
    row: &mut [u32],
    x0: i32,
    y: i32,
    scratch: &mut RowScratch,
) {
    let GroupRow {
        group,
        matte,
        pixels,
        opaque,
    } = source;
    let opacity = group.opacity;
    let is_uncut = group.blend == BlendMode::Normal && group.clip.is_none();
    match matte {
        None if is_uncut => match (opacity, opaque) {
            (255, true) => row.copy_from_slice(pixels),
            (255, false) => over(level, row, pixels),
            (_, true) => fade(level, row, pixels, opacity),
            (_, false) => over_opacity(level, row, pixels, opacity),
        },
        Some(matte) if is_uncut && opacity == 255 => {
            let coverage = &mut scratch.coverage[..row.len()];
            matte.coverage_row(level, coverage, x0, y);
            over_by(level, row, pixels, coverage);
        }
        _ => {
            let end = x0 + row.len() as i32;
            let (from, to) = match &group.clip {
                Some(clip) => clip.columns(y, x0, end),
                None => (x0, end),
            };
            if from >= to {
                return;
            }
            let columns = (from - x0) as usize..(to - x0) as usize;
            let cut = &mut scratch.fetched[..columns.len()];
            cut.copy_from_slice(&pixels[columns.clone()]);
            if let Some(clip) = &group.clip {
                clip.apply(cut, from, y);
            }
            if let Some(matte) = matte {
                let coverage = &mut scratch.coverage[..cut.len()];
                matte.coverage_row(level, coverage, from, y);
                scale_by(level, cut, coverage);
            }
            blend_row(level, &mut row[columns], cut, group.blend, opacity);
        }
    }
}

/// Writes the item's own pixels, uncut and at full opacity, for the columns from `x0` of row `y`.
fn fetch(
    level: Level,
    drawable: Drawable<'_>,
    out: &mut [u32],
    x0: i32,
    y: i32,
    scratch: &mut RowScratch,
) {
    if let Some(planes) = drawable.planes() {
        fetch_planes(level, drawable.prepared.draw, planes, out, x0, y, scratch);
        return;
    }
    match (drawable.prepared.draw, drawable.raster()) {
        (Draw::Solid(colour), _) => out.fill(colour),
        (Draw::Shift { dx, dy }, Some(raster)) => {
            out.copy_from_slice(&raster.row((y + dy) as usize)[(x0 + dx) as usize..][..out.len()]);
        }
        (
            Draw::Between {
                dx,
                dy,
                weight_x,
                weight_y,
            },
            Some(raster),
        ) => {
            fetch_between(
                level,
                raster,
                [x0 + dx, y + dy],
                [weight_x, weight_y],
                out,
                scratch,
            );
        }
        (
            Draw::Sample {
                level: index,
                origin,
                along_x,
                along_y,
            },
            Some(raster),
        ) => {
            let (_, width, height, pixels) = raster.level(index);
            let (x, y) = (i64::from(x0), i64::from(y));
            let start = [0, 1].map(|i| {
                origin[i]
                    .wrapping_add(along_x[i].wrapping_mul(x))
                    .wrapping_add(along_y[i].wrapping_mul(y))
            });
            sample_row(
                level,
                out,
                &SampleRow {
                    pixels,
                    width,
                    height,
                    start,
                    step: along_x,
                },
            );
        }
        (_, None) => out.fill(0),
    }
}

/// Writes a decoded picture's pixels: those that lie there, or those between them.
fn fetch_planes(
    level: Level,
    draw: Draw,
    planes: &dyn Planes,
    out: &mut [u32],
    x0: i32,
    y: i32,
    scratch: &mut RowScratch,
) {
    let [luma, u, v] = &mut scratch.planes;
    let len = out.len();
    let rows = [&mut luma[..len], &mut u[..len], &mut v[..len]];
    match draw {
        Draw::Shift { dx, dy } => {
            let (x, y) = ((x0 + dx) as usize, (y + dy) as usize);
            let [_, u, v] = rows;
            let chroma = y / 2 * planes.chroma_stride() + x / 2;
            double_row(u, &planes.u()[chroma..], x % 2 == 1);
            double_row(v, &planes.v()[chroma..], x % 2 == 1);
            let luma = &planes.y()[y * planes.luma_stride() + x..][..len];
            planes_row(level, out, luma, u, v);
        }
        Draw::Sample {
            origin,
            along_x,
            along_y,
            ..
        } => {
            let (x, y) = (i64::from(x0), i64::from(y));
            let start = [0, 1].map(|i| {
                origin[i]
                    .wrapping_add(along_x[i].wrapping_mul(x))
                    .wrapping_add(along_y[i].wrapping_mul(y))
            });
            let [luma, u, v] = rows;
            sample_planes(planes, SampledRows { luma, u, v }, start, along_x);
            planes_row(level, out, luma, u, v);
        }
        Draw::Solid(_) | Draw::Between { .. } => out.fill(0),
    }
}

/// Writes pixels between those of a raster, from the one right and below of `at`. Beyond its edge a raster is transparent.
fn fetch_between(
    level: Level,
    raster: &Raster,
    at: [i32; 2],
    weights: [u8; 2],
    out: &mut [u32],
    scratch: &mut RowScratch,
) {
    let [x, y] = at;
    let [weight_x, weight_y] = weights;
    let whole = IRect::new(0, 0, raster.width() as i32, raster.height() as i32);
    let needed = out.len() + usize::from(weight_x > 0);
    let (from, to) = (
        x.clamp(whole.x0, whole.x1),
        (x + needed as i32).clamp(whole.x0, whole.x1),
    );
    let transparent = &scratch.transparent[..(to - from) as usize];
    let part = |y: i32| {
        let inside = y >= whole.y0 && y < whole.y1;
        if inside {
            &raster.row(y as usize)[from as usize..to as usize]
        } else {
            transparent
        }
    };
    let upper = part(y);
    let is_whole = to - from == needed as i32;
    if weight_y == 0 && is_whole {
        mix_along(level, out, upper, weight_x);
        return;
    }
    let mixed = &mut scratch.mixed[..needed];
    let (left, right) = ((from - x) as usize, (to - x) as usize);
    if is_whole {
        mix_rows(level, mixed, upper, part(y + 1), weight_y);
    } else {
        mixed[..left.min(needed)].fill(0);
        mixed[right.min(needed)..].fill(0);
        if left < right {
            mix_rows(level, &mut mixed[left..right], upper, part(y + 1), weight_y);
        }
    }
    mix_along(level, out, mixed, weight_x);
}

/// Mixes each pixel with its right neighbour.
fn mix_along(level: Level, out: &mut [u32], row: &[u32], weight: u8) {
    if weight == 0 {
        out.copy_from_slice(&row[..out.len()]);
    } else {
        mix_rows(level, out, &row[..out.len()], &row[1..], weight);
    }
}
