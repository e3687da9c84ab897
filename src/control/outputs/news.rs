//! What differs between two lists of outputs, as events. Nothing secret is in them.

use components::output::OutputSpec;
use serde_json::{Map, Value, json};

use super::{OutputList, masked};
use crate::control::events::Event;
use crate::control::view::json_of;

/// Tells of outputs that came, changed and went, and of renditions that changed.
pub fn of(old: &OutputList, new: &OutputList, events: &mut Vec<Event>) {
    if old == new {
        return;
    }
    for entry in &new.outputs {
        let id = entry.spec.id.as_str();
        match old.output(id) {
            Err(_) => {
                let data = json!({"id": id, "output": shown(&entry.spec)});
                events.push(Event::about("output:create", id, data));
            }
            Ok(before) if before.spec != entry.spec => {
                let mut changes = differing(&shown(&before.spec), &shown(&entry.spec));
                if changes.is_empty() {
                    // A secret alone: that it is another one may be known.
                    changes.insert("key".to_owned(), "***".into());
                }
                let data = json!({"id": id, "changes": changes});
                events.push(Event::about("output:update", id, data));
            }
            Ok(_) => {}
        }
    }
    for entry in &old.outputs {
        let id = entry.spec.id.as_str();
        if new.output(id).is_err() {
            events.push(Event::about("output:delete", id, json!({"id": id})));
        }
    }
    for spec in &new.renditions {
        let id = spec.id.as_str();
        if let Ok(before) = old.rendition(id)
            && before != spec
        {
            let changes = differing(&json_of(&**before), &json_of(&**spec));
            let data = json!({"id": id, "changes": changes});
            events.push(Event::about("rendition:update", id, data));
        }
    }
}

fn shown(spec: &OutputSpec) -> Value {
    json_of(&masked(spec))
}

/// The fields that differ; what is gone is null.
fn differing(old: &Value, new: &Value) -> Map<String, Value> {
    super::super::news::differing(old, new)
}
