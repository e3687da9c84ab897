//! Motion as viewers see it: timelines, glides, layers that come and go, scenes that give way to each other.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

mod continuity;
mod layers;
mod properties;
mod scenes;
mod seeking;
mod smoothness;
mod sources;
mod stage;
