//! Settings from the outside: the order of the layers, errors that can be acted on, secrets, and the files that list them.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its files fails loudly"
)]

#[path = "settings/access.rs"]
mod access;
#[path = "settings/deploy.rs"]
mod deploy;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use components::scene::FrameRate;
use proptest::prelude::*;
use stream_manager::config::{
    self, LoadSources, LogFormat, LogLevels, Origin, RenderQuality, Settings, SettingsError,
};

const KEY: &str = "s3cr3t-stream-key";
const MARKER_BEGIN: &str =
    "<!-- settings: `BLESS=1 cargo test --test settings` writes this table -->\n";
const MARKER_END: &str = "<!-- end of settings -->\n";

/// A folder of one test's own, with the files it gives.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("settings-{test}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

#[derive(Clone, Default)]
struct Layers<'a> {
    file: Option<PathBuf>,
    dotenv: Option<PathBuf>,
    environment: Vec<(&'a str, &'a str)>,
    flags: Vec<(&'a str, &'a str)>,
}

impl Layers<'_> {
    fn load(self) -> Result<Settings, SettingsError> {
        let own = |pairs: Vec<(&str, &str)>| {
            let pairs = pairs.into_iter();
            pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect::<Vec<_>>()
        };
        Settings::load(LoadSources {
            config_file: self.file,
            dotenv: self.dotenv,
            environment: own(self.environment),
            flags: own(self.flags),
        })
    }
}

fn with_environment(name: &str, value: &str) -> Result<Settings, SettingsError> {
    let environment = vec![(name, value)];
    Layers {
        environment,
        ..Layers::default()
    }
    .load()
}

#[test]
fn defaults_are_those_of_the_contract() {
    let settings = Layers::default().load().unwrap();
    let ports = [
        settings.port,
        settings.ws_port,
        settings.metrics_port,
        settings.health_port,
    ];
    assert_eq!(ports, [4200, 4201, 4290, 4291]);
    assert!(settings.bind.is_loopback());
    assert_eq!(settings.api_token, None);
    assert_eq!(settings.cors_origins.0, [] as [&str; 0]);
    assert_eq!(
        (settings.rate_limit, settings.max_connections),
        (5000, 4096)
    );
    assert_eq!(settings.data_dir, Path::new("./data"));
    assert_eq!(settings.hls_dir(), Path::new("./data/hls"));
    assert_eq!(settings.recordings_dir(), Path::new("./data/recordings"));
    assert_eq!(settings.assets_dir(), Path::new("./data/assets"));
    assert_eq!(settings.target_fps.as_f64(), 30.0);
    assert_eq!(settings.max_layers, components::layer::DEFAULT_MAX_LAYERS);
    assert_eq!(settings.render_quality, RenderQuality::Medium);
    assert_eq!(settings.stream_preset.as_str(), "veryfast");
    assert_eq!(
        (settings.stream_bitrate_kbps, settings.audio_bitrate_kbps),
        (4000, 128)
    );
    assert_eq!(settings.stream_url, None);
    assert_eq!((settings.pool_size, settings.max_queue_size), (16, 60));
    assert_eq!(
        (settings.retry_attempts, settings.retry_delay),
        (0, Duration::from_secs(1))
    );
    assert!(settings.audio_enabled && settings.hls && settings.recording);
    assert_eq!(settings.log_level.directives(), "info");
    assert_eq!(settings.log_format, LogFormat::Text);
    assert!(settings.notes.is_empty());
}

#[test]
fn each_layer_wins_over_the_one_before() {
    let folder = Folder::new("order");
    let file = folder.write(
        "config.toml",
        "port = 1\nHEALTH_PORT = 11\nmax_layers = 21\nPOOL_SIZE = 31\n",
    );
    let dotenv = folder.write(".env", "HEALTH_PORT=12\nMAX_LAYERS=22\nPOOL_SIZE=32\n");
    let layers = Layers {
        file: Some(file),
        dotenv: Some(dotenv),
        environment: vec![("MAX_LAYERS", "23"), ("POOL_SIZE", "33")],
        flags: vec![("POOL_SIZE", "34")],
    };
    let settings = layers.load().unwrap();
    assert_eq!(settings.port, 1);
    assert_eq!(settings.health_port, 12);
    assert_eq!(settings.max_layers, 23);
    assert_eq!(settings.pool_size, 34);
    assert_eq!(settings.max_queue_size, 60);
}

#[test]
fn quality_chooses_the_preset_unless_one_is_given() {
    let preset = |pairs: &[(&'static str, &'static str)]| {
        let environment = pairs.to_vec();
        let layers = Layers {
            environment,
            ..Layers::default()
        };
        layers.load().unwrap().stream_preset.as_str()
    };
    assert_eq!(preset(&[("RENDER_QUALITY", "low")]), "superfast");
    assert_eq!(preset(&[("RENDER_QUALITY", "medium")]), "veryfast");
    assert_eq!(preset(&[("RENDER_QUALITY", "HIGH")]), "faster");
    assert_eq!(
        preset(&[("RENDER_QUALITY", "high"), ("STREAM_PRESET", "ultrafast")]),
        "ultrafast"
    );
}

#[test]
fn a_file_may_use_its_own_types_and_either_case() {
    let folder = Folder::new("types");
    let file = folder.write(
        "config.toml",
        "target_fps = 29.97\nhls = false\nSTREAM_BITRATE = \"4.5M\"\nlog_level = \"warn,streaming=debug\"\nport = 0x1_0\n",
    );
    let file = Some(file);
    let settings = Layers {
        file,
        ..Layers::default()
    }
    .load()
    .unwrap();
    assert_eq!(
        (
            settings.target_fps.numerator,
            settings.target_fps.denominator
        ),
        (30_000, 1001)
    );
    assert!(!settings.hls);
    assert_eq!(settings.stream_bitrate_kbps, 4500);
    assert_eq!(settings.port, 16);
    assert_eq!(
        settings.log_level.directives(),
        "warn,stream_manager::streaming=debug"
    );
}

#[test]
fn dotenv_knows_comments_quotes_and_exports() {
    let folder = Folder::new("dotenv");
    let dotenv = folder.write(
        ".env",
        "\u{feff}# a comment\n\nexport PORT=5000 # why\r\nDATA_DIR='/srv/my data#1'\nSTREAM_URL=\"rtmp://host/app/key\"\nPORT=5001\n",
    );
    let dotenv = Some(dotenv);
    let settings = Layers {
        dotenv,
        ..Layers::default()
    }
    .load()
    .unwrap();
    assert_eq!(
        settings.port, 5001,
        "the last of two lines holds, as in a shell"
    );
    assert_eq!(settings.data_dir, Path::new("/srv/my data#1"));
    assert_eq!(settings.stream_url.unwrap().reveal(), "rtmp://host/app/key");
}

#[test]
fn an_empty_url_takes_a_lower_layers_away() {
    let folder = Folder::new("empty-url");
    let dotenv = folder.write(".env", "STREAM_URL=rtmp://host/app/key\n");
    let layers = Layers {
        dotenv: Some(dotenv),
        environment: vec![("STREAM_URL", "")],
        ..Layers::default()
    };
    assert_eq!(layers.load().unwrap().stream_url, None);
}

/// A value that is not allowed, for every setting.
const BAD_VALUES: [(&str, &str); 54] = [
    ("PORT", "65536"),
    ("WS_PORT", "ws"),
    ("METRICS_PORT", "4290.0"),
    ("HEALTH_PORT", "-1"),
    ("BIND", "everywhere"),
    ("API_TOKEN", "seven77"),
    ("CORS_ORIGINS", "https://studio.example,studio.example"),
    ("RATE_LIMIT", "10/s"),
    ("MAX_CONNECTIONS", "0"),
    ("DATA_DIR", ""),
    ("REDIS_URL", "http://bad-value:6379"),
    ("REDIS_PASSWORD", "bad\tvalue"),
    ("STREAM_ID", "two words"),
    ("ADVERTISE_HOST", "http://studio/"),
    ("ROLE", "follower"),
    ("FLEET", "a fleet"),
    ("FLEET_CAPACITY", "0"),
    ("FLEET_PORT_BASE", "80"),
    ("TARGET_FPS", "0"),
    ("MAX_LAYERS", "1001"),
    ("MAX_INPUTS", "0"),
    ("ASSET_CACHE_MB", "70000"),
    ("RENDER_THREADS", "many"),
    ("POOL_SIZE", "2"),
    ("RENDER_QUALITY", "best"),
    ("STREAM_PRESET", "turbo"),
    ("STREAM_BITRATE", "4G"),
    ("STREAM_CODEC", "h265"),
    ("AUDIO_ENABLED", "perhaps"),
    ("AUDIO_CODEC", "mp3"),
    ("AUDIO_BITRATE", "1M"),
    ("HWACCEL", "cuda"),
    ("RENDITIONS", "720p:3000,719p:1"),
    ("STREAM_URL", "https://bad-value/app"),
    ("HLS", ""),
    ("RECORDING", "2"),
    ("RECORDING_CONTAINER", "avi"),
    ("RECORDING_SPLIT", "60"),
    ("REPLAY_SECONDS", "601"),
    ("THUMBNAIL_INTERVAL", "-1"),
    ("MAX_QUEUE_SIZE", "1"),
    ("RETRY_ATTEMPTS", "1.5"),
    ("RETRY_DELAY", "1h"),
    ("RTMP_PORT", "rtmp"),
    ("GOP_CACHE", "2"),
    ("CHUNK_SIZE", "127"),
    ("PING", "0"),
    ("PING_TIMEOUT", "1h"),
    ("RTMP_CONNECTIONS", "0"),
    ("RTMP_ADDRESS_CONNECTIONS", "-1"),
    ("RTMP_BANDWIDTH", "99"),
    ("RTMP_GRACE", "99"),
    ("LOG_LEVEL", "loud"),
    ("LOG_FORMAT", "xml"),
];

#[test]
fn the_bad_values_cover_the_table() {
    let bad: BTreeSet<_> = BAD_VALUES.iter().map(|(name, _)| *name).collect();
    let all: BTreeSet<_> = config::all().iter().map(|setting| setting.name).collect();
    assert_eq!(bad, all);
}

#[test]
fn a_bad_value_is_named_with_its_source_and_what_is_allowed() {
    let folder = Folder::new("bad-values");
    for setting in config::all() {
        let name = setting.name;
        let (_, value) = BAD_VALUES.iter().find(|(bad, _)| *bad == name).unwrap();
        let file = folder.write(
            "config.toml",
            &format!("# one\n{} = \"{value}\"\n", name.to_ascii_lowercase()),
        );
        let dotenv = folder.write(".env", &format!("# one\n# two\n\n{name}='{value}'\n"));
        let flag = format!("the flag --{}", setting.flag());
        let cases = [
            (
                Layers {
                    file: Some(file.clone()),
                    ..Layers::default()
                },
                format!("{}:2", file.display()),
            ),
            (
                Layers {
                    dotenv: Some(dotenv.clone()),
                    ..Layers::default()
                },
                format!("{}:4", dotenv.display()),
            ),
            (
                Layers {
                    environment: vec![(name, value)],
                    ..Layers::default()
                },
                "the environment".to_owned(),
            ),
            (
                Layers {
                    flags: vec![(name, value)],
                    ..Layers::default()
                },
                flag,
            ),
        ];
        for (layers, place) in cases {
            let error = layers.load().unwrap_err();
            let [problem] = error.problems() else {
                panic!("one problem for {name}: {error}")
            };
            let text = error.to_string();
            assert_eq!(problem.name.as_deref(), Some(name));
            assert!(text.contains(name), "{text}");
            assert!(
                text.contains(&format!("from {place}")),
                "{place} is not in: {text}"
            );
            assert!(text.contains(&setting.allowed), "{text}");
            assert_eq!(
                text.contains(&format!("{value:?}")),
                !setting.is_secret,
                "{text}"
            );
        }
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let folder = Folder::new("all");
    let file = folder.write(
        "config.toml",
        "target_fps = 0\nTARGET_FSP = 60\nport = [1, 2]\nlog_format = \"json\"\n[outputs]\nhls = true\n",
    );
    let dotenv = folder.write(".env", "POOL_SIZE=1\nnot a line\n");
    let layers = Layers {
        file: Some(file.clone()),
        dotenv: Some(dotenv.clone()),
        environment: vec![("MAX_LAYERS", "0")],
        flags: vec![("BIND", "nowhere"), ("TARGET_FPZ", "1")],
    };
    let error = layers.load().unwrap_err();
    let text = error.to_string();
    let (file, dotenv) = (file.display(), dotenv.display());
    for part in [
        format!("TARGET_FPS: \"0\" from {file}:1 is not allowed; it must be from 1 to 120"),
        format!("{file}:2: TARGET_FSP is not a setting; did you mean TARGET_FPS?"),
        format!("{file}:3: PORT must be one value, not a list or table"),
        format!("{file}:5: outputs is not a setting"),
        format!("POOL_SIZE: \"1\" from {dotenv}:1"),
        format!("{dotenv}:2: this is not NAME=value"),
        "MAX_LAYERS: \"0\" from the environment".to_owned(),
        "BIND: \"nowhere\" from the flag --bind".to_owned(),
        "the command line: TARGET_FPZ is not a setting; did you mean TARGET_FPS?".to_owned(),
    ] {
        assert!(text.contains(&part), "{part:?} is not in:\n{text}");
    }
    assert_eq!(error.problems().len(), 9, "{text}");
    assert!(text.starts_with("9 bad settings:\n"), "{text}");
}

#[test]
fn a_file_that_is_missing_broken_or_says_a_thing_twice_is_an_error() {
    let folder = Folder::new("broken");
    let file = Some(folder.0.join("absent.toml"));
    let text = Layers {
        file,
        ..Layers::default()
    }
    .load()
    .unwrap_err()
    .to_string();
    assert!(text.contains("absent.toml: cannot be read: "), "{text}");

    for (toml, place) in [
        ("port = 1\nhls = \n", "broken.toml:2: "),
        (
            "port = 1\nPORT = 2\n",
            "broken.toml:2: PORT is already given at ",
        ),
        ("port = 1\nport = 2\n", "broken.toml:2: "),
        (
            "stream_resolution = \"1280x720\"\n",
            "broken.toml:1: stream_resolution is not a setting of this release",
        ),
    ] {
        let file = Some(folder.write("broken.toml", toml));
        let error = Layers {
            file,
            ..Layers::default()
        }
        .load()
        .unwrap_err();
        let text = error.to_string();
        assert!(text.contains(place), "{place:?} is not in: {text}");
        assert_eq!(error.problems().len(), 1, "{text}");
    }

    let dotenv = Some(folder.0.join("absent.env"));
    let layers = Layers {
        dotenv,
        ..Layers::default()
    };
    assert!(layers.load().is_ok(), ".env may be missing");
}

#[test]
fn a_queue_holds_the_sound_of_its_frames_too() {
    let settings = Layers::default().load().unwrap();
    // 60 frames at 30 a second are 2 s, in which there are 93.75 packets of sound.
    assert_eq!(settings.queue_packets(FrameRate::whole(30)), 60 + 94);
    assert_eq!(settings.queue_packets(FrameRate::whole(60)), 60 + 47);
    let silent = with_environment("AUDIO_ENABLED", "off").unwrap();
    assert_eq!(silent.queue_packets(FrameRate::whole(30)), 60);
}

#[test]
fn a_replaced_value_is_not_checked() {
    let layers = Layers {
        environment: vec![("PORT", "high")],
        flags: vec![("PORT", "5000")],
        ..Layers::default()
    };
    assert_eq!(layers.load().unwrap().port, 5000);
}

#[test]
fn slips_and_settings_of_later_releases_are_remarked_on() {
    let folder = Folder::new("notes");
    let dotenv = folder.write(
        ".env",
        "TARGET_FSP=60\nPOSTGRES_PASSWORD=hunter22\nHOST=x\n",
    );
    let layers = Layers {
        dotenv: Some(dotenv.clone()),
        environment: vec![("STREAM_RESOLUTION", "1280x720"), ("HOME", "/root")],
        ..Layers::default()
    };
    let dotenv = dotenv.display();
    assert_eq!(
        layers.load().unwrap().notes,
        [
            format!("TARGET_FSP ({dotenv}:1) is not a setting; did you mean TARGET_FPS?"),
            "STREAM_RESOLUTION (the environment) does nothing in this release".to_owned(),
        ]
    );
}

#[test]
fn flags_are_made_from_the_table() {
    let command = || config::flags(clap::Command::new("run").arg(clap::Arg::new("SCENE")));
    let matches = command()
        .try_get_matches_from([
            "run",
            "scene.json",
            "--target-fps",
            "60",
            "--hls=off",
            "--max-layers",
            "-1",
        ])
        .unwrap();
    let given = config::flags_from(&matches);
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        given,
        [
            own("TARGET_FPS", "60"),
            own("MAX_LAYERS", "-1"),
            own("HLS", "off")
        ]
    );
    let without_flags = clap::Command::new("check").get_matches_from(["check"]);
    assert!(config::flags_from(&without_flags).is_empty());

    let help = command().render_help().to_string();
    for setting in config::all() {
        assert!(help.contains(&format!("--{} <", setting.flag())), "{help}");
        assert!(help.contains(&format!("[env: {}]", setting.name)), "{help}");
        assert!(
            help.contains(&format!("[default: {}", setting.default)),
            "{help}"
        );
    }
    command().debug_assert();
}

#[test]
fn origins_are_kept_for_programs() {
    let error = with_environment("PORT", "x").unwrap_err();
    assert_eq!(error.problems()[0].origin, Some(Origin::Environment));
}

#[test]
fn the_process_environment_stays_as_it_is() {
    let folder = Folder::new("environment");
    let name = "STREAM_PRESET";
    assert!(std::env::var_os(name).is_none(), "tests run without it");
    let dotenv = Some(folder.write(".env", "STREAM_PRESET=faster\n"));
    Layers {
        dotenv,
        ..Layers::default()
    }
    .load()
    .unwrap();
    assert!(std::env::var_os(name).is_none());
}

#[test]
fn env_example_lists_every_setting_with_its_default() {
    hold_file(".env.example", |_| config::env_example());
    // Held by itself too, so that a mistake in the listing does not hide behind the listing.
    let text = fs::read_to_string(project_file(".env.example")).unwrap();
    let lines = text.lines().filter_map(|line| {
        let (name, default) = line.strip_prefix('#')?.split_once('=')?;
        let is_name = name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        is_name.then_some((name, default))
    });
    let table = config::all().iter();
    assert_eq!(
        lines.collect::<Vec<_>>(),
        table
            .map(|setting| (setting.name, setting.default))
            .collect::<Vec<_>>()
    );
}

#[test]
fn env_example_uncommented_changes_nothing() {
    let text = config::env_example();
    let uncommented = text.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with([' ', '#']) => rest,
        _ => line,
    });
    let folder = Folder::new("example");
    let dotenv = folder.write(".env", &uncommented.collect::<Vec<_>>().join("\n"));
    let dotenv = Some(dotenv);
    let settings = Layers {
        dotenv,
        ..Layers::default()
    }
    .load()
    .unwrap();
    assert_eq!(settings, Layers::default().load().unwrap());
}

#[test]
fn the_readme_shows_the_table() {
    hold_file("README.md", |readme| {
        let (before, rest) = readme.split_once(MARKER_BEGIN).expect("the table's begin");
        let (_, after) = rest.split_once(MARKER_END).expect("the table's end");
        format!(
            "{before}{MARKER_BEGIN}{}{MARKER_END}{after}",
            config::markdown_table()
        )
    });
}

#[test]
fn every_folder_of_the_program_can_be_named_in_log_level() {
    let folders = fs::read_dir(project_file("src")).unwrap();
    let folders = folders.filter_map(|entry| {
        let entry = entry.unwrap();
        let is_room = entry.path().join("mod.rs").exists();
        is_room.then(|| entry.file_name().into_string().unwrap())
    });
    let names: BTreeSet<_> = LogLevels::component_names().collect();
    for folder in folders {
        assert!(
            names.contains(folder.as_str()),
            "src/{folder} is missing in config/log_levels.rs"
        );
    }
}

proptest! {
    /// Whatever the text, it is taken or refused; nothing panics, and the key does not show.
    #[test]
    fn any_text_is_survived(value in "\\PC{0,40}", index in 0..config::all().len()) {
        let setting = &config::all()[index];
        if let Err(error) = with_environment(setting.name, &value) {
            prop_assert!(error.to_string().contains(setting.name));
        }
    }

    /// Any bytes as a file give settings or an error.
    #[test]
    fn any_file_is_survived(text in "[A-Za-z_=\"'#\\[\\]\\{\\}\\n\\\\$. 0-9]{0,120}") {
        let folder = Folder::new("any");
        let file = Some(folder.write("any.toml", &text));
        let dotenv = Some(folder.write("any.env", &text));
        let _ = Layers { file, ..Layers::default() }.load();
        let _ = Layers { dotenv, ..Layers::default() }.load();
    }
}

fn project_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares a file of the project with what it should be, or writes it when `BLESS` is set.
fn hold_file(name: &str, expected: impl FnOnce(&str) -> String) {
    let path = project_file(name);
    let actual = fs::read_to_string(&path).unwrap_or_default();
    let expected = expected(&actual);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &expected).unwrap();
    } else {
        assert!(
            actual == expected,
            "{name} does not show the table of settings; `BLESS=1 cargo test --test settings` rewrites it"
        );
    }
}
