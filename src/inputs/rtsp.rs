//! Cameras, over RTSP, as a live source: H.264, H.265, AAC and G.711, in the connection or as datagrams.
//!
//! All sessions run on one small runtime of their own, so that none waits for a decoder. Sound and picture get one clock: by what the
//! server says of both when it begins to play, and by its sender reports from then on.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use codec::{CodedPacket, InputCodec, MediaStream, StreamKind};
use components::source::RtspTransport;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use futures_util::StreamExt as _;
use retina::client::{
    Credentials, Demuxed, InitialTimestampPolicy, PlayOptions, Session, SessionOptions,
    SetupOptions, TcpTransportOptions, Transport, UdpTransportOptions,
};
use retina::codec::{CodecItem, FrameFormat, ParametersRef};
use tokio::runtime::{self, Handle, Runtime};
use tokio::task::JoinHandle;

use super::facts::Facts;
use super::live::{LiveItem, LiveSource};
use super::manager::lock;
use super::{LOOK_EVERY, OPEN_TIMEOUT, Sources};

/// Packets that may wait for the decoder: some seconds.
const PACKETS_MAX: usize = 512;
/// Sender reports that put sound and picture further apart are wrong, in microseconds.
const APART_US_MAX: i64 = 5_000_000;
/// Damaged packets in a row after which a session is given up.
const BROKEN_IN_A_ROW_MAX: u32 = 50;

/// Where all sessions run; begun with the first.
#[derive(Debug, Default)]
pub(super) struct RtspRuntime(Mutex<Option<Runtime>>);

impl RtspRuntime {
    fn handle(&self) -> io::Result<Handle> {
        let mut runtime = lock(&self.0);
        if runtime.is_none() {
            *runtime = Some(
                runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .max_blocking_threads(4)
                    .thread_name("rtsp")
                    .enable_all()
                    .build()?,
            );
        }
        runtime
            .as_ref()
            .map(|runtime| runtime.handle().clone())
            .ok_or_else(|| io::Error::other("no runtime"))
    }
}

impl Drop for RtspRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = lock(&self.0).take() {
            // A name that is being looked up would keep it waiting.
            runtime.shutdown_background();
        }
    }
}

enum Message {
    Connected,
    Item(LiveItem),
    Failed(String),
}

/// A camera.
pub(super) struct RtspSource {
    spec: components::source::RtspSource,
    runtime: Arc<RtspRuntime>,
    sources: Sources,
    session: Option<(Receiver<Message>, JoinHandle<()>)>,
}

impl RtspSource {
    pub(super) fn new(
        spec: &components::source::RtspSource,
        runtime: &Arc<RtspRuntime>,
        sources: &Sources,
    ) -> Self {
        Self {
            spec: spec.clone(),
            runtime: Arc::clone(runtime),
            sources: sources.clone(),
            session: None,
        }
    }

    fn end(&mut self) {
        if let Some((_, task)) = self.session.take() {
            task.abort();
        }
    }

    fn credentials(&self) -> Result<Option<Credentials>, String> {
        let password = match &self.spec.password_from {
            Some(name) => (self.sources.password)(name)
                .ok_or_else(|| format!("the environment variable {name} is not set"))?,
            None => String::new(),
        };
        let username = self.spec.username.clone();
        Ok(username.map(|username| Credentials { username, password }))
    }
}

impl Drop for RtspSource {
    fn drop(&mut self) {
        self.end();
    }
}

impl LiveSource for RtspSource {
    fn connect(&mut self, facts: &Facts) -> Result<(), String> {
        self.end();
        let url = ::url::Url::parse(&self.spec.url)
            .map_err(|error| format!("the address cannot be read: {error}"))?;
        let credentials = self.credentials()?;
        let transport = self.spec.transport;
        let handle = self
            .runtime
            .handle()
            .map_err(|error| format!("no thread for cameras: {error}"))?;
        let (sender, receiver) = bounded(PACKETS_MAX);
        let task = handle.spawn(async move {
            if let Err(error) = run(url, credentials, transport, &sender).await {
                // Who is behind hears of it by the silence.
                let _full = sender.try_send(Message::Failed(error));
            }
        });
        self.session = Some((receiver.clone(), task));
        let until = Instant::now() + OPEN_TIMEOUT + Duration::from_secs(1);
        loop {
            match receiver.recv_timeout(LOOK_EVERY) {
                Ok(Message::Connected | Message::Item(_)) => return Ok(()),
                Ok(Message::Failed(error)) => return Err(error),
                Err(RecvTimeoutError::Disconnected) => return Err("it has ended".to_owned()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() > until || facts.is_retry_wanted() {
                self.end();
                return Err("nobody answered in time".to_owned());
            }
        }
    }

    fn next(&mut self, timeout: Duration, _: Duration) -> Result<Option<LiveItem>, String> {
        let Some((receiver, _)) = &self.session else {
            return Err("it is not open".to_owned());
        };
        match receiver.recv_timeout(timeout) {
            Ok(Message::Item(item)) => Ok(Some(item)),
            Ok(Message::Connected) | Err(RecvTimeoutError::Timeout) => Ok(None),
            Ok(Message::Failed(error)) => Err(error),
            Err(RecvTimeoutError::Disconnected) => Err("the server has ended it".to_owned()),
        }
    }

    fn is_patient(&self) -> bool {
        false
    }
}

/// One session, from its beginning to its end.
async fn run(
    url: ::url::Url,
    credentials: Option<Credentials>,
    transport: RtspTransport,
    sender: &Sender<Message>,
) -> Result<(), String> {
    let (mut session, streams) = in_time(connect(url, credentials, transport)).await?;
    let mut way = Way {
        sender,
        skips: false,
    };
    way.sender
        .try_send(Message::Connected)
        .map_err(|_| "nobody waits for it".to_owned())?;
    for stream in [&streams.video, &streams.audio].into_iter().flatten() {
        if let Some(header) = stream.header(&session)? {
            way.send(header);
        }
    }
    let mut clock = SharedClock::default();
    let mut broken_in_a_row = 0;
    while let Some(item) = session.next().await {
        let item = match item {
            Ok(item) => item,
            Err(error) if broken_in_a_row < BROKEN_IN_A_ROW_MAX => {
                tracing::debug!(%error, "a damaged packet of a camera");
                broken_in_a_row += 1;
                continue;
            }
            Err(error) => return Err(say(error)),
        };
        broken_in_a_row = 0;
        match item {
            CodecItem::VideoFrame(frame) => {
                let pts_us = clock.time_us(0, frame.timestamp());
                way.packet(CodedPacket::from_bytes(
                    StreamKind::Video,
                    frame.data(),
                    pts_us,
                    pts_us,
                    frame.is_random_access_point(),
                ));
            }
            CodecItem::AudioFrame(frame) => {
                let pts_us = clock.time_us(1, frame.timestamp());
                way.packet(CodedPacket::from_bytes(
                    StreamKind::Audio,
                    frame.data(),
                    pts_us,
                    pts_us,
                    true,
                ));
            }
            CodecItem::Rtcp(report) => {
                let is_video = streams.is_video(report.stream_id());
                let sent = report
                    .pkts()
                    .next()
                    .and_then(|packet| packet.as_sender_report().ok().flatten());
                if let (Some(sent), Some(timestamp)) = (sent, report.rtp_timestamp()) {
                    let kind = usize::from(!is_video);
                    clock.report(kind, sent.ntp_timestamp().0, timestamp);
                }
            }
            _ => {}
        }
    }
    Err("the server has ended it".to_owned())
}

/// What is wrong, without the numbers of connections and packets that follow on further lines.
fn say(error: retina::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

async fn in_time<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(OPEN_TIMEOUT, work)
        .await
        .map_err(|_| "nobody answered in time".to_owned())?
}

/// A stream that is played.
struct Chosen {
    index: usize,
    codec: InputCodec,
}

struct Streams {
    video: Option<Chosen>,
    audio: Option<Chosen>,
}

impl Streams {
    fn is_video(&self, index: usize) -> bool {
        self.video
            .as_ref()
            .is_some_and(|video| video.index == index)
    }
}

impl Chosen {
    /// What a decoder must know. Parameter sets stand in the pictures, and AAC has its header in each packet.
    fn header(&self, session: &Demuxed) -> Result<Option<LiveItem>, String> {
        let stream = session.streams().get(self.index);
        let sound = match stream.and_then(|stream| stream.parameters()) {
            Some(ParametersRef::Audio(audio)) => Some((audio.clock_rate(), audio.channels().get())),
            _ => None,
        };
        let stream =
            MediaStream::of_codec(self.codec, &[], sound).map_err(|error| error.to_string())?;
        Ok(Some(match self.codec {
            InputCodec::H264 | InputCodec::H265 => LiveItem::Video(stream),
            _ => LiveItem::Audio(stream),
        }))
    }
}

async fn connect(
    url: ::url::Url,
    credentials: Option<Credentials>,
    transport: RtspTransport,
) -> Result<(Demuxed, Streams), String> {
    let options = SessionOptions::default()
        .creds(credentials)
        .user_agent("stream-manager".to_owned());
    let mut session = Session::describe(url, options).await.map_err(say)?;
    let find = |media: &str| {
        session
            .streams()
            .iter()
            .enumerate()
            .filter(|(_, stream)| stream.media() == media)
            .find_map(|(index, stream)| {
                let codec = match stream.encoding_name() {
                    "h264" => InputCodec::H264,
                    "h265" => InputCodec::H265,
                    "mpeg4-generic" => InputCodec::Aac,
                    "pcma" => InputCodec::PcmAlaw,
                    "pcmu" => InputCodec::PcmMulaw,
                    _ => return None,
                };
                Some(Chosen { index, codec })
            })
    };
    let streams = Streams {
        video: find("video"),
        audio: find("audio"),
    };
    if streams.video.is_none() && streams.audio.is_none() {
        let offered: Vec<&str> = session
            .streams()
            .iter()
            .map(|stream| stream.encoding_name())
            .collect();
        return Err(format!(
            "it has neither H.264, H.265, AAC nor G.711, but {}",
            offered.join(", ")
        ));
    }
    for stream in [&streams.video, &streams.audio].into_iter().flatten() {
        let transport = match transport {
            RtspTransport::Tcp => Transport::Tcp(TcpTransportOptions::default()),
            RtspTransport::Udp => Transport::Udp(UdpTransportOptions::default()),
        };
        let options = SetupOptions::default()
            .transport(transport)
            .frame_format(FrameFormat::SIMPLE);
        session.setup(stream.index, options).await.map_err(say)?;
    }
    // Some cameras leave out when a stream begins; reports tell later.
    let options = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Permissive);
    let playing = session.play(options).await.map_err(say)?;
    Ok((playing.demuxed().map_err(say)?, streams))
}

/// The way to the decoder. What finds no room is left out, with all that needs it.
struct Way<'a> {
    sender: &'a Sender<Message>,
    skips: bool,
}

impl Way<'_> {
    fn packet(&mut self, packet: CodedPacket) {
        if self.skips && packet.kind() == StreamKind::Video {
            if !packet.is_key() {
                return;
            }
            self.skips = false;
            self.send(LiveItem::Lost);
        }
        self.send(LiveItem::Packet(packet));
    }

    fn send(&mut self, item: LiveItem) {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(Message::Item(item)) {
            self.skips = true;
        }
    }
}

/// One clock for pictures and sound: the server's own, where its reports tell of it.
#[derive(Debug, Default)]
struct SharedClock {
    /// The server's time at the beginning of each stream, in microseconds.
    began_us: [Option<i64>; 2],
}

impl SharedClock {
    /// When a frame is shown or heard. `kind` is 0 for pictures and 1 for sound.
    fn time_us(&self, kind: usize, timestamp: retina::Timestamp) -> i64 {
        let apart_us = match self.began_us {
            [Some(video_us), Some(audio_us)] if kind == 1 => audio_us - video_us,
            _ => 0,
        };
        let apart_us = if apart_us.abs() > APART_US_MAX {
            0
        } else {
            apart_us
        };
        elapsed_us(timestamp) + apart_us
    }

    /// A sender report (RFC 3550, section 6.4.1): at the server's time `ntp` the stream was at `timestamp`.
    fn report(&mut self, kind: usize, ntp: u64, timestamp: retina::Timestamp) {
        let ntp_us = ((u128::from(ntp) * 1_000_000) >> 32) as i64;
        let began_us = ntp_us - elapsed_us(timestamp);
        // Reports are written with some jitter; a step of less than 2 ms is that.
        let is_near = self.began_us[kind].is_some_and(|known| (known - began_us).abs() < 2_000);
        if !is_near {
            self.began_us[kind] = Some(began_us);
        }
    }
}

fn elapsed_us(timestamp: retina::Timestamp) -> i64 {
    let elapsed = i128::from(timestamp.elapsed()) * 1_000_000;
    (elapsed / i128::from(timestamp.clock_rate().get())) as i64
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn reports_bring_sound_and_picture_together() {
        let video_rate = NonZeroU32::new(90_000).unwrap();
        let audio_rate = NonZeroU32::new(8_000).unwrap();
        let video = |elapsed: i64| retina::Timestamp::new(elapsed + 7, video_rate, 7).unwrap();
        let audio = |elapsed: i64| retina::Timestamp::new(elapsed, audio_rate, 0).unwrap();
        let mut clock = SharedClock::default();
        assert_eq!(clock.time_us(0, video(90_000)), 1_000_000);
        assert_eq!(clock.time_us(1, audio(8_000)), 1_000_000);
        // The sound began a quarter of a second after the picture.
        let second: u64 = 1 << 32;
        clock.report(0, 1000 * second, video(90_000));
        clock.report(1, 1000 * second, audio(6_000));
        assert_eq!(clock.time_us(0, video(90_000)), 1_000_000);
        assert_eq!(clock.time_us(1, audio(6_000)), 1_000_000);
        // A report that is nonsense is not believed.
        clock.report(1, 9000 * second, audio(6_000));
        assert_eq!(clock.time_us(1, audio(8_000)), 1_000_000);
    }
}
