//! Any list of effects that a layer can have.

use components::animation::{FieldMut, Fields as _};
use components::effect::{
    Border, BorderPlacement, CornerRadius, Effect, EffectKind, Effects, Mask, MaskFit, MaskMode,
    Radii,
};
use components::layer::Fit;
use components::value::Gradient;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

/// A kind as it is by default; what no track moves is drawn by lot.
fn kind(
    name: &str,
    gradient: Option<Gradient>,
    choice: Index,
    each: bool,
    invert: bool,
) -> EffectKind {
    let mut kind = match name {
        "mask" => EffectKind::Mask(Mask::default()),
        name => serde_json::from_value(json!({"type": name})).unwrap(),
    };
    match &mut kind {
        EffectKind::Mask(mask) => {
            *mask = Mask {
                src: gradient.is_none().then(|| "mask".to_owned()),
                gradient,
                mode: [MaskMode::Alpha, MaskMode::Luma][choice.index(2)],
                invert,
                fit: MaskFit([Fit::Contain, Fit::Cover, Fit::Fill, Fit::None][choice.index(4)]),
            };
        }
        EffectKind::Border(Border { placement, .. }) => {
            let all = [
                BorderPlacement::Inside,
                BorderPlacement::Center,
                BorderPlacement::Outside,
            ];
            *placement = all[choice.index(3)];
        }
        EffectKind::CornerRadius(CornerRadius { radius }) if each => {
            *radius = Radii::Each([1.0, 2.0, 3.0, 4.0]);
        }
        _ => {}
    }
    kind
}

prop_compose! {
    fn effect(gradient: BoxedStrategy<Gradient>)(
        name in select(EffectKind::NAMES.to_vec()),
        gradient in prop::option::of(gradient),
        choice in any::<Index>(),
        flags in any::<[bool; 3]>(),
        values in prop::collection::vec(prop_oneof![Just(None), (0.0..=1.0_f32).prop_map(Some)], 8),
    ) -> Effect {
        let [each, invert, enabled] = flags;
        let moves = name != "mask";
        let mut kind = kind(name, gradient, choice, each, invert);
        for (path, value) in kind.field_paths().iter().zip(values) {
            let (Some(value), true) = (value, moves) else {
                continue;
            };
            let field = kind.field_mut(path).unwrap();
            let value = match &field {
                FieldMut::Number { low, high, .. } | FieldMut::Template { low, high, .. } => [low + (high - low) * value, 0.0, 0.0, 0.0],
                FieldMut::Colour(_) => [value * 255.0, 255.0, 0.0, value * 99.0],
            };
            field.set(value);
        }
        Effect { enabled, ..kind.into() }
    }
}

/// A list of effects, each second one with a name.
pub fn effects(gradient: BoxedStrategy<Gradient>) -> BoxedStrategy<Effects> {
    prop::collection::vec(effect(gradient), 0..4)
        .prop_map(|mut list| {
            for (index, effect) in list.iter_mut().enumerate().skip(1).step_by(2) {
                effect.id = Some(format!("effect-{index}").into());
            }
            Effects(list)
        })
        .boxed()
}
