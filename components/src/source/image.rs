//! A still picture from a file.

use std::borrow::Cow;

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::value::Template;

/// A PNG, JPEG or WebP picture.
///
/// `{"type": "image", "src": "assets/sunset.webp"}`
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageSource {
    /// Name of an entry in the scene's `assets`, or a path relative to the scene file. May hold `{{data.paths}}`; while it then
    /// names no picture that can be read, nothing is drawn.
    #[serde(serialize_with = "write_template", deserialize_with = "read_template")]
    #[schemars(with = "String", example = "assets/sunset.webp")]
    pub src: Template,
}

pub(super) fn write_template<S: Serializer>(
    template: &Template,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(template)
}

pub(super) fn read_template<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Template, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    Template::parse(&text).map_err(D::Error::custom)
}
