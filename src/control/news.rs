//! What differs between two snapshots, as events for those who listen.

use std::collections::HashMap;
use std::sync::Arc;

use components::layer::{LayerId, LayerSpec};
use components::scene::SceneSpec;
use components::source::{ChatMessage, ChatSource, Source};
use serde_json::{Map, Value, json};

use super::events::Event;
use super::feeds;
use super::outputs;
use super::show::{Show, Snapshot};
use super::view;

/// The events of one change. When another scene came on air, its layers are not told one by one.
pub fn of(before: &Snapshot, after: &Snapshot, loads_scene: bool) -> Vec<Event> {
    let mut events = Vec::new();
    let (old, new) = (&before.show, &after.show);
    if loads_scene || old.program.id != new.program.id {
        let data = json!({
            "id": new.program.id,
            "name": new.program.spec.name,
            "previous": old.program.id,
        });
        events.push(Event::about("scene:activate", &new.program.id, data));
    }
    if loads_scene {
        let data = json!({"changes": *new.program.spec.data});
        events.push(Event::new("data:update", data));
    } else if !Arc::ptr_eq(&old.program.spec, &new.program.spec) {
        scene(&old.program.spec, &new.program.spec, &mut events);
    }
    let course = |snapshot: &Snapshot| snapshot.mix.as_ref().map(|mix| mix.place.course);
    if course(before) != course(after) && (after.mix.is_some() || before.mix.is_some()) {
        let kind = match (&before.mix, &after.mix) {
            (_, None) => "transition:end",
            (Some(_), Some(_)) if old.program.id != new.program.id && loads_scene => {
                "transition:start"
            }
            (None, Some(_)) => "transition:start",
            _ => "transition:update",
        };
        let data = json!(view::transition(after, after.tick));
        events.push(Event::about(kind, &new.program.id, data));
    }
    timelines(before, after, &mut events);
    feeds::news(before, after, &mut events);
    if old.program.is_edited != new.program.is_edited {
        let data = json!({"id": new.program.id, "edited": new.program.is_edited});
        events.push(Event::about("scene:update", &new.program.id, data));
    }
    let preview = |show: &Show| show.preview.as_ref().map(|scene| scene.id.clone());
    if preview(old) != preview(new) {
        let data = json!({"scene": preview(new)});
        events.push(Event::new("preview:update", data));
    }
    if old.config != new.config
        && let Ok(data) = serde_json::to_value(new.config.view())
    {
        events.push(Event::new("config:update", data));
    }
    outputs::news::of(&old.outputs, &new.outputs, &mut events);
    if (old.live_since_ms, old.pause) != (new.live_since_ms, new.pause) {
        let data = json!({
            "isLive": new.live_since_ms.is_some(),
            "isPaused": new.pause.is_some(),
            "startTime": new.live_since_ms,
        });
        events.push(Event::new("stream:status", data));
    }
    events
}

fn scene(old: &SceneSpec, new: &SceneSpec, events: &mut Vec<Event>) {
    let mut was: HashMap<&str, (&LayerSpec, Option<&str>)> = HashMap::new();
    walk(&old.layers, None, &mut |layer, parent| {
        was.insert(layer.id.as_str(), (layer, parent));
    });
    walk(&new.layers, None, &mut |layer, parent| {
        let id = layer.id.as_str();
        match was.remove(id) {
            None => {
                let data = json!({"id": id, "layer": view::layer(layer, parent)});
                events.push(Event::about("layer:create", id, data));
            }
            Some((old, old_parent)) => {
                if std::ptr::eq(old, layer) && old_parent == parent {
                    return;
                }
                if old.sound != layer.sound {
                    let changes =
                        differing(&view::json_of(&old.sound), &view::json_of(&layer.sound));
                    let data = json!({"layer": id, "changes": changes});
                    events.push(Event::about("audio:update", id, data));
                }
                if let (Source::Chat(was), Source::Chat(is)) = (&old.source, &layer.source) {
                    messages(id, was, is, events);
                    // Messages alone are told one by one, and not with all that were there before.
                    if old_parent == parent && differs_in_messages(old, layer) {
                        return;
                    }
                }
                let mut changes =
                    differing(&view::layer(old, old_parent), &view::layer(layer, parent));
                if let Some(items) = feeds::items(id, old, layer) {
                    // Said item by item, and not by the whole list.
                    changes.remove("source");
                    events.extend(items);
                }
                if !changes.is_empty() {
                    let data = json!({"id": id, "changes": changes});
                    events.push(Event::about("layer:update", id, data));
                }
            }
        }
    });
    let mut gone: Vec<&str> = was.into_keys().collect();
    gone.sort_unstable();
    for id in gone {
        events.push(Event::about("layer:delete", id, json!({"id": id})));
    }
    if old.audio != new.audio {
        let master = |spec: &SceneSpec| view::json_of(&spec.audio.master);
        let data = json!({"changes": differing(&master(old), &master(new))});
        events.push(Event::new("audio:update", data));
    }
    if !Arc::ptr_eq(&old.data, &new.data) {
        let changes = merge_patch(&old.data, &new.data);
        if !changes.is_empty() {
            events.push(Event::new("data:update", json!({"changes": changes})));
        }
    }
}

/// What came to a chat and what was taken away from it. The oldest go without a word when there are more than `maxMessages`.
fn messages(id: &str, old: &ChatSource, new: &ChatSource, events: &mut Vec<Event>) {
    let is_in = |message: &ChatMessage, list: &[Arc<ChatMessage>]| {
        list.iter().any(|other| other.id == message.id)
    };
    let was = |message: &Arc<ChatMessage>| old.messages.contains(message);
    let first_kept = old
        .messages
        .iter()
        .position(|message| is_in(message, &new.messages))
        .unwrap_or(old.messages.len());
    let is_full = new.messages.len() >= new.max_messages as usize;
    let gone: Vec<&str> = old
        .messages
        .iter()
        .enumerate()
        .filter(|(index, message)| {
            let made_room = is_full && *index < first_kept;
            !made_room && !is_in(message, &new.messages)
        })
        .map(|(_, message)| message.id.as_str())
        .collect();
    if !gone.is_empty() {
        let data = json!({"id": id, "messages": gone});
        events.push(Event::about("chat:delete", id, data));
    }
    let came: Vec<_> = new
        .messages
        .iter()
        .filter(|message| !was(message))
        .collect();
    if !came.is_empty() {
        let data = json!({"id": id, "messages": view::json_of(&came)});
        events.push(Event::about("chat:message", id, data));
    }
}

/// Whether two layers of a chat differ in nothing but their messages.
fn differs_in_messages(old: &LayerSpec, new: &LayerSpec) -> bool {
    let silent = |layer: &LayerSpec| {
        let mut layer = layer.without_children();
        if let Source::Chat(chat) = &mut layer.source {
            chat.messages.clear();
        }
        layer
    };
    let ids = |layer: &LayerSpec| -> Vec<LayerId> {
        let children = layer.children.iter();
        children.map(|child| child.id.clone()).collect()
    };
    silent(old) == silent(new) && ids(old) == ids(new)
}

fn timelines(before: &Snapshot, after: &Snapshot, events: &mut Vec<Event>) {
    if Arc::ptr_eq(&before.timelines, &after.timelines) {
        return;
    }
    for (id, timeline) in after.timelines.iter() {
        if before.timelines.get(id) != Some(timeline) {
            let data = json!(view::timeline(id, timeline, after.rate, after.tick));
            events.push(Event::about("timeline:update", id, data));
        }
    }
    for id in before.timelines.keys() {
        if !after.timelines.contains_key(id) {
            events.push(Event::about("timeline:delete", id, json!({"id": id})));
        }
    }
}

/// Calls `visit` with each layer and the name of the one above it.
fn walk<'a>(
    layers: &'a [Arc<LayerSpec>],
    parent: Option<&'a str>,
    visit: &mut dyn FnMut(&'a LayerSpec, Option<&'a str>),
) {
    for layer in layers {
        visit(layer, parent);
        walk(&layer.children, Some(layer.id.as_str()), visit);
    }
}

/// The fields of `new` that differ from those of `old`; what is gone is null.
pub(super) fn differing(old: &Value, new: &Value) -> Map<String, Value> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return Map::new();
    };
    let mut changes = Map::new();
    for (name, value) in new {
        if old.get(name) != Some(value) {
            changes.insert(name.clone(), value.clone());
        }
    }
    for name in old.keys() {
        if !new.contains_key(name) {
            changes.insert(name.clone(), Value::Null);
        }
    }
    changes
}

/// The merge patch (RFC 7396) that makes `new` of `old`.
pub fn merge_patch(old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (name, value) in new {
        match (old.get(name), value) {
            (Some(before), value) if before == value => {}
            (Some(Value::Object(before)), Value::Object(after)) => {
                patch.insert(name.clone(), merge_patch(before, after).into());
            }
            (_, value) => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    for name in old.keys() {
        if !new.contains_key(name) {
            patch.insert(name.clone(), Value::Null);
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_leads_from_the_old_to_the_new() {
        let (old, new) = (
            json!({"a": {"b": 1, "c": 2}, "d": 3, "e": {"f": 1}}),
            json!({"a": {"b": 1, "c": 5}, "e": {}, "g": [1]}),
        );
        let (Value::Object(mut old), Value::Object(new)) = (old, new) else {
            return;
        };
        let patch = merge_patch(&old, &new);
        assert_eq!(
            Value::Object(patch.clone()),
            json!({"a": {"c": 5}, "d": null, "e": {"f": null}, "g": [1]})
        );
        systems::data::merge_object(&mut old, &patch);
        assert_eq!(old, new);
    }
}
