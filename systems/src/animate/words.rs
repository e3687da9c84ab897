//! Fills the holes of texts and image paths.

use bevy_ecs::prelude::*;
use components::derived::{Computed, FilledText};
use components::source::{ImageSource, TextSource};
use components::value::Template;

use super::counter::{COUNTER, Rolling};
use crate::data::{DataScope, SceneData};

type Words<'a> = (
    &'a DataScope,
    Option<(Ref<'a, Computed<TextSource>>, Ref<'a, Rolling>)>,
    Option<Ref<'a, ImageSource>>,
    &'a mut FilledText,
);

pub(super) fn fill(data: Res<SceneData>, mut layers: Query<Words>, mut scratch: Local<String>) {
    for (scope, text, image, mut filled) in &mut layers {
        let (changed, template): (bool, &Template) = match (&text, &image) {
            (Some((text, rolling)), _) => (text.is_changed() || rolling.is_changed(), &text.0.text),
            (None, Some(image)) => (image.is_changed(), &image.src),
            (None, None) => continue,
        };
        if !changed && !data.touches(*scope, template) {
            continue;
        }
        let counter = text
            .as_ref()
            .filter(|(text, _)| text.0.counter.is_some())
            .map(|(_, rolling)| rolling.digits());
        template.fill(
            |path| match counter {
                Some(digits) if path == COUNTER => Some(digits),
                _ => data.lookup(*scope, path),
            },
            &mut scratch,
        );
        if filled.0 != *scratch {
            filled.0.clone_from(&scratch);
        }
    }
}
