//! What video and audio messages carry: tags of FLV, with the codecs of enhanced RTMP; to packets for decoders, and from this program's
//! own packets for players.
//!
//! Sources: Adobe Flash Video File Format Specification 10.1, annex E; Enhanced RTMP v1 and v2 (Veovera Software Organization);
//! ISO/IEC 14496-15 for the `AVCDecoderConfigurationRecord`.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::ingest::{IngestAudioCodec, IngestVideoCodec};

/// What a tag says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// What a decoder of pictures must know.
    VideoHeader(IngestVideoCodec, Bytes),
    /// A picture.
    Video {
        /// How it is coded.
        codec: IngestVideoCodec,
        /// Milliseconds from its time until it is shown.
        composition_ms: i32,
        /// Whether a decoder can begin with it.
        is_key: bool,
        /// The picture.
        data: Bytes,
    },
    /// What a decoder of sound must know.
    AudioHeader(IngestAudioCodec, Bytes),
    /// Sound.
    Audio(IngestAudioCodec, Bytes),
    /// Nothing that is of use here, such as the end of a sequence.
    Other,
}

/// Why a tag is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// The bytes end within it.
    #[error("a packet is cut off")]
    Short,
    /// Pictures of a codec that is not taken.
    #[error("pictures must be H.264, H.265, VP9 or AV1")]
    VideoCodec,
    /// Sound of a codec that is not taken.
    #[error("sound must be AAC, MP3, Opus or G.711")]
    AudioCodec,
}

/// Reads the tag of a video message.
///
/// # Errors
/// It is cut off, or of a codec that is not taken.
pub fn video(body: &Bytes) -> Result<Tag, TagError> {
    let Some(&first) = body.first() else {
        return Ok(Tag::Other);
    };
    // A frame type of 5 is a command to the player.
    let frame = (first >> 4) & 7;
    if first & 0x80 != 0 {
        return video_enhanced(body, first & 15, frame);
    }
    if frame == 5 {
        return Ok(Tag::Other);
    }
    let codec = match first & 15 {
        7 => IngestVideoCodec::H264,
        // Not Adobe's, and sent by some cameras.
        12 => IngestVideoCodec::H265,
        _ => return Err(TagError::VideoCodec),
    };
    let kind = *body.get(1).ok_or(TagError::Short)?;
    let composition_ms = signed24(body.get(2..5).ok_or(TagError::Short)?);
    let data = body.slice(5..);
    Ok(match kind {
        0 => Tag::VideoHeader(codec, data),
        1 => Tag::Video {
            codec,
            composition_ms,
            is_key: frame == 1,
            data,
        },
        _ => Tag::Other,
    })
}

fn video_enhanced(body: &Bytes, kind: u8, frame: u8) -> Result<Tag, TagError> {
    // Kinds: 0 the header, 1 a picture, 3 a picture that is shown at its time; the others are of no use here.
    if !matches!(kind, 0 | 1 | 3) || frame == 5 {
        return Ok(Tag::Other);
    }
    let codec = match body.get(1..5).ok_or(TagError::Short)? {
        b"avc1" => IngestVideoCodec::H264,
        b"hvc1" => IngestVideoCodec::H265,
        b"vp09" => IngestVideoCodec::Vp9,
        b"av01" => IngestVideoCodec::Av1,
        _ => return Err(TagError::VideoCodec),
    };
    if kind == 0 {
        return Ok(Tag::VideoHeader(codec, body.slice(5..)));
    }
    let has_composition =
        kind == 1 && matches!(codec, IngestVideoCodec::H264 | IngestVideoCodec::H265);
    let (composition_ms, data) = if has_composition {
        let composition_ms = signed24(body.get(5..8).ok_or(TagError::Short)?);
        (composition_ms, body.slice(8..))
    } else {
        (0, body.slice(5..))
    };
    Ok(Tag::Video {
        codec,
        composition_ms,
        is_key: frame == 1,
        data,
    })
}

/// Reads the tag of an audio message.
///
/// # Errors
/// It is cut off, or of a codec that is not taken.
pub fn audio(body: &Bytes) -> Result<Tag, TagError> {
    let Some(&first) = body.first() else {
        return Ok(Tag::Other);
    };
    let codec = match first >> 4 {
        2 => IngestAudioCodec::Mp3,
        7 => IngestAudioCodec::PcmAlaw,
        8 => IngestAudioCodec::PcmMulaw,
        9 => return audio_enhanced(body, first & 15),
        10 => {
            let kind = *body.get(1).ok_or(TagError::Short)?;
            let data = body.slice(2..);
            return Ok(if kind == 0 {
                Tag::AudioHeader(IngestAudioCodec::Aac, data)
            } else {
                Tag::Audio(IngestAudioCodec::Aac, data)
            });
        }
        _ => return Err(TagError::AudioCodec),
    };
    Ok(Tag::Audio(codec, body.slice(1..)))
}

fn audio_enhanced(body: &Bytes, kind: u8) -> Result<Tag, TagError> {
    if kind > 1 {
        return Ok(Tag::Other);
    }
    let codec = match body.get(1..5).ok_or(TagError::Short)? {
        b"mp4a" => IngestAudioCodec::Aac,
        b"Opus" => IngestAudioCodec::Opus,
        b".mp3" => IngestAudioCodec::Mp3,
        _ => return Err(TagError::AudioCodec),
    };
    let data = body.slice(5..);
    Ok(if kind == 0 {
        Tag::AudioHeader(codec, data)
    } else {
        Tag::Audio(codec, data)
    })
}

fn signed24(bytes: &[u8]) -> i32 {
    match bytes {
        [a, b, c] => i32::from_be_bytes([*a, *b, *c, 0]) >> 8,
        _ => 0,
    }
}

/// SPS and PPS of H.264.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterSets {
    sps: Vec<Bytes>,
    pps: Vec<Bytes>,
}

impl ParameterSets {
    /// Those in a stream with start codes (Annex B).
    pub fn find(stream: &[u8]) -> Self {
        let mut sets = Self::default();
        for unit in units(stream) {
            match unit.first().map(|first| first & 31) {
                Some(7) => sets.sps.push(Bytes::copy_from_slice(unit)),
                Some(8) => sets.pps.push(Bytes::copy_from_slice(unit)),
                _ => {}
            }
        }
        sets
    }

    /// The video message that says them; `None` without any, or with some that cannot be.
    pub fn header(&self) -> Option<Bytes> {
        let first = self.sps.first()?;
        let (profile, level) = (first.get(1..3)?, *first.get(3)?);
        let mut bytes = BytesMut::with_capacity(64);
        // A keyframe of H.264, its header, no composition time.
        bytes.put_slice(&[0x17, 0, 0, 0, 0]);
        bytes.put_slice(&[1, profile[0], profile[1], level, 0xff]);
        bytes.put_u8(0xe0 | u8::try_from(self.sps.len()).ok().filter(|n| *n < 32)?);
        for unit in &self.sps {
            bytes.put_u16(u16::try_from(unit.len()).ok()?);
            bytes.put_slice(unit);
        }
        bytes.put_u8(u8::try_from(self.pps.len()).ok()?);
        for unit in &self.pps {
            bytes.put_u16(u16::try_from(unit.len()).ok()?);
            bytes.put_slice(unit);
        }
        // What the record ends with for the High profiles: 4:2:0, 8 bits.
        if matches!(profile[0], 100 | 110 | 122 | 144) {
            bytes.put_slice(&[0xfd, 0xf8, 0xf8, 0]);
        }
        Some(bytes.freeze())
    }
}

/// The video message of a picture with start codes (Annex B). Parameter sets and delimiters are in the header, and left out here.
pub fn picture(stream: &[u8], is_key: bool) -> Bytes {
    let mut bytes = BytesMut::with_capacity(stream.len() + 32);
    bytes.put_slice(&[if is_key { 0x17 } else { 0x27 }, 1, 0, 0, 0]);
    for unit in units(stream) {
        if !matches!(unit.first().map(|first| first & 31), None | Some(7..=9)) {
            bytes.put_u32(unit.len() as u32);
            bytes.put_slice(unit);
        }
    }
    bytes.freeze()
}

/// The audio message that says what a decoder of AAC must know, an `AudioSpecificConfig`.
pub fn aac_header(config: &[u8]) -> Bytes {
    aac_message(0, config)
}

/// The audio message of sound as AAC.
pub fn aac(sound: &[u8]) -> Bytes {
    aac_message(1, sound)
}

fn aac_message(kind: u8, data: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(data.len() + 2);
    // AAC, which says rate and channels itself.
    bytes.put_slice(&[0xaf, kind]);
    bytes.put_slice(data);
    bytes.freeze()
}

/// The units between the start codes of Annex B: each follows two or three zeros and a one.
fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        let now = rest?;
        let end = start_code(now);
        rest = end.and_then(|end| after_start_code(&now[end..]));
        let unit = &now[..end.unwrap_or(now.len())];
        // Zeros may stand behind a unit, and before the next start code.
        let length = unit
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        Some(&unit[..length])
    })
    .filter(|unit| !unit.is_empty())
}

fn start_code(stream: &[u8]) -> Option<usize> {
    let mut at = 0;
    // The third byte of a start code is seldom; whole bytes are passed over until one may be it.
    while let Some(third) = stream.get(at + 2) {
        match third {
            0 => at += 1,
            1 if stream[at] == 0 && stream[at + 1] == 0 => return Some(at),
            _ => at += 3,
        }
    }
    None
}

fn after_start_code(stream: &[u8]) -> Option<&[u8]> {
    stream.get(start_code(stream)? + 3..)
}

/// What a codec is called for people.
pub fn video_name(codec: IngestVideoCodec) -> &'static str {
    match codec {
        IngestVideoCodec::H264 => "h264",
        IngestVideoCodec::H265 => "h265",
        IngestVideoCodec::Vp9 => "vp9",
        IngestVideoCodec::Av1 => "av1",
    }
}

/// What a codec is called for people.
pub fn audio_name(codec: IngestAudioCodec) -> &'static str {
    match codec {
        IngestAudioCodec::Aac => "aac",
        IngestAudioCodec::Mp3 => "mp3",
        IngestAudioCodec::Opus => "opus",
        IngestAudioCodec::PcmAlaw => "g711a",
        IngestAudioCodec::PcmMulaw => "g711u",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let bytes = Bytes::from(bytes);
            let _tags = (video(&bytes), audio(&bytes), picture(&bytes, true));
            let _header = ParameterSets::find(&bytes).header();
        }
    }

    #[test]
    fn a_picture_of_this_program_comes_back_as_it_went() {
        let stream = [
            &[0, 0, 0, 1, 9, 0x10, 0, 0, 0, 1, 0x67, 100, 0, 31, 0xac][..],
            &[0, 0, 0, 1, 0x68, 0xee, 0x3c],
            &[0, 0, 1, 6, 5, 0x80, 0, 0, 0, 1, 0x65, 1, 2, 0, 0, 3, 1, 0],
        ]
        .concat();
        let sets = ParameterSets::find(&stream);
        let Ok(Tag::VideoHeader(IngestVideoCodec::H264, header)) =
            video(&sets.header().expect("a header"))
        else {
            panic!("no header");
        };
        assert_eq!(
            header[..],
            [
                &[1, 100, 0, 31, 0xff, 0xe1, 0, 5, 0x67, 100, 0, 31, 0xac][..],
                &[1, 0, 3, 0x68, 0xee, 0x3c, 0xfd, 0xf8, 0xf8, 0],
            ]
            .concat()
        );
        let Ok(Tag::Video { is_key, data, .. }) = video(&picture(&stream, true)) else {
            panic!("no picture");
        };
        assert!(is_key);
        assert_eq!(
            data[..],
            [0, 0, 0, 3, 6, 5, 0x80, 0, 0, 0, 7, 0x65, 1, 2, 0, 0, 3, 1]
        );
        assert_eq!(ParameterSets::find(&[0, 0, 1, 0x65]).header(), None);
    }

    #[test]
    fn tags_of_adobe_and_of_enhanced_rtmp_are_read() {
        let read = |bytes: &[u8]| video(&Bytes::copy_from_slice(bytes));
        let picture = |codec, composition_ms, is_key, data: &'static [u8]| {
            Ok(Tag::Video {
                codec,
                composition_ms,
                is_key,
                data: Bytes::from_static(data),
            })
        };
        use IngestVideoCodec::{Av1, H264, H265, Vp9};
        assert_eq!(
            read(&[0x27, 1, 0xff, 0xff, 0xfe, 7]),
            picture(H264, -2, false, &[7])
        );
        assert_eq!(
            read(b"\x90hvc1head"),
            Ok(Tag::VideoHeader(H265, Bytes::from_static(b"head")))
        );
        assert_eq!(
            read(b"\x91hvc1\x00\x00\x28x"),
            picture(H265, 40, true, b"x")
        );
        assert_eq!(read(b"\xa3hvc1x"), picture(H265, 0, false, b"x"));
        assert_eq!(read(b"\x91av01x"), picture(Av1, 0, true, b"x"));
        assert_eq!(read(b"\xa1vp09x"), picture(Vp9, 0, false, b"x"));
        assert_eq!(read(&[0x22, 1, 0, 0, 0]), Err(TagError::VideoCodec));
        assert_eq!(read(&[0x17, 1]), Err(TagError::Short));
        assert_eq!(read(&[0x17, 2, 0, 0, 0]), Ok(Tag::Other));
        let read = |bytes: &[u8]| audio(&Bytes::copy_from_slice(bytes));
        assert_eq!(
            read(&[0xaf, 0, 0x12, 0x10]),
            Ok(Tag::AudioHeader(
                IngestAudioCodec::Aac,
                Bytes::from_static(&[0x12, 0x10])
            ))
        );
        assert_eq!(
            read(b"\x91Opusx"),
            Ok(Tag::Audio(IngestAudioCodec::Opus, Bytes::from_static(b"x")))
        );
        assert_eq!(
            read(&[0x2f, 1]),
            Ok(Tag::Audio(IngestAudioCodec::Mp3, Bytes::from_static(&[1])))
        );
        assert_eq!(read(&[0x5f, 1]), Err(TagError::AudioCodec));
    }
}
