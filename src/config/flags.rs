//! The same settings as flags of the command line.

use clap::{Arg, ArgMatches, Command};

use super::table::{self, Setting};

/// Adds a flag for every setting, under the headings of the table: `--target-fps 60`.
///
/// Values are taken as they stand; [`Settings::load`](super::Settings::load) checks them together with the other layers.
#[must_use]
pub fn flags(command: Command) -> Command {
    command.args(table::all().iter().map(|setting| {
        Arg::new(setting.name)
            .long(setting.flag())
            .value_name(value_name(setting))
            .help(help(setting))
            .help_heading(setting.group)
            // A negative number reaches the check that names what is allowed.
            .allow_negative_numbers(true)
    }))
}

/// The settings that were given as flags of a command made by [`flags`], with their names.
#[must_use]
pub fn flags_from(matches: &ArgMatches) -> Vec<(String, String)> {
    let given = table::all().iter().filter_map(|setting| {
        let value = matches.try_get_one::<String>(setting.name).ok().flatten()?;
        Some((setting.name.to_owned(), value.clone()))
    });
    given.collect()
}

fn help(setting: &Setting) -> String {
    let default = if setting.default.is_empty() {
        "none"
    } else {
        setting.default
    };
    let Setting { doc, name, .. } = setting;
    format!("{doc} [default: {default}] [env: {name}]")
}

/// The last word of the setting's name, which is its unit or kind: `FPS`, `PORT`, `URL`.
fn value_name(setting: &Setting) -> &'static str {
    setting
        .name
        .rsplit_once('_')
        .map_or(setting.name, |(_, last)| last)
}
