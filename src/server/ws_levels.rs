//! What the meters show, for the clients of WebSocket that ask for it.
//!
//! It comes too often to be told as other events are: those are kept for who comes back, and a meter of a minute ago is of no use to
//! anybody. So each client that wants it takes the newest reading at its own pace. It is written as JSON once a tick at most, however many
//! want it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use serde_json::json;

use super::{Api, audio};

/// The kind of the event.
pub const LEVELS: &str = "audio:levels";
/// How often it is told.
pub const LEVELS_EVERY: Duration = Duration::from_millis(100);

/// The message that was made last, and of which tick it tells.
#[derive(Debug, Default)]
pub struct LevelsTold(Mutex<Option<(u64, Utf8Bytes)>>);

impl LevelsTold {
    /// The newest one.
    pub fn message(&self, api: &Api) -> Utf8Bytes {
        let tick = api.station().status().tick;
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of_tick, message)) = &*told
            && *of_tick == tick
        {
            return message.clone();
        }
        let levels = api.station().sound_levels();
        let message = json!({
            "event": LEVELS,
            "seq": api.station().events().newest(),
            "revision": api.director().snapshot().show.revision,
            "tick": levels.tick,
            "data": audio::levels_json(&levels),
        });
        let message = Utf8Bytes::from(message.to_string());
        *told = Some((tick, message.clone()));
        message
    }
}
