//! Reading files and addresses: packets of the best stream of pictures and of the best of sound.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ffmpeg_next as ffmpeg;

use crate::decoder::{CodedPacket, MediaStream};
use crate::error::CodecError;
use crate::ffi;
use crate::interrupt::Interrupt;
use crate::packet::StreamKind;
use crate::redact::{SecretGuard, redact_url};

/// Containers that are read from a scene's folder. Those that name other files are not among them: a scene cannot read what lies
/// outside of its folder.
const FILE_FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,wav,mp3,ogg,flac,aac,aiff,caf,w64,au,gif,\
                            apng,ivf,h264,hevc,m4v,mpegvideo,mxf,asf,nut,amr,ac3,eac3,obu,dv";
/// What an address may be read over, and what its playlists may name: nothing on this machine's disks.
const URL_PROTOCOLS: &str = "http,https,httpproxy,tcp,tls,udp,rtp,srt,rtmp,rtmps,rtmpt,hls,crypto";
/// How addresses begin.
const URL_SCHEMES: [&str; 8] = [
    "http", "https", "srt", "rtmp", "rtmps", "udp", "rtp", "rtmpt",
];
/// Broken packets in a row after which a source is given up.
const BROKEN_IN_A_ROW_MAX: u32 = 256;

/// An open file or address. Blocking: every call ends by its deadline.
pub struct Demuxer {
    input: ffi::InputContext,
    interrupt: Arc<Interrupt>,
    allowed: Duration,
    /// As it may be shown.
    target: String,
    video: Option<MediaStream>,
    audio: Option<MediaStream>,
    video_index: Option<usize>,
    audio_index: Option<usize>,
    broken: u64,
    _secrets: SecretGuard,
}

impl Demuxer {
    /// Opens a file. Who calls has found it inside of the folder that it may lie in.
    ///
    /// # Errors
    /// It is not there, or holds nothing that can be read.
    pub fn open_file(
        path: &Path,
        interrupt: &Arc<Interrupt>,
        allowed: Duration,
    ) -> Result<Self, CodecError> {
        let name = path.to_string_lossy();
        let options = [
            ("protocol_whitelist", "file".to_owned()),
            ("format_whitelist", FILE_FORMATS.to_owned()),
        ];
        Self::open(&format!("file:{name}"), &name, &options, interrupt, allowed)
    }

    /// Opens an address over HTTP, HTTPS, HLS, SRT, RTMP, RTMPS, UDP or RTP. Certificates are verified.
    ///
    /// # Errors
    /// Another scheme, nobody who answers in time, or nothing that can be read.
    pub fn open_url(
        url: &str,
        interrupt: &Arc<Interrupt>,
        allowed: Duration,
    ) -> Result<Self, CodecError> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        if !URL_SCHEMES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(scheme))
        {
            return Err(CodecError::Setting {
                setting: "src",
                value: redact_url(url),
                expected: "an address that begins with http, https, srt, rtmp, rtmps, udp or rtp",
            });
        }
        let options = [
            ("protocol_whitelist", URL_PROTOCOLS.to_owned()),
            // FFmpeg trusts any certificate unless told otherwise.
            ("tls_verify", "1".to_owned()),
        ];
        let shown = redact_url(url);
        Self::open(url, &shown, &options, interrupt, allowed)
    }

    fn open(
        source: &str,
        shown: &str,
        options: &[(&str, String)],
        interrupt: &Arc<Interrupt>,
        allowed: Duration,
    ) -> Result<Self, CodecError> {
        ffi::initialize();
        let secrets = SecretGuard::new(source);
        let error = |error| CodecError::target("open", shown, error, interrupt);
        let mut input = interrupt
            .during(allowed, || {
                ffi::InputContext::open(source, options, interrupt)
            })
            .map_err(error)?;
        let video = input.best_stream(true).map_err(error)?;
        let audio = input.best_stream(false).map_err(error)?;
        if video.is_none() && audio.is_none() {
            return Err(CodecError::Target {
                action: "open",
                target: shown.to_owned(),
                reason: "there are neither pictures nor sound in it".to_owned(),
                code: 0,
            });
        }
        let index = |stream: &Option<ffi::StreamFacts>| stream.as_ref().map(|facts| facts.index);
        let (video_index, audio_index) = (index(&video), index(&audio));
        let wanted: Vec<usize> = video_index.into_iter().chain(audio_index).collect();
        input.read_only(&wanted);
        Ok(Self {
            input,
            interrupt: Arc::clone(interrupt),
            allowed,
            target: shown.to_owned(),
            video: video.map(MediaStream::of_container),
            audio: audio.map(MediaStream::of_container),
            video_index,
            audio_index,
            broken: 0,
            _secrets: secrets,
        })
    }

    /// The pictures.
    #[must_use]
    pub fn video(&self) -> Option<&MediaStream> {
        self.video.as_ref()
    }

    /// The sound.
    #[must_use]
    pub fn audio(&self) -> Option<&MediaStream> {
        self.audio.as_ref()
    }

    /// Reads no more of the pictures.
    pub fn without_video(&mut self) {
        self.video = None;
        self.video_index = None;
        let wanted: Vec<usize> = self.audio_index.into_iter().collect();
        self.input.read_only(&wanted);
    }

    /// Has each read, and each seek, end within `allowed` from now on; at first it is what opening was allowed.
    pub fn allow(&mut self, allowed: Duration) {
        self.allowed = allowed;
    }

    /// Microseconds that it lasts; `None` where it does not say, as live sources do.
    #[must_use]
    pub fn duration_us(&self) -> Option<i64> {
        self.input.duration_us()
    }

    /// The moment of its first picture, or its first sound where it has no pictures, in microseconds of its packets.
    #[must_use]
    pub fn start_us(&self) -> i64 {
        let start =
            |stream: &Option<MediaStream>| stream.as_ref().and_then(|stream| stream.start_us);
        start(&self.video)
            .or_else(|| start(&self.audio).map(|start| start.max(0)))
            .unwrap_or(0)
    }

    /// Packets that could not be read.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.broken
    }

    /// The next packet of either; `None` at the end. Damage is passed over.
    ///
    /// # Errors
    /// The source is lost, or silent for as long as was allowed.
    pub fn read(&mut self) -> Result<Option<CodedPacket>, CodecError> {
        let mut broken_in_a_row = 0;
        loop {
            let read = self.interrupt.during(self.allowed, || self.input.read());
            let (index, packet) = match read {
                Ok(read) => read,
                Err(ffmpeg::Error::Eof) => return Ok(None),
                Err(ffmpeg::Error::InvalidData) if broken_in_a_row < BROKEN_IN_A_ROW_MAX => {
                    self.broken += 1;
                    broken_in_a_row += 1;
                    continue;
                }
                Err(error) => {
                    return Err(CodecError::target(
                        "read",
                        &self.target,
                        error,
                        &self.interrupt,
                    ));
                }
            };
            let kind = if self.video_index == Some(index) {
                StreamKind::Video
            } else if self.audio_index == Some(index) {
                StreamKind::Audio
            } else {
                continue;
            };
            return Ok(Some(CodedPacket::new(kind, packet)));
        }
    }

    /// Goes on at the last place at or before `to_us`, in microseconds of its packets, from which pictures can be decoded.
    ///
    /// # Errors
    /// It cannot be sought in.
    pub fn seek(&mut self, to_us: i64) -> Result<(), CodecError> {
        self.interrupt
            .during(self.allowed, || self.input.seek(to_us))
            .map_err(|error| CodecError::target("seek in", &self.target, error, &self.interrupt))
    }
}
