//! Stream Manager: a headless live-stream compositor. This crate is the program round the engine: settings, scene files, the tick
//! loop, encoder and output threads, HTTP. What happens on a tick is in the `systems` crate, what it happens to in `components`.
#![forbid(unsafe_code)]

pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod fleet;
pub mod ingest;
pub mod inputs;
pub mod live;
pub mod logging;
pub mod ports;
pub mod prepare;
pub mod rtmp;
pub mod scene;
pub mod server;
pub mod store;
pub mod streaming;
pub mod tick_loop;
