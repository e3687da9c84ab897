//! How often pictures and fonts were there when they were asked for, for Prometheus.

use std::fmt;

use super::Api;
use super::metrics::Page;

pub(super) fn write(api: &Api, page: &mut Page<'_>) -> Result<(), fmt::Error> {
    let figures = api.library().assets().cache().figures();
    page.counter(
        "stream_asset_cache_hits",
        "Pictures and fonts that were there when they were asked for",
        figures.hits,
    )?;
    page.counter(
        "stream_asset_cache_misses",
        "Pictures and fonts that were read and decoded while somebody waited",
        figures.misses,
    )?;
    page.counter(
        "stream_asset_cache_evictions",
        "Pictures and fonts that were let go of to make room",
        figures.evictions,
    )?;
    page.counter(
        "stream_asset_cache_preloaded",
        "Pictures and fonts that were read and decoded before anybody asked",
        figures.preloaded,
    )?;
    page.gauge(
        "stream_asset_cache_entries",
        "Pictures and fonts that are kept",
        figures.entries as f64,
    )?;
    page.gauge(
        "stream_asset_cache_bytes",
        "Bytes of memory that the asset cache alone holds",
        figures.bytes as f64,
    )?;
    page.gauge(
        "stream_asset_cache_shared_bytes",
        "Bytes of memory that it shares with the scene on air and with scenes that are ready",
        figures.shared_bytes as f64,
    )?;
    page.gauge(
        "stream_asset_cache_limit_bytes",
        "Most bytes that the asset cache may hold alone",
        figures.limit_bytes as f64,
    )
}
