//! Values that authored components are built from: colours, paints, numbers that may be bound to data.

mod colour;
mod moment;
mod number;
mod paint;
mod template;

pub use colour::Colour;
pub use moment::Moment;
pub use number::Number;
pub use paint::{Gradient, GradientKind, GradientStop, Paint, Point};
pub use template::{Template, TemplateError, TemplatePart};
