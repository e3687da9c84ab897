//! Moving pictures made by the tests: whole frames, and frames that change a part, put together chunk by chunk.

use std::io::Cursor;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, ImageFormat, Rgba, RgbaImage};

pub const RED: [u8; 4] = [255, 0, 0, 255];
pub const GREEN: [u8; 4] = [0, 255, 0, 255];
pub const BLUE: [u8; 4] = [0, 0, 255, 255];

/// The side of every picture, in pixels.
pub const SIDE: u32 = 8;

fn square(colour: [u8; 4], side: u32) -> RgbaImage {
    RgbaImage::from_pixel(side, side, Rgba(colour))
}

fn encoded(picture: &RgbaImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A GIF of colours and their milliseconds; without a repeat it plays once.
pub fn gif(frames: &[([u8; 4], u32)], repeat: Option<Repeat>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    if let Some(repeat) = repeat {
        encoder.set_repeat(repeat).unwrap();
    }
    for &(colour, milliseconds) in frames {
        let delay = Delay::from_numer_denom_ms(milliseconds, 1);
        let frame = Frame::from_parts(square(colour, SIDE), 0, 0, delay);
        encoder.encode_frame(frame).unwrap();
    }
    drop(encoder);
    bytes
}

/// What a frame does to those before and after it.
#[derive(Clone, Copy)]
pub struct Part {
    pub colour: [u8; 4],
    /// Top left, and the side; even numbers, since WebP knows no others.
    pub at: (u32, u32),
    pub side: u32,
    pub milliseconds: u16,
    /// Whether it is blended over what is there, and does not take its place.
    pub over: bool,
    /// Whether its place is empty after it.
    pub dispose: bool,
}

pub fn whole(colour: [u8; 4], milliseconds: u16) -> Part {
    Part {
        colour,
        at: (0, 0),
        side: SIDE,
        milliseconds,
        over: false,
        dispose: false,
    }
}

/// An animated PNG; 0 plays are for ever.
pub fn apng(parts: &[Part], plays: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut sequence = 0_u32;
    for (index, part) in parts.iter().enumerate() {
        let file = encoded(&square(part.colour, part.side), ImageFormat::Png);
        let chunks = png_chunks(&file);
        if index == 0 {
            chunk(&mut bytes, b"IHDR", &chunks[0].1);
            let control = [(parts.len() as u32).to_be_bytes(), plays.to_be_bytes()].concat();
            chunk(&mut bytes, b"acTL", &control);
        }
        let mut control = sequence.to_be_bytes().to_vec();
        sequence += 1;
        for number in [part.side, part.side, part.at.0, part.at.1] {
            control.extend(number.to_be_bytes());
        }
        control.extend(part.milliseconds.to_be_bytes());
        control.extend(1000_u16.to_be_bytes());
        control.extend([u8::from(part.dispose), u8::from(part.over)]);
        chunk(&mut bytes, b"fcTL", &control);
        for (_, data) in chunks.iter().filter(|(name, _)| name == b"IDAT") {
            if index == 0 {
                chunk(&mut bytes, b"IDAT", data);
            } else {
                chunk(
                    &mut bytes,
                    b"fdAT",
                    &[&sequence.to_be_bytes(), &data[..]].concat(),
                );
                sequence += 1;
            }
        }
    }
    chunk(&mut bytes, b"IEND", &[]);
    bytes
}

fn png_chunks(file: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
    let mut rest = &file[8..];
    let mut chunks = Vec::new();
    while rest.len() >= 12 {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        chunks.push((rest[4..8].try_into().unwrap(), rest[8..8 + length].to_vec()));
        rest = &rest[12 + length..];
    }
    chunks
}

fn chunk(bytes: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    bytes.extend((data.len() as u32).to_be_bytes());
    bytes.extend(name);
    bytes.extend(data);
    bytes.extend(crc32(&[name, data].concat()).to_be_bytes());
}

fn crc32(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
        }
    }
    !crc
}

/// An animated WebP; 0 plays are for ever.
pub fn webp(parts: &[Part], plays: u16) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    // Alpha and animation.
    let mut head = vec![0x12, 0, 0, 0];
    head.extend(&(SIDE - 1).to_le_bytes()[..3]);
    head.extend(&(SIDE - 1).to_le_bytes()[..3]);
    riff(&mut body, b"VP8X", &head);
    riff(
        &mut body,
        b"ANIM",
        &[&[0; 4][..], &plays.to_le_bytes()].concat(),
    );
    for part in parts {
        let file = encoded(&square(part.colour, part.side), ImageFormat::WebP);
        let mut frame = Vec::new();
        for number in [
            part.at.0 / 2,
            part.at.1 / 2,
            part.side - 1,
            part.side - 1,
            u32::from(part.milliseconds),
        ] {
            frame.extend(&number.to_le_bytes()[..3]);
        }
        frame.push((u8::from(!part.over) << 1) | u8::from(part.dispose));
        // All of the file after its head is one chunk of pixels.
        frame.extend(&file[12..]);
        riff(&mut body, b"ANMF", &frame);
    }
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(body);
    bytes
}

fn riff(bytes: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    bytes.extend(name);
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes.extend(std::iter::repeat_n(0, data.len() % 2));
}
