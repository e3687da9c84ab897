//! `keys`: the stream keys of what is saved; while a program runs on it, through the API of that one, which alone may change it.

use std::path::Path;
use std::sync::PoisonError;

use anyhow::Context as _;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use super::{EXIT_CODES, Failure, api, path, print, say, settings};
use crate::config::{self, Settings};
use crate::control::ApiError;
use crate::control::keep::{Beside, aside};
use crate::control::keys::{KeyEntry, KeyStore, MadeKey, NewKey, OLD_FILE, SavedKeys};
use crate::server;
use crate::store::remote::{Link, Timeouts};
use crate::store::{Embedded, RedisStore, Store, StoreError, embedded};

pub(super) fn command() -> Command {
    let sub = |name, about| {
        config::flags(Command::new(name).about(about).arg(path(
            "config",
            "FILE",
            "Settings from a TOML file",
        )))
        .arg(
            Arg::new("api")
                .long("api")
                .value_name("URL")
                .help("Asks the program whose API is there, such as http://10.0.0.7:4200; API_TOKEN goes with it [default: the one that runs on DATA_DIR]"),
        )
    };
    Command::new("keys")
        .about("Lists, makes and deletes the stream keys with which publishers send; of what is saved, or of the program that runs on it")
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

/// What is asked for.
enum Act {
    List,
    Add(NewKey),
    Delete(String),
}

/// What came of it.
enum Done {
    Listed(Vec<KeyEntry>),
    Made(MadeKey),
    Deleted(String),
}

/// Why what is saved cannot be changed from here.
enum Busy {
    /// Another program has the file, or leads the stream; or Redis is away, as may be no matter for a program that runs.
    By(StoreError),
    Failed(anyhow::Error),
}

impl From<StoreError> for Busy {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::InUse { .. }
            | StoreError::Fenced { .. }
            | StoreError::Unavailable { .. } => Self::By(error),
            error => Self::Failed(error.into()),
        }
    }
}

impl From<anyhow::Error> for Busy {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ApiError> for Busy {
    fn from(error: ApiError) -> Self {
        Self::Failed(anyhow::anyhow!("{error}"))
    }
}

pub(super) fn main(matches: &ArgMatches) -> Result<(), Failure> {
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Failure::Usage("a command is needed".to_owned()));
    };
    let settings = settings(matches)?;
    let act = match name {
        "add" => Act::Add(NewKey {
            name: text(matches, "name"),
            readable: matches.get_flag("readable"),
        }),
        "delete" => Act::Delete(text(matches, "id")),
        _ => Act::List,
    };
    let done = match matches.get_one::<String>("api") {
        Some(url) => over_api(url, &settings, &act)?,
        None => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            match runtime.block_on(in_store(&settings, &act)) {
                Ok(done) => done,
                Err(Busy::By(error)) => beside_a_program(&error, &settings, &act)?,
                Err(Busy::Failed(error)) => return Err(Failure::Failed(error)),
            }
        }
    };
    tell(done);
    Ok(())
}

fn tell(done: Done) {
    match done {
        Done::Made(made) => print(&format!("{}  {}", made.id, made.key)),
        Done::Deleted(id) => print(&format!("{id}  deleted")),
        Done::Listed(keys) => {
            for key in keys {
                let used = match key.last_used {
                    Some(ms) => format!("last used {}", moment(ms)),
                    None => "never used".to_owned(),
                };
                print(&format!("{}  {}  {used}  {}", key.id, key.key, key.name));
            }
        }
    }
}

/// Does it with what is saved, where no program runs on it; what is in Redis can always be listed.
async fn in_store(settings: &Settings, act: &Act) -> Result<Done, Busy> {
    let old_file = settings.data_dir.join(OLD_FILE);
    let store = match settings.redis() {
        Some(url) => {
            let link = Link::new(url, Timeouts::default());
            Store::Redis(RedisStore::new(link, &settings.stream_id))
        }
        None => {
            let file = settings.data_dir.join(embedded::FILE_NAME);
            if matches!(act, Act::List) && !file.exists() {
                // Looking makes no file.
                let keys = SavedKeys::of_file(&old_file)?.unwrap_or_default();
                return Ok(Done::Listed(KeyStore::new(keys, Beside::nowhere()).list()));
            }
            Store::Embedded(Embedded::open(file).await?)
        }
    };
    let done = with_store(&store, &old_file, act).await;
    store.close().await;
    done
}

async fn with_store(store: &Store, old_file: &Path, act: &Act) -> Result<Done, Busy> {
    let saved = store.load().await?;
    let own = SavedKeys::of(&saved.documents).map_err(anyhow::Error::msg)?;
    let is_old = own.is_none() && old_file.exists();
    let keys = match own {
        Some(keys) => keys,
        None => SavedKeys::of_file(old_file)?.unwrap_or_default(),
    };
    let (beside, pile) = Beside::pile();
    let keys = KeyStore::new(keys, beside);
    let done = match act {
        Act::List => return Ok(Done::Listed(keys.list())),
        Act::Add(new) => Done::Made(keys.make(new)?),
        Act::Delete(id) => {
            keys.delete(id)?;
            Done::Deleted(id.clone())
        }
    };
    let puts = std::mem::take(&mut *pile.lock().unwrap_or_else(PoisonError::into_inner));
    let mut batch = saved.change(puts);
    if let Store::Redis(_) = store {
        // Who writes without a lease has none, and is refused while there is one.
        batch.fence = 0;
    }
    store.commit(batch).await?;
    if is_old {
        let aside = aside(old_file);
        if let Err(error) = std::fs::rename(old_file, &aside) {
            say(&format!(
                "`{}` is not read any more, and cannot be put aside: {error}",
                old_file.display()
            ));
        }
    }
    Ok(done)
}

/// Does it through the program that runs on DATA_DIR; with Redis that may be one that only follows, and passes it on.
fn beside_a_program(error: &StoreError, settings: &Settings, act: &Act) -> anyhow::Result<Done> {
    let Some(url) = server::told_address(&settings.data_dir) else {
        let who = match error {
            StoreError::InUse { .. } => {
                ": a program runs on it, and does not serve its API yet".to_owned()
            }
            _ => String::new(),
        };
        anyhow::bail!("{error}{who}; `--api URL` asks the API of a program that runs");
    };
    over_api(&url, settings, act)
        .with_context(|| format!("the program that runs on {}", settings.data_dir.display()))
}

fn over_api(url: &str, settings: &Settings, act: &Act) -> anyhow::Result<Done> {
    let token = settings.api_token.as_ref().map(config::ApiToken::reveal);
    let api = api::Client::new(url, token)?;
    match act {
        Act::List => {
            let mut answer = api.ask("GET", "/stream/keys", None)?;
            let keys = answer["data"]["keys"].take();
            Ok(Done::Listed(serde_json::from_value(keys)?))
        }
        Act::Add(new) => {
            let body = json!({"name": new.name, "readable": new.readable});
            let mut answer = api.ask("POST", "/stream/keys", Some(&body))?;
            // The key is in this answer alone: it does not wait until it is saved, and says so where that takes long.
            if let Some(state) = answer["store"].as_str() {
                say(&format!(
                    "the key holds, and is not saved yet: the store is {state}"
                ));
            }
            Ok(Done::Made(serde_json::from_value(answer["data"].take())?))
        }
        Act::Delete(id) => {
            anyhow::ensure!(
                id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "`{id}` is no key's ID"
            );
            let path = format!("/stream/keys/{id}?durable=true");
            api.ask("DELETE", &path, None)?;
            Ok(Done::Deleted(id.clone()))
        }
    }
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
