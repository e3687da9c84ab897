//! The encoder of pictures as its thread sees it, so that tests can put one in that hangs or fails.

use std::sync::Arc;

use codec::{CodecError, Packet, StreamDescription, VideoEncoder, VideoSettings};
use raster::I420Frame;

/// Turns frames into packets; see [`VideoEncoder`] for what each does.
pub(crate) trait PictureEncoder {
    /// Its library's name for it.
    fn name(&self) -> &str;
    fn stream(&self) -> &StreamDescription;
    fn settings(&self) -> &VideoSettings;
    fn encode(
        &mut self,
        frame: &Arc<I420Frame>,
        pts: i64,
        sink: &mut dyn FnMut(Packet),
    ) -> Result<(), CodecError>;
    fn flush(&mut self, sink: &mut dyn FnMut(Packet)) -> Result<(), CodecError>;
    fn set_bitrate_kbps(&mut self, bitrate_kbps: u32) -> Result<(), CodecError>;
    fn request_keyframe(&mut self);
    /// Whether [`PictureEncoder::set_bitrate_kbps`] has an effect. Where it has none, the thread puts another encoder in its
    /// place at a keyframe.
    fn changes_bitrate_live(&self) -> bool;
    /// What was asked for and not to be had, where that is so.
    fn fallback(&self) -> Option<Fallback>;
}

/// An encoder that is used in the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fallback {
    pub(crate) wanted: String,
    pub(crate) used: String,
    pub(crate) reason: String,
}

/// How a thread comes by its encoder. With a stream it is one that goes on with that.
pub(crate) type OpenPicture = Arc<
    dyn Fn(
            &VideoSettings,
            Option<&StreamDescription>,
        ) -> Result<Box<dyn PictureEncoder>, CodecError>
        + Send
        + Sync,
>;

/// The encoders there are.
pub(crate) fn open_real() -> OpenPicture {
    Arc::new(|settings, stream| {
        let encoder = match stream {
            Some(stream) => VideoEncoder::open_after(settings, stream)?,
            None => VideoEncoder::open(settings)?,
        };
        Ok(Box::new(encoder))
    })
}

impl PictureEncoder for VideoEncoder {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn stream(&self) -> &StreamDescription {
        Self::stream(self)
    }

    fn settings(&self) -> &VideoSettings {
        Self::settings(self)
    }

    fn encode(
        &mut self,
        frame: &Arc<I420Frame>,
        pts: i64,
        sink: &mut dyn FnMut(Packet),
    ) -> Result<(), CodecError> {
        Self::encode(self, frame, pts, sink)
    }

    fn flush(&mut self, sink: &mut dyn FnMut(Packet)) -> Result<(), CodecError> {
        Self::flush(self, sink)
    }

    fn set_bitrate_kbps(&mut self, bitrate_kbps: u32) -> Result<(), CodecError> {
        Self::set_bitrate_kbps(self, bitrate_kbps)
    }

    fn request_keyframe(&mut self) {
        Self::request_keyframe(self);
    }

    fn changes_bitrate_live(&self) -> bool {
        Self::changes_bitrate_live(self)
    }

    fn fallback(&self) -> Option<Fallback> {
        let fallback = Self::fallback(self)?;
        Some(Fallback {
            wanted: fallback.wanted.to_string(),
            used: fallback.used.to_owned(),
            reason: fallback.reason.clone(),
        })
    }
}
