//! Decoded pictures as the world takes them: ready, or to be scaled by the tick that shows them.

use std::sync::{Arc, Mutex};

use codec::{ConvertedPicture, DecodedPicture, PictureConverter};
use systems::input::{LivePicture, UnscaledPicture, WantedSize};

use super::manager::lock;

/// Bytes of a pixel of a decoded picture, about: 10 bits and chroma at half the size.
const PIXEL_BYTES: usize = 3;

/// A picture that is made ready.
pub(super) fn live_picture(picture: ConvertedPicture) -> LivePicture {
    match picture {
        ConvertedPicture::Planes(planes) => LivePicture::Planes(planes),
        ConvertedPicture::Raster(raster) => LivePicture::Raster(raster),
    }
}

/// A picture that the tick has `converter` scale.
pub(super) fn unscaled_picture(
    picture: DecodedPicture,
    converter: &Arc<Mutex<PictureConverter>>,
) -> LivePicture {
    let (width, height) = picture.natural_size();
    LivePicture::Unscaled(Arc::new(Unscaled {
        picture: Mutex::new(picture),
        bytes: width as usize * height as usize * PIXEL_BYTES,
        converter: Arc::clone(converter),
    }))
}

struct Unscaled {
    picture: Mutex<DecodedPicture>,
    bytes: usize,
    converter: Arc<Mutex<PictureConverter>>,
}

impl UnscaledPicture for Unscaled {
    fn scaled(&self, size: WantedSize) -> Option<LivePicture> {
        let mut converter = lock(&self.converter);
        let made = converter.convert(&lock(&self.picture), (size.width, size.height));
        made.inspect_err(|error| tracing::warn!(%error, "a picture is left out"))
            .ok()?
            .map(live_picture)
    }

    fn byte_len(&self) -> usize {
        self.bytes
    }
}
