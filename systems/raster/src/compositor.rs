//! The compositor: from a list of items to a frame, touching only what changed.
//!
//! Every tile of the canvas has the serial of the change that last touched it, and every frame the serial it is up to date
//! with. A tile of a pooled frame is kept, copied from the last frame, or composed, by comparing these numbers; so frames may
//! be held by others for any time, and a frame that could not be made leaves its damage for the next one.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    band::{Scratch, TILE_HEIGHT, TILE_WIDTH, TileTask},
    damage::{Differ, ItemKey},
    frame::{Band, Content, I420Frame},
    group::{Grouping, Stack},
    kernels::Level,
    layer::render,
    matte::{Matte, Shown},
    pool::FramePool,
    prepare::Prepared,
    rect::IRect,
    strip::Picture,
    workers::Workers,
};

/// With fewer tiles to compose than this, waking the workers costs more than they save.
const TILES_PARALLEL_MIN: usize = 24;

/// Distinguishes compositors that share a pool.
static OWNERS: AtomicU64 = AtomicU64::new(1);

/// Why no frame was composed. The damage is kept for the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// Every frame of the pool is held by somebody.
    #[error("every frame of the pool is held")]
    PoolExhausted,
    /// The pool's frames are not as large as the canvas.
    #[error("frames of {frame_width}x{frame_height} pixels for a canvas of {width}x{height}")]
    FrameSize {
        /// Width of the canvas in pixels.
        width: u32,
        /// Height of the canvas in pixels.
        height: u32,
        /// Width of the frames in pixels.
        frame_width: u32,
        /// Height of the frames in pixels.
        frame_height: u32,
    },
}

/// What one call of [`Compositor::compose`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComposeStats {
    /// Tiles of the canvas.
    pub tiles_total: usize,
    /// Tiles composed anew.
    pub tiles_composed: usize,
    /// Tiles copied from the last frame, because the frame taken from the pool was older.
    pub tiles_copied: usize,
    /// Items that changed, came, went, or changed places. All of a group's items change with it.
    pub items_changed: usize,
}

/// A frame and what it took to make it.
#[derive(Clone, Debug)]
pub struct Composed {
    /// The picture. The same as last time when nothing changed.
    pub frame: Arc<I420Frame>,
    /// What it took.
    pub stats: ComposeStats,
}

/// Composes items and groups of items into frames of one size.
pub struct Compositor {
    width: u32,
    height: u32,
    canvas: IRect,
    columns: usize,
    rows: usize,
    level: Level,
    owner: u64,
    /// Counts changes of the picture.
    serial: u64,
    /// For each tile, row by row, the change that last touched it.
    tile_serials: Vec<u64>,
    tasks: Vec<TileTask>,
    bands: Vec<u32>,
    background: Option<[u8; 3]>,
    keys: Vec<ItemKey>,
    prepared: Vec<Prepared>,
    keys_next: Vec<ItemKey>,
    prepared_next: Vec<Prepared>,
    groups: Grouping,
    groups_next: Grouping,
    /// The last serial number that was given to the look of a group.
    look_serial: u64,
    differ: Differ,
    last: Option<Arc<I420Frame>>,
    scratch: Vec<Mutex<Scratch>>,
}

impl std::fmt::Debug for Compositor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compositor")
            .field("width", &self.width)
            .field("height", &self.height)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

impl Compositor {
    /// For a canvas of `width` by `height` pixels, with memory for `workers` threads (more is added when needed).
    ///
    /// Frames can only be composed for even sizes, pictures by [`Compositor::compose_rgba`] for all.
    pub fn new(width: u32, height: u32, workers: usize) -> Self {
        let (columns, rows) = (
            (width as usize).div_ceil(TILE_WIDTH),
            (height as usize).div_ceil(TILE_HEIGHT),
        );
        Self {
            width,
            height,
            canvas: IRect::new(0, 0, width as i32, height as i32),
            columns,
            rows,
            level: Level::new(),
            owner: OWNERS.fetch_add(1, Ordering::Relaxed),
            serial: 0,
            tile_serials: vec![0; columns * rows],
            tasks: vec![TileTask::Keep; columns * rows],
            bands: Vec::with_capacity(rows),
            background: None,
            keys: Vec::new(),
            prepared: Vec::new(),
            keys_next: Vec::new(),
            prepared_next: Vec::new(),
            groups: Grouping::default(),
            groups_next: Grouping::default(),
            look_serial: 0,
            differ: Differ::default(),
            last: None,
            scratch: (0..workers.max(1))
                .map(|_| Mutex::new(Scratch::new(width as usize)))
                .collect(),
        }
    }

    /// Width of the canvas in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height of the canvas in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Makes the next call of [`Compositor::compose`] draw everything anew.
    pub fn invalidate(&mut self) {
        self.background = None;
    }

    /// Draws `stack`, back to front, over the opaque `background` (red, green, blue) into a frame of the pool.
    ///
    /// Only what differs from the last call is composed; with no difference the last frame is returned again. The bytes of a
    /// frame depend on its stack alone, not on earlier frames, threads, or the machine.
    ///
    /// # Errors
    /// [`ComposeError::PoolExhausted`] when no frame can be written, [`ComposeError::FrameSize`] when the pool is of another size.
    pub fn compose<'a>(
        &mut self,
        background: [u8; 3],
        stack: impl Into<Stack<'a>>,
        pool: &mut FramePool,
        workers: &Workers,
    ) -> Result<Composed, ComposeError> {
        let stack = stack.into();
        if (pool.width(), pool.height()) != (self.width, self.height) {
            let (frame_width, frame_height) = (pool.width(), pool.height());
            return Err(ComposeError::FrameSize {
                width: self.width,
                height: self.height,
                frame_width,
                frame_height,
            });
        }
        let items_changed = self.find_damage(background, stack);
        let unchanged = ComposeStats {
            tiles_total: self.columns * self.rows,
            items_changed,
            ..ComposeStats::default()
        };
        if let Some(last) = &self.last
            && last.content().serial == self.serial
        {
            return Ok(Composed {
                frame: Arc::clone(last),
                stats: unchanged,
            });
        }
        // The last frame can be brought up to date in place when nobody else holds it.
        if self
            .last
            .as_ref()
            .is_some_and(|last| Arc::strong_count(last) == 2)
        {
            self.last = None;
        }
        let target = pool
            .acquire(self.owner)
            .ok_or(ComposeError::PoolExhausted)?;
        let Some(frame) = Arc::get_mut(target) else {
            return Err(ComposeError::PoolExhausted);
        };
        let stats = self.plan(frame.content(), unchanged);
        // Until it is finished the frame is nobody's, so that a panic leaves no half picture that passes for a whole one.
        frame.set_content(Content::default());
        self.draw(background, stack, frame, workers, stats.tiles_composed);
        frame.set_content(Content {
            owner: self.owner,
            serial: self.serial,
        });
        self.last = Some(Arc::clone(target));
        Ok(Composed {
            frame: Arc::clone(target),
            stats,
        })
    }

    /// The same picture as [`Compositor::compose`] makes, before conversion: red, green, blue and alpha (255) of each pixel.
    pub fn compose_rgba<'a>(
        &self,
        background: [u8; 3],
        stack: impl Into<Stack<'a>>,
        workers: &Workers,
    ) -> Vec<u8> {
        render(opaque(background), stack.into(), self.canvas, workers)
    }

    /// Compares with the last call, marks the tiles that changed, and gives the number of items that did.
    fn find_damage(&mut self, background: [u8; 3], stack: Stack<'_>) -> usize {
        self.groups_next
            .read(stack, self.canvas, &self.groups, &mut self.look_serial);
        let looks = (0..).map(|index| self.groups_next.look(index));
        self.keys_next.clear();
        self.keys_next.extend(
            stack
                .items
                .iter()
                .zip(looks)
                .map(|(item, look)| ItemKey::new(item, look)),
        );
        let same_background = self.background == Some(background);
        let mut items_changed = 0;
        if !same_background || self.keys != self.keys_next {
            self.serial += 1;
            items_changed = self.mark_changes(stack);
        }
        if !same_background {
            self.tile_serials.fill(self.serial);
            self.background = Some(background);
        }
        std::mem::swap(&mut self.keys, &mut self.keys_next);
        std::mem::swap(&mut self.groups, &mut self.groups_next);
        items_changed
    }

    /// Prepares the items that changed and marks their tiles.
    fn mark_changes(&mut self, stack: Stack<'_>) -> usize {
        let mut items_changed = 0;
        let marker = TileMarker {
            canvas: self.canvas,
            columns: self.columns,
            serial: self.serial,
        };
        let (groups, groups_next) = (&self.groups, &self.groups_next);
        let prepare = |index: usize| {
            let bounds = groups_next.bounds(index, self.canvas);
            Prepared::new(&stack.items[index], bounds)
        };
        let same_places = self.keys.len() == self.keys_next.len()
            && self
                .keys
                .iter()
                .zip(&self.keys_next)
                .all(|(old, new)| old.key == new.key);
        if same_places {
            for (index, (old, new)) in self.keys.iter().zip(&self.keys_next).enumerate() {
                if old == new {
                    continue;
                }
                items_changed += 1;
                let after = prepare(index);
                let before = std::mem::replace(&mut self.prepared[index], after);
                let mattes_only = old.equals_but_for_mattes(new);
                // Where a moving edge has not been, the picture stays.
                let is_damaged = |tile: IRect| {
                    let before = std::iter::once(before.matte).chain(groups.mattes(index));
                    let after = std::iter::once(after.matte).chain(groups_next.mattes(index));
                    !mattes_only || !show_alike(tile, before.zip(after))
                };
                marker.mark(&mut self.tile_serials, before.bounds, is_damaged);
                marker.mark(&mut self.tile_serials, after.bounds, is_damaged);
            }
        } else {
            self.prepared_next.clear();
            self.prepared_next
                .extend((0..stack.items.len()).map(prepare));
            self.differ
                .differences(&self.keys, &self.keys_next, |old, new| {
                    items_changed += 1;
                    for bounds in [
                        old.map(|old| self.prepared[old].bounds),
                        new.map(|new| self.prepared_next[new].bounds),
                    ]
                    .into_iter()
                    .flatten()
                    {
                        marker.mark(&mut self.tile_serials, bounds, |_| true);
                    }
                });
            std::mem::swap(&mut self.prepared, &mut self.prepared_next);
        }
        items_changed
    }

    /// Decides what each tile of a frame with this content needs, and lists the bands with work.
    fn plan(&mut self, content: Content, mut stats: ComposeStats) -> ComposeStats {
        let frame_serial = if content.owner == self.owner {
            content.serial
        } else {
            0
        };
        let last_serial = self.last.as_ref().map_or(0, |last| last.content().serial);
        self.bands.clear();
        let bands = self
            .tasks
            .chunks_exact_mut(self.columns)
            .zip(self.tile_serials.chunks_exact(self.columns));
        for (index, (tasks, serials)) in (0u32..).zip(bands) {
            let mut has_work = false;
            for (task, &serial) in tasks.iter_mut().zip(serials) {
                *task = if serial <= frame_serial {
                    TileTask::Keep
                } else if serial <= last_serial {
                    stats.tiles_copied += 1;
                    TileTask::Copy
                } else {
                    stats.tiles_composed += 1;
                    TileTask::Compose
                };
                has_work |= *task != TileTask::Keep;
            }
            if has_work {
                self.bands.push(index);
            }
        }
        stats
    }

    fn draw(
        &mut self,
        background: [u8; 3],
        stack: Stack<'_>,
        frame: &mut I420Frame,
        workers: &Workers,
        tiles_composed: usize,
    ) {
        while self.scratch.len() < workers.threads() {
            self.scratch
                .push(Mutex::new(Scratch::new(self.width as usize)));
        }
        for scratch in &mut self.scratch {
            scratch
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .reserve(stack.items.len(), self.groups.depth());
        }
        let picture = Picture {
            level: self.level,
            canvas: self.canvas,
            background: opaque(background),
            items: stack.items,
            prepared: &self.prepared,
            groups: &self.groups,
        };
        let width = self.width as usize;
        let bands = frame.bands(TILE_HEIGHT);
        let draw_band = |position: usize, worker: usize| {
            let index = self.bands[position] as usize;
            let tasks = &self.tasks[index * self.columns..][..self.columns];
            // SAFETY: each position is visited once in this call, and the list holds no band twice.
            let mut band = unsafe { bands.band(index) };
            if let Some(last) = &self.last {
                copy_tiles(last, &mut band, index, tasks, width);
            }
            // The lock is never waited for: a worker's number is its own while it draws.
            let mut scratch = self.scratch[worker]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            picture.compose_band(index, tasks, &mut scratch, &mut band);
        };
        if tiles_composed < TILES_PARALLEL_MIN {
            (0..self.bands.len()).for_each(|position| draw_band(position, 0));
        } else {
            workers.run(self.bands.len(), &draw_band);
        }
    }
}

fn opaque([r, g, b]: [u8; 3]) -> u32 {
    u32::from_le_bytes([r, g, b, 255])
}

/// Whether mattes show the same of a tile before and after: all of it, or nothing.
fn show_alike(tile: IRect, mattes: impl Iterator<Item = (Option<Matte>, Option<Matte>)>) -> bool {
    let shown = |matte: Option<Matte>| matte.map_or(Shown::Wholly, |matte| matte.shown(tile));
    let mut alike = true;
    for pair in mattes {
        match (shown(pair.0), shown(pair.1)) {
            (Shown::Nothing, Shown::Nothing) => return true,
            (Shown::Wholly, Shown::Wholly) => {}
            _ => alike = false,
        }
    }
    alike
}

/// Marks tiles with the serial of the present change.
#[derive(Clone, Copy)]
struct TileMarker {
    canvas: IRect,
    columns: usize,
    serial: u64,
}

impl TileMarker {
    /// Marks those of the tiles under `bounds`, which must lie on the canvas, that are damaged.
    fn mark(&self, serials: &mut [u64], bounds: IRect, is_damaged: impl Fn(IRect) -> bool) {
        if bounds.is_empty() {
            return;
        }
        let columns = bounds.x0 as usize / TILE_WIDTH..(bounds.x1 as usize).div_ceil(TILE_WIDTH);
        for row in bounds.y0 as usize / TILE_HEIGHT..(bounds.y1 as usize).div_ceil(TILE_HEIGHT) {
            for column in columns.clone() {
                let serial = &mut serials[row * self.columns + column];
                if *serial < self.serial && is_damaged(self.tile(column, row)) {
                    *serial = self.serial;
                }
            }
        }
    }

    fn tile(&self, column: usize, row: usize) -> IRect {
        let (x0, y0) = ((column * TILE_WIDTH) as i32, (row * TILE_HEIGHT) as i32);
        IRect::new(x0, y0, x0 + TILE_WIDTH as i32, y0 + TILE_HEIGHT as i32).intersect(self.canvas)
    }
}

/// Copies the runs of tiles that ask for it from the last frame.
fn copy_tiles(
    last: &I420Frame,
    band: &mut Band<'_>,
    index: usize,
    tasks: &[TileTask],
    width: usize,
) {
    let mut tile = 0;
    while tile < tasks.len() {
        let first = tile;
        while tile < tasks.len() && tasks[tile] == TileTask::Copy {
            tile += 1;
        }
        if first == tile {
            tile += 1;
            continue;
        }
        let (x0, x1) = (first * TILE_WIDTH, (tile * TILE_WIDTH).min(width));
        let luma_top = index * TILE_HEIGHT * band.luma_stride;
        copy_columns(band.y, &last.y()[luma_top..], band.luma_stride, x0, x1);
        let chroma_top = index * TILE_HEIGHT / 2 * band.chroma_stride;
        copy_columns(
            band.u,
            &last.u()[chroma_top..],
            band.chroma_stride,
            x0 / 2,
            x1 / 2,
        );
        copy_columns(
            band.v,
            &last.v()[chroma_top..],
            band.chroma_stride,
            x0 / 2,
            x1 / 2,
        );
    }
}

fn copy_columns(to: &mut [u8], from: &[u8], stride: usize, x0: usize, x1: usize) {
    for (to, from) in to.chunks_exact_mut(stride).zip(from.chunks_exact(stride)) {
        to[x0..x1].copy_from_slice(&from[x0..x1]);
    }
}
