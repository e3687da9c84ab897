//! Speech as it is synthesised: samples over a WebSocket, one utterance after the other.
//!
//! What has come and finds no room on its way waits here as it came, a bounded number of bytes; then no more is read. What can be done at
//! once, as breaking off can, overtakes that. A client that goes without a word has its utterance said as far as it came.

mod flow;
mod inbox;
mod own;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use systems::speech::{BLOCK_FRAMES, SpeechOrder, speech_way};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::answer::{Name, Params, parse, read};
use super::guard::TOKEN_MAX;
use super::routes::{Doc, Routes};
use super::{Api, BODY_MAX};
use crate::control::events::Told;
use crate::control::schema::NAME_PATTERN;
use crate::control::speech::{
    AHEAD_MAX_SAMPLES, Noted, Pcm, PcmKind, SayStream, TellMore, WordsSoFar, avatar_of, seconds,
};
use crate::control::{ApiError, ErrorCode, Terms, Work};
use flow::{Flow, Open};
use inbox::{About, Inbox, Sent, is_cancel};
use own::Owned;

/// A client has so long to take a message.
const SEND_MAX: Duration = Duration::from_secs(10);
/// How often what waits is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(40);
/// How often a client is asked whether it is there, in tries.
const PING_EVERY: u32 = 500;
/// How often it is looked for ends that no event told, in tries.
const ENDS_EVERY: u32 = 25;
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
                 Then samples as binary messages of at most 1 MiB, as fast as they are made: up to 120 s ahead are taken, and of what follows 256 KiB and a message are read before there is room. In between \
                 `{\"words\": [{\"word\", \"start\", \"end\"}]}` adds words that begin after those before, `{\"text\"}` takes the place of the text, `{\"end\": true}` ends the utterance, `{\"cancel\": true}` breaks it off; the next may follow. \
                 Each is answered by `{\"taken\": {\"id\", \"words\", \"received\"}}` with how many words and seconds there are, and with `end` or `cancel` where it was that. \
                 It begins when 0.12 s are there, pauses where it runs dry, ends with `error` when 30 s do not bring enough to begin or go on, and is said as far as it came when the connection breaks. \
                 Told are `{\"start\": {...}}`, `{\"word\": {...}}`, `{\"pause\": {...}}`, `{\"resume\": {...}}`, `{\"end\": {\"id\", \"reason\", \"position\", \"lastWord\", \"tick\"}}` of what this connection brought, and `{\"error\": {...}}`: \
                 an utterance that the world refuses (its name is taken, as many wait as may, the layer went) is answered by that, and told to all others as `speech:refused`. \
                 `cancel` overtakes samples that wait for room. From a client that is so far ahead that no more is read it is not heard; `DELETE` of the utterance breaks it off then, too.",
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

struct Client {
    api: Api,
    layer: String,
    out: SplitSink<WebSocket, Message>,
    /// Whether nobody is there to be told anything.
    is_gone: bool,
    /// What has come.
    inbox: Inbox,
    flow: Flow,
    own: Owned,
    /// The last of what it brought.
    last: Option<String>,
}

async fn converse(api: Api, layer: String, socket: WebSocket) {
    let (out, mut incoming) = socket.split();
    let (mut told, _) = api.station().events().listen();
    let mut client = Client {
        api,
        layer,
        out,
        is_gone: false,
        inbox: Inbox::default(),
        flow: Flow::default(),
        own: Owned::default(),
        last: None,
    };
    let mut retry = interval(RETRY_EVERY);
    retry.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut heard, mut tries) = (Instant::now(), 0u32);
    loop {
        client.flow.send_on();
        match client.work_off().await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(Over) => {
                client.is_gone = true;
                continue;
            }
        }
        if client.is_gone && client.inbox.is_empty() {
            // What came is said to its end.
            client.flow.end();
            client.flow.send_on();
            if client.flow.is_through() {
                return;
            }
        }
        let done = tokio::select! {
            message = incoming.next(), if !client.is_gone && client.inbox.has_room() => {
                heard = Instant::now();
                match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Over),
                    Some(Ok(message)) => client.receive(message).await,
                }
            }
            event = told.recv(), if !client.is_gone => match event {
                Ok(event) => client.tell(&event).await,
                // Ends that were missed are found in time.
                Err(RecvError::Lagged(_)) => Ok(()),
                Err(RecvError::Closed) => Err(Over),
            },
            _ = retry.tick() => {
                tries = tries.wrapping_add(1);
                if !client.inbox.has_room() {
                    heard = Instant::now();
                }
                if client.is_gone {
                    Ok(())
                } else if heard.elapsed() > SILENCE_MAX {
                    Err(Over)
                } else if tries % PING_EVERY == 0 {
                    client.send(Message::Ping(Default::default())).await
                } else if tries % ENDS_EVERY == 0 {
                    client.tell_ends().await
                } else {
                    Ok(())
                }
            }
        };
        client.is_gone |= done.is_err();
    }
}

impl Client {
    /// Takes up the next of what has come, if there is room for it: of sound a slice. Whether it did.
    async fn work_off(&mut self) -> Result<bool, Over> {
        if !self.flow.is_through() {
            return Ok(false);
        }
        match self.inbox.next(self.flow.slice_bytes()) {
            None => return Ok(false),
            Some(Sent::Text(text, _)) => match parse(text.as_bytes()) {
                Ok(value) => self.answer(&value).await?,
                Err(error) => self.refuse(&error).await?,
            },
            Some(Sent::Sound(bytes)) => {
                if let Err(error) = self.flow.push(&bytes) {
                    self.refuse(&error).await?;
                }
                // Others have the runtime in between.
                tokio::task::yield_now().await;
            }
        }
        Ok(true)
    }

    /// Takes a message; what cannot be done yet waits.
    async fn receive(&mut self, message: Message) -> Result<(), Over> {
        let text = match message {
            Message::Binary(bytes) => {
                self.inbox.push_sound(&bytes);
                return Ok(());
            }
            Message::Text(text) => text,
            // The library answers pings.
            _ => return Ok(()),
        };
        let value = match parse(text.as_bytes()) {
            Ok(value) => value,
            Err(error) => return self.refuse(&error).await,
        };
        if is_cancel(&value) {
            if self.inbox.break_off(self.flow.is_open()) {
                self.inbox.push_text(&text, About::End);
                return Ok(());
            }
            // What is left there is the rest of what breaks off.
            self.flow.forget_sound();
            let mut done = Ok(());
            while let Some(Sent::Text(before, _)) = self.inbox.next(0) {
                if let Ok(before) = parse(before.as_bytes()) {
                    done = done.and(self.answer(&before).await);
                }
            }
            return done.and(self.answer(&value).await);
        }
        let about = About::of(&value);
        let must_wait = match about {
            _ if self.inbox.has_text() => true,
            About::Begin => !self.flow.is_through() || !self.inbox.is_empty(),
            About::End => !self.inbox.is_empty(),
            About::More => false,
        };
        if must_wait {
            self.inbox.push_text(&text, about);
            return Ok(());
        }
        self.answer(&value).await
    }

    /// Does what a text message asks for, and answers it.
    async fn answer(&mut self, value: &Value) -> Result<(), Over> {
        let done = match About::of(value) {
            About::Begin => self.begin(value).await,
            _ if is_cancel(value) => self.cancel(),
            About::More if self.flow.open().is_none() && value.get("cancel").is_none() => {
                self.begin(value).await
            }
            _ => self.more(value),
        };
        match done {
            Ok(answer) => self.say(&answer).await,
            Err(error) => self.refuse(&error).await,
        }
    }

    async fn begin(&mut self, value: &Value) -> Result<Value, ApiError> {
        // One that was stopped from elsewhere gives way.
        if self.flow.is_open()
            && let Some(Open { id, .. }) = self.flow.open()
        {
            let message = format!("the utterance `{id}` is being pushed; end or cancel it first");
            return Err(ApiError::conflict(message));
        }
        let asked: SayStream = read(value)?;
        let saying = asked.saying()?;
        let kind = PcmKind {
            rate: asked.rate,
            channels: asked.channels,
            format: asked.format,
            is_high_first: false,
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
        let state = Arc::clone(way.state());
        self.own.insert(id.clone(), outcome.tick, state);
        self.last = Some(id.clone());
        let place = way.state().place();
        self.flow.begin(Open {
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
        let Some(open) = self.flow.open() else {
            return Err(nothing_is_pushed());
        };
        let (id, words) = (open.id.clone(), more.spoken(open.words)?);
        let words_so_far = open.words.and(&words);
        if more.text.is_some() || !words.is_empty() {
            let text = more.text.as_deref().map(Into::into);
            let id = id.as_str().into();
            self.post(SpeechOrder::Tell { id, text, words })?;
        }
        if let Some(open) = self.flow.open() {
            open.words = words_so_far;
        }
        let mut taken = json!({"id": id, "words": words_so_far.count});
        if more.end {
            self.flow.end();
            taken["end"] = true.into();
        }
        Ok(self.taken(&id, taken))
    }

    /// Breaks off what is pushed, or what came last, whatever else the message says.
    fn cancel(&mut self) -> Result<Value, ApiError> {
        let open = self.flow.open().map(|open| open.id.clone());
        let id = open.or(self.last.clone()).ok_or_else(nothing_is_pushed)?;
        self.post(SpeechOrder::Stop {
            id: Some(id.as_str().into()),
        })?;
        let mut taken = json!({"id": id, "cancel": true});
        if let Some(open) = self.flow.break_off() {
            taken["words"] = open.words.count.into();
        }
        Ok(self.taken(&id, taken))
    }

    fn taken(&self, id: &str, mut taken: Value) -> Value {
        if let Some(state) = self.own.get(id) {
            let waiting = self.flow.samples_waiting();
            taken["received"] = seconds(state.received() + waiting).into();
        }
        json!({"taken": taken})
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
        let name = match &*told.kind {
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
        let tick = data["tick"].as_u64().unwrap_or_default();
        let is_own = match name {
            "end" => self.own.remove(id, tick),
            _ => self.own.has(id, tick),
        };
        match is_own {
            true => self.say(&json!({name: data})).await,
            false => Ok(()),
        }
    }

    /// Tells ends that no event told: it was missed, or found no room.
    async fn tell_ends(&mut self) -> Result<(), Over> {
        for end in self.own.late_ends(&self.layer) {
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
        if self.is_gone {
            return Err(Over);
        }
        match timeout(SEND_MAX, self.out.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Over),
        }
    }
}

fn nothing_is_pushed() -> ApiError {
    let message = "nothing is being pushed; say what follows first, with its `rate`";
    ApiError::conflict(message)
}
