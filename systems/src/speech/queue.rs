//! The queue of each avatar: what is spoken, and what waits.

use std::collections::VecDeque;
use std::sync::Arc;

use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use components::layer::LayerId;

use super::captions::Script;
use super::say::{QueueMode, Refusal, SpeechEnd, SpeechOrder, Utterance};
use super::tell::{EndReason, ShownUtterance, SpeechNews, Teller};
use super::{STALL_SAMPLES, WAITING_MAX};
use crate::audio::channel::factor_of;
use crate::audio::{Strand, take_strand, tie_strand};
use crate::clock::FrameClock;
use crate::data::SceneData;
use crate::scene::{Internal, Outgoing, Reachable};

/// What an avatar says. On layers with an avatar; written by commands and in `Ingest`.
#[derive(Component, Debug, Default)]
#[component(on_remove = fall_silent)]
pub struct Speech {
    /// The name of its layer; known from the first utterance on.
    pub(super) layer: Option<Arc<str>>,
    pub(super) current: Option<Speaking>,
    pub(super) waiting: VecDeque<Speaking>,
    /// Samples of what is spoken that have been taken out of its way.
    pub(super) ready: VecDeque<[i16; 2]>,
    /// How loud this tick is, 0 to 1, while something is spoken.
    pub(super) level: Option<f32>,
    /// Whether the board shows something else.
    pub(super) is_stale: bool,
    /// Whether texts may show something.
    pub(super) has_shown: bool,
}

/// An utterance and how far it is.
#[derive(Debug)]
pub(super) struct Speaking {
    pub said: Box<Utterance>,
    /// What captions show of it; made when it is first shown.
    pub script: Script,
    /// Whether more was told of it since that was made.
    pub script_is_stale: bool,
    /// The utterance's gain as a factor.
    pub gain: f32,
    /// Where the ramp stands, 0 to 1.
    pub ramp: f32,
    /// Samples that were heard.
    pub played: u64,
    /// The phrase that is said, where words have no times.
    pub phrase: usize,
    /// Words that have begun.
    pub words_begun: usize,
    /// Whether texts were shown a phrase of it before a word had begun.
    pub had_phrase: bool,
    /// Why it breaks off, when it does.
    pub cut: Option<EndReason>,
    /// Samples for which its turn has been waiting for more of its sound.
    waited: u64,
}

impl Speaking {
    fn new(said: Box<Utterance>) -> Self {
        Self {
            gain: factor_of(said.gain_db),
            script: Script::default(),
            script_is_stale: true,
            said,
            ramp: 0.0,
            played: 0,
            phrase: 0,
            words_begun: 0,
            had_phrase: false,
            cut: None,
            waited: 0,
        }
    }

    /// Notes a tick on which it could not go on. Whether that has lasted too long: a little of its sound now and then, of which nothing can
    /// be said, does not help.
    pub(super) fn stalls(&mut self, samples: usize) -> bool {
        self.waited += samples as u64;
        self.waited > STALL_SAMPLES
    }

    /// Notes that it goes on.
    pub(super) fn goes_on(&mut self) {
        self.waited = 0;
    }

    fn tell(&mut self, text: Option<Arc<str>>, words: Vec<super::SpokenWord>) {
        let room = Utterance::WORDS_MAX.saturating_sub(self.said.words.len());
        self.said.words.extend(words.into_iter().take(room));
        if let Some(text) = text {
            self.said.text = text;
        }
        self.script_is_stale = true;
    }
}

impl Speech {
    /// What it feels while it speaks, where the utterance says so.
    pub(crate) fn emotion(&self) -> Option<&str> {
        self.current.as_ref()?.said.emotion.as_deref()
    }

    /// How loud this tick is, 0 to 1, while something is spoken.
    pub fn level(&self) -> Option<f32> {
        self.level
    }

    /// Whether there is nothing to say.
    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    fn all(&self) -> impl Iterator<Item = &Speaking> {
        self.current.iter().chain(&self.waiting)
    }

    pub(super) fn shown(&self) -> impl Iterator<Item = ShownUtterance> + '_ {
        self.all().map(|speaking| ShownUtterance {
            id: Arc::clone(&speaking.said.id),
            text: Arc::clone(&speaking.said.text),
            emotion: speaking.said.emotion.clone(),
            state: Arc::clone(speaking.said.sound.state()),
        })
    }

    fn say(&mut self, said: Box<Utterance>, layer: &Arc<str>, tick: u64, teller: &mut Teller) {
        let id = Arc::clone(&said.id);
        let queue = said.queue;
        let refusal = if self.all().any(|speaking| speaking.said.id == id) {
            Some(Refusal::Duplicate)
        } else if self.waiting.len() >= WAITING_MAX && queue != QueueMode::Replace {
            Some(Refusal::Full)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return refuse(said, layer, tick, refusal, teller);
        }
        let spoken = usize::from(self.current.is_some());
        let place = match queue {
            QueueMode::Append => spoken + self.waiting.len(),
            QueueMode::Next => spoken,
            QueueMode::Interrupt | QueueMode::Replace => 0,
        };
        said.sound.state().set_place(place);
        teller.tell(layer, &id, tick, SpeechNews::Queued { place });
        match queue {
            QueueMode::Append | QueueMode::Next => {}
            QueueMode::Interrupt => {
                let breaks_in = |next: &&mut Speaking| next.said.queue == QueueMode::Interrupt;
                if self.waiting.front_mut().as_ref().is_some_and(breaks_in)
                    && let Some(next) = self.waiting.pop_front()
                {
                    over(next, layer, tick, EndReason::Interrupted, teller);
                }
            }
            QueueMode::Replace => {
                for next in self.waiting.drain(..) {
                    over(next, layer, tick, EndReason::Interrupted, teller);
                }
            }
        }
        if matches!(queue, QueueMode::Interrupt | QueueMode::Replace)
            && let Some(current) = &mut self.current
        {
            current.cut.get_or_insert(EndReason::Interrupted);
        }
        let speaking = Speaking::new(said);
        match queue {
            QueueMode::Append => self.waiting.push_back(speaking),
            _ => self.waiting.push_front(speaking),
        }
    }

    /// Takes in what waits on another layer of its name, behind what waits here. What is spoken there breaks off, as does what cannot wait.
    fn follow(&mut self, other: Self, tick: u64, teller: &mut Teller) {
        let layer = self.layer.clone().or(other.layer).unwrap_or_default();
        if let Some(current) = other.current {
            over(current, &layer, tick, EndReason::Interrupted, teller);
        }
        for next in other.waiting {
            let is_known = self.all().any(|own| own.said.id == next.said.id);
            if is_known || self.waiting.len() >= WAITING_MAX {
                over(next, &layer, tick, EndReason::Interrupted, teller);
            } else {
                self.waiting.push_back(next);
            }
        }
        self.is_stale = true;
    }

    fn stop(
        &mut self,
        wanted: Option<&Arc<str>>,
        layer: &Arc<str>,
        tick: u64,
        teller: &mut Teller,
    ) {
        let is_meant = |said: &Utterance| wanted.is_none_or(|id| *id == said.id);
        if let Some(current) = &mut self.current
            && is_meant(&current.said)
        {
            current.cut.get_or_insert(EndReason::Cancelled);
        }
        for _ in 0..self.waiting.len() {
            let Some(next) = self.waiting.pop_front() else {
                break;
            };
            if is_meant(&next.said) {
                over(next, layer, tick, EndReason::Cancelled, teller);
            } else {
                self.waiting.push_back(next);
            }
        }
    }
}

/// Notes and tells that nothing of an utterance follows, and lets go of it.
pub(super) fn over(
    speaking: Speaking,
    layer: &Arc<str>,
    tick: u64,
    reason: EndReason,
    teller: &mut Teller,
) {
    let Speaking {
        said,
        played,
        words_begun,
        ..
    } = speaking;
    let last = words_begun.checked_sub(1);
    let last_word = last.and_then(|last| Some((Arc::clone(&said.words.get(last)?.word), last)));
    let news = SpeechNews::End {
        reason,
        played,
        last_word: last_word.clone(),
    };
    said.sound.close();
    said.sound.state().set_end(SpeechEnd {
        reason,
        tick,
        played,
        last_word,
    });
    teller.tell(layer, &said.id, tick, news);
    teller.let_go(said);
}

fn refuse(
    said: Box<Utterance>,
    layer: &Arc<str>,
    tick: u64,
    refusal: Refusal,
    teller: &mut Teller,
) {
    said.sound.close();
    said.sound.state().refuse(refusal);
    teller.tell(layer, &said.id, tick, SpeechNews::Refused(refusal));
    teller.let_go(said);
}

/// The layer is gone, or is no avatar any more.
fn fall_silent(mut world: DeferredWorld, context: HookContext) {
    let tick = world
        .get_resource::<FrameClock>()
        .map_or(0, |clock| clock.tick);
    let Some(mut speech) = world.get_mut::<Speech>(context.entity) else {
        return;
    };
    let speech = std::mem::take(&mut *speech);
    if let Some(mut teller) = world.get_resource_mut::<Teller>()
        && let Some(layer) = &speech.layer
    {
        for speaking in speech.current.into_iter().chain(speech.waiting) {
            over(speaking, layer, tick, EndReason::Cancelled, &mut teller);
        }
        teller.forget(context.entity);
    }
    if let Some(mut data) = world.get_resource_mut::<SceneData>() {
        data.speech_mut().forget(context.entity);
    }
}

/// What a layer says on its way to the layer of the same name in the scene that comes.
pub(crate) struct Carried {
    layer: LayerId,
    speech: Speech,
    strand: Strand,
}

/// Takes what avatars of the scene on air say out of them, where another scene has an heir of their name.
pub(crate) fn lift(world: &mut World, is_heir: impl Fn(&str) -> bool) -> Vec<Carried> {
    let mut rows = world.query_filtered::<(Entity, &LayerId, &mut Speech), Reachable>();
    let mut lifted = Vec::new();
    for (entity, id, mut speech) in rows.iter_mut(world) {
        if !speech.is_idle() && is_heir(id.as_str()) {
            lifted.push((entity, id.clone(), std::mem::take(&mut *speech)));
        }
    }
    let carry = |(entity, layer, speech)| {
        world.resource_mut::<Teller>().forget(entity);
        world
            .resource_mut::<SceneData>()
            .speech_mut()
            .forget(entity);
        Carried {
            layer,
            speech,
            strand: take_strand(world, entity),
        }
    };
    lifted.into_iter().map(carry).collect()
}

/// Has the avatars of the scene on air go on with what was lifted, without a break in the sound. One that has something to say of its own, as
/// when a change is turned round, goes on with that.
pub(crate) fn land(world: &mut World, carried: Vec<Carried>) {
    world.resource_scope(|world, mut teller: Mut<Teller>| {
        for carried in carried {
            land_one(world, carried, &mut teller);
        }
    });
}

fn land_one(world: &mut World, carried: Carried, teller: &mut Teller) {
    let Carried {
        layer,
        speech,
        strand,
    } = carried;
    let tick = world.resource::<FrameClock>().tick;
    let mut rows = world.query_filtered::<(Entity, &LayerId, &mut Speech), Reachable>();
    let mut rows = rows.iter_mut(world);
    match rows.find(|(_, id, _)| **id == layer) {
        Some((_, _, mut heir)) if !heir.is_idle() => heir.follow(speech, tick, teller),
        Some((entity, _, mut heir)) => {
            *heir = Speech {
                is_stale: true,
                ..speech
            };
            tie_strand(world, strand, entity);
        }
        None => {
            let name: Arc<str> = layer.as_str().into();
            for speaking in speech.current.into_iter().chain(speech.waiting) {
                over(speaking, &name, tick, EndReason::Cancelled, teller);
            }
        }
    }
}

/// Tells an avatar of the scene on air what to say. That it stops reaches one that is on its way out, too.
pub(crate) fn act(world: &mut World, layer: &Arc<str>, order: SpeechOrder) {
    world.resource_scope(|world, mut teller: Mut<Teller>| match order {
        SpeechOrder::Stop { id } => stop(world, layer, id.as_ref(), &mut teller),
        order => tell(world, layer, order, &mut teller),
    });
}

fn stop(world: &mut World, layer: &Arc<str>, id: Option<&Arc<str>>, teller: &mut Teller) {
    let tick = world.resource::<FrameClock>().tick;
    let mut rows = world.query_filtered::<(Entity, &LayerId, &mut Speech), Without<Internal>>();
    for (entity, own, mut speech) in rows.iter_mut(world) {
        if own.as_str() == &**layer && !speech.is_idle() {
            let speech = &mut *speech;
            speech.stop(id, layer, tick, teller);
            speech.is_stale = !teller.show(entity, layer, speech.shown());
        }
    }
}

fn tell(world: &mut World, layer: &Arc<str>, order: SpeechOrder, teller: &mut Teller) {
    let tick = world.resource::<FrameClock>().tick;
    let mut rows = world.query_filtered::<(Entity, &LayerId, &mut Speech), Reachable>();
    let mut rows = rows.iter_mut(world);
    let Some((entity, _, mut speech)) = rows.find(|(_, id, _)| id.as_str() == &**layer) else {
        // The layer went before the order came.
        if let SpeechOrder::Say(said) = order {
            refuse(said, layer, tick, Refusal::Gone, teller);
        }
        return;
    };
    let speech = &mut *speech;
    speech.layer.get_or_insert_with(|| Arc::clone(layer));
    match order {
        SpeechOrder::Say(said) => speech.say(said, layer, tick, teller),
        SpeechOrder::Tell { id, text, words } => {
            let mut all = speech.current.iter_mut().chain(&mut speech.waiting);
            if let Some(speaking) = all.find(|speaking| speaking.said.id == id) {
                speaking.tell(text, words);
            }
        }
        SpeechOrder::Stop { .. } => {}
    }
    speech.is_stale = !teller.show(entity, layer, speech.shown());
}

/// The names of the avatars of the scene that goes.
pub(crate) fn outgoing_avatars(world: &mut World) -> Vec<LayerId> {
    let mut rows =
        world.query_filtered::<&LayerId, (With<Speech>, With<Outgoing>, Without<Internal>)>();
    rows.iter(world).cloned().collect()
}
