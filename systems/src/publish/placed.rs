//! Where layers stand on a tick, for who asks: editors that convert coordinates or look for what is under a pointer.

use bevy_ecs::prelude::*;
use components::derived::{Computed, LayoutBox};
use components::layer::{Crop, LayerId};
use components::scene::CanvasSpec;
use components::source::ImageSource;
use components::viewport::Viewport;
use glam::{Affine2, Vec2};

use super::door::{Door, Requests};
use crate::clock::FrameClock;
use crate::layout::{CanvasSize, InputPlace, LayerTree, OutputSize, Placed, crop_box};
use crate::scene::{Leaving, Outgoing, SceneInfo};

/// The most layers of a table, those that systems made among them; the ones nearest to the front are left out beyond that.
pub const LAYERS_MAX: usize = 4096;

/// The layers of the scene on air as a tick placed them.
#[derive(Clone, Debug)]
pub struct PlacedLayers {
    /// The tick.
    pub tick: u64,
    /// The canvas of the scene on air.
    pub canvas: CanvasSpec,
    /// How it lies on the frame.
    pub view: Viewport,
    /// From the back to the front; parents before their children.
    pub layers: Vec<PlacedLayer>,
}

/// One layer of [`PlacedLayers`].
#[derive(Clone, Debug)]
pub struct PlacedLayer {
    /// Its name. One that a system made has the name of the authored layer that it stands for, a `/`, and its own.
    pub id: LayerId,
    /// The place in the list of the layer that it stands in.
    pub parent: Option<usize>,
    /// From its box, in pixels from its top left, to the canvas.
    pub canvas_from_layer: Affine2,
    /// Width and height of its box; nought for a group without one.
    pub size: Vec2,
    /// Top left and size of what its crop leaves of the box.
    pub seen: (Vec2, Vec2),
    /// From the root down, 0 to 1.
    pub opacity: f32,
    /// Whether it and all above it are visible.
    pub visible: bool,
    /// What groups above leave of it: a rectangle `0..size` of a space of its own.
    pub clip: Option<(Affine2, Vec2)>,
}

impl PlacedLayer {
    /// The corners of what is seen of its box, clockwise from its top left, in canvas pixels; `None` where it has no box.
    pub fn corners(&self) -> Option<[Vec2; 4]> {
        let (origin, size) = self.seen;
        (size.min_element() > 0.0).then(|| {
            [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].map(|corner| {
                self.canvas_from_layer
                    .transform_point2(origin + size * Vec2::from(corner))
            })
        })
    }

    /// Where a point of the canvas lies in its box; `None` when it is scaled to nothing.
    pub fn from_canvas(&self, point: Vec2) -> Option<Vec2> {
        inside_of(&self.canvas_from_layer, point)
    }

    /// Whether it is seen, and a point of the canvas lies in what is seen of its box.
    pub fn is_under(&self, point: Vec2) -> bool {
        let (origin, size) = self.seen;
        let own = self
            .from_canvas(point)
            .is_some_and(|point| is_within(point - origin, size));
        let clip = self.clip.is_none_or(|(canvas_from_clip, size)| {
            inside_of(&canvas_from_clip, point).is_some_and(|point| is_within(point, size))
        });
        self.visible && self.opacity > 0.0 && own && clip
    }
}

fn inside_of(canvas_from_own: &Affine2, point: Vec2) -> Option<Vec2> {
    let own = canvas_from_own.inverse().transform_point2(point);
    own.is_finite().then_some(own)
}

fn is_within(point: Vec2, size: Vec2) -> bool {
    point.cmpge(Vec2::ZERO).all() && point.cmplt(size).all()
}

impl PlacedLayers {
    /// A layer by its name.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.id.as_str() == id)
    }

    /// The upright rectangle around what is seen of a layer's box, or, where it has none, around all that stands in it: top left and
    /// bottom right in canvas pixels. `None` where there is nothing.
    pub fn bounds(&self, place: usize) -> Option<(Vec2, Vec2)> {
        let corners = self.layers.get(place)?.corners();
        if let Some(corners) = corners {
            return Some((
                corners.into_iter().fold(Vec2::INFINITY, Vec2::min),
                corners.into_iter().fold(Vec2::NEG_INFINITY, Vec2::max),
            ));
        }
        let children = (place + 1..self.layers.len())
            .take_while(|inner| self.stands_in(*inner, place))
            .filter(|inner| self.layers[*inner].parent == Some(place))
            .filter(|inner| self.layers[*inner].visible);
        children
            .filter_map(|child| self.bounds(child))
            .reduce(|(low, high), (a, b)| (low.min(a), high.max(b)))
    }

    /// The list has all that stands in a layer right behind it.
    fn stands_in(&self, inner: usize, outer: usize) -> bool {
        self.layers[inner]
            .parent
            .is_some_and(|parent| parent >= outer)
    }

    /// The names of the layers under a point of the canvas, from the front to the back: by their boxes, not by their pixels. What a
    /// system made counts as the authored layer that it stands for.
    pub fn under(&self, point: Vec2) -> Vec<&str> {
        let mut names = Vec::new();
        for layer in self
            .layers
            .iter()
            .rev()
            .filter(|layer| layer.is_under(point))
        {
            let name = layer.id.as_str();
            let name = name.split_once('/').map_or(name, |(outer, _)| outer);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// Where the table of the next tick is asked for.
pub type PlacedDoor = Door<PlacedLayers>;

type Row<'a> = (
    &'a LayerId,
    &'a Placed,
    &'a LayoutBox,
    &'a Computed<Crop>,
    (Has<ImageSource>, Has<InputPlace>),
);

pub(super) fn answer(
    requests: Res<Requests<PlacedLayers>>,
    clock: Res<FrameClock>,
    (canvas, output): (Res<CanvasSize>, Res<OutputSize>),
    info: Option<Res<SceneInfo>>,
    tree: Res<LayerTree>,
    rows: Query<Row, (Without<Outgoing>, Without<Leaving>)>,
) {
    requests.answer(|| PlacedLayers {
        tick: clock.tick,
        canvas: info.map_or_else(CanvasSpec::default, |info| info.canvas.clone()),
        view: output.view(*canvas),
        layers: list(&tree, &rows),
    });
}

fn list(
    tree: &LayerTree,
    rows: &Query<Row, (Without<Outgoing>, Without<Leaving>)>,
) -> Vec<PlacedLayer> {
    let mut layers = Vec::new();
    // The places in the new list of the nodes that are in it.
    let mut places: Vec<Option<usize>> = Vec::with_capacity(tree.nodes.len());
    for node in &tree.nodes {
        let row = rows.get(node.entity).ok();
        // What stands in a layer that is left out is left out as well.
        let above = node
            .parent
            .map(|parent| places.get(parent as usize).copied().flatten());
        let row = row.filter(|_| layers.len() < LAYERS_MAX && above != Some(None));
        places.push(row.map(|_| layers.len()));
        let Some((id, placed, layout, crop, (is_image, is_input))) = row else {
            continue;
        };
        let whole = (Vec2::ZERO, layout.0);
        layers.push(PlacedLayer {
            id: id.clone(),
            parent: above.flatten(),
            canvas_from_layer: placed.canvas_from_layer,
            size: layout.0,
            // A picture is cropped before it is put into its box.
            seen: if is_image || is_input {
                whole
            } else {
                crop_box(layout.0, &crop.0)
            },
            opacity: placed.opacity,
            visible: placed.visible,
            clip: placed.clip.map(|clip| (clip.canvas_from_clip, clip.size)),
        });
    }
    layers
}
