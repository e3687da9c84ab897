//! Who may use the API: the token, and the origins of pages; and the password by which this program may use Redis.

use std::fmt;

use axum::http::HeaderValue;

/// The shortest token that is taken.
pub(super) const TOKEN_MIN: usize = 8;

/// `API_TOKEN`. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiToken(String);

impl ApiToken {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_good = (TOKEN_MIN..=256).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
        is_good.then(|| Self(text.to_owned()))
    }

    /// The token itself: for comparing alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiToken(hidden)")
    }
}

/// `REDIS_PASSWORD`. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisPassword(String);

impl RedisPassword {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_good = (1..=512).contains(&text.len()) && !text.contains(char::is_control);
        is_good.then(|| Self(text.to_owned()))
    }

    /// The password itself: for the connection alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RedisPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RedisPassword(hidden)")
    }
}

/// Origins whose pages may use the API from a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<HeaderValue>);

impl Origins {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        parts.map(origin).collect::<Option<Vec<_>>>().map(Self)
    }
}

/// `*`, or a scheme, a host and perhaps a port (RFC 6454).
fn origin(text: &str) -> Option<HeaderValue> {
    let is_good = text == "*"
        || text.split_once("://").is_some_and(|(scheme, rest)| {
            matches!(scheme, "http" | "https")
                && !rest.is_empty()
                && !rest.contains(['/', '?', '#', '*', ' '])
        });
    is_good.then(|| HeaderValue::from_str(text).ok()).flatten()
}
