//! The authored properties of a layer, one component each, and the form a layer has in a scene file.

mod appearance;
mod identity;
mod placement;
mod spec;

pub use appearance::{BlendMode, Crop, Fit, Opacity, Visible};
pub use identity::{DEFAULT_MAX_LAYERS, LayerId, LayerName, Role, ZIndex};
pub use placement::{Anchor, Position, Rotation, Scale, Size};
pub use spec::{LayerSpec, PictureName};
