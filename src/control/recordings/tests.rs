//! What the index keeps through restarts, and of other machines.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use components::output::ContainerName;

use super::wishes::RecordingWish;
use super::{
    Begun, DOCUMENT, NewRecording, OLD_FILE, OUTPUT, RecordingState, SavedIndex, Store, utc_stamp,
};
use crate::control::ErrorCode;
use crate::control::keep::Beside;
use crate::store::{Documents, Puts};
use crate::streaming::StreamClock;

/// What was handed over, as it would be read again.
fn saved(pile: &Mutex<Puts>) -> SavedIndex {
    let pile = pile.lock().expect("a pile").clone();
    let there = pile.into_iter();
    let documents: Documents = there
        .filter_map(|(name, bytes)| Some((name, bytes?)))
        .collect();
    SavedIndex::of(&documents).expect("readable")
}

fn begun(folder: &Path, name: &str) -> Begun {
    Begun {
        output: OUTPUT.to_owned(),
        path: folder.join(name),
        container: ContainerName::Mp4,
        rendition: "main".to_owned(),
        codecs: vec!["h264".to_owned(), "aac".to_owned()],
        asked_s: 1.0,
    }
}

#[test]
fn recordings_outlive_a_restart_and_files_of_others_are_found() {
    let temp = tempfile::tempdir().expect("a folder");
    let folder = temp.path().join("recordings");
    fs::create_dir(&folder).expect("a folder");
    let (beside, pile) = Beside::pile();
    let store = Store::new(folder.clone(), SavedIndex::default(), None, beside);
    let first = store.begin(&begun(&folder, "one.mp4"));
    store.file_begun("recording", &folder.join("one.mp4"));
    fs::write(folder.join("one.mp4"), b"12345").expect("a file");
    let clock = |newest_s: f64| StreamClock {
        newest_s,
        keyframes_s: vec![0.0, 1.0, 2.0, 4.0],
    };
    store.measured("recording", &clock(1.5), 0.0);
    store.measured("recording", &clock(10.5), 0.5);
    let (_, marker) = store.mark("recording", 300, 10.0, "Sold").expect("marked");
    assert_eq!((marker.at, marker.tick), (8.0, 300));
    assert_eq!(
        store.delete("one", false).expect_err("it runs").code,
        ErrorCode::Conflict
    );
    let ended = store
        .end("recording", RecordingState::Finished, None)
        .expect("one");
    assert_eq!((ended.bytes, ended.seconds), (5, Some(8.0)));
    assert!(folder.join("one.vtt").exists());
    let two = store.free_path("one", "mp4");
    assert!(two.ends_with("one-2.mp4"), "{}", two.display());
    store.begin(&begun(&folder, "two.mp4"));
    store.file_begun("recording", &folder.join("two.mp4"));
    fs::write(folder.join("two.mp4"), b"123").expect("a file");
    fs::write(folder.join("three.mkv"), b"1").expect("a file");
    fs::write(folder.join("one.mkv"), b"1").expect("a file");

    let store = Store::new(folder.clone(), saved(&pile), None, Beside::nowhere());
    let state = |id: &str| store.get(id).expect("listed").state;
    assert_eq!(state("one"), RecordingState::Finished);
    assert_eq!(state("two"), RecordingState::Interrupted);
    assert_eq!(state("three"), RecordingState::Found);
    assert_eq!(state("one.mkv"), RecordingState::Found);
    assert_eq!(store.get("one").expect("listed").markers, [marker]);
    assert_eq!(store.get("two").expect("listed").bytes, 3);
    assert_eq!(
        store.get("thre").expect_err("none").details["suggestion"],
        "did you mean `three`?"
    );
    for id in ["one.mkv", "one", "two", "three"] {
        store.delete(id, false).expect("deleted");
        assert!(store.get(id).is_err());
    }
    assert!(!folder.join("one.mp4").exists() && !folder.join("one.vtt").exists());
    assert!(store.list().is_empty() && first.id == "one");
}

#[test]
fn the_index_knows_which_machine_has_the_files() {
    let temp = tempfile::tempdir().expect("a folder");
    let folders = ["a", "b"].map(|name| temp.path().join(name));
    for folder in &folders {
        fs::create_dir(folder).expect("a folder");
    }
    let store = |at: usize, saved: SavedIndex, beside: Beside| {
        let instance = ["host-a", "host-b"][at].to_owned();
        Store::new(folders[at].clone(), saved, Some(instance), beside)
    };
    let (beside, pile) = Beside::pile();
    let first = store(0, SavedIndex::default(), beside);
    let entry = first.begin(&begun(&folders[0], "one.mp4"));
    assert_eq!(entry.instance, None, "it is here");
    first.file_begun(OUTPUT, &folders[0].join("one.mp4"));
    fs::write(folders[0].join("one.mp4"), b"12345").expect("a file");

    // Its machine dies, and another one goes on.
    let (beside, next) = Beside::pile();
    let second = store(1, saved(&pile), beside);
    let entry = second.get("one").expect("listed");
    assert_eq!(entry.state, RecordingState::Interrupted);
    assert_eq!(entry.instance.as_deref(), Some("host-a"));
    let error = second.delete("one", false).expect_err("elsewhere");
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(error.to_string().contains("host-a"), "{error}");
    let path = second.free_path("one", "mp4");
    assert!(path.ends_with("one-2.mp4"), "a name is one recording's");
    fs::write(folders[1].join("one.mp4"), b"another").expect("a file");
    let ids = |store: &Store| -> Vec<String> {
        let list = store.list().into_iter();
        list.map(|entry| entry.id).collect()
    };
    assert_eq!(ids(&second).len(), 2, "{:?}", ids(&second));

    // The first is back, and knows its own file.
    let looking = Store::following(folders[0].clone(), saved(&next), Some("host-a".to_owned()));
    assert_eq!(looking.get("one").expect("listed").instance, None);
    let (beside, back) = Beside::pile();
    let first = store(0, saved(&next), beside);
    let entry = first.get("one").expect("listed");
    assert_eq!((entry.instance, entry.bytes), (None, 5));
    // Seen from the other, once it knows how large the file is: the one that lies there is another.
    second.follow(saved(&back));
    assert_eq!(
        second.get("one").expect("listed").instance.as_deref(),
        Some("host-a")
    );
    fs::write(folders[1].join("one.mp4"), b"12345").expect("a file");
    assert_eq!(second.get("one").expect("listed").instance, None);
    fs::remove_file(folders[1].join("one.mp4")).expect("a file");
    second.delete("one", true).expect("forgotten");
    assert!(ids(&second).is_empty() && folders[0].join("one.mp4").exists());
}

#[test]
fn the_index_of_an_earlier_release_is_taken_in_once() {
    let temp = tempfile::tempdir().expect("a folder");
    let path = temp.path().join(OLD_FILE);
    let mut index = SavedIndex::default();
    assert!(!index.take_file(&path, None).expect("no file"));
    let old = r#"[{"id": "old", "state": "finished", "files": [{"name": "old.mp4", "bytes": 3, "seconds": 1.5}], "container": "mp4",
        "rendition": "main", "codecs": ["h264"], "startedAt": 5, "seconds": 1.5, "bytes": 3, "markers": [], "output": "recording", "error": null}]"#;
    fs::write(&path, old).expect("written");
    assert!(index.take_file(&path, Some("host-a")).expect("read"));
    assert!(index.take_file(&path, Some("host-b")).expect("read"));
    assert_eq!(index.count(), 1);
    let (beside, pile) = Beside::pile();
    let instance = Some("host-c".to_owned());
    let store = Store::new(temp.path().join("none"), index, instance, beside);
    let entry = store.get("old").expect("listed");
    assert_eq!(entry.instance.as_deref(), Some("host-a"));
    assert_eq!(saved(&pile).count(), 1, "what was taken in is handed over");
    fs::write(&path, "no index").expect("written");
    assert!(SavedIndex::default().take_file(&path, None).is_err());
    let broken = Documents::from([(DOCUMENT.into(), "{}".into())]);
    assert!(SavedIndex::of(&broken).is_err());
}

#[test]
fn stamps_follow_the_calendar() {
    assert_eq!(utc_stamp(0), "19700101T000000Z");
    assert_eq!(utc_stamp(951_827_696), "20000229T123456Z");
    assert_eq!(utc_stamp(4_107_542_399), "21000228T235959Z");
}

#[test]
fn a_recording_that_was_begun_by_hand_and_given_up_is_not_asked_for_any_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let (beside, pile) = Beside::pile();
    let open = |beside| Store::new(folder.path().to_owned(), saved(&pile), None, beside);
    let store = open(beside);
    let ask = |asked: Option<NewRecording>| {
        let wish = RecordingWish {
            setting: false,
            live_since_ms: 5,
            asked,
        };
        let put = store.wish(|wishes| wishes.recording = Some(wish), |_| ());
        put.expect("room");
    };
    let is_asked = || {
        let wishes = open(Beside::nowhere()).wishes();
        wishes.recording(false, 5).is_some()
    };
    ask(Some(NewRecording::default()));
    assert!(is_asked());
    store.forget_failed();
    assert!(!is_asked());
    // One that was stopped stays so.
    ask(None);
    store.forget_failed();
    let wishes = store.wishes();
    assert_eq!(wishes.recording.map(|wish| wish.asked), Some(None));
}
