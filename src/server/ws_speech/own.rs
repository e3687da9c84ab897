//! What a connection brought and whose end it was not told yet.

use std::sync::Arc;

use serde_json::Value;
use systems::speech::SpeechState;

use crate::control::speech::end_data;

/// Utterances, in the order in which they were taken in. A name may be used again when the one that had it is over.
#[derive(Debug, Default)]
pub struct Owned(Vec<Own>);

#[derive(Debug)]
struct Own {
    id: String,
    /// The tick on which it was taken in.
    since: u64,
    state: Arc<SpeechState>,
    /// Whether it was over already when it was last looked for ends.
    was_over: bool,
}

impl Owned {
    /// Notes one that was taken in on a tick.
    pub fn insert(&mut self, id: String, since: u64, state: Arc<SpeechState>) {
        self.0.push(Own {
            id,
            since,
            state,
            was_over: false,
        });
    }

    /// How the last of a name stands.
    pub fn get(&self, id: &str) -> Option<&SpeechState> {
        let own = self.0.iter().rev().find(|own| own.id == id);
        own.map(|own| &*own.state)
    }

    /// Whether what happened on a tick to an utterance of a name is about one of these.
    pub fn has(&self, id: &str, tick: u64) -> bool {
        self.place(id, tick).is_some()
    }

    /// Forgets the one whose end of a tick is told. Whether it was there.
    pub fn remove(&mut self, id: &str, tick: u64) -> bool {
        let place = self.place(id, tick);
        place.map(|place| self.0.remove(place)).is_some()
    }

    fn place(&self, id: &str, tick: u64) -> Option<usize> {
        let is_meant = |own: &Own| own.id == id && own.since <= tick;
        self.0.iter().rposition(is_meant)
    }

    /// What is to be told of ends that no event told, since it was missed or found no room: of utterances that were over already when this
    /// was last asked, which was time enough. They are forgotten.
    pub fn late_ends(&mut self, layer: &str) -> Vec<Value> {
        let mut ends = Vec::new();
        self.0.retain_mut(|own| {
            let Some(end) = own.state.end() else {
                return true;
            };
            if own.was_over {
                ends.push(end_data(layer, &own.id, end));
            }
            !std::mem::replace(&mut own.was_over, true)
        });
        ends
    }
}

#[cfg(test)]
mod tests {
    use components::layer::LayerSpec;
    use components::scene::{FrameRate, SceneSpec};
    use components::source::Source;
    use serde_json::json;
    use systems::command::Command;
    use systems::scene::SceneBundle;
    use systems::speech::{
        BLOCK_FRAMES, QueueMode, SpeechBlock, SpeechBudget, SpeechOrder, SpokenWord, Utterance,
        speech_way,
    };
    use systems::{Engine, EngineSettings};

    use super::*;

    /// What is seen of an utterance with a word, of 480 samples, which a world has said.
    fn said() -> Arc<SpeechState> {
        let mut engine = Engine::new(EngineSettings {
            width: 32,
            height: 32,
            rate: FrameRate::whole(50),
            render_threads: 1,
            pool_frames: 4,
            max_layers: 4,
            now_nanos: || 0,
            epoch_unix_ms: 0,
        })
        .expect("an engine");
        let avatar = json!({"states": {"idle": {"src": "body"}}});
        let mut spec = SceneSpec::new("test");
        (spec.canvas.width, spec.canvas.height) = (32, 32);
        spec.layers = vec![Arc::new(LayerSpec {
            source: Source::Avatar(serde_json::from_value(avatar).expect("an avatar")),
            ..LayerSpec::new("host")
        })];
        engine.load(SceneBundle::new(spec)).expect("a scene");
        let (far, near) = speech_way(1, &SpeechBudget::default());
        let block = SpeechBlock {
            len: BLOCK_FRAMES as u16,
            frames: [[9; 2]; BLOCK_FRAMES],
        };
        far.try_send(Box::new(block)).expect("room");
        let state = Arc::clone(far.state());
        drop(far);
        let word = SpokenWord {
            word: "Hi".into(),
            start: 0.0,
            end: 0.01,
        };
        let said = Utterance {
            id: "a".into(),
            text: "".into(),
            emotion: None,
            captions: false,
            words: vec![word],
            gain_db: 0.0,
            queue: QueueMode::Append,
            sound: near,
        };
        let order = SpeechOrder::Say(Box::new(said));
        let layer = "host".into();
        let command = Command::Speech { layer, order };
        engine.commands().send(command, |_| {}).expect("room");
        engine.tick();
        state
    }

    #[test]
    fn an_end_that_no_event_told_is_told_whole_and_once_after_some_time() {
        let mut owned = Owned::default();
        owned.insert("a".to_owned(), 0, said());
        owned.insert("told".to_owned(), 0, said());
        let (_far, near) = speech_way(1, &SpeechBudget::default());
        owned.insert("goes on".to_owned(), 0, Arc::clone(near.state()));
        assert!(owned.late_ends("host").is_empty(), "its event may come yet");
        assert!(owned.remove("told", 0));
        let expected = json!({
            "layer": "host", "id": "a", "tick": 0, "reason": "done", "position": 0.01,
            "lastWord": {"word": "Hi", "index": 0},
        });
        assert_eq!(owned.late_ends("host"), [expected]);
        assert!(owned.late_ends("host").is_empty());
        assert!(owned.get("a").is_none() && owned.get("goes on").is_some());
    }

    #[test]
    fn of_two_of_a_name_each_has_its_own_news() {
        let mut owned = Owned::default();
        for since in [10, 21] {
            owned.insert("a".to_owned(), since, Arc::default());
        }
        assert!(!owned.has("a", 9) && owned.has("a", 10) && !owned.has("b", 10));
        assert!(owned.remove("a", 20), "the end of the first");
        assert!(!owned.has("a", 20) && owned.has("a", 21));
        assert!(owned.remove("a", 30) && owned.get("a").is_none());
    }
}
