//! Problems of a scene file with their places, for terminals (miette, the line underlined), and as plain lines for logs.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use components::Problem;
use miette::{
    Diagnostic, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

use super::reader::MAX_PROBLEMS;
use super::span::{Lines, SpanIndex};

/// The longest piece of the file that is shown with one problem, in bytes.
const SNIPPET_MAX: usize = 4096;
/// How much of a line longer than that is shown on each side, and underlined at most, in bytes.
const SNIPPET_SIDE: usize = 120;

/// Everything that is wrong with a scene file, in the order of the file. Never empty.
#[derive(Clone, Debug)]
pub struct SceneErrors {
    file: Arc<str>,
    problems: Vec<SceneProblem>,
    /// How many more there are than are kept.
    left_out: usize,
}

/// One thing that is wrong with a scene file.
#[derive(Clone, Debug)]
pub struct SceneProblem {
    /// The file as it was named.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// JSON path such as `layers[2].source.font.size`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead, where that can be told.
    pub help: Option<String>,
    span: Range<usize>,
    text: Arc<SceneText>,
}

/// A problem, and its place where that is not the one of its path.
pub(super) struct Found {
    pub(super) problem: Problem,
    pub(super) span: Option<Range<usize>>,
}

impl From<Problem> for Found {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            span: None,
        }
    }
}

impl SceneErrors {
    /// Gives every problem its place in `text`. At least one must have been found.
    pub(super) fn new(file: &str, text: &str, index: &SpanIndex, found: Vec<Found>) -> Self {
        let lines = Lines::new(text);
        let file: Arc<str> = file.into();
        let source = Arc::new(SceneText {
            name: file.clone(),
            text: text.into(),
            starts: lines.starts().to_vec(),
        });
        let left_out = found.len().saturating_sub(MAX_PROBLEMS);
        let mut problems: Vec<_> = found
            .into_iter()
            .take(MAX_PROBLEMS)
            .map(|Found { problem, span }| {
                let span = span.unwrap_or_else(|| place(text, index, &problem));
                let span = underlined(text, span);
                let (line, column) = lines.position(span.start);
                SceneProblem {
                    file: file.clone(),
                    line,
                    column,
                    path: problem.path,
                    message: problem.message,
                    help: problem.help,
                    span,
                    text: source.clone(),
                }
            })
            .collect();
        problems.sort_by_key(|problem| problem.span.start);
        Self {
            file,
            problems,
            left_out,
        }
    }

    /// One problem of the file as a whole.
    pub(super) fn of_file(file: &str, message: String, help: Option<String>) -> Self {
        let problem = Problem {
            message,
            help,
            ..Problem::default()
        };
        Self::new(file, "", &SpanIndex::default(), vec![problem.into()])
    }

    /// The file as it was named.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The problems in the order of the file; at most 100.
    pub fn problems(&self) -> &[SceneProblem] {
        &self.problems
    }

    /// All problems, one a line: `scene.json:12:17: layers[2].opacity: 1.5 is out of range; ...`.
    pub fn plain(&self) -> String {
        let mut lines: Vec<_> = self.problems.iter().map(SceneProblem::plain).collect();
        if self.left_out > 0 {
            lines.push(format!("{}: and {} more", self.file, self.left_out));
        }
        lines.join("\n")
    }
}

impl SceneProblem {
    /// The problem on one line: `scene.json:12:17: layers[2].opacty: unknown field; did you mean `opacity`?`.
    pub fn plain(&self) -> String {
        let Self {
            file, line, column, ..
        } = self;
        let help = self.help.as_deref();
        let help = help.map_or_else(String::new, |help| format!("; {help}"));
        format!("{file}:{line}:{column}: {self}{help}")
    }
}

/// Where the problem's path leads to.
fn place(text: &str, index: &SpanIndex, problem: &Problem) -> Range<usize> {
    match index.find(text, &problem.path) {
        Some(place) if problem.on_key && place.exact => place.key.unwrap_or(place.value),
        Some(place) => place.value,
        None => 0..text.len(),
    }
}

/// The part of a span that is underlined: what of it stands on its first line, at least one character where there is one.
fn underlined(text: &str, span: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    let rest = text.get(start..).unwrap_or_default();
    let line = rest.find(['\n', '\r']).unwrap_or(rest.len());
    let wanted = span.end.saturating_sub(start).min(line).min(SNIPPET_SIDE);
    let first = rest.chars().next().map_or(0, char::len_utf8);
    let length = rest.floor_char_boundary(wanted).max(first);
    start..start + length
}

impl fmt::Display for SceneProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(out, "{}: ", self.path)?;
        }
        out.write_str(&self.message)
    }
}

impl Error for SceneProblem {}

impl Diagnostic for SceneProblem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.text.text.is_empty()).then_some(&*self.text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.text.text.is_empty() {
            return None;
        }
        let span = SourceSpan::from(self.span.clone());
        let label = LabeledSpan::new_primary_with_span(Some("here".to_owned()), span);
        Some(Box::new(std::iter::once(label)))
    }
}

impl fmt::Display for SceneErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() + self.left_out {
            1 => write!(out, "{} has a problem", self.file),
            count => write!(out, "{} has {count} problems", self.file),
        }
    }
}

impl Error for SceneErrors {}

impl Diagnostic for SceneErrors {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        let problems = self.problems.iter();
        Some(Box::new(problems.map(|problem| problem as &dyn Diagnostic)))
    }
}

/// The text of a scene file, of which miette shows the lines around a problem.
#[derive(Debug)]
struct SceneText {
    name: Arc<str>,
    text: Box<str>,
    /// Where lines begin, so that a problem far down a long file is shown as fast as one at its top.
    starts: Vec<usize>,
}

impl SceneText {
    /// The text of some lines, with their line ends; `None` when it is too long to be shown.
    fn lines(&self, first: usize, last: usize) -> Option<Range<usize>> {
        let start = self.starts.get(first).copied()?;
        let end = self
            .starts
            .get(last + 1)
            .copied()
            .unwrap_or(self.text.len());
        (end - start <= SNIPPET_MAX).then_some(start..end)
    }

    /// A piece of one long line, as programs write them, round a span.
    fn piece(&self, line: usize, span: &SourceSpan) -> Range<usize> {
        let line_start = self.starts.get(line).copied().unwrap_or(0);
        let line_end = self
            .starts
            .get(line + 1)
            .copied()
            .unwrap_or(self.text.len());
        let start = span.offset().saturating_sub(SNIPPET_SIDE).max(line_start);
        let end = (span.offset() + span.len() + SNIPPET_SIDE).min(line_end);
        self.text.floor_char_boundary(start)..self.text.ceil_char_boundary(end)
    }
}

impl SourceCode for SceneText {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        if span.offset() + span.len() > self.text.len() {
            return Err(MietteError::OutOfBounds);
        }
        let line_of = |at: usize| self.starts.partition_point(|start| *start <= at).max(1) - 1;
        let line = line_of(span.offset());
        let first = line.saturating_sub(lines_before);
        let last = line_of(span.offset() + span.len().saturating_sub(1)) + lines_after;
        let (first, shown) = match self.lines(first, last) {
            Some(shown) => (first, shown),
            None => (line, self.piece(line, span)),
        };
        let text = self
            .text
            .get(shown.clone())
            .ok_or(MietteError::OutOfBounds)?;
        // Without lines before it, the column asked for is that of the span itself.
        let column_of = if lines_before == 0 {
            span.offset()
        } else {
            shown.start
        };
        let line_start = self.starts.get(first).copied().unwrap_or(0);
        let before = self.text.get(line_start..column_of).unwrap_or_default();
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.to_string(),
            text.as_bytes(),
            shown.into(),
            first,
            before.chars().count(),
            text.lines().count(),
        )))
    }
}
