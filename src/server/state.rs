//! Everything that is saved as one file, of a program that runs: what `stream-manager state` writes of one that does not.
//!
//! The file is made on a thread that may wait, from what the program has in memory, and is sent as it is made: neither holds more of it
//! than a few pieces. A client that takes none for long is let go.

use std::io::{BufWriter, Error, ErrorKind, Write};
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::poll_fn;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::Api;
use super::answer::Params;
use super::routes::{Doc, Routes};
use crate::control::{ApiError, ErrorCode};
use crate::store::{Saved, Store, archive};

/// The most exports at a time: each has a thread.
const EXPORTS_MAX: usize = 2;
/// Bytes of a piece.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for the client.
const PIECES_MAX: usize = 4;
/// A client has so long to take the next piece.
const PIECE_WAIT_MAX: Duration = Duration::from_secs(30);

/// Room for exports. Cheap to copy.
#[derive(Clone)]
pub struct Exports(Arc<Semaphore>);

impl Default for Exports {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(EXPORTS_MAX)))
    }
}

/// The routes.
pub fn routes() -> Routes {
    Routes::new().get(
        "/state/export",
        Doc::new("state", "exportState", "Gives everything that is saved as one file")
            .more("Every change that was answered is in it, also while the store is slow or away; on an instance that stands by, every change that the leader has saved. It is the file that `stream-manager state export` writes, and `stream-manager state import` reads: documents as a JSON object, then a line of JSON for each uploaded asset. It may hold stream keys. A connection that ends early has left an asset out, which `import` refuses.")
            .query(
                "assets",
                json!({"type": "boolean"}),
                "Whether the uploaded assets are in it; so they are when absent.",
            )
            .error(ErrorCode::Unavailable)
            .raw("The file.", &["application/octet-stream"]),
        export,
    )
}

async fn export(State(api): State<Api>, query: Params) -> Result<Response, ApiError> {
    let has_assets = query.flag("assets")?.unwrap_or(true);
    let unavailable = |what: String| ApiError::new(ErrorCode::Unavailable, what);
    let room = Arc::clone(&api.0.exports.0).try_acquire_owned();
    let room = room.map_err(|_| {
        unavailable(format!(
            "{EXPORTS_MAX} exports are on their way, which is the most; ask again when one is over"
        ))
    })?;
    let saved = match api.standby() {
        None => api.station().saving().known().await?,
        Some(standby) => {
            let loaded = Store::Redis(standby.redis().clone()).load().await;
            loaded.map_err(|error| unavailable(error.to_string()))?
        }
    };
    let (to, mut pieces) = mpsc::channel(PIECES_MAX);
    let runtime = Handle::current();
    drop(tokio::task::spawn_blocking(move || {
        let pieces = Pieces { to, runtime };
        write(&api, &saved, has_assets, pieces);
        drop(room);
    }));
    let body = poll_fn(move |context| {
        Poll::Ready(match ready!(pieces.poll_recv(context)) {
            Some(Some(piece)) => Some(Ok(piece)),
            Some(None) => None,
            // The connection is dropped, so that nobody takes a part for the whole.
            None => Some(Err(Error::from(ErrorKind::UnexpectedEof))),
        })
    });
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"stream-manager-state.json\"",
        ),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)));
    Ok((headers, Body::from_stream(body)).into_response())
}

fn write(api: &Api, saved: &Saved, has_assets: bool, pieces: Pieces) {
    let assets = match has_assets {
        true => api.assets().files(),
        false => Vec::new(),
    };
    let mut out = BufWriter::with_capacity(PIECE_BYTES, pieces);
    let written = archive::write(saved, &assets, &mut out).and_then(|()| {
        out.flush()?;
        out.get_ref().send(None)
    });
    let (revision, count) = (saved.revision, assets.len());
    match written {
        Ok(()) => tracing::info!(revision, assets = count, "the state was exported"),
        Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::TimedOut) => {
            tracing::debug!(%error, "an export was not taken to its end");
        }
        Err(error) => tracing::warn!(%error, "the state could not be exported"),
    }
}

/// Sends what is written, a piece at a time; `None` says that it was all.
struct Pieces {
    to: mpsc::Sender<Option<Bytes>>,
    runtime: Handle,
}

impl Pieces {
    fn send(&self, piece: Option<Bytes>) -> std::io::Result<()> {
        let sending = async { timeout(PIECE_WAIT_MAX, self.to.send(piece)).await };
        match self.runtime.block_on(sending) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ErrorKind::BrokenPipe.into()),
            Err(_) => Err(ErrorKind::TimedOut.into()),
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = bytes.len().min(PIECE_BYTES);
        self.send(Some(Bytes::copy_from_slice(&bytes[..count])))?;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
