//! Who reaches the servers and what they must never show: ports, the token, origins, stream keys.

use super::{Folder, KEY, Layers, with_environment};

const PORTS: [&str; 5] = [
    "PORT",
    "WS_PORT",
    "METRICS_PORT",
    "HEALTH_PORT",
    "RTMP_PORT",
];

#[test]
fn no_two_servers_share_a_port() {
    for (index, second) in PORTS.into_iter().enumerate() {
        for first in &PORTS[..index] {
            let layers = Layers {
                environment: vec![(first, "5000"), (second, "5000")],
                ..Layers::default()
            };
            let error = layers.load().unwrap_err();
            let [problem] = error.problems() else {
                panic!("one problem: {error}")
            };
            let words = format!("{first} and {second} are both 5000; they must differ");
            assert_eq!(problem.message, words);
        }
    }
    let error = with_environment("HEALTH_PORT", "4200").unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("PORT and HEALTH_PORT are both 4200"),
        "{text}"
    );

    let layers = Layers {
        environment: PORTS.map(|name| (name, "5000")).to_vec(),
        ..Layers::default()
    };
    let problems = layers.load().unwrap_err().problems().len();
    assert_eq!(problems, 4, "each is told once");
    let layers = Layers {
        environment: PORTS.map(|name| (name, "0")).to_vec(),
        ..Layers::default()
    };
    assert!(layers.load().is_ok(), "each takes a free one");
}

#[test]
fn others_reach_the_servers_only_with_a_token() {
    let load = |bind, token| {
        let layers = Layers {
            environment: vec![("BIND", bind), ("API_TOKEN", token)],
            ..Layers::default()
        };
        layers.load()
    };
    for bind in ["127.0.0.1", "127.1.2.3", "::1"] {
        assert_eq!(load(bind, "").unwrap().api_token, None, "{bind}");
    }
    for bind in ["0.0.0.0", "::", "192.168.1.7", "2001:db8::1"] {
        let error = load(bind, "").unwrap_err();
        let [problem] = error.problems() else {
            panic!("one problem: {error}")
        };
        assert_eq!(problem.name.as_deref(), Some("API_TOKEN"));
        let words = format!("BIND is {bind}, which others can reach; API_TOKEN must be set then");
        assert_eq!(problem.message, words);
        assert!(load(bind, "a-Token.of_8~+/=").is_ok(), "{bind}");
    }
}

#[test]
fn origins_are_a_list_or_all() {
    let origins = |text: &str| with_environment("CORS_ORIGINS", text).map(|it| it.cors_origins.0);
    assert_eq!(origins("*").unwrap(), ["*"]);
    assert_eq!(
        origins(" https://studio.example , http://localhost:5173,").unwrap(),
        ["https://studio.example", "http://localhost:5173"]
    );
    for text in [
        "studio.example",
        "https://studio.example/",
        "https://*.example",
        "ftp://studio.example",
        "https://",
    ] {
        assert!(origins(text).is_err(), "{text}");
    }
}

#[test]
fn a_stream_key_is_never_shown() {
    let folder = Folder::new("secrets");
    let good = format!("rtmps://user:{KEY}@host.example/live/{KEY}?token={KEY}");
    let settings = with_environment("STREAM_URL", &good).unwrap();
    let url = settings.stream_url.clone().unwrap();
    assert_eq!(url.reveal(), good);
    for shown in [
        format!("{settings:?}"),
        format!("{settings:#?}"),
        format!("{url} {url:?}"),
    ] {
        assert!(!shown.contains(KEY), "{shown}");
    }
    assert!(
        url.to_string().contains("host.example/live/"),
        "the place itself may be shown"
    );

    let bad = format!("http://host/app/{KEY}");
    let broken_files = [
        format!("stream_url = \"{bad}\"\n"),
        format!("stream_url = rtmp://host/app/{KEY}\n"),
        format!("stream_url = \"rtmp://host/app/{KEY}\n"),
        format!("stream_urk = \"rtmp://host/app/{KEY}\"\n"),
        format!("stream_url = [\"{KEY}\"]\n"),
    ];
    let broken_dotenvs = [
        format!("STREAM_URL={bad}\n"),
        format!("STREAM_URL=rtmp://host/ app/{KEY}\n"),
        format!("STREAM_URL='rtmp://host/app/{KEY}\n"),
    ];
    let files = broken_files.iter().enumerate().map(|(index, text)| Layers {
        file: Some(folder.write(&format!("{index}.toml"), text)),
        ..Layers::default()
    });
    let dotenvs = broken_dotenvs
        .iter()
        .enumerate()
        .map(|(index, text)| Layers {
            dotenv: Some(folder.write(&format!("{index}.env"), text)),
            ..Layers::default()
        });
    let others = [
        Layers {
            environment: vec![("STREAM_URL", bad.as_str())],
            ..Layers::default()
        },
        Layers {
            flags: vec![("STREAM_URL", bad.as_str())],
            ..Layers::default()
        },
    ];
    let layers: Vec<Layers<'_>> = files.chain(dotenvs).chain(others).collect();
    for layers in layers {
        let error = layers.load().unwrap_err();
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains(KEY), "{shown}");
        }
    }
}

#[test]
fn the_token_is_never_shown() {
    let folder = Folder::new("token");
    let settings = with_environment("API_TOKEN", KEY).unwrap();
    assert_eq!(settings.api_token.as_ref().unwrap().reveal(), KEY);
    assert!(!format!("{settings:?}").contains(KEY));
    let bad = format!("not a token {KEY}");
    let layers = [
        Layers {
            file: Some(folder.write("bad.toml", &format!("api_token = \"{bad}\"\n"))),
            ..Layers::default()
        },
        Layers {
            dotenv: Some(folder.write("bad.env", &format!("API_TOKEN='{bad}'\n"))),
            ..Layers::default()
        },
        Layers {
            environment: vec![("API_TOKEN", bad.as_str())],
            ..Layers::default()
        },
        Layers {
            flags: vec![("API_TOKEN", bad.as_str())],
            ..Layers::default()
        },
    ];
    for layers in layers {
        let error = layers.load().unwrap_err();
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(
                shown.contains("API_TOKEN") && !shown.contains(KEY),
                "{shown}"
            );
        }
    }
}
