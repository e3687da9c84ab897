//! The state of an output: who changes it, and who hears of that.
//!
//! An output may have several parts, one a rendition, each with a thread. Each part says what it does; the output does what the
//! worst of them does, and only a change of that is told.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::settings::OutputSettings;
use super::stats::{Figures, OutputState};
use crate::streaming::error::StreamingError;
use crate::streaming::event::{Listener, StreamingEvent};

/// Shared by an output's threads, its handle, and the watcher.
#[derive(Debug)]
pub(super) struct Board {
    id: String,
    settings: Mutex<Arc<OutputSettings>>,
    listener: Listener,
    pub(super) figures: Arc<Figures>,
    /// Of each part.
    states: Mutex<Vec<OutputState>>,
    /// Of the whole, an index into [`OutputState::ALL`].
    state: AtomicU8,
    /// The state that was told last. Held while telling, so that events come in the order of the changes; what a listener may ask
    /// for takes the other locks alone.
    told: Mutex<Option<OutputState>>,
}

impl Board {
    pub(super) fn new(
        settings: OutputSettings,
        parts: usize,
        state: OutputState,
        figures: Arc<Figures>,
        listener: Listener,
    ) -> Self {
        Self {
            id: settings.id.clone(),
            settings: Mutex::new(Arc::new(settings)),
            listener,
            figures,
            states: Mutex::new(vec![state; parts]),
            state: AtomicU8::new(state as u8),
            told: Mutex::new(None),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The settings as they are now.
    pub(super) fn settings(&self) -> Arc<OutputSettings> {
        Arc::clone(&lock(&self.settings))
    }

    pub(super) fn set_settings(&self, settings: OutputSettings) {
        *lock(&self.settings) = Arc::new(settings);
    }

    pub(super) fn state(&self) -> OutputState {
        let index = usize::from(self.state.load(Ordering::Relaxed));
        OutputState::ALL
            .get(index)
            .copied()
            .unwrap_or(OutputState::Failed)
    }

    /// A part goes into a state, where it failed with the reason.
    pub(super) fn enter(&self, part: usize, state: OutputState, error: Option<&StreamingError>) {
        self.change(part, error, |_| Some(state));
    }

    /// A part goes from one state into another, unless it has left that one. Says whether it did.
    pub(super) fn swap(&self, part: usize, from: OutputState, to: OutputState) -> bool {
        self.change(part, None, |state| (state == from).then_some(to))
    }

    fn change(
        &self,
        part: usize,
        error: Option<&StreamingError>,
        next: impl FnOnce(OutputState) -> Option<OutputState>,
    ) -> bool {
        let mut told = lock(&self.told);
        let whole = {
            let mut states = lock(&self.states);
            let Some(state) = states.get_mut(part) else {
                return false;
            };
            let Some(next) = next(*state) else {
                return false;
            };
            *state = next;
            OutputState::of_all(&states)
        };
        let error = error.map(StreamingError::chain);
        if let Some(error) = &error {
            self.figures.set_error(error.clone());
        }
        if *told != Some(whole) || error.is_some() {
            *told = Some(whole);
            self.state.store(whole as u8, Ordering::Relaxed);
            self.figures.account(whole);
            self.tell(StreamingEvent::OutputState {
                output: self.id.clone(),
                state: whole,
                error,
            });
        }
        true
    }

    pub(super) fn tell(&self, event: StreamingEvent) {
        self.listener.tell(event);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_whole_is_told_once_and_in_order() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = Listener::new({
            let heard = Arc::clone(&heard);
            move |event| {
                if let StreamingEvent::OutputState { state, error, .. } = event {
                    heard.lock().expect("a lock").push((state, error.is_some()));
                }
            }
        });
        let settings = OutputSettings::new("a", "rtmp://host/app/key").expect("settings");
        let board = Board::new(settings, 2, OutputState::Idle, Arc::default(), listener);
        board.enter(0, OutputState::Connecting, None);
        board.enter(1, OutputState::Connecting, None);
        board.enter(0, OutputState::Live, None);
        assert_eq!(board.state(), OutputState::Connecting);
        board.enter(1, OutputState::Live, None);
        assert!(board.swap(1, OutputState::Live, OutputState::Stalled));
        assert!(!board.swap(1, OutputState::Live, OutputState::Stalled));
        let error = StreamingError::StillRunning;
        board.enter(1, OutputState::BackingOff, Some(&error));
        assert_eq!(
            *heard.lock().expect("a lock"),
            [
                (OutputState::Connecting, false),
                (OutputState::Live, false),
                (OutputState::Stalled, false),
                (OutputState::BackingOff, true),
            ]
        );
        let last = board.figures.connections().last_error.expect("an error");
        assert_eq!(last.text, error.chain());
    }
}
