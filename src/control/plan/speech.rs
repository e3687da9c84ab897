//! Speech in batches: what avatars are to say, and that they stop.

use systems::command::Command;
use systems::speech::{SpeechOrder, SpeechOut};

use super::Work;
use crate::control::change::{SaySpeech, StopSpeech};
use crate::control::error::ApiError;
use crate::control::show::Staged;
use crate::control::speech::{self, Saying};
use crate::scene::registry::field;

/// One thing that avatars are told.
pub(super) enum Spoken {
    Stop(StopSpeech),
    Say(Box<WantedSound>),
}

/// Something to be said whose sound has to be read.
#[derive(Clone, Debug)]
pub struct WantedSound {
    /// Which of the things that avatars are told in the request.
    pub place: usize,
    /// The avatar's layer.
    pub layer: String,
    /// What is to be said.
    pub saying: Saying,
    /// The file.
    pub src: String,
    /// The scene that names it: that which is on air by then.
    pub scene: Staged,
    /// The path of the change in the request.
    pub path: String,
}

/// It, read.
#[derive(Clone, Debug)]
pub struct ReadSound {
    /// The utterance's name.
    pub id: String,
    /// All of its sound.
    pub sound: SpeechOut,
}

impl PartialEq for WantedSound {
    fn eq(&self, other: &Self) -> bool {
        (self.place, &self.src) == (other.place, &other.src)
    }
}

impl Work<'_> {
    pub(super) fn stop_speech(&mut self, stop: &StopSpeech) -> Result<(), ApiError> {
        speech::must_be_heard(&self.show, &stop.id)?;
        self.spoken.push(Spoken::Stop(stop.clone()));
        Ok(())
    }

    /// `path` is that of the change.
    pub(super) fn say(&mut self, say: &SaySpeech, path: &str) -> Result<(), ApiError> {
        let wanted = WantedSound {
            place: self.spoken.len(),
            layer: say.id.clone(),
            saying: say.saying(path)?,
            src: say.src.clone(),
            scene: self.show.program.clone(),
            path: path.to_owned(),
        };
        self.must_say(&wanted)?;
        self.spoken.push(Spoken::Say(Box::new(wanted)));
        Ok(())
    }

    /// Whether the show, as it is planned so far, has an avatar that can say something.
    fn must_say(&self, wanted: &WantedSound) -> Result<(), ApiError> {
        let avatar = speech::avatar_of(&self.show, &wanted.layer)?;
        match &wanted.saying.emotion {
            Some(emotion) => speech::must_feel(avatar, emotion, &field(&wanted.path, "emotion")),
            None => Ok(()),
        }
    }

    /// Whether all of it can be said in the end: layers and scenes may have come and gone behind it, and the world is told to speak last.
    pub(super) fn check_speech(&self) -> Result<(), ApiError> {
        self.spoken.iter().try_for_each(|spoken| match spoken {
            Spoken::Say(wanted) => self.must_say(wanted),
            Spoken::Stop(_) => Ok(()),
        })
    }

    /// What has to be read before it can be said.
    pub(super) fn missing_sounds(&self) -> Vec<WantedSound> {
        let missing = |spoken: &Spoken| match spoken {
            Spoken::Say(wanted) if !self.means.sounds.contains_key(&wanted.place) => {
                Some(WantedSound::clone(wanted))
            }
            _ => None,
        };
        self.spoken.iter().filter_map(missing).collect()
    }

    /// All of it, in order.
    pub(super) fn speech_commands(&self) -> impl Iterator<Item = Command> {
        self.spoken.iter().filter_map(|spoken| {
            let (layer, order) = match spoken {
                Spoken::Stop(stop) => {
                    let id = stop.utterance.as_deref().map(Into::into);
                    (&stop.id, SpeechOrder::Stop { id })
                }
                Spoken::Say(wanted) => {
                    let read = self.means.sounds.get(&wanted.place)?;
                    let said = wanted.saying.utterance(&read.id, read.sound.clone());
                    (&wanted.layer, SpeechOrder::Say(Box::new(said)))
                }
            };
            let layer = layer.as_str().into();
            Some(Command::Speech { layer, order })
        })
    }
}
