//! What was read and decoded of files, kept by what the files hold, so that a scene that comes again is not decoded again.
//!
//! An entry is found by the hash of its file's bytes, so two files that are the same are one entry, and a file that changed is another.
//! The hash of a file is remembered as long as its length, times and inode are the same. What is decoded is counted in bytes of memory;
//! what others hold as well (the scene on air, scenes that are ready) costs nothing here, and the rest is kept within a limit by letting
//! go of what was used the longest ago. No lock is held while a file is read or decoded. Nothing here is called on the tick.

use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;
use systems::assets::{Picture, PictureError, PictureFonts, decode_picture};

use super::kept::{Held, Kept, Key};
use super::seen::{ContentId, Fact, SeenFile, Stamp};

/// The largest picture file, in bytes.
const PICTURE_FILE_MAX: u64 = 64 << 20;
/// The largest font file, in bytes.
const FONT_FILE_MAX: u64 = 64 << 20;

/// The fonts for the text of an SVG.
pub trait SvgFonts {
    /// A number that other fonts have another of; 0 for those of the system alone.
    fn set(&self) -> u64;
    /// The fonts.
    fn fonts(&self) -> PictureFonts;
}

/// The cache. Cheap to copy.
#[derive(Clone, Debug)]
pub struct AssetCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit_bytes: usize,
    kept: Mutex<Kept>,
    /// Pictures that are being decoded for somebody who waits.
    flights: Mutex<HashMap<Key, Arc<Flight>>>,
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
    preloaded: AtomicU64,
}

/// One decoding that several wait for.
type Flight = OnceLock<Result<Picture, PictureError>>;

/// What the cache holds and how often it served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssetCacheFigures {
    /// Pictures and fonts that were there when they were asked for.
    pub hits: u64,
    /// Pictures and fonts that had to be read and decoded while somebody waited.
    pub misses: u64,
    /// Pictures and fonts that were let go of to make room.
    pub evictions: u64,
    /// Pictures and fonts that were read and decoded before anybody asked.
    pub preloaded: u64,
    /// Pictures and fonts that are there.
    pub entries: usize,
    /// Bytes of memory that the cache alone holds.
    pub bytes: usize,
    /// Bytes of memory of what it shares with the scene on air and with scenes that are ready.
    pub shared_bytes: usize,
    /// The most bytes that it may hold alone; 0 turns it off.
    pub limit_bytes: usize,
}

/// What became of a file that may be needed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preloaded {
    /// It was read and decoded.
    Done,
    /// It is there already.
    There,
    /// It would push out what is worth more.
    NoRoom,
    /// It cannot be used, as will be told when it is asked for.
    Unusable,
}

/// How much it matters that a file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It will be asked for: as much as what has been asked for since this mark ([`AssetCache::mark`]).
    Certain(u64),
    /// It may be asked for: less than all that was, and the less the higher the rank.
    Perhaps(u32),
}

impl AssetCache {
    /// An empty cache; 0 bytes make one that keeps nothing.
    pub fn new(limit_bytes: usize) -> Self {
        Self(Arc::new(Inner {
            limit_bytes,
            kept: Mutex::default(),
            flights: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            preloaded: AtomicU64::new(0),
        }))
    }

    /// Whether it keeps anything.
    pub fn is_on(&self) -> bool {
        self.0.limit_bytes > 0
    }

    /// The picture of a file, which is decoded once though several ask at a time.
    ///
    /// # Errors
    /// Why it cannot be shown.
    pub fn picture(&self, path: &Path, fonts: &dyn SvgFonts) -> Result<Picture, PictureError> {
        if !self.is_on() {
            let file = SeenFile::read(path, PICTURE_FILE_MAX).map_err(PictureError)?;
            self.0.misses.fetch_add(1, Relaxed);
            return decode_picture(&file.bytes, &|| fonts.fonts());
        }
        if let Some(fact) = self.fact(path)
            && let Some(picture) = self.find_picture(&fact, fonts)
        {
            self.0.hits.fetch_add(1, Relaxed);
            return Ok(picture);
        }
        let file = self.read(path, PICTURE_FILE_MAX).map_err(PictureError)?;
        let set = file.fact.svg_set(fonts);
        let key = Key::picture(file.fact.content, set);
        let flight = {
            let mut flights = self.flights();
            // Asked again with this lock held: who decoded it meanwhile has put it there before the flight ended.
            if let Some(picture) = self.kept().picture(&file.fact, set) {
                drop(flights);
                self.0.hits.fetch_add(1, Relaxed);
                return Ok(picture);
            }
            Arc::clone(flights.entry(key).or_default())
        };
        let mut is_own = false;
        let result = flight
            .get_or_init(|| {
                is_own = true;
                let decoded = decode(&file.bytes, fonts);
                decoded.map(|(picture, needs_fonts)| {
                    let key = Key::picture(file.fact.content, if needs_fonts { set } else { 0 });
                    self.put(key, &file.fact, Held::Picture(picture.clone()), None);
                    picture
                })
            })
            .clone();
        if is_own {
            self.flights().remove(&key);
            self.0.misses.fetch_add(1, Relaxed);
        } else {
            self.0.hits.fetch_add(1, Relaxed);
        }
        result
    }

    /// The bytes of a font's file, and their hash.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn font(&self, path: &Path) -> Result<(Arc<[u8]>, ContentId), String> {
        if let Some(fact) = self.fact(path).filter(|_| self.is_on())
            && let Some(bytes) = self.kept().font(fact.content)
        {
            self.0.hits.fetch_add(1, Relaxed);
            return Ok((bytes, fact.content));
        }
        let file = self.read(path, FONT_FILE_MAX)?;
        if let Some(bytes) = self.kept().font(file.fact.content) {
            self.0.hits.fetch_add(1, Relaxed);
            return Ok((bytes, file.fact.content));
        }
        let bytes: Arc<[u8]> = file.bytes.into();
        self.0.misses.fetch_add(1, Relaxed);
        if self.is_on() {
            let held = Held::Font(Arc::clone(&bytes));
            self.put(Key::font(file.fact.content), &file.fact, held, None);
        }
        Ok((bytes, file.fact.content))
    }

    /// The hash of a font's file, which is read where it is not known.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn font_content(&self, path: &Path) -> Result<ContentId, String> {
        match self.fact(path) {
            Some(fact) => Ok(fact.content),
            None => self.read(path, FONT_FILE_MAX).map(|file| file.fact.content),
        }
    }

    /// Reads and decodes a picture before anybody asks, for as much as it is worth.
    pub fn preload_picture(&self, path: &Path, fonts: &dyn SvgFonts, worth: Worth) -> Preloaded {
        let known = self.fact(path);
        let there = |fact: &Fact| {
            // Before the lock is taken: the fonts are looked up here, too.
            let set = fact.svg_set(fonts);
            self.kept().prize_picture(fact, set, worth)
        };
        if let Some(fact) = &known {
            if there(fact) {
                return Preloaded::There;
            }
            if fact
                .decoded_bytes
                .is_some_and(|bytes| !self.has_room(bytes, worth))
            {
                return Preloaded::NoRoom;
            }
        }
        let Ok(file) = self.read(path, PICTURE_FILE_MAX) else {
            return Preloaded::Unusable;
        };
        if there(&file.fact) {
            return Preloaded::There;
        }
        if !self.has_room(file.decoded_bytes_least(), worth) {
            return Preloaded::NoRoom;
        }
        // Nobody who waits is made to wait for this thread: whoever asks meanwhile decodes it for himself.
        let Ok((picture, needs_fonts)) = decode(&file.bytes, fonts) else {
            return Preloaded::Unusable;
        };
        let set = if needs_fonts {
            file.fact.svg_set(fonts)
        } else {
            0
        };
        let key = Key::picture(file.fact.content, set);
        self.preloaded(key, &file.fact, Held::Picture(picture), worth)
    }

    /// Reads a font before anybody asks, for as much as it is worth.
    pub fn preload_font(&self, path: &Path, worth: Worth) -> Preloaded {
        let there = |fact: &Fact| self.kept().prize(&Key::font(fact.content), worth);
        let known = self.fact(path);
        if known.as_ref().is_some_and(there) {
            return Preloaded::There;
        }
        let length = std::fs::metadata(path).map_or(u64::MAX, |facts| facts.len());
        if !self.has_room(usize::try_from(length).unwrap_or(usize::MAX), worth) {
            return Preloaded::NoRoom;
        }
        let Ok(file) = self.read(path, FONT_FILE_MAX) else {
            return Preloaded::Unusable;
        };
        if there(&file.fact) {
            return Preloaded::There;
        }
        let key = Key::font(file.fact.content);
        self.preloaded(key, &file.fact, Held::Font(file.bytes.into()), worth)
    }

    /// A mark in the order of use: what is asked for from now on was used later.
    pub fn mark(&self) -> u64 {
        self.kept().mark()
    }

    /// Lets go of what is too much, since what was on air may be so no more.
    pub fn trim(&self) {
        let evicted = self.kept().trim(self.0.limit_bytes);
        self.0.evictions.fetch_add(evicted, Relaxed);
    }

    /// What it holds and how often it served.
    pub fn figures(&self) -> AssetCacheFigures {
        let (entries, bytes, shared_bytes) = self.kept().weigh();
        AssetCacheFigures {
            hits: self.0.hits.load(Relaxed),
            misses: self.0.misses.load(Relaxed),
            evictions: self.0.evictions.load(Relaxed),
            preloaded: self.0.preloaded.load(Relaxed),
            entries,
            bytes,
            shared_bytes,
            limit_bytes: self.0.limit_bytes,
        }
    }

    fn preloaded(&self, key: Key, fact: &Fact, held: Held, worth: Worth) -> Preloaded {
        if !self.has_room(held.bytes(), worth) {
            self.kept().note_size(fact, held.bytes());
            return Preloaded::NoRoom;
        }
        self.put(key, fact, held, Some(worth));
        self.0.preloaded.fetch_add(1, Relaxed);
        Preloaded::Done
    }

    fn has_room(&self, bytes: usize, worth: Worth) -> bool {
        let taken = self.kept().bytes_worth_more(worth);
        taken.saturating_add(bytes) <= self.0.limit_bytes
    }

    fn put(&self, key: Key, fact: &Fact, held: Held, worth: Option<Worth>) {
        let mut kept = self.kept();
        kept.note_size(fact, held.bytes());
        kept.put(key, held, worth);
        let evicted = kept.trim(self.0.limit_bytes);
        drop(kept);
        self.0.evictions.fetch_add(evicted, Relaxed);
    }

    fn find_picture(&self, fact: &Fact, fonts: &dyn SvgFonts) -> Option<Picture> {
        // The fonts are looked at without the lock: that may read them.
        let set = fact.svg_set(fonts);
        self.kept().picture(fact, set)
    }

    /// What is known of a file that is as it was.
    fn fact(&self, path: &Path) -> Option<Fact> {
        let stamp = Stamp::of(&std::fs::metadata(path).ok()?);
        self.kept().fact(path, &stamp)
    }

    fn read(&self, path: &Path, bytes_max: u64) -> Result<SeenFile, String> {
        let file = SeenFile::read(path, bytes_max)?;
        if file.is_settled && self.is_on() {
            self.kept().learn(path, &file.fact);
        }
        Ok(file)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Key, Arc<Flight>>> {
        self.0
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A picture, and whether it is of an SVG that has text.
fn decode(bytes: &[u8], fonts: &dyn SvgFonts) -> Result<(Picture, bool), PictureError> {
    let needs_fonts = Cell::new(false);
    let picture = decode_picture(bytes, &|| {
        needs_fonts.set(true);
        fonts.fonts()
    })?;
    Ok((picture, needs_fonts.get()))
}

#[cfg(test)]
mod tests;
