//! What the meters show.

use serde_json::json;
use stream_manager_systems::command::Command;

use crate::stage::{Desk, heard, layer, scene, tone};

#[test]
fn meters_show_layers_and_the_sum() {
    let mut desk = Desk::new(
        scene(vec![
            heard("loud", json!({"gain": -6})),
            heard("off", json!({"muted": true})),
            heard("still", json!({})),
        ]),
        &[("loud", tone(997.0, -17.0)), ("off", tone(500.0, -3.0))],
    );
    let board = desk.engine.level_board();
    desk.run(60 * 5);
    let levels = board.read();
    assert_eq!(levels.tick, 299);
    let names: Vec<_> = levels
        .channels
        .iter()
        .map(|channel| (channel.layer.as_str(), channel.is_open))
        .collect();
    assert_eq!(names, [("loud", true), ("off", false), ("still", true)]);
    let loud = levels.channels[0].levels;
    for levels in [loud, levels.master] {
        assert!((levels.peak_dbfs + 23.0).abs() < 0.05, "{levels:?}");
        assert!((levels.rms_dbfs + 26.01).abs() < 0.1, "{levels:?}");
        for lufs in [
            levels.momentary_lufs,
            levels.short_term_lufs,
            levels.integrated_lufs,
        ] {
            assert!((lufs + 23.0).abs() < 0.1, "{levels:?}");
        }
    }
    assert!((levels.true_peak_max_dbtp + 23.0).abs() < 0.05);
    for silent in [1, 2] {
        let silent = levels.channels[silent].levels;
        assert_eq!((silent.peak_dbfs, silent.momentary_lufs), (-100.0, -100.0));
    }
    assert_eq!(levels.reduction_db, 0.0);

    desk.edit(|scene| layer(scene, "loud").sound.muted = true);
    desk.run(300);
    let levels = board.read();
    assert!(!levels.channels[0].is_open);
    assert!(levels.master.peak_dbfs < -60.0, "it falls");
    assert_eq!(levels.master.short_term_lufs, -100.0);
    assert!((levels.master.integrated_lufs + 23.0).abs() < 0.3);
}

#[test]
fn what_the_meters_show_of_the_whole_time_can_begin_anew() {
    let mut desk = Desk::new(
        scene(vec![heard("a", json!({}))]),
        &[("a", tone(997.0, -3.0))],
    );
    let board = desk.engine.level_board();
    desk.run(120);
    assert!(board.read().true_peak_max_dbtp > -4.0);
    desk.edit(|scene| layer(scene, "a").sound.gain = -20.0);
    desk.run(120);
    let levels = board.read();
    assert!(levels.true_peak_max_dbtp > -4.0, "it is that of all time");
    desk.send(Command::ResetMeters);
    desk.run(60);
    let levels = board.read();
    assert!((levels.true_peak_max_dbtp + 23.0).abs() < 0.1, "{levels:?}");
    for levels in [levels.master, levels.channels[0].levels] {
        assert!((levels.integrated_lufs + 23.0).abs() < 0.1, "{levels:?}");
    }
}

#[test]
fn the_limiter_and_ducking_say_what_they_do() {
    let mut desk = Desk::new(
        scene(vec![
            heard("a", json!({"gain": 5, "role": "speech"})),
            heard("b", json!({"duck": {"by": 20}})),
        ]),
        &[("a", tone(400.0, 0.0)), ("b", tone(400.0, -40.0))],
    );
    let board = desk.engine.level_board();
    desk.run(120);
    let levels = board.read();
    assert!((levels.reduction_db - 6.1).abs() < 0.3, "{levels:?}");
    assert!(levels.true_peak_max_dbtp <= -1.0, "{levels:?}");
    assert!((levels.channels[1].ducked_db - 20.0).abs() < 0.05);
}
