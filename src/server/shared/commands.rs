//! The commands of other programs: each is begun in the order of the stream, goes its own way from there, and is answered when it is
//! done. What is on its way is bounded, in number and in bytes; while there is no room, nothing more is taken from the stream.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use futures_util::{FutureExt as _, poll};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinSet, coop};
use tokio::time::timeout;

use super::order::{ORDER_WAIT_MAX, Order};
use super::request::{self, Inner};
use super::{Patience, Stop, add};
use crate::control::{ApiError, ErrorCode, in_turn};
use crate::server::answer::{Answered, parse};
use crate::server::{Api, durable, within, ws};
use crate::store::shared::{
    Answer, CommandAnswers, CommandReader, KEPT, TEXT_BYTES_MAX, TakenCommand, Unreadable,
};

/// What may be on its way, in pieces of [`PIECE_BYTES`]; a command takes one, and one more for each of its text.
const ROOM: usize = 384;
const PIECE_BYTES: usize = 64 << 10;
/// Commands that only read and are on their way: their answers may be large.
const READS_MAX: usize = 16;
/// Answers that wait to be told, and those that are told at once.
const ANSWERS_MAX: usize = 64;
/// What a command may take until it has taken effect, as a request over HTTP.
const EFFECT_MAX: Duration = Duration::from_secs(60);
/// How long the answer to what only reads is kept.
const READ_KEPT: Duration = Duration::from_secs(30);

/// An answer that waits to be told, with the room that it gives back then.
pub struct Waiting {
    answer: Answer,
    _room: Held,
}

/// The room that a command takes.
struct Held {
    api: Api,
    _pieces: OwnedSemaphorePermit,
    _read: Option<OwnedSemaphorePermit>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.api.shared().open.fetch_sub(1, Relaxed);
    }
}

/// The way of answers to who tells them.
pub fn channel() -> (mpsc::Sender<Waiting>, mpsc::Receiver<Waiting>) {
    mpsc::channel(ANSWERS_MAX)
}

/// Takes commands and has them done, until it is to stop or another instance leads.
pub async fn run(
    mut reader: CommandReader,
    api: Api,
    answers: mpsc::Sender<Waiting>,
    mut stop: Stop,
) {
    let mut patience = Patience::new("taking commands from Redis");
    let mut desk = Desk {
        routes: within(api.clone()),
        api,
        answers,
        order: Order::default(),
        room: Arc::new(Semaphore::new(ROOM)),
        reads: Arc::new(Semaphore::new(READS_MAX)),
        next: 0,
        course: JoinSet::new(),
    };
    let mut is_swept = false;
    while !stop.is_now() {
        let taking = async {
            if !is_swept {
                let count = reader.sweep(&interrupted()).await?;
                add(&desk.api.shared().interrupted, count);
            }
            reader.next().await
        };
        let taken = tokio::select! {
            biased;
            () = stop.come() => break,
            taken = taking => taken,
        };
        match taken {
            Ok(taken) => {
                patience.well();
                is_swept = true;
                desk.note(taken.nameless, taken.repeated);
                // All of them, for they are marked as begun.
                for command in taken.commands {
                    desk.begin(command).await;
                }
            }
            Err(error) => {
                let goes_on = tokio::select! {
                    biased;
                    () = stop.come() => false,
                    goes_on = patience.fail(&error) => goes_on,
                };
                if !goes_on {
                    break;
                }
            }
        }
        while desk.course.try_join_next().is_some() {}
    }
    // Whoever waits for too long ends this.
    while desk.course.join_next().await.is_some() {}
}

/// What is said of commands that an earlier leader has begun and not answered.
fn interrupted() -> String {
    let error = ApiError::new(
        ErrorCode::OutcomeUnknown,
        "the program that had begun this command ended before it answered; it may have been done or not",
    );
    refused(&error).to_string()
}

struct Desk {
    api: Api,
    routes: Router,
    answers: mpsc::Sender<Waiting>,
    order: Order,
    room: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    next: u64,
    course: JoinSet<()>,
}

/// What a command asks for.
enum Asked {
    Message { value: Value, is_durable: bool },
    Request(Inner),
    Snapshot,
}

/// What it came to, before it is known to be saved.
enum Effect {
    Message(Answered, bool),
    Request(Response, bool),
    Json(Value),
}

impl Desk {
    fn note(&self, nameless: u64, repeated: u64) {
        let counters = self.api.shared();
        add(&counters.nameless, nameless);
        add(&counters.repeated, repeated);
        if nameless > 0 {
            tracing::warn!(
                nameless,
                "commands without a usable `id` in Redis were left out; an id has 1 to 100 printable letters of ASCII"
            );
        }
    }

    /// Begins a command behind those before it. What it waits for afterwards holds up nobody.
    async fn begin(&mut self, command: TakenCommand) {
        let bytes = command.json.as_ref().map_or(0, String::len);
        let pieces = u32::try_from(1 + bytes / PIECE_BYTES).unwrap_or(1);
        // Neither is ever closed.
        let Ok(pieces) = Arc::clone(&self.room).acquire_many_owned(pieces).await else {
            return;
        };
        let asked = command
            .json
            .map_err(unreadable)
            .and_then(|json| read(&json));
        let reads = asked.as_ref().is_ok_and(Asked::reads);
        let number = self.next;
        self.next += 1;
        let place = self.order.enter(number, reads);
        add(&self.api.shared().open, 1);
        let mut room = Held {
            api: self.api.clone(),
            _pieces: pieces,
            _read: None,
        };
        let api = self.api.clone();
        let (answers, limit) = (self.answers.clone(), Arc::clone(&self.reads));
        let (effect, planned) = in_turn(effect(self.api.clone(), self.routes.clone(), asked));
        let work = async move {
            if reads {
                room._read = limit.acquire_owned().await.ok();
                place.turn().await;
            }
            let effect = caught(effect).await.flatten();
            drop(place);
            let json = match effect {
                Ok(effect) => caught(effect.told(&api)).await,
                Err(error) => Err(error),
            };
            let json = json.unwrap_or_else(|error| refused(&error));
            count(&api, &json);
            let answer = Answer {
                id: command.id,
                json: json.to_string(),
                kept: if reads { READ_KEPT } else { KEPT },
            };
            let waiting = Waiting {
                answer,
                _room: room,
            };
            if answers.send(waiting).await.is_err() {
                add(&api.shared().answers_lost, 1);
            }
        };
        let mut work = Box::pin(work);
        // As far as it comes by itself, whatever else this task has done: those behind it come after.
        let is_done = coop::unconstrained(async { poll!(&mut work).is_ready() }).await;
        if is_done {
            return;
        }
        self.course.spawn(work);
        if !reads {
            let _in_time = timeout(ORDER_WAIT_MAX, planned).await;
        }
    }
}

impl Asked {
    fn reads(&self) -> bool {
        match self {
            Self::Snapshot => true,
            Self::Request(inner) => inner.reads(),
            Self::Message { value, .. } => {
                let word = |name: &str| value.get(name).and_then(Value::as_str);
                word("type") == Some("ping")
                    || matches!(word("action"), Some("list" | "get" | "check"))
            }
        }
    }

    async fn take_effect(self, api: &Api, routes: Router) -> Effect {
        match self {
            Self::Snapshot => {
                Effect::Json(json!({"status": 200, "success": true, "data": ws::snapshot(api)}))
            }
            Self::Message { value, is_durable } => {
                Effect::Message(ws::ask(api, &value).await, is_durable)
            }
            Self::Request(inner) => {
                let is_durable = inner.is_durable;
                Effect::Request(inner.send(routes).await, is_durable)
            }
        }
    }
}

impl Effect {
    /// The answer, once the change is saved where that was asked for.
    async fn told(self, api: &Api) -> Value {
        match self {
            Self::Json(json) => json,
            Self::Request(response, is_durable) => {
                let response = durable::settled(api, response, is_durable).await;
                request::json_of(response).await
            }
            Self::Message(answer, is_durable) => {
                match durable::wait_for(api, answer, is_durable).await {
                    Ok(reply) => {
                        let status = reply.status().as_u16();
                        let mut json = reply.into_json();
                        json["status"] = status.into();
                        json
                    }
                    Err(error) => refused(&error),
                }
            }
        }
    }
}

/// Does what is asked for.
async fn effect(
    api: Api,
    routes: Router,
    asked: Result<Asked, ApiError>,
) -> Result<Effect, ApiError> {
    let effect = asked?.take_effect(&api, routes);
    timeout(EFFECT_MAX, effect).await.map_err(|_| {
        let message = "the command took too long to be worked off";
        ApiError::new(ErrorCode::Timeout, message)
    })
}

/// A panic is the fault of one command alone.
async fn caught<T>(work: impl Future<Output = T>) -> Result<T, ApiError> {
    let worked = AssertUnwindSafe(work).catch_unwind().await;
    worked.map_err(|_| ApiError::internal("the command could not be worked off"))
}

fn read(json: &str) -> Result<Asked, ApiError> {
    let mut value = parse(json.as_bytes())?;
    match value.get("type").and_then(Value::as_str) {
        Some("request") => Inner::parse(&value).map(Asked::Request),
        Some("snapshot") => Ok(Asked::Snapshot),
        Some("subscribe") => Err(ApiError::new(
            ErrorCode::BadRequest,
            "events are told to all who SUBSCRIBE to the channel `events` of this stream",
        )),
        _ => {
            let is_durable = ws::take_durable(&mut value)?;
            Ok(Asked::Message { value, is_durable })
        }
    }
}

fn unreadable(what: Unreadable) -> ApiError {
    match what {
        Unreadable::Missing => ApiError::new(ErrorCode::BadRequest, "the field `json` is missing"),
        Unreadable::TooLong => {
            let message = format!("json: a command has at most {TEXT_BYTES_MAX} bytes");
            ApiError::new(ErrorCode::TooLarge, message)
        }
        Unreadable::NotText => ApiError::new(ErrorCode::BadRequest, "json: it is not UTF-8"),
    }
}

fn refused(error: &ApiError) -> Value {
    json!({"status": error.code.status(), "success": false, "error": error})
}

fn count(api: &Api, answer: &Value) {
    let counters = api.shared();
    let counter = match answer["status"].as_u64() {
        Some(..400) => &counters.done,
        Some(400..500) => &counters.refused,
        _ => &counters.failed,
    };
    add(counter, 1);
}

/// Tells answers as they come, many at once; while Redis is away they wait. It ends when nobody can give any more.
pub async fn answer(writer: CommandAnswers, mut waiting: mpsc::Receiver<Waiting>, api: Api) {
    let mut patience = Patience::new("answering commands in Redis");
    let mut taken: Vec<Waiting> = Vec::with_capacity(ANSWERS_MAX);
    while waiting.recv_many(&mut taken, ANSWERS_MAX).await > 0 {
        let (answers, room): (Vec<Answer>, Vec<Held>) = taken
            .drain(..)
            .map(|waiting| (waiting.answer, waiting._room))
            .unzip();
        loop {
            match writer.tell(&answers).await {
                Ok(()) => {
                    patience.well();
                    break;
                }
                Err(error) if patience.fail(&error).await => {}
                Err(_) => {
                    let lost = u64::try_from(answers.len()).unwrap_or(u64::MAX);
                    add(&api.shared().answers_lost, lost);
                    break;
                }
            }
        }
        drop(room);
    }
}
