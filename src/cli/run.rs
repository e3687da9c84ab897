//! `run`: a scene on the air.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use clap::ArgMatches;

use super::{Failure, load_options, scene_path, settings};
use crate::control::assets::sharing::fetch_for_scene;
use crate::control::keep::FirstScene;
use crate::fleet::parent::end_with_parent;
use crate::live::{self, End};
use crate::logging;
use crate::scene::SceneErrors;

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
    let path = scene_path(matches);
    fetch_for_scene(&settings, path);
    let scene = FirstScene::read(path, &load_options(&settings));
    match live::run(&scene, &settings, matches.get_flag("fresh")) {
        Ok(End::Stopped) => Ok(()),
        Ok(End::Superseded) => Err(begin_anew()),
        Err(error) => Err(match error.downcast::<SceneErrors>() {
            Ok(errors) => Failure::Scene(Box::new(errors)),
            Err(error) => error.into(),
        }),
    }
}

/// Puts another run of the same program in the place of this one, under the same process id: whatever this one had open, decoded or half
/// sent is gone with it. Comes back only where that fails.
fn begin_anew() -> Failure {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    // The file that this process runs, even where an update has put another one in its place.
    let error = Command::new("/proc/self/exe")
        .arg0(name)
        // What counts now is what the other instance has saved.
        .args(arguments.filter(|argument| argument != "--fresh"))
        .exec();
    anyhow::Error::new(error)
        .context("another instance leads, and this one cannot begin anew as a standby")
        .into()
}
