//! The bounded queue between the encoder and one output.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use codec::Packet;

/// Room for so many packets is taken at once; a longer queue grows when it is needed.
const ALLOCATED_MAX: usize = 4096;

/// Packets that wait for one output. The encoder's side never waits: a full queue drops up to its newest keyframe, or, with
/// none in it, all of it and what follows until the next one. So what the output gets is always decodable, and a slow
/// peer is behind by no more than the queue is long. Sound is dropped together with the picture that it belongs to.
#[derive(Debug)]
pub(crate) struct PacketQueue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    packets: VecDeque<Packet>,
    /// Packets of both kinds that may wait, at least 1.
    capacity: usize,
    /// What the output's thread is to do.
    order: Order,
    /// Whether packets are wanted at all; not while the output waits to reconnect.
    accepting: bool,
    /// Whether everything up to the next keyframe is left out.
    gate: Gate,
    /// No packet follows.
    closed: bool,
    /// Somebody wants the output's attention while it waits.
    woken: bool,
    dropped: u64,
    /// Decoding time of the newest packet that the encoder gave, accepted or not.
    newest_ns: i64,
}

/// What the output's thread is to do. It comes through the queue, because that is where the thread waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// To connect and to write.
    Run,
    /// To write what waits, end the session, and rest.
    Hold,
    /// To write what waits, end the session, and begin another with the settings as they are then.
    Reopen,
}

/// What may enter the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// Every packet.
    Open,
    /// A keyframe only: nothing was given yet.
    Start,
    /// A keyframe only: packets were dropped.
    Loss,
}

/// What came out of the queue.
#[derive(Debug)]
pub(crate) enum Popped {
    Packet(Packet),
    Nothing,
    /// Empty, and closed or ordered to end the session.
    Ended,
}

/// The queue at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueFigures {
    /// Packets that wait.
    pub(crate) waiting: usize,
    /// Media time from the oldest of them to the newest.
    pub(crate) span: Duration,
    /// Packets dropped because the output was behind.
    pub(crate) dropped: u64,
    /// Decoding time of the newest packet that the encoder gave, in nanoseconds.
    pub(crate) newest_ns: i64,
}

impl PacketQueue {
    /// `capacity` counts packets of both kinds.
    pub(crate) fn new(capacity: usize) -> Self {
        let inner = Inner {
            packets: VecDeque::with_capacity(capacity.min(ALLOCATED_MAX)),
            capacity: capacity.max(1),
            order: Order::Run,
            accepting: true,
            gate: Gate::Start,
            closed: false,
            woken: false,
            dropped: 0,
            newest_ns: 0,
        };
        Self {
            inner: Mutex::new(inner),
            changed: Condvar::new(),
        }
    }

    /// Takes a reference to `packet`, or drops it.
    pub(crate) fn push(&self, packet: &Packet) {
        let mut inner = self.lock();
        inner.newest_ns = packet.dts_nanoseconds();
        if !inner.accepting || inner.closed || inner.order != Order::Run {
            return;
        }
        if inner.packets.len() >= inner.capacity {
            inner.make_room();
        }
        if inner.gate != Gate::Open && !packet.is_video_key() {
            inner.dropped += u64::from(inner.gate == Gate::Loss);
            return;
        }
        inner.gate = Gate::Open;
        inner.packets.push_back(packet.clone());
        self.changed.notify_one();
    }

    /// Takes the oldest packet, waiting for one no longer than `timeout`.
    pub(crate) fn pop(&self, timeout: Duration) -> Popped {
        let deadline = Instant::now() + timeout;
        let mut inner = self.lock();
        loop {
            if let Some(packet) = inner.packets.pop_front() {
                return Popped::Packet(packet);
            }
            if inner.closed || inner.order != Order::Run {
                return Popped::Ended;
            }
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return Popped::Nothing;
            }
            inner = self
                .changed
                .wait_timeout(inner, remaining)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Orders the output's thread to do something else.
    pub(crate) fn order(&self, order: Order) {
        let mut inner = self.lock();
        if order == Order::Run && inner.order != Order::Run {
            // Packets have been refused since the last order.
            inner.gate = Gate::Start;
        }
        inner.order = order;
        self.changed.notify_all();
    }

    /// What the output's thread is to do.
    pub(crate) fn standing_order(&self) -> Order {
        self.lock().order
    }

    /// Waits until the order is to run; says whether it is, and not that the queue was closed.
    pub(crate) fn wait_for_run(&self) -> bool {
        let mut inner = self.lock();
        while !inner.closed && inner.order != Order::Run {
            inner = self
                .changed
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
        !inner.closed
    }

    /// Changes how many packets may wait; a shorter queue drops at the next packet.
    pub(crate) fn set_capacity(&self, capacity: usize) {
        self.lock().capacity = capacity.max(1);
    }

    /// Starts over: what waits is forgotten, and the next packet will be a keyframe.
    pub(crate) fn restart(&self) {
        let mut inner = self.lock();
        inner.packets.clear();
        inner.accepting = true;
        inner.gate = Gate::Start;
        inner.woken = false;
    }

    /// Forgets what waits and takes nothing until the next [`PacketQueue::restart`].
    pub(crate) fn suspend(&self) {
        let mut inner = self.lock();
        inner.packets.clear();
        inner.accepting = false;
    }

    /// No packet follows. What waits can still be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Ends a wait of the output's thread.
    pub(crate) fn wake(&self) {
        self.lock().woken = true;
        self.changed.notify_all();
    }

    /// Waits until `timeout` has passed, the queue is closed, the order is another than to run, or somebody calls
    /// [`PacketQueue::wake`].
    pub(crate) fn wait(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut inner = self.lock();
        while !inner.closed && !inner.woken && inner.order == Order::Run {
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                break;
            }
            inner = self
                .changed
                .wait_timeout(inner, remaining)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        inner.woken = false;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(crate) fn figures(&self) -> QueueFigures {
        let inner = self.lock();
        QueueFigures {
            waiting: inner.packets.len(),
            span: inner.span(),
            dropped: inner.dropped,
            newest_ns: inner.newest_ns,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn span(&self) -> Duration {
        let time = |packet: Option<&Packet>| packet.map_or(0, Packet::dts_nanoseconds);
        let span_ns = time(self.packets.back()) - time(self.packets.front());
        Duration::from_nanos(u64::try_from(span_ns).unwrap_or(0))
    }

    /// Drops what precedes the newest keyframe that is not at the front, or everything.
    fn make_room(&mut self) {
        let keyframe = self
            .packets
            .iter()
            .rposition(Packet::is_video_key)
            .filter(|index| *index > 0);
        let count = keyframe.unwrap_or(self.packets.len());
        if keyframe.is_none() {
            self.gate = Gate::Loss;
        }
        self.packets.drain(..count);
        self.dropped += count as u64;
    }
}
