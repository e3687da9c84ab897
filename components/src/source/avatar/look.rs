//! What an avatar looks like in a state and an emotion, and which pictures that takes.

use super::{
    AvatarEmotion, AvatarOverride, AvatarPicture, AvatarSource, AvatarState, MouthShape, Offset,
};

/// What a look has of its own; nothing where others have to say.
#[derive(Clone, Copy, Debug, Default)]
pub struct AvatarSlots<'a> {
    /// The body.
    pub body: Option<(&'a str, Offset)>,
    /// The open eyes.
    pub eyes: Option<&'a AvatarPicture>,
    /// What is seen while it blinks.
    pub blink: Option<(&'a str, Offset)>,
    /// The shapes of the mouth.
    pub mouth: Option<&'a [MouthShape]>,
}

impl AvatarSource {
    /// The state that is asked for when none is, and follows one that ends: `idle`, or the first where there is none.
    pub const IDLE: &str = "idle";
    /// The emotion that needs no entry.
    pub const NEUTRAL: &str = "neutral";
    /// The state that the level takes by itself.
    pub const TALK: &str = "talk";
    /// The most states, and the most emotions.
    pub const NAMES_MAX: usize = 32;
    /// The most shapes of one mouth.
    pub const SHAPES_MAX: usize = 16;
    /// The most pictures, each counted where it is named.
    pub const PICTURES_MAX: usize = 128;

    /// What is seen in a state while something is felt: what the emotion says of the state, the emotion, the state, the avatar.
    pub fn look(&self, state: &str, emotion: &str) -> AvatarSlots<'_> {
        let emotion = self.emotions.get(emotion);
        let own = emotion.and_then(|emotion| emotion.states.get(state));
        let all = [
            own.map(AvatarOverride::slots),
            emotion.map(AvatarEmotion::slots),
            self.states.get(state).map(AvatarState::slots),
            Some(self.slots()),
        ];
        let said = || all.iter().flatten();
        AvatarSlots {
            body: said().find_map(|slots| slots.body),
            eyes: said().find_map(|slots| slots.eyes),
            blink: said().find_map(|slots| slots.blink),
            mouth: said().find_map(|slots| slots.mouth),
        }
    }

    /// The state after one that has ended.
    pub fn after<'a>(&'a self, state: &'a AvatarState) -> &'a str {
        state.then.as_deref().unwrap_or_else(|| self.resting())
    }

    /// `idle`, or the first state where there is none.
    pub fn resting(&self) -> &str {
        if self.states.contains_key(Self::IDLE) {
            return Self::IDLE;
        }
        self.states.keys().next().map_or("", String::as_str)
    }

    /// Every picture that it names, with its path in the source: `states.idle.src`.
    pub fn pictures(&self) -> Vec<(String, &str)> {
        let mut named = Vec::new();
        for (name, state) in &self.states {
            name_pictures(&mut named, &format!("states.{name}."), &state.slots());
        }
        for (name, emotion) in &self.emotions {
            let at = format!("emotions.{name}.");
            name_pictures(&mut named, &at, &emotion.slots());
            for (state, own) in &emotion.states {
                name_pictures(&mut named, &format!("{at}states.{state}."), &own.slots());
            }
        }
        let AvatarSlots { blink, .. } = self.slots();
        let own = AvatarSlots {
            blink: None,
            ..self.slots()
        };
        name_pictures(&mut named, "", &own);
        named.extend(blink.map(|(src, _)| ("blink.src".to_owned(), src)));
        named
    }

    pub(super) fn slots(&self) -> AvatarSlots<'_> {
        AvatarSlots {
            body: None,
            eyes: self.eyes.as_ref(),
            blink: body(self.blink.src.as_deref(), self.blink.offset),
            mouth: self.mouth.as_ref().map(|mouth| mouth.shapes.as_slice()),
        }
    }
}

/// Four kinds of fields say what a look has; they differ in what else they say.
macro_rules! slots {
    ($($kind:ident: $src:expr),+ $(,)?) => {
        $(impl $kind {
            pub(super) fn slots(&self) -> AvatarSlots<'_> {
                let src: fn(&Self) -> Option<&str> = $src;
                AvatarSlots {
                    body: body(src(self), self.offset),
                    eyes: self.eyes.as_ref(),
                    blink: self.blink.as_ref().map(|blink| (blink.src.as_str(), blink.offset)),
                    mouth: self.mouth.as_ref().map(|mouth| mouth.shapes.as_slice()),
                }
            }
        })+
    };
}

slots!(
    AvatarState: |state| Some(&state.src),
    AvatarEmotion: |emotion| emotion.src.as_deref(),
    AvatarOverride: |own| own.src.as_deref(),
);

fn body(src: Option<&str>, offset: Offset) -> Option<(&str, Offset)> {
    src.map(|src| (src, offset))
}

fn name_pictures<'a>(named: &mut Vec<(String, &'a str)>, at: &str, slots: &AvatarSlots<'a>) {
    named.extend(slots.body.map(|(src, _)| (format!("{at}src"), src)));
    named.extend(
        slots
            .eyes
            .map(|eyes| (format!("{at}eyes"), eyes.src.as_str())),
    );
    named.extend(slots.blink.map(|(src, _)| (format!("{at}blink"), src)));
    for (index, shape) in slots.mouth.iter().copied().flatten().enumerate() {
        named.push((format!("{at}mouth.shapes[{index}].src"), &shape.src));
    }
}
