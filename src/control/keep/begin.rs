//! Chooses what a program begins with: where the last run left off, or what the files say.
//!
//! What was saved goes on air where the program is started with the same scene, whatever files are gone or broken by now: it goes on
//! without them. The scene file wins where somebody has named another one, has written to the file of the scene that was on air
//! meanwhile, as it would have while it was on air, or says so (`--fresh`); then what was saved is set aside first. What was saved and
//! cannot be read is an error, and never written over. Before, scenes that were saved elsewhere come to the folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use components::output::RenditionSpec;
use components::scene::{FrameRate, SceneSpec};
use serde_json::Value;
use systems::clock::{FrameClock, tick_at_rate};
use systems::feed::Epoch;
use systems::scene::Standing;

use super::changing::{MixDocument, ResumedMix};
use super::config;
use super::documents::{self, Constants, Read};
use super::first::{self, FirstScene};
use super::found::{Found, Stand};
use super::set_aside::set_aside;
use crate::config::Settings;
use crate::control::config::Config;
use crate::control::keys::KeyStore;
use crate::control::landed;
use crate::control::library::Library;
use crate::control::outputs::{OutputList, Saved as OutputChanges};
use crate::control::recordings;
use crate::control::show::{PausedAs, Show, Staged, Waiting, fingerprint};
use crate::prepare;
use crate::scene::{LoadOptions, LoadedScene, SceneErrors, load_scene, scene_from_text};
use crate::store::Saved;

/// What the program begins with.
pub struct Begin {
    /// The scene that comes on air.
    pub scene: LoadedScene,
    /// Its file as it is, to be watched; `None` where it is another machine's.
    pub watched: Option<LoadedScene>,
    /// The show. One that goes on live is so already, though nothing is sent yet.
    pub show: Show,
    /// The rate of the ticks.
    pub rate: FrameRate,
    /// The outputs of settings and first scene, without what was changed.
    pub base_outputs: OutputList,
    /// Where the last run left off, if this one goes on from there.
    pub resumed: Option<Resumed>,
    /// The scene that the program was started with, as its file is by now.
    pub first: LoadedScene,
    found: Found,
    constants: Constants,
}

/// Where the last run left off.
pub struct Resumed {
    /// Whether the stream was live, and since when in milliseconds since 1970.
    pub live_since_ms: Option<u64>,
    /// The name of the scene that was in preview; the show has it where it can be read.
    pub preview: Option<String>,
    /// The change of scenes that was in course.
    pub mix: Option<ResumedMix>,
    read: Read,
}

/// The ticks of a run that goes on.
pub struct ResumedTicks {
    /// The moment of tick 0.
    pub epoch: Epoch,
    /// The tick on which the scene came on air.
    pub since_tick: u64,
    /// The first tick on which something else was shown, where the stream is paused.
    pub paused_tick: Option<u64>,
    /// The tick that comes next.
    pub tick: u64,
}

/// By how much the clock of this machine may be behind what the instance before has told, and ahead of it, and still count: an
/// interruption of the stream is longer than the first.
const BEHIND_MAX: Duration = Duration::from_millis(100);
const AHEAD_MAX: Duration = Duration::from_millis(500);

/// Why a program begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was started.
    Start,
    /// It was started, and is to begin as the scene's file says.
    Fresh,
    /// It takes the place of another instance, or looks at what that does: what was saved is what counts, whatever files lie here.
    TakeOver,
}

/// Chooses what comes on air. `first` is the scene that the program is started with.
///
/// # Errors
/// What was saved cannot be read or shown. [`SceneErrors`] where the file of `first` cannot be read and is needed.
pub fn begin(
    saved: &Saved,
    stand: Stand<'_>,
    first: &FirstScene,
    settings: &Settings,
    library: &Library,
    origin: Origin,
) -> anyhow::Result<Begin> {
    let documents = &saved.documents;
    let way_out = || {
        format!(
            "{} was left as it is; take an export in with `stream-manager state import FILE --replace` where there is one, or begin at the scene's file with `run --fresh`",
            stand.place
        )
    };
    let found = Found::new(saved, stand, settings, library, &first.id())?;
    let is_written = found.scenes.files.contains(&first.id());
    let named = match is_written || stand.instance.is_some() {
        // It may have been written to since by another instance.
        true => first.again(&library.options(settings.max_layers), is_written),
        false => first.clone(),
    };
    let read = match origin {
        Origin::Fresh => None,
        Origin::Start | Origin::TakeOver => documents::read(documents).with_context(way_out)?,
    };
    let is_same = read
        .as_ref()
        .is_some_and(|read| named.is_of(&read.show, origin, stand.instance));
    let first = &match named.scene() {
        Ok(scene) => scene.clone(),
        Err(errors) => {
            let kept = is_same.then(|| named.of_documents(documents)).flatten();
            let kept = kept.ok_or_else(|| match is_written {
                true => anyhow::anyhow!("the scene that was saved elsewhere: {}", errors.plain()),
                false => anyhow::Error::new(SceneErrors::clone(errors)),
            })?;
            if stand.leads {
                tracing::warn!(
                    "the file of the scene that the program is started with cannot be read, and the stream goes on with what it said before: {}",
                    errors.plain()
                );
            }
            kept
        }
    };
    let changes = match documents::read_outputs(documents).with_context(way_out)? {
        Some(changes) => changes,
        None => OutputChanges::open(&settings.data_dir.join("outputs.json"))?.unwrap_or_default(),
    };
    let base_outputs = OutputList::of(settings, &first.spec);
    let outputs = base_outputs.with_saved(&changes);
    let canvas = match (origin, &read) {
        // Receivers go on with the size that they know.
        (Origin::TakeOver, Some(read)) => read.show.frame,
        _ => None,
    };
    let canvas = canvas.unwrap_or((first.spec.canvas.width, first.spec.canvas.height));
    let first_rate = first.spec.canvas.fps.unwrap_or(settings.target_fps);
    let config_of = |list: &OutputList| {
        let main = list.rendition(RenditionSpec::MAIN)?;
        Ok::<_, anyhow::Error>(Config::new(settings, main, canvas, first_rate))
    };
    let mut constants = Constants {
        started_with: first.path.display().to_string(),
        file: named.file(),
        instance: stand.instance.map(str::to_owned),
        first: match stand.leads {
            true => first::document(&first.spec),
            false => None,
        },
        config_base: config::values(&config_of(&base_outputs)?),
        frame: canvas,
    };
    let config = config_of(&outputs)?;
    if let (Origin::TakeOver, Some(read)) = (origin, &read) {
        constants.started_with.clone_from(&read.show.started_with);
    }
    let max_layers = match &read {
        Some(read) => {
            let config = read
                .config
                .over(&constants.config_base, config.clone(), None);
            config.max_layers
        }
        None => config.max_layers,
    };
    let choice = Choice {
        first,
        on_file: named.scene(),
        is_same: is_same || origin == Origin::TakeOver,
        started_with: &constants.started_with,
        library,
        max_layers,
        origin,
    };
    let chosen = choice.of(read).with_context(way_out)?;
    let own_rate = chosen.scene.spec.canvas.fps;
    let mut config = match &chosen.read {
        Some(read) => read.config.over(&constants.config_base, config, own_rate),
        None => config,
    };
    let rate = own_rate.unwrap_or(config.fps);
    (config.fps, config.next_fps) = (rate, rate);
    let resumed = chosen.read.filter(|_| chosen.goes_on).map(|read| Resumed {
        live_since_ms: read.show.live_since_ms,
        preview: read.show.preview.clone(),
        mix: resumed_mix(&read, library, max_layers),
        read,
    });
    if stand.leads && resumed.is_none() && documents.contains_key("show") {
        keep_copy(saved, settings);
    }
    let revision = saved.revision;
    Ok(Begin {
        show: Show {
            // Another show than the one of this number is the next.
            revision: revision + u64::from(revision > 0 && resumed.is_none()),
            program: Staged {
                id: chosen.id,
                spec: Arc::new(chosen.scene.spec.clone()),
                folder: chosen.scene.folder.clone(),
                is_edited: chosen.is_edited,
                file: chosen.file,
            },
            preview: resumed
                .as_ref()
                .and_then(|resumed| resumed.preview(library, config.max_layers)),
            changing: None,
            pause: resumed.as_ref().and_then(Resumed::pause),
            live_since_ms: resumed.as_ref().and_then(|resumed| resumed.live_since_ms),
            config,
            outputs: Arc::new(outputs),
            output_changes: Arc::new(changes),
        },
        scene: chosen.scene,
        watched: chosen.watched,
        rate,
        base_outputs,
        resumed,
        constants,
        first: first.clone(),
        found,
    })
}

struct Chosen {
    id: String,
    scene: LoadedScene,
    watched: Option<LoadedScene>,
    is_edited: bool,
    file: Arc<str>,
    /// What was saved, as far as it still counts.
    read: Option<Read>,
    /// Whether the scene goes on where it was.
    goes_on: bool,
}

impl Chosen {
    fn of_file(id: String, scene: LoadedScene, read: Option<Read>) -> Self {
        Self {
            id,
            watched: Some(scene.clone()),
            file: fingerprint(&scene.spec),
            scene,
            is_edited: false,
            read,
            goes_on: false,
        }
    }
}

/// What there is to choose from, besides what was saved.
struct Choice<'a> {
    /// The scene that the program is started with.
    first: &'a LoadedScene,
    /// The same as its file says.
    on_file: Result<&'a LoadedScene, &'a Arc<SceneErrors>>,
    /// Whether what was saved is of that scene.
    is_same: bool,
    started_with: &'a str,
    library: &'a Library,
    max_layers: usize,
    origin: Origin,
}

impl Choice<'_> {
    fn of(&self, read: Option<Read>) -> anyhow::Result<Chosen> {
        let first_id = crate::control::scene_id(&self.first.path);
        let Some(read) = read else {
            return Ok(Chosen::of_file(first_id, self.first.clone(), None));
        };
        if !self.is_same {
            tracing::info!(
                scene = self.started_with,
                before = read.show.started_with,
                "another scene was named than the last time; it begins as its file says"
            );
            return Ok(Chosen::of_file(first_id, self.first.clone(), Some(read)));
        }
        let id = read.scene.id.clone();
        let (library, options) = (self.library, saved_options(self.library, self.max_layers));
        let spec = saved_scene(&read.scene.scene, &id, library.folder(), &options)?;
        let mut file = Arc::clone(&read.scene.file);
        let mut is_edited = read.scene.is_edited;
        let found = self.file_of(&id, id == first_id).and_then(|loaded| {
            let now = fingerprint(&loaded.spec);
            let is_other = now != file && now != fingerprint(&spec);
            let is_news = is_other && self.origin == Origin::Start;
            if is_news {
                // On air it would be refused as well where its files cannot be shown.
                prepare::bundle(&loaded, library.assets())?;
            }
            Ok((loaded, now, is_news))
        });
        let path = library.folder().join(format!("{id}.json"));
        let scene = LoadedScene::new(spec, library.folder().to_owned(), path);
        let watched = match found {
            Ok((loaded, _, true)) if !read.show.is_imported => {
                tracing::info!(
                    scene = id,
                    "the scene's file was changed since the last run; it begins as the file says"
                );
                return Ok(Chosen::of_file(id, loaded, Some(read)));
            }
            Ok((loaded, now, is_news)) => {
                is_edited |= is_news;
                file = now;
                Some(loaded)
            }
            Err(error) if self.origin == Origin::TakeOver => {
                tracing::debug!(scene = id, %error, "the file of the scene on air cannot be read here");
                None
            }
            Err(error) => {
                tracing::warn!(scene = id, %error, "the file of the scene on air cannot be used; the scene goes on as it was saved");
                Some(scene.clone().unread())
            }
        };
        Ok(Chosen {
            id,
            scene,
            watched,
            is_edited,
            file,
            read: Some(read),
            goes_on: true,
        })
    }

    /// The scene that was on air, as its file says.
    fn file_of(&self, id: &str, is_first: bool) -> anyhow::Result<LoadedScene> {
        if is_first {
            let found = self.on_file.cloned();
            return found.map_err(|errors| anyhow::anyhow!("{}", errors.plain()));
        }
        let loaded = self.library.load(id, self.max_layers);
        loaded.map_err(|error| anyhow::anyhow!("{error}"))
    }
}

/// How scenes are read that were saved as they were on air: files that are gone by now keep nobody from going on with the rest, and the
/// documents of a scene may be longer together than a file.
fn saved_options(library: &Library, max_layers: usize) -> LoadOptions {
    LoadOptions {
        check_files: false,
        text_bytes_max: usize::MAX,
        ..library.options(max_layers)
    }
}

/// Keeps a copy of what was saved, which gives way to something else, and says where it is.
fn keep_copy(saved: &Saved, settings: &Settings) {
    match set_aside(saved, &settings.data_dir) {
        Ok(path) => tracing::warn!(
            revision = saved.revision,
            "what was on air before is set aside; to have it back, stop this program, take it in with `stream-manager state import {} --replace`, and start with the scene of before",
            path.display()
        ),
        Err(error) => {
            tracing::error!(%error, "what was on air before gives way, and no copy of it can be kept");
        }
    }
}

/// The change of scenes that was in course; none where the scene that goes cannot be shown any more.
fn resumed_mix(read: &Read, library: &Library, max_layers: usize) -> Option<ResumedMix> {
    let document = read.mix.clone().filter(MixDocument::is_sound)?;
    let options = saved_options(library, max_layers);
    let id = document.from.id.clone();
    match saved_scene(&document.from.scene, &id, library.folder(), &options) {
        Ok(spec) => {
            let path = library.folder().join(format!("{id}.json"));
            let from = LoadedScene::new(spec, library.folder().to_owned(), path);
            Some(ResumedMix::new(document, from, read.show.rate))
        }
        Err(error) => {
            tracing::warn!(
                scene = id,
                error = format!("{error:#}"),
                "the scene that was going cannot be shown; the one that came is there"
            );
            None
        }
    }
}

/// The scene of a document, held to every rule of scene files.
fn saved_scene(
    value: &Value,
    id: &str,
    folder: &Path,
    options: &LoadOptions,
) -> anyhow::Result<SceneSpec> {
    scene_from_text(&value.to_string(), id, Some(folder), options)
        .map_err(|errors| anyhow::anyhow!("{}", errors.plain()))
        .with_context(|| format!("the saved scene `{id}` cannot be shown"))
}

impl Begin {
    /// Width and height of the frames in pixels.
    pub fn frame(&self) -> (u32, u32) {
        self.constants.frame
    }

    pub(super) fn constants(&self) -> &Constants {
        &self.constants
    }

    pub(super) fn found(&self) -> &Found {
        &self.found
    }

    /// Keys and recordings to look at, while another instance leads.
    pub fn look_beside(&self) -> (KeyStore, recordings::Store) {
        self.found.look()
    }

    /// Has those show what was saved since.
    pub fn show_beside(&self, keys: &KeyStore, recordings: &recordings::Store) {
        self.found.show(keys, recordings);
    }

    /// Files of an earlier release, which are not read any more once the state has what they held.
    pub(super) fn old_files(&self) -> Vec<PathBuf> {
        self.found.old_files.clone()
    }
}

impl Resumed {
    fn pause(&self) -> Option<PausedAs> {
        self.read
            .show
            .pause
            .filter(|_| self.live_since_ms.is_some())
    }

    /// The scene that was in preview, as its file has it by now. What it shows may be away for a while.
    fn preview(&self, library: &Library, max_layers: usize) -> Option<Staged> {
        let id = self.preview.as_deref()?;
        Library::check_id(id).ok()?;
        let path = library.folder().join(format!("{id}.json"));
        let options = LoadOptions {
            check_files: false,
            ..library.options(max_layers)
        };
        let found = load_scene(&path, &options).inspect_err(|errors| {
            tracing::debug!(scene = id, %errors, "the scene in preview cannot be read");
        });
        Some(Staged::of(id, found.ok()?))
    }

    /// Which tick it is now, where ticks of `rate` are counted on from the last run. That is by the clock of this machine, unless the
    /// instance before has told how far it was, which makes it `position_ns` by now, and the clocks of the two do not agree.
    pub fn ticks(&self, rate: FrameRate, now_ms: i64, position_ns: Option<u64>) -> ResumedTicks {
        let show = &self.read.show;
        let moved = |tick| tick_at_rate(tick, show.rate, rate);
        let next = next_tick(Epoch(show.epoch_ms), rate, now_ms);
        let last = moved(show.tick);
        let told = position_ns.map(|nanos| rate.ticks_at(nanos) + 1);
        let tick = tick_now(next, last, told, rate);
        let mut epoch = Epoch(show.epoch_ms);
        if tick != next {
            epoch.0 = now_ms - (rate.nanos_at(tick) / 1_000_000).cast_signed();
        }
        ResumedTicks {
            epoch,
            since_tick: moved(show.since_tick).min(tick),
            paused_tick: self
                .pause()
                .and(show.paused_tick)
                .map(|paused| moved(paused).min(tick)),
            tick,
        }
    }

    /// The tick on which the stream went on air, in ticks of `rate`.
    pub fn origin_tick(&self, rate: FrameRate) -> Option<u64> {
        let show = &self.read.show;
        let tick = show.origin_tick.filter(|_| self.live_since_ms.is_some())?;
        Some(tick_at_rate(tick, show.rate, rate))
    }

    /// The tick of the last change, in ticks of `rate`.
    pub fn tick(&self, rate: FrameRate) -> u64 {
        let show = &self.read.show;
        tick_at_rate(show.tick, show.rate, rate)
    }

    /// The batches that waited for their ticks.
    pub fn schedule(&self, rate: FrameRate) -> Vec<Arc<Waiting>> {
        self.read.schedule(rate)
    }

    /// Where timelines and feeds of the scene stand.
    pub fn standing(&self, spec: &SceneSpec, rate: FrameRate, ticks: &ResumedTicks) -> Standing {
        let clock = FrameClock {
            tick: ticks.since_tick,
            rate,
        };
        self.read
            .standing(landed::fresh(spec, &clock, ticks.epoch), rate)
    }
}

/// Which tick it is, where it is `next` by the clock of this machine, the last one that was saved is `last`, and the instance before has
/// told that it is `told`. Where the clock was set, or is another one's, the ticks follow neither.
fn tick_now(next: u64, last: u64, told: Option<u64>, rate: FrameRate) -> u64 {
    let ticks_in = |time: Duration| rate.ticks_at(time.as_nanos() as u64);
    let agrees = told.is_none_or(|told| {
        next + ticks_in(BEHIND_MAX) >= told && next <= told + ticks_in(AHEAD_MAX)
    });
    match agrees && next > last {
        true => next,
        false => told.unwrap_or(0).max(last + 1),
    }
}

/// The first tick that begins at or after a moment.
pub fn next_tick(epoch: Epoch, rate: FrameRate, now_ms: i64) -> u64 {
    let gone_ms = u64::try_from(now_ms - epoch.0).unwrap_or(0);
    let nanos = gone_ms.saturating_mul(1_000_000);
    let begun = rate.ticks_at(nanos);
    begun + u64::from(rate.nanos_at(begun) < nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_go_on_whatever_the_clocks_of_two_machines_say() {
        let rate = FrameRate::whole(30);
        let now = |next, told| tick_now(next, 1000, told, rate);
        // One machine, or clocks that agree.
        assert_eq!(now(5000, None), 5000);
        assert_eq!(now(5000, Some(5002)), 5000);
        assert_eq!(now(5010, Some(5000)), 5010);
        // Five seconds behind, and ahead.
        assert_eq!(now(4850, Some(5000)), 5000);
        assert_eq!(now(5150, Some(5000)), 5000);
        // Set back, and nobody has told.
        assert_eq!(now(10, None), 1001);
        assert_eq!(now(10, Some(900)), 1001);
    }
}
