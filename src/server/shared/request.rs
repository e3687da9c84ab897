//! Commands that are requests to the API: `{"type": "request", "method": "PATCH", "path": "/stream/layers/host", "body": {...}}`, sent
//! through the very routes that HTTP takes, and their answers as JSON.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED,
    LOCATION, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

use crate::control::{ApiError, ErrorCode};
use crate::scene::words;
use crate::server::answer::read;
use crate::server::durable;

/// The largest body of an answer, in bytes.
pub const ANSWER_MAX: usize = 8 << 20;
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// What an answer tells of its head, beside its type.
const HEADERS: [HeaderName; 7] = [
    ALLOW,
    CACHE_CONTROL,
    CONTENT_DISPOSITION,
    ETAG,
    LAST_MODIFIED,
    LOCATION,
    RETRY_AFTER,
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    method: String,
    path: String,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    base64: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(rename = "id", default)]
    _id: Value,
    #[serde(rename = "type")]
    _type: String,
}

/// A request that can be sent.
pub struct Inner {
    request: Request,
    /// Whether its answer waits until the change is saved.
    pub is_durable: bool,
}

impl Inner {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(value: &Value) -> Result<Self, ApiError> {
        let asked: Asked = read(value)?;
        let method = METHODS.iter().find(|method| **method == asked.method);
        let Some(method) = method.and_then(|method| method.parse::<Method>().ok()) else {
            let message = format!("method: unknown method {}", words::name(&asked.method));
            return Err(bad(message).suggest(words::suggest(&asked.method, &METHODS)));
        };
        let uri = asked.path.parse::<Uri>().ok();
        let Some(uri) = uri.filter(|_| asked.path.starts_with('/')) else {
            return Err(bad(
                "path: expected the path of a route, such as `/stream/layers?dryRun=true`",
            ));
        };
        let (content_type, bytes) = body(asked.body, asked.base64, asked.content_type)?;
        let mut request = Request::new(Body::from(bytes));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        if let Some(content_type) = content_type {
            request.headers_mut().insert(CONTENT_TYPE, content_type);
        }
        let is_durable = durable::is_asked(&request);
        Ok(Self {
            request,
            is_durable,
        })
    }

    /// Whether it changes nothing.
    pub fn reads(&self) -> bool {
        matches!(*self.request.method(), Method::GET | Method::HEAD)
    }

    /// Has it worked off.
    pub async fn send(self, routes: Router) -> Response {
        match routes.oneshot(self.request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// What a request carries, with its type.
fn body(
    json: Option<Value>,
    base64: Option<String>,
    content_type: Option<String>,
) -> Result<(Option<HeaderValue>, Vec<u8>), ApiError> {
    match (json, base64, content_type) {
        (None, None, None) => Ok((None, Vec::new())),
        (Some(json), None, None) => {
            let content_type = HeaderValue::from_static("application/json");
            Ok((Some(content_type), json.to_string().into_bytes()))
        }
        (None, Some(base64), Some(content_type)) => {
            let bytes = STANDARD
                .decode(base64)
                .map_err(|error| bad(format!("base64: {error}")))?;
            let content_type = HeaderValue::from_str(&content_type)
                .map_err(|_| bad("contentType: expected a media type, such as `image/png`"))?;
            Ok((Some(content_type), bytes))
        }
        _ => Err(bad(
            "a request has a `body`, or `base64` with `contentType`, or nothing",
        )),
    }
}

fn bad(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, message)
}

/// An answer as JSON: `status`, then the fields of its own where it is a JSON object, else `contentType` and `base64`.
pub async fn json_of(response: Response) -> Value {
    match written(response).await {
        Ok(json) => json,
        Err(error) => Box::pin(written(error.into_response()))
            .await
            .unwrap_or(Value::Null),
    }
}

async fn written(response: Response) -> Result<Value, ApiError> {
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, ANSWER_MAX).await.map_err(|_| {
        let message = format!("the answer is larger than {ANSWER_MAX} bytes; ask for it by HTTP");
        ApiError::new(ErrorCode::TooLarge, message)
    })?;
    let mut answer = Map::new();
    answer.insert("status".to_owned(), head.status.as_u16().into());
    let headers = told(&head.headers);
    if !headers.is_empty() {
        answer.insert("headers".to_owned(), headers.into());
    }
    let content_type = head.headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|kind| kind.starts_with("application/json"));
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(fields)) if is_json && !fields.contains_key("status") => {
            answer.extend(fields);
        }
        Ok(json) if is_json => {
            answer.insert("body".to_owned(), json);
        }
        _ if bytes.is_empty() => {}
        _ => {
            answer.insert("contentType".to_owned(), json!(content_type));
            answer.insert("base64".to_owned(), STANDARD.encode(&bytes).into());
        }
    }
    Ok(answer.into())
}

fn told(headers: &HeaderMap) -> Map<String, Value> {
    HEADERS
        .iter()
        .filter_map(|name| {
            let value = headers.get(name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), value.into()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    fn parse(value: Value) -> Result<Inner, ApiError> {
        Inner::parse(&value)
    }

    #[test]
    fn what_is_no_request_is_told() {
        for (value, words) in [
            (json!({"type": "request"}), "method"),
            (
                json!({"type": "request", "method": "get", "path": "/x"}),
                "method",
            ),
            (
                json!({"type": "request", "method": "GET", "path": "x"}),
                "path",
            ),
            (
                json!({"type": "request", "method": "GET", "path": "/a b"}),
                "path",
            ),
            (
                json!({"type": "request", "method": "POST", "path": "/x", "base64": "AA=="}),
                "contentType",
            ),
            (
                json!({"type": "request", "method": "POST", "path": "/x", "base64": "!", "contentType": "image/png"}),
                "base64",
            ),
            (
                json!({"type": "request", "method": "GET", "path": "/x", "heders": {}}),
                "heders",
            ),
        ] {
            let error = parse(value.clone()).err().map(|error| error.message);
            let error = error.unwrap_or_default();
            assert!(error.contains(words), "{value}: {error}");
        }
        let path = "/stream/layers/host?durable=true";
        let change = json!({"type": "request", "method": "PATCH", "path": path, "body": {}});
        let change = parse(change)
            .ok()
            .map(|inner| (inner.reads(), inner.is_durable));
        assert_eq!(change, Some((false, true)));
        let look = json!({"type": "request", "method": "GET", "path": "/stream/status"});
        assert!(parse(look).is_ok_and(|inner| inner.reads() && !inner.is_durable));
    }

    #[tokio::test]
    async fn answers_are_json_whatever_they_carry() {
        let json = HeaderValue::from_static("application/json");
        let response = (
            StatusCode::CREATED,
            [(CONTENT_TYPE, json)],
            r#"{"success":true}"#,
        );
        let answer = json_of(response.into_response()).await;
        assert_eq!(answer, json!({"status": 201, "success": true}));
        let png = HeaderValue::from_static("image/png");
        let response = ([(CONTENT_TYPE, png)], vec![1, 2, 3]).into_response();
        let answer = json_of(response).await;
        assert_eq!(
            answer,
            json!({"status": 200, "contentType": "image/png", "base64": "AQID"})
        );
        let nothing = json_of(StatusCode::NOT_MODIFIED.into_response()).await;
        assert_eq!(nothing, json!({"status": 304}));
        let long = json_of(vec![0; ANSWER_MAX + 1].into_response()).await;
        assert_eq!(
            (&long["status"], &long["error"]["code"]),
            (&json!(413), &json!("TOO_LARGE"))
        );
    }
}
