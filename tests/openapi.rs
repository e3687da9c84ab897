//! The OpenAPI document: whole, without loose ends, and true to what the product itself writes and shows.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

#[path = "openapi/schema.rs"]
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schema::{check, resolve};
use serde_json::{Map, Value, json};
use stream_manager::control::view;
use stream_manager::scene::{LoadOptions, load_scene};
use stream_manager::server::openapi;

/// Fields whose values are data, and no schemas.
const DATA: [&str; 5] = ["default", "examples", "example", "enum", "const"];

/// Calls `look` with every object of the document that may be a schema, and its place.
fn walk(value: &Value, place: &str, look: &mut dyn FnMut(&Map<String, Value>, &str)) {
    match value {
        Value::Object(map) => {
            look(map, place);
            for (name, value) in map {
                // A field of a layer may well be named `default`.
                if !DATA.contains(&name.as_str()) || place.ends_with("/properties") {
                    walk(value, &format!("{place}/{name}"), look);
                }
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                walk(value, &format!("{place}/{index}"), look);
            }
        }
        _ => {}
    }
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            found.push((format!("{method} {path}"), operation));
        }
    }
    assert!(found.len() > 50, "{} operations", found.len());
    found
}

fn hold(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_operation_says_what_it_does_and_answers() {
    let document = openapi(false);
    let mut wrong = Vec::new();
    let mut ids: BTreeMap<&str, String> = BTreeMap::new();
    for (name, operation) in operations(&document) {
        match operation["operationId"].as_str() {
            Some(id) => {
                if let Some(other) = ids.insert(id, name.clone()) {
                    wrong.push(format!("{name} and {other} are both `{id}`"));
                }
            }
            None => wrong.push(format!("{name} has no operationId")),
        }
        let summary = operation["summary"].as_str().unwrap_or_default();
        if summary.len() < 5 || summary.ends_with('.') {
            wrong.push(format!("{name} has the summary {summary:?}"));
        }
        let tags = operation["tags"].as_array().map_or(&[][..], Vec::as_slice);
        if tags.is_empty()
            || tags
                .iter()
                .any(|tag| tag.as_str().is_none_or(str::is_empty))
        {
            wrong.push(format!("{name} has no tag"));
        }
        let responses = operation["responses"].as_object().unwrap();
        if !responses
            .keys()
            .any(|status| status.starts_with('2') || status == "101")
        {
            wrong.push(format!("{name} has no success"));
        }
        for (status, response) in responses {
            let response = match response["$ref"].as_str() {
                Some(reference) => resolve(&document, reference).unwrap(),
                None => response,
            };
            if response["description"].as_str().unwrap_or_default().len() < 5 {
                wrong.push(format!("{name} says nothing of its {status}"));
            }
        }
    }
    hold(wrong);
}

#[test]
fn every_parameter_is_described_and_every_name_in_a_path_is_a_parameter() {
    let document = openapi(true);
    let mut wrong = Vec::new();
    for (name, operation) in operations(&document) {
        let mut in_path = BTreeSet::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let own = parameter["name"].as_str().unwrap();
            if parameter["description"].as_str().unwrap_or_default().len() < 5
                || !parameter["schema"].is_object()
            {
                wrong.push(format!("{name} does not describe `{own}`"));
            }
            if parameter["in"] == "path" {
                if parameter["required"] != true {
                    wrong.push(format!("{name}: `{own}` is in the path and not required"));
                }
                in_path.insert(own);
            }
        }
        let named: BTreeSet<&str> = name
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        if named != in_path {
            wrong.push(format!("{name} describes {in_path:?}"));
        }
    }
    hold(wrong);
}

#[test]
fn every_reference_and_every_link_leads_somewhere() {
    let document = openapi(true);
    let mut wrong = Vec::new();
    let ids: BTreeSet<String> = operations(&document)
        .iter()
        .map(|(_, operation)| operation["operationId"].as_str().unwrap().to_owned())
        .collect();
    let mut used = BTreeSet::new();
    walk(&document, "#", &mut |map, place| {
        if let Some(Value::String(reference)) = map.get("$ref") {
            used.insert(reference.clone());
            if resolve(&document, reference).is_none() {
                wrong.push(format!("{place}: {reference}"));
            }
        }
        for (name, link) in map
            .get("links")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if !ids.contains(link["operationId"].as_str().unwrap_or_default()) {
                wrong.push(format!("{place}/links/{name} leads to no operation"));
            }
        }
    });
    for part in ["schemas", "responses"] {
        for name in document["components"][part].as_object().unwrap().keys() {
            if !used.contains(&format!("#/components/{part}/{name}")) {
                wrong.push(format!("components/{part}/{name} is not used"));
            }
        }
    }
    hold(wrong);
}

#[test]
fn a_token_is_asked_for_exactly_where_there_is_one() {
    assert!(openapi(false)["components"]["securitySchemes"].is_null());
    let document = openapi(true);
    for (name, operation) in operations(&document) {
        let is_public = name == "get /openapi.json";
        assert_eq!(operation["security"].is_null(), is_public, "{name}");
        assert_eq!(operation["responses"]["401"].is_null(), is_public, "{name}");
    }
}

#[test]
fn exactly_what_changes_what_is_saved_can_be_waited_for() {
    let fleeting = [
        "checkNewOutput",
        "convertPoints",
        "hitTest",
        "kickRtmpSession",
        "reconnectInput",
        "resetMeters",
        "retryOutput",
        "revealKey",
        "say",
        "stopSpeech",
        "stopUtterance",
        "takeThumbnail",
    ];
    let document = openapi(false);
    let mut wrong = Vec::new();
    for (place, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        let mut parameters = operation["parameters"].as_array().into_iter().flatten();
        let takes = parameters.any(|parameter| parameter["name"] == "durable");
        let saves = !place.starts_with("get ") && !fleeting.contains(&id);
        if takes != saves {
            wrong.push(format!("{place} ({id})"));
        }
    }
    hold(wrong);
}

#[test]
fn every_example_and_every_default_is_of_its_schema() {
    let document = openapi(false);
    let mut wrong = Vec::new();
    let mut count = 0;
    walk(&document, "#", &mut |map, place| {
        let schema = map.get("schema").filter(|_| map.contains_key("example"));
        let own = Value::Object(map.clone());
        let mut values: Vec<(&Value, &Value)> = Vec::new();
        if let (Some(schema), Some(example)) = (schema, map.get("example")) {
            values.push((schema, example));
        }
        if !place.ends_with("/properties") && !map.contains_key("in") {
            let examples = map.get("examples").and_then(Value::as_array);
            let examples = examples.into_iter().flatten().chain(map.get("default"));
            values.extend(examples.map(|example| (&own, example)));
        }
        count += values.len();
        for (schema, value) in values {
            wrong.extend(check(&document, schema, value, place));
        }
    });
    assert!(count > 20, "{count} examples");
    hold(wrong);
}

#[test]
fn the_schemas_take_the_shipped_scenes_and_what_is_shown_of_them() {
    let document = openapi(false);
    let named = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let (scene, shown, patch) = (named("SceneSpec"), named("LayerState"), named("LayerPatch"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes");
    let options = LoadOptions {
        max_layers: 1000,
        check_files: false,
        ..LoadOptions::default()
    };
    let mut wrong = Vec::new();
    let mut layers = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".json") || name.ends_with(".schema.json") {
            continue;
        }
        let written = std::fs::read_to_string(&path).unwrap();
        let written: Value = serde_json::from_str(&written).unwrap();
        wrong.extend(check(&document, &scene, &written, &name));
        let spec = load_scene(&path, &options).unwrap().spec;
        let own = serde_json::to_value(&spec).unwrap();
        wrong.extend(check(&document, &scene, &view::json_of(&own), &name));
        spec.walk_layers(|layer| {
            layers += 1;
            let place = format!("{name} {}", layer.id);
            let view = view::layer(layer, None);
            wrong.extend(check(&document, &shown, &view, &place));
            // A patch may name every field that the layer has.
            let fields = view::json_of(&layer.without_children());
            wrong.extend(check(&document, &patch, &fields, &place));
        });
    }
    assert!(layers > 100, "{layers} layers");
    hold(wrong);
}

#[test]
fn a_patch_may_name_any_part_of_a_layer_and_nothing_else() {
    let document = openapi(false);
    let patch = json!({"$ref": "#/components/schemas/LayerPatch"});
    for (part, fits) in [
        (json!({}), true),
        (json!({"opacity": 0.5, "zIndex": null}), true),
        (json!({"position": {"x": 3}, "size": {"width": 5}}), true),
        (json!({"source": {"text": "new"}}), true),
        (
            json!({"source": {"font": {"size": 12}, "outline": null}}),
            true,
        ),
        (json!({"source": {"fill": {"angle": 45}}}), true),
        (json!({"source": {"type": "color"}}), true),
        (
            json!({"source": {"stroke": {"width": 3}}, "scale": {"x": 2}}),
            true,
        ),
        (json!({"opacty": 0.5}), false),
        (json!({"opacity": 2}), false),
        (json!({"source": {"font": {"size": "large"}}}), false),
        (json!({"source": {"fill": {"stops": [{"at": 0}]}}}), false),
        (json!(7), false),
    ] {
        let wrong = check(&document, &patch, &part, "patch");
        assert_eq!(wrong.is_empty(), fits, "{part}: {wrong:?}");
    }
}
