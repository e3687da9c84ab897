//! Files: a function of the ticks, whatever the decoder does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use components::source::{AudioSource, Source, VideoSource};
use stream_manager_systems::Engine;
use stream_manager_systems::command::Command;
use stream_manager_systems::input::{
    InputOrder, InputStage, LivePicture, OpenInput, PlaybackAction, Stream, TimedPicture,
    UnscaledPicture, WantedSize,
};
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

#[test]
fn what_comes_late_or_after_a_while_goes_on_from_there() {
    let (mut engine, open) = started(scene(vec![layer(video(|_| {}))]));
    let mut next = 0;
    let mut feed = |open: &OpenInput| {
        while open.ends.pictures.try_send(frame(next)).is_ok() {
            next += 1;
        }
    };
    for _ in 0..90 {
        engine.tick();
    }
    feed(&open);
    let shown: Vec<i32> = (0..30)
        .map(|_| {
            let shown = tick(&mut engine);
            feed(&open);
            shown
        })
        .collect();
    assert_eq!(shown, (0..30).collect::<Vec<i32>>(), "three seconds late");
    // The connection is lost for four seconds.
    let waiting = open.ends.pictures.len();
    let mut last = 0;
    for _ in 0..120 {
        last = tick(&mut engine);
    }
    assert!((30 + waiting as i32 - 1..30 + waiting as i32 + 3).contains(&last));
    feed(&open);
    assert_eq!([1, 2, 3].map(|_| tick(&mut engine) - last), [1, 2, 3]);
    // Sound alone, too: every sample is heard.
    let (mut engine, open) = started(scene(vec![layer(Source::Audio(bed()))]));
    for _ in 0..60 {
        engine.tick();
    }
    for index in 0..40 {
        let block = block(0, index, index * 10_000, number);
        open.ends.sound.try_send(block).unwrap();
    }
    engine.tick();
    let first = heard(&mut engine).unwrap();
    assert!((240..1600).all(|index| first[index] == number(index as i64)));
}

#[test]
fn a_film_that_has_ended_and_is_asked_for_again_is_shown_picture_by_picture() {
    let (mut engine, open) = started(scene(vec![layer(video(|film| film.start = 2.0))]));
    (0..10).for_each(|number| open.ends.pictures.try_send(frame(number)).unwrap());
    open.ends
        .state
        .duration_us
        .store(2_333_333, Ordering::Relaxed);
    open.ends.state.set_stage(InputStage::Ended);
    for _ in 0..20 {
        engine.tick();
    }
    // Less than a second late; its times go on.
    for number in 0..10u8 {
        let pts_us = i64::from(number + 10) * 1_000_000 / 30;
        let again = picture(0, pts_us, 116 + number);
        open.ends.pictures.try_send(again).unwrap();
    }
    open.ends.state.set_stage(InputStage::Live);
    let shown: Vec<i32> = (0..10).map(|_| tick(&mut engine)).collect();
    assert_eq!(shown, (100..110).collect::<Vec<i32>>());
    let position = open.ends.state.position_us.load(Ordering::Relaxed);
    assert_eq!(position / 1000, 2300);
}

#[test]
fn what_nobody_decodes_is_asked_for_again_after_a_while() {
    let (mut engine, open) = started(scene(vec![layer(video(|_| {}))]));
    drop(open);
    for _ in 0..28 {
        engine.tick();
        assert_eq!(requests(&engine).len(), 0);
    }
    for _ in 0..4 {
        engine.tick();
    }
    let again = requests(&engine);
    assert_eq!(again.len(), 1);
    again[0].ends.pictures.try_send(frame(0)).unwrap();
    assert_eq!(tick(&mut engine), 0);
}

#[test]
fn a_decoder_hears_how_long_its_input_may_be_silent() {
    let (mut engine, open) = started(scene(vec![layer(video(|_| {}))]));
    let seconds = |open: &OpenInput| open.ends.state.timeout().map(|time| time.as_secs_f32());
    assert_eq!(seconds(&open), Some(5.0));
    let patient = video(|film| film.reception.timeout = 90.0);
    edit(&engine, video(|_| {}), patient);
    engine.tick();
    assert_eq!(seconds(&open), Some(90.0));
    let (_, open) = started(scene(vec![layer(Source::Audio(bed()))]));
    assert_eq!(seconds(&open), None);
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

/// A thread that decodes as told, and then stays for orders, as a decoder does, until its layer goes.
fn decoder_of(engine: &Engine, decode: fn(&OpenInput)) -> std::thread::JoinHandle<()> {
    let door = engine.input_door();
    std::thread::spawn(move || {
        let open = door.requests.recv().unwrap();
        decode(&open);
        while open.ends.orders.recv().is_ok() {}
    })
}

/// Luma 200 at the size that is wanted, and 100 before anybody wants one.
struct Unscaled;

impl UnscaledPicture for Unscaled {
    fn scaled(&self, size: WantedSize) -> Option<LivePicture> {
        let (luma, width, height) = match size {
            WantedSize { width: 0, .. } => (100, 256, 128),
            WantedSize { width, height } => (200, width, height),
        };
        Some(LivePicture::Planes(plain(luma, width, height)))
    }

    fn byte_len(&self) -> usize {
        1000
    }
}

/// Offline, with a decoder.
fn offline_with(decode: fn(&OpenInput)) -> (Engine, std::thread::JoinHandle<()>) {
    let mut engine = engine();
    engine.set_waits_for_inputs(true);
    let bundle = SceneBundle::new(scene(vec![layer(video(|_| {}))]));
    engine.load(bundle).unwrap();
    let decoder = decoder_of(&engine, decode);
    (engine, decoder)
}

#[test]
fn offline_the_size_of_a_picture_does_not_depend_on_how_far_the_decoder_is() {
    let (mut engine, decoder) = offline_with(|open| {
        assert!(open.ends.state.scales_late());
        open.ends.state.set_without_sound(true);
        for number in 0..90u8 {
            let unscaled = TimedPicture {
                picture: LivePicture::Unscaled(Arc::new(Unscaled)),
                natural: (256, 128),
                ..frame(number)
            };
            if open.ends.pictures.send(unscaled).is_err() {
                return;
            }
        }
        open.ends.state.set_stage(InputStage::Ended);
    });
    let lumas: Vec<i32> = (0..40).map(|_| tick(&mut engine) + 16).collect();
    assert_eq!((lumas[0], &lumas[1..]), (100, &[200; 39][..]));
    drop(engine);
    decoder.join().unwrap();
    // Live, whoever decodes scales.
    let (_, open) = started(scene(vec![layer(video(|_| {}))]));
    assert!(!open.ends.state.scales_late());
}

#[test]
fn offline_however_much_of_another_place_comes_first_is_waited_through() {
    let (mut engine, decoder) = offline_with(|open| {
        open.ends.state.set_without_sound(true);
        (0..45).for_each(|number| open.ends.pictures.send(frame(number)).unwrap());
        let InputOrder::Seek { run, at_us, .. } = open.ends.orders.recv().unwrap();
        // One by one, each when the one before was taken.
        for _ in 0..5000 {
            open.ends.pictures.send(frame(45)).unwrap();
            while !open.ends.pictures.is_empty() {
                std::thread::yield_now();
            }
        }
        for number in 0..90u8 {
            let pts_us = at_us + i64::from(number) * 1_000_000 / 30;
            if open
                .ends
                .pictures
                .send(picture(run, pts_us, 116 + number))
                .is_err()
            {
                return;
            }
        }
    });
    assert_eq!([1, 2].map(|_| tick(&mut engine)), [0, 1]);
    tell(&engine, PlaybackAction::Seek(8.0));
    assert_eq!([3, 4].map(|_| tick(&mut engine)), [100, 101]);
    drop(engine);
    decoder.join().unwrap();
}

#[test]
fn offline_a_picture_is_waited_for_however_far_its_sound_has_come() {
    let (mut engine, decoder) = offline_with(|open| {
        open.ends.pictures.send(frame(0)).unwrap();
        for number in 0..250 {
            let block = block(0, number, number * 10_000, number_of);
            open.ends.sound.send(block).unwrap();
        }
        // Until the world has more than a second of it, and some more.
        while open.ends.sound.len() > 150 {
            std::thread::yield_now();
        }
        (0..20_000).for_each(|_| std::thread::yield_now());
        (1..30).for_each(|number| drop(open.ends.pictures.send(frame(number))));
    });
    assert_eq!([1, 2, 3].map(|_| tick(&mut engine)), [0, 1, 2]);
    drop(engine);
    decoder.join().unwrap();
}

#[test]
fn offline_what_a_decoder_that_finds_no_room_does_not_have_is_not_waited_for() {
    let (mut engine, decoder) = offline_with(|open| {
        open.ends.pictures.send(frame(0)).unwrap();
        let mut number = 0;
        loop {
            let block = block(0, number, number * 10_000, number_of);
            let Err(full) = open.ends.sound.try_send(block) else {
                number += 1;
                continue;
            };
            open.ends.state.set_blocked(Some(Stream::Sound));
            let gone = open.ends.sound.send(full.into_inner()).is_err();
            open.ends.state.set_blocked(None);
            if gone {
                return;
            }
            number += 1;
        }
    });
    assert_eq!([1, 2, 3].map(|_| tick(&mut engine)), [0; 3]);
    assert!(heard(&mut engine).is_some());
    drop(engine);
    decoder.join().unwrap();
}

#[test]
fn offline_every_run_is_the_same() {
    let run = || {
        let (mut engine, decoder) = offline_with(decode);
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
