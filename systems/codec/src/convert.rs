//! Decoded pictures made ready for the tick: at the size at which they are shown, upright, in the program's colours.
//!
//! What needs nothing done to it is lent as it lies in the decoder's memory. Everything else is made in one pass into pictures that
//! are used again when nobody holds them any more, of which there are only so many.

use std::sync::Arc;

use ffmpeg::ffi::AVPixelFormat;
use ffmpeg_next as ffmpeg;
use raster::{Planes, PlanesMut, PlanesScaler, Raster};

use crate::decoder::{DecodedPicture, bounded_size};
use crate::error::CodecError;
use crate::ffi::{self, Description, FramePlanes, Matrix, PictureScaler};

/// A picture for the tick.
#[derive(Clone)]
pub enum ConvertedPicture {
    /// Opaque: 8-bit 4:2:0, BT.709, limited range.
    Planes(Arc<dyn Planes>),
    /// With alpha, premultiplied.
    Raster(Arc<Raster>),
}

/// Converts the pictures of one input for one size.
pub struct PictureConverter {
    pictures_max: usize,
    planes: Vec<Arc<FramePlanes>>,
    rasters: Vec<Arc<Raster>>,
    scaler: Option<PictureScaler>,
    /// Of pictures that need nothing but another size.
    planes_scaler: PlanesScaler,
    /// Of premultiplied pictures, from their own size.
    rgba_scaler: Option<PictureScaler>,
    /// Before it is turned upright.
    lying: Option<FramePlanes>,
    words: Vec<u32>,
    words_lying: Vec<u32>,
}

impl PictureConverter {
    /// At most `pictures_max` pictures of its own are held by others at a time.
    #[must_use]
    pub fn new(pictures_max: usize) -> Self {
        Self {
            pictures_max: pictures_max.max(1),
            planes: Vec::new(),
            rasters: Vec::new(),
            scaler: None,
            planes_scaler: PlanesScaler::default(),
            rgba_scaler: None,
            lying: None,
            words: Vec::new(),
            words_lying: Vec::new(),
        }
    }

    /// Makes `picture` ready at `size` (upright; 0 by 0 stands for its natural size). `None` when all of its pictures are held.
    ///
    /// # Errors
    /// Pixels that FFmpeg cannot convert.
    pub fn convert(
        &mut self,
        picture: &DecodedPicture,
        size: (u32, u32),
    ) -> Result<Option<ConvertedPicture>, CodecError> {
        let natural = picture.natural_size();
        let size = if size.0 == 0 || size.1 == 0 {
            natural
        } else {
            bounded_size(size.0, size.1)
        };
        let made = if picture.about.has_alpha {
            self.raster(picture, size)
                .map(|made| made.map(ConvertedPicture::Raster))
        } else {
            self.opaque(picture, size)
                .map(|made| made.map(ConvertedPicture::Planes))
        };
        made.map_err(|error| CodecError::decoder("convert", "a picture", error))
    }

    fn opaque(
        &mut self,
        picture: &DecodedPicture,
        size: (u32, u32),
    ) -> Result<Option<Arc<dyn Planes>>, ffmpeg::Error> {
        let about = &picture.about;
        let turns = picture.quarter_turns;
        if about.is_native && turns == 0 && size == (about.width, about.height) {
            let mut lent = ffmpeg::frame::Video::empty();
            ffi::reference_frame(&mut lent, &picture.frame)?;
            return Ok(Some(Arc::new(FramePlanes::lent(lent)?)));
        }
        let lying_size = if turns % 2 == 1 {
            (size.1, size.0)
        } else {
            size
        };
        let Some(index) = self.free_planes(size)? else {
            return Ok(None);
        };
        let Some(target) = Arc::get_mut(&mut self.planes[index]) else {
            return Ok(None);
        };
        if about.is_native && turns == 0 {
            let mut lent = ffmpeg::frame::Video::empty();
            ffi::reference_frame(&mut lent, &picture.frame)?;
            let strides = target.strides();
            let target = PlanesMut {
                size,
                planes: target.planes_mut(),
                strides,
            };
            self.planes_scaler.scale(&FramePlanes::lent(lent)?, target);
        } else if turns == 0 {
            let scaler = scaler(&mut self.scaler, about, lying_size, false)?;
            scaler.fill_planes(&picture.frame, target)?;
        } else {
            let scaler = scaler(&mut self.scaler, about, lying_size, false)?;
            let is_of_size = self
                .lying
                .as_ref()
                .is_some_and(|lying| (lying.width(), lying.height()) == lying_size);
            if !is_of_size {
                self.lying = Some(FramePlanes::new(lying_size.0, lying_size.1)?);
            }
            if let Some(lying) = &mut self.lying {
                scaler.fill_planes(&picture.frame, lying)?;
                ffi::copy_upright(lying, target, turns);
            }
        }
        let made: Arc<dyn Planes> = Arc::clone(&self.planes[index]) as Arc<dyn Planes>;
        Ok(Some(made))
    }

    /// A picture of ours that nobody holds.
    fn free_planes(&mut self, size: (u32, u32)) -> Result<Option<usize>, ffmpeg::Error> {
        self.planes
            .retain(|planes| (planes.width(), planes.height()) == size);
        let free = self
            .planes
            .iter_mut()
            .position(|planes| Arc::get_mut(planes).is_some());
        if free.is_some() || self.planes.len() >= self.pictures_max {
            return Ok(free);
        }
        self.planes
            .push(Arc::new(FramePlanes::new(size.0, size.1)?));
        Ok(Some(self.planes.len() - 1))
    }

    /// Alpha is multiplied in at the picture's own size, so that scaling mixes in no colour of what is not seen.
    fn raster(
        &mut self,
        picture: &DecodedPicture,
        size: (u32, u32),
    ) -> Result<Option<Arc<Raster>>, ffmpeg::Error> {
        let about = &picture.about;
        let own = (about.width, about.height);
        let turns = picture.quarter_turns;
        let lying_size = if turns % 2 == 1 {
            (size.1, size.0)
        } else {
            size
        };
        let Some(mut target) = self.free_words(size) else {
            return Ok(None);
        };
        let pixels = |(width, height): (u32, u32)| width as usize * height as usize;
        self.words.resize(pixels(own), 0);
        scaler(&mut self.scaler, about, own, true)?.fill_rgba(&picture.frame, &mut self.words)?;
        self.words.iter_mut().for_each(premultiply);
        if own != lying_size {
            let premultiplied = Description {
                width: own.0,
                height: own.1,
                format: AVPixelFormat::AV_PIX_FMT_RGBA,
                matrix: Matrix::Bt709,
                is_full_range: true,
                has_alpha: true,
                is_native: false,
                is_hdr: false,
                pixel_aspect: (0, 0),
            };
            self.words_lying.resize(pixels(lying_size), 0);
            scaler(&mut self.rgba_scaler, &premultiplied, lying_size, true)?
                .rgba_to_rgba(&self.words, &mut self.words_lying)?;
        } else {
            std::mem::swap(&mut self.words, &mut self.words_lying);
        }
        target.resize(pixels(size), 0);
        ffi::turn(
            (
                &self.words_lying,
                lying_size.0 as usize,
                lying_size.1 as usize,
                lying_size.0 as usize,
            ),
            (&mut target, size.0 as usize),
            turns,
        );
        let made = Raster::from_words_premultiplied(size.0, size.1, target)
            .map_err(|_| ffmpeg::Error::InvalidData)?;
        let made = Arc::new(made);
        self.rasters.push(Arc::clone(&made));
        Ok(Some(made))
    }

    /// The buffer of a picture of ours that nobody holds, or a new one.
    fn free_words(&mut self, size: (u32, u32)) -> Option<Vec<u32>> {
        self.rasters.retain(|raster| {
            (raster.width(), raster.height()) == size || Arc::strong_count(raster) > 1
        });
        let free = self
            .rasters
            .iter()
            .position(|raster| Arc::strong_count(raster) == 1);
        if let Some(index) = free {
            let raster = self.rasters.swap_remove(index);
            return Some(Arc::try_unwrap(raster).map_or_else(|_| Vec::new(), Raster::into_words));
        }
        (self.rasters.len() < self.pictures_max).then(Vec::new)
    }
}

/// The scaler in `slot`, made anew where it does not serve.
fn scaler<'a>(
    slot: &'a mut Option<PictureScaler>,
    about: &Description,
    size: (u32, u32),
    is_rgba: bool,
) -> Result<&'a mut PictureScaler, ffmpeg::Error> {
    let made = match slot.take() {
        Some(scaler) if scaler.serves(about, size, is_rgba) => scaler,
        _ => PictureScaler::new(*about, size, is_rgba)?,
    };
    Ok(slot.insert(made))
}

/// Multiplies the colours of a word by its alpha, rounding to the nearest.
fn premultiply(word: &mut u32) {
    let [red, green, blue, alpha] = word.to_ne_bytes();
    if alpha == 255 {
        return;
    }
    let by_alpha = |colour: u8| {
        let product = u32::from(colour) * u32::from(alpha) + 128;
        ((product + (product >> 8)) >> 8) as u8
    };
    *word = u32::from_ne_bytes([by_alpha(red), by_alpha(green), by_alpha(blue), alpha]);
}
