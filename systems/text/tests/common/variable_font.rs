//! A variable font made here, since none is installed where tests run: an `I` that is a bar, and a `wght` axis that widens it.

/// Units of the em square.
const EM: u16 = 1000;
/// Width of the bar at weight 100, the axis's default, and what weight 900 adds.
pub const BAR_THIN: i16 = 100;
pub const BAR_GAIN: i16 = 500;
const BAR_HEIGHT: i16 = 700;
const ADVANCE: u16 = 800;

/// The font file; its family is `Bar`.
pub fn bar_font() -> Vec<u8> {
    file(vec![
        (b"OS/2", os2()),
        (b"cmap", cmap()),
        (b"fvar", fvar()),
        (b"glyf", glyf()),
        (b"gvar", gvar()),
        (b"head", head()),
        (b"hhea", hhea()),
        (b"hmtx", words(&[ADVANCE, 0, ADVANCE, 0])),
        (b"loca", words(&[0, 0, glyf().len() as u16 / 2])),
        (b"maxp", maxp()),
        (b"name", name("Bar")),
        (b"post", post()),
    ])
}

fn words(values: &[u16]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect()
}

fn signed(values: &[i16]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect()
}

fn longs(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect()
}

fn file(tables: Vec<(&[u8; 4], Vec<u8>)>) -> Vec<u8> {
    let mut file = longs(&[0x0001_0000]);
    file.extend(words(&[tables.len() as u16, 128, 3, 64]));
    let mut offset = 12 + 16 * tables.len();
    let mut body = Vec::new();
    for (tag, table) in tables {
        file.extend(tag);
        file.extend(longs(&[0, offset as u32, table.len() as u32]));
        let padded = table.len().next_multiple_of(4);
        body.extend(table);
        body.resize(body.len().next_multiple_of(4), 0);
        offset += padded;
    }
    file.extend(body);
    file
}

fn head() -> Vec<u8> {
    let mut table = longs(&[0x0001_0000, 0x0001_0000, 0, 0x5f0f_3cf5]);
    table.extend(words(&[0, EM]));
    table.extend([0; 16]);
    table.extend(signed(&[0, 0, BAR_THIN, BAR_HEIGHT]));
    table.extend(words(&[0, 8, 2, 0, 0]));
    table
}

fn hhea() -> Vec<u8> {
    let mut table = longs(&[0x0001_0000]);
    table.extend(signed(&[
        800,
        -200,
        0,
        ADVANCE as i16,
        0,
        0,
        BAR_THIN,
        1,
        0,
        0,
    ]));
    table.extend([0; 10]);
    table.extend(words(&[2]));
    table
}

fn maxp() -> Vec<u8> {
    let mut table = longs(&[0x0001_0000]);
    table.extend(words(&[2, 4, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]));
    table
}

fn os2() -> Vec<u8> {
    let mut table = words(&[3, ADVANCE, 100, 5]);
    table.resize(62, 0);
    // fsSelection: regular; first and last character; ascender, descender, gap; Windows ascent and descent.
    table.extend(words(&[
        0x40,
        b'I'.into(),
        b'I'.into(),
        800,
        0_u16.wrapping_sub(200),
        0,
        800,
        200,
    ]));
    table.resize(96, 0);
    table
}

fn cmap() -> Vec<u8> {
    let mut table = words(&[0, 1, 3, 1]);
    table.extend(longs(&[12]));
    let (end, delta) = (u16::from(b'I'), 1_u16.wrapping_sub(u16::from(b'I')));
    table.extend(words(&[
        4, 32, 0, 4, 4, 1, 0, end, 0xffff, 0, end, 0xffff, delta, 1, 0, 0,
    ]));
    table
}

/// Glyph 1 is a rectangle of four points on the curve. Glyph 0 is empty.
fn glyf() -> Vec<u8> {
    let mut table = signed(&[1, 0, 0, BAR_THIN, BAR_HEIGHT, 3, 0]);
    table.extend([1_u8; 4]);
    table.extend(signed(&[0, 0, BAR_THIN, 0]));
    table.extend(signed(&[0, BAR_HEIGHT, 0, -BAR_HEIGHT]));
    table.resize(table.len().next_multiple_of(4), 0);
    table
}

fn fvar() -> Vec<u8> {
    let mut table = words(&[1, 0, 16, 2, 1, 20, 0, 8]);
    table.extend(b"wght");
    table.extend(longs(&[100 << 16, 100 << 16, 900 << 16]));
    table.extend(words(&[0, 256]));
    table
}

/// One tuple at the far end of the axis, which moves the two right points by [`BAR_GAIN`].
fn gvar() -> Vec<u8> {
    // Points of all numbers; then the deltas of x as words, and those of y as a run of zeros: 4 points and 4 phantom ones.
    let mut deltas = vec![0_u8, 0x40 | 7];
    deltas.extend(signed(&[0, 0, BAR_GAIN, BAR_GAIN, 0, 0, 0, 0]));
    deltas.push(0x80 | 7);
    let mut glyph = words(&[1, 10, deltas.len() as u16, 0x8000 | 0x2000, 0x4000]);
    glyph.extend(deltas);
    glyph.resize(glyph.len().next_multiple_of(2), 0);

    let mut table = words(&[1, 0, 1, 0]);
    let data = 20 + 6;
    table.extend(longs(&[data]));
    table.extend(words(&[2, 0]));
    table.extend(longs(&[data]));
    table.extend(words(&[0, 0, glyph.len() as u16 / 2]));
    table.extend(glyph);
    table
}

fn name(family: &str) -> Vec<u8> {
    let text: Vec<u8> = family.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let mut table = words(&[0, 1, 18, 3, 1, 0x409, 1, text.len() as u16, 0]);
    table.extend(text);
    table
}

fn post() -> Vec<u8> {
    let mut table = longs(&[0x0003_0000]);
    table.resize(32, 0);
    table
}
