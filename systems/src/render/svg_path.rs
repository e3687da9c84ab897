//! SVG path data as a tiny-skia path.

use svgtypes::{SimplePathSegment, SimplifyingPathParser};
use tiny_skia::{Path, PathBuilder};

/// The most segments of a path.
const SEGMENTS_MAX: usize = 100_000;

/// Parses the `d` of an SVG `<path>` (SVG 2, section 9.3).
///
/// # Errors
/// Says what is wrong and at which character, or that the path draws nothing.
pub fn parse_path(data: &str) -> Result<Path, String> {
    let mut path = PathBuilder::new();
    for (count, segment) in SimplifyingPathParser::from(data).enumerate() {
        if count == SEGMENTS_MAX {
            return Err(format!("the path has more than {SEGMENTS_MAX} segments"));
        }
        match segment.map_err(|error| error.to_string())? {
            SimplePathSegment::MoveTo { x, y } => path.move_to(x as f32, y as f32),
            SimplePathSegment::LineTo { x, y } => path.line_to(x as f32, y as f32),
            SimplePathSegment::Quadratic { x1, y1, x, y } => {
                path.quad_to(x1 as f32, y1 as f32, x as f32, y as f32)
            }
            SimplePathSegment::CurveTo {
                x1,
                y1,
                x2,
                y2,
                x,
                y,
            } => {
                path.cubic_to(
                    x1 as f32, y1 as f32, x2 as f32, y2 as f32, x as f32, y as f32,
                );
            }
            SimplePathSegment::ClosePath => path.close(),
        }
    }
    path.finish()
        .ok_or_else(|| "the path draws nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_commands_and_arcs_are_understood() {
        let path = parse_path("M10 10 h20 v10 a5 5 0 0 1 -10 0 z").expect("a path");
        assert_eq!(
            (
                path.bounds().left(),
                path.bounds().top(),
                path.bounds().right()
            ),
            (10.0, 10.0, 30.0)
        );
    }

    #[test]
    fn what_is_no_path_says_why() {
        assert!(parse_path("M10 10 L oops").is_err());
        assert!(parse_path("").is_err());
    }
}
