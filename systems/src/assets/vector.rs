//! SVG: parsed once where waiting is allowed, drawn on the tick at the size at which it is shown.
//!
//! A file may come from anybody, so it is weighed before it is taken: nothing outside it is read, what it makes of a few words (entities,
//! uses, patterns in patterns) is counted, and what would take too long to draw is refused. Scripts mean nothing here.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use glam::Vec2;
use image::{ImageReader, Limits};
use raster::Raster;
use resvg::usvg::roxmltree::{Document, Node, NodeId, ParsingOptions};
use resvg::usvg::{self, Group, ImageKind, Options, Tree};
use tiny_skia::{Pixmap, Transform};

use super::FontDatabase;
use super::picture::{MAX_PICTURE_SIDE, PictureError};

/// The largest SVG file, in bytes.
pub const SVG_FILE_MAX: usize = 8 << 20;
/// The most pixels that an SVG is drawn with; one that is shown larger is enlarged from so many.
pub const VECTOR_PIXELS_MAX: u32 = 16 << 20;
/// How many bytes of a file are looked at to find out that it is an SVG.
const HEAD: usize = 4096;
/// The most elements, text and comments of a file.
const NODES_MAX: u32 = 200_000;
/// The most that a file may come to when each use, pattern, mask and marker is counted where it is drawn, in elements.
const DRAWN_MAX: u64 = 1_000_000;
/// How deep elements and references may lie in each other.
const DEPTH_MAX: usize = 200;
/// How many layers that need pixels of their own (opacity, clips, masks, filters, patterns) may lie in each other.
const LAYERS_MAX: usize = 16;
/// The most bytes that entities may become.
const ENTITIES_MAX: usize = 4 << 20;
/// The most pixels of all pictures inside an SVG.
const INNER_PIXELS_MAX: u64 = 16 << 20;

/// The fonts that an SVG's text may be set in.
#[derive(Clone, Debug, Default)]
pub struct PictureFonts {
    /// The fonts.
    pub database: Arc<FontDatabase>,
    /// A hash of those that are not the system's: the same words in other fonts are another picture.
    pub set: u64,
}

/// A parsed SVG.
pub struct VectorPicture {
    tree: Tree,
    /// [`PictureFonts::set`] of its fonts; 0 without text.
    pub(super) font_set: u64,
    byte_len: usize,
}

impl std::fmt::Debug for VectorPicture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VectorPicture")
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

/// Whether a file that starts so is an SVG: its first element is `svg`.
pub fn is_svg(start: &[u8]) -> bool {
    let start = &start[..start.len().min(HEAD)];
    let mut rest = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    loop {
        rest = rest.trim_ascii_start();
        let end: &[u8] = if rest.starts_with(b"<?") {
            b"?>"
        } else if rest.starts_with(b"<!--") {
            b"-->"
        } else if rest.starts_with(b"<!DOCTYPE") {
            // What it declares stands in brackets before its end.
            let bracket = rest.iter().position(|&byte| byte == b'[');
            let close = rest.iter().position(|&byte| byte == b'>');
            if bracket
                .zip(close)
                .is_some_and(|(bracket, close)| bracket < close)
            {
                b"]>"
            } else {
                b">"
            }
        } else {
            break;
        };
        let Some(at) = rest.windows(end.len()).position(|bytes| bytes == end) else {
            return false;
        };
        rest = &rest[at + end.len()..];
    }
    let Some(name) = rest.strip_prefix(b"<") else {
        return false;
    };
    let length = name
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':'))
        .count();
    let ends = name
        .get(length)
        .is_some_and(|byte| b" \t\r\n>/".contains(byte));
    let name = &name[..length];
    ends && (name == b"svg" || name.ends_with(b":svg"))
}

impl VectorPicture {
    /// Parses a file; `fonts` is asked when it has text.
    ///
    /// # Errors
    /// It is no SVG, or one that would take too much.
    pub(super) fn parse(
        bytes: &[u8],
        fonts: &dyn Fn() -> PictureFonts,
    ) -> Result<Self, PictureError> {
        if bytes.len() > SVG_FILE_MAX {
            return Err(PictureError(format!(
                "the SVG has {} bytes; at most {SVG_FILE_MAX} are read",
                bytes.len()
            )));
        }
        let text = std::str::from_utf8(bytes).map_err(PictureError::of)?;
        check_entities(text)?;
        let parsing = ParsingOptions {
            allow_dtd: true,
            nodes_limit: NODES_MAX,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, parsing).map_err(PictureError::of)?;
        Weights::check(&document)?;
        let has_text = document
            .descendants()
            .any(|node| node.tag_name().name() == "text");
        let fonts = if has_text {
            fonts()
        } else {
            PictureFonts::default()
        };
        let options = options(fonts.database);
        let tree = Tree::from_xmltree(&document, &options).map_err(PictureError::of)?;
        let size = tree.size();
        if size.width().max(size.height()) > MAX_PICTURE_SIDE as f32 {
            return Err(PictureError(format!(
                "the SVG is {}x{}; at most {MAX_PICTURE_SIDE} a side are taken",
                size.width(),
                size.height()
            )));
        }
        let mut drawn = Drawn {
            left: DRAWN_MAX,
            byte_len: bytes.len(),
        };
        drawn.group(tree.root(), 0)?;
        Ok(Self {
            tree,
            font_set: fonts.set,
            byte_len: drawn.byte_len,
        })
    }

    /// Its own size: its width and height, or those of its view box.
    pub fn size(&self) -> Vec2 {
        Vec2::new(self.tree.size().width(), self.tree.size().height())
    }

    /// Bytes of heap held, about.
    pub fn byte_len(&self) -> usize {
        self.byte_len
    }

    /// Draws the part `from` (its top left and its size) with so many pixels.
    pub fn draw(&self, from: (Vec2, Vec2), (width, height): (u32, u32)) -> Option<Raster> {
        let mut pixmap = Pixmap::new(width, height)?;
        let (origin, size) = from;
        let scale = Vec2::new(width as f32, height as f32) / size;
        let transform =
            Transform::from_translate(-origin.x, -origin.y).post_scale(scale.x, scale.y);
        // One file that its renderer cannot take must not stop all images.
        catch_unwind(AssertUnwindSafe(|| {
            resvg::render(&self.tree, transform, &mut pixmap.as_mut());
        }))
        .ok()?;
        Some(Raster::from_pixmap(pixmap))
    }
}

fn heavy() -> PictureError {
    PictureError("the SVG takes too much to draw".to_owned())
}

/// Entities may stand for text, and not for each other: a few lines could become more than any memory holds.
fn check_entities(text: &str) -> Result<(), PictureError> {
    let mut longest = 0;
    for (at, word) in text.match_indices("<!ENTITY") {
        let rest = &text[at + word.len()..];
        let Some(quote) = rest.find(['"', '\'']) else {
            continue;
        };
        let value = &rest[quote + 1..];
        let end = value.find(char::from(rest.as_bytes()[quote]));
        let value = &value[..end.unwrap_or(value.len())];
        if value.contains('&') {
            return Err(PictureError(
                "the SVG has entities inside entities".to_owned(),
            ));
        }
        longest = longest.max(value.len());
    }
    let uses = text.bytes().filter(|&byte| byte == b'&').count();
    if longest.saturating_mul(uses) > ENTITIES_MAX {
        return Err(PictureError(
            "the SVG's entities become too long".to_owned(),
        ));
    }
    Ok(())
}

/// Reads nothing but what is in the file: pictures in data URLs, of pixels.
fn options<'a>(fontdb: Arc<FontDatabase>) -> Options<'a> {
    let pixels_left = AtomicU64::new(INNER_PIXELS_MAX);
    let resolve_data = move |_: &str, data: Arc<Vec<u8>>, _: &Options| {
        let mut reader = ImageReader::new(std::io::Cursor::new(data.as_slice()))
            .with_guessed_format()
            .ok()?;
        reader.limits(Limits::default());
        let format = reader.format()?;
        let (width, height) = reader.into_dimensions().ok()?;
        let pixels = u64::from(width) * u64::from(height);
        pixels_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(pixels)
            })
            .ok()?;
        Some(match format {
            image::ImageFormat::Png => ImageKind::PNG(data),
            image::ImageFormat::Jpeg => ImageKind::JPEG(data),
            image::ImageFormat::Gif => ImageKind::GIF(data),
            image::ImageFormat::WebP => ImageKind::WEBP(data),
            _ => return None,
        })
    };
    Options {
        image_href_resolver: usvg::ImageHrefResolver {
            resolve_data: Box::new(resolve_data),
            resolve_string: Box::new(|_, _| None),
        },
        fontdb,
        ..Options::default()
    }
}

/// What elements come to when everything that they refer to is counted, before anything is made of it.
struct Weights<'a, 'input> {
    by_id: HashMap<&'a str, Node<'a, 'input>>,
    /// `None` while an element is being weighed, so that a circle ends.
    known: HashMap<NodeId, Option<u64>>,
    /// Elements that the style sheets refer to. Which elements those rules hold for is not looked at: they count for all.
    styled: Vec<Node<'a, 'input>>,
}

impl<'a, 'input> Weights<'a, 'input> {
    fn check(document: &'a Document<'input>) -> Result<(), PictureError> {
        let mut weights = Self {
            by_id: HashMap::new(),
            known: HashMap::new(),
            styled: Vec::new(),
        };
        for node in document.descendants().filter(Node::is_element) {
            if let Some(id) = node.attribute("id") {
                weights.by_id.insert(id, node);
            }
        }
        let sheets = document
            .descendants()
            .filter(|node| node.tag_name().name() == "style");
        for text in sheets
            .flat_map(|sheet| sheet.children())
            .filter_map(|text| text.text())
        {
            for id in references(text) {
                let target = weights.by_id.get(id).copied();
                let heavy = target.filter(|node| !node.tag_name().name().ends_with("Gradient"));
                if let Some(node) = heavy
                    && !weights.styled.contains(&node)
                {
                    weights.styled.push(node);
                }
            }
        }
        if weights.of(document.root_element(), 0)? > DRAWN_MAX {
            return Err(heavy());
        }
        Ok(())
    }

    fn of(&mut self, node: Node<'a, 'input>, depth: usize) -> Result<u64, PictureError> {
        if depth > DEPTH_MAX {
            return Err(PictureError("the SVG's elements lie too deep".to_owned()));
        }
        if let Some(known) = self.known.get(&node.id()) {
            return Ok(known.unwrap_or(0));
        }
        self.known.insert(node.id(), None);
        let mut below: u64 = 0;
        for child in node.children().filter(Node::is_element) {
            below = below.saturating_add(self.of(child, depth + 1)?);
        }
        let mut own = 1 + filter_cost(node);
        let mut inherited: u64 = 0;
        for attribute in node.attributes() {
            let value = attribute.value();
            own += value.len() as u64 / 64;
            if attribute.name() == "href" {
                let target = value.strip_prefix('#').and_then(|id| self.by_id.get(id));
                if let Some(target) = target.copied() {
                    below = below.saturating_add(self.of(target, depth + 1)?);
                }
                continue;
            }
            for id in references(value) {
                if let Some(target) = self.by_id.get(id).copied() {
                    inherited = inherited.saturating_add(self.of(target, depth + 1)?);
                }
            }
        }
        for at in 0..self.styled.len() {
            inherited = inherited.saturating_add(self.of(self.styled[at], depth + 1)?);
        }
        // A pattern that a group is filled with is drawn for each element of it.
        let weight = below
            .saturating_add(own)
            .saturating_add(inherited.saturating_mul(below.max(1)));
        if weight > DRAWN_MAX {
            return Err(heavy());
        }
        self.known.insert(node.id(), Some(weight));
        Ok(weight)
    }
}

/// The names in `url(#name)`.
fn references(value: &str) -> impl Iterator<Item = &str> {
    value.split("url(").skip(1).filter_map(|rest| {
        let rest = rest.trim_start().trim_start_matches(['"', '\'']);
        let id = rest.strip_prefix('#')?;
        let end = id.find(['"', '\'', ')'])?;
        Some(id[..end].trim_end())
    })
}

/// What a filter's step costs above an element: it touches every pixel, some more than once.
fn filter_cost(node: Node) -> u64 {
    let name = node.tag_name().name();
    if !name.starts_with("fe") {
        return 0;
    }
    let most = |attribute: &str| {
        let value = node.attribute(attribute).unwrap_or_default();
        let numbers = value.split([' ', ',']).filter_map(|part| part.parse().ok());
        numbers.fold(1.0, f64::max).min(1e4) as u64
    };
    let times = match name {
        "feTurbulence" => most("numOctaves"),
        "feMorphology" => most("radius").pow(2) / 16,
        "feConvolveMatrix" => most("order").pow(2) / 16,
        _ => 1,
    };
    100 * times.max(1)
}

/// What a parsed tree comes to, each part counted as often as it is drawn.
struct Drawn {
    left: u64,
    byte_len: usize,
}

impl Drawn {
    fn group(&mut self, group: &Group, layers: usize) -> Result<(), PictureError> {
        let layers = layers + usize::from(group.should_isolate());
        if layers > LAYERS_MAX {
            return Err(PictureError("the SVG's layers lie too deep".to_owned()));
        }
        for node in group.children() {
            self.left = self.left.checked_sub(1).ok_or_else(heavy)?;
            self.byte_len += size_of_val(node);
            match node {
                usvg::Node::Group(inner) => {
                    self.byte_len += size_of::<Group>();
                    self.group(inner, layers)?;
                }
                usvg::Node::Path(path) => {
                    let points = path.data().points().len();
                    self.byte_len += size_of_val(&**path) + points * 10;
                }
                usvg::Node::Image(image) => {
                    self.byte_len += size_of_val(&**image);
                    self.byte_len += match image.kind() {
                        ImageKind::JPEG(data)
                        | ImageKind::PNG(data)
                        | ImageKind::GIF(data)
                        | ImageKind::WEBP(data) => data.len(),
                        ImageKind::SVG(_) => 0,
                    };
                }
                usvg::Node::Text(text) => {
                    self.byte_len += size_of_val(&**text);
                    self.group(text.flattened(), layers)?;
                }
            }
            let mut inner = Ok(());
            node.subroots(|root| {
                if inner.is_ok() {
                    inner = self.group(root, layers + 1);
                }
            });
            inner?;
        }
        Ok(())
    }
}
