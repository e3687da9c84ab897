//! Metrics of renditions, outputs, recordings and the replay.

use std::fmt;

use prometheus_client::metrics::MetricType;

use super::Api;
use super::metrics::{Page, flag};
use crate::control::recordings::OUTPUT;
use crate::streaming::{OutputState, OutputStats, RenditionStats, StreamingStats};

/// Writes them.
pub(super) fn write(api: &Api, page: &mut Page<'_>) -> fmt::Result {
    let stats = api.station().streaming_stats().unwrap_or(StreamingStats {
        renditions: Vec::new(),
        outputs: Vec::new(),
    });
    muxer(&stats.outputs, page)?;
    outputs(&stats.outputs, page)?;
    renditions(&stats.renditions, page)?;
    let recorded = api.station().recordings().of_output(OUTPUT);
    page.gauge(
        "stream_recording",
        "Whether the program is recorded.",
        flag(recorded.is_some()),
    )?;
    let replay = api.station().replay().stats();
    page.gauge(
        "stream_replay_seconds",
        "Seconds that are kept to be replayed.",
        replay.kept.as_secs_f64(),
    )?;
    page.gauge(
        "stream_replay_bytes",
        "Memory that they take.",
        replay.bytes as f64,
    )?;
    page.counter(
        "stream_events_lost",
        "Events of encoders and outputs that found no room on their way to listeners.",
        api.station().events_lost(),
    )
}

/// By the names of earlier versions.
fn muxer(outputs: &[OutputStats], page: &mut Page<'_>) -> fmt::Result {
    let is_live = |output: &&OutputStats| output.state == OutputState::Live;
    page.gauge(
        "muxer_active_outputs",
        "Outputs that are live.",
        outputs.iter().filter(is_live).count() as f64,
    )?;
    page.gauge(
        "muxer_queue_size",
        "Packets that wait for outputs.",
        outputs.iter().map(|output| output.queue_len).sum::<usize>() as f64,
    )?;
    page.gauge(
        "muxer_errors",
        "Connections of outputs that failed or broke.",
        outputs.iter().map(|output| output.failures).sum::<u64>() as f64,
    )
}

fn outputs(outputs: &[OutputStats], page: &mut Page<'_>) -> fmt::Result {
    let label = |output: &OutputStats| vec![("output", output.id.clone())];
    let states = outputs.iter().flat_map(|output| {
        OutputState::ALL.map(|state| {
            let mut labels = label(output);
            labels.push(("state", state.as_str().to_owned()));
            (labels, flag(output.state == state))
        })
    });
    page.family(
        "stream_output_state",
        "Whether an output is in a state.",
        MetricType::Gauge,
        states,
    )?;
    let mut each = |name: &str, help: &str, kind: MetricType, of: fn(&OutputStats) -> f64| {
        let values = outputs.iter().map(|output| (label(output), of(output)));
        page.family(name, help, kind, values)
    };
    each(
        "stream_output_up",
        "Whether an output is live.",
        MetricType::Gauge,
        |output| flag(output.state == OutputState::Live),
    )?;
    each(
        "stream_output_bytes",
        "Bytes written to an output.",
        MetricType::Counter,
        |output| output.bytes as f64,
    )?;
    each(
        "stream_output_packets_dropped",
        "Packets dropped because an output was behind.",
        MetricType::Counter,
        |output| output.packets_dropped as f64,
    )?;
    each(
        "stream_output_reconnects",
        "Connections of an output that were made anew after a failure.",
        MetricType::Counter,
        |output| output.reconnects as f64,
    )?;
    each(
        "stream_output_lag_seconds",
        "How far an output is behind the encoder.",
        MetricType::Gauge,
        |output| output.lag.as_secs_f64(),
    )?;
    each(
        "stream_output_queue_packets",
        "Packets that wait for an output.",
        MetricType::Gauge,
        |output| output.queue_len as f64,
    )?;
    let acknowledged = outputs.iter().filter_map(|output| {
        Some((
            label(output),
            output.acknowledged?.bytes_acknowledged as f64,
        ))
    });
    page.family(
        "stream_output_acknowledged_bytes",
        "Bytes that the peer of an output has acknowledged, where it is known.",
        MetricType::Gauge,
        acknowledged,
    )
}

fn renditions(renditions: &[RenditionStats], page: &mut Page<'_>) -> fmt::Result {
    let label = |rendition: &RenditionStats| vec![("rendition", rendition.id.clone())];
    let mut each = |name: &str, help: &str, kind: MetricType, of: fn(&RenditionStats) -> f64| {
        let values = renditions.iter().map(|one| (label(one), of(one)));
        page.family(name, help, kind, values)
    };
    each(
        "stream_rendition_fps",
        "Frames of a rendition encoded a second.",
        MetricType::Gauge,
        |one| one.encoder.fps,
    )?;
    each(
        "stream_rendition_bytes_per_second",
        "Bytes a second of a rendition's picture and sound, over the last second.",
        MetricType::Gauge,
        |one| one.encoder.bitrate_kbps * 1e3 / 8.0,
    )?;
    each(
        "stream_rendition_target_bytes_per_second",
        "Bytes a second that a rendition's picture is set to now.",
        MetricType::Gauge,
        |one| f64::from(one.encoder.bitrate_kbps_set) * 1e3 / 8.0,
    )?;
    each(
        "stream_rendition_frames",
        "Frames of a rendition encoded.",
        MetricType::Counter,
        |one| one.encoder.frames as f64,
    )?;
    each(
        "stream_rendition_frames_dropped",
        "Frames that found no room on the way to a rendition's encoder.",
        MetricType::Counter,
        |one| one.encoder.frames_dropped as f64,
    )?;
    each(
        "stream_rendition_queue_frames",
        "Frames that wait for a rendition's encoder.",
        MetricType::Gauge,
        |one| one.encoder.queue_len as f64,
    )?;
    each(
        "stream_rendition_encode_seconds",
        "Mean time that a frame of a rendition takes to encode.",
        MetricType::Gauge,
        |one| one.encoder.encode_ms_mean / 1e3,
    )?;
    each(
        "stream_rendition_encoder_restarts",
        "Encoders of a rendition that failed and were replaced.",
        MetricType::Counter,
        |one| one.encoder.restarts as f64,
    )?;
    let offsets = renditions
        .iter()
        .filter_map(|one| Some((label(one), one.sound_ahead_s?)));
    page.family(
        "stream_rendition_av_offset_seconds",
        "By how much the newest sound of a rendition is ahead of its newest picture; below 0 it is behind.",
        MetricType::Gauge,
        offsets,
    )
}
