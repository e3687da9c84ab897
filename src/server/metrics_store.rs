//! How well changes are saved, for Prometheus.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::metrics::MetricType;

use super::Api;
use super::metrics::Page;
use super::stream::{self, StreamRole};
use crate::store::PersistState;

pub(super) fn write(api: &Api, page: &mut Page<'_>) -> Result<(), fmt::Error> {
    let status = api.station().saving().status();
    let is = |state: PersistState| f64::from(u8::from(status.state == state));
    let labels = |state: &str| {
        vec![
            ("engine", status.engine.to_owned()),
            ("state", state.to_owned()),
        ]
    };
    page.family(
        "stream_store_state",
        "1 for the state that the store is in: ok, degraded or down",
        MetricType::Gauge,
        [
            (labels("ok"), is(PersistState::Ok)),
            (labels("degraded"), is(PersistState::Degraded)),
            (labels("down"), is(PersistState::Down)),
        ],
    )?;
    let (role, _) = stream::role(api);
    let leads = f64::from(u8::from(role == StreamRole::Leader));
    page.gauge(
        "stream_leader",
        "1 where this instance makes the program, 0 where it stands by",
        leads,
    )?;
    page.gauge(
        "stream_store_revision",
        "Newest revision that was handed to the store",
        status.revision as f64,
    )?;
    page.gauge(
        "stream_store_durable_revision",
        "Newest revision that outlives the process",
        status.durable_revision as f64,
    )?;
    page.gauge(
        "stream_store_lag_seconds",
        "Time that the oldest change waits to be saved",
        status.lag_ms as f64 / 1000.0,
    )?;
    page.gauge(
        "stream_store_pending_documents",
        "Documents that wait to be saved",
        status.pending as f64,
    )?;
    let counters = api.station().saving().counters();
    page.counter(
        "stream_store_commits",
        "Commits that the store took",
        counters.commits,
    )?;
    page.counter(
        "stream_store_failures",
        "Commits that the store did not take, and that were tried again",
        counters.failures,
    )?;
    page.counter(
        "stream_store_bytes",
        "Bytes of documents that the store took",
        counters.bytes,
    )?;
    page.family(
        "stream_store_wait_seconds",
        "Time that the oldest change of each commit waited until it was saved, summed up",
        MetricType::Counter,
        [(Vec::new(), counters.waited_us as f64 / 1e6)],
    )?;
    write_shared(api, page)
}

/// What other programs ask for and hear through Redis.
fn write_shared(api: &Api, page: &mut Page<'_>) -> Result<(), fmt::Error> {
    let counters = api.shared();
    let of = |counter: &AtomicU64| counter.load(Relaxed);
    let result = |word: &str, counter: &AtomicU64| {
        let labels = vec![("result", word.to_owned())];
        (labels, of(counter) as f64)
    };
    page.family(
        "stream_shared_commands",
        "Commands that came through Redis, by what became of them",
        MetricType::Counter,
        [
            result("done", &counters.done),
            result("refused", &counters.refused),
            result("failed", &counters.failed),
            result("repeated", &counters.repeated),
            result("nameless", &counters.nameless),
            result("interrupted", &counters.interrupted),
        ],
    )?;
    page.gauge(
        "stream_shared_commands_open",
        "Commands that came through Redis and are not answered yet",
        of(&counters.open) as f64,
    )?;
    page.counter(
        "stream_shared_answers_lost",
        "Answers to commands that Redis did not get before this program stopped to lead",
        of(&counters.answers_lost),
    )?;
    page.counter(
        "stream_shared_events",
        "Events that were told through Redis",
        of(&counters.events),
    )?;
    page.counter(
        "stream_shared_events_lost",
        "Events that were not told through Redis, which was away for too long",
        of(&counters.events_lost),
    )
}
