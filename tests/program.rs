//! The program as its users start it: commands, exit codes, a stream on the air, signals, reloads.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

#[path = "program/api.rs"]
mod api;
#[path = "program/assets.rs"]
mod assets;
#[path = "program/audio.rs"]
mod audio;
#[path = "program/avatar.rs"]
mod avatar;
#[path = "program/beside.rs"]
mod beside;
#[path = "program/chat.rs"]
mod chat;
#[path = "program/client.rs"]
mod client;
#[path = "program/commands.rs"]
mod commands;
#[path = "program/control.rs"]
mod control;
#[path = "program/effects.rs"]
mod effects;
#[path = "program/exports.rs"]
mod exports;
#[path = "program/feeds.rs"]
mod feeds;
#[path = "program/files_gone.rs"]
mod files_gone;
#[path = "program/fleet.rs"]
mod fleet;
#[path = "program/keys.rs"]
mod keys;
#[path = "program/motion.rs"]
mod motion;
#[path = "program/nginx.rs"]
mod nginx;
#[path = "program/on_air.rs"]
mod on_air;
#[path = "program/outputs.rs"]
mod outputs;
#[path = "program/pushing.rs"]
mod pushing;
#[path = "program/recordings.rs"]
mod recordings;
#[path = "program/resume.rs"]
mod resume;
#[path = "program/same_scene.rs"]
mod same_scene;
#[path = "program/saved.rs"]
mod saved;
#[path = "program/shared.rs"]
mod shared;
#[path = "program/shared_faults.rs"]
mod shared_faults;
#[path = "program/speech.rs"]
mod speech;
#[path = "program/standby.rs"]
mod standby;
#[path = "program/standby_faults.rs"]
mod standby_faults;
#[path = "program/store.rs"]
mod store;
#[path = "program/support.rs"]
mod support;
#[path = "program/viewport.rs"]
mod viewport;
#[path = "program/websocket.rs"]
mod websocket;
