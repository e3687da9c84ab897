//! A fixed number of frames, allocated once and lent out by reference count.
//!
//! Whoever holds a frame, be it the compositor, an encoder or a preview, holds an `Arc` of it; a frame can be written again
//! when only the pool's own reference is left. The pool's size is thus a promise to be kept by adding up every holder.

use std::sync::Arc;

use crate::{
    frame::{Content, I420Frame},
    raster::RasterError,
};

/// How many frames a pool has, and where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Frames in all.
    pub size: usize,
    /// Frames that could be written now.
    pub free: usize,
    /// Frames that somebody holds.
    pub held: usize,
}

/// Frames of one size, allocated by [`FramePool::new`] and never after.
#[derive(Debug)]
pub struct FramePool {
    frames: Vec<Arc<I420Frame>>,
    width: u32,
    height: u32,
}

impl FramePool {
    /// Allocates `size` frames (at least one). Add up: the compositor holds one, each encoder those it has not let go of.
    ///
    /// # Errors
    /// As [`I420Frame::new`].
    pub fn new(size: usize, width: u32, height: u32) -> Result<Self, RasterError> {
        let frames = (0..size.max(1))
            .map(|_| I420Frame::new(width, height).map(Arc::new))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            frames,
            width,
            height,
        })
    }

    /// Width of every frame, in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height of every frame, in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Counts the frames by who holds them. A snapshot: holders on other threads may let go at any time.
    pub fn stats(&self) -> PoolStats {
        let free = self
            .frames
            .iter()
            .filter(|frame| Arc::strong_count(frame) == 1)
            .count();
        PoolStats {
            size: self.frames.len(),
            free,
            held: self.frames.len() - free,
        }
    }

    /// Bytes of heap held by all frames.
    pub fn byte_len(&self) -> usize {
        self.frames.iter().map(|frame| frame.byte_len()).sum()
    }

    /// The writable frame that needs the least work: the one with the newest content of this owner.
    pub(crate) fn acquire(&mut self, owner: u64) -> Option<&mut Arc<I420Frame>> {
        let age = |content: Content| {
            if content.owner == owner {
                content.serial
            } else {
                0
            }
        };
        let writable = self
            .frames
            .iter_mut()
            .filter_map(|frame| Arc::get_mut(frame).is_some().then_some(frame));
        writable.max_by_key(|frame| age(frame.content()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn held_frames_are_not_lent_again() {
        let mut pool = FramePool::new(2, 4, 4).unwrap();
        assert_eq!(
            pool.stats(),
            PoolStats {
                size: 2,
                free: 2,
                held: 0
            }
        );
        let first = Arc::clone(pool.acquire(1).unwrap());
        let second = Arc::clone(pool.acquire(1).unwrap());
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(pool.acquire(1).is_none());
        drop(first);
        assert_eq!(
            pool.stats(),
            PoolStats {
                size: 2,
                free: 1,
                held: 1
            }
        );
        assert!(pool.acquire(1).is_some());
    }

    #[test]
    fn the_newest_content_is_preferred() {
        let mut pool = FramePool::new(3, 4, 4).unwrap();
        for (index, (owner, serial)) in [(7, 3), (7, 5), (8, 9)].into_iter().enumerate() {
            Arc::get_mut(&mut pool.frames[index])
                .unwrap()
                .set_content(Content { owner, serial });
        }
        assert_eq!(pool.acquire(7).unwrap().content().serial, 5);
    }
}
