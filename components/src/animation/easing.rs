//! How a value goes from one keyframe to the next.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::validate::{Problems, Validate};

/// An easing by its common name (as on easings.net and in CSS), or by its parameters.
///
/// `"easeOutCubic"`, `{"cubicBezier": [0.22, 1, 0.36, 1]}`, `{"steps": 8}`, `{"spring": {"bounce": 0.4}}`
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the field's own")]
pub enum Easing {
    #[default]
    Linear,
    /// Stays at the earlier value and jumps at the end.
    Hold,
    EaseInSine,
    EaseOutSine,
    EaseInOutSine,
    EaseInQuad,
    EaseOutQuad,
    EaseInOutQuad,
    EaseInCubic,
    EaseOutCubic,
    EaseInOutCubic,
    EaseInQuart,
    EaseOutQuart,
    EaseInOutQuart,
    EaseInQuint,
    EaseOutQuint,
    EaseInOutQuint,
    EaseInExpo,
    EaseOutExpo,
    EaseInOutExpo,
    EaseInCirc,
    EaseOutCirc,
    EaseInOutCirc,
    EaseInBack,
    EaseOutBack,
    EaseInOutBack,
    EaseInElastic,
    EaseOutElastic,
    EaseInOutElastic,
    EaseInBounce,
    EaseOutBounce,
    EaseInOutBounce,
    /// The CSS curve with control points (x1, y1) and (x2, y2); both x lie from 0 to 1.
    CubicBezier(#[schemars(schema_with = "control_points")] [f32; 4]),
    /// That many equal jumps, the last at the end (CSS `steps(n, jump-end)`).
    Steps(#[schemars(range(min = 1, max = 10_000))] u32),
    /// A damped spring that comes to rest at the end.
    Spring(#[schemars(description = "How it swings.")] Spring),
}

/// How a spring swings.
///
/// `{"bounce": 0.4}`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spring {
    /// How much it swings over: 0 not at all (critically damped), 0.9 for long.
    #[schemars(range(min = 0.0, max = 0.9))]
    pub bounce: f32,
}

fn control_points(_: &mut SchemaGenerator) -> Schema {
    let x = json!({"type": "number", "minimum": 0, "maximum": 1});
    let y = json!({"type": "number", "minimum": -10, "maximum": 10});
    json_schema!({
        "type": "array", "prefixItems": [x, y, x, y], "items": false, "minItems": 4, "maxItems": 4,
    })
}

impl Easing {
    /// Every easing that is a bare name.
    pub const NAMED: &[Self] = &[
        Self::Linear,
        Self::Hold,
        Self::EaseInSine,
        Self::EaseOutSine,
        Self::EaseInOutSine,
        Self::EaseInQuad,
        Self::EaseOutQuad,
        Self::EaseInOutQuad,
        Self::EaseInCubic,
        Self::EaseOutCubic,
        Self::EaseInOutCubic,
        Self::EaseInQuart,
        Self::EaseOutQuart,
        Self::EaseInOutQuart,
        Self::EaseInQuint,
        Self::EaseOutQuint,
        Self::EaseInOutQuint,
        Self::EaseInExpo,
        Self::EaseOutExpo,
        Self::EaseInOutExpo,
        Self::EaseInCirc,
        Self::EaseOutCirc,
        Self::EaseInOutCirc,
        Self::EaseInBack,
        Self::EaseOutBack,
        Self::EaseInOutBack,
        Self::EaseInElastic,
        Self::EaseOutElastic,
        Self::EaseInOutElastic,
        Self::EaseInBounce,
        Self::EaseOutBounce,
        Self::EaseInOutBounce,
    ];

    /// Whether this is the easing that is meant when none is written.
    pub fn is_linear(&self) -> bool {
        *self == Self::Linear
    }
}

impl Validate for Easing {
    fn validate(&self, problems: &mut Problems) {
        match *self {
            Self::CubicBezier([x1, y1, x2, y2]) => {
                for (index, x) in [(0, x1), (2, x2)] {
                    if !(0.0..=1.0).contains(&x) {
                        problems.at_index("cubicBezier", index, |problems| {
                            problems
                                .report(format!("{x} is out of range; both x must be from 0 to 1"))
                        });
                    }
                }
                for (index, y) in [(1, y1), (3, y2)] {
                    if !(-10.0..=10.0).contains(&y) {
                        problems.at_index("cubicBezier", index, |problems| {
                            problems.report(format!(
                                "{y} is out of range; both y must be from -10 to 10"
                            ))
                        });
                    }
                }
            }
            Self::Steps(count) if count == 0 || count > 10_000 => {
                problems.at("steps", |problems| {
                    problems.report("the number of steps must be from 1 to 10000")
                });
            }
            Self::Spring(spring) => problems.at("spring", |problems| {
                problems.range("bounce", spring.bounce, 0.0..=0.9);
            }),
            _ => {}
        }
    }
}
