//! From what is asked for to a new [`Show`] and the commands that bring the world there. No I/O, no clock, nothing of the world.
//!
//! A request is all or nothing: the first change that cannot be made is the answer, and the show that was there stays.

mod audio;
mod avatar;
mod chat;
mod effects;
mod feeds;
mod inner;
mod layers;
mod playback;
mod speech;
mod timelines;
mod transitions;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use components::animation::Glide;
use components::layer::LayerSpec;
use components::scene::SceneSpec;
use components::source::Source;
use components::{Problem, Problems};
use raster::I420Frame;
use serde_json::Value;
use systems::animate::TimelineAction;
use systems::assets::Picture;
use systems::command::Command;
use systems::data::{SceneData, merge_object};
use systems::feed::FeedAction;
use systems::input::PlaybackAction;
use systems::render::Hold;
use systems::scene::{SceneBundle, SceneEdit};

use crate::control::authored;
use crate::control::change::{Asked, Change};
use crate::control::config::{Config, ConfigPatch};
use crate::control::error::{ApiError, ErrorCode};
use crate::control::show::{PausedAs, Show, Staged, find_layer, written};
use crate::control::view::json_of;
use crate::prepare::pictures_of;
use crate::scene::registry::field;
use crate::scene::validate;
use crate::scene::{SceneRules, check_scene};

pub use chat::{made_prefix, no_chat};
pub use feeds::{FeedTold, feed_of, find_item};
pub use inner::{ReadScene, WantedScene};
use speech::Spoken;
pub use speech::{ReadSound, WantedSound};
pub use timelines::Told;
use timelines::time_of;
pub use transitions::Mixing;

/// A scene whose files are read and whose layers are drawn.
#[derive(Clone)]
pub struct Prepared {
    /// The scene.
    pub staged: Staged,
    /// It with its files.
    pub bundle: SceneBundle,
}

/// What has to be read before a request can be planned to its end.
#[derive(Clone, Debug, PartialEq)]
pub enum Need {
    /// A scene of the library.
    Scene(String),
    /// Scenes that are to stand in the scene on air.
    Inner(Vec<WantedScene>),
    /// Pictures of the scene on air, by the words of their `src`.
    Pictures(Vec<Arc<str>>),
    /// What avatars are to say.
    Sounds(Vec<WantedSound>),
}

/// What a plan may use.
pub struct Means<'a> {
    /// Scenes that are ready.
    pub prepared: &'a HashMap<String, Arc<Prepared>>,
    /// Pictures that the world has already.
    pub known: &'a HashSet<Arc<str>>,
    /// Pictures that were read for this request.
    pub read: &'a HashMap<Arc<str>, Picture>,
    /// Scenes that were read for this request, to stand in the one on air.
    pub scenes: &'a HashMap<String, ReadScene>,
    /// Sounds that were read for this request, by their places among what avatars are told.
    pub sounds: &'a HashMap<usize, ReadSound>,
    /// What a paused stream shows.
    pub slate: &'a Arc<I420Frame>,
}

/// What a request comes to.
pub enum Planned {
    /// It can be done.
    Ready(Box<Plan>),
    /// Something has to be read first.
    Needs(Need),
}

/// A new show and the way there.
pub struct Plan {
    /// The show after it, with the old revision.
    pub show: Show,
    /// What the world has to do, on one tick.
    pub commands: Vec<Command>,
    /// What timelines are told, in order.
    pub actions: Vec<Told>,
    /// What feeds are told, in order.
    pub feeds: Vec<FeedTold>,
    /// Whether another scene comes on air.
    pub loads_scene: bool,
    /// Pictures that the world has after it and did not have before.
    pub pictures: Vec<Arc<str>>,
    /// What becomes of the change of scenes, in order.
    pub mixes: Vec<Mixing>,
}

/// Plans a list of changes.
///
/// # Errors
/// The first change that cannot be made.
pub fn plan(show: &Show, asked: &[Asked], means: &Means<'_>) -> Result<Planned, ApiError> {
    let mut work = Work {
        show: show.clone(),
        base: show.program.spec.clone(),
        before: show,
        load: None,
        holds: None,
        actions: Vec::new(),
        mixes: Vec::new(),
        back: None,
        feeds: Vec::new(),
        playbacks: Vec::new(),
        spoken: Vec::new(),
        resets_meters: false,
        glides: HashMap::new(),
        master_glide: None,
        touched: Vec::new(),
        messages_made: 0,
        means,
    };
    for asked in asked {
        match work.apply(asked)? {
            None => {}
            Some(need) => return Ok(Planned::Needs(need)),
        }
    }
    work.finish()
}

/// Plans that the scene on air becomes `spec`, as its file says now.
///
/// # Errors
/// The scene cannot be on air.
pub fn plan_reload(show: &Show, prepared: &Prepared) -> Result<Plan, ApiError> {
    must_fit(&show.config, &prepared.staged.spec)?;
    let mut next = show.clone();
    let old_program = show.program.clone();
    let old = Arc::clone(&show.program.spec);
    next.program = prepared.staged.clone();
    let words = prepared.bundle.pictures.iter();
    let pictures = words.map(|(src, _)| Arc::clone(src)).collect();
    let edit = SceneEdit::between(&old, &prepared.staged.spec)
        // Fonts come with a whole scene.
        .filter(|_| inner_assets(&old) == inner_assets(&prepared.staged.spec));
    let (command, loads_scene) = match edit {
        Some(mut edit) => {
            // The files may have changed though their names did not.
            edit.pictures = prepared.bundle.pictures.clone();
            (Command::EditScene(Box::new(edit)), false)
        }
        None => {
            let bundle = Box::new(prepared.bundle.clone());
            (Command::LoadScene(bundle), true)
        }
    };
    Ok(Plan {
        commands: vec![command],
        actions: Vec::new(),
        mixes: match loads_scene {
            true => vec![transitions::begins(
                &mut next,
                old_program,
                &prepared.bundle,
                None,
            )],
            false => Vec::new(),
        },
        feeds: Vec::new(),
        loads_scene,
        pictures,
        show: next,
    })
}

/// The files of all scenes within a scene.
fn inner_assets(spec: &SceneSpec) -> Vec<&str> {
    let mut paths = Vec::new();
    spec.walk_layers(|layer| {
        if let Source::Scene(source) = &layer.source
            && let Some(inner) = &source.inner
        {
            paths.extend(inner.assets.values().map(|asset| asset.path.as_str()));
            paths.extend(inner_assets(inner));
        }
    });
    paths
}

struct Work<'a> {
    show: Show,
    /// The show before the request.
    before: &'a Show,
    /// The scene that the world has once `load` is done.
    base: Arc<SceneSpec>,
    load: Option<SceneBundle>,
    holds: Option<Hold>,
    actions: Vec<Told>,
    mixes: Vec<Mixing>,
    /// The scene that comes back when the change is turned round too late.
    back: Option<SceneBundle>,
    feeds: Vec<FeedTold>,
    /// What the files of layers are told, by the layers' names, in order.
    playbacks: Vec<(String, PlaybackAction)>,
    /// What avatars are told, in order.
    spoken: Vec<Spoken>,
    /// Whether the meters of sound begin anew.
    resets_meters: bool,
    /// How layers go to what was written, by name.
    glides: HashMap<String, Glide>,
    /// How the gain of the sum goes to what was written.
    master_glide: Option<Glide>,
    /// Layers that were written, by the path of what was written of them, and where in the request.
    touched: Vec<Touched>,
    /// How many messages of chats were given an id.
    messages_made: u32,
    means: &'a Means<'a>,
}

/// What was written of a layer.
struct Touched {
    layer: String,
    /// The path of what was written in the layer; empty for all of it.
    inner: String,
    /// The path of it in the request.
    at: String,
}

impl Work<'_> {
    fn scene(&mut self) -> &mut SceneSpec {
        self.show.program.is_edited = true;
        Arc::make_mut(&mut self.show.program.spec)
    }

    fn apply(&mut self, asked: &Asked) -> Result<Option<Need>, ApiError> {
        let at = asked.payload_path.as_str();
        match &asked.change {
            Change::CreateLayer(create) => self.create_layer(create, at)?,
            Change::UpdateLayer(update) => {
                if let Some(glide) = &update.animate {
                    authored::checked(glide, field(&asked.path, "animate"))?;
                    self.glides.insert(update.id.clone(), *glide);
                }
                self.update_layer(update, at)?;
            }
            Change::ReplaceLayer(replace) => {
                self.replace_layer(&replace.id, &replace.layer, at)?;
            }
            Change::DeleteLayer(delete) => self.delete_layer(&delete.id)?,
            Change::MoveLayer(to) => self.move_layer(to)?,
            Change::SetAvatar(told) => self.set_avatar(told, &asked.path)?,
            Change::PushChat(push) => self.push_chat(&push.id, &push.messages, at)?,
            Change::DeleteChat(delete) => self.delete_chat(delete, &asked.path)?,
            Change::ClearChat(clear) => self.clear_chat(&clear.id)?,
            Change::PutEffects(put) => self.put_effects(put, &asked.path)?,
            Change::AddEffect(add) => self.add_effect(add, at)?,
            Change::UpdateEffect(update) => {
                if let Some(glide) = &update.animate {
                    authored::checked(glide, field(&asked.path, "animate"))?;
                    self.glides.insert(update.layer.clone(), *glide);
                }
                self.update_effect(update, at)?;
            }
            Change::DeleteEffect(delete) => self.delete_effect(delete)?,
            Change::UpdateAudio(update) => self.update_audio(update, at, &asked.path)?,
            Change::UpdateChannel(update) => self.update_channel(update, at, &asked.path)?,
            Change::UpdateData(update) => self.update_data(&update.patch, at)?,
            Change::PlayTimeline(play) => {
                self.tell(&play.id, play.blend.as_ref(), asked, |_| {
                    Ok(TimelineAction::Play)
                })?;
            }
            Change::PauseTimeline(pause) => {
                self.tell(&pause.id, None, asked, |_| Ok(TimelineAction::Pause))?;
            }
            Change::StopTimeline(stop) => {
                self.tell(&stop.id, stop.blend.as_ref(), asked, |_| {
                    Ok(TimelineAction::Stop)
                })?;
            }
            Change::SeekTimeline(seek) => {
                self.tell(&seek.id, seek.blend.as_ref(), asked, |timeline| {
                    time_of(timeline, &seek.to).map(TimelineAction::Seek)
                })?;
            }
            Change::PutTimeline(put) => self.put_timeline(&put.timeline, at)?,
            Change::DeleteTimeline(delete) => {
                self.timeline(&delete.id)?;
                let timelines = &mut self.scene().timelines;
                timelines.retain(|timeline| timeline.id != delete.id);
            }
            Change::ActivateScene(activate) => {
                return self.activate(activate, None, &asked.path);
            }
            Change::SaySpeech(say) => self.say(say, &asked.path)?,
            Change::StopSpeech(stop) => self.stop_speech(stop)?,
            Change::ResetMeters(_) => self.resets_meters = true,
            Change::PlayLayer(told) => self.play_layer(told, &asked.path)?,
            Change::PushItems(push) => self.push_items(push, at)?,
            Change::UpdateItem(update) => self.update_item(update, at)?,
            Change::DeleteItem(delete) => self.delete_item(&delete.id, &delete.item)?,
            Change::NextItem(next) => self.tell_feed(&next.id, FeedAction::Next)?,
            Change::PreviousItem(previous) => {
                self.tell_feed(&previous.id, FeedAction::Previous)?;
            }
            Change::ShowItem(show) => {
                let (item, pinned) = (show.item.as_str().into(), show.pin);
                self.tell_feed(&show.id, FeedAction::Show { item, pinned })?;
            }
            Change::PreviewScene(preview) => {
                let Some(prepared) = self.means.prepared.get(&preview.scene) else {
                    return Ok(Some(Need::Scene(preview.scene.clone())));
                };
                let (now, next) = (&self.show.preview, &prepared.staged);
                // The same one, made ready again after a restart, is no change.
                if !now.as_ref().is_some_and(|now| now.says_the_same(next)) {
                    self.show.preview = Some(next.clone());
                }
            }
            Change::HoldTransition(hold) => return self.hold_transition(hold, &asked.path),
            Change::RunTransition(run) => self.run_transition(run.action)?,
            Change::PauseStream(pause) => {
                self.must_be_live("paused")?;
                self.show.pause = Some(pause.show);
                self.holds = Some(match pause.show {
                    PausedAs::Slate => Hold::Slate(Arc::clone(self.means.slate)),
                    PausedAs::LastFrame => Hold::LastFrame,
                });
            }
            Change::ResumeStream(_) => {
                self.must_be_live("resumed")?;
                self.show.pause = None;
                self.holds = Some(Hold::Scene);
            }
            Change::UpdateConfig(update) => {
                let patch = ConfigPatch::parse(&update.patch, at)?;
                let own_fps = self.show.program.spec.canvas.fps;
                self.show.config = self.show.config.patched(&patch, own_fps)?;
            }
        }
        Ok(None)
    }

    fn must_be_live(&self, done: &str) -> Result<(), ApiError> {
        match self.show.live_since_ms {
            Some(_) => Ok(()),
            None => Err(ApiError::conflict(format!(
                "the stream is stopped, so it cannot be {done}; start it first"
            ))),
        }
    }

    fn update_data(&mut self, patch: &Value, at: &str) -> Result<(), ApiError> {
        let patch = authored::object(patch, at, "an object of variables")?;
        let is_taken = |name: &&str| patch.contains_key(*name);
        if let Some(name) = validate::RESERVED.into_iter().find(is_taken) {
            let message = format!("the name `{name}` is kept for built-in values");
            return Err(authored::unusable(field(at, name), message));
        }
        let data = Arc::make_mut(&mut self.scene().data);
        merge_object(data, patch);
        Ok(())
    }

    fn finish(mut self) -> Result<Planned, ApiError> {
        if self.show.config.max_layers != self.before.config.max_layers {
            must_have_room(&self.show.config, &self.show.program.spec)?;
        }
        let mut fonts = Vec::new();
        if !Arc::ptr_eq(&self.base, &self.show.program.spec) {
            let (wanted, read) = self.fill_scenes();
            if !wanted.is_empty() {
                return Ok(Planned::Needs(Need::Inner(wanted)));
            }
            fonts = read;
            self.check_whole()?;
        }
        let Some(mut edit) = SceneEdit::between(&self.base, &self.show.program.spec) else {
            return Err(ApiError::internal("an edit changed the canvas"));
        };
        edit.fonts = fonts;
        for layer in &mut edit.layers {
            layer.glide = self.glides.get(layer.spec.id.as_str()).copied();
        }
        if let Some((_, glide)) = &mut edit.audio {
            *glide = self.master_glide;
        }
        let wanted = self.missing_pictures(&edit);
        let mut missing = Vec::new();
        for words in &wanted {
            match self.means.read.get(words) {
                Some(picture) => edit.pictures.push((Arc::clone(words), picture.clone())),
                None => missing.push(Arc::clone(words)),
            }
        }
        if !missing.is_empty() {
            return Ok(Planned::Needs(Need::Pictures(missing)));
        }
        self.check_speech()?;
        let sounds = self.missing_sounds();
        if !sounds.is_empty() {
            return Ok(Planned::Needs(Need::Sounds(sounds)));
        }
        let mut commands = Vec::new();
        if self.show.config.max_layers != self.before.config.max_layers {
            commands.push(Command::SetMaxLayers(self.show.config.max_layers));
        }
        let mut pictures = wanted;
        let loads_scene = self.load.is_some();
        if edit.is_empty() && !loads_scene && self.mixes.is_empty() {
            // Written as it was.
            self.show.program = self.before.program.clone();
        }
        let mut back = self.back.take().map(Box::new);
        if let Some(bundle) = self.load.take() {
            pictures.extend(bundle.pictures.iter().map(|(words, _)| Arc::clone(words)));
            commands.push(Command::LoadScene(Box::new(bundle)));
        }
        commands.extend(self.mixes.iter().filter_map(|mixing| match mixing {
            Mixing::Begins { .. } | Mixing::Cuts => None,
            Mixing::Told(action) => Some(Command::Mix {
                action: *action,
                back: back.take(),
            }),
        }));
        if !edit.is_empty() {
            commands.push(Command::EditScene(Box::new(edit)));
        }
        commands.extend(self.actions.iter().map(|told| Command::Timeline {
            id: told.id.as_str().into(),
            action: told.action,
            blend: told.blend,
        }));
        commands.extend(self.feeds.iter().map(|told| Command::Feed {
            layer: told.layer.as_str().into(),
            action: told.action.clone(),
        }));
        commands.extend(
            self.playbacks
                .iter()
                .map(|(layer, action)| Command::Playback {
                    layer: layer.as_str().into(),
                    action: *action,
                }),
        );
        commands.extend(self.speech_commands());
        commands.extend(self.resets_meters.then_some(Command::ResetMeters));
        if self.show.pause != self.before.pause {
            commands.extend(self.holds.take().map(Command::Hold));
        }
        Ok(Planned::Ready(Box::new(Plan {
            show: self.show,
            commands,
            actions: self.actions,
            feeds: self.feeds,
            loads_scene,
            pictures,
            mixes: self.mixes,
        })))
    }

    /// Rules that only the whole scene can break.
    fn check_whole(&self) -> Result<(), ApiError> {
        let spec = &self.show.program.spec;
        let rules = SceneRules {
            max_layers: self.show.config.max_layers,
            folder: None,
            assets: None,
        };
        let mut problems = Problems::new();
        check_scene(spec, &rules, &mut problems);
        if problems.is_empty() {
            return Ok(());
        }
        let mut problems = problems.into_vec();
        for problem in &mut problems {
            self.place_in_request(problem);
        }
        Err(ApiError::problems(ErrorCode::Invalid, &problems))
    }

    /// A path in a layer that the request writes is told as the request's own.
    fn place_in_request(&self, problem: &mut Problem) {
        let layers = &self.show.program.spec.layers;
        for Touched { layer, inner, at } in self.touched.iter().rev() {
            let Some(place) = find_layer(layers, layer).map(|place| written(&place)) else {
                continue;
            };
            let place = match inner.is_empty() {
                true => place,
                false => format!("{place}.{inner}"),
            };
            if let Some(rest) = problem.path.strip_prefix(&place) {
                let rest = rest.strip_prefix('.').unwrap_or(rest);
                problem.path = match (at.is_empty(), rest.is_empty()) {
                    (true, _) => rest.to_owned(),
                    (false, true) => at.clone(),
                    (false, false) => format!("{at}.{rest}"),
                };
                return;
            }
        }
    }

    /// Whether the world has a picture by then, or none is meant.
    fn has_picture(&self, name: &str) -> bool {
        let is_there = match &self.load {
            Some(bundle) => bundle.pictures.iter().any(|(known, _)| **known == *name),
            None => self.means.known.contains(name),
        };
        is_there || name.is_empty()
    }

    /// The pictures that the scene shows after the edit and that the world has not.
    fn missing_pictures(&self, edit: &SceneEdit) -> Vec<Arc<str>> {
        let spec = &self.show.program.spec;
        let mut data = SceneData::default();
        data.replace(Arc::clone(&spec.data));
        let program = data.program();
        let mut missing: Vec<Arc<str>> = Vec::new();
        let mut note = |words: &str| {
            if !self.has_picture(words) && !missing.iter().any(|other| **other == *words) {
                missing.push(words.into());
            }
        };
        let mut look = |layer: &LayerSpec| pictures_of(layer, &mut data, program, &mut note);
        if edit.data.is_some() {
            spec.walk_layers(&mut look);
        } else {
            for layer in &edit.layers {
                look(&layer.spec);
            }
        }
        missing
    }
}

/// `MAX_LAYERS` may have become less since a scene was read, and is not to become less than the scene on air has.
fn must_have_room(config: &Config, spec: &SceneSpec) -> Result<(), ApiError> {
    let count = spec.count_layers();
    if count <= config.max_layers {
        return Ok(());
    }
    Err(ApiError::conflict(format!(
        "the scene has {count} layers, and MAX_LAYERS is {}",
        config.max_layers
    )))
}

/// A canvas of any size is scaled to the frames. Their rate cannot change while they are encoded.
fn must_fit(config: &Config, spec: &SceneSpec) -> Result<(), ApiError> {
    must_have_room(config, spec)?;
    match spec.canvas.fps {
        Some(fps) if fps != config.fps => Err(ApiError::conflict(format!(
            "the scene asks for {} fps (canvas.fps), and {} fps are on air; leave canvas.fps out to have it follow",
            json_of(&fps),
            json_of(&config.fps)
        ))),
        _ => Ok(()),
    }
}
