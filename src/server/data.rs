//! The variables of the scene on air.

use axum::extract::State;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{Answered, Asking, Json, Reply, asked};
use super::routes::{Doc, Routes};
use crate::control::Change;
use crate::control::change::UpdateData;

type Variables = Map<String, Value>;

/// The routes.
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/data",
            Doc::new("data", "getData", "Gives the variables of the scene on air")
                .answers::<Variables>("The variables."),
            get,
        )
        .patch(
            "/data",
            Doc::new("data", "updateData", "Changes variables; every text, number and picture bound to them changes on one frame")
                .more("A JSON merge patch (RFC 7396): what is absent stays, null removes.")
                .body::<Variables>()
                .example(json!({"auction": {"bid": 19.2, "bidder": "mira.eth"}}))
                .terms()
                .changes::<Variables>("The variables after it."),
            patch,
        )
}

async fn get(State(api): State<Api>) -> Answered {
    Reply::of(&*api.director().snapshot().show.program.spec.data)
}

async fn patch(State(api): State<Api>, Asking(terms): Asking, Json(patch): Json) -> Answered {
    let change = Change::UpdateData(UpdateData { patch });
    let outcome = api.director().change(asked(change), terms).await?;
    Reply::changed(&outcome, &*outcome.show.program.spec.data)
}
