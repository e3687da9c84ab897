//! Checks that types alone cannot make: ranges, references, fields that need each other.
//!
//! A value reports each problem at its own path; whoever has the text turns the path into a line and a column.

use std::ops::RangeInclusive;

/// One thing that is wrong with an authored value, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// JSON path from the document's root, such as `layers[2].source.font.size`.
    pub path: String,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to write instead, where that can be told.
    pub help: Option<String>,
    /// Whether the name at the end of the path is wrong, and not its value.
    pub on_key: bool,
}

/// The problems found so far, and the path being looked at.
#[derive(Debug, Default)]
pub struct Problems {
    path: String,
    found: Vec<Problem>,
}

/// A value that can tell what is wrong with itself.
pub trait Validate {
    /// Reports every problem of this value, at paths below the current one.
    fn validate(&self, problems: &mut Problems);
}

impl Problems {
    /// Starts at the document's root.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts below `path`.
    pub fn below(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            found: Vec::new(),
        }
    }

    /// Looks at the field `name` while `look` runs.
    pub fn at(&mut self, name: &str, look: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        look(self);
        self.path.truncate(length);
    }

    /// Looks at element `index` of the list `name` while `look` runs.
    pub fn at_index(&mut self, name: &str, index: usize, look: impl FnOnce(&mut Self)) {
        self.at(&format!("{name}[{index}]"), look);
    }

    /// Reports a problem of the value that is looked at.
    pub fn report(&mut self, message: impl Into<String>) {
        self.report_with_help(message, None);
    }

    /// Reports a problem together with what to write instead.
    pub fn report_with_help(&mut self, message: impl Into<String>, help: Option<String>) {
        self.found.push(Problem {
            path: self.path.clone(),
            message: message.into(),
            help,
            on_key: false,
        });
    }

    /// Reports the field `name` when it is not finite or lies outside `range`.
    pub fn range(&mut self, name: &str, value: f32, range: RangeInclusive<f32>) {
        if !range.contains(&value) {
            let (low, high) = (range.start(), range.end());
            self.at(name, |problems| {
                problems.report(format!(
                    "{value} is out of range; it must be from {low} to {high}"
                ))
            });
        }
    }

    /// The path being looked at.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Adds a problem that was found elsewhere and has its whole path.
    pub fn push(&mut self, problem: Problem) {
        self.found.push(problem);
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many were found.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Everything that was found, in order.
    pub fn into_vec(self) -> Vec<Problem> {
        self.found
    }
}
