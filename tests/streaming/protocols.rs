//! Ways to push: RTMP over TLS through stunnel, SRT to srt-live-transmit.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use stream_manager::streaming::OutputState::Live;
use stream_manager::streaming::{OutputSettings, Streaming};

use crate::support::nginx::Nginx;
use crate::support::probe::{Probe, assert_no_gaps};
use crate::support::{
    Process, TempFolder, Ticker, encoder_settings, free_port, is_listening, noise, output,
    shut_down, wait_until,
};

/// An authority of our own, and a certificate of it for localhost.
fn make_certificates(folder: &TempFolder) {
    let openssl = |arguments: &str| {
        let status = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder.root())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "openssl {arguments}");
    };
    for name in ["ca", "other"] {
        openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"
        ));
    }
    openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr");
    std::fs::write(folder.path("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
}

#[test]
fn rtmps_needs_a_certificate_that_is_trusted() {
    let (folder, nginx, port) = (TempFolder::new("tls"), Nginx::new(), free_port());
    make_certificates(&folder);
    let config = format!(
        "foreground = yes\npid =\n[rtmps]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{}\n\
         cert = {}\nkey = {}\n",
        nginx.port,
        folder.target("server.pem"),
        folder.target("server.key"),
    );
    std::fs::write(folder.path("stunnel.conf"), config).unwrap();
    let server = nginx.start();
    let _tunnel = Process::start("stunnel4", &[&folder.target("stunnel.conf")]);
    wait_until("stunnel listens", Duration::from_secs(10), || {
        is_listening(port)
    });
    let push = |id: &str, host: &str, ca_file: Option<PathBuf>| OutputSettings {
        ca_file,
        retry_delay: Duration::from_millis(200),
        ..OutputSettings::new(id, format!("rtmps://{host}:{port}/live/{id}")).unwrap()
    };
    let outputs = vec![
        push("trusted", "localhost", Some(folder.path("ca.pem"))),
        push("untrusted", "localhost", Some(folder.path("other.pem"))),
        push("unknown", "localhost", None),
        push("misnamed", "127.0.0.1", Some(folder.path("ca.pem"))),
    ];
    let streaming = Streaming::start(encoder_settings(600), outputs).unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    let stats = |id: &str| output(&streaming, id).unwrap();
    wait_until("the trusted one is live", Duration::from_secs(15), || {
        stats("trusted").state == Live && stats("trusted").packets > 150
    });
    let refused = ["untrusted", "unknown", "misnamed"];
    wait_until("the others are refused", Duration::from_secs(15), || {
        refused.iter().all(|id| stats(id).failures >= 2)
    });
    for id in refused {
        assert_eq!(
            (stats(id).packets, stats(id).connected_since),
            (0, None),
            "{id}"
        );
    }
    drop(ticker);
    shut_down(streaming, &refused);
    Nginx::end(server);
    let recordings = nginx.recordings_of("trusted");
    assert_eq!(nginx.recordings(), recordings);
    let probe = Probe::open_cut(&recordings[0]);
    probe.assert_house_format(320, 180);
    assert_no_gaps(&recordings[0], &probe.video());
}

fn srt_listener(folder: &TempFolder, port: u16, name: &str) -> Process {
    let child = Command::new("srt-live-transmit")
        .arg("-q")
        .arg(format!("srt://127.0.0.1:{port}?mode=listener"))
        .arg("file://con")
        .stdin(Stdio::null())
        .stdout(File::create(folder.path(name)).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .expect("srt-tools is needed by this test");
    Process(child)
}

#[test]
fn srt_arrives_and_a_listener_that_returns_is_joined_again() {
    let (folder, port) = (TempFolder::new("srt"), free_port());
    let target = format!("srt://127.0.0.1:{port}?transtype=live&connect_timeout=500");
    let push = OutputSettings {
        retry_delay: Duration::from_millis(200),
        timeout: Duration::from_secs(2),
        ..OutputSettings::new("srt", target).unwrap()
    };
    let streaming = Streaming::start(encoder_settings(3000), vec![push]).unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    let stats = || output(&streaming, "srt").unwrap();
    // Nobody there: that must not pass for success.
    wait_until("nobody is found", Duration::from_secs(15), || {
        stats().failures >= 1
    });
    assert_eq!(stats().packets, 0);
    let mut first = srt_listener(&folder, port, "first.ts");
    let size = |name: &str| std::fs::metadata(folder.path(name)).map_or(0, |file| file.len());
    wait_until("it arrives", Duration::from_secs(15), || {
        size("first.ts") > 300_000
    });
    assert_eq!(stats().state, Live);
    first.kill();
    wait_until("the loss is noticed", Duration::from_secs(15), || {
        stats().state != Live
    });
    let _second = srt_listener(&folder, port, "second.ts");
    wait_until("it arrives again", Duration::from_secs(15), || {
        size("second.ts") > 300_000
    });
    assert_eq!(stats().reconnects, 1);
    drop(ticker);
    shut_down(streaming, &["srt"]);
    let spans = ["first.ts", "second.ts"].map(|name| {
        let probe = Probe::open_cut(&folder.path(name));
        probe.assert_house_format(320, 180);
        let video = probe.video();
        assert!(video[0].is_key, "{name}");
        assert_no_gaps(&folder.path(name), &video[..video.len() - 1]);
        (video[0].pts_s, video[video.len() - 1].pts_s)
    });
    assert!(spans[1].0 > spans[0].1, "time goes on: {spans:?}");
}
