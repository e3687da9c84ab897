//! Files as they were when they were read: what tells that one has not changed since, and the hash of what it holds.

use std::fs::{File, Metadata};
use std::io::{Cursor, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use image::ImageReader;
use sha2::{Digest as _, Sha256};
use systems::assets::is_svg;

use super::cache::SvgFonts;

/// A file that was written less than this ago may be written again without another time: the coarsest file systems count in 2 s.
const SETTLES_AFTER: Duration = Duration::from_secs(2);
/// What an SVG takes parsed, as a multiple of its text, about.
const SVG_WEIGHT: usize = 2;

/// The first half of the SHA-256 of a file's bytes, as in the ids of uploaded assets.
pub type ContentId = [u8; 16];

/// What a file has that changes with its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    /// Seconds and nanoseconds of the last change of its bytes, and of anything about it.
    times: [i64; 4],
    device: u64,
    inode: u64,
}

/// What is known of a file.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pub(super) stamp: Stamp,
    pub(super) content: ContentId,
    pub(super) is_svg: bool,
    /// Bytes of memory that it took decoded, where it was.
    pub(super) decoded_bytes: Option<usize>,
}

/// A file that was read.
pub(super) struct SeenFile {
    pub(super) fact: Fact,
    pub(super) bytes: Vec<u8>,
    /// Whether its stamp is sure to change when it does.
    pub(super) is_settled: bool,
}

impl Stamp {
    pub(super) fn of(facts: &Metadata) -> Self {
        let times = [
            facts.mtime(),
            facts.mtime_nsec(),
            facts.ctime(),
            facts.ctime_nsec(),
        ];
        Self {
            length: facts.len(),
            times,
            device: facts.dev(),
            inode: facts.ino(),
        }
    }
}

impl Fact {
    /// The number of the fonts that its text is set in; 0 for what has none.
    pub(super) fn svg_set(&self, fonts: &dyn SvgFonts) -> u64 {
        if self.is_svg { fonts.set() } else { 0 }
    }
}

impl SeenFile {
    /// Reads a file whole.
    ///
    /// # Errors
    /// It is larger than `bytes_max`, or the disk's.
    pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let mut file = File::open(path).map_err(failed)?;
        let before = file.metadata().map_err(failed)?;
        let too_large =
            |length: u64| format!("it has {length} bytes; at most {bytes_max} are read");
        if before.len() > bytes_max {
            return Err(too_large(before.len()));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(before.len()).unwrap_or_default());
        let read = (&mut file).take(bytes_max + 1).read_to_end(&mut bytes);
        let length = read.map_err(failed)? as u64;
        if length > bytes_max {
            return Err(too_large(length));
        }
        let stamp = Stamp::of(&before);
        let after = file.metadata().map_err(failed)?;
        let age = before
            .modified()
            .ok()
            .and_then(|modified| SystemTime::now().duration_since(modified).ok());
        let is_settled = stamp == Stamp::of(&after)
            && length == before.len()
            && age.is_some_and(|age| age >= SETTLES_AFTER);
        let hash = Sha256::digest(&bytes);
        let mut content = ContentId::default();
        content.copy_from_slice(&hash[..16]);
        let fact = Fact {
            stamp,
            content,
            is_svg: is_svg(&bytes),
            decoded_bytes: None,
        };
        Ok(Self {
            fact,
            bytes,
            is_settled,
        })
    }

    /// The least memory that it takes decoded, as its head says; 0 where that does not tell.
    pub(super) fn decoded_bytes_least(&self) -> usize {
        if self.fact.is_svg {
            return self.bytes.len() * SVG_WEIGHT;
        }
        let reader = ImageReader::new(Cursor::new(&self.bytes)).with_guessed_format();
        let size = reader.ok().and_then(|reader| reader.into_dimensions().ok());
        size.map_or(0, |(width, height)| width as usize * height as usize * 4)
    }
}
