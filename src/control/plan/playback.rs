//! What the file of a layer is told: to go on, to stand still, or to go elsewhere.
//!
//! Whether it stands still is authored, so that a saved scene says it; where it stands is not, as with timelines.

use std::sync::Arc;

use components::source::Source;
use systems::input::PlaybackAction;

use super::Work;
use crate::control::authored;
use crate::control::change::{PlayLayer, PlaybackWord};
use crate::control::error::ApiError;
use crate::control::show::{layer_at, siblings_mut};
use crate::scene::registry::field;

impl Work<'_> {
    pub(super) fn play_layer(&mut self, told: &PlayLayer, at: &str) -> Result<(), ApiError> {
        let place = self.find(&told.id)?;
        let mut source = layer_at(&self.show.program.spec.layers, &place)
            .map(|layer| layer.source.clone())
            .ok_or_else(|| ApiError::internal("a layer was lost"))?;
        let kind = source.kind();
        let (paused, start, end) = match &mut source {
            Source::Video(video) => (&mut video.paused, video.start, video.end),
            Source::Audio(audio) => (&mut audio.paused, audio.start, audio.end),
            _ => {
                return Err(ApiError::conflict(format!(
                    "the layer `{}` plays no file: its source is of the kind `{kind}`",
                    told.id
                )));
            }
        };
        let stands = match told.action {
            PlaybackWord::Play | PlaybackWord::Restart => false,
            PlaybackWord::Pause => true,
            PlaybackWord::Seek => *paused,
        };
        let is_other = *paused != stands;
        *paused = stands;
        let to = match (told.action, told.to) {
            (PlaybackWord::Seek, Some(to)) if (0.0..=86_400.0).contains(&to) => {
                let end = end.map_or(f64::INFINITY, f64::from);
                Some(PlaybackAction::Seek(to.max(f64::from(start)).min(end)))
            }
            (PlaybackWord::Seek, Some(to)) => {
                let message = format!("{to} is out of range; it must be from 0 to 86400");
                return Err(authored::unusable(field(at, "to"), message));
            }
            (PlaybackWord::Seek, None) => {
                let message = "`seek` needs the seconds to go to";
                return Err(authored::unusable(field(at, "to"), message));
            }
            (_, Some(_)) => {
                let message = "only `seek` goes to a place";
                return Err(authored::unusable(field(at, "to"), message));
            }
            (PlaybackWord::Restart, None) => Some(PlaybackAction::Restart),
            (PlaybackWord::Play | PlaybackWord::Pause, None) => None,
        };
        self.playbacks
            .extend(to.map(|action| (told.id.clone(), action)));
        if is_other {
            let index = place.last().copied().unwrap_or_default();
            let list = siblings_mut(&mut self.scene().layers, &place);
            if let Some(layer) = list.and_then(|list| list.get_mut(index)) {
                Arc::make_mut(layer).source = source;
            }
        }
        Ok(())
    }
}
