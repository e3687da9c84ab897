//! What can be wrong with an avatar.

use super::{AvatarBlink, AvatarMouth, AvatarSlots, AvatarSource, AvatarState, MouthShape, Offset};
use crate::layer::LayerId;
use crate::validate::{Problems, Validate};
use crate::value::{Template, TemplatePart};

impl Validate for AvatarSource {
    fn validate(&self, problems: &mut Problems) {
        self.validate_names(problems);
        for (name, state) in &self.states {
            problems.at(&format!("states.{name}"), |problems| {
                state.slots().validate(problems);
                if let Some(duration) = state.duration {
                    problems.range("duration", duration, 0.05..=3600.0);
                }
                self.validate_then(state, problems);
            });
        }
        for (name, emotion) in &self.emotions {
            problems.at(&format!("emotions.{name}"), |problems| {
                emotion.slots().validate(problems);
                for (state, own) in &emotion.states {
                    problems.at(&format!("states.{state}"), |problems| {
                        own.slots().validate(problems);
                        if !self.states.contains_key(state) {
                            problems.report("the avatar has no such state");
                        }
                    });
                }
            });
        }
        let AvatarSlots { eyes, mouth, .. } = self.slots();
        let own = AvatarSlots {
            eyes,
            mouth,
            ..AvatarSlots::default()
        };
        own.validate(problems);
        if self.pictures().len() > Self::PICTURES_MAX {
            problems.report(format!(
                "an avatar names at most {} pictures",
                Self::PICTURES_MAX
            ));
        }
        if let Some(mouth) = &self.mouth {
            problems.at("mouth", |problems| mouth.validate(problems));
        }
        problems.at("blink", |problems| self.blink.validate(problems));
        problems.at("transition", |problems| {
            problems.range("duration", self.transition.duration, 0.0..=10.0);
            problems.at("easing", |problems| {
                self.transition.easing.validate(problems)
            });
        });
        if let Some(breathe) = &self.breathe {
            problems.at("breathe", |problems| {
                problems.range("amount", breathe.amount, 0.0..=200.0);
                problems.range("period", breathe.period, 0.5..=60.0);
            });
        }
        if let Some(level) = self.talk_when {
            problems.range("talkWhen", level, 0.001..=1.0);
        }
        problems.range("talkHold", self.talk_hold, 0.0..=10.0);
    }
}

impl AvatarSource {
    fn validate_names(&self, problems: &mut Problems) {
        let (states, emotions) = (self.states.keys(), self.emotions.keys());
        for (list, count, names) in [
            ("states", self.states.len(), states.collect::<Vec<_>>()),
            ("emotions", self.emotions.len(), emotions.collect()),
        ] {
            if count > Self::NAMES_MAX || list == "states" && count == 0 {
                let least = usize::from(list == "states");
                problems.at(list, |problems| {
                    problems.report(format!(
                        "{count} are too many or too few; there must be {least} to {}",
                        Self::NAMES_MAX
                    ));
                });
            }
            for name in names {
                if !LayerId::new(name.as_str()).is_well_formed() || name.contains('.') {
                    problems.at(&format!("{list}.{name}"), |problems| {
                        problems.report("a name has 1 to 128 letters, digits, `-` and `_`");
                    });
                }
            }
        }
        self.validate_word("state", &self.state, self.states.keys(), problems);
        let neutral = Self::NEUTRAL.to_owned();
        let emotions = self.emotions.keys().chain([&neutral]);
        self.validate_word("emotion", &self.emotion, emotions, problems);
    }

    /// A name that there is, or one data path.
    fn validate_word<'a>(
        &self,
        field: &str,
        template: &Template,
        known: impl Iterator<Item = &'a String>,
        problems: &mut Problems,
    ) {
        let known: Vec<&String> = known.collect();
        problems.at(field, |problems| match template.parts() {
            [TemplatePart::Hole(_)] => {}
            [TemplatePart::Literal(name)] if known.contains(&name) => {}
            [TemplatePart::Literal(name)] => {
                // What is asked for when nothing is written need not be there.
                if !(field == "state" && name == Self::IDLE) {
                    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                    problems.report_with_help(
                        format!("the avatar has no {field} of this name"),
                        Some(format!("there are {}", names.join(", "))),
                    );
                }
            }
            _ => problems.report(format!(
                "a {field} is one name, or one data path in double braces"
            )),
        });
    }

    fn validate_then(&self, state: &AvatarState, problems: &mut Problems) {
        let Some(then) = &state.then else { return };
        problems.at("then", |problems| {
            if state.duration.is_none() {
                problems.report("a state that something follows needs a `duration`");
            } else if !self.states.contains_key(then) {
                problems.report("the avatar has no such state");
            }
        });
    }
}

impl Validate for AvatarSlots<'_> {
    fn validate(&self, problems: &mut Problems) {
        if let Some((src, offset)) = self.body {
            validate_picture("src", "offset", src, offset, problems);
        }
        if let Some(eyes) = self.eyes {
            validate_picture("eyes", "eyes.offset", &eyes.src, eyes.offset, problems);
        }
        if let Some((src, offset)) = self.blink {
            validate_picture("blink", "blink.offset", src, offset, problems);
        }
        if let Some(shapes) = self.mouth {
            problems.at("mouth", |problems| validate_shapes(shapes, problems));
        }
    }
}

fn validate_picture(
    src_at: &str,
    offset_at: &str,
    src: &str,
    offset: Offset,
    problems: &mut Problems,
) {
    if src.is_empty() || src.contains("{{") {
        problems.at(src_at, |problems| {
            problems.report("a picture of an avatar is named by an asset or a path, without braces")
        });
    }
    problems.at(offset_at, |problems| {
        problems.range("x", offset.x, -16384.0..=16384.0);
        problems.range("y", offset.y, -16384.0..=16384.0);
    });
}

fn validate_shapes(shapes: &[MouthShape], problems: &mut Problems) {
    for (index, shape) in shapes.iter().enumerate() {
        problems.at_index("shapes", index, |problems| {
            validate_picture("src", "offset", &shape.src, shape.offset, problems);
            problems.range("from", shape.from, 0.0..=1.0);
        });
    }
    problems.at("shapes", |problems| {
        if shapes.len() > AvatarSource::SHAPES_MAX {
            let most = AvatarSource::SHAPES_MAX;
            problems.report(format!("a mouth has at most {most} shapes"));
        }
        if shapes.windows(2).any(|pair| pair[0].from >= pair[1].from) {
            problems.report("shapes must stand in rising order of `from`");
        }
    });
}

impl Validate for AvatarMouth {
    fn validate(&self, problems: &mut Problems) {
        if let Some(level) = self.level.literal() {
            problems.range("level", level, 0.0..=1.0);
        }
        problems.range("attack", self.attack, 0.0..=10.0);
        problems.range("release", self.release, 0.0..=10.0);
        problems.range("hysteresis", self.hysteresis, 0.0..=1.0);
    }
}

impl Validate for AvatarBlink {
    fn validate(&self, problems: &mut Problems) {
        if let Some(src) = &self.src {
            validate_picture("src", "offset", src, self.offset, problems);
        }
        for (index, seconds) in self.every.into_iter().enumerate() {
            problems.range(&format!("every[{index}]"), seconds, 0.2..=600.0);
        }
        if self.every[0] > self.every[1] {
            problems.at("every", |problems| {
                problems.report("the least time comes before the most")
            });
        }
        problems.range("duration", self.duration, 0.02..=2.0);
        problems.range("double", self.double, 0.0..=1.0);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn avatar(value: Value) -> AvatarSource {
        serde_json::from_value(value).expect("an avatar")
    }

    fn problems(value: Value) -> Vec<String> {
        let mut problems = Problems::new();
        avatar(value).validate(&mut problems);
        let found = problems.into_vec().into_iter();
        found.map(|problem| problem.path).collect()
    }

    #[test]
    fn an_emotion_comes_before_the_state_and_the_state_before_the_avatar() {
        let source = avatar(json!({
            "states": {"idle": {"src": "idle", "blink": "idle-blink"}, "wave": {"src": "wave"}},
            "emotions": {"happy": {"eyes": "happy", "states": {"wave": {"src": "wave-happy"}}}},
            "eyes": "eyes", "blink": {"src": "blink"},
        }));
        let seen = |state, emotion| {
            let look = source.look(state, emotion);
            [
                look.body.map(|body| body.0),
                look.eyes.map(|eyes| eyes.src.as_str()),
                look.blink.map(|blink| blink.0),
            ]
            .map(Option::unwrap_or_default)
        };
        assert_eq!(seen("idle", "neutral"), ["idle", "eyes", "idle-blink"]);
        assert_eq!(seen("wave", "neutral"), ["wave", "eyes", "blink"]);
        assert_eq!(seen("idle", "happy"), ["idle", "happy", "idle-blink"]);
        assert_eq!(seen("wave", "happy"), ["wave-happy", "happy", "blink"]);
        assert_eq!(source.pictures().len(), 7);
    }

    #[test]
    fn what_cannot_be_is_told_at_its_place() {
        assert_eq!(problems(json!({"states": {}})), ["states"]);
        let broken = json!({
            "states": {
                "idle": {"src": "", "then": "idle"},
                "wave": {"src": "a", "duration": 0, "then": "nowhere", "eyes": {"src": "{{b}}", "offset": {"x": 99999}}},
            },
            "emotions": {"happy": {"states": {"dance": {}}}},
            "state": "wav", "emotion": "{{a}}b",
            "mouth": {"level": 2, "release": 11, "shapes": [{"src": "a", "from": 0.5}, {"src": "b", "from": 0.5}]},
            "blink": {"every": [6, 0.1], "double": 2, "duration": 0},
            "talkWhen": 0, "talkHold": 11, "breathe": {"amount": 300, "period": 0},
            "transition": {"duration": 11},
        });
        assert_eq!(
            problems(broken),
            [
                "state",
                "emotion",
                "states.idle.src",
                "states.idle.then",
                "states.wave.eyes",
                "states.wave.eyes.offset.x",
                "states.wave.duration",
                "states.wave.then",
                "emotions.happy.states.dance",
                "mouth.shapes",
                "mouth.level",
                "mouth.release",
                "blink.every[1]",
                "blink.every",
                "blink.duration",
                "blink.double",
                "transition.duration",
                "breathe.amount",
                "breathe.period",
                "talkWhen",
                "talkHold",
            ]
        );
    }
}
