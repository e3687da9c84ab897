//! What happens to speech in the world, told as events.

use std::sync::Arc;

use serde_json::{Value, json};
use systems::speech::{EndReason, Refusal, SpeechEnd, SpeechEvent, SpeechNews};

use crate::control::events::Event;
use crate::control::station::Station;

impl Station {
    /// Tells what is said, and drops what is over, until the world ends. Blocks: for a thread of its own.
    pub fn tell_speech(&self) {
        let (events, spent) = {
            let door = self.speech().door();
            (door.events.clone(), door.spent.clone())
        };
        loop {
            crossbeam_channel::select! {
                recv(events) -> event => {
                    let Ok(event) = event else { return };
                    let (revision, tick) = (self.status().counters.revision, event.tick);
                    self.events().tell(told(&event), revision, tick);
                }
                recv(spent) -> utterance => {
                    if utterance.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// What is told of an utterance's end, from what is seen of it.
pub fn end_data(layer: &str, id: &str, end: &SpeechEnd) -> Value {
    let mut data = json!({"layer": layer, "id": id, "tick": end.tick});
    note_end(&mut data, end.reason, end.played, end.last_word.as_ref());
    data
}

fn note_end(data: &mut Value, reason: EndReason, played: u64, last: Option<&(Arc<str>, usize)>) {
    data["reason"] = end_word(reason).into();
    data["position"] = seconds(played).into();
    data["lastWord"] = match last {
        Some((word, index)) => json!({"word": **word, "index": index}),
        None => Value::Null,
    };
}

/// The word for a reason in events.
fn end_word(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Done => "done",
        EndReason::Interrupted => "interrupted",
        EndReason::Cancelled => "cancelled",
        EndReason::Error => "error",
    }
}

/// Samples as seconds, to the millisecond.
pub fn seconds(samples: u64) -> f64 {
    (samples as f64 / f64::from(systems::audio::SAMPLE_RATE) * 1000.0).round() / 1000.0
}

fn told(event: &SpeechEvent) -> Event {
    let mut data = json!({"layer": *event.layer, "id": *event.id, "tick": event.tick});
    let kind = match &event.news {
        SpeechNews::Queued { place } => {
            data["place"] = (*place).into();
            "speech:queued"
        }
        SpeechNews::Start => "speech:start",
        SpeechNews::Word {
            word,
            index,
            start,
            end,
        } => {
            data["word"] = (**word).into();
            data["index"] = (*index).into();
            data["start"] = (*start).into();
            data["end"] = (*end).into();
            "speech:word"
        }
        SpeechNews::Pause { played } => {
            data["position"] = seconds(*played).into();
            "speech:pause"
        }
        SpeechNews::Resume { played } => {
            data["position"] = seconds(*played).into();
            "speech:resume"
        }
        SpeechNews::End {
            reason,
            played,
            last_word,
        } => {
            note_end(&mut data, *reason, *played, last_word.as_ref());
            "speech:end"
        }
        SpeechNews::Refused(refusal) => {
            data["reason"] = match refusal {
                Refusal::Full => "full",
                Refusal::Duplicate => "duplicate",
                Refusal::Gone => "gone",
            }
            .into();
            "speech:refused"
        }
    };
    Event::about(kind, &event.layer, data)
}
