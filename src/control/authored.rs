//! What requests write: layers, patches and timelines, read out of JSON, and what is wrong with them.
//!
//! A value that is not of its schema is [`ErrorCode::BadRequest`]; one that is, and that cannot be used all the same, is
//! [`ErrorCode::Invalid`].

use components::animation::TimelineSpec;
use components::effect::{Effect, Effects};
use components::layer::LayerSpec;
use components::{Problem, Problems, Validate};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::error::{ApiError, ErrorCode};
use crate::scene::effects::{parse_effect, parse_effects};
use crate::scene::registry::{self, field};
use crate::scene::words;

/// A layer with its children.
///
/// # Errors
/// Every problem of it.
pub fn layer(value: &Value, at: &str) -> Result<LayerSpec, ApiError> {
    let mut problems = Problems::new();
    registry::parse_layer(value, at, &mut problems).ok_or_else(|| refused(&problems.into_vec()))
}

/// A layer that a patch was merged into. Which fields its source has, and which it needs, depends on the layer, and is not of the
/// patch's shape.
///
/// # Errors
/// Every problem of it.
pub fn patched_layer(value: &Value, at: &str) -> Result<LayerSpec, ApiError> {
    let mut problems = Problems::new();
    registry::parse_layer(value, at, &mut problems).ok_or_else(|| {
        let problems = problems.into_vec();
        let source = field(at, "source");
        let of_the_layer = |problem: &Problem| {
            is_missing(problem) || problem.on_key && problem.path.starts_with(&source)
        };
        let mut own = problems.iter().filter(|problem| !of_the_layer(problem));
        let code = if own.any(is_malformed) {
            ErrorCode::BadRequest
        } else {
            ErrorCode::Invalid
        };
        ApiError::problems(code, &problems)
    })
}

/// A list of effects.
///
/// # Errors
/// Every problem of it.
pub fn effects(value: &Value, at: &str) -> Result<Effects, ApiError> {
    let mut problems = Problems::new();
    parse_effects(value, at, &mut problems).ok_or_else(|| refused(&problems.into_vec()))
}

/// An effect.
///
/// # Errors
/// Every problem of it.
pub fn effect(value: &Value, at: &str) -> Result<Effect, ApiError> {
    let mut problems = Problems::new();
    parse_effect(value, at, &mut problems).ok_or_else(|| refused(&problems.into_vec()))
}

/// An effect that a patch was merged into. Which fields it has depends on its kind, and is not of the patch's shape.
///
/// # Errors
/// Every problem of it.
pub fn patched_effect(value: &Value, at: &str) -> Result<Effect, ApiError> {
    let mut problems = Problems::new();
    parse_effect(value, at, &mut problems).ok_or_else(|| {
        let problems = problems.into_vec();
        let of_its_kind = |problem: &Problem| is_missing(problem) || problem.on_key;
        let mut own = problems.iter().filter(|problem| !of_its_kind(problem));
        let code = if own.any(is_malformed) {
            ErrorCode::BadRequest
        } else {
            ErrorCode::Invalid
        };
        ApiError::problems(code, &problems)
    })
}

/// A timeline with its tracks.
///
/// # Errors
/// Every problem of it.
pub fn timeline(value: &Value, at: &str) -> Result<TimelineSpec, ApiError> {
    let mut problems = Problems::new();
    registry::parse_timeline(value, at, &mut problems).ok_or_else(|| refused(&problems.into_vec()))
}

/// A value of any authored type whose kind does not depend on others.
///
/// # Errors
/// Every problem of it.
pub fn value<T: DeserializeOwned + Validate>(value: &Value, at: &str) -> Result<T, ApiError> {
    let mut problems = Problems::new();
    registry::parse_value(value, at, &mut problems).ok_or_else(|| refused(&problems.into_vec()))
}

/// A value of any authored type that a patch was merged into. What is missing then depends on what was there, and is not of the patch's
/// shape.
///
/// # Errors
/// Every problem of it.
pub fn patched_value<T: DeserializeOwned + Validate>(value: &Value) -> Result<T, ApiError> {
    let mut problems = Problems::new();
    registry::parse_value(value, "", &mut problems).ok_or_else(|| {
        let problems = problems.into_vec();
        let mut own = problems.iter().filter(|problem| !is_missing(problem));
        let code = if own.any(is_malformed) {
            ErrorCode::BadRequest
        } else {
            ErrorCode::Invalid
        };
        ApiError::problems(code, &problems)
    })
}

/// Refuses a name that is none of those that are known.
///
/// # Errors
/// It is none of them; the nearest is suggested.
pub fn must_be_known(kind: &str, name: &str, known: &[&str], at: &str) -> Result<(), ApiError> {
    if known.contains(&name) {
        return Ok(());
    }
    let problem = Problem {
        path: at.to_owned(),
        message: format!("the avatar has no {kind} {}", words::name(name)),
        help: words::suggest(name, known),
        on_key: false,
    };
    Err(ApiError::problems(ErrorCode::Invalid, &[problem]))
}

/// Looks at a value that was read already.
///
/// # Errors
/// Every problem of it.
pub fn checked(value: &impl Validate, at: String) -> Result<(), ApiError> {
    let mut problems = Problems::below(at);
    value.validate(&mut problems);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(refused(&problems.into_vec()))
    }
}

/// The fields of a patch.
///
/// # Errors
/// It is no object.
pub fn object<'v>(
    value: &'v Value,
    at: &str,
    what: &str,
) -> Result<&'v Map<String, Value>, ApiError> {
    value.as_object().ok_or_else(|| {
        let problem = problem(at.to_owned(), format!("expected {what}"));
        ApiError::problems(ErrorCode::BadRequest, &[problem])
    })
}

/// A value of the right shape that cannot be used.
pub fn unusable(path: String, message: impl Into<String>) -> ApiError {
    ApiError::problems(ErrorCode::Invalid, &[problem(path, message.into())])
}

/// Problems of an authored value, with the code of the worst.
pub fn refused(problems: &[Problem]) -> ApiError {
    let code = if problems.iter().any(is_malformed) {
        ErrorCode::BadRequest
    } else {
        ErrorCode::Invalid
    };
    ApiError::problems(code, problems)
}

/// Whether the shape of a value is wrong, and not only what it says.
fn is_malformed(problem: &Problem) -> bool {
    let message = &problem.message;
    message.starts_with("expected ") || message.starts_with("unknown ") || is_missing(problem)
}

fn is_missing(problem: &Problem) -> bool {
    problem.message.starts_with("the field ") || problem.message.contains(" has no `")
}

fn problem(path: String, message: String) -> Problem {
    Problem {
        path,
        message,
        ..Problem::default()
    }
}

/// A kind of source is written anew as a whole: what belonged to the old kind would be unknown to the new one.
pub fn replace_kinds(layer: &mut Map<String, Value>, patch: &Map<String, Value>) {
    let kind = |map: &Map<String, Value>| {
        let source = map.get("source")?.as_object()?;
        source.get("type").cloned()
    };
    if let Some(new) = kind(patch)
        && kind(layer) != Some(new)
    {
        layer.shift_remove("source");
    }
}

/// A patch may name one of two coordinates where the layer has both and writes neither, or one number for the two.
pub fn spread_pairs(layer: &mut Map<String, Value>, patch: &Map<String, Value>, old: &LayerSpec) {
    let pairs = [
        ("anchor", json!({"x": old.anchor.x, "y": old.anchor.y})),
        ("scale", json!({"x": old.scale.x, "y": old.scale.y})),
    ];
    for (name, pair) in pairs {
        let is_object = |map: &Map<String, Value>| map.get(name).is_some_and(Value::is_object);
        if is_object(patch) && !is_object(layer) {
            layer.insert(name.to_owned(), pair);
        }
    }
}

/// The names of a layer and of all below it.
pub fn ids_of(layer: &LayerSpec) -> Vec<String> {
    let mut ids = Vec::new();
    layer.walk(&mut |layer| ids.push(layer.id.as_str().to_owned()));
    ids
}

/// How many layers deep a layer is, itself counted.
pub fn depth_of(layer: &LayerSpec) -> usize {
    1 + layer
        .children
        .iter()
        .map(|child| depth_of(child))
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_depends_on_the_layer_is_not_held_against_the_patch() {
        let code = |layer: Value| patched_layer(&layer, "").expect_err("a problem").code;
        for layer in [
            json!({"id": "a", "size": {"width": 3}}),
            json!({"id": "a", "source": {"type": "color", "color": "red", "text": "new"}}),
            json!({"id": "a", "opacity": 2}),
        ] {
            assert_eq!(code(layer.clone()), ErrorCode::Invalid, "{layer}");
        }
        for layer in [
            json!({"id": "a", "opacty": 1}),
            json!({"id": "a", "position": {"z": 1}}),
            json!({"id": "a", "source": {"type": "color", "color": 7}}),
        ] {
            assert_eq!(code(layer.clone()), ErrorCode::BadRequest, "{layer}");
        }
        let refused = layer(&json!({"id": "a", "size": {"width": 3}}), "").expect_err("a problem");
        assert_eq!(refused.code, ErrorCode::BadRequest);
    }

    #[test]
    fn one_coordinate_of_two_can_be_patched() {
        let old = LayerSpec::new("a");
        let mut layer = Map::new();
        let Value::Object(patch) = json!({"anchor": {"x": 0.5}, "scale": 2}) else {
            return;
        };
        spread_pairs(&mut layer, &patch, &old);
        assert_eq!(
            Value::Object(layer),
            json!({"anchor": {"x": 0.0, "y": 0.0}})
        );
    }
}
