//! `fleet`: carries channels that stand in Redis together with other machines; and says which there are.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::keys::moment;
use super::{EXIT_CODES, Failure, path, print, settings};
use crate::config::{self, Settings};
use crate::control::keep;
use crate::fleet::{Board, ChannelError, ChannelSpec, Launch, Lines, Ports, Terms, check_id, run};
use crate::store::remote::{Link, Timeouts};
use crate::store::shared::{Channel, Fleet, FleetOptions, Holding, Instance};
use crate::{logging, server};

pub(super) fn command() -> Command {
    let supervisor = config::flags(Command::new("run"))
        .about("Carries channels of the fleet, each in a process of its own, up to the capacity; others take over what this one cannot any more")
        .mut_arg("FLEET", |arg| arg.visible_alias("name"))
        .mut_arg("FLEET_CAPACITY", |arg| arg.visible_alias("capacity"))
        .mut_arg("FLEET_PORT_BASE", |arg| arg.visible_alias("port-base"))
        .arg(path("config", "FILE", "Settings from a TOML file, for every channel as well"))
        .after_help(EXIT_CODES);
    let channel = || Arg::new("channel").value_name("ID").required(true);
    Command::new("fleet")
        .about("Many channels over many machines, by one Redis (REDIS_URL)")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(supervisor)
        .subcommand(
            place(Command::new("add"))
                .about("Has the fleet carry a channel, or gives one that it carries another scene and other settings")
                .arg(channel().help("Its name: the STREAM_ID of its state, and its folder"))
                .arg(
                    Arg::new("scene")
                        .long("scene")
                        .value_name("SCENE")
                        .required(true)
                        .help("Its scene's file on every machine, or the name of one in `scenes`"),
                )
                .arg(
                    Arg::new("set")
                        .long("set")
                        .value_name("NAME=VALUE")
                        .action(ArgAction::Append)
                        .help("A setting of its own, or a variable with a stream key; NAME alone takes the value from the environment, where nobody else sees it"),
                ),
        )
        .subcommand(
            place(Command::new("remove"))
                .about("Has the fleet carry a channel no more; its state stays in Redis")
                .arg(channel().help("As the list shows it")),
        )
        .subcommand(
            place(Command::new("list"))
                .about("Lists channels with who carries them, and instances; what is secret is not shown")
                .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON")),
        )
        .after_help(EXIT_CODES)
}

/// The flags that say which fleet; the environment, `.env` and FILE of `--config` say it too.
fn place(command: Command) -> Command {
    command
        .arg(
            Arg::new("FLEET")
                .long("fleet")
                .visible_alias("name")
                .value_name("NAME")
                .help("The name of the fleet [default: FLEET, or main]"),
        )
        .arg(
            Arg::new("REDIS_URL")
                .long("redis-url")
                .value_name("URL")
                .help("Where it is kept; the password comes better from REDIS_PASSWORD [default: REDIS_URL]"),
        )
        .arg(path("config", "FILE", "Settings from a TOML file"))
}

pub(super) fn main(matches: &ArgMatches) -> Result<(), Failure> {
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Failure::Usage("a command is needed".to_owned()));
    };
    let settings = settings(matches)?;
    if name == "run" {
        return supervise(matches, &settings);
    }
    let link = link(&settings)?;
    let fleet = Fleet::new(
        &link,
        &settings.fleet,
        String::new(),
        FleetOptions::default(),
    );
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match name {
            "add" => add(matches, &fleet).await,
            "remove" => remove(matches, &fleet).await,
            _ => list(matches, &fleet).await,
        }
    })
}

fn link(settings: &Settings) -> Result<Link, Failure> {
    let url = settings.redis().ok_or_else(|| {
        Failure::Usage("a fleet is kept in Redis: REDIS_URL says where that is".to_owned())
    })?;
    Ok(Link::new(url, Timeouts::default()))
}

fn refused(error: ChannelError) -> Failure {
    Failure::Usage(error.to_string())
}

fn text(matches: &ArgMatches, name: &str) -> String {
    matches.get_one::<String>(name).cloned().unwrap_or_default()
}

async fn add(matches: &ArgMatches, fleet: &Fleet) -> Result<(), Failure> {
    let id = text(matches, "channel");
    check_id(&id).map_err(refused)?;
    let given = matches.get_many::<String>("set").into_iter().flatten();
    let settings: Vec<(String, String)> = given
        .map(|given| setting(given))
        .collect::<Result<_, _>>()?;
    let spec = ChannelSpec::new(&text(matches, "scene"), settings).map_err(refused)?;
    let json = spec.json();
    let is_new = fleet
        .want(&Channel {
            id: id.clone(),
            json,
        })
        .await?;
    print(&format!(
        "{id}  {}",
        if is_new { "added" } else { "changed" }
    ));
    Ok(())
}

/// `NAME=VALUE`, or `NAME` with the value of that variable.
fn setting(given: &str) -> Result<(String, String), Failure> {
    if let Some((name, value)) = given.split_once('=') {
        return Ok((name.to_owned(), value.to_owned()));
    }
    let value = std::env::var(given).map_err(|_| {
        Failure::Usage(format!(
            "--set {given} takes its value from the environment, which has no {given}; or write --set {given}=VALUE"
        ))
    })?;
    Ok((given.to_owned(), value))
}

async fn remove(matches: &ArgMatches, fleet: &Fleet) -> Result<(), Failure> {
    let id = text(matches, "channel");
    if !fleet.drop_channel(&id).await? {
        let error = anyhow::anyhow!("there is no channel `{id}`; `fleet list` lists all");
        return Err(error.into());
    }
    print(&format!("{id}  removed"));
    Ok(())
}

async fn list(matches: &ArgMatches, fleet: &Fleet) -> Result<(), Failure> {
    let (holdings, instances) = (fleet.holdings().await?, fleet.instances().await?);
    if matches.get_flag("json") {
        let channels: Vec<Value> = holdings.iter().map(as_json).collect();
        let all = json!({"channels": channels, "instances": instances});
        print(&serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    for holding in &holdings {
        print(&line(holding));
    }
    if holdings.is_empty() {
        print("no channels");
    }
    print("");
    for Instance {
        name,
        capacity,
        channels,
    } in &instances
    {
        print(&format!("{name}  {channels} of {capacity}"));
    }
    if instances.is_empty() {
        print("no instances");
    }
    Ok(())
}

fn as_json(holding: &Holding) -> Value {
    let mut value = json!({
        "id": holding.channel,
        "instance": holding.instance,
        "since": holding.since_ms.map(moment),
    });
    match ChannelSpec::parse(&holding.json) {
        Ok(spec) => {
            value["scene"] = json!(spec.scene());
            value["settings"] = json!(spec.shown());
        }
        Err(error) => value["error"] = json!(error.to_string()),
    }
    value
}

fn line(holding: &Holding) -> String {
    let what = match ChannelSpec::parse(&holding.json) {
        Ok(spec) => {
            let shown = spec.shown();
            let settings = shown
                .iter()
                .map(|(name, value)| format!("  {name}={value}"));
            format!("{}{}", spec.scene(), settings.collect::<String>())
        }
        Err(error) => error.to_string(),
    };
    let who = match (&holding.instance, holding.since_ms) {
        (Some(instance), Some(since)) => format!("{instance} since {}", moment(since)),
        (Some(instance), None) => instance.clone(),
        (None, _) => "carried by nobody".to_owned(),
    };
    format!("{}  {who}  {what}", holding.channel)
}

fn supervise(matches: &ArgMatches, settings: &Settings) -> Result<(), Failure> {
    let link = link(settings)?;
    let (base, capacity) = (settings.fleet_port_base, settings.fleet_capacity);
    if let Some(problem) = Ports::problem(base, capacity, settings.health_port) {
        return Err(Failure::Usage(problem));
    }
    let _log = logging::start(&settings.log_level.directives(), settings.log_format, None)?;
    for note in &settings.notes {
        tracing::warn!("{note}");
    }
    if settings.stream_url.is_some() {
        tracing::warn!(
            "STREAM_URL of this instance goes for every channel that has none of its own"
        );
    }
    // Known again after a restart, so that it has its channels back at once.
    let (instance, _lock) = keep::instance(&settings.data_dir.join("fleet"))?;
    let options = FleetOptions {
        capacity,
        ..FleetOptions::default()
    };
    let launch = Launch {
        program: std::env::current_exe().context("where this program is cannot be told")?,
        config_file: matches.get_one::<PathBuf>("config").cloned(),
        environment: config::flags_from(matches),
        data_dir: settings.data_dir.clone(),
        bind: settings.bind,
    };
    let board = Board::new(&settings.fleet, &instance, capacity);
    let terms = Terms {
        fleet: Fleet::new(&link, &settings.fleet, instance, options),
        lease: options.time,
        capacity,
        port_base: base,
        has_rtmp: settings.rtmp_port.is_some(),
        launch: Arc::new(launch),
    };
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("fleet")
        .enable_all()
        .build()?;
    let (lines, written) = Lines::start(settings.log_format)?;
    let place = link.place();
    let result = runtime.block_on(carry(settings, terms, board, lines, &place));
    runtime.shutdown_background();
    written.wait();
    Ok(result?)
}

async fn carry(
    settings: &Settings,
    terms: Terms,
    board: Board,
    lines: Lines,
    place: &str,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, mut stopped) = watch::channel(());
    let address = (settings.bind, settings.health_port).into();
    let limits = server::Limits {
        connections: settings.max_connections,
    };
    let until_stop = async move { drop(stopped.changed().await) };
    let (address, serving) =
        server::serve(address, server::fleet(board.clone()), limits, until_stop)
            .await
            .with_context(|| {
                let (port, bind) = (settings.health_port, settings.bind);
                format!("HEALTH_PORT {port} of {bind} cannot be used")
            })?;
    tokio::spawn(serving);
    let status = board.read();
    tracing::info!(
        fleet = status.fleet, instance = status.instance, capacity = status.capacity, redis = place,
        health = %address, ports = settings.fleet_port_base,
        "listening for channels"
    );
    let told = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    run(terms, board, lines, told).await;
    drop(stop);
    Ok(())
}
