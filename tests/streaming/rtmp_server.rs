//! Pushing to nginx with its RTMP module, which goes away and comes back.

use std::path::PathBuf;
use std::time::Duration;

use stream_manager::streaming::{OutputSettings, OutputState, Streaming};

use crate::support::probe::Probe;
use crate::support::{
    Process, TempFolder, Ticker, encoder_settings, free_port, is_listening, noise, output,
    shut_down, wait_until,
};

const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

struct Nginx {
    folder: TempFolder,
    port: u16,
}

impl Nginx {
    fn new() -> Self {
        assert!(
            std::path::Path::new(MODULE).exists(),
            "libnginx-mod-rtmp is needed by this test"
        );
        let (folder, port) = (TempFolder::new("nginx"), free_port());
        std::fs::create_dir(folder.path("recordings")).unwrap();
        let root = folder.root().to_str().unwrap();
        // As root, nginx would otherwise hand its work to a user who may not write here.
        let config = format!(
            "load_module {MODULE};\nuser root;\ndaemon off;\nmaster_process off;\npid {root}/pid;\n\
             error_log {root}/error.log;\nevents {{ worker_connections 64; }}\n\
             rtmp {{ server {{ listen 127.0.0.1:{port};\n application live {{ live on;\n\
             record all; record_path {root}/recordings; record_unique on; }} }} }}\n"
        );
        std::fs::write(folder.path("nginx.conf"), config).unwrap();
        Self { folder, port }
    }

    fn start(&self) -> Process {
        let config = self.folder.target("nginx.conf");
        let process = Process::start(
            "nginx",
            &["-c", &config, "-p", self.folder.root().to_str().unwrap()],
        );
        wait_until("nginx listens", Duration::from_secs(10), || {
            is_listening(self.port)
        });
        process
    }

    /// What was received, oldest connection first.
    fn recordings(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path("recordings")).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort_by_key(|file| std::fs::metadata(file).unwrap().created().unwrap());
        files
    }
}

#[test]
fn a_server_receives_and_is_joined_again_when_it_returns() {
    let nginx = Nginx::new();
    let mut server = nginx.start();
    let target = format!("rtmp://127.0.0.1:{}/live/key", nginx.port);
    let streaming = Streaming::start(
        encoder_settings(600),
        vec![OutputSettings::new("push", target).unwrap()],
    )
    .unwrap();
    let ticker = Ticker::start(streaming.sender(), noise(320, 180, 30));
    let push = || output(&streaming, "push").unwrap();
    wait_until(
        "the server has two and a half seconds",
        Duration::from_secs(15),
        || push().packets > 190,
    );
    assert_eq!(push().state, OutputState::Live);
    server.kill();
    wait_until("the loss is noticed", Duration::from_secs(6), || {
        push().state == OutputState::BackingOff
    });
    // Long enough for the waits to have grown.
    wait_until("some attempts fail", Duration::from_secs(15), || {
        push().attempts_failed >= 3
    });
    let mut server = nginx.start();
    let took = wait_until("the server is joined again", Duration::from_secs(5), || {
        push().state == OutputState::Live
    });
    eprintln!("joined again after {took:?}");
    let packets = push().packets;
    let took = wait_until("packets flow again", Duration::from_secs(2), || {
        push().packets > packets
    });
    eprintln!("first packet {took:?} after");
    wait_until("two more seconds", Duration::from_secs(15), || {
        push().packets > packets + 160
    });
    assert_eq!((push().reconnects, push().packets_dropped), (1, 0));
    drop(ticker);
    shut_down(streaming, &[]);
    wait_until(
        "the server has closed its file",
        Duration::from_secs(5),
        || nginx.recordings().len() == 2,
    );
    server.signal("-TERM");
    let _ = server.0.wait();

    for recording in nginx.recordings() {
        let probe = Probe::open_cut(&recording);
        probe.assert_house_format(320, 180);
        let video = probe.video();
        assert!(
            video[0].is_key && video[0].pts_s < 0.1,
            "starts with {:?}",
            video[0]
        );
        assert!(
            probe.audio()[0].pts_s < 0.1,
            "sound starts with {:?}",
            probe.audio()[0]
        );
        let gaps = video
            .windows(2)
            .filter(|pair| (pair[1].pts_s - pair[0].pts_s - 1.0 / 30.0).abs() > 0.002)
            .count();
        assert_eq!(gaps, 0, "{}", recording.display());
    }
}
