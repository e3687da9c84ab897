//! The world that several programs share by one Redis: who leads it, what has changed in it, what is asked of it, what it tells, and
//! which instance has which stream.
//!
//! Times are those of Redis or relative ones; the clocks of two machines are never compared. Everything here waits on the async runtime
//! and is bounded by the timeouts of its [`Link`](super::remote::Link).

mod assets;
mod commands;
mod events;
mod fleet;
mod follower;
mod lease;
mod member;

pub use assets::{
    ASSET_SHARE_MAX, ASSETS_LISTED_MAX, ASSETS_SHARE_BYTES_MAX, AssetListing, AssetTold,
    SharedAssets,
};
pub use commands::{
    Answer, COMMANDS_MAX, Command, CommandAnswers, CommandReader, CommandResult, KEPT,
    TEXT_BYTES_MAX, Taken, TakenBack, TakenCommand, Unreadable, add_command, await_result,
    take_back,
};
pub use events::{EventListener, EventTeller};
pub use fleet::{Channel, Fleet, FleetOptions, Holding, Instance};
pub use follower::{Change, Follower};
pub use lease::{Lease, LeaseOptions, LeasePass, LeaseState, Predecessor, instance_name};
pub use member::{Contact, announce, contact_of};
