//! Reads the authored values of requests.

use components::layer::LayerSpec;
use components::{Problem, Problems};
use serde_json::{Map, Value};

use super::error::{ApiError, ErrorCode};
use crate::scene::registry;

/// A kind of source is written anew as a whole: what belonged to the old kind would be unknown to the new one.
pub(super) fn replace_kinds(layer: &mut Map<String, Value>, patch: &Map<String, Value>) {
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

/// Reads a layer that stands at a path of the request.
pub(super) fn read_layer(value: &Value, at: &str) -> Result<LayerSpec, ApiError> {
    let mut problems = Problems::new();
    registry::parse_layer(value, at, &mut problems).ok_or_else(|| {
        let problems = problems.into_vec();
        let has_shape = problems.iter().all(|problem| !is_malformed(problem));
        let code = if has_shape {
            ErrorCode::Invalid
        } else {
            ErrorCode::BadRequest
        };
        ApiError::problems(code, &problems)
    })
}

/// Whether the shape of a value is wrong, and not only what it says.
fn is_malformed(problem: &Problem) -> bool {
    let message = &problem.message;
    message.starts_with("expected ")
        || message.starts_with("unknown ")
        || message.starts_with("the field ")
        || message.contains(" has no `")
}

/// A problem at a path.
pub(super) fn problem(path: &str, message: &str) -> Problem {
    Problem {
        path: path.to_owned(),
        message: message.to_owned(),
        ..Problem::default()
    }
}

/// A value of a wrong shape.
pub(super) fn malformed(path: &str, message: &str) -> ApiError {
    ApiError::problems(ErrorCode::BadRequest, &[problem(path, message)])
}

/// The names of a layer and of all below it.
pub(super) fn ids_of(layer: &LayerSpec) -> Vec<String> {
    let mut ids = Vec::new();
    layer.walk(&mut |layer| ids.push(layer.id.as_str().to_owned()));
    ids
}

/// How many layers deep a layer is, itself counted.
pub(super) fn depth_of(layer: &LayerSpec) -> usize {
    1 + layer
        .children
        .iter()
        .map(|child| depth_of(child))
        .max()
        .unwrap_or(0)
}
