//! Rules for the outputs and renditions of a scene that one of them alone cannot tell: names, counts, and which rendition an output asks
//! for.

use std::collections::HashSet;

use components::Problem;
use components::output::{OutputSpec, RenditionSpec};
use components::scene::SceneSpec;

use super::registry::field;
use super::words;

/// Adds every problem of the two lists to `found`.
pub(super) fn check(scene: &SceneSpec, found: &mut Vec<Problem>) {
    let renditions = scene.renditions.iter().map(|spec| spec.id.as_str());
    names("renditions", renditions.clone(), found);
    let outputs = scene.outputs.iter().map(|spec| spec.id.as_str());
    names("outputs", outputs, found);
    let has_main = renditions.clone().any(|id| id == RenditionSpec::MAIN);
    let renditions_max = RenditionSpec::COUNT_MAX - usize::from(!has_main);
    for (list, count, max) in [
        ("renditions", scene.renditions.len(), renditions_max),
        ("outputs", scene.outputs.len(), OutputSpec::COUNT_MAX),
    ] {
        if count > max {
            report(
                list.to_owned(),
                format!("there are {count}; {max} are the most"),
                None,
                found,
            );
        }
    }
    let mut known: Vec<&str> = vec![RenditionSpec::MAIN];
    known.extend(renditions.filter(|id| *id != RenditionSpec::MAIN));
    for (index, output) in scene.outputs.iter().enumerate() {
        for (place, rendition) in output.renditions.iter().enumerate() {
            if RenditionSpec::is_name(rendition) && !known.contains(&rendition.as_str()) {
                let path = format!("outputs[{index}].renditions[{place}]");
                let message = format!("there is no rendition {}", words::name(rendition));
                report(path, message, words::suggest(rendition, &known), found);
            }
        }
    }
}

fn names<'a>(list: &str, ids: impl Iterator<Item = &'a str>, found: &mut Vec<Problem>) {
    let mut seen = HashSet::new();
    for (index, id) in ids.enumerate() {
        // A stand-in for what could not be read has no name.
        if !id.is_empty() && !seen.insert(id) {
            let message = format!("the name {} is taken", words::name(id));
            report(
                field(&format!("{list}[{index}]"), "id"),
                message,
                None,
                found,
            );
        }
    }
}

fn report(path: String, message: String, help: Option<String>, found: &mut Vec<Problem>) {
    found.push(Problem {
        path,
        message,
        help,
        on_key: false,
    });
}
