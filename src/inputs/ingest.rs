//! Publishers to the program's own server, as a live source.

use std::time::Duration;

use codec::{CodedPacket, InputCodec, MediaStream, StreamKind};

use super::facts::Facts;
use super::live::{LiveItem, LiveSource};
use crate::ingest::{
    IngestAudioCodec, IngestHub, IngestPacket, IngestReader, IngestVideoCodec, Received,
};

/// Samples a second of G.711 in FLV, which has one rate for it.
const G711_SOUND: (u32, u16) = (8_000, 1);

/// Whoever publishes with one key, now and later.
pub(super) struct IngestSource {
    reader: IngestReader,
}

impl IngestSource {
    pub(super) fn new(hub: &IngestHub, key: &str) -> Self {
        Self {
            reader: hub.read(key),
        }
    }
}

impl LiveSource for IngestSource {
    fn connect(&mut self, _: &Facts) -> Result<(), String> {
        Ok(())
    }

    fn next(&mut self, timeout: Duration, _: Duration) -> Result<Option<LiveItem>, String> {
        let Some(received) = self.reader.next(timeout) else {
            return Ok(None);
        };
        let item = match received {
            Received::Begun => LiveItem::Begun,
            Received::Lost => LiveItem::Lost,
            Received::Gone => LiveItem::Gone("the publisher has gone".to_owned()),
            Received::Packet(packet) => self.item(packet)?,
        };
        Ok(Some(item))
    }

    fn is_patient(&self) -> bool {
        true
    }
}

impl IngestSource {
    fn item(&self, packet: IngestPacket) -> Result<LiveItem, String> {
        let say = |error: codec::CodecError| error.to_string();
        Ok(match packet {
            IngestPacket::VideoHeader { codec, header } => {
                LiveItem::Video(MediaStream::of_codec(video(codec), &header, None).map_err(say)?)
            }
            IngestPacket::AudioHeader { codec, header } => {
                let is_g711 = matches!(
                    codec,
                    IngestAudioCodec::PcmAlaw | IngestAudioCodec::PcmMulaw
                );
                let sound = is_g711.then_some(G711_SOUND);
                LiveItem::Audio(MediaStream::of_codec(audio(codec), &header, sound).map_err(say)?)
            }
            IngestPacket::Video {
                dts_ms,
                composition_ms,
                keyframe,
                data,
            } => LiveItem::Packet(CodedPacket::from_bytes(
                StreamKind::Video,
                &data,
                (dts_ms + i64::from(composition_ms)) * 1000,
                dts_ms * 1000,
                keyframe,
            )),
            IngestPacket::Audio { pts_ms, data } => LiveItem::Packet(CodedPacket::from_bytes(
                StreamKind::Audio,
                &data,
                pts_ms * 1000,
                pts_ms * 1000,
                true,
            )),
        })
    }
}

fn video(codec: IngestVideoCodec) -> InputCodec {
    match codec {
        IngestVideoCodec::H264 => InputCodec::H264,
        IngestVideoCodec::H265 => InputCodec::H265,
        IngestVideoCodec::Vp9 => InputCodec::Vp9,
        IngestVideoCodec::Av1 => InputCodec::Av1,
    }
}

fn audio(codec: IngestAudioCodec) -> InputCodec {
    match codec {
        IngestAudioCodec::Aac => InputCodec::Aac,
        IngestAudioCodec::Mp3 => InputCodec::Mp3,
        IngestAudioCodec::Opus => InputCodec::Opus,
        IngestAudioCodec::PcmAlaw => InputCodec::PcmAlaw,
        IngestAudioCodec::PcmMulaw => InputCodec::PcmMulaw,
    }
}
