//! Fills the holes of texts and image paths.

use bevy_ecs::prelude::*;
use components::derived::FilledText;
use components::source::{ImageSource, TextSource};
use components::value::Template;

use crate::data::SceneData;

type Words<'a> = (
    Option<Ref<'a, TextSource>>,
    Option<Ref<'a, ImageSource>>,
    &'a mut FilledText,
);

pub(super) fn fill(data: Res<SceneData>, mut layers: Query<Words>, mut scratch: Local<String>) {
    for (text, image, mut filled) in &mut layers {
        let (changed, template): (bool, &Template) = match (&text, &image) {
            (Some(text), _) => (text.is_changed(), &text.text),
            (None, Some(image)) => (image.is_changed(), &image.src),
            (None, None) => continue,
        };
        if changed || data.touches(template) {
            template.fill(|path| data.lookup(path), &mut scratch);
            if filled.0 != *scratch {
                filled.0.clone_from(&scratch);
            }
        }
    }
}
