//! One channel and its process: started, watched, started again where it ends, and ended when the channel goes elsewhere.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::board::{Board, ChannelState};
use super::channel::ChannelSpec;
use super::health;
use super::lines::Lines;
use super::ports::Ports;
use crate::control::now_ms;
use crate::store::persister::jittered;

/// A process that is told to end has so long until it is killed.
pub const END_MAX: Duration = Duration::from_secs(5);
/// The longest pause before the first restart, and before any; the shortest are half of it.
const BACKOFF_FIRST: Duration = Duration::from_secs(2);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// After so long a process counts as well, and the next restart as the first.
const STEADY: Duration = Duration::from_secs(60);
/// After the end of a process, how long is waited for its last words: what it started may hold its end open.
const LAST_WORDS_MAX: Duration = Duration::from_millis(500);

/// What every process of an instance is started with.
#[derive(Debug)]
pub struct Launch {
    /// This program.
    pub program: PathBuf,
    /// A file of settings.
    pub config_file: Option<PathBuf>,
    /// Settings that were given as flags, which are flags of no child: its environment is not seen by others.
    pub environment: Vec<(String, String)>,
    /// The supervisor's own DATA_DIR.
    pub data_dir: PathBuf,
    /// Where processes listen.
    pub bind: IpAddr,
}

/// The place of a channel.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its STREAM_ID.
    pub id: String,
    /// Its ports.
    pub ports: Ports,
}

/// A channel that is carried. Dropping it ends the process.
#[derive(Debug)]
pub struct Carrier {
    orders: watch::Sender<Option<Arc<ChannelSpec>>>,
    task: JoinHandle<()>,
}

impl Carrier {
    /// Begins to carry a channel, which the board knows already.
    pub fn start(
        place: Place,
        spec: Arc<ChannelSpec>,
        launch: Arc<Launch>,
        board: Board,
        lines: Lines,
    ) -> Self {
        let (orders, ordered) = watch::channel(Some(spec));
        let carried = Carried {
            place,
            launch,
            board,
            lines,
        };
        let task = tokio::spawn(carried.carry(ordered));
        Self { orders, task }
    }

    /// Has the process end and another one start with these settings.
    pub fn change(&self, spec: Arc<ChannelSpec>) {
        self.orders.send_replace(Some(spec));
    }

    /// Has the process end.
    pub fn end(&self) {
        self.orders.send_replace(None);
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits until it has ended, which it must be told to before.
    pub async fn ended(self) {
        drop(self.task.await);
    }
}

struct Carried {
    place: Place,
    launch: Arc<Launch>,
    board: Board,
    lines: Lines,
}

/// A process with what keeps it.
struct Running {
    child: Child,
    /// The process ends when this is closed.
    _leash: Option<ChildStdin>,
    last_words: Option<JoinHandle<String>>,
}

impl Carried {
    async fn carry(self, mut orders: watch::Receiver<Option<Arc<ChannelSpec>>>) {
        let id = &self.place.id;
        let mut failures = 0;
        loop {
            let order = orders.borrow_and_update().clone();
            // Nobody gives orders any more where the supervisor is gone.
            let Some(spec) = order.filter(|_| orders.has_changed().is_ok()) else {
                return;
            };
            let begun = Instant::now();
            let error = match self.launch(&spec) {
                Err(error) => format!("its process cannot be started: {error}"),
                Ok(mut running) => {
                    self.tell_running(&running);
                    tokio::select! {
                        status = running.child.wait() => running.error(status).await,
                        () = self.unwell() => {
                            running.end().await;
                            let times = health::FAILURES_MAX;
                            format!("its /health gave no good answer {times} times in a row")
                        }
                        _ = orders.changed() => {
                            tracing::info!(channel = %id, "the channel's process is told to end");
                            self.board.change(id, |channel| channel.state = ChannelState::Stopping);
                            running.end().await;
                            failures = 0;
                            continue;
                        }
                    }
                }
            };
            if begun.elapsed() >= STEADY {
                failures = 0;
            }
            failures += 1;
            let pause = pause(failures);
            tracing::warn!(channel = %id, %error, pause_ms = pause.as_millis() as u64, "the channel's process ended");
            self.tell_ended(error);
            tokio::select! {
                () = sleep(pause) => {}
                _ = orders.changed() => failures = 0,
            }
        }
    }

    /// Ends when the process is there and does nothing any more.
    async fn unwell(&self) {
        let address = (self.launch.bind, self.place.ports.health).into();
        let told = |is_well| {
            self.board
                .change(&self.place.id, |channel| channel.is_well = Some(is_well));
        };
        health::unwell(address, told).await;
    }

    fn launch(&self, spec: &ChannelSpec) -> std::io::Result<Running> {
        let Launch {
            program,
            config_file,
            environment,
            data_dir,
            ..
        } = &*self.launch;
        let Place { id, ports } = &self.place;
        let folder = data_dir.join("channels").join(id);
        std::fs::create_dir_all(&folder)?;
        let mut command = Command::new(program);
        command.args(["run", "--with-parent"]);
        if let Some(file) = config_file {
            command.arg("--config").arg(file);
        }
        let inherited = environment.iter();
        let inherited = inherited.map(|(name, value)| (name.clone(), OsString::from(value)));
        command
            .arg("--")
            .arg(spec.path())
            .envs(inherited)
            .envs(spec.environment(id, &folder, ports))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // What a terminal sends to the supervisor is the supervisor's to pass on.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let errors = child.stderr.take();
        let last_words =
            errors.map(|errors| tokio::spawn(self.lines.clone().relay(id.clone(), errors)));
        Ok(Running {
            _leash: child.stdin.take(),
            child,
            last_words,
        })
    }

    fn tell_running(&self, running: &Running) {
        let pid = running.child.id();
        tracing::info!(channel = %self.place.id, pid, port = self.place.ports.api, "the channel's process starts");
        self.board.change(&self.place.id, |channel| {
            channel.state = ChannelState::Running;
            channel.pid = pid;
            channel.is_well = None;
            channel.since_ms = Some(now_ms());
        });
    }

    fn tell_ended(&self, error: String) {
        let mut status = self.board.write();
        status.restarts += 1;
        if let Some(channel) = status.channels.get_mut(&self.place.id) {
            channel.state = ChannelState::Waiting;
            channel.pid = None;
            channel.is_well = None;
            channel.since_ms = None;
            channel.restarts += 1;
            channel.error = Some(error);
        }
    }
}

impl Running {
    /// Why it ended: what it said, or how.
    async fn error(&mut self, status: std::io::Result<ExitStatus>) -> String {
        let said = match self.last_words.take() {
            Some(words) => timeout(LAST_WORDS_MAX, words).await,
            None => Ok(Ok(String::new())),
        };
        match (said, status) {
            (Ok(Ok(words)), _) if !words.is_empty() => words,
            (_, Ok(status)) => format!("its process ended: {status}"),
            (_, Err(error)) => format!("its process is lost: {error}"),
        }
    }

    /// Has it end cleanly, or, where that takes too long, at once.
    async fn end(&mut self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = id.and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _told = kill_process(pid, Signal::TERM);
        }
        if timeout(END_MAX, self.child.wait()).await.is_err() {
            tracing::warn!(
                pid = id,
                "the channel's process does not end, and is killed"
            );
            let _killed = self.child.kill().await;
        }
        if let Some(words) = self.last_words.take() {
            let _said = timeout(LAST_WORDS_MAX, words).await;
        }
    }
}

/// The pause after so many failures in a row, 1 or more: doubled with each, and somewhere between half of it and all.
fn pause(failures: u32) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    jittered(doubled.min(BACKOFF_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_a_second_to_half_a_minute() {
        for (failures, shortest_s, longest_s) in [
            (1, 1.0, 2.0),
            (2, 2.0, 4.0),
            (4, 8.0, 16.0),
            (40, 15.0, 30.0),
        ] {
            let pause = pause(failures).as_secs_f64();
            assert!(
                (shortest_s..=longest_s).contains(&pause),
                "{failures}: {pause}"
            );
        }
    }
}
