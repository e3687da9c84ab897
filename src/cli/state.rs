//! `state`: looks into what is saved, moves it, and checks it. While a program runs on the file of DATA_DIR, or Redis is away from it,
//! that program is asked for it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{Failure, api, path, print, settings};
use crate::config::{self, Settings};
use crate::control::SCENES_PREFIX;
use crate::control::assets::AssetStore;
use crate::control::keep::note_import;
use crate::server;
use crate::store::remote::{Link, Timeouts};
use crate::store::{Embedded, RedisStore, Saved, Store, StoreError, archive, embedded};

pub(super) fn command() -> Command {
    let file = |help: &'static str| {
        Arg::new("file")
            .value_name("FILE")
            .required(true)
            .value_parser(value_parser!(PathBuf))
            .help(help)
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    Command::new("state")
        .about("Looks into the saved state, exports and imports it; of DATA_DIR, also while a program runs on it, or of Redis where REDIS_URL is given")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(place(Command::new("show").about("Says where the state is and what it holds; or prints one document, which may hold stream keys").arg(
            Arg::new("document").value_name("NAME").help("The document that is printed"),
        )))
        .subcommand(place(Command::new("list").about("Lists the documents: name, bytes, SHA-256")))
        .subcommand(place(
            Command::new("export")
                .about("Writes everything into one file, which may hold stream keys: what is saved, and the uploaded assets of DATA_DIR")
                .arg(file("Where it goes (JSON)"))
                .arg(flag("without-assets", "Leave the assets out"))
                .arg(flag("force", "Overwrite the file if it exists")),
        ))
        .subcommand(place(
            Command::new("import")
                .about("Checks an export and puts it in the place of everything that is saved, while no program runs on it; its assets go beside those of DATA_DIR, its scenes into their folder at the next start")
                .arg(file("An export"))
                .arg(flag("replace", "Do so though there is something saved")),
        ))
        .subcommand(place(Command::new("verify").about("Reads everything and checks it")))
}

/// The flags that say where the state is; the environment, `.env` and FILE of `--config` say it too.
fn place(command: Command) -> Command {
    command
        .arg(
            Arg::new("DATA_DIR")
                .long("data-dir")
                .value_name("PATH")
                .help("The folder that the state is in [default: ./data]"),
        )
        .arg(
            Arg::new("REDIS_URL")
                .long("redis-url")
                .value_name("URL")
                .help("Redis in the place of the folder; the password comes better from REDIS_PASSWORD [default: REDIS_URL]"),
        )
        .arg(
            Arg::new("STREAM_ID")
                .long("stream-id")
                .value_name("ID")
                .help("Which stream's state in Redis [default: STREAM_ID, or main]"),
        )
        .arg(
            Arg::new("API_TOKEN")
                .long("api-token")
                .value_name("TOKEN")
                .help("The token of the program that runs on DATA_DIR; it comes better from the environment [default: API_TOKEN]"),
        )
        .arg(path("config", "FILE", "Settings from a TOML file"))
}

pub(super) fn main(matches: &ArgMatches) -> Result<(), Failure> {
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Failure::Usage("a command is needed".to_owned()));
    };
    let settings = settings(matches)?;
    let assets = AssetStore::new(settings.assets_dir());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if name == "import" {
        return runtime.block_on(import(matches, &settings, &assets));
    }
    // The file is let go before anything else is done, so that a program can have it.
    let loaded = runtime.block_on(load(&settings));
    let found = loaded.or_else(|error| beside_a_program(error, &settings))?;
    match name {
        "show" => show(matches, &found, &assets),
        "list" => list(&found),
        "export" => export(matches, &found, &assets),
        _ => verify(&found),
    }
}

/// What is saved.
struct Found {
    saved: Saved,
    engine: &'static str,
    /// Where it is, in words.
    place: String,
}

/// Reads everything, and closes the store.
async fn load(settings: &Settings) -> anyhow::Result<Found> {
    let file = file_of(settings);
    if settings.redis().is_none() && !file.exists() {
        anyhow::bail!("nothing is saved: there is no `{}`", file.display());
    }
    let store = open(settings).await?;
    let loaded = store.load().await;
    let engine = store.engine();
    store.close().await;
    Ok(Found {
        saved: loaded?,
        engine,
        place: place_of(settings),
    })
}

fn file_of(settings: &Settings) -> PathBuf {
    settings.data_dir.join(embedded::FILE_NAME)
}

/// Where everything is, in words.
fn place_of(settings: &Settings) -> String {
    match settings.redis() {
        Some(url) => format!("{url}, stream `{}`", settings.stream_id),
        None => file_of(settings).display().to_string(),
    }
}

/// Opens the store, and makes a file where there is none.
async fn open(settings: &Settings) -> Result<Store, StoreError> {
    match settings.redis() {
        Some(url) => {
            let link = Link::new(url, Timeouts::default());
            Ok(Store::Redis(RedisStore::new(link, &settings.stream_id)))
        }
        None => Ok(Store::Embedded(Embedded::open(file_of(settings)).await?)),
    }
}

/// Asks the program that runs on DATA_DIR for everything that it saves, where it has the file, or where Redis is away, as may be no matter
/// for it.
fn beside_a_program(error: anyhow::Error, settings: &Settings) -> anyhow::Result<Found> {
    let engine = match error.downcast_ref() {
        Some(StoreError::InUse { .. }) => "embedded",
        Some(StoreError::Unavailable { .. }) if settings.redis().is_some() => "redis",
        _ => return Err(error),
    };
    let place = place_of(settings);
    let Some(url) = server::told_address(&settings.data_dir) else {
        return match engine {
            "redis" => Err(error),
            _ => Err(anyhow::anyhow!(
                "{place} is in use by another process, which serves no API; try again, as it may begin or end"
            )),
        };
    };
    let token = settings.api_token.as_ref().map(config::ApiToken::reveal);
    let asked = api::Client::new(&url, token).and_then(|api| {
        api.download("/stream/state/export?assets=false", |answer| {
            Ok(archive::read_from(answer, &url, |_| Ok(()))?)
        })
    });
    let saved = asked
        .with_context(|| format!("the program that runs on {}", settings.data_dir.display()))?;
    Ok(Found {
        saved,
        engine,
        place: format!("{place}, of the program at {url}"),
    })
}

fn show(matches: &ArgMatches, found: &Found, assets: &AssetStore) -> Result<(), Failure> {
    let saved = &found.saved;
    if let Some(name) = matches.get_one::<String>("document") {
        let bytes = saved.documents.get(name.as_str()).ok_or_else(|| {
            anyhow::anyhow!("there is no document `{name}`; `state list` lists all")
        })?;
        print(&readable(bytes));
        return Ok(());
    }
    let bytes: usize = saved.documents.values().map(bytes::Bytes::len).sum();
    let (documents, count) = (saved.documents.len(), |name, list| count(saved, name, list));
    let scenes = saved.documents.keys();
    let scenes = scenes
        .filter(|name| name.starts_with(SCENES_PREFIX))
        .count();
    let assets = assets.list();
    let asset_bytes: u64 = assets.iter().map(|asset| asset.bytes).sum();
    let lines = [
        ("place", found.place.clone()),
        ("engine", found.engine.to_owned()),
        ("format", saved.format.to_string()),
        ("revision", saved.revision.to_string()),
        ("fence", saved.fence.to_string()),
        ("documents", format!("{documents} ({bytes} bytes)")),
        ("keys", count("keys", "").to_string()),
        ("recordings", count("recordings", "").to_string()),
        ("scenes", format!("{scenes} saved over the API")),
        (
            "outputs",
            format!(
                "{} added or changed over the API",
                count("outputs", "outputs")
            ),
        ),
        (
            "assets",
            format!("{} in DATA_DIR ({asset_bytes} bytes)", assets.len()),
        ),
    ];
    for (name, value) in lines {
        print(&format!("{name:<11}{value}"));
    }
    Ok(())
}

/// How many things a document has, in the field `list` where it names one.
fn count(saved: &Saved, name: &str, list: &str) -> usize {
    let bytes = saved.documents.get(name);
    let value: serde_json::Value = bytes
        .and_then(|bytes| serde_json::from_slice(bytes).ok())
        .unwrap_or_default();
    let value = if list.is_empty() {
        &value
    } else {
        &value[list]
    };
    let listed = value.as_array().map(Vec::len);
    listed
        .or_else(|| value.as_object().map(serde_json::Map::len))
        .unwrap_or(0)
}

/// JSON with its lines, anything else as it is.
fn readable(bytes: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    let pretty = value.and_then(|value| serde_json::to_string_pretty(&value).ok());
    pretty.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned())
}

fn list(found: &Found) -> Result<(), Failure> {
    for (key, bytes) in &found.saved.documents {
        print(&format!(
            "{key}\t{}\t{}",
            bytes.len(),
            archive::sha256(bytes)
        ));
    }
    Ok(())
}

fn file(matches: &ArgMatches) -> &Path {
    matches
        .get_one::<PathBuf>("file")
        .map_or(Path::new(""), PathBuf::as_path)
}

fn export(matches: &ArgMatches, found: &Found, assets: &AssetStore) -> Result<(), Failure> {
    let file = file(matches);
    if file.exists() && !matches.get_flag("force") {
        let error = anyhow::anyhow!("`{}` exists; --force overwrites it", file.display());
        return Err(error.into());
    }
    // Those of which only other machines have the bytes are theirs to export.
    let assets = match matches.get_flag("without-assets") {
        true => Vec::new(),
        false => assets.files(),
    };
    archive::export(&found.saved, &assets, file)?;
    print(&told("exported", &found.saved, assets.len()));
    Ok(())
}

async fn import(
    matches: &ArgMatches,
    settings: &Settings,
    assets: &AssetStore,
) -> Result<(), Failure> {
    let store = open(settings).await.map_err(|error| match error {
        StoreError::InUse { place } => running(&format!("a program runs on {place}")),
        error => error.into(),
    })?;
    let result = import_into(&store, &place_of(settings), matches, assets).await;
    store.close().await;
    result
}

fn running(who: &str) -> anyhow::Error {
    anyhow::anyhow!("{who}, and would go on with what it has: stop it, import, and start it again")
}

async fn import_into(
    store: &Store,
    place: &str,
    matches: &ArgMatches,
    assets: &AssetStore,
) -> Result<(), Failure> {
    let file = file(matches);
    // All of it is looked at before any of it is taken.
    let (mut saved, count) = archive::read(file)?;
    note_import(&mut saved.documents);
    let found = store.health().await?;
    if found.revision > 0 && !matches.get_flag("replace") {
        let error = anyhow::anyhow!(
            "{place} holds revision {}; --replace puts the export in its place",
            found.revision
        );
        return Err(error.into());
    }
    if let Store::Redis(redis) = store {
        if let Some(leader) = redis.leader().await? {
            return Err(running(&format!("`{leader}` leads {place}")).into());
        }
        // What the instances have deleted since is to come back to them.
        assets.note_for_others();
    }
    // Before what names them; one that is there already is the same.
    archive::read_with_assets(file, |asset| {
        let taken = assets.begin().and_then(|mut incoming| {
            incoming.write(&asset.bytes)?;
            assets.finish_of(incoming, &asset.name, asset.created_at)
        });
        taken.map(|_| ()).map_err(|error| error.to_string())
    })?;
    let revision = archive::import(store, &saved)
        .await
        .map_err(|error| match error {
            StoreError::Fenced { place, holder, .. } => running(&format!("{place}: {holder}")),
            error => error.into(),
        })?;
    print(&format!(
        "{}, as revision {revision}",
        told("imported", &saved, count)
    ));
    Ok(())
}

fn verify(found: &Found) -> Result<(), Failure> {
    print(&format!(
        "{}: ok; {}",
        found.place,
        told("read", &found.saved, 0)
    ));
    Ok(())
}

fn told(what: &str, saved: &Saved, assets: usize) -> String {
    let count = saved.documents.len();
    let assets = match assets {
        0 => String::new(),
        count => format!(" and {count} assets"),
    };
    format!(
        "{what} {count} documents of revision {}{assets}",
        saved.revision
    )
}
