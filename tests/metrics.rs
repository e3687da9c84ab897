//! `/metrics` of a program on the air as Prometheus and Grafana see it: both texts are ones that they take, and the dashboard asks
//! for nothing that is not there.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

#[path = "program/support.rs"]
#[expect(dead_code, reason = "other tests need the rest of it")]
mod support;

use support::{FREE_PORTS, LIMIT, OnAir, SMALL_SCENE, TempFolder, program, run, text, until};

const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";

/// A program on the air with one output that is live.
fn start(folder: &TempFolder) -> OnAir {
    folder.write("scene.json", SMALL_SCENE);
    let on_air = OnAir::start(
        program(&folder.0)
            .args(["run", "scene.json", "--recording", "false"])
            .args(FREE_PORTS),
    );
    let port = on_air.port("metrics");
    until("a live output", || {
        let (_, body) = scrape(port, "*/*")?;
        body.contains("stream_output_up{output=\"hls\"} 1")
            .then_some(())
    });
    on_air
}

/// Head and body of `/metrics`.
fn scrape(port: u16, accept: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.to_ascii_lowercase(), body.to_owned()))
}

/// `promtool` of Debian's package `prometheus`.
fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("promtool, which scripts/install-packages.sh installs for tests: {error}")
        });
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

/// The names that can be asked for, also those of which there is no sample yet.
fn names(metrics: &str) -> BTreeSet<&str> {
    metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect()
}

#[test]
fn prometheus_reads_the_metrics_and_finds_no_fault() {
    let folder = TempFolder::new();
    let on_air = start(&folder);
    let port = on_air.port("metrics");
    let (head, body) = scrape(port, "*/*").unwrap();
    assert!(
        head.starts_with("http/1.1 200")
            && head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    // 1 is a text that cannot be read, 3 a complaint about a name, a type or a help.
    let output = promtool(&["check", "metrics"], &body);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{body}");
    assert!(said.is_empty(), "{said}");

    let (head, openmetrics) = scrape(port, OPENMETRICS).unwrap();
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert!(openmetrics.ends_with("\n# EOF\n"), "{openmetrics}");
    let samples = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()))
            .collect()
    };
    assert_eq!(samples(&body), samples(&openmetrics));
}

#[test]
fn names_that_earlier_versions_had_are_there() {
    let folder = TempFolder::new();
    let on_air = start(&folder);
    let (_, body) = scrape(on_air.port("metrics"), "*/*").unwrap();
    let names = names(&body);
    for name in [
        "rtmp_connections_total",
        "rtmp_active_streams",
        "rtmp_bandwidth_bytes",
        "rtmp_errors_total",
        "encoder_fps",
        "encoder_bitrate",
        "encoder_queue_size",
        "encoder_dropped_frames",
        "muxer_active_outputs",
        "muxer_queue_size",
        "muxer_errors",
    ] {
        assert!(names.contains(name), "{name} is not in:\n{body}");
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let dashboard = dashboard();
    let folder = TempFolder::new();
    let on_air = start(&folder);
    let (_, body) = scrape(on_air.port("metrics"), "*/*").unwrap();
    let known = names(&body);
    let mut asked = 0;
    for expression in expressions(&dashboard) {
        let names = asked_for(&expression);
        assert!(!names.is_empty(), "`{expression}` asks for nothing");
        asked += names.len();
        for name in names {
            assert!(
                known.contains(name.as_str()),
                "there is no {name}, which `{expression}` asks for"
            );
        }
    }
    assert!(asked > 30, "{asked}");
}

#[test]
fn prometheus_can_work_out_every_expression_of_the_dashboard() {
    let rules: Vec<Value> = expressions(&dashboard())
        .filter(|expression| !expression.starts_with("label_values("))
        .enumerate()
        .map(|(index, expression)| {
            let expression = expression.replace("$__rate_interval", "1m");
            json!({"record": format!("panel:{index}"), "expr": expression})
        })
        .collect();
    assert!(rules.len() > 20, "{}", rules.len());
    let folder = TempFolder::new();
    // JSON is YAML, too.
    let file = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    let path = folder.write("rules.yml", &file.to_string());
    let output = run(Command::new("promtool")
        .args(["check", "rules", "--lint=none"])
        .arg(path));
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_panels_stand_side_by_side_and_read_from_the_chosen_source() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{title} does not fit in");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{title} covers another panel");
            }
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            assert!(panel["description"].is_string(), "{title}");
        }
    }
}

fn dashboard() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/grafana/stream-manager.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What the panels and the variables ask Prometheus for.
fn expressions(dashboard: &Value) -> impl Iterator<Item = String> {
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
        .map(|target| target["expr"].as_str().unwrap().to_owned());
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let queries = variables
        .iter()
        .filter_map(|variable| variable["definition"].as_str())
        .map(str::to_owned);
    targets.chain(queries).collect::<Vec<_>>().into_iter()
}

/// The names of metrics in an expression: its words, without what stands in quotes, in braces, in brackets and in lists of labels,
/// without functions, operators and numbers.
fn asked_for(expression: &str) -> Vec<String> {
    const BEFORE_LABELS: [&str; 6] = [
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
    ];
    const OPERATORS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':');
    let mut found = Vec::new();
    let mut rest = match expression.strip_prefix("label_values(") {
        // Its second argument is a label.
        Some(arguments) => arguments.split(',').next().unwrap(),
        None => expression,
    };
    while let Some(start) = rest.find(|letter: char| is_word(letter) || matches!(letter, '{' | '['))
    {
        let skip_to = |from: &'static str| rest[start..].find(from).unwrap() + start + 1;
        if rest[start..].starts_with('{') {
            rest = &rest[skip_to("}")..];
            continue;
        }
        if rest[start..].starts_with('[') {
            rest = &rest[skip_to("]")..];
            continue;
        }
        let word = &rest[start..];
        let word = &word[..word.find(|letter| !is_word(letter)).unwrap_or(word.len())];
        let after = rest[start + word.len()..].trim_start();
        rest = after;
        if BEFORE_LABELS.contains(&word) {
            if after.starts_with('(') {
                rest = &after[after.find(')').unwrap() + 1..];
            }
        } else if !["(", "by ", "without "]
            .iter()
            .any(|next| after.starts_with(next))
            && !OPERATORS.contains(&word)
            && !word.starts_with(|letter: char| letter.is_ascii_digit())
        {
            found.push(word.to_owned());
        }
    }
    found
}

#[test]
fn names_are_found_in_expressions() {
    for (expression, names) in [
        ("8 * a_b{c=\"d\", e=~\"f|g\"}", vec!["a_b"]),
        (
            "topk(10, rate(a_total{b=\"$c\"}[$__rate_interval]) / on (d) group_left rate(e[1m]))",
            vec!["a_total", "e"],
        ),
        ("sum by (a, b) (c:d) or vector(0)", vec!["c:d"]),
        ("time() - (a > 0)", vec!["a"]),
        ("label_values(a{b=\"c\"}, d)", vec!["a"]),
    ] {
        assert_eq!(asked_for(expression), names, "{expression}");
    }
}
