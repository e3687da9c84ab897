//! Groups: runs of items that are composed alone before they meet what lies below.
//!
//! This module makes of the groups of a stack a tree in which every item finds its innermost group, and tells by serial
//! numbers which groups look as they did on the last call. What a group looks like thus becomes part of what its items
//! are compared by, and damage needs no second mechanism.

use std::ops::Range;

use components::BlendMode;

use crate::{
    coverage::Coverage,
    item::{Clip, DrawItem},
    matte::{Matte, Shown},
    prepare::cut_by_clip,
    rect::IRect,
};

/// Items that are drawn as one: composed alone over transparency, then blended over what lies below.
///
/// A group that changes nothing (opaque, normal, without a matte, its clip at most a rectangle of whole pixels) is drawn as
/// though its items stood in the list without it.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The group's identity from frame to frame; unique among the groups of a stack.
    pub key: u64,
    /// Positions of its items in the list. Groups may lie within one another, but not cross.
    pub items: Range<usize>,
    /// 0 (unseen) to 1, of the group as a whole; drawn in steps of 1/255.
    pub opacity: f32,
    /// How the group as a whole meets what lies below.
    pub blend: BlendMode,
    /// Where on the canvas the group may show; everywhere when absent.
    pub clip: Option<Clip>,
    /// Where on the canvas the group may show, with a soft edge; everywhere when absent.
    pub matte: Option<Matte>,
    /// Whether its items' blend modes never see what lies below the group, even where the group changes nothing.
    pub isolated: bool,
}

impl Group {
    /// A group that changes nothing.
    pub fn new(key: u64, items: Range<usize>) -> Self {
        Self {
            key,
            items,
            opacity: 1.0,
            blend: BlendMode::Normal,
            clip: None,
            matte: None,
            isolated: false,
        }
    }
}

/// What is to be drawn: items from the back to the front, and groups of them.
///
/// A list of items alone is a stack without groups.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stack<'a> {
    /// The items, back to front. Their keys must be unique.
    pub items: &'a [DrawItem],
    /// The groups, by the position of their first items, an outer one before those inside. One that is out of order, crosses
    /// another or holds no item is passed over.
    pub groups: &'a [Group],
}

impl<'a> From<&'a [DrawItem]> for Stack<'a> {
    fn from(items: &'a [DrawItem]) -> Self {
        Self { items, groups: &[] }
    }
}

impl<'a, const N: usize> From<&'a [DrawItem; N]> for Stack<'a> {
    fn from(items: &'a [DrawItem; N]) -> Self {
        Self::from(items.as_slice())
    }
}

impl<'a> From<&'a Vec<DrawItem>> for Stack<'a> {
    fn from(items: &'a Vec<DrawItem>) -> Self {
        Self::from(items.as_slice())
    }
}

/// Stands for the canvas among the numbers of groups.
pub(crate) const CANVAS: u32 = u32::MAX;

/// What a group looks like, its matte apart.
#[derive(Clone, Copy, Debug, PartialEq)]
struct GroupKey {
    key: u64,
    opacity: u32,
    blend: BlendMode,
    clip: Option<Clip>,
    dissolved: bool,
    /// What the group around it looks like.
    around: u64,
}

/// Serial numbers that stay while a group and those around it look the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Of everything but the mattes.
    pub plain: u64,
    /// Of the mattes.
    pub mattes: u64,
}

/// A group, ready to be drawn.
#[derive(Clone, Debug)]
pub(crate) struct PreparedGroup {
    first: u32,
    /// One past its last item.
    pub end: u32,
    /// The group around it, dissolved or not.
    around: u32,
    /// The group into which it is drawn.
    pub parent: u32,
    /// In 255ths.
    pub opacity: u8,
    pub blend: BlendMode,
    /// The clip, where it is not a rectangle of whole pixels (which `bounds` has taken in).
    pub clip: Option<Coverage>,
    pub matte: Option<Matte>,
    /// The canvas pixels it may touch.
    bounds: IRect,
    /// Whether its items are drawn as though it was not there.
    dissolved: bool,
    key: GroupKey,
    look: Look,
}

impl PreparedGroup {
    pub fn contains(&self, item: u32) -> bool {
        (self.first..self.end).contains(&item)
    }

    /// Whether the group's pixels on `rect` are drawn as they are, so that opaque ones hide what lies below.
    pub fn passes(&self, rect: IRect) -> bool {
        self.opacity == 255
            && self.blend == BlendMode::Normal
            && self.clip.is_none()
            && self
                .matte
                .is_none_or(|matte| matte.shown(rect) == Shown::Wholly)
    }
}

/// The groups of one stack.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    groups: Vec<PreparedGroup>,
    /// For each item its innermost group. Empty when there are no groups.
    of_item: Vec<u32>,
    depth: usize,
}

impl Grouping {
    /// How many strips beyond the canvas's own are needed to draw.
    pub fn depth(&self) -> usize {
        self.depth
    }

    pub fn group(&self, index: u32) -> &PreparedGroup {
        &self.groups[index as usize]
    }

    /// The group into which an item is drawn, or [`CANVAS`].
    pub fn drawn_in(&self, item: u32) -> u32 {
        let group = self.innermost(item);
        match self.groups.get(group as usize) {
            Some(dissolved) if dissolved.dissolved => dissolved.parent,
            _ => group,
        }
    }

    /// Where on a canvas that spans `canvas` an item may show.
    pub fn bounds(&self, item: usize, canvas: IRect) -> IRect {
        self.groups
            .get(self.innermost(item as u32) as usize)
            .map_or(canvas, |group| group.bounds)
    }

    pub fn look(&self, item: usize) -> Look {
        self.groups
            .get(self.innermost(item as u32) as usize)
            .map_or(Look::default(), |group| group.look)
    }

    fn innermost(&self, item: u32) -> u32 {
        self.of_item.get(item as usize).copied().unwrap_or(CANVAS)
    }

    /// The mattes of the groups that an item is drawn into, from the inside.
    pub fn mattes(&self, item: usize) -> impl Iterator<Item = Option<Matte>> {
        let inner = self.groups.get(self.drawn_in(item as u32) as usize);
        std::iter::successors(inner, |group| self.groups.get(group.parent as usize))
            .map(|group| group.matte)
    }

    /// Reads the groups of `stack` for a canvas that spans `canvas`. Groups that look as they did in `before` keep their
    /// serial numbers; the others get new ones from `serial`.
    pub fn read(&mut self, stack: Stack<'_>, canvas: IRect, before: &Self, serial: &mut u64) {
        self.groups.clear();
        self.of_item.clear();
        self.depth = 0;
        if stack.groups.is_empty() {
            return;
        }
        self.of_item.resize(stack.items.len(), CANVAS);
        for group in stack.groups {
            let items = group.items.start..group.items.end.min(stack.items.len());
            let Some(around) = self.group_around(&items) else {
                continue;
            };
            let mut prepared = self.prepare(group, &items, around, stack.items, canvas);
            prepared.look = self.find_look(&prepared, before, serial);
            let index = self.groups.len() as u32;
            self.of_item[items].fill(index);
            self.groups.push(prepared);
            self.depth = self.depth.max(self.strips_of(index));
        }
    }

    /// The innermost group that holds all of `items`, or [`CANVAS`]; `None` when they cannot be a group.
    fn group_around(&self, items: &Range<usize>) -> Option<u32> {
        let (first, end) = (items.start as u32, items.end as u32);
        if items.is_empty() || self.groups.last().is_some_and(|last| first < last.first) {
            return None;
        }
        let mut around = self
            .groups
            .len()
            .checked_sub(1)
            .map_or(CANVAS, |i| i as u32);
        while let Some(group) = self.groups.get(around as usize) {
            if first < group.end {
                return (end <= group.end).then_some(around);
            }
            around = group.around;
        }
        Some(CANVAS)
    }

    fn prepare(
        &self,
        group: &Group,
        items: &Range<usize>,
        around: u32,
        all: &[DrawItem],
        canvas: IRect,
    ) -> PreparedGroup {
        let outer = self.groups.get(around as usize);
        let opacity = (group.opacity.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        let (clip_bounds, clip) = group.clip.map_or((canvas, None), |clip| cut_by_clip(&clip));
        let matte_bounds = group.matte.map_or(canvas, |matte| matte.bounds());
        let bounds = if opacity == 0 {
            IRect::EMPTY
        } else {
            outer
                .map_or(canvas, |outer| outer.bounds)
                .intersect(clip_bounds)
                .intersect(matte_bounds)
        };
        let must_isolate = group.isolated
            && all[items.clone()]
                .iter()
                .any(|item| item.blend != BlendMode::Normal);
        let dissolved = opacity == 255
            && group.blend == BlendMode::Normal
            && clip.is_none()
            && group.matte.is_none()
            && !must_isolate;
        let parent = match outer {
            Some(outer) if outer.dissolved => outer.parent,
            _ => around,
        };
        PreparedGroup {
            first: items.start as u32,
            end: items.end as u32,
            around,
            parent,
            opacity,
            blend: group.blend,
            clip,
            matte: group.matte,
            bounds,
            dissolved,
            key: GroupKey {
                key: group.key,
                opacity: group.opacity.to_bits(),
                blend: group.blend,
                clip: group.clip,
                dissolved,
                around: outer.map_or(0, |outer| outer.look.plain),
            },
            look: Look::default(),
        }
    }

    fn find_look(&self, group: &PreparedGroup, before: &Self, serial: &mut u64) -> Look {
        let mut fresh = || {
            *serial += 1;
            *serial
        };
        // Most often it stands where it stood.
        let index = self.groups.len();
        let known = before
            .groups
            .get(index)
            .filter(|old| old.key.key == group.key.key)
            .or_else(|| {
                before
                    .groups
                    .iter()
                    .find(|old| old.key.key == group.key.key)
            });
        let Some(old) = known.filter(|old| old.key == group.key) else {
            return Look {
                plain: fresh(),
                mattes: fresh(),
            };
        };
        let mattes = |grouping: &Self, around: u32| {
            grouping
                .groups
                .get(around as usize)
                .map_or(0, |group| group.look.mattes)
        };
        let same_mattes =
            old.matte == group.matte && mattes(before, old.around) == mattes(self, group.around);
        Look {
            plain: old.look.plain,
            mattes: if same_mattes {
                old.look.mattes
            } else {
                fresh()
            },
        }
    }

    fn strips_of(&self, index: u32) -> usize {
        let innermost = self.groups.get(index as usize);
        std::iter::successors(innermost, |group| self.groups.get(group.parent as usize))
            .filter(|group| !group.dissolved)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use glam::{Affine2, Vec2};

    use super::*;

    fn items(count: u64) -> Vec<DrawItem> {
        (0..count)
            .map(|key| DrawItem::solid(key, [0; 4], Vec2::ONE, Affine2::IDENTITY))
            .collect()
    }

    fn read(groups: &[Group], before: &Grouping, serial: &mut u64) -> Grouping {
        let mut grouping = Grouping::default();
        let items = items(10);
        let stack = Stack {
            items: &items,
            groups,
        };
        grouping.read(stack, IRect::new(0, 0, 64, 64), before, serial);
        grouping
    }

    fn faded(key: u64, items: Range<usize>, opacity: f32) -> Group {
        Group {
            opacity,
            ..Group::new(key, items)
        }
    }

    #[test]
    fn items_find_their_innermost_group() {
        let groups = [
            faded(1, 1..8, 0.5),
            Group::new(2, 2..6),
            faded(3, 3..5, 0.5),
            faded(4, 6..99, 0.5), // Crosses the first.
            faded(5, 8..99, 0.5),
            faded(6, 2..3, 0.5), // Out of order.
        ];
        let grouping = read(&groups, &Grouping::default(), &mut 0);
        let drawn: Vec<u32> = (0..10).map(|item| grouping.drawn_in(item)).collect();
        assert_eq!(drawn, [CANVAS, 0, 0, 2, 2, 0, 0, 0, 3, 3]);
        assert_eq!(grouping.group(2).parent, 0);
        assert_eq!(grouping.depth(), 2);
    }

    #[test]
    fn looks_last_until_the_group_or_one_around_it_changes() {
        let mut serial = 0;
        let mut groups = [
            faded(1, 0..4, 0.5),
            faded(2, 1..3, 0.25),
            faded(3, 5..6, 0.5),
        ];
        let first = read(&groups, &Grouping::default(), &mut serial);
        let second = read(&groups, &first, &mut serial);
        assert!((0..10).all(|item| first.look(item) == second.look(item)));
        groups[0].matte = Some(Matte::iris(Vec2::ZERO, 30.0));
        let third = read(&groups, &second, &mut serial);
        assert_eq!(third.look(1).plain, second.look(1).plain);
        assert_ne!(third.look(1).mattes, second.look(1).mattes);
        assert_eq!(third.look(5), second.look(5));
        groups[0].opacity = 0.75;
        let fourth = read(&groups, &third, &mut serial);
        assert_ne!(fourth.look(1).plain, third.look(1).plain);
    }
}
