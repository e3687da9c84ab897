//! Rasters by what they show, so that nothing is drawn twice: not for two layers that look the same, not when a text changes back,
//! and not when a scene was drawn ahead of time.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bevy_ecs::prelude::*;
use glam::Vec2;
use raster::Raster;
use serde::Serialize;

use crate::profile::Profile;

/// The most bytes that rasters which no layer shows may take. A clock leaves one behind each second and never comes back to it, so
/// this is what a stream's memory grows by before it stays.
pub const IDLE_BYTES_MAX: usize = 4 << 20;

/// Rasters by key.
#[derive(Resource, Default)]
pub struct RasterCache {
    entries: HashMap<u64, Entry>,
    /// Drawn ahead of time and not asked for yet. Not idle: the tick that takes their scene on air asks for them.
    ahead: HashMap<u64, CachedRaster>,
    /// Counts uses, to tell the least recent one.
    uses: u64,
    hits: u64,
    misses: u64,
}

struct Entry {
    cached: CachedRaster,
    last_use: u64,
}

/// A raster and where it lies.
#[derive(Clone)]
pub struct CachedRaster {
    /// The pixels.
    pub raster: Arc<Raster>,
    /// The place of its top left in the layer's box, in layer pixels: negative where it reaches over the box.
    pub origin: Vec2,
}

/// The key of a raster: a hash of all that its pixels follow from.
pub fn raster_key(kind: &str, source: &impl Serialize, geometry: &[f32], words: &str) -> u64 {
    // The same hash in every process, so that a scene drawn ahead of time by another world is found.
    let mut hasher = DefaultHasher::new();
    kind.hash(&mut hasher);
    // Authored sources always serialise: they came from JSON.
    serde_json::to_string(source)
        .unwrap_or_default()
        .hash(&mut hasher);
    for number in geometry {
        number.to_bits().hash(&mut hasher);
    }
    words.hash(&mut hasher);
    hasher.finish()
}

impl RasterCache {
    /// The raster of `key`, drawn by `draw` when it is not there.
    pub fn get_or_draw(
        &mut self,
        key: u64,
        draw: impl FnOnce() -> Option<(Raster, Vec2)>,
    ) -> Option<CachedRaster> {
        self.uses += 1;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.last_use = self.uses;
            self.hits += 1;
            return Some(entry.cached.clone());
        }
        let cached = match self.ahead.remove(&key) {
            Some(cached) => {
                self.hits += 1;
                cached
            }
            None => {
                self.misses += 1;
                let (raster, origin) = draw()?;
                CachedRaster {
                    raster: Arc::new(raster),
                    origin,
                }
            }
        };
        self.entries.insert(
            key,
            Entry {
                cached: cached.clone(),
                last_use: self.uses,
            },
        );
        self.evict();
        Some(cached)
    }

    /// Puts in rasters that were drawn ahead of time, in the place of those that an earlier scene did not ask for.
    pub fn warm(&mut self, rasters: impl IntoIterator<Item = (u64, CachedRaster)>) {
        self.ahead.clear();
        self.ahead.extend(rasters);
    }

    /// Takes all rasters out.
    pub fn take(&mut self) -> Vec<(u64, CachedRaster)> {
        self.entries
            .drain()
            .map(|(key, entry)| (key, entry.cached))
            .collect()
    }

    /// Hits and misses since the start.
    pub fn uses(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    /// Bytes of all rasters.
    pub fn byte_len(&self) -> usize {
        let entries = self.entries.values().map(|entry| &entry.cached);
        let all = entries.chain(self.ahead.values());
        all.map(|cached| cached.raster.byte_len()).sum()
    }

    /// Drops the rasters that were used least recently among those that nobody shows, until the rest fits.
    fn evict(&mut self) {
        let idle = |entry: &Entry| Arc::strong_count(&entry.cached.raster) == 1;
        let mut idle_bytes: usize = self
            .entries
            .values()
            .filter(|entry| idle(entry))
            .map(|entry| entry.cached.raster.byte_len())
            .sum();
        if idle_bytes <= IDLE_BYTES_MAX {
            return;
        }
        let mut oldest: Vec<(u64, u64, usize)> = self
            .entries
            .iter()
            .filter(|(_, entry)| idle(entry))
            .map(|(key, entry)| (entry.last_use, *key, entry.cached.raster.byte_len()))
            .collect();
        oldest.sort_unstable();
        for (_, key, bytes) in oldest {
            if idle_bytes <= IDLE_BYTES_MAX / 2 {
                break;
            }
            self.entries.remove(&key);
            idle_bytes -= bytes;
        }
    }
}

/// Which layer took longest to draw anew on this tick.
#[derive(Resource, Default)]
pub struct RasterCosts {
    worst: String,
    worst_nanos: u64,
}

impl RasterCosts {
    /// Times `draw` and puts it down to `layer`.
    pub fn time<R>(&mut self, profile: &Profile, layer: &str, draw: impl FnOnce() -> R) -> R {
        let start = profile.now_nanos();
        let result = draw();
        let nanos = profile.now_nanos().saturating_sub(start);
        if nanos > self.worst_nanos {
            self.worst_nanos = nanos;
            self.worst.clear();
            self.worst.push_str(layer);
        }
        result
    }

    /// The layer that took longest on this tick.
    pub fn worst(&self) -> Option<&str> {
        (self.worst_nanos > 0).then_some(self.worst.as_str())
    }

    /// Forgets; runs before a tick.
    pub(crate) fn reset(&mut self) {
        self.worst_nanos = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raster(side: u32) -> Option<(Raster, Vec2)> {
        let data = vec![255; (side * side * 4) as usize];
        Some((
            Raster::from_rgba8_premultiplied(side, side, data).ok()?,
            Vec2::ZERO,
        ))
    }

    #[test]
    fn words_that_never_come_back_do_not_pile_up() {
        let mut cache = RasterCache::default();
        let shown = cache.get_or_draw(0, || raster(256));
        for second in 1..1000 {
            cache.get_or_draw(second, || raster(64));
        }
        assert!(
            cache.byte_len() < IDLE_BYTES_MAX * 2,
            "{} bytes",
            cache.byte_len()
        );
        let again = cache.get_or_draw(0, || None);
        assert!(shown.is_some() && again.is_some(), "what is shown stays");
    }

    #[test]
    fn what_was_drawn_ahead_stays_until_it_is_asked_for() {
        let mut cache = RasterCache::default();
        let (large, origin) = raster(2048).expect("a raster");
        let ahead = CachedRaster {
            raster: Arc::new(large),
            origin,
        };
        cache.warm([(7, ahead)]);
        for other in 100..400 {
            cache.get_or_draw(other, || raster(64));
        }
        assert!(cache.get_or_draw(7, || None).is_some());
    }
}
