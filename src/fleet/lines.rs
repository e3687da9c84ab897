//! What the processes of channels log, passed on to standard error with the channel's name. Whoever reads too slowly loses lines, which
//! is said; no process ever waits to log.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

use crate::config::LogFormat;

/// Lines that wait to be written.
const WAITING_MAX: usize = 2048;
/// A longer line is passed on in pieces, in bytes.
const LINE_MAX: u64 = 16 << 10;
/// Lines of an error that are kept, and letters of each.
const TAIL_MAX: usize = 5;
const TAIL_LINE_MAX: usize = 400;
/// How long the end waits until the last lines are written.
const FLUSH_MAX: Duration = Duration::from_millis(500);

/// The way to standard error. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Lines {
    sender: Sender<String>,
    lost: Arc<AtomicU64>,
    format: LogFormat,
}

/// The other end, for when everything is over.
#[derive(Debug)]
pub struct Written(Receiver<()>);

impl Lines {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(format: LogFormat) -> std::io::Result<(Self, Written)> {
        let (sender, lines) = bounded::<String>(WAITING_MAX);
        let (done, written) = bounded(1);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        thread::Builder::new()
            .name("fleet-lines".to_owned())
            .spawn(move || {
                for line in lines {
                    // Nobody may read any more.
                    let _written = std::io::stderr().lock().write_all(line.as_bytes());
                    let lost = counted.swap(0, Relaxed);
                    if lost > 0 {
                        tracing::warn!(lost, "lines of channels were not written in time");
                    }
                }
                let _sent = done.send(());
            })?;
        let lines = Self {
            sender,
            lost,
            format,
        };
        Ok((lines, Written(written)))
    }

    /// Passes on what a process logs until it closes its end; gives what it said last beside its log, which is why it ended.
    pub(super) async fn relay(self, id: String, from: impl AsyncRead + Unpin) -> String {
        let mut reader = BufReader::new(from);
        let mut tail: VecDeque<String> = VecDeque::new();
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            match (&mut reader)
                .take(LINE_MAX)
                .read_until(b'\n', &mut bytes)
                .await
            {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            let line = String::from_utf8_lossy(&bytes);
            let line = line.trim_end();
            if line.is_empty() {
                continue;
            }
            if !is_logged(line, self.format) {
                tail.push_back(line.chars().take(TAIL_LINE_MAX).collect());
                if tail.len() > TAIL_MAX {
                    tail.pop_front();
                }
            }
            if self.sender.try_send(named(&id, line, self.format)).is_err() {
                self.lost.fetch_add(1, Relaxed);
            }
        }
        Vec::from(tail).join("\n")
    }
}

impl Written {
    /// Waits until everything is written, for a moment; all [`Lines`] must be gone.
    pub fn wait(self) {
        let _done = self.0.recv_timeout(FLUSH_MAX);
    }
}

/// Whether a line is one of the log: a moment or a JSON object begins it. What remains are errors that the program ends with.
fn is_logged(line: &str, format: LogFormat) -> bool {
    match format {
        LogFormat::Json => line.starts_with('{'),
        LogFormat::Text => {
            let begin: Vec<char> = line.chars().take(11).collect();
            begin.len() == 11
                && begin[..4].iter().all(char::is_ascii_digit)
                && (begin[4], begin[7], begin[10]) == ('-', '-', 'T')
        }
    }
}

/// The line with the channel's name, and its end.
fn named(id: &str, line: &str, format: LogFormat) -> String {
    match format {
        LogFormat::Text => format!("[{id}] {line}\n"),
        LogFormat::Json => {
            let read: Option<Map<String, Value>> = serde_json::from_str(line).ok();
            let rest = read.unwrap_or_else(|| {
                let level = ("level".to_owned(), Value::from("ERROR"));
                let message = ("message".to_owned(), Value::from(line));
                [level, message].into_iter().collect()
            });
            let mut object = Map::new();
            object.insert("channel".to_owned(), Value::from(id));
            object.extend(rest.into_iter().filter(|(name, _)| name != "channel"));
            format!("{}\n", Value::Object(object))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGGED: &str = "2026-11-21T11:12:37.123Z  INFO stream_manager::live: listening";

    #[test]
    fn lines_bear_the_name_of_their_channel() {
        assert_eq!(
            named("a", LOGGED, LogFormat::Text),
            format!("[a] {LOGGED}\n")
        );
        let json = named("a", r#"{"level":"INFO","channel":"x"}"#, LogFormat::Json);
        assert_eq!(json, "{\"channel\":\"a\",\"level\":\"INFO\"}\n");
        let json = named("a", "error: no", LogFormat::Json);
        assert_eq!(
            json,
            "{\"channel\":\"a\",\"level\":\"ERROR\",\"message\":\"error: no\"}\n"
        );
    }

    #[tokio::test]
    async fn why_a_process_ended_is_what_it_said_beside_its_log() {
        let text = format!(
            "{LOGGED}\nearlier\n1\n2\n3\n4\nscene.json:3:5: no such field\n{LOGGED}\n{}",
            "x".repeat(40_000)
        );
        let (sender, lines) = bounded(100);
        let relay = Lines {
            sender,
            lost: Arc::default(),
            format: LogFormat::Text,
        };
        let tail = relay.relay("a".to_owned(), text.as_bytes()).await;
        let longest = "x".repeat(TAIL_LINE_MAX);
        let expected = format!("4\nscene.json:3:5: no such field\n{longest}\n{longest}\n{longest}");
        assert_eq!(tail, expected);
        assert_eq!(lines.iter().count(), 11);
    }
}
