//! The table written out for people: `.env.example` and the README. A test holds both files to these functions.

use super::table::{self, Setting};

/// The text of `.env.example`.
#[must_use]
pub fn env_example() -> String {
    let mut text = String::from(
        "# Every setting with its default. Copy this file to `.env` and uncomment what you change.\n\
         # The environment and flags such as `--target-fps 60` win over `.env`; `.env` wins over a `--config` file.\n\
         # A value with spaces, `#` or `$` goes between single quotes.\n",
    );
    let mut group = "";
    for setting in table::all() {
        if setting.group != group {
            group = setting.group;
            text.push_str(&format!("\n## {group}\n"));
        }
        let Setting {
            name,
            default,
            doc,
            allowed,
            ..
        } = setting;
        text.push_str(&format!(
            "\n# {doc}.\n# Allowed: {allowed}.\n#{name}={default}\n"
        ));
    }
    text
}

/// The settings as a Markdown table.
#[must_use]
pub fn markdown_table() -> String {
    let mut text = String::from("| Setting | Default | Meaning |\n|---|---|---|\n");
    for setting in table::all() {
        let default = match setting.default {
            "" => "none".to_owned(),
            default => format!("`{default}`"),
        };
        let Setting { name, doc, .. } = setting;
        text.push_str(&format!("| `{name}` | {default} | {doc} |\n"));
    }
    text
}
