//! The cache on files of a temporary folder.

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

/// Fonts of a scene that has some of its own.
struct OwnFonts(u64);

impl SvgFonts for OwnFonts {
    fn set(&self) -> u64 {
        self.0
    }

    fn fonts(&self) -> PictureFonts {
        PictureFonts {
            set: self.0,
            ..PictureFonts::default()
        }
    }
}

#[test]
fn an_svg_with_text_is_another_one_in_other_fonts() {
    let folder = folder();
    let cache = AssetCache::new(1 << 20);
    let ask = |inner: &str, set: u64| {
        let path = folder.path().join("a.svg");
        let text =
            format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'>{inner}</svg>");
        std::fs::write(&path, text).expect("written");
        drop(cache.picture(&path, &OwnFonts(set)).expect("a picture"));
        (cache.figures().hits, cache.figures().misses)
    };
    let (shape, words) = ("<rect width='9' height='9'/>", "<text y='9'>a</text>");
    assert_eq!(ask(shape, 1), (0, 1));
    assert_eq!(ask(shape, 2), (1, 1), "it has no text");
    assert_eq!(ask(words, 1), (1, 2));
    assert_eq!(ask(words, 2), (1, 3));
    assert_eq!([ask(words, 1), ask(words, 2)], [(2, 3), (3, 3)]);
}

/// Fonts that are looked up in the cache themselves, as those of scenes are.
struct CachedFonts<'a>(&'a AssetCache, PathBuf);

impl SvgFonts for CachedFonts<'_> {
    fn set(&self) -> u64 {
        u64::from(self.0.font_content(&self.1).expect("a font")[0]) + 1
    }

    fn fonts(&self) -> PictureFonts {
        drop(self.0.font(&self.1).expect("a font"));
        PictureFonts {
            set: self.set(),
            ..PictureFonts::default()
        }
    }
}

#[test]
fn fonts_are_looked_up_in_the_cache_while_a_picture_is() {
    let folder = folder();
    let (svg, font) = (folder.path().join("a.svg"), folder.path().join("a.ttf"));
    let text =
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><text y='9'>a</text></svg>";
    std::fs::write(&svg, text).expect("written");
    std::fs::write(&font, "bytes of a font").expect("written");
    age(&svg, 3600);
    let cache = AssetCache::new(1 << 20);
    let fonts = CachedFonts(&cache, font);
    let worth = Worth::Certain(cache.mark());
    assert_eq!(cache.preload_picture(&svg, &fonts, worth), Preloaded::Done);
    assert_eq!(cache.preload_picture(&svg, &fonts, worth), Preloaded::There);
    drop(cache.picture(&svg, &fonts).expect("a picture"));
    let figures = cache.figures();
    assert_eq!((figures.entries, figures.preloaded), (2, 1), "{figures:?}");
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
