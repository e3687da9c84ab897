//! The messages of a chat on air.

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use components::source::{ChatMessage, ChatSource, Source};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use super::answer::{Answered, Asking, Json, Name, Params, Reply, asked};
use super::routes::{Doc, Routes};
use crate::control::change::{ClearChat, DeleteChat, PushChat};
use crate::control::plan::{made_prefix, no_chat};
use crate::control::schema::{NAME_PATTERN, messages};
use crate::control::show::{find_layer, layer_at, layer_ids};
use crate::control::view::json_of;
use crate::control::{ApiError, Change, ErrorCode, Show};

const TAG: &str = "chat";
/// The query parameter that has only the messages of one author deleted.
const AUTHOR: &str = "author";

/// Messages of a chat.
#[derive(Debug, Serialize, JsonSchema)]
struct MessageList {
    /// The messages, the oldest first.
    #[schemars(with = "Vec<ChatMessage>")]
    messages: Value,
    /// How many there are.
    count: usize,
}

/// What was deleted from a chat.
#[derive(Debug, Serialize, JsonSchema)]
struct Silenced {
    /// The layer.
    id: String,
    /// How many messages are left.
    count: usize,
}

/// The routes.
pub fn routes() -> Routes {
    let doc = |id, summary| {
        let pattern = json!({"type": "string", "pattern": NAME_PATTERN});
        Doc::new(TAG, id, summary)
            .path("id", pattern, "The id of the chat's layer.")
            .error(ErrorCode::Conflict)
    };
    Routes::new()
        .get(
            "/layers/{id}/chat",
            doc("listMessages", "Lists the messages of a chat, the oldest first")
                .answers::<MessageList>("The messages."),
            list,
        )
        .post(
            "/layers/{id}/chat",
            doc("pushMessages", "Adds a message to a chat, or a list of them")
                .more(
                    "They are seen on the frame that the answer names. When the chat has more than its `maxMessages`, the oldest go. \
                     An id is made where there is none; a message whose id is there takes the place of the other. \
                     Words are shown as they are: braces are no template. WebSocket tells `chat:message`.",
                )
                .json(messages, true)
                .example(json!({"author": "Mira", "text": "Good evening from Lisbon 👋", "badges": ["MOD"]}))
                .terms()
                .changes::<MessageList>("The messages as they would be added, with `dryRun`.")
                .creates::<MessageList>("The messages that were added, with their ids."),
            push,
        )
        .delete(
            "/layers/{id}/chat",
            doc("clearMessages", "Takes all messages of a chat away, or all of one author")
                .more("They vanish at once. WebSocket tells `chat:delete`.")
                .query(
                    AUTHOR,
                    json!({"type": "string", "maxLength": ChatMessage::AUTHOR_MAX}),
                    "Only messages of this author, exactly as it is written in them.",
                )
                .terms()
                .changes::<Silenced>("They are gone."),
            clear,
        )
        .delete(
            "/layers/{id}/chat/{message}",
            doc("deleteMessage", "Takes a message of a chat away")
                .more("It vanishes at once. WebSocket tells `chat:delete`.")
                .path(
                    "message",
                    json!({"type": "string", "minLength": 1, "maxLength": ChatMessage::ID_MAX}),
                    "The message's id.",
                )
                .terms()
                .changes::<Silenced>("It is gone."),
            delete,
        )
}

/// The chat of a layer on air.
fn chat<'s>(show: &'s Show, id: &str) -> Result<&'s ChatSource, ApiError> {
    let spec = &show.program.spec;
    let layer = find_layer(&spec.layers, id).and_then(|place| layer_at(&spec.layers, &place));
    match layer.map(|layer| &layer.source) {
        Some(Source::Chat(chat)) => Ok(&**chat),
        Some(_) => Err(no_chat(id)),
        None => Err(ApiError::not_found("layer", id, layer_ids(spec))),
    }
}

async fn list(State(api): State<Api>, Name(id): Name) -> Answered {
    let snapshot = api.director().snapshot();
    let messages = &chat(&snapshot.show, &id)?.messages;
    Reply::of(MessageList {
        count: messages.len(),
        messages: json_of(messages),
    })
}

async fn push(
    State(api): State<Api>,
    Name(id): Name,
    Asking(terms): Asking,
    Json(messages): Json,
) -> Answered {
    let given: Vec<String> = match &messages {
        Value::Array(list) => list.iter().filter_map(id_of).collect(),
        one => id_of(one).into_iter().collect(),
    };
    let change = Change::PushChat(PushChat {
        id: id.clone(),
        messages,
    });
    let outcome = api.director().change(asked(change), terms).await?;
    let revision = outcome.revision + u64::from(terms.dry_run);
    let made = made_prefix(revision);
    let added: Vec<&ChatMessage> = chat(&outcome.show, &id)?
        .messages
        .iter()
        .filter(|message| given.contains(&message.id) || message.id.starts_with(&made))
        .map(|message| &**message)
        .collect();
    let list = MessageList {
        count: added.len(),
        messages: json_of(&added),
    };
    Ok(Reply::changed(&outcome, list)?.made(&terms))
}

/// The id that a message was sent with.
fn id_of(message: &Value) -> Option<String> {
    message["id"].as_str().map(str::to_owned)
}

async fn clear(
    State(api): State<Api>,
    Name(id): Name,
    query: Params,
    Asking(terms): Asking,
) -> Answered {
    let change = match query.get(AUTHOR) {
        Some(author) => Change::DeleteChat(DeleteChat {
            id: id.clone(),
            author: Some(author.to_owned()),
            message: None,
        }),
        None => Change::ClearChat(ClearChat { id: id.clone() }),
    };
    let outcome = api.director().change(asked(change), terms).await?;
    let count = chat(&outcome.show, &id)?.messages.len();
    Reply::changed(&outcome, Silenced { id, count })
}

async fn delete(
    State(api): State<Api>,
    Message { id, message }: Message,
    Asking(terms): Asking,
) -> Answered {
    let change = Change::DeleteChat(DeleteChat {
        id: id.clone(),
        message: Some(message),
        author: None,
    });
    let outcome = api.director().change(asked(change), terms).await?;
    let count = chat(&outcome.show, &id)?.messages.len();
    Reply::changed(&outcome, Silenced { id, count })
}

/// The two names in a message's path.
struct Message {
    id: String,
    message: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Message {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map(|Path((id, message))| Self { id, message })
            .map_err(|_| ApiError::new(ErrorCode::BadRequest, "the path is not UTF-8"))
    }
}
