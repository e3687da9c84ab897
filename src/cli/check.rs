//! `check`: validates scene files.

use std::path::PathBuf;

use clap::ArgMatches;

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
                print(&format!(
                    "{}: ok ({layers} layers, {} timelines)",
                    path.display(),
                    scene.spec.timelines.len()
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
