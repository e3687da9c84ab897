//! Text with `{{path.to.value}}` holes, which are filled from the scene's data.

use std::fmt;

use serde_json::Value;

/// A text parsed once into literal parts and holes, so that filling it on a tick does not parse again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<TemplatePart>,
}

/// One piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text that stands as it is.
    Literal(String),
    /// The dotted path of a value in the scene's data, such as `auction.bid`.
    Hole(String),
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `{{` has no `}}`.
    #[error("`{{{{` at character {0} is not closed by `}}}}`")]
    Unclosed(usize),
    /// A hole names nothing, or holds characters that a path cannot have.
    #[error("`{0}` is not a data path; write names joined by dots, such as `auction.bid`")]
    BadPath(String),
}

impl Template {
    /// Parses `text`. A text without holes is a template of one literal.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            let after = &rest[open + 2..];
            let close = after.find("}}").ok_or_else(|| {
                TemplateError::Unclosed(text[..text.len() - rest.len() + open].chars().count())
            })?;
            let path = after[..close].trim();
            let well_formed = !path.is_empty()
                && path.split('.').all(|name| {
                    !name.is_empty()
                        && name
                            .chars()
                            .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
                });
            if !well_formed {
                return Err(TemplateError::BadPath(path.to_owned()));
            }
            if open > 0 {
                parts.push(TemplatePart::Literal(rest[..open].to_owned()));
            }
            parts.push(TemplatePart::Hole(path.to_owned()));
            rest = &after[close + 2..];
        }
        if !rest.is_empty() {
            parts.push(TemplatePart::Literal(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// A text that stands as it is, double braces too.
    pub fn literal(text: impl Into<String>) -> Self {
        Self {
            parts: vec![TemplatePart::Literal(text.into())],
        }
    }

    /// The pieces in reading order.
    pub fn parts(&self) -> &[TemplatePart] {
        &self.parts
    }

    /// The data paths that the text depends on.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Hole(path) => Some(path.as_str()),
            TemplatePart::Literal(_) => None,
        })
    }

    /// Whether the text depends on data at all.
    pub fn is_bound(&self) -> bool {
        self.paths().next().is_some()
    }

    /// Replaces `out` with the text, each hole filled by `lookup`; a path that has no value leaves nothing.
    pub fn fill<'a>(&self, lookup: impl Fn(&str) -> Option<&'a Value>, out: &mut String) {
        use fmt::Write as _;
        out.clear();
        for part in &self.parts {
            match part {
                TemplatePart::Literal(text) => out.push_str(text),
                TemplatePart::Hole(path) => match lookup(path) {
                    None | Some(Value::Null) => {}
                    Some(Value::String(text)) => out.push_str(text),
                    // Writing to a String cannot fail.
                    Some(value) => drop(write!(out, "{value}")),
                },
            }
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                TemplatePart::Literal(text) => out.write_str(text)?,
                TemplatePart::Hole(path) => write!(out, "{{{{{path}}}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn holes_are_filled_from_data() {
        let data = json!({"bid": 12.5, "who": "Ada", "none": null});
        let template = Template::parse("{{who}} bids {{ bid }} ETH{{none}}").expect("well formed");
        let mut out = String::new();
        template.fill(|path| data.get(path), &mut out);
        assert_eq!(out, "Ada bids 12.5 ETH");
        assert_eq!(template.paths().collect::<Vec<_>>(), ["who", "bid", "none"]);
    }

    #[test]
    fn malformed_holes_are_named() {
        assert_eq!(Template::parse("é {{open"), Err(TemplateError::Unclosed(2)));
        assert_eq!(
            Template::parse("{{a..b}}"),
            Err(TemplateError::BadPath("a..b".into()))
        );
    }
}
