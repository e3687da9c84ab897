//! What a peer shows to be let in: a key in the name of the stream or beside it, a token.

use std::net::IpAddr;
use std::time::Instant;

use subtle::ConstantTimeEq as _;

use super::wrong_keys::WrongKeys;

/// Letters of a stream's name with its query.
pub(super) const NAME_MAX: usize = 1024;

/// The keys that an address names: as the stream, or as a password beside it.
pub(super) struct Offered {
    pub(super) keys: Vec<String>,
    /// By the `id` or the name of its key; any where it is not said.
    pub(super) user: Option<String>,
}

impl Offered {
    pub(super) fn of(wanted: &str, connected: &str) -> Self {
        let (name, query) = split(wanted);
        let either = |names: &[&str]| {
            let found = |query| names.iter().find_map(|name| parameter(query, name));
            found(query).or_else(|| found(connected))
        };
        let keys = [Some(name.to_owned()), either(&["pass", "key"])];
        Self {
            keys: keys
                .into_iter()
                .flatten()
                .filter(|key| !key.is_empty() && key.len() <= NAME_MAX)
                .collect(),
            user: either(&["user"]).filter(|user| !user.is_empty()),
        }
    }
}

/// What stands before the question mark, and behind it.
pub(super) fn split(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

/// A parameter of a query, with what is escaped in it.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)?
        .1;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        let escaped = more.first_chunk::<2>().filter(|_| first == b'%');
        let escaped = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &more[2..] } else { more };
    }
    String::from_utf8(bytes).ok()
}

/// Whether somebody may watch what publishers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MayWatch {
    /// From this machine, or with the right token.
    Yes,
    /// Not without the right token.
    No,
    /// The token was wrong.
    Wrong,
    /// Too many were: it is not looked at.
    TooMany,
}

/// Whether a peer may watch what publishers send: on this machine everybody may, others with the token, where there is one.
pub(super) fn may_watch(
    peer: IpAddr,
    token: Option<&str>,
    offered: Option<&str>,
    wrong: &WrongKeys,
    now: Instant,
) -> MayWatch {
    if peer.to_canonical().is_loopback() {
        return MayWatch::Yes;
    }
    let (Some(token), Some(offered)) = (token, offered) else {
        return MayWatch::No;
    };
    let Ok(taken) = wrong.take(peer, now) else {
        return MayWatch::TooMany;
    };
    if bool::from(offered.as_bytes().ct_eq(token.as_bytes())) {
        taken.was_right();
        MayWatch::Yes
    } else {
        MayWatch::Wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_as_the_stream_or_as_a_password() {
        let offered = |wanted, connected| {
            let offered = Offered::of(wanted, connected);
            (offered.keys.join(" "), offered.user.unwrap_or_default())
        };
        let pair = |keys: &str, user: &str| (keys.to_owned(), user.to_owned());
        assert_eq!(offered("sm_1", ""), pair("sm_1", ""));
        assert_eq!(
            offered("cam?user=studio&pass=sm_1", ""),
            pair("cam sm_1", "studio")
        );
        assert_eq!(offered("?key=sm%5f1", ""), pair("sm_1", ""));
        assert_eq!(offered("", "user=a&pass=sm_1"), pair("sm_1", "a"));
        assert_eq!(offered("%zz?pass=%f", ""), pair("%zz %f", ""));
    }

    #[test]
    fn a_token_lets_others_watch_and_cannot_be_guessed() {
        let now = Instant::now();
        let wrong = WrongKeys::new(now);
        let far = IpAddr::from([192, 0, 2, 1]);
        let ask = |peer, offered| may_watch(peer, Some("secret"), offered, &wrong, now);
        assert_eq!(ask(far, None), MayWatch::No);
        for _ in 0..20 {
            assert_eq!(ask(far, Some("secret")), MayWatch::Yes);
        }
        for _ in 0..5 {
            assert_eq!(ask(far, Some("guess")), MayWatch::Wrong);
        }
        assert_eq!(ask(far, Some("secret")), MayWatch::TooMany);
        assert_eq!(ask(far, None), MayWatch::No);
        assert_eq!(ask([127, 0, 0, 1].into(), None), MayWatch::Yes);
        assert_eq!(may_watch(far, None, Some(""), &wrong, now), MayWatch::No);
    }
}
