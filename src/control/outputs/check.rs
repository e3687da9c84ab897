//! What the platform, the container or a player of an output would say of it, said before it goes on air.

use components::output::{OutputSpec, RenditionSpec};
use schemars::JsonSchema;
use serde::Serialize;

use super::OutputList;
use super::engine::{rendition_settings, settings_of};
use crate::config::Settings;
use crate::control::config::Config;
use crate::streaming::{self, Severity};

/// One thing that is to be said of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// The rule, such as `video-bitrate`; `settings` for a value that cannot be used.
    pub rule: String,
    /// The rendition that it is about; null for the output as a whole.
    pub rendition: Option<String>,
    /// What is to be said, in a sentence.
    pub message: String,
    /// What was found, without secrets.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// It will not work.
    Error,
    /// It works, and could be better.
    Warning,
}

/// Everything that is to be said of an output, what matters most first.
pub fn findings(
    spec: &OutputSpec,
    list: &OutputList,
    settings: &Settings,
    config: &Config,
) -> Vec<Finding> {
    let output = match settings_of(spec, list, settings, config.fps) {
        Ok(output) => output,
        Err(error) => {
            let finding = Finding {
                level: Level::Error,
                rule: "settings".to_owned(),
                rendition: None,
                message: error.message,
                value: String::new(),
                allowed: String::new(),
            };
            return vec![finding];
        }
    };
    let main = [RenditionSpec::MAIN.to_owned()];
    let carried = if spec.renditions.is_empty() {
        &main[..]
    } else {
        &spec.renditions[..]
    };
    let mut found: Vec<Finding> = Vec::new();
    for id in carried {
        let Ok(rendition) = list.rendition(id) else {
            continue;
        };
        let rendition = rendition_settings(rendition, list, settings, config);
        for finding in streaming::check(&output, &rendition) {
            found.push(Finding {
                level: match finding.severity {
                    Severity::Error => Level::Error,
                    Severity::Warning => Level::Warning,
                },
                rule: finding.rule.to_owned(),
                rendition: Some(id.clone()),
                message: finding.message,
                value: finding.value,
                allowed: finding.allowed,
            });
        }
    }
    found.sort_by_key(|finding| finding.level);
    found
}
