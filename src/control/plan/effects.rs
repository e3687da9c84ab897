//! Changes of the effects of layers.

use std::sync::Arc;

use components::animation::{Fields as _, Property};
use components::effect::Effects;
use components::layer::LayerSpec;
use serde_json::Value;
use systems::data::merge_object;

use super::Work;
use crate::control::authored;
use crate::control::change::{AddEffect, DeleteEffect, PutEffects, UpdateEffect};
use crate::control::error::ApiError;
use crate::control::show::layer_at;
use crate::control::view::json_of;
use crate::scene::registry::field;

impl Work<'_> {
    pub(super) fn put_effects(&mut self, put: &PutEffects, at: &str) -> Result<(), ApiError> {
        let (place, mut layer) = self.layer_of_effects(&put.layer)?;
        layer.effects = authored::effects(&put.effects, &field(at, "effects"))?;
        self.put_layer(&place, layer, at)
    }

    pub(super) fn add_effect(&mut self, add: &AddEffect, at: &str) -> Result<(), ApiError> {
        let (place, mut layer) = self.layer_of_effects(&add.layer)?;
        let effect = authored::effect(&add.effect, at)?;
        let effects = &mut layer.effects.0;
        let index = add.index.unwrap_or(effects.len()).min(effects.len());
        effects.insert(index, effect);
        check_list(&layer.effects, index, at)?;
        self.put_part(&place, layer, &format!("effects[{index}]"), at)
    }

    pub(super) fn update_effect(
        &mut self,
        update: &UpdateEffect,
        at: &str,
    ) -> Result<(), ApiError> {
        let (place, mut layer) = self.layer_of_effects(&update.layer)?;
        let index = find(&layer.effects, &update.effect)?;
        let patch = authored::object(&update.patch, at, "an object of an effect's fields")?;
        let Value::Object(mut merged) = json_of(&layer.effects.0[index]) else {
            return Err(ApiError::internal("an effect cannot be written"));
        };
        let kind = patch.get("type").filter(|kind| !kind.is_null());
        if kind.is_some() && kind != merged.get("type") {
            merged.retain(|name, _| name == "id" || name == "enabled");
        }
        merge_object(&mut merged, patch);
        layer.effects.0[index] = authored::patched_effect(&Value::Object(merged), at)?;
        check_list(&layer.effects, index, at)?;
        self.put_part(&place, layer, &format!("effects[{index}]"), at)
    }

    pub(super) fn delete_effect(&mut self, delete: &DeleteEffect) -> Result<(), ApiError> {
        let (place, mut layer) = self.layer_of_effects(&delete.layer)?;
        let index = find(&layer.effects, &delete.effect)?;
        let before = layer.effects.clone();
        layer.effects.0.remove(index);
        let after = layer.effects.clone();
        self.put_layer(&place, layer, "")?;
        self.drop_effect_tracks(&delete.layer, index, &before, &after);
        Ok(())
    }

    fn layer_of_effects(&self, id: &str) -> Result<(Vec<usize>, LayerSpec), ApiError> {
        let place = self.find(id)?;
        let layer = layer_at(&self.show.program.spec.layers, &place)
            .ok_or_else(|| ApiError::internal("a layer was lost"))?;
        Ok((place, LayerSpec::clone(layer)))
    }

    /// Takes the tracks of an effect that is gone out of the timelines. Those of the others go on, also where the effect was counted by
    /// its place.
    fn drop_effect_tracks(&mut self, id: &str, gone: usize, before: &Effects, after: &Effects) {
        let renamed = |path: &str| -> Option<String> {
            let (name, rest) = path.split_once('.')?;
            let old = before.find(name)?;
            let new = if old > gone { old - 1 } else { old };
            if old == gone {
                return None;
            }
            // Tracks name it as they did, wherever that still means the same.
            if after.find(name) == Some(new) {
                return Some(path.to_owned());
            }
            let path = format!("{}.{rest}", after.name(new));
            after.clone().field_mut(&path).map(|_| path)
        };
        let is_own = |layer: &components::layer::LayerId| layer.as_str() == id;
        let names_effect = |property: &Property| matches!(property, Property::Effect(_));
        let has_own = self.show.program.spec.timelines.iter().any(|timeline| {
            let mut tracks = timeline.tracks.iter();
            tracks.any(|track| names_effect(&track.property) && track.layers.iter().any(is_own))
        });
        if !has_own {
            return;
        }
        let timelines = &mut self.scene().timelines;
        for timeline in timelines.iter_mut() {
            let timeline = Arc::make_mut(timeline);
            let mut apart = Vec::new();
            timeline.tracks.retain_mut(|track| {
                let Property::Effect(path) = &track.property else {
                    return true;
                };
                if !track.layers.iter().any(is_own) {
                    return true;
                }
                let path_after = renamed(path);
                if path_after.as_deref() == Some(path) {
                    return true;
                }
                if let Some(path) = path_after {
                    let mut own = track.clone();
                    own.layers.0.retain(is_own);
                    own.property = Property::Effect(path.into());
                    apart.push(own);
                }
                track.layers.0.retain(|layer| !is_own(layer));
                !track.layers.0.is_empty()
            });
            timeline.tracks.append(&mut apart);
        }
        timelines.retain(|timeline| !timeline.tracks.is_empty() || timeline.duration.is_some());
    }
}

fn find(effects: &Effects, name: &str) -> Result<usize, ApiError> {
    effects.find(name).ok_or_else(|| {
        let names: Vec<_> = (0..effects.0.len())
            .map(|index| effects.name(index))
            .collect();
        ApiError::not_found("effect", name, names.iter().map(|name| &**name))
    })
}

/// What is wrong with the list as a whole, told of the one that was written.
fn check_list(effects: &Effects, index: usize, at: &str) -> Result<(), ApiError> {
    let mut problems = components::Problems::new();
    components::Validate::validate(effects, &mut problems);
    let Some(mut problem) = problems.into_vec().into_iter().next() else {
        return Ok(());
    };
    let own = format!("effects[{index}]");
    problem.path = match problem.path.strip_prefix(&own) {
        Some(rest) if at.is_empty() => rest.trim_start_matches('.').to_owned(),
        Some(rest) => format!("{at}{rest}"),
        None => at.to_owned(),
    };
    Err(authored::refused(&[problem]))
}
