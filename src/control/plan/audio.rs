//! Changes of sound.

use components::layer::LayerSpec;
use components::sound::{MasterSound, Sound};
use serde::de::DeserializeOwned;
use serde_json::Value;
use systems::data::merge_object;

use super::Work;
use crate::control::authored;
use crate::control::change::{UpdateAudio, UpdateChannel};
use crate::control::error::ApiError;
use crate::control::show::layer_at;
use crate::control::view::json_of;
use crate::scene::registry::field;

impl Work<'_> {
    /// `at` is the path of the patch, `path` that of the change.
    pub(super) fn update_audio(
        &mut self,
        update: &UpdateAudio,
        at: &str,
        path: &str,
    ) -> Result<(), ApiError> {
        let old = &self.show.program.spec.audio.master;
        let master: MasterSound = patched(&json_of(old), &update.patch, at)?;
        if let Some(glide) = &update.animate {
            authored::checked(glide, field(path, "animate"))?;
            self.master_glide = Some(*glide);
        }
        if master != *old {
            self.scene().audio.master = master;
        }
        Ok(())
    }

    /// `at` is the path of the patch, `path` that of the change.
    pub(super) fn update_channel(
        &mut self,
        update: &UpdateChannel,
        at: &str,
        path: &str,
    ) -> Result<(), ApiError> {
        let place = self.find(&update.layer)?;
        let layer = layer_at(&self.show.program.spec.layers, &place)
            .ok_or_else(|| ApiError::internal("a layer was lost"))?;
        if layer.source.sound_role().is_none() {
            let message = format!("the layer `{}` has no sound", update.layer);
            return Err(ApiError::conflict(message));
        }
        let sound: Sound = patched(&json_of(&layer.sound), &update.patch, at)?;
        let mut layer = LayerSpec::clone(layer);
        if let Some(glide) = &update.animate {
            authored::checked(glide, field(path, "animate"))?;
            self.glides.insert(update.layer.clone(), *glide);
        }
        layer.sound = sound;
        self.put_part(&place, layer, "sound", at)
    }
}

/// What a patch makes of an authored value.
fn patched<T: DeserializeOwned + components::Validate>(
    written: &Value,
    patch: &Value,
    at: &str,
) -> Result<T, ApiError> {
    let patch = authored::object(patch, at, "an object of the fields that change")?;
    let mut merged = written.as_object().cloned().unwrap_or_default();
    merge_object(&mut merged, patch);
    authored::value(&Value::Object(merged), at)
}
