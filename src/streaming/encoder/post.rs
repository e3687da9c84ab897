//! The place of a rendition's encoder threads, of which one at a time is heard.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};

use codec::StreamDescription;

use super::line::Line;
use super::{EncoderControl, EncoderSettings, OpenPicture, open_real};
use crate::streaming::event::Listener;
use crate::streaming::fan_out::FanOut;
use crate::streaming::media::MediaReceiver;

/// Where the encoder threads of a rendition work, one after the other.
pub(crate) struct Post {
    /// The rendition's name.
    pub(crate) rendition: String,
    pub(crate) settings: EncoderSettings,
    pub(crate) control: Arc<EncoderControl>,
    pub(crate) fan_out: Arc<FanOut>,
    pub(crate) receiver: MediaReceiver,
    pub(crate) listener: Listener,
    pub(crate) open: OpenPicture,
    /// Threads that hang and were given up, of all renditions.
    pub(crate) abandoned: Arc<AtomicUsize>,
    /// Counts the threads. Only the newest is heard.
    generation: AtomicU64,
    line: Mutex<Arc<Mutex<Line>>>,
    /// Cleared when the line is given up.
    is_heard: Mutex<Arc<AtomicBool>>,
    /// What the first encoder wrote into its headers, which the outputs have.
    pub(super) stream: OnceLock<StreamDescription>,
}

impl Post {
    pub(crate) fn new(
        rendition: String,
        settings: EncoderSettings,
        control: Arc<EncoderControl>,
        receiver: MediaReceiver,
        listener: Listener,
    ) -> Self {
        let fan_out = Arc::new(FanOut::default());
        let line = Line::new(Arc::clone(&fan_out), None);
        Self {
            rendition,
            settings,
            control,
            fan_out,
            receiver,
            listener,
            open: open_real(),
            abandoned: Arc::default(),
            generation: AtomicU64::new(0),
            is_heard: Mutex::new(line.outputs.is_heard()),
            line: Mutex::new(Arc::new(Mutex::new(line))),
            stream: OnceLock::new(),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Gives up the thread there is, and says which generation the next one is. From here on nothing that the old one says
    /// is heard. Should it hang in the sound encoder, that is given up too.
    pub(crate) fn give_up(&self) -> u64 {
        let generation = self.generation.fetch_add(1, Ordering::SeqCst) + 1;
        self.abandoned.fetch_add(1, Ordering::SeqCst);
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(line.try_lock(), Err(TryLockError::WouldBlock)) {
            let mut is_heard = self.is_heard.lock().unwrap_or_else(PoisonError::into_inner);
            is_heard.store(false, Ordering::SeqCst);
            let next = Line::succeed(Arc::clone(&self.fan_out), &self.control);
            *is_heard = next.outputs.is_heard();
            *line = Arc::new(Mutex::new(next));
        }
        generation
    }

    /// The thread that was given up is at the post after all, since `generation` never was.
    pub(crate) fn take_back(&self, generation: u64) {
        let (new, old) = (generation, generation - 1);
        let order = Ordering::SeqCst;
        if self
            .generation
            .compare_exchange(new, old, order, order)
            .is_ok()
        {
            self.abandoned.fetch_sub(1, order);
        }
    }

    /// Tells the outputs that no packet follows, unless another thread is at the post.
    pub(crate) fn leave(&self, generation: u64) {
        if self.generation() == generation {
            self.fan_out.close();
        } else {
            self.abandoned.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// What the thread at the post goes on with.
    pub(super) fn line(&self) -> Arc<Mutex<Line>> {
        Arc::clone(&self.line.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
