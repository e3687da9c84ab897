//! The JSON Schema (draft 2020-12) of scene files, by which editors complete and check them.

use components::scene::SceneSpec;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::registry::SOURCE_KINDS;

/// The schema of a scene file, made from the types that are read.
pub fn scene_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<SceneSpec>().to_value();
    if let Some(kinds) = schema
        .pointer_mut("/$defs/Source/oneOf")
        .and_then(Value::as_array_mut)
    {
        for kind in kinds {
            describe_kind(kind);
        }
    }
    tidy(&mut schema);
    schema
}

/// The largest whole number that every reader of JSON keeps exactly: 2^53 - 1 (RFC 8259, section 6).
pub const WHOLE_MAX: u64 = (1 << 53) - 1;

/// Gives every whole number the bounds of its type, and writes numbers as people do: `0.9`, and not the longer one that the 32 bits of
/// it stand for.
pub fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let bounds = match map.get("format").and_then(Value::as_str) {
                Some("int32") => Some((i64::from(i32::MIN), i32::MAX as u64)),
                Some("uint8") => Some((0, u64::from(u8::MAX))),
                Some("uint32") => Some((0, u64::from(u32::MAX))),
                Some("uint" | "uint64") => Some((0, WHOLE_MAX)),
                _ => None,
            };
            if let Some((low, high)) = bounds {
                map.entry("minimum").or_insert_with(|| low.into());
                map.entry("maximum").or_insert_with(|| high.into());
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Number(number) => {
            let wide = number.as_f64().filter(|_| number.is_f64());
            if let Some(narrow) = wide.map(|wide| wide as f32)
                && wide == Some(f64::from(narrow))
                && let Ok(short) = narrow.to_string().parse::<f64>()
            {
                *schema = short.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
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
