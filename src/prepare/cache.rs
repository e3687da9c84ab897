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
            None => self.font(path).map(|(_, content)| content),
        }
    }

    /// Reads and decodes a picture before anybody asks, for as much as it is worth.
    pub fn preload_picture(&self, path: &Path, fonts: &dyn SvgFonts, worth: Worth) -> Preloaded {
        let known = self.fact(path);
        let there = |fact: &Fact| self.kept().prize_picture(fact, fact.svg_set(fonts), worth);
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
mod tests {
    use std::path::PathBuf;
    use std::sync::Barrier;
    use std::time::{Duration, SystemTime};

    use super::*;

    /// Bytes of a picture of [`write_picture`] in memory.
    const PICTURE: usize = 64 * 64 * 4;

    struct NoFonts;

    impl SvgFonts for NoFonts {
        fn set(&self) -> u64 {
            0
        }

        fn fonts(&self) -> PictureFonts {
            PictureFonts::default()
        }
    }

    /// A picture of one colour, written long ago.
    fn write_picture(folder: &tempfile::TempDir, name: &str, colour: u8) -> PathBuf {
        let path = folder.path().join(name);
        let pixels = image::RgbaImage::from_pixel(64, 64, image::Rgba([colour, 0, 0, 255]));
        pixels
            .save_with_format(&path, image::ImageFormat::Png)
            .expect("written");
        age(&path, 3600);
        path
    }

    fn age(path: &Path, seconds: u64) {
        let then = SystemTime::now() - Duration::from_secs(seconds);
        let file = std::fs::File::options().write(true).open(path);
        file.expect("a file").set_modified(then).expect("set");
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    /// Takes a picture and lets go of it: hits, misses and evictions after it.
    fn ask(cache: &AssetCache, path: &Path) -> (u64, u64, u64) {
        drop(cache.picture(path, &NoFonts).expect("a picture"));
        cache.trim();
        let figures = cache.figures();
        (figures.hits, figures.misses, figures.evictions)
    }

    #[test]
    fn the_one_used_the_longest_ago_goes_first() {
        let folder = folder();
        let [a, b, c] = [1, 2, 3].map(|n| write_picture(&folder, &format!("{n}.png"), n));
        let cache = AssetCache::new(PICTURE * 5 / 2);
        assert_eq!(ask(&cache, &a), (0, 1, 0));
        assert_eq!(ask(&cache, &b), (0, 2, 0));
        assert_eq!(ask(&cache, &a), (1, 2, 0));
        assert_eq!(ask(&cache, &c), (1, 3, 1));
        assert_eq!(ask(&cache, &a), (2, 3, 1), "b went, and not a");
        assert_eq!(ask(&cache, &b), (2, 4, 2));
        let figures = cache.figures();
        assert!(figures.entries == 2 && figures.bytes <= figures.limit_bytes);
    }

    #[test]
    fn what_is_on_air_costs_nothing_and_was_used_when_it_left() {
        let folder = folder();
        let [a, b, c] = [1, 2, 3].map(|n| write_picture(&folder, &format!("{n}.png"), n));
        let cache = AssetCache::new(PICTURE * 3 / 2);
        let on_air = cache.picture(&a, &NoFonts).expect("a picture");
        assert_eq!(ask(&cache, &b), (0, 2, 0));
        let figures = cache.figures();
        assert!(
            figures.entries == 2 && figures.shared_bytes > 0,
            "{figures:?}"
        );
        assert_eq!(ask(&cache, &c), (0, 3, 1));
        drop(on_air);
        cache.trim();
        assert_eq!(ask(&cache, &a), (1, 3, 2), "c went");
    }

    #[test]
    fn the_same_bytes_are_one_entry_and_other_bytes_another() {
        let folder = folder();
        let (a, b) = (
            write_picture(&folder, "a.png", 1),
            write_picture(&folder, "b.png", 1),
        );
        let cache = AssetCache::new(1 << 20);
        let first = cache.picture(&a, &NoFonts).expect("a picture");
        let second = cache.picture(&b, &NoFonts).expect("a picture");
        assert_eq!((cache.figures().entries, first.holders()), (1, 3));
        assert!(first.is_same(&second));
        write_picture(&folder, "a.png", 2);
        let third = cache.picture(&a, &NoFonts).expect("a picture");
        assert!(!third.is_same(&first));
        assert_eq!((cache.figures().entries, cache.figures().misses), (2, 2));
    }

    #[test]
    fn a_file_that_did_not_change_is_not_read_again() {
        let folder = folder();
        let path = write_picture(&folder, "a.png", 1);
        let cache = AssetCache::new(1 << 20);
        drop(cache.picture(&path, &NoFonts).expect("a picture"));
        assert!(cache.fact(&path).is_some());
        age(&path, 1800);
        assert!(cache.fact(&path).is_none(), "it may be another one");
        drop(cache.picture(&path, &NoFonts).expect("a picture"));
        // Written just now, it may be written again without a trace.
        age(&path, 0);
        drop(cache.picture(&path, &NoFonts).expect("a picture"));
        assert!(cache.fact(&path).is_none());
        assert_eq!((cache.figures().hits, cache.figures().misses), (2, 1));
    }

    #[test]
    fn many_who_ask_at_once_have_it_decoded_once() {
        let folder = folder();
        let path = write_picture(&folder, "a.png", 1);
        let (cache, start) = (AssetCache::new(1 << 20), Barrier::new(8));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    cache.picture(&path, &NoFonts).expect("a picture")
                });
            }
        });
        assert_eq!((cache.figures().misses, cache.figures().hits), (1, 7));
        assert!(cache.flights().is_empty());
    }

    #[test]
    fn what_may_be_asked_for_pushes_nothing_out() {
        let folder = folder();
        let [a, b, c, d] = [1, 2, 3, 4].map(|n| write_picture(&folder, &format!("{n}.png"), n));
        let cache = AssetCache::new(PICTURE * 5 / 2);
        ask(&cache, &a);
        let preload = |path: &Path, worth| cache.preload_picture(path, &NoFonts, worth);
        assert_eq!(preload(&b, Worth::Perhaps(1)), Preloaded::Done);
        assert_eq!(preload(&b, Worth::Perhaps(1)), Preloaded::There);
        assert_eq!(preload(&c, Worth::Perhaps(2)), Preloaded::NoRoom);
        assert_eq!(
            preload(&c, Worth::Perhaps(0)),
            Preloaded::Done,
            "worth more than b"
        );
        assert_eq!(preload(&b, Worth::Perhaps(1)), Preloaded::NoRoom);
        // What is certain goes before what was used.
        let mark = cache.mark();
        assert_eq!(preload(&b, Worth::Certain(mark)), Preloaded::Done);
        assert_eq!(preload(&d, Worth::Certain(mark)), Preloaded::Done);
        assert_eq!(preload(&a, Worth::Certain(mark)), Preloaded::NoRoom);
        assert_eq!(ask(&cache, &b).0, 1);
        assert_eq!(cache.figures().preloaded, 4);
        let missing = folder.path().join("none.png");
        assert_eq!(preload(&missing, Worth::Certain(mark)), Preloaded::Unusable);
    }

    #[test]
    fn nought_keeps_nothing() {
        let folder = folder();
        let path = write_picture(&folder, "a.png", 1);
        let cache = AssetCache::new(0);
        assert_eq!(ask(&cache, &path), (0, 1, 0));
        assert_eq!(ask(&cache, &path), (0, 2, 0));
        assert_eq!(cache.figures().entries, 0);
        let worth = Worth::Certain(cache.mark());
        let preloaded = cache.preload_picture(&path, &NoFonts, worth);
        assert_eq!(preloaded, Preloaded::NoRoom);
    }

    #[test]
    fn a_broken_picture_is_refused_each_time_and_leaves_nothing() {
        let folder = folder();
        let path = folder.path().join("a.png");
        std::fs::write(&path, b"\x89PNG\r\n\x1a\n broken").expect("written");
        let cache = AssetCache::new(1 << 20);
        for _ in 0..2 {
            cache.picture(&path, &NoFonts).expect_err("broken");
        }
        assert!(cache.flights().is_empty());
        assert_eq!((cache.figures().misses, cache.figures().entries), (2, 0));
    }
}
