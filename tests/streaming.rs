//! Encoding and outputs against real peers: ffprobe, ffmpeg, nginx with its RTMP module, stunnel, srt-live-transmit. One binary, so that it is
//! linked once; everything runs on loopback and in temporary folders.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "streaming/adaptive.rs"]
mod adaptive;
#[path = "streaming/av_sync.rs"]
mod av_sync;
#[path = "streaming/control.rs"]
mod control;
#[path = "streaming/crash.rs"]
mod crash;
#[path = "streaming/eight_outputs.rs"]
mod eight_outputs;
#[path = "streaming/files.rs"]
mod files;
#[path = "streaming/hls_ladder.rs"]
mod hls_ladder;
#[path = "streaming/hostile_peers.rs"]
mod hostile_peers;
#[path = "streaming/ladder.rs"]
mod ladder;
#[path = "streaming/offline.rs"]
mod offline;
#[path = "streaming/protocols.rs"]
mod protocols;
#[path = "streaming/reconnect.rs"]
mod reconnect;
#[path = "streaming/recordings.rs"]
mod recordings;
#[path = "streaming/rtmp_server.rs"]
mod rtmp_server;
#[path = "streaming/states.rs"]
mod states;
#[path = "streaming/support/mod.rs"]
mod support;
