//! Decoded pictures and fonts, which others read and decode; the tick only takes what has arrived.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use image::{ImageReader, Limits};
use raster::Raster;

/// The longest side of a picture, in pixels.
pub const MAX_PICTURE_SIDE: u32 = 16_384;
/// The most bytes that decoding one picture may take.
pub const MAX_PICTURE_BYTES: u64 = 512 << 20;
/// Bytes that decoded pictures may take before those that no layer shows are let go.
pub const PICTURES_MAX_BYTES: usize = 256 << 20;
/// How many pictures may be asked for, and arrive, between two ticks.
const QUEUE: usize = 256;

/// A decoded picture: premultiplied RGBA8 at its own size.
pub type PictureRaster = Arc<Raster>;

/// Why a picture cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PictureError(pub String);

/// Decodes a PNG, JPEG, WebP or the first picture of a GIF, told apart by content and not by name.
///
/// # Errors
/// Says what is wrong with the bytes; a picture of more than [`MAX_PICTURE_SIDE`] pixels a side or [`MAX_PICTURE_BYTES`] is refused
/// before it takes memory.
pub fn decode_picture(bytes: &[u8]) -> Result<PictureRaster, PictureError> {
    let say = |error: &dyn std::fmt::Display| PictureError(error.to_string());
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| say(&error))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_PICTURE_SIDE);
    limits.max_image_height = Some(MAX_PICTURE_SIDE);
    limits.max_alloc = Some(MAX_PICTURE_BYTES);
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| say(&error))?.into_rgba8();
    let (width, height) = picture.dimensions();
    let mut data = picture.into_raw();
    for pixel in data.as_chunks_mut::<4>().0 {
        let alpha = u32::from(pixel[3]);
        if alpha != 255 {
            for channel in &mut pixel[..3] {
                let product = u32::from(*channel) * alpha + 128;
                *channel = ((product + (product >> 8)) >> 8) as u8;
            }
        }
    }
    Raster::from_rgba8_premultiplied(width, height, data)
        .map(Arc::new)
        .map_err(|error| say(&error))
}

/// The pictures that layers can show, by the words of their `src`.
#[derive(Resource)]
pub struct Pictures {
    ready: HashMap<Arc<str>, Result<PictureRaster, PictureError>>,
    asked: HashMap<Arc<str>, ()>,
    requests: Sender<Arc<str>>,
    arrivals: Receiver<Arrival>,
    /// Raised when a picture arrives or leaves.
    revision: u64,
}

/// A picture that was asked for, or why it cannot be had.
pub struct Arrival {
    /// The words that asked for it.
    pub src: Arc<str>,
    /// The picture.
    pub picture: Result<PictureRaster, PictureError>,
}

/// The other end of [`Pictures`], for whoever reads files.
#[derive(Clone, Debug)]
pub struct PictureDoor {
    /// What is asked for.
    pub requests: Receiver<Arc<str>>,
    /// Where it is to be put.
    pub arrivals: Sender<Arrival>,
}

impl Pictures {
    /// No pictures, and the door through which they come.
    pub fn new() -> (Self, PictureDoor) {
        let (requests, asked) = bounded(QUEUE);
        let (arrive, arrivals) = bounded(QUEUE);
        let pictures = Self {
            ready: HashMap::new(),
            asked: HashMap::new(),
            requests,
            arrivals,
            revision: 0,
        };
        (
            pictures,
            PictureDoor {
                requests: asked,
                arrivals: arrive,
            },
        )
    }

    /// The picture, if it is there; asks for it, once, if it is not.
    pub fn get(&mut self, src: &str) -> Option<PictureRaster> {
        if let Some(found) = self.ready.get(src) {
            return found.clone().ok();
        }
        if !src.is_empty() && !self.asked.contains_key(src) {
            let src: Arc<str> = src.into();
            match self.requests.try_send(Arc::clone(&src)) {
                Ok(()) => drop(self.asked.insert(src, ())),
                // It is asked for again on a later tick.
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
        None
    }

    /// Adds pictures to those that are there.
    pub fn add(&mut self, pictures: impl IntoIterator<Item = (Arc<str>, PictureRaster)>) {
        for (src, picture) in pictures {
            self.asked.remove(&src);
            self.ready.insert(src, Ok(picture));
        }
        self.make_room();
        self.revision += 1;
    }

    /// Lets go of pictures that no layer shows, while all of them together take more than [`PICTURES_MAX_BYTES`]. One that is asked
    /// for again is read again.
    fn make_room(&mut self) {
        let mut bytes = self.byte_len();
        self.ready.retain(|_, picture| {
            let unused = picture
                .as_ref()
                .is_ok_and(|picture| Arc::strong_count(picture) == 1);
            if bytes <= PICTURES_MAX_BYTES || !unused {
                return true;
            }
            bytes -= picture.as_ref().map_or(0, |picture| picture.byte_len());
            false
        });
    }

    /// Takes the pictures of a scene, in the place of all that no layer shows.
    pub fn renew(&mut self, pictures: impl IntoIterator<Item = (Arc<str>, PictureRaster)>) {
        self.ready.retain(|_, picture| {
            picture
                .as_ref()
                .is_ok_and(|picture| Arc::strong_count(picture) > 1)
        });
        let fresh = pictures
            .into_iter()
            .map(|(src, picture)| (src, Ok(picture)));
        self.ready.extend(fresh);
        self.asked.clear();
        self.revision += 1;
    }

    /// A number that changes when pictures do.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Bytes of all pictures.
    pub fn byte_len(&self) -> usize {
        self.ready
            .values()
            .flatten()
            .map(|picture| picture.byte_len())
            .sum()
    }

    fn take_arrivals(&mut self) {
        while let Ok(arrival) = self.arrivals.try_recv() {
            if let Err(error) = &arrival.picture {
                tracing::warn!(src = &*arrival.src, %error, "a picture cannot be shown");
            }
            self.asked.remove(&arrival.src);
            self.ready.insert(arrival.src, arrival.picture);
            self.make_room();
            self.revision += 1;
        }
    }
}

/// Set `Ingest`: takes the pictures that have arrived since the last tick.
pub fn take_pictures(mut pictures: ResMut<Pictures>) {
    if !pictures.arrivals.is_empty() {
        pictures.take_arrivals();
    }
}
