//! The effects of the layers on air.

use axum::extract::State;
use components::effect::{Effect, Effects};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use super::answer::{Answered, Asking, Json, Name, Names, Params, Reply, asked};
use super::routes::{Doc, Routes};
use crate::control::change::{AddEffect, DeleteEffect, PutEffects, UpdateEffect};
use crate::control::schema::{EFFECT_PATTERN, EffectPatch, NAME_PATTERN};
use crate::control::show::{layer_ids, layer_with_parent};
use crate::control::{ApiError, Asked, Change, ErrorCode, Show, Terms};

const TAG: &str = "effects";
/// The query parameter that has numbers and colours go to what is patched.
const ANIMATE: &str = "animate";

/// The effects of a layer.
#[derive(Debug, Serialize, JsonSchema)]
struct EffectList {
    /// The effects, in the order in which they are applied, as they were written.
    effects: Effects,
    /// What each is called in paths and by tracks: its `id`, its `type`, or its place from 0.
    names: Vec<String>,
    /// How many there are.
    count: usize,
}

/// What a list of effects is written as.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes what is read")]
struct EffectsBody {
    /// The effects, in the order in which they are applied.
    effects: Effects,
}

/// The routes.
pub fn routes() -> Routes {
    let doc = |id, summary| {
        let pattern = json!({"type": "string", "pattern": NAME_PATTERN});
        Doc::new(TAG, id, summary).path("id", pattern, "The layer's id.")
    };
    let one = |id, summary| {
        let pattern = json!({"type": "string", "pattern": EFFECT_PATTERN});
        doc(id, summary).path(
            "effect",
            pattern,
            "The effect's `id`, its `type`, or its place from 0.",
        )
    };
    let shadow =
        json!({"type": "dropShadow", "id": "lift", "y": 12, "blur": 32, "color": "#00000099"});
    Routes::new()
        .get(
            "/layers/{id}/effects",
            doc("listEffects", "Lists the effects of a layer, in the order in which they are applied")
                .answers::<EffectList>("The effects."),
            list,
        )
        .put(
            "/layers/{id}/effects",
            doc("putEffects", "Puts a list of effects in the place of all that a layer has")
                .body::<EffectsBody>()
                .example(json!({"effects": [{"type": "cornerRadius", "radius": 24}, shadow]}))
                .terms()
                .changes::<EffectList>("The effects after it."),
            put,
        )
        .post(
            "/layers/{id}/effects",
            doc("addEffect", "Adds an effect to a layer")
                .query(
                    "index",
                    json!({"type": "integer", "minimum": 0, "maximum": 1000}),
                    "Its place among the layer's effects; last when absent.",
                )
                .body::<Effect>()
                .example(shadow)
                .terms()
                .changes::<EffectList>("The effects as they would be, with `dryRun`.")
                .creates::<EffectList>("The effects after it."),
            add,
        )
        .patch(
            "/layers/{id}/effects/{effect}",
            one("updateEffect", "Changes some fields of an effect")
                .more(
                    "A JSON merge patch (RFC 7396): what is absent stays, null is the default. Another `type` takes the place of all but \
                     `id` and `enabled`.",
                )
                .body::<EffectPatch>()
                .example(json!({"blur": 48, "color": "#0008"}))
                .glide(ANIMATE)
                .terms()
                .changes::<EffectList>("The effects after it."),
            update,
        )
        .delete(
            "/layers/{id}/effects/{effect}",
            one("deleteEffect", "Removes an effect, with the tracks that move it")
                .terms()
                .changes::<EffectList>("The effects after it."),
            delete,
        )
}

fn shown(show: &Show, id: &str) -> Result<EffectList, ApiError> {
    let spec = &show.program.spec;
    let (layer, _) = layer_with_parent(spec, id)
        .ok_or_else(|| ApiError::not_found("layer", id, layer_ids(spec)))?;
    let effects = &layer.effects;
    let count = effects.0.len();
    let names = (0..count).map(|index| effects.name(index).into_owned());
    Ok(EffectList {
        names: names.collect(),
        effects: effects.clone(),
        count,
    })
}

async fn list(State(api): State<Api>, Name(id): Name) -> Answered {
    Reply::of(shown(&api.director().snapshot().show, &id)?)
}

async fn put(
    State(api): State<Api>,
    Name(id): Name,
    Asking(terms): Asking,
    Json(body): Json,
) -> Answered {
    let effects = effects_of(&body)?;
    let change = Change::PutEffects(PutEffects {
        layer: id.clone(),
        effects,
    });
    make(&api, &id, asked(change), terms).await
}

/// The list in the body of a request.
fn effects_of(body: &Value) -> Result<Value, ApiError> {
    let problem = |path: &str, message: &str| {
        let problem = components::Problem {
            path: path.to_owned(),
            message: message.to_owned(),
            ..components::Problem::default()
        };
        ApiError::problems(ErrorCode::BadRequest, &[problem])
    };
    let map = body
        .as_object()
        .ok_or_else(|| problem("", "expected an object with `effects`"))?;
    if let Some(name) = map.keys().find(|name| *name != "effects") {
        return Err(problem(name, "unknown field"));
    }
    map.get("effects")
        .cloned()
        .ok_or_else(|| problem("", "the field `effects` is missing"))
}

async fn add(
    State(api): State<Api>,
    Name(id): Name,
    query: Params,
    Asking(terms): Asking,
    Json(effect): Json,
) -> Answered {
    let index = query.whole("index")?.map(|index| index as usize);
    if index.is_some_and(|index| index > 1000) {
        let message = "the query parameter `index` must be from 0 to 1000";
        return Err(ApiError::new(ErrorCode::BadRequest, message));
    }
    let change = Change::AddEffect(AddEffect {
        layer: id.clone(),
        effect,
        index,
    });
    let outcome = api.director().change(asked(change), terms).await?;
    Ok(Reply::changed(&outcome, shown(&outcome.show, &id)?)?.made(&terms))
}

async fn update(
    State(api): State<Api>,
    Names(id, effect): Names,
    query: Params,
    Asking(terms): Asking,
    Json(patch): Json,
) -> Answered {
    let animate = query.glide(ANIMATE)?;
    let change = Change::UpdateEffect(UpdateEffect {
        layer: id.clone(),
        effect,
        patch,
        animate,
    });
    make(&api, &id, asked(change), terms).await
}

async fn delete(
    State(api): State<Api>,
    Names(id, effect): Names,
    Asking(terms): Asking,
) -> Answered {
    let layer = id.clone();
    let change = Change::DeleteEffect(DeleteEffect { layer, effect });
    make(&api, &id, asked(change), terms).await
}

async fn make(api: &Api, id: &str, asked: Asked, terms: Terms) -> Answered {
    let outcome = api.director().change(asked, terms).await?;
    Reply::changed(&outcome, shown(&outcome.show, id)?)
}
