//! From JSON to layers, sources and timelines: kind first, then its fields.
//!
//! Every function adds all problems that it finds, each at its whole path, and what it can still make of the value is checked further,
//! so that one look at a file shows everything. Files and API bodies are read by the same functions.

use std::sync::Arc;

use components::animation::{Property, TimelineSpec, TrackSpec};
use components::layer::{LayerSpec, Size};
use components::output::{OutputSpec, RenditionSpec};
use components::source::{
    AudioSource, AvatarSource, ChatSource, ColourSource, GradientSource, GroupSource, ImageSource,
    IngestSource, RtspSource, SceneSource, ShapeSource, Source, TextSource, TickerSource,
    VideoSource, VisualFeedSource,
};
use components::{Number, Problem, Problems, Validate};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::effects::effects;
use super::reader::{self, MAX_PROBLEMS, Read, Skip};
use super::span::push_name;
use super::{fault, words};

/// A kind of source: its `type`, how its fields are read, and an example for people and for the schema.
pub struct SourceKind {
    /// The `type` as files write it.
    pub name: &'static str,
    /// A source of this kind as JSON.
    pub example: &'static str,
    read: fn(&Value, &str, &mut Vec<Problem>) -> Read<Source>,
}

/// Every kind of source. To add one: a line here, beside its file in `components` and its systems.
pub const SOURCE_KINDS: &[SourceKind] = &[
    SourceKind {
        name: "color",
        example: r##"{"type": "color", "color": "#0b0d17"}"##,
        read: |value, path, found| fields_of::<ColourSource>(value, path, found, Source::Colour),
    },
    SourceKind {
        name: "gradient",
        example: r##"{"type": "gradient", "gradient": {"angle": 90, "stops": [{"at": 0, "color": "#f06"}, {"at": 1, "color": "#06f"}]}}"##,
        read: |value, path, found| {
            fields_of::<GradientSource>(value, path, found, Source::Gradient)
        },
    },
    SourceKind {
        name: "image",
        example: r#"{"type": "image", "src": "assets/sunset.webp"}"#,
        read: |value, path, found| fields_of::<ImageSource>(value, path, found, Source::Image),
    },
    SourceKind {
        name: "shape",
        example: r##"{"type": "shape", "shape": "rectangle", "radius": 24, "fill": "#ffffff14", "stroke": {"paint": "#ffffff33", "width": 2}}"##,
        read: |value, path, found| fields_of::<ShapeSource>(value, path, found, Source::Shape),
    },
    SourceKind {
        name: "text",
        example: r#"{"type": "text", "text": "Current bid {{bid.amount}}", "font": {"family": "Inter", "size": 48, "weight": 700}}"#,
        read: |value, path, found| fields_of::<TextSource>(value, path, found, Source::Text),
    },
    SourceKind {
        name: "avatar",
        example: r#"{"type": "avatar", "states": {"idle": {"src": "host/body.svg"}}, "eyes": "host/eyes.svg", "blink": {"src": "host/blink.svg"}}"#,
        read: |value, path, found| fields_of::<AvatarSource>(value, path, found, Source::Avatar),
    },
    SourceKind {
        name: "ticker",
        example: r##"{"type": "ticker", "items": ["Doors open at eight", {"text": "Sold out", "fill": "#ff5c5c"}], "speed": 120, "font": {"size": 36, "weight": 600}}"##,
        read: |value, path, found| fields_of::<TickerSource>(value, path, found, Source::Ticker),
    },
    SourceKind {
        name: "chat",
        example: r#"{"type": "chat", "messages": [{"author": "Mira", "text": "Good evening 👋", "badges": ["MOD"]}], "lifetime": 30, "entrance": {"type": "slide"}}"#,
        read: |value, path, found| {
            fields_of::<ChatSource>(value, path, found, |chat| Source::Chat(Box::new(chat)))
        },
    },
    SourceKind {
        name: "visualFeed",
        example: r#"{"type": "visualFeed", "items": [{"id": "lot-1", "title": "Molten Choir", "bid": 2.4, "endsIn": 600}], "dwell": 8}"#,
        read: feed,
    },
    SourceKind {
        name: "scene",
        example: r#"{"type": "scene", "src": "scoreboard", "background": true, "data": {"title": "Lot 12"}}"#,
        read: |value, path, found| fields_of::<SceneSource>(value, path, found, Source::Scene),
    },
    SourceKind {
        name: "video",
        example: r#"{"type": "video", "src": "assets/intro.mp4", "loop": true}"#,
        read: |value, path, found| fields_of::<VideoSource>(value, path, found, Source::Video),
    },
    SourceKind {
        name: "rtsp",
        example: r#"{"type": "rtsp", "url": "rtsp://camera.local/stream", "username": "viewer", "passwordFrom": "RTSP_PASSWORD_CAMERA"}"#,
        read: |value, path, found| fields_of::<RtspSource>(value, path, found, Source::Rtsp),
    },
    SourceKind {
        name: "ingest",
        example: r#"{"type": "ingest", "key": "guest", "reception": {"timeout": 3, "fallback": "assets/back-soon.webp"}}"#,
        read: |value, path, found| fields_of::<IngestSource>(value, path, found, Source::Ingest),
    },
    SourceKind {
        name: "audio",
        example: r#"{"type": "audio", "src": "assets/bed.opus", "loop": true, "fadeIn": 2}"#,
        read: |value, path, found| fields_of::<AudioSource>(value, path, found, Source::Audio),
    },
    SourceKind {
        name: "group",
        example: r#"{"type": "group"}"#,
        read: |value, path, found| fields_of::<GroupSource>(value, path, found, Source::Group),
    },
];

/// Reads and checks a layer with its children; `None` when a problem was added.
///
/// Rules that need the rest of the scene (unique ids, data, files, counts) are those of [`super::validate`].
pub fn parse_layer(value: &Value, path: &str, problems: &mut Problems) -> Option<LayerSpec> {
    collect(problems, |found| Some(layer(value, path, found)))
}

/// Reads and checks a source; `None` when a problem was added.
pub fn parse_source(value: &Value, path: &str, problems: &mut Problems) -> Option<Source> {
    collect(problems, |found| {
        let read = source(value, path, found);
        if let Some(source) = &read.value {
            let failed = paths(found);
            check(source, path, &failed, found);
        }
        read.value
    })
}

/// Reads and checks a timeline with its tracks; `None` when a problem was added.
pub fn parse_timeline(value: &Value, path: &str, problems: &mut Problems) -> Option<TimelineSpec> {
    collect(problems, |found| Some(timeline(value, path, found)))
}

/// Reads a value of any authored type, and checks it; `None` when a problem was added.
pub fn parse_value<T>(value: &Value, path: &str, problems: &mut Problems) -> Option<T>
where
    T: DeserializeOwned + Validate,
{
    collect(problems, |found| {
        let mut failed = Vec::new();
        take_checked(value, path, &mut failed, found)
    })
}

/// Reads a request's body of any type, without its field `tag`, if any, which others have read; adds every problem.
pub(crate) fn read_body<T: DeserializeOwned>(
    value: &Value,
    path: &str,
    tag: Option<&str>,
    found: &mut Vec<Problem>,
) -> Option<T> {
    let skip = tag.map_or_else(Skip::default, Skip::field);
    reader::read(value, path, skip, found).value
}

pub(super) fn collect<T>(
    problems: &mut Problems,
    read: impl FnOnce(&mut Vec<Problem>) -> Option<T>,
) -> Option<T> {
    let mut found = Vec::new();
    let value = read(&mut found).filter(|_| found.is_empty());
    for problem in found {
        problems.push(problem);
    }
    value
}

/// A layer as far as it can be read; broken fields have their defaults.
pub(super) fn layer(value: &Value, path: &str, found: &mut Vec<Problem>) -> LayerSpec {
    let mut layer = LayerSpec::new("");
    let Value::Object(map) = value else {
        found.push(fault::mismatch("an object", value, path));
        return layer;
    };
    let mut own = Vec::new();
    let mut failed = Vec::new();
    for (name, value) in map {
        if own.len() >= MAX_PROBLEMS {
            break;
        }
        let path = &field(path, name);
        let slot = Slot {
            value,
            path,
            failed: &mut failed,
            found: &mut own,
        };
        match name.as_str() {
            "id" => slot.fill(&mut layer.id),
            "name" => slot.fill(&mut layer.name),
            "type" => slot.fill(&mut layer.role),
            "source" => {
                let read = source(value, path, slot.found);
                slot.keep(read, &mut layer.source);
            }
            "visible" => slot.fill(&mut layer.visible),
            "position" => slot.fill(&mut layer.position),
            "size" => {
                // A stand-in for a broken size, so that nothing complains of its absence.
                layer.size = Some(Size {
                    width: Number::Literal(1.0),
                    height: Number::Literal(1.0),
                });
                slot.fill(&mut layer.size);
            }
            "anchor" => slot.fill(&mut layer.anchor),
            "scale" => slot.fill(&mut layer.scale),
            "rotation" => slot.fill(&mut layer.rotation),
            "opacity" => slot.fill(&mut layer.opacity),
            "zIndex" => slot.fill(&mut layer.z_index),
            "blend" => slot.fill(&mut layer.blend),
            "crop" => slot.fill(&mut layer.crop),
            "fit" => slot.fill(&mut layer.fit),
            "effects" => layer.effects = effects(value, path, slot.found),
            "sound" => slot.fill(&mut layer.sound),
            "enter" => slot.fill(&mut layer.enter),
            "exit" => slot.fill(&mut layer.exit),
            "children" => {
                layer.children = list(value, path, found, |value, path, found| {
                    Arc::new(self::layer(value, path, found))
                })
            }
            _ => own.push(fault::unknown_field(name, path, LayerSpec::FIELDS)),
        }
    }
    failed.extend(paths(&own));
    if !map.contains_key("id") {
        own.push(fault::missing("id", "layer", path));
        failed.push(field(path, "id"));
    }
    check(&layer, path, &failed, &mut own);
    found.append(&mut own);
    layer
}

/// A source by its `type`.
fn source(value: &Value, path: &str, found: &mut Vec<Problem>) -> Read<Source> {
    let broken = Read {
        value: None,
        clean: false,
    };
    let Value::Object(map) = value else {
        found.push(fault::mismatch("an object with a `type`", value, path));
        return broken;
    };
    let Some(kind) = map.get("type") else {
        let mut problem = fault::missing("type", "source", path);
        problem.help = words::suggest("", Source::KINDS);
        found.push(problem);
        return broken;
    };
    let kind_path = field(path, "type");
    let Value::String(name) = kind else {
        found.push(fault::mismatch(
            "the name of a kind of source",
            kind,
            &kind_path,
        ));
        return broken;
    };
    match SOURCE_KINDS.iter().find(|kind| kind.name == name) {
        Some(kind) => (kind.read)(value, path, found),
        None => {
            found.push(Problem {
                path: kind_path,
                message: format!("unknown kind of source {}", words::name(name)),
                help: words::suggest(name, Source::KINDS),
                on_key: false,
            });
            broken
        }
    }
}

/// A feed with the layers of its template.
fn feed(value: &Value, path: &str, found: &mut Vec<Problem>) -> Read<Source> {
    let skip = Skip::field("type").and_field("template");
    let mut read: Read<VisualFeedSource> = reader::read(value, path, skip, found);
    let template = value.get("template").filter(|template| !template.is_null());
    if let (Some(template), Some(feed)) = (template, &mut read.value) {
        let layers = list(template, &field(path, "template"), found, layer);
        feed.template = Some(layers.into_iter().map(Arc::new).collect());
    }
    Read {
        value: read.value.map(Source::VisualFeed),
        clean: read.clean,
    }
}

fn fields_of<T: DeserializeOwned>(
    value: &Value,
    path: &str,
    found: &mut Vec<Problem>,
    wrap: fn(T) -> Source,
) -> Read<Source> {
    let read = reader::read(value, path, Skip::field("type"), found);
    Read {
        value: read.value.map(wrap),
        clean: read.clean,
    }
}

/// A timeline as far as it can be read; broken tracks name no layer.
pub(super) fn timeline(value: &Value, path: &str, found: &mut Vec<Problem>) -> TimelineSpec {
    let mut timeline = TimelineSpec::new("");
    let mut own = Vec::new();
    let mut failed = Vec::new();
    let read = reader::read(value, path, Skip::field("tracks"), &mut own);
    let readable = read.value.is_some();
    if let Some(read) = read.value {
        timeline = read;
    }
    failed.extend(paths(&own));
    if let Some(tracks) = value.get("tracks") {
        let path = field(path, "tracks");
        timeline.tracks = list(tracks, &path, &mut own, |value, path, found| {
            let before = found.len();
            let read = reader::read(value, path, Skip::default(), found);
            failed.extend(
                found
                    .iter()
                    .skip(before)
                    .map(|problem| problem.path.clone()),
            );
            read.value.unwrap_or_else(|| {
                failed.push(path.to_owned());
                TrackSpec::new("", Property::Opacity, Vec::new())
            })
        });
        if !tracks.is_array() {
            failed.push(path);
        }
    }
    if readable {
        check(&timeline, path, &failed, &mut own);
    } else {
        for (index, track) in timeline.tracks.iter().enumerate() {
            let path = format!("{}[{index}]", field(path, "tracks"));
            check(track, &path, &failed, &mut own);
        }
    }
    found.append(&mut own);
    timeline
}

/// A rendition; a stand-in without a name when it cannot be read.
pub(super) fn rendition(value: &Value, path: &str, found: &mut Vec<Problem>) -> RenditionSpec {
    take_checked(value, path, &mut Vec::new(), found).unwrap_or_default()
}

/// An output; a stand-in without a name when it cannot be read.
pub(super) fn output(value: &Value, path: &str, found: &mut Vec<Problem>) -> OutputSpec {
    let read = take_checked(value, path, &mut Vec::new(), found);
    read.unwrap_or_else(|| OutputSpec::new(""))
}

/// Every element of a list, the broken ones in their place.
pub(super) fn list<T>(
    value: &Value,
    path: &str,
    found: &mut Vec<Problem>,
    mut read: impl FnMut(&Value, &str, &mut Vec<Problem>) -> T,
) -> Vec<T> {
    let Value::Array(list) = value else {
        found.push(fault::mismatch("a list", value, path));
        return Vec::new();
    };
    let mut elements = Vec::new();
    for (index, value) in list.iter().enumerate() {
        // Past the bound on problems nobody reads on.
        if found.len() >= MAX_PROBLEMS {
            break;
        }
        elements.push(read(value, &format!("{path}[{index}]"), found));
    }
    elements
}

/// Reads a value and checks it as far as it could be read.
pub(super) fn take_checked<T>(
    value: &Value,
    path: &str,
    failed: &mut Vec<String>,
    found: &mut Vec<Problem>,
) -> Option<T>
where
    T: DeserializeOwned + Validate,
{
    let mut own = Vec::new();
    let read: Read<T> = reader::read(value, path, Skip::default(), &mut own);
    failed.extend(paths(&own));
    if let Some(value) = &read.value {
        check(value, path, failed, &mut own);
    }
    found.append(&mut own);
    read.value
}

/// One field of a layer that is being read.
struct Slot<'a> {
    value: &'a Value,
    path: &'a str,
    failed: &'a mut Vec<String>,
    found: &'a mut Vec<Problem>,
}

impl Slot<'_> {
    fn fill<T: DeserializeOwned>(self, target: &mut T) {
        let read = reader::read(self.value, self.path, Skip::default(), self.found);
        self.keep(read, target);
    }

    fn keep<T>(self, read: Read<T>, target: &mut T) {
        match read.value {
            Some(value) => *target = value,
            None => self.failed.push(self.path.to_owned()),
        }
    }
}

/// Adds what a value says of itself, without what only follows from fields that could not be read.
pub(super) fn check(value: &dyn Validate, path: &str, failed: &[String], found: &mut Vec<Problem>) {
    let mut problems = Problems::below(path);
    value.validate(&mut problems);
    found.extend(problems.into_vec().into_iter().filter(|problem| {
        !failed
            .iter()
            .any(|failed| is_within(failed, &problem.path) || is_within(&problem.path, failed))
    }));
}

/// Whether `path` is `outer` or stands below it.
fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || outer.is_empty() || rest.starts_with(['.', '[']))
}

fn paths(found: &[Problem]) -> Vec<String> {
    found.iter().map(|problem| problem.path.clone()).collect()
}

/// The path of the field `name` of what stands at `path`.
pub(crate) fn field(path: &str, name: &str) -> String {
    let mut path = path.to_owned();
    push_name(&mut path, name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(value: Value) -> Vec<String> {
        let mut problems = Problems::new();
        let layer = parse_layer(&value, "layer", &mut problems);
        assert_eq!(layer.is_some(), problems.is_empty());
        problems
            .into_vec()
            .into_iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect()
    }

    #[test]
    fn the_registry_knows_every_kind_and_its_example_reads() {
        let names: Vec<_> = SOURCE_KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names, Source::KINDS);
        for kind in SOURCE_KINDS {
            let value = serde_json::from_str(kind.example).expect("JSON");
            let mut problems = Problems::new();
            let source = parse_source(&value, "source", &mut problems);
            assert_eq!(problems.into_vec(), []);
            assert_eq!(source.map(|source| source.kind()), Some(kind.name));
        }
    }

    #[test]
    fn every_field_of_a_layer_is_read() {
        for field in LayerSpec::FIELDS {
            let value = json!({"id": "a", "source": {"type": "group"}, *field: {"?": 1}});
            for problem in problems(value) {
                assert!(
                    !problem.contains(&format!("unknown field `{field}`")),
                    "{problem}"
                );
            }
        }
    }

    #[test]
    fn all_problems_of_a_layer_are_found_at_once() {
        assert_eq!(
            problems(json!({
                "id": "a",
                "opacty": 1,
                "opacity": 2,
                "position": {"x": "left", "y": true, "z": 1},
                "source": {
                    "type": "text", "text": "{{open", "font": {"size": "12px", "wieght": 1},
                    "fill": {"stops": [{"at": "x", "color": "#zzz"}, {"at": 3, "color": "red"}]},
                    "align": "centre", "maxLines": -1, "outline": {"color": "red", "width": 0},
                },
                "children": [{"id": "b", "scale": []}, 7],
            })),
            [
                "layer.children[0].scale: expected a factor, such as 1.5 or {\"x\": 1, \"y\": 2}, found a list",
                "layer.children[1]: expected an object, found the number 7",
                "layer.opacty: unknown field `opacty`",
                "layer.position.x: expected a number, or a data path such as \"{{bid.width}}\", found the string \"left\"",
                "layer.position.y: expected a number, or a data path such as \"{{bid.width}}\", found true",
                "layer.position.z: unknown field `z`",
                "layer.source.text: `{{` at character 0 is not closed by `}}`",
                "layer.source.font.size: expected a number, found the string \"12px\"",
                "layer.source.font.wieght: unknown field `wieght`",
                "layer.source.fill.stops[0].at: expected a number, found the string \"x\"",
                "layer.source.fill.stops[0].color: `#zzz` is not a colour; write it as CSS does, such as \"#1e90ff\", \"#1e90ff80\" or \"white\"",
                "layer.source.align: unknown word `centre`",
                "layer.source.maxLines: expected a whole number from 0 to 4294967295, found the number -1",
                "layer.opacity: 2 is out of range; it must be from 0 to 1",
            ]
        );
    }

    #[test]
    fn what_follows_from_a_broken_field_is_not_told() {
        let shape = json!({"id": "a", "size": {"width": "wide", "height": 1}, "source": {"type": "shape", "shape": "ellipse", "fill": 1}});
        let found = problems(shape);
        assert_eq!(found.len(), 2, "{found:#?}");
        let steps = json!({"id": "t", "tracks": [{"layer": "a", "property": "opacity", "keyframes": [
            {"at": 0, "value": 0, "easing": {"cubicBezier": [0, "x", 1, 1]}},
            {"at": 1, "value": 1, "easing": "steps"},
            {"at": 2, "value": 1, "easing": {"linear": 3}},
            {"at": 3, "value": 1, "easing": {"steps": 0}},
        ]}]});
        let mut problems = Problems::new();
        assert!(parse_timeline(&steps, "", &mut problems).is_none());
        let found: Vec<_> = problems
            .into_vec()
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        let easing = |index| format!("tracks[0].keyframes[{index}].easing");
        assert_eq!(
            found,
            [
                easing(0) + ".cubicBezier[1]",
                easing(1),
                easing(2) + ".linear"
            ]
        );
    }

    #[test]
    fn whole_numbers_may_be_written_with_a_point() {
        let mut problems = Problems::new();
        let layer = parse_layer(&json!({"id": "a", "zIndex": 3.0}), "", &mut problems);
        assert_eq!(layer.and_then(|layer| layer.z_index.0), Some(3));
    }
}
