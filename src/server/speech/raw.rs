//! What raw samples are that come as a body.

use std::str::FromStr;

use crate::control::ApiError;
use crate::control::authored::unusable;
use crate::control::speech::{PcmFormat, PcmKind};
use crate::server::answer::Params;

/// What raw samples are: as the parameters of their media type say, then those of the query. `audio/L16` (RFC 2586) has whole numbers of 16 bits
/// with their highest byte first.
///
/// # Errors
/// What cannot be taken, with its name.
pub fn kind(query: &Params, is_l16: bool, parameters: &str) -> Result<PcmKind, ApiError> {
    let format = match query.get("format") {
        Some(_) if is_l16 => {
            let message = "`audio/L16` says how its samples are written";
            return Err(unusable("format".to_owned(), message));
        }
        None | Some("s16le") => PcmFormat::S16le,
        Some("f32le") => PcmFormat::F32le,
        Some(_) => {
            let message = "it must be `s16le` or `f32le`";
            return Err(unusable("format".to_owned(), message));
        }
    };
    let asked: (Option<u32>, Option<u16>) = (
        query.parsed("rate", "a whole number")?,
        query.parsed("channels", "1 or 2")?,
    );
    PcmKind {
        rate: of_type(parameters, "rate")?.or(asked.0).unwrap_or(24_000),
        channels: of_type(parameters, "channels")?.or(asked.1).unwrap_or(1),
        format,
        is_high_first: is_l16,
    }
    .checked()
}

/// A number among the parameters of a media type.
fn of_type<T: FromStr>(parameters: &str, name: &str) -> Result<Option<T>, ApiError> {
    let mut pairs = parameters
        .split(';')
        .filter_map(|pair| pair.split_once('='));
    let Some((_, text)) = pairs.find(|(key, _)| key.trim() == name) else {
        return Ok(None);
    };
    let number = text.trim().trim_matches('"').parse();
    let message = "the media type must have a whole number there";
    number
        .map(Some)
        .map_err(|_| unusable(name.to_owned(), message))
}
