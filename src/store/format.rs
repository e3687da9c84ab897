//! The version of what is saved, the way from an older one to today's, and the checksum of a document in a file.
//!
//! Both engines and the file of an export have the number of their format beside the documents. A release that changes what a document
//! looks like raises [`FORMAT`] and adds a row to [`MIGRATIONS`]; it then reads what every release before it wrote.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::Documents;
use super::error::StoreError;

/// The format that this release writes.
pub const FORMAT: u32 = 1;
/// Bytes of a checksum.
const CHECKSUM_BYTES: usize = 8;

/// A step from one format to the next.
pub struct Migration {
    /// The format that it starts from; it makes of it the next.
    pub from: u32,
    /// What it does, for the log.
    pub what: &'static str,
    /// Does it.
    ///
    /// # Errors
    /// Which document cannot be brought over, and why.
    pub apply: fn(&mut Documents) -> Result<(), String>,
}

/// Every step, oldest first.
pub const MIGRATIONS: &[Migration] = &[];

/// Brings documents to today's format.
///
/// # Errors
/// A newer format than this release knows, or a document that a step cannot read.
pub fn bring_up(place: &str, format: u32, documents: &mut Documents) -> Result<(), StoreError> {
    bring_up_by(MIGRATIONS, FORMAT, place, format, documents)
}

fn bring_up_by(
    steps: &[Migration],
    known: u32,
    place: &str,
    format: u32,
    documents: &mut Documents,
) -> Result<(), StoreError> {
    if format > known {
        return Err(StoreError::Newer {
            place: place.to_owned(),
            found: format,
            known,
        });
    }
    for at in format..known {
        let corrupt = |what: String| StoreError::Corrupt {
            place: place.to_owned(),
            what,
            way_out: "use the release that wrote it, or an export of it".to_owned(),
        };
        let step = steps
            .iter()
            .find(|step| step.from == at)
            .ok_or_else(|| corrupt(format!("nothing is known of format {at}")))?;
        (step.apply)(documents).map_err(corrupt)?;
        tracing::info!(from = at, to = at + 1, "{}", step.what);
    }
    Ok(())
}

/// A document as a file keeps it: its checksum, which holds its name too, before its bytes.
pub(super) fn seal(key: &str, bytes: &[u8]) -> Vec<u8> {
    let mut sealed = checksum(key, bytes).to_vec();
    sealed.extend_from_slice(bytes);
    sealed
}

/// The document that was sealed; `None` when it is another one.
pub(super) fn unseal(key: &str, sealed: &[u8]) -> Option<Bytes> {
    let (found, bytes) = sealed.split_at_checked(CHECKSUM_BYTES)?;
    (found == checksum(key, bytes)).then(|| Bytes::copy_from_slice(bytes))
}

fn checksum(key: &str, bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hash = Sha256::new();
    hash.update((key.len() as u64).to_le_bytes());
    hash.update(key);
    hash.update(bytes);
    let whole: [u8; 32] = hash.finalize().into();
    let mut short = [0; CHECKSUM_BYTES];
    short.copy_from_slice(&whole[..CHECKSUM_BYTES]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Migration] = &[
        Migration {
            from: 1,
            what: "the show keeps its name under `title`",
            apply: |documents| {
                let Some(show) = documents.get_mut("show") else {
                    return Ok(());
                };
                let mut value: serde_json::Value =
                    serde_json::from_slice(show).map_err(|error| format!("`show`: {error}"))?;
                let object = value.as_object_mut().ok_or("`show` is no object")?;
                if let Some(name) = object.remove("name") {
                    object.insert("title".to_owned(), name);
                }
                *show = value.to_string().into();
                Ok(())
            },
        },
        Migration {
            from: 2,
            what: "old figures are let go",
            apply: |documents| {
                documents.retain(|key, _| !key.starts_with("figures/"));
                Ok(())
            },
        },
    ];

    fn old() -> Documents {
        Documents::from([
            ("show".into(), Bytes::from_static(br#"{"name":"Evening"}"#)),
            ("figures/fps".into(), Bytes::from_static(b"30")),
        ])
    }

    #[test]
    fn what_older_releases_wrote_is_brought_over_step_by_step() {
        let mut documents = old();
        bring_up_by(STEPS, 3, "state.redb", 1, &mut documents).expect("known formats");
        assert_eq!(documents.len(), 1);
        assert_eq!(&documents["show"][..], br#"{"title":"Evening"}"#);
        let mut documents = old();
        bring_up_by(STEPS, 3, "state.redb", 2, &mut documents).expect("one step");
        assert_eq!(&documents["show"][..], br#"{"name":"Evening"}"#);
    }

    #[test]
    fn a_newer_format_and_a_missing_or_failing_step_are_refused() {
        let error = bring_up_by(STEPS, 3, "state.redb", 4, &mut old()).expect_err("newer");
        let text = error.to_string();
        assert!(matches!(error, StoreError::Newer { found: 4, .. }));
        assert!(
            text.contains("format 4") && text.contains("up to 3"),
            "{text}"
        );
        assert!(bring_up_by(STEPS, 4, "state.redb", 1, &mut old()).is_err());
        let mut broken = old();
        broken.insert("show".into(), Bytes::from_static(b"["));
        let error = bring_up_by(STEPS, 3, "state.redb", 1, &mut broken).expect_err("no JSON");
        assert!(error.to_string().contains("`show`"), "{error}");
    }

    #[test]
    fn a_sealed_document_is_known_by_its_name_and_its_bytes() {
        let sealed = seal("data", b"{}");
        assert_eq!(unseal("data", &sealed).as_deref(), Some(&b"{}"[..]));
        assert_eq!(unseal("date", &sealed), None);
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert_eq!(unseal("data", &other), None, "byte {at}");
        }
        assert_eq!(unseal("data", b"short"), None);
    }
}
