//! The change of scenes in course: saved with the scene that goes, and taken up again.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use components::scene::FrameRate;
use components::transition::Transition;
use components::validate::{Problems, Validate as _};
use serde::{Deserialize, Serialize};
use systems::clock::{FrameClock, tick_at_rate};
use systems::scene::{Came, Standing};
use systems::transition::MixPlace;

use super::begin::ResumedTicks;
use super::documents::{
    SceneDocument, SceneOut, TimelineDocument, read_timeline, take_places, timeline_documents,
};
use crate::control::landed;
use crate::control::show::{Changing, MixNow, Snapshot, Staged};
use crate::scene::LoadedScene;
use crate::store::DOCUMENT_BYTES_MAX;

/// The document of a change of scenes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MixDocument {
    /// The scene that goes.
    pub(super) from: SceneDocument,
    transition: Transition,
    place: MixPlace,
    since_tick: u64,
    timelines: BTreeMap<String, TimelineDocument>,
    came: Came,
}

impl MixDocument {
    /// Whether it goes in a way that can be asked for: what is read may have been written by hand.
    pub(super) fn is_sound(&self) -> bool {
        let mut problems = Problems::new();
        self.transition.validate(&mut problems);
        problems.is_empty()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MixOut<'a> {
    from: SceneOut<'a>,
    transition: &'a Transition,
    place: MixPlace,
    since_tick: u64,
    timelines: BTreeMap<&'a str, TimelineDocument>,
    came: &'a Came,
}

/// What is in course on the tick of a snapshot.
fn in_course(snapshot: &Snapshot) -> Option<(&MixNow, &Changing)> {
    let clock = FrameClock {
        tick: snapshot.tick,
        rate: snapshot.rate,
    };
    let changing = snapshot.mix.as_ref().zip(snapshot.show.changing.as_ref());
    changing.filter(|(mix, _)| !mix.place.course.is_over(&clock))
}

/// Whether the same is in course in both.
pub(super) fn is_same(before: &Snapshot, now: &Snapshot) -> bool {
    match (in_course(before), in_course(now)) {
        (None, None) => true,
        (Some((old, before)), Some((new, now))) => {
            old.place == new.place
                && old.since_tick == new.since_tick
                && Arc::ptr_eq(&old.timelines, &new.timelines)
                && Arc::ptr_eq(&old.came, &new.came)
                && Arc::ptr_eq(&before.from.spec, &now.from.spec)
        }
        _ => false,
    }
}

/// The document; `None` where nothing is in course, or it would be larger than a document may be.
pub(super) fn document(now: &Snapshot) -> Result<Option<Bytes>, serde_json::Error> {
    let Some((mix, Changing { from, transition })) = in_course(now) else {
        return Ok(None);
    };
    let document = MixOut {
        from: SceneOut {
            id: &from.id,
            is_edited: from.is_edited,
            file: &from.file,
            scene: &from.spec,
        },
        transition,
        place: mix.place,
        since_tick: mix.since_tick,
        timelines: timeline_documents(&mix.timelines),
        came: &mix.came,
    };
    let bytes = Bytes::from(serde_json::to_vec(&document)?);
    // A scene that has no room with its data as one document must not keep the show from being saved.
    Ok(Some(bytes).filter(|bytes| bytes.len() <= DOCUMENT_BYTES_MAX))
}

/// A change of scenes that was in course when the last run ended.
#[derive(Clone)]
pub struct ResumedMix {
    /// The scene that goes.
    pub from: LoadedScene,
    document: MixDocument,
    /// The rate of its ticks.
    rate: FrameRate,
}

impl ResumedMix {
    pub(super) fn new(document: MixDocument, from: LoadedScene, rate: FrameRate) -> Self {
        Self {
            from,
            document,
            rate,
        }
    }

    /// The way.
    pub fn transition(&self) -> &Transition {
        &self.document.transition
    }

    /// What the show has of it.
    pub fn changing(&self) -> Changing {
        let SceneDocument {
            id,
            is_edited,
            file,
            ..
        } = &self.document.from;
        Changing {
            from: Staged {
                id: id.clone(),
                spec: Arc::new(self.from.spec.clone()),
                folder: self.from.folder.clone(),
                is_edited: *is_edited,
                file: Arc::clone(file),
            },
            transition: self.document.transition.clone(),
        }
    }

    /// Where it stands in ticks of `rate`, and where the scene that goes does; `None` where it is over by now.
    pub fn at(&self, rate: FrameRate, ticks: &ResumedTicks) -> Option<(MixNow, Standing)> {
        let moved = |tick| tick_at_rate(tick, self.rate, rate);
        let now = FrameClock {
            tick: ticks.tick,
            rate,
        };
        let mut place = self.document.place;
        place.course = place.course.moved(moved);
        if place.course.is_over(&now) {
            return None;
        }
        let since_tick = moved(self.document.since_tick).min(ticks.tick);
        let clock = FrameClock {
            tick: since_tick,
            rate,
        };
        let mut standing = landed::fresh(&self.from.spec, &clock, ticks.epoch);
        let timelines = self.document.timelines.clone();
        let timelines = timelines.into_iter().map(read_timeline).collect();
        take_places(&mut standing.timelines, &timelines, moved);
        standing.came = self.document.came.clone().moved(moved);
        let mix = MixNow {
            place,
            timelines: Arc::new(standing.timelines.clone()),
            since_tick,
            came: Arc::new(standing.came.clone()),
        };
        Some((mix, standing))
    }
}
