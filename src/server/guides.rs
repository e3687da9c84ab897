//! Guides over a picture of the preview: safe areas, the canvas's middle and the grid.
//!
//! They are layers that are put over a copy of a scene which is drawn aside. No command carries them, so none can come on air. All of
//! their lengths are whole pixels of the picture, whatever its size, so that lines are as crisp at 640x360 as at 3840x2160.

use std::sync::Arc;

use components::layer::{Anchor, LayerSpec, Opacity, Position, Size, ZIndex};
use components::scene::CanvasSpec;
use components::source::{ColourSource, ShapeKind, ShapeSource, Source, Stroke};
use components::value::{Colour, Paint};
use components::viewport::{Viewport, safe_area};
use glam::Vec2;
use serde_json::json;

use crate::control::{ApiError, ErrorCode};

/// Which guides are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guides {
    /// The action and the title area.
    pub safe_areas: bool,
    /// The dots of the grid.
    pub grid: bool,
    /// The canvas's middle.
    pub center: bool,
}

/// What the query parameter may say.
pub const PATTERN: &str = "^(true|false|(safeAreas|grid|center)(,(safeAreas|grid|center)){0,2})$";

/// The nearest that dots of the grid stand to each other, in pixels of the picture; a finer grid shows every second of its dots, or
/// fewer.
const DOTS_APART_MIN: f32 = 16.0;
/// The most dots of a grid.
const DOTS_MAX: f32 = 12_000.0;

/// Below every line, so that it is seen on light and dark.
const SHADE: Colour = Colour {
    alpha: 120,
    ..Colour::BLACK
};
const ACTION: Colour = Colour::opaque(0x6f, 0xe3, 0xff);
const TITLE: Colour = Colour::opaque(0xff, 0xd3, 0x5c);
const CENTER: Colour = Colour::opaque(0xff, 0x7a, 0x90);
const FONT: &str = "Inter, Noto Sans, DejaVu Sans, sans-serif";

impl Guides {
    /// Reads `true` for all, `false`, or a list.
    ///
    /// # Errors
    /// What is none of these.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let all = Self {
            safe_areas: true,
            grid: true,
            center: true,
        };
        match text {
            "true" => return Ok(all),
            "false" => return Ok(Self::default()),
            _ => {}
        }
        let mut guides = Self::default();
        for name in text.split(',') {
            let guide = match name {
                "safeAreas" => &mut guides.safe_areas,
                "grid" => &mut guides.grid,
                "center" => &mut guides.center,
                _ => return Err(mistaken()),
            };
            if std::mem::replace(guide, true) {
                return Err(mistaken());
            }
        }
        Ok(guides)
    }

    /// The layers that show them over a scene on a frame, from the back to the front.
    pub fn layers(&self, canvas: &CanvasSpec, view: &Viewport) -> Vec<Arc<LayerSpec>> {
        let shown = (view.canvas * view.scale).min(view.output).min_element();
        let mut sheet = Sheet {
            view: *view,
            shown,
            unit: (shown / 1080.0).round().max(1.0),
            layers: Vec::new(),
        };
        if self.grid {
            sheet.grid(canvas.grid.size);
        }
        if self.center {
            sheet.cross();
        }
        if self.safe_areas {
            let (action, title) = (canvas.safe_areas.action, canvas.safe_areas.title);
            sheet.area("action", action, ACTION);
            sheet.area("title", title, TITLE);
            sheet.labels(action, title);
        }
        sheet.layers.into_iter().map(Arc::new).collect()
    }
}

fn mistaken() -> ApiError {
    let message = "the query parameter `guides` must be `true`, `false`, or some of `safeAreas`, `grid` and `center`, each once and with commas in between";
    ApiError::new(ErrorCode::BadRequest, message)
}

/// Draws in pixels of the picture.
struct Sheet {
    view: Viewport,
    /// The shorter side of the canvas as it is seen.
    shown: f32,
    /// The width of a line.
    unit: f32,
    layers: Vec<LayerSpec>,
}

impl Sheet {
    /// Where a point of the canvas lies, in whole pixels of the picture.
    fn at(&self, on_canvas: Vec2) -> Vec2 {
        self.view.to_output(on_canvas).round()
    }

    /// A layer whose box spans these corners, in pixels of the picture.
    fn put(&mut self, name: &str, (low, high): (Vec2, Vec2), source: Source) {
        let (place, size) = (self.view.from_output(low), (high - low) / self.view.scale);
        // No authored layer has a name like this, so none of its tracks is taken for one of theirs.
        self.layers.push(LayerSpec {
            source,
            position: Position {
                x: place.x.into(),
                y: place.y.into(),
            },
            size: Some(Size {
                width: size.x.into(),
                height: size.y.into(),
            }),
            z_index: ZIndex(Some(i32::MAX)),
            ..LayerSpec::new(format!("guides/{name}").as_str())
        });
    }

    /// A line on a dark one that is wider by its width on both sides.
    fn area(&mut self, name: &str, part: f32, colour: Colour) {
        let (low, high) = safe_area(self.view.canvas, part);
        let (low, high) = (self.at(low), self.at(high));
        let unit = self.unit;
        let shade = (low - unit, high + unit);
        self.put(name, shade, frame(SHADE, 3.0 * unit / self.view.scale));
        self.put(name, (low, high), frame(colour, unit / self.view.scale));
    }

    fn cross(&mut self) {
        let middle = self.at(self.view.canvas / 2.0);
        let (unit, arm) = (self.unit, (self.shown / 24.0).round().max(8.0));
        let bar = |along: Vec2, thick: f32| {
            let half = along * arm + (Vec2::ONE - along) * thick;
            // As wide on both sides of the middle: it lies between two pixels.
            (middle - half, middle + half)
        };
        let fill = |color| Source::Colour(ColourSource { color });
        for (thick, colour) in [(2.0 * unit, SHADE), (unit, CENTER)] {
            // What is dark lies under both arms and not over the first.
            let (low, high) = bar(Vec2::X, thick);
            self.put("center", (low, high), fill(colour));
            let (up, down) = bar(Vec2::Y, thick);
            self.put("center", (up, Vec2::new(down.x, low.y)), fill(colour));
            self.put("center", (Vec2::new(up.x, high.y), down), fill(colour));
        }
    }

    fn grid(&mut self, step: u32) {
        let canvas = self.view.canvas;
        let mut step = step.max(1) as f32;
        let count = |step: f32| (canvas / step).element_product();
        while step * self.view.scale < DOTS_APART_MIN || count(step) > DOTS_MAX {
            step *= 2.0;
        }
        let unit = self.unit;
        for (over, colour, part) in [(unit, SHADE, 0.4), (0.0, Colour::WHITE, 0.6)] {
            let source = self.dots(step, over, colour);
            // From the frame's corner on, so that the dots are at whole pixels.
            let whole = (Vec2::ZERO, self.view.output);
            self.put("grid", whole, source);
            if let Some(layer) = self.layers.last_mut() {
                layer.opacity = Opacity(part.into());
            }
        }
    }

    /// Squares of a line's width, larger by `over` on all sides.
    fn dots(&self, step: f32, over: f32, colour: Colour) -> Source {
        let columns = ((self.view.canvas.x / step).ceil() as u32).saturating_sub(1);
        let rows = ((self.view.canvas.y / step).ceil() as u32).saturating_sub(1);
        let side = (self.unit + 2.0 * over) / self.view.scale;
        let mut path = String::new();
        for (row, column) in (1..=rows).flat_map(|row| (1..=columns).map(move |at| (row, at))) {
            let dot = self.at(Vec2::new(column as f32, row as f32) * step) - over;
            let outside = dot.min_element() < 0.0 || (dot - self.view.output).max_element() > -4.0;
            if !outside {
                let place = dot / self.view.scale;
                path.push_str(&format!("M{} {}h{side}v{side}h-{side}z", place.x, place.y));
            }
        }
        if path.is_empty() {
            return Source::default();
        }
        Source::Shape(ShapeSource {
            shape: ShapeKind::Path,
            radius: Default::default(),
            path: Some(path),
            fill: Some(Paint::Solid(colour)),
            stroke: None,
        })
    }

    /// What the two areas are, in the middle of their upper edges, where programmes seldom have anything: the outer one outside of its
    /// line where there is room, the inner one inside.
    fn labels(&mut self, action: f32, title: f32) {
        let size = (self.shown * 0.017).round().max(10.0);
        let canvas = self.view.canvas;
        let (outer, inner) = (safe_area(canvas, action).0, safe_area(canvas, title).0);
        let (outer, inner) = (self.at(outer).y, self.at(inner).y);
        let (line, gap) = ((size * 1.2).ceil(), 2.0 * self.unit);
        let has_room = outer - self.at(Vec2::ZERO).y >= line;
        let above = if has_room { outer - line } else { outer + gap };
        let below = inner + gap + if has_room { 0.0 } else { line };
        for (name, part, top, colour) in [
            ("Action safe", action, above, ACTION),
            ("Title safe", title, below, TITLE),
        ] {
            let percent = (part * 1000.0).round() / 10.0;
            let at = Vec2::new(self.at(canvas / 2.0).x, top);
            self.label(&format!("{name} {percent} %"), at, size, colour);
        }
    }

    /// Words whose upper middle is at a point.
    fn label(&mut self, words: &str, at: Vec2, size: f32, colour: Colour) {
        let scale = self.view.scale;
        let source = json!({
            "text": words,
            "font": {"family": FONT, "size": size / scale, "weight": 600},
            "fill": colour.to_string(),
            "outline": {"color": "#000000b0", "width": (size / 8.0).max(1.0) / scale},
            "wrap": false,
        });
        // Always right: it is written here.
        if let Ok(text) = serde_json::from_value(source) {
            self.put(words, (at, at + Vec2::splat(size)), Source::Text(text));
            if let Some(layer) = self.layers.last_mut() {
                layer.size = None;
                layer.anchor = Anchor { x: 0.5, y: 0.0 };
            }
        }
    }
}

fn frame(colour: Colour, width: f32) -> Source {
    Source::Shape(ShapeSource {
        shape: ShapeKind::Rectangle,
        radius: Default::default(),
        path: None,
        fill: None,
        stroke: Some(Stroke {
            paint: Paint::Solid(colour),
            width,
            dash: Vec::new(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guides_are_named_or_all() {
        let all = Guides::parse("true").expect("all");
        assert_eq!(Guides::parse("grid,center,safeAreas").expect("all"), all);
        assert_eq!(Guides::parse("false").expect("none"), Guides::default());
        for text in ["", "grid,", "grid,grid", "Grid", "yes"] {
            assert!(Guides::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn any_grid_on_any_frame_has_a_bounded_number_of_dots_at_whole_pixels() {
        for (step, output) in [
            (1, (640.0, 360.0)),
            (1, (7680.0, 4320.0)),
            (20, (1920.0, 1080.0)),
            (1000, (64.0, 36.0)),
        ] {
            let mut canvas = CanvasSpec::default();
            canvas.grid.size = step;
            let size = Vec2::new(1920.0, 1080.0);
            let view = Viewport::new(size, output.into(), Default::default());
            let all = Guides::parse("true").expect("all");
            let layers = all.layers(&canvas, &view);
            assert!(layers.len() < 16);
            for layer in &layers {
                if let Source::Shape(ShapeSource {
                    path: Some(path), ..
                }) = &layer.source
                {
                    assert!(path.matches('M').count() <= DOTS_MAX as usize);
                }
                let x = layer.position.x.literal().expect("a number");
                let on_frame = view.to_output(Vec2::splat(x)).x;
                assert!((on_frame - on_frame.round()).abs() < 0.01, "{layer:?}");
            }
        }
    }
}
