//! A colour as CSS writes it.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A straight (not premultiplied) sRGB colour, 8 bits a channel.
///
/// In JSON it is a CSS colour: `"#0af"`, `"#0b0d17cc"`, `"rgb(10 20 30 / 50%)"`, `"rebeccapurple"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Colour {
    /// Red, 0 to 255.
    pub red: u8,
    /// Green, 0 to 255.
    pub green: u8,
    /// Blue, 0 to 255.
    pub blue: u8,
    /// Alpha, 0 (transparent) to 255 (opaque).
    pub alpha: u8,
}

impl Colour {
    /// Opaque black.
    pub const BLACK: Self = Self::opaque(0, 0, 0);
    /// Opaque white.
    pub const WHITE: Self = Self::opaque(255, 255, 255);
    /// No colour at all.
    pub const TRANSPARENT: Self = Self {
        red: 0,
        green: 0,
        blue: 0,
        alpha: 0,
    };

    /// An opaque colour from its channels.
    pub const fn opaque(red: u8, green: u8, blue: u8) -> Self {
        Self {
            red,
            green,
            blue,
            alpha: 255,
        }
    }

    /// Parses a CSS colour; the error says what was not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed = csscolorparser::parse(text).map_err(|_| {
            format!("`{text}` is not a colour; write it as CSS does, such as \"#1e90ff\", \"#1e90ff80\" or \"white\"")
        })?;
        let [red, green, blue, alpha] = parsed.to_rgba8();
        Ok(Self {
            red,
            green,
            blue,
            alpha,
        })
    }

    /// The channels multiplied by alpha, rounded to the nearest.
    pub fn premultiplied(self) -> [u8; 4] {
        let scale = |channel: u8| {
            let product = u32::from(channel) * u32::from(self.alpha) + 128;
            ((product + (product >> 8)) >> 8) as u8
        };
        [
            scale(self.red),
            scale(self.green),
            scale(self.blue),
            self.alpha,
        ]
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)?;
        if self.alpha != 255 {
            write!(out, "{:02x}", self.alpha)?;
        }
        Ok(())
    }
}

impl Serialize for Colour {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Colour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl JsonSchema for Colour {
    fn schema_name() -> Cow<'static, str> {
        "Color".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            // Names and functions are looked at when they are read.
            "pattern": r"^\s*(#?([0-9A-Fa-f]{3,4}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})|[A-Za-z]+(\(.*\))?)\s*$",
            "description": "A CSS colour.",
            "examples": ["#1e90ff", "#0b0d17cc", "white"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn css_forms_are_read_and_written_back_as_hex() {
        for (text, written) in [
            ("#0af", "#00aaff"),
            ("#0b0d17cc", "#0b0d17cc"),
            ("white", "#ffffff"),
            ("rgb(10, 20, 30)", "#0a141e"),
        ] {
            assert_eq!(
                Colour::parse(text).map(|colour| colour.to_string()),
                Ok(written.to_owned())
            );
        }
        assert!(Colour::parse("#12345").is_err());
    }

    #[test]
    fn premultiplying_rounds_to_nearest() {
        let colour = Colour {
            red: 255,
            green: 128,
            blue: 1,
            alpha: 128,
        };
        assert_eq!(colour.premultiplied(), [128, 64, 1, 128]);
    }
}
