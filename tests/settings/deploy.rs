//! The examples of deployment: what they set are settings, with values that are allowed, and their parts name each other.

use std::collections::BTreeSet;
use std::fs;

use stream_manager::config::{self, Origin};
use stream_manager::fleet::{ChannelSpec, Ports};
use yaml_rust2::{Yaml, YamlLoader};

use super::project_file;

const IMAGE: &str = "stream-manager";

fn documents(name: &str) -> Vec<Yaml> {
    let text = fs::read_to_string(project_file(name)).unwrap();
    YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Everything in a document, parents first.
fn walk<'a>(yaml: &'a Yaml, see: &mut dyn FnMut(&'a Yaml)) {
    see(yaml);
    match yaml {
        Yaml::Array(items) => items.iter().for_each(|item| walk(item, see)),
        Yaml::Hash(fields) => fields.values().for_each(|value| walk(value, see)),
        _ => {}
    }
}

fn text(yaml: &Yaml) -> &str {
    yaml.as_str()
        .unwrap_or_else(|| panic!("{yaml:?} is no text, which variables are"))
}

/// Holds names and values to the table; one that Compose fills in is not looked at.
fn hold_variables(variables: &Yaml, found: &mut BTreeSet<String>) {
    for (name, value) in variables.as_hash().unwrap() {
        let (name, value) = (text(name), text(value));
        let is_setting = config::all().iter().any(|setting| setting.name == name);
        assert!(is_setting, "{name} is not a setting");
        if !value.contains("${") {
            config::check_one(name, value, Origin::Environment).unwrap();
        }
        found.insert(name.to_owned());
    }
}

/// Settings of channels that `fleet add` is called with.
fn hold_channels(document: &Yaml) -> usize {
    let mut count = 0;
    walk(document, &mut |yaml| {
        let Some(words) = yaml.as_vec().filter(|words| {
            words.first().and_then(Yaml::as_str) == Some("fleet")
                && words[1].as_str() == Some("add")
        }) else {
            return;
        };
        count += 1;
        for pair in words.windows(2) {
            if pair[0].as_str() == Some("--set")
                && let Some((name, value)) = text(&pair[1]).split_once('=')
            {
                ChannelSpec::new("x", [(name.to_owned(), value.to_owned())]).unwrap();
            }
        }
    });
    count
}

#[test]
fn compose_sets_settings_and_maps_the_ports_of_channels() {
    let compose = documents("docs/deploy/compose.yaml").remove(0);
    let mut found = BTreeSet::new();
    walk(&compose, &mut |yaml| {
        if !yaml["environment"].is_badvalue() {
            hold_variables(&yaml["environment"], &mut found);
        }
    });
    for name in ["REDIS_URL", "FLEET_CAPACITY", "API_TOKEN"] {
        assert!(found.contains(name), "{name}: {found:?}");
    }
    assert_eq!(compose["x-instance"]["image"].as_str(), Some(IMAGE));
    let one = &compose["services"]["one"];
    let base = one["environment"]["FLEET_PORT_BASE"].as_str().unwrap();
    let capacity = one["environment"]["FLEET_CAPACITY"].as_str().unwrap();
    for service in ["one", "two"] {
        let mapped = compose["services"][service]["ports"].as_vec().unwrap();
        for slot in 0..capacity.parse().unwrap() {
            let ports = Ports::of(base.parse().unwrap(), slot);
            let range = format!(":{}-{}", ports.api, ports.rtmp.unwrap());
            let is_mapped = mapped.iter().any(|port| text(port).ends_with(&range));
            assert!(is_mapped, "{service} does not map {range}");
        }
    }
    // The compose file of a single stream has the same image.
    let single = documents("docker-compose.yml").remove(0);
    let image = &single["services"]["stream-manager"]["image"];
    assert_eq!(image.as_str(), Some(IMAGE));
}

#[test]
fn kubernetes_sets_settings_and_names_what_is_there() {
    let all = documents("docs/deploy/kubernetes.yaml");
    let named = |kind: &str, name: &str| {
        let mut all = all.iter();
        all.find(|document| {
            document["kind"].as_str() == Some(kind)
                && document["metadata"]["name"].as_str() == Some(name)
        })
        .unwrap_or_else(|| panic!("there is no {kind} {name}"))
    };
    let mut found = BTreeSet::new();
    for document in &all {
        for fields in ["data", "stringData"] {
            if !document[fields].is_badvalue() {
                hold_variables(&document[fields], &mut found);
            }
        }
        walk(document, &mut |yaml| {
            for variable in yaml["env"].as_vec().into_iter().flatten() {
                let name = text(&variable["name"]);
                assert!(
                    config::all().iter().any(|setting| setting.name == name),
                    "{name}"
                );
            }
            for source in yaml["envFrom"].as_vec().into_iter().flatten() {
                for (field, kind) in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")] {
                    if let Some(name) = source[field]["name"].as_str() {
                        named(kind, name);
                    }
                }
            }
            if let Some(image) = yaml["image"].as_str() {
                assert!(image == IMAGE || image.starts_with("redis:7"), "{image}");
            }
        });
    }
    let settings = &named("ConfigMap", "stream-manager")["data"];
    for name in ["REDIS_URL", "REDIS_PASSWORD", "API_TOKEN", "STREAM_URL"] {
        assert!(found.contains(name), "{name}: {found:?}");
    }
    assert_eq!(all.iter().map(hold_channels).sum::<usize>(), 1);
    let pod = &named("Deployment", "stream-manager")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let port = |name: &str| {
        let mut ports = container["ports"].as_vec().unwrap().iter();
        let port = ports.find(|port| port["name"].as_str() == Some(name));
        u16::try_from(port.unwrap()["containerPort"].as_i64().unwrap()).unwrap()
    };
    let base = settings["FLEET_PORT_BASE"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let channel = Ports {
        api: port("api"),
        websocket: port("websocket"),
        metrics: port("metrics"),
        health: port("health"),
        rtmp: Some(port("rtmp")),
    };
    assert_eq!(channel, Ports::of(base, 0));
    assert_eq!(
        settings["HEALTH_PORT"].as_str(),
        Some(&*port("supervisor").to_string())
    );
    for (probe, path) in [("livenessProbe", "/health"), ("readinessProbe", "/ready")] {
        let http = &container[probe]["httpGet"];
        assert_eq!(
            (http["path"].as_str(), http["port"].as_str()),
            (Some(path), Some("supervisor"))
        );
    }
    // More than a clean end takes.
    assert!(pod["terminationGracePeriodSeconds"].as_i64() > Some(6));
}
