//! `keys`: the stream keys of `DATA_DIR`, also while the program runs.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{EXIT_CODES, Failure, path, print, settings};
use crate::config;
use crate::control::keys::{KeyStore, NewKey};

pub(super) fn command() -> Command {
    let sub = |name, about| {
        config::flags(Command::new(name).about(about).arg(path(
            "config",
            "FILE",
            "Settings from a TOML file",
        )))
    };
    Command::new("keys")
        .about("Lists, makes and deletes the stream keys with which publishers send; a program that runs notices")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(sub("list", "Lists the keys, without what is secret of them"))
        .subcommand(
            sub("add", "Makes a key and prints it, which is the only time unless it is readable")
                .arg(
                    Arg::new("name")
                        .long("name")
                        .value_name("NAME")
                        .default_value("")
                        .help("Its name for people, and for layers and players"),
                )
                .arg(
                    Arg::new("readable")
                        .long("readable")
                        .action(ArgAction::SetTrue)
                        .help("Keep the key itself, so that it can be shown again, and not its hash alone"),
                ),
        )
        .subcommand(
            sub("delete", "Deletes a key; who publishes with it is let go")
                .arg(Arg::new("id").value_name("ID").required(true).help("As the list shows it")),
        )
        .after_help(EXIT_CODES)
}

pub(super) fn main(matches: &ArgMatches) -> Result<(), Failure> {
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Failure::Usage("a command is needed".to_owned()));
    };
    let settings = settings(matches)?;
    let store = KeyStore::open(settings.data_dir.join("keys.json"))?;
    let failed = |error: crate::control::ApiError| Failure::Failed(anyhow::anyhow!("{error}"));
    match name {
        "add" => {
            let new = NewKey {
                name: text(matches, "name"),
                readable: matches.get_flag("readable"),
            };
            let made = store.make(&new).map_err(failed)?;
            print(&format!("{}  {}", made.id, made.key));
        }
        "delete" => {
            let id = text(matches, "id");
            store.delete(&id).map_err(failed)?;
            print(&format!("{id}  deleted"));
        }
        _ => {
            for key in store.list() {
                let used = match key.last_used {
                    Some(ms) => format!("last used {}", moment(ms)),
                    None => "never used".to_owned(),
                };
                print(&format!("{}  {}  {used}  {}", key.id, key.key, key.name));
            }
        }
    }
    Ok(())
}

fn text(matches: &ArgMatches, name: &str) -> String {
    matches.get_one::<String>(name).cloned().unwrap_or_default()
}

/// Milliseconds since 1970 as a moment of UTC.
pub(super) fn moment(ms: u64) -> String {
    let at = i64::try_from(ms / 1000)
        .ok()
        .and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok());
    at.and_then(|at| {
        at.format(&time::format_description::well_known::Rfc3339)
            .ok()
    })
    .unwrap_or_default()
}
