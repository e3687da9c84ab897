//! FFmpeg's log, led into `tracing` with secrets struck out.

use std::cell::RefCell;

/// Lines that are kept for a listener.
#[cfg(target_arch = "x86_64")]
const HEARD_LINES_MAX: usize = 3;

thread_local! {
    /// The errors that the call under way on this thread logs; `None` while nobody listens.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs `call` and gives what FFmpeg, on this thread, logged as errors meanwhile: its reasons, which its error numbers do
/// not tell. They are logged as detail then, as the caller reports them.
pub(crate) fn listening<T>(call: impl FnOnce() -> T) -> (T, Option<String>) {
    HEARD.with_borrow_mut(|heard| *heard = Some(Vec::new()));
    let result = call();
    let lines = HEARD.take().unwrap_or_default();
    (result, (!lines.is_empty()).then(|| lines.join("; ")))
}

/// Keeps a line for a listener. Says whether there is one.
#[cfg(target_arch = "x86_64")]
fn heard(line: &str) -> bool {
    // "[name @ 0x...] " says nothing to a person.
    let words = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
        .map_or(line, |(_, words)| words);
    // A thread that is ending, or a line from inside this function, has no listener.
    HEARD
        .try_with(|heard| {
            let Ok(mut heard) = heard.try_borrow_mut() else {
                return false;
            };
            let Some(lines) = heard.as_mut() else {
                return false;
            };
            if lines.len() < HEARD_LINES_MAX && !lines.iter().any(|known| known == words) {
                lines.push(words.to_owned());
            }
            true
        })
        .unwrap_or(false)
}

/// FFmpeg calls its log from any thread, and a custom callback gets every level, so that the level is checked
/// before anything is formatted.
#[cfg(target_arch = "x86_64")]
pub(super) fn install() {
    // SAFETY: the callback has the demanded signature, is thread-safe and lives as long as the program.
    unsafe { ffmpeg_next::ffi::av_log_set_callback(Some(x86_64::callback)) };
}

/// Elsewhere `va_list` has another shape; FFmpeg's own log is silenced instead, as it could show secrets.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn install() {
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::ffi::{CStr, c_char, c_int, c_void};

    use ffmpeg_next::ffi::{
        __va_list_tag, AV_LOG_ERROR, AV_LOG_INFO, AV_LOG_VERBOSE, AV_LOG_WARNING,
        av_log_format_line2,
    };

    use crate::redact::redact_line;

    /// What these say of a failure comes back as the error of the call that failed, which its caller reports at a limited rate;
    /// said here as well, an hour without a server would fill the log.
    const ALSO_RETURNED: [&str; 5] = ["[tcp @", "[tls @", "[rtmp @", "[rtmps @", "[srt @"];
    /// Longer lines are cut.
    const LINE_BYTES_MAX: usize = 1024;

    // SAFETY: FFmpeg calls this with a source it keeps alive, a format and arguments that belong together.
    pub(super) unsafe extern "C" fn callback(
        source: *mut c_void,
        level: c_int,
        format: *const c_char,
        arguments: *mut __va_list_tag,
    ) {
        let level = if level <= AV_LOG_ERROR {
            tracing::Level::ERROR
        } else if level <= AV_LOG_WARNING {
            tracing::Level::WARN
        } else if level <= AV_LOG_INFO {
            // FFmpeg's "info" tells a person at a terminal; to an operator of a server it is detail.
            tracing::Level::DEBUG
        } else if level <= AV_LOG_VERBOSE {
            tracing::Level::TRACE
        } else {
            return;
        };
        // A listener wants errors even where the log wants none.
        if level != tracing::Level::ERROR && level > tracing::level_filters::LevelFilter::current()
        {
            return;
        }
        let mut line = [0 as c_char; LINE_BYTES_MAX];
        let mut print_prefix: c_int = 1;
        let capacity = c_int::try_from(LINE_BYTES_MAX).unwrap_or(0);
        // SAFETY: FFmpeg gives matching format and arguments; the call writes at most `capacity` bytes and ends
        // them with NUL.
        let line = unsafe {
            av_log_format_line2(
                source,
                0,
                format,
                arguments,
                line.as_mut_ptr(),
                capacity,
                &raw mut print_prefix,
            );
            CStr::from_ptr(line.as_ptr())
        };
        // A subscriber that panics must not unwind into C.
        drop(std::panic::catch_unwind(|| {
            emit(level, &line.to_string_lossy())
        }));
    }

    fn emit(level: tracing::Level, line: &str) {
        let is_told_twice = ALSO_RETURNED
            .iter()
            .any(|protocol| line.starts_with(protocol));
        let line = redact_line(line.trim_end());
        let is_told_twice =
            (level == tracing::Level::ERROR && super::heard(&line)) || is_told_twice;
        match level {
            tracing::Level::ERROR if is_told_twice => tracing::debug!(target: "ffmpeg", "{line}"),
            tracing::Level::ERROR => tracing::error!(target: "ffmpeg", "{line}"),
            tracing::Level::WARN => tracing::warn!(target: "ffmpeg", "{line}"),
            tracing::Level::DEBUG => tracing::debug!(target: "ffmpeg", "{line}"),
            _ => tracing::trace!(target: "ffmpeg", "{line}"),
        }
    }
}
