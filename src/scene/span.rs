//! Where in a JSON text each key and value stands.
//!
//! serde_json gives values without their places. This module walks the same text once more and keeps, for every value, the bytes it
//! covers, so that a problem at `layers[2].source.font.size` can be shown on its line. It finds keys that are written twice on the
//! way, which serde_json lets pass. It never panics: a text that is not JSON is indexed as far as it is understood.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

/// The deepest nesting of lists and objects that is indexed. serde_json itself stops at 127.
pub const MAX_DEPTH: usize = 128;
/// The longest document that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;
/// The most keys written twice that are kept.
const MAX_DUPLICATES: usize = 100;

/// The places of all keys and values of one JSON text, in the order of the text.
#[derive(Debug, Default)]
pub struct SpanIndex {
    nodes: Vec<Node>,
    duplicates: Vec<Duplicate>,
}

/// Where a value stands, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its key with the quotes; none for the root and for elements of lists.
    pub key: Option<Range<usize>>,
    /// The value.
    pub value: Range<usize>,
    /// Whether this is the very value that was asked for, and not the nearest one around it.
    pub exact: bool,
}

/// A key that an object holds a second time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// JSON path of the key.
    pub path: String,
    /// The name without quotes.
    pub name: String,
    /// The later key with its quotes, in bytes.
    pub key: Range<usize>,
    /// The earlier key with its quotes, in bytes.
    pub first: Range<usize>,
}

/// Offsets are 32 bits wide, and children follow their parent, so that a large document does not take many times its size.
#[derive(Clone, Copy, Debug)]
struct Node {
    key: (u32, u32),
    value: (u32, u32),
    /// The first node that is not below this one.
    end: u32,
    is_list: bool,
}

impl SpanIndex {
    /// Indexes `text`. Of a text past [`MAX_BYTES`] nothing is kept.
    pub fn new(text: &str) -> Self {
        if text.len() > MAX_BYTES {
            return Self::default();
        }
        let mut scanner = Scanner {
            text,
            at: 0,
            open: Vec::new(),
            index: Self::default(),
        };
        // A text that breaks off leaves the index as far as it came.
        let _complete = scanner.value((0, 0));
        scanner.index
    }

    /// The keys that are written twice in one object, in the order of the text.
    pub fn duplicates(&self) -> &[Duplicate] {
        &self.duplicates
    }

    /// The place of the value at `path`, or of the nearest value around it that exists.
    ///
    /// Of a key that is written twice the last one counts, as for serde_json. `text` is the text that was indexed.
    pub fn find(&self, text: &str, path: &str) -> Option<Place> {
        let mut node = 0;
        let mut rest = path;
        self.nodes.first()?;
        while !rest.is_empty() {
            let Some((child, after)) = self.child(text, node, rest) else {
                break;
            };
            node = child;
            rest = after;
        }
        let found = self.nodes.get(node)?;
        let range = |(start, end): (u32, u32)| start as usize..end as usize;
        Some(Place {
            key: (found.key != (0, 0)).then(|| range(found.key)),
            value: range(found.value),
            exact: rest.is_empty(),
        })
    }

    /// The child of `parent` that `path` starts with, and the rest of the path.
    fn child<'p>(&self, text: &str, parent: usize, path: &'p str) -> Option<(usize, &'p str)> {
        if self.nodes.get(parent)?.is_list {
            let (number, rest) = path.strip_prefix('[')?.split_once(']')?;
            let child = self.children(parent).nth(number.parse().ok()?)?;
            return Some((child, rest));
        }
        let path = path.strip_prefix('.').unwrap_or(path);
        let mut best: Option<(usize, &str)> = None;
        for child in self.children(parent) {
            let key = key_text(text, self.nodes.get(child)?.key);
            let Some(rest) = path.strip_prefix(key.as_ref()) else {
                continue;
            };
            let whole = rest.is_empty() || rest.starts_with(['.', '[']);
            // The longest name wins, since names may hold dots; among equals the last.
            if whole && best.is_none_or(|(_, shortest)| rest.len() <= shortest.len()) {
                best = Some((child, rest));
            }
        }
        best
    }

    fn children(&self, parent: usize) -> impl Iterator<Item = usize> {
        let end = self.nodes.get(parent).map_or(0, |node| node.end as usize);
        let mut next = parent + 1;
        std::iter::from_fn(move || {
            let child = next;
            next = self.nodes.get(child)?.end.max(child as u32 + 1) as usize;
            (child < end).then_some(child)
        })
    }
}

/// The name that a key with quotes stands for.
fn key_text(text: &str, (start, end): (u32, u32)) -> Cow<'_, str> {
    let quoted = text.get(start as usize..end as usize).unwrap_or_default();
    let bare = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(quoted);
    if bare.contains('\\') {
        serde_json::from_str::<String>(quoted).map_or(Cow::Borrowed(bare), Cow::Owned)
    } else {
        Cow::Borrowed(bare)
    }
}

/// Walks the text. Every step returns `None` where the text is not JSON.
struct Scanner<'t> {
    text: &'t str,
    at: usize,
    /// The objects and lists that the place lies in, each with the number of the element in its list.
    open: Vec<(usize, usize)>,
    index: SpanIndex,
}

impl<'t> Scanner<'t> {
    fn value(&mut self, key: (u32, u32)) -> Option<()> {
        self.skip_space();
        let start = self.at;
        let node = self.index.nodes.len();
        let first = self.peek()?;
        self.index.nodes.push(Node {
            key,
            value: (start as u32, start as u32 + 1),
            end: node as u32 + 1,
            is_list: first == b'[',
        });
        let complete = match first {
            b'{' | b'[' if self.open.len() >= MAX_DEPTH => None,
            b'{' => self.object(node),
            b'[' => self.list(node),
            b'"' => self.string(),
            _ => self.word(),
        };
        let end = self.index.nodes.len() as u32;
        if let Some(node) = self.index.nodes.get_mut(node) {
            node.value.1 = self.at.max(start + 1) as u32;
            node.end = end;
        }
        complete
    }

    fn object(&mut self, node: usize) -> Option<()> {
        self.at += 1;
        self.open.push((node, 0));
        let mut seen = HashSet::new();
        let mut firsts = Vec::new();
        self.skip_space();
        if self.peek()? != b'}' {
            loop {
                self.skip_space();
                let start = self.at;
                if self.peek()? != b'"' {
                    return None;
                }
                self.string()?;
                let key = (start as u32, self.at as u32);
                let name = key_text(self.text, key);
                if seen.contains(&name) {
                    self.duplicate(&firsts, &name, key);
                } else {
                    seen.insert(name);
                    firsts.push(key);
                }
                self.skip_space();
                self.expect(b':')?;
                self.value(key)?;
                self.skip_space();
                match self.peek()? {
                    b',' => self.at += 1,
                    _ => break,
                }
            }
        }
        self.open.pop();
        self.expect(b'}')
    }

    fn list(&mut self, node: usize) -> Option<()> {
        self.at += 1;
        self.open.push((node, 0));
        self.skip_space();
        if self.peek()? != b']' {
            loop {
                self.value((0, 0))?;
                self.skip_space();
                match self.peek()? {
                    b',' => self.at += 1,
                    _ => break,
                }
                if let Some((_, element)) = self.open.last_mut() {
                    *element += 1;
                }
            }
        }
        self.open.pop();
        self.expect(b']')
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                // The byte after a backslash never ends the string; the digits of `\u` need no look.
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<()> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn duplicate(&mut self, firsts: &[(u32, u32)], name: &str, key: (u32, u32)) {
        if self.index.duplicates.len() >= MAX_DUPLICATES {
            return;
        }
        let first = firsts
            .iter()
            .copied()
            .find(|first| key_text(self.text, *first) == name)
            .unwrap_or(key);
        let mut path = String::new();
        for pair in self.open.windows(2) {
            let [(outer, element), (inner, _)] = pair else {
                continue;
            };
            let (Some(outer), Some(inner)) =
                (self.index.nodes.get(*outer), self.index.nodes.get(*inner))
            else {
                continue;
            };
            if outer.is_list {
                path.push_str(&format!("[{element}]"));
            } else {
                push_name(&mut path, &key_text(self.text, inner.key));
            }
        }
        push_name(&mut path, name);
        self.index.duplicates.push(Duplicate {
            path,
            name: name.to_owned(),
            key: key.0 as usize..key.1 as usize,
            first: first.0 as usize..first.1 as usize,
        });
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

/// Adds a field's name to a JSON path.
pub(super) fn push_name(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// Turns offsets of a text into lines and columns.
#[derive(Debug)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Finds the lines of `text`.
    pub fn new(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            text,
            starts: std::iter::once(0)
                .chain(ends.map(|(at, _)| at + 1))
                .collect(),
        }
    }

    /// The byte at which each line begins.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Line and column of a byte, both from 1, columns in characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self
            .starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// The byte at a line and a column in bytes, both from 1, as serde_json counts them.
    pub fn offset(&self, line: usize, column_bytes: usize) -> usize {
        let start = self.starts.get(line.saturating_sub(1)).copied();
        let offset = start.unwrap_or(self.text.len()) + column_bytes.saturating_sub(1);
        self.text.floor_char_boundary(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at<'t>(text: &'t str, path: &str) -> Option<&'t str> {
        let place = SpanIndex::new(text).find(text, path)?;
        place.exact.then(|| &text[place.value])
    }

    #[test]
    fn values_are_found_by_path() {
        let text = r#" {"a": [1, {"b.c": "x", "d": [] }, true], "\u0065": -1.5e3 } "#;
        assert_eq!(at(text, "a[0]"), Some("1"));
        assert_eq!(at(text, "a[1].b.c"), Some("\"x\""));
        assert_eq!(at(text, "a[1].d"), Some("[]"));
        assert_eq!(at(text, "a[2]"), Some("true"));
        assert_eq!(at(text, "e"), Some("-1.5e3"));
        assert_eq!(at(text, ""), Some(text.trim()));
        assert_eq!(at(text, "a[3]"), None);
        assert_eq!(at(text, "a[99999999999999999999]"), None);
    }

    #[test]
    fn what_is_missing_gives_the_nearest_value_around_it() {
        let text = r#"{"layers": [{"id": "a"}]}"#;
        let place = SpanIndex::new(text)
            .find(text, "layers[0].source.font")
            .expect("a root");
        assert!(!place.exact);
        assert_eq!(&text[place.value], r#"{"id": "a"}"#);
    }

    #[test]
    fn keys_written_twice_are_found_even_when_escaped() {
        let text = r#"{"a": [0, {"b": 1, "c": {}, "\u0062": 2}]}"#;
        let index = SpanIndex::new(text);
        let [found] = index.duplicates() else {
            panic!("{:?}", index.duplicates())
        };
        assert_eq!(found.path, "a[1].b");
        assert_eq!(&text[found.key.clone()], r#""\u0062""#);
        assert_eq!(&text[found.first.clone()], r#""b""#);
        assert_eq!(at(text, "a[1].b"), Some("2"));
    }

    #[test]
    fn columns_count_characters() {
        let lines = Lines::new("é\n{\"ü\": 1}");
        assert_eq!(lines.position(0), (1, 1));
        assert_eq!(lines.position(3), (2, 1));
        assert_eq!(lines.position(4 + 4), (2, 5));
        assert_eq!(lines.position(999), (2, 9));
        assert_eq!(lines.offset(2, 2), 4);
    }

    proptest! {
        #[test]
        fn every_value_of_any_json_is_found(value in json()) {
            for text in [value.to_string(), format!("{value:#}")] {
                let index = SpanIndex::new(&text);
                check(&text, &index, String::new(), &value);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in r#"[\[\]{}":,\\a0. \n]*"#, path in r"[a0.\[\]]*") {
            let index = SpanIndex::new(&text);
            let _ = index.find(&text, &path);
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                // Names without dots and brackets, which would make a path stand for two values.
                prop::collection::hash_map(r#"[^.\[\]]{1,4}"#, inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn check(text: &str, index: &SpanIndex, path: String, value: &serde_json::Value) {
        let place = index.find(text, &path).expect("a root");
        assert!(place.exact, "{path} in {text}");
        let read: serde_json::Value =
            serde_json::from_str(&text[place.value]).expect("a whole value");
        assert_eq!(&read, value);
        match value {
            serde_json::Value::Array(list) => {
                for (number, element) in list.iter().enumerate() {
                    check(text, index, format!("{path}[{number}]"), element);
                }
            }
            serde_json::Value::Object(map) => {
                for (name, element) in map {
                    let mut path = path.clone();
                    push_name(&mut path, name);
                    check(text, index, path, element);
                }
            }
            _ => {}
        }
    }
}
