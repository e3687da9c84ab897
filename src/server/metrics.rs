//! `/metrics` for Prometheus: read from the same counters as everything else, at the moment of asking, so that the hot paths know
//! nothing of it. Names are in base units under `stream_`; the names of earlier versions stand beside them as they were.
//!
//! It is OpenMetrics 1.0 for who asks for that, as Prometheus does, and Prometheus's own text (version 0.0.4) for everybody else.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::{Api, metrics_assets, metrics_audio, metrics_inputs, metrics_store, metrics_streams};
use crate::control::{SCHEDULED_MAX, own_usage};

/// The route.
pub fn router(api: Api) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(api)
}

async fn scrape(State(api): State<Api>, headers: HeaderMap) -> Response {
    answer(Box::new(Everything(api)), &headers)
}

/// Everything that is collected, in the form that is asked for.
pub(super) fn answer(collector: Box<dyn Collector>, headers: &HeaderMap) -> Response {
    let mut registry = Registry::default();
    registry.register_collector(collector);
    let mut text = String::with_capacity(16 << 10);
    if let Err(error) = encode(&mut text, &registry) {
        tracing::error!(%error, "the metrics cannot be written");
    }
    let wants_openmetrics = headers.get_all(ACCEPT).iter().any(|accept| {
        accept
            .to_str()
            .is_ok_and(|kinds| kinds.contains("application/openmetrics-text"))
    });
    let (kind, text) = if wants_openmetrics {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        (kind, text)
    } else {
        ("text/plain; version=0.0.4; charset=utf-8", plain(&text))
    };
    ([(CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
}

/// OpenMetrics as Prometheus's older text: what is said of a counter names it with its `_total`, and nothing marks the end.
fn plain(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len() + 1024);
    let mut lines = openmetrics
        .lines()
        .filter(|line| *line != "# EOF")
        .peekable();
    while let Some(line) = lines.next() {
        // The help of a metric stands right above its type.
        let kind = if line.starts_with("# HELP ") {
            lines.peek().copied()
        } else {
            Some(line)
        };
        let is_counter =
            kind.is_some_and(|kind| kind.starts_with("# TYPE ") && kind.ends_with(" counter"));
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if is_counter => {
                text.push_str(&format!("# {what} {name}_total {rest}\n"));
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

struct Everything(Api);

impl fmt::Debug for Everything {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("every metric")
    }
}

impl Collector for Everything {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut page = Page(encoder);
        self.stream(&mut page)?;
        self.systems(&mut page)?;
        self.encoder(&mut page)?;
        metrics_streams::write(&self.0, &mut page)?;
        metrics_inputs::write(&self.0, &mut page)?;
        metrics_audio::write(&self.0, &mut page)?;
        metrics_store::write(&self.0, &mut page)?;
        metrics_assets::write(&self.0, &mut page)?;
        self.control(&mut page)?;
        rtmp(&self.0, &mut page)
    }
}

/// Writes one metric after the other.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

impl<'a> Page<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        encoder.encode_gauge(&value)
    }

    /// `_total` is put behind the name.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        encoder.encode_counter::<[(&str, &str); 0], u64, f64>(&value, None)
    }

    /// One value each of several things.
    pub(super) fn family<'l>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        values: impl IntoIterator<Item = (Vec<(&'l str, String)>, f64)>,
    ) -> fmt::Result {
        let mut encoder: MetricEncoder<'_> = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            let mut one = encoder.encode_family(&labels)?;
            match kind {
                MetricType::Counter => {
                    one.encode_counter::<[(&str, &str); 0], f64, f64>(&value, None)?
                }
                _ => one.encode_gauge(&value)?,
            }
        }
        Ok(())
    }
}

pub(super) fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

impl Everything {
    fn stream(&self, page: &mut Page<'_>) -> fmt::Result {
        let station = self.0.station();
        let status = station.status();
        let counters = status.counters;
        let figures = station.figures();
        let snapshot = self.0.director().snapshot();
        let show = &snapshot.show;
        let usage = own_usage();
        page.gauge(
            "stream_live",
            "Whether the stream is on air.",
            flag(show.live_since_ms.is_some()),
        )?;
        page.gauge(
            "stream_paused",
            "Whether the scene is held behind a slate.",
            flag(show.pause.is_some()),
        )?;
        page.gauge(
            "stream_fps",
            "Frames made a second, over the last five seconds.",
            figures.fps,
        )?;
        page.gauge(
            "stream_target_fps",
            "Frames a second that are due.",
            snapshot.rate.as_f64(),
        )?;
        page.counter(
            "stream_frames",
            "Frames made, repeats included.",
            counters.frames,
        )?;
        page.counter(
            "stream_frames_repeated",
            "Frames that are the one before again.",
            counters.repeated,
        )?;
        page.counter(
            "stream_frames_dropped",
            "Frames that the encoder had no room for.",
            counters.encoder_full,
        )?;
        page.counter(
            "stream_ticks_late",
            "Ticks that ended after their time.",
            counters.late,
        )?;
        page.gauge(
            "stream_tick_lateness_seconds",
            "How late the latest late tick was.",
            status
                .blame
                .as_ref()
                .map_or(0.0, |blame| blame.late_ms / 1e3),
        )?;
        page.counter(
            "stream_frame_pool_exhausted",
            "Ticks on which no frame of the pool was free.",
            counters.pool_exhausted,
        )?;
        page.gauge(
            "stream_frame_pool_frames",
            "Frames of the pool.",
            station.settings().pool_size as f64,
        )?;
        page.counter(
            "stream_tiles_composed",
            "Tiles composed anew.",
            counters.tiles_composed,
        )?;
        page.counter(
            "stream_tiles",
            "Tiles of all frames together.",
            counters.tiles_total,
        )?;
        let damage =
            status.compose.tiles_composed as f64 / status.compose.tiles_total.max(1) as f64;
        page.gauge(
            "stream_damage_ratio",
            "Part of the last frame that was composed anew.",
            damage,
        )?;
        page.gauge(
            "stream_revision",
            "The world's revision.",
            show.revision as f64,
        )?;
        let layers = show.program.spec.count_layers();
        page.gauge(
            "stream_layers",
            "Layers on air, hidden ones included.",
            layers as f64,
        )?;
        page.gauge(
            "stream_viewers",
            "Clients that watch the program from this process.",
            figures.viewers.total() as f64,
        )?;
        page.family(
            "stream_viewers_by_protocol",
            "Clients that watch the program, by how.",
            MetricType::Gauge,
            [
                ("rtmp", figures.viewers.rtmp),
                ("hls", figures.viewers.hls),
                ("preview", figures.viewers.preview),
            ]
            .map(|(protocol, count)| (vec![("protocol", protocol.to_owned())], count as f64)),
        )?;
        page.gauge(
            "stream_start_time_seconds",
            "When the stream went on air, since 1970; 0 while stopped.",
            show.live_since_ms.map_or(0.0, |ms| ms as f64 / 1e3),
        )?;
        page.gauge(
            "stream_memory_bytes",
            "Resident memory.",
            usage.memory_bytes as f64,
        )?;
        page.gauge(
            "stream_open_descriptors",
            "Open files and sockets.",
            usage.descriptors as f64,
        )?;
        page.family(
            "stream_cpu_seconds",
            "Processor time of all threads.",
            MetricType::Counter,
            [(Vec::new(), usage.cpu.as_secs_f64())],
        )
    }

    fn systems(&self, page: &mut Page<'_>) -> fmt::Result {
        let systems = self.0.station().profile().summaries();
        let label = |name: &str| vec![("system", name.to_owned())];
        page.family(
            "stream_system_duration_seconds",
            "Time of a system: median (p50) and 99th percentile (p99) of its last 512 runs, and its longest run (max).",
            MetricType::Gauge,
            systems.iter().flat_map(|system| {
                [
                    ("p50", system.p50_ms),
                    ("p99", system.p99_ms),
                    ("max", system.max_ms),
                ]
                .map(|(stat, ms)| {
                    let mut labels = label(system.name);
                    labels.push(("stat", stat.to_owned()));
                    (labels, ms / 1e3)
                })
            }),
        )?;
        page.family(
            "stream_system_seconds",
            "Time of all runs of a system.",
            MetricType::Counter,
            systems.iter().map(|system| {
                (
                    label(system.name),
                    system.mean_ms * system.runs as f64 / 1e3,
                )
            }),
        )?;
        page.family(
            "stream_system_panics",
            "Runs of a system that panicked; the tick went on.",
            MetricType::Counter,
            systems
                .iter()
                .map(|system| (label(system.name), system.panics as f64)),
        )
    }

    fn encoder(&self, page: &mut Page<'_>) -> fmt::Result {
        let station = self.0.station();
        let past = station.past();
        let stats = station.streaming_stats().map(|stats| stats.encoder());
        let now = |of: fn(&crate::streaming::EncoderStats) -> f64| stats.as_ref().map_or(0.0, of);
        page.gauge(
            "encoder_fps",
            "Frames encoded a second.",
            now(|stats| stats.fps),
        )?;
        page.gauge(
            "encoder_bitrate",
            "Kbit/s of picture and sound, over the last second.",
            now(|stats| stats.bitrate_kbps),
        )?;
        page.gauge(
            "encoder_queue_size",
            "Frames that wait for the encoder.",
            now(|stats| stats.queue_len as f64),
        )?;
        page.gauge(
            "encoder_dropped_frames",
            "Frames that found no room on the way to the encoder.",
            past.dropped as f64 + now(|stats| stats.frames_dropped as f64),
        )?;
        page.gauge(
            "stream_bitrate_bytes_per_second",
            "Bytes a second of picture and sound, over the last second.",
            now(|stats| stats.bitrate_kbps * 1e3 / 8.0),
        )?;
        page.gauge(
            "stream_bitrate_target_bytes_per_second",
            "Bytes a second of the picture as set.",
            now(|stats| f64::from(stats.bitrate_kbps_set) * 1e3 / 8.0),
        )?;
        page.counter(
            "stream_encoded_frames",
            "Frames encoded.",
            past.frames + stats.map_or(0, |stats| stats.frames),
        )?;
        page.counter(
            "stream_encoded_bytes",
            "Bytes of picture and sound.",
            past.bytes + stats.map_or(0, |stats| stats.bytes),
        )?;
        page.counter(
            "stream_encoder_restarts",
            "Encoders that failed and were replaced.",
            past.restarts + stats.map_or(0, |stats| stats.restarts),
        )?;
        page.gauge(
            "stream_encode_seconds",
            "Mean time that a frame takes to encode.",
            now(|stats| stats.encode_ms_mean / 1e3),
        )
    }

    fn control(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "stream_websocket_clients",
            "Clients of WebSocket.",
            self.0.connections().count() as f64,
        )?;
        page.counter(
            "stream_websocket_resyncs",
            "Times that a slow client was brought to the newest state.",
            self.0.connections().resyncs(),
        )?;
        page.gauge(
            "stream_scheduled_batches",
            "Batches that wait for their tick.",
            self.0.director().scheduled().len() as f64,
        )?;
        page.gauge(
            "stream_scheduled_batches_max",
            "The most batches that may wait.",
            SCHEDULED_MAX as f64,
        )
    }
}

/// The RTMP server; the first four by the names of earlier versions.
fn rtmp(api: &Api, page: &mut Page<'_>) -> fmt::Result {
    let counts = api.rtmp().counts();
    let (connections, publishers, players) = api.rtmp().numbers();
    let now = |count: &AtomicU64| count.load(Relaxed);
    page.counter(
        "rtmp_connections",
        "RTMP connections that were taken.",
        now(&counts.connections),
    )?;
    page.gauge(
        "rtmp_active_streams",
        "RTMP streams that are published or played.",
        (publishers + players) as f64,
    )?;
    page.gauge(
        "rtmp_bandwidth_bytes",
        "Bytes over RTMP in the last second, both ways.",
        now(&counts.bytes_per_second) as f64,
    )?;
    page.counter(
        "rtmp_errors",
        "RTMP connections that failed.",
        now(&counts.errors),
    )?;
    page.gauge(
        "stream_rtmp_connections",
        "RTMP connections now.",
        connections as f64,
    )?;
    page.gauge(
        "stream_rtmp_publishers",
        "RTMP publishers now.",
        publishers as f64,
    )?;
    page.gauge("stream_rtmp_players", "RTMP players now.", players as f64)?;
    page.counter(
        "stream_rtmp_received_bytes",
        "Bytes that came over RTMP.",
        now(&counts.received),
    )?;
    page.counter(
        "stream_rtmp_sent_bytes",
        "Bytes that went over RTMP.",
        now(&counts.sent),
    )?;
    page.counter(
        "stream_rtmp_refused",
        "RTMP connections, publishers and players that were refused.",
        now(&counts.refused),
    )?;
    page.counter(
        "stream_rtmp_player_skips",
        "Times that a player was behind and brought to a keyframe.",
        now(&counts.skips),
    )?;
    page.counter(
        "stream_rtmp_resumes",
        "Publishers that came back with their key in time.",
        now(&counts.resumed),
    )
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn counters_are_described_under_their_whole_name_in_plain_text() {
        let openmetrics = "# HELP a A counter.\n# TYPE a counter\na_total 1\n\
            # HELP b Not a counter\n# TYPE b gauge\nb{c=\"d\"} 2.0\n# EOF\n";
        let expected = "# HELP a_total A counter.\n# TYPE a_total counter\na_total 1\n\
            # HELP b Not a counter\n# TYPE b gauge\nb{c=\"d\"} 2.0\n";
        assert_eq!(plain(openmetrics), expected);
    }
}
