//! The workspace's sources, read so that comments, literals and test modules can be told from product code.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A source file, with a copy in which comments and the insides of literals are blank.
pub struct Source {
    /// Path from the workspace's root, with `/`.
    pub path: String,
    pub text: String,
    pub code: String,
    /// Bytes of modules that are compiled for tests alone.
    test_ranges: Vec<Range<usize>>,
}

impl Source {
    pub fn is_test_file(&self) -> bool {
        self.path
            .split('/')
            .any(|part| part == "tests" || part == "tests.rs")
    }

    pub fn is_bench_or_example(&self) -> bool {
        self.path
            .split('/')
            .any(|part| part == "benches" || part == "examples")
    }

    pub fn is_test_code(&self, at: usize) -> bool {
        self.is_test_file() || self.test_ranges.iter().any(|range| range.contains(&at))
    }

    pub fn place(&self, at: usize) -> String {
        let line = self.text[..at].matches('\n').count() + 1;
        format!("{}:{line}", self.path)
    }

    /// Where `word` stands in the code as a whole word.
    pub fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
        self.code
            .match_indices(word)
            .map(|(at, _)| at)
            .filter(move |at| {
                !self.code[..*at].ends_with(part_of_name)
                    && !self.code[at + word.len()..].starts_with(part_of_name)
            })
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the workspace whose name ends so, without build output and hidden folders.
pub fn files(extensions: &[&str]) -> Vec<PathBuf> {
    fn look(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().unwrap();
            if name.starts_with('.') || name == "target" || name == "proptest-regressions" {
                continue;
            }
            if kind.is_dir() {
                look(&entry.path(), extensions, found);
            } else if extensions.iter().any(|extension| name.ends_with(extension)) {
                found.push(entry.path());
            }
        }
    }
    let mut found = Vec::new();
    look(root(), extensions, &mut found);
    found.sort();
    found
}

pub fn relative(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap()
        .to_string_lossy()
        .replace('\\', "/")
}

pub fn sources() -> Vec<Source> {
    let found: Vec<_> = files(&[".rs"])
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = blank(&text);
            let test_ranges = test_ranges(&code);
            Source {
                path: relative(&path),
                text,
                code,
                test_ranges,
            }
        })
        .collect();
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// The text with comments and the insides of string and character literals made blank; line ends and lengths stay.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    let wipe = |out: &mut Vec<u8>, range: Range<usize>| {
        for byte in &mut out[range] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    };
    let until = |from: usize, end: &str| {
        text[from..]
            .find(end)
            .map_or(text.len(), |found| from + found + end.len())
    };
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        let in_name = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        if rest.starts_with(b"//") {
            let end = until(at, "\n").min(text.len());
            wipe(&mut out, at..end);
            at = end;
        } else if rest.starts_with(b"/*") {
            let end = block_comment_end(text, at);
            wipe(&mut out, at..end);
            at = end;
        } else if let Some((open, hashes)) = raw_string(rest).filter(|_| !in_name) {
            let end = until(at + open, &format!("\"{}", "#".repeat(hashes)));
            wipe(&mut out, at + open..end);
            at = end;
        } else if rest[0] == b'"' {
            let mut end = at + 1;
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            let end = end.min(bytes.len());
            wipe(&mut out, at + 1..end);
            at = end + 1;
        } else if rest[0] == b'\'' && is_char_literal(&text[at..]) {
            let inner = if rest[1] == b'\\' { at + 3 } else { at + 2 };
            let end = (inner..bytes.len())
                .find(|end| bytes[*end] == b'\'')
                .unwrap_or(bytes.len());
            wipe(&mut out, at + 1..end);
            at = end + 1;
        } else {
            at += 1;
        }
    }
    String::from_utf8(out).unwrap()
}

fn block_comment_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0;
    let mut at = start;
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Length of the opening of a raw string, and its number of `#`.
fn raw_string(rest: &[u8]) -> Option<(usize, usize)> {
    let prefix = ["br", "cr", "r"]
        .into_iter()
        .find(|prefix| rest.starts_with(prefix.as_bytes()))?
        .len();
    let hashes = rest[prefix..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    (rest.get(prefix + hashes) == Some(&b'"')).then_some((prefix + hashes + 1, hashes))
}

/// Whether a quote opens a character and not a lifetime.
fn is_char_literal(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

/// The modules behind `#[cfg(test)]`.
fn test_ranges(code: &str) -> Vec<Range<usize>> {
    code.match_indices("#[cfg(test)]")
        .map(|(start, _)| {
            let rest = &code[start..];
            let open = rest.find('{').unwrap_or(rest.len());
            if rest.find(';').is_some_and(|end| end < open) {
                return start..start;
            }
            let mut depth = 0;
            let end = rest[open..].char_indices().find(|(_, c)| {
                depth += match c {
                    '{' => 1,
                    '}' => -1,
                    _ => 0,
                };
                depth == 0
            });
            start..end.map_or(code.len(), |(end, _)| start + open + end + 1)
        })
        .collect()
}

/// Names from grouped imports, such as the `fs` of `use std::{fs, io};`, with the path that they come from.
pub fn grouped_imports(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in source.words("use") {
        let Some(end) = source.code[at..].find(';') else {
            continue;
        };
        let statement: String = source.code[at + 3..at + end].split_whitespace().collect();
        if let Some(("std", group)) = statement.split_once("::{") {
            // Only the first level is needed: what is forbidden deeper is forbidden by its own name.
            let mut depth = 0;
            let flat: String = group
                .chars()
                .filter(|c| {
                    depth += i32::from(*c == '{') - i32::from(*c == '}');
                    depth <= 0
                })
                .collect();
            for name in flat.split(',') {
                let first = name.split([':', '}']).next().unwrap_or_default();
                found.push((at, format!("std::{first}")));
            }
        }
    }
    found
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = "let a = \"unsafe // \\\" { \"; // unsafe\nlet b = r#\"unsafe \" \"#; /* unsafe /* x */ */ let c: &'a u8 = '{'; let d = '\\'';";
    let code = blank(text);
    assert_eq!(code.len(), text.len());
    assert!(!code.contains("unsafe") && !code.contains('{'), "{code}");
    assert!(
        code.contains("let b =") && code.contains("let c: &'a u8 =") && code.ends_with(';'),
        "{code}"
    );
}

#[test]
fn grouped_imports_are_seen() {
    let text = "use std::{io, fs::{self, File}, time::Instant};\n#[cfg(test)]\nmod tests { use std::net; }\n".to_owned();
    let code = blank(&text);
    let test_ranges = test_ranges(&code);
    let source = Source {
        path: "components/src/a.rs".to_owned(),
        text,
        code,
        test_ranges,
    };
    let names: Vec<_> = grouped_imports(&source)
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert!(
        names.contains(&"std::fs".to_owned()) && names.contains(&"std::io".to_owned()),
        "{names:?}"
    );
    let net = source.words("std::net").next().unwrap();
    assert!(source.is_test_code(net) && !source.is_test_code(0));
}
