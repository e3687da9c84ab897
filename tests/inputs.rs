//! Inputs against real things: files that FFmpeg wrote, a web server, publishers, and a real RTSP server. What the world would hold,
//! the near ends of the ways, is held by the tests themselves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "inputs/support.rs"]
mod support;

#[path = "program/support.rs"]
#[expect(dead_code, reason = "other tests need the rest of it")]
mod program;

#[path = "program/client.rs"]
#[expect(dead_code, reason = "other tests need the rest of it")]
mod client;

#[path = "inputs/colours.rs"]
mod colours;
#[path = "inputs/files.rs"]
mod files;
#[path = "inputs/on_air.rs"]
mod on_air;
#[path = "inputs/publishers.rs"]
mod publishers;
#[path = "inputs/remote.rs"]
mod remote;
#[path = "inputs/rtsp.rs"]
mod rtsp;
