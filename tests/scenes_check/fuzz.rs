//! Any bytes give a scene, or at least one problem that stands somewhere in the file. Nothing panics.

use proptest::prelude::*;
use stream_manager::scene::{LoadOptions, scene_from_bytes, to_json};

use super::GOOD;

/// One change to a text, at places given as parts of its length.
#[derive(Clone, Debug)]
enum Mutation {
    Delete(f64, usize),
    Insert(f64, Vec<u8>),
    Replace(f64, u8),
    Truncate(f64),
    Duplicate(f64, f64, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = 0.0..1.0;
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..8),
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "null",
            "true",
            "-1",
            "1e99",
            "1e999",
            "{{a.b}}",
            "\"id\": 1,",
            "é",
            "\u{2028}",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        (at.clone(), 1..60_usize).prop_map(|(at, length)| Mutation::Delete(at, length)),
        (at.clone(), piece).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        at.clone().prop_map(Mutation::Truncate),
        (at.clone(), at, 1..200_usize)
            .prop_map(|(from, to, length)| Mutation::Duplicate(from, to, length)),
    ]
}

fn apply(bytes: &mut Vec<u8>, mutation: Mutation) {
    let place = |part: f64, bytes: &[u8]| (part * bytes.len() as f64) as usize;
    match mutation {
        Mutation::Delete(at, length) => {
            let start = place(at, bytes);
            let end = (start + length).min(bytes.len());
            bytes.drain(start..end);
        }
        Mutation::Insert(at, piece) => {
            let at = place(at, bytes);
            bytes.splice(at..at, piece);
        }
        Mutation::Replace(at, byte) => {
            let at = place(at, bytes);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        Mutation::Truncate(at) => bytes.truncate(place(at, bytes)),
        Mutation::Duplicate(from, to, length) => {
            let start = place(from, bytes);
            let piece = bytes[start..(start + length).min(bytes.len())].to_vec();
            let to = place(to, bytes);
            bytes.splice(to..to, piece);
        }
    }
}

fn check(bytes: &[u8]) {
    let options = LoadOptions::default();
    match scene_from_bytes(bytes, "scene.json", None, &options) {
        Ok(scene) => {
            let written = to_json(&scene);
            match scene_from_bytes(written.as_bytes(), "scene.json", None, &options) {
                Ok(again) => assert!(again == scene, "{written}"),
                Err(errors) => panic!("{}\n{written}", errors.plain()),
            }
        }
        Err(errors) => {
            assert!(!errors.problems().is_empty());
            let text = String::from_utf8_lossy(bytes);
            let lines: Vec<&str> = text.split('\n').collect();
            for problem in errors.problems() {
                let line = lines.get(problem.line - 1).unwrap();
                assert!(
                    (1..=line.chars().count() + 1).contains(&problem.column),
                    "{}",
                    problem.plain()
                );
                assert!(!problem.message.is_empty());
            }
            let mut out = String::new();
            miette::GraphicalReportHandler::new()
                .render_report(&mut out, &errors)
                .unwrap();
            assert!(!out.contains("Failed to read contents"), "{out}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
    }

    #[test]
    fn random_json_never_panics(text in r#"[\[\]{}":,\\a01e.\- \n]{0,80}"#) {
        check(text.as_bytes());
    }

    #[test]
    fn a_mutated_scene_never_panics(mutations in prop::collection::vec(mutation(), 1..6)) {
        let mut bytes = GOOD.as_bytes().to_vec();
        for mutation in mutations {
            apply(&mut bytes, mutation);
        }
        check(&bytes);
    }

    #[test]
    fn any_value_in_any_place_never_panics(place in 0.0..1.0, value in prop::sample::select(vec![
        "null", "true", "-1", "1e30", "\"\"", "\"{{x}}\"", "[]", "{}", "[[]]", "{\"type\": \"text\"}", "18446744073709551615",
    ])) {
        let mut scene: serde_json::Value = serde_json::from_str(GOOD).unwrap();
        let mut count = 0;
        visit(&mut scene, &mut |_| count += 1);
        let chosen = (place * f64::from(count)) as i32;
        let value: serde_json::Value = serde_json::from_str(value).unwrap();
        let mut number = 0;
        visit(&mut scene, &mut |at| {
            if number == chosen {
                *at = value.clone();
            }
            number += 1;
        });
        check(scene.to_string().as_bytes());
        check(format!("{scene:#}").as_bytes());
    }
}

fn visit(value: &mut serde_json::Value, look: &mut dyn FnMut(&mut serde_json::Value)) {
    look(value);
    match value {
        serde_json::Value::Array(list) => list.iter_mut().for_each(|value| visit(value, look)),
        serde_json::Value::Object(map) => map.values_mut().for_each(|value| visit(value, look)),
        _ => {}
    }
}
