//! Control under load: many listeners and many requests, beside the same program without them.
//!
//! `cargo bench --bench control -- [--seconds N] [--sockets N] [--rate N] [--scene FILE]`. Starts the program itself, measures it idle, then
//! with the load, then idle again, and writes `benches/CONTROL.md`.
#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{interval, sleep, timeout};

/// Connections that requests go over.
const CONNECTIONS: usize = 32;
const PORT: u16 = 14_200;
/// How many changes were asked for.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// Measures control under load.
#[derive(Parser)]
struct Options {
    /// Seconds of each phase.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// WebSocket clients that listen to everything.
    #[arg(long, default_value_t = 1000)]
    sockets: usize,
    /// Requests a second of the crowd, one in a hundred of them a change.
    #[arg(long, default_value_t = 2000)]
    rate: u64,
    /// Changes a second in the phase of changes alone.
    #[arg(long, default_value_t = 200)]
    changes: u64,
    /// The scene on air.
    #[arg(long, default_value = "scenes/fifty-layers.json")]
    scene: String,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What the program says of itself at one moment.
#[derive(Clone, Debug, Default)]
struct Moment {
    frames: u64,
    repeated: u64,
    late: u64,
    dropped: u64,
    memory_mib: f64,
    cpu_s: f64,
}

/// What happened in one phase.
#[derive(Debug, Default)]
struct Phase {
    name: &'static str,
    frames: u64,
    repeated: u64,
    late: u64,
    dropped: u64,
    memory_mib: f64,
    cpu_percent: f64,
}

/// Counted by the load.
#[derive(Default)]
struct Load {
    answers: AtomicU64,
    failures: AtomicU64,
    events: AtomicU64,
    /// When a change was sent, when it was answered, and the tick that it landed on.
    changes: Mutex<Vec<(Duration, Duration, u64)>>,
    /// Seconds that reads took.
    reads: Mutex<Vec<f64>>,
}

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(run(&options))
}

async fn run(options: &Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let scene = Path::new(env!("CARGO_MANIFEST_DIR")).join(&options.scene);
    let mut program = Program(
        Command::new(env!("CARGO_BIN_EXE_stream-manager"))
            .arg("run")
            .arg(scene)
            .current_dir(folder.path())
            .args([
                "--port",
                &PORT.to_string(),
                "--ws-port",
                "0",
                "--metrics-port",
                "0",
            ])
            .args([
                "--rtmp-port",
                "off",
                "--health-port",
                "0",
                "--hls",
                "false",
                "--log-level",
                "warn",
            ])
            .stdin(Stdio::null())
            .spawn()?,
    );
    until_ready().await?;
    let pid = program.0.id();
    sleep(Duration::from_secs(5)).await;

    let mut phases = Vec::new();
    phases.push(quiet("alone, before", options.seconds, pid).await?);
    println!("{:?}", phases.last());
    let crowd = Crowd {
        name: "changes",
        sockets: 10,
        rate: options.changes,
        change_every: 1,
    };
    let (phase, changes) = crowd.run(options.seconds, pid).await?;
    println!("{phase:?}");
    phases.push(phase);
    let crowd = Crowd {
        name: "crowd",
        sockets: options.sockets,
        rate: options.rate,
        change_every: 100,
    };
    let (phase, crowd) = crowd.run(options.seconds, pid).await?;
    println!("{phase:?}");
    phases.push(phase);
    phases.push(quiet("alone, after", options.seconds, pid).await?);
    println!("{:?}", phases.last());
    ensure!(program.0.try_wait()?.is_none(), "the program ended");
    let text = report(options, &phases, &[changes, crowd]).await;
    println!("\n{text}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/CONTROL.md");
    std::fs::write(&path, text).with_context(|| format!("`{}`", path.display()))
}

async fn until_ready() -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if let Ok(mut connection) = Connection::open().await
            && connection.ask("GET", "/stream/status", None).await.is_ok()
        {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    bail!("the program did not start")
}

async fn quiet(name: &'static str, seconds: u64, pid: u32) -> Result<Phase> {
    let before = moment(pid).await?;
    let start = Instant::now();
    sleep(Duration::from_secs(seconds)).await;
    Ok(between(name, &before, &moment(pid).await?, start.elapsed()))
}

/// Clients that come together.
#[derive(Clone, Copy)]
struct Crowd {
    name: &'static str,
    sockets: usize,
    /// Requests a second.
    rate: u64,
    /// Of them, one in so many changes a layer; the others read.
    change_every: u64,
}

/// How a crowd was served.
struct Served {
    crowd: Crowd,
    load: Arc<Load>,
    took: Duration,
}

impl Crowd {
    async fn run(self, seconds: u64, pid: u32) -> Result<(Phase, Served)> {
        let load = Arc::new(Load::default());
        let mut tasks = Vec::new();
        for _ in 0..self.sockets {
            tasks.push(tokio::spawn(listen(Arc::clone(&load))));
            // Not all at once: it is a crowd and not a storm.
            sleep(Duration::from_millis(1)).await;
        }
        let before = moment(pid).await?;
        let origin = Instant::now();
        for number in 0..CONNECTIONS {
            let load = Arc::clone(&load);
            let every = Duration::from_secs_f64(CONNECTIONS as f64 / self.rate as f64);
            tasks.push(tokio::spawn(async move {
                sleep(every.mul_f64(number as f64 / CONNECTIONS as f64)).await;
                let number = number as u64;
                if requests(&load, every, number, self.change_every, origin)
                    .await
                    .is_err()
                {
                    load.failures.fetch_add(1, Relaxed);
                }
            }));
        }
        sleep(Duration::from_secs(seconds)).await;
        let took = origin.elapsed();
        let after = moment(pid).await?;
        for task in tasks {
            task.abort();
        }
        let served = Served {
            crowd: self,
            load,
            took,
        };
        Ok((between(self.name, &before, &after, took), served))
    }
}

async fn listen(load: Arc<Load>) {
    let url = format!("ws://127.0.0.1:{PORT}/ws");
    let Ok((mut socket, _)) = tokio_tungstenite::connect_async(url).await else {
        load.failures.fetch_add(1, Relaxed);
        return;
    };
    while let Some(Ok(_)) = socket.next().await {
        load.events.fetch_add(1, Relaxed);
    }
    load.failures.fetch_add(1, Relaxed);
}

async fn requests(
    load: &Load,
    every: Duration,
    mut number: u64,
    change_every: u64,
    origin: Instant,
) -> Result<()> {
    let mut connection = Connection::open().await?;
    let mut beat = interval(every);
    loop {
        beat.tick().await;
        number += 1;
        let sent = origin.elapsed();
        if number.is_multiple_of(change_every) {
            // Each one differs from the one before it.
            let change = CHANGES.fetch_add(1, Relaxed);
            let body = json!({"opacity": (change % 97) as f64 / 100.0 + 0.03}).to_string();
            let path = format!("/stream/layers/{}", layer(change));
            let answer = connection.ask("PATCH", &path, Some(&body)).await?;
            match answer["tick"].as_u64() {
                Some(tick) => load
                    .changes
                    .lock()
                    .await
                    .push((sent, origin.elapsed(), tick)),
                None => drop(load.failures.fetch_add(1, Relaxed)),
            }
        } else {
            let answer = connection.ask("GET", "/stream/status", None).await?;
            if answer["success"] != true {
                load.failures.fetch_add(1, Relaxed);
            }
            load.reads
                .lock()
                .await
                .push((origin.elapsed() - sent).as_secs_f64());
        }
        load.answers.fetch_add(1, Relaxed);
    }
}

/// One of the layers of the scene.
fn layer(change: u64) -> &'static str {
    const LAYERS: [&str; 4] = ["tidal-memory", "signal-bloom", "glass-garden", "wander"];
    LAYERS[change as usize % LAYERS.len()]
}

/// An HTTP connection that is kept.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open() -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", PORT)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(8192),
        })
    }

    async fn ask(&mut self, method: &str, path: &str, body: Option<&str>) -> Result<Value> {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        let request = match body {
            None => format!("{head}\r\n"),
            Some(body) => format!(
                "{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        };
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if let Some(body) = whole(&self.buffer) {
                return Ok(serde_json::from_slice(body)?);
            }
            let read = timeout(
                Duration::from_secs(10),
                self.stream.read_buf(&mut self.buffer),
            );
            ensure!(read.await?? > 0, "the connection was closed");
        }
    }
}

/// The body of an answer, once all of it is there.
fn whole(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&answer[..end])
        .ok()?
        .to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1)?;
    let length: usize = length.split("\r\n").next()?.parse().ok()?;
    answer.get(end..end + length)
}

async fn moment(pid: u32) -> Result<Moment> {
    let mut connection = Connection::open().await?;
    let mut drops = connection
        .ask("GET", "/stream/diagnostics/last-drop", None)
        .await?;
    let mut status = connection.ask("GET", "/stream/status", None).await?;
    let (drops, status) = (drops["data"].take(), status["data"].take());
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .context("proc(5)")?
        .1
        .split_whitespace()
        .collect();
    let number = |index: usize| -> f64 {
        fields
            .get(index)
            .and_then(|field| field.parse().ok())
            .unwrap_or(0.0)
    };
    Ok(Moment {
        frames: status["frameCount"].as_u64().unwrap_or(0),
        repeated: drops["repeated"].as_u64().unwrap_or(0),
        late: drops["late"].as_u64().unwrap_or(0),
        dropped: drops["encoderFull"].as_u64().unwrap_or(0),
        memory_mib: number(21) * 4096.0 / f64::from(1 << 20),
        cpu_s: (number(11) + number(12)) / 100.0,
    })
}

fn between(name: &'static str, before: &Moment, after: &Moment, took: Duration) -> Phase {
    Phase {
        name,
        frames: after.frames - before.frames,
        repeated: after.repeated - before.repeated,
        late: after.late - before.late,
        dropped: after.dropped - before.dropped,
        memory_mib: after.memory_mib,
        cpu_percent: (after.cpu_s - before.cpu_s) / took.as_secs_f64() * 100.0,
    }
}

/// The value below which `part` of a sorted list lies.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let index = ((sorted.len().saturating_sub(1)) as f64 * part).round() as usize;
    sorted.get(index).copied().unwrap_or(0.0)
}

async fn report(options: &Options, phases: &[Phase], served: &[Served]) -> String {
    let mut text = format!(
        "# Control under load\n\nWritten by `make bench-control`: `{}` with its recording on a 2-core machine that runs the load too, {} s a phase. The listeners listen to everything.\n\n",
        options.scene, options.seconds
    );
    text += "| phase | frames | repeated | late | dropped | memory, MiB | CPU, % of a core |\n|---|---|---|---|---|---|---|\n";
    for phase in phases {
        text += &format!(
            "| {} | {} | {} | {} | {} | {:.1} | {:.0} |\n",
            phase.name,
            phase.frames,
            phase.repeated,
            phase.late,
            phase.dropped,
            phase.memory_mib,
            phase.cpu_percent
        );
    }
    text += "\n| load | listeners | requests a second | changes a second | failures | events a second | reads, ms: median, p99 | ticks from a change's sending to the start of the tick whose frame shows it: median, p99, longest |\n|---|---|---|---|---|---|---|---|\n";
    for served in served {
        text += &row(served).await;
    }
    text
}

async fn row(served: &Served) -> String {
    const PERIOD: f64 = 1.0 / 30.0;
    let Served { crowd, load, took } = served;
    let changes = load.changes.lock().await;
    // No answer comes before its tick has begun: the earliest of them, seen from their ticks, tell when ticks begin.
    let origin = changes
        .iter()
        .map(|(_, answered, tick)| answered.as_secs_f64() - *tick as f64 * PERIOD)
        .fold(f64::INFINITY, f64::min);
    let mut ticks: Vec<f64> = changes
        .iter()
        .map(|(sent, _, tick)| (origin + *tick as f64 * PERIOD - sent.as_secs_f64()) / PERIOD)
        .collect();
    ticks.sort_by(f64::total_cmp);
    let mut reads = load.reads.lock().await.clone();
    reads.sort_by(f64::total_cmp);
    let rate = |count: u64| count as f64 / took.as_secs_f64();
    format!(
        "| {} | {} | {:.0} | {:.0} | {} | {:.0} | {:.2}, {:.2} | {:.2}, {:.2}, {:.2} |\n",
        crowd.name,
        crowd.sockets,
        rate(load.answers.load(Relaxed)),
        rate(changes.len() as u64),
        load.failures.load(Relaxed),
        rate(load.events.load(Relaxed)),
        quantile(&reads, 0.5) * 1e3,
        quantile(&reads, 0.99) * 1e3,
        quantile(&ticks, 0.5),
        quantile(&ticks, 0.99),
        quantile(&ticks, 1.0)
    )
}
