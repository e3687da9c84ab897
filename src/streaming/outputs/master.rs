//! The text of `master.m3u8` (RFC 8216, section 4.3.4.2): what a player chooses a rendition by.

use std::fmt::Write;

use codec::StreamDescription;

use crate::streaming::rendition::RenditionSettings;

/// What fragments add: so many parts of a thousand, and a box for each packet.
const OVERHEAD_PER_MILLE: u64 = 20;
/// Kilobits a second of the boxes that name about 80 packets a second, with those of the segment.
const OVERHEAD_KBPS: u64 = 12;
/// A segment may be above the mean by so many parts of a thousand; the buffer model allows for no more over 2 s.
const PEAK_PER_MILLE: u64 = 150;

/// One rendition, as the playlist describes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variant {
    /// The rendition's name.
    pub(super) id: String,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Frames a second.
    pub(super) frame_rate: f64,
    pub(super) video_kbps: u32,
    /// 0 without sound.
    pub(super) audio_kbps: u32,
    /// As RFC 6381 names them, separated by commas.
    pub(super) codecs: String,
}

impl Variant {
    pub(super) fn new(rendition: &RenditionSettings, streams: &[StreamDescription]) -> Self {
        let video = &rendition.encoder.video;
        let audio = rendition.encoder.audio.as_ref();
        let codecs: Vec<String> = streams
            .iter()
            .filter_map(StreamDescription::rfc6381)
            .collect();
        Self {
            id: rendition.id.clone(),
            width: video.width,
            height: video.height,
            frame_rate: video.frame_rate.as_f64(),
            video_kbps: video.bitrate_kbps,
            audio_kbps: audio.map_or(0, |audio| audio.bitrate_kbps),
            codecs: codecs.join(","),
        }
    }

    /// Bits a second on average, with what the container adds.
    fn mean_bps(&self) -> u64 {
        let kbps = u64::from(self.video_kbps) + u64::from(self.audio_kbps);
        kbps * (1000 + OVERHEAD_PER_MILLE) + OVERHEAD_KBPS * 1000
    }

    /// Bits a second of the largest segment.
    fn peak_bps(&self) -> u64 {
        self.mean_bps() * (1000 + PEAK_PER_MILLE) / 1000
    }
}

/// The playlist of `variants`, each with the URI of its own.
pub(super) fn playlist(variants: &[(&Variant, String)]) -> String {
    let mut text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n".to_owned();
    for (variant, uri) in variants {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},RESOLUTION={}x{},FRAME-RATE={:.3}",
            variant.peak_bps(),
            variant.mean_bps(),
            variant.width,
            variant.height,
            variant.frame_rate
        );
        if !variant.codecs.is_empty() {
            let _ = write!(text, ",CODECS=\"{}\"", variant.codecs);
        }
        let _ = write!(text, "\n{uri}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_described_in_order() {
        let variant = Variant {
            id: "720p".to_owned(),
            width: 1280,
            height: 720,
            frame_rate: 30_000.0 / 1001.0,
            video_kbps: 3000,
            audio_kbps: 128,
            codecs: "avc1.64001f,mp4a.40.2".to_owned(),
        };
        let text = playlist(&[(&variant, "720p/program.m3u8".to_owned())]);
        assert_eq!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-STREAM-INF:BANDWIDTH=3682944,AVERAGE-BANDWIDTH=3202560,RESOLUTION=1280x720,FRAME-RATE=29.970,\
             CODECS=\"avc1.64001f,mp4a.40.2\"\n720p/program.m3u8\n"
        );
    }
}
