//! The scenes that come with the program, and the schema.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use components::scene::SceneSpec;
use components::source::Source;
use serde_json::Value;
use stream_manager::scene::{LoadOptions, load_scene, scene_from_text, scene_schema, to_json};

fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes");
    let mut scenes: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .filter(|path| !path.to_string_lossy().ends_with(".schema.json"))
        .collect();
    scenes.sort();
    scenes
}

fn load(path: &Path) -> SceneSpec {
    let options = LoadOptions {
        max_layers: 1000,
        check_files: true,
        ..LoadOptions::default()
    };
    match load_scene(path, &options) {
        Ok(scene) => scene.spec,
        Err(errors) => panic!("{}", errors.plain()),
    }
}

#[test]
fn every_shipped_scene_loads_and_comes_back_as_it_was() {
    for path in shipped() {
        let scene = load(&path);
        let options = LoadOptions {
            max_layers: 1000,
            check_files: false,
            ..LoadOptions::default()
        };
        let again = scene_from_text(&to_json(&scene), "again.json", path.parent(), &options);
        assert_eq!(again.map_err(|errors| errors.plain()), Ok(scene));
    }
}

#[test]
fn every_kind_of_source_is_seen_in_a_shipped_scene() {
    let mut seen = BTreeSet::new();
    for path in shipped() {
        load(&path).walk_layers(|layer| {
            seen.insert(layer.source.kind());
        });
    }
    let missing: Vec<_> = Source::KINDS
        .iter()
        .filter(|kind| !seen.contains(*kind))
        .collect();
    assert!(
        missing.is_empty(),
        "no scene in scenes/ has a source of kind {missing:?}"
    );
}

#[test]
fn every_kind_of_source_has_a_schema_words_and_an_example() {
    let schema = scene_schema();
    let kinds = schema
        .pointer("/$defs/Source/oneOf")
        .and_then(Value::as_array)
        .unwrap();
    assert_eq!(kinds.len(), Source::KINDS.len());
    for name in Source::KINDS {
        let kind = kinds
            .iter()
            .find(|kind| kind.pointer("/properties/type/const") == Some(&Value::from(*name)))
            .unwrap_or_else(|| panic!("`{name}` has no schema"));
        assert!(
            kind["description"]
                .as_str()
                .is_some_and(|words| words.len() > 5),
            "{name}: {kind}"
        );
        assert_eq!(kind["examples"][0]["type"], **name);
        assert!(
            kind["required"]
                .as_array()
                .unwrap()
                .contains(&"type".into()),
            "{name}"
        );
    }
}

#[test]
fn the_schema_asks_for_no_more_than_the_loader_does() {
    let schema = scene_schema();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(sorted(&schema["required"]), ["name", "version"]);
    assert_eq!(sorted(&schema["$defs"]["LayerSpec"]["required"]), ["id"]);
    assert_eq!(sorted(&schema["$defs"]["TimelineSpec"]["required"]), ["id"]);
    assert_eq!(
        sorted(&schema["$defs"]["TrackSpec"]["required"]),
        ["keyframes", "layer", "property"]
    );
    for name in ["CanvasSpec", "Transitions", "Font", "Crop", "Position"] {
        assert!(schema["$defs"][name]["required"].is_null(), "{name}");
    }
    let least =
        r#"{"version": 1, "name": "least", "layers": [{"id": "a"}], "timelines": [{"id": "t"}]}"#;
    assert!(scene_from_text(least, "least.json", None, &LoadOptions::default()).is_ok());
}

#[test]
fn every_object_of_the_schema_is_closed_and_every_field_described() {
    fn look(schema: &Value, place: &str, wrong: &mut Vec<String>) {
        if let Some(fields) = schema["properties"].as_object() {
            if schema["additionalProperties"] != Value::Bool(false) {
                wrong.push(format!("{place} takes any field"));
            }
            for (name, field) in fields {
                let told = field["description"].is_string() || field["const"].is_string();
                let parts = name == "x" || name == "y" || name == "cubicBezier" || name == "steps";
                if !told && !parts {
                    wrong.push(format!("{place}.{name} has no description"));
                }
            }
        }
        match schema {
            Value::Array(list) => {
                list.iter()
                    .enumerate()
                    .for_each(|(index, schema)| look(schema, &format!("{place}[{index}]"), wrong));
            }
            Value::Object(map) => {
                for (name, schema) in map
                    .iter()
                    .filter(|(name, _)| !["examples", "default"].contains(&name.as_str()))
                {
                    look(schema, &format!("{place}/{name}"), wrong);
                }
            }
            _ => {}
        }
    }
    let mut wrong = Vec::new();
    look(&scene_schema(), "", &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn sorted(list: &Value) -> Vec<&str> {
    let mut names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn the_schema_beside_the_scenes_is_the_one_that_is_printed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/scene.schema.json");
    let printed =
        serde_json::to_string_pretty(&stream_manager::scene::scene_schema()).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &printed).unwrap();
    }
    let shipped = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        shipped == printed,
        "scenes/scene.schema.json is out of date; `BLESS=1 cargo test --test scenes_check` writes it"
    );
}
