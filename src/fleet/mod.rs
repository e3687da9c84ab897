//! Many channels over many machines: an instance that carries channels of a fleet, each in a process of its own.
//!
//! [`channel`] is what a channel is, in Redis and in the environment of its process; [`supervisor`] takes channels by the leases of
//! [`Fleet`](crate::store::shared::Fleet) and sees to it that those it has run, each by a [`carrier`]; [`board`] is what is told of it,
//! [`health`] whether they do their work, [`lines`] what they log, [`ports`] where they listen, [`parent`] how they end with their supervisor.
//!
//! Nothing here composes, encodes or pushes, and nothing decides who may push: that is the lease of each stream, which its own process
//! holds. So a supervisor that is wrong about what it has costs processes, and never a stream.

pub mod board;
mod carrier;
pub mod channel;
mod health;
mod lines;
pub mod parent;
pub mod ports;
pub mod supervisor;

pub use board::{Board, ChannelState, ChannelStatus, FleetStatus, RedisState};
pub use carrier::Launch;
pub use channel::{ChannelError, ChannelSpec, check_id};
pub use lines::{Lines, Written};
pub use ports::Ports;
pub use supervisor::{Terms, run};
