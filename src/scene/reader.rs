//! Reads typed values out of `serde_json::Value`s and finds every problem of a value, not only the first.
//!
//! serde stops at the first error. [`read`] notes it, leaves the piece that caused it out, and reads again, until nothing more is
//! found. What is left out is kept in a [`Skip`], beside the value, so that nothing is copied and every path stays that of the file.

use std::collections::{BTreeMap, HashMap};

use components::Problem;
use serde::Deserializer;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use super::fault::{self, Fault};
use super::span::push_name;

/// The most problems that are looked for in one value; each costs one more reading.
pub(super) const MAX_PROBLEMS: usize = 100;

/// What became of a value.
pub(super) struct Read<T> {
    /// The value without its broken pieces, where it makes sense without them and its lists kept their numbering.
    pub value: Option<T>,
    /// Whether there was no problem.
    pub clean: bool,
}

/// Pieces of a value that are left out when it is read.
#[derive(Debug, Default)]
pub(super) struct Skip {
    whole: bool,
    /// Left out because others read it, and not because it is broken.
    read_elsewhere: bool,
    fields: HashMap<String, Skip>,
    elements: BTreeMap<usize, Skip>,
}

/// One step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Element(usize),
}

/// Reads `value`, which stands at `path`, and adds every problem to `found`.
pub(super) fn read<T: DeserializeOwned>(
    value: &Value,
    path: &str,
    mut skip: Skip,
    found: &mut Vec<Problem>,
) -> Read<T> {
    let mut clean = true;
    loop {
        let error = match serde_path_to_error::deserialize(Reader::new(value, &skip)) {
            Ok(read) => {
                let renumbered = !clean && skip.leaves_out_elements();
                return Read {
                    value: (!renumbered).then_some(read),
                    clean,
                };
            }
            Err(error) => error,
        };
        clean = false;
        let mut steps = skip.steps_in_file(error.path());
        let fault = error.into_inner();
        keep_existing(value, &mut steps);
        if !skip.explains(&steps, &fault) {
            found.push(Problem {
                path: join(path, &steps),
                message: fault.message(),
                help: fault.help(),
                on_key: matches!(fault, Fault::UnknownField { .. }),
            });
        }
        // Without its broken piece the rest may still be read. What was left out before was needed, so what is around it goes too.
        while !steps.is_empty() && !skip.leave_out(&steps) {
            steps.pop();
        }
        if found.len() >= MAX_PROBLEMS || steps.is_empty() {
            return Read { value: None, clean };
        }
    }
}

/// Drops steps past the last value that is there: into the name of an enum's variant, for one.
fn keep_existing(value: &Value, steps: &mut Vec<Step>) {
    let mut value = value;
    for (depth, step) in steps.iter().enumerate() {
        let inner = match (step, value) {
            (Step::Field(name), Value::Object(map)) => map.get(name),
            (Step::Element(index), Value::Array(list)) => list.get(*index),
            _ => None,
        };
        match inner {
            Some(inner) => value = inner,
            None => {
                steps.truncate(depth);
                return;
            }
        }
    }
}

fn join(path: &str, steps: &[Step]) -> String {
    let mut path = path.to_owned();
    for step in steps {
        match step {
            Step::Field(name) => push_name(&mut path, name),
            Step::Element(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

impl Skip {
    /// Leaves out one field that others read.
    pub(super) fn field(name: &str) -> Self {
        Self::fields(&[name])
    }

    /// Leaves out another field that others read.
    pub(super) fn and_field(mut self, name: &str) -> Self {
        let field = self.fields.entry(name.to_owned()).or_default();
        field.whole = true;
        field.read_elsewhere = true;
        self
    }

    /// Leaves out fields that others read.
    pub(super) fn fields(names: &[&str]) -> Self {
        let mut skip = Self::default();
        for name in names {
            let field = skip.fields.entry((*name).to_owned()).or_default();
            field.whole = true;
            field.read_elsewhere = true;
        }
        skip
    }

    /// Leaves out one piece; false when it, or one around it, was left out before.
    fn leave_out(&mut self, steps: &[Step]) -> bool {
        let mut skip = self;
        for step in steps {
            if skip.whole {
                return false;
            }
            skip = match step {
                Step::Field(name) => skip.fields.entry(name.clone()).or_default(),
                Step::Element(index) => skip.elements.entry(*index).or_default(),
            };
        }
        !std::mem::replace(&mut skip.whole, true)
    }

    fn at(&self, steps: &[Step]) -> Option<&Self> {
        steps.iter().try_fold(self, |skip, step| match step {
            Step::Field(name) => skip.fields.get(name),
            Step::Element(index) => skip.elements.get(index),
        })
    }

    /// Whether the fault only follows from what was left out.
    fn explains(&self, steps: &[Step], fault: &Fault) -> bool {
        let Some(skip) = self.at(steps) else {
            return false;
        };
        match fault {
            Fault::UnknownField { .. } => false,
            Fault::Missing(field) => skip.fields.get(*field).is_some_and(|field| field.whole),
            _ => {
                let mut inner = skip.fields.values().chain(skip.elements.values());
                inner.any(|inner| inner.whole && !inner.read_elsewhere)
            }
        }
    }

    fn leaves_out_elements(&self) -> bool {
        self.elements
            .values()
            .any(|inner| inner.whole || inner.leaves_out_elements())
            || self.fields.values().any(Self::leaves_out_elements)
    }

    /// The path that serde followed; elements are counted as the file has them.
    fn steps_in_file(&self, path: &Path) -> Vec<Step> {
        let mut skip = Some(self);
        let mut steps = Vec::new();
        for segment in path {
            let step = match segment {
                Segment::Seq { index } => {
                    let mut index = *index;
                    for (left_out, inner) in skip.iter().flat_map(|skip| &skip.elements) {
                        if inner.whole && *left_out <= index {
                            index += 1;
                        }
                    }
                    Step::Element(index)
                }
                Segment::Map { key } => Step::Field(key.clone()),
                Segment::Enum { variant } => Step::Field(variant.clone()),
                Segment::Unknown => break,
            };
            skip = skip.and_then(|skip| skip.at(std::slice::from_ref(&step)));
            steps.push(step);
        }
        steps
    }
}

/// A serde deserializer over a value and what to leave out of it. Unlike serde_json's own it keeps errors apart by kind, takes `30.0`
/// for a whole number as JSON Schema does, and refuses numbers that their `f32` cannot hold.
#[derive(Clone, Copy)]
struct Reader<'a> {
    value: &'a Value,
    skip: Option<&'a Skip>,
}

impl<'a> Reader<'a> {
    fn new(value: &'a Value, skip: &'a Skip) -> Self {
        Self {
            value,
            skip: Some(skip),
        }
    }

    fn whole<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        let number = self.value.as_f64().filter(|_| self.value.is_f64());
        match number {
            // From 2^53 on not every whole number exists, so a fraction of 0 says nothing.
            Some(number) if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 => {
                if number < 0.0 {
                    visitor.visit_i64(number as i64)
                } else {
                    visitor.visit_u64(number as u64)
                }
            }
            _ => self.deserialize_any(visitor),
        }
    }
}

macro_rules! whole_numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.whole(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => {
                if let Some(value) = number.as_u64() {
                    visitor.visit_u64(value)
                } else if let Some(value) = number.as_i64() {
                    visitor.visit_i64(value)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or(f64::INFINITY))
                }
            }
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(list) => {
                let mut elements = Elements {
                    list: list.iter().enumerate(),
                    skip: self.skip,
                    count: 0,
                };
                let read = visitor.visit_seq(&mut elements)?;
                let taken = elements.count;
                let rest = elements.count();
                if rest == 0 {
                    Ok(read)
                } else {
                    Err(Fault::Length {
                        expected: format!("a list of {taken}"),
                        found: taken + rest,
                    })
                }
            }
            Value::Object(map) => visitor.visit_map(Fields {
                map: map.iter(),
                skip: self.skip,
                value: None,
            }),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Number(number)
                if number
                    .as_f64()
                    .is_none_or(|value| (value as f32).is_infinite()) =>
            {
                Err(Fault::Other(format!("{number} is out of range")))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    /// serde would also take a list of the fields' values.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.value {
            Value::Object(_) => self.deserialize_any(visitor),
            other => Err(Fault::Mismatch {
                expected: "an object".to_owned(),
                found: fault::found_value(other),
            }),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let (variant, content) = match self.value {
            Value::String(text) => (text, None),
            Value::Object(map) => match single(map) {
                Some((name, value)) => {
                    let skip = self.skip.and_then(|skip| skip.fields.get(name));
                    let content = Reader { value, skip };
                    (
                        name,
                        (!skip.is_some_and(|skip| skip.whole)).then_some(content),
                    )
                }
                None => {
                    return Err(Fault::Mismatch {
                        expected: "a word, or an object with one field".to_owned(),
                        found: format!("an object with {} fields", map.len()),
                    });
                }
            },
            _ => {
                let list: Vec<_> = known.iter().map(|name| format!("\"{name}\"")).collect();
                let expected = match list.len() {
                    1..=10 => format!("one of {}", list.join(", ")),
                    _ => format!("a word such as {}", list.first().map_or("", String::as_str)),
                };
                return Err(Fault::Mismatch {
                    expected,
                    found: fault::found_value(self.value),
                });
            }
        };
        visitor.visit_enum(Variant { variant, content })
    }

    whole_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    serde::forward_to_deserialize_any! {
        bool i128 u128 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

fn single(map: &Map<String, Value>) -> Option<(&String, &Value)> {
    map.iter().next().filter(|_| map.len() == 1)
}

/// The elements of a list that are not left out.
struct Elements<'a> {
    list: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
    skip: Option<&'a Skip>,
    count: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Reader<'a>;

    fn next(&mut self) -> Option<Reader<'a>> {
        loop {
            let (index, value) = self.list.next()?;
            let skip = self.skip.and_then(|skip| skip.elements.get(&index));
            if !skip.is_some_and(|skip| skip.whole) {
                self.count += 1;
                return Some(Reader { value, skip });
            }
        }
    }
}

impl<'de> de::SeqAccess<'de> for Elements<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        self.next()
            .map(|reader| seed.deserialize(reader))
            .transpose()
    }
}

/// The fields of an object that are not left out.
struct Fields<'a> {
    map: serde_json::map::Iter<'a>,
    skip: Option<&'a Skip>,
    value: Option<Reader<'a>>,
}

impl<'de> de::MapAccess<'de> for Fields<'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        for (name, value) in self.map.by_ref() {
            let skip = self.skip.and_then(|skip| skip.fields.get(name));
            if !skip.is_some_and(|skip| skip.whole) {
                self.value = Some(Reader { value, skip });
                return seed.deserialize(StrDeserializer::new(name)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        match self.value.take() {
            Some(reader) => seed.deserialize(reader),
            None => Err(Fault::Other(
                "a value was asked for before its key".to_owned(),
            )),
        }
    }
}

/// One word of an enum, and the value that some words have.
struct Variant<'a> {
    variant: &'a str,
    content: Option<Reader<'a>>,
}

impl<'a> Variant<'a> {
    fn content(&self) -> Result<Reader<'a>, Fault> {
        let word = self.variant;
        self.content.ok_or_else(|| {
            Fault::Other(format!("`{word}` needs a value; write {{\"{word}\": ...}}"))
        })
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let word: StrDeserializer<'_, Fault> = self.variant.into_deserializer();
        seed.deserialize(word).map(|read| (read, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.content {
            None => Ok(()),
            Some(_) => {
                let word = self.variant;
                Err(Fault::Other(format!(
                    "`{word}` has no value; write \"{word}\""
                )))
            }
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self.content()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.content()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.content()?.deserialize_any(visitor)
    }
}
