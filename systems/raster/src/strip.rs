//! Draws a run of tiles, item by item, and groups within it in strips of their own.
//!
//! A group is composed only where it has pixels and its matte shows some of them, tile by tile: where the matte shows all, the
//! group is drawn as though it had none. Where a group's pixels are opaque and drawn as they are, they may as well be drawn
//! straight onto what lies below, and nothing of that is needed: the group is open there, and its items cover like any others.
//! All these shortcuts give the same bytes as the long way, so tiles and runs may be cut at will.

use crate::{
    band::{TILE_HEIGHT, TILE_WIDTH},
    draw::{Drawable, GroupRow, RowScratch, draw_group_row, draw_row},
    group::{CANVAS, Grouping},
    item::DrawItem,
    kernels::Level,
    matte::{Matte, Shown},
    planes::Planes,
    prepare::Prepared,
    rect::IRect,
};

/// The rows of a band, as wide as the canvas.
#[derive(Debug)]
pub(crate) struct Strip([Vec<u32>; TILE_HEIGHT]);

impl Strip {
    pub fn new(width: usize) -> Self {
        Self(std::array::from_fn(|_| vec![0; width]))
    }
}

/// The picture to compose, shared by all workers.
#[derive(Clone, Copy)]
pub(crate) struct Picture<'a> {
    pub level: Level,
    /// What the picture spans.
    pub canvas: IRect,
    /// What it starts from: opaque, or transparent for the picture of a layer.
    pub background: u32,
    pub items: &'a [DrawItem],
    pub prepared: &'a [Prepared],
    pub groups: &'a Grouping,
}

impl<'a> Picture<'a> {
    /// The topmost of `items`, all within group `base`, that hides everything below it within that group on all of `tile`.
    pub fn cover_of(&self, tile: IRect, base: u32, items: &[u32]) -> Option<u32> {
        items.iter().rev().copied().find(|&index| {
            let covers = self.prepared[index as usize].covers(tile);
            covers
                && self
                    .groups_between(index, base)
                    .all(|group| self.groups.group(group).passes(tile))
        })
    }

    /// The groups around an item, from the inside, that lie within group `base`.
    fn groups_between(&self, item: u32, base: u32) -> impl Iterator<Item = u32> {
        let mut next = self.groups.drawn_in(item);
        std::iter::from_fn(move || {
            let group = next;
            if group == base || group == CANVAS {
                return None;
            }
            next = self.groups.group(group).parent;
            Some(group)
        })
    }

    /// The pixels of `strip` on row `y` of `part`.
    pub fn row_of<'s>(&self, strip: &'s Strip, part: IRect, y: i32) -> &'s [u32] {
        let (row, columns) = self.place_of(part, y);
        &strip.0[row][columns]
    }

    /// The pixels of `strip` on each row of `part`.
    fn rows_of<'s>(
        &self,
        strip: &'s mut Strip,
        part: IRect,
    ) -> impl Iterator<Item = (i32, &'s mut [u32])> + use<'s> {
        let (first, columns) = self.place_of(part, part.y0);
        (part.y0..part.y1)
            .zip(&mut strip.0[first..])
            .map(move |(y, row)| (y, &mut row[columns.clone()]))
    }

    /// The row of a strip, and its columns, that hold row `y` of `part`.
    fn place_of(&self, part: IRect, y: i32) -> (usize, std::ops::Range<usize>) {
        let columns = part.x0 - self.canvas.x0..part.x1 - self.canvas.x0;
        (
            (y - self.canvas.y0) as usize % TILE_HEIGHT,
            columns.start as usize..columns.end as usize,
        )
    }

    fn drawable(&self, index: u32, matte: Option<&'a Matte>) -> Drawable<'a> {
        Drawable {
            item: &self.items[index as usize],
            prepared: &self.prepared[index as usize],
            matte,
        }
    }

    /// The pixels of an item that covers `part`, when they need not be drawn to be had.
    pub fn plain_row(&self, cover: u32, part: IRect, y: i32) -> Option<&'a [u32]> {
        let width = (part.x1 - part.x0) as usize;
        self.drawable(cover, None).plain_row(y, part.x0, width)
    }

    /// The planes of an item that covers `tile` with nothing over it, when they can go into the frame as they are. Asked tile by tile, so
    /// that what a tile comes to does not depend on its neighbours.
    pub fn bare_planes(
        &self,
        cover: u32,
        tile: IRect,
        items: &[u32],
    ) -> Option<(&'a dyn Planes, i32, i32)> {
        let planes = self.drawable(cover, None).plain_planes()?;
        let mut above = items.iter().rev().take_while(|&&index| index > cover);
        let is_bare = !above.any(|&index| self.may_show(index, tile));
        is_bare.then_some(planes)
    }

    /// Whether an item may have pixels on `tile`. One that is kept from it by a matte has none: where that is so before and after a
    /// change, the tile is not damaged.
    fn may_show(&self, index: u32, tile: IRect) -> bool {
        let prepared = &self.prepared[index as usize];
        let is_shut = |matte: &Matte| matte.shown(tile) == Shown::Nothing;
        prepared.bounds.overlaps(tile)
            && !prepared.matte.as_ref().is_some_and(is_shut)
            && !self
                .groups_between(index, CANVAS)
                .any(|group| self.groups.group(group).matte.as_ref().is_some_and(is_shut))
    }

    /// Draws `block` of group `base` into the first of `strips`: of the items in `list`, those above the cover.
    ///
    /// Goes item by item, so that each picture is read for several rows on end: row by row across items takes a quarter longer
    /// when the pictures come from memory.
    pub fn draw_strip(
        &self,
        block: IRect,
        base: u32,
        cover: Option<u32>,
        list: &[u32],
        strips: &mut [Strip],
        scratch: &mut RowScratch,
    ) {
        let Some((strip, deeper)) = strips.split_first_mut() else {
            return;
        };
        match cover {
            // The cover hides all of the block, so its matte, if any, shows all of it.
            Some(cover) => self.draw_part(block, cover, None, strip, scratch),
            None => {
                let below = if base == CANVAS { self.background } else { 0 };
                self.rows_of(strip, block)
                    .for_each(|(_, row)| row.fill(below));
            }
        }
        let mut rest = list;
        while let Some(&index) = rest.first() {
            let is_hidden = cover.is_some_and(|cover| index <= cover);
            if is_hidden || !self.prepared[index as usize].bounds.overlaps(block) {
                rest = &rest[1..];
                continue;
            }
            // The outermost of the item's groups that the cover is not in; those that it is in are open.
            let closed = self
                .groups_between(index, base)
                .filter(|&group| {
                    cover.is_none_or(|cover| !self.groups.group(group).contains(cover))
                })
                .last();
            match closed {
                Some(group) => {
                    let end = self.groups.group(group).end;
                    let (inside, after) = rest.split_at(rest.partition_point(|&item| item < end));
                    self.draw_group(block, group, inside, strip, deeper, scratch);
                    rest = after;
                }
                None => {
                    self.draw_item(block, index, strip, scratch);
                    rest = &rest[1..];
                }
            }
        }
    }

    fn draw_item(&self, block: IRect, index: u32, strip: &mut Strip, scratch: &mut RowScratch) {
        let prepared = &self.prepared[index as usize];
        let Some(matte) = &prepared.matte else {
            self.draw_part(block, index, None, strip, scratch);
            return;
        };
        let block = block.intersect(prepared.bounds);
        for_runs(
            block,
            |tile| matte.shown(tile),
            |part, shown| {
                let matte = match shown {
                    Shown::Nothing => return,
                    Shown::Partly => Some(matte),
                    Shown::Wholly => None,
                };
                self.draw_part(part, index, matte, strip, scratch);
            },
        );
    }

    fn draw_part(
        &self,
        part: IRect,
        index: u32,
        matte: Option<&'a Matte>,
        strip: &mut Strip,
        scratch: &mut RowScratch,
    ) {
        let drawable = self.drawable(index, matte);
        for (y, row) in self.rows_of(strip, part) {
            draw_row(self.level, drawable, row, part.x0, y, scratch);
        }
    }

    /// Draws what a group, of whose items `list` may show, has on `block` into `strip`.
    fn draw_group(
        &self,
        block: IRect,
        group: u32,
        list: &[u32],
        strip: &mut Strip,
        deeper: &mut [Strip],
        scratch: &mut RowScratch,
    ) {
        let reach = list
            .iter()
            .map(|&index| self.prepared[index as usize].bounds.intersect(block))
            .filter(|bounds| !bounds.is_empty())
            .reduce(IRect::union);
        let Some(reach) = reach else { return };
        let matte = self.groups.group(group).matte.as_ref();
        let state = |tile: IRect| match matte.map_or(Shown::Wholly, |matte| matte.shown(tile)) {
            Shown::Nothing => (Shown::Nothing, None),
            shown => (shown, self.cover_of(tile, group, list)),
        };
        for_runs(reach, state, |part, (shown, cover)| {
            let matte = match shown {
                Shown::Nothing => return,
                Shown::Partly => matte,
                Shown::Wholly => None,
            };
            let is_bare = |cover: &u32| {
                let is_above = |&&index: &&u32| index > *cover;
                let mut above = list.iter().filter(is_above);
                !above.any(|&index| self.prepared[index as usize].bounds.overlaps(part))
                    && self.plain_row(*cover, part, part.y0).is_some()
            };
            let bare = cover.filter(is_bare);
            if bare.is_none() {
                self.draw_strip(part, group, cover, list, deeper, scratch);
            }
            for (y, row) in self.rows_of(strip, part) {
                let pixels = match bare {
                    Some(cover) => self.plain_row(cover, part, y),
                    None => deeper.first().map(|strip| self.row_of(strip, part, y)),
                };
                let Some(pixels) = pixels else { continue };
                let source = GroupRow {
                    group: self.groups.group(group),
                    matte,
                    pixels,
                    opaque: cover.is_some(),
                };
                draw_group_row(self.level, source, row, part.x0, y, scratch);
            }
        });
    }
}

/// Cuts `block` into pieces no wider than a tile, and calls `draw` with each run of neighbours whose `state` is the same.
fn for_runs<T: Copy + PartialEq>(
    block: IRect,
    state: impl Fn(IRect) -> T,
    mut draw: impl FnMut(IRect, T),
) {
    if block.is_empty() {
        return;
    }
    let mut run: Option<(IRect, T)> = None;
    for x0 in (block.x0..block.x1).step_by(TILE_WIDTH) {
        let x1 = (x0 + TILE_WIDTH as i32).min(block.x1);
        let tile = IRect { x0, x1, ..block };
        let state = state(tile);
        match &mut run {
            Some((part, same)) if *same == state => part.x1 = x1,
            _ => {
                if let Some((part, state)) = run.replace((tile, state)) {
                    draw(part, state);
                }
            }
        }
    }
    if let Some((part, state)) = run {
        draw(part, state);
    }
}
