//! Rectangles of raster pixels, and how large one may be.

use glam::Vec2;

use crate::error::TextError;

/// Largest side of a text's picture in raster pixels.
pub const RASTER_SIDE_PX_MAX: u32 = 16_384;
/// Largest area of a text's picture in raster pixels.
pub const RASTER_AREA_PX_MAX: u64 = 64 << 20;

/// A rectangle of whole raster pixels; empty when a side is not to the right of, or below, its opposite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PixelRect {
    pub(crate) left: i64,
    pub(crate) top: i64,
    pub(crate) right: i64,
    pub(crate) bottom: i64,
}

impl PixelRect {
    /// Width and height, if there is an area and it is one that is drawn.
    pub(crate) fn size(self) -> Option<(u32, u32)> {
        let width = u32::try_from(self.right - self.left).ok()?;
        let height = u32::try_from(self.bottom - self.top).ok()?;
        (width > 0 && height > 0).then_some((width, height))
    }

    /// The top left corner.
    pub(crate) fn origin(self) -> Vec2 {
        Vec2::new(self.left as f32, self.top as f32)
    }

    /// An error when it is larger than is drawn.
    pub(crate) fn check(self) -> Result<(), TextError> {
        let width = (self.right - self.left).max(0) as u64;
        let height = (self.bottom - self.top).max(0) as u64;
        let side_max = u64::from(RASTER_SIDE_PX_MAX);
        if width > side_max || height > side_max || width * height > RASTER_AREA_PX_MAX {
            return Err(TextError::TooLarge { width, height });
        }
        Ok(())
    }

    /// The smallest rectangle that holds both.
    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// What lies in both; it may be empty.
    pub(crate) fn intersection(self, other: Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// With each side moved by the same side of `by`.
    pub(crate) fn grown(self, by: Self) -> Self {
        Self {
            left: self.left + by.left,
            top: self.top + by.top,
            right: self.right + by.right,
            bottom: self.bottom + by.bottom,
        }
    }

    /// As growth: what must be known to draw what [`Self::grown`] by this would show.
    pub(crate) fn flipped(self) -> Self {
        Self {
            left: -self.right,
            top: -self.bottom,
            right: -self.left,
            bottom: -self.top,
        }
    }
}

/// Calls `visit` for each row that lies in both rectangles, with where its shared part starts in the one and in the other, counted
/// in pixels from their top left corners, and with how many pixels it has.
pub(crate) fn for_shared_rows(
    from: PixelRect,
    to: PixelRect,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let shared = from.intersection(to);
    let Some((count, _)) = shared.size() else {
        return;
    };
    for y in shared.top..shared.bottom {
        let start = |rect: PixelRect| {
            (y - rect.top) as usize * (rect.right - rect.left) as usize
                + (shared.left - rect.left) as usize
        };
        visit(start(from), start(to), count as usize);
    }
}
