//! Metrics of inputs, by the layers that show them.

use std::fmt;

use prometheus_client::metrics::MetricType;

use super::Api;
use super::metrics::{Page, flag};
use crate::inputs::{InputView, StageName};

/// Writes them.
pub(super) fn write(api: &Api, page: &mut Page<'_>) -> fmt::Result {
    let mut inputs = api.station().inputs().list();
    // While one scene gives way to another both may have a layer of a name; the newer one counts.
    let mut seen = std::collections::BTreeSet::new();
    inputs.reverse();
    inputs.retain(|input| seen.insert(input.layer.clone()));
    inputs.reverse();
    let label = |input: &InputView| vec![("layer", input.layer.clone())];
    let states = inputs.iter().flat_map(|input| {
        StageName::ALL.map(|stage| {
            let mut labels = label(input);
            labels.push(("state", stage.as_str().to_owned()));
            (labels, flag(input.stage == stage))
        })
    });
    page.family(
        "stream_input_state",
        "Whether an input is in a state.",
        MetricType::Gauge,
        states,
    )?;
    let mut each = |name: &str, help: &str, kind: MetricType, of: fn(&InputView) -> f64| {
        let values = inputs.iter().map(|input| (label(input), of(input)));
        page.family(name, help, kind, values)
    };
    let (gauge, counter) = (MetricType::Gauge, MetricType::Counter);
    each(
        "stream_input_up",
        "Whether an input gives pictures or sound.",
        gauge,
        |input| flag(input.stage == StageName::Live),
    )?;
    each(
        "stream_input_bytes",
        "Bytes of coded pictures and sound that came in.",
        counter,
        |input| input.bytes as f64,
    )?;
    each(
        "stream_input_reconnects",
        "Times that an input came back after it was lost, or was asked to connect anew.",
        counter,
        |input| input.reconnects as f64,
    )?;
    each(
        "stream_input_pictures_dropped",
        "Pictures that came too late, or found no room.",
        counter,
        |input| input.dropped_pictures as f64,
    )?;
    each(
        "stream_input_pictures_shown",
        "Pictures that were shown.",
        counter,
        |input| input.shown_pictures as f64,
    )?;
    each(
        "stream_input_sound_gaps",
        "Ticks that lacked an input's sound.",
        counter,
        |input| input.sound_gaps as f64,
    )?;
    each(
        "stream_input_broken_packets",
        "Packets and pictures that could not be decoded.",
        counter,
        |input| input.broken_packets as f64,
    )?;
    each(
        "stream_input_decoder_restarts",
        "Decoders that broke down and were started again.",
        counter,
        |input| input.decoder_restarts as f64,
    )?;
    each(
        "stream_input_held_seconds",
        "Pictures and sound that are held, so that they are shown evenly.",
        gauge,
        |input| input.held_ms / 1000.0,
    )?;
    each(
        "stream_input_clock_drift_ratio",
        "How far an input's clock is ahead of the stream's.",
        gauge,
        |input| input.drift_ppm as f64 / 1e6,
    )?;
    each(
        "stream_input_av_offset_seconds",
        "How much later an input's sound is heard than its picture is seen, apart from what was asked for.",
        gauge,
        |input| input.av_offset_ms / 1000.0,
    )
}
