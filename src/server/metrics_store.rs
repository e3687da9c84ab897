//! How well changes are saved, for Prometheus.

use std::fmt;

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
    )
}
