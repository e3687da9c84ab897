//! The items of a feed on air, and which one is on show.

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use components::source::{FeedItem, VisualFeedSource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Api;
use super::answer::{Answered, Asking, Deleted, Json, MaybeJson, Name, Params, Reply, asked};
use super::routes::{Doc, Routes};
use crate::control::change::{DeleteItem, NextItem, PreviousItem, PushItems, ShowItem, UpdateItem};
use crate::control::plan::{feed_of, find_item};
use crate::control::schema::{ItemPatch, Items, NAME_PATTERN};
use crate::control::show::{layer_ids, layer_with_parent};
use crate::control::view::{self, FeedView};
use crate::control::{ApiError, Change, ErrorCode, Show, Terms};

const TAG: &str = "feeds";

/// How an item is shown.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct How {
    /// Whether it stays until the feed is told otherwise. Default false.
    pin: bool,
}

/// An item of a feed.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ItemView {
    /// The item.
    item: FeedItem,
    /// Its place among the items, from 0.
    index: usize,
}

/// The two names in a route's path.
struct Names(String, String);

impl<S: Send + Sync> FromRequestParts<S> for Names {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map(|Path((layer, item))| Self(layer, item))
            .map_err(|_| ApiError::new(ErrorCode::BadRequest, "the path is not UTF-8"))
    }
}

/// The routes.
pub fn routes() -> Routes {
    let name = || json!({"type": "string", "pattern": NAME_PATTERN});
    let doc = move |id, summary| {
        Doc::new(TAG, id, summary).path("id", name(), "The id of the feed's layer.")
    };
    let of_item = move |id, summary| doc(id, summary).path("item", name(), "The item's id.");
    Routes::new()
        .get(
            "/layers/{id}/feed",
            doc("getFeed", "Lists the items of a feed, and tells which one is on show")
                .error(ErrorCode::Conflict)
                .answers::<FeedView>("The feed."),
            get,
        )
        .post(
            "/layers/{id}/feed",
            doc("pushItems", "Adds an item to a feed, or a list of items")
                .more("The item on show stays. A feed has at most `maxItems` items.")
                .query(
                    "position",
                    json!({"type": "integer", "minimum": 0, "maximum": 1000}),
                    "Place of the first among the feed's items; last when absent.",
                )
                .body::<Items>()
                .example(json!({
                    "id": "lot-7", "title": "Molten Choir", "artist": "Ada Veil", "bid": 2.4, "endsIn": 600,
                }))
                .terms()
                .changes::<FeedView>("The feed as it would be, with `dryRun`.")
                .creates::<FeedView>("The feed after it."),
            push,
        )
        .patch(
            "/layers/{id}/feed/{item}",
            of_item("updateItem", "Changes some fields of an item")
                .more(
                    "A JSON merge patch (RFC 7396): what is absent stays, null is the default. A new bid of the item on show rolls up.",
                )
                .body::<ItemPatch>()
                .example(json!({"bid": 3.1, "bidder": "moonlake.eth"}))
                .terms()
                .changes::<ItemView>("The item after it."),
            update,
        )
        .delete(
            "/layers/{id}/feed/{item}",
            of_item("deleteItem", "Removes an item; when it is on show, the next one takes its place")
                .terms()
                .changes::<Deleted>("It is gone."),
            delete,
        )
        .post(
            "/layers/{id}/feed/{item}/show",
            of_item("showItem", "Shows an item now")
                .more("It goes on from there, unless it is pinned.")
                .optional_body::<How>()
                .example(json!({"pin": true}))
                .terms()
                .changes::<FeedView>("The feed after it."),
            show,
        )
        .post(
            "/layers/{id}/feed/next",
            doc("showNextItem", "Shows the next item of a feed now, also when one is pinned")
                .terms()
                .changes::<FeedView>("The feed after it."),
            next,
        )
        .post(
            "/layers/{id}/feed/previous",
            doc("showPreviousItem", "Shows the item before the one on show now, also when one is pinned")
                .terms()
                .changes::<FeedView>("The feed after it."),
            previous,
        )
}

fn feed<'s>(show: &'s Show, id: &str) -> Result<&'s VisualFeedSource, ApiError> {
    let spec = &show.program.spec;
    let (layer, _) = layer_with_parent(spec, id)
        .ok_or_else(|| ApiError::not_found("layer", id, layer_ids(spec)))?;
    feed_of(layer)
}

fn shown(api: &Api, show: &Show, id: &str, tick: u64) -> Result<FeedView, ApiError> {
    let snapshot = api.director().snapshot();
    Ok(view::feed(
        feed(show, id)?,
        snapshot.feeds.get(id),
        snapshot.rate,
        tick,
    ))
}

async fn get(State(api): State<Api>, Name(id): Name) -> Answered {
    let show = api.director().snapshot().show.clone();
    Reply::of(shown(&api, &show, &id, api.station().status().tick)?)
}

async fn push(
    State(api): State<Api>,
    Name(id): Name,
    query: Params,
    Asking(terms): Asking,
    Json(items): Json,
) -> Answered {
    let position = query.whole("position")?.map(|position| position as usize);
    if position.is_some_and(|position| position > 1000) {
        let message = "the query parameter `position` must be from 0 to 1000";
        return Err(ApiError::new(ErrorCode::BadRequest, message));
    }
    let change = Change::PushItems(PushItems {
        id: id.clone(),
        items,
        position,
    });
    Ok(make(&api, &id, change, terms).await?.made(&terms))
}

async fn update(
    State(api): State<Api>,
    Names(id, item): Names,
    Asking(terms): Asking,
    Json(patch): Json,
) -> Answered {
    let change = Change::UpdateItem(UpdateItem {
        id: id.clone(),
        item: item.clone(),
        patch,
    });
    let outcome = api.director().change(asked(change), terms).await?;
    let feed = feed(&outcome.show, &id)?;
    let index = find_item(feed, &item)?;
    let item = FeedItem::clone(&feed.items[index]);
    Reply::changed(&outcome, ItemView { item, index })
}

async fn delete(State(api): State<Api>, Names(id, item): Names, Asking(terms): Asking) -> Answered {
    let change = Change::DeleteItem(DeleteItem {
        id,
        item: item.clone(),
    });
    let outcome = api.director().change(asked(change), terms).await?;
    Reply::changed(&outcome, Deleted { id: item })
}

async fn show(
    State(api): State<Api>,
    Names(id, item): Names,
    Asking(terms): Asking,
    body: MaybeJson,
) -> Answered {
    let How { pin } = body.read()?;
    let change = Change::ShowItem(ShowItem {
        id: id.clone(),
        item,
        pin,
    });
    make(&api, &id, change, terms).await
}

async fn next(State(api): State<Api>, Name(id): Name, Asking(terms): Asking) -> Answered {
    let change = Change::NextItem(NextItem { id: id.clone() });
    make(&api, &id, change, terms).await
}

async fn previous(State(api): State<Api>, Name(id): Name, Asking(terms): Asking) -> Answered {
    let change = Change::PreviousItem(PreviousItem { id: id.clone() });
    make(&api, &id, change, terms).await
}

async fn make(api: &Api, id: &str, change: Change, terms: Terms) -> Answered {
    let outcome = api.director().change(asked(change), terms).await?;
    let view = shown(api, &outcome.show, id, outcome.tick)?;
    Reply::changed(&outcome, view)
}
