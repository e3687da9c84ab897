//! What the list of outputs comes to, from settings, scene and what was saved.

use serde_json::{Value, json};

use super::*;
use crate::config::{LoadSources, Settings};

fn settings(given: &[(&str, &str)]) -> Settings {
    let flags = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load(LoadSources {
        config_file: None,
        dotenv: None,
        environment: Vec::new(),
        flags: flags.collect(),
    })
    .expect("settings")
}

fn scene(outputs: Value, renditions: Value) -> SceneSpec {
    let mut scene = SceneSpec::new("s");
    let read: Vec<OutputSpec> = serde_json::from_value(outputs).expect("outputs");
    scene.outputs = read.into_iter().map(Arc::new).collect();
    let read: Vec<RenditionSpec> = serde_json::from_value(renditions).expect("renditions");
    scene.renditions = read.into_iter().map(Arc::new).collect();
    scene
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn ids(list: &OutputList) -> Vec<(&str, Origin)> {
    let outputs = list.outputs.iter();
    outputs
        .map(|entry| (entry.spec.id.as_str(), entry.origin))
        .collect()
}

#[test]
fn a_scene_wins_over_settings_and_the_api_over_both() {
    let settings = settings(&[
        ("STREAM_URL", "rtmp://host/live/abcd-1234"),
        ("RENDITIONS", "720p:3000,480p:1200"),
    ]);
    let outputs =
        json!([{"id": "push", "url": "rtmp://other/live/x"}, {"id": "file", "type": "file"}]);
    let scene = scene(
        outputs,
        json!([{"id": "480p", "height": 480, "bitrate": 900}]),
    );
    let base = OutputList::of(&settings, &scene);
    assert_eq!(
        ids(&base),
        [
            ("hls", Origin::Settings),
            ("push", Origin::Scene),
            ("file", Origin::Scene)
        ]
    );
    let renditions: Vec<_> = base
        .renditions
        .iter()
        .map(|spec| (spec.id.as_str(), spec.bitrate))
        .collect();
    assert_eq!(
        renditions,
        [("main", None), ("720p", Some(3000)), ("480p", Some(900))]
    );

    let mut saved = Saved::default();
    let mut list = base.clone();
    let add = |id: &str| {
        OutputChange::Add(Box::new(OutputSpec {
            kind: Some(OutputType::Hls),
            ..OutputSpec::new(id)
        }))
    };
    for change in [
        add("mine"),
        OutputChange::Patch("push".to_owned(), map(json!({"enabled": false}))),
        OutputChange::Patch("push".to_owned(), map(json!({"timeout": 900}))),
        OutputChange::Patch("mine".to_owned(), map(json!({"window": 9}))),
        OutputChange::Remove("hls".to_owned()),
        OutputChange::Rendition("720p".to_owned(), map(json!({"bitrate": 2500}))),
    ] {
        (list, saved) = list.after(&change, &base, &saved).expect("a change");
    }
    // As after a restart.
    let read: Saved = serde_json::from_value(json_of(&saved)).expect("saved");
    let list = {
        assert_eq!(base.with_saved(&read), list);
        list
    };
    assert_eq!(
        ids(&list),
        [
            ("push", Origin::Scene),
            ("file", Origin::Scene),
            ("mine", Origin::Api)
        ]
    );
    let push = list.output("push").expect("there");
    assert!(push.is_changed && !push.spec.enabled && push.spec.timeout == Some(900));
    assert_eq!(list.output("mine").expect("there").spec.window, Some(9));
    assert_eq!(list.rendition("720p").expect("there").bitrate, Some(2500));

    // One that was removed can be added anew, and goes for good where the API alone had it.
    let (list, saved) = list.after(&add("hls"), &base, &saved).expect("free");
    assert_eq!(list.output("hls").expect("there").origin, Origin::Api);
    let gone = OutputChange::Remove("mine".to_owned());
    let (list, saved) = list.after(&gone, &base, &saved).expect("gone");
    assert!(list.output("mine").is_err() && !saved.outputs.contains_key("mine"));
}

#[test]
fn what_cannot_be_is_refused_and_says_why() {
    let settings = settings(&[]);
    let base = OutputList::of(&settings, &SceneSpec::new("s"));
    let refused = |change: OutputChange| {
        let error = base
            .after(&change, &base, &Saved::default())
            .expect_err("refused");
        (error.code, error.message)
    };
    let spec = |value: Value| {
        OutputChange::Add(Box::new(serde_json::from_value(value).expect("an output")))
    };
    let (code, message) = refused(spec(json!({"id": "hls", "type": "hls"})));
    assert_eq!(code, ErrorCode::Conflict, "{message}");
    let (code, message) = refused(spec(json!({"id": "a", "url": "rtmp://host/live/***"})));
    assert_eq!(code, ErrorCode::Invalid);
    assert!(message.starts_with("url: "), "{message}");
    let patch = |patch: Value| OutputChange::Patch("hls".to_owned(), map(patch));
    assert_eq!(refused(patch(json!({"windw": 3}))).0, ErrorCode::BadRequest);
    assert_eq!(refused(patch(json!({"window": 1}))).0, ErrorCode::Invalid);
    assert_eq!(refused(patch(json!({"id": "other"}))).0, ErrorCode::Invalid);
    assert_eq!(refused(patch(json!({"id": null}))).0, ErrorCode::Invalid);
    let adaptive = map(json!({"adaptive": {}}));
    let (code, message) = refused(OutputChange::Rendition("main".to_owned(), adaptive));
    assert_eq!(code, ErrorCode::Invalid, "{message}");
    let (code, message) = refused(OutputChange::Remove("hsl".to_owned()));
    assert_eq!(code, ErrorCode::NotFound, "{message}");
}
