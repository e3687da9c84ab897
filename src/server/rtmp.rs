//! The RTMP server's connections.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::Api;
use super::answer::{Answered, Deleted, Name, Reply};
use super::routes::{Doc, Routes};
use crate::control::ApiError;
use crate::rtmp::SessionEntry;

/// Every connection.
#[derive(Debug, Serialize, JsonSchema)]
struct SessionList {
    /// The connections, the oldest first.
    sessions: Vec<SessionEntry>,
}

/// The routes.
pub fn routes() -> Routes {
    let id = json!({"type": "string", "pattern": "^[1-9][0-9]{0,15}$"});
    Routes::new()
        .get(
            "/rtmp",
            Doc::new("rtmp", "listRtmpSessions", "Lists who publishes and plays over RTMP")
                .more("Publishers send to `rtmp://host:1935/live/<key>`; players watch `/live/program`, and what is published at `/live/<id or name of the key>`.")
                .answers::<SessionList>("The connections."),
            list,
        )
        .delete(
            "/rtmp/{id}",
            Doc::new("rtmp", "kickRtmpSession", "Closes a connection of RTMP")
                .more("A publisher may come back at once; delete its key to keep it away.")
                .path("id", id, "The connection's name.")
                .answers::<Deleted>("It is let go."),
            kick,
        )
}

async fn list(State(api): State<Api>) -> Answered {
    Reply::of(SessionList {
        sessions: api.rtmp().sessions(),
    })
}

async fn kick(State(api): State<Api>, Name(id): Name) -> Answered {
    if !api.rtmp().kick(&id) {
        return Err(ApiError::not_found("connection", &id, []));
    }
    Reply::of(Deleted { id })
}
