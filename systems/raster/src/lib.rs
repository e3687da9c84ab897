//! The pixel core: composes layers into the planes an encoder reads, on the processor.
//!
//! A frame's way through this crate: a [`Stack`] of [`DrawItem`]s and [`Group`]s comes to [`Compositor::compose`]; `damage`
//! compares it with the last one and marks tiles; `prepare` has worked out how each item is best drawn; [`Workers`] take bands
//! of tiles, which `band` and `strip` compose with the loops of [`kernels`] and convert, while hot, into the planes of an
//! [`I420Frame`] from a [`FramePool`].
//!
//! Pixels are premultiplied RGBA8 on sRGB values. All arithmetic is on integers, or on floats used the same way everywhere:
//! the bytes of a frame depend on its items alone, never on threads, tiles, the instruction set, or the frames before.
//! The crate does no I/O and reads no clock. Unsafe code is confined to `frame` (bands of one frame are written in parallel)
//! and `workers` (a closure lent to other threads), and to the one call of the former in `compositor`.

mod band;
mod compositor;
mod coverage;
mod damage;
mod draw;
pub mod filter;
mod frame;
mod group;
mod item;
pub mod kernels;
mod layer;
mod matte;
mod planes;
mod pool;
mod prepare;
mod raster;
mod rect;
mod scaler;
mod strip;
#[cfg(test)]
mod testing;
mod workers;

pub use compositor::{ComposeError, ComposeStats, Composed, Compositor};
pub use damage::ItemKey;
pub use frame::{ALIGNMENT, I420Frame};
pub use group::{Group, Stack};
pub use item::{Clip, DrawItem, Paint};
pub use layer::{compose_layer, compose_layer_into};
pub use matte::Matte;
pub use planes::Planes;
pub use pool::{FramePool, PoolStats};
pub use raster::{Raster, RasterError, SIDE_MAX};
pub use rect::IRect;
pub use scaler::{PlanesMut, PlanesScaler, Scaler};
pub use workers::Workers;

pub use components::BlendMode;
