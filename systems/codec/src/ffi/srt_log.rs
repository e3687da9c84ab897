//! libsrt's own log, which it would write to the terminal past FFmpeg's.
//!
//! FFmpeg gives one error number for everything that can go wrong while connecting; why a peer refused stands in this log
//! alone.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::redact::redact_line;

/// `SRT_LOG_HANDLER_FN` of srt/srt.h.
// SAFETY: libsrt alone calls what is of this type, with strings that live as long as the call.
type Handler =
    unsafe extern "C" fn(*mut c_void, c_int, *const c_char, c_int, *const c_char, *const c_char);
/// No time, thread, severity and end of line in the messages (srt/logging_api.h).
const MESSAGE_ALONE: c_int = 0b1111;

/// Connections that are being opened now.
static OPENING: AtomicU32 = AtomicU32::new(0);
/// Why the last peer refused.
static REFUSAL: Mutex<Option<String>> = Mutex::new(None);

/// Leads libsrt's log here. An FFmpeg without libsrt, or with it inside, has no such function, and nothing changes.
pub(super) fn install() {
    // SAFETY: the names end in NUL; the functions are those of srt/srt.h, which have had these types in every version, and
    // may be called at any time. The handler is thread-safe and lives as long as the program.
    unsafe {
        let handler = libc::dlsym(libc::RTLD_DEFAULT, c"srt_setloghandler".as_ptr());
        let flags = libc::dlsym(libc::RTLD_DEFAULT, c"srt_setlogflags".as_ptr());
        if handler.is_null() || flags.is_null() {
            return;
        }
        // SAFETY: as above; a pointer to a function is what both symbols are.
        let set_flags: unsafe extern "C" fn(c_int) = mem::transmute(flags);
        let set_handler: unsafe extern "C" fn(*mut c_void, Handler) = mem::transmute(handler);
        set_flags(MESSAGE_ALONE);
        set_handler(std::ptr::null_mut(), take_line);
    }
}

/// Opens an SRT connection by `call` and gives why the peer refused it, if it did. The log does not name the connection, so
/// that nothing is given while several are opened at once.
pub(crate) fn hearing_refusal<T>(call: impl FnOnce() -> T) -> (T, Option<String>) {
    let refusal = || REFUSAL.lock().unwrap_or_else(PoisonError::into_inner);
    let others_before = OPENING.fetch_add(1, Ordering::AcqRel);
    refusal().take();
    let result = call();
    let refused = refusal().take();
    let others_after = OPENING.fetch_sub(1, Ordering::AcqRel) - 1;
    let is_ours = others_before == 0 && others_after == 0;
    (result, refused.filter(|_| is_ours))
}

// SAFETY: libsrt calls this, on its own threads, with strings that end in NUL and live as long as the call.
unsafe extern "C" fn take_line(
    _opaque: *mut c_void,
    _level: c_int,
    _file: *const c_char,
    _line: c_int,
    _area: *const c_char,
    message: *const c_char,
) {
    if message.is_null() {
        return;
    }
    // SAFETY: as above, and null was let pass.
    let message = unsafe { CStr::from_ptr(message) };
    // A subscriber that panics must not unwind into C.
    drop(std::panic::catch_unwind(|| {
        let message = message.to_string_lossy();
        let line = redact_line(message.trim());
        if let Some(reason) = reason_of(&line) {
            *REFUSAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
        // What fails comes back as the error of the call that failed.
        tracing::debug!(target: "srt", "{line}");
    }));
}

/// The reason in a line such as "...: REJECT reported from HS processing: Incorrect passphrase - not processing further".
fn reason_of(line: &str) -> Option<&str> {
    let (_, told) = line.split_once("REJECT reported")?;
    let (_, reason) = told.split_once(": ")?;
    let reason = reason
        .split_once(" - ")
        .map_or(reason, |(reason, _)| reason);
    (!reason.is_empty()).then_some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_from_the_log() {
        let line = "SRT.cn: processAsyncConnectRequest: REJECT reported from HS processing: \
                    Incorrect passphrase - not processing further";
        assert_eq!(reason_of(line), Some("Incorrect passphrase"));
        assert_eq!(reason_of("SRT.cn: connected"), None);
    }
}
