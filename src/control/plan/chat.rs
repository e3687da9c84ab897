//! Changes of chats: messages that come and go. They are edits of the chat's layer, like any other.

use std::sync::Arc;

use components::source::{ChatMessage, ChatSource, Source};
use components::{Problem, Problems};
use serde_json::Value;

use super::Work;
use crate::control::authored;
use crate::control::change::{DeleteChat, PUSH_MAX};
use crate::control::error::ApiError;
use crate::control::show::{layer_at, siblings_mut};
use crate::scene::registry::{self, field};

impl Work<'_> {
    /// Adds messages; the oldest go when there are too many. One whose id is there takes the place of the other.
    pub(super) fn push_chat(
        &mut self,
        id: &str,
        messages: &Value,
        at: &str,
    ) -> Result<(), ApiError> {
        let messages = read_messages(messages, at)?;
        let prefix = made_prefix(self.before.revision + 1);
        let mut made = self.messages_made;
        self.edit_chat(id, |chat| {
            for mut message in messages {
                while message.id.is_empty() {
                    made += 1;
                    let own = format!("{prefix}{made}");
                    if chat.messages.iter().all(|other| other.id != own) {
                        message.id = own;
                    }
                }
                let mut others = chat.messages.iter_mut();
                match others.find(|other| other.id == message.id) {
                    Some(other) => *other = Arc::new(message),
                    None => chat.messages.push(Arc::new(message)),
                }
            }
            let over = chat
                .messages
                .len()
                .saturating_sub(chat.max_messages as usize);
            chat.messages.drain(..over);
            Ok(())
        })?;
        self.messages_made = made;
        Ok(())
    }

    /// Takes one message away, or all of an author.
    pub(super) fn delete_chat(&mut self, delete: &DeleteChat, at: &str) -> Result<(), ApiError> {
        self.edit_chat(&delete.id, |chat| {
            match (&delete.message, &delete.author) {
                (Some(id), None) => {
                    let known = chat.messages.iter().map(|message| message.id.as_str());
                    let Some(place) = known.clone().position(|other| other == id) else {
                        return Err(ApiError::not_found("message", id, known));
                    };
                    chat.messages.remove(place);
                }
                (None, Some(author)) => {
                    chat.messages.retain(|message| message.author != *author);
                }
                _ => {
                    let message = "name either a `message` or an `author`";
                    return Err(authored::unusable(field(at, "message"), message));
                }
            }
            Ok(())
        })
    }

    /// Takes all messages away.
    pub(super) fn clear_chat(&mut self, id: &str) -> Result<(), ApiError> {
        self.edit_chat(id, |chat| {
            chat.messages.clear();
            Ok(())
        })
    }

    fn edit_chat(
        &mut self,
        id: &str,
        edit: impl FnOnce(&mut ChatSource) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let place = self.find(id)?;
        let old = layer_at(&self.show.program.spec.layers, &place)
            .ok_or_else(|| ApiError::internal("a layer was lost"))?;
        let mut layer = (**old).clone();
        let Source::Chat(chat) = &mut layer.source else {
            return Err(no_chat(id));
        };
        edit(chat)?;
        let index = place.last().copied().unwrap_or_default();
        let list = siblings_mut(&mut self.scene().layers, &place)
            .ok_or_else(|| ApiError::internal("a layer was lost"))?;
        if let Some(slot) = list.get_mut(index) {
            *slot = Arc::new(layer);
        }
        Ok(())
    }
}

/// What the ids begin with of messages that came without one, and that the change to `revision` adds.
pub fn made_prefix(revision: u64) -> String {
    format!("m{revision}-")
}

/// A layer that has no messages was asked for some.
pub fn no_chat(id: &str) -> ApiError {
    ApiError::conflict(format!("the layer `{id}` is not a chat"))
}

/// One message or a list of them.
fn read_messages(value: &Value, at: &str) -> Result<Vec<ChatMessage>, ApiError> {
    let mut problems = Problems::new();
    let messages = match value {
        Value::Array(list) if list.is_empty() || list.len() > PUSH_MAX => {
            problems.push(Problem {
                path: at.to_owned(),
                message: format!("expected 1 to {PUSH_MAX} messages, found {}", list.len()),
                ..Problem::default()
            });
            Vec::new()
        }
        Value::Array(list) => list
            .iter()
            .enumerate()
            .filter_map(|(index, value)| {
                registry::parse_value(value, &format!("{at}[{index}]"), &mut problems)
            })
            .collect(),
        one => registry::parse_value(one, at, &mut problems)
            .into_iter()
            .collect(),
    };
    if problems.is_empty() {
        Ok(messages)
    } else {
        Err(authored::refused(&problems.into_vec()))
    }
}
