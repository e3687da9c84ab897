//! The rules of the house, held by reading the workspace's own sources: which way dependencies run, what lower rooms must not touch,
//! where `unsafe` may stand, and what no file has.
//!
//! Every rule names its violations as `file:line`. An exception is a line in a table here, with its reason.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources must stop"
)]

use std::fs;

#[path = "tidy/source.rs"]
mod source;

use source::{files, grouped_imports, relative, root, sources};

/// Crates that open sockets, talk to servers or watch disks: the root's business alone.
const ROOT_ONLY: &[&str] = &[
    "axum",
    "hyper",
    "mio",
    "notify",
    "redb",
    "redis",
    "reqwest",
    "retina",
    "rtmp-rs",
    "tokio",
    "tower",
    "tower-http",
    "tokio-tungstenite",
];
/// The rooms of the workspace and the rooms that they may depend on.
const ROOMS: &[(&str, &[&str])] = &[
    ("components", &[]),
    ("systems/raster", &["components"]),
    ("systems/text", &["components", "raster"]),
    ("systems/codec", &["components", "raster"]),
    ("systems", &["components", "raster", "text", "codec"]),
];
/// What product code below the root must not name: it has no clock, no disk, no sockets, and waits for nothing.
const FORBIDDEN_BELOW_ROOT: &[&str] = &[
    "std::fs",
    "std::net",
    "Instant",
    "SystemTime",
    "thread::sleep",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
];
/// Exceptions to [`FORBIDDEN_BELOW_ROOT`]: file, name, reason.
const ALLOWED_BELOW_ROOT: &[(&str, &str, &str)] = &[
    (
        "systems/codec/src/interrupt.rs",
        "Instant",
        "FFmpeg polls the deadlines of its own I/O from deep inside a call; nothing on the tick reads them",
    ),
    (
        "systems/codec/src/ffi/transport.rs",
        "std::fs",
        "the kernel tells of FFmpeg's sockets under /proc; no file on a disk is read",
    ),
];
/// The leaf modules that may hold `unsafe`: FFI and SIMD.
const UNSAFE_LEAVES: &[&str] = &[
    "systems/codec/src/ffi/",
    // Bands of one frame are written side by side; `compositor.rs` makes the one call.
    "systems/raster/src/frame.rs",
    "systems/raster/src/compositor.rs",
    // A closure is lent to threads that outlive it.
    "systems/raster/src/workers.rs",
];
/// Roots of crates in which the compiler itself refuses `unsafe`.
const FORBID_UNSAFE: &[&str] = &["components/src/lib.rs", "src/lib.rs", "src/main.rs"];
/// The longest file, in lines.
const LINES_MAX: usize = 700;
/// How far above `unsafe` its `SAFETY` comment may begin, in lines.
const SAFETY_LINES: usize = 8;

fn hold(rule: &str, violations: Vec<String>) {
    assert!(
        violations.is_empty(),
        "{rule}:\n  {}",
        violations.join("\n  ")
    );
}

#[test]
fn dependencies_run_one_way() {
    let mut violations = Vec::new();
    for (room, allowed) in ROOMS {
        let path = root().join(room).join("Cargo.toml");
        let text = fs::read_to_string(&path).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        for (table, name, package) in dependencies(&manifest) {
            let line = text
                .lines()
                .position(|line| line.starts_with(&name))
                .map_or(1, |index| index + 1);
            let place = format!("{room}/Cargo.toml:{line}");
            let is_dev = table == "dev-dependencies";
            if !is_dev && ROOT_ONLY.contains(&package.as_str()) {
                violations.push(format!(
                    "{place} {table} names {package}, which only the root may use"
                ));
            }
            let is_room = ROOMS
                .iter()
                .any(|(other, _)| other.rsplit('/').next() == Some(&name));
            let is_workspace = is_room || package.starts_with("stream-manager");
            if is_workspace && !is_dev && !allowed.contains(&name.as_str()) {
                violations.push(format!(
                    "{place} {table} names {name}; {room} may use {allowed:?}"
                ));
            }
        }
    }
    hold("dependencies run root -> systems -> components", violations);
}

/// Table, name in this manifest, and name of the package, of each dependency.
fn dependencies(manifest: &toml::Table) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (key, value) in manifest {
        let Some(table) = value.as_table() else {
            continue;
        };
        if key == "target" {
            for target in table.values().filter_map(toml::Value::as_table) {
                found.extend(dependencies(target));
            }
        } else if key.ends_with("dependencies") {
            for (name, settings) in table {
                let package = settings
                    .get("package")
                    .and_then(toml::Value::as_str)
                    .unwrap_or(name);
                found.push((key.clone(), name.clone(), package.to_owned()));
            }
        }
    }
    found
}

#[test]
fn lower_rooms_have_no_clock_disk_or_sockets() {
    let mut violations = Vec::new();
    for source in sources() {
        let is_below =
            source.path.starts_with("components/") || source.path.starts_with("systems/");
        if !is_below || source.is_bench_or_example() {
            continue;
        }
        let named = FORBIDDEN_BELOW_ROOT
            .iter()
            .flat_map(|name| source.words(name).map(|at| (at, (*name).to_owned())))
            .chain(
                grouped_imports(&source)
                    .into_iter()
                    .filter(|(_, name)| FORBIDDEN_BELOW_ROOT.contains(&name.as_str())),
            );
        for (at, name) in named {
            let allowed = ALLOWED_BELOW_ROOT
                .iter()
                .any(|(file, word, _)| *file == source.path && *word == name);
            if !source.is_test_code(at) && !allowed {
                violations.push(format!("{} {name}", source.place(at)));
            }
        }
    }
    violations.dedup();
    hold(
        "components and systems know no clock, no disk, no sockets, and do not sleep",
        violations,
    );
}

#[test]
fn unsafe_stands_in_named_leaves_and_says_why() {
    let mut violations = Vec::new();
    let sources = sources();
    for name in FORBID_UNSAFE {
        match sources.iter().find(|source| source.path == *name) {
            Some(source) if source.code.contains("#![forbid(unsafe_code)]") => {}
            Some(_) => violations.push(format!("{name}:1 has no #![forbid(unsafe_code)]")),
            None => violations.push(format!("{name} does not exist")),
        }
    }
    for source in &sources {
        for at in source.words("unsafe") {
            let is_leaf = UNSAFE_LEAVES
                .iter()
                .any(|leaf| source.path.starts_with(leaf));
            if !is_leaf && !source.is_test_file() {
                violations.push(format!(
                    "{} unsafe outside the leaf modules {UNSAFE_LEAVES:?}",
                    source.place(at)
                ));
            }
            let line = source.text[..at].matches('\n').count();
            // A function's own contract may stand at the top of its body.
            let rest = source.code[at + "unsafe".len()..].trim_start();
            let below = if rest.starts_with("fn") || rest.starts_with("extern") {
                SAFETY_LINES
            } else {
                0
            };
            let lines = source.text.lines().skip(line.saturating_sub(SAFETY_LINES));
            let mut near = lines.take(SAFETY_LINES.min(line) + 1 + below);
            if !near.any(|line| line.contains("SAFETY") || line.contains("# Safety")) {
                violations.push(format!(
                    "{} unsafe without a SAFETY comment",
                    source.place(at)
                ));
            }
        }
    }
    hold(
        "unsafe stands in leaf modules, with a SAFETY comment",
        violations,
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut violations = Vec::new();
    for source in sources() {
        let words = source
            .text
            .strip_prefix("//!")
            .and_then(|rest| rest.lines().next())
            .unwrap_or_default();
        if words.trim().len() < 15 {
            violations.push(format!(
                "{}:1 does not open with a line of `//!` that tells its job",
                source.path
            ));
        }
    }
    hold("every file opens with `//!`", violations);
}

#[test]
fn no_file_is_too_long() {
    let too_long = sources().into_iter().filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > LINES_MAX).then(|| format!("{}:{lines} lines; at most {LINES_MAX}", source.path))
    });
    hold(
        "a long file has a second concept that wants a name",
        too_long.collect(),
    );
}

#[test]
fn nothing_is_left_undone_and_tests_do_not_sleep() {
    let mut violations = Vec::new();
    for source in sources() {
        for word in ["todo!", "unimplemented!"] {
            for (at, _) in source.code.match_indices(word) {
                violations.push(format!("{} {word}", source.place(at)));
            }
        }
        for (at, _) in source.code.match_indices("#[ignore") {
            violations.push(format!("{} an ignored test", source.place(at)));
        }
        for at in source
            .words("thread::sleep")
            .chain(source.words("time::sleep"))
        {
            if source.is_test_code(at) {
                violations.push(format!(
                    "{} a test that sleeps; poll a condition under a limit",
                    source.place(at)
                ));
            }
        }
    }
    hold("nothing is left undone, and no test sleeps", violations);
}

#[test]
fn no_file_names_a_place_on_one_machine() {
    // In two parts, so that this file does not find itself.
    let places = [
        ("/ho", "me/"),
        ("/ro", "ot/"),
        ("/Us", "ers/"),
        ("/wo", "rk/"),
        ("C:\\", "Users"),
    ];
    let mut violations = Vec::new();
    for path in files(&[
        ".rs",
        ".toml",
        ".json",
        ".md",
        ".yml",
        ".yaml",
        ".sh",
        ".html",
        ".js",
        ".css",
        "Makefile",
        "Dockerfile",
    ]) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            for (start, end) in places {
                let place = format!("{start}{end}");
                let found = line.match_indices(&place).any(|(at, _)| {
                    // `https://example.com/home/` and `src/work/` are none.
                    !line[..at].ends_with(|c: char| {
                        c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '/')
                    })
                });
                if found {
                    violations.push(format!("{}:{} {place}", relative(&path), number + 1));
                }
            }
        }
    }
    hold("no file names a place on one machine", violations);
}
