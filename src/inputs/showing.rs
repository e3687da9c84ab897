//! One layer that shows an input: the ends of its ways, and how it stands.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use components::layer::LayerId;
use crossbeam_channel::{TryRecvError, TrySendError};
use systems::input::{
    InputEnds, InputOrder, InputSpec, InputStage, InputState, LivePicture, SoundBlock, TimedPicture,
};

use super::facts::Facts;
use super::view::{InputKind, InputView};
use super::{InputNews, Sources};

/// What others may know of a layer's input. It is there as long as somebody decodes for it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) layer: LayerId,
    kind: InputKind,
    /// Without secrets.
    address: String,
    state: Arc<InputState>,
    facts: Mutex<Arc<Facts>>,
}

impl Entry {
    pub(super) fn new(
        layer: LayerId,
        spec: &InputSpec,
        state: Arc<InputState>,
        facts: Arc<Facts>,
    ) -> Self {
        let (kind, address) = match spec {
            InputSpec::Video(source) => (InputKind::Video, codec::redact_url(&source.src)),
            InputSpec::Rtsp(source) => (InputKind::Rtsp, codec::redact_url(&source.url)),
            InputSpec::Ingest(source) => (InputKind::Ingest, source.key.clone()),
            InputSpec::Audio(source) => (InputKind::Audio, codec::redact_url(&source.src)),
        };
        Self {
            layer,
            kind,
            address,
            state,
            facts: Mutex::new(facts),
        }
    }

    pub(super) fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.facts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_facts(&self, facts: Arc<Facts>) {
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = facts;
    }

    pub(super) fn view(&self) -> InputView {
        InputView::new(
            self.layer.as_str(),
            self.kind,
            &self.address,
            &self.state,
            &self.facts(),
        )
    }
}

/// A layer that shows an input.
#[derive(Debug)]
pub(super) struct Showing {
    pub(super) entry: Arc<Entry>,
    pub(super) ends: InputEnds,
    /// The number of the run that it hears of.
    pub(super) run: u32,
    /// What was ordered last while nothing of a file could be played yet.
    pub(super) order: Option<InputOrder>,
}

impl Showing {
    pub(super) fn new(entry: Arc<Entry>, ends: InputEnds) -> Self {
        Self {
            entry,
            ends,
            run: 0,
            order: None,
        }
    }

    /// Says how it stands, and tells of it when that is new.
    pub(super) fn set_stage(&self, stage: InputStage, error: Option<&str>, sources: &Sources) {
        if self.ends.state.stage() == stage {
            return;
        }
        self.ends.state.set_stage(stage);
        (sources.hear)(InputNews {
            layer: self.entry.layer.as_str().to_owned(),
            stage,
            error: error.map(str::to_owned),
        });
    }

    /// Whether the layer has gone. A live input cannot be sought in: it takes the number of the run and goes on. A file keeps the last
    /// order for when it plays.
    pub(super) fn is_gone(&mut self) -> bool {
        loop {
            match self.ends.orders.try_recv() {
                Ok(order) => {
                    let InputOrder::Seek { run, .. } = order;
                    (self.run, self.order) = (run, Some(order));
                }
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    /// Gives a live picture, if there is room.
    pub(super) fn offer_picture(&self, pts_us: i64, picture: LivePicture, natural: (u32, u32)) {
        let timed = TimedPicture {
            run: self.run,
            pts_us,
            picture,
            natural,
        };
        if let Err(TrySendError::Full(_)) = self.ends.pictures.try_send(timed) {
            self.ends.state.pictures_dropped.fetch_add(1, Relaxed);
        }
    }

    /// Gives live sound, if there is room; what there is none for is a gap in the times.
    pub(super) fn offer_sound(&self, block: &SoundBlock) {
        let block = Box::new(SoundBlock {
            run: self.run,
            ..block.clone()
        });
        let _full = self.ends.sound.try_send(block);
    }
}
