//! Speech: what is heard of utterances, sample by sample, and what the avatar's mouth shows on the same frame.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

mod hearing;
mod queue;
mod scenes;
mod stage;
