//! `schema`: prints the JSON Schema of scene files.

use super::{Failure, print};
use crate::scene::scene_schema;

pub(super) fn main() -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(&scene_schema())?);
    Ok(())
}
