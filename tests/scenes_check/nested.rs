//! Scenes within scenes: which file is meant, and what is refused.

use components::source::Source;
use stream_manager::prepare;
use stream_manager::scene::{LoadOptions, LoadedScene, SceneErrors, load_scene};

use super::folder::Folder;

fn scene(layers: &str, data: &str) -> String {
    format!(
        r#"{{"version": 1, "name": "Tested", "canvas": {{"width": 64, "height": 64}}, "data": {data}, "layers": [{layers}]}}"#
    )
}

fn nest(src: &str) -> String {
    format!(r#"{{"id": "{src}-layer", "source": {{"type": "scene", "src": "{src}"}}}}"#)
}

fn load(folder: &Folder, name: &str) -> Result<LoadedScene, SceneErrors> {
    load_scene(&folder.path().join(name), &LoadOptions::default())
}

/// The one problem of `name`, with its path.
fn problem(folder: &Folder, name: &str) -> (String, String) {
    let errors = load(folder, name).unwrap_err();
    let [problem] = errors.problems() else {
        panic!("one problem: {}", errors.plain());
    };
    let help = problem.help.clone().unwrap_or_default();
    (problem.path.clone(), format!("{} {help}", problem.message))
}

const WORDS: &str = r#"{"id": "words", "source": {"type": "text", "text": "{{title}}"}}"#;

#[test]
fn the_file_beside_the_scene_is_read_with_its_files_and_stays_out_of_what_is_written() {
    let folder = Folder::with_good_scene();
    let card = scene(
        r#"{"id": "l", "source": {"type": "image", "src": "logo"}}"#,
        "{}",
    );
    let card = card.replace(
        r#""layers""#,
        r#""assets": {"logo": {"path": "assets/photo.jpg"}, "f": {"path": "assets/Inter.ttf"}}, "layers""#,
    );
    folder.write("card.json", card);
    for src in ["card", "card.json"] {
        let other = r#", {"id": "own", "source": {"type": "image", "src": "logo"}}"#;
        let text = scene(&(nest(src) + other), "{}");
        let text = text.replace(
            r#""layers""#,
            r#""assets": {"logo": {"path": "assets/logo.png"}}, "layers""#,
        );
        folder.write("outer.json", text);
        let loaded = load(&folder, "outer.json").unwrap();
        assert_eq!(loaded.spec.count_layers(), 3);
        let Source::Scene(source) = &loaded.spec.layers[0].source else {
            panic!("a scene");
        };
        let Source::Image(image) = &source.inner.as_ref().unwrap().layers[0].source else {
            panic!("an image");
        };
        assert_eq!(image.src.to_string(), "assets/photo.jpg", "its own name");
        let written = stream_manager::scene::to_json(&loaded.spec);
        assert!(!written.contains("photo"), "{written}");
        // The folder's pictures hold only their first bytes, so it is the first that is refused.
        let error = prepare::bundle(&loaded, &folder.path().to_owned().into())
            .err()
            .unwrap();
        assert!(error.to_string().contains("assets/photo.jpg"), "{error}");
    }
}

#[test]
fn a_scene_that_is_gone_or_broken_is_left_out_where_files_need_not_be_there() {
    let folder = Folder::new();
    let picture = r#"{"id": "p", "source": {"type": "image", "src": "gone.png"}}"#;
    folder.write("half.json", r#"{"version": 1, "name": "#);
    folder.write(
        "card.json",
        scene(&format!("{picture}, {}", nest("deeper")), "{}"),
    );
    let nests = [nest("gone"), nest("half"), nest("card")].join(", ");
    folder.write("outer.json", scene(&nests, "{}"));
    load(&folder, "outer.json").unwrap_err();
    let options = LoadOptions {
        check_files: false,
        ..LoadOptions::default()
    };
    let loaded = load_scene(&folder.path().join("outer.json"), &options).unwrap();
    let inner = loaded.spec.layers.iter().map(|layer| match &layer.source {
        Source::Scene(source) => source.inner.as_ref().map(|inner| inner.layers.len()),
        _ => panic!("a scene"),
    });
    assert_eq!(inner.collect::<Vec<_>>(), [None, None, Some(2)]);
    assert!(loaded.spec.holds_scene("deeper") && !loaded.spec.holds_scene("p"));
    let found = prepare::bundle_without_missing(&loaded, &folder.path().to_owned().into());
    let told: Vec<String> = found.1.iter().map(ToString::to_string).collect();
    for word in ["`gone.png`", "`gone`", "`half`", "`deeper`"] {
        assert!(
            told.iter().any(|told| told.contains(word)),
            "{word}: {told:?}"
        );
    }
    assert_eq!(told.len(), 4, "{told:?}");
}

#[test]
fn circles_and_depth_are_refused_with_the_way_that_leads_there() {
    let folder = Folder::new();
    for (name, inner) in [("a", "b"), ("b", "c"), ("c", "a"), ("self", "self")] {
        folder.write(&format!("{name}.json"), scene(&nest(inner), "{}"));
    }
    let (path, message) = problem(&folder, "a.json");
    assert_eq!(path, "layers[0].source.src");
    assert!(message.contains("a → b → c → a"), "{message}");
    let (_, message) = problem(&folder, "self.json");
    assert!(message.contains("circle: self → self"), "{message}");

    for depth in 1..5 {
        folder.write(
            &format!("d{depth}.json"),
            scene(&nest(&format!("d{}", depth + 1)), "{}"),
        );
    }
    folder.write("d5.json", scene(WORDS, r#"{"title": "deep"}"#));
    assert!(load(&folder, "d2.json").is_ok(), "four deep");
    let (_, message) = problem(&folder, "d1.json");
    assert!(message.contains("d1 → d2 → d3 → d4"), "{message}");
}

#[test]
fn a_missing_or_broken_scene_is_told_where_it_is_named_and_where_it_is_broken() {
    let folder = Folder::new();
    folder.write("outer.json", scene(&nest("scorebord"), "{}"));
    folder.write("scoreboard.json", scene("", "{}"));
    let (path, message) = problem(&folder, "outer.json");
    assert_eq!(path, "layers[0].source.src");
    assert!(
        message.contains("scorebord.json") && message.contains("did you mean \"scoreboard\"?"),
        "{message}"
    );

    folder.write(
        "scorebord.json",
        scene(r#"{"id": "x", "opacity": 7}"#, "{}"),
    );
    let (_, message) = problem(&folder, "outer.json");
    assert!(
        message.contains("scorebord.json:1:") && message.contains("layers[0].opacity"),
        "{message}"
    );
    for src in ["../outside", "sub/scene", "", "/etc/passwd"] {
        folder.write(
            "outer.json",
            scene(
                &nest(src)
                    .replace(r#""id": "#, r#""name": "#)
                    .replace(r#"{"name""#, r#"{"id": "l", "name""#),
                "{}",
            ),
        );
        let errors = load(&folder, "outer.json").unwrap_err().plain();
        assert!(errors.contains("layers[0].source.src"), "{src}: {errors}");
    }
}

#[test]
fn its_texts_may_use_the_data_around_it_and_its_layers_count() {
    let folder = Folder::new();
    folder.write("card.json", scene(WORDS, "{}"));
    folder.write("outer.json", scene(&nest("card"), "{}"));
    let (_, message) = problem(&folder, "outer.json");
    assert!(message.contains("`title`"), "{message}");
    folder.write(
        "outer.json",
        scene(&nest("card"), r#"{"title": "outside"}"#),
    );
    assert!(load(&folder, "outer.json").is_ok());
    let given =
        r#"{"id": "l", "source": {"type": "scene", "src": "card", "data": {"title": "given"}}}"#;
    folder.write("outer.json", scene(given, "{}"));
    assert!(load(&folder, "outer.json").is_ok());

    let layers: Vec<String> = (0..30).map(|n| format!(r#"{{"id": "l{n}"}}"#)).collect();
    folder.write("many.json", scene(&layers.join(","), "{}"));
    let twice = nest("many") + "," + &nest("many").replace("many-layer", "again");
    folder.write("outer.json", scene(&twice, "{}"));
    let (_, message) = problem(&folder, "outer.json");
    assert!(message.contains("62 layers; 50 are allowed"), "{message}");
}
