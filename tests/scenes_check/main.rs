//! Scene files: what is refused, and where; what is read, written, described and watched.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up must stop"
)]

mod any_effects;
mod broken;
mod folder;
mod fuzz;
mod hostile;
mod nested;
mod outputs;
mod round_trip;
mod shipped;
mod watching;

/// A scene that uses something of everything and keeps every rule.
const GOOD: &str = include_str!("good.json");
