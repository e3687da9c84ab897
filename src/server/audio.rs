//! The sound of the program: the sum and the layers that it is made of, how they are mixed, and how loud they are.

use axum::extract::State;
use components::layer::LayerSpec;
use components::sound::{Duck, Limiter, SoundRole};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use systems::audio::{ChannelLevels, Levels, SoundLevels};

use super::Api;
use super::answer::{Answered, Asking, Json, Name, Params, Reply, asked};
use super::routes::{Doc, Routes};
use crate::control::change::{ResetMeters, UpdateAudio, UpdateChannel};
use crate::control::schema::{MasterPatch, NAME_PATTERN, SoundPatch};
use crate::control::{Change, ErrorCode, Show};

const TAG: &str = "audio";
/// The query parameter that makes a fade of a change.
const ANIMATE: &str = "animate";

/// The sum and its channels.
#[derive(Debug, Serialize, JsonSchema)]
struct AudioView {
    /// The sum of all channels.
    master: MasterView,
    /// The layers of the scene on air that have sound, in the order of the scene.
    channels: Vec<ChannelView>,
    /// How many there are.
    count: usize,
}

/// The sum.
#[derive(Debug, Serialize, JsonSchema)]
struct MasterView {
    /// Gain before the limiter, in decibels; -60 is silence.
    gain: f32,
    /// Whether the program is silent.
    muted: bool,
    /// What keeps peaks from clipping.
    limiter: Limiter,
    /// How loud it is.
    meters: MasterMeters,
}

/// How loud the sum is, after its limiter.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MasterMeters {
    #[serde(flatten)]
    levels: Meters,
    /// The largest true peak since the stream went on air, or the meters were reset, in dBTP; -100 is silence.
    true_peak_max: f32,
    /// By how much the limiter turns it down, in decibels, 0 or more.
    gain_reduction: f32,
}

/// One layer with sound.
#[derive(Debug, Serialize, JsonSchema)]
struct ChannelView {
    /// The layer's name.
    layer: String,
    /// The kind of its source.
    source: &'static str,
    /// What it is, for ducking.
    role: SoundRole,
    /// Gain in decibels; -60 is silence. What is written: a track or a fade may be on its way.
    gain: f32,
    /// Where it is heard: -1 left, 0 in the middle, 1 right.
    pan: f32,
    /// Whether it is silent, whatever else is said.
    muted: bool,
    /// Whether only it, and others that are solo, are heard.
    solo: bool,
    /// Seconds by which it is heard later than its picture is seen.
    delay: f32,
    /// How it steps back while something else is heard, if it does.
    duck: Option<Duck>,
    /// Whether it is heard when it plays: visible, not muted, not left out by others that are solo.
    audible: bool,
    /// By how much it steps back now, in decibels, 0 or more.
    ducked: f32,
    /// How loud it is in the sum.
    meters: Meters,
}

/// What a meter shows; -100 stands for silence.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Meters {
    /// The largest sample, falling by 20 dB in 1.7 s, in dB below full scale.
    peak: f32,
    /// Root of the mean square over about 100 ms, in dB below full scale.
    rms: f32,
    /// Loudness of the last 400 ms, in LUFS.
    momentary: f32,
    /// Loudness of the last 3 s, in LUFS.
    short_term: f32,
    /// Loudness of all since the stream went on air, or the meters were reset, gated (EBU R 128), in LUFS.
    integrated: f32,
}

/// What `audio:levels` tells.
#[derive(Debug, Serialize)]
struct LevelsView {
    master: MasterMeters,
    channels: Vec<ChannelMeters>,
}

#[derive(Debug, Serialize)]
struct ChannelMeters {
    layer: String,
    audible: bool,
    ducked: f32,
    #[serde(flatten)]
    levels: Meters,
}

/// A reading as people read it.
fn tenth(decibels: f32) -> f32 {
    (decibels * 10.0).round() / 10.0
}

fn meters(levels: &Levels) -> Meters {
    Meters {
        peak: tenth(levels.peak_dbfs),
        rms: tenth(levels.rms_dbfs),
        momentary: tenth(levels.momentary_lufs),
        short_term: tenth(levels.short_term_lufs),
        integrated: tenth(levels.integrated_lufs),
    }
}

fn master_meters(levels: &SoundLevels) -> MasterMeters {
    MasterMeters {
        levels: meters(&levels.master),
        true_peak_max: tenth(levels.true_peak_max_dbtp),
        gain_reduction: tenth(levels.reduction_db),
    }
}

/// The data of `audio:levels`.
pub fn levels_json(levels: &SoundLevels) -> serde_json::Value {
    let channel = |channel: &ChannelLevels| ChannelMeters {
        layer: channel.layer.as_str().to_owned(),
        audible: channel.is_open,
        ducked: tenth(channel.ducked_db),
        levels: meters(&channel.levels),
    };
    crate::control::view::json_of(&LevelsView {
        master: master_meters(levels),
        channels: levels.channels.iter().map(channel).collect(),
    })
}

fn view(api: &Api, show: &Show) -> AudioView {
    let levels = api.station().sound_levels();
    let spec = &show.program.spec;
    let mut channels = Vec::new();
    spec.walk_layers(|layer| channels.extend(channel(layer, &levels)));
    let master = &spec.audio.master;
    AudioView {
        master: MasterView {
            gain: master.gain,
            muted: master.muted,
            limiter: master.limiter.clone(),
            meters: master_meters(&levels),
        },
        count: channels.len(),
        channels,
    }
}

/// A layer as a channel, when it has sound.
fn channel(layer: &LayerSpec, levels: &SoundLevels) -> Option<ChannelView> {
    let own_role = layer.source.sound_role()?;
    let shown = levels.channels.iter().find(|shown| shown.layer == layer.id);
    let sound = &layer.sound;
    Some(ChannelView {
        layer: layer.id.as_str().to_owned(),
        source: layer.source.kind(),
        role: sound.role.unwrap_or(own_role),
        gain: sound.gain,
        pan: sound.pan,
        muted: sound.muted,
        solo: sound.solo,
        delay: sound.delay,
        duck: sound.duck.clone(),
        audible: shown.is_some_and(|shown| shown.is_open),
        ducked: tenth(shown.map_or(0.0, |shown| shown.ducked_db)),
        meters: meters(&shown.map(|shown| shown.levels).unwrap_or_default()),
    })
}

/// The routes.
pub fn routes() -> Routes {
    Routes::new()
        .get(
            "/audio",
            Doc::new(TAG, "getAudio", "Gives the mixer: the sum, its channels, and how loud they are")
                .more("A channel is a layer of the scene on air that has sound. Meters follow over WebSocket as `audio:levels`, ten times a second, for who subscribes to it.")
                .answers::<AudioView>("The mixer."),
            get,
        )
        .patch(
            "/audio",
            Doc::new(TAG, "updateAudio", "Changes what is done to the sum of all sounds")
                .more("A JSON merge patch (RFC 7396): what is absent stays, null is the default. It is part of the scene and saved with it.")
                .body::<MasterPatch>()
                .example(json!({"gain": -3, "limiter": {"ceiling": -1.5}}))
                .glide(ANIMATE)
                .terms()
                .changes::<AudioView>("The mixer after it."),
            patch,
        )
        .patch(
            "/audio/channels/{id}",
            Doc::new(TAG, "updateChannel", "Changes how the sound of a layer is mixed")
                .path(
                    "id",
                    json!({"type": "string", "pattern": NAME_PATTERN}),
                    "The layer's id.",
                )
                .more("A JSON merge patch (RFC 7396) of the layer's `sound`: what is absent stays, null is the default. With `animate` gain and pan are faded.")
                .body::<SoundPatch>()
                .example(json!({"gain": -18, "duck": {"by": 12}}))
                .glide(ANIMATE)
                .terms()
                .changes::<ChannelView>("The channel after it.")
                .error(ErrorCode::NotFound)
                .error(ErrorCode::Conflict),
            patch_channel,
        )
        .post(
            "/audio/meters/reset",
            Doc::new(TAG, "resetMeters", "Has the meters begin anew what they show of the whole time")
                .more("That is integrated loudness, of the sum and of each layer, and the largest true peak. Going on air does the same. It makes no revision.")
                .terms()
                .changes::<AudioView>("The mixer.")
                .fleeting(),
            reset,
        )
}

async fn reset(State(api): State<Api>, Asking(terms): Asking) -> Answered {
    let change = Change::ResetMeters(ResetMeters {});
    let outcome = api.director().change(asked(change), terms).await?;
    Reply::changed(&outcome, view(&api, &outcome.show))
}

async fn get(State(api): State<Api>) -> Answered {
    Reply::of(view(&api, &api.director().snapshot().show))
}

async fn patch(
    State(api): State<Api>,
    query: Params,
    Asking(terms): Asking,
    Json(patch): Json,
) -> Answered {
    let animate = query.glide(ANIMATE)?;
    let change = Change::UpdateAudio(UpdateAudio { patch, animate });
    let outcome = api.director().change(asked(change), terms).await?;
    Reply::changed(&outcome, view(&api, &outcome.show))
}

async fn patch_channel(
    State(api): State<Api>,
    Name(layer): Name,
    query: Params,
    Asking(terms): Asking,
    Json(patch): Json,
) -> Answered {
    let animate = query.glide(ANIMATE)?;
    let change = Change::UpdateChannel(UpdateChannel {
        layer: layer.clone(),
        patch,
        animate,
    });
    let outcome = api.director().change(asked(change), terms).await?;
    let channel = view(&api, &outcome.show)
        .channels
        .into_iter()
        .find(|channel| channel.layer == layer);
    Reply::changed(&outcome, channel)
}
