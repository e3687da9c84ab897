//! What happens to speech in the world, told as events.

use serde_json::json;
use systems::speech::{EndReason, SpeechEvent, SpeechNews};

use crate::control::events::Event;
use crate::control::station::Station;

impl Station {
    /// Tells what is said, until the world ends. Blocks: for a thread of its own.
    pub fn tell_speech(&self) {
        let events = self.speech().events();
        while let Ok(event) = events.recv() {
            let (revision, tick) = (self.status().counters.revision, event.tick);
            self.events().tell(told(&event), revision, tick);
        }
    }
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
        SpeechNews::End { reason } => {
            data["reason"] = match reason {
                EndReason::Done => "done",
                EndReason::Interrupted => "interrupted",
                EndReason::Cancelled => "cancelled",
                EndReason::Error => "error",
            }
            .into();
            "speech:end"
        }
    };
    Event::about(kind, &event.layer, data)
}
