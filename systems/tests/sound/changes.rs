//! Fades, scenes that give way to each other, the sum's own gain, late ticks, pauses.

use std::sync::Arc;

use components::animation::{
    Easing, Glide, Keyframe, KeyframeValue, Property, TimelineSpec, TrackSpec,
};
use components::layer::Visible;
use components::scene::FrameRate;
use components::transition::{Transition, TransitionKind};
use serde_json::json;
use stream_manager_systems::audio::LATENCY_SAMPLES;
use stream_manager_systems::command::Command;
use stream_manager_systems::render::Hold;
use stream_manager_systems::scene::{SceneBundle, SceneEdit};

use crate::stage::{Desk, decibels, heard, layer, level, scene, tone};

fn fade(seconds: f32) -> Transition {
    Transition {
        easing: Easing::Linear,
        ..Transition::new(TransitionKind::Fade, seconds)
    }
}

fn linear(seconds: f32) -> Glide {
    Glide {
        duration: seconds,
        easing: Easing::Linear,
        delay: 0.0,
    }
}

/// Makes an edit, one second after the start, that takes a level of 0.5 down by 20 dB within a second.
fn glides_to_minus_20_db(desk: &mut Desk, edit: SceneEdit) {
    desk.send(Command::EditScene(Box::new(edit)));
    desk.run(90);
    let found = decibels(desk.at_second(1.5) / 0.5);
    assert!((found + 10.0).abs() < 0.4, "{found}");
    assert!((decibels(*desk.left.last().unwrap() / 0.5) + 20.0).abs() < 0.01);
}

/// How much of a level of 0.5 is heard half way through a fade at equal power.
fn is_half_way(desk: &Desk, second: f64) {
    let half = desk.at_second(second) / 0.5;
    let is_near = (half - std::f32::consts::FRAC_1_SQRT_2).abs() < 0.05;
    assert!(is_near, "{half} at {second}");
}

#[test]
fn a_track_moves_the_gain_in_decibels_without_steps() {
    let keyframe = |at, value| Keyframe {
        at,
        value: KeyframeValue::Number(value),
        easing: Easing::Linear,
    };
    let mut spec = scene(vec![heard("a", json!({}))]);
    let keyframes = vec![keyframe(0.0, 0.0), keyframe(2.0, -40.0)];
    spec.timelines.push(Arc::new(TimelineSpec {
        tracks: vec![TrackSpec::new(
            "a",
            Property::Sound("gain".into()),
            keyframes,
        )],
        ..TimelineSpec::new("fade")
    }));
    let mut desk = Desk::at(FrameRate::whole(25), spec, &[("a", level(0.5, 0.5))]);
    desk.run(75);
    // The value of a tick is reached at its end.
    for tick in [5, 20, 40] {
        let second = f64::from(tick + 1) / 25.0 - 1.0 / 48_000.0;
        let expected = -20.0 * tick as f32 / 25.0;
        let found = decibels(desk.at_second(second) / 0.5);
        assert!((found - expected).abs() < 0.01, "{found} at {second}");
    }
    // Where it is fastest it falls by 0.8 dB a tick of 1920 samples.
    assert!(desk.steepest(2000) < 0.5 * 0.1 / 1920.0);
}

#[test]
fn a_change_with_a_way_glides() {
    let mut desk = Desk::new(
        scene(vec![heard("a", json!({}))]),
        &[("a", level(0.5, 0.5))],
    );
    desk.run(60);
    let mut edit = desk.edit_of(|scene| layer(scene, "a").sound.gain = -20.0);
    edit.layers[0].glide = Some(linear(1.0));
    glides_to_minus_20_db(&mut desk, edit);
    assert!(desk.steepest(2000) < 0.5 * 0.06 / 800.0);
}

#[test]
fn the_sum_has_a_gain_and_a_mute_which_edits_carry() {
    let mut desk = Desk::new(
        scene(vec![heard("a", json!({}))]),
        &[("a", level(0.5, 0.5))],
    );
    desk.run(60);
    let mut edit = desk.edit_of(|scene| scene.audio.master.gain = -20.0);
    assert!(!edit.is_empty());
    edit.audio.as_mut().unwrap().1 = Some(linear(1.0));
    glides_to_minus_20_db(&mut desk, edit);
    desk.edit(|scene| scene.audio.master.muted = true);
    desk.run(10);
    assert_eq!(*desk.left.last().unwrap(), 0.0);
    assert!(!desk.ticks.last().unwrap().1, "nothing is silence");
    assert!(desk.steepest(2000) < 0.5 * 0.11 / 384.0);
}

/// What is told without a way is there at once, also while something is on its way: it is not laid on top of that.
#[test]
fn a_plain_change_ends_a_fade() {
    let slow = Some(linear(5.0));
    for of_layer in [true, false] {
        let spec = scene(vec![heard("a", json!({}))]);
        let mut desk = Desk::new(spec, &[("a", level(0.5, 0.5))]);
        desk.run(30);
        let mut edit = desk.edit_of(|scene| match of_layer {
            true => layer(scene, "a").sound.gain = -60.0,
            false => scene.audio.master.gain = -60.0,
        });
        match edit.audio.as_mut() {
            Some(audio) => audio.1.clone_from(&slow),
            None => edit.layers[0].glide.clone_from(&slow),
        }
        desk.send(Command::EditScene(Box::new(edit)));
        desk.run(60);
        assert!((decibels(*desk.left.last().unwrap() / 0.5) + 12.0).abs() < 0.5);
        desk.edit(|scene| match of_layer {
            true => layer(scene, "a").sound.gain = -6.0,
            false => scene.audio.master.gain = -6.0,
        });
        let told = desk.left.len();
        desk.run(30);
        let loudest = desk.left[told..].iter().copied().fold(0.0, f32::max);
        assert!(decibels(loudest / 0.5) < -5.99, "{loudest}");
        assert!((decibels(*desk.left.last().unwrap() / 0.5) + 6.0).abs() < 0.01);
    }
}

/// The sum goes from what was heard to what the next scene says, wherever it was on its way to; and back, when the change turns round.
#[test]
fn a_change_of_scenes_takes_the_sum_from_what_is_heard() {
    let mut desk = Desk::new(
        scene(vec![heard("a", json!({}))]),
        &[("a", level(0.25, 0.25))],
    );
    desk.run(30);
    let mut edit = desk.edit_of(|scene| scene.audio.master.gain = -60.0);
    edit.audio.as_mut().unwrap().1 = Some(linear(2.0));
    desk.send(Command::EditScene(Box::new(edit)));
    desk.run(30);
    let before = decibels(*desk.left.last().unwrap() / 0.25);
    assert!((before + 15.0).abs() < 1.0, "{before}");
    let next = || {
        let mut next = scene(vec![heard("b", json!({}))]);
        next.transitions.scene = fade(1.0);
        next
    };
    let from = desk.left.len();
    desk.send(Command::LoadScene(Box::new(SceneBundle::new(next()))));
    desk.run(6);
    // At a tenth of the way the layer itself has lost next to nothing, and the sum has gained a tenth of what it is short of.
    let factor = 10f32.powf(before / 20.0);
    let expected = 0.25 * (factor + (1.0 - factor) * 0.1);
    let loudest = desk.left[from..].iter().copied().fold(0.0, f32::max);
    assert!(
        (loudest / expected - 1.0).abs() < 0.1,
        "{loudest} {expected}"
    );
    desk.run(30);
    let action = stream_manager_systems::transition::MixAction::Reverse;
    desk.send(Command::Mix { action, back: None });
    desk.run(60);
    // The scene that is back says -60 dB, which is silence; its glide ended as it was left.
    assert_eq!(*desk.left.last().unwrap(), 0.0);
    assert!(desk.steepest(2000) < 0.25 * 0.2 / 384.0);
}

#[test]
fn a_layer_that_comes_and_goes_is_faded() {
    let mut spec = scene(vec![heard("a", json!({}))]);
    layer(&mut spec, "a").enter = Some(fade(1.0));
    layer(&mut spec, "a").exit = Some(fade(0.5));
    let mut desk = Desk::new(spec, &[("a", level(0.5, 0.5))]);
    desk.run(90);
    let part = |second: f64, desk: &Desk| desk.at_second(second) / 0.5;
    assert!(part(0.0, &desk).abs() < 0.05);
    // Half way in at equal power.
    is_half_way(&desk, 0.5);
    assert_eq!(part(1.2, &desk), 1.0);
    desk.edit(|scene| layer(scene, "a").visible = Visible(false));
    desk.run(60);
    is_half_way(&desk, 1.75);
    assert_eq!(part(2.1, &desk), 0.0);
}

#[test]
fn an_audio_file_rises_and_falls_as_its_source_says() {
    let mut spec = scene(vec![heard("a", json!({}))]);
    let source = json!({"src": "a.wav", "fadeIn": 1, "fadeOut": 1});
    layer(&mut spec, "a").source =
        components::source::Source::Audio(serde_json::from_value(source).unwrap());
    let mut desk = Desk::new(spec, &[("a", level(0.5, 0.5))]);
    desk.run(90);
    assert!(desk.at_second(0.02) < 0.05);
    assert_eq!(desk.at_second(1.2), 0.5);
    desk.edit(|scene| scene.layers.clear());
    desk.run(75);
    is_half_way(&desk, 2.0);
    assert_eq!(*desk.left.last().unwrap(), 0.0);
}

#[test]
fn one_scene_gives_way_to_another_at_equal_power() {
    let mut desk = Desk::new(
        scene(vec![heard("a", json!({}))]),
        &[("a", tone(500.0, -20.0)), ("b", tone(1300.0, -20.0))],
    );
    desk.run(60);
    let mut next = scene(vec![heard("b", json!({}))]);
    next.transitions.scene = fade(1.0);
    desk.send(Command::LoadScene(Box::new(SceneBundle::new(next))));
    desk.run(120);
    let power = |from: f64| {
        let start = (from * 48_000.0) as usize + LATENCY_SAMPLES;
        let window = &desk.left[start..start + 4800];
        10.0 * (window.iter().map(|sample| sample * sample).sum::<f32>() / 4800.0).log10()
    };
    for second in [0.5, 1.1, 1.3, 1.5, 1.7, 2.2] {
        let found = power(second);
        assert!((found + 23.0).abs() < 0.3, "{found} dB at {second} s");
    }
    assert!(desk.steepest(1000) < 0.1 * 0.2 + 0.01);
}

#[test]
fn a_cut_from_one_scene_to_another_does_not_click() {
    for ticks in 50..56 {
        let mut desk = Desk::new(
            scene(vec![heard("a", json!({}))]),
            &[("a", tone(50.0, -6.0)), ("b", tone(40.0, -6.0))],
        );
        desk.run(ticks);
        let next = scene(vec![heard("b", json!({}))]);
        desk.send(Command::LoadScene(Box::new(SceneBundle::new(next))));
        desk.run(20);
        let own = 0.5 * std::f32::consts::TAU * 50.0 / 48_000.0;
        assert!(desk.steepest(1000) < 2.0 * own, "{}", desk.steepest(1000));
    }
}

#[test]
fn a_tick_without_time_to_compose_has_its_own_sound() {
    let waves = [("a", tone(441.0, -10.0)), ("b", tone(97.3, -1.0))];
    let layers = || {
        vec![
            heard("a", json!({"role": "speech"})),
            heard("b", json!({"duck": {}})),
        ]
    };
    let rate = FrameRate {
        numerator: 30_000,
        denominator: 1001,
    };
    let mut straight = Desk::at(rate, scene(layers()), &waves);
    straight.run(90);
    let mut late = Desk::at(rate, scene(layers()), &waves);
    late.tick();
    for round in 0..89 {
        match round % 5 {
            0 | 3 => late.repeat(),
            _ => late.tick(),
        }
    }
    assert_eq!(late.left.len(), straight.left.len());
    assert!(late.left == straight.left && late.right == straight.right);
    assert_eq!(late.engine.counters().repeated, 36);
}

#[test]
fn a_paused_stream_is_silent_and_comes_back() {
    let mut desk = Desk::new(
        scene(vec![heard("a", json!({}))]),
        &[("a", level(0.5, 0.5))],
    );
    desk.run(60);
    desk.send(Command::Hold(Hold::LastFrame));
    desk.run(30);
    assert!(desk.at_second(1.0 + 0.025) < 0.26);
    assert!(desk.at_second(1.0 + 0.025) > 0.24);
    assert_eq!(desk.at_second(1.051), 0.0);
    assert!(!desk.ticks.last().unwrap().1);
    desk.send(Command::Hold(Hold::Scene));
    desk.run(30);
    assert!((desk.at_second(1.525) - 0.25).abs() < 0.01);
    assert_eq!(desk.at_second(1.56), 0.5);
    assert!(desk.steepest(1000) < 0.5 / 2300.0);
}
