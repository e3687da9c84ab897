//! The log of the whole test binary, to look for what must not be in it.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, Once};

use tracing_subscriber::fmt::MakeWriter;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Sinks;

impl<'a> MakeWriter<'a> for Sinks {
    type Writer = Sink;

    fn make_writer(&'a self) -> Sink {
        Sink
    }
}

/// Keeps every line from here on, at every level.
pub fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(Sinks)
            .with_ansi(false);
        subscriber.init();
    });
}

/// The lines so far.
pub fn lines() -> String {
    let lines: MutexGuard<'_, Vec<u8>> = LINES.lock().unwrap();
    String::from_utf8_lossy(&lines).into_owned()
}
