//! The handle of an output: starts its threads, commands them, and tells how they do.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::board::Board;
use super::ladder::HlsLadder;
use super::master::Variant;
use super::part::{OutputContext, Part};
use super::queue::{Order, PacketQueue};
use super::settings::{OutputKind, OutputSettings};
use super::stats::{Figures, OutputState, OutputStats};
use super::watch::{Watched, Watcher};
use super::worker::Worker;
use crate::streaming::error::StreamingError;
use crate::streaming::event::Listener;
use crate::streaming::rendition::RenditionSettings;
use crate::streaming::thread::{NamedThread, ThreadEnd};

/// A session that is ended by hand has so long to write what waits and to say goodbye.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What an output starts from.
pub(crate) struct OutputStart<'a> {
    pub(crate) settings: OutputSettings,
    /// The renditions that it carries, in the order of its settings, at least one.
    pub(crate) renditions: Vec<(RenditionSettings, OutputContext)>,
    pub(crate) listener: Listener,
    pub(crate) watcher: &'a Watcher,
    /// Whether it waits for [`Output::begin`].
    pub(crate) is_idle: bool,
    /// The output whose place it takes, with its counts.
    pub(crate) replaces: Option<&'a Output>,
    /// Outputs that end, and write to the same target.
    pub(crate) awaits: Vec<Receiver<()>>,
}

/// A running output.
#[derive(Debug)]
pub(crate) struct Output {
    board: Arc<Board>,
    parts: Arc<[Part]>,
    threads: Vec<NamedThread>,
    ends_given: AtomicUsize,
    /// Each ends with one of the threads.
    presences: Vec<Receiver<()>>,
    _watched: Arc<Watched>,
}

impl Output {
    /// Starts the output's threads. Packets may be pushed to [`Output::queues`] at once.
    pub(crate) fn start(start: OutputStart<'_>) -> Result<Self, StreamingError> {
        let OutputStart {
            settings,
            renditions,
            listener,
            watcher,
            is_idle,
            replaces,
            mut awaits,
        } = start;
        settings.validate()?;
        let figures = replaces.map_or_else(Arc::default, Output::bequeath);
        awaits.extend(replaces.into_iter().flat_map(Output::presences));
        let ladder = (settings.kind == OutputKind::Hls).then(|| {
            let variants = renditions
                .iter()
                .map(|(rendition, context)| Variant::new(rendition, &context.streams));
            let folder = PathBuf::from(&settings.target);
            Arc::new(HlsLadder::new(folder, variants.collect()))
        });
        let parts: Arc<[Part]> = renditions
            .into_iter()
            .enumerate()
            .map(|(index, (rendition, context))| {
                Part::new(index, context, &rendition, settings.max_queue)
            })
            .collect();
        if is_idle {
            parts.iter().for_each(|part| part.queue.order(Order::Hold));
        }
        let id = settings.id.clone();
        let state = if is_idle {
            OutputState::Idle
        } else {
            OutputState::Connecting
        };
        let board = Arc::new(Board::new(settings, parts.len(), state, figures, listener));
        let (mut threads, mut presences) = (Vec::new(), Vec::new());
        for part in parts.iter() {
            let (presence, seen) = bounded(0);
            presences.push(seen);
            let worker = Worker {
                board: Arc::clone(&board),
                parts: Arc::clone(&parts),
                index: part.index,
                ladder: ladder.clone(),
                predecessors: awaits.clone(),
                _presence: presence,
            };
            let who = if parts.len() > 1 {
                format!("output {id} {}", part.context.rendition)
            } else {
                format!("output {id}")
            };
            match NamedThread::spawn(who, move || worker.run()) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    // Those that were started must not stay.
                    parts.iter().for_each(|part| part.queue.close());
                    return Err(error);
                }
            }
        }
        let watched = Arc::new(Watched::new(Arc::clone(&board), Arc::clone(&parts)));
        watcher.add(&watched);
        Ok(Self {
            board,
            parts,
            threads,
            ends_given: AtomicUsize::new(0),
            presences,
            _watched: watched,
        })
    }

    pub(crate) fn id(&self) -> &str {
        self.board.id()
    }

    pub(crate) fn settings(&self) -> Arc<OutputSettings> {
        self.board.settings()
    }

    /// Whether it rests, or is about to.
    pub(crate) fn is_held(&self) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| part.queue.standing_order() == Order::Hold)
    }

    /// Whether its threads have ended, or are about to.
    pub(crate) fn is_over(&self) -> bool {
        matches!(
            self.board.state(),
            OutputState::Failed | OutputState::Stopped
        )
    }

    /// The queue for each rendition, by its name.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (&str, &Arc<PacketQueue>)> {
        self.parts
            .iter()
            .map(|part| (part.context.rendition.as_str(), &part.queue))
    }

    /// Ended when the threads have.
    pub(crate) fn presences(&self) -> impl Iterator<Item = Receiver<()>> {
        self.presences.iter().cloned()
    }

    pub(crate) fn stats(&self) -> OutputStats {
        let (figures, settings) = (&self.board.figures, self.board.settings());
        let state = self.board.state();
        let is_live = state == OutputState::Live;
        let connections = figures.connections();
        let queued: Vec<_> = self.parts.iter().map(|part| part.queue.figures()).collect();
        let names: Vec<&str> = self.queues().map(|(name, _)| name).collect();
        let lag = self.parts.iter().map(Part::lag).max();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let target_index = figures.target_index.load(Ordering::Relaxed);
        OutputStats {
            id: settings.id.clone(),
            rendition: names.join(","),
            target: settings.url_shown(target_index),
            target_index,
            state,
            bytes: count(&figures.bytes),
            kbps: if is_live { figures.kbps() } else { 0.0 },
            packets: count(&figures.packets),
            packets_dropped: count(&figures.dropped_before)
                + queued.iter().map(|queue| queue.dropped).sum::<u64>(),
            reconnects: count(&figures.reconnects),
            rotations: count(&figures.rotations),
            attempts_failed: figures.attempts_failed.load(Ordering::Relaxed),
            failures: count(&figures.failures),
            queue_len: queued.iter().map(|queue| queue.waiting).sum(),
            queue_span: queued
                .iter()
                .map(|queue| queue.span)
                .max()
                .unwrap_or_default(),
            lag: lag.filter(|_| state.is_connected()).unwrap_or_default(),
            connected_since: connections.since,
            uptime: connections.uptime,
            acknowledged: connections.acknowledged,
            files_finished: count(&figures.files_finished),
            last_error: connections
                .last_error
                .as_ref()
                .map(|error| error.text.clone()),
            last_error_at: connections.last_error.map(|error| error.at),
        }
    }

    /// Ends a wait for the next attempt, or lets an idle output begin. Says whether all threads are still there to hear it.
    pub(crate) fn retry_now(&self) -> bool {
        for part in self.parts.iter() {
            part.unlimit();
            if part.queue.standing_order() == Order::Hold {
                part.queue.order(Order::Run);
            }
            part.queue.wake();
        }
        !self.is_over()
    }

    /// Ends the session and lets the output rest, once it has written what waits, for 5 s at most.
    pub(crate) fn rest(&self) {
        for part in self.parts.iter() {
            // In this order, so that a session that begins just now either sees the order or gets the limit.
            part.queue.order(Order::Hold);
            part.limit(END_TIMEOUT);
        }
    }

    /// Takes other settings, which must [fit](OutputSettings::fits). The session under way goes on where it can.
    pub(crate) fn change(&self, settings: OutputSettings) {
        let running = self.board.settings();
        let index = self.board.figures.target_index.load(Ordering::Relaxed);
        let needs_session = settings.needs_session(&running, index);
        let capacity = settings.max_queue;
        self.board.set_settings(settings);
        for part in self.parts.iter() {
            part.queue.set_capacity(capacity);
            if needs_session && part.queue.standing_order() == Order::Run {
                part.queue.order(Order::Reopen);
                part.end_session_within(END_TIMEOUT);
            }
        }
    }

    /// Lets the output write what waits and end, for no longer than `remaining`.
    pub(crate) fn stop(&self, remaining: Duration) {
        for part in self.parts.iter() {
            part.queue.close();
            part.limit(remaining);
        }
    }

    /// The ends of threads, once they have come. Each is given once.
    pub(crate) fn poll_ends(&self) -> impl Iterator<Item = ThreadEnd> {
        let ends = self.threads.iter().filter_map(NamedThread::poll);
        ends.inspect(|_| {
            self.ends_given.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Whether the end of every thread was given.
    pub(crate) fn has_ended(&self) -> bool {
        self.ends_given.load(Ordering::Relaxed) >= self.threads.len()
    }

    /// The ends of the threads, which must have been told to stop, but for those polled before.
    pub(crate) fn ends_by(&self, deadline: Instant) -> impl Iterator<Item = ThreadEnd> {
        self.threads
            .iter()
            .filter_map(move |thread| thread.end_by(deadline))
    }

    /// The counts, for the output that takes its place.
    fn bequeath(&self) -> Arc<Figures> {
        let dropped: u64 = self
            .queues()
            .map(|(_, queue)| queue.figures().dropped)
            .sum();
        let figures = &self.board.figures;
        figures.dropped_before.fetch_add(dropped, Ordering::Relaxed);
        figures.target_index.store(0, Ordering::Relaxed);
        Arc::clone(figures)
    }
}
