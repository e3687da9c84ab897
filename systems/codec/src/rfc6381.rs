//! Names of codecs as playlists tell them to players (RFC 6381 and each codec's own binding).

use crate::settings::FrameRate;

/// `avc1` with profile, constraints and level, which are the three bytes behind the header of the SPS
/// (ISO/IEC 14496-15, section 5.4.1). `headers` are Annex B.
pub(crate) fn avc(headers: &[u8]) -> Option<String> {
    let [profile, constraints, level] = avc_profile(headers)?;
    Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"))
}

/// H.264's level, times ten.
pub(crate) fn avc_level(headers: &[u8]) -> Option<u8> {
    avc_profile(headers).map(|[_, _, level]| level)
}

fn avc_profile(headers: &[u8]) -> Option<[u8; 3]> {
    const SPS: u8 = 7;
    let start = headers
        .windows(4)
        .position(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] & 0x1f == SPS)?;
    headers.get(start + 4..start + 7)?.try_into().ok()
}

/// `mp4a.40` with the audio object type, which is the first five bits of the AudioSpecificConfig
/// (ISO/IEC 14496-3, section 1.6.2.1).
pub(crate) fn aac(headers: &[u8]) -> Option<String> {
    let object_type = headers.first()? >> 3;
    Some(format!("mp4a.40.{object_type}"))
}

/// VP9's levels: ten times the level, luma samples a second at most, luma samples of a picture at most
/// ("VP9 Levels and Decoder Testing", The WebM Project). The bitrate, which it bounds as well, may change while a stream
/// runs; FFmpeg's `vpcC` box leaves it out too.
const VP9_LEVELS: [(u8, u64, u64); 14] = [
    (10, 829_440, 36_864),
    (11, 2_764_800, 73_728),
    (20, 4_608_000, 122_880),
    (21, 9_216_000, 245_760),
    (30, 20_736_000, 552_960),
    (31, 36_864_000, 983_040),
    (40, 83_558_400, 2_228_224),
    (41, 160_432_128, 2_228_224),
    (50, 311_951_360, 8_912_896),
    (51, 588_251_136, 8_912_896),
    (52, 1_176_502_272, 8_912_896),
    (60, 1_176_502_272, 35_651_584),
    (61, 2_353_004_544, 35_651_584),
    (62, 4_706_009_088, 35_651_584),
];

/// `vp09` with profile 0, the level, and 8 bits ("VP Codec ISO Media File Format Binding").
pub(crate) fn vp9((width, height): (u32, u32), rate: FrameRate) -> Option<String> {
    let picture = u64::from(width) * u64::from(height);
    let samples = u128::from(picture) * u128::from(rate.numerator);
    let (level, _, _) = VP9_LEVELS
        .into_iter()
        .find(|(_, samples_max, picture_max)| {
            picture <= *picture_max
                && samples <= u128::from(*samples_max) * u128::from(rate.denominator)
        })?;
    Some(format!("vp09.00.{level}.08"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_give_their_names() {
        let headers = [0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1f, 0xac, 0, 0, 0, 1, 0x68];
        assert_eq!(avc(&headers).as_deref(), Some("avc1.64001f"));
        assert_eq!(avc(&headers[..6]), None);
        assert_eq!(aac(&[0x11, 0x90]).as_deref(), Some("mp4a.40.2"));
        assert_eq!(aac(&[]), None);
    }

    #[test]
    fn levels_follow_size_and_rate() {
        let name =
            |width, height, rate| vp9((width, height), FrameRate::whole(rate)).unwrap_or_default();
        assert_eq!(name(256, 144, 15), "vp09.00.10.08");
        assert_eq!(name(1280, 720, 30), "vp09.00.31.08");
        assert_eq!(name(1920, 1080, 30), "vp09.00.40.08");
        assert_eq!(name(1920, 1080, 60), "vp09.00.41.08");
        assert_eq!(name(8192, 8192, 240), "");
    }
}
