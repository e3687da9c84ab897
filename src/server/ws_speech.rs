//! Speech as it is synthesised: samples over a WebSocket, one utterance after the other.
//!
//! What has come and finds no room on its way waits here, and nothing more is read meanwhile: the client is held back. A client that
//! goes without a word has its utterance said as far as it came.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use crossbeam_channel::TrySendError;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use systems::speech::{BLOCK_FRAMES, SpeechIn, SpeechOrder, speech_way};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::answer::{Name, Params, parse, read};
use super::guard::TOKEN_MAX;
use super::routes::{Doc, Routes};
use super::{Api, BODY_MAX};
use crate::control::change::StopSpeech;
use crate::control::events::Told;
use crate::control::schema::NAME_PATTERN;
use crate::control::speech::{
    AHEAD_MAX_SAMPLES, Pcm, PcmKind, SayStream, Sounds, TellMore, avatar_of,
};
use crate::control::{ApiError, Change, ErrorCode, Terms, Work};

/// A client has so long to take a message.
const SEND_MAX: Duration = Duration::from_secs(10);
/// How often what waits is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(40);
/// How often a client is asked whether it is there, in tries.
const PING_EVERY: u32 = 500;
/// A client that says nothing for so long, not even to pings, is let go.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The routes.
pub fn routes() -> Routes {
    Routes::new().get(
        "/layers/{id}/speak/ws",
        Doc::new("speech", "pushSpeech", "Opens a WebSocket for speech as it is synthesised")
            .path("id", json!({"type": "string", "pattern": NAME_PATTERN}), "The id of the avatar's layer.")
            .more(
                "First a text message that says what follows: `{\"rate\": 24000, \"channels\": 1, \"format\": \"s16le\", \"text\", \"emotion\", \"captions\", \"queue\", \"id\", \"words\", \"gain\"}`; \
                 only `rate` is needed, from 8000 to 48000; `format` is `s16le` or `f32le`. It is answered by `{\"accepted\": {\"id\", \"place\", \"tick\", \"revision\"}}`. \
                 Then samples as binary messages, as fast as they are made: up to 120 s ahead are taken, then no more is read until there is room. In between \
                 `{\"words\": [{\"word\", \"start\", \"end\"}]}` adds words, `{\"text\"}` takes the place of the text, `{\"end\": true}` ends the utterance, `{\"cancel\": true}` breaks it off; the next may follow. \
                 It begins when 0.12 s are there, pauses where it runs dry, and is said as far as it came when the connection breaks. \
                 Told are `{\"start\": {...}}`, `{\"word\": {...}}`, `{\"end\": {\"id\", \"reason\", \"tick\"}}` of what this connection brought, and `{\"error\": {...}}`.",
            )
            .query("token", json!({"type": "string", "maxLength": TOKEN_MAX}), "API_TOKEN, where headers cannot be sent.")
            .nothing(101, "The connection is a WebSocket now.")
            .error(ErrorCode::Conflict)
            .error(ErrorCode::UpgradeRequired)
            .error(ErrorCode::Unavailable),
        open,
    )
}

async fn open(
    State(api): State<Api>,
    Name(layer): Name,
    query: Params,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    query.short("token", TOKEN_MAX)?;
    avatar_of(&api.director().snapshot().show, &layer)?;
    let upgrade = upgrade.map_err(|_| {
        ApiError::new(
            ErrorCode::UpgradeRequired,
            "this route is a WebSocket; connect with a WebSocket client",
        )
    })?;
    let pushing = api.station().speech().push()?;
    Ok(upgrade
        .max_message_size(BODY_MAX)
        .max_frame_size(BODY_MAX)
        .on_upgrade(move |socket| async move {
            let _pushing = pushing;
            converse(api, layer, socket).await;
        }))
}

/// Why a conversation is over.
struct Over;

/// An utterance whose sound is on its way.
struct Open {
    id: String,
    pcm: Pcm,
    way: SpeechIn,
}

struct Client {
    api: Api,
    layer: String,
    out: SplitSink<WebSocket, Message>,
    open: Option<Open>,
    /// Sound that has come.
    sounds: Sounds,
    /// The way of an utterance whose last sound waits.
    ending: Option<SpeechIn>,
    /// Utterances that came by this connection and are not over.
    own: BTreeSet<String>,
    /// The last of them.
    last: Option<String>,
}

async fn converse(api: Api, layer: String, socket: WebSocket) {
    let (out, mut incoming) = socket.split();
    let (mut told, _) = api.station().events().listen();
    let mut client = Client {
        api,
        layer,
        out,
        open: None,
        sounds: Sounds::default(),
        ending: None,
        own: BTreeSet::new(),
        last: None,
    };
    let mut retry = interval(RETRY_EVERY);
    retry.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut heard, mut tries) = (Instant::now(), 0u32);
    let mut is_gone = false;
    loop {
        client.flow();
        if is_gone && client.is_through() {
            return;
        }
        let done = tokio::select! {
            message = incoming.next(), if !is_gone && client.is_through() => {
                heard = Instant::now();
                match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => {
                        // What came is said to its end.
                        client.end();
                        is_gone = true;
                        Ok(())
                    }
                    Some(Ok(message)) => client.take(message).await,
                }
            }
            event = told.recv(), if !is_gone => match event {
                Ok(event) => client.tell(&event).await,
                Err(RecvError::Lagged(_)) => Ok(()),
                Err(RecvError::Closed) => Err(Over),
            },
            _ = retry.tick() => {
                tries = tries.wrapping_add(1);
                if !client.is_through() {
                    heard = Instant::now();
                }
                if is_gone {
                    Ok(())
                } else if heard.elapsed() > SILENCE_MAX {
                    Err(Over)
                } else if tries % PING_EVERY == 0 {
                    client.send(Message::Ping(Default::default())).await
                } else {
                    Ok(())
                }
            }
        };
        if done.is_err() && !is_gone {
            client.end();
            is_gone = true;
        }
    }
}

impl Client {
    /// Whether nothing waits for room.
    fn is_through(&self) -> bool {
        self.sounds.blocks.is_empty() && self.ending.is_none()
    }

    /// Sends on what there is room for.
    fn flow(&mut self) {
        let way = self
            .ending
            .as_ref()
            .or(self.open.as_ref().map(|open| &open.way));
        let Some(way) = way else {
            self.sounds.blocks.clear();
            return;
        };
        while let Some(block) = self.sounds.blocks.pop_front() {
            match way.try_send(block) {
                Ok(()) => {}
                Err(TrySendError::Full(block)) => {
                    self.sounds.blocks.push_front(block);
                    return;
                }
                // It was stopped; what follows is for nobody.
                Err(TrySendError::Disconnected(_)) => self.sounds.blocks.clear(),
            }
        }
        self.ending = None;
    }

    async fn take(&mut self, message: Message) -> Result<(), Over> {
        match message {
            Message::Binary(bytes) => {
                let Some(open) = &mut self.open else {
                    let message = "samples follow a text message that says what they are";
                    return self
                        .refuse(&ApiError::new(ErrorCode::BadRequest, message))
                        .await;
                };
                match open.pcm.push(&bytes, &mut self.sounds) {
                    Ok(()) => Ok(()),
                    Err(error) => {
                        if let Some(open) = self.open.take() {
                            open.way.fail();
                        }
                        self.refuse(&error).await
                    }
                }
            }
            Message::Text(text) => {
                let done = match parse(text.as_bytes()) {
                    Ok(value) if self.open.is_some() || is_more(&value) => self.more(&value).await,
                    Ok(value) => self.begin(&value).await,
                    Err(error) => Err(error),
                };
                match done {
                    Ok(Some(answer)) => self.say(&answer).await,
                    Ok(None) => Ok(()),
                    Err(error) => self.refuse(&error).await,
                }
            }
            // The library answers pings.
            _ => Ok(()),
        }
    }

    async fn begin(&mut self, value: &Value) -> Result<Option<Value>, ApiError> {
        let asked: SayStream = read(value)?;
        let saying = asked.saying()?;
        let kind = PcmKind {
            rate: asked.rate,
            channels: asked.channels,
            format: asked.format,
        };
        let pcm = Pcm::open(kind.checked()?)?;
        let desk = self.api.station().speech();
        let id = saying.id.clone().unwrap_or_else(|| desk.made_id());
        desk.must_have_room(&self.layer, &id)?;
        let (way, near) = speech_way(AHEAD_MAX_SAMPLES / BLOCK_FRAMES);
        // Its first event may come before the answer.
        self.own.insert(id.clone());
        let order = SpeechOrder::Say(Box::new(saying.utterance(&id, near)));
        let state = Arc::clone(way.state());
        let outcome = match self.order(order).await {
            Ok(outcome) => outcome,
            Err(error) => {
                self.own.remove(&id);
                return Err(error);
            }
        };
        self.last = Some(id.clone());
        self.sounds = Sounds::default();
        self.open = Some(Open {
            id: id.clone(),
            pcm,
            way,
        });
        let (place, tick, revision) = (state.place(), outcome.tick, outcome.revision);
        let accepted = json!({"id": id, "place": place, "tick": tick, "revision": revision});
        Ok(Some(json!({"accepted": accepted})))
    }

    async fn more(&mut self, value: &Value) -> Result<Option<Value>, ApiError> {
        let more: TellMore = read(value)?;
        let words = more.spoken()?;
        let id = match &self.open {
            Some(open) => open.id.clone(),
            None if more.cancel => self.last.clone().unwrap_or_default(),
            None => {
                let message = "nothing is being pushed; say what follows first, with its `rate`";
                return Err(ApiError::conflict(message));
            }
        };
        if more.text.is_some() || !words.is_empty() {
            let text = more.text.as_deref().map(Into::into);
            let id = id.as_str().into();
            self.order(SpeechOrder::Tell { id, text, words }).await?;
        }
        if more.cancel {
            self.open = None;
            self.sounds = Sounds::default();
            let change = Change::StopSpeech(StopSpeech {
                id: self.layer.clone(),
                utterance: Some(id),
            });
            self.api.director().change(change, Terms::default()).await?;
        } else if more.end {
            self.end();
        }
        Ok(None)
    }

    /// All sound of what is pushed has come.
    fn end(&mut self) {
        let Some(Open { pcm, way, .. }) = self.open.take() else {
            return;
        };
        match pcm.end(&mut self.sounds) {
            Ok(()) => self.ending = Some(way),
            Err(_) => way.fail(),
        }
    }

    async fn order(&mut self, order: SpeechOrder) -> Result<crate::control::Outcome, ApiError> {
        let work = Work::Speech {
            layer: self.layer.clone(),
            order,
        };
        self.api.director().ask(work, Terms::default()).await
    }

    /// Passes on what is told of this connection's utterances.
    async fn tell(&mut self, told: &Told) -> Result<(), Over> {
        let name = match told.kind {
            "speech:start" => "start",
            "speech:word" => "word",
            "speech:end" => "end",
            _ => return Ok(()),
        };
        if told.subject.as_deref() != Some(self.layer.as_str()) {
            return Ok(());
        }
        let Ok(mut event) = serde_json::from_slice::<Value>(&told.json) else {
            return Ok(());
        };
        let data = event["data"].take();
        let id = data["id"].as_str().unwrap_or_default();
        let is_own = match name {
            "end" => self.own.remove(id),
            _ => self.own.contains(id),
        };
        match is_own {
            true => self.say(&json!({name: data})).await,
            false => Ok(()),
        }
    }

    async fn refuse(&mut self, error: &ApiError) -> Result<(), Over> {
        self.say(&json!({"error": error})).await
    }

    async fn say(&mut self, value: &Value) -> Result<(), Over> {
        self.send(Message::Text(value.to_string().into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Over> {
        match timeout(SEND_MAX, self.out.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Over),
        }
    }
}

/// Whether a message is about what was begun before, and begins nothing.
fn is_more(value: &Value) -> bool {
    value.get("rate").is_none() && (value.get("end").is_some() || value.get("cancel").is_some())
}
