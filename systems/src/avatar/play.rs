//! What an avatar shows on a tick: its state, the look that gives way to another, and the shape of its mouth.
//!
//! Every step notes the tick on which it was due and not the one on which it was looked at, so ticks that were left out change nothing.

use components::scene::FrameRate;
use components::source::{AvatarFade, AvatarSource};

use super::blink;
use super::level::{Follow, Manner, shape_at};
use super::wardrobe::{Look, Part, Wardrobe};
use crate::animate::sample_easing;

/// The most looks that give way to a new one at a time; of more, the faintest goes at once.
const FADING_MAX: usize = 4;

/// What an avatar is told on a tick.
pub(super) struct Told<'a> {
    pub tick: u64,
    pub rate: FrameRate,
    pub source: &'a AvatarSource,
    /// The places of the state and the emotion; `None` where the words name none.
    pub state: Option<usize>,
    pub emotion: Option<usize>,
    /// What it feels while it says something, in the place of that.
    pub felt: Option<usize>,
    /// Of the mouth, 0 to 1.
    pub level: f32,
    /// Whether the level is followed without smoothing.
    pub exact: bool,
    pub seed: u64,
}

/// What an avatar does. Written in `Animate`.
#[derive(Debug)]
pub(super) struct Play {
    /// The state that was asked for, and which time.
    pub asked: usize,
    again: u32,
    pub emotion: usize,
    /// What the source says that it feels, whatever it says.
    own_emotion: usize,
    /// Where that has led: states with an end are followed by others.
    state: usize,
    state_since: u64,
    /// The level was high enough for the state `talk` up to this tick, which is not one of them.
    talks_until: u64,
    fade: Fade,
    level: Follow,
    /// The shape of each mouth that was seen last.
    shapes: Vec<Option<usize>>,
    /// The last tick that it was told of.
    pub tick: u64,
    /// Bodies that have come into sight, and on which tick.
    pub restarts: Vec<(Part, u64)>,
}

/// A look that takes the place of others.
#[derive(Clone, Copy, Debug)]
struct Fade {
    from: [(Look, f32); FADING_MAX],
    to: Look,
    /// The first tick on which something of it is seen.
    since_tick: u64,
    is_over: bool,
}

impl Play {
    /// Begins with the layer, on `since_tick`.
    pub fn new(told: &Told, wardrobe: &Wardrobe, since_tick: u64) -> Self {
        let asked = told.state.unwrap_or(wardrobe.resting);
        let mut play = Self {
            asked,
            again: told.source.again,
            emotion: told.felt.or(told.emotion).unwrap_or_default(),
            own_emotion: told.emotion.unwrap_or_default(),
            state: asked,
            state_since: since_tick,
            talks_until: 0,
            fade: Fade::whole(Look::default(), since_tick),
            level: Follow::at_rest(told.level, told.tick),
            shapes: vec![None; wardrobe.mouths.len()],
            tick: told.tick,
            restarts: Vec::with_capacity(FADING_MAX),
        };
        play.hear(told);
        let state = play.shown_state(told.tick, wardrobe);
        play.fade.to = wardrobe.look(state, play.emotion);
        play
    }

    /// Goes on after the wardrobe was made anew with the same pictures.
    pub fn redress(&mut self, old: &Wardrobe, new: &Wardrobe) {
        let state = |place: usize| {
            let name = old.states.get(place).map(|state| &*state.name);
            name.and_then(|name| new.state(name)).unwrap_or(new.resting)
        };
        (self.asked, self.state) = (state(self.asked), state(self.state));
        let emotion = |place: usize| new.emotion(old.emotion_name(place)).unwrap_or_default();
        (self.emotion, self.own_emotion) = (emotion(self.emotion), emotion(self.own_emotion));
        self.shapes.clear();
        self.shapes.resize(new.mouths.len(), None);
        self.fade.forget_mouths();
    }

    /// Moves on to the tick. `is_ready` tells whether a body can be shown.
    pub fn advance(
        &mut self,
        told: &Told,
        wardrobe: &Wardrobe,
        is_ready: &mut dyn FnMut(Part) -> bool,
    ) {
        self.walk(told, wardrobe, is_ready);
        if let Some(asked) = told.state
            && (asked != self.asked || told.source.again != self.again)
        {
            self.asked = asked;
            (self.state, self.state_since) = (asked, told.tick);
        }
        self.again = told.source.again;
        self.own_emotion = told.emotion.unwrap_or(self.own_emotion);
        self.emotion = told.felt.unwrap_or(self.own_emotion);
        self.hear(told);
        // A level that a track moves has led here on one of the ticks that were left out.
        let due = if told.exact {
            told.tick.min(self.tick + 1)
        } else {
            told.tick
        };
        self.tick = told.tick;
        self.turn_to(told, due, wardrobe, is_ready);
        self.fade.settle(&told.source.transition, told);
    }

    /// Follows states that have ended by those after them, each on its tick.
    fn walk(&mut self, told: &Told, wardrobe: &Wardrobe, is_ready: &mut dyn FnMut(Part) -> bool) {
        while let Some(state) = wardrobe.states.get(self.state)
            && let Some((seconds, then)) = state.ends
        {
            let ticks = ticks_of(seconds, told.rate).max(1);
            if told.tick < self.state_since + ticks {
                return;
            }
            self.state_since += ticks;
            self.state = then;
            self.turn_to(told, self.state_since, wardrobe, is_ready);
        }
    }

    fn hear(&mut self, told: &Told) {
        if told.source.talk_when.is_some_and(|when| told.level >= when) {
            let hold = if told.exact {
                0
            } else {
                ticks_of(told.source.talk_hold, told.rate)
            };
            self.talks_until = told.tick + 1 + hold;
        }
    }

    fn shown_state(&self, tick: u64, wardrobe: &Wardrobe) -> usize {
        let stays = |state: usize| {
            let state = wardrobe.states.get(state);
            state.is_some_and(|state| state.ends.is_none())
        };
        match wardrobe.talk {
            Some(talk) if tick < self.talks_until && stays(self.state) => talk,
            _ => self.state,
        }
    }

    fn turn_to(
        &mut self,
        told: &Told,
        tick: u64,
        wardrobe: &Wardrobe,
        is_ready: &mut dyn FnMut(Part) -> bool,
    ) {
        let mut look = wardrobe.look(self.shown_state(tick, wardrobe), self.emotion);
        if look == self.fade.to {
            return;
        }
        // The last good body stays until the new one is there.
        if look.body != self.fade.to.body && !look.body.is_some_and(&mut *is_ready) {
            look.body = self.fade.to.body;
            if look == self.fade.to {
                return;
            }
        }
        let (transition, rate) = (&told.source.transition, told.rate);
        let new = self.fade.begin(look, transition, tick, rate);
        if let Some(body) = new {
            self.restarts.push((body, tick));
        }
    }

    /// Adds up how much of each part is seen.
    pub fn weigh(&mut self, told: &Told, wardrobe: &Wardrobe, weights: &mut [f32]) {
        weights.fill(0.0);
        let is_closed = blink::is_closed(&told.source.blink, told.seed, told.tick, told.rate);
        let manner = told.source.mouth.as_ref().map(|mouth| {
            let manner = Manner::of(mouth, told.exact);
            let shown = self.level.follow(told.level, manner, told.tick, told.rate);
            (shown, manner.hysteresis)
        });
        let (level, hysteresis) = manner.unwrap_or_default();
        let part = self
            .fade
            .part(&told.source.transition, told.tick, told.rate);
        let looks = self.fade.looks(part);
        for (mouth, seen) in self.shapes.iter_mut().enumerate() {
            let is_seen = |look: &Look| look.mouth.map(usize::from) == Some(mouth);
            if !looks
                .iter()
                .any(|(look, weight)| *weight > 0.0 && is_seen(look))
            {
                *seen = None;
                continue;
            }
            let levels = wardrobe.mouths[mouth].iter().map(|shape| shape.from);
            *seen = shape_at(levels, *seen, level, hysteresis);
        }
        let mut add = |part: Option<Part>, weight: f32| {
            if let Some(sum) = part.and_then(|part| weights.get_mut(usize::from(part))) {
                *sum = (*sum + weight).min(1.0);
            }
        };
        for (look, weight) in looks.into_iter().filter(|(_, weight)| *weight > 0.0) {
            add(look.body, weight);
            let closed = look.blink.filter(|_| is_closed);
            add(closed.or(look.eyes), weight);
            let shape = look.mouth.and_then(|mouth| {
                let mouth = usize::from(mouth);
                let shape = (*self.shapes.get(mouth)?)?;
                Some(wardrobe.mouths.get(mouth)?.get(shape)?.part)
            });
            add(shape, weight);
        }
    }

    /// Keeps all that is under way when the rate of the ticks changes.
    pub fn set_rate(&mut self, rebase: impl Fn(u64) -> u64) {
        self.state_since = rebase(self.state_since);
        self.talks_until = rebase(self.talks_until);
        self.tick = rebase(self.tick);
        self.fade.since_tick = rebase(self.fade.since_tick);
        self.level.set_rate(&rebase);
    }
}

impl Fade {
    fn whole(look: Look, tick: u64) -> Self {
        Self {
            from: Default::default(),
            to: look,
            since_tick: tick,
            is_over: true,
        }
    }

    /// How much of the new look is there.
    fn part(&self, transition: &AvatarFade, tick: u64, rate: FrameRate) -> f32 {
        let ticks = ticks_of(transition.duration, rate);
        let gone = (tick + 1).saturating_sub(self.since_tick);
        if self.is_over || gone >= ticks {
            return 1.0;
        }
        let part = sample_easing(transition.easing, gone as f64 / ticks as f64);
        (part as f32).clamp(0.0, 1.0)
    }

    /// All looks and how much of each is seen, which comes to 1.
    fn looks(&self, part: f32) -> [(Look, f32); FADING_MAX + 1] {
        let mut looks = [(self.to, part); FADING_MAX + 1];
        for (slot, (look, weight)) in looks.iter_mut().skip(1).zip(self.from) {
            *slot = (look, weight * (1.0 - part));
        }
        looks
    }

    /// Turns to another look, from what the tick before `tick` showed. Gives its body when nothing of that was seen.
    fn begin(
        &mut self,
        look: Look,
        transition: &AvatarFade,
        tick: u64,
        rate: FrameRate,
    ) -> Option<Part> {
        // A look that was there from the start, and gives way on its first tick, was whole.
        let before = tick.saturating_sub(1);
        let part = self.part(transition, before, rate);
        let mut seen = self.looks(part);
        seen.sort_by(|a, b| b.1.total_cmp(&a.1));
        let is_new = !seen
            .iter()
            .any(|(seen, weight)| *weight > 0.0 && seen.body == look.body);
        let kept = &seen[..FADING_MAX];
        let sum: f32 = kept.iter().map(|(_, weight)| weight).sum();
        for (slot, (look, weight)) in self.from.iter_mut().zip(kept) {
            *slot = (*look, weight / sum);
        }
        (self.to, self.since_tick, self.is_over) = (look, tick, false);
        look.body.filter(|_| is_new)
    }

    fn settle(&mut self, transition: &AvatarFade, told: &Told) {
        self.is_over = self.is_over
            || self.part(transition, told.tick, told.rate) >= 1.0
                && (told.tick + 1).saturating_sub(self.since_tick)
                    >= ticks_of(transition.duration, told.rate);
    }

    fn forget_mouths(&mut self) {
        let looks = self.from.iter_mut().map(|(look, _)| look);
        for look in looks.chain([&mut self.to]) {
            look.mouth = None;
        }
    }
}

fn ticks_of(seconds: f32, rate: FrameRate) -> u64 {
    // A thousandth of a tick is rounding and no time.
    (f64::from(seconds) * rate.as_f64() - 1e-3).ceil().max(0.0) as u64
}
