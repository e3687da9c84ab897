//! How one instance asks the one before it to let go, and how that does it.
//!
//! It is one request to the health port: `POST /lease/yield` with the word that the other has put into Redis.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::Settings;
use crate::store::remote::url::Node;
use crate::store::shared::{Contact, LeasePass};

/// The route of the health port.
pub const YIELD_PATH: &str = "/lease/yield";
/// The header that has the word.
pub const WORD_HEADER: &str = "x-lease-word";
/// An instance that does not answer within this time is dead or stopped.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// Lets go of the servers where another instance asks for it. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Handover {
    pass: LeasePass,
    word: Arc<str>,
}

impl Handover {
    pub(super) fn new(pass: LeasePass, word: &str) -> Self {
        Self {
            pass,
            word: word.into(),
        }
    }

    /// Whether this instance may do what only the leader does.
    pub fn may_act(&self) -> bool {
        self.pass.may_act()
    }

    /// Has the outputs send nothing more until the lease is confirmed. Says whether the word is right.
    pub fn let_go(&self, word: &[u8]) -> bool {
        let is_right = bool::from(self.word.as_bytes().ct_eq(word));
        if is_right {
            tracing::warn!("another instance has the lease; nothing more is sent");
            self.pass.let_go();
        }
        is_right
    }
}

/// How others on the network reach this instance's health port. Cheap to copy.
#[derive(Clone)]
pub(super) struct Place {
    host: String,
    bind: IpAddr,
    redis: Option<Node>,
    health_port: u16,
    word: Arc<str>,
}

/// The word is a secret.
impl std::fmt::Debug for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Place").finish_non_exhaustive()
    }
}

impl Place {
    pub(super) fn new(settings: &Settings, health_port: u16) -> Self {
        let word: [u64; 2] = [(); 2].map(|()| getrandom::u64().unwrap_or_default());
        let redis = settings.redis_url.as_ref();
        Self {
            host: settings.advertise_host.clone(),
            bind: settings.bind,
            redis: redis.and_then(|url| url.first_node()).cloned(),
            health_port,
            word: format!("{:016x}{:016x}", word[0], word[1]).into(),
        }
    }

    /// What others ask with.
    pub(super) fn word(&self) -> &str {
        &self.word
    }

    /// Says so where instances on other machines cannot reach this one.
    pub(super) fn warn_if_alone(&self) {
        let is_local = |node: &Node| matches!(&*node.host, "localhost" | "127.0.0.1" | "::1");
        let is_remote = self.redis.as_ref().is_some_and(|node| !is_local(node));
        if self.host.is_empty() && self.bind.is_loopback() && is_remote {
            tracing::warn!(
                "instances on other machines cannot ask this one to let go: HEALTH_PORT is open on {} alone; set BIND, or ADVERTISE_HOST where something leads there",
                self.bind
            );
        }
    }

    /// Where this instance is at the moment. May wait for the name of Redis to be found.
    pub(super) fn contact(&self) -> Contact {
        let address = match self.host.as_str() {
            "" => SocketAddr::new(self.own_address(), self.health_port).to_string(),
            host => format!("{host}:{}", self.health_port),
        };
        Contact {
            address,
            word: self.word.to_string(),
        }
    }

    /// The address that the health port is bound to; where that is every one, the one on the way to Redis.
    fn own_address(&self) -> IpAddr {
        if !self.bind.is_unspecified() {
            return self.bind;
        }
        let on_the_way = || {
            let node = self.redis.as_ref()?;
            let socket = UdpSocket::bind((self.bind, 0)).ok()?;
            // Nothing is sent: the system only chooses the way.
            socket.connect((node.host.as_str(), node.port)).ok()?;
            socket.local_addr().ok()
        };
        on_the_way().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |at: SocketAddr| at.ip())
    }
}

/// Asks an instance to let go. Says whether it answered that it does.
pub(super) async fn ask(contact: &Contact) -> bool {
    let asking = async {
        let mut stream = TcpStream::connect(&contact.address).await.ok()?;
        let request = format!(
            "POST {YIELD_PATH} HTTP/1.1\r\nHost: {}\r\n{WORD_HEADER}: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            contact.address, contact.word
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.ok()?;
        Some(head == *b"HTTP/1.1 200")
    };
    matches!(timeout(ANSWER_MAX, asking).await, Ok(Some(true)))
}
