//! Outputs and renditions in scene files: the example is good, and what is wrong is told where it stands.

use std::path::Path;

use serde_json::{Value, json};
use stream_manager::scene::{LoadOptions, load_scene, scene_from_text};

fn problems(outputs: Value, renditions: Value) -> Vec<String> {
    let scene = json!({"version": 1, "name": "s", "outputs": outputs, "renditions": renditions});
    let options = LoadOptions::default();
    match scene_from_text(&scene.to_string(), "scene.json", None, &options) {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .problems()
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect(),
    }
}

#[test]
fn the_example_is_a_good_scene_without_a_secret() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/outputs.json");
    let scene = load_scene(&path, &LoadOptions::default()).unwrap();
    assert_eq!(
        (scene.spec.outputs.len(), scene.spec.renditions.len()),
        (4, 3)
    );
    assert!(
        scene
            .spec
            .outputs
            .iter()
            .all(|output| output.key.is_none() && output.url.is_none())
    );
}

#[test]
fn what_is_wrong_is_told_where_it_stands() {
    let outputs = json!([
        {"id": "a", "url": "rtmp://host/app", "renditions": ["720"]},
        {"id": "a", "type": "hls", "segmentSecods": 4},
        {"id": "c", "platform": "twich", "key": "k"},
        {"id": "recording", "type": "file"},
    ]);
    let renditions = json!([
        {"id": "720p", "height": 721},
        {"id": "720p", "keyframeInterval": 1},
        {"id": "main", "width": 640},
    ]);
    assert_eq!(
        problems(outputs, renditions),
        [
            "outputs[0].renditions[0]: there is no rendition `720`",
            "outputs[1].id: the name `a` is taken",
            "outputs[1].segmentSecods: unknown field `segmentSecods`",
            "outputs[2].platform: unknown word `twich`",
            "outputs[3].id: this name is kept for the program itself; use another one",
            "renditions[0].height: 721 does not serve; it must be even and from 16 to 4320",
            "renditions[1].id: the name `720p` is taken",
            "renditions[1].keyframeInterval: it belongs to `main`, whose keyframes all renditions share",
            "renditions[2].width: `main` has the size of the canvas; name a rendition of another size otherwise",
        ]
    );
    let many: Vec<Value> = (0..33)
        .map(|n| json!({"id": format!("o{n}"), "type": "hls"}))
        .collect();
    assert_eq!(
        problems(json!(many), json!([])),
        ["outputs: there are 33; 32 are the most"]
    );
}
