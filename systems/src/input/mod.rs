//! Live inputs as the world sees them: pictures and sound that threads outside decode, and the clock by which a tick takes them.
//!
//! A layer of the kind `video`, `rtsp`, `ingest` or `audio` asks for its input through the [`InputDoor`]; whoever decodes puts pictures
//! and sound into the bounded ways that come with the request. When the layer goes, so do the near ends of the ways: the
//! thread at the far ends notices, and ends. The tick takes what is there and never waits; offline work may.

mod door;

pub use door::{
    BLOCK_FRAMES, InputDoor, InputEnds, InputOrder, InputSpec, InputStage, InputState, LivePicture,
    OpenInput, PICTURES_QUEUED, SOUND_QUEUED, SoundBlock, TimedPicture, WantedSize,
};
