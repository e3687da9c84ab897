//! Sound as listeners hear it: what each layer gives to the program, and what becomes of the sum.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

mod changes;
mod ducking;
mod levels;
mod loudness;
mod mixing;
mod stage;
