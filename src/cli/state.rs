//! `state`: looks into what is saved, moves it, and checks it.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{Failure, path, print, settings};
use crate::config::Settings;
use crate::control::SCENES_PREFIX;
use crate::control::assets::{Asset, AssetStore};
use crate::store::archive::AssetFile;
use crate::store::remote::{Link, Timeouts};
use crate::store::{Embedded, RedisStore, Saved, Store, archive, embedded};

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
        .about("Looks into the saved state, exports and imports it; of DATA_DIR, or of Redis where REDIS_URL is given")
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
                .about("Checks an export and puts it in the place of everything that is saved; its assets go beside those of DATA_DIR, its scenes into their folder at the next start")
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
        .arg(path("config", "FILE", "Settings from a TOML file"))
}

pub(super) fn main(matches: &ArgMatches) -> Result<(), Failure> {
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Failure::Usage("a command is needed".to_owned()));
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let settings = settings(matches)?;
    runtime.block_on(async {
        let (store, place) = open(&settings, name == "import").await?;
        let place = Place {
            name: place,
            assets: AssetStore::new(settings.assets_dir()),
        };
        let result = act(name, matches, &store, &place).await;
        store.close().await;
        result
    })
}

/// Where everything is.
struct Place {
    /// The store, in words.
    name: String,
    assets: AssetStore,
}

async fn act(
    name: &str,
    matches: &ArgMatches,
    store: &Store,
    place: &Place,
) -> Result<(), Failure> {
    match name {
        "show" => show(matches, store, place).await,
        "list" => list(store).await,
        "export" => export(matches, store, place).await,
        "import" => import(matches, store, place).await,
        _ => verify(store, place).await,
    }
}

/// Opens the store. Only who writes makes a file where there is none.
async fn open(settings: &Settings, makes: bool) -> Result<(Store, String), Failure> {
    if let Some(url) = settings.redis() {
        let id = &settings.stream_id;
        let place = format!("{url}, stream `{id}`");
        let link = Link::new(url, Timeouts::default());
        return Ok((Store::Redis(RedisStore::new(link, id)), place));
    }
    let file = settings.data_dir.join(embedded::FILE_NAME);
    if !makes && !file.exists() {
        let place = file.display();
        return Err(anyhow::anyhow!("nothing is saved: there is no `{place}`").into());
    }
    let place = file.display().to_string();
    Ok((Store::Embedded(Embedded::open(file).await?), place))
}

async fn show(matches: &ArgMatches, store: &Store, place: &Place) -> Result<(), Failure> {
    let saved = store.load().await?;
    if let Some(name) = matches.get_one::<String>("document") {
        let bytes = saved.documents.get(name.as_str()).ok_or_else(|| {
            anyhow::anyhow!("there is no document `{name}`; `state list` lists all")
        })?;
        print(&readable(bytes));
        return Ok(());
    }
    let bytes: usize = saved.documents.values().map(bytes::Bytes::len).sum();
    let (documents, count) = (saved.documents.len(), |name, list| {
        count(&saved, name, list)
    });
    let scenes = saved.documents.keys();
    let scenes = scenes
        .filter(|name| name.starts_with(SCENES_PREFIX))
        .count();
    let assets = place.assets.list();
    let asset_bytes: u64 = assets.iter().map(|asset| asset.bytes).sum();
    let lines = [
        ("place", place.name.clone()),
        ("engine", store.engine().to_owned()),
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

async fn list(store: &Store) -> Result<(), Failure> {
    for (key, bytes) in &store.load().await?.documents {
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

async fn export(matches: &ArgMatches, store: &Store, place: &Place) -> Result<(), Failure> {
    let file = file(matches);
    if file.exists() && !matches.get_flag("force") {
        let error = anyhow::anyhow!("`{}` exists; --force overwrites it", file.display());
        return Err(error.into());
    }
    let saved = store.load().await?;
    let assets = match matches.get_flag("without-assets") {
        true => Vec::new(),
        false => asset_files(&place.assets)?,
    };
    archive::export(&saved, &assets, file)?;
    print(&told("exported", &saved, assets.len()));
    Ok(())
}

fn asset_files(store: &AssetStore) -> Result<Vec<AssetFile>, Failure> {
    let file = |asset: Asset| {
        let path = store
            .file(&asset.id)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(AssetFile {
            id: asset.id,
            name: asset.name,
            created_at: asset.created_at,
            path,
        })
    };
    // Those of which only other machines have the bytes are theirs to export.
    let here = store.list().into_iter().filter(|asset| !asset.missing);
    here.map(file).collect()
}

async fn import(matches: &ArgMatches, store: &Store, place: &Place) -> Result<(), Failure> {
    let file = file(matches);
    // All of it is looked at before any of it is taken.
    let (saved, assets) = archive::read(file)?;
    let found = store.health().await?;
    if found.revision > 0 && !matches.get_flag("replace") {
        let error = anyhow::anyhow!(
            "{} holds revision {}; --replace puts the export in its place",
            place.name,
            found.revision
        );
        return Err(error.into());
    }
    // Before what names them; one that is there already is the same.
    archive::read_with_assets(file, |asset| {
        let taken = place.assets.begin().and_then(|mut incoming| {
            incoming.write(&asset.bytes)?;
            place
                .assets
                .finish_of(incoming, &asset.name, asset.created_at)
        });
        taken.map(|_| ()).map_err(|error| error.to_string())
    })?;
    let revision = archive::import(store, &saved).await?;
    print(&format!(
        "{}, as revision {revision}",
        told("imported", &saved, assets)
    ));
    Ok(())
}

async fn verify(store: &Store, place: &Place) -> Result<(), Failure> {
    let saved = store.load().await?;
    print(&format!("{}: ok; {}", place.name, told("read", &saved, 0)));
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
