//! Who may ask, and how much: the token, the origins, the hosts, and the number of requests.
//!
//! Without a token the program listens on loopback alone. Pages of other sites must not reach it there through the user's
//! browser: a request with a foreign `Origin` is refused, and one for a foreign host name (DNS rebinding) too.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use subtle::ConstantTimeEq as _;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::Api;
use crate::config::Settings;
use crate::control::{ApiError, ErrorCode};

/// Addresses that are remembered for the rate before old ones are forgotten.
const ADDRESSES_MAX: usize = 4096;
/// The longest token that is looked at.
pub const TOKEN_MAX: usize = 1024;

type Limiter = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>;

/// The rules. Cheap to copy.
#[derive(Clone)]
pub struct Guard(Arc<Rules>);

struct Rules {
    token: Option<String>,
    origins: Vec<HeaderValue>,
    limiter: Option<Limiter>,
}

impl Guard {
    /// The rules of the settings.
    pub fn new(settings: &Settings) -> Self {
        let limiter = NonZeroU32::new(settings.rate_limit)
            .map(|rate| RateLimiter::hashmap(Quota::per_second(rate)));
        Self(Arc::new(Rules {
            token: settings
                .api_token
                .as_ref()
                .map(|token| token.reveal().to_owned()),
            origins: settings.cors_origins.0.to_vec(),
            limiter,
        }))
    }

    /// Whether a token is asked for.
    pub fn has_token(&self) -> bool {
        self.0.token.is_some()
    }

    fn check(&self, request: &Request) -> Result<(), ApiError> {
        let address = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip());
        self.check_rate(address)?;
        let headers = request.headers();
        self.check_origin(headers)?;
        match &self.0.token {
            Some(token) => check_token(token, headers, request.uri()),
            None => check_host(headers),
        }
    }

    fn check_rate(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        let (Some(limiter), Some(address)) = (&self.0.limiter, address) else {
            return Ok(());
        };
        if limiter.len() > ADDRESSES_MAX {
            limiter.retain_recent();
        }
        limiter.check_key(&address).map_err(|_| {
            ApiError::new(
                ErrorCode::RateLimited,
                "more requests come from this address than RATE_LIMIT allows a second",
            )
        })
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(origin) = headers.get(ORIGIN) else {
            return Ok(());
        };
        let own = headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .is_some_and(|host| {
                let origin = origin.to_str().unwrap_or_default();
                origin.strip_prefix("http://") == Some(host)
                    || origin.strip_prefix("https://") == Some(host)
            });
        if own
            || self
                .0
                .origins
                .iter()
                .any(|allowed| allowed == "*" || allowed == origin)
        {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::Forbidden,
            "this origin is not allowed; CORS_ORIGINS lists those that are",
        ))
    }
}

fn check_token(token: &str, headers: &HeaderMap, uri: &Uri) -> Result<(), ApiError> {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            let (scheme, rest) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
        });
    // Browsers cannot send headers with WebSocket.
    let in_query = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .ok()
        .and_then(|Query(pairs)| pairs.into_iter().find(|(name, _)| name == "token"))
        // A `+` that was not escaped is read as a space, which no token has.
        .map(|(_, token)| token.replace(' ', "+"));
    let offered = bearer.or(in_query.as_deref()).unwrap_or_default();
    let is_right =
        offered.len() <= TOKEN_MAX && bool::from(offered.as_bytes().ct_eq(token.as_bytes()));
    if is_right {
        Ok(())
    } else {
        Err(ApiError::new(
            ErrorCode::Unauthorized,
            "a token is needed: `Authorization: Bearer <API_TOKEN>`, or `?token=` for WebSocket",
        ))
    }
}

/// Without a token only names that mean this machine are answered to, so that no page can make its own name mean it.
fn check_host(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return Ok(());
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::Forbidden,
        "without API_TOKEN this program answers to `localhost` and to addresses alone",
    ))
}

/// Lets a request through, or says why not.
pub async fn check(State(api): State<Api>, request: Request, next: Next) -> Response {
    // The document says how a token is given.
    if request.uri().path() == "/openapi.json" {
        return next.run(request).await;
    }
    match api.guard().check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// What browsers are told about other origins.
pub fn cors(guard: &Guard) -> CorsLayer {
    let origins = &guard.0.origins;
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().cloned())
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    name.parse::<axum::http::HeaderName>().expect("a name"),
                    HeaderValue::from_str(value).expect("a value"),
                )
            })
            .collect()
    }

    #[test]
    fn a_token_is_taken_from_the_header_or_the_query() {
        let plain = Uri::from_static("/stream/status");
        let check =
            |pairs: &[(&str, &str)], uri: &Uri| check_token("s3cret", &headers(pairs), uri).is_ok();
        assert!(check(&[("authorization", "Bearer s3cret")], &plain));
        assert!(check(&[("authorization", "bearer s3cret")], &plain));
        assert!(check(&[], &Uri::from_static("/ws?since=4&token=s3cret")));
        assert!(!check(&[], &plain));
        assert!(!check(&[("authorization", "Basic s3cret")], &plain));
        assert!(!check(&[("authorization", "Bearer s3cre")], &plain));
        assert!(!check(&[("authorization", "Bearer ")], &plain));
    }

    #[test]
    fn a_token_in_the_query_may_be_escaped() {
        let check = |uri| check_token("a+b/c==", &HeaderMap::new(), &Uri::from_static(uri)).is_ok();
        assert!(check("/ws?token=a%2Bb%2Fc%3D%3D"));
        assert!(check("/ws?token=a+b/c=="));
        assert!(!check("/ws?token=a%2Bb%2Fc%3D"));
        assert!(!check("/ws?tokens=a+b/c=="));
    }

    #[test]
    fn foreign_host_names_are_refused_without_a_token() {
        for (host, allowed) in [
            ("localhost:4200", true),
            ("127.0.0.1:4200", true),
            ("[::1]:4200", true),
            ("192.168.1.7", true),
            ("evil.example", false),
            ("localhost.evil.example:4200", false),
        ] {
            assert_eq!(
                check_host(&headers(&[("host", host)])).is_ok(),
                allowed,
                "{host}"
            );
        }
    }
}
