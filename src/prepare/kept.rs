//! The shelves of the cache: entries, the order of their use, and what is known of files. No I/O, no threads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use systems::assets::Picture;

use super::cache::Worth;
use super::seen::{ContentId, Fact, Stamp};

/// The most entries: small pictures, such as those of chats, weigh little.
const ENTRIES_MAX: usize = 4096;
/// The most files of which it is remembered what they hold.
const FACTS_MAX: usize = 16_384;
/// Where the order of use begins. Below are entries that were never asked for.
const USES_BEGIN: u64 = 1 << 32;

/// By what an entry is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    content: ContentId,
    /// The fonts of an SVG's text; 0 for what has none.
    fonts: u64,
    is_font: bool,
}

impl Key {
    pub(super) fn picture(content: ContentId, fonts: u64) -> Self {
        Self {
            content,
            fonts,
            is_font: false,
        }
    }

    pub(super) fn font(content: ContentId) -> Self {
        Self {
            content,
            fonts: 0,
            is_font: true,
        }
    }
}

/// What an entry holds.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Picture(Picture),
    Font(Arc<[u8]>),
}

impl Held {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Picture(picture) => picture.byte_len(),
            Self::Font(bytes) => bytes.len(),
        }
    }

    /// Whether somebody else holds it too, so that letting go of it frees nothing.
    fn is_shared(&self) -> bool {
        match self {
            Self::Picture(picture) => picture.holders() > 1,
            Self::Font(bytes) => Arc::strong_count(bytes) > 1,
        }
    }

    fn set_cached(&self, is_cached: bool) {
        if let Self::Picture(picture) = self {
            picture.set_cached(is_cached);
        }
    }
}

#[derive(Debug)]
struct Entry {
    held: Held,
    bytes: usize,
    /// When it was asked for, in the order of all uses; below [`USES_BEGIN`] what it is worth though nobody has asked.
    used: u64,
    /// The same when it was last found with somebody else: until then it was in use.
    was_shared: u64,
}

impl Entry {
    fn order(&self) -> (u64, u64) {
        (self.used.max(self.was_shared), self.used)
    }
}

/// Everything that is kept.
#[derive(Debug)]
pub(super) struct Kept {
    entries: HashMap<Key, Entry>,
    facts: HashMap<PathBuf, Fact>,
    uses: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            facts: HashMap::new(),
            uses: USES_BEGIN,
        }
    }
}

impl Kept {
    /// A picture, in the fonts `set` where it is an SVG with text.
    pub(super) fn picture(&mut self, fact: &Fact, set: u64) -> Option<Picture> {
        let key = self.picture_key(fact, set)?;
        match self.used(&key)? {
            Held::Picture(picture) => Some(picture.clone()),
            Held::Font(_) => None,
        }
    }

    pub(super) fn font(&mut self, content: ContentId) -> Option<Arc<[u8]>> {
        match self.used(&Key::font(content))? {
            Held::Font(bytes) => Some(Arc::clone(bytes)),
            Held::Picture(_) => None,
        }
    }

    fn picture_key(&self, fact: &Fact, set: u64) -> Option<Key> {
        let keys = [0, set].map(|fonts| Key::picture(fact.content, fonts));
        keys.into_iter().find(|key| self.entries.contains_key(key))
    }

    fn used(&mut self, key: &Key) -> Option<&Held> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.uses;
        Some(&entry.held)
    }

    /// The same as using it for what it is worth; whether it is there.
    pub(super) fn prize_picture(&mut self, fact: &Fact, set: u64, worth: Worth) -> bool {
        let key = self.picture_key(fact, set);
        key.is_some_and(|key| self.prize(&key, worth))
    }

    pub(super) fn prize(&mut self, key: &Key, worth: Worth) -> bool {
        let order = self.order_of(worth);
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        // What was asked for once is worth more than what may be.
        if entry.used < USES_BEGIN || order >= USES_BEGIN {
            entry.used = order;
        }
        true
    }

    fn order_of(&mut self, worth: Worth) -> u64 {
        match worth {
            Worth::Certain(_) => {
                self.uses += 1;
                self.uses
            }
            Worth::Perhaps(rank) => USES_BEGIN - 1 - u64::from(rank),
        }
    }

    pub(super) fn put(&mut self, key: Key, held: Held, worth: Option<Worth>) {
        let used = match worth {
            Some(worth) => self.order_of(worth),
            None => {
                self.uses += 1;
                self.uses
            }
        };
        held.set_cached(true);
        let entry = Entry {
            bytes: held.bytes(),
            held,
            used,
            was_shared: 0,
        };
        if let Some(before) = self.entries.insert(key, entry) {
            before.held.set_cached(false);
        }
    }

    pub(super) fn mark(&self) -> u64 {
        self.uses
    }

    /// Bytes that are held here alone and that are worth more than something would be.
    pub(super) fn bytes_worth_more(&self, worth: Worth) -> usize {
        let limit = match worth {
            Worth::Certain(mark) => mark,
            Worth::Perhaps(rank) => USES_BEGIN - 1 - u64::from(rank),
        };
        let more = self.alone().filter(|entry| entry.order().0 > limit);
        more.map(|entry| entry.bytes).sum()
    }

    /// Lets go of what was used the longest ago, until what is held here alone fits; how many that were.
    pub(super) fn trim(&mut self, limit_bytes: usize) -> u64 {
        self.uses += 1;
        let (mut alone_bytes, mut alone) = (0, Vec::new());
        for (key, entry) in &mut self.entries {
            if entry.held.is_shared() {
                entry.was_shared = self.uses;
            } else {
                alone_bytes += entry.bytes;
                alone.push((entry.order(), *key, entry.bytes));
            }
        }
        if alone_bytes <= limit_bytes && self.entries.len() <= ENTRIES_MAX {
            return 0;
        }
        alone.sort_unstable_by_key(|(order, ..)| *order);
        let mut evicted = 0;
        for (_, key, bytes) in alone {
            if alone_bytes <= limit_bytes && self.entries.len() <= ENTRIES_MAX {
                break;
            }
            alone_bytes -= bytes;
            self.drop_entry(&key);
            evicted += 1;
        }
        // Only what others hold as well is left.
        while self.entries.len() > ENTRIES_MAX {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(key) = oldest.map(|(key, _)| *key) else {
                break;
            };
            self.drop_entry(&key);
            evicted += 1;
        }
        evicted
    }

    fn drop_entry(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            entry.held.set_cached(false);
        }
    }

    fn alone(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.values();
        entries.filter(|entry| !entry.held.is_shared())
    }

    /// How many entries there are, and the bytes that are held here alone and those that others hold too.
    pub(super) fn weigh(&self) -> (usize, usize, usize) {
        let all: usize = self.entries.values().map(|entry| entry.bytes).sum();
        let alone: usize = self.alone().map(|entry| entry.bytes).sum();
        (self.entries.len(), alone, all - alone.min(all))
    }

    /// What is known of a file, if it is as it was.
    pub(super) fn fact(&self, path: &Path, stamp: &Stamp) -> Option<Fact> {
        let fact = self.facts.get(path)?;
        (fact.stamp == *stamp).then(|| fact.clone())
    }

    pub(super) fn learn(&mut self, path: &Path, fact: &Fact) {
        if self.facts.len() >= FACTS_MAX && !self.facts.contains_key(path) {
            // They are learnt again by reading the files.
            self.facts.clear();
        }
        self.facts.insert(path.to_owned(), fact.clone());
    }

    /// Remembers how much memory a file takes decoded.
    pub(super) fn note_size(&mut self, fact: &Fact, bytes: usize) {
        let same = |known: &&mut Fact| known.stamp == fact.stamp && known.content == fact.content;
        if let Some(known) = self.facts.values_mut().find(same) {
            known.decoded_bytes = Some(bytes);
        }
    }
}
