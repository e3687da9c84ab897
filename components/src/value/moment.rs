//! A moment in UTC, as RFC 3339 writes it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A moment in UTC: `"2026-05-01T20:00:00Z"`, with up to three digits of a second if wished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    text: Box<str>,
    unix_ms: i64,
}

impl Moment {
    const PATTERN: &str = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,3})?Z$";

    /// Reads `YYYY-MM-DDTHH:MM:SS[.fff]Z`; `None` for all else, and for days that do not exist.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_suffix('Z')?;
        let (whole, part) = match rest.split_once('.') {
            Some((whole, digits)) if (1..=3).contains(&digits.len()) => (whole, Some(digits)),
            Some(_) => return None,
            None => (rest, None),
        };
        let bytes = whole.as_bytes();
        let shaped = bytes.len() == 19
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                10 => *byte == b'T',
                13 | 16 => *byte == b':',
                _ => byte.is_ascii_digit(),
            });
        if !shaped {
            return None;
        }
        let number = |from: usize, to: usize| whole[from..to].parse::<i64>().ok();
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let days = days_of_month(year, month)?;
        if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let milliseconds = match part {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                format!("{digits:0<3}").parse::<i64>().ok()?
            }
            Some(_) => return None,
            None => 0,
        };
        let seconds =
            days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        Some(Self {
            text: text.into(),
            unix_ms: seconds * 1000 + milliseconds,
        })
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(&self) -> i64 {
        self.unix_ms
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn days_of_month(year: i64, month: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    Some(match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    })
}

/// By the civil calendar of days since 0000-03-01, whose years end with the leap day.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not a moment in UTC; write it as \"2026-05-01T20:00:00Z\""
            ))
        })
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A moment in UTC (RFC 3339).",
            "type": "string",
            "pattern": Self::PATTERN,
            "examples": ["2026-05-01T20:00:00Z"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_follow_the_calendar() {
        let ms = |text: &str| Moment::parse(text).map(|moment| moment.unix_ms());
        assert_eq!(ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(ms("2000-02-29T12:34:56Z"), Some(951_827_696_000));
        assert_eq!(ms("2100-02-28T23:59:59.5Z"), Some(4_107_542_399_500));
        assert_eq!(ms("1969-12-31T23:59:59.999Z"), Some(-1));
        for text in [
            "2100-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-05-01T24:00:00Z",
            "2026-05-01T20:00:00",
            "2026-05-01T20:00:00+02:00",
            "2026-05-01 20:00:00Z",
            "2026-05-01T20:00:00.Z",
            "+026-05-01T20:00:00Z",
            "",
            "Z",
            "ä026-05-01T20:00:0Z",
        ] {
            assert_eq!(ms(text), None, "{text}");
        }
    }
}
