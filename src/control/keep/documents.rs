//! The documents that a snapshot is saved as, and back.
//!
//! | Document | Holds |
//! |---|---|
//! | `show` | the moment of tick 0, ticks, live or stopped, pause, preview, which scene the program was started with |
//! | `first` | the scene that the program was started with, as its file said then; it gives outputs and canvas where the file is gone |
//! | `scene` | the scene on air with every change, without its data |
//! | `data` | its data |
//! | `timelines`, `feeds` | where they stand, in ticks |
//! | `came` | when layers and messages of chats came that came after the scene, in ticks |
//! | `motions` | what is on its way: glides, layers that come and go, tickers, in ticks |
//! | `mix` | the change of scenes in course, with the scene that goes (`keep/changing.rs`) |
//! | `schedule` | the batches that wait for their ticks |
//! | `config` | settings that were changed, beside what they were set to |
//! | `outputs` | what the API has changed of outputs and renditions; may hold stream keys |
//!
//! Beside them, each of who keeps it (`keep/beside.rs`):
//!
//! | Document | Holds |
//! |---|---|
//! | `keys` | the stream keys of publishers: hashes, and the keys themselves of those that were made `readable` (`control/keys.rs`) |
//! | `recordings` | the index of recordings, with the instance that has the files of each (`control/recordings`) |
//! | `recorder` | what was asked of recording and replay (`control/recordings/wishes.rs`) |
//! | `scenes/<name>` | a scene that was saved over the API, as its file has it (`control/kept_scenes.rs`) |

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use components::animation::{PlayState, Timeline};
use components::scene::{FrameRate, SceneSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use systems::clock::tick_at_rate;
use systems::feed::{Arrivals, Epoch, FeedState};
use systems::scene::{Came, Motions, Standing};

use super::changing::{self, MixDocument};
use super::config::ConfigDocument;
use crate::control::outputs;
use crate::control::show::{PausedAs, Snapshot, Waiting};
use crate::store::{Documents, Puts};

/// The document of the scene that the program was started with.
pub(super) const FIRST: &str = "first";

/// The document of how the stream stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShowDocument {
    /// The scene as the command line named it.
    pub(super) started_with: String,
    /// Where its file was, with all links followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// The instance on whose machine that is, where several may share the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) instance: Option<String>,
    /// Whether it was brought here by an import, and goes on whatever its file says. The first show that is saved after is not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) is_imported: bool,
    /// The moment of tick 0, in milliseconds since 1970 (UTC).
    pub(super) epoch_ms: i64,
    pub(super) rate: FrameRate,
    /// The tick of the last change.
    pub(super) tick: u64,
    /// The tick on which the scene came on air.
    pub(super) since_tick: u64,
    pub(super) live_since_ms: Option<u64>,
    pub(super) pause: Option<PausedAs>,
    /// The first tick on which that was shown.
    #[serde(default)]
    pub(super) paused_tick: Option<u64>,
    pub(super) preview: Option<String>,
    /// The tick on which the stream went on air, of which receivers count their time.
    #[serde(default)]
    pub(super) origin_tick: Option<u64>,
    /// Width and height of the frames in pixels.
    #[serde(default)]
    pub(super) frame: Option<(u32, u32)>,
}

/// The document of the scene on air.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SceneDocument {
    pub(super) id: String,
    pub(super) is_edited: bool,
    pub(super) file: Arc<str>,
    /// As a scene file has it.
    pub(super) scene: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SceneOut<'a> {
    pub(super) id: &'a str,
    pub(super) is_edited: bool,
    pub(super) file: &'a str,
    pub(super) scene: &'a SceneSpec,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TimelineDocument {
    #[serde(flatten)]
    state: StateDocument,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_for_tick: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(
    tag = "state",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
enum StateDocument {
    Stopped,
    Playing { since_tick: u64, from_seconds: f64 },
    Paused { at_seconds: f64 },
}

#[derive(Serialize, Deserialize)]
struct FeedDocument {
    #[serde(flatten)]
    state: FeedState,
    #[serde(default)]
    arrivals: Arrivals,
}

/// What does not change while the program runs.
#[derive(Clone, Debug)]
pub(super) struct Constants {
    pub(super) started_with: String,
    /// Where its file is, with all links followed.
    pub(super) file: Option<String>,
    /// The instance on whose machine that is.
    pub(super) instance: Option<String>,
    /// The document of that scene; `None` where it is too large for one.
    pub(super) first: Option<Bytes>,
    pub(super) config_base: Map<String, Value>,
    /// Width and height of the frames in pixels.
    pub(super) frame: (u32, u32),
}

/// The documents of a snapshot that differ from those of the one before; all of them where there is none before.
pub(super) fn puts(
    before: Option<&Snapshot>,
    now: &Snapshot,
    epoch: Epoch,
    constants: &Constants,
) -> Result<Puts, serde_json::Error> {
    let mut puts = Puts::new();
    let mut mix = None;
    if before.is_none() {
        puts.insert(FIRST.into(), constants.first.clone());
    }
    let mut put = |name: &str, bytes: Vec<u8>| {
        puts.insert(name.into(), Some(Bytes::from(bytes)));
    };
    let show = ShowDocument {
        started_with: constants.started_with.clone(),
        file: constants.file.clone(),
        instance: constants.instance.clone(),
        is_imported: false,
        epoch_ms: epoch.0,
        rate: now.rate,
        tick: now.tick,
        since_tick: now.since_tick,
        live_since_ms: now.show.live_since_ms,
        pause: now.show.pause,
        paused_tick: now.paused_tick,
        preview: now.show.preview.as_ref().map(|scene| scene.id.clone()),
        origin_tick: now.origin_tick,
        frame: Some(constants.frame),
    };
    put("show", serde_json::to_vec(&show)?);
    let (program, spec) = (&now.show.program, &now.show.program.spec);
    let old = before.map(|before| &before.show.program);
    let same_but_data = old.is_some_and(|old| {
        (&old.id, old.is_edited, &old.file) == (&program.id, program.is_edited, &program.file)
            && is_same_but_data(&old.spec, spec)
    });
    if !same_but_data {
        let scene = without_data(spec);
        let scene = SceneOut {
            id: &program.id,
            is_edited: program.is_edited,
            file: &program.file,
            scene: &scene,
        };
        put("scene", serde_json::to_vec(&scene)?);
    }
    if old.is_none_or(|old| !Arc::ptr_eq(&old.spec.data, &spec.data)) {
        put("data", serde_json::to_vec(&spec.data)?);
    }
    if before.is_none_or(|before| !is_same(&before.timelines, &now.timelines)) {
        put(
            "timelines",
            serde_json::to_vec(&timeline_documents(&now.timelines))?,
        );
    }
    if before.is_none_or(|before| !changing::is_same(before, now)) {
        mix = Some(changing::document(now)?);
    }
    if before.is_none_or(|before| !Arc::ptr_eq(&before.schedule, &now.schedule)) {
        put("schedule", serde_json::to_vec(&*now.schedule)?);
    }
    if before.is_none_or(|before| !Arc::ptr_eq(&before.came, &now.came)) {
        put("came", serde_json::to_vec(&*now.came)?);
    }
    let same_feeds = before.is_some_and(|before| {
        is_same(&before.feeds, &now.feeds) && is_same(&before.arrivals, &now.arrivals)
    });
    if !same_feeds {
        put("feeds", feeds(now)?);
    }
    if before.is_none_or(|before| before.show.config != now.show.config) {
        let config = ConfigDocument::new(&constants.config_base, &now.show.config);
        put("config", serde_json::to_vec(&config)?);
    }
    let changes = |snapshot: &Snapshot| Arc::clone(&snapshot.show.output_changes);
    if before.is_none_or(|before| !Arc::ptr_eq(&changes(before), &changes(now))) {
        put("outputs", serde_json::to_vec(&*changes(now))?);
    }
    puts.extend(mix.map(|mix| ("mix".into(), mix)));
    Ok(puts)
}

/// The document of what is on its way.
pub(super) fn put_motions(puts: &mut Puts, motions: &Motions) -> Result<(), serde_json::Error> {
    let bytes = serde_json::to_vec(motions)?;
    puts.insert("motions".into(), Some(Bytes::from(bytes)));
    Ok(())
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_same<T: PartialEq>(old: &Arc<T>, new: &Arc<T>) -> bool {
    Arc::ptr_eq(old, new) || old == new
}

/// Whether two scenes share everything but their data; false where they may be the same and it takes long to see.
fn is_same_but_data(old: &Arc<SceneSpec>, new: &Arc<SceneSpec>) -> bool {
    fn shared<T>(old: &[Arc<T>], new: &[Arc<T>]) -> bool {
        old.len() == new.len() && old.iter().zip(new).all(|(old, new)| Arc::ptr_eq(old, new))
    }
    let lists = |spec: &SceneSpec| SceneSpec {
        layers: Vec::new(),
        timelines: Vec::new(),
        ..without_data(spec)
    };
    Arc::ptr_eq(old, new)
        || (shared(&old.layers, &new.layers)
            && shared(&old.timelines, &new.timelines)
            && lists(old) == lists(new))
}

fn without_data(spec: &SceneSpec) -> SceneSpec {
    SceneSpec {
        data: Arc::default(),
        ..spec.clone()
    }
}

pub(super) fn timeline_documents(
    timelines: &BTreeMap<String, Timeline>,
) -> BTreeMap<&str, TimelineDocument> {
    let document = |timeline: &Timeline| TimelineDocument {
        state: match timeline.state {
            PlayState::Stopped => StateDocument::Stopped,
            PlayState::Playing {
                since_tick,
                from_seconds,
            } => StateDocument::Playing {
                since_tick,
                from_seconds,
            },
            PlayState::Paused { at_seconds } => StateDocument::Paused { at_seconds },
        },
        started_for_tick: timeline.started_for_tick,
    };
    let list = timelines.iter();
    list.map(|(id, line)| (id.as_str(), document(line)))
        .collect()
}

fn feeds(snapshot: &Snapshot) -> Result<Vec<u8>, serde_json::Error> {
    let document = |(id, state): (&String, &FeedState)| {
        let arrivals = snapshot.arrivals.get(id).cloned().unwrap_or_default();
        let state = state.clone();
        (id.clone(), FeedDocument { state, arrivals })
    };
    let list: BTreeMap<String, FeedDocument> = snapshot.feeds.iter().map(document).collect();
    serde_json::to_vec(&list)
}

/// What was saved of a show, read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) show: ShowDocument,
    pub(super) scene: SceneDocument,
    pub(super) config: ConfigDocument,
    timelines: Arc<BTreeMap<String, PlayStateRead>>,
    feeds: Arc<BTreeMap<String, (FeedState, Arrivals)>>,
    came: Came,
    motions: Motions,
    pub(super) mix: Option<MixDocument>,
    schedule: Vec<Waiting>,
}

/// Where a timeline stood, and for which tick of the one before it it had started.
pub(super) type PlayStateRead = (PlayState, Option<u64>);

/// What is wrong with a document. The words of its text are not repeated: it may hold a key.
#[derive(Debug, thiserror::Error)]
#[error("document `{name}` cannot be read: {what}")]
pub(super) struct Unreadable {
    pub(super) name: &'static str,
    pub(super) what: String,
}

/// Reads what was saved of outputs, which holds for other scenes too; `None` before the first time.
pub(super) fn read_outputs(documents: &Documents) -> Result<Option<outputs::Saved>, Unreadable> {
    documents
        .get("outputs")
        .map(|bytes| parse("outputs", bytes))
        .transpose()
}

/// Reads everything else; `None` where nothing was saved of a show.
pub(super) fn read(documents: &Documents) -> Result<Option<Read>, Unreadable> {
    if !documents.contains_key("show") {
        return Ok(None);
    }
    let find = |name: &'static str| {
        documents.get(name).ok_or(Unreadable {
            name,
            what: "it is not there".to_owned(),
        })
    };
    let mut scene: SceneDocument = parse("scene", find("scene")?)?;
    let data: Map<String, Value> = parse("data", find("data")?)?;
    let Value::Object(map) = &mut scene.scene else {
        return Err(Unreadable {
            name: "scene",
            what: "it holds no scene".to_owned(),
        });
    };
    map.insert("data".to_owned(), Value::Object(data));
    let lines: BTreeMap<String, TimelineDocument> = parse("timelines", find("timelines")?)?;
    let feeds: BTreeMap<String, FeedDocument> = parse("feeds", find("feeds")?)?;
    let came = documents.get("came").map(|bytes| parse("came", bytes));
    let motions = documents
        .get("motions")
        .map(|bytes| parse("motions", bytes));
    let mix = documents.get("mix").map(|bytes| parse("mix", bytes));
    let schedule = documents
        .get("schedule")
        .map(|bytes| parse("schedule", bytes));
    Ok(Some(Read {
        schedule: schedule.transpose()?.unwrap_or_default(),
        came: came.transpose()?.unwrap_or_default(),
        motions: motions.transpose()?.unwrap_or_default(),
        mix: mix.transpose()?,
        show: parse("show", find("show")?)?,
        scene,
        config: parse("config", find("config")?)?,
        timelines: Arc::new(lines.into_iter().map(read_timeline).collect()),
        feeds: Arc::new(
            feeds
                .into_iter()
                .map(|(id, feed)| (id, (feed.state, feed.arrivals)))
                .collect(),
        ),
    }))
}

/// Has a show that was exported go on where it is imported, whatever scene files lie there. What is no show stays as it is.
pub fn note_import(documents: &mut Documents) {
    let show = documents.get("show");
    let show = show.and_then(|bytes| serde_json::from_slice::<ShowDocument>(bytes).ok());
    let imported = show.and_then(|show| {
        let show = ShowDocument {
            is_imported: true,
            ..show
        };
        serde_json::to_vec(&show).ok()
    });
    if let Some(bytes) = imported {
        documents.insert("show".into(), bytes.into());
    }
}

pub(super) fn read_timeline((id, line): (String, TimelineDocument)) -> (String, PlayStateRead) {
    let state = match line.state {
        StateDocument::Stopped => PlayState::Stopped,
        StateDocument::Playing {
            since_tick,
            from_seconds,
        } => PlayState::Playing {
            since_tick,
            from_seconds,
        },
        StateDocument::Paused { at_seconds } => PlayState::Paused { at_seconds },
    };
    (id, (state, line.started_for_tick))
}

/// Has timelines stand where they were saved.
pub(super) fn take_places(
    timelines: &mut BTreeMap<String, Timeline>,
    saved: &BTreeMap<String, PlayStateRead>,
    moved: impl Fn(u64) -> u64,
) {
    for (id, timeline) in timelines {
        let Some((state, started_for_tick)) = saved.get(id) else {
            continue;
        };
        timeline.started_for_tick = started_for_tick.map(&moved);
        timeline.state = match *state {
            PlayState::Playing {
                since_tick,
                from_seconds,
            } => PlayState::Playing {
                since_tick: moved(since_tick),
                from_seconds,
            },
            other => other,
        };
    }
}

fn parse<T: serde::de::DeserializeOwned>(
    name: &'static str,
    bytes: &[u8],
) -> Result<T, Unreadable> {
    serde_json::from_slice(bytes).map_err(|error| Unreadable {
        name,
        what: format!(
            "line {}, column {} is not what was expected",
            error.line(),
            error.column()
        ),
    })
}

impl Read {
    /// The batches that waited, in ticks of `rate`.
    pub(super) fn schedule(&self, rate: FrameRate) -> Vec<Arc<Waiting>> {
        let moved = |waiting: &Waiting| Waiting {
            tick: tick_at_rate(waiting.tick, self.show.rate, rate),
            ..waiting.clone()
        };
        self.schedule
            .iter()
            .map(|waiting| Arc::new(moved(waiting)))
            .collect()
    }

    /// Where timelines and feeds stand, over what they would on the scene's first tick, in ticks of `rate`.
    pub(super) fn standing(&self, fresh: Standing, rate: FrameRate) -> Standing {
        let mut standing = fresh;
        let moved = |tick| tick_at_rate(tick, self.show.rate, rate);
        standing.came = self.came.clone().moved(moved);
        standing.motions = self.motions.clone().moved(moved);
        take_places(&mut standing.timelines, &self.timelines, moved);
        for (id, feed) in &mut standing.feeds {
            if let Some((state, arrivals)) = self.feeds.get(id) {
                *feed = state.clone().at_rate(self.show.rate, rate);
                standing.arrivals.insert(id.clone(), arrivals.clone());
            }
        }
        standing
    }
}
