//! Writing packets to one target: a server, a file, or a folder of segments.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::error::CodecError;
use crate::ffi::{self, OutputContext};
use crate::interrupt::Interrupt;
use crate::packet::{Packet, StreamDescription, StreamKind, TimeBase};
use crate::redact::{SecretGuard, redact_url};

/// How packets are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// FLV in a file, or over `rtmp://` and `rtmps://`.
    Flv,
    /// MP4 in fragments, one a keyframe: playable up to the last fragment even when writing never ended.
    FragmentedMp4,
    /// MP4 with one index, written at the end: worth nothing unless finished.
    Mp4,
    /// Matroska in clusters, one a keyframe.
    Matroska,
    /// MPEG transport stream, in a file or over `srt://`.
    MpegTs,
    /// WebM in clusters, for VP8, VP9 and Opus.
    WebM,
    /// A folder: `program.m3u8`, `init.mp4`, and fragmented MP4 segments. The target is the playlist's path.
    Hls,
}

impl Container {
    /// The container that a file's extension stands for; `None` for one that is not known. `mp4` and `m4v` are
    /// fragmented, as recordings must survive a crash.
    #[must_use]
    pub fn from_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "mp4" | "m4v" => Some(Self::FragmentedMp4),
            "mkv" => Some(Self::Matroska),
            "flv" => Some(Self::Flv),
            "ts" => Some(Self::MpegTs),
            "webm" => Some(Self::WebM),
            "m3u8" => Some(Self::Hls),
            _ => None,
        }
    }

    const fn format(self) -> &'static str {
        match self {
            Self::Flv => "flv",
            Self::FragmentedMp4 | Self::Mp4 => "mp4",
            Self::Matroska => "matroska",
            Self::MpegTs => "mpegts",
            Self::WebM => "webm",
            Self::Hls => "hls",
        }
    }
}

/// How an HLS folder is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HlsOptions {
    /// Seconds in a segment, at least 1; it ends at the first keyframe from there on.
    pub segment_s: u32,
    /// Segments in the playlist, at least 2; older ones are deleted.
    pub window: u32,
}

impl Default for HlsOptions {
    fn default() -> Self {
        Self {
            segment_s: 2,
            window: 6,
        }
    }
}

/// How a target is opened and how long each step may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MuxerOptions {
    /// Leave out dates, versions and random identifiers, so that the same packets give the same bytes.
    pub bit_exact: bool,
    /// Certificates (PEM) that `rtmps` trusts instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Segments of an HLS folder.
    pub hls: HlsOptions,
    /// Bytes of the socket's send buffer. A small one tells early that the peer reads nothing. The kernel caps it
    /// at `net.core.wmem_max`.
    pub send_buffer_bytes: u32,
    /// For connecting and the header, each.
    pub open_timeout: Duration,
    /// For one packet.
    pub write_timeout: Duration,
    /// For the trailer, and for closing.
    pub finish_timeout: Duration,
}

impl Default for MuxerOptions {
    fn default() -> Self {
        Self {
            bit_exact: false,
            ca_file: None,
            hls: HlsOptions::default(),
            send_buffer_bytes: 512 * 1024,
            open_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(4),
            finish_timeout: Duration::from_secs(3),
        }
    }
}

/// An open target. All its calls block, each for no longer than its deadline.
pub struct Muxer {
    output: Option<OutputContext>,
    target: String,
    /// Per stream, in the order of the descriptions: its kind, and the unit the container chose.
    streams: Vec<(StreamKind, TimeBase)>,
    options: MuxerOptions,
    guard: Arc<Interrupt>,
    payload_bytes: u64,
    /// Strikes this target's key out of FFmpeg's log while it is open.
    _secrets: SecretGuard,
}

impl Muxer {
    /// Opens `target` (a URL or a path; a file there is overwritten) and writes the header.
    ///
    /// # Errors
    /// [`CodecError::Target`] with FFmpeg's reason, or [`CodecError::Deadline`] when the target did not answer in
    /// time or `guard` was aborted. Nothing stays open then.
    pub fn open(
        target: &str,
        container: Container,
        streams: &[StreamDescription],
        options: &MuxerOptions,
        guard: &Arc<Interrupt>,
    ) -> Result<Self, CodecError> {
        ffi::initialize();
        let shown = redact_url(target);
        let secrets = SecretGuard::new(target);
        let error = |error| CodecError::target("open", &shown, error, guard);
        let mut output = OutputContext::new(target, container.format(), guard).map_err(error)?;
        if options.bit_exact {
            output.be_bit_exact();
        }
        output.flush_each_packet();
        let protocol = protocol_options(target, options);
        let unused = guard
            .during(options.open_timeout, || output.open_io(&protocol))
            .map_err(error)?;
        report_unused(&shown, unused)?;
        let described = streams
            .iter()
            .try_for_each(|stream| output.add_stream(stream));
        let format = format_options(target, container, options);
        let header = described
            .and_then(|()| guard.during(options.open_timeout, || output.write_header(&format)));
        let unused = match header {
            Ok(unused) => unused,
            Err(failure) => {
                let error = CodecError::target("write the header to", &shown, failure, guard);
                close_abandoned(output, options, guard);
                return Err(error);
            }
        };
        report_unused(&shown, unused)?;
        let streams = streams
            .iter()
            .enumerate()
            .map(|(index, stream)| {
                (
                    stream.kind,
                    output.time_base(index).unwrap_or(stream.time_base),
                )
            })
            .collect();
        Ok(Self {
            output: Some(output),
            target: shown,
            streams,
            options: options.clone(),
            guard: Arc::clone(guard),
            payload_bytes: 0,
            _secrets: secrets,
        })
    }

    /// Writes one packet at its own timestamps. A packet of a kind that was not described at opening is left out.
    ///
    /// # Errors
    /// As [`Muxer::open`]; the muxer is of no more use then.
    pub fn write(&mut self, packet: &Packet) -> Result<(), CodecError> {
        self.write_shifted(packet, 0)
    }

    /// Writes one packet `shift_nanoseconds` earlier than it says, as a connection that starts in the middle of a
    /// stream needs. The result should not be negative.
    ///
    /// # Errors
    /// As [`Muxer::write`].
    pub fn write_shifted(
        &mut self,
        packet: &Packet,
        shift_nanoseconds: i64,
    ) -> Result<(), CodecError> {
        let Some(output) = &mut self.output else {
            return Ok(());
        };
        let Some(index) = self
            .streams
            .iter()
            .position(|(kind, _)| *kind == packet.kind())
        else {
            return Ok(());
        };
        let mut copy = packet.reference();
        let from = packet.time_base();
        let shift = from.timestamp(shift_nanoseconds);
        copy.set_pts(Some(packet.pts() - shift));
        copy.set_dts(Some(packet.dts() - shift));
        copy.set_stream(index);
        copy.set_position(-1);
        copy.rescale_ts(from.rational(), self.streams[index].1.rational());
        self.guard
            .during(self.options.write_timeout, || output.write(&mut copy))
            .map_err(|error| CodecError::target("write to", &self.target, error, &self.guard))?;
        self.payload_bytes += packet.len() as u64;
        Ok(())
    }

    /// Ends the file or the session: what is held back, the index, the flush to disk.
    ///
    /// # Errors
    /// As [`Muxer::open`]; the target is closed in any case.
    pub fn finish(mut self) -> Result<(), CodecError> {
        let Some(mut output) = self.output.take() else {
            return Ok(());
        };
        let written = self
            .guard
            .during(self.options.finish_timeout, || output.write_trailer())
            .map_err(|error| CodecError::target("finish", &self.target, error, &self.guard));
        let closed = self
            .guard
            .during(self.options.finish_timeout, || output.close_io())
            .map_err(|error| CodecError::target("close", &self.target, error, &self.guard));
        written.and(closed)
    }

    /// Bytes of the packets written so far, without what the container adds.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// The redacted target.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        if let Some(output) = self.output.take() {
            close_abandoned(output, &self.options, &self.guard);
        }
    }
}

/// How long a target that failed may take to be told goodbye.
const ABANDON_TIMEOUT: Duration = Duration::from_millis(200);

fn close_abandoned(output: OutputContext, options: &MuxerOptions, guard: &Interrupt) {
    guard.during(ABANDON_TIMEOUT.min(options.finish_timeout), || drop(output));
}

/// An option that nobody takes is a mistake of this file: an error where it is developed, a warning in the field.
fn report_unused(target: &str, unused: Option<String>) -> Result<(), CodecError> {
    let Some(names) = unused else {
        return Ok(());
    };
    if cfg!(debug_assertions) {
        return Err(CodecError::UnusedOptions {
            what: target.to_owned(),
            names,
        });
    }
    tracing::warn!(target, names, "FFmpeg left options unused");
    Ok(())
}

fn protocol_options(target: &str, options: &MuxerOptions) -> Vec<(&'static str, String)> {
    let mut pairs = Vec::new();
    let scheme = target
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    let scheme = scheme.as_deref();
    if matches!(scheme, Some("rtmp" | "rtmps")) {
        pairs.push(("send_buffer_size", options.send_buffer_bytes.to_string()));
    }
    if scheme == Some("rtmps") {
        // FFmpeg trusts any certificate unless told otherwise.
        pairs.push(("tls_verify", "1".to_owned()));
        if let Some(file) = &options.ca_file {
            pairs.push(("ca_file", file.to_string_lossy().into_owned()));
        }
    }
    pairs
}

fn format_options(
    target: &str,
    container: Container,
    options: &MuxerOptions,
) -> Vec<(&'static str, String)> {
    match container {
        // A server's stream has no end at which its length could be filled in.
        Container::Flv if target.contains("://") => {
            vec![("flvflags", "no_duration_filesize".to_owned())]
        }
        Container::Flv
        | Container::Mp4
        | Container::Matroska
        | Container::MpegTs
        | Container::WebM => Vec::new(),
        Container::FragmentedMp4 => {
            vec![(
                "movflags",
                "+frag_keyframe+empty_moov+default_base_moof".to_owned(),
            )]
        }
        Container::Hls => {
            let folder = Path::new(target).parent().unwrap_or(Path::new(""));
            let segments = folder.join("program_%05d.m4s");
            vec![
                ("hls_time", options.hls.segment_s.to_string()),
                ("hls_list_size", options.hls.window.to_string()),
                ("hls_segment_type", "fmp4".to_owned()),
                ("hls_fmp4_init_filename", "init.mp4".to_owned()),
                (
                    "hls_segment_filename",
                    segments.to_string_lossy().into_owned(),
                ),
                // Readers see whole files only: they are written under another name first.
                (
                    "hls_flags",
                    "independent_segments+delete_segments+temp_file".to_owned(),
                ),
            ]
        }
    }
}
