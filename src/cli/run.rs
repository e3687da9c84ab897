//! `run`: a scene on the air.

use std::path::PathBuf;

use clap::ArgMatches;

use super::{Failure, load, settings};
use crate::fleet::parent::end_with_parent;
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
    if matches.get_flag("with-parent") {
        end_with_parent()?;
    }
    let scene = load(matches, &settings)?;
    Ok(live::run(scene, &settings, matches.get_flag("fresh"))?)
}
