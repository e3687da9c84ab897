//! What the tests share: servers of their own on free ports, a slow proxy, and waiting for a condition under a limit.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use stream_manager::store::remote::{Link, Timeouts};
use stream_manager::store::shared::{Command, add_command, await_result};
use stream_manager::store::{
    Batch, Documents, PersistOptions, PersistState, PersistStatus, Persister, Puts, RedisStore,
    RedisUrl, Standing, Store,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

/// Short, so that a test of a server that hangs is over soon.
pub const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_millis(500),
    command: Duration::from_millis(500),
    call: Duration::from_millis(1500),
};

pub const LONG: Duration = Duration::from_secs(20);

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A server that is killed with the test.
pub struct Server {
    _folder: TempDir,
    pub port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
    program: &'static str,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_at(free_port(), arguments)
    }

    pub fn start_at(port: u16, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut all = vec![
            "--dir".to_owned(),
            folder.path().display().to_string(),
            "--bind".to_owned(),
            "127.0.0.1".to_owned(),
            "--save".to_owned(),
            String::new(),
        ];
        if !arguments.contains(&"--port") {
            all.extend(["--port".to_owned(), port.to_string()]);
        }
        all.extend(arguments.iter().map(|text| (*text).to_owned()));
        let mut server = Self {
            _folder: folder,
            port,
            arguments: all,
            child: None,
            program: "redis-server",
        };
        server.run();
        server
    }

    /// A sentinel, which wants a file that it may write.
    pub fn sentinel(config: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let file = folder.path().join("sentinel.conf");
        let config = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n{config}",
            folder.path().display()
        );
        std::fs::write(&file, config).unwrap();
        let mut server = Self {
            _folder: folder,
            port,
            arguments: vec![file.display().to_string()],
            child: None,
            program: "redis-sentinel",
        };
        server.run();
        server
    }

    pub fn run(&mut self) {
        let child = process::Command::new(self.program)
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server and redis-sentinel are needed by this test");
        self.child = Some(child);
        let end = Instant::now() + LONG;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < end, "the server does not listen");
            std::thread::yield_now();
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn link(&self) -> Link {
        link(&self.url())
    }

    pub fn store(&self, id: &str) -> RedisStore {
        RedisStore::new(self.link(), id)
    }

    /// Asks by a connection that is none of those that are tested.
    pub async fn ask(&self, words: &[&str]) -> redis::Value {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        self.link().ask(&command).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn link(url: &str) -> Link {
    Link::new(RedisUrl::parse(url).unwrap(), TIMEOUTS)
}

/// Forwards what it gets, later.
pub struct Proxy {
    pub port: u16,
    way: Arc<Way>,
}

#[derive(Default)]
struct Way {
    delay_ms: AtomicU64,
    connections: AtomicU64,
    /// Connections up to this one are swallowed.
    stalled: AtomicU64,
}

impl Proxy {
    pub async fn start(upstream: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = Arc::<Way>::default();
        let ways = Arc::clone(&way);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = ways.connections.fetch_add(1, Ordering::SeqCst) + 1;
                let Ok(server) = tokio::net::TcpStream::connect(("127.0.0.1", upstream)).await
                else {
                    continue;
                };
                let (client_in, client_out) = client.into_split();
                let (server_in, server_out) = server.into_split();
                let way = || Arc::clone(&ways);
                tokio::spawn(forward(client_in, server_out, number, way()));
                tokio::spawn(forward(server_in, client_out, number, way()));
            }
        });
        Self { port, way }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn set_delay(&self, delay: Duration) {
        let ms = delay.as_millis() as u64;
        self.way.delay_ms.store(ms, Ordering::Relaxed);
    }

    /// From now on swallows all that comes on the connections that there are, and closes none.
    pub fn stall(&self) {
        let stalled = self.connections();
        self.way.stalled.store(stalled, Ordering::SeqCst);
    }

    /// How many connections there were.
    pub fn connections(&self) -> u64 {
        self.way.connections.load(Ordering::SeqCst)
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    number: u64,
    way: Arc<Way>,
) {
    let mut bytes = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let delay = Duration::from_millis(way.delay_ms.load(Ordering::Relaxed));
        pass(delay).await;
        let is_stalled = number <= way.stalled.load(Ordering::SeqCst);
        if !is_stalled && to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
}

/// Lets time go by, as the slow peer that a test plays.
pub async fn pass(time: Duration) {
    if !time.is_zero() {
        let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
    }
}

pub async fn wait_until<F: Future<Output = bool>>(
    what: &str,
    limit: Duration,
    mut is_so: impl FnMut() -> F,
) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    let end = Instant::now() + limit;
    loop {
        if is_so().await {
            return;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        looks.tick().await;
    }
}

pub async fn wait_for(
    status: &mut watch::Receiver<PersistStatus>,
    what: &str,
    is_so: impl FnMut(&PersistStatus) -> bool,
) -> PersistStatus {
    let found = tokio::time::timeout(LONG, status.wait_for(is_so))
        .await
        .map(|found| found.unwrap().clone());
    match found {
        Ok(found) => found,
        Err(_) => panic!("not within {LONG:?}: {what}; {:?}", status.borrow()),
    }
}

pub async fn wait_ok(persister: &Persister) -> PersistStatus {
    wait_for(&mut persister.status(), "it is well", |status| {
        status.state == PersistState::Ok && status.durable_revision == status.revision
    })
    .await
}

pub fn options() -> PersistOptions {
    PersistOptions {
        retry_max: Duration::from_millis(200),
        look: Duration::from_millis(100),
        lag_max: Duration::from_millis(400),
        ..PersistOptions::default()
    }
}

pub async fn persist(store: Store) -> Persister {
    let saved = store.load().await.unwrap();
    Persister::start(store, &saved, options())
}

/// Sends a command and waits for its result; `None` where none came within `limit`.
pub async fn send_command(
    store: &RedisStore,
    command: &Command,
    limit: Duration,
) -> Option<String> {
    add_command(store, command).await.unwrap();
    await_result(store, &command.id, limit).await.unwrap()
}

pub fn text(text: impl Into<String>) -> Option<Bytes> {
    Some(Bytes::from(text.into()))
}

pub fn puts<const N: usize>(puts: [(&str, Option<Bytes>); N]) -> Puts {
    puts.into_iter()
        .map(|(key, value)| (key.into(), value))
        .collect()
}

/// Where a store stands whose revisions were committed one by one, without a lease.
pub fn standing(revision: u64) -> Standing {
    Standing {
        revision,
        fence: 0,
        writes: revision,
    }
}

pub fn batch<const N: usize>(revision: u64, list: [(&str, Option<Bytes>); N]) -> Batch {
    Batch {
        after: Some(standing(revision - 1)),
        revision,
        fence: 0,
        writes: revision,
        puts: puts(list),
    }
}

pub fn apply(documents: &mut Documents, puts: &Puts) {
    for (key, value) in puts {
        match value {
            Some(bytes) => drop(documents.insert(key.clone(), bytes.clone())),
            None => drop(documents.remove(key)),
        }
    }
}

/// Runs a test of this binary in a process of its own.
pub fn child(test: &str, variable: &str, value: &str) -> process::Command {
    let mut command = process::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(variable, value);
    command
}

pub fn file(folder: &Path) -> PathBuf {
    folder.join("state.redb")
}
