//! Outputs and renditions: where the program goes, in which encodings, and how that goes.

use std::sync::Arc;

use axum::extract::State;
use components::output::OutputSpec;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Api;
use super::answer::{Answered, Asking, Deleted, Json, Name, Reply};
use super::routes::{Doc, Routes};
use crate::control::outputs::check::{Finding, Level, findings};
use crate::control::outputs::view::{self, OutputView, RenditionView};
use crate::control::outputs::{OutputChange, OutputList, read_output, rendition_settings};
use crate::control::schema::{OutputPatch, RenditionPatch};
use crate::control::{ApiError, ErrorCode, Terms};

const TAG: &str = "outputs";
const RENDITIONS: &str = "renditions";

/// Every output.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OutputsAnswer {
    /// The outputs: those of the settings, then of the scene, then of the API.
    outputs: Vec<OutputView>,
    /// How many there are.
    count: usize,
}

/// Every rendition.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RenditionsAnswer {
    /// The renditions, `main` first.
    renditions: Vec<RenditionView>,
    /// How many there are.
    count: usize,
}

/// What there is to be said of an output.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Checked {
    /// The output's name.
    id: String,
    /// Whether nothing of it is an error.
    ok: bool,
    /// What matters most first.
    findings: Vec<Finding>,
}

/// The routes.
pub fn routes() -> Routes {
    let id = json!({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"});
    let doc =
        |name, summary| Doc::new(TAG, name, summary).path("id", id.clone(), "The output's name.");
    let own = [
        "getOutput",
        "patchOutput",
        "deleteOutput",
        "startOutput",
        "stopOutput",
        "retryOutput",
        "checkOutput",
    ];
    Routes::new()
        .get(
            "/outputs",
            Doc::new(TAG, "listOutputs", "Lists the outputs with how they go")
                .answers::<OutputsAnswer>("The outputs."),
            async |State(api): State<Api>| list(&api),
        )
        .post(
            "/outputs",
            Doc::new(TAG, "addOutput", "Adds an output, which joins the running stream at the next keyframe")
                .more("The answer comes once it is saved, so that it is there again after a restart, and its thread runs. That its peer can be \
                       reached is told by its status and by events. Nothing secret is in any answer.")
                .body::<OutputSpec>()
                .example(json!({"id": "twitch", "platform": "twitch", "keyFrom": "TWITCH_STREAM_KEY"}))
                .terms()
                .changes::<OutputView>("It was only tried.")
                .creates::<OutputView>("It is there.")
                .leads("id", &own),
            async |State(api): State<Api>, Asking(terms): Asking, Json(body): Json| add(&api, &body, terms).await,
        )
        .post(
            "/outputs/check",
            Doc::new(TAG, "checkNewOutput", "Says what is to be said of an output that is not added yet")
                .body::<OutputSpec>()
                .answers::<Checked>("What there is to be said."),
            async |State(api): State<Api>, Json(body): Json| check(&api, &read_output(&body)?),
        )
        .get(
            "/outputs/{id}",
            doc("getOutput", "Gives an output with how it goes").answers::<OutputView>("The output."),
            async |State(api): State<Api>, Name(id): Name| get(&api, &id),
        )
        .patch(
            "/outputs/{id}",
            doc("patchOutput", "Changes some fields of an output, which begins anew with them")
                .body::<OutputPatch>()
                .example(json!({"renditions": ["720p"]}))
                .terms()
                .changes::<OutputView>("The output after it."),
            async |State(api): State<Api>, Name(id): Name, Asking(terms): Asking, Json(body): Json| {
                update(&api, &id, body, terms).await
            },
        )
        .delete(
            "/outputs/{id}",
            doc("deleteOutput", "Takes an output away; it writes what waits and says goodbye")
                .terms()
                .changes::<Deleted>("It is gone, after a restart too."),
            async |State(api): State<Api>, Name(id): Name, Asking(terms): Asking| remove(&api, &id, terms).await,
        )
        .post(
            "/outputs/{id}/start",
            doc("startOutput", "Starts an output that was stopped; one that runs goes on")
                .terms()
                .changes::<OutputView>("The output after it."),
            async |State(api): State<Api>, Name(id): Name, Asking(terms): Asking| enable(&api, &id, true, terms).await,
        )
        .post(
            "/outputs/{id}/stop",
            doc("stopOutput", "Stops an output, until it is started; the others go on")
                .terms()
                .changes::<OutputView>("The output after it."),
            async |State(api): State<Api>, Name(id): Name, Asking(terms): Asking| enable(&api, &id, false, terms).await,
        )
        .post(
            "/outputs/{id}/retry",
            doc("retryOutput", "Has an output try again at once that waits or has given up")
                .answers::<OutputView>("The output.")
                .error(ErrorCode::Conflict)
                .error(ErrorCode::Invalid),
            async |State(api): State<Api>, Name(id): Name| retry(&api, &id).await,
        )
        .get(
            "/outputs/{id}/check",
            doc("checkOutput", "Says what its platform, container or player would say of an output")
                .answers::<Checked>("What there is to be said."),
            async |State(api): State<Api>, Name(id): Name| check_id(&api, &id),
        )
        .merge(renditions())
}

fn renditions() -> Routes {
    let id = json!({"type": "string", "pattern": "^[a-z0-9-]{1,32}$"});
    Routes::new()
        .get(
            "/renditions",
            Doc::new(RENDITIONS, "listRenditions", "Lists the encodings of the program with how they go")
                .answers::<RenditionsAnswer>("The renditions."),
            async |State(api): State<Api>| list_renditions(&api),
        )
        .get(
            "/renditions/{id}",
            Doc::new(RENDITIONS, "getRendition", "Gives a rendition with how it goes")
                .path("id", id.clone(), "The rendition's name.")
                .answers::<RenditionView>("The rendition."),
            async |State(api): State<Api>, Name(id): Name| get_rendition(&api, &id),
        )
        .patch(
            "/renditions/{id}",
            Doc::new(RENDITIONS, "patchRendition", "Changes some fields of a rendition")
                .more("Bitrate and preset hold at once, without a reconnect; the rest is listed under `atNextStart`. It is saved.")
                .path("id", id, "The rendition's name.")
                .body::<RenditionPatch>()
                .example(json!({"bitrate": 2500}))
                .terms()
                .changes::<RenditionView>("The rendition after it."),
            async |State(api): State<Api>, Name(id): Name, Asking(terms): Asking, Json(body): Json| {
                update_rendition(&api, &id, body, terms).await
            },
        )
}

/// Every output with how it goes.
pub fn list(api: &Api) -> Answered {
    let list = Arc::clone(&api.director().snapshot().show.outputs);
    let outputs: Vec<OutputView> = api
        .station()
        .outputs_now(&list)
        .iter()
        .map(view::output)
        .collect();
    let count = outputs.len();
    Reply::of(OutputsAnswer { outputs, count })
}

/// One output.
pub fn get(api: &Api, id: &str) -> Answered {
    let list = Arc::clone(&api.director().snapshot().show.outputs);
    Reply::of(shown(api, &list, id)?)
}

/// Adds an output.
pub async fn add(api: &Api, body: &Value, terms: Terms) -> Answered {
    let spec = read_output(body)?;
    let id = spec.id.clone();
    let change = OutputChange::Add(Box::new(spec));
    let outcome = api.station().change_outputs(change, terms).await?;
    let view = shown(api, &outcome.show.outputs, &id)?;
    Ok(Reply::changed(&outcome, view)?.made(&terms))
}

/// Changes an output.
pub async fn update(api: &Api, id: &str, patch: Value, terms: Terms) -> Answered {
    let change = OutputChange::Patch(id.to_owned(), object(patch)?);
    let outcome = api.station().change_outputs(change, terms).await?;
    Reply::changed(&outcome, shown(api, &outcome.show.outputs, id)?)
}

/// Takes an output away.
pub async fn remove(api: &Api, id: &str, terms: Terms) -> Answered {
    let change = OutputChange::Remove(id.to_owned());
    let outcome = api.station().change_outputs(change, terms).await?;
    Reply::changed(&outcome, Deleted { id: id.to_owned() })
}

/// Starts or stops an output.
pub async fn enable(api: &Api, id: &str, enabled: bool, terms: Terms) -> Answered {
    update(api, id, json!({"enabled": enabled}), terms).await
}

/// Has an output try again.
pub async fn retry(api: &Api, id: &str) -> Answered {
    api.station().retry_output(id).await?;
    get(api, id)
}

/// What is to be said of an output that is there.
pub fn check_id(api: &Api, id: &str) -> Answered {
    let list = Arc::clone(&api.director().snapshot().show.outputs);
    check(api, &list.output(id)?.spec)
}

/// What is to be said of an output.
pub fn check(api: &Api, spec: &OutputSpec) -> Answered {
    let show = Arc::clone(&api.director().snapshot().show);
    let settings = api.station().settings();
    let findings = findings(spec, &show.outputs, settings, &show.config);
    Reply::of(Checked {
        id: spec.id.clone(),
        ok: findings.iter().all(|finding| finding.level != Level::Error),
        findings,
    })
}

/// Every rendition with how it goes.
pub fn list_renditions(api: &Api) -> Answered {
    let list = Arc::clone(&api.director().snapshot().show.outputs);
    let ids = list.renditions.iter().map(|spec| spec.id.as_str());
    let renditions: Vec<RenditionView> = ids
        .map(|id| shown_rendition(api, &list, id))
        .collect::<Result<_, _>>()?;
    let count = renditions.len();
    Reply::of(RenditionsAnswer { renditions, count })
}

fn get_rendition(api: &Api, id: &str) -> Answered {
    let list = Arc::clone(&api.director().snapshot().show.outputs);
    Reply::of(shown_rendition(api, &list, id)?)
}

/// Changes a rendition.
pub async fn update_rendition(api: &Api, id: &str, patch: Value, terms: Terms) -> Answered {
    let change = OutputChange::Rendition(id.to_owned(), object(patch)?);
    let outcome = api.station().change_outputs(change, terms).await?;
    Reply::changed(&outcome, shown_rendition(api, &outcome.show.outputs, id)?)
}

fn shown(api: &Api, list: &OutputList, id: &str) -> Result<OutputView, ApiError> {
    let entry = list.output(id)?;
    let stats = api.station().streaming_stats().map(|stats| stats.outputs);
    let now = api.station().desk().now(entry, &stats.unwrap_or_default());
    Ok(view::output(&now))
}

fn shown_rendition(api: &Api, list: &OutputList, id: &str) -> Result<RenditionView, ApiError> {
    let spec = list.rendition(id)?;
    let config = api.director().snapshot().show.config.clone();
    let streaming = api.station().streaming();
    let stats = api.station().streaming_stats();
    let running = streaming
        .as_ref()
        .and_then(|streaming| streaming.renditions().find(|running| running.id == id));
    let stats = stats
        .as_ref()
        .and_then(|stats| stats.renditions.iter().find(|stats| stats.id == id));
    let wanted = rendition_settings(spec, list, api.station().settings(), &config);
    Ok(view::rendition(spec, &wanted, &config, running, stats))
}

fn object(patch: Value) -> Result<Map<String, Value>, ApiError> {
    match patch {
        Value::Object(map) => Ok(map),
        _ => Err(ApiError::new(
            ErrorCode::BadRequest,
            "expected an object of fields",
        )),
    }
}
