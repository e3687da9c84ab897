//! The store against the real thing: files on a disk, processes that are killed, and redis-server as Debian has it, alone, with
//! sentinels, as a cluster and with TLS. One binary, so that it is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod archive;
mod assets;
mod crash;
mod embedded;
mod lease;
mod persister;
mod property;
mod redis_faults;
mod shared;
mod support;
mod topology;
