//! Decoded pictures and fonts, which others read and decode; the tick only takes what has arrived.

mod animation;
mod picture;
mod vector;

use std::collections::HashMap;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

pub use animation::{ANIMATION_MAX_BYTES, Animation};
pub use picture::{
    MAX_PICTURE_BYTES, MAX_PICTURE_SIDE, Picture, PictureError, PictureKind, decode_picture,
};
pub use resvg::usvg::fontdb::{
    Database as FontDatabase, Family as FontFamily, Query as FontQuery, Source as FontSource,
};
pub use vector::{PictureFonts, SVG_FILE_MAX, VECTOR_PIXELS_MAX, VectorPicture, is_svg};

/// Bytes that decoded pictures may take before those that no layer shows are let go.
pub const PICTURES_MAX_BYTES: usize = 256 << 20;
/// How many pictures may be asked for, and arrive, between two ticks.
const QUEUE: usize = 256;

/// The pictures that layers can show, by the words of their `src`.
#[derive(Resource)]
pub struct Pictures {
    ready: HashMap<Arc<str>, Result<Picture, PictureError>>,
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
    pub picture: Result<Picture, PictureError>,
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
    pub fn get(&mut self, src: &str) -> Option<Picture> {
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

    /// The picture, if it is there.
    pub fn peek(&self, src: &str) -> Option<&Picture> {
        self.ready.get(src)?.as_ref().ok()
    }

    /// Adds pictures to those that are there.
    pub fn add(&mut self, pictures: impl IntoIterator<Item = (Arc<str>, Picture)>) {
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
            let unused = picture.as_ref().is_ok_and(|picture| !picture.is_shared());
            if bytes <= PICTURES_MAX_BYTES || !unused {
                return true;
            }
            bytes -= picture.as_ref().map_or(0, Picture::byte_len);
            false
        });
    }

    /// Takes the pictures of a scene, in the place of all that no layer shows.
    pub fn renew(&mut self, pictures: impl IntoIterator<Item = (Arc<str>, Picture)>) {
        self.ready
            .retain(|_, picture| picture.as_ref().is_ok_and(Picture::is_shared));
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
        self.ready.values().flatten().map(Picture::byte_len).sum()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(colour: u8) -> Picture {
        let svg = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><rect width='{colour}' height='9'/></svg>"
        );
        decode_picture(svg.as_bytes(), &PictureFonts::default).expect("a picture")
    }

    #[test]
    fn what_only_a_cache_holds_besides_goes_with_its_scene() {
        let (mut pictures, _door) = Pictures::new();
        let (cached, shown, alone) = (picture(1), picture(2), picture(3));
        cached.set_cached(true);
        let named = |name: &str, picture: &Picture| (Arc::from(name), picture.clone());
        pictures.renew([
            named("cached", &cached),
            named("shown", &shown),
            named("alone", &alone),
        ]);
        drop(alone);
        pictures.renew([]);
        assert!(pictures.peek("cached").is_none());
        assert!(pictures.peek("shown").is_some());
        assert!(pictures.peek("alone").is_none());
        // One that a layer shows as well stays.
        pictures.renew([named("cached", &cached)]);
        let layer = cached.clone();
        pictures.renew([]);
        assert!(pictures.peek("cached").is_some());
        drop(layer);
    }
}
