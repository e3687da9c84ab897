//! The RTMP server as its users meet it: FFmpeg and GStreamer publish and play, keys let in and keep out, and what is no RTMP does no
//! harm.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

#[path = "rtmp/hostile.rs"]
mod hostile;
#[path = "rtmp/keys.rs"]
mod keys;
#[path = "rtmp/peer.rs"]
mod peer;
#[path = "rtmp/players.rs"]
mod players;
#[path = "rtmp/studio.rs"]
mod studio;
#[path = "program/support.rs"]
#[expect(dead_code, reason = "other tests need the rest of it")]
mod support;
