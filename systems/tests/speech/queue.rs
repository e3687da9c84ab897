//! One utterance after the other: order, limits, ends.

use stream_manager_systems::speech::{
    BLOCK_FRAMES, CUT_SAMPLES, EndReason, QueueMode, Refusal, STALL_SAMPLES, SpeechBudget,
    SpeechNews, SpokenWord, Utterance, WAITING_MAX, speech_way,
};

use crate::stage::{LOUD, Stage, TICK, feed, pair, said, step};

#[test]
fn utterances_follow_each_other_as_they_were_queued() {
    let mut stage = Stage::new();
    let modes = [
        ("a", QueueMode::Append),
        ("b", QueueMode::Append),
        ("c", QueueMode::Next),
    ];
    for (id, queue) in modes {
        let (mut utterance, far) = said(id, &[LOUD; 2 * TICK]);
        utterance.queue = queue;
        drop(far);
        stage.say(utterance);
        stage.ticks(1);
    }
    let (mut utterance, far) = said("d", &[LOUD; 2 * TICK]);
    utterance.queue = QueueMode::Interrupt;
    drop(far);
    stage.say(utterance);
    stage.ticks(1);
    let waiting: Vec<_> = stage
        .door
        .board
        .of("host")
        .iter()
        .map(|shown| shown.id.to_string())
        .collect();
    assert_eq!(waiting.last().map(String::as_str), Some("b"));
    stage.ticks(12);
    // `a` was over when `d` came, and `c` was cut.
    assert_eq!(
        stage.ends(),
        [
            pair("a", EndReason::Done),
            pair("c", EndReason::Interrupted),
            pair("d", EndReason::Done),
            pair("b", EndReason::Done)
        ]
    );
    assert!(step(&stage.heard) < 0.01, "it clicks");
}

#[test]
fn what_is_stopped_fades_and_what_waits_is_forgotten() {
    let mut stage = Stage::new();
    let fars: Vec<_> = ["a", "b", "c"]
        .map(|id| {
            let (utterance, far) = said(id, &[LOUD; 40 * BLOCK_FRAMES]);
            stage.say(utterance);
            far
        })
        .into();
    stage.ticks(2);
    stage.stop(Some("b"));
    stage.ticks(1);
    stage.stop(None);
    let heard = stage.ticks(5);
    let loud = heard.iter().filter(|sample| **sample > 0.0).count();
    assert!(loud.abs_diff(CUT_SAMPLES) <= 1, "{loud}");
    assert!(step(&heard) < 0.01);
    assert_eq!(
        stage.ends(),
        ["b", "c", "a"].map(|id| pair(id, EndReason::Cancelled))
    );
    drop(fars);
}

#[test]
fn more_than_may_wait_and_a_name_that_is_taken_are_refused() {
    let mut stage = Stage::new();
    let mut fars = Vec::new();
    for number in 0..=WAITING_MAX {
        let (utterance, far) = said(&number.to_string(), &[]);
        stage.say(utterance);
        fars.push(far);
    }
    stage.ticks(1);
    let refused = SpeechNews::Refused(Refusal::Full);
    assert_eq!(stage.news().pop(), Some((WAITING_MAX.to_string(), refused)));
    assert_eq!(fars[WAITING_MAX].state().refusal(), Some(Refusal::Full));
    assert_eq!(fars[0].state().refusal(), None);
    assert_eq!(stage.door.board.of("host").len(), WAITING_MAX);
    let (utterance, far) = said("7", &[]);
    stage.say(utterance);
    stage.ticks(1);
    assert_eq!(far.state().refusal(), Some(Refusal::Duplicate));
    assert_eq!(stage.ends(), [], "the one of this name goes on");
    // One that takes the place of all has room.
    let (mut utterance, far) = said("all", &[LOUD; 2 * TICK]);
    utterance.queue = QueueMode::Replace;
    drop(far);
    stage.say(utterance);
    stage.ticks(1);
    let ends = stage.ends();
    assert_eq!(ends.len(), WAITING_MAX);
    assert!(
        ends.iter()
            .all(|(_, reason)| *reason == EndReason::Interrupted)
    );
    stage.ticks(2);
    assert_eq!(stage.ends(), [pair("all", EndReason::Done)]);
}

#[test]
fn a_stream_that_stalls_ends_by_a_fault_and_does_not_hold_up_the_others() {
    let mut stage = Stage::new();
    let most = STALL_SAMPLES as usize / TICK;
    // One that runs dry, one of which nothing comes, and one that is all there.
    let (utterance, first) = said("dry", &[LOUD; 12 * BLOCK_FRAMES]);
    stage.say(utterance);
    let (utterance, _second) = said("empty", &[]);
    stage.say(utterance);
    let (utterance, far) = said("whole", &[LOUD; TICK]);
    stage.say(utterance);
    drop(far);
    stage.ticks(6 + most / 2);
    // A little more comes, less than it takes to go on.
    feed(&first, &[LOUD; BLOCK_FRAMES]);
    stage.ticks(most / 2 - 10);
    assert_eq!(stage.ends(), [], "it has not been waiting long enough");
    stage.ticks(10);
    assert_eq!(stage.ends(), [pair("dry", EndReason::Error)]);
    stage.ticks(most - 20);
    assert_eq!(stage.ends(), [], "its turn has not lasted long enough");
    stage.ticks(30);
    assert_eq!(
        stage.ends(),
        [
            pair("empty", EndReason::Error),
            pair("whole", EndReason::Done)
        ]
    );
}

#[test]
fn of_those_that_break_in_only_the_last_is_said() {
    let mut stage = Stage::new();
    let (utterance, far) = said("a", &[LOUD; 20 * TICK]);
    drop(far);
    stage.say(utterance);
    stage.ticks(2);
    let mut fars = Vec::new();
    for id in ["b", "c", "d"] {
        let (mut utterance, far) = said(id, &[]);
        utterance.queue = QueueMode::Interrupt;
        stage.say(utterance);
        fars.push(far);
        stage.ticks(1);
    }
    feed(&fars.pop().unwrap(), &[LOUD; TICK]);
    stage.ticks(4);
    assert_eq!(
        stage.ends(),
        [
            pair("b", EndReason::Interrupted),
            pair("a", EndReason::Interrupted),
            pair("c", EndReason::Interrupted),
            pair("d", EndReason::Done)
        ]
    );
}

#[test]
fn an_end_says_how_far_it_came_and_what_is_over_is_let_go_of_elsewhere() {
    let mut stage = Stage::new();
    let (mut utterance, far) = said("a", &[LOUD; 10 * TICK]);
    utterance.words = ["one", "two", "three"]
        .iter()
        .zip([0.0, 0.01, 5.0])
        .map(|(word, start)| SpokenWord {
            word: (*word).into(),
            start,
            end: start,
        })
        .collect();
    stage.say(utterance);
    stage.ticks(3);
    stage.stop(None);
    stage.ticks(3);
    let event = stage.door.events.try_iter().last().unwrap();
    let (tick, news) = (event.tick, event.news);
    let SpeechNews::End {
        reason,
        played,
        last_word,
    } = news
    else {
        panic!("{news:?}");
    };
    assert_eq!(reason, EndReason::Cancelled);
    assert!((played as usize).abs_diff(3 * TICK + CUT_SAMPLES) <= 1);
    assert_eq!(last_word, Some(("two".into(), 1)));
    let seen = far.state().end().unwrap();
    assert_eq!((seen.reason, seen.played), (reason, played));
    assert_eq!(seen.last_word, last_word);
    assert_eq!(seen.tick, tick);
    let spent = stage.door.spent.try_recv().unwrap();
    assert_eq!(&*spent.id, "a");
    assert!(spent.sound.state().received() > played, "with its sound");
    drop(stage);
}

#[test]
fn what_is_over_leaves_the_budget_while_who_pushes_it_stays() {
    let budget = SpeechBudget::new(1_000_000);
    let mut stage = Stage::new();
    let mut fars = Vec::new();
    for (id, queue) in [
        ("a", QueueMode::Append),
        ("b", QueueMode::Append),
        ("c", QueueMode::Replace),
        ("c", QueueMode::Append),
    ] {
        let (far, sound) = speech_way(4096, &budget);
        feed(&far, &[LOUD; 20 * TICK]);
        let (utterance, _) = said(id, &[]);
        stage.say(Utterance {
            queue,
            sound,
            ..utterance
        });
        fars.push(far);
        stage.ticks(3);
    }
    // The one is cut, the other was replaced, and one was refused.
    let held = 20 * TICK as u64 - fars[2].state().played();
    let used = budget.used();
    assert!(used <= held && used + 2000 > held, "{used} of {held}");
    stage.stop(None);
    stage.ticks(3);
    assert_eq!(budget.used(), 0);
}
