//! What changed since the last frame: items are compared by compact keys, and changes become damaged rectangles.

use glam::Affine2;

use crate::{
    group::Look,
    item::{Clip, DrawItem, Paint},
    matte::Matte,
};

/// All that an item's pixels on the canvas depend on, as plain bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ItemKey {
    pub(crate) key: u64,
    revision: u64,
    /// The colour, or the address of the raster or the planes: a caller that forgets a new revision mostly gets its new picture.
    paint: (u8, u64),
    size: [u32; 2],
    canvas_from_paint: [u32; 6],
    opacity: u32,
    blend: components::BlendMode,
    clip: Option<[u32; 8]>,
    matte: Option<Matte>,
    /// What the groups around it look like.
    look: Look,
}

impl ItemKey {
    /// Of an item by itself, whatever groups it stands in.
    pub fn of(item: &DrawItem) -> Self {
        Self::new(item, Look::default())
    }

    pub(crate) fn new(item: &DrawItem, look: Look) -> Self {
        let paint = match &item.paint {
            Paint::Solid(colour) => (0, u64::from(u32::from_le_bytes(*colour))),
            Paint::Raster(raster) => (1, std::sync::Arc::as_ptr(raster).addr() as u64),
            Paint::Planes(planes) => (2, std::sync::Arc::as_ptr(planes).addr() as u64),
        };
        Self {
            key: item.key,
            revision: item.revision,
            paint,
            size: item.size.to_array().map(f32::to_bits),
            canvas_from_paint: affine_bits(item.canvas_from_paint),
            opacity: item.opacity.to_bits(),
            blend: item.blend,
            clip: item.clip.map(clip_bits),
            matte: item.matte,
            look,
        }
    }

    /// Whether nothing but mattes, its own or those of its groups, tells the two apart.
    pub(crate) fn equals_but_for_mattes(&self, other: &Self) -> bool {
        let look = Look {
            mattes: other.look.mattes,
            ..self.look
        };
        let matte = other.matte;
        Self {
            look,
            matte,
            ..*self
        } == *other
    }
}

fn affine_bits(affine: Affine2) -> [u32; 6] {
    affine.to_cols_array().map(f32::to_bits)
}

fn clip_bits(clip: Clip) -> [u32; 8] {
    let [a, b, c, d, e, f] = affine_bits(clip.canvas_from_clip);
    [
        a,
        b,
        c,
        d,
        e,
        f,
        clip.size.x.to_bits(),
        clip.size.y.to_bits(),
    ]
}

/// Finds how one list of keys became another. Keeps its memory between frames.
#[derive(Debug, Default)]
pub(crate) struct Differ {
    old_order: Vec<(u64, u32)>,
    new_order: Vec<(u64, u32)>,
    /// Pairs of old and new index of the items in both lists, by old index.
    survivors: Vec<(u32, u32)>,
    /// For the longest increasing run: the survivor that ends the best run of each length, and each one's predecessor.
    tails: Vec<u32>,
    before: Vec<u32>,
}

impl Differ {
    /// Calls `changed(old, new)` with the indices of each item that must be redrawn where it was and where it is: those that
    /// changed, came, went, or changed places with others. Items left out keep their order among themselves.
    pub fn differences(
        &mut self,
        old: &[ItemKey],
        new: &[ItemKey],
        mut changed: impl FnMut(Option<usize>, Option<usize>),
    ) {
        if old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old.key == new.key) {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                if old != new {
                    changed(Some(index), Some(index));
                }
            }
            return;
        }
        sort_by_key(&mut self.old_order, old);
        sort_by_key(&mut self.new_order, new);
        self.survivors.clear();
        let (mut i, mut j) = (0, 0);
        while i < old.len() || j < new.len() {
            let order = match (self.old_order.get(i), self.new_order.get(j)) {
                (Some(old), Some(new)) => old.0.cmp(&new.0),
                (Some(_), None) => std::cmp::Ordering::Less,
                _ => std::cmp::Ordering::Greater,
            };
            if order.is_eq() {
                self.survivors
                    .push((self.old_order[i].1, self.new_order[j].1));
            } else if order.is_lt() {
                changed(Some(self.old_order[i].1 as usize), None);
            } else {
                changed(None, Some(self.new_order[j].1 as usize));
            }
            i += usize::from(order.is_le());
            j += usize::from(order.is_ge());
        }
        self.survivors.sort_unstable();
        self.mark_longest_increasing();
        for (index, &(from, to)) in self.survivors.iter().enumerate() {
            let (from, to) = (from as usize, to as usize);
            // `tails` now holds the survivors that kept their order, ascending.
            if old[from] != new[to] || self.tails.binary_search(&(index as u32)).is_err() {
                changed(Some(from), Some(to));
            }
        }
    }

    /// Leaves in `tails` the indices of a longest run of survivors whose new indices increase (patience sorting).
    fn mark_longest_increasing(&mut self) {
        const NONE: u32 = u32::MAX;
        let Self {
            survivors,
            tails,
            before,
            ..
        } = self;
        tails.clear();
        before.clear();
        for (index, &(_, to)) in survivors.iter().enumerate() {
            let length = tails.partition_point(|&tail| survivors[tail as usize].1 < to);
            before.push(length.checked_sub(1).map_or(NONE, |shorter| tails[shorter]));
            match tails.get_mut(length) {
                Some(tail) => *tail = index as u32,
                None => tails.push(index as u32),
            }
        }
        let mut at = tails.last().copied().unwrap_or(NONE);
        for slot in tails.iter_mut().rev() {
            *slot = at;
            at = before.get(at as usize).copied().unwrap_or(NONE);
        }
    }
}

fn sort_by_key(order: &mut Vec<(u64, u32)>, keys: &[ItemKey]) {
    order.clear();
    order.extend(
        keys.iter()
            .enumerate()
            .map(|(index, item)| (item.key, index as u32)),
    );
    order.sort_unstable();
}

#[cfg(test)]
mod tests {
    use glam::Vec2;

    use super::*;

    fn keys(list: &[(u64, u64)]) -> Vec<ItemKey> {
        let item = |&(key, revision): &(u64, u64)| DrawItem {
            revision,
            ..DrawItem::solid(key, [0; 4], Vec2::ONE, Affine2::IDENTITY)
        };
        list.iter()
            .map(|entry| ItemKey::new(&item(entry), Look::default()))
            .collect()
    }

    fn changes(old: &[(u64, u64)], new: &[(u64, u64)]) -> Vec<(Option<usize>, Option<usize>)> {
        let mut found = Vec::new();
        Differ::default().differences(&keys(old), &keys(new), |from, to| found.push((from, to)));
        found.sort();
        found
    }

    #[test]
    fn equal_lists_have_no_differences() {
        assert_eq!(changes(&[(1, 0), (2, 0)], &[(1, 0), (2, 0)]), []);
    }

    #[test]
    fn changed_new_and_gone_items_are_told() {
        let found = changes(&[(1, 0), (2, 0), (3, 0)], &[(4, 0), (1, 0), (3, 1)]);
        assert_eq!(
            found,
            [(None, Some(0)), (Some(1), None), (Some(2), Some(2))]
        );
    }

    #[test]
    fn raising_one_item_redraws_that_one_alone() {
        assert_eq!(
            changes(
                &[(1, 0), (2, 0), (3, 0), (4, 0)],
                &[(2, 0), (3, 0), (4, 0), (1, 0)]
            ),
            [(Some(0), Some(3))]
        );
    }
}
