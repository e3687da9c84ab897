//! What becomes of speech when layers and scenes come and go.

use components::layer::LayerSpec;
use components::scene::SceneSpec;
use components::transition::{Transition, TransitionKind};
use serde_json::json;
use std::sync::Arc;
use stream_manager_systems::audio::LATENCY_SAMPLES;
use stream_manager_systems::command::Command;
use stream_manager_systems::scene::{Outgoing, SceneEdit};
use stream_manager_systems::speech::{EndReason, RAMP_SAMPLES, Speech};
use stream_manager_systems::transition::MixAction;

use crate::stage::{LOUD, OPEN, Stage, TICK, host, pair, said, scene};

fn fading(layers: Vec<LayerSpec>, seconds: f32) -> SceneSpec {
    let mut spec = scene(layers);
    if seconds > 0.0 {
        spec.transitions.scene = Transition::new(TransitionKind::Fade, seconds);
    }
    spec
}

#[test]
fn a_layer_that_goes_falls_silent_and_one_that_stays_goes_on() {
    let spec = scene(vec![host("host")]);
    let mut stage = Stage::of(&spec);
    let (utterance, far) = said("a", &[LOUD; 20 * TICK]);
    drop(far);
    stage.say(utterance);
    stage.ticks(2);
    let mut edited = spec.clone();
    let layer = Arc::make_mut(&mut edited.layers[0]);
    layer.opacity = serde_json::from_value(json!(0.5)).unwrap();
    let edit = SceneEdit::between(&spec, &edited).unwrap();
    let commands = stage.engine.commands();
    commands
        .send(Command::EditScene(Box::new(edit)), |_| {})
        .unwrap();
    assert!(stage.ticks(2).iter().all(|sample| *sample > 0.4));
    stage.load(&scene(vec![host("other")]));
    stage.ticks(2);
    assert_eq!(stage.ends(), [pair("a", EndReason::Cancelled)]);
    assert!(stage.heard[4 * TICK..].iter().all(|sample| *sample == 0.0));
    assert!(stage.door.board.of("host").is_empty());
    assert_eq!(stage.door.spent.len(), 1);
}

#[test]
fn speech_goes_on_in_the_next_scene_on_the_avatar_of_the_same_name_without_a_break() {
    for seconds in [0.0, 0.2] {
        let mut stage = Stage::new();
        let quiet = stage.ticks(2).len() + RAMP_SAMPLES;
        let (mut utterance, far) = said("a", &[LOUD; 40 * TICK]);
        utterance.captions = true;
        utterance.text = "Hello".into();
        drop(far);
        stage.say(utterance);
        let (utterance, far) = said("b", &[LOUD; TICK]);
        drop(far);
        stage.say(utterance);
        stage.ticks(3);
        stage.load(&fading(vec![host("host")], seconds));
        stage.ticks(5);
        assert_eq!(stage.value("speech.host.line"), "Hello");
        if seconds == 0.0 {
            assert_eq!(stage.mouth(), OPEN);
        } else {
            // Turned round in the middle, it goes back with its scene.
            let back = Command::Mix {
                action: MixAction::Reverse,
                back: None,
            };
            stage.engine.commands().send(back, |_| {}).unwrap();
        }
        stage.ticks(25);
        let shown = stage.door.board.of("host");
        assert_eq!(shown.len(), 2, "in {seconds}");
        assert_eq!(stage.door.board.all().len(), 1);
        let level = f32::from(LOUD) / 32768.0;
        for heard in [
            &stage.heard[quiet..],
            &stage.program[quiet + LATENCY_SAMPLES..],
        ] {
            let off = heard
                .iter()
                .position(|sample| (sample - level).abs() > 1e-3);
            assert_eq!(off, None, "in {seconds}");
        }
        stage.ticks(15);
        assert_eq!(
            stage.ends(),
            [pair("a", EndReason::Done), pair("b", EndReason::Done)]
        );
    }
}

#[test]
fn a_host_on_its_way_out_can_be_stopped() {
    let mut stage = Stage::new();
    let (utterance, far) = said("a", &[LOUD; 40 * TICK]);
    drop(far);
    stage.say(utterance);
    stage.ticks(3);
    stage.load(&fading(vec![host("other")], 1.0));
    stage.ticks(2);
    let world = stage.engine.world_mut();
    assert_eq!(world.query::<(&Speech, &Outgoing)>().iter(world).count(), 1);
    assert!(stage.heard.last().unwrap() > &0.4, "it goes on meanwhile");
    stage.stop(None);
    stage.ticks(3);
    assert_eq!(stage.ends(), [pair("a", EndReason::Cancelled)]);
    assert!(stage.door.board.of("host").is_empty());
}

#[test]
fn a_change_that_is_turned_round_loses_nothing_of_two_hosts_of_one_name() {
    for action in [MixAction::Reverse, MixAction::Cancel] {
        let mut stage = Stage::new();
        let say = |stage: &Stage, id: &str, ticks: usize| {
            let (utterance, far) = said(id, &vec![LOUD; ticks * TICK]);
            drop(far);
            stage.say(utterance);
        };
        say(&stage, "a", 20);
        say(&stage, "next", 1);
        stage.ticks(2);
        // Its scene goes, and it speaks on; the scene that comes gets a host of its name.
        let comes = fading(vec![host("other")], 1.0);
        stage.load(&comes);
        stage.ticks(1);
        let with_host = fading(vec![host("other"), host("host")], 1.0);
        let edit = SceneEdit::between(&comes, &with_host).unwrap();
        let edit = Command::EditScene(Box::new(edit));
        stage.engine.commands().send(edit, |_| {}).unwrap();
        for id in ["b", "c", "next"] {
            say(&stage, id, 5);
        }
        // Both are heard.
        stage.engine.tick();
        stage.engine.tick();
        let shown = stage.door.board.of("host");
        let ids: Vec<_> = shown.iter().map(|shown| &*shown.id).collect();
        assert_eq!(ids, ["b", "c", "next", "a", "next"]);
        let back = Command::Mix { action, back: None };
        stage.engine.commands().send(back, |_| {}).unwrap();
        stage.ticks(1);
        assert_eq!(
            stage.ends(),
            ["b", "next"].map(|id| pair(id, EndReason::Interrupted))
        );
        stage.ticks(40);
        assert_eq!(
            stage.ends(),
            ["a", "next", "c"].map(|id| pair(id, EndReason::Done)),
            "{action:?}"
        );
        assert!(stage.door.board.all().is_empty());
    }
}
