//! Who a layer is: its public id, its role, its place in the stack.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many layers a world holds unless `MAX_LAYERS` says otherwise.
pub const DEFAULT_MAX_LAYERS: usize = 50;

/// The name by which files and the API know a layer: `"host"`, `"bid-card-3"`. Unique in its scene.
///
/// Written by whoever spawns the layer, never changed after. Cheap to clone.
#[derive(Component, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[component(immutable)]
pub struct LayerId(Arc<str>);

impl LayerId {
    /// The longest id, in bytes.
    pub const MAX_LENGTH: usize = 128;

    /// Wraps a name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a name looks like that can be used in a URL and a file name as it is.
    pub const PATTERN: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$";

    /// Whether the name can be used in a URL and a file name as it is: Latin letters, digits, `-`, `_` and `.`, which is not the first.
    pub fn is_well_formed(&self) -> bool {
        (1..=Self::MAX_LENGTH).contains(&self.0.len())
            && !self.0.starts_with('.')
            && self
                .0
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Borrow<str> for LayerId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for LayerId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl JsonSchema for LayerId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LayerId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": Self::PATTERN, "examples": ["host", "bid-card-3"]})
    }
}

/// A title for people, shown in lists. Written by spawning and by the API.
#[derive(Component, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct LayerName(pub String);

/// What a layer is for. It decides the z band that the layer stands in unless it has a `zIndex`.
#[derive(
    Component, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
#[component(immutable)]
pub enum Role {
    /// Items on show, such as NFTs and bids. Band 100.
    VisualFeed,
    /// The main character. Band 200.
    Host,
    /// A second character. Band 300.
    Assistant,
    /// Messages of viewers. Band 400.
    Chat,
    /// Texts, graphics, everything else. Band 500.
    #[default]
    Overlay,
}

impl Role {
    /// Every role, from the lowest band to the highest.
    pub const ALL: [Self; 5] = [
        Self::VisualFeed,
        Self::Host,
        Self::Assistant,
        Self::Chat,
        Self::Overlay,
    ];

    /// The `zIndex` of a layer that names none.
    pub const fn z_band(self) -> i32 {
        match self {
            Self::VisualFeed => 100,
            Self::Host => 200,
            Self::Assistant => 300,
            Self::Chat => 400,
            Self::Overlay => 500,
        }
    }
}

/// Place among the siblings: higher is nearer to the viewer; equal ones keep the order of the file.
///
/// `None` stands for the band of the layer's [`Role`].
#[derive(
    Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct ZIndex(pub Option<i32>);
