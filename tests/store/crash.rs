//! A process that saves as fast as it can is killed at random moments: what was acknowledged is there, and nothing is half there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::Duration;

use stream_manager::store::{
    Documents, Embedded, PersistOptions, Persister, Puts, RedisStore, Store,
};

use super::support::{LONG, Server, apply, child, file, link, puts, text};

const PLACE: &str = "STREAM_MANAGER_TEST_CRASH";
/// How often it is killed; more where this variable says so.
const KILLS: &str = "STREAM_MANAGER_TEST_KILLS";

/// What each revision changes: a function of its number, so that the documents at a revision are too.
fn change(revision: u64) -> Puts {
    let value = || {
        text(format!(
            "{revision} {}",
            "x".repeat((revision % 11 * 300) as usize)
        ))
    };
    puts([
        ("last", value()),
        (&format!("scenes/{}", revision % 7), value()),
        (&format!("data/{}", revision % 5), value()),
        (&format!("data/{}", (revision + 3) % 5), None),
    ])
}

async fn open(place: &str) -> Store {
    if place.starts_with("redis") {
        Store::Redis(RedisStore::new(link(place), "crash"))
    } else {
        Store::Embedded(Embedded::open(file(place.as_ref())).await.unwrap())
    }
}

/// The process that is killed; by itself it does nothing.
#[tokio::test]
async fn saves_as_fast_as_it_can() {
    let Ok(place) = std::env::var(PLACE) else {
        return;
    };
    let store = open(&place).await;
    let saved = store.load().await.unwrap();
    let options = PersistOptions {
        pause: Duration::from_millis(1),
        ..PersistOptions::default()
    };
    let persister = Persister::start(store, &saved, options);
    let mut revision = saved.revision;
    println!("\nbegun");
    loop {
        // Some are saved alone, some are gathered.
        for _ in 0..1 + revision % 4 {
            revision += 1;
            persister.put(revision, change(revision)).unwrap();
            tokio::task::yield_now().await;
        }
        persister.durable(revision, LONG).await.unwrap();
        println!("saved {revision}");
        std::io::stdout().flush().unwrap();
    }
}

async fn kill_at_random_moments(place: &str, default: u32) {
    let kills = std::env::var(KILLS).ok().and_then(|text| text.parse().ok());
    let mut model = (0, Documents::new());
    let mut acknowledged = 0;
    for round in 0..kills.unwrap_or(default) {
        let mut process = child("crash::saves_as_fast_as_it_can", PLACE, place)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        let chance = getrandom::u32().unwrap();
        let mut left = chance % 12;
        for line in lines.lines() {
            let line = line.unwrap();
            let Some(number) = line.strip_prefix("saved ") else {
                continue;
            };
            acknowledged = number.parse().unwrap();
            if left == 0 {
                let moment = Duration::from_micros(u64::from(chance >> 8) % 8000);
                let _ = crossbeam_channel::after(moment).recv();
                process.kill().unwrap();
            }
            left = left.saturating_sub(1);
        }
        process.wait().unwrap();
        let store = open(place).await;
        let saved = store.load().await.unwrap();
        store.close().await;
        assert!(
            saved.revision >= acknowledged,
            "round {round}: {acknowledged} was lost"
        );
        while model.0 < saved.revision {
            model.0 += 1;
            apply(&mut model.1, &change(model.0));
        }
        assert_eq!(model.0, saved.revision, "round {round}: it went back");
        assert_eq!(model.1, saved.documents, "round {round}");
    }
    assert!(acknowledged > 0);
}

#[tokio::test]
async fn a_killed_process_leaves_whole_revisions_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    kill_at_random_moments(folder.path().to_str().unwrap(), 25).await;
}

#[tokio::test]
async fn a_killed_process_leaves_whole_revisions_in_redis() {
    let server = Server::start(&[]);
    kill_at_random_moments(&server.url(), 25).await;
}
