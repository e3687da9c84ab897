//! Files: a function of the ticks, whatever the decoder does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use components::source::{AudioSource, Source, VideoSource};
use stream_manager_systems::Engine;
use stream_manager_systems::command::Command;
use stream_manager_systems::input::{InputOrder, InputStage, OpenInput, PlaybackAction};
use stream_manager_systems::scene::{SceneBundle, SceneEdit};

use crate::stage::*;

fn video(change: impl FnOnce(&mut VideoSource)) -> Source {
    let mut film = film();
    change(&mut film);
    Source::Video(film)
}

fn edit(engine: &Engine, from: Source, to: Source) {
    let edit = SceneEdit::between(&scene(vec![layer(from)]), &scene(vec![layer(to)])).unwrap();
    let command = Command::EditScene(Box::new(edit));
    engine.commands().send(command, |_| {}).unwrap();
}

fn tell(engine: &Engine, action: PlaybackAction) {
    let layer = Arc::from("input");
    let command = Command::Playback { layer, action };
    engine.commands().send(command, |_| {}).unwrap();
}

fn requests(engine: &Engine) -> Vec<OpenInput> {
    engine.input_door().requests.try_iter().collect()
}

#[test]
fn an_input_is_opened_once_and_ends_with_its_layer() {
    let (mut engine, open) = started(scene(vec![layer(video(|_| {}))]));
    assert_eq!(open.layer.as_str(), "input");
    let slow = video(|film| (film.speed, film.paused, film.reception.timeout) = (0.5, true, 9.0));
    edit(&engine, video(|_| {}), slow.clone());
    engine.tick();
    assert!(
        requests(&engine).is_empty(),
        "speed and pause need no other input"
    );
    assert!(open.ends.pictures.try_send(frame(0)).is_ok());
    let other = video(|film| film.src = "other.mp4".to_owned());
    edit(&engine, slow, other);
    engine.tick();
    assert_eq!(requests(&engine).len(), 1);
    assert!(
        open.ends.pictures.try_send(frame(1)).is_err(),
        "the old one ends"
    );

    let (mut engine, open) = started(scene(vec![layer(video(|_| {}))]));
    engine.load(SceneBundle::new(scene(Vec::new()))).unwrap();
    engine.tick();
    assert!(open.ends.sound.try_send(block(0, 0, 0, |_| 0.0)).is_err());
}

#[test]
fn a_full_door_is_tried_again() {
    let mut engine = engine();
    let many = (0..300).map(|index| components::layer::LayerSpec {
        id: format!("film-{index}").as_str().into(),
        ..layer(video(|_| {}))
    });
    let set = Command::SetMaxLayers(400);
    engine.commands().send(set, |_| {}).unwrap();
    engine.tick();
    engine
        .load(SceneBundle::new(scene(many.collect())))
        .unwrap();
    engine.tick();
    let first = requests(&engine).len();
    engine.tick();
    assert_eq!((first, requests(&engine).len()), (256, 44));
}

#[test]
fn every_tick_shows_its_picture_and_a_late_one_leaves_the_last() {
    let (mut engine, open) = started(scene(vec![layer(video(|_| {}))]));
    let send = |number: u8| open.ends.pictures.try_send(frame(number)).unwrap();
    // Tick 0 has passed without one.
    (0..4).for_each(send);
    assert_eq!([1, 2, 3].map(|_| tick(&mut engine)), [1, 2, 3]);
    assert_eq!([4, 5].map(|_| tick(&mut engine)), [3, 3]);
    (4..9).for_each(send);
    assert_eq!([6, 7].map(|_| tick(&mut engine)), [6, 7]);
    let state = &open.ends.state;
    // 0, 4 and 5.
    assert_eq!(state.pictures_dropped.load(Ordering::Relaxed), 3);
    assert_eq!(state.pictures_shown.load(Ordering::Relaxed), 5);
    assert_eq!(state.position_us.load(Ordering::Relaxed) / 1000, 233);
    assert!(
        open.ends.pictures.len() < 3,
        "no more is taken than is needed"
    );
}

#[test]
fn speed_and_pause_go_on_from_what_is_shown() {
    let (mut engine, open) = started(scene(vec![layer(video(|_| {}))]));
    let mut next = 0;
    let mut shown = Vec::new();
    let mut source = video(|_| {});
    for number in 1..40 {
        while next < 200 && open.ends.pictures.try_send(frame(next)).is_ok() {
            next += 1;
        }
        let change = match number {
            10 => Some(video(|film| film.speed = 2.0)),
            20 => Some(video(|film| (film.speed, film.paused) = (2.0, true))),
            30 => Some(video(|film| film.speed = 0.5)),
            _ => None,
        };
        if let Some(change) = change {
            edit(&engine, source, change.clone());
            source = change;
        }
        shown.push(tick(&mut engine));
    }
    assert_eq!(shown[8..12], [9, 10, 12, 14]);
    assert_eq!(shown[18..22], [28, 30, 30, 30]);
    assert_eq!(shown[28..35], [30, 30, 30, 31, 31, 32, 32]);
}

#[test]
fn seeking_drops_what_was_under_way() {
    let (mut engine, open) = started(scene(vec![layer(video(|film| film.start = 2.0))]));
    (0..9).for_each(|number| open.ends.pictures.try_send(frame(number)).unwrap());
    assert_eq!([1, 2].map(|_| tick(&mut engine)), [1, 2]);
    tell(&engine, PlaybackAction::Seek(8.0));
    assert_eq!(tick(&mut engine), 2, "the last one stays");
    let InputOrder::Seek {
        to_seconds,
        run,
        at_us,
    } = open.ends.orders.try_recv().unwrap();
    assert_eq!((to_seconds, run, at_us / 1000), (8.0, 1, 100));
    open.ends.pictures.try_send(frame(5)).unwrap();
    assert_eq!(tick(&mut engine), 2, "what was on its way does not count");
    for (number, luma) in (0..4).zip(100..) {
        let pts_us = at_us + number * 1_000_000 / 30;
        open.ends
            .pictures
            .try_send(picture(1, pts_us, luma))
            .unwrap();
    }
    assert_eq!([5, 6].map(|_| tick(&mut engine) + 16), [102, 103]);
    let position = open.ends.state.position_us.load(Ordering::Relaxed);
    assert_eq!(position / 1000, 8100);
    tell(&engine, PlaybackAction::Restart);
    engine.tick();
    let again = open.ends.orders.try_recv().unwrap();
    assert!(matches!(again, InputOrder::Seek { to_seconds, run: 2, .. } if to_seconds == 2.0));
}

fn number(index: i64) -> f32 {
    (index % 9601) as f32 / 16_384.0
}

#[test]
fn sound_is_exact_at_speed_one_and_stays_with_the_picture_at_others() {
    let (mut engine, open) = started(scene(vec![layer(video(|_| {}))]));
    let mut next = 0;
    let mut feed = |open: &OpenInput| {
        while open.ends.sound.len() < 20 {
            open.ends
                .sound
                .try_send(block(0, next, next * 10_000, number))
                .unwrap();
            next += 1;
        }
    };
    let mut all = Vec::new();
    for _ in 1..12 {
        feed(&open);
        engine.tick();
        all.extend(heard(&mut engine).unwrap());
    }
    // Tick 1 begins at sample 1600; the first 5 ms rise.
    for (index, value) in (1600..).zip(&all).skip(240) {
        assert_eq!(*value, number(index), "{index}");
    }
    edit(&engine, video(|_| {}), video(|film| film.speed = 0.5));
    feed(&open);
    engine.tick();
    let slow = heard(&mut engine).unwrap();
    // 12 ticks of sound have passed, and then half as much.
    let steps = slow.windows(2).skip(300).map(|pair| pair[1] - pair[0]);
    let mean = steps.clone().sum::<f32>() / steps.count() as f32;
    assert!((mean * 16_384.0 - 0.5).abs() < 0.01, "{mean}");
    assert!((slow[800] - number(12 * 1600 + 400)).abs() < 0.001);
    edit(
        &engine,
        video(|film| film.speed = 0.5),
        video(|film| film.paused = true),
    );
    engine.tick();
    let out = heard(&mut engine).unwrap();
    assert!(steepest(&out) < 0.01 && out[300..].iter().all(|value| *value == 0.0));
    engine.tick();
    assert_eq!(heard(&mut engine), None);
    assert_eq!(open.ends.state.sound_gaps.load(Ordering::Relaxed), 0);
}

#[test]
fn an_audio_file_rises_and_falls() {
    let source = AudioSource {
        fade_in: 0.2,
        fade_out: 0.2,
        end: Some(1.0),
        ..bed()
    };
    let (mut engine, open) = started(scene(vec![layer(Source::Audio(source))]));
    for number in 0..100 {
        open.ends
            .sound
            .try_send(block(0, number, number * 10_000, |_| 0.5))
            .unwrap();
    }
    open.ends.state.set_stage(InputStage::Ended);
    let mut all = Vec::new();
    for _ in 1..40 {
        engine.tick();
        all.extend(heard(&mut engine).unwrap_or_default());
    }
    assert!(all[10].abs() < 0.2 && (all[12_000] - 0.5).abs() < 1e-6);
    assert!(all[45_500].abs() < 0.03, "{}", all[45_500]);
    let place = all
        .windows(2)
        .position(|pair| (pair[1] - pair[0]).abs() >= 0.005);
    assert_eq!(place.map(|place| (place, all[place], all[place + 1])), None);
    assert_eq!(heard(&mut engine), None);
}

/// What a decoder gives: 90 pictures and their sound, as far as its ways have room.
fn decode(open: &OpenInput) {
    let mut sound = 0;
    for number in 0..90u8 {
        while sound * 10_000 < i64::from(number) * 33_333 {
            let block = block(0, sound, sound * 10_000, number_of);
            if open.ends.sound.send(block).is_err() {
                return;
            }
            sound += 1;
        }
        if open.ends.pictures.send(frame(number)).is_err() {
            return;
        }
    }
    open.ends.state.set_stage(InputStage::Ended);
}

fn number_of(index: i64) -> f32 {
    number(index)
}

#[test]
fn offline_every_run_is_the_same() {
    let run = || {
        let mut engine = engine();
        engine.set_waits_for_inputs(true);
        engine
            .load(SceneBundle::new(scene(vec![layer(video(|_| {}))])))
            .unwrap();
        let door = engine.input_door();
        let decoder = std::thread::spawn(move || {
            let open = door.requests.recv().unwrap();
            decode(&open);
            // It stays for orders, as a decoder does, until its layer goes.
            while open.ends.orders.recv().is_ok() {}
        });
        let mut pictures = Vec::new();
        let mut sound = Vec::new();
        for _ in 0..100 {
            pictures.push(tick(&mut engine));
            sound.extend(heard(&mut engine).unwrap_or_default());
        }
        drop(engine);
        decoder.join().unwrap();
        (pictures, sound)
    };
    let (pictures, sound) = run();
    let expected: Vec<i32> = (0..100).map(|number: i32| number.min(89)).collect();
    assert_eq!(pictures, expected);
    let again = run();
    assert!(again.0 == pictures && again.1 == sound);
    assert!(sound.len() >= 85 * 1600);
}
