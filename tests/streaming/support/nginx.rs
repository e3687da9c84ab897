//! nginx with its RTMP module, which records what it receives.

use std::path::PathBuf;
use std::time::Duration;

use super::{Process, TempFolder, free_port, is_listening, wait_until};

const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

pub struct Nginx {
    pub folder: TempFolder,
    pub port: u16,
}

impl Nginx {
    pub fn new() -> Self {
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

    pub fn url(&self, key: &str) -> String {
        format!("rtmp://127.0.0.1:{}/live/{key}", self.port)
    }

    pub fn start(&self) -> Process {
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
    pub fn recordings(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path("recordings")).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort_by_key(|file| std::fs::metadata(file).unwrap().created().unwrap());
        files
    }

    /// What was received under a key.
    pub fn recordings_of(&self, key: &str) -> Vec<PathBuf> {
        let is_of = |file: &PathBuf| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name.starts_with(&format!("{key}-"))
        };
        self.recordings().into_iter().filter(is_of).collect()
    }

    /// Ends the server, so that its files are whole.
    pub fn end(mut server: Process) {
        server.signal("-TERM");
        let _ = server.0.wait();
    }
}
