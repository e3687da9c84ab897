//! The JSON Schema (draft 2020-12) of scene files, by which editors complete and check them.

use components::scene::{SCENE_VERSION, SceneSpec};
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::registry::SOURCE_KINDS;

/// The schema of a scene file, made from the types that are read.
pub fn scene_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<SceneSpec>().to_value();
    if let Some(version) = schema.pointer_mut("/properties/version") {
        *version = json!({
            "description": "Version of the format.",
            "const": SCENE_VERSION,
        });
    }
    if let Some(kinds) = schema
        .pointer_mut("/$defs/Source/oneOf")
        .and_then(Value::as_array_mut)
    {
        for kind in kinds {
            describe_kind(kind);
        }
    }
    schema
}

/// Adds its example to the schema of one kind of source.
fn describe_kind(schema: &mut Value) {
    let name = schema
        .pointer("/properties/type/const")
        .and_then(Value::as_str);
    let example = SOURCE_KINDS
        .iter()
        .find(|kind| Some(kind.name) == name)
        .and_then(|kind| serde_json::from_str::<Value>(kind.example).ok());
    if let (Some(example), Some(schema)) = (example, schema.as_object_mut()) {
        schema.insert("examples".to_owned(), json!([example]));
    }
}
