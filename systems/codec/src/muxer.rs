//! Writing packets to one target: a server, a file, or a folder of segments.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::container::Container;
use crate::error::CodecError;
use crate::ffi::{self, BufferTag, OutputContext};
use crate::hls::HlsOptions;
use crate::interrupt::Interrupt;
use crate::packet::{Packet, StreamDescription, StreamKind, TimeBase};
use crate::redact::{SecretGuard, redact_url};
use crate::transport::{Transport, TransportProbe};

/// How a target is opened and how long each step may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MuxerOptions {
    /// Leave out dates, versions and random identifiers, so that the same packets give the same bytes.
    pub bit_exact: bool,
    /// Certificates (PEM) that `rtmps` trusts instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Segments of an HLS folder.
    pub hls: HlsOptions,
    /// Bytes of the socket's send buffer, of which up to 2 KiB are kept back, for connections to have different ones. A
    /// small one tells early that the peer reads nothing. The kernel caps it at `net.core.wmem_max`.
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

/// What is known of a stream that is written.
struct Written {
    kind: StreamKind,
    /// The unit that the container chose.
    time_base: TimeBase,
    /// By how much its packets are moved, nanoseconds, for the container to say what they say.
    delay_ns: i64,
}

/// An open target. All its calls block, each for no longer than its deadline.
pub struct Muxer {
    output: Option<OutputContext>,
    target: String,
    /// In the order of the descriptions.
    streams: Vec<Written>,
    options: MuxerOptions,
    guard: Arc<Interrupt>,
    payload_bytes: u64,
    probe: Option<TransportProbe>,
    /// Keeps the size of the send buffer, by which the connection was found, for it alone.
    _tag: Option<BufferTag>,
    /// Strikes this target's key out of FFmpeg's log while it is open.
    _secrets: SecretGuard,
}

impl Muxer {
    /// Opens `target` (a URL or a path; a file there is overwritten) and writes the header.
    ///
    /// # Errors
    /// [`CodecError::Unsupported`] when the container cannot hold the streams ([`Container::check`]),
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
        check_streams(container, streams, options)?;
        let shown = redact_url(target);
        let secrets = SecretGuard::new(target);
        let error = |error| CodecError::target("open", &shown, error, guard);
        let mut output = OutputContext::new(target, container.format(), guard).map_err(error)?;
        if options.bit_exact {
            output.be_bit_exact();
        }
        output.flush_each_packet();
        let tag = has_scheme(target, &RTMP)
            .then(|| BufferTag::take(options.send_buffer_bytes))
            .flatten();
        let send_buffer_bytes = tag
            .as_ref()
            .map_or(options.send_buffer_bytes, BufferTag::bytes);
        let protocol = protocol_options(target, options, send_buffer_bytes);
        let mut open = || guard.during(options.open_timeout, || output.open_io(&protocol));
        let unused = if has_scheme(target, &["srt"]) {
            let (opened, refusal) = ffi::hearing_refusal(open);
            opened.map_err(|failure| error(failure).refused(refusal))?
        } else {
            open().map_err(error)?
        };
        report_unused(&shown, unused)?;
        let probe = tag.as_ref().and_then(BufferTag::find).map(TransportProbe);
        let described = streams
            .iter()
            .try_for_each(|stream| output.add_stream(stream));
        let format = container.options(target, options);
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
            .map(|(index, stream)| Written {
                kind: stream.kind,
                time_base: output.time_base(index).unwrap_or(stream.time_base),
                delay_ns: container.delay_ns(stream),
            })
            .collect();
        Ok(Self {
            output: Some(output),
            target: shown,
            streams,
            options: options.clone(),
            guard: Arc::clone(guard),
            payload_bytes: 0,
            probe,
            _tag: tag,
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
            .position(|stream| stream.kind == packet.kind())
        else {
            return Ok(());
        };
        let mut copy = packet.reference();
        let from = packet.time_base();
        let to = &self.streams[index];
        // By way of nanoseconds: the encoder's unit may be a whole frame, and the shift none of it.
        let moved = |timestamp| {
            let nanoseconds = from.nanoseconds(timestamp) - shift_nanoseconds + to.delay_ns;
            Some(to.time_base.timestamp(nanoseconds))
        };
        copy.rescale_ts(from.rational(), to.time_base.rational());
        copy.set_pts(moved(packet.pts()));
        copy.set_dts(moved(packet.dts()));
        copy.set_stream(index);
        copy.set_position(-1);
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

    /// What TCP says of the connection now: for `rtmp` and `rtmps`, unless the connection could not be told from others.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        self.probe.as_ref()?.transport()
    }

    /// What [`Muxer::transport`] asks, for another thread to ask while this one writes.
    #[must_use]
    pub fn transport_probe(&self) -> Option<TransportProbe> {
        self.probe.clone()
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

/// Refuses what FFmpeg would refuse with fewer words, or, in MPEG-TS, would write so that nobody can read it.
fn check_streams(
    container: Container,
    streams: &[StreamDescription],
    options: &MuxerOptions,
) -> Result<(), CodecError> {
    let video = streams.iter().find_map(StreamDescription::video_codec);
    let audio = streams.iter().find_map(StreamDescription::audio_codec);
    match container {
        Container::Hls => options.hls.segment_type.check_streams(video, audio)?,
        _ => container.check_streams(video, audio)?,
    }
    Ok(())
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

const RTMP: [&str; 2] = ["rtmp", "rtmps"];

fn has_scheme(target: &str, schemes: &[&str]) -> bool {
    target.split_once("://").is_some_and(|(scheme, _)| {
        schemes
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
    })
}

fn protocol_options(
    target: &str,
    options: &MuxerOptions,
    send_buffer_bytes: u32,
) -> Vec<(&'static str, String)> {
    let mut pairs = Vec::new();
    if has_scheme(target, &RTMP) {
        pairs.push(("send_buffer_size", send_buffer_bytes.to_string()));
    }
    if has_scheme(target, &["srt"]) {
        pairs.extend(srt_options(target, options));
    }
    if has_scheme(target, &["rtmps"]) {
        // FFmpeg trusts any certificate unless told otherwise.
        pairs.push(("tls_verify", "1".to_owned()));
        if let Some(file) = &options.ca_file {
            pairs.push(("ca_file", file.to_string_lossy().into_owned()));
        }
    }
    pairs
}

/// Microseconds for which an SRT receiver waits for what was lost, unless the target says otherwise.
const SRT_LATENCY_US: u32 = 200_000;
/// Seven packets of MPEG-TS, which fit into one datagram everywhere.
const SRT_PAYLOAD_BYTES: u32 = 1316;

/// What a target says in its query has precedence in FFmpeg over these.
fn srt_options(target: &str, options: &MuxerOptions) -> Vec<(&'static str, String)> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    // One name for it would hide another, as FFmpeg sets each in turn.
    let says_latency = query.split('&').any(|pair| {
        ["latency=", "tsbpddelay=", "rcvlatency=", "peerlatency="]
            .iter()
            .any(|name| pair.starts_with(name))
    });
    let mut pairs = vec![
        ("mode", "caller".to_owned()),
        ("transtype", "live".to_owned()),
        ("payload_size", SRT_PAYLOAD_BYTES.to_string()),
        (
            "connect_timeout",
            options.open_timeout.as_millis().to_string(),
        ),
        ("timeout", options.write_timeout.as_micros().to_string()),
    ];
    if !says_latency {
        pairs.push(("latency", SRT_LATENCY_US.to_string()));
    }
    pairs
}
