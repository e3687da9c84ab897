//! What an avatar has to wear: its pictures, each once, and which of them each look takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use components::source::{
    AvatarEmotion, AvatarPicture, AvatarSource, AvatarState, MouthShape, Offset,
};
use glam::Vec2;

/// The place of a picture among all of an avatar.
pub(super) type Part = u16;

/// The pictures and the looks of an avatar, made when the authored source changes.
#[derive(Debug, Default)]
pub(super) struct Wardrobe {
    /// From the back to the front: bodies, eyes, blinks, mouths.
    pub parts: Vec<PartSpec>,
    /// How many of the parts are bodies; they come first.
    pub bodies: usize,
    pub mouths: Vec<Vec<Shape>>,
    pub states: Vec<State>,
    /// The names of emotions. The first is that of none.
    emotions: Vec<Box<str>>,
    /// For each state its looks in every emotion.
    looks: Vec<Look>,
    pub talk: Option<usize>,
    pub resting: usize,
    made_of: Option<Authored>,
}

/// A picture and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PartSpec {
    pub src: Arc<str>,
    pub offset: Vec2,
}

/// One shape of a mouth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    pub from: f32,
    pub part: Part,
}

/// One thing that an avatar does.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub name: Box<str>,
    /// Seconds, and the state after them.
    pub ends: Option<(f32, usize)>,
}

/// The pictures of a state in an emotion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub body: Option<Part>,
    pub eyes: Option<Part>,
    pub blink: Option<Part>,
    /// Its place among the mouths.
    pub mouth: Option<Part>,
}

/// What the wardrobe follows from. A new level or a new state leaves it as it is.
#[derive(Debug, PartialEq)]
struct Authored {
    states: BTreeMap<String, AvatarState>,
    emotions: BTreeMap<String, AvatarEmotion>,
    eyes: Option<AvatarPicture>,
    blink: (Option<String>, Offset),
    shapes: Option<Vec<MouthShape>>,
}

impl Wardrobe {
    /// Whether it is that of `source`.
    pub fn is_of(&self, source: &AvatarSource) -> bool {
        self.made_of.as_ref().is_some_and(|authored| {
            let shapes = source.mouth.as_ref().map(|mouth| &mouth.shapes);
            authored.states == source.states
                && authored.emotions == source.emotions
                && authored.eyes == source.eyes
                && authored.blink.0 == source.blink.src
                && authored.blink.1 == source.blink.offset
                && authored.shapes.as_ref() == shapes
        })
    }

    pub fn new(source: &AvatarSource) -> Self {
        let mut made = Self {
            made_of: Some(Authored {
                states: source.states.clone(),
                emotions: source.emotions.clone(),
                eyes: source.eyes.clone(),
                blink: (source.blink.src.clone(), source.blink.offset),
                shapes: source.mouth.as_ref().map(|mouth| mouth.shapes.clone()),
            }),
            ..Self::default()
        };
        let place = |name: &str| source.states.keys().position(|other| other == name);
        made.talk = place(AvatarSource::TALK);
        made.resting = place(source.resting()).unwrap_or_default();
        for (name, state) in &source.states {
            let then = place(source.after(state)).unwrap_or(made.resting);
            made.states.push(State {
                name: name.as_str().into(),
                ends: state.duration.map(|duration| (duration, then)),
            });
        }
        let own = source.emotions.keys().map(String::as_str);
        made.emotions = [AvatarSource::NEUTRAL]
            .into_iter()
            .chain(own.filter(|name| *name != AvatarSource::NEUTRAL))
            .map(Into::into)
            .collect();
        let names = |wardrobe: &Self| -> Vec<(String, Box<str>)> {
            let pairs = source.states.keys().flat_map(|state| {
                let emotions = wardrobe.emotions.iter();
                emotions.map(|emotion| (state.clone(), emotion.clone()))
            });
            pairs.collect()
        };
        made.looks = vec![Look::default(); made.states.len() * made.emotions.len()];
        let names = names(&made);
        // One kind after the other, so that they lie over each other in this order.
        for (index, (state, emotion)) in names.iter().enumerate() {
            let slots = source.look(state, emotion);
            made.looks[index].body = slots.body.map(|(src, offset)| made.part(0, src, offset));
        }
        made.bodies = made.parts.len();
        let first = made.bodies;
        for (index, (state, emotion)) in names.iter().enumerate() {
            let slots = source.look(state, emotion);
            made.looks[index].eyes = slots
                .eyes
                .map(|eyes| made.part(first, &eyes.src, eyes.offset));
        }
        let first = made.parts.len();
        for (index, (state, emotion)) in names.iter().enumerate() {
            let slots = source.look(state, emotion);
            made.looks[index].blink = slots
                .blink
                .map(|(src, offset)| made.part(first, src, offset));
        }
        let first = made.parts.len();
        for (index, (state, emotion)) in names.iter().enumerate() {
            let shapes = source.look(state, emotion).mouth;
            made.looks[index].mouth = shapes.map(|shapes| made.mouth(first, shapes));
        }
        made
    }

    /// The place of a part, among those from `first` on, which are of its kind.
    fn part(&mut self, first: usize, src: &str, offset: Offset) -> Part {
        let offset = Vec2::new(offset.x, offset.y);
        let known = self.parts[first..]
            .iter()
            .position(|part| *part.src == *src && part.offset == offset);
        let place = known.map_or(self.parts.len(), |place| first + place);
        if known.is_none() {
            let src = src.into();
            self.parts.push(PartSpec { src, offset });
        }
        place as Part
    }

    fn mouth(&mut self, first: usize, shapes: &[MouthShape]) -> Part {
        let shapes: Vec<Shape> = shapes
            .iter()
            .map(|shape| Shape {
                from: shape.from,
                part: self.part(first, &shape.src, shape.offset),
            })
            .collect();
        let known = self.mouths.iter().position(|mouth| *mouth == shapes);
        let place = known.unwrap_or(self.mouths.len());
        if known.is_none() {
            self.mouths.push(shapes);
        }
        place as Part
    }

    pub fn state(&self, name: &str) -> Option<usize> {
        self.states.iter().position(|state| *state.name == *name)
    }

    pub fn emotion(&self, name: &str) -> Option<usize> {
        self.emotions.iter().position(|emotion| **emotion == *name)
    }

    pub fn emotion_name(&self, place: usize) -> &str {
        self.emotions.get(place).map_or("", |name| name)
    }

    pub fn look(&self, state: usize, emotion: usize) -> Look {
        let place = state * self.emotions.len() + emotion;
        self.looks.get(place).copied().unwrap_or_default()
    }
}
