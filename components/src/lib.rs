//! What the engine is made of: plain data, and nothing that acts.
//!
//! A layer on the canvas is an ECS entity; its properties are the components in this crate. Two families live here:
//!
//! - *authored* components ([`layer`], [`source`], [`sound`], [`animation`], [`scene`], [`output`]) are what a scene file or an API call says. They
//!   derive serde and are what saving writes back.
//! - *derived* components ([`derived`]) are what the systems compute from them on each tick. They are never saved.
//!
//! This crate does no I/O, reads no clock, and starts no threads; a test in the workspace holds it to that.
#![forbid(unsafe_code)]

pub mod animation;
pub mod derived;
pub mod effect;
pub mod layer;
pub mod output;
pub mod scene;
pub mod sound;
pub mod source;
pub mod transition;
pub mod validate;
pub mod value;
pub mod viewport;

pub use layer::BlendMode;
pub use validate::{Problem, Problems, Validate};
pub use value::{Colour, Number, Paint, Template};
pub use viewport::{CanvasFit, Viewport};
