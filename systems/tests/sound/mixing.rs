//! Gains, sides, who is heard, and the count of samples.

use std::sync::Arc;

use components::layer::{LayerSpec, Visible};
use components::scene::FrameRate;
use serde_json::json;
use stream_manager_systems::audio::LATENCY_SAMPLES;

use crate::stage::{Desk, decibels, during, heard, layer, level, samples_before, scene, tone};

#[test]
fn every_tick_has_exactly_its_samples_and_silence_is_said_to_be_silence() {
    for (numerator, denominator) in [(30, 1), (60, 1), (25, 1), (30_000, 1001), (60_000, 1001)] {
        let rate = FrameRate {
            numerator,
            denominator,
        };
        let until = 24_000;
        let wave = during(0..until, tone(1000.0, -20.0));
        let mut desk = Desk::at(rate, scene(vec![heard("a", json!({}))]), &[("a", wave)]);
        let seconds = 1001 / denominator.min(1001) as usize;
        let ticks = (seconds as u64 * u64::from(numerator) / u64::from(denominator)).min(3000);
        desk.run(ticks as usize);
        assert_eq!(
            desk.left.len() as u64,
            samples_before(rate, ticks),
            "{rate:?}"
        );
        for (tick, (samples, plays)) in desk.ticks.iter().enumerate() {
            let start = samples_before(rate, tick as u64);
            assert_eq!(*samples, rate.samples_in(tick as u64, 48_000));
            // What is in the limiter still comes out.
            let is_heard = start < until + LATENCY_SAMPLES as u64 + 1700;
            assert!(is_heard || !plays, "tick {tick} of {rate:?} is silent");
            assert!(start > until || *plays, "tick {tick} of {rate:?} plays");
        }
    }
}

#[test]
fn a_sound_below_the_ceiling_is_passed_on_bit_for_bit() {
    let wave = tone(997.0, -6.0);
    let mut desk = Desk::new(
        scene(vec![heard("a", json!({}))]),
        &[("a", Arc::clone(&wave))],
    );
    desk.run(60);
    // The first 8 ms come out of nothing.
    for place in 400..47_000 {
        let [left, right] = wave(place).unwrap();
        let out = place as usize + LATENCY_SAMPLES;
        assert_eq!((desk.left[out], desk.right[out]), (left, right));
    }
}

#[test]
fn gain_pan_mute_and_solo_do_what_they_say() {
    let heard_of = |sounds: &[(&str, serde_json::Value)]| {
        let layers = sounds.iter().map(|(id, sound)| heard(id, sound.clone()));
        let waves: Vec<_> = sounds
            .iter()
            .map(|(id, _)| (*id, level(0.1, 0.2)))
            .collect();
        let mut desk = Desk::new(scene(layers.collect()), &waves);
        desk.run(4);
        (*desk.left.last().unwrap(), *desk.right.last().unwrap())
    };
    let near = |found: (f32, f32), left: f32, right: f32| {
        let is = (found.0 - left).abs() < 1e-6 && (found.1 - right).abs() < 1e-6;
        assert!(is, "{found:?} is not {left}, {right}");
    };
    near(heard_of(&[("a", json!({}))]), 0.1, 0.2);
    near(heard_of(&[("a", json!({"gain": -20}))]), 0.01, 0.02);
    near(heard_of(&[("a", json!({"gain": -60}))]), 0.0, 0.0);
    near(heard_of(&[("a", json!({"gain": 6.0206}))]), 0.2, 0.4);
    near(heard_of(&[("a", json!({"pan": -1}))]), 0.3, 0.0);
    near(heard_of(&[("a", json!({"pan": 1}))]), 0.0, 0.3);
    let half = std::f32::consts::FRAC_PI_4.cos();
    near(
        heard_of(&[("a", json!({"pan": -0.5}))]),
        0.1 + 0.2 * half,
        0.2 * half,
    );
    near(
        heard_of(&[("a", json!({"muted": true})), ("b", json!({}))]),
        0.1,
        0.2,
    );
    near(
        heard_of(&[("a", json!({"solo": true})), ("b", json!({}))]),
        0.1,
        0.2,
    );
    near(
        heard_of(&[
            ("a", json!({"solo": true})),
            ("b", json!({"solo": true, "gain": -20})),
        ]),
        0.11,
        0.22,
    );
    near(
        heard_of(&[
            ("a", json!({"solo": true, "muted": true})),
            ("b", json!({})),
        ]),
        0.0,
        0.0,
    );
}

#[test]
fn a_layer_that_is_not_visible_is_not_heard_nor_what_stands_in_it() {
    let group = |visible| LayerSpec {
        visible: Visible(visible),
        children: vec![Arc::new(heard("child", json!({})))],
        ..LayerSpec::new("group")
    };
    let waves = [("child", level(0.5, 0.5)), ("own", level(0.25, 0.25))];
    let hidden = LayerSpec {
        visible: Visible(false),
        ..heard("own", json!({}))
    };
    for (layers, expected) in [
        (vec![group(true)], 0.5),
        (vec![group(false)], 0.0),
        (vec![group(true), hidden], 0.5),
        (vec![group(false), heard("own", json!({}))], 0.25),
    ] {
        let mut desk = Desk::new(scene(layers), &waves);
        desk.run(5);
        assert_eq!(*desk.left.last().unwrap(), expected);
    }
}

#[test]
fn what_is_muted_or_hidden_goes_and_comes_without_a_click() {
    let mut desk = Desk::new(
        scene(vec![heard("a", json!({})), heard("b", json!({}))]),
        &[("a", level(0.3, 0.3)), ("b", level(0.2, 0.2))],
    );
    desk.run(10);
    desk.edit(|scene| layer(scene, "a").sound.muted = true);
    desk.run(5);
    assert_eq!(*desk.left.last().unwrap(), 0.2);
    desk.edit(|scene| layer(scene, "a").sound.muted = false);
    desk.run(5);
    desk.edit(|scene| layer(scene, "b").visible = Visible(false));
    desk.run(5);
    assert_eq!(*desk.left.last().unwrap(), 0.3);
    // 0.3 in 8 ms.
    assert!(
        desk.steepest(0) < 0.51 / 384.0 + 1e-5,
        "{}",
        desk.steepest(0)
    );
}

#[test]
fn a_layer_that_is_removed_in_the_middle_of_a_wave_does_not_click() {
    // At its highest where the tick ends.
    let wave = tone(50.0, -6.0);
    for tick in 10..20 {
        let mut desk = Desk::new(
            scene(vec![heard("a", json!({}))]),
            &[("a", Arc::clone(&wave))],
        );
        desk.run(tick);
        desk.edit(|scene| scene.layers.clear());
        desk.run(5);
        let own = 0.5 * std::f32::consts::TAU * 50.0 / 48_000.0;
        assert!(
            desk.steepest(1000) < 2.0 * own,
            "{} at {tick}",
            desk.steepest(1000)
        );
        assert_eq!(*desk.left.last().unwrap(), 0.0);
        assert!(!desk.ticks.last().unwrap().1);
    }
}

#[test]
fn the_same_sounds_give_the_same_bytes_whatever_threads() {
    let layers = || -> Vec<LayerSpec> {
        (0..12)
            .map(|number| {
                let name = format!("layer{number}");
                let duck =
                    json!({"gain": -6, "pan": 0.3, "role": "music", "duck": {"under": "content"}});
                heard(&name, if number % 2 == 0 { json!({}) } else { duck })
            })
            .collect()
    };
    let names: Vec<String> = (0..12).map(|number| format!("layer{number}")).collect();
    let waves: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(number, name)| (name.as_str(), tone(100.0 + 77.7 * number as f64, -3.0)))
        .collect();
    let rate = FrameRate::whole(30);
    let run = |threads| {
        let mut desk = Desk::with_threads(threads, rate, scene(layers()), &waves);
        desk.run(30);
        (desk.left, desk.right)
    };
    assert!(run(1) == run(4));
}

#[test]
fn the_sum_stays_below_the_ceiling_and_comes_back() {
    let layers = (0..4).map(|number| heard(&format!("l{number}"), json!({})));
    let loud = during(48_000..96_000, tone(441.0, -3.0));
    let waves = [
        ("l0", tone(441.0, -20.0)),
        ("l1", Arc::clone(&loud)),
        ("l2", Arc::clone(&loud)),
        ("l3", loud),
    ];
    let mut desk = Desk::new(scene(layers.collect()), &waves);
    desk.run(180);
    let peak = |from: usize, to: usize| {
        let side = desk.left[from..to].iter();
        decibels(side.fold(0f32, |peak, sample| peak.max(sample.abs())))
    };
    assert!((peak(12_000, 47_000) + 20.0).abs() < 0.01);
    assert!((-1.2..=-1.0).contains(&peak(48_000, 96_200)));
    assert!((peak(120_000, 144_000) + 20.0).abs() < 0.01);
}
