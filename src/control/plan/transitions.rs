//! Changes from one scene to another.

use std::sync::Arc;

use components::transition::{Transition, TransitionKind};
use systems::scene::SceneBundle;
use systems::transition::{Clip, MixAction};

use super::{Need, Work, must_fit};
use crate::control::authored;
use crate::control::change::{ActivateScene, HoldTransition, RunAction};
use crate::control::error::ApiError;
use crate::control::show::{Changing, Show, Staged};
use crate::scene::registry::field;

/// What becomes of the change of scenes.
#[derive(Clone, Copy, Debug)]
pub enum Mixing {
    /// A scene comes at once.
    Cuts,
    /// A scene begins to come.
    Begins {
        /// Seconds that it takes.
        duration: f64,
        /// The part of it that is there until it is moved on.
        hold: Option<f32>,
    },
    /// The one in course is told something.
    Told(MixAction),
}

impl Work<'_> {
    pub(super) fn activate(
        &mut self,
        activate: &ActivateScene,
        hold: Option<f32>,
        at: &str,
    ) -> Result<Option<Need>, ApiError> {
        if let Some(transition) = &activate.transition {
            authored::checked(transition, field(at, "transition"))?;
        }
        let id = match (&activate.scene, &self.show.preview) {
            (Some(id), _) => id.clone(),
            (None, Some(preview)) => preview.id.clone(),
            (None, None) => {
                return Err(ApiError::conflict(
                    "no scene is in preview; name the scene that is to come on air",
                ));
            }
        };
        let Some(prepared) = self.means.prepared.get(&id) else {
            return Ok(Some(Need::Scene(id)));
        };
        must_fit(&self.show.config, &prepared.staged.spec)?;
        let mut bundle = prepared.bundle.clone();
        if let Some(transition) = &activate.transition {
            if let Some(need) = self.clip_of(transition, &mut bundle) {
                return Ok(Some(need));
            }
            bundle.spec.transitions.scene = transition.clone();
        }
        bundle.hold = hold;
        if hold.is_some() && bundle.spec.transitions.scene.is_cut() {
            bundle.spec.transitions.scene = Transition::new(TransitionKind::Fade, 0.5);
        }
        let from = std::mem::replace(&mut self.show.program, prepared.staged.clone());
        let begins = begins(&mut self.show, from, &bundle, hold);
        self.mixes = vec![begins];
        let preview = self.show.preview.as_ref();
        if preview.is_some_and(|preview| preview.id == id) {
            self.show.preview = None;
        }
        self.base = Arc::clone(&prepared.staged.spec);
        self.load = Some(bundle);
        self.actions.clear();
        self.feeds.clear();
        self.touched.clear();
        Ok(None)
    }

    /// Puts the clip of a stinger among a scene's pictures, unless it has to be read first.
    fn clip_of(&self, transition: &Transition, bundle: &mut SceneBundle) -> Option<Need> {
        let src = transition.src.as_deref()?;
        if bundle.pictures.iter().any(|(name, _)| &**name == src) {
            return None;
        }
        let name: Arc<str> = src.into();
        match self.means.read.get(&name) {
            Some(picture) => {
                bundle.pictures.push((name, picture.clone()));
                None
            }
            None => Some(Need::Pictures(vec![name])),
        }
    }

    pub(super) fn hold_transition(
        &mut self,
        hold: &HoldTransition,
        at: &str,
    ) -> Result<Option<Need>, ApiError> {
        if !(0.0..=1.0).contains(&hold.position) {
            let message = format!("{} is out of range; it must be from 0 to 1", hold.position);
            return Err(authored::unusable(field(at, "position"), message));
        }
        if self.show.changing.is_none() {
            let activate = ActivateScene {
                scene: hold.scene.clone(),
                transition: hold.transition.clone(),
            };
            return self.activate(&activate, Some(hold.position), at);
        }
        if hold.scene.is_some() || hold.transition.is_some() {
            return Err(ApiError::conflict(
                "a change of scenes is in course; its scene and its way cannot be changed",
            ));
        }
        self.mixes
            .push(Mixing::Told(MixAction::Hold(hold.position)));
        Ok(None)
    }

    pub(super) fn run_transition(&mut self, action: RunAction) -> Result<(), ApiError> {
        let Some(changing) = self.show.changing.clone() else {
            return Err(ApiError::conflict("no change of scenes is in course"));
        };
        let action = match action {
            RunAction::Continue => MixAction::Release,
            RunAction::Finish => MixAction::Finish,
            RunAction::Reverse => MixAction::Reverse,
            RunAction::Cancel => MixAction::Cancel,
        };
        if matches!(action, MixAction::Reverse | MixAction::Cancel) {
            let from = std::mem::replace(&mut self.show.program, changing.from.clone());
            self.show.changing = Some(Changing { from, ..changing });
            self.base = Arc::clone(&self.show.program.spec);
            self.back = Some(self.bundle_of(&self.show.program));
            self.actions.clear();
            self.feeds.clear();
            self.touched.clear();
        }
        if matches!(action, MixAction::Finish | MixAction::Cancel) {
            self.show.changing = None;
        }
        self.mixes.push(Mixing::Told(action));
        Ok(())
    }

    /// A scene that was on air, as it was, with what files are at hand.
    fn bundle_of(&self, staged: &Staged) -> SceneBundle {
        let mut bundle = SceneBundle::new((*staged.spec).clone());
        if let Some(prepared) = self.means.prepared.get(&staged.id) {
            bundle.pictures.clone_from(&prepared.bundle.pictures);
            bundle.fonts.clone_from(&prepared.bundle.fonts);
        }
        bundle
    }
}

/// Notes that `from` gives way to the scene on air; what the world will do is told.
pub(super) fn begins(
    show: &mut Show,
    from: Staged,
    bundle: &SceneBundle,
    hold: Option<f32>,
) -> Mixing {
    let transition = bundle.spec.transitions.scene.clone();
    let picture = transition.src.as_deref().and_then(|src| {
        let mut pictures = bundle.pictures.iter();
        pictures.find(|(name, _)| &**name == src)
    });
    let clip = Clip::of(&transition, picture.map(|(_, picture)| picture));
    let is_cut = match transition.kind {
        TransitionKind::Stinger => clip.is_none(),
        _ => transition.is_cut() && hold.is_none(),
    };
    if is_cut {
        show.changing = None;
        return Mixing::Cuts;
    }
    let seconds = f64::from(transition.duration);
    show.changing = Some(Changing { from, transition });
    Mixing::Begins {
        duration: clip.as_ref().map_or(seconds, Clip::duration),
        hold,
    }
}
