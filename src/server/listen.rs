//! Listening: bounded numbers of connections, and clients that take too long are let go.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::Service as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::control::{ApiError, ErrorCode};

/// A client has so long to send its headers, the first ones and those after a pause.
const HEADERS_MAX: Duration = Duration::from_secs(15);
/// A client has so long to send the next piece of a body.
const BODY_PAUSE_MAX: Duration = Duration::from_secs(10);
/// A request has so long from its headers to the head of its answer.
const REQUEST_MAX: Duration = Duration::from_secs(60);
/// After the system gave no connection, the next try.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// How long a port is waited for that somebody has, and the pause between two looks.
const BIND_WAIT_MAX: Duration = Duration::from_secs(1);
const BIND_PAUSE: Duration = Duration::from_millis(20);

/// What a listener is held to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections at a time; more are closed at once.
    pub connections: usize,
}

/// What is served on a port. It can be turned into something else while connections are open: the next request sees that. Cheap to copy.
#[derive(Clone)]
pub struct Face(Arc<RwLock<Router>>);

impl Face {
    /// Serves something else from now on.
    pub fn turn(&self, router: Router) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = guarded(router);
    }

    fn router(&self) -> Router {
        let router = self.0.read().unwrap_or_else(PoisonError::into_inner);
        router.clone()
    }
}

impl From<Router> for Face {
    fn from(router: Router) -> Self {
        Self(Arc::new(RwLock::new(guarded(router))))
    }
}

/// With limits to the time that a request takes, and a panic of one kept to itself.
fn guarded(router: Router) -> Router {
    router
        .layer(RequestBodyTimeoutLayer::new(BODY_PAUSE_MAX))
        .layer(from_fn(in_time))
        .layer(CatchPanicLayer::custom(
            |_: Box<dyn std::any::Any + Send>| {
                ApiError::internal("the request could not be worked off").into_response()
            },
        ))
}

/// Listens at `address`. A port that somebody has is waited for, for [`BIND_WAIT_MAX`]: a program that was killed lets go of its own a
/// moment later.
///
/// # Errors
/// The address cannot be bound.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let begun = Instant::now();
    loop {
        match TcpListener::bind(address).await {
            Err(error)
                if error.kind() == ErrorKind::AddrInUse && begun.elapsed() < BIND_WAIT_MAX =>
            {
                tokio::time::sleep(BIND_PAUSE).await;
            }
            bound => return bound,
        }
    }
}

/// Binds `address` (port 0 takes a free one); gives the true address, and what serves `face` there until `stop` is done.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    face: impl Into<Face>,
    limits: Limits,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()>)> {
    let listener = bind(address).await?;
    let address = listener.local_addr()?;
    let face = face.into();
    let places = Arc::new(Semaphore::new(limits.connections));
    let accepting = async move {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // No more descriptors, most likely; some will come free.
                    tracing::debug!(%error, "no connection could be taken");
                    tokio::time::sleep(AGAIN_AFTER).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::debug!(%peer, "too many connections; one more is closed");
                continue;
            };
            let face = face.clone();
            tokio::spawn(async move {
                converse(stream, peer, face).await;
                drop(place);
            });
        }
    };
    let server = async move {
        tokio::select! {
            () = stop => {}
            () = accepting => {}
        }
    };
    Ok((address, server))
}

async fn in_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(REQUEST_MAX, next.run(request))
        .await
        .unwrap_or_else(|_| {
            let message = "the request took too long to come, or to be worked off";
            ApiError::new(ErrorCode::Timeout, message).into_response()
        })
}

async fn converse(stream: TcpStream, peer: SocketAddr, face: Face) {
    // Answers are small, and wanted at once.
    let _set = stream.set_nodelay(true);
    let service = tower::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut router = face.router();
        async move { router.call(request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    if let Err(error) = connection.await {
        // Clients go as they like.
        tracing::trace!(%peer, %error, "a connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_let_go_of_is_waited_for_and_one_that_is_not_is_an_error() {
        let first = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        // The first look finds it taken.
        let (second, ()) = tokio::join!(bind(address), async { drop(first) });
        assert_eq!(second.unwrap().local_addr().unwrap(), address);
    }
}
