//! As much of JSON Schema 2020-12 as the API's document uses. A word that is not known here is an error, so that nothing is taken for
//! checked that was not.

use regex::Regex;
use serde_json::{Map, Value};

/// Words that only describe.
const NOTES: [&str; 6] = [
    "title",
    "description",
    "default",
    "examples",
    "format",
    "contentMediaType",
];

/// Why `value` is not of `schema`, whose references lead into `document`; nothing when it is.
pub fn check(document: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let words = match schema {
        Value::Bool(true) => return Vec::new(),
        Value::Object(words) => words,
        _ => return vec![format!("{path}: nothing may be here")],
    };
    let mut wrong = Vec::new();
    for (word, rule) in words {
        look(document, words, word, rule, value, path, &mut wrong);
    }
    wrong
}

/// What a reference of the document leads to.
pub fn resolve<'d>(document: &'d Value, reference: &str) -> Option<&'d Value> {
    document.pointer(reference.strip_prefix('#')?)
}

fn look(
    document: &Value,
    words: &Map<String, Value>,
    word: &str,
    rule: &Value,
    value: &Value,
    path: &str,
    wrong: &mut Vec<String>,
) {
    let mut fail = |message: String| wrong.push(format!("{path}: {message}"));
    match word {
        "$ref" => match resolve(document, rule.as_str().unwrap()) {
            Some(target) => wrong.extend(check(document, target, value, path)),
            None => fail(format!("{rule} leads nowhere")),
        },
        "type" if !is_of(rule, value) => fail(format!("{value} is no {rule}")),
        "const" if !equal(rule, value) => fail(format!("{value} is not {rule}")),
        "enum" if !list(rule).iter().any(|known| equal(known, value)) => {
            fail(format!("{value} is none of {rule}"));
        }
        "anyOf" | "oneOf" => {
            let all = list(rule)
                .iter()
                .map(|kind| check(document, kind, value, path));
            let all: Vec<_> = all.collect();
            let fits = all.iter().filter(|wrong| wrong.is_empty()).count();
            if fits == 0 || word == "oneOf" && fits > 1 {
                fail(format!("{value} fits {fits} of `{word}`: {all:?}"));
            }
        }
        "minimum" if value.as_f64() < rule.as_f64() && value.is_number() => {
            fail(format!("{value} is less than {rule}"));
        }
        "maximum" if value.as_f64() > rule.as_f64() => {
            fail(format!("{value} is more than {rule}"));
        }
        "multipleOf" => {
            let rest = value
                .as_f64()
                .map_or(0.0, |value| value % rule.as_f64().unwrap());
            if rest != 0.0 {
                fail(format!("{value} is no multiple of {rule}"));
            }
        }
        "minLength" | "maxLength" => {
            let length = value
                .as_str()
                .map(|text| text.chars().count() as u64)
                .filter(|length| is_beyond(word, *length, rule));
            length
                .into_iter()
                .for_each(|length| fail(format!("{length} letters, {word} is {rule}")));
        }
        "minItems" | "maxItems" => {
            let length = value
                .as_array()
                .map(|list| list.len() as u64)
                .filter(|length| is_beyond(word, *length, rule));
            length
                .into_iter()
                .for_each(|length| fail(format!("{length} elements, {word} is {rule}")));
        }
        "pattern" => {
            let pattern = Regex::new(rule.as_str().unwrap()).unwrap();
            if value.as_str().is_some_and(|text| !pattern.is_match(text)) {
                fail(format!("{value} does not look like {rule}"));
            }
        }
        "required" => {
            let map = value.as_object();
            for name in list(rule) {
                if map.is_some_and(|map| !map.contains_key(name.as_str().unwrap())) {
                    fail(format!("{name} is missing"));
                }
            }
        }
        "properties" => {
            for (name, schema) in rule.as_object().unwrap() {
                if let Some(value) = value.get(name) {
                    wrong.extend(check(document, schema, value, &format!("{path}.{name}")));
                }
            }
        }
        "additionalProperties" => {
            for (name, value) in value.as_object().into_iter().flatten() {
                let is_known = words
                    .get("properties")
                    .is_some_and(|known| known.get(name).is_some());
                if !is_known {
                    wrong.extend(check(document, rule, value, &format!("{path}.{name}")));
                }
            }
        }
        "prefixItems" | "items" => {
            let first = words
                .get("prefixItems")
                .map_or(0, |first| list(first).len());
            for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                let schema = match word {
                    "items" if index >= first => rule,
                    "prefixItems" if index < first => &rule[index],
                    _ => continue,
                };
                wrong.extend(check(document, schema, value, &format!("{path}[{index}]")));
            }
        }
        "type" | "const" | "enum" | "minimum" | "maximum" => {}
        note if NOTES.contains(&note) => {}
        other => fail(format!("the word `{other}` is not known to this test")),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn is_beyond(word: &str, length: u64, limit: &Value) -> bool {
    let limit = limit.as_u64().unwrap();
    if word.starts_with("min") {
        length < limit
    } else {
        length > limit
    }
}

/// JSON knows one kind of number: 1 and 1.0 are the same.
fn equal(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    if let Value::Array(kinds) = kind {
        return kinds.iter().any(|kind| is_of(kind, value));
    }
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type `{other}`"),
    }
}
