//! A scene in the world: from its authored form to entities.

mod bundle;
mod edit;
mod internal;
mod motions;
mod resume;
mod spawn;
mod stage;

pub use bundle::SceneBundle;
pub use edit::{LayerEdit, SceneEdit};
pub(crate) use edit::{change_layer, edit_scene, put};
pub(crate) use internal::{despawn_internal, spawn_internal};
pub(crate) use motions::answer as answer_motions;
pub use motions::{Motions, MotionsDoor};
pub(crate) use resume::resume;
pub use resume::{Came, FilmPlace, Standing};
pub(crate) use spawn::{MaxLayers, Place, check_scene, spawn_tree};
pub use spawn::{SceneError, SceneInfo, replace_scene, timeline_component};
pub use stage::{Internal, Leaving, Outgoing, Reachable};
