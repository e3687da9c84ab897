//! Batches: many changes on one tick, all or none, now or later.

use std::fmt;
use std::time::SystemTime;

use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Api;
use super::answer::{Answered, Json, Name, Reply, read};
use super::routes::{Doc, Routes, schema_of};
use crate::control::{AHEAD_MAX, ApiError, Asked, Change, ErrorCode, Scheduled, Terms, Work};
use crate::scene::schema::WHOLE_MAX;

const TAG: &str = "commands";
/// The most commands of a batch.
pub const BATCH_MAX: usize = 1000;

/// Commands that land on one tick, all or none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Batch {
    /// The commands, in order.
    #[schemars(with = "Vec<Change>", length(min = 1, max = 1000))]
    pub commands: Vec<Value>,
    /// When: the number of a tick, or a time (RFC 3339). At once when absent.
    #[serde(default)]
    pub at: Option<At>,
    /// Only when the world is at this revision.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    pub if_revision: Option<u64>,
    /// Only try it: nothing changes.
    #[serde(default)]
    pub dry_run: bool,
}

/// A tick or a time.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
pub enum At {
    /// The number of the tick whose frame is to be the first to show it.
    Tick(#[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))] u64),
    /// A time in RFC 3339, such as `2026-01-31T20:00:00Z`.
    Time(#[schemars(extend("format" = "date-time"))] String),
}

/// By hand: a whole number may be written with a point, which an untagged enum does not take.
impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = At;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("the number of a tick, or a time such as \"2026-01-31T20:00:00Z\"")
            }
            fn visit_u64<E: de::Error>(self, tick: u64) -> Result<At, E> {
                Ok(At::Tick(tick))
            }
            fn visit_f64<E: de::Error>(self, tick: f64) -> Result<At, E> {
                if tick.fract() == 0.0 && (0.0..=WHOLE_MAX as f64).contains(&tick) {
                    Ok(At::Tick(tick as u64))
                } else {
                    Err(E::invalid_value(de::Unexpected::Float(tick), &self))
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<At, E> {
                Ok(At::Time(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// What became of a batch.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Applied {
    /// How many commands it had.
    applied: usize,
}

/// A batch that waits.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Waits {
    /// Its number, with which it can be taken back.
    scheduled: u64,
}

/// Every batch that waits.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ScheduledList {
    /// The batches, the next first.
    scheduled: Vec<Scheduled>,
    /// How many there are.
    count: usize,
}

/// The routes.
pub fn routes() -> Routes {
    Routes::new()
        .post(
            "/commands",
            Doc::new(TAG, "runCommands", "Makes many changes on one tick, all or none")
                .more("With `at` it waits for a tick or a time; the answer is then 202, and the events `command:applied` and `command:failed` tell how it went.")
                .body::<Batch>()
                .example(json!({"commands": [
                    {"type": "layer.update", "id": "host", "patch": {"opacity": 0.5}},
                    {"type": "data.update", "patch": {"auction": {"bid": 19.2}}},
                ]}))
                .error(ErrorCode::NotFound)
                .error(ErrorCode::Conflict)
                .error(ErrorCode::Unavailable)
                .changes::<Applied>("All are on air.")
                .answer(202, "It waits for its tick.", schema_of::<Waits>, true)
                .leads("scheduled", &["cancelCommands"]),
            run,
        )
        .get(
            "/commands",
            Doc::new(TAG, "listCommands", "Lists the batches that wait for their tick")
                .answers::<ScheduledList>("The batches."),
            list,
        )
        .delete(
            "/commands/{id}",
            Doc::new(TAG, "cancelCommands", "Takes back a batch that waits")
                .path("id", json!({"type": "integer", "minimum": 1, "maximum": WHOLE_MAX}), "Its number.")
                .answers::<Waits>("It does not wait any more.")
                .kept(),
            cancel,
        )
}

async fn run(State(api): State<Api>, Json(value): Json) -> Answered {
    apply(&api, &value).await
}

/// Makes the changes of a batch.
///
/// # Errors
/// Why none is made.
pub async fn apply(api: &Api, value: &Value) -> Answered {
    let batch: Batch = read(value)?;
    if batch.commands.is_empty() || batch.commands.len() > BATCH_MAX {
        let message = format!("commands: a batch has 1 to {BATCH_MAX} commands");
        return Err(ApiError::new(ErrorCode::BadRequest, message));
    }
    let mut changes = Vec::with_capacity(batch.commands.len());
    for (index, command) in batch.commands.iter().enumerate() {
        changes.push(Asked::parse(command, &format!("commands[{index}]"))?);
    }
    let applied = changes.len();
    let terms = Terms {
        at_tick: batch.at.map(|at| tick_of(api, &at)).transpose()?,
        if_revision: batch.if_revision,
        dry_run: batch.dry_run,
    };
    let outcome = api.director().ask(Work::Changes(changes), terms).await?;
    if !terms.dry_run && outcome.scheduled.is_none() {
        api.station().follow(&outcome.show);
    }
    Reply::changed(&outcome, Applied { applied })
}

fn tick_of(api: &Api, at: &At) -> Result<u64, ApiError> {
    let ticks = api.station().ticks();
    let rate = api.director().snapshot().rate;
    let tick = match at {
        At::Tick(tick) => *tick,
        At::Time(text) => {
            let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
                let message = "at: a time is written as in RFC 3339, such as 2026-01-31T20:00:00Z";
                ApiError::invalid(message)
            })?;
            ticks
                .at_time(SystemTime::from(moment), SystemTime::now(), rate)
                .ok_or_else(|| ApiError::conflict("at: this time is past"))?
        }
    };
    let next = ticks.next();
    if tick < next {
        let message = format!("at: tick {tick} is past; the next one is {next}");
        return Err(ApiError::conflict(message).with("tick", next));
    }
    let ahead_max = (AHEAD_MAX.as_secs_f64() * rate.as_f64()) as u64;
    if tick - next > ahead_max {
        return Err(ApiError::conflict("at: it is more than 24 hours ahead"));
    }
    Ok(tick)
}

async fn list(State(api): State<Api>) -> Answered {
    let scheduled = (*api.director().scheduled()).clone();
    let count = scheduled.len();
    Reply::of(ScheduledList { scheduled, count })
}

async fn cancel(State(api): State<Api>, Name(id): Name) -> Answered {
    let missing = || ApiError::not_found("scheduled batch", &id, []);
    let number: u64 = id.parse().map_err(|_| missing())?;
    if api.director().cancel(number).await {
        Ok(Reply::of(Waits { scheduled: number })?.kept())
    } else {
        Err(missing())
    }
}
