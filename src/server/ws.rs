//! WebSocket: the same commands as REST as messages with ids, and events of every change.
//!
//! A client gets every event unless it subscribes to some. One that cannot follow is brought to the newest state by a `snapshot`
//! and goes on from there; one that takes nothing at all is closed. What waits for a client is bounded: it has a place in the ring
//! of events, and no queue of its own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures_util::future::BoxFuture;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout};

use super::answer::{Answered, Params, Reply, parse, read};
use super::durable::{DURABLE, wait_for};
use super::guard::TOKEN_MAX;
use super::routes::{Doc, Routes};
use super::standby::unsure;
use super::stream::{self, Action};
use super::ws_levels::{LEVELS, LEVELS_EVERY};
use super::{Api, BODY_MAX, commands, layers, ws_streams};
use crate::control::events::Told;
use crate::control::{ApiError, Asked, ErrorCode, Terms, Work};
use crate::scene::schema::WHOLE_MAX;

/// The most clients.
pub const CLIENTS_MAX: usize = 4096;
/// A client has so long to take a message.
const SEND_MAX: Duration = Duration::from_secs(10);
/// How often a client is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A client that says nothing for so long, not even to pings, is let go.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The most patterns of a subscription.
const PATTERNS_MAX: usize = 64;
/// The longest list of patterns in a query, in letters.
const LIST_MAX: usize = 4096;

/// Who is connected.
#[derive(Debug, Default)]
pub struct Connections {
    count: AtomicUsize,
    resyncs: AtomicU64,
}

impl Connections {
    /// Clients now.
    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Times that a slow client was brought to the newest state.
    pub fn resyncs(&self) -> u64 {
        self.resyncs.load(Relaxed)
    }
}

/// The routes.
pub fn routes() -> Routes {
    let list = json!({"type": "string", "maxLength": LIST_MAX});
    let number = json!({"type": "integer", "minimum": 0, "maximum": WHOLE_MAX});
    let doc = |id| {
        Doc::new("events", id, "Opens a WebSocket for commands and events")
            .more(
                "Messages in: `{\"id\": 1, \"type\": \"command\", \"command\": {\"type\": \"layer.update\", ...}}`, \
                 `{\"id\", \"type\": \"batch\", \"commands\": [...], \"at\", \"ifRevision\", \"dryRun\"}`, \
                 `{\"id\", \"type\": \"stream\", \"action\": \"start\"}`, `{\"id\", \"type\": \"subscribe\", \"events\": [\"layer:*\"], \"subjects\": [\"host\"]}`, \
                 `{\"id\", \"type\": \"output\", \"action\": \"add\", \"settings\": {...}}` and likewise `rendition`, `recording`, `replay` and `thumbnail` with \
                 `action`, `name` and `settings` as their routes have them, `{\"id\", \"type\": \"snapshot\"}`, `{\"id\", \"type\": \"ping\"}`. Each is answered by `{\"id\", \"success\", ...}` as in REST; a change with `\"durable\": true` only once it is saved, and what comes after it waits. An answer to a change has `store` where it is not saved in time, and `store:state` tells when that turns. \
                 Messages out: `{\"event\", \"seq\", \"revision\", \"tick\", \"subject\", \"data\"}`, where `subject` is the name of what it is about, if it has one; a client that has fallen behind gets a `snapshot` of everything. \
                 `audio:levels` tells what the meters show, ten times a second, only to who subscribes to it by name or as `audio:*`; it has the number of the last event, and is not told again.",
            )
            .query("events", list.clone(), "Events to subscribe to, with commas between: `layer:*,stream:status`. All when absent.")
            .query("subjects", list.clone(), "Only events about these layers, scenes, timelines, with commas between.")
            .query("since", number.clone(), "Number of the last event that was seen: what came after it is told again, or a snapshot when that is not kept.")
            .query("sinceRevision", number.clone(), "The same by revision.")
            .query("token", json!({"type": "string", "maxLength": TOKEN_MAX}), "API_TOKEN, where headers cannot be sent.")
            .nothing(101, "The connection is a WebSocket now.")
            .error(ErrorCode::Invalid)
            .error(ErrorCode::UpgradeRequired)
            .error(ErrorCode::Unavailable)
    };
    Routes::new().get("/ws", doc("openWebSocket"), open).get(
        "/stream/events",
        doc("openEvents"),
        open,
    )
}

/// Which events a client wants.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// Kinds, or beginnings of kinds with a `*`; all when empty.
    kinds: Vec<String>,
    /// Things that events are about; all when empty.
    subjects: BTreeSet<String>,
}

impl Wanted {
    fn new(kinds: Vec<String>, subjects: Vec<String>) -> Result<Self, ApiError> {
        if kinds.len() > PATTERNS_MAX || subjects.len() > PATTERNS_MAX {
            let message =
                format!("a subscription names at most {PATTERNS_MAX} events and subjects");
            return Err(ApiError::invalid(message));
        }
        Ok(Self {
            kinds,
            subjects: subjects.into_iter().collect(),
        })
    }

    /// Whether it asks for events of this kind by name, or by the beginning of it.
    fn names(&self, kind: &str) -> bool {
        self.kinds
            .iter()
            .any(|wanted| match wanted.strip_suffix('*') {
                Some(start) => kind.starts_with(start),
                None => kind == wanted,
            })
    }

    fn has(&self, told: &Told) -> bool {
        let kind = self.kinds.is_empty() || self.names(&told.kind);
        let subject = self.subjects.is_empty()
            || told
                .subject
                .as_ref()
                .is_none_or(|subject| self.subjects.contains(&**subject));
        kind && subject
    }
}

/// Where a client begins.
#[derive(Clone, Copy, Debug)]
enum From {
    Now,
    Seq(u64),
    Revision(u64),
}

async fn open(
    State(api): State<Api>,
    query: Params,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let list = |name: &str| -> Result<Vec<String>, ApiError> {
        let text = query.short(name, LIST_MAX)?.unwrap_or_default();
        Ok(text
            .split(',')
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect())
    };
    query.short("token", TOKEN_MAX)?;
    let wanted = Wanted::new(list("events")?, list("subjects")?)?;
    let from = match (query.whole("since")?, query.whole("sinceRevision")?) {
        (Some(seq), _) => From::Seq(seq),
        (None, Some(revision)) => From::Revision(revision),
        (None, None) => From::Now,
    };
    let upgrade = upgrade.map_err(|_| {
        ApiError::new(
            ErrorCode::UpgradeRequired,
            "this route is a WebSocket; connect with a WebSocket client",
        )
    })?;
    let connections = api.connections();
    if connections.count.fetch_add(1, Relaxed) >= CLIENTS_MAX {
        connections.count.fetch_sub(1, Relaxed);
        let message = format!("{CLIENTS_MAX} clients are connected, which is the most");
        return Err(ApiError::new(ErrorCode::Unavailable, message));
    }
    let leave = Leave(api.clone());
    Ok(upgrade
        .max_message_size(BODY_MAX)
        .max_frame_size(BODY_MAX)
        .max_write_buffer_size(4 * BODY_MAX)
        // Small: there may be thousands of clients, most of which say little.
        .read_buffer_size(4 << 10)
        .write_buffer_size(16 << 10)
        .on_upgrade(move |socket| async move {
            let _leave = leave;
            Client::converse(api, socket, wanted, from).await;
        }))
}

/// Counts a client off, however it goes.
struct Leave(Api);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.connections().count.fetch_sub(1, Relaxed);
    }
}

struct Client {
    api: Api,
    out: SplitSink<WebSocket, Message>,
    wanted: Wanted,
    /// What the leader is asked for, where this instance stands by; events go on meanwhile.
    handed: Option<Handed>,
}

/// The answer to a message, with its id.
type Handed = BoxFuture<'static, (Option<Value>, Value)>;

/// Waits for the answer to what was handed on, if there is something.
async fn answered(handed: &mut Option<Handed>) -> (Option<Value>, Value) {
    match handed {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}

/// Why a conversation is over.
struct Over;

impl Client {
    async fn converse(api: Api, socket: WebSocket, wanted: Wanted, from: From) {
        let (out, incoming) = socket.split();
        let mut client = Self {
            api,
            out,
            wanted,
            handed: None,
        };
        // Whichever way it ends, the connection is closed by being dropped.
        let _over = client.run(incoming, from).await;
        let _closed = timeout(SEND_MAX, client.out.close()).await;
    }

    async fn run(&mut self, mut incoming: SplitStream<WebSocket>, from: From) -> Result<(), Over> {
        let api = self.api.clone();
        let events = api.station().events().clone();
        let newest = self.api.director().snapshot().show.revision;
        let (mut told, missed) = match from {
            From::Now => (events.listen().0, Some(Vec::new())),
            From::Seq(seq) => events.listen_since(seq),
            From::Revision(revision) => events.listen_since_revision(revision, newest),
        };
        match missed {
            Some(missed) => {
                for told in missed {
                    self.tell(&told).await?;
                }
            }
            None => self.send_snapshot(None).await?,
        }
        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        let mut levels = interval(LEVELS_EVERY);
        levels.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                (id, body) = answered(&mut self.handed) => {
                    self.handed = None;
                    self.say(id, body).await?;
                }
                // One after the other, as they came.
                message = incoming.next(), if self.handed.is_none() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(message)) => self.take(message).await?,
                        Some(Err(error)) => return self.part(error).await,
                        None => return Ok(()),
                    }
                }
                event = told.recv() => match event {
                    Ok(event) if event.is_after_gap => self.catch_up(&mut told).await?,
                    Ok(event) => self.tell_all(event, &mut told).await?,
                    Err(RecvError::Lagged(_)) => self.catch_up(&mut told).await?,
                    Err(RecvError::Closed) => return Ok(()),
                },
                _ = levels.tick(), if self.wanted.names(LEVELS) => {
                    let message = self.api.levels().message(&self.api);
                    self.send(Message::Text(message)).await?;
                }
                () = api.ended() => {
                    let frame = CloseFrame {
                        code: close_code::RESTART,
                        reason: Utf8Bytes::from_static("this instance has another part now; connect again"),
                    };
                    return self.send(Message::Close(Some(frame))).await;
                }
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return Ok(());
                    }
                    self.send(Message::Ping(Default::default())).await?;
                }
            }
        }
    }

    /// Says why the connection cannot go on, with the codes of RFC 6455, section 7.4.1.
    async fn part(&mut self, error: axum::Error) -> Result<(), Over> {
        use tungstenite::error::ProtocolError;
        let error = error.into_inner().downcast::<tungstenite::Error>();
        let (code, reason) = match error.as_deref() {
            // Gone without a word.
            Ok(tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                return Err(Over);
            }
            Ok(tungstenite::Error::Protocol(_)) => (close_code::PROTOCOL, "protocol error"),
            Ok(tungstenite::Error::Utf8(_)) => (close_code::INVALID, "text must be UTF-8"),
            Ok(tungstenite::Error::Capacity(_)) => (close_code::SIZE, "the message is too large"),
            _ => return Err(Over),
        };
        let frame = CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        };
        self.send(Message::Close(Some(frame))).await?;
        Err(Over)
    }

    /// What was missed is left out; the newest state stands for it.
    async fn catch_up(&mut self, told: &mut Receiver<Told>) -> Result<(), Over> {
        self.api.connections().resyncs.fetch_add(1, Relaxed);
        *told = self.api.station().events().listen().0;
        self.send_snapshot(None).await
    }

    async fn tell(&mut self, told: &Told) -> Result<(), Over> {
        if self.wanted.has(told) {
            self.send(message(told)).await?;
        }
        Ok(())
    }

    /// Sends an event and those that were told with it, in one piece.
    async fn tell_all(&mut self, first: Told, told: &mut Receiver<Told>) -> Result<(), Over> {
        let mut waits = false;
        let mut next = Some(first);
        while let Some(event) = next.take() {
            if self.wanted.has(&event) {
                waits = true;
                let fed = timeout(SEND_MAX, self.out.feed(message(&event))).await;
                fed.map_err(|_| Over)?.map_err(|_| Over)?;
            }
            next = match told.try_recv() {
                Ok(event) if event.is_after_gap => return self.catch_up(told).await,
                Ok(event) => Some(event),
                Err(TryRecvError::Lagged(_)) => return self.catch_up(told).await,
                Err(TryRecvError::Empty | TryRecvError::Closed) => None,
            };
        }
        if waits {
            let sent = timeout(SEND_MAX, self.out.flush()).await;
            sent.map_err(|_| Over)?.map_err(|_| Over)?;
        }
        Ok(())
    }

    /// Sends a message; a client that does not take it in time is let go.
    async fn send(&mut self, message: Message) -> Result<(), Over> {
        match timeout(SEND_MAX, self.out.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Over),
        }
    }

    async fn send_snapshot(&mut self, id: Option<&Value>) -> Result<(), Over> {
        let mut message = snapshot(&self.api);
        if let Some(id) = id {
            message["id"] = id.clone();
            message["success"] = true.into();
        }
        self.send(Message::Text(message.to_string().into())).await
    }

    async fn take(&mut self, message: Message) -> Result<(), Over> {
        match message {
            Message::Text(text) => self.take_text(text.as_bytes()).await,
            Message::Binary(_) => {
                let error = ApiError::new(
                    ErrorCode::UnsupportedMediaType,
                    "messages are JSON in text frames",
                );
                self.answer(None, Err(error)).await
            }
            Message::Close(frame) => {
                let code = frame.map_or(close_code::NORMAL, |frame| frame.code);
                let reply = CloseFrame {
                    code,
                    reason: Utf8Bytes::default(),
                };
                let _said = self.send(Message::Close(Some(reply))).await;
                Err(Over)
            }
            // The library answers pings.
            Message::Ping(_) | Message::Pong(_) => Ok(()),
        }
    }

    async fn take_text(&mut self, text: &[u8]) -> Result<(), Over> {
        let value = match parse(text) {
            Ok(value) => value,
            Err(error) => return self.answer(None, Err(error)).await,
        };
        let id = value.get("id").cloned();
        match value.get("type").and_then(Value::as_str) {
            Some("snapshot") => self.send_snapshot(Some(&id.unwrap_or(Value::Null))).await,
            Some("subscribe") => {
                let answer = self.subscribe(&value);
                self.answer(id, answer).await
            }
            Some("ping") => {
                let answer = ask_durably(&self.api, value).await;
                self.answer(id, answer).await
            }
            _ => match self.api.standby().cloned() {
                Some(standby) => {
                    let asking = async move { (id, standby.message(value).await) };
                    self.handed = Some(asking.boxed());
                    Ok(())
                }
                None if self.api.is_unsure() => self.answer(id, Err(unsure())).await,
                None => {
                    let answer = ask_durably(&self.api, value).await;
                    self.answer(id, answer).await
                }
            },
        }
    }

    fn subscribe(&mut self, value: &Value) -> Answered {
        let Subscribe {
            events, subjects, ..
        } = read(value)?;
        self.wanted = Wanted::new(events, subjects)?;
        Reply::of(json!({"events": self.wanted.kinds, "subjects": self.wanted.subjects}))
    }

    async fn answer(&mut self, id: Option<Value>, answer: Answered) -> Result<(), Over> {
        let body = match answer {
            Ok(reply) => reply.into_json(),
            Err(error) => json!({"success": false, "error": error}),
        };
        self.say(id, body).await
    }

    async fn say(&mut self, id: Option<Value>, mut body: Value) -> Result<(), Over> {
        body["id"] = id.unwrap_or(Value::Null);
        self.send(Message::Text(body.to_string().into())).await
    }
}

/// Everything that is on air now, with the number of the last event before it.
pub fn snapshot(api: &Api) -> Value {
    let seq = api.station().events().newest();
    let snapshot = api.director().snapshot();
    let show = &snapshot.show;
    let data = json!({
        "status": stream::view(api, show),
        "scene": {"id": show.program.id, "name": show.program.spec.name},
        "layers": layers::all(&show.program.spec),
        "data": *show.program.spec.data,
        "audio": show.program.spec.audio,
        "config": show.config.view(),
    });
    json!({
        "event": "snapshot", "seq": seq, "revision": show.revision, "tick": snapshot.tick, "data": data,
    })
}

fn message(told: &Told) -> Message {
    // JSON is UTF-8.
    Message::Text(Utf8Bytes::try_from(told.json.clone()).unwrap_or_default())
}

const TYPES: [&str; 6] = [
    "command",
    "batch",
    "stream",
    "subscribe",
    "snapshot",
    "ping",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    subjects: Vec<String>,
    #[serde(rename = "id", default)]
    _id: Value,
    #[serde(rename = "type")]
    _type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct One {
    command: Value,
    #[serde(default)]
    if_revision: Option<u64>,
    #[serde(default)]
    dry_run: bool,
    #[serde(rename = "id", default)]
    _id: Value,
    #[serde(rename = "type")]
    _type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lifecycle {
    action: Action,
    #[serde(rename = "id", default)]
    _id: Value,
    #[serde(rename = "type")]
    _type: String,
}

/// Does what a message asks for, and waits until it is saved where it says so.
async fn ask_durably(api: &Api, mut value: Value) -> Answered {
    let waits = take_durable(&mut value)?;
    let answer = ask(api, &value).await;
    wait_for(api, answer, waits).await
}

/// Takes out of a message whether its answer waits until the change is saved.
///
/// # Errors
/// It says neither true nor false.
pub fn take_durable(message: &mut Value) -> Result<bool, ApiError> {
    let durable = message
        .as_object_mut()
        .and_then(|map| map.shift_remove(DURABLE));
    match durable {
        None => Ok(false),
        Some(Value::Bool(waits)) => Ok(waits),
        Some(_) => {
            let message = "durable: expected true or false";
            Err(ApiError::new(ErrorCode::BadRequest, message))
        }
    }
}

/// Does what a message asks for.
///
/// # Errors
/// Why it is not done.
pub async fn ask(api: &Api, value: &Value) -> Answered {
    let kind = value.get("type").and_then(Value::as_str);
    match kind {
        Some("ping") => Reply::of(json!({"tick": api.station().ticks().next()})),
        Some("command") => {
            let one: One = read(value)?;
            let asked = Asked::parse(&one.command, "command")?;
            let terms = Terms {
                at_tick: None,
                if_revision: one.if_revision,
                dry_run: one.dry_run,
            };
            let outcome = api
                .director()
                .ask(Work::Changes(vec![asked]), terms)
                .await?;
            if !terms.dry_run {
                api.station().follow(&outcome.show);
            }
            Reply::changed(&outcome, json!({}))
        }
        Some("batch") => {
            let mut batch = value.clone();
            if let Value::Object(map) = &mut batch {
                map.shift_remove("id");
                map.shift_remove("type");
            }
            commands::apply(api, &batch).await
        }
        Some("stream") => {
            let lifecycle: Lifecycle = read(value)?;
            stream::act(api, lifecycle.action).await
        }
        Some(kind) if ws_streams::TYPES.contains(&kind) => ws_streams::ask(api, kind, value).await,
        other => {
            let error = ApiError::new(
                ErrorCode::BadRequest,
                match other {
                    Some(other) => format!(
                        "unknown type of message {}",
                        crate::scene::words::name(other)
                    ),
                    None => "a message is an object with a `type`".to_owned(),
                },
            );
            let known = [&TYPES[..], &ws_streams::TYPES].concat();
            let near = crate::scene::words::suggest(other.unwrap_or_default(), &known);
            Err(error.suggest(near))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn told(kind: &'static str, subject: Option<&str>) -> Told {
        Told {
            seq: 1,
            revision: 1,
            kind: kind.into(),
            subject: subject.map(Arc::from),
            is_after_gap: false,
            json: "{}".into(),
        }
    }

    #[test]
    fn subscriptions_choose_by_kind_and_by_subject() {
        let all = Wanted::default();
        assert!(all.has(&told("layer:update", Some("host"))));
        let some = Wanted::new(
            vec!["layer:*".to_owned(), "stream:status".to_owned()],
            vec!["host".to_owned()],
        )
        .expect("few");
        assert!(some.has(&told("layer:update", Some("host"))));
        assert!(!some.has(&told("layer:update", Some("chat"))));
        assert!(some.has(&told("stream:status", None)));
        assert!(!some.has(&told("data:update", None)));
    }
}
