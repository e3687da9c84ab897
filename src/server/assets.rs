//! Assets: pictures and fonts that are uploaded, which scenes name `asset:<id>`.

use axum::body::Body;
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::json;
use tokio_util::io::ReaderStream;

use super::Api;
use super::answer::{Answered, Deleted, Name, Reply, check_length};
use super::keys::blocking;
use super::routes::{Doc, Routes, schema_of};
use crate::control::assets::{ASSET_MAX, Asset, SVG_TYPE};
use crate::control::{ApiError, ErrorCode, Event};

const TAG: &str = "assets";
/// What a form has round the file, in bytes.
const FORM_MAX: u64 = 64 << 10;

/// Every asset.
#[derive(Debug, Serialize, JsonSchema)]
struct AssetList {
    /// The assets, the newest first.
    assets: Vec<Asset>,
    /// How many there are.
    count: usize,
}

fn form(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["file"],
        "additionalProperties": false,
        "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream", "description": "PNG, JPEG, WebP, GIF, SVG, TrueType, OpenType, or a film or sound that FFmpeg reads."}},
    })
}

/// The routes.
pub fn routes() -> Routes {
    let doc = |id, summary| {
        let pattern = json!({"type": "string", "pattern": "^[0-9a-f]{32}$"});
        Doc::new(TAG, id, summary).path("id", pattern, "The asset's id.")
    };
    let own = ["getAsset", "getAssetContent", "deleteAsset"];
    let mut routes = Routes::new()
        .post(
            "/assets",
            Doc::new(TAG, "uploadAsset", "Takes a picture or a font in")
                .more("Told by its bytes and not by its name, kept under the hash of its bytes; the same file again is the asset that is there. Scenes name it `asset:<id>`.")
                .upload("multipart/form-data", form)
                .error(ErrorCode::Conflict)
                .answers::<Asset>("It was there already.")
                .leads("id", &own)
                .answer(201, "It is kept.", schema_of::<Asset>, false)
                .leads("id", &own)
                .filed(),
            upload,
        );
    // For this one route alone.
    routes.router = routes
        .router
        .layer(DefaultBodyLimit::max((ASSET_MAX + FORM_MAX) as usize));
    routes
        .get(
            "/assets",
            Doc::new(TAG, "listAssets", "Lists the assets").answers::<AssetList>("The assets."),
            list,
        )
        .get(
            "/assets/{id}",
            doc("getAsset", "Says what is known of an asset").answers::<Asset>("The asset."),
            get,
        )
        .get(
            "/assets/{id}/content",
            doc("getAssetContent", "Gives an asset's bytes").raw(
                "The bytes.",
                &[
                    "image/png",
                    "image/jpeg",
                    "image/webp",
                    "image/gif",
                    SVG_TYPE,
                    "font/ttf",
                    "font/otf",
                    "font/collection",
                ],
            ),
            content,
        )
        .delete(
            "/assets/{id}",
            doc(
                "deleteAsset",
                "Deletes an asset that neither the scene on air nor one within it names",
            )
            .error(ErrorCode::Conflict)
            .answers::<Deleted>("It is gone.")
            .filed(),
            delete,
        )
}

async fn upload(State(api): State<Api>, request: Request) -> Answered {
    check_length(&request, ASSET_MAX + FORM_MAX)?;
    let mut form = Multipart::from_request(request, &api).await.map_err(|_| {
        ApiError::new(
            ErrorCode::UnsupportedMediaType,
            "the body must be multipart/form-data with a part `file`",
        )
    })?;
    let one_file = || {
        ApiError::new(
            ErrorCode::BadRequest,
            "the form must have one part, named `file`",
        )
    };
    let part = form.next_field().await.map_err(broken)?;
    let mut part = part
        .filter(|part| part.name() == Some("file"))
        .ok_or_else(one_file)?;
    let name = part.file_name().unwrap_or("file").to_owned();
    let store = api.assets().clone();
    let mut incoming = blocking(move || store.begin()).await?;
    while let Some(bytes) = part.chunk().await.map_err(broken)? {
        incoming = blocking(move || {
            incoming.write(&bytes)?;
            Ok(incoming)
        })
        .await?;
    }
    drop(part);
    if form.next_field().await.map_err(broken)?.is_some() {
        return Err(one_file());
    }
    let store = api.assets().clone();
    let (asset, is_new) = blocking(move || store.finish(incoming, &name)).await?;
    if is_new {
        tell(&api, "asset:create", &asset.id, json!(asset));
    }
    let reply = Reply::of(asset)?;
    Ok(if is_new { reply.created() } else { reply })
}

fn broken(error: MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let message = format!("an asset has at most {} MiB", ASSET_MAX >> 20);
        return ApiError::new(ErrorCode::TooLarge, message);
    }
    ApiError::new(
        ErrorCode::BadRequest,
        format!("the form cannot be read: {}", error.body_text()),
    )
}

async fn list(State(api): State<Api>) -> Answered {
    let store = api.assets().clone();
    let assets = blocking(move || Ok(store.list())).await?;
    let count = assets.len();
    Reply::of(AssetList { assets, count })
}

async fn get(State(api): State<Api>, Name(id): Name) -> Answered {
    let store = api.assets().clone();
    Reply::of(blocking(move || store.get(&id)).await?)
}

async fn content(State(api): State<Api>, Name(id): Name) -> Result<Response, ApiError> {
    let store = api.assets().clone();
    let (asset, path) = blocking(move || Ok((store.get(&id)?, store.file(&id)?))).await?;
    let file = tokio::fs::File::open(path)
        .await
        .map_err(|_| ApiError::not_found("asset", &asset.id, []))?;
    let media_type = HeaderValue::from_str(&asset.media_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    // An SVG may hold scripts and names of other files; opened as a page of this origin it must come to nothing but its picture.
    let policy = HeaderValue::from_static(if asset.media_type == SVG_TYPE {
        "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    } else {
        "sandbox"
    });
    let headers = [
        (CONTENT_TYPE, media_type),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CONTENT_SECURITY_POLICY, policy),
        // Its name is the hash of its bytes.
        (
            CACHE_CONTROL,
            HeaderValue::from_static("private, max-age=31536000, immutable"),
        ),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

async fn delete(State(api): State<Api>, Name(id): Name) -> Answered {
    let show = api.director().snapshot().show.clone();
    let (name, mut is_used) = (format!("asset:{id}"), false);
    show.program.spec.walk_scenes(&mut |spec| {
        is_used |= serde_json::to_string(spec).is_ok_and(|text| text.contains(&name));
    });
    if is_used {
        return Err(ApiError::conflict("the scene on air uses this asset"));
    }
    let (store, gone) = (api.assets().clone(), id.clone());
    blocking(move || store.delete(&gone)).await?;
    tell(&api, "asset:delete", &id, json!({"id": id}));
    Reply::of(Deleted { id })
}

fn tell(api: &Api, kind: &'static str, id: &str, data: serde_json::Value) {
    api.station().tell(Event::about(kind, id, data));
}
