//! Speech as it is synthesised: samples over a WebSocket, one utterance after the other.
//!
//! What has come and finds no room on its way waits here. One message more is read meanwhile and waits too, unless it can be done at
//! once, as breaking off can; after it the client is held back. A client that goes without a word has its utterance said as far as it came.

use std::collections::BTreeMap;
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
use systems::speech::{BLOCK_FRAMES, SpeechIn, SpeechOrder, SpeechStage, SpeechState, speech_way};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::answer::{Name, Params, parse, read};
use super::guard::TOKEN_MAX;
use super::routes::{Doc, Routes};
use super::{Api, BODY_MAX};
use crate::control::events::Told;
use crate::control::schema::NAME_PATTERN;
use crate::control::speech::{
    AHEAD_MAX_SAMPLES, Noted, Pcm, PcmKind, SayStream, Sounds, TellMore, WordsSoFar, avatar_of,
    end_word, seconds,
};
use crate::control::{ApiError, ErrorCode, Terms, Work};

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
                 `{\"words\": [{\"word\", \"start\", \"end\"}]}` adds words that begin after those before, `{\"text\"}` takes the place of the text, `{\"end\": true}` ends the utterance, `{\"cancel\": true}` breaks it off; the next may follow. \
                 Each is answered by `{\"taken\": {\"id\", \"words\", \"received\"}}` with how many words and seconds there are, and with `end` or `cancel` where it was that. \
                 It begins when 0.12 s are there, pauses where it runs dry, ends with `error` when nothing more comes for 30 s, and is said as far as it came when the connection breaks. \
                 Told are `{\"start\": {...}}`, `{\"word\": {...}}`, `{\"pause\": {...}}`, `{\"resume\": {...}}`, `{\"end\": {\"id\", \"reason\", \"position\", \"lastWord\", \"tick\"}}` of what this connection brought, and `{\"error\": {...}}`. \
                 A client that is held back does not see what it sends behind that; `DELETE` of the utterance breaks it off at once.",
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
    slice_bytes: usize,
    way: SpeechIn,
    words: WordsSoFar,
}

impl Open {
    /// Whether it is over in the world, so that nobody hears what follows.
    fn is_over(&self) -> bool {
        self.way.state().stage() == SpeechStage::Over
    }
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
    /// A message that waits until there is room.
    parked: Option<Message>,
    /// Utterances that came by this connection and whose end was not told.
    own: BTreeMap<String, Arc<SpeechState>>,
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
        parked: None,
        own: BTreeMap::new(),
        last: None,
    };
    let mut retry = interval(RETRY_EVERY);
    retry.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut heard, mut tries) = (Instant::now(), 0u32);
    let mut is_gone = false;
    loop {
        client.flow();
        if client.is_through()
            && let Some(message) = client.parked.take()
        {
            // Of a client that is gone samples alone count.
            if !is_gone || matches!(message, Message::Binary(_)) {
                is_gone |= client.take(message).await.is_err();
            }
            continue;
        }
        if is_gone {
            // What came is said to its end.
            client.end();
            client.flow();
            if client.is_through() {
                return;
            }
        }
        let done = tokio::select! {
            message = incoming.next(), if !is_gone && client.parked.is_none() => {
                heard = Instant::now();
                match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Over),
                    Some(Ok(message)) if !client.is_through() && must_wait(&message) => {
                        client.parked = Some(message);
                        Ok(())
                    }
                    Some(Ok(message)) => client.take(message).await,
                }
            }
            event = told.recv(), if !is_gone => match event {
                Ok(event) => client.tell(&event).await,
                Err(RecvError::Lagged(_)) => client.tell_ends().await,
                Err(RecvError::Closed) => Err(Over),
            },
            _ = retry.tick() => {
                tries = tries.wrapping_add(1);
                if client.parked.is_some() {
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
        is_gone |= done.is_err();
    }
}

/// Whether a message has to wait for the sound that came before it.
fn must_wait(message: &Message) -> bool {
    match message {
        Message::Binary(_) => true,
        Message::Text(text) => parse(text.as_bytes()).is_ok_and(|value| {
            let begins = value.get("rate").is_some();
            let ends = value.get("end").is_some() && value.get("cancel").is_none();
            begins || ends
        }),
        _ => false,
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
        let way = way.filter(|way| way.state().stage() != SpeechStage::Over);
        let Some(way) = way else {
            // What is over is for nobody.
            self.sounds.blocks.clear();
            self.ending = None;
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
            Message::Binary(bytes) => match self.push(&bytes).await {
                Ok(()) => Ok(()),
                Err(error) => {
                    if let Some(open) = self.open.take() {
                        open.way.fail();
                    }
                    self.refuse(&error).await
                }
            },
            Message::Text(text) => {
                let done = match parse(text.as_bytes()) {
                    Ok(value) if value.get("rate").is_some() => self.begin(&value).await,
                    Ok(value) if self.open.is_some() || is_more(&value) => self.more(&value),
                    Ok(value) => self.begin(&value).await,
                    Err(error) => Err(error),
                };
                match done {
                    Ok(answer) => self.say(&answer).await,
                    Err(error) => self.refuse(&error).await,
                }
            }
            // The library answers pings.
            _ => Ok(()),
        }
    }

    /// Takes samples in, a little at a time: others have the runtime in between.
    async fn push(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        let Some(open) = &mut self.open else {
            let message = "samples follow a text message that says what they are";
            return Err(ApiError::new(ErrorCode::BadRequest, message));
        };
        if open.is_over() {
            return Ok(());
        }
        for slice in bytes.chunks(open.slice_bytes) {
            open.pcm.push(slice, &mut self.sounds)?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn begin(&mut self, value: &Value) -> Result<Value, ApiError> {
        match self.open.take() {
            // It was stopped from elsewhere.
            Some(open) if open.is_over() => {}
            Some(open) => {
                let id = &open.id;
                let message =
                    format!("the utterance `{id}` is being pushed; end or cancel it first");
                self.open = Some(open);
                return Err(ApiError::conflict(message));
            }
            None => {}
        }
        let asked: SayStream = read(value)?;
        let saying = asked.saying()?;
        let kind = PcmKind {
            rate: asked.rate,
            channels: asked.channels,
            format: asked.format,
        }
        .checked()?;
        let pcm = Pcm::open(kind)?;
        let station = self.api.station().clone();
        let desk = station.speech();
        desk.must_have_room(&self.layer, &saying)?;
        let id = saying.id.clone();
        let id = id.unwrap_or_else(|| desk.made_id(&self.layer));
        let (way, near) = speech_way(AHEAD_MAX_SAMPLES / BLOCK_FRAMES, desk.budget());
        let utterance = saying.utterance(&id, near);
        let words = WordsSoFar::default().and(&utterance.words);
        let noted = Noted::of(&utterance);
        let work = self.work(SpeechOrder::Say(Box::new(utterance)));
        // What is told of it before the answer waits in the ring of events.
        let outcome = station.director().ask(work, Terms::default()).await?;
        desk.must_be_taken(&self.layer, &noted)?;
        self.own.insert(id.clone(), Arc::clone(way.state()));
        self.last = Some(id.clone());
        self.sounds = Sounds::default();
        let place = way.state().place();
        self.open = Some(Open {
            id: id.clone(),
            pcm,
            slice_bytes: kind.slice_bytes(),
            way,
            words,
        });
        let (tick, revision) = (outcome.tick, outcome.revision);
        let accepted = json!({"id": id, "place": place, "tick": tick, "revision": revision});
        Ok(json!({"accepted": accepted}))
    }

    /// Passes on more of what is pushed; nothing waits for the tick that shows it.
    fn more(&mut self, value: &Value) -> Result<Value, ApiError> {
        let more: TellMore = read(value)?;
        let id = match (&self.open, &self.last) {
            (Some(open), _) => open.id.clone(),
            (None, Some(last)) if more.cancel => last.clone(),
            _ => {
                let message = "nothing is being pushed; say what follows first, with its `rate`";
                return Err(ApiError::conflict(message));
            }
        };
        let mut taken = json!({"id": id});
        if let Some(open) = &mut self.open {
            let words = more.spoken(open.words)?;
            open.words = open.words.and(&words);
            taken["words"] = open.words.count.into();
            if more.text.is_some() || !words.is_empty() {
                let text = more.text.as_deref().map(Into::into);
                let id = id.as_str().into();
                self.post(SpeechOrder::Tell { id, text, words })?;
            }
        }
        if more.cancel {
            self.open = None;
            self.ending = None;
            self.sounds = Sounds::default();
            let id = Some(id.as_str().into());
            self.post(SpeechOrder::Stop { id })?;
            taken["cancel"] = true.into();
        } else if more.end {
            self.end();
            taken["end"] = true.into();
        }
        if let Some(state) = self.own.get(&id) {
            let waiting: u64 = self.sounds.samples_waiting();
            taken["received"] = seconds(state.received() + waiting).into();
        }
        Ok(json!({"taken": taken}))
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

    fn work(&self, order: SpeechOrder) -> Work {
        Work::Speech {
            layer: self.layer.clone(),
            order,
        }
    }

    /// Gives an order whose tick nobody waits for. It reaches the world after those before it.
    fn post(&self, order: SpeechOrder) -> Result<(), ApiError> {
        let director = self.api.director();
        director.post(self.work(order), Terms::default()).map(drop)
    }

    /// Passes on what is told of this connection's utterances.
    async fn tell(&mut self, told: &Told) -> Result<(), Over> {
        let name = match told.kind {
            "speech:start" => "start",
            "speech:word" => "word",
            "speech:pause" => "pause",
            "speech:resume" => "resume",
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
            "end" => self.own.remove(id).is_some(),
            _ => self.own.contains_key(id),
        };
        match is_own {
            true => self.say(&json!({name: data})).await,
            false => Ok(()),
        }
    }

    /// Events were missed: tells the ends that may have been among them.
    async fn tell_ends(&mut self) -> Result<(), Over> {
        let ended = |id: &String, state: &Arc<SpeechState>| {
            let reason = end_word(state.end_reason()?);
            let position = seconds(state.played());
            Some(json!({"layer": self.layer, "id": id, "reason": reason, "position": position}))
        };
        let ends: Vec<(String, Value)> = self
            .own
            .iter()
            .filter_map(|(id, state)| Some((id.clone(), ended(id, state)?)))
            .collect();
        for (id, end) in ends {
            self.own.remove(&id);
            self.say(&json!({"end": end})).await?;
        }
        Ok(())
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
