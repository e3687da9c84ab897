//! The picture that is composed: its size, rate and guides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FrameRate;
use crate::validate::{Problems, Validate};
use crate::value::Colour;

/// The canvas: what the scene is laid out in. Origin top left, y down, pixels. Frames of another size show it scaled.
///
/// `{"width": 1920, "height": 1080, "fps": 30, "background": "#0b0d17"}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct CanvasSpec {
    /// Pixels, even, 16 to 7680. Default 1920.
    #[schemars(range(min = 16, max = 7680), extend("multipleOf" = 2))]
    pub width: u32,
    /// Pixels, even, 16 to 4320. Default 1080.
    #[schemars(range(min = 16, max = 4320), extend("multipleOf" = 2))]
    pub height: u32,
    /// Frames a second. Default the setting `TARGET_FPS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fps: Option<FrameRate>,
    /// What is seen where no layer is; its alpha is ignored. Default black.
    pub background: Colour,
    /// Guides for what every screen shows.
    pub safe_areas: SafeAreas,
    /// The grid that editors snap to.
    pub grid: Grid,
}

impl Default for CanvasSpec {
    fn default() -> Self {
        Self {
            width: 1920,
            height: 1080,
            fps: None,
            background: Colour::BLACK,
            safe_areas: SafeAreas::default(),
            grid: Grid::default(),
        }
    }
}

/// Parts of the canvas that are surely seen (action) and surely read (title), after EBU R 95 and SMPTE ST 2046-1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct SafeAreas {
    /// Part of each side, 0.5 to 1. Default 0.93.
    #[schemars(range(min = 0.5, max = 1))]
    pub action: f32,
    /// Part of each side, 0.5 to 1. Default 0.9.
    #[schemars(range(min = 0.5, max = 1))]
    pub title: f32,
}

impl Default for SafeAreas {
    fn default() -> Self {
        Self {
            action: 0.93,
            title: 0.9,
        }
    }
}

/// The grid that editors snap to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Grid {
    /// Pixels between lines, 1 to 1000. Default 20.
    #[schemars(range(min = 1, max = 1000))]
    pub size: u32,
    /// Whether editors snap, and changes of a position that ask for it with `snap`. Default false.
    pub snap: bool,
}

impl Default for Grid {
    fn default() -> Self {
        Self {
            size: 20,
            snap: false,
        }
    }
}

impl Validate for CanvasSpec {
    fn validate(&self, problems: &mut Problems) {
        for (name, value, max) in [("width", self.width, 7680), ("height", self.height, 4320)] {
            if !(16..=max).contains(&value) || value % 2 != 0 {
                problems.at(name, |problems| {
                    problems.report(format!(
                        "{value} does not serve; it must be even and from 16 to {max}"
                    ))
                });
            }
        }
        problems.at("safeAreas", |problems| {
            problems.range("action", self.safe_areas.action, 0.5..=1.0);
            problems.range("title", self.safe_areas.title, 0.5..=1.0);
        });
        if !(1..=1000).contains(&self.grid.size) {
            problems.at("grid.size", |problems| {
                problems.report("the grid must be from 1 to 1000 pixels")
            });
        }
    }
}
