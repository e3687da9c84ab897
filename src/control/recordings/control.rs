//! Recordings begin, are marked and end: on the running stream, in the index, and as events.

use std::sync::Arc;
use std::time::Duration;

use components::output::{ContainerName, RenditionSpec, SplitSpec};
use components::{Problems, Validate as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::stamp_now;
use super::wishes::{RecordingWish, ReplayWish};
use super::{Begun, Marker, NAME_PATTERN, OUTPUT, Recording, RecordingState, Wishes};
use crate::control::authored;
use crate::control::error::{ApiError, ErrorCode};
use crate::control::events::Event;
use crate::control::outputs::{
    OutputList, begin, container_for, end, layout, recorder, rendition_settings,
};
use crate::control::schema::optional_text;
use crate::control::show::Show;
use crate::control::station::Station;
use crate::streaming::{OutputSettings, ReplayStats, Streaming, StreamingStats};

/// A recording that was stopped has so long to write what waits.
const END_MAX: Duration = Duration::from_secs(8);
/// The most letters of a marker's label.
const LABEL_MAX: usize = 200;

/// What is asked of a new recording; what is left out is as the settings say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRecording {
    /// Its name, of letters, digits, `-` and `_`; it gets a number where it is taken. The time of its beginning (UTC) when absent.
    #[schemars(schema_with = "recording_name")]
    pub name: Option<String>,
    /// The layout of its files. Default the setting RECORDING_CONTAINER.
    pub container: Option<ContainerName>,
    /// The rendition that is recorded. Default `main`.
    #[schemars(schema_with = "optional_text")]
    pub rendition: Option<String>,
    /// When one file ends and the next begins. Default the setting RECORDING_SPLIT.
    pub split: Option<SplitSpec>,
}

/// What a name may be.
pub fn recording_name(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": ["string", "null"], "pattern": NAME_PATTERN})
}

/// A moment to be marked: now.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewMarker {
    /// What it says, 1 to 200 letters.
    #[schemars(length(min = 1, max = 200))]
    pub label: String,
}

/// A marker that was set.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Marked {
    /// The recording's name.
    pub recording: String,
    /// The marker.
    pub marker: Marker,
}

impl NewRecording {
    /// # Errors
    /// A value that cannot be used, with its path.
    fn check(&self, list: &OutputList) -> Result<(), ApiError> {
        if let Some(name) = &self.name {
            check_name(name)?;
        }
        if let Some(split) = &self.split {
            let mut problems = Problems::below("split");
            split.validate(&mut problems);
            if !problems.is_empty() {
                return Err(authored::refused(&problems.into_vec()));
            }
        }
        if let Some(id) = &self.rendition {
            list.rendition(id).map_err(|error| ApiError {
                code: ErrorCode::Invalid,
                ..error
            })?;
        }
        Ok(())
    }
}

/// # Errors
/// It is no name for a recording.
pub fn check_name(name: &str) -> Result<(), ApiError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_good = (1..=100).contains(&name.len())
        && name.bytes().all(is_plain)
        && !name.starts_with(['-', '_'])
        // They are routes.
        && !["start", "stop", "markers"].contains(&name);
    if is_good {
        return Ok(());
    }
    let message = "name: a recording's name is a letter or a digit, then up to 99 of letters, digits, - and _";
    Err(ApiError::invalid(message))
}

impl Station {
    /// What the engine is to record when the stream goes on air, and what is known of it.
    ///
    /// # Errors
    /// A value that cannot be used.
    pub(in crate::control) fn recorder(
        &self,
        asked: &NewRecording,
        list: &OutputList,
    ) -> Result<(OutputSettings, Begun), ApiError> {
        let settings = self.settings();
        let rendition = asked.rendition.as_deref().unwrap_or(RenditionSpec::MAIN);
        let container = match asked.container {
            Some(container) => container,
            None => self.container(settings.recording_container, list, rendition),
        };
        let split = asked.split.or(settings.recording_split);
        let stem = asked.name.clone().unwrap_or_else(stamp_now);
        let folder = settings.recordings_dir();
        std::fs::create_dir_all(&folder).map_err(|error| {
            tracing::warn!(%error, "the folder of recordings cannot be made");
            ApiError::new(
                ErrorCode::Unavailable,
                "the folder of recordings cannot be made",
            )
        })?;
        let path = self.recordings().free_path(&stem, container.extension());
        let codecs = self.codecs(list, rendition);
        let show = self.director().snapshot();
        let output = recorder(
            &path,
            container,
            split,
            rendition,
            settings,
            show.show.config.fps,
        )?;
        let begun = Begun {
            output: OUTPUT.to_owned(),
            path,
            container,
            rendition: rendition.to_owned(),
            codecs,
            asked_s: -1.0,
        };
        Ok((output, begun))
    }

    /// The names of the codecs of a rendition.
    pub(in crate::control) fn codecs(&self, list: &OutputList, rendition: &str) -> Vec<String> {
        let config = self.director().snapshot().show.config.clone();
        let Ok(spec) = list.rendition(rendition) else {
            return Vec::new();
        };
        let encoder = rendition_settings(spec, list, self.settings(), &config).encoder;
        let audio = encoder.audio.map(|audio| audio.codec.as_str());
        let codecs = std::iter::once(encoder.video.codec.as_str()).chain(audio);
        codecs.map(str::to_owned).collect()
    }

    /// `wanted`, or what holds the codecs of a rendition where that does not.
    fn container(
        &self,
        wanted: ContainerName,
        list: &OutputList,
        rendition: &str,
    ) -> ContainerName {
        let config = self.director().snapshot().show.config.clone();
        let Ok(spec) = list.rendition(rendition) else {
            return wanted;
        };
        let encoder = rendition_settings(spec, list, self.settings(), &config).encoder;
        container_for(wanted, &encoder)
    }

    /// Begins a recording.
    ///
    /// # Errors
    /// The stream is stopped, a recording is being written, or a value cannot be used.
    pub async fn record(&self, asked: NewRecording) -> Result<Recording, ApiError> {
        let _changing = self.changing().await;
        let streaming = self
            .streaming()
            .ok_or_else(|| ApiError::conflict("the stream is stopped; nothing can be recorded"))?;
        if let Some(running) = self.recordings().of_output(OUTPUT) {
            let message = format!("`{}` is being recorded; stop it first", running.id);
            return Err(ApiError::conflict(message));
        }
        let show = Arc::clone(&self.director().snapshot().show);
        asked.check(&show.outputs)?;
        let station = self.clone();
        let recording = blocking(move || {
            let (output, mut begun) = station.recorder(&asked, &show.outputs)?;
            let clock = streaming.clock(Some(&begun.rendition)).unwrap_or_default();
            begun.asked_s = clock.newest_s;
            let recording = station.recordings().begin(&begun);
            begin(&streaming, output).inspect_err(|error| {
                let failed = RecordingState::Failed;
                station
                    .recordings()
                    .end(OUTPUT, failed, Some(&error.message));
            })?;
            station.wish_recording(&show, Some(asked));
            Ok(recording)
        })
        .await?;
        self.tell_recording(&recording);
        Ok(recording)
    }

    /// Ends the recording, and answers once its file is whole.
    ///
    /// # Errors
    /// Nothing is recorded.
    pub async fn stop_recording(&self) -> Result<Recording, ApiError> {
        let _changing = self.changing().await;
        let store = self.recordings().clone();
        let running = store.of_output(OUTPUT);
        let running = running.ok_or_else(|| ApiError::conflict("nothing is recorded now"))?;
        self.wish_recording(&self.director().snapshot().show, None);
        if let Some(streaming) = self.streaming() {
            self.measure_recordings(&streaming, &streaming.stats());
            end(&streaming, OUTPUT);
        }
        if tokio::time::timeout(END_MAX, store.until_ended(OUTPUT))
            .await
            .is_err()
        {
            let message = "it did not end in time; its file may lack its end";
            let ended = blocking({
                let store = store.clone();
                move || Ok(store.end(OUTPUT, RecordingState::Failed, Some(message)))
            });
            if let Some(recording) = ended.await? {
                self.tell_recording(&recording);
            }
        }
        blocking(move || store.get(&running.id)).await
    }

    /// Marks this moment of the recording.
    ///
    /// # Errors
    /// Nothing is recorded, or it has too many markers.
    pub async fn mark_recording(&self, asked: NewMarker) -> Result<Marked, ApiError> {
        let letters = asked.label.chars().count();
        if !(1..=LABEL_MAX).contains(&letters) || asked.label.trim().is_empty() {
            let message = format!("label: it has 1 to {LABEL_MAX} letters");
            return Err(ApiError::invalid(message));
        }
        let tick = self.status().tick;
        let now_s = tick as f64 / self.director().snapshot().rate.as_f64();
        if let Some(streaming) = self.streaming() {
            self.measure_recordings(&streaming, &streaming.stats());
        }
        let store = self.recordings().clone();
        let (recording, marker) =
            blocking(move || store.mark(OUTPUT, tick, now_s, &asked.label)).await?;
        self.tell_recording(&recording);
        Ok(Marked {
            recording: recording.id,
            marker,
        })
    }

    /// Writes the last seconds to a file, which is listed among the recordings.
    ///
    /// # Errors
    /// Nothing is kept, or the disk's.
    pub async fn save_replay(
        &self,
        seconds: Option<f64>,
        name: Option<String>,
    ) -> Result<Recording, ApiError> {
        if let Some(name) = &name {
            check_name(name)?;
        }
        let clip = self.replay().clip(seconds).ok_or_else(|| {
            ApiError::conflict(
                "nothing is kept to replay: the stream is stopped, or `seconds` is 0",
            )
        })?;
        let show = Arc::clone(&self.director().snapshot().show);
        let station = self.clone();
        let recording = blocking(move || {
            let container =
                station.container(ContainerName::Mp4, &show.outputs, RenditionSpec::MAIN);
            let stem = name.unwrap_or_else(|| format!("replay-{}", stamp_now()));
            let path = station.recordings().free_path(&stem, container.extension());
            clip.write(&path, layout(container)).map_err(|error| {
                tracing::warn!(error = error.chain(), "a replay cannot be written");
                ApiError::new(ErrorCode::Unavailable, "the replay cannot be written")
            })?;
            // A name that no output has, and no other replay.
            let file = path.file_name().unwrap_or_default().display();
            let output = format!("replay {file}");
            let begun = Begun {
                output: output.clone(),
                path: path.clone(),
                container,
                rendition: RenditionSpec::MAIN.to_owned(),
                codecs: station.codecs(&show.outputs, RenditionSpec::MAIN),
                asked_s: 0.0,
            };
            let store = station.recordings();
            store.begin(&begun);
            store.file_ended(&output, &path, clip.length.as_secs_f64());
            let ended = store.end(&output, RecordingState::Finished, None);
            ended.ok_or_else(|| ApiError::internal("the replay is not in the index"))
        })
        .await?;
        self.tell_recording(&recording);
        Ok(recording)
    }

    /// Notes how far all recordings have come.
    pub(in crate::control) fn measure_recordings(
        &self,
        streaming: &Streaming,
        stats: &StreamingStats,
    ) {
        for output in &stats.outputs {
            let rendition = output.rendition.split(',').next();
            if let Ok(clock) = streaming.clock(rendition) {
                let lag_s = output.lag.as_secs_f64();
                self.recordings().measured(&output.id, &clock, lag_s);
            }
        }
    }

    /// Tells how a recording stands.
    pub(in crate::control) fn tell_recording(&self, recording: &Recording) {
        let data = json!({"id": recording.id, "recording": recording});
        self.tell(Event::about("recording:update", &recording.id, data));
    }

    /// What is recorded from the beginning of a stream on that is live since then: one that was interrupted goes on as it was asked for.
    pub(in crate::control) fn records_at_start(
        &self,
        show: &Show,
        live_since_ms: u64,
    ) -> Option<(OutputSettings, Begun)> {
        let wishes = self.recordings().wishes();
        let asked = wishes.recording(self.settings().recording, live_since_ms)?;
        let checked = asked.check(&show.outputs);
        let recorder = checked.and_then(|()| self.recorder(&asked, &show.outputs));
        recorder
            .inspect_err(|error| tracing::error!(%error, "nothing is recorded"))
            .ok()
    }

    /// Notes what is to be recorded of the stream that is live, `None` where nothing is.
    fn wish_recording(&self, show: &Show, asked: Option<NewRecording>) {
        let setting = self.settings().recording;
        let wish = show.live_since_ms.map(|live_since_ms| RecordingWish {
            setting,
            live_since_ms,
            asked,
        });
        let noted = self
            .recordings()
            .wish(|wishes| wishes.recording = wish, |_| ());
        if let Err(error) = noted {
            tracing::warn!(%error, "what is to be recorded is not saved");
        }
    }

    /// Changes how many of the last seconds are kept; what is `None` stays.
    ///
    /// # Errors
    /// There is no room to save it.
    pub fn change_replay(
        &self,
        seconds: Option<u32>,
        enabled: Option<bool>,
    ) -> Result<ReplayStats, ApiError> {
        let setting = self.settings().replay_seconds;
        let change = |wishes: &mut Wishes| {
            let before = wishes.replay(setting);
            wishes.replay = Some(ReplayWish {
                setting,
                seconds: seconds.unwrap_or(before.0),
                enabled: enabled.unwrap_or(before.1),
            });
        };
        self.recordings().wish(change, |wishes| {
            let (seconds, is_on) = wishes.replay(setting);
            self.replay().set(seconds, is_on);
            self.replay().stats()
        })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(ApiError::internal("the work failed")))
}
