//! The queue of each avatar: what is spoken, and what waits.

use std::collections::VecDeque;
use std::sync::Arc;

use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::prelude::*;
use bevy_ecs::world::DeferredWorld;
use components::layer::LayerId;

use super::WAITING_MAX;
use super::captions::Script;
use super::say::{QueueMode, SpeechOrder, SpeechStage, Utterance};
use super::tell::{EndReason, ShownUtterance, SpeechNews, Teller};
use crate::audio::channel::factor_of;
use crate::clock::FrameClock;
use crate::data::SceneData;
use crate::scene::Reachable;

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
    pub said: Utterance,
    pub script: Script,
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
    /// Why it breaks off, when it does.
    pub cut: Option<EndReason>,
}

impl Speaking {
    fn new(said: Utterance) -> Self {
        let script = match said.captions {
            true => Script::new(&said.text, &said.words),
            false => Script::default(),
        };
        Self {
            gain: factor_of(said.gain_db),
            script,
            said,
            ramp: 0.0,
            played: 0,
            phrase: 0,
            words_begun: 0,
            cut: None,
        }
    }

    fn tell(&mut self, text: Option<Arc<str>>, words: Vec<super::SpokenWord>) {
        let room = Utterance::WORDS_MAX.saturating_sub(self.said.words.len());
        self.said.words.extend(words.into_iter().take(room));
        if let Some(text) = text {
            self.said.text = text;
        }
        if self.said.captions {
            self.script = Script::new(&self.said.text, &self.said.words);
        }
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

    fn say(&mut self, said: Utterance, layer: &Arc<str>, tick: u64, teller: &Teller) {
        let id = Arc::clone(&said.id);
        if self.waiting.len() >= WAITING_MAX {
            said.sound.state().set_stage(SpeechStage::Over);
            let reason = EndReason::Error;
            return teller.tell(layer, &id, tick, SpeechNews::End { reason });
        }
        let queue = said.queue;
        let state = Arc::clone(said.sound.state());
        let spoken = usize::from(self.current.is_some());
        let place = match queue {
            QueueMode::Append => spoken + self.waiting.len(),
            QueueMode::Next => spoken,
            QueueMode::Interrupt => 0,
        };
        state.set_place(place);
        teller.tell(layer, &id, tick, SpeechNews::Queued { place });
        let speaking = Speaking::new(said);
        match queue {
            QueueMode::Append => self.waiting.push_back(speaking),
            QueueMode::Next | QueueMode::Interrupt => self.waiting.push_front(speaking),
        }
        if queue == QueueMode::Interrupt
            && let Some(current) = &mut self.current
        {
            current.cut.get_or_insert(EndReason::Interrupted);
        }
    }

    fn stop(&mut self, wanted: Option<&Arc<str>>, layer: &Arc<str>, tick: u64, teller: &Teller) {
        let is_meant = |said: &Utterance| wanted.is_none_or(|id| *id == said.id);
        if let Some(current) = &mut self.current
            && is_meant(&current.said)
        {
            current.cut.get_or_insert(EndReason::Cancelled);
        }
        self.waiting.retain(|speaking| {
            let goes = is_meant(&speaking.said);
            if goes {
                over(speaking, layer, tick, EndReason::Cancelled, teller);
            }
            !goes
        });
    }
}

/// Notes and tells that nothing of an utterance follows.
pub(super) fn over(
    speaking: &Speaking,
    layer: &Arc<str>,
    tick: u64,
    reason: EndReason,
    teller: &Teller,
) {
    speaking.said.sound.state().set_stage(SpeechStage::Over);
    teller.tell(layer, &speaking.said.id, tick, SpeechNews::End { reason });
}

/// The layer is gone, or is no avatar any more.
fn fall_silent(mut world: DeferredWorld, context: HookContext) {
    let tick = world
        .get_resource::<FrameClock>()
        .map_or(0, |clock| clock.tick);
    let teller = world.get_resource::<Teller>().cloned();
    if let Some(teller) = &teller
        && let Some(speech) = world.get::<Speech>(context.entity)
        && let Some(layer) = &speech.layer
    {
        for speaking in speech.all() {
            over(speaking, layer, tick, EndReason::Cancelled, teller);
        }
        teller.forget(context.entity);
    }
    if let Some(mut data) = world.get_resource_mut::<SceneData>() {
        data.speech_mut().forget(context.entity);
    }
}

/// Tells an avatar of the scene on air what to say.
pub(crate) fn act(world: &mut World, layer: &Arc<str>, order: SpeechOrder) {
    let tick = world.resource::<FrameClock>().tick;
    let teller = world.resource::<Teller>().clone();
    let mut rows = world.query_filtered::<(Entity, &LayerId, &mut Speech), Reachable>();
    let mut rows = rows.iter_mut(world);
    let Some((entity, _, mut speech)) = rows.find(|(_, id, _)| id.as_str() == &**layer) else {
        // The layer went before the order came.
        if let SpeechOrder::Say(said) = order {
            let reason = EndReason::Cancelled;
            said.sound.state().set_stage(SpeechStage::Over);
            teller.tell(layer, &said.id, tick, SpeechNews::End { reason });
        }
        return;
    };
    let speech = &mut *speech;
    speech.layer.get_or_insert_with(|| Arc::clone(layer));
    match order {
        SpeechOrder::Say(said) => speech.say(*said, layer, tick, &teller),
        SpeechOrder::Tell { id, text, words } => {
            let mut all = speech.current.iter_mut().chain(&mut speech.waiting);
            if let Some(speaking) = all.find(|speaking| speaking.said.id == id) {
                speaking.tell(text, words);
            }
        }
        SpeechOrder::Stop { id } => speech.stop(id.as_ref(), layer, tick, &teller),
    }
    speech.is_stale = !teller.show(entity, layer, speech.shown());
}
