//! Settings that were changed while the program ran, over those that it starts with the next time.
//!
//! Beside each value stands the one that the settings had then. Where they say something else by now, somebody has changed them since,
//! and they win; elsewhere what was changed over the API goes on.

use components::scene::FrameRate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::control::config::{Config, ConfigPatch, fps_value};
use crate::control::view::json_of;

/// The document.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ConfigDocument {
    /// What the settings said.
    base: Map<String, Value>,
    /// What was in force, or was to be from the next start of the stream on.
    now: Map<String, Value>,
}

impl ConfigDocument {
    pub(super) fn new(base: &Map<String, Value>, config: &Config) -> Self {
        Self {
            base: base.clone(),
            now: values(config),
        }
    }

    /// The config to start with. `base` is what the settings say by themselves, and `config` with the outputs' changes over it.
    pub(super) fn over(
        &self,
        base: &Map<String, Value>,
        config: Config,
        fps_of_scene: Option<FrameRate>,
    ) -> Config {
        let before = values(&config);
        let holds = |name: &str| self.base.get(name) == base.get(name);
        let mut patch: Map<String, Value> = self
            .now
            .iter()
            .filter(|(name, value)| holds(name) && before.get(*name) != Some(value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        // Another quality brings a preset of its own.
        if patch.contains_key("RENDER_QUALITY")
            && let Some(preset) = self.now.get("STREAM_PRESET")
        {
            patch.insert("STREAM_PRESET".to_owned(), preset.clone());
        }
        if fps_of_scene.is_some() {
            patch.remove("TARGET_FPS");
        }
        let patched = ConfigPatch::parse(&Value::Object(patch), "config")
            .and_then(|patch| config.patched(&patch, fps_of_scene));
        match patched {
            Ok(config) => config.started(),
            Err(error) => {
                tracing::warn!(%error, "changed settings of the last run do not fit any more; they are as they are set now");
                config
            }
        }
    }
}

/// What can be changed while running, under the names by which it is.
pub(super) fn values(config: &Config) -> Map<String, Value> {
    let values = [
        ("TARGET_FPS", fps_value(config.next_fps)),
        ("RENDER_QUALITY", json_of(&config.quality)),
        ("STREAM_PRESET", config.preset.as_str().into()),
        ("STREAM_BITRATE", config.bitrate_kbps.into()),
        ("MAX_LAYERS", config.max_layers.into()),
        ("AUDIO_ENABLED", config.next_audio.into()),
        ("AUDIO_BITRATE", config.next_audio_bitrate_kbps.into()),
    ];
    values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadSources, Settings};
    use components::output::RenditionSpec;

    fn config(environment: &[(&str, &str)]) -> Config {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings = Settings::load(LoadSources {
            config_file: None,
            dotenv: None,
            environment: environment.iter().map(owned).collect::<Vec<_>>(),
            flags: Vec::new(),
        });
        let settings = settings.expect("settings");
        let main = RenditionSpec::new("main");
        Config::new(&settings, &main, (640, 360), settings.target_fps)
    }

    fn changed(config: &Config, patch: Value) -> Config {
        let patch = ConfigPatch::parse(&patch, "").expect("a patch");
        config.patched(&patch, None).expect("a config")
    }

    #[test]
    fn what_the_api_changed_goes_on_and_a_setting_that_was_changed_since_wins() {
        let first = config(&[("STREAM_BITRATE", "3000")]);
        let patch =
            serde_json::json!({"STREAM_BITRATE": 5000, "MAX_LAYERS": 80, "TARGET_FPS": 29.97});
        let kept = ConfigDocument::new(&values(&first), &changed(&first, patch));
        let again = kept.over(&values(&first), first.clone(), None);
        assert_eq!((again.bitrate_kbps, again.max_layers), (5000, 80));
        assert_eq!(again.fps, FrameRate::from_decimal(29.97).expect("a rate"));
        let other = config(&[("STREAM_BITRATE", "2000")]);
        let again = kept.over(&values(&other), other.clone(), None);
        assert_eq!((again.bitrate_kbps, again.max_layers), (2000, 80));
        let again = kept.over(&values(&first), first.clone(), Some(first.fps));
        assert_eq!(again.fps, first.fps, "the scene's own rate");
    }

    #[test]
    fn a_quality_and_a_preset_of_its_own_both_come_back() {
        let first = config(&[]);
        let high = changed(&first, serde_json::json!({"RENDER_QUALITY": "high"}));
        let both = changed(&high, serde_json::json!({"STREAM_PRESET": "veryfast"}));
        let kept = ConfigDocument::new(&values(&first), &both);
        assert_eq!(kept.over(&values(&first), first.clone(), None), both);
    }
}
