//! The layers: each gives texts by name, and remembers where it found them.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::{Origin, SettingProblem};
use super::rule::Rule;
use super::streams::{InputPasswords, StreamKeys};
use super::table;

/// Names that differ by more single edits than this are not offered as "did you mean".
const NEAR_EDITS_MAX: usize = 3;
/// In `.env`, which other programs share, only a name this close to a setting's is remarked on.
const MISTYPED_EDITS_MAX: usize = 2;

/// Where settings come from, besides their defaults. Later fields win over earlier ones.
#[derive(Clone, Debug)]
pub struct LoadSources<E> {
    /// A TOML file whose keys are the settings' names in lower or upper case. It must exist.
    pub config_file: Option<PathBuf>,
    /// A file of `NAME=value` lines, usually `.env`. It may be missing.
    pub dotenv: Option<PathBuf>,
    /// The process's variables; see [`process_environment`].
    pub environment: E,
    /// Names of settings and values, as [`flags_from`](super::flags_from) gives them.
    pub flags: Vec<(String, String)>,
}

/// The variables of this process; bytes that are not UTF-8 are replaced.
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| {
        (
            name.to_string_lossy().into_owned(),
            value.to_string_lossy().into_owned(),
        )
    })
}

/// The texts that were given, the last layer's for each name, and what was wrong on the way.
pub(super) struct Given {
    values: HashMap<&'static str, (String, Origin)>,
    notes: Vec<String>,
    problems: Vec<SettingProblem>,
    stream_keys: StreamKeys,
    input_passwords: InputPasswords,
}

impl Given {
    pub(super) fn collect<E>(sources: LoadSources<E>) -> Self
    where
        E: IntoIterator<Item = (String, String)>,
    {
        let mut given = Self {
            values: HashMap::new(),
            notes: Vec::new(),
            problems: Vec::new(),
            stream_keys: StreamKeys::default(),
            input_passwords: InputPasswords::default(),
        };
        if let Some(path) = sources.config_file {
            given.add_config_file(&path);
        }
        if let Some(path) = sources.dotenv {
            given.add_dotenv(&path);
        }
        for (name, value) in sources.environment {
            match table::all().iter().find(|setting| setting.name == name) {
                Some(setting) => given.set(setting.name, value, Origin::Environment),
                None => {
                    given.stream_keys.note(&name, &value);
                    given.input_passwords.note(&name, &value);
                    given.note_if_not_yet(&name, &Origin::Environment);
                }
            }
        }
        for (name, value) in sources.flags {
            match table::find(&name) {
                Some(setting) => given.set(setting.name, value, Origin::Flag),
                None => given.report_unknown(&name, Origin::Flag),
            }
        }
        given
    }

    /// Whether any layer over the defaults has it.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value in force, or `None` when its text is not allowed, which is then reported.
    pub(super) fn read<T>(
        &mut self,
        name: &'static str,
        default: &'static str,
        rule: &Rule<T>,
    ) -> Option<T> {
        let (text, origin) = match self.values.get(name) {
            Some((text, origin)) => (text.as_str(), origin),
            None => (default, &Origin::Default),
        };
        let value = rule.read(text);
        if value.is_none()
            && let Some(setting) = table::find(name)
        {
            let problem = SettingProblem::value(setting, text, origin.clone());
            self.problems.push(problem);
        }
        value
    }

    /// Passwords of cameras.
    pub(super) fn input_passwords(&self) -> InputPasswords {
        self.input_passwords.clone()
    }

    /// The stream keys that variables hold.
    pub(super) fn stream_keys(&self) -> StreamKeys {
        self.stream_keys.clone()
    }

    pub(super) fn finish(self) -> (Vec<String>, Vec<SettingProblem>) {
        (self.notes, self.problems)
    }

    fn set(&mut self, name: &'static str, value: String, origin: Origin) {
        self.values.insert(name, (value, origin));
    }

    fn add_config_file(&mut self, path: &Path) {
        let at = |line| Origin::File {
            path: path.to_owned(),
            line,
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.report_unreadable(path, &error),
        };
        let line_of = |offset: usize| {
            let before = &text.as_bytes()[..offset.min(text.len())];
            before.iter().filter(|&&byte| byte == b'\n').count() + 1
        };
        let (document, errors) = DeTable::parse_recoverable(&text);
        let is_broken = !errors.is_empty();
        for error in errors {
            let line = error.span().map_or(0, |span| line_of(span.start));
            // The message alone: the error's own `Display` would print the line, which may hold a secret.
            let problem = SettingProblem::at(None, at(line), error.message());
            self.problems.push(problem);
        }
        if is_broken {
            // What was recovered from broken text would be reported a second time, and wrongly.
            return;
        }
        let mut entries: Vec<_> = document.get_ref().iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let origin = at(line_of(key.span().start));
            let name = key.get_ref();
            let Some(setting) = table::find(name) else {
                self.report_unknown(name, origin);
                continue;
            };
            let Some(value) = scalar_text(value.get_ref()) else {
                let message = format!("{} must be one value, not a list or table", setting.name);
                let problem = SettingProblem::at(Some(setting.name), origin, &message);
                self.problems.push(problem);
                continue;
            };
            // Nothing lies below this layer, so a name that is already there stood in this file in another case.
            if let Some((_, first)) = self.values.get(setting.name) {
                let message = format!("{} is already given at {first}", setting.name);
                let problem = SettingProblem::at(Some(setting.name), origin, &message);
                self.problems.push(problem);
                continue;
            }
            self.set(setting.name, value, origin);
        }
    }

    fn add_dotenv(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.report_unreadable(path, &error),
        };
        let lines_read = Cell::new(0);
        let lines = LineByLine {
            rest: text.trim_start_matches('\u{feff}').as_bytes(),
            lines_read: &lines_read,
        };
        for entry in dotenvy::Iter::new(lines) {
            let origin = Origin::File {
                path: path.to_owned(),
                line: lines_read.get(),
            };
            let Ok((name, value)) = entry else {
                // dotenvy's error would print the line, which may hold a secret.
                let message = "this is not NAME=value; a value with spaces or quotes goes between single quotes";
                self.problems
                    .push(SettingProblem::at(None, origin, message));
                continue;
            };
            match table::all().iter().find(|setting| setting.name == name) {
                Some(setting) => self.set(setting.name, value, origin),
                None if self.stream_keys.note(&name, &value) => {}
                None if self.input_passwords.note(&name, &value) => {}
                None => {
                    self.note_if_not_yet(&name, &origin);
                    self.note_if_mistyped(&name, &origin);
                }
            }
        }
    }

    fn report_unreadable(&mut self, path: &Path, error: &io::Error) {
        let origin = Origin::File {
            path: path.to_owned(),
            line: 0,
        };
        let message = format!("cannot be read: {error}");
        self.problems
            .push(SettingProblem::at(None, origin, &message));
    }

    fn report_unknown(&mut self, name: &str, origin: Origin) {
        self.problems.push(unknown(name, origin));
    }

    fn note_if_not_yet(&mut self, name: &str, origin: &Origin) {
        if table::NOT_YET.contains(&name) {
            self.notes
                .push(format!("{name} ({origin}) does nothing in this release"));
        }
    }

    fn note_if_mistyped(&mut self, name: &str, origin: &Origin) {
        if table::NOT_YET.contains(&name) {
            return;
        }
        if let Some(near) = nearest(&name.to_ascii_uppercase(), MISTYPED_EDITS_MAX) {
            self.notes.push(format!(
                "{name} ({origin}) is not a setting; did you mean {near}?"
            ));
        }
    }
}

/// A value of one setting, apart from all others.
///
/// # Errors
/// There is no setting of this name, in capitals, or it does not take the value.
pub fn check_one(name: &str, value: &str, origin: Origin) -> Result<(), SettingProblem> {
    let Some(setting) = table::all().iter().find(|setting| setting.name == name) else {
        return Err(unknown(name, origin));
    };
    let mut given = Given::collect(LoadSources {
        config_file: None,
        dotenv: None,
        environment: [(name.to_owned(), value.to_owned())],
        flags: Vec::new(),
    });
    let _settings = table::read(&mut given);
    match given.problems.is_empty() {
        true => Ok(()),
        false => Err(SettingProblem::value(setting, value, origin)),
    }
}

fn unknown(name: &str, origin: Origin) -> SettingProblem {
    let upper = name.to_ascii_uppercase();
    let message = if table::NOT_YET.contains(&upper.as_str()) {
        format!("{name} is not a setting of this release")
    } else {
        match nearest(&upper, NEAR_EDITS_MAX) {
            Some(near) => format!("{name} is not a setting; did you mean {near}?"),
            None => format!("{name} is not a setting"),
        }
    };
    SettingProblem::at(Some(name), origin, &message)
}

/// A TOML value as the text that the other layers would give; `None` for what holds several values.
fn scalar_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// The setting's name that differs least, where that is little enough to be a slip of the hand.
fn nearest(name: &str, edits_max: usize) -> Option<&'static str> {
    // A short name is no more than other words with a few letters changed.
    let edits_max = edits_max.min(name.chars().count() / 3);
    table::all()
        .iter()
        .map(|setting| (strsim::damerau_levenshtein(name, setting.name), setting))
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, _)| *edits <= edits_max)
        .map(|(_, setting)| setting.name)
}

/// Gives at most one line a read, so that the count tells how far dotenvy, which reports no line numbers, has come.
struct LineByLine<'a> {
    rest: &'a [u8],
    lines_read: &'a Cell<usize>,
}

impl Read for LineByLine<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line_bytes = match self.rest.iter().position(|&byte| byte == b'\n') {
            Some(newline) => newline + 1,
            None => self.rest.len(),
        };
        let bytes = line_bytes.min(buffer.len());
        if bytes == 0 {
            return Ok(0);
        }
        buffer[..bytes].copy_from_slice(&self.rest[..bytes]);
        self.rest = &self.rest[bytes..];
        if bytes == line_bytes {
            self.lines_read.set(self.lines_read.get() + 1);
        }
        Ok(bytes)
    }
}
