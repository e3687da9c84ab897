//! A real RTMP server: nginx with its module, which records what it is sent.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::support::{TempFolder, until};

const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

pub struct Nginx {
    folder: TempFolder,
    pub port: u16,
    server: Option<Child>,
}

impl Nginx {
    /// A server that runs.
    pub fn start() -> Self {
        assert!(
            Path::new(MODULE).exists(),
            "libnginx-mod-rtmp is needed by this test"
        );
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut nginx = Self {
            folder: TempFolder::new(),
            port,
            server: None,
        };
        let root = nginx.folder.0.to_string_lossy().into_owned();
        std::fs::create_dir(nginx.folder.file("received")).unwrap();
        // As root, nginx would otherwise hand its work to a user who may not write here.
        let config = format!(
            "load_module {MODULE};\nuser root;\ndaemon off;\nmaster_process off;\npid {root}/pid;\n\
             error_log {root}/error.log;\nevents {{ worker_connections 64; }}\n\
             rtmp {{ server {{ listen 127.0.0.1:{port};\n application live {{ live on;\n\
             record all; record_path {root}/received; record_unique on; }} }} }}\n"
        );
        nginx.folder.write("nginx.conf", &config);
        nginx.run();
        nginx
    }

    /// Runs it, or runs it again.
    pub fn run(&mut self) {
        let child = Command::new("nginx")
            .arg("-c")
            .arg(self.folder.file("nginx.conf"))
            .arg("-p")
            .arg(&self.folder.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.server = Some(child);
        until("nginx to listen", || {
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.kill());
            drop(server.wait());
        }
    }

    /// Where a publisher pushes to; the key follows.
    pub fn application(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live", self.port)
    }

    /// What was received of a key: one file a connection.
    pub fn received(&self, key: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.file("received")).unwrap();
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(key))
            .collect();
        files.sort();
        files
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
    }
}
