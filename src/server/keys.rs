//! Stream keys: whoever publishes to this program needs one.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::Api;
use super::answer::{Answered, Deleted, MaybeJson, Name, Reply};
use super::routes::{Doc, Routes};
use crate::control::keys::{KeyEntry, MadeKey, NewKey};
use crate::control::{ApiError, ErrorCode, Event};

/// Every key.
#[derive(Debug, Serialize, JsonSchema)]
struct KeyList {
    /// The keys, the oldest first.
    keys: Vec<KeyEntry>,
}

/// A key itself.
#[derive(Debug, Serialize, JsonSchema)]
struct Revealed {
    /// The key.
    key: String,
}

/// The routes.
pub fn routes() -> Routes {
    let id = json!({"type": "string", "pattern": "^[0-9a-f]{16}$"});
    let doc =
        |name, summary| Doc::new("keys", name, summary).path("id", id.clone(), "The key's name.");
    Routes::new()
        .get(
            "/keys",
            Doc::new("keys", "listKeys", "Lists the stream keys, without what is secret of them")
                .answers::<KeyList>("The keys."),
            list,
        )
        .post(
            "/keys",
            Doc::new("keys", "createKey", "Makes a stream key")
                .more("The key is in this answer and, unless it is `readable`, never shown again: its hash alone is kept.")
                .optional_body::<NewKey>()
                .answer(201, "The key.", super::routes::schema_of::<MadeKey>, false)
                .kept()
                .leads("id", &["deleteKey", "revealKey"])
                .error(ErrorCode::Conflict),
            create,
        )
        .delete(
            "/keys/{id}",
            doc("deleteKey", "Deletes a stream key; who publishes with it is let go").answers::<Deleted>("It is gone.").kept(),
            delete,
        )
        .post(
            "/keys/{id}/reveal",
            doc("revealKey", "Shows a readable key again")
                .answers::<Revealed>("The key.")
                .error(ErrorCode::Conflict),
            reveal,
        )
}

async fn list(State(api): State<Api>) -> Answered {
    Reply::of(KeyList {
        keys: api.keys().list(),
    })
}

async fn create(State(api): State<Api>, body: MaybeJson) -> Answered {
    let new: NewKey = body.read()?;
    let made = api.keys().make(&new)?;
    tell(&api, "key:create", &made.id);
    Ok(Reply::of(made)?.created().kept())
}

async fn delete(State(api): State<Api>, Name(id): Name) -> Answered {
    api.keys().delete(&id)?;
    api.rtmp().kick_key(&id);
    tell(&api, "key:delete", &id);
    Ok(Reply::of(Deleted { id })?.kept())
}

async fn reveal(State(api): State<Api>, Name(id): Name) -> Answered {
    Reply::of(Revealed {
        key: api.keys().reveal(&id)?,
    })
}

fn tell(api: &Api, kind: &'static str, id: &str) {
    api.station()
        .tell(Event::about(kind, id, json!({"id": id})));
}

/// Does what waits for a disk where it holds nobody up.
///
/// # Errors
/// Its own.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(ApiError::internal("the work failed")))
}
