//! The layers of the scene on air.

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use super::answer::{Answered, Asking, Deleted, Json, Name, Params, Reply, asked};
use super::routes::{Doc, Routes};
use crate::control::change::{
    CreateLayer, DeleteLayer, MoveLayer, ReplaceLayer, SetAvatar, UpdateLayer,
};
use crate::control::schema::{LayerPatch, NAME_PATTERN};
use crate::control::show::layer_with_parent;
use crate::control::view::{self, LayerView};
use crate::control::{ApiError, Change, ErrorCode, Show, Terms};
use components::layer::LayerSpec;
use components::scene::SceneSpec;

const TAG: &str = "layers";
/// The query parameter that has numbers and colours go to what is patched.
const ANIMATE: &str = "animate";

/// The layers on air.
#[derive(Debug, Serialize, JsonSchema)]
struct LayerList {
    /// The layers from the back to the front: parents before their children, siblings by `zIndex` and then by their order.
    #[schemars(with = "Vec<LayerView>")]
    layers: Vec<Value>,
    /// How many there are.
    count: usize,
}

/// Where a layer is to stand.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Place {
    /// The layer in whose space it stands from now on; none on the canvas.
    #[serde(default)]
    #[schemars(schema_with = "crate::control::schema::optional_name")]
    parent: Option<String>,
    /// Place among its new siblings; last when absent.
    #[serde(default)]
    #[schemars(schema_with = "crate::control::schema::index")]
    index: Option<usize>,
}

/// What an avatar is told; what is absent stays.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ToldAvatar {
    /// One of its states.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    state: Option<String>,
    /// One of its emotions, or `neutral`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    emotion: Option<String>,
    /// The level of its mouth, 0 to 1.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    level: Option<f32>,
}

/// The routes. `alias` is put behind their names, where they are known by a second path.
pub fn routes(alias: &'static str) -> Routes {
    let name = |id: &'static str| -> &'static str {
        if alias.is_empty() {
            return id;
        }
        match id {
            "listLayers" => "listLayersAlias",
            "createLayer" => "createLayerAlias",
            "getLayer" => "getLayerAlias",
            "updateLayer" => "updateLayerAlias",
            "replaceLayer" => "replaceLayerAlias",
            "deleteLayer" => "deleteLayerAlias",
            "setAvatar" => "setAvatarAlias",
            _ => "moveLayerAlias",
        }
    };
    let doc = |id, summary| {
        let pattern = json!({"type": "string", "pattern": NAME_PATTERN});
        Doc::new(TAG, name(id), summary).path("id", pattern, "The layer's id.")
    };
    let own = [
        "getLayer",
        "updateLayer",
        "replaceLayer",
        "moveLayer",
        "deleteLayer",
    ]
    .map(name);
    Routes::new()
        .get(
            "/layers",
            Doc::new(TAG, name("listLayers"), "Lists the layers on air, from the back to the front")
                .query(
                    "type",
                    json!({"enum": ["host", "assistant", "visualFeed", "overlay", "chat"]}),
                    "Only layers of this role.",
                )
                .answers::<LayerList>("The layers."),
            list,
        )
        .post(
            "/layers",
            Doc::new(TAG, name("createLayer"), "Adds a layer to the scene on air")
                .query(
                    "parent",
                    json!({"type": "string", "pattern": NAME_PATTERN}),
                    "The layer in whose space it stands; none on the canvas.",
                )
                .query(
                    "index",
                    json!({"type": "integer", "minimum": 0, "maximum": 1000}),
                    "Place among its siblings, which breaks ties of `zIndex`; last when absent.",
                )
                .body::<LayerSpec>()
                .example(json!({
                    "id": "headline", "position": {"x": 120, "y": 880}, "zIndex": 500,
                    "source": {"type": "text", "text": "Sold to {{auction.bidder}}", "font": {"family": "Inter", "size": 64}},
                }))
                .terms()
                .error(ErrorCode::NotFound)
                .changes::<LayerView>("The layer as it would be, with `dryRun`.")
                .creates::<LayerView>("The layer.")
                .leads("id", &own),
            create,
        )
        .get(
            "/layers/{id}",
            doc("getLayer", "Gives a layer").answers::<LayerView>("The layer."),
            get,
        )
        .patch(
            "/layers/{id}",
            doc("updateLayer", "Changes some fields of a layer")
                .more("A JSON merge patch (RFC 7396): what is absent stays, null is the default.")
                .body::<LayerPatch>()
                .example(json!({"visible": true, "opacity": 0.8, "position": {"x": 300}}))
                .glide(ANIMATE)
                .query(
                    "snap",
                    json!({"type": "boolean"}),
                    "Whether the position snaps to the grid and the guides, where the scene's `canvas.grid.snap` is true.",
                )
                .terms()
                .changes::<LayerView>("The layer after it."),
            update,
        )
        .put(
            "/layers/{id}",
            doc("replaceLayer", "Puts a whole layer in the place of another")
                .body::<LayerSpec>()
                .terms()
                .changes::<LayerView>("The layer after it."),
            replace,
        )
        .delete(
            "/layers/{id}",
            doc("deleteLayer", "Removes a layer and all below it, with the tracks that move them")
                .terms()
                .changes::<Deleted>("It is gone."),
            delete,
        )
        .post(
            "/layers/{id}/move",
            doc("moveLayer", "Moves a layer below another one, or among its siblings")
                .body::<Place>()
                .terms()
                .changes::<LayerView>("The layer after it."),
            move_to,
        )
        .post(
            "/layers/{id}/avatar",
            doc("setAvatar", "Tells an avatar what it does, what it feels, and how loud it speaks")
                .more("A field that is bound to data stays bound, and the data is written.")
                .body::<ToldAvatar>()
                .example(json!({"state": "wave", "emotion": "happy"}))
                .terms()
                .changes::<LayerView>("The layer after it."),
            set_avatar,
        )
}

/// A layer of the scene on air as the API shows it.
///
/// # Errors
/// There is none of this name.
pub fn shown(show: &Show, id: &str) -> Result<Value, ApiError> {
    let spec = &show.program.spec;
    layer_with_parent(spec, id)
        .map(|(layer, parent)| view::layer(layer, parent.map(|parent| parent.as_str())))
        .ok_or_else(|| ApiError::not_found("layer", id, crate::control::show::layer_ids(spec)))
}

/// Every layer in drawing order.
pub fn all(spec: &SceneSpec) -> Vec<Value> {
    fn below(layers: &[std::sync::Arc<LayerSpec>], parent: Option<&str>, all: &mut Vec<Value>) {
        let mut sorted: Vec<_> = layers.iter().collect();
        sorted.sort_by_key(|layer| layer.z());
        for layer in sorted {
            all.push(view::layer(layer, parent));
            below(&layer.children, Some(layer.id.as_str()), all);
        }
    }
    let mut layers = Vec::new();
    below(&spec.layers, None, &mut layers);
    layers
}

async fn list(State(api): State<Api>, query: Params) -> Answered {
    let mut layers = all(&api.director().snapshot().show.program.spec);
    if let Some(role) = query.get("type") {
        const ROLES: [&str; 5] = ["host", "assistant", "visualFeed", "overlay", "chat"];
        if !ROLES.contains(&role) {
            let message = "the query parameter `type` must be a role of layers";
            let error = ApiError::new(ErrorCode::BadRequest, message);
            return Err(error.suggest(crate::scene::words::suggest(role, &ROLES)));
        }
        layers.retain(|layer| layer["type"] == role);
    }
    let count = layers.len();
    Reply::of(LayerList { layers, count })
}

async fn get(State(api): State<Api>, Name(id): Name) -> Answered {
    Reply::of(shown(&api.director().snapshot().show, &id)?)
}

async fn create(
    State(api): State<Api>,
    query: Params,
    Asking(terms): Asking,
    Json(layer): Json,
) -> Answered {
    let index = query.whole("index")?.map(|index| index as usize);
    if index.is_some_and(|index| index > 1000) {
        let message = "the query parameter `index` must be from 0 to 1000";
        return Err(ApiError::new(ErrorCode::BadRequest, message));
    }
    let id = layer["id"].as_str().unwrap_or_default().to_owned();
    let change = Change::CreateLayer(CreateLayer {
        layer,
        parent: query.get("parent").map(str::to_owned),
        index,
    });
    let outcome = api.director().change(asked(change), terms).await?;
    Ok(Reply::changed(&outcome, shown(&outcome.show, &id)?)?.made(&terms))
}

async fn update(
    State(api): State<Api>,
    Name(id): Name,
    query: Params,
    Asking(terms): Asking,
    Json(patch): Json,
) -> Answered {
    let animate = query.glide(ANIMATE)?;
    let change = Change::UpdateLayer(UpdateLayer {
        id: id.clone(),
        patch,
        animate,
        snap: query.flag("snap")?.unwrap_or(false),
    });
    make(&api, &id, change, terms).await
}

async fn replace(
    State(api): State<Api>,
    Name(id): Name,
    Asking(terms): Asking,
    Json(layer): Json,
) -> Answered {
    let change = Change::ReplaceLayer(ReplaceLayer {
        id: id.clone(),
        layer,
    });
    make(&api, &id, change, terms).await
}

async fn move_to(
    State(api): State<Api>,
    Name(id): Name,
    Asking(terms): Asking,
    body: Json,
) -> Answered {
    let place: Place = body.read()?;
    let change = Change::MoveLayer(MoveLayer {
        id: id.clone(),
        parent: place.parent,
        index: place.index,
    });
    make(&api, &id, change, terms).await
}

async fn set_avatar(
    State(api): State<Api>,
    Name(id): Name,
    Asking(terms): Asking,
    body: Json,
) -> Answered {
    let told: ToldAvatar = body.read()?;
    let change = Change::SetAvatar(SetAvatar {
        id: id.clone(),
        state: told.state,
        emotion: told.emotion,
        level: told.level,
    });
    make(&api, &id, change, terms).await
}

async fn delete(State(api): State<Api>, Name(id): Name, Asking(terms): Asking) -> Answered {
    let change = Change::DeleteLayer(DeleteLayer { id: id.clone() });
    let outcome = api.director().change(asked(change), terms).await?;
    Reply::changed(&outcome, Deleted { id })
}

async fn make(api: &Api, id: &str, change: Change, terms: Terms) -> Answered {
    let outcome = api.director().change(asked(change), terms).await?;
    Reply::changed(&outcome, shown(&outcome.show, id)?)
}
