//! User and password as OBS and FFmpeg give them: only after the server has refused to connect and said how, and never as they are.
//!
//! The client hashes the password with a salt, and that with a challenge. So the server needs the key itself: this takes keys alone that
//! were made `readable`. Challenges are of the minute, so nothing is kept of a connection that was refused.
//!
//! Source: the exchange of `authmod=adobe` as librtmp and FFmpeg's `rtmpproto` speak it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// What is said to a client that has named no user yet.
pub const NEEDS_USER: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
/// What is said to one whose password is wrong.
pub const FAILED: &str =
    "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque=-";
/// Each minute has a challenge of its own; one is taken in its minute and the next.
const SECONDS: u64 = 60;

/// What makes this server's challenges its own.
pub struct Login {
    secret: [u8; 32],
}

impl Login {
    /// With a secret of this run.
    pub fn new() -> Self {
        let mut secret = [0; 32];
        if let Err(error) = getrandom::fill(&mut secret) {
            tracing::error!(%error, "the system gives no random numbers");
        }
        Self { secret }
    }

    /// What is said to a client that has named its user.
    pub fn challenge(&self, user: &str, now_ms: u64) -> String {
        let opaque = self.opaque(user, now_ms / 1000 / SECONDS);
        let salt = salt(user);
        format!(
            "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user={user}&salt={salt}&challenge={opaque}&opaque={opaque}"
        )
    }

    /// Whether `response` was made with `key`.
    pub fn is_right(&self, answer: &Answer<'_>, key: &str, now_ms: u64) -> bool {
        let minute = now_ms / 1000 / SECONDS;
        let is_ours = [minute, minute.saturating_sub(1)]
            .iter()
            .any(|minute| self.opaque(answer.user, *minute) == answer.opaque);
        let first = hash(&[answer.user, &salt(answer.user), key]);
        let expected = hash(&[&first, answer.opaque, answer.challenge]);
        is_ours && bool::from(expected.as_bytes().ct_eq(answer.response.as_bytes()))
    }

    fn opaque(&self, user: &str, minute: u64) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.secret);
        hasher.update(minute.to_be_bytes());
        hasher.update(user.as_bytes());
        hex(&hasher.finalize()[..12])
    }
}

/// What a client answers to a challenge.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Who it says it is.
    pub user: &'a str,
    /// As it was told.
    pub opaque: &'a str,
    /// Its own.
    pub challenge: &'a str,
    /// The hash of it all.
    pub response: &'a str,
}

/// The same for a user each time.
fn salt(user: &str) -> String {
    hex(&Sha256::digest(user.as_bytes())[..4])
}

fn hash(parts: &[&str]) -> String {
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(part.as_bytes());
    }
    STANDARD.encode(hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_answer_is_taken_for_two_minutes() {
        let login = Login::new();
        let now_ms = 120_000;
        let told = login.challenge("studio", now_ms);
        let opaque = told.rsplit('=').next().expect("an opaque");
        let first = hash(&["studio", &salt("studio"), "sm_key"]);
        let response = hash(&[&first, opaque, "0badcafe"]);
        let answer = Answer {
            user: "studio",
            opaque,
            challenge: "0badcafe",
            response: &response,
        };
        assert!(login.is_right(&answer, "sm_key", now_ms + 60_000));
        assert!(!login.is_right(&answer, "sm_other", now_ms));
        assert!(!login.is_right(&answer, "sm_key", now_ms + 120_000));
        assert!(!Login::new().is_right(&answer, "sm_key", now_ms));
    }
}
