//! Scenes that are written to do harm: too large, too deep, too many, or leading out of their folder.

use std::fmt::Write as _;

use stream_manager::scene::{LoadOptions, scene_from_bytes, scene_from_text};

use super::folder::Folder;

fn refusal(text: &str, options: &LoadOptions) -> String {
    let errors = scene_from_text(text, "scene.json", None, options).unwrap_err();
    errors.plain()
}

#[test]
fn bounds_are_held() {
    let options = LoadOptions::default();
    let deep = "[".repeat(100_000);
    assert!(refusal(&deep, &options).contains("too deep in each other"));
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(17 << 20));
    assert!(refusal(&large, &options).contains("scene.json:1:1: the text is longer than 16 MiB"));
}

#[test]
fn text_that_is_not_utf_8_is_shown_where_it_breaks() {
    let options = LoadOptions::default();
    let errors = |bytes: &[u8]| {
        scene_from_bytes(bytes, "scene.json", None, &options)
            .unwrap_err()
            .plain()
    };
    assert!(errors(b"{\n \"\xc3\xa9\xff\": 1}").contains("scene.json:2:4: the text is not UTF-8"));
    assert!(errors(b"\xff\xfe{\0").contains("UTF-16"));
    assert!(errors(b"").contains("scene.json:1:1: the file is empty"));
    assert!(errors("\u{feff}{}".as_bytes()).contains("byte order mark"));
}

#[test]
fn layers_are_counted_with_their_children() {
    let layers = |count: usize| {
        let mut list = String::new();
        for index in 0..count {
            let comma = if index > 0 { "," } else { "" };
            write!(
                list,
                "{comma}\n{{\"id\": \"l{index}\", \"children\": [{{\"id\": \"c{index}\"}}]}}"
            )
            .unwrap();
        }
        format!("{{\"version\": 1, \"name\": \"\", \"layers\": [{list}]}}")
    };
    let options = LoadOptions {
        max_layers: 10,
        check_files: false,
        ..LoadOptions::default()
    };
    assert!(scene_from_text(&layers(5), "scene.json", None, &options).is_ok());
    let told = refusal(&layers(6), &options);
    assert_eq!(
        told,
        "scene.json:7:1: layers[5]: the scene has 12 layers; 10 are allowed; raise the setting MAX_LAYERS, or take layers out"
    );
}

#[test]
fn layers_nest_32_deep_and_no_deeper() {
    let nested = |depth: usize| {
        let mut layer = String::new();
        for index in 0..depth {
            let children = if layer.is_empty() {
                layer
            } else {
                format!(", \"children\": [{layer}]")
            };
            layer = format!("{{\"id\": \"l{index}\"{children}}}");
        }
        format!("{{\"version\": 1, \"name\": \"\", \"layers\": [{layer}]}}")
    };
    let options = LoadOptions::default();
    assert!(scene_from_text(&nested(32), "scene.json", None, &options).is_ok());
    let told = refusal(&nested(33), &options);
    assert!(
        told.contains("layers stand at most 32 deep in each other"),
        "{told}"
    );
    assert!(
        told.contains(&format!("layers[0]{}: ", ".children[0]".repeat(32))),
        "{told}"
    );
}

#[test]
fn a_thousand_problems_are_cut_short() {
    let layers = vec!["{\"opacity\": 7, \"x\": 1}"; 1000].join(",");
    let told = refusal(
        &format!("{{\"version\": 1, \"name\": \"\", \"layers\": [{layers}]}}"),
        &LoadOptions::default(),
    );
    assert!(told.lines().count() <= 101, "{}", told.lines().count());
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out_of_the_folder() {
    let outside = Folder::with_good_scene();
    let inside = Folder::new();
    let scene = |src: &str| {
        let text = format!(
            "{{\"version\": 1, \"name\": \"\", \"layers\": [{{\"id\": \"a\", \"source\": {{\"type\": \"image\", \"src\": \"{src}\"}}}}]}}"
        );
        scene_from_text(
            &text,
            "scene.json",
            Some(inside.path()),
            &LoadOptions::default(),
        )
    };
    std::os::unix::fs::symlink(outside.path(), inside.path().join("out")).unwrap();
    inside.write("real.png", b"\x89PNG\r\n\x1a\n");
    std::os::unix::fs::symlink(
        inside.path().join("real.png"),
        inside.path().join("link.png"),
    )
    .unwrap();
    assert!(scene("link.png").is_ok());
    let told = scene("out/assets/logo.png").unwrap_err().plain();
    assert!(told.contains("leaves the scene's folder"), "{told}");
}
