//! The change from the scene on air to the next.

use axum::extract::State;
use serde_json::json;

use super::Api;
use super::answer::{Answered, Asking, Json, Reply, asked};
use super::routes::{Doc, Routes};
use crate::control::change::{HoldTransition, RunAction, RunTransition};
use crate::control::view::{self, TransitionView};
use crate::control::{Change, ErrorCode, Terms};

const TAG: &str = "scenes";

/// The routes.
pub fn routes() -> Routes {
    let doc = |id, summary| Doc::new(TAG, id, summary);
    let run = |id, summary| {
        doc(id, summary)
            .terms()
            .error(ErrorCode::Conflict)
            .changes::<TransitionView>("The change of scenes after it.")
    };
    Routes::new()
        .get(
            "/transition",
            doc("getTransition", "Tells where the change of scenes stands")
                .answers::<TransitionView>("The change of scenes."),
            get,
        )
        .put(
            "/transition",
            run(
                "holdTransition",
                "Moves the change of scenes by hand, as the bar of a vision mixer does",
            )
            .more(
                "Starts a change to the scene in preview, or to `scene`, where none is in course.",
            )
            .body::<HoldTransition>()
            .error(ErrorCode::NotFound)
            .example(json!({"position": 0.35})),
            hold,
        )
        .post(
            "/transition/continue",
            run(
                "continueTransition",
                "Lets the change of scenes go on to its end from where it stands",
            ),
            go_on,
        )
        .post(
            "/transition/reverse",
            run(
                "reverseTransition",
                "Turns the change of scenes round, from what is on screen",
            ),
            reverse,
        )
        .post(
            "/transition/cancel",
            run(
                "cancelTransition",
                "Takes the scene that goes back on air at once",
            ),
            cancel,
        )
        .post(
            "/transition/finish",
            run("finishTransition", "Ends the change of scenes at once"),
            finish,
        )
}

async fn get(State(api): State<Api>) -> Answered {
    let tick = api.station().status().tick;
    Reply::of(view::transition(&api.director().snapshot(), tick))
}

async fn hold(State(api): State<Api>, Asking(terms): Asking, body: Json) -> Answered {
    make(&api, Change::HoldTransition(body.read()?), terms).await
}

async fn go_on(State(api): State<Api>, Asking(terms): Asking) -> Answered {
    run(&api, RunAction::Continue, terms).await
}

async fn reverse(State(api): State<Api>, Asking(terms): Asking) -> Answered {
    run(&api, RunAction::Reverse, terms).await
}

async fn cancel(State(api): State<Api>, Asking(terms): Asking) -> Answered {
    run(&api, RunAction::Cancel, terms).await
}

async fn finish(State(api): State<Api>, Asking(terms): Asking) -> Answered {
    run(&api, RunAction::Finish, terms).await
}

async fn run(api: &Api, action: RunAction, terms: Terms) -> Answered {
    make(api, Change::RunTransition(RunTransition { action }), terms).await
}

async fn make(api: &Api, change: Change, terms: Terms) -> Answered {
    let outcome = api.director().change(asked(change), terms).await?;
    let shown = view::transition(&api.director().snapshot(), outcome.tick);
    Reply::changed(&outcome, shown)
}
