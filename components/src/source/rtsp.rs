//! A camera, over RTSP.

use bevy_ecs::component::Component;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::Reception;
use super::video::check_src;
use crate::validate::{Problems, Validate};

/// An RTSP server's stream: H.264 or H.265, with AAC or G.711.
///
/// `{"type": "rtsp", "url": "rtsp://camera.local/stream", "username": "viewer", "passwordFrom": "RTSP_PASSWORD_CAMERA"}`
#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RtspSource {
    /// `rtsp://host[:port]/path`, without user and password.
    #[schemars(length(min = 1, max = 2048), example = "rtsp://camera.local/stream")]
    pub url: String,
    /// How its packets travel. Default `tcp`.
    #[serde(default, skip_serializing_if = "RtspTransport::is_default")]
    pub transport: RtspTransport,
    /// The user, where the server asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub username: Option<String>,
    /// The environment variable that holds the password. Its name begins with `RTSP_PASSWORD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^RTSP_PASSWORD[A-Z0-9_]{0,64}$"))]
    pub password_from: Option<String>,
    /// How it is held together.
    #[serde(default, skip_serializing_if = "Reception::is_default")]
    pub reception: Reception,
}

/// How the packets of an RTSP stream travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RtspTransport {
    /// In the connection itself.
    #[default]
    Tcp,
    /// As datagrams beside it.
    Udp,
}

impl RtspTransport {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Validate for RtspSource {
    fn validate(&self, problems: &mut Problems) {
        problems.at("url", |problems| {
            check_src(&self.url, problems);
            if !self.url.starts_with("rtsp://") {
                problems.report("expected an address that begins with `rtsp://`");
            }
        });
        if let Some(name) = &self.password_from {
            let is_well_formed = name.starts_with("RTSP_PASSWORD")
                && name.len() <= 77
                && name
                    .bytes()
                    .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
            if !is_well_formed {
                problems.at("passwordFrom", |problems| {
                    problems.report(
                        "expected the name of an environment variable that begins with `RTSP_PASSWORD`",
                    );
                });
            }
        }
        problems.at("reception", |problems| self.reception.validate(problems));
    }
}
