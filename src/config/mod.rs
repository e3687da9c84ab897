//! Settings: what an operator chooses before the program starts.
//!
//! Five layers, each over the one before: defaults, a TOML file (`--config`), `.env`, the environment, flags. Every setting is
//! one row of the table in [`table`](self); the flags, `.env.example`, the README's table and the errors come from that row.
//!
//! A value that cannot be used is an error that names the setting, the value, where it was given and what is allowed; all of
//! them are reported at once. Nothing here changes the process environment, starts anything, or shows a secret.

mod access;
mod error;
mod flags;
mod listing;
mod log_levels;
mod rule;
mod sources;
mod stream_url;
mod streams;
mod table;
mod values;

pub use access::{ApiToken, Origins, RedisPassword};
pub use error::{Origin, SettingProblem, SettingsError};
pub use flags::{flags, flags_from};
pub use listing::{env_example, markdown_table};
pub use log_levels::LogLevels;
pub use sources::{LoadSources, check_one, process_environment};
pub use stream_url::StreamUrl;
pub use streams::{StreamKeys, is_secret_variable};
pub use table::{Setting, Settings, all};
pub use values::{LogFormat, RenderQuality, Role};

use std::path::PathBuf;

use components::scene::FrameRate;

use crate::store::RedisUrl;

/// A packet of AAC-LC holds 1024 samples (ISO/IEC 14496-3), of 48,000 a second.
const AAC_PACKETS_PER_SECOND: f64 = 48_000.0 / 1024.0;

impl Settings {
    /// Reads every layer and checks every value.
    ///
    /// # Errors
    /// [`SettingsError`] holds every problem of every layer. A value that a later layer replaces is not checked.
    pub fn load<E>(sources: LoadSources<E>) -> Result<Self, SettingsError>
    where
        E: IntoIterator<Item = (String, String)>,
    {
        let mut given = sources::Given::collect(sources);
        let settings = table::read(&mut given);
        let stream_preset_is_given = given.is_given("STREAM_PRESET");
        let (stream_keys, input_passwords) = (given.stream_keys(), given.input_passwords());
        let (notes, mut problems) = given.finish();
        if let Some(settings) = &settings {
            settings.check_together(&mut problems);
        }
        match settings {
            Some(mut settings) if problems.is_empty() => {
                settings.notes = notes;
                settings.stream_keys = stream_keys;
                settings.input_passwords = input_passwords;
                if !stream_preset_is_given {
                    settings.stream_preset = settings.render_quality.preset();
                }
                Ok(settings)
            }
            _ => Err(SettingsError::new(problems)),
        }
    }

    /// Where Redis is, with its password; `None` without REDIS_URL.
    #[must_use]
    pub fn redis(&self) -> Option<RedisUrl> {
        let password = self.redis_password.as_ref().map(RedisPassword::reveal);
        let url = self.redis_url.clone()?;
        Some(url.with_password(password))
    }

    /// Where the live HLS files are written.
    #[must_use]
    pub fn hls_dir(&self) -> PathBuf {
        self.data_dir.join("hls")
    }

    /// Where uploaded assets are kept.
    #[must_use]
    pub fn assets_dir(&self) -> PathBuf {
        self.data_dir.join("assets")
    }

    /// Where recordings are written.
    #[must_use]
    pub fn recordings_dir(&self) -> PathBuf {
        self.data_dir.join("recordings")
    }

    /// How many packets an output's queue holds so that `MAX_QUEUE_SIZE` frames at `rate` fit in together with their sound.
    #[must_use]
    pub fn queue_packets(&self, rate: FrameRate) -> usize {
        self.packets_of(self.max_queue_size, rate)
    }

    /// How many packets so many frames at `rate` are together with their sound.
    #[must_use]
    pub fn packets_of(&self, frames: usize, rate: FrameRate) -> usize {
        if !self.audio_enabled {
            return frames;
        }
        let sound_packets_per_frame = AAC_PACKETS_PER_SECOND / rate.as_f64();
        let sound_packets = (frames as f64 * sound_packets_per_frame).ceil();
        frames + sound_packets as usize
    }

    /// What no single value shows.
    fn check_together(&self, problems: &mut Vec<SettingProblem>) {
        let ports = [
            ("PORT", self.port),
            ("WS_PORT", self.ws_port),
            ("METRICS_PORT", self.metrics_port),
            ("HEALTH_PORT", self.health_port),
            // Nought is never in the way of another.
            ("RTMP_PORT", self.rtmp_port.unwrap_or(0)),
        ];
        for (index, (name, port)) in ports.iter().enumerate() {
            if let Some((other, _)) = ports[..index].iter().find(|(_, other)| other == port)
                && *port != 0
            {
                let message = format!("{other} and {name} are both {port}; they must differ");
                problems.push(SettingProblem::together(name, message));
            }
        }
        if self.ping_timeout <= self.ping {
            let message = "PING_TIMEOUT must be longer than PING".to_owned();
            problems.push(SettingProblem::together("PING_TIMEOUT", message));
        }
        if !self.bind.is_loopback() && self.api_token.is_none() {
            let message = format!(
                "BIND is {}, which others can reach; API_TOKEN must be set then",
                self.bind
            );
            problems.push(SettingProblem::together("API_TOKEN", message));
        }
    }
}
