//! What is wrong with the settings, said so that it can be put right at once.

use std::fmt;
use std::path::PathBuf;

use super::table::Setting;

/// Longer values are cut in messages.
const VALUE_CHARS_MAX: usize = 80;

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// A line of the settings file or of `.env`; line 0 stands for the file as a whole.
    File {
        /// As it was given.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// A variable of the process.
    Environment,
    /// A flag of the command line.
    Flag,
    /// What was said of a channel of a fleet.
    Channel,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("the default"),
            Self::File { path, line: 0 } => write!(formatter, "{}", path.display()),
            Self::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Self::Environment => formatter.write_str("the environment"),
            Self::Flag => formatter.write_str("the command line"),
            Self::Channel => formatter.write_str("the channel's settings"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingProblem {
    /// The setting or the unknown name; `None` when a file as a whole cannot be read.
    pub name: Option<String>,
    /// Where it was given; `None` when several values do not go together.
    pub origin: Option<Origin>,
    /// The whole sentence, with name, value (unless it is secret) and place.
    pub message: String,
}

impl SettingProblem {
    pub(super) fn value(setting: &Setting, value: &str, origin: Origin) -> Self {
        let name = setting.name;
        let place = match origin {
            Origin::Flag => format!("the flag --{}", setting.flag()),
            _ => origin.to_string(),
        };
        let given = if setting.is_secret {
            format!("the value from {place} (not shown)")
        } else {
            format!("{} from {place}", shorten(value))
        };
        let message = format!(
            "{name}: {given} is not allowed; it must be {}",
            setting.allowed
        );
        Self {
            name: Some(name.to_owned()),
            origin: Some(origin),
            message,
        }
    }

    pub(super) fn at(name: Option<&str>, origin: Origin, message: &str) -> Self {
        Self {
            name: name.map(str::to_owned),
            message: format!("{origin}: {message}"),
            origin: Some(origin),
        }
    }

    pub(super) fn together(name: &str, message: String) -> Self {
        Self {
            name: Some(name.to_owned()),
            origin: None,
            message,
        }
    }
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// Everything that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct SettingsError {
    problems: Vec<SettingProblem>,
}

impl SettingsError {
    pub(super) fn new(problems: Vec<SettingProblem>) -> Self {
        Self { problems }
    }

    /// The problems, in the order of the layers and of the table; at least one.
    #[must_use]
    pub fn problems(&self) -> &[SettingProblem] {
        &self.problems
    }

    fn text(&self) -> String {
        match self.problems.as_slice() {
            [only] => format!("bad setting: {only}"),
            problems => {
                let mut text = format!("{} bad settings:", problems.len());
                for problem in problems {
                    text.push_str("\n  ");
                    text.push_str(&problem.message);
                }
                text
            }
        }
    }
}

/// The value in quotes with control characters escaped, cut where it is long.
fn shorten(value: &str) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{:?}...", &value[..end]),
        None => format!("{value:?}"),
    }
}
