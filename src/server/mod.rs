//! The servers: the API with its documents and the player page, WebSocket, metrics and health. One file a resource.
//!
//! Nothing here touches the world: reading looks at the newest snapshot, changing asks the director.

mod address;
mod animations;
mod answer;
mod assets;
mod audio;
mod chat;
mod commands;
mod config;
mod data;
mod diagnostics;
mod docs;
mod durable;
mod effects;
mod feeds;
mod fleet;
mod guard;
mod guides;
mod health;
mod inputs;
mod keys;
mod layers;
mod listen;
mod metrics;
mod metrics_assets;
mod metrics_audio;
mod metrics_inputs;
mod metrics_store;
mod metrics_streams;
mod openapi;
mod outputs;
mod page;
mod picture;
mod playback;
mod recordings;
mod routes;
mod rtmp;
mod scenes;
pub mod shared;
mod speech;
mod standby;
mod starting;
mod state;
mod stream;
mod thumbnails;
mod timelines;
mod transition;
mod viewport;
mod ws;
mod ws_levels;
mod ws_speech;
mod ws_streams;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use serde_json::Value;
use tokio::sync::watch;

use crate::control::assets::AssetStore;
use crate::control::keep::handover::Handover;
use crate::control::keys::KeyStore;
use crate::control::{Director, Library, Station};
use crate::rtmp::Rtmp;
pub use address::{ToldAddress, tell_address, told_address};
pub use fleet::fleet;
pub use guard::Guard;
pub use health::TICK_SILENCE_MAX;
pub use listen::{Face, Limits, bind, serve};
use routes::Routes;
pub use standby::Standby;
pub use starting::starting;

/// The largest JSON body, in bytes.
pub const BODY_MAX: usize = 1 << 20;

/// What every route may use. Cheap to copy.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    station: Station,
    library: Library,
    assets: AssetStore,
    keys: KeyStore,
    rtmp: Rtmp,
    guard: Guard,
    membership: Membership,
    connections: ws::Connections,
    levels: ws_levels::LevelsTold,
    shared: shared::Counters,
    exports: state::Exports,
    over: watch::Sender<bool>,
}

/// What this instance is among those of its stream.
#[derive(Clone)]
pub enum Membership {
    /// It leads.
    Leader {
        /// Its name, where others may share the stream.
        name: Option<String>,
        /// How it lets go where another one has the lease.
        handover: Option<Handover>,
    },
    /// It stands by, and has the leader do what is asked of it.
    Standby(Standby),
}

impl Api {
    /// What the routes use.
    pub fn new(
        station: Station,
        library: Library,
        assets: AssetStore,
        keys: KeyStore,
        rtmp: Rtmp,
        guard: Guard,
        membership: Membership,
    ) -> Self {
        Self(Arc::new(Inner {
            station,
            library,
            assets,
            keys,
            rtmp,
            guard,
            membership,
            over: watch::Sender::new(false),
            connections: ws::Connections::default(),
            levels: ws_levels::LevelsTold::default(),
            shared: shared::Counters::default(),
            exports: state::Exports::default(),
        }))
    }

    fn station(&self) -> &Station {
        &self.0.station
    }

    fn director(&self) -> &Director {
        self.0.station.director()
    }

    fn library(&self) -> &Library {
        &self.0.library
    }

    fn assets(&self) -> &AssetStore {
        &self.0.assets
    }

    fn keys(&self) -> &KeyStore {
        &self.0.keys
    }

    fn rtmp(&self) -> &Rtmp {
        &self.0.rtmp
    }

    fn guard(&self) -> &Guard {
        &self.0.guard
    }

    fn levels(&self) -> &ws_levels::LevelsTold {
        &self.0.levels
    }

    fn connections(&self) -> &ws::Connections {
        &self.0.connections
    }

    fn membership(&self) -> &Membership {
        &self.0.membership
    }

    /// Who has the leader do things, where this instance stands by.
    fn standby(&self) -> Option<&Standby> {
        match &self.0.membership {
            Membership::Standby(standby) => Some(standby),
            Membership::Leader { .. } => None,
        }
    }

    /// Whether it is not confirmed that this instance leads, where several share the stream: it was paused, or was told that another one
    /// does. What it would answer to a change might be true of nothing.
    fn is_unsure(&self) -> bool {
        match &self.0.membership {
            Membership::Leader {
                handover: Some(handover),
                ..
            } => !handover.may_act(),
            _ => false,
        }
    }

    /// Lets go of who is connected for longer than a request: this instance becomes something else. They come back and find that.
    pub fn end(&self) {
        self.0.over.send_replace(true);
    }

    /// Waits until that is so.
    async fn ended(&self) {
        let mut over = self.0.over.subscribe();
        // The sender lasts as long as this does.
        let _over = over.wait_for(|over| *over).await;
    }

    fn shared(&self) -> &shared::Counters {
        &self.0.shared
    }
}

/// Every route of the API.
fn all() -> Routes {
    let stream = Routes::new()
        .merge(stream::routes())
        .merge(config::routes())
        .merge(state::routes())
        .merge(keys::routes())
        .merge(rtmp::routes())
        .merge(layers::routes(""))
        .merge(animations::routes())
        .merge(feeds::routes())
        .merge(playback::routes())
        .merge(speech::routes())
        .merge(chat::routes())
        .merge(effects::routes())
        .merge(audio::routes())
        .merge(scenes::routes())
        .merge(timelines::routes())
        .merge(transition::routes())
        .merge(data::routes())
        .merge(commands::routes())
        .merge(assets::routes())
        .merge(inputs::routes())
        .merge(outputs::routes())
        .merge(recordings::routes())
        .merge(thumbnails::routes())
        .merge(picture::routes())
        .merge(viewport::routes())
        .merge(diagnostics::routes())
        .below("/stream");
    // The paths that earlier clients know.
    let aliases = Routes::new()
        .merge(stream::aliases().below("/stream"))
        .merge(layers::routes("Alias"))
        .below("/api");
    stream
        .merge(aliases)
        .merge(docs::routes())
        .merge(ws::routes())
}

/// The OpenAPI document of this program.
pub fn openapi(with_token: bool) -> Value {
    openapi::document(&all().operations, with_token)
}

/// What is served on `PORT`: the API, WebSocket, documents, and the player page with the live HLS files.
pub fn api(api: Api, hls_folder: &std::path::Path) -> Router {
    let limits = guard::cors(api.guard());
    let viewers = api.station().viewers().clone();
    all()
        .router
        .with_state(api.clone())
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(api.clone(), durable::wait))
        .layer(middleware::from_fn_with_state(
            api.clone(),
            standby::hand_on,
        ))
        .layer(middleware::from_fn_with_state(viewers, page::pictured))
        .layer(middleware::from_fn_with_state(api.clone(), guard::check))
        .merge(docs::page())
        .merge(page::player(hls_folder, api))
        .fallback(answer::no_route)
        .method_not_allowed_fallback(answer::no_method)
        .layer(limits)
}

/// The API for requests that come from within, whose sender is trusted and waits for what is saved by itself.
fn within(api: Api) -> Router {
    all()
        .router
        .with_state(api)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .fallback(answer::no_route)
        .method_not_allowed_fallback(answer::no_method)
}

/// What is served on `WS_PORT`: WebSocket alone.
pub fn websocket(api: Api) -> Router {
    ws::routes()
        .router
        .with_state(api.clone())
        .layer(middleware::from_fn_with_state(api, guard::check))
        .fallback(answer::no_route)
        .method_not_allowed_fallback(answer::no_method)
}

/// What is served on `METRICS_PORT`.
pub fn metrics(api: Api) -> Router {
    metrics::router(api)
        .fallback(answer::no_route)
        .method_not_allowed_fallback(answer::no_method)
}

/// What is served on `HEALTH_PORT`.
pub fn health(api: Api) -> Router {
    health::router(api)
        .fallback(answer::no_route)
        .method_not_allowed_fallback(answer::no_method)
}
