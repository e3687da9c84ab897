//! What editors measure: how the canvas lies on the frame, points from one space to another, where layers stand, and what is under a
//! pointer.
//!
//! What follows from the scene alone is read from the newest snapshot. Where a layer stands follows from a tick (text has its size,
//! tracks move): the next tick gives a table of it, and only when somebody asks.

use axum::extract::State;
use components::scene::{CanvasSpec, Grid};
use components::value::Number;
use components::viewport::{Viewport, safe_area, snapped};
use glam::Vec2;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;
use systems::layout::{CanvasSize, OutputSize};
use systems::publish::PlacedLayers;

use super::Api;
use super::answer::{Answered, Json, Name, Reply};
use super::routes::{Doc, Routes};
use crate::control::schema::NAME_PATTERN;
use crate::control::show::layer_ids;
use crate::control::{ApiError, ErrorCode};

const TAG: &str = "viewport";
/// The most points of a request.
const POINTS_MAX: usize = 1000;
/// How far from the origin a point may be, in pixels or parts.
const FAR: f32 = 1e6;

/// A width and a height in pixels.
#[derive(Debug, Serialize, JsonSchema)]
struct Extent {
    /// Pixels.
    #[serde(serialize_with = "written")]
    width: f32,
    /// Pixels.
    #[serde(serialize_with = "written")]
    height: f32,
}

/// A point.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Place {
    /// To the right.
    #[schemars(range(min = -1e6, max = 1e6))]
    #[serde(serialize_with = "written")]
    x: f32,
    /// Downwards.
    #[schemars(range(min = -1e6, max = 1e6))]
    #[serde(serialize_with = "written")]
    y: f32,
}

/// An upright rectangle.
#[derive(Debug, Serialize, JsonSchema)]
struct Area {
    /// Its left edge.
    #[serde(serialize_with = "written")]
    x: f32,
    /// Its top edge.
    #[serde(serialize_with = "written")]
    y: f32,
    /// From left to right.
    #[serde(serialize_with = "written")]
    width: f32,
    /// From top to bottom.
    #[serde(serialize_with = "written")]
    height: f32,
}

/// A rectangle on the canvas and on the frame.
#[derive(Debug, Serialize, JsonSchema)]
struct Areas {
    /// In pixels of the canvas.
    canvas: Area,
    /// In pixels of the frame.
    output: Area,
}

/// What is surely seen and surely read.
#[derive(Debug, Serialize, JsonSchema)]
struct SafeRectangles {
    /// What every screen shows.
    action: Areas,
    /// Where words are read on every screen.
    title: Areas,
}

/// How the canvas of the scene on air lies on the frames.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ViewportView {
    /// The canvas: what the scene is laid out in.
    canvas: Extent,
    /// The frames that are encoded.
    output: Extent,
    /// Output pixels a canvas pixel.
    #[serde(serialize_with = "written")]
    scale: f32,
    /// Where the canvas's top left lies, in output pixels.
    offset: Place,
    /// Guides for what every screen shows.
    safe_areas: SafeRectangles,
    /// The grid that editors snap to.
    grid: Grid,
}

/// A space that points are in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected \"canvas\", \"output\", \"normalized\", or {\"layer\": id}"
)]
enum Space {
    /// One that is always there.
    Named(NamedSpace),
    /// That of a layer.
    Layer(InLayer),
}

/// A space that is always there.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum NamedSpace {
    /// Pixels of the canvas.
    #[default]
    Canvas,
    /// Pixels of the frames.
    Output,
    /// Parts of the canvas, 0 to 1.
    Normalized,
}

/// The box of a layer, in its own pixels from its top left.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InLayer {
    /// The layer.
    #[schemars(schema_with = "crate::control::schema::name")]
    layer: String,
}

/// Points that are to be told in another space.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Conversion {
    /// The space that they are in.
    from: Space,
    /// The space that they are told in.
    to: Space,
    /// The points.
    #[schemars(length(min = 1, max = 1000))]
    points: Vec<Place>,
    /// Whether they snap on the canvas in between, where the scene's `canvas.grid.snap` is true: to the nearest of the grid's lines, the
    /// edges of the safe areas and the canvas's middle.
    #[serde(default)]
    snap: bool,
}

/// Points in the space that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
struct Converted {
    /// The tick on which this held.
    tick: u64,
    /// The points, in their order.
    points: Vec<Place>,
}

/// A point to look under.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pointer {
    /// To the right.
    #[schemars(range(min = -1e6, max = 1e6))]
    x: f32,
    /// Downwards.
    #[schemars(range(min = -1e6, max = 1e6))]
    y: f32,
    /// The space that it is in; the canvas when absent.
    #[serde(default)]
    space: NamedSpace,
}

/// What is under a point.
#[derive(Debug, Serialize, JsonSchema)]
struct Hit {
    /// The tick on which this held.
    tick: u64,
    /// The layers whose boxes are there, from the front to the back.
    layers: Vec<String>,
}

/// Where a layer stands.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Bounds {
    /// The layer.
    id: String,
    /// The tick on which this held.
    tick: u64,
    /// Whether it and all above it are visible.
    visible: bool,
    /// From the root down, 0 to 1.
    #[serde(serialize_with = "written")]
    opacity: f32,
    /// Whether any of its bounds lies on the canvas.
    on_canvas: bool,
    /// Its box before it is scaled and turned; nought for a group without one.
    #[serde(rename = "box")]
    size: Extent,
    /// The corners of what is seen of its box, clockwise from its top left, in pixels of the canvas. Of a group without a box, the corners
    /// of its bounds; none where nothing stands in it.
    corners: Vec<Place>,
    /// The upright rectangle around them; null where there is nothing.
    bounds: Option<Areas>,
}

/// The routes.
pub fn routes() -> Routes {
    let layer = json!({"type": "string", "pattern": NAME_PATTERN});
    Routes::new()
        .get(
            "/viewport",
            Doc::new(TAG, "getViewport", "Says how the canvas lies on the frames, and gives its guides")
                .answers::<ViewportView>("Canvas, frames and guides."),
            view,
        )
        .post(
            "/viewport/convert",
            Doc::new(TAG, "convertPoints", "Tells points of one space in another")
                .more("A layer's space follows from the tick: its text, its tracks and all above it.")
                .body::<Conversion>()
                .example(json!({"from": "normalized", "to": "canvas", "points": [{"x": 0.5, "y": 0.5}]}))
                .error(ErrorCode::NotFound)
                .error(ErrorCode::Conflict)
                .error(ErrorCode::Unavailable)
                .answers::<Converted>("The points."),
            convert,
        )
        .post(
            "/viewport/hit",
            Doc::new(TAG, "hitTest", "Names the layers under a point, from the front to the back")
                .more("By their boxes, not by their pixels; what is hidden, cropped or clipped away is not there.")
                .body::<Pointer>()
                .example(json!({"x": 960, "y": 540}))
                .error(ErrorCode::Unavailable)
                .answers::<Hit>("The layers."),
            hit,
        )
        .get(
            "/layers/{id}/bounds",
            Doc::new(TAG, "getLayerBounds", "Says where a layer stands on the canvas and on the frames")
                .path("id", layer, "The layer's id.")
                .error(ErrorCode::Unavailable)
                .answers::<Bounds>("Where it stands."),
            bounds,
        )
}

impl From<Vec2> for Place {
    fn from(point: Vec2) -> Self {
        Self {
            x: point.x,
            y: point.y,
        }
    }
}

impl From<Vec2> for Extent {
    fn from(size: Vec2) -> Self {
        Self {
            width: size.x,
            height: size.y,
        }
    }
}

/// A number as the scene file writes it: a whole one without a fraction.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn written<S: Serializer>(number: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    Number::from(*number).serialize(serializer)
}

fn area((low, high): (Vec2, Vec2)) -> Area {
    // To the thousandth of a pixel, which is finer than anything is drawn.
    let [low, high] = [low, high].map(|corner| (corner * 1e3).round() / 1e3);
    let size = ((high - low) * 1e3).round() / 1e3;
    Area {
        x: low.x,
        y: low.y,
        width: size.x,
        height: size.y,
    }
}

fn areas(view: &Viewport, (low, high): (Vec2, Vec2)) -> Areas {
    Areas {
        canvas: area((low, high)),
        output: area((view.to_output(low), view.to_output(high))),
    }
}

/// The canvas of the scene on air, how it lies on the frames, and since which tick.
fn on_air(api: &Api) -> (CanvasSpec, Viewport, u64) {
    let snapshot = api.director().snapshot();
    let canvas = snapshot.show.program.spec.canvas.clone();
    let (width, height) = snapshot.show.config.resolution;
    let output = OutputSize {
        width,
        height,
        fit: Default::default(),
    };
    let view = output.view(CanvasSize::of(&canvas));
    (canvas, view, snapshot.tick)
}

async fn placed(api: &Api) -> Result<PlacedLayers, ApiError> {
    api.station().placed().next().await.ok_or_else(|| {
        let message = "too many ask where layers stand; try again later";
        ApiError::new(ErrorCode::Unavailable, message)
    })
}

/// # Errors
/// The point is out of range.
fn near(point: Place, at: &str) -> Result<Vec2, ApiError> {
    let point = Vec2::new(point.x, point.y);
    if point.abs().max_element() <= FAR {
        return Ok(point);
    }
    let message = "coordinates must be from -1000000 to 1000000";
    Err(ApiError::new(ErrorCode::BadRequest, message).with("path", at))
}

async fn view(State(api): State<Api>) -> Answered {
    let (canvas, view, _) = on_air(&api);
    let safe = |part| areas(&view, safe_area(view.canvas, part));
    Reply::of(ViewportView {
        canvas: view.canvas.into(),
        output: view.output.into(),
        scale: view.scale,
        offset: view.offset.into(),
        safe_areas: SafeRectangles {
            action: safe(canvas.safe_areas.action),
            title: safe(canvas.safe_areas.title),
        },
        grid: canvas.grid,
    })
}

async fn convert(State(api): State<Api>, body: Json) -> Answered {
    let asked: Conversion = body.read()?;
    if !(1..=POINTS_MAX).contains(&asked.points.len()) {
        let message = format!("there must be 1 to {POINTS_MAX} points");
        return Err(ApiError::new(ErrorCode::BadRequest, message).with("path", "points"));
    }
    let needs_tick = [&asked.from, &asked.to]
        .into_iter()
        .any(|space| matches!(space, Space::Layer(_)));
    let (table, (canvas, view, tick)) = if needs_tick {
        let table = placed(&api).await?;
        let known = (table.canvas.clone(), table.view, table.tick);
        (Some(table), known)
    } else {
        (None, on_air(&api))
    };
    let table = table.as_ref();
    let mut points = Vec::with_capacity(asked.points.len());
    for (index, point) in asked.points.iter().enumerate() {
        let point = near(*point, &format!("points[{index}]"))?;
        let mut on_canvas = carried(Way::ToCanvas, &asked.from, point, &view, table)?;
        if asked.snap && canvas.grid.snap {
            on_canvas = snapped(on_canvas, &canvas);
        }
        points.push(carried(Way::FromCanvas, &asked.to, on_canvas, &view, table)?.into());
    }
    Reply::of(Converted { tick, points })
}

/// # Errors
/// There is no such layer.
fn find<'a>(
    table: Option<&'a PlacedLayers>,
    id: &str,
) -> Result<(&'a PlacedLayers, usize), ApiError> {
    let found = table.and_then(|table| Some((table, table.find(id)?)));
    found.ok_or_else(|| {
        let known = table.map(|table| table.layers.iter().map(|layer| layer.id.as_str()));
        ApiError::not_found("layer", id, known.into_iter().flatten())
    })
}

/// Which way a point goes.
#[derive(Clone, Copy)]
enum Way {
    ToCanvas,
    FromCanvas,
}

/// A point of a space on the canvas, or one of the canvas in a space.
fn carried(
    way: Way,
    space: &Space,
    point: Vec2,
    view: &Viewport,
    table: Option<&PlacedLayers>,
) -> Result<Vec2, ApiError> {
    Ok(match (space, way) {
        (Space::Named(NamedSpace::Canvas), _) => point,
        (Space::Named(NamedSpace::Output), Way::ToCanvas) => view.from_output(point),
        (Space::Named(NamedSpace::Output), Way::FromCanvas) => view.to_output(point),
        (Space::Named(NamedSpace::Normalized), Way::ToCanvas) => view.from_normalised(point),
        (Space::Named(NamedSpace::Normalized), Way::FromCanvas) => view.to_normalised(point),
        (Space::Layer(InLayer { layer }), way) => {
            let (table, place) = find(table, layer)?;
            let placed = &table.layers[place];
            let there = match way {
                Way::ToCanvas => Some(placed.canvas_from_layer.transform_point2(point)),
                Way::FromCanvas => placed.from_canvas(point),
            };
            there.ok_or_else(|| {
                ApiError::conflict(format!(
                    "the layer `{layer}` is scaled to nothing on this tick, so no point lies in it"
                ))
            })?
        }
    })
}

async fn hit(State(api): State<Api>, body: Json) -> Answered {
    let pointer: Pointer = body.read()?;
    let place = Place {
        x: pointer.x,
        y: pointer.y,
    };
    let point = near(place, "")?;
    let table = placed(&api).await?;
    let space = Space::Named(pointer.space);
    let on_canvas = carried(Way::ToCanvas, &space, point, &table.view, None)?;
    // What hangs over the canvas is not seen there.
    let is_there = on_canvas.cmpge(Vec2::ZERO).all() && on_canvas.cmplt(table.view.canvas).all();
    let layers = if is_there {
        table.under(on_canvas)
    } else {
        Vec::new()
    };
    Reply::of(Hit {
        tick: table.tick,
        layers: layers.into_iter().map(str::to_owned).collect(),
    })
}

async fn bounds(State(api): State<Api>, Name(id): Name) -> Answered {
    let show = api.director().snapshot().show.clone();
    let table = placed(&api).await?;
    let place = table
        .find(&id)
        .ok_or_else(|| ApiError::not_found("layer", &id, layer_ids(&show.program.spec)))?;
    let layer = &table.layers[place];
    let around = table.bounds(place);
    let corners = layer.corners().or_else(|| {
        around.map(|(low, high)| {
            [
                low,
                Vec2::new(high.x, low.y),
                high,
                Vec2::new(low.x, high.y),
            ]
        })
    });
    Reply::of(Bounds {
        tick: table.tick,
        visible: layer.visible,
        opacity: layer.opacity,
        on_canvas: around.is_some_and(|(low, high)| {
            high.cmpgt(Vec2::ZERO).all() && low.cmplt(table.view.canvas).all()
        }),
        size: layer.size.into(),
        corners: corners.into_iter().flatten().map(Place::from).collect(),
        bounds: around.map(|around| areas(&table.view, around)),
        id,
    })
}
