//! Draws a page of texts into PNG files, to be looked at: `cargo run -p stream-manager-text --example samples -- DIRECTORY`.
//!
//! Fonts in `scenes/assets/fonts` are registered first, so that Inter and its like are there without being installed.

#![expect(clippy::print_stdout, reason = "a tool that reports to who runs it")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use components::source::{
    Align, FitText, Font, FontStyle, Outline, Overflow, Shadow, TextDirection, TextSource,
    VerticalAlign,
};
use components::value::{Gradient, GradientKind, GradientStop, Point};
use components::{Colour, Paint, Template};
use glam::Vec2;
use stream_manager_text::{FontLibrary, TextRequest};
use tiny_skia::{Color, Pixmap, PixmapPaint, Transform};

const MARGIN_PX: f32 = 24.0;
const TIMED_REDRAWS: u32 = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "samples".into()));
    std::fs::create_dir_all(&directory)?;
    let mut library = FontLibrary::new(true);
    register_house_fonts(&mut library)?;
    for sample in samples() {
        let pixmap = sample.draw(&mut library)?;
        pixmap.save_png(directory.join(format!("{}.png", sample.name)))?;
    }
    Ok(())
}

fn register_house_fonts(library: &mut FontLibrary) -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenes/assets/fonts");
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    for path in paths {
        if path
            .extension()
            .is_some_and(|end| end == "ttf" || end == "otf")
        {
            library.register(std::fs::read(&path)?, &path.to_string_lossy())?;
        }
    }
    Ok(())
}

struct Sample {
    name: &'static str,
    words: &'static str,
    size: Option<Vec2>,
    scale: f32,
    source: TextSource,
}

impl Sample {
    fn draw(&self, library: &mut FontLibrary) -> Result<Pixmap, Box<dyn Error>> {
        let request = TextRequest {
            source: &self.source,
            words: self.words,
            size: self.size,
            scale: Vec2::splat(self.scale),
        };
        let start = Instant::now();
        let drawn = library.draw(&request)?;
        let first = start.elapsed();
        let mut best = Duration::MAX;
        for _ in 0..TIMED_REDRAWS {
            let start = Instant::now();
            library.draw(&request)?;
            best = best.min(start.elapsed());
        }
        println!(
            "{:16} first {first:9.2?} warm {best:9.2?} box {} font {} raster {}x{} missing {}",
            self.name,
            drawn.size,
            drawn.font_size,
            drawn.pixmap.width(),
            drawn.pixmap.height(),
            drawn.missing_glyphs
        );

        let page = ((drawn.size + 2.0 * MARGIN_PX) * self.scale).ceil();
        let mut pixmap = Pixmap::new(page.x as u32, page.y as u32).ok_or("no page")?;
        pixmap.fill(Color::from_rgba8(24, 30, 48, 255));
        let mut frame = tiny_skia::Paint::default();
        frame.set_color_rgba8(44, 54, 82, 255);
        let corner = MARGIN_PX * self.scale;
        let size = drawn.size * self.scale;
        if let Some(rect) = tiny_skia::Rect::from_xywh(corner, corner, size.x, size.y) {
            pixmap.fill_rect(rect, &frame, Transform::identity(), None);
        }
        let at = ((drawn.origin + MARGIN_PX) * self.scale).round();
        pixmap.draw_pixmap(
            at.x as i32,
            at.y as i32,
            drawn.pixmap.as_ref(),
            &PixmapPaint::default(),
            Transform::identity(),
            None,
        );
        Ok(pixmap)
    }
}

fn plain(family: &str, size: f32) -> TextSource {
    TextSource {
        counter: None,
        text: Template::parse("").unwrap_or_else(|_| unreachable!("no holes")),
        font: Font {
            family: family.to_owned(),
            size,
            ..Font::default()
        },
        fill: Paint::Solid(Colour::WHITE),
        align: Align::Start,
        vertical_align: VerticalAlign::Top,
        wrap: true,
        max_lines: None,
        overflow: Overflow::Visible,
        fit_to_box: None,
        outline: None,
        shadow: None,
        direction: TextDirection::Auto,
    }
}

fn gradient(kind: GradientKind, angle: f32, stops: &[(f32, &str)]) -> Paint {
    Paint::Gradient(Gradient {
        kind,
        angle,
        center: Point::default(),
        radius: 0.5,
        stops: stops
            .iter()
            .map(|(at, colour)| GradientStop {
                at: *at,
                color: Colour::parse(colour).unwrap_or(Colour::WHITE),
            })
            .collect(),
    })
}

const PARAGRAPH: &str = "The rights to the winning lot pass to the highest bidder at the fall of the hammer. \
    Bids are binding, a premium of twelve percent is added, and every lot is sold as seen.";
const ARABIC: &str =
    "تنتقل ملكية القطعة الفائزة إلى صاحب أعلى عرض عند سقوط المطرقة، وجميع العروض ملزمة";

fn samples() -> Vec<Sample> {
    let sample = |name, words, size: Option<(f32, f32)>, source| Sample {
        name,
        words,
        size: size.map(Vec2::from),
        scale: 1.0,
        source,
    };
    let with = |mut source: TextSource, change: fn(&mut TextSource)| {
        change(&mut source);
        source
    };
    let inter = |size| plain("Inter, Noto Sans", size);
    let gold = || {
        gradient(
            GradientKind::Linear,
            180.0,
            &[(0.0, "#fff3b0"), (0.5, "#ffc53d"), (1.0, "#d4780a")],
        )
    };
    vec![
        sample(
            "line",
            "A line of about sixty characters, as a lower third has it.",
            None,
            inter(32.0),
        ),
        sample(
            "mixed",
            "Hello Wörld fi ffl — مرحبا بالعالم — שלום עולם\n你好世界 — नमस्ते दुनिया — Γειά σου Κόσμε — Привет",
            None,
            inter(40.0),
        ),
        sample(
            "emoji",
            "Sold 🎉🔨 👩‍👩‍👧 🏳️‍🌈 👍🏽 🇨🇿 to ✈️ 007 ❤️ end",
            None,
            inter(48.0),
        ),
        sample(
            "gold",
            "GOING TWICE",
            None,
            with(plain("Bricolage Grotesque, Inter", 120.0), |source| {
                source.font.weight = 800.0;
                source.outline = Some(Outline {
                    color: Colour::opaque(60, 24, 0),
                    width: 5.0,
                });
                source.shadow = Some(Shadow {
                    color: Colour::parse("#000000c0").unwrap_or(Colour::BLACK),
                    offset: Point { x: 0.0, y: 8.0 },
                    blur: 8.0,
                });
            })
            .filled(gold()),
        ),
        sample(
            "rainbow",
            "Conic run\nround the middle",
            None,
            with(inter(72.0), |source| {
                source.font.weight = 700.0;
                source.align = Align::Center;
            })
            .filled(gradient(
                GradientKind::Conic,
                0.0,
                &[(0.0, "#f43"), (0.33, "#4f6"), (0.66, "#48f"), (1.0, "#f43")],
            )),
        ),
        sample(
            "justified",
            PARAGRAPH,
            Some((520.0, 190.0)),
            with(inter(26.0), |source| source.align = Align::Justify),
        ),
        sample(
            "justified-rtl",
            ARABIC,
            Some((420.0, 150.0)),
            with(inter(26.0), |source| source.align = Align::Justify),
        ),
        sample(
            "ellipsis",
            PARAGRAPH,
            Some((420.0, 100.0)),
            with(inter(30.0), |source| source.overflow = Overflow::Ellipsis),
        ),
        sample(
            "ellipsis-rtl",
            ARABIC,
            Some((300.0, 40.0)),
            with(inter(30.0), |source| {
                source.overflow = Overflow::Ellipsis;
                source.wrap = false;
            }),
        ),
        sample(
            "fit",
            "Fits whatever it says",
            Some((600.0, 90.0)),
            with(inter(30.0), |source| {
                source.fit_to_box = Some(FitText {
                    min_size: 8.0,
                    max_size: Some(300.0),
                });
                source.vertical_align = VerticalAlign::Middle;
                source.align = Align::Center;
                source.wrap = false;
            }),
        ),
        sample(
            "weights",
            "Weight 250 Hamburgefonstiv",
            None,
            with(inter(48.0), |source| source.font.weight = 250.0),
        ),
        sample(
            "black",
            "Weight 900 Hamburgefonstiv",
            None,
            with(inter(48.0), |source| source.font.weight = 900.0),
        ),
        sample(
            "italic",
            "Italic Hamburgefonstiv 0123456789",
            None,
            with(inter(48.0), |source| source.font.style = FontStyle::Italic),
        ),
        sample(
            "synthetic",
            "No bold, no italic: العربية",
            None,
            with(plain("DejaVu Math TeX Gyre", 48.0), |source| {
                source.font.style = FontStyle::Italic;
                source.font.weight = 700.0;
            }),
        ),
        sample(
            "spaced",
            "BREAKING سلام",
            None,
            with(inter(48.0), |source| {
                source.font.letter_spacing = 12.0;
                source.font.weight = 600.0;
            }),
        ),
        sample(
            "glass",
            "See-through",
            None,
            with(inter(90.0), |source| {
                source.font.weight = 800.0;
                source.fill = Paint::Solid(Colour::parse("#ffffff60").unwrap_or(Colour::WHITE));
                source.outline = Some(Outline {
                    color: Colour::opaque(120, 220, 255),
                    width: 3.0,
                });
            }),
        ),
        Sample {
            scale: 6.0,
            ..sample("zoomed", "Rag 8 é🎉", None, inter(32.0))
        },
        Sample {
            scale: 4.0,
            ..sample("small", "Small print, 16 px: 12:34:56", None, inter(16.0))
        },
        sample(
            "tiny",
            "Small print, 16 px: 12:34:56 Illinois",
            None,
            inter(16.0),
        ),
    ]
}

trait Filled {
    fn filled(self, paint: Paint) -> Self;
}

impl Filled for TextSource {
    fn filled(mut self, paint: Paint) -> Self {
        self.fill = paint;
        self
    }
}
