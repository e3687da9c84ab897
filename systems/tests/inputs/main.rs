//! Inputs as the world sees them: films, publishers and sounds whose far ends the tests hold.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

mod files;
mod live;
mod looks;
mod stage;
