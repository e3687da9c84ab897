//! One connection to Redis that comes back by itself, to whichever server has the keys of one slot.
//!
//! All keys of a stream have the same hash tag, so in a cluster they lie on one server. That is why nothing more is needed for a cluster
//! than to go where a server points, and for sentinels than to ask them where the master is. Whoever calls never waits longer than
//! [`Timeouts`] say. A call after which the connection is found dropped is made once more on a new one; whoever calls sees to it that
//! twice is as good as once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue,
    IntoConnectionInfo as _, RedisConnectionInfo, RedisError, Script, ServerErrorKind,
    TlsCertificates, Value,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::url::{Node, RedisUrl, Way};
use crate::store::error::StoreError;
use crate::store::persister::jittered;

/// How long anything may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To make one connection.
    pub connect: Duration,
    /// From a command to its answer.
    pub command: Duration,
    /// A call as a whole, with connecting and a second attempt.
    pub call: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            command: Duration::from_secs(2),
            call: Duration::from_secs(5),
        }
    }
}

impl Timeouts {
    /// For what is renewed each second and holds for 3 s: a connection that stalls is found out, and another one has answered, before it
    /// runs out. A server behind half a second each way answers in time all the same.
    pub const OF_LEASE: Self = Self {
        connect: Duration::from_millis(1200),
        command: Duration::from_millis(1200),
        call: Duration::from_secs(3),
    };
}

/// The pause after the first failure to connect, and the longest.
const BACKOFF_FIRST: Duration = Duration::from_millis(25);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How often one call goes where it is pointed to, or begins again.
const ATTEMPTS_MAX: u32 = 5;
/// Servers of a cluster that are remembered.
const NODES_MAX: usize = 64;

/// A connection. Cheap to copy.
#[derive(Clone)]
pub struct Link {
    url: Arc<RedisUrl>,
    timeouts: Timeouts,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that of several who find one dropped only the first lets it go.
    number: u64,
    /// Where the keys are, as far as a server of the cluster has said.
    moved_to: Option<Node>,
    /// Servers of the cluster.
    nodes: Vec<Node>,
    failures: u32,
    /// Until then it is not tried again, and why.
    rests: Option<(Instant, StoreErrorText)>,
}

/// What became of an attempt, kept so that who comes later hears the same.
#[derive(Clone)]
struct StoreErrorText {
    is_refused: bool,
    what: String,
}

impl fmt::Debug for Link {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Link({})", self.url)
    }
}

impl Link {
    /// A link to Redis; nothing is connected before the first call.
    pub fn new(url: RedisUrl, timeouts: Timeouts) -> Self {
        Self {
            url: Arc::new(url),
            timeouts,
            state: Arc::default(),
        }
    }

    /// Another connection to the same, for commands that take `longer` before they answer.
    #[must_use]
    pub fn beside(&self, longer: Duration) -> Self {
        let timeouts = Timeouts {
            command: self.timeouts.command + longer,
            call: self.timeouts.call + longer,
            ..self.timeouts
        };
        Self::new((*self.url).clone(), timeouts)
    }

    /// Another connection to the same, on which nothing takes longer than `timeouts` say, nor than here.
    #[must_use]
    pub fn within_at_most(&self, timeouts: Timeouts) -> Self {
        let timeouts = Timeouts {
            connect: self.timeouts.connect.min(timeouts.connect),
            command: self.timeouts.command.min(timeouts.command),
            call: self.timeouts.call.min(timeouts.call),
        };
        Self::new((*self.url).clone(), timeouts)
    }

    /// Whether a stream has an entry behind `last`, waiting for one no longer than `wait`. Others on this connection wait as long, so it
    /// should be one [`Link::beside`] them.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub async fn is_there_more(
        &self,
        stream: &str,
        last: &str,
        wait: Duration,
    ) -> Result<bool, StoreError> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let mut command = redis::cmd("XREAD");
        command
            .arg("COUNT")
            .arg(1)
            .arg("BLOCK")
            .arg(wait_ms.max(1))
            .arg("STREAMS")
            .arg(stream)
            .arg(last);
        let answer: Value = self.ask(&command).await?;
        Ok(!matches!(answer, Value::Nil))
    }

    /// The server, without its password.
    pub fn place(&self) -> String {
        self.url.to_string()
    }

    /// Has a command done.
    ///
    /// # Errors
    /// As [`StoreError`] says; after [`StoreError::Unavailable`] it may have been done all the same.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let value = self.bounded(self.value(command)).await?;
        self.read(value)
    }

    /// Has a script run, which is sent whole only where the server does not know it.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        code: &str,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<T, StoreError> {
        let command = |name: &str, first: &str| {
            let mut command = redis::cmd(name);
            command.arg(first).arg(keys.len());
            command.arg(keys);
            command.arg(arguments);
            command
        };
        let known = command("EVALSHA", script.get_hash());
        let value = self.bounded(async {
            match self.value_or_error(&known).await {
                Err(Failed::Redis(error))
                    if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) =>
                {
                    self.value(&command("EVAL", code)).await
                }
                other => other.map_err(|error| self.failure(error)),
            }
        });
        self.read(value.await?)
    }

    /// A connection of its own to the server that has the keys, for subscriptions.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub(in crate::store) async fn client(&self) -> Result<Client, StoreError> {
        let client = self.bounded(async {
            let mut state = self.state.lock().await;
            self.connect(&mut state).await.map(|(client, _)| client)
        });
        client.await
    }

    /// Has something done within the time of a call.
    pub(in crate::store) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match timeout(self.timeouts.call, work).await {
            Ok(result) => result,
            Err(_) => Err(self.unavailable(format!("no answer within {:?}", self.timeouts.call))),
        }
    }

    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match timeout(self.timeouts.call, work).await {
            Ok(result) => result,
            Err(_) => {
                // What hangs is not used again.
                if let Ok(mut state) = self.state.try_lock() {
                    state.connection = None;
                }
                Err(self.unavailable(format!("no answer within {:?}", self.timeouts.call)))
            }
        }
    }

    async fn value(&self, command: &Cmd) -> Result<Value, StoreError> {
        let result = self.value_or_error(command).await;
        result.map_err(|error| self.failure(error))
    }

    async fn value_or_error(&self, command: &Cmd) -> Result<Value, Failed> {
        let mut attempt = 0;
        let mut was_dropped = false;
        loop {
            attempt += 1;
            let (mut connection, number) = self.connection().await.map_err(Failed::Store)?;
            let answer = timeout(
                self.timeouts.command,
                connection.req_packed_command(command),
            );
            let error = match answer.await {
                Ok(Ok(value)) => match value.extract_error() {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                },
                Ok(Err(error)) => error,
                Err(_) => {
                    self.let_go(number).await;
                    let what = format!("no answer within {:?}", self.timeouts.command);
                    return Err(Failed::Store(self.unavailable(what)));
                }
            };
            let is_last = attempt >= ATTEMPTS_MAX;
            match error.kind() {
                ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) if !is_last => {
                    let to = error.redirect_node();
                    let node = to.and_then(|(node, _)| Node::parse(node, 0));
                    self.go_to(number, node).await;
                }
                // What was the master is one no more: the next connection asks anew where it is.
                ErrorKind::Server(ServerErrorKind::ReadOnly) => {
                    self.go_to(number, None).await;
                    if attempt > 1 || matches!(self.url.way, Way::Server(_) | Way::Socket(_)) {
                        return Err(Failed::Redis(error));
                    }
                }
                _ if is_dropped(&error) => {
                    self.go_to(number, None).await;
                    if was_dropped || is_last {
                        return Err(Failed::Redis(error));
                    }
                    was_dropped = true;
                }
                _ => {
                    if error.is_timeout() {
                        self.let_go(number).await;
                    }
                    return Err(Failed::Redis(error));
                }
            }
        }
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64), StoreError> {
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            return Ok((connection.clone(), state.number));
        }
        if let Some((until, why)) = &state.rests
            && Instant::now() < *until
        {
            return Err(self.told(why.clone()));
        }
        match self.connect(&mut state).await {
            Ok((_, connection)) => {
                state.connection = Some(connection.clone());
                state.number += 1;
                state.failures = 0;
                state.rests = None;
                Ok((connection, state.number))
            }
            Err(error) => {
                let doubled = BACKOFF_FIRST * 2u32.pow(state.failures.min(10));
                state.failures = state.failures.saturating_add(1);
                state.moved_to = None;
                let why = StoreErrorText {
                    is_refused: !error.is_away(),
                    what: match &error {
                        StoreError::Unavailable { what, .. } | StoreError::Refused { what, .. } => {
                            what.clone()
                        }
                        other => other.to_string(),
                    },
                };
                let pause = jittered(doubled.min(BACKOFF_MAX));
                state.rests = Some((Instant::now() + pause, why));
                Err(error)
            }
        }
    }

    /// Connects to the first that will do.
    async fn connect(
        &self,
        state: &mut State,
    ) -> Result<(Client, MultiplexedConnection), StoreError> {
        match &self.url.way {
            Way::Socket(path) => self.open(ConnectionAddr::Unix(path.clone())).await,
            Way::Server(node) => self.open_node(node).await,
            Way::Sentinel { sentinels, name } => {
                let master = self.ask_sentinels(sentinels, name).await?;
                let (client, mut connection) = self.open_node(&master).await?;
                let role: Vec<Value> = self.first(&mut connection, &redis::cmd("ROLE")).await?;
                match role.first() {
                    Some(Value::BulkString(role)) if role == b"master" => Ok((client, connection)),
                    _ => Err(self.unavailable(format!("{master} is not the master yet"))),
                }
            }
            Way::Cluster(seeds) => {
                let moved = state.moved_to.clone();
                let known = state.nodes.clone();
                let mut last = self.unavailable("no server is named".to_owned());
                for node in moved.iter().chain(seeds).chain(&known) {
                    match self.open_node(node).await {
                        Ok((client, mut connection)) => {
                            self.learn(&mut connection, &mut state.nodes).await;
                            return Ok((client, connection));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    async fn open_node(&self, node: &Node) -> Result<(Client, MultiplexedConnection), StoreError> {
        self.open(self.address(node)).await
    }

    fn address(&self, node: &Node) -> ConnectionAddr {
        let (host, port) = (node.host.clone(), node.port);
        if self.url.has_tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        }
    }

    async fn open(
        &self,
        address: ConnectionAddr,
    ) -> Result<(Client, MultiplexedConnection), StoreError> {
        let mut access = RedisConnectionInfo::default()
            .set_db(self.url.database)
            .set_skip_set_lib_name();
        if let Some(user) = &self.url.user {
            access = access.set_username(user);
        }
        if let Some(password) = &self.url.password {
            access = access.set_password(password);
        }
        self.open_as(address, access).await
    }

    async fn open_as(
        &self,
        address: ConnectionAddr,
        access: RedisConnectionInfo,
    ) -> Result<(Client, MultiplexedConnection), StoreError> {
        let client = self.client_of(address, access)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeouts.connect))
            // The time of a command is kept here; this one only ends what is left behind.
            .set_response_timeout(Some(self.timeouts.command * 2));
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        match timeout(self.timeouts.connect, connecting).await {
            Ok(Ok(connection)) => Ok((client, connection)),
            Ok(Err(error)) => Err(self.failure(Failed::Redis(error))),
            Err(_) => {
                let limit = self.timeouts.connect;
                Err(self.unavailable(format!("no connection within {limit:?}")))
            }
        }
    }

    fn client_of(
        &self,
        address: ConnectionAddr,
        access: RedisConnectionInfo,
    ) -> Result<Client, StoreError> {
        let refused = |what: String| StoreError::Refused {
            place: self.place(),
            what,
        };
        let info = address
            .into_connection_info()
            .map_err(|error| refused(error.to_string()))?
            .set_redis_settings(access);
        let client = match &self.url.ca {
            Some(path) => {
                let root = std::fs::read(path)
                    .map_err(|error| refused(format!("`{}`: {error}", path.display())))?;
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(root),
                };
                Client::build_with_tls(info, certificates)
            }
            None => Client::open(info),
        };
        client.map_err(|error| refused(error.to_string()))
    }

    async fn ask_sentinels(&self, sentinels: &[Node], name: &str) -> Result<Node, StoreError> {
        let mut last = self.unavailable("no sentinel is named".to_owned());
        for sentinel in sentinels {
            let mut access = RedisConnectionInfo::default().set_skip_set_lib_name();
            if let Some(password) = &self.url.sentinel_password {
                access = access.set_password(password);
            }
            let opened = self.open_as(self.address(sentinel), access).await;
            let mut command = redis::cmd("SENTINEL");
            command.arg("get-master-addr-by-name").arg(name);
            let answer = match opened {
                Ok((_, mut connection)) => {
                    self.first::<Option<(String, u16)>>(&mut connection, &command)
                        .await
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok(Some((host, port))) => return Ok(Node { host, port }),
                Ok(None) => last = self.unavailable(format!("{sentinel} knows no `{name}`")),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A command on a connection that is being made.
    async fn first<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let answer = timeout(self.timeouts.command, command.query_async(connection));
        match answer.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failure(Failed::Redis(error))),
            Err(_) => Err(self.unavailable("no answer".to_owned())),
        }
    }

    /// Remembers the servers of a cluster, so that it is found when those of the URL are gone.
    async fn learn(&self, connection: &mut MultiplexedConnection, nodes: &mut Vec<Node>) {
        let mut command = redis::cmd("CLUSTER");
        command.arg("NODES");
        let Ok(text) = self.first::<String>(connection, &command).await else {
            return;
        };
        let address = |line: &str| {
            let address = line.split_ascii_whitespace().nth(1)?;
            let address = address.split(['@', ',']).next()?;
            let (host, port) = address.rsplit_once(':')?;
            let (host, port) = (host.to_owned(), port.parse().ok()?);
            (!host.is_empty()).then_some(Node { host, port })
        };
        *nodes = text.lines().filter_map(address).take(NODES_MAX).collect();
    }

    async fn let_go(&self, number: u64) {
        let mut state = self.state.lock().await;
        if state.number == number {
            state.connection = None;
        }
    }

    async fn go_to(&self, number: u64, node: Option<Node>) {
        let mut state = self.state.lock().await;
        if state.number == number {
            state.connection = None;
            state.moved_to = node;
        }
    }

    fn read<T: FromRedisValue>(&self, value: Value) -> Result<T, StoreError> {
        redis::from_redis_value(value).map_err(|_| StoreError::Refused {
            place: self.place(),
            what: "an answer of another kind than expected".to_owned(),
        })
    }

    pub(in crate::store) fn unavailable(&self, what: String) -> StoreError {
        StoreError::Unavailable {
            place: self.place(),
            what,
        }
    }

    fn told(&self, why: StoreErrorText) -> StoreError {
        if why.is_refused {
            StoreError::Refused {
                place: self.place(),
                what: why.what,
            }
        } else {
            self.unavailable(why.what)
        }
    }

    /// What an error of Redis means. Its words are the server's; it does not repeat what it was sent.
    fn failure(&self, error: Failed) -> StoreError {
        let error = match error {
            Failed::Store(error) => return error,
            Failed::Redis(error) => error,
        };
        let place = self.place();
        let words = [error.code(), error.detail()];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        let what = if words.is_empty() {
            error.to_string()
        } else {
            words.join(" ")
        };
        match (error.kind(), error.code().unwrap_or_default()) {
            (_, "OOM") => StoreError::Full { place, what },
            // A disk of Redis that is full.
            (_, "MISCONF") => StoreError::Full { place, what },
            (ErrorKind::Server(ServerErrorKind::ReadOnly), _) | (_, "NOREPLICAS") => {
                StoreError::ReadOnly { place, what }
            }
            (
                ErrorKind::Server(
                    ServerErrorKind::BusyLoading
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::Moved
                    | ServerErrorKind::Ask,
                ),
                _,
            )
            | (ErrorKind::Io | ErrorKind::Parse, _)
            | (_, "BUSY") => StoreError::Unavailable { place, what },
            _ => StoreError::Refused { place, what },
        }
    }
}

enum Failed {
    Redis(RedisError),
    Store(StoreError),
}

fn is_dropped(error: &RedisError) -> bool {
    !error.is_timeout() && (error.is_connection_dropped() || error.is_io_error())
}
