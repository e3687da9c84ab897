//! Why something that was asked for is not done: one kind of error for REST, WebSocket and everything behind them.

use components::Problem;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use systems::command::CommandError;

/// The most problems that one answer lists.
const PROBLEMS_MAX: usize = 20;

/// What sort of refusal it is; decides the HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The request cannot be read: not JSON, or not of the shape that the schema asks for.
    BadRequest,
    /// No token, or a wrong one.
    Unauthorized,
    /// The caller may not do this: its origin or host is not allowed.
    Forbidden,
    /// There is nothing of this name.
    NotFound,
    /// The route does not take this method.
    MethodNotAllowed,
    /// The client took too long to send its request.
    Timeout,
    /// It clashes with what is there: a name that is taken, a thing in use, a state in which it cannot be done.
    Conflict,
    /// The world is at another revision than `ifRevision` says.
    RevisionConflict,
    /// The body is larger than is taken.
    TooLarge,
    /// The body is of a type that is not taken.
    UnsupportedMediaType,
    /// The shape is right and a value is not: out of range, a word that is unknown, a file that is no picture.
    Invalid,
    /// The route is a WebSocket, and the request does not open one.
    UpgradeRequired,
    /// More requests than are taken at a time; try again later.
    RateLimited,
    /// The program is at fault.
    Internal,
    /// Too many changes wait, or a part of the program is not there now; try again later.
    Unavailable,
    /// The change was made and is on air, and was not saved within the time that `durable` waits; asking for it again would make it twice.
    NotSaved,
    /// Who was to do it ended before it answered: it may have been done or not. Look before it is asked for again.
    OutcomeUnknown,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 17] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::Conflict,
        Self::RevisionConflict,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Invalid,
        Self::UpgradeRequired,
        Self::RateLimited,
        Self::Internal,
        Self::Unavailable,
        Self::NotSaved,
        Self::OutcomeUnknown,
    ];

    /// The HTTP status (RFC 9110, and RFC 6585 for 429).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Timeout => 408,
            Self::Conflict | Self::RevisionConflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::UpgradeRequired => 426,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::NotSaved | Self::OutcomeUnknown => 504,
        }
    }
}

/// A refusal, as it is answered: `{"code": "NOT_FOUND", "message": "there is no layer `hots`", "details": {...}}`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
#[schemars(rename = "Error")]
pub struct ApiError {
    /// What sort of refusal it is.
    pub code: ErrorCode,
    /// What is wrong, in a sentence.
    pub message: String,
    /// More about it: `problems` with the path of each, `suggestion`, or `revision`.
    pub details: Value,
}

impl ApiError {
    /// An error without details.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: json!({}),
        }
    }

    /// The same with one more detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Value::Object(details) = &mut self.details {
            details.insert(name.to_owned(), value.into());
        }
        self
    }

    /// The same with what to do instead, where that is known.
    #[must_use]
    pub fn suggest(self, suggestion: Option<String>) -> Self {
        match suggestion {
            Some(suggestion) => self.with("suggestion", suggestion),
            None => self,
        }
    }

    /// There is no `kind` named `id`.
    pub fn not_found<'k>(kind: &str, id: &str, known: impl IntoIterator<Item = &'k str>) -> Self {
        let near = crate::scene::words::nearest(id, known);
        Self::new(
            ErrorCode::NotFound,
            format!("there is no {kind} {}", crate::scene::words::name(id)),
        )
        .suggest(near.map(|near| format!("did you mean `{near}`?")))
    }

    /// It clashes with what is there.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Conflict, message)
    }

    /// A value is not one that can be used.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message)
    }

    /// The program's own fault. What lies behind it goes to the log alone.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// Values that cannot be used, each with its path.
    pub fn problems(code: ErrorCode, problems: &[Problem]) -> Self {
        let count = problems.len();
        let message = match problems {
            [] => "the request cannot be used".to_owned(),
            [only] => sentence(only),
            [first, ..] => format!("{} (and {} more)", sentence(first), count - 1),
        };
        let list: Vec<Value> = problems
            .iter()
            .take(PROBLEMS_MAX)
            .map(|problem| {
                let mut entry = json!({"path": problem.path, "message": problem.message});
                if let Some(help) = &problem.help {
                    entry["help"] = help.as_str().into();
                }
                entry
            })
            .collect();
        Self::new(code, message).with("problems", list)
    }
}

fn sentence(problem: &Problem) -> String {
    if problem.path.is_empty() {
        problem.message.clone()
    } else {
        format!("{}: {}", problem.path, problem.message)
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        let code = match &error {
            CommandError::QueueFull | CommandError::Ended => ErrorCode::Unavailable,
            CommandError::NoTimeline(_) => ErrorCode::NotFound,
            CommandError::Scene(_) | CommandError::NoMix => ErrorCode::Conflict,
        };
        Self::new(code, error.to_string())
    }
}
