//! What an output may be and what is said of one that may not.

use super::*;
use serde_json::{Value, json};

fn problems(value: Value) -> Vec<String> {
    let spec: OutputSpec = serde_json::from_value(value).expect("the shape of an output");
    let mut problems = Problems::new();
    spec.validate(&mut problems);
    problems
        .into_vec()
        .into_iter()
        .map(|problem| problem.path)
        .collect()
}

#[test]
fn the_way_out_follows_from_address_and_platform() {
    for (value, way) in [
        (
            json!({"id": "a", "url": "rtmp://host/app/key"}),
            OutputType::Rtmp,
        ),
        (
            json!({"id": "a", "url": "RTMPS://host:443/app", "key": "k"}),
            OutputType::Rtmp,
        ),
        (
            json!({"id": "a", "url": "srt://host:8890?streamid=x"}),
            OutputType::Srt,
        ),
        (json!({"id": "a", "url": "friday.mkv"}), OutputType::File),
        (
            json!({"id": "a", "type": "file", "container": "ts"}),
            OutputType::File,
        ),
        (json!({"id": "a", "type": "file"}), OutputType::File),
        (json!({"id": "a", "url": "stage/"}), OutputType::Hls),
        (
            json!({"id": "a", "type": "hls", "renditions": ["main", "720p"]}),
            OutputType::Hls,
        ),
        (
            json!({"id": "a", "platform": "x", "region": "va", "keyFrom": "X_STREAM_KEY"}),
            OutputType::Rtmp,
        ),
    ] {
        assert_eq!(problems(value.clone()), [""; 0], "{value}");
        let spec: OutputSpec = serde_json::from_value(value).expect("an output");
        assert_eq!(spec.way(), Some(way));
    }
}

#[test]
fn what_does_not_serve_is_named_by_its_path() {
    for (value, paths) in [
        (json!({"id": "a"}), vec![""]),
        (json!({"id": "-a", "type": "hls"}), vec!["id"]),
        (json!({"id": "recording", "type": "file"}), vec!["id"]),
        (json!({"id": "a", "url": "http://host"}), vec!["url"]),
        (
            json!({"id": "a", "type": "rtmp", "url": "srt://host"}),
            vec!["url"],
        ),
        (json!({"id": "a", "url": "rtmp:///app"}), vec!["url"]),
        (json!({"id": "a", "type": "rtmp"}), vec![""]),
        (json!({"id": "a", "url": "../up.mp4"}), vec!["url"]),
        (json!({"id": "a", "url": "shows/friday.mp4"}), vec!["url"]),
        (json!({"id": "a", "url": "/etc/x.mp4"}), vec!["url"]),
        (json!({"id": "a", "url": ".hidden/"}), vec!["url"]),
        (
            json!({"id": "a", "url": "x.mp4", "container": "mkv"}),
            vec!["container"],
        ),
        (
            json!({"id": "a", "url": "rtmp://h/a", "key": "k", "keyFrom": "X"}),
            vec!["keyFrom", "keyFrom"],
        ),
        (
            json!({"id": "a", "url": "rtmp://h/a", "keyFrom": "API_TOKEN"}),
            vec!["keyFrom"],
        ),
        (
            json!({"id": "a", "url": "rtmp://h/a", "key": "two words"}),
            vec!["key"],
        ),
        (
            json!({"id": "a", "url": "rtmp://h/a", "split": {"minutes": 5}, "window": 3}),
            vec!["split", "window"],
        ),
        (
            json!({"id": "a", "type": "file", "split": {}}),
            vec!["split"],
        ),
        (
            json!({"id": "a", "url": "rtmp://h/a", "renditions": ["a", "b"]}),
            vec!["renditions"],
        ),
        (
            json!({"id": "a", "url": "rtmp://h/a", "region": "va"}),
            vec!["region"],
        ),
        (
            json!({"id": "a", "url": "rtmp://h/a", "backupUrls": ["srt://h"]}),
            vec!["backupUrls[0]"],
        ),
        (
            json!({"id": "a", "type": "hls", "timeout": 1, "retryDelay": 1, "maxQueue": 1}),
            vec!["retryDelay", "timeout", "maxQueue"],
        ),
    ] {
        assert_eq!(problems(value.clone()), paths, "{value}");
    }
}

#[test]
fn what_is_left_out_is_not_written() {
    let spec = OutputSpec::new("a");
    let written = serde_json::to_value(&spec).expect("JSON");
    assert_eq!(written, json!({"id": "a"}));
    let read: OutputSpec = serde_json::from_value(written).expect("an output");
    assert_eq!(read, spec);
}
