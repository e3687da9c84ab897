//! A folder for one test, deleted after it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub struct Folder(PathBuf);

impl Folder {
    /// An empty folder.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "scenes-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A folder with the good scene and its files.
    pub fn with_good_scene() -> Self {
        let folder = Self::new();
        folder.write("scene.json", super::GOOD);
        folder.write("assets/logo.png", b"\x89PNG\r\n\x1a\nrest");
        folder.write("assets/photo.jpg", b"\xff\xd8\xff\xe0rest");
        folder.write("assets/Inter.ttf", b"\0\x01\0\0rest");
        folder.write("assets/notes.txt", "words");
        folder
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, as editors do: beside it first, then renamed over it.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let beside = path.with_extension("new~");
        fs::write(&beside, bytes).unwrap();
        fs::rename(beside, path).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _deleted = fs::remove_dir_all(&self.0);
    }
}
