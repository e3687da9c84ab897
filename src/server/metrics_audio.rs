//! Metrics of sound: what the meters show.

use std::fmt;

use prometheus_client::metrics::MetricType;
use systems::audio::Levels;

use super::Api;
use super::metrics::Page;

type Row<'a> = (Vec<(&'a str, String)>, f64);

/// Writes them.
pub(super) fn write(api: &Api, page: &mut Page<'_>) -> fmt::Result {
    let shown = api.station().sound_levels();
    page.gauge(
        "stream_audio_peak_dbfs",
        "Largest sample of the program, falling slowly, in dB below full scale; -100 is silence.",
        f64::from(shown.master.peak_dbfs),
    )?;
    page.gauge(
        "stream_audio_rms_dbfs",
        "Root of the mean square of the program over about 100 ms, in dB below full scale.",
        f64::from(shown.master.rms_dbfs),
    )?;
    page.family(
        "stream_audio_loudness_lufs",
        "Loudness of the program over 400 ms (momentary), 3 s (short_term) and since it went on air (integrated), in LUFS.",
        MetricType::Gauge,
        loudness(&shown.master, &[]),
    )?;
    page.gauge(
        "stream_audio_true_peak_max_dbtp",
        "Largest true peak of the program since it went on air, in dB below full scale.",
        f64::from(shown.true_peak_max_dbtp),
    )?;
    page.gauge(
        "stream_audio_gain_reduction_db",
        "By how much the limiter turns the program down, in decibels.",
        f64::from(shown.reduction_db),
    )?;
    let label = |layer: &str| vec![("layer", layer.to_owned())];
    let channels = &shown.channels;
    let mut each = |name: &str, help: &str, of: fn(&systems::audio::ChannelLevels) -> f32| {
        let values = channels
            .iter()
            .map(|channel| (label(channel.layer.as_str()), f64::from(of(channel))));
        page.family(name, help, MetricType::Gauge, values)
    };
    each(
        "stream_audio_channel_peak_dbfs",
        "Largest sample of a layer in the program, falling slowly, in dB below full scale; -100 is silence.",
        |channel| channel.levels.peak_dbfs,
    )?;
    each(
        "stream_audio_channel_rms_dbfs",
        "Root of the mean square of a layer in the program over about 100 ms, in dB below full scale.",
        |channel| channel.levels.rms_dbfs,
    )?;
    each(
        "stream_audio_channel_ducking_db",
        "By how much a layer steps back under others, in decibels.",
        |channel| channel.ducked_db,
    )?;
    page.family(
        "stream_audio_channel_loudness_lufs",
        "Loudness of a layer in the program over 400 ms, 3 s and since it went on air, in LUFS.",
        MetricType::Gauge,
        channels
            .iter()
            .flat_map(|channel| loudness(&channel.levels, &label(channel.layer.as_str()))),
    )?;
    speech(api, page)
}

/// What hosts say.
fn speech(api: &Api, page: &mut Page<'_>) -> fmt::Result {
    let desk = api.station().speech();
    let door = desk.door();
    let queues = door.board.all();
    page.family(
        "stream_speech_queue",
        "Utterances of an avatar that are said or wait.",
        MetricType::Gauge,
        queues.iter().map(|shown| {
            let label = vec![("layer", shown.layer.to_string())];
            (label, shown.utterances.len() as f64)
        }),
    )?;
    page.gauge(
        "stream_speech_held_seconds",
        "Seconds of speech that wait to be said.",
        desk.budget().used() as f64 / f64::from(systems::audio::SAMPLE_RATE),
    )?;
    page.gauge(
        "stream_speech_clients",
        "WebSocket clients that push speech.",
        desk.pushing() as f64,
    )?;
    page.counter(
        "stream_speech_utterances",
        "Utterances that have begun.",
        door.begun(),
    )?;
    page.counter(
        "stream_speech_underruns",
        "Times that an utterance ran dry and paused.",
        door.underruns(),
    )?;
    page.counter(
        "stream_speech_events_lost",
        "Events of speech that found no room.",
        door.lost(),
    )
}

fn loudness<'a>(levels: &Levels, labels: &[(&'a str, String)]) -> [Row<'a>; 3] {
    [
        ("momentary", levels.momentary_lufs),
        ("short_term", levels.short_term_lufs),
        ("integrated", levels.integrated_lufs),
    ]
    .map(|(window, lufs)| {
        let mut labels = labels.to_vec();
        labels.push(("window", window.to_owned()));
        (labels, f64::from(lufs))
    })
}
