//! `run`: a scene on the air.

use std::path::PathBuf;

use clap::ArgMatches;

use super::{Failure, load, scene_path, settings};
use crate::control::assets::sharing::fetch_for_scene;
use crate::{live, logging};

pub(super) fn main(matches: &ArgMatches) -> Result<(), Failure> {
    let settings = settings(matches)?;
    let trace = matches.get_one::<PathBuf>("trace");
    let _log = logging::start(
        &settings.log_level.directives(),
        settings.log_format,
        trace.map(PathBuf::as_path),
    )?;
    for note in &settings.notes {
        tracing::warn!("{note}");
    }
    fetch_for_scene(&settings, scene_path(matches));
    let scene = load(matches, &settings)?;
    Ok(live::run(scene, &settings, matches.get_flag("fresh"))?)
}
