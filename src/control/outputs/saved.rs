//! What the API has changed of the outputs: a part of the show, and saved with it. It may hold stream keys.

use std::collections::BTreeMap;
use std::path::Path;

use components::output::OutputSpec;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Everything that is saved. It is laid over what settings and scene ask for, so that a change of those still comes through wherever the
/// API said nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Saved {
    /// By the outputs' names.
    pub outputs: BTreeMap<String, SavedOutput>,
    /// Fields of renditions, by their names.
    pub renditions: BTreeMap<String, Map<String, Value>>,
}

/// What is saved of one output.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SavedOutput {
    /// The API added it.
    Added(Box<OutputSpec>),
    /// The API changed these fields of one that settings or scene ask for (JSON merge patch).
    Changed(Map<String, Value>),
    /// The API removed one that settings or scene ask for.
    Removed,
}

/// A patch may hold a key.
impl std::fmt::Debug for SavedOutput {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Added(_) => "Added",
            Self::Changed(_) => "Changed",
            Self::Removed => "Removed",
        })
    }
}

impl Saved {
    /// What the file of an earlier release holds; `None` when it is not there.
    ///
    /// # Errors
    /// The file is there and cannot be read: it is left as it is.
    pub fn open(path: &Path) -> anyhow::Result<Option<Self>> {
        match std::fs::read(path) {
            // serde's own words could repeat a key.
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                anyhow::anyhow!(
                    "`{}` holds no outputs: line {}, column {} cannot be read",
                    path.display(),
                    error.line(),
                    error.column()
                )
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => anyhow::bail!("`{}` cannot be read: {error}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_release_saved_is_read_and_no_key_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("outputs.json");
        assert_eq!(Saved::open(&path).expect("nothing"), None);
        let mut saved = Saved::default();
        let text = r#"{"id": "a", "url": "rtmp://host/app", "key": "abcd-1234"}"#;
        let spec = serde_json::from_str(text).expect("an output");
        let added = SavedOutput::Added(Box::new(spec));
        saved.outputs.insert("a".to_owned(), added);
        saved.outputs.insert("b".to_owned(), SavedOutput::Removed);
        std::fs::write(&path, serde_json::to_vec(&saved).expect("JSON")).expect("written");
        assert!(!format!("{saved:?}").contains("1234"));
        assert_eq!(Saved::open(&path).expect("the same"), Some(saved));
        std::fs::write(&path, r#"{"outputs": {"a": {"added": "abcd-1234"}}}"#).expect("a file");
        let error = Saved::open(&path).expect_err("no outputs").to_string();
        assert!(!error.contains("1234"), "{error}");
    }
}
