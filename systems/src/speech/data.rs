//! What texts can show of speech: the built-in values `speech.<layer>.text`, `.line`, `.word` and `.speaking`.

use std::sync::LazyLock;

use bevy_ecs::prelude::Entity;
use serde_json::Value;

/// The prefix of the built-in values.
pub(crate) const SPEECH_PREFIX: &str = "speech.";

/// What is shown of all layers that speak, or spoke.
#[derive(Debug, Default)]
pub(crate) struct SpeechData {
    layers: Vec<Shown>,
    /// Whether anything differs from the tick before.
    pub changed: bool,
}

#[derive(Debug)]
struct Shown {
    owner: Entity,
    layer: String,
    text: Value,
    line: Value,
    word: Value,
    speaking: Value,
}

/// What a layer says on a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spoken<'a> {
    pub text: &'a str,
    pub line: &'a str,
    pub word: &'a str,
    pub speaking: bool,
}

impl SpeechData {
    /// The value of a path without its prefix. A layer that says nothing has empty ones.
    pub fn lookup(&self, path: &str) -> Option<&Value> {
        static SILENT: LazyLock<(Value, Value)> = LazyLock::new(|| ("".into(), false.into()));
        let (layer, name) = path.rsplit_once('.')?;
        let shown = self.layers.iter().find(|shown| shown.layer == layer);
        let of = |value: fn(&Shown) -> &Value| shown.map(value);
        match name {
            "text" => of(|shown| &shown.text).or(Some(&SILENT.0)),
            "line" => of(|shown| &shown.line).or(Some(&SILENT.0)),
            "word" => of(|shown| &shown.word).or(Some(&SILENT.0)),
            "speaking" => of(|shown| &shown.speaking).or(Some(&SILENT.1)),
            _ => None,
        }
    }

    /// Shows what a layer says.
    pub fn show(&mut self, owner: Entity, layer: &str, spoken: Spoken<'_>) {
        let known = self.layers.iter().position(|shown| shown.layer == layer);
        let place = match known {
            Some(place) => place,
            None if spoken == Spoken::default() => return,
            None => {
                self.layers.push(Shown {
                    owner,
                    layer: layer.to_owned(),
                    text: "".into(),
                    line: "".into(),
                    word: "".into(),
                    speaking: false.into(),
                });
                self.layers.len() - 1
            }
        };
        let shown = &mut self.layers[place];
        shown.owner = owner;
        let words = [
            (&mut shown.text, spoken.text),
            (&mut shown.line, spoken.line),
            (&mut shown.word, spoken.word),
        ];
        for (value, words) in words {
            if *value != *words {
                *value = words.into();
                self.changed = true;
            }
        }
        if shown.speaking != spoken.speaking {
            shown.speaking = spoken.speaking.into();
            self.changed = true;
        }
    }

    /// Shows nothing any more of a layer that is gone, or goes.
    pub fn forget(&mut self, owner: Entity) {
        let before = self.layers.len();
        self.layers.retain(|shown| shown.owner != owner);
        self.changed |= self.layers.len() != before;
    }
}
