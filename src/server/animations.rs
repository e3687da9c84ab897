//! The motion of one layer: properties that go to new values, and the timelines that move it.

use axum::extract::State;
use components::animation::{Glide, TrackSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Api;
use super::answer::{Answered, Asking, Json, Name, Params, Reply, asked};
use super::layers::shown;
use super::routes::{Doc, Routes};
use crate::control::change::{StopTimeline, UpdateLayer};
use crate::control::schema::{LayerPatch, NAME_PATTERN};
use crate::control::view::{self, LayerView, TimelineView};
use crate::control::{Asked, Change, Work};

const TAG: &str = "layers";
/// The query parameter that has things go on from what is on screen.
const BLEND: &str = "blend";

/// Where a layer's properties go, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Animation {
    /// The fields of the layer that change. They are the layer's own from now on; numbers and colours are seen to go there.
    #[schemars(with = "LayerPatch")]
    to: Value,
    /// Seconds, 0 to 600; of a spring, the time of one swing. Default 0.5.
    #[serde(default = "duration")]
    #[schemars(range(min = 0, max = 600))]
    duration: f32,
    /// Its course. Default `easeInOutCubic`.
    #[serde(default = "easing")]
    easing: components::animation::Easing,
    /// Seconds before it begins. Default 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 600))]
    delay: f32,
}

fn duration() -> f32 {
    Glide::default().duration
}

fn easing() -> components::animation::Easing {
    Glide::default().easing
}

/// What moves a layer.
#[derive(Debug, Serialize, JsonSchema)]
struct AnimationList {
    /// Each timeline with tracks of the layer.
    animations: Vec<Moving>,
    /// How many there are.
    count: usize,
}

/// A timeline that moves a layer.
#[derive(Debug, Serialize, JsonSchema)]
struct Moving {
    /// The timeline.
    timeline: TimelineView,
    /// The properties that it moves.
    properties: Vec<String>,
}

/// The routes.
pub fn routes() -> Routes {
    let doc = |id, summary| {
        let pattern = json!({"type": "string", "pattern": NAME_PATTERN});
        Doc::new(TAG, id, summary).path("id", pattern, "The layer's id.")
    };
    Routes::new()
        .get(
            "/layers/{id}/animations",
            doc("listAnimations", "Lists the timelines that move a layer")
                .answers::<AnimationList>("The timelines."),
            list,
        )
        .post(
            "/layers/{id}/animations",
            doc("animateLayer", "Moves a layer to new values from what is on screen")
                .more(
                    "What was on its way goes on from where it then is. Saving the scene saves the new values, not the way there.",
                )
                .body::<Animation>()
                .example(json!({
                    "to": {"position": {"x": 1200}, "opacity": 0.6},
                    "duration": 0.8, "easing": {"spring": {"bounce": 0.3}},
                }))
                .terms()
                .changes::<LayerView>("The layer after it."),
            animate,
        )
        .delete(
            "/layers/{id}/animations",
            doc("stopAnimations", "Stops every timeline that moves a layer")
                .more("They are stopped as a whole, for the other layers that they move too.")
                .glide(BLEND)
                .terms()
                .changes::<AnimationList>("The timelines after it."),
            stop,
        )
}

fn moving(api: &Api, id: &str, tick: u64) -> AnimationList {
    let snapshot = api.director().snapshot();
    let specs = &snapshot.show.program.spec.timelines;
    let moves = |track: &&TrackSpec| track.layers.iter().any(|layer| layer.as_str() == id);
    let animations: Vec<Moving> = view::timelines(&snapshot, tick)
        .into_iter()
        .filter_map(|timeline| {
            let spec = specs.iter().find(|spec| spec.id == timeline.id)?;
            let tracks = spec.tracks.iter().filter(moves);
            let properties: Vec<String> = tracks
                .map(|track| track.property.name().into_owned())
                .collect();
            (!properties.is_empty()).then_some(Moving {
                timeline,
                properties,
            })
        })
        .collect();
    let count = animations.len();
    AnimationList { animations, count }
}

async fn list(State(api): State<Api>, Name(id): Name) -> Answered {
    shown(&api.director().snapshot().show, &id)?;
    let tick = api.station().status().tick;
    Reply::of(moving(&api, &id, tick))
}

async fn animate(
    State(api): State<Api>,
    Name(id): Name,
    Asking(terms): Asking,
    body: Json,
) -> Answered {
    let Animation {
        to,
        duration,
        easing,
        delay,
    } = body.read()?;
    let change = Change::UpdateLayer(UpdateLayer {
        id: id.clone(),
        patch: to,
        animate: Some(Glide {
            duration,
            easing,
            delay,
        }),
        snap: false,
    });
    let asked = Asked {
        change,
        path: String::new(),
        payload_path: "to".to_owned(),
    };
    let outcome = api.director().change(asked, terms).await?;
    Reply::changed(&outcome, shown(&outcome.show, &id)?)
}

async fn stop(
    State(api): State<Api>,
    Name(id): Name,
    query: Params,
    Asking(terms): Asking,
) -> Answered {
    shown(&api.director().snapshot().show, &id)?;
    let blend = query.glide(BLEND)?;
    let tick = api.station().status().tick;
    let stops = moving(&api, &id, tick)
        .animations
        .into_iter()
        .map(|moving| {
            asked(Change::StopTimeline(StopTimeline {
                id: moving.timeline.id,
                blend,
            }))
        })
        .collect();
    let outcome = api.director().ask(Work::Changes(stops), terms).await?;
    Reply::changed(&outcome, moving(&api, &id, outcome.tick))
}
