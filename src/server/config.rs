//! Settings that can be changed while running.

use axum::extract::State;

use super::Api;
use super::answer::{Answered, Asking, Json, Reply, asked};
use super::routes::{Doc, Routes};
use crate::control::Change;
use crate::control::change::UpdateConfig;
use crate::control::config::{ConfigPatch, ConfigView};

/// The routes.
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/config",
            Doc::new("config", "getConfig", "Gives the settings in force")
                .answers::<ConfigView>("The settings."),
            get,
        )
        .patch(
            "/config",
            Doc::new("config", "updateConfig", "Changes settings")
                .more("Bitrate, quality and the limit of layers hold at once, without a reconnect; what cannot change while on air is listed under `atNextStart`.")
                .body::<ConfigPatch>()
                .terms()
                .changes::<ConfigView>("The settings after it."),
            patch,
        )
}

async fn get(State(api): State<Api>) -> Answered {
    Reply::of(api.director().snapshot().show.config.view())
}

async fn patch(State(api): State<Api>, Asking(terms): Asking, Json(patch): Json) -> Answered {
    let change = Change::UpdateConfig(UpdateConfig { patch });
    let outcome = api.director().change(asked(change), terms).await?;
    if !terms.dry_run {
        api.station().follow(&outcome.show);
    }
    Reply::changed(&outcome, outcome.show.config.view())
}
