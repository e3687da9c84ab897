//! From JSON to effects: kind first, then its fields, so that every problem has its whole path.

use components::effect::{
    Blur, Border, ChromaKey, ColourChange, CornerRadius, DropShadow, Effect, EffectKind, Effects,
    Glow, Mask, Pixelate, Vignette,
};
use components::{Problem, Problems};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::reader::{self, Skip};
use super::registry::{check, collect, field, list};
use super::{fault, words};

/// Reads and checks a list of effects; `None` when a problem was added. `path` is that of the list.
pub fn parse_effects(value: &Value, path: &str, problems: &mut Problems) -> Option<Effects> {
    collect(problems, |found| {
        let effects = effects(value, path, found);
        let mut own = Problems::new();
        components::Validate::validate(&effects, &mut own);
        // The list tells of itself as of a layer's field.
        let told = own.into_vec().into_iter().map(|problem| Problem {
            path: problem.path.replacen("effects", path, 1),
            ..problem
        });
        let told: Vec<Problem> = told
            .filter(|told| {
                found
                    .iter()
                    .all(|other| !told.path.starts_with(&other.path))
            })
            .collect();
        found.extend(told);
        Some(effects)
    })
}

/// Reads and checks an effect; `None` when a problem was added.
pub fn parse_effect(value: &Value, path: &str, problems: &mut Problems) -> Option<Effect> {
    collect(problems, |found| {
        let effect = effect(value, path, found);
        let failed: Vec<String> = found.iter().map(|problem| problem.path.clone()).collect();
        check(&effect, path, &failed, found);
        Some(effect)
    })
}

/// A list of effects as far as it can be read, stand-ins in the places of those that cannot.
pub(super) fn effects(value: &Value, path: &str, found: &mut Vec<Problem>) -> Effects {
    Effects(list(value, path, found, effect))
}

fn effect(value: &Value, path: &str, found: &mut Vec<Problem>) -> Effect {
    let mut effect = Effect::from(EffectKind::Blur(Blur::default()));
    let Value::Object(map) = value else {
        found.push(fault::mismatch("an object with a `type`", value, path));
        return effect;
    };
    for name in Effect::HEAD {
        let (Some(value), path) = (map.get(*name), field(path, name)) else {
            continue;
        };
        match *name {
            "id" => fill(value, &path, &mut effect.id, found),
            "enabled" => fill(value, &path, &mut effect.enabled, found),
            _ => {}
        }
    }
    let kind_path = field(path, "type");
    match map.get("type") {
        None => {
            let mut problem = fault::missing("type", "effect", path);
            problem.help = words::suggest("", EffectKind::NAMES);
            found.push(problem);
        }
        Some(Value::String(name)) => match kind(name, value, path, found) {
            Some(Some(kind)) => effect.kind = kind,
            Some(None) => {}
            None => found.push(Problem {
                path: kind_path,
                message: format!("unknown kind of effect {}", words::name(name)),
                help: words::suggest(name, EffectKind::NAMES),
                on_key: false,
            }),
        },
        Some(other) => {
            let wanted = "the name of a kind of effect";
            found.push(fault::mismatch(wanted, other, &kind_path));
        }
    }
    effect
}

fn fill<T: DeserializeOwned>(value: &Value, path: &str, slot: &mut T, found: &mut Vec<Problem>) {
    if let Some(read) = reader::read(value, path, Skip::default(), found).value {
        *slot = read;
    }
}

/// What an effect of a kind does, as far as it can be read; nothing when there is no such kind.
fn kind(
    name: &str,
    value: &Value,
    path: &str,
    found: &mut Vec<Problem>,
) -> Option<Option<EffectKind>> {
    let mut read = Reading { value, path, found };
    Some(match name {
        "blur" => read.kind::<Blur>().map(EffectKind::Blur),
        "dropShadow" => read.kind::<DropShadow>().map(EffectKind::DropShadow),
        "glow" => read.kind::<Glow>().map(EffectKind::Glow),
        "border" => read.kind::<Border>().map(EffectKind::Border),
        "cornerRadius" => read.kind::<CornerRadius>().map(EffectKind::CornerRadius),
        "mask" => read.kind::<Mask>().map(EffectKind::Mask),
        "color" => read.kind::<ColourChange>().map(EffectKind::Colour),
        "chromaKey" => read.kind::<ChromaKey>().map(EffectKind::ChromaKey),
        "pixelate" => read.kind::<Pixelate>().map(EffectKind::Pixelate),
        "vignette" => read.kind::<Vignette>().map(EffectKind::Vignette),
        _ => return None,
    })
}

struct Reading<'a> {
    value: &'a Value,
    path: &'a str,
    found: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    fn kind<T: DeserializeOwned>(&mut self) -> Option<T> {
        let skip = Skip::fields(Effect::HEAD);
        reader::read(self.value, self.path, skip, self.found).value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(value: Value) -> Vec<String> {
        let mut problems = Problems::new();
        let read = parse_effects(&value, "effects", &mut problems);
        assert_eq!(read.is_some(), problems.is_empty());
        let found = problems.into_vec().into_iter();
        found
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect()
    }

    #[test]
    fn every_kind_is_read() {
        for name in EffectKind::NAMES {
            let value = match *name {
                "mask" => json!([{"type": name, "src": "a.png", "id": "own", "enabled": false}]),
                name => json!([{"type": name, "id": "own", "enabled": false}]),
            };
            let mut problems = Problems::new();
            let effects = parse_effects(&value, "", &mut problems).unwrap_or_default();
            let effect = effects.0.first();
            assert_eq!(effect.map(|effect| effect.kind.name()), Some(*name));
            assert!(effect.is_some_and(|effect| !effect.enabled && effect.id.is_some()));
        }
    }

    #[test]
    fn all_problems_of_a_list_are_found_at_once() {
        assert_eq!(
            problems(json!([
                {"type": "blurr"}, 7, {"radius": 3}, {"type": 1},
                {"type": "blur", "radius": "12px", "colour": "#fff", "id": 3, "enabled": "no"},
                {"type": "glow", "intensity": 17, "id": "a b"},
                {"type": "mask", "gradient": {"stops": [{"at": "x", "color": "red"}]}},
            ])),
            [
                "effects[0].type: unknown kind of effect `blurr`",
                "effects[1]: expected an object with a `type`, found the number 7",
                "effects[2]: the effect has no `type`",
                "effects[3].type: expected the name of a kind of effect, found the number 1",
                "effects[4].id: expected a string, found the number 3",
                "effects[4].enabled: expected true or false, found the string \"no\"",
                "effects[4].radius: expected a number, found the string \"12px\"",
                "effects[4].colour: unknown field `colour`",
                "effects[6].gradient.stops[0].at: expected a number, found the string \"x\"",
                "effects[5].id: the id of an effect is a letter, then at most 63 letters from a to z, digits, `-` and `_`",
                "effects[5].intensity: 17 is out of range; it must be from 0 to 16",
            ]
        );
        assert_eq!(
            problems(json!({})),
            ["effects: expected a list, found an object"]
        );
    }
}
