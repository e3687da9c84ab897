//! Pieces of schemas that several requests share.

use components::layer::LayerSpec;
use components::scene::SceneTransition;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// Letters of a name: those of layers and of scene files.
pub const NAME_PATTERN: &str = "^[A-Za-z0-9._-]{1,128}$";

/// The name of a layer or a scene.
pub fn name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": NAME_PATTERN})
}

/// A name that may be left out.
pub fn optional_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "null"], "pattern": NAME_PATTERN})
}

/// The name of a timeline.
pub fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 128})
}

/// A place in a list.
pub fn index(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["integer", "null"], "minimum": 0, "maximum": 1000})
}

/// A layer.
pub fn layer(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<LayerSpec>()
}

/// How a scene comes on air.
pub fn transition(generator: &mut SchemaGenerator) -> Schema {
    let transition = generator.subschema_for::<SceneTransition>();
    json_schema!({"anyOf": [transition, {"type": "null"}]})
}

/// A layer all of whose fields may be left out or null.
pub fn layer_patch(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = <LayerSpec as schemars::JsonSchema>::json_schema(generator).to_value();
    if let Value::Object(map) = &mut schema {
        map.remove("required");
        map.insert(
            "description".to_owned(),
            "Fields of a layer that change (JSON merge patch, RFC 7396): what is absent stays, null is the default.".into(),
        );
        if let Some(Value::Object(properties)) = map.get_mut("properties") {
            // A layer keeps its name.
            properties.remove("id");
            for property in properties.values_mut() {
                let own = std::mem::take(property);
                *property = serde_json::json!({"anyOf": [own, {"type": "null"}]});
            }
        }
    }
    Schema::try_from(schema).unwrap_or_default()
}
