//! How requests are read and answered: `{"success": true, "data": ...}`, or `{"success": false, "error": ...}` with the fitting
//! status. Everything that axum would answer by itself is put into the same form here.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER, SEC_WEBSOCKET_VERSION,
    UPGRADE, WWW_AUTHENTICATE,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use components::animation::{Easing, Glide};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::BODY_MAX;
use super::durable::STORE;
use crate::control::view::json_of;
use crate::control::{ApiError, Asked, Change, ErrorCode, Outcome, Terms};
use crate::scene::schema::WHOLE_MAX;
use crate::scene::{registry, words};
use crate::store::PersistState;

/// What a handler gives back.
pub type Answered = Result<Reply, ApiError>;

/// The revision that a change has made, beside its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landed(pub u64);

/// Beside an answer: something was changed that is saved beside the show, and has no revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept;

/// A success.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    data: Value,
    landed: Option<(u64, u64)>,
    is_kept: bool,
    /// How the store is, where the change is not saved in time.
    pub store: Option<PersistState>,
}

impl Reply {
    /// Data to look at.
    ///
    /// # Errors
    /// The data is no JSON, which is the program's fault.
    pub fn of(data: impl Serialize) -> Answered {
        Ok(Self {
            status: StatusCode::OK,
            data: json_of(&data),
            landed: None,
            is_kept: false,
            store: None,
        })
    }

    /// A change, with the tick and the revision of its outcome. One that waits for its tick is 202.
    ///
    /// # Errors
    /// As [`Reply::of`].
    pub fn changed(outcome: &Outcome, data: impl Serialize) -> Answered {
        let mut reply = Self::of(data)?;
        reply.landed = Some((outcome.tick, outcome.revision));
        if let Some(id) = outcome.scheduled {
            reply.status = StatusCode::ACCEPTED;
            reply.data = json!({"scheduled": id});
        }
        Ok(reply)
    }

    /// The same for something new (201).
    #[must_use]
    pub fn created(mut self) -> Self {
        if self.status == StatusCode::OK {
            self.status = StatusCode::CREATED;
        }
        self
    }

    /// The same where something was changed that is saved beside the show.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.is_kept = true;
        self
    }

    /// The same for something new (201) that was not only asked for (200).
    #[must_use]
    pub fn made(self, terms: &Terms) -> Self {
        if terms.dry_run { self } else { self.created() }
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The revision that a change has made.
    pub fn landed(&self) -> Option<Landed> {
        self.landed.map(|(_, revision)| Landed(revision))
    }

    /// Whether something was changed that is saved beside the show.
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// As an object that WebSocket replies carry.
    pub fn into_json(self) -> Value {
        let mut body = json!({"success": true, "data": self.data});
        if let Some((tick, revision)) = self.landed {
            body["tick"] = tick.into();
            body["revision"] = revision.into();
        }
        if let Some(store) = self.store {
            body[STORE] = json_of(&store);
        }
        body
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let (status, landed, is_kept) = (self.status, self.landed(), self.is_kept);
        let mut response = json_response(status, &self.into_json());
        if is_kept {
            response.extensions_mut().insert(Kept);
        }
        if let Some(landed) = landed {
            response.extensions_mut().insert(landed);
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json_response(status, &json!({"success": false, "error": self}));
        let headers: &[(HeaderName, &'static str)] = match self.code {
            ErrorCode::RateLimited | ErrorCode::Unavailable => &[(RETRY_AFTER, "1")],
            ErrorCode::Unauthorized => &[(WWW_AUTHENTICATE, "Bearer")],
            // RFC 9110, section 15.5.22, and RFC 6455, section 4.4.
            ErrorCode::UpgradeRequired => &[
                (UPGRADE, "websocket"),
                (CONNECTION, "upgrade"),
                (SEC_WEBSOCKET_VERSION, "13"),
            ],
            _ => &[],
        };
        for (name, value) in headers {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let json = HeaderValue::from_static("application/json");
    (status, [(CONTENT_TYPE, json)], body.to_string()).into_response()
}

/// A JSON body.
#[derive(Debug)]
pub struct Json(pub Value);

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let value = json_body(request, state).await?;
        value
            .map(Self)
            .ok_or_else(|| ApiError::new(ErrorCode::BadRequest, "the request needs a JSON body"))
    }
}

/// A JSON body that may be left out, which is an empty object then.
#[derive(Debug)]
pub struct MaybeJson(Value);

impl<S: Send + Sync> FromRequest<S> for MaybeJson {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let value = json_body(request, state).await?;
        Ok(Self(value.unwrap_or_else(|| json!({}))))
    }
}

/// The JSON in a body; `None` when there is no body.
async fn json_body<S: Send + Sync>(request: Request, state: &S) -> Result<Option<Value>, ApiError> {
    // Known before anything of it comes.
    check_length(&request, BODY_MAX as u64)?;
    let media_type = request
        .headers()
        .get(CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or_default().to_ascii_lowercase());
    let bytes = Bytes::from_request(request, state)
        .await
        .map_err(|rejection| unreadable(&rejection))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let essence = media_type
        .as_deref()
        .and_then(|media| media.split(';').next())
        .map(str::trim);
    let is_json = essence.is_some_and(|essence| {
        essence == "application/json"
            || essence.starts_with("application/") && essence.ends_with("+json")
    });
    if !is_json {
        return Err(ApiError::new(
            ErrorCode::UnsupportedMediaType,
            "the body must be JSON, with `Content-Type: application/json`",
        ));
    }
    parse(&bytes).map(Some)
}

impl MaybeJson {
    /// The body as a type that says what is wrong with it.
    ///
    /// # Errors
    /// Every problem of its shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        read(&self.0)
    }
}

impl Json {
    /// The body as a type that says what is wrong with it.
    ///
    /// # Errors
    /// Every problem of its shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        read(&self.0)
    }
}

/// Refuses a body that is announced as larger than `bytes_max`.
///
/// # Errors
/// It is.
pub fn check_length(request: &Request, bytes_max: u64) -> Result<(), ApiError> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bytes_max) {
        let message = format!("the body is larger than {bytes_max} bytes");
        return Err(ApiError::new(ErrorCode::TooLarge, message));
    }
    Ok(())
}

/// A value as a type that says what is wrong with it.
///
/// # Errors
/// Every problem of its shape.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, ApiError> {
    let mut found = Vec::new();
    registry::read_body(value, "", None, &mut found)
        .filter(|_| found.is_empty())
        .ok_or_else(|| ApiError::problems(ErrorCode::BadRequest, &found))
}

/// JSON text as a value.
///
/// # Errors
/// Where it is no JSON.
pub fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        ApiError::new(
            ErrorCode::BadRequest,
            format!("the body is not UTF-8 from byte {} on", error.valid_up_to()),
        )
    })?;
    serde_json::from_str(text).map_err(|error| {
        ApiError::new(
            ErrorCode::BadRequest,
            format!("the body is not JSON: {error}"),
        )
        .with("line", error.line())
        .with("column", error.column())
    })
}

fn unreadable(rejection: &BytesRejection) -> ApiError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(ErrorCode::TooLarge, "the body is larger than is taken")
        }
        _ => ApiError::new(ErrorCode::BadRequest, "the body broke off"),
    }
}

/// The one name in a route's path.
#[derive(Debug)]
pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Path::<String>::from_request_parts(parts, state)
            .await
            .map(|Path(name)| Self(name))
            .map_err(|_| ApiError::new(ErrorCode::BadRequest, "the path is not UTF-8"))
    }
}

/// The two names in a route's path, the outer one first.
#[derive(Debug)]
pub struct Names(pub String, pub String);

impl<S: Send + Sync> FromRequestParts<S> for Names {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map(|Path((outer, inner))| Self(outer, inner))
            .map_err(|_| ApiError::new(ErrorCode::BadRequest, "the path is not UTF-8"))
    }
}

/// The terms of a change: `?ifRevision=12&dryRun=true`.
#[derive(Debug)]
pub struct Asking(pub Terms);

impl<S: Send + Sync> FromRequestParts<S> for Asking {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Params::from_request_parts(parts, state).await?;
        Ok(Self(Terms {
            at_tick: None,
            if_revision: query.whole("ifRevision")?,
            dry_run: query.flag("dryRun")?.unwrap_or(false),
        }))
    }
}

/// The query of a request.
#[derive(Debug)]
pub struct Params(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::of(&parts.uri)
    }
}

impl Params {
    /// The query of an address.
    ///
    /// # Errors
    /// It cannot be read, or names something twice.
    pub fn of(uri: &Uri) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| ApiError::new(ErrorCode::BadRequest, "the query cannot be read"))?;
        let mut params = BTreeMap::new();
        for (name, value) in pairs {
            let shown = words::name(&name);
            if params.insert(name, value).is_some() {
                let message = format!("the query parameter {shown} is there twice");
                return Err(ApiError::new(ErrorCode::BadRequest, message));
            }
        }
        Ok(Self(params))
    }

    /// Refuses names that the route does not know. `token` is known to all.
    ///
    /// # Errors
    /// The first of them.
    pub fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        let is_unknown = |name: &&String| *name != "token" && !known.contains(&name.as_str());
        match self.0.keys().find(is_unknown) {
            None => Ok(()),
            Some(name) => {
                let message = format!("unknown query parameter {}", words::name(name));
                let error = ApiError::new(ErrorCode::BadRequest, message);
                Err(error.suggest(words::suggest(name, known)))
            }
        }
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a parameter that has at most so many letters.
    ///
    /// # Errors
    /// It has more.
    pub fn short(&self, name: &str, letters_max: usize) -> Result<Option<&str>, ApiError> {
        match self.get(name) {
            Some(text) if text.chars().count() > letters_max => {
                let what = format!("at most {letters_max} letters long");
                Err(mistaken(name, &what))
            }
            text => Ok(text),
        }
    }

    /// The way of a value: its seconds under `name`, and its `easing`; none without seconds.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn glide(&self, name: &str) -> Result<Option<Glide>, ApiError> {
        let what = "a number of seconds from 0 to 600";
        let seconds = match self.get(name).map(str::parse::<f32>) {
            None => None,
            Some(Ok(seconds)) => Some(seconds),
            Some(Err(_)) => return Err(mistaken(name, what)),
        };
        let easing = match self.get("easing") {
            None => Easing::EaseInOutCubic,
            Some(name) => {
                let named = Easing::NAMED.iter().copied();
                let mut known = named.map(|easing| (easing, json_of(&easing)));
                let found = known.find(|(_, known)| known == name);
                let (easing, _) =
                    found.ok_or_else(|| mistaken("easing", "the name of an easing"))?;
                easing
            }
        };
        match seconds {
            None if self.get("easing").is_some() => {
                let message = format!("the query parameter `easing` needs `{name}`");
                Err(ApiError::new(ErrorCode::BadRequest, message))
            }
            None => Ok(None),
            Some(duration) if (0.0..=600.0).contains(&duration) => Ok(Some(Glide {
                duration,
                easing,
                delay: 0.0,
            })),
            Some(_) => Err(mistaken(name, what)),
        }
    }

    /// A whole number that JSON keeps exactly.
    ///
    /// # Errors
    /// It is none.
    pub fn whole(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let what = "a whole number from 0 to 9007199254740991";
        let number = self.parsed(name, what)?;
        if number.is_some_and(|number| number > WHOLE_MAX) {
            return Err(mistaken(name, what));
        }
        Ok(number)
    }

    /// True or false.
    ///
    /// # Errors
    /// It is neither.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.parsed(name, "`true` or `false`")
    }

    /// A value of any kind that can be read from text and is written in one way only.
    ///
    /// # Errors
    /// It is no `what`.
    pub fn parsed<T: std::str::FromStr + ToString>(
        &self,
        name: &str,
        what: &str,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match text.parse::<T>() {
            Ok(value) if value.to_string() == text => Ok(Some(value)),
            _ => Err(mistaken(name, what)),
        }
    }
}

fn mistaken(name: &str, what: &str) -> ApiError {
    let message = format!("the query parameter `{name}` must be {what}");
    ApiError::new(ErrorCode::BadRequest, message)
}

/// Something that was deleted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deleted {
    /// Its name.
    pub id: String,
}

/// A change whose payload is a request's body.
pub fn asked(change: Change) -> Asked {
    Asked::from(change)
}

/// What is answered where there is no route.
pub async fn no_route() -> ApiError {
    ApiError::new(
        ErrorCode::NotFound,
        "there is no such route; `/openapi.json` and `/docs` list them all",
    )
}

/// What is answered where a route does not take the method. axum adds `Allow`.
pub async fn no_method() -> ApiError {
    ApiError::new(
        ErrorCode::MethodNotAllowed,
        "this route does not take this method",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::keys::NewKey;
    use crate::server::commands::Batch;

    #[test]
    fn every_field_of_a_body_is_looked_at() {
        for value in [json!({"": null}), json!({"nmae": "obs"}), json!([])] {
            let error = read::<NewKey>(&value).expect_err("refused");
            assert_eq!(error.code, ErrorCode::BadRequest, "{value}");
        }
        assert!(read::<NewKey>(&json!({"name": "obs"})).is_ok());
    }

    #[test]
    fn whole_numbers_may_have_a_point_as_far_as_they_are_exact() {
        let batch = |number: Value| {
            read::<Batch>(&json!({"commands": [], "ifRevision": number, "at": number}))
        };
        let most = WHOLE_MAX as f64;
        for number in [json!(0), json!(7.0), json!(WHOLE_MAX), json!(most)] {
            assert!(batch(number.clone()).is_ok(), "{number}");
        }
        for number in [json!(0.5), json!(-1), json!(most + 1.0), json!(true)] {
            assert!(batch(number.clone()).is_err(), "{number}");
        }
    }

    #[test]
    fn a_query_names_what_the_route_knows_once_and_in_one_way() {
        let query = |text: &str| {
            let uri: Uri = format!("/layers?{text}").parse().expect("an address");
            let query = Params::of(&uri)?;
            query.only(&["index", "dryRun"])?;
            Ok::<_, ApiError>((query.whole("index")?, query.flag("dryRun")?))
        };
        assert_eq!(
            query("index=3&dryRun=true&token=x").expect("known"),
            (Some(3), Some(true))
        );
        for text in [
            "indx=3",
            "index=3&index=3",
            "index=03",
            "index=%2B3",
            "index=",
            "index=9007199254740992",
            "dryRun=1",
            "dryRun=True",
        ] {
            let error = query(text).expect_err(text);
            assert_eq!(error.code, ErrorCode::BadRequest, "{text}");
        }
    }
}
