//! `REDIS_URL`: where Redis is, in the forms that its clients know.

use std::fmt;
use std::path::PathBuf;

/// The forms, for help texts and errors.
pub const URL_EXPECTED: &str = "redis://[user:password@]host[:port][/db], rediss:// for TLS, redis+unix:///path?db=0, \
    redis+sentinel://host[:port],host[:port]/name[/db] or redis+cluster://host[:port],host[:port] (rediss+sentinel and \
    rediss+cluster for TLS); ?ca=FILE names an authority of one's own";

/// The port of Redis.
const PORT: u16 = 6379;
/// The port of a sentinel.
const SENTINEL_PORT: u16 = 26379;

/// Where Redis is, and who asks. `Debug` and `Display` show neither user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// The way to it.
    pub way: Way,
    /// Whether connections are encrypted.
    pub has_tls: bool,
    /// A file with the certificates of authorities (PEM), in the place of the system's.
    pub ca: Option<PathBuf>,
    /// The user, where it is not the default one.
    pub user: Option<String>,
    /// The password of the server.
    pub password: Option<String>,
    /// The password of the sentinels.
    pub sentinel_password: Option<String>,
    /// The number of the database.
    pub database: i64,
}

/// The way to Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// One server.
    Server(Node),
    /// One server on this machine, by its socket.
    Socket(PathBuf),
    /// The server that sentinels name.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<Node>,
        /// The name under which they watch it.
        name: String,
    },
    /// Whichever server of a cluster has the slot.
    Cluster(Vec<Node>),
}

/// A host with its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl RedisUrl {
    /// Reads a URL; `None` when it is none of [`URL_EXPECTED`].
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once("://")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A password may hold any letter but `@` and `/` as they are.
        let (access, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, path) = place.split_once('/').unwrap_or((place, ""));
        let has_tls = scheme.starts_with("rediss");
        let mut database = None;
        let way = match scheme {
            "redis" | "rediss" => {
                database = some(path);
                let [node] = <[Node; 1]>::try_from(nodes(hosts, PORT)?).ok()?;
                Way::Server(node)
            }
            "redis+unix" | "unix" if hosts.is_empty() && !path.is_empty() => {
                Way::Socket(PathBuf::from(format!("/{}", decoded(path)?)))
            }
            "redis+sentinel" | "rediss+sentinel" => {
                let (name, number) = path.split_once('/').unwrap_or((path, ""));
                database = some(number);
                Way::Sentinel {
                    sentinels: nodes(hosts, SENTINEL_PORT)?,
                    name: some(&decoded(name)?)?.to_owned(),
                }
            }
            // A cluster has one database.
            "redis+cluster" | "rediss+cluster" if path.is_empty() => {
                Way::Cluster(nodes(hosts, PORT)?)
            }
            _ => return None,
        };
        let (user, password) = access.split_once(':').unwrap_or((access, ""));
        let mut url = Self {
            way,
            has_tls,
            ca: None,
            user: some(&decoded(user)?).map(str::to_owned),
            password: some(&decoded(password)?).map(str::to_owned),
            sentinel_password: None,
            database: 0,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=')?;
            let value = decoded(value)?;
            match name {
                "db" if matches!(url.way, Way::Socket(_)) => url.database = value.parse().ok()?,
                "ca" if has_tls => url.ca = Some(PathBuf::from(value)),
                "sentinel_password" => url.sentinel_password = Some(value),
                _ => return None,
            }
        }
        if let Some(number) = database {
            url.database = number.parse().ok()?;
        }
        (0..=65_535).contains(&url.database).then_some(url)
    }

    /// The same with `REDIS_PASSWORD`, which goes before a password in the URL.
    #[must_use]
    pub fn with_password(mut self, password: Option<&str>) -> Self {
        if let Some(password) = password.and_then(some) {
            self.password = Some(password.to_owned());
        }
        self
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.has_tls { "rediss" } else { "redis" };
        match &self.way {
            Way::Server(node) => write!(out, "{scheme}://{node}/{}", self.database),
            Way::Socket(path) => write!(out, "redis+unix://{}", path.display()),
            Way::Sentinel { sentinels, name } => {
                write!(out, "{scheme}+sentinel://{}/{name}", List(sentinels))
            }
            Way::Cluster(nodes) => write!(out, "{scheme}+cluster://{}", List(nodes)),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RedisUrl({self})")
    }
}

impl fmt::Display for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(out, "[{}]:{}", self.host, self.port)
        } else {
            write!(out, "{}:{}", self.host, self.port)
        }
    }
}

struct List<'a>(&'a [Node]);

impl fmt::Display for List<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, node) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(out, "{comma}{node}")?;
        }
        Ok(())
    }
}

impl RedisUrl {
    /// The first host that it names; `None` for a socket on this machine.
    pub fn first_node(&self) -> Option<&Node> {
        match &self.way {
            Way::Server(node) => Some(node),
            Way::Socket(_) => None,
            Way::Sentinel { sentinels, .. } => sentinels.first(),
            Way::Cluster(nodes) => nodes.first(),
        }
    }
}

impl Node {
    /// Reads `host`, `host:port` or `[::1]:port`.
    pub fn parse(text: &str, port: u16) -> Option<Self> {
        let (host, number) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                (host, rest.strip_prefix(':'))
            }
            None => match text.split_once(':') {
                Some((host, number)) => (host, Some(number)),
                None => (text, None),
            },
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        let is_good = !host.is_empty() && host.chars().all(is_host);
        let port = match number {
            Some(number) => number.parse().ok().filter(|port| *port > 0)?,
            None => port,
        };
        is_good.then(|| Self {
            host: host.to_owned(),
            port,
        })
    }
}

fn nodes(text: &str, port: u16) -> Option<Vec<Node>> {
    text.split(',')
        .map(|node| Node::parse(node.trim(), port))
        .collect()
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The text with its `%41` read.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: u16) -> Node {
        Node {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn every_form_is_read() {
        let url = RedisUrl::parse("redis://cache").expect("a server");
        assert_eq!(url.way, Way::Server(node("cache", 6379)));
        let url = RedisUrl::parse("rediss://me:s%40crt@[::1]:7000/3?ca=/etc/ca.pem").expect("TLS");
        assert_eq!(url.way, Way::Server(node("::1", 7000)));
        assert!(url.has_tls && url.database == 3);
        assert_eq!(url.user.as_deref(), Some("me"));
        assert_eq!(url.password.as_deref(), Some("s@crt"));
        assert_eq!(url.ca, Some(PathBuf::from("/etc/ca.pem")));
        let url = RedisUrl::parse("redis+unix:///run/redis.sock?db=2").expect("a socket");
        assert_eq!(url.way, Way::Socket(PathBuf::from("/run/redis.sock")));
        assert_eq!(url.database, 2);
        let url = RedisUrl::parse("redis+sentinel://:pw@a,b:27000/main/1").expect("sentinels");
        let sentinels = vec![node("a", 26379), node("b", 27000)];
        let name = "main".to_owned();
        assert_eq!(url.way, Way::Sentinel { sentinels, name });
        assert_eq!((url.user, url.database), (None, 1));
        let url = RedisUrl::parse("rediss+cluster://a:1,b:2").expect("a cluster");
        assert_eq!(url.way, Way::Cluster(vec![node("a", 1), node("b", 2)]));
    }

    #[test]
    fn what_is_no_url_of_redis_is_refused() {
        for text in [
            "",
            "cache:6379",
            "http://cache",
            "redis://",
            "redis://a,b",
            "redis://a:0",
            "redis://a:x",
            "redis://a/one",
            "redis://a/-1",
            "redis+sentinel://a",
            "redis+sentinel://a/",
            "redis+cluster://a/1",
            "redis+unix://host/path",
            "redis://a?ca=/x",
            "redis://a?x=1",
            "redis://a b",
            "redis://a:%zz@b",
        ] {
            assert!(RedisUrl::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = RedisUrl::parse("redis://me:hush@host").expect("a server");
        let shown = format!("{url} {url:?}");
        assert!(!shown.contains("hush") && !shown.contains("me:"), "{shown}");
        let url = url.with_password(Some("other"));
        assert_eq!(url.password.as_deref(), Some("other"));
        assert!(!format!("{url:?}").contains("other"));
    }
}
