//! What avatars are told: a state, an emotion, a level.
//!
//! A field that is bound to data stays bound: what it is told is written where it looks.

use std::sync::Arc;

use components::Number;
use components::source::{AvatarSource, Source};
use components::value::{Template, TemplatePart};
use serde_json::{Map, Value};
use systems::data::{SceneData, merge_object};

use super::Work;
use crate::control::authored;
use crate::control::change::SetAvatar;
use crate::control::error::ApiError;
use crate::control::show::layer_at;
use crate::scene::registry::field;
use crate::scene::validate::RESERVED;

impl Work<'_> {
    pub(super) fn set_avatar(&mut self, told: &SetAvatar, at: &str) -> Result<(), ApiError> {
        let place = self.find(&told.id)?;
        let mut layer = layer_at(&self.show.program.spec.layers, &place)
            .map(|layer| (**layer).clone())
            .ok_or_else(|| ApiError::internal("a layer was lost"))?;
        let Source::Avatar(avatar) = &mut layer.source else {
            let kind = layer.source.kind();
            let message = format!(
                "the layer `{}` is no avatar; it is of the kind `{kind}`",
                told.id
            );
            return Err(ApiError::conflict(message));
        };
        let mut data = Map::new();
        if let Some(state) = &told.state {
            let known: Vec<&str> = avatar.states.keys().map(String::as_str).collect();
            authored::must_be_known("state", state, &known, &field(at, "state"))?;
            let before = self.word(&avatar.state);
            if before == *state
                && avatar
                    .states
                    .get(state)
                    .is_some_and(|own| own.duration.is_some())
            {
                avatar.again = avatar.again.wrapping_add(1);
            }
            tell_word(&mut avatar.state, state, &mut data, &field(at, "state"))?;
        }
        if let Some(emotion) = &told.emotion {
            let own = avatar.emotions.keys().map(String::as_str);
            let own = own.filter(|name| *name != AvatarSource::NEUTRAL);
            let known: Vec<&str> = own.chain([AvatarSource::NEUTRAL]).collect();
            authored::must_be_known("emotion", emotion, &known, &field(at, "emotion"))?;
            tell_word(
                &mut avatar.emotion,
                emotion,
                &mut data,
                &field(at, "emotion"),
            )?;
        }
        if let Some(level) = told.level {
            let at = field(at, "level");
            if !(0.0..=1.0).contains(&level) {
                let message = format!("{level} is out of range; it must be from 0 to 1");
                return Err(authored::unusable(at, message));
            }
            let Some(mouth) = &mut avatar.mouth else {
                return Err(authored::unusable(at, "the avatar has no `mouth`"));
            };
            match &mut mouth.level {
                Number::Literal(own) => *own = level,
                Number::Bound(path) => put(&mut data, path, level.into(), &at)?,
            }
        }
        if !data.is_empty() {
            merge_object(Arc::make_mut(&mut self.scene().data), &data);
        }
        self.put_layer(&place, layer, at)
    }

    /// The words of a template as the scene's data say now.
    fn word(&self, template: &Template) -> String {
        let mut data = SceneData::default();
        data.replace(Arc::clone(&self.show.program.spec.data));
        let mut words = String::new();
        template.fill(|path| data.lookup(data.program(), path), &mut words);
        words
    }
}

fn tell_word(
    template: &mut Template,
    word: &str,
    data: &mut Map<String, Value>,
    at: &str,
) -> Result<(), ApiError> {
    match template.parts() {
        [TemplatePart::Hole(path)] => put(data, path, word.into(), at),
        _ => {
            *template = Template::literal(word);
            Ok(())
        }
    }
}

/// Adds a value at a dotted path to a merge patch.
fn put(patch: &mut Map<String, Value>, path: &str, value: Value, at: &str) -> Result<(), ApiError> {
    let is_place = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    if path.split('.').any(is_place)
        || path
            .split('.')
            .next()
            .is_some_and(|name| RESERVED.contains(&name))
    {
        let message = format!("it is bound to `{path}`, which cannot be written from here");
        return Err(authored::unusable(at.to_owned(), message));
    }
    let (outer, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut map = patch;
    for name in outer.split('.').filter(|name| !name.is_empty()) {
        let inner = map.entry(name).or_insert_with(|| Value::Object(Map::new()));
        if !inner.is_object() {
            *inner = Value::Object(Map::new());
        }
        let Value::Object(inner) = inner else {
            return Err(ApiError::internal("a patch was lost"));
        };
        map = inner;
    }
    map.insert(last.to_owned(), value);
    Ok(())
}
