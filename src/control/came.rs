//! When layers and messages of chats came on air that came after their scene, and where its films stand: what a program that comes back
//! cannot see in the scene.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem::discriminant;
use std::sync::Arc;

use components::layer::LayerSpec;
use components::scene::SceneSpec;
use components::source::{ChatSource, Source};
use systems::clock::FrameClock;
use systems::input::PlaybackAction;
use systems::scene::{Came, FilmPlace};

/// What has landed on the scene on air.
pub struct Landing<'a> {
    /// The scene before it.
    pub old: &'a Arc<SceneSpec>,
    /// The same after it.
    pub new: &'a Arc<SceneSpec>,
    /// What files were told, by the names of their layers.
    pub playbacks: &'a [(String, PlaybackAction)],
    /// The tick on which the scene came on air.
    pub since_tick: u64,
    /// The tick of it all.
    pub clock: &'a FrameClock,
}

/// The same after what has landed.
pub fn after(came: &Arc<Came>, landing: &Landing) -> Arc<Came> {
    let Landing { old, new, .. } = landing;
    if Arc::ptr_eq(old, new) && landing.playbacks.is_empty() {
        return Arc::clone(came);
    }
    let tick = landing.clock.tick;
    let mut was: HashMap<&str, &LayerSpec> = HashMap::new();
    old.walk_layers(|layer| was.extend([(layer.id.as_str(), layer)]));
    let mut next = Came::default();
    new.walk_layers(|layer| {
        let id = layer.id.as_str();
        let before = was.get(id).copied();
        let is_new = before.is_none_or(|before| begins(&before.source, &layer.source));
        let since = came.layers.get(id).copied();
        if let Some(tick) = if is_new { Some(tick) } else { since } {
            next.layers.insert(id.to_owned(), tick);
        }
        let before = before.filter(|_| !is_new).map(|layer| &layer.source);
        if let (Source::Chat(chat), Some(before)) = (&layer.source, before) {
            let messages = messages(came.messages.get(id), before, chat, tick);
            if !messages.is_empty() {
                next.messages.insert(id.to_owned(), messages);
            }
        }
        if let Some(film) = Film::of(&layer.source) {
            let place = film.place(id, before.and_then(Film::of), came, landing);
            next.films.extend(place.map(|place| (id.to_owned(), place)));
        }
    });
    if next == **came {
        return Arc::clone(came);
    }
    Arc::new(next)
}

/// A file that is played.
struct Film {
    start: f64,
    /// Seconds of it a second.
    rate: f64,
}

impl Film {
    fn of(source: &Source) -> Option<Self> {
        let (start, speed, paused) = match source {
            Source::Video(video) => (video.start, video.speed, video.paused),
            Source::Audio(audio) => (audio.start, 1.0, audio.paused),
            _ => return None,
        };
        Some(Self {
            start: f64::from(start),
            rate: if paused { 0.0 } else { f64::from(speed) },
        })
    }

    /// Where it stands, if it did not simply begin with its layer. `before` is how it played until now; `None` where it begins.
    fn place(
        &self,
        id: &str,
        before: Option<Self>,
        came: &Came,
        landing: &Landing,
    ) -> Option<FilmPlace> {
        let tick = landing.clock.tick;
        let told = landing
            .playbacks
            .iter()
            .rev()
            .find(|(layer, _)| layer == id);
        let seconds = match told {
            Some((_, PlaybackAction::Seek(to))) => Some(*to),
            Some((_, PlaybackAction::Restart)) => Some(self.start),
            None => None,
        };
        if let Some(seconds) = seconds {
            return Some(FilmPlace { tick, seconds });
        }
        let before = before?;
        let known = came.films.get(id).copied();
        if before.rate == self.rate {
            return known;
        }
        let began_tick = came.layers.get(id).copied();
        let place = known.unwrap_or(FilmPlace {
            tick: began_tick.unwrap_or(landing.since_tick),
            seconds: before.start,
        });
        let gone = landing.clock.seconds_since(place.tick) * before.rate;
        Some(FilmPlace {
            tick,
            seconds: place.seconds + gone,
        })
    }
}

/// Whether what a layer shows begins anew with its new source.
fn begins(old: &Source, new: &Source) -> bool {
    match (old, new) {
        (Source::Image(old), Source::Image(new)) => old != new,
        (Source::Video(old), Source::Video(new)) => old.src != new.src,
        (Source::Audio(old), Source::Audio(new)) => old.src != new.src,
        _ => discriminant(old) != discriminant(new),
    }
}

fn messages(
    came: Option<&BTreeMap<Arc<str>, u64>>,
    old: &Source,
    chat: &ChatSource,
    tick: u64,
) -> BTreeMap<Arc<str>, u64> {
    let Source::Chat(old) = old else {
        return BTreeMap::new();
    };
    let was: HashSet<&str> = old.messages.iter().map(|message| &*message.id).collect();
    let ticks = chat.messages.iter().filter_map(|message| {
        let id = message.id.as_str();
        let since = if was.contains(id) {
            came?.get(id).copied()?
        } else {
            tick
        };
        Some((id.into(), since))
    });
    ticks.collect()
}
