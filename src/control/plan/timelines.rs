//! Changes of timelines, and what they are told.

use std::collections::HashSet;
use std::sync::Arc;

use components::animation::{Glide, TimelineSpec};
use serde_json::Value;
use systems::animate::TimelineAction;

use super::Work;
use crate::control::authored;
use crate::control::change::{Asked, SeekTo};
use crate::control::error::ApiError;
use crate::scene::registry::field;

/// What a timeline is told.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its name.
    pub id: String,
    /// What it is to do.
    pub action: TimelineAction,
    /// How what it moves goes there from what is on screen.
    pub blend: Option<Glide>,
}

impl Work<'_> {
    /// Takes the tracks of layers that are gone out of the timelines, and the timelines that are left with none.
    pub(super) fn drop_tracks(&mut self, gone: &HashSet<String>) {
        let moves = |timeline: &TimelineSpec| {
            let mut tracks = timeline.tracks.iter();
            tracks.any(|track| track.layers.iter().any(|id| gone.contains(id.as_str())))
        };
        if gone.is_empty()
            || !self
                .show
                .program
                .spec
                .timelines
                .iter()
                .any(|line| moves(line))
        {
            return;
        }
        let timelines = &mut self.scene().timelines;
        for timeline in timelines.iter_mut() {
            if moves(timeline) {
                let timeline = Arc::make_mut(timeline);
                timeline.tracks.retain_mut(|track| {
                    let layers = &mut track.layers.0;
                    layers.retain(|id| !gone.contains(id.as_str()));
                    !layers.is_empty()
                });
            }
        }
        timelines.retain(|timeline| !timeline.tracks.is_empty() || timeline.duration.is_some());
    }

    pub(super) fn timeline(&self, id: &str) -> Result<&Arc<TimelineSpec>, ApiError> {
        let timelines = &self.show.program.spec.timelines;
        timelines
            .iter()
            .find(|timeline| timeline.id == id)
            .ok_or_else(|| {
                let known = timelines.iter().map(|timeline| timeline.id.as_str());
                ApiError::not_found("timeline", id, known)
            })
    }

    /// Tells a timeline, or each one of a group.
    pub(super) fn tell(
        &mut self,
        id: &str,
        blend: Option<&Glide>,
        asked: &Asked,
        action: impl Fn(&TimelineSpec) -> Result<TimelineAction, ApiError>,
    ) -> Result<(), ApiError> {
        if let Some(blend) = blend {
            authored::checked(blend, field(&asked.path, "blend"))?;
        }
        let timelines = self.show.program.spec.timelines.iter();
        let group: Vec<_> = timelines
            .filter(|timeline| timeline.group.as_deref() == Some(id))
            .cloned()
            .collect();
        let told = if group.is_empty() {
            vec![Arc::clone(self.timeline(id)?)]
        } else {
            group
        };
        for timeline in told {
            self.actions.push(Told {
                action: action(&timeline)?,
                id: timeline.id.clone(),
                blend: blend.copied(),
            });
        }
        Ok(())
    }

    pub(super) fn put_timeline(&mut self, value: &Value, at: &str) -> Result<(), ApiError> {
        let timeline = Arc::new(authored::timeline(value, at)?);
        let timelines = &mut self.scene().timelines;
        match timelines.iter_mut().find(|other| other.id == timeline.id) {
            Some(slot) => *slot = timeline,
            None => timelines.push(timeline),
        }
        Ok(())
    }
}

/// The time that is meant, on a timeline.
pub(super) fn time_of(timeline: &TimelineSpec, to: &SeekTo) -> Result<f64, ApiError> {
    let id = &timeline.id;
    match to {
        SeekTo::Seconds(seconds) => {
            let end = f64::from(timeline.duration_seconds());
            if (0.0..=end).contains(seconds) {
                Ok(*seconds)
            } else {
                Err(ApiError::invalid(format!(
                    "{seconds} is out of range; the timeline `{id}` goes from 0 to {end} seconds"
                )))
            }
        }
        SeekTo::Marker(name) => timeline
            .markers
            .get(name)
            .map(|seconds| f64::from(*seconds))
            .ok_or_else(|| {
                let known = timeline.markers.keys().map(String::as_str);
                ApiError::not_found("marker", name, known)
            }),
    }
}
