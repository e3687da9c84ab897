//! Stream keys on the command line, whether a program runs or not, here and in Redis.

use super::api::start;
use super::beside::{instance, names, publish};
use super::resume::{QUIET, again, kill};
use super::store::Redis;
use super::support::{TempFolder, program, run, text};

fn keys(folder: &TempFolder, words: &[&str]) -> (bool, String) {
    let output = run(program(&folder.0).arg("keys").args(words));
    let told = text(&[&output.stdout[..], &output.stderr].concat());
    (output.status.success(), told)
}

/// The name and the key in what `keys add` has printed.
fn added((is_good, told): (bool, String)) -> (String, String) {
    assert!(is_good, "{told}");
    let mut words = told.split_whitespace().map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

#[test]
fn the_command_line_changes_keys_whether_the_program_runs_or_not() {
    let folder = TempFolder::new();
    assert_eq!(keys(&folder, &["list"]), (true, String::new()));
    assert!(!folder.file("data").exists(), "looking makes nothing");
    let (id, key) = added(keys(&folder, &["add", "--name", "before"]));
    let (_, told) = keys(&folder, &["add", "--name", "before"]);
    assert!(told.contains("there is a key of the name"), "{told}");
    let (on_air, client) = start(&folder, &QUIET);
    assert_eq!(names(&client), ["before"]);
    publish(&on_air, &client, &id, &key);
    let (later, _) = added(keys(&folder, &["add", "--name", "while"]));
    assert_eq!(names(&client), ["before", "while"]);
    let (_, listed) = keys(&folder, &["list"]);
    assert!(
        listed.contains("last used 20") && listed.contains("never used  while"),
        "{listed}"
    );
    assert_eq!(
        keys(&folder, &["delete", &id]),
        (true, format!("{id}  deleted\n"))
    );
    let (is_good, told) = keys(&folder, &["delete", &id]);
    assert!(!is_good && told.contains("there is no"), "{told}");
    kill(on_air);
    // What it left says where it was, and the file is free.
    assert!(keys(&folder, &["delete", &later]).0);
    assert_eq!(keys(&folder, &["list"]), (true, String::new()));
    let (on_air, client) = again(&folder, &QUIET);
    assert!(names(&client).is_empty());
    on_air.signal("-TERM");
    on_air.end();
    let (on_air, _) = again(
        &folder,
        &[&QUIET[..], &["--api-token", "hush-hush-hush-hush"]].concat(),
    );
    let (is_good, told) = keys(&folder, &["add"]);
    assert!(!is_good && told.contains("API_TOKEN"), "{told}");
    added(keys(
        &folder,
        &["add", "--api-token", "hush-hush-hush-hush"],
    ));
    drop(on_air);
}

#[test]
fn the_command_line_changes_keys_in_redis_or_asks_who_leads() {
    let redis = Redis::start();
    let url = redis.url();
    let (here, elsewhere) = (TempFolder::new(), TempFolder::new());
    let place = ["--redis-url", &url];
    let ask = |folder: &TempFolder, words: &[&str]| keys(folder, &[words, &place[..]].concat());
    let (id, key) = added(ask(&elsewhere, &["add", "--name", "before"]));
    let more = [&QUIET[..], &place[..]].concat();
    let (on_air, client) = start(&here, &more);
    publish(&on_air, &client, &id, &key);
    added(ask(&here, &["add", "--name", "here"]));
    let (is_good, told) = ask(&elsewhere, &["add", "--name", "there"]);
    let instance = instance(&here);
    assert!(
        !is_good && told.contains(&instance) && told.contains("--api URL"),
        "{told}"
    );
    let (is_good, told) = ask(&elsewhere, &["list"]);
    assert!(
        is_good && told.contains("before") && told.contains("here"),
        "{told}"
    );
    let api = format!("http://127.0.0.1:{}", client.port);
    added(keys(&elsewhere, &["add", "--name", "there", "--api", &api]));
    assert_eq!(names(&client), ["before", "here", "there"]);
    drop(on_air);
}
