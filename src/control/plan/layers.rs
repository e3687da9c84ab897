//! Changes of layers.

use std::collections::HashSet;
use std::sync::Arc;

use components::layer::{LayerSpec, Position};
use components::scene::CanvasSpec;
use components::viewport::{snapped, snapped_to_grid};
use glam::Vec2;
use serde_json::Value;
use systems::data::merge_object;

use super::{Touched, Work};
use crate::control::authored::{self, depth_of, ids_of, replace_kinds, spread_pairs};
use crate::control::change::{CreateLayer, MoveLayer, UpdateLayer};
use crate::control::error::ApiError;
use crate::control::show::{find_layer, layer_at, layer_ids, siblings_mut};
use crate::control::view::json_of;
use crate::scene::registry::field;
use crate::scene::validate::MAX_NESTING;

impl Work<'_> {
    pub(super) fn find(&self, id: &str) -> Result<Vec<usize>, ApiError> {
        let spec = &self.show.program.spec;
        find_layer(&spec.layers, id)
            .ok_or_else(|| ApiError::not_found("layer", id, layer_ids(spec)))
    }

    pub(super) fn create_layer(&mut self, create: &CreateLayer, at: &str) -> Result<(), ApiError> {
        let layer = authored::layer(&create.layer, at)?;
        for id in ids_of(&layer) {
            if find_layer(&self.show.program.spec.layers, &id).is_some() {
                return Err(
                    ApiError::conflict(format!("the id `{id}` is taken; ids are unique"))
                        .with("path", field(at, "id")),
                );
            }
        }
        self.touch(&layer, "", at);
        self.insert(Arc::new(layer), create.parent.as_deref(), create.index)
    }

    /// Notes what was written of a layer, and where in the request it stands.
    fn touch(&mut self, layer: &LayerSpec, inner: &str, at: &str) {
        self.touched.push(Touched {
            layer: layer.id.as_str().to_owned(),
            inner: inner.to_owned(),
            at: at.to_owned(),
        });
    }

    pub(super) fn insert(
        &mut self,
        layer: Arc<LayerSpec>,
        parent: Option<&str>,
        index: Option<usize>,
    ) -> Result<(), ApiError> {
        let list = match parent {
            None => &mut self.scene().layers,
            Some(parent) => {
                let mut place = self.find(parent)?;
                if place.len() + depth_of(&layer) > MAX_NESTING {
                    return Err(ApiError::conflict(format!(
                        "layers stand at most {MAX_NESTING} deep in each other"
                    )));
                }
                place.push(0);
                siblings_mut(&mut self.scene().layers, &place)
                    .ok_or_else(|| ApiError::internal("a layer was lost"))?
            }
        };
        let index = index.unwrap_or(list.len()).min(list.len());
        list.insert(index, layer);
        Ok(())
    }

    pub(super) fn update_layer(&mut self, update: &UpdateLayer, at: &str) -> Result<(), ApiError> {
        let id = update.id.as_str();
        let place = self.find(id)?;
        let patch = authored::object(&update.patch, at, "an object of a layer's fields")?;
        let old = layer_at(&self.show.program.spec.layers, &place)
            .cloned()
            .ok_or_else(|| ApiError::internal("a layer was lost"))?;
        if let Some(other) = patch.get("id")
            && other.as_str() != Some(id)
        {
            return Err(authored::unusable(field(at, "id"), "a layer keeps its id"));
        }
        let keeps_children = !patch.contains_key("children");
        let written = if keeps_children {
            json_of(&old.without_children())
        } else {
            json_of(&*old)
        };
        let Value::Object(mut merged) = written else {
            return Err(ApiError::internal("a layer cannot be written"));
        };
        replace_kinds(&mut merged, patch);
        spread_pairs(&mut merged, patch, &old);
        merge_object(&mut merged, patch);
        let mut layer = authored::patched_layer(&Value::Object(merged), at)?;
        if keeps_children {
            layer.children.clone_from(&old.children);
        }
        let canvas = &self.show.program.spec.canvas;
        if update.snap && canvas.grid.snap {
            snap_position(
                &mut layer.position,
                patch.get("position").unwrap_or(&Value::Null),
                canvas,
                place.len() == 1,
            );
        }
        self.put_layer(&place, layer, at)
    }

    pub(super) fn replace_layer(
        &mut self,
        id: &str,
        value: &Value,
        at: &str,
    ) -> Result<(), ApiError> {
        let place = self.find(id)?;
        let layer = authored::layer(value, at)?;
        if layer.id.as_str() != id {
            return Err(authored::unusable(field(at, "id"), "a layer keeps its id"));
        }
        self.put_layer(&place, layer, at)
    }

    /// Writes a layer at its place. Ids that come with its children must be free; those that go take their tracks with them.
    pub(super) fn put_layer(
        &mut self,
        place: &[usize],
        layer: LayerSpec,
        at: &str,
    ) -> Result<(), ApiError> {
        self.put_part(place, layer, "", at)
    }

    /// As [`put_layer`](Self::put_layer), when only what stands at `inner` was written.
    pub(super) fn put_part(
        &mut self,
        place: &[usize],
        layer: LayerSpec,
        inner: &str,
        at: &str,
    ) -> Result<(), ApiError> {
        let old_ids: HashSet<String> = layer_at(&self.show.program.spec.layers, place)
            .map(|old| ids_of(old))
            .unwrap_or_default()
            .into_iter()
            .collect();
        let new_ids = ids_of(&layer);
        for id in &new_ids {
            let taken =
                !old_ids.contains(id) && find_layer(&self.show.program.spec.layers, id).is_some();
            if taken {
                return Err(ApiError::conflict(format!(
                    "the id `{id}` is taken; ids are unique"
                )));
            }
        }
        self.touch(&layer, inner, at);
        let index = place.last().copied().unwrap_or_default();
        let list = siblings_mut(&mut self.scene().layers, place)
            .ok_or_else(|| ApiError::internal("a layer was lost"))?;
        if let Some(slot) = list.get_mut(index) {
            *slot = Arc::new(layer);
        }
        let gone: HashSet<String> = old_ids
            .into_iter()
            .filter(|id| !new_ids.contains(id))
            .collect();
        self.drop_tracks(&gone);
        Ok(())
    }

    pub(super) fn delete_layer(&mut self, id: &str) -> Result<(), ApiError> {
        let place = self.find(id)?;
        let layer = self.take(&place)?;
        self.drop_tracks(&ids_of(&layer).into_iter().collect());
        Ok(())
    }

    pub(super) fn take(&mut self, place: &[usize]) -> Result<Arc<LayerSpec>, ApiError> {
        let index = place.last().copied().unwrap_or_default();
        let list = siblings_mut(&mut self.scene().layers, place)
            .filter(|list| index < list.len())
            .ok_or_else(|| ApiError::internal("a layer was lost"))?;
        Ok(list.remove(index))
    }

    pub(super) fn move_layer(&mut self, to: &MoveLayer) -> Result<(), ApiError> {
        let place = self.find(&to.id)?;
        if let Some(parent) = &to.parent {
            self.find(parent)?;
            let layer = layer_at(&self.show.program.spec.layers, &place);
            if layer.is_some_and(|layer| ids_of(layer).contains(parent)) {
                return Err(ApiError::conflict(format!(
                    "`{}` cannot stand below itself",
                    to.id
                )));
            }
        }
        let layer = self.take(&place)?;
        self.insert(layer, to.parent.as_deref(), to.index)
    }
}

/// Snaps the coordinates that a patch writes. One that is bound to data stays as it is, and so does one that the patch leaves out.
fn snap_position(position: &mut Position, patch: &Value, canvas: &CanvasSpec, on_canvas: bool) {
    let (x, y) = (position.x.literal(), position.y.literal());
    let point = Vec2::new(x.unwrap_or_default(), y.unwrap_or_default());
    let point = if on_canvas {
        snapped(point, canvas)
    } else {
        snapped_to_grid(point, canvas.grid.size)
    };
    if x.is_some() && patch.get("x").is_some() {
        position.x = point.x.into();
    }
    if y.is_some() && patch.get("y").is_some() {
        position.y = point.y.into();
    }
}
