//! How a process that carries a channel ends with its supervisor: its standard input is a pipe that the supervisor holds, and the kernel
//! closes that when the supervisor ends, however it does.

use std::io::{ErrorKind, Read as _};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

/// How long the clean end may take.
const END_MAX: Duration = Duration::from_secs(5);

/// Ends this process once its standard input closes: as SIGTERM does, and after 5 s in any case.
///
/// # Errors
/// The thread that waits for it cannot be started.
pub fn end_with_parent() -> std::io::Result<()> {
    thread::Builder::new().name("parent".to_owned()).spawn(|| {
        let mut bytes = [0; 64];
        loop {
            match std::io::stdin().lock().read(&mut bytes) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(%error, "standard input cannot be read");
                    break;
                }
            }
        }
        tracing::warn!("the supervisor is gone, so this process ends");
        if kill_process(getpid(), Signal::TERM).is_ok() {
            thread::sleep(END_MAX);
        }
        std::process::exit(1);
    })?;
    Ok(())
}
