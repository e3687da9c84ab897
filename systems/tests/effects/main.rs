//! What effects make of layers: each kind, their order, what is made again and what is not, groups, and that threads change nothing.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

mod groups;
mod kinds;
mod masks;
mod motion;
mod stage;
