//! The frames of moving pictures at the sizes at which they are shown, so that a loop resizes each of them once.

use std::collections::HashMap;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use raster::Raster;

/// The most bytes that the resized frames of one animation at one size may take. Of one that takes more, only the newest frame is
/// kept, and each is resized anew when its turn comes.
pub const FRAMES_MAX_BYTES: usize = 64 << 20;
/// The most bytes of all animations at all sizes; those that come later are kept as those that take too much.
pub const ALL_FRAMES_MAX_BYTES: usize = 256 << 20;

/// Resized frames by animation and size.
#[derive(Resource, Default)]
pub struct FrameRasters {
    sets: HashMap<u64, FrameSet>,
    drawn: u64,
}

struct FrameSet {
    /// Held by every layer that shows it.
    holder: Arc<()>,
    frames: Vec<Option<Arc<Raster>>>,
    /// What all frames are expected to take; 0 when only one is kept.
    reserved_bytes: usize,
}

impl FrameRasters {
    /// The frame `index` of `count`, all of `frame_bytes`, drawn by `draw` when it is not there, which is told whether it is the first
    /// of its size; and what keeps it: frames that nobody holds are gone with the next [`sweep`](Self::sweep).
    pub(super) fn get_or_draw(
        &mut self,
        key: u64,
        (index, count): (usize, usize),
        frame_bytes: usize,
        draw: impl FnOnce(bool) -> Option<Arc<Raster>>,
    ) -> Option<(Arc<Raster>, Arc<()>)> {
        let is_first = !self.sets.contains_key(&key);
        if is_first {
            let wanted = frame_bytes.saturating_mul(count);
            let fits = wanted <= FRAMES_MAX_BYTES
                && self.reserved_bytes().saturating_add(wanted) <= ALL_FRAMES_MAX_BYTES;
            let set = FrameSet {
                holder: Arc::new(()),
                frames: vec![None; count],
                reserved_bytes: if fits { wanted } else { 0 },
            };
            self.sets.insert(key, set);
        }
        let set = self.sets.get_mut(&key)?;
        let holder = Arc::clone(&set.holder);
        if let Some(frame) = set.frames.get(index)? {
            return Some((Arc::clone(frame), holder));
        }
        let frame = draw(is_first)?;
        self.drawn += 1;
        if set.reserved_bytes == 0 {
            set.frames.fill(None);
        }
        set.frames[index] = Some(Arc::clone(&frame));
        Some((frame, holder))
    }

    /// Lets go of frames that no layer holds.
    pub(super) fn sweep(&mut self) {
        self.sets
            .retain(|_, set| Arc::strong_count(&set.holder) > 1);
    }

    /// Frames that were resized since the start.
    pub fn drawn(&self) -> u64 {
        self.drawn
    }

    /// Bytes of all frames.
    pub fn byte_len(&self) -> usize {
        let frames = self.sets.values().flat_map(|set| &set.frames);
        frames.flatten().map(|frame| frame.byte_len()).sum()
    }

    fn reserved_bytes(&self) -> usize {
        self.sets.values().map(|set| set.reserved_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raster(_: bool) -> Option<Arc<Raster>> {
        Raster::from_rgba8_premultiplied(16, 16, vec![255; 1024])
            .ok()
            .map(Arc::new)
    }

    #[test]
    fn frames_that_fit_are_drawn_once_and_go_with_their_layer() {
        let mut frames = FrameRasters::default();
        let mut held = None;
        for turn in 0..30 {
            held = frames.get_or_draw(1, (turn % 3, 3), 1024, raster);
            frames.sweep();
        }
        assert_eq!((frames.drawn(), frames.byte_len()), (3, 3 * 1024));
        drop(held);
        frames.sweep();
        assert_eq!(frames.byte_len(), 0);
    }

    #[test]
    fn of_frames_that_do_not_fit_the_newest_is_kept() {
        let mut frames = FrameRasters::default();
        for turn in 0..6 {
            for _ in 0..2 {
                assert!(
                    frames
                        .get_or_draw(1, (turn % 3, 3), FRAMES_MAX_BYTES, raster)
                        .is_some()
                );
            }
        }
        assert_eq!((frames.drawn(), frames.byte_len()), (6, 1024));
        // Each of these would fit by itself.
        for key in 2..12 {
            for index in 0..3 {
                frames.get_or_draw(key, (index, 3), FRAMES_MAX_BYTES / 3, raster);
            }
        }
        assert_eq!(frames.byte_len(), (1 + 4 * 3 + 6) * 1024);
    }
}
