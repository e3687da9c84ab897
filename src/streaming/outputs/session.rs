//! One session of an output: a connection to a server, one file, or one run of an HLS folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use codec::{Container, HlsOptions, Muxer, MuxerOptions, Packet};

use super::ladder::{HlsLadder, Proposal};
use super::queue::{Order, Popped};
use super::settings::{OutputKind, OutputSettings};
use super::stats::OutputState;
use super::target;
use super::worker::{Course, SessionEnd, Worker};
use crate::streaming::error::StreamingError;
use crate::streaming::event::StreamingEvent;

/// The thread looks at its queue again after so long without a packet.
const IDLE: Duration = Duration::from_secs(1);
/// FLV counts milliseconds in 31 bits, so it would begin again at 0 after 24.8 days, in the middle of a connection. A session that
/// gets as far is ended before, and the next one has a new time 0.
const FLV_TIME_MAX_NS: i64 = 24 * 24 * 3600 * 1_000_000_000;

/// So many reconnects are told in the log one by one, and one in so many after that.
const SAID_MAX: u64 = 10;
const SAID_EVERY: u64 = 20;

/// What a session writes to.
struct Open {
    muxer: Muxer,
    kind: OutputKind,
    /// Taken from every timestamp; known with the first packet.
    shift_ns: Option<i64>,
    /// Of the first packet.
    start_ns: i64,
    /// The end of the last one.
    end_ns: i64,
    begun: Instant,
    path: Option<PathBuf>,
    run: Option<u64>,
}

impl Worker {
    /// One session, from opening to its end.
    pub(super) fn session(&self, course: &mut Course) -> Result<SessionEnd, StreamingError> {
        let settings = self.board.settings();
        // A file that follows another is no new connection.
        if course.carried.is_none() || !matches!(settings.kind, OutputKind::File(_)) {
            self.enter(OutputState::Connecting, None);
        }
        let (target, container, run) = match (settings.kind, &self.ladder) {
            (OutputKind::Hls, Some(ladder)) => match self.join(ladder, &settings, course)? {
                Ok((run, start_ns)) => {
                    course.epoch_ns = Some(start_ns);
                    let playlist = ladder.playlist(self.index);
                    (path_text(&playlist), Container::Hls, Some(run))
                }
                Err(end) => return Ok(end),
            },
            (OutputKind::Hls, None) => return Ok(SessionEnd::Closed),
            (OutputKind::Rtmp, _) => (self.url(&settings), Container::Flv, None),
            (OutputKind::Srt, _) => (self.url(&settings), Container::MpegTs, None),
            (OutputKind::File(container), _) => {
                (self.next_file(&settings, course)?, container, None)
            }
        };
        let result = self.open_and_write(&settings, course, &target, container, run);
        if let (Err(_), Some(ladder), Some(run)) = (&result, &self.ladder, run) {
            ladder.end(run);
        }
        result
    }

    fn open_and_write(
        &self,
        settings: &OutputSettings,
        course: &mut Course,
        target: &str,
        container: Container,
        run: Option<u64>,
    ) -> Result<SessionEnd, StreamingError> {
        let part = self.part();
        let guard = part.arm();
        if part.queue.standing_order() != Order::Run {
            return Ok(SessionEnd::Ordered);
        }
        if is_push(settings.kind) && !part.context.conditions.leave.may_send() {
            return Err(StreamingError::NotLeading);
        }
        let opened = Muxer::open(
            target,
            container,
            &part.context.streams,
            &self.muxer_options(settings),
            &guard,
        );
        let muxer = match opened.map_err(classify) {
            // Connecting takes a while.
            Ok(_) if is_push(settings.kind) && !part.context.conditions.leave.may_send() => {
                return Err(StreamingError::NotLeading);
            }
            Ok(muxer) => muxer,
            Err(error) => {
                if let (OutputKind::File(_), Some(path)) = (settings.kind, &course.path) {
                    target::discard(path);
                }
                return Err(error);
            }
        };
        // What gathered while a live peer was being reached is old by now; a file, at its first opening, wants it all.
        if course.carried.is_none() && (is_push(settings.kind) || course.has_connected) {
            part.queue.restart();
            part.context.encoder.request_keyframe();
        }
        self.count_session(course, settings);
        // From here on it can be behind.
        let newest_ns = part.queue.figures().newest_ns;
        part.written_ns.store(newest_ns, Ordering::Relaxed);
        part.connect(muxer.transport_probe());
        self.enter(OutputState::Live, None);
        let sessions = self.board.figures.reconnects.load(Ordering::Relaxed);
        let (output, target) = (self.board.id(), muxer.target());
        // A peer that lets go every few seconds does not fill the log.
        if sessions < SAID_MAX || sessions.is_multiple_of(SAID_EVERY) {
            tracing::info!(output, target, sessions, "output connected");
        } else {
            tracing::debug!(output, target, sessions, "output connected");
        }
        let is_file = matches!(settings.kind, OutputKind::File(_));
        let mut open = Open {
            muxer,
            kind: settings.kind,
            shift_ns: None,
            start_ns: 0,
            end_ns: 0,
            begun: Instant::now(),
            path: course.path.clone().filter(|_| is_file),
            run,
        };
        if let Some(path) = &open.path {
            self.board.tell(StreamingEvent::FileStarted {
                output: self.board.id().to_owned(),
                path: path.clone(),
            });
        }
        let written = self.write_all(&mut open, course);
        part.disconnect();
        self.close(open, written)
    }

    fn write_all(
        &self,
        open: &mut Open,
        course: &mut Course,
    ) -> Result<SessionEnd, StreamingError> {
        let queue = &self.part().queue;
        if let Some(packet) = course.carried.take() {
            self.write(open, course, &packet)?;
        }
        loop {
            match queue.pop(IDLE) {
                Popped::Packet(packet) => {
                    if packet.is_video_key() && open.shift_ns.is_some() {
                        if self.is_long_enough(open, &packet) {
                            if open.is_near_the_wrap(&packet) {
                                course.epoch_ns = None;
                            }
                            return Ok(SessionEnd::Next(packet));
                        }
                        self.check_room(open)?;
                    }
                    self.write(open, course, &packet)?;
                }
                Popped::Nothing => {}
                Popped::Ended if queue.standing_order() == Order::Run => {
                    return Ok(SessionEnd::Closed);
                }
                Popped::Ended => return Ok(SessionEnd::Ordered),
            }
            if let (Some(ladder), Some(run)) = (&self.ladder, open.run)
                && !ladder.goes_on(run)
            {
                return Ok(SessionEnd::Over);
            }
        }
    }

    fn write(
        &self,
        open: &mut Open,
        course: &mut Course,
        packet: &Packet,
    ) -> Result<(), StreamingError> {
        let time_ns = packet.dts_nanoseconds();
        let (part, figures) = (self.part(), &self.board.figures);
        let conditions = &part.context.conditions;
        if open.is_push() && !conditions.leave.may_send() {
            return Err(StreamingError::NotLeading);
        }
        let shift_ns = *open.shift_ns.get_or_insert_with(|| {
            (open.start_ns, open.end_ns) = (time_ns, time_ns);
            let origin_ns = || {
                let origin_ns = conditions
                    .origin_ns
                    .filter(|origin_ns| *origin_ns <= time_ns)?;
                Some(match open.kind {
                    OutputKind::Rtmp => latest_origin(origin_ns, time_ns),
                    _ => origin_ns,
                })
            };
            match open.kind {
                OutputKind::File(_) => time_ns,
                OutputKind::Hls => *course.epoch_ns.get_or_insert(time_ns),
                OutputKind::Rtmp | OutputKind::Srt => *course
                    .epoch_ns
                    .get_or_insert_with(|| origin_ns().unwrap_or(time_ns)),
            }
        });
        open.muxer
            .write_shifted(packet, shift_ns)
            .map_err(classify)?;
        let length_ns = i64::try_from(packet.length().as_nanos()).unwrap_or(0);
        open.end_ns = open.end_ns.max(time_ns.saturating_add(length_ns));
        figures
            .bytes
            .fetch_add(packet.len() as u64, Ordering::Relaxed);
        figures.packets.fetch_add(1, Ordering::Relaxed);
        part.written_ns.store(time_ns, Ordering::Relaxed);
        part.progressed();
        if part.is_stalled.swap(false, Ordering::Relaxed) {
            self.board
                .swap(self.index, OutputState::Stalled, OutputState::Live);
        }
        if let (Some(ladder), Some(run), true) = (&self.ladder, open.run, packet.is_video_key()) {
            ladder.list(run, self.index)?;
        }
        Ok(())
    }

    /// Ends what is open, well or as it is.
    fn close(
        &self,
        open: Open,
        written: Result<SessionEnd, StreamingError>,
    ) -> Result<SessionEnd, StreamingError> {
        let (bytes, is_empty) = (open.muxer.payload_bytes(), open.shift_ns.is_none());
        let duration_ns = open.end_ns.saturating_sub(open.start_ns);
        let result = match written {
            Ok(_) if open.is_push() && !self.part().context.conditions.leave.may_send() => {
                drop(open.muxer);
                Err(StreamingError::NotLeading)
            }
            Ok(end) => open.muxer.finish().map_err(classify).map(|()| end),
            Err(error) => {
                drop(open.muxer);
                Err(error)
            }
        };
        if let Some(path) = open.path {
            if is_empty && result.is_err() {
                target::discard(&path);
            }
            self.board
                .figures
                .files_finished
                .fetch_add(1, Ordering::Relaxed);
            self.board.tell(StreamingEvent::FileFinished {
                output: self.board.id().to_owned(),
                path,
                duration: Duration::from_nanos(u64::try_from(duration_ns).unwrap_or(0)),
                bytes,
            });
        }
        result
    }

    /// Whether the session is to end at this keyframe, and the next one to begin.
    fn is_long_enough(&self, open: &Open, keyframe: &Packet) -> bool {
        let settings = self.board.settings();
        match open.kind {
            OutputKind::File(_) => {
                let length_ns = keyframe.dts_nanoseconds().saturating_sub(open.start_ns);
                let length = Duration::from_nanos(u64::try_from(length_ns).unwrap_or(0));
                settings.split.after.is_some_and(|after| length >= after)
                    || settings
                        .split
                        .bytes
                        .is_some_and(|bytes| open.muxer.payload_bytes() >= bytes)
            }
            OutputKind::Hls => false,
            OutputKind::Rtmp | OutputKind::Srt => {
                open.is_near_the_wrap(keyframe)
                    || settings
                        .session_max
                        .is_some_and(|longest| open.begun.elapsed() >= longest)
            }
        }
    }

    /// A folder of segments tells of a full disk late or not at all, so the room is looked at before each group of pictures.
    fn check_room(&self, open: &Open) -> Result<(), StreamingError> {
        match (&self.ladder, open.kind) {
            (Some(ladder), OutputKind::Hls) => {
                target::check_room(&ladder.playlist(self.index), self.part().bytes_per_second)
            }
            _ => Ok(()),
        }
    }

    /// The URL in use.
    fn url(&self, settings: &OutputSettings) -> String {
        let index = self.board.figures.target_index.load(Ordering::Relaxed);
        settings.url(index).to_owned()
    }

    fn next_file(
        &self,
        settings: &OutputSettings,
        course: &mut Course,
    ) -> Result<String, StreamingError> {
        let bytes_per_second = self.part().bytes_per_second;
        let path = course.files.next(settings, bytes_per_second)?;
        let text = path_text(&path);
        course.path = Some(path);
        Ok(text)
    }

    /// Takes part in the next run of an HLS folder: the run, and its time 0, at the keyframe that is then carried. Or why not.
    fn join(
        &self,
        ladder: &Arc<HlsLadder>,
        settings: &OutputSettings,
        course: &mut Course,
    ) -> Result<Result<(u64, i64), SessionEnd>, StreamingError> {
        let queue = &self.part().queue;
        course.path = Some(ladder.playlist(self.index));
        let leaves = || {
            if queue.standing_order() != Order::Run {
                Some(SessionEnd::Ordered)
            } else if queue.is_closed() && queue.figures().waiting == 0 {
                Some(SessionEnd::Closed)
            } else {
                None
            }
        };
        target::check_room(Path::new(&settings.target), self.part().bytes_per_second)?;
        let run = loop {
            if let Some(run) = ladder.join(self.index)? {
                break run;
            }
            if let Some(end) = leaves() {
                return Ok(Err(end));
            }
        };
        if course.has_connected {
            queue.restart();
            self.part().context.encoder.request_keyframe();
        }
        let mut earliest_ns = i64::MIN;
        loop {
            let packet = match queue.pop(IDLE) {
                Popped::Packet(packet) => packet,
                Popped::Nothing if !ladder.goes_on(run) => return Ok(Err(SessionEnd::Over)),
                Popped::Nothing => continue,
                Popped::Ended => {
                    let end = leaves().unwrap_or(SessionEnd::Closed);
                    return Ok(Err(end));
                }
            };
            let time_ns = packet.dts_nanoseconds();
            if !packet.is_video_key() || time_ns < earliest_ns {
                continue;
            }
            loop {
                match ladder.propose(run, self.index, time_ns) {
                    Proposal::Begin(start_ns) => {
                        course.carried = Some(packet);
                        return Ok(Ok((run, start_ns)));
                    }
                    Proposal::Later(time_ns) => {
                        earliest_ns = time_ns;
                        break;
                    }
                    Proposal::Over => return Ok(Err(SessionEnd::Over)),
                    Proposal::Wait => {
                        ladder.wait();
                        if queue.standing_order() != Order::Run {
                            return Ok(Err(SessionEnd::Ordered));
                        }
                    }
                }
            }
        }
    }

    fn muxer_options(&self, settings: &OutputSettings) -> MuxerOptions {
        let ladder = self.ladder.as_ref();
        let first_number = ladder.map_or(0, |ladder| ladder.first_number());
        MuxerOptions {
            ca_file: settings.ca_file.clone(),
            hls: HlsOptions {
                first_number,
                ..settings.hls.clone()
            },
            send_buffer_bytes: self.part().context.send_buffer_bytes,
            open_timeout: settings.timeout,
            write_timeout: settings.timeout,
            ..MuxerOptions::default()
        }
    }
}

impl Open {
    /// Whether it goes to a server.
    fn is_push(&self) -> bool {
        is_push(self.kind)
    }

    fn is_near_the_wrap(&self, keyframe: &Packet) -> bool {
        let shift_ns = self.shift_ns.unwrap_or(0);
        self.kind == OutputKind::Rtmp && is_near_the_wrap(keyframe.dts_nanoseconds(), shift_ns)
    }
}

/// Whether an output of this kind sends to a server.
pub(super) fn is_push(kind: OutputKind) -> bool {
    matches!(kind, OutputKind::Rtmp | OutputKind::Srt)
}

/// Time 0 of an FLV session at `time_ns` of a stream that began at `origin_ns`: the same in each process.
fn latest_origin(origin_ns: i64, time_ns: i64) -> i64 {
    let rounds = time_ns.saturating_sub(origin_ns) / FLV_TIME_MAX_NS;
    origin_ns.saturating_add(rounds.saturating_mul(FLV_TIME_MAX_NS))
}

fn is_near_the_wrap(time_ns: i64, shift_ns: i64) -> bool {
    time_ns.saturating_sub(shift_ns) >= FLV_TIME_MAX_NS
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn classify(error: codec::CodecError) -> StreamingError {
    if error.is_disk_full() {
        StreamingError::DiskFull { source: error }
    } else {
        error.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_begins_anew_before_flv_wraps() {
        const DAY_NS: i64 = 24 * 3600 * 1_000_000_000;
        assert!(!is_near_the_wrap(23 * DAY_NS, 0));
        assert!(is_near_the_wrap(24 * DAY_NS, 0));
        assert!(!is_near_the_wrap(40 * DAY_NS, 24 * DAY_NS));
        // What is left to the wrap is longer than any distance of keyframes.
        let wrap_ns = (1_i64 << 31) * 1_000_000;
        assert!(wrap_ns - FLV_TIME_MAX_NS > DAY_NS / 2);
        assert_eq!(latest_origin(5, 23 * DAY_NS), 5);
        assert_eq!(latest_origin(5, 50 * DAY_NS), 5 + 48 * DAY_NS);
    }
}
