//! Outputs as they may be shown, and what becomes of a stand-in that comes back.

use std::sync::Arc;

use codec::redact_url;
use components::Problem;
use components::output::{OutputSpec, OutputType, Secret};
use components::scene::SceneSpec;
use serde_json::{Map, Value};

use crate::control::error::{ApiError, ErrorCode};

/// The output without what is secret of it: `***` stands in its place.
pub fn masked(spec: &OutputSpec) -> OutputSpec {
    let mut shown = spec.clone();
    let is_path = matches!(spec.way(), Some(OutputType::File | OutputType::Hls));
    let has_key = spec.key.is_some() || spec.key_from.is_some();
    let mask = |url: &Secret| match url.reveal() {
        url if is_path || has_key && is_application(url) => Secret::new(url),
        url => Secret::new(redact_url(url)),
    };
    shown.url = spec.url.as_ref().map(mask);
    shown.backup_urls = spec.backup_urls.iter().map(mask).collect();
    shown.key = spec.key.as_ref().map(|_| Secret::new(Secret::MASK));
    shown
}

/// Whether an RTMP address names a host and an application alone, which is no secret where the key stands beside it.
fn is_application(url: &str) -> bool {
    let path = url
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'));
    let is_one = |(_, path): (&str, &str)| !path.trim_end_matches('/').contains('/');
    path.is_some_and(is_one) && !url.contains(['@', '?'])
}

/// A scene whose outputs are masked.
pub fn masked_scene(scene: &SceneSpec) -> SceneSpec {
    let mut shown = scene.clone();
    for output in &mut shown.outputs {
        *output = Arc::new(masked(output));
    }
    shown
}

/// Puts back what stands for a secret in a scene that came in a request: from the scene of this name, where its outputs have it.
///
/// # Errors
/// A stand-in for which there is no secret.
pub fn keep_scene_secrets(scene: &mut Value, before: Option<&SceneSpec>) -> Result<(), ApiError> {
    let Some(Value::Array(outputs)) = scene.get_mut("outputs") else {
        return Ok(());
    };
    for (index, output) in outputs.iter_mut().enumerate() {
        let Value::Object(output) = output else {
            continue;
        };
        let id = output.get("id").and_then(Value::as_str);
        let before = before.into_iter().flat_map(|scene| &scene.outputs);
        let same = before.clone().find(|spec| Some(spec.id.as_str()) == id);
        let known = same.map(|spec| Shown::of(spec)).unwrap_or_default();
        put_back(output, &known, &format!("outputs[{index}]."))?;
    }
    Ok(())
}

/// A patch in which what stands for a secret is the secret again.
///
/// # Errors
/// A stand-in that is not what is shown.
pub(super) fn without_masks(
    spec: &OutputSpec,
    patch: &Map<String, Value>,
) -> Result<Map<String, Value>, ApiError> {
    let mut patch = patch.clone();
    put_back(&mut patch, &Shown::of(spec), "")?;
    Ok(patch)
}

/// Refuses a new output with stand-ins, behind which there is no secret.
///
/// # Errors
/// The first of them.
pub(super) fn without_stand_ins(spec: &OutputSpec) -> Result<(), ApiError> {
    let is_masked = |secret: &Option<Secret>| secret.as_ref().is_some_and(Secret::is_masked);
    let backups = spec.backup_urls.iter().enumerate();
    let field = match () {
        () if is_masked(&spec.url) => Some("url".to_owned()),
        () if is_masked(&spec.key) => Some("key".to_owned()),
        () => backups
            .clone()
            .find(|(_, url)| url.is_masked())
            .map(|(index, _)| format!("backupUrls[{index}]")),
    };
    field.map_or(Ok(()), |field| Err(stand_in(field)))
}

/// What is shown of an output's secrets beside what they are.
#[derive(Default)]
struct Shown(Vec<(String, String)>);

impl Shown {
    fn of(spec: &OutputSpec) -> Self {
        let shown = masked(spec);
        let pairs =
            |shown: &Secret, is: &Secret| (shown.reveal().to_owned(), is.reveal().to_owned());
        let urls = shown.url.iter().zip(&spec.url);
        let keys = shown.key.iter().zip(&spec.key);
        let backups = shown.backup_urls.iter().zip(&spec.backup_urls);
        Self(
            urls.chain(keys)
                .chain(backups)
                .map(|(shown, is)| pairs(shown, is))
                .collect(),
        )
    }

    fn secret(&self, shown: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == shown);
        found.map(|(_, secret)| secret.as_str())
    }
}

fn put_back(fields: &mut Map<String, Value>, known: &Shown, at: &str) -> Result<(), ApiError> {
    let back = |value: &mut Value, field: String| -> Result<(), ApiError> {
        let Value::String(text) = value else {
            return Ok(());
        };
        if text.contains(Secret::MASK) {
            let secret = known.secret(text).ok_or_else(|| stand_in(field))?;
            *text = secret.to_owned();
        }
        Ok(())
    };
    for name in ["url", "key"] {
        if let Some(value) = fields.get_mut(name) {
            back(value, format!("{at}{name}"))?;
        }
    }
    if let Some(Value::Array(backups)) = fields.get_mut("backupUrls") {
        for (index, value) in backups.iter_mut().enumerate() {
            back(value, format!("{at}backupUrls[{index}]"))?;
        }
    }
    Ok(())
}

fn stand_in(path: String) -> ApiError {
    let problem = Problem {
        path,
        message: "`***` stands for what is not shown; write it whole, or as it is shown to keep it"
            .to_owned(),
        ..Problem::default()
    };
    ApiError::problems(ErrorCode::Invalid, &[problem])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn output(value: Value) -> OutputSpec {
        serde_json::from_value(value).expect("an output")
    }

    #[test]
    fn nothing_secret_is_shown_and_what_is_shown_leads_back() {
        let spec = output(json!({
            "id": "a", "url": "rtmp://user:pass@host/live/abcd-1234?token=zzzz",
            "backupUrls": ["rtmp://other/live/efgh-5678", "srt://x:1?passphrase=hidden-words"],
        }));
        let shown = serde_json::to_string(&masked(&spec)).expect("JSON");
        for secret in ["pass@", "1234", "zzzz", "5678", "hidden-words"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let Value::Object(patch) = serde_json::from_str(&shown).expect("JSON") else {
            return;
        };
        let back = without_masks(&spec, &patch).expect("as it was");
        assert_eq!(output(Value::Object(back)), spec);
        let other = json!({"url": "rtmp://elsewhere/live/***"});
        let Value::Object(other) = other else { return };
        assert!(without_masks(&spec, &other).is_err());
        assert!(without_stand_ins(&masked(&spec)).is_err());
        assert!(without_stand_ins(&spec).is_ok());
    }

    #[test]
    fn an_application_and_a_file_are_shown() {
        let url = |value: Value| {
            masked(&output(value))
                .url
                .map(|url| url.reveal().to_owned())
        };
        let app = json!({"id": "a", "url": "rtmp://host/live", "key": "abcd-1234"});
        assert_eq!(url(app).as_deref(), Some("rtmp://host/live"));
        let keyless = json!({"id": "a", "url": "rtmp://host/abcd-1234"});
        assert_eq!(url(keyless).as_deref(), Some("rtmp://host/***"));
        let file = json!({"id": "a", "url": "friday.mp4"});
        assert_eq!(url(file).as_deref(), Some("friday.mp4"));
    }

    #[test]
    fn a_scene_that_comes_back_keeps_its_keys() {
        let mut scene = SceneSpec::new("s");
        let spec = output(json!({"id": "a", "url": "rtmp://host/live/abcd-1234"}));
        scene.outputs.push(Arc::new(spec));
        let mut back = serde_json::to_value(masked_scene(&scene)).expect("JSON");
        assert!(!back.to_string().contains("1234"));
        keep_scene_secrets(&mut back, Some(&scene)).expect("known");
        assert_eq!(back["outputs"][0]["url"], "rtmp://host/live/abcd-1234");
        let mut lost = serde_json::to_value(masked_scene(&scene)).expect("JSON");
        assert!(keep_scene_secrets(&mut lost, None).is_err());
    }
}
