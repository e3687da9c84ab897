//! `check`: validates scene files.

use std::path::PathBuf;

use clap::ArgMatches;
use components::scene::SceneSpec;

use super::{Failure, describe, print, say};
use crate::scene::{LoadOptions, load_scene};

pub(super) fn main(matches: &ArgMatches) -> Result<(), Failure> {
    let mut options = LoadOptions::default();
    if let Some(max) = matches.get_one::<usize>("max-layers") {
        options.max_layers = *max;
    }
    let mut broken = 0;
    let paths: Vec<&PathBuf> = matches
        .get_many::<PathBuf>("scene")
        .into_iter()
        .flatten()
        .collect();
    for path in &paths {
        match load_scene(path, &options) {
            Ok(scene) => {
                let layers = scene.spec.count_layers();
                let timelines = scene.spec.timelines.len();
                let streams = streams(&scene.spec);
                print(&format!(
                    "{}: ok ({layers} layers, {timelines} timelines{streams})",
                    path.display(),
                ));
            }
            Err(errors) => {
                broken += 1;
                say(&describe(errors));
            }
        }
    }
    if broken == 0 {
        Ok(())
    } else {
        Err(Failure::Failed(anyhow::anyhow!(
            "{broken} of {} scenes are not valid",
            paths.len()
        )))
    }
}

/// What it says of where the program goes, which holds for the scene that the program starts with alone.
fn streams(scene: &SceneSpec) -> String {
    let (outputs, renditions) = (scene.outputs.len(), scene.renditions.len());
    if outputs + renditions == 0 {
        return String::new();
    }
    format!("; {outputs} outputs and {renditions} renditions, used when the program starts with it")
}
