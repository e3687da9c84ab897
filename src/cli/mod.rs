//! The command line: what it offers, and the exit codes.
//!
//! 0: done. 1: it failed while it ran, or the scene is not valid. 2: the command line or a setting is wrong.

mod api;
mod check;
mod fleet;
mod keys;
mod offline;
mod profile;
mod render;
mod run;
mod schema;
mod state;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use components::scene::FrameRate;
use components::value::Moment;
use components::viewport::{self, CanvasFit};

use crate::config::{self, LoadSources, Settings, SettingsError};
use crate::scene::{LoadOptions, LoadedScene, SceneErrors, load_scene};

/// The scene that `run` takes when none is named.
pub const DEFAULT_SCENE: &str = "scenes/demo.json";

const EXIT_CODES: &str = "Exit codes: 0 done; 1 it failed, or the scene is not valid; 2 the command line or a setting is wrong.";

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// It failed while it ran; exit code 1.
    Failed(anyhow::Error),
    /// The scene is not valid; exit code 1.
    Scene(Box<SceneErrors>),
    /// The command line is wrong; exit code 2.
    Usage(String),
    /// A setting is wrong; exit code 2.
    Settings(SettingsError),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Runs the program with these arguments, the program's own name first.
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version go to standard output with code 0, errors to standard error with code 2.
            let _shown = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = match matches.subcommand() {
        Some(("run", matches)) => run::main(matches),
        Some(("render", matches)) => render::main(matches),
        Some(("check", matches)) => check::main(matches),
        Some(("keys", matches)) => keys::main(matches),
        Some(("fleet", matches)) => fleet::main(matches),
        Some(("schema", _)) => schema::main(),
        Some(("profile", matches)) => profile::main(matches),
        Some(("state", matches)) => state::main(matches),
        _ => Err(Failure::Usage("a command is needed".to_owned())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(failure),
    }
}

fn report(failure: Failure) -> ExitCode {
    let (text, code) = match failure {
        Failure::Failed(error) => (format!("error: {error:#}"), 1),
        Failure::Scene(errors) => (describe(*errors), 1),
        Failure::Usage(text) => (format!("error: {text}"), 2),
        Failure::Settings(error) => (format!("error: {error}"), 2),
    };
    say(&text);
    ExitCode::from(code)
}

/// The errors with the lines that they are about on a terminal; else one line each, for programs.
fn describe(errors: SceneErrors) -> String {
    use std::io::IsTerminal as _;
    if std::io::stderr().is_terminal() {
        format!("{:?}", miette::Report::new(errors))
    } else {
        errors.plain()
    }
}

#[expect(
    clippy::print_stderr,
    reason = "this is where the program speaks to a terminal"
)]
fn say(text: &str) {
    eprintln!("{text}");
}

#[expect(
    clippy::print_stdout,
    reason = "this is where the program prints what it was asked for"
)]
fn print(text: &str) {
    println!("{text}");
}

fn command() -> Command {
    Command::new("stream-manager")
        .about("Headless live-stream compositor: layers in, RTMP out, driven by scene files")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(EXIT_CODES)
        .subcommand(config::flags(
            Command::new("run")
                .about("Composes a scene and streams it")
                .arg(scene().required(false).default_value(DEFAULT_SCENE))
                .arg(
                    Arg::new("fresh")
                        .long("fresh")
                        .action(ArgAction::SetTrue)
                        .help("Begin as the scene's file says, and not where the last run left off; outputs that were changed stay so"),
                )
                .arg(
                    Arg::new("with-parent")
                        .long("with-parent")
                        .action(ArgAction::SetTrue)
                        .hide(true)
                        .help("End when standard input closes, as it does when the process that started this one ends"),
                )
                .arg(path("config", "FILE", "Settings from a TOML file, under the environment and over the defaults"))
                .arg(path("trace", "FILE", "Write a trace that chrome://tracing and Perfetto open; it grows by some 10 MB a minute"))
                .after_help(EXIT_CODES),
        ))
        .subcommand(config::flags(
            Command::new("render")
                .about("Renders a scene to a file, as fast as the machine goes; the same inputs give the same bytes")
                .arg(scene())
                .arg(path("output", "FILE", "Where it goes: .mp4, .mkv or .flv; .png with --frame").short('o').required(true))
                .arg(seconds("duration", "Length in seconds [default: the longest timeline, or 10]"))
                .arg(seconds("from", "Start, in seconds of the scene [default: 0]").conflicts_with("frame"))
                .arg(seconds("to", "End, in seconds of the scene").conflicts_with_all(["frame", "duration"]))
                .arg(
                    Arg::new("frame")
                        .long("frame")
                        .value_name("N")
                        .value_parser(value_parser!(u64))
                        .help("Render this one frame as a PNG, counted from 0")
                        .conflicts_with_all(["duration", "trace"]),
                )
                .arg(
                    Arg::new("epoch")
                        .long("epoch")
                        .value_name("MOMENT")
                        .value_parser(parse_moment)
                        .help("The moment of frame 0, for countdowns: 2026-05-01T20:00:00Z [default: 2026-01-01T00:00:00Z]"),
                )
                .arg(
                    Arg::new("size")
                        .long("size")
                        .value_name("WIDTHxHEIGHT")
                        .value_parser(parse_size)
                        .help("Size of the picture, such as 1280x720 or 3840x2160; text and shapes are drawn for it [default: the canvas]"),
                )
                .arg(
                    Arg::new("fit")
                        .long("fit")
                        .value_name("FIT")
                        .value_parser(parse_fit)
                        .requires("size")
                        .help("A canvas of other proportions: contain leaves black bars, cover fills [default: contain]"),
                )
                .arg(Arg::new("force").long("force").action(ArgAction::SetTrue).help("Overwrite the file if it exists"))
                .arg(path("config", "FILE", "Settings from a TOML file"))
                .arg(path("trace", "FILE", "Write a trace that chrome://tracing and Perfetto open"))
                .after_help(EXIT_CODES),
        ))
        .subcommand(
            Command::new("check")
                .about("Validates scene files; errors name file, line, column, path and the nearest valid word")
                .arg(scene().num_args(1..))
                .arg(
                    Arg::new("max-layers")
                        .long("max-layers")
                        .value_name("COUNT")
                        .value_parser(value_parser!(usize))
                        .help("Layers that a scene may have [default: 50]"),
                )
                .after_help(EXIT_CODES),
        )
        .subcommand(keys::command())
        .subcommand(fleet::command())
        .subcommand(Command::new("schema").about("Prints the JSON Schema of scene files"))
        .subcommand(config::flags(
            Command::new("profile")
                .about("Renders a scene without encoding it and prints what each system costs")
                .arg(scene())
                .arg(
                    Arg::new("frames")
                        .long("frames")
                        .value_name("N")
                        .value_parser(value_parser!(u64).range(1..=1_000_000))
                        .default_value("300")
                        .help("How many frames"),
                )
                .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON and not a table"))
                .arg(path("config", "FILE", "Settings from a TOML file"))
                .arg(path("trace", "FILE", "Write a trace that chrome://tracing and Perfetto open"))
                .after_help(EXIT_CODES),
        ))
        .subcommand(state::command())
}

fn scene() -> Arg {
    Arg::new("scene")
        .value_name("SCENE")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("Scene file (JSON)")
}

fn path(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

fn seconds(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("SECONDS")
        .value_parser(parse_seconds)
        .help(help)
}

fn parse_moment(text: &str) -> Result<Moment, String> {
    Moment::parse(text).ok_or_else(|| "write it as 2026-05-01T20:00:00Z".to_owned())
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=604_800.0).contains(&value) => Ok(value),
        _ => Err("it must be a number of seconds from 0 to 604800".to_owned()),
    }
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    viewport::parse_size(text).ok_or_else(|| format!("it must be {}", viewport::SIZE_EXPECTED))
}

fn parse_fit(text: &str) -> Result<CanvasFit, String> {
    match text {
        "contain" => Ok(CanvasFit::Contain),
        "cover" => Ok(CanvasFit::Cover),
        _ => Err("it must be contain or cover".to_owned()),
    }
}

fn settings(matches: &ArgMatches) -> Result<Settings, Failure> {
    Settings::load(LoadSources {
        config_file: matches.get_one::<PathBuf>("config").cloned(),
        dotenv: Some(PathBuf::from(".env")),
        environment: config::process_environment(),
        flags: config::flags_from(matches),
    })
    .map_err(Failure::Settings)
}

fn scene_path(matches: &ArgMatches) -> &Path {
    matches
        .get_one::<PathBuf>("scene")
        .map_or(Path::new(DEFAULT_SCENE), PathBuf::as_path)
}

fn load_options(settings: &Settings) -> LoadOptions {
    LoadOptions {
        max_layers: settings.max_layers,
        assets: Some(settings.assets_dir()),
        ..LoadOptions::default()
    }
}

fn load(matches: &ArgMatches, settings: &Settings) -> Result<LoadedScene, Failure> {
    load_scene(scene_path(matches), &load_options(settings))
        .map_err(|errors| Failure::Scene(Box::new(errors)))
}

/// The rate of a scene: its canvas's own, or that of the settings.
fn rate_of(scene: &LoadedScene, settings: &Settings) -> FrameRate {
    scene.spec.canvas.fps.unwrap_or(settings.target_fps)
}
