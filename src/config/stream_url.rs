//! Where the stream is pushed: an address that contains a secret.

use std::fmt;

/// An `rtmp://` or `rtmps://` URL with a host and a path, or an `srt://` URL with a host and a port. `Debug` and `Display` hide user,
/// password, stream key and passphrase.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamUrl(String);

impl StreamUrl {
    /// Checks `text`; `None` when it is no such URL.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_rtmp = scheme.eq_ignore_ascii_case("rtmp") || scheme.eq_ignore_ascii_case("rtmps");
        let is_one_word = !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if scheme.eq_ignore_ascii_case("srt") {
            let address = rest.split(['?', '/']).next().unwrap_or_default();
            let has_port = address.rsplit_once(':').is_some_and(|(_, port)| {
                !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
            });
            let is_good = is_one_word && has_port && is_host_and_port(address);
            return is_good.then(|| Self(text.to_owned()));
        }
        let (authority, path) = rest.split_once('/')?;
        let host_and_port = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let is_good = is_rtmp
            && is_one_word
            && is_host_and_port(host_and_port)
            && !path.trim_matches('/').is_empty();
        is_good.then(|| Self(text.to_owned()))
    }

    /// The whole URL with its key: for the connection alone, never for a log, an error or an answer.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&codec::redact_url(&self.0))
    }
}

impl fmt::Debug for StreamUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StreamUrl({self})")
    }
}

/// `host`, `host:1935`, `[::1]` or `[::1]:1935`.
fn is_host_and_port(text: &str) -> bool {
    let (host, after) = match text.strip_prefix('[') {
        Some(bracketed) => match bracketed.split_once(']') {
            Some((host, after)) => (host, after),
            None => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_port_good = match after.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok_and(|port| port > 0),
        None => after.is_empty(),
    };
    !host.is_empty() && !host.contains(['?', '#']) && is_port_good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_real_services_are_taken() {
        for text in [
            "rtmp://live.twitch.tv/app/live_123_abc",
            "rtmps://a.rtmps.youtube.com:443/live2/abcd-efgh",
            "rtmp://127.0.0.1:1936/live/program",
            "rtmp://[::1]:1935/live/key",
            "RTMP://user:pass@host/app/key?token=1",
            "srt://host:8890?streamid=live&passphrase=correct-horse",
            "srt://[::1]:8890",
        ] {
            assert_eq!(StreamUrl::parse(text).unwrap().reveal(), text);
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for text in [
            "",
            "host/app/key",
            "http://host/app/key",
            "rtmp://",
            "rtmp://host",
            "rtmp://host/",
            "rtmp:///app/key",
            "rtmp://host:0/app/key",
            "rtmp://host:99999/app/key",
            "rtmp://host:/app/key",
            "rtmp://[::1/app/key",
            "rtmp://host/app/k ey",
            "rtmp://host?x/app",
            "srt://host",
            "srt://:8890",
            "srt://[::1]",
            "srt://host:0",
        ] {
            assert!(StreamUrl::parse(text).is_none(), "{text}");
        }
    }
}
