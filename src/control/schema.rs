//! Pieces of schemas that several requests share.

use components::animation::Glide;
use components::effect::Effect;
use components::layer::{LayerId, LayerSpec};
use components::output::{OutputSpec, RenditionSpec};
use components::sound::{MasterSound, Sound};
use components::source::{ChatMessage, FeedItem};
use components::transition::Transition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::change::PUSH_MAX;

/// What the names of layers and of scene files look like.
pub const NAME_PATTERN: &str = LayerId::PATTERN;

/// The name of a layer or a scene.
pub fn name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": NAME_PATTERN})
}

/// A name that may be left out.
pub fn optional_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "null"], "pattern": NAME_PATTERN})
}

/// What names an effect of a layer.
pub const EFFECT_PATTERN: &str = "^[A-Za-z0-9_-]{1,64}$";

/// An effect's `id`, its `type`, or its place.
pub fn effect_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": EFFECT_PATTERN})
}

/// The name of a timeline.
pub fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 128})
}

/// A name of anything that may be left out.
pub fn optional_text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "null"], "minLength": 1, "maxLength": 128})
}

/// A place in a list.
pub fn index(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["integer", "null"], "minimum": 0, "maximum": 1000})
}

/// A layer.
pub fn layer(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<LayerSpec>()
}

/// One message of a chat, or a list of them.
pub fn messages(generator: &mut SchemaGenerator) -> Schema {
    let message = generator.subschema_for::<ChatMessage>();
    json_schema!({"anyOf": [message, {"type": "array", "items": message, "minItems": 1, "maxItems": PUSH_MAX}]})
}

/// How a scene comes on air.
pub fn transition(generator: &mut SchemaGenerator) -> Schema {
    let transition = generator.subschema_for::<Transition>();
    json_schema!({"anyOf": [transition, {"type": "null"}]})
}

/// How a value goes to a new one; at once when absent.
pub fn glide(generator: &mut SchemaGenerator) -> Schema {
    let glide = generator.subschema_for::<Glide>();
    json_schema!({"anyOf": [glide, {"type": "null"}]})
}

/// The fields of a layer that change.
pub struct LayerPatch;

impl JsonSchema for LayerPatch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LayerPatch".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schema = <LayerSpec as JsonSchema>::json_schema(generator).to_value();
        let mut patch = patch_of(&schema, generator);
        patch["description"] = "Fields of a layer that change (JSON merge patch, RFC 7396): what is absent stays, null is the default. \
            `id` may be there and is the layer's own."
            .into();
        Schema::try_from(patch).unwrap_or_default()
    }
}

/// An item of a feed, or a list of items.
pub struct Items;

impl JsonSchema for Items {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FeedItems".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<FeedItem>();
        json_schema!({
            "description": "An item of a feed, or a list of items.",
            "anyOf": [item, {"type": "array", "items": item, "maxItems": 1000}],
        })
    }
}

/// The fields of a feed's item that change.
pub struct ItemPatch;

impl JsonSchema for ItemPatch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FeedItemPatch".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schema = <FeedItem as JsonSchema>::json_schema(generator).to_value();
        let mut patch = patch_of(&schema, generator);
        patch["description"] = "Fields of an item that change (JSON merge patch, RFC 7396): what is absent stays, null is the default. \
            `id` may be there and is the item's own."
            .into();
        Schema::try_from(patch).unwrap_or_default()
    }
}

/// The fields of an output that change.
pub struct OutputPatch;

impl JsonSchema for OutputPatch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OutputPatch".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schema = <OutputSpec as JsonSchema>::json_schema(generator).to_value();
        let mut patch = patch_of(&schema, generator);
        patch["description"] = "Fields of an output that change (JSON merge patch, RFC 7396): what is absent stays, null is the \
            default. `id` may be there and is the output's own. What is shown with `***` keeps its secret when it comes back as it is shown."
            .into();
        Schema::try_from(patch).unwrap_or_default()
    }
}

/// The fields of a rendition that change.
pub struct RenditionPatch;

impl JsonSchema for RenditionPatch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RenditionPatch".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schema = <RenditionSpec as JsonSchema>::json_schema(generator).to_value();
        let mut patch = patch_of(&schema, generator);
        patch["description"] = "Fields of a rendition that change (JSON merge patch, RFC 7396): what is absent stays, null is the \
            default. `id` may be there and is the rendition's own."
            .into();
        Schema::try_from(patch).unwrap_or_default()
    }
}

/// The fields of a layer's sound that change.
pub struct SoundPatch;

impl JsonSchema for SoundPatch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SoundPatch".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schema = <Sound as JsonSchema>::json_schema(generator).to_value();
        let mut patch = patch_of(&schema, generator);
        patch["description"] =
            "Fields of a layer's sound that change (JSON merge patch, RFC 7396): what is absent stays, null is the default.".into();
        Schema::try_from(patch).unwrap_or_default()
    }
}

/// The fields of the sum of all sounds that change.
pub struct MasterPatch;

impl JsonSchema for MasterPatch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MasterSoundPatch".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schema = <MasterSound as JsonSchema>::json_schema(generator).to_value();
        let mut patch = patch_of(&schema, generator);
        patch["description"] =
            "Fields of the sum of all sounds that change (JSON merge patch, RFC 7396): what is absent stays, null is the default.".into();
        Schema::try_from(patch).unwrap_or_default()
    }
}

/// The fields of an effect that change.
pub struct EffectPatch;

impl JsonSchema for EffectPatch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EffectPatch".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schema = <Effect as JsonSchema>::json_schema(generator).to_value();
        let mut patch = patch_of(&schema, generator);
        patch["description"] = "Fields of an effect that change (JSON merge patch, RFC 7396): what is absent stays, null is the \
            default. Another `type` takes the place of all but `id` and `enabled`."
            .into();
        Schema::try_from(patch).unwrap_or_default()
    }
}

/// The schema of what may be merged into a value of `schema`: of an object any part, with null for what goes; of all else the whole.
fn patch_of(schema: &Value, generator: &SchemaGenerator) -> Value {
    let Value::Object(map) = schema else {
        return schema.clone();
    };
    if let Some(name) = map.get("$ref").and_then(Value::as_str) {
        let name = name.rsplit('/').next().unwrap_or_default();
        let Some(target) = generator.definitions().get(name) else {
            return schema.clone();
        };
        if !is_merged(target, generator) {
            return schema.clone();
        }
        let mut patch = patch_of(target, generator);
        if let Some(description) = map.get("description") {
            patch["description"] = description.clone();
        }
        return patch;
    }
    let mut patch = map.clone();
    patch.remove("required");
    patch.remove("default");
    if let Some(Value::Object(properties)) = patch.get_mut("properties") {
        for property in properties.values_mut() {
            // The `type` of a source stays, or is written anew.
            *property = if property.get("const").is_some() {
                property.clone()
            } else {
                json!({"anyOf": [patch_of(property, generator), {"type": "null"}]})
            };
        }
    }
    for word in ["anyOf", "oneOf"] {
        if let Some(Value::Array(kinds)) = patch.remove(word) {
            let kinds: Vec<Value> = kinds.iter().map(|kind| patch_of(kind, generator)).collect();
            // Parts of several kinds may look the same.
            patch.insert("anyOf".to_owned(), kinds.into());
        }
    }
    patch.into()
}

/// Whether a patch goes into values of a schema, and does not take their place.
fn is_merged(schema: &Value, generator: &SchemaGenerator) -> bool {
    let has_object = |kind: &Value| match kind.get("$ref").and_then(Value::as_str) {
        Some(name) => {
            let name = name.rsplit('/').next().unwrap_or_default();
            let target = generator.definitions().get(name);
            target.is_some_and(|target| target.get("properties").is_some())
        }
        None => kind.get("properties").is_some(),
    };
    let kinds = schema.get("anyOf").or_else(|| schema.get("oneOf"));
    has_object(schema)
        || kinds
            .and_then(Value::as_array)
            .is_some_and(|kinds| kinds.iter().any(has_object))
}
