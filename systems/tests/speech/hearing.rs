//! What is heard, seen and told of one utterance.

use serde_json::Value;
use stream_manager_systems::speech::{
    EndReason, RAMP_SAMPLES, SpeechNews, SpeechOrder, SpokenWord, WORDS_A_TICK,
};

use crate::stage::{
    GREY, HAPPY, LOUD, OPEN, SHUT, Stage, TICK, end, feed, host, said, scene, step,
};

#[test]
fn the_frame_of_the_first_loud_samples_shows_the_open_mouth() {
    let mut stage = Stage::new();
    // Two ticks of silence first.
    let mut samples = vec![0; 2 * TICK];
    samples.extend([LOUD; 3 * TICK]);
    let (utterance, far) = said("a", &samples);
    drop(far);
    stage.ticks(2);
    stage.say(utterance);
    let mut opened = None;
    for tick in 0..8 {
        let heard = stage.ticks(1);
        let is_loud = heard.iter().any(|sample| *sample > 0.1);
        let is_open = stage.mouth() == OPEN;
        assert_eq!(is_loud, is_open, "at {tick}");
        if is_loud {
            opened.get_or_insert(tick);
        }
    }
    assert_eq!(opened, Some(2));
    assert_eq!(stage.mouth(), SHUT, "and shut when it is over");
}

#[test]
fn every_sample_is_heard_once_between_short_ramps() {
    let mut stage = Stage::new();
    let samples: Vec<i16> = (0..5000).map(|place| 8000 + place as i16).collect();
    let (mut utterance, far) = said("a", &samples);
    utterance.gain_db = -6.0;
    drop(far);
    stage.say(utterance);
    let heard = stage.ticks(8);
    let gain = 10f32.powf(-6.0 / 20.0) / 32768.0;
    for place in RAMP_SAMPLES..5000 - RAMP_SAMPLES {
        let expected = f32::from(samples[place]) * gain;
        assert!((heard[place] - expected).abs() < 1e-5, "at {place}");
    }
    assert!(heard[5000..].iter().all(|sample| *sample == 0.0));
    assert!(heard[0] < 0.01 && heard[4999] < 0.01);
    assert!(step(&heard) < 0.01, "it clicks: {}", step(&heard));
    assert_eq!(
        stage.news(),
        [
            ("a".to_owned(), SpeechNews::Queued { place: 0 }),
            ("a".to_owned(), SpeechNews::Start),
            ("a".to_owned(), end(EndReason::Done))
        ]
    );
    assert!(stage.door.board.of("host").is_empty());
}

#[test]
fn a_stream_begins_with_a_little_in_hand_and_pauses_where_it_runs_dry() {
    let mut stage = Stage::new();
    let (utterance, far) = said("a", &[LOUD; 2400]);
    stage.say(utterance);
    assert!(stage.ticks(5).iter().all(|sample| *sample == 0.0));
    feed(&far, &[LOUD; 3360]);
    // 5760 samples are there: six ticks.
    let heard = stage.ticks(10);
    let loud = heard.iter().filter(|sample| **sample > 0.0).count();
    assert_eq!(loud, 5760);
    assert!(step(&heard) < 0.01);
    assert_eq!(stage.mouth(), SHUT);
    feed(&far, &[LOUD; 4800]);
    assert!(
        stage.ticks(3).iter().all(|sample| *sample == 0.0),
        "too little"
    );
    drop(far);
    let heard = stage.ticks(8);
    assert_eq!(heard.iter().filter(|sample| **sample > 0.0).count(), 4800);
    assert!(step(&heard) < 0.01);
    let news: Vec<_> = stage.news().into_iter().map(|(_, news)| news).collect();
    let expected = [
        SpeechNews::Queued { place: 0 },
        SpeechNews::Start,
        SpeechNews::Pause { played: 5760 },
        SpeechNews::Resume { played: 5760 },
        end(EndReason::Done),
    ];
    assert_eq!(news, expected);
    assert_eq!((stage.door.begun(), stage.door.underruns()), (1, 1));
}

#[test]
fn on_a_long_tick_it_goes_on_and_runs_dry_again_and_both_are_told() {
    // 9600 samples a tick.
    let mut stage = Stage::at_rate(&scene(vec![host("host")]), 5);
    let (utterance, far) = said("a", &[LOUD; 5760]);
    stage.say(utterance);
    stage.ticks(2);
    for _ in 0..2 {
        feed(&far, &[LOUD; 5760]);
        stage.ticks(2);
    }
    let news: Vec<_> = stage.news().into_iter().map(|(_, news)| news).collect();
    let mut expected = vec![SpeechNews::Queued { place: 0 }, SpeechNews::Start];
    for played in [5760, 2 * 5760] {
        expected.push(SpeechNews::Pause { played });
        expected.push(SpeechNews::Resume { played });
    }
    expected.push(SpeechNews::Pause { played: 3 * 5760 });
    assert_eq!(news, expected);
    assert_eq!(stage.door.underruns(), 3);
}

#[test]
fn of_words_without_a_text_captions_show_those_that_are_said_however_many_came_before() {
    let mut stage = Stage::new();
    let (mut utterance, far) = said("a", &[LOUD; 60 * TICK]);
    drop(far);
    utterance.captions = true;
    stage.say(utterance);
    // Three pages of text, told ahead of their time.
    let word = |place: u16| SpokenWord {
        word: format!("{place:x<30}").into(),
        start: f32::from(place / 32) * 0.02,
        end: f32::from(place / 32) * 0.02,
    };
    let (id, text) = ("a".into(), None);
    let words = (0..30 * WORDS_A_TICK as u16).map(word).collect();
    stage.order(SpeechOrder::Tell { id, text, words });
    for tick in 0..30 {
        stage.ticks(1);
        let line = stage.value("speech.host.line");
        let last = format!("{:x<30}", tick * 32 + 31);
        assert!(line.as_str().unwrap().ends_with(&last), "{tick}: {line}");
        let text = stage.value("speech.host.text");
        assert!(text.as_str().unwrap().len() <= 10_000);
    }
}

#[test]
fn many_words_are_told_on_more_than_one_tick() {
    let mut stage = Stage::new();
    let (mut utterance, far) = said("a", &[LOUD; 20 * TICK]);
    drop(far);
    utterance.words = (0..WORDS_A_TICK * 3 + 1)
        .map(|number| SpokenWord {
            word: number.to_string().into(),
            start: 0.0,
            end: 0.0,
        })
        .collect();
    stage.say(utterance);
    let mut words = Vec::new();
    for _ in 0..5 {
        stage.ticks(1);
        let is_word = |(_, news): &(String, SpeechNews)| matches!(news, SpeechNews::Word { .. });
        words.push(stage.news().into_iter().filter(is_word).count());
    }
    let most = WORDS_A_TICK;
    assert_eq!(words, [most, most, most, 1, 0]);
    assert_eq!(stage.door.lost(), 0);
}

#[test]
fn words_that_come_ahead_of_their_time_do_not_blank_the_caption() {
    let mut stage = Stage::new();
    let (mut utterance, far) = said("a", &[LOUD; 20 * TICK]);
    drop(far);
    utterance.text = "Good evening, Lisbon!".into();
    utterance.captions = true;
    stage.say(utterance);
    stage.ticks(2);
    let phrase = stage.value("speech.host.line");
    assert_eq!(phrase, "Good evening, Lisbon!");
    let words = vec![SpokenWord {
        word: "Good".into(),
        start: 0.2,
        end: 0.3,
    }];
    let (id, text) = ("a".into(), None);
    stage.order(SpeechOrder::Tell { id, text, words });
    stage.ticks(1);
    assert_eq!(stage.value("speech.host.line"), phrase);
    stage.ticks(10);
    assert_eq!(stage.value("speech.host.line"), "Good");
}

#[test]
fn ticks_that_repeat_a_frame_take_their_samples_too() {
    let samples: Vec<i16> = (0..6 * TICK)
        .map(|place| (place % 200) as i16 * 100)
        .collect();
    let run = |repeats: &[usize]| {
        let mut stage = Stage::new();
        let (utterance, far) = said("a", &samples);
        drop(far);
        stage.say(utterance);
        for tick in 0..8 {
            if repeats.contains(&tick) {
                stage.engine.repeat();
                stage.note();
            } else {
                stage.ticks(1);
            }
        }
        stage.heard
    };
    assert_eq!(run(&[]), run(&[2, 3, 6]));
}

#[test]
fn an_emotion_lasts_as_long_as_what_is_said() {
    let mut stage = Stage::new();
    let (mut utterance, far) = said("a", &[LOUD; 3 * TICK]);
    utterance.emotion = Some("happy".into());
    drop(far);
    stage.ticks(1);
    assert_eq!(stage.at(4), GREY);
    stage.say(utterance);
    stage.ticks(2);
    assert_eq!(stage.at(4), HAPPY);
    stage.ticks(4);
    assert_eq!(stage.at(4), GREY);
}

#[test]
fn captions_show_the_words_that_were_said_and_nothing_unless_asked() {
    let word = |word: &str, start: f32| SpokenWord {
        word: word.into(),
        start,
        end: start + 0.02,
    };
    for captions in [false, true] {
        let mut stage = Stage::new();
        let (mut utterance, far) = said("a", &[LOUD; 4 * TICK]);
        utterance.text = "Good evening, Lisbon!".into();
        utterance.words = vec![
            word("Good", 0.0),
            word("evening", 0.02),
            word("Lisbon", 0.04),
        ];
        utterance.captions = captions;
        drop(far);
        assert_eq!(stage.value("speech.host.line"), "");
        assert_eq!(stage.value("speech.nobody.speaking"), false);
        stage.say(utterance);
        let mut lines = Vec::new();
        for _ in 0..4 {
            stage.ticks(1);
            lines.push(stage.value("speech.host.line"));
        }
        let expected = match captions {
            true => ["Good", "Good evening,", "Good evening, Lisbon!", ""],
            false => [""; 4],
        };
        // The last sample belongs to the fourth tick, on which it is over.
        assert_eq!(lines, expected.map(Value::from));
        assert_eq!(stage.value("speech.host.speaking"), false);
        let words = stage.news().into_iter().filter_map(|(_, news)| match news {
            SpeechNews::Word { word, .. } => Some(word.to_string()),
            _ => None,
        });
        assert_eq!(words.collect::<Vec<_>>(), ["Good", "evening", "Lisbon"]);
    }
}
