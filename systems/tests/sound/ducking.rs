//! Music that steps back under speech.

use components::scene::FrameRate;
use serde_json::json;

use crate::stage::{Desk, decibels, during, heard, level, scene, tone};

fn ducked(rate: FrameRate) -> Desk {
    let music = json!({"role": "music", "duck": {
        "by": 12, "threshold": -40, "attack": 0.1, "hold": 0.4, "release": 0.8,
    }});
    // Speech from 1 s to 2 s, and again from 2.2 s to 2.5 s.
    let speech = tone(200.0, -20.0);
    let words = std::sync::Arc::new(move |place: u64| {
        let speaks = (48_000..96_000).contains(&place) || (105_600..120_000).contains(&place);
        let [left, _] = speech(place)?;
        // On the right alone, so that the left shows the music.
        speaks.then_some([0.0, left])
    });
    let mut desk = Desk::at(
        rate,
        scene(vec![
            heard("host", json!({"role": "speech"})),
            heard("bed", music),
        ]),
        &[("host", words), ("bed", level(0.1, 0.0))],
    );
    desk.run((rate.as_f64() * 5.0) as usize);
    desk
}

#[test]
fn music_steps_back_in_time_holds_between_words_and_comes_back() {
    let desk = ducked(FrameRate::whole(60));
    let depth = |second: f64| -decibels(desk.at_second(second) / 0.1);
    assert!(depth(0.95).abs() < 0.01, "nothing yet");
    // The level itself has a time constant of 10 ms, and -20 dB is far above the threshold.
    assert!((depth(1.107) - 11.4).abs() < 0.4, "{}", depth(1.107));
    assert!((depth(1.9) - 12.0).abs() < 0.05, "{}", depth(1.9));
    assert!((depth(2.19) - 12.0).abs() < 0.05, "it holds between words");
    assert!((depth(2.85) - 12.0).abs() < 0.05, "and after them");
    // 2.5 s, what the level takes to fall, 0.4 s, and 0.8 s for 95 %.
    let back = depth(3.75);
    assert!((0.3..0.9).contains(&back), "{back}");
    assert!(depth(4.9).abs() < 0.02, "{}", depth(4.9));
    // Where it is fastest it falls by 12 dB three times in 0.1 s, which is 0.0075 dB a sample.
    let steps = desk.left[2000..].windows(2);
    let steepest = steps.map(|pair| (pair[1] - pair[0]).abs());
    let steepest = steepest.fold(0.0, f32::max);
    assert!((0.000_05..0.000_1).contains(&steepest), "{steepest}");
}

#[test]
fn ticks_of_any_rate_duck_the_same() {
    let fast = ducked(FrameRate::whole(60));
    for rate in [FrameRate::whole(25), FrameRate::whole(30)] {
        let slow = ducked(rate);
        for tenth in 5..48 {
            let second = f64::from(tenth) / 10.0;
            let (a, b) = (fast.at_second(second), slow.at_second(second));
            assert!(decibels(a / b).abs() < 0.6, "{a} {b} at {second}");
        }
    }
}

#[test]
fn it_steps_back_under_others_of_the_role_that_are_heard_and_not_under_itself() {
    let depth = |other: serde_json::Value, own: &str| {
        let own = json!({"role": own, "duck": {"under": "speech"}});
        let layers = vec![heard("other", other), heard("own", own)];
        let waves = [
            ("other", during(0..200_000, level(0.0, 0.2))),
            ("own", level(0.1, 0.0)),
        ];
        let mut desk = Desk::new(scene(layers), &waves);
        desk.run(60);
        -decibels(*desk.left.last().unwrap() / 0.1)
    };
    let near = |found: f32, expected: f32| assert!((found - expected).abs() < 0.05, "{found}");
    near(depth(json!({"role": "speech"}), "music"), 12.0);
    near(depth(json!({"role": "speech"}), "speech"), 12.0);
    near(depth(json!({"role": "content"}), "music"), 0.0);
    near(depth(json!({"role": "content"}), "speech"), 0.0);
    near(
        depth(json!({"role": "speech", "muted": true}), "music"),
        0.0,
    );
    // 0.2 on one side is -17 dB; at -30 dB it is below -40 dB.
    near(depth(json!({"role": "speech", "gain": -30}), "music"), 0.0);
}
