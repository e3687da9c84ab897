//! Keeps stream keys out of logs, errors and answers.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

/// What stands in the place of a secret.
const HIDDEN: &str = "***";
/// Shorter strings are too likely to be ordinary words of a log line.
const SECRET_BYTES_MIN: usize = 4;
/// Keys of an SRT target's query whose values are ordinary words or numbers, and no secrets.
const SRT_PLAIN_KEYS: [&str; 12] = [
    "mode",
    "transtype",
    "latency",
    "rcvlatency",
    "peerlatency",
    "tsbpddelay",
    "pbkeylen",
    "pkt_size",
    "payload_size",
    "timeout",
    "connect_timeout",
    "maxbw",
];
/// Schemes whose path, after the application, is the stream key.
const KEY_IN_PATH: [&str; 4] = ["rtmp", "rtmps", "rtmpt", "rtmpts"];

/// Returns `target` as it may be shown: without user and password, without a query, and, for RTMP, without what
/// follows the application's name in the path, which is the stream key. A path to a file stays as it is.
///
/// `rtmp://me:pass@host:1935/live/key?token=1` becomes `rtmp://***@host:1935/live/***`.
#[must_use]
pub fn redact_url(target: &str) -> String {
    let Some(parts) = UrlParts::split(target) else {
        return target.to_owned();
    };
    let mut shown = format!("{}://", parts.scheme);
    if parts.user.is_some() {
        shown.push_str(HIDDEN);
        shown.push('@');
    }
    shown.push_str(parts.host);
    shown.push_str(parts.path_shown);
    if !parts.path_hidden.is_empty() {
        shown.push_str(HIDDEN);
    } else if parts.query.is_some() {
        shown.push('?');
        shown.push_str(HIDDEN);
    }
    shown
}

/// Secrets of the targets that are open now, so that FFmpeg's log lines can be cleaned of them.
static SECRETS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// While it lives, the secrets of one target are struck out of FFmpeg's log. Bounded by the open muxers.
#[derive(Debug)]
pub(crate) struct SecretGuard {
    secrets: Vec<String>,
}

impl SecretGuard {
    pub(crate) fn new(target: &str) -> Self {
        let mut secrets: Vec<String> = secrets_of(target).map(str::to_owned).collect();
        // Protocols decode the values of a query, and log them so.
        let decoded: Vec<String> = secrets.iter().filter_map(|secret| decode(secret)).collect();
        secrets.extend(decoded);
        // The longest goes first, so that no part of it is left over.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        SECRETS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(secrets.iter().cloned());
        Self { secrets }
    }
}

impl Drop for SecretGuard {
    fn drop(&mut self) {
        let mut all = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
        for secret in &self.secrets {
            if let Some(index) = all.iter().position(|other| other == secret) {
                all.remove(index);
            }
        }
    }
}

/// Cleans one line of FFmpeg's log: URLs in it are redacted and known secrets struck out.
pub(crate) fn redact_line(line: &str) -> Cow<'_, str> {
    let mut line = Cow::Borrowed(line);
    if line.contains("://") {
        let mut words =
            line.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '\'' | '"'));
        let cleaned =
            words
                .by_ref()
                .fold(String::with_capacity(line.len()), |mut cleaned, word| {
                    let end = word.trim_end_matches(|c: char| {
                        c.is_whitespace() || matches!(c, '\'' | '"' | ':' | ',')
                    });
                    cleaned.push_str(&redact_url(end));
                    cleaned.push_str(&word[end.len()..]);
                    cleaned
                });
        line = Cow::Owned(cleaned);
    }
    for secret in SECRETS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
    {
        if line.contains(secret.as_str()) {
            line = Cow::Owned(line.replace(secret.as_str(), HIDDEN));
        }
    }
    line
}

/// The parts of a target that must not be shown, each alone, as protocols log them.
fn secrets_of(target: &str) -> impl Iterator<Item = &str> {
    let parts = UrlParts::split(target);
    let (scheme, user, hidden, query) = parts.map_or(("", None, "", None), |parts| {
        (parts.scheme, parts.user, parts.path_hidden, parts.query)
    });
    let is_srt = scheme.eq_ignore_ascii_case("srt");
    let user = user
        .into_iter()
        .flat_map(|user| std::iter::once(user).chain(user.split(':').skip(1)));
    // Some servers take a query before the key: `app?backup=1/key`.
    let key = std::iter::once(hidden).chain(hidden.split(['?', '/']));
    let query = query.into_iter().flat_map(move |query| {
        std::iter::once(query).chain(
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .filter(move |(key, _)| !(is_srt && SRT_PLAIN_KEYS.contains(key)))
                .map(|(_, value)| value),
        )
    });
    user.chain(key)
        .chain(query)
        .filter(|secret| secret.len() >= SECRET_BYTES_MIN)
}

/// The text without its percent-encoding; `None` when there is none in it, or no text under it.
fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let code = others
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if code.is_some() { &others[2..] } else { others };
        bytes.push(code.unwrap_or(*first));
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|decoded| decoded.len() >= SECRET_BYTES_MIN)
}

struct UrlParts<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    host: &'a str,
    /// The path that may be shown, with its slashes.
    path_shown: &'a str,
    /// The path that is a secret, with its query.
    path_hidden: &'a str,
    query: Option<&'a str>,
}

impl<'a> UrlParts<'a> {
    fn split(target: &'a str) -> Option<Self> {
        let (scheme, rest) = target.split_once("://")?;
        // A scheme is a letter and then letters, digits, `+`, `-` or `.` (RFC 3986, section 3.1).
        let name = scheme
            .rsplit(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
            .next()?;
        if name.is_empty() {
            return None;
        }
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(authority_end);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let query_at = path_and_query.find(['?', '#']);
        let query = query_at.map(|at| &path_and_query[at + 1..]);
        let path = &path_and_query[..query_at.unwrap_or(path_and_query.len())];
        if !KEY_IN_PATH
            .iter()
            .any(|key_scheme| name.eq_ignore_ascii_case(key_scheme))
        {
            return Some(Self {
                scheme,
                user,
                host,
                path_shown: path,
                path_hidden: "",
                query,
            });
        }
        // `/app/key`: the key is all that follows the second slash; with one segment alone, that is the key.
        let shown = path
            .get(1..)
            .and_then(|tail| tail.find('/'))
            .map_or(path.len().min(1), |slash| slash + 2);
        let (path_shown, _) = path_and_query.split_at(shown);
        Some(Self {
            scheme,
            user,
            host,
            path_shown,
            path_hidden: &path_and_query[shown..],
            query,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_users_and_queries_are_hidden() {
        for (target, shown) in [
            ("rtmp://host/live/key", "rtmp://host/live/***"),
            (
                "rtmp://me:pass@host:1935/live/key?token=1",
                "rtmp://***@host:1935/live/***",
            ),
            (
                "rtmps://a.example:443/live2/abcd-efgh",
                "rtmps://a.example:443/live2/***",
            ),
            ("rtmp://host/key", "rtmp://host/***"),
            ("rtmp://host", "rtmp://host"),
            ("rtmp://host/app?key=1", "rtmp://host/***"),
            ("srt://host:9000?passphrase=secret", "srt://host:9000?***"),
            (
                "https://me@host/a/b.m3u8?sig=1",
                "https://***@host/a/b.m3u8?***",
            ),
            ("/var/recordings/a b.mp4", "/var/recordings/a b.mp4"),
        ] {
            assert_eq!(redact_url(target), shown, "{target}");
        }
    }

    #[test]
    fn log_lines_are_cleaned_while_the_target_is_open() {
        let guard = SecretGuard::new("rtmp://user:hunter22@host/live/s3cr3t-key?token=abcdef");
        assert_eq!(
            redact_line("[rtmp] path = /live/s3cr3t-key?token=abcdef"),
            "[rtmp] path = /live/***"
        );
        assert_eq!(redact_line("publishing s3cr3t-key"), "publishing ***");
        assert_eq!(redact_line("auth hunter22, abcdef"), "auth ***, ***");
        let behind_query = SecretGuard::new("rtmp://host/app?backup=1/b4ckup-key");
        assert_eq!(redact_line("publishing b4ckup-key"), "publishing ***");
        drop(behind_query);
        drop(guard);
        assert_eq!(
            redact_line("'rtmp://host/live/other': refused"),
            "'rtmp://host/live/***': refused"
        );
    }

    #[test]
    fn what_srt_is_told_is_struck_out_as_it_is_logged() {
        let guard = SecretGuard::new(
            "srt://host:9000?mode=caller&passphrase=correct%20horse&streamid=%23!::r=live,u=me",
        );
        assert_eq!(
            redact_line("caller with 'correct horse' or correct%20horse and #!::r=live,u=me"),
            "caller with '***' or *** and ***"
        );
        drop(guard);
        assert_eq!(redact_line("correct horse"), "correct horse");
    }

    proptest! {
        #[test]
        fn a_key_never_shows(
            app in "[a-z]{1,8}", key in "[A-Z0-9_-]{4,24}", user in proptest::option::of("[A-Z]{4,8}:[A-Z]{4,8}"),
            query in proptest::option::of("[A-Z]{4,8}=[A-Z0-9]{4,8}"),
        ) {
            let user = user.map(|user| format!("{user}@")).unwrap_or_default();
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            let shown = redact_url(&format!("rtmp://{user}host/{app}/{key}{query}"));
            prop_assert!(!shown.contains(|c: char| c.is_ascii_uppercase()), "{shown}");
        }

        #[test]
        fn any_text_is_survived(target in ".{0,64}") {
            let _ = redact_url(&target);
            let _ = redact_line(&target);
        }
    }
}
