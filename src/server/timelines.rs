//! The timelines of the scene on air.

use axum::extract::State;
use components::animation::TimelineSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Api;
use super::answer::{Answered, Asking, Deleted, Json, Name, Params, Reply, asked};
use super::routes::{Doc, Routes};
use crate::control::change::{
    DeleteTimeline, PauseTimeline, PlayTimeline, PutTimeline, SeekTimeline, SeekTo, StopTimeline,
};
use crate::control::view::{self, TimelineView};
use crate::control::{ApiError, Change, Terms, authored};

const TAG: &str = "timelines";

/// Every timeline.
#[derive(Debug, Serialize, JsonSchema)]
struct TimelineList {
    /// The timelines, by name.
    timelines: Vec<TimelineView>,
    /// How many there are.
    count: usize,
}

/// A timeline, or the timelines of a group.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what is answered")]
enum Told {
    /// A timeline.
    One(TimelineView),
    /// The timelines of a group.
    Group(TimelineList),
}

/// The query parameter that has things go on from what is on screen.
const BLEND: &str = "blend";

/// A time to go to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Seek {
    /// Seconds from the start, or the name of a marker.
    to: SeekTo,
}

/// The routes.
pub fn routes() -> Routes {
    let doc = |id, summary| Doc::new(TAG, id, summary);
    let act = |id, summary| {
        Doc::new(TAG, id, summary)
            .more("With the name of a group it is done to each of its timelines, on one tick.")
            .terms()
            .changes::<Told>("The timeline after it, or those of the group.")
    };
    let blended = |id, summary| act(id, summary).glide(BLEND);
    Routes::new()
        .get(
            "/timelines",
            doc("listTimelines", "Lists the timelines of the scene on air, and where each stands")
                .answers::<TimelineList>("The timelines."),
            list,
        )
        .get(
            "/timelines/{id}",
            doc("getTimeline", "Gives a timeline as it was written").answers::<TimelineSpec>("The timeline."),
            get,
        )
        .put(
            "/timelines/{id}",
            doc("putTimeline", "Adds a timeline, or changes the one of this name, which goes on from where it stands")
                .body::<TimelineSpec>()
                .terms()
                .changes::<TimelineView>("The timeline after it.")
                .leads("id", &["getTimeline", "playTimeline", "pauseTimeline", "seekTimeline", "stopTimeline", "deleteTimeline"]),
            put,
        )
        .delete(
            "/timelines/{id}",
            doc("deleteTimeline", "Removes a timeline; what it moved goes back to its own values")
                .terms()
                .changes::<Deleted>("It is gone."),
            delete,
        )
        .post(
            "/timelines/{id}/play",
            blended("playTimeline", "Plays a timeline: on from where it stands, from its start when it was stopped or has ended"),
            play,
        )
        .post(
            "/timelines/{id}/pause",
            act("pauseTimeline", "Lets a timeline stand still where it is"),
            pause,
        )
        .post(
            "/timelines/{id}/seek",
            blended("seekTimeline", "Moves a timeline to a time; whether it plays does not change")
                .body::<Seek>()
                .example(json!({"to": 1.5})),
            seek,
        )
        .post(
            "/timelines/{id}/stop",
            blended("stopTimeline", "Lets a timeline go of everything that it moves"),
            stop,
        )
}

async fn list(State(api): State<Api>) -> Answered {
    let snapshot = api.director().snapshot();
    let tick = api.station().status().tick;
    let timelines = view::timelines(&snapshot, tick);
    let count = timelines.len();
    Reply::of(TimelineList { timelines, count })
}

async fn get(State(api): State<Api>, Name(id): Name) -> Answered {
    let snapshot = api.director().snapshot();
    let timelines = &snapshot.show.program.spec.timelines;
    let found = timelines.iter().find(|timeline| timeline.id == id);
    Reply::of(found.map(|timeline| &**timeline).ok_or_else(|| {
        let known = timelines.iter().map(|timeline| timeline.id.as_str());
        ApiError::not_found("timeline", &id, known)
    })?)
}

async fn put(
    State(api): State<Api>,
    Name(id): Name,
    Asking(terms): Asking,
    Json(timeline): Json,
) -> Answered {
    if timeline
        .get("id")
        .is_some_and(|other| other.as_str() != Some(&id))
    {
        let message = "it must be the name in the path";
        return Err(authored::unusable("id".to_owned(), message));
    }
    make(
        &api,
        id,
        Change::PutTimeline(PutTimeline { timeline }),
        terms,
    )
    .await
}

async fn delete(State(api): State<Api>, Name(id): Name, Asking(terms): Asking) -> Answered {
    let change = Change::DeleteTimeline(DeleteTimeline { id: id.clone() });
    let outcome = api.director().change(asked(change), terms).await?;
    Reply::changed(&outcome, Deleted { id })
}

async fn play(
    State(api): State<Api>,
    Name(id): Name,
    query: Params,
    Asking(terms): Asking,
) -> Answered {
    let blend = query.glide(BLEND)?;
    let change = Change::PlayTimeline(PlayTimeline {
        id: id.clone(),
        blend,
    });
    make(&api, id, change, terms).await
}

async fn pause(State(api): State<Api>, Name(id): Name, Asking(terms): Asking) -> Answered {
    let change = Change::PauseTimeline(PauseTimeline { id: id.clone() });
    make(&api, id, change, terms).await
}

async fn stop(
    State(api): State<Api>,
    Name(id): Name,
    query: Params,
    Asking(terms): Asking,
) -> Answered {
    let blend = query.glide(BLEND)?;
    let change = Change::StopTimeline(StopTimeline {
        id: id.clone(),
        blend,
    });
    make(&api, id, change, terms).await
}

async fn seek(
    State(api): State<Api>,
    Name(id): Name,
    query: Params,
    Asking(terms): Asking,
    body: Json,
) -> Answered {
    let Seek { to } = body.read()?;
    let blend = query.glide(BLEND)?;
    let change = Change::SeekTimeline(SeekTimeline {
        id: id.clone(),
        to,
        blend,
    });
    make(&api, id, change, terms).await
}

/// Does it, and tells every timeline that it was told to.
async fn make(api: &Api, id: String, change: Change, terms: Terms) -> Answered {
    let outcome = api.director().change(asked(change), terms).await?;
    let group: Vec<&str> = outcome
        .show
        .program
        .spec
        .timelines
        .iter()
        .filter(|timeline| timeline.group.as_deref() == Some(&id))
        .map(|timeline| timeline.id.as_str())
        .collect();
    let mut views = view::timelines(&api.director().snapshot(), outcome.tick);
    if group.is_empty() {
        let own = views.into_iter().find(|view| view.id == id);
        let own = own.ok_or_else(|| ApiError::not_found("timeline", &id, []));
        return Reply::changed(&outcome, own?);
    }
    views.retain(|view| group.contains(&view.id.as_str()));
    let count = views.len();
    let timelines = views;
    Reply::changed(&outcome, TimelineList { timelines, count })
}
