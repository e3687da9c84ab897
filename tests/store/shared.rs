//! What several programs share: the log and who follows it, commands, events, and a fleet.

use std::time::{Duration, Instant};

use stream_manager::store::remote::{Link, Timeouts};
use stream_manager::store::shared::{
    Answer, Channel, Command, CommandAnswers, CommandReader, EventListener, EventTeller, Fleet,
    FleetOptions, Follower, TEXT_BYTES_MAX, TakenBack, Unreadable, add_command, take_back,
};
use stream_manager::store::{
    Batch, Documents, Puts, RedisStore, RedisUrl, Standing, Store, StoreError,
};

use super::support::{
    LONG, Proxy, Server, apply, batch, puts, send_command, standing, text, wait_until,
};

const WAIT: Duration = Duration::from_millis(50);

/// Follows until it is at a revision; each change must begin where the one before ended.
async fn follow(follower: &mut Follower, documents: &mut Documents, until: u64) -> u32 {
    let (mut at, mut wholes) = (0, 0);
    while at < until {
        let Some(change) = follower.next().await.unwrap() else {
            continue;
        };
        assert!(change.revision >= at);
        at = change.revision;
        if change.is_whole {
            wholes += 1;
            documents.clear();
        }
        apply(documents, &change.puts);
    }
    wholes
}

#[tokio::test]
async fn a_follower_sees_every_change_in_order_and_whole() {
    let server = Server::start(&[]);
    let store = Store::Redis(server.store("a"));
    let mut follower = Follower::new(&server.store("a"), WAIT);
    let (mut model, mut seen) = (Documents::new(), Documents::new());
    let revision = std::cell::Cell::new(0);
    let commit = async |puts: Puts, model: &mut Documents| {
        revision.set(revision.get() + 1);
        apply(model, &puts);
        let batch = Batch {
            puts,
            ..batch(revision.get(), [])
        };
        store.commit(batch).await.unwrap();
        revision.get()
    };
    for index in 0..40 {
        let name = format!("k/{}", index % 7);
        let gone = format!("k/{}", (index + 3) % 7);
        let at = commit(
            puts([(&name, text(format!("{index}"))), (&gone, None)]),
            &mut model,
        )
        .await;
        if index % 3 == 0 {
            let wholes = follow(&mut follower, &mut seen, at).await;
            assert_eq!(wholes, u32::from(index == 0));
            assert_eq!(seen, model);
        }
    }
    assert_eq!(seen, model);
    assert!(follower.next().await.unwrap().is_none());
    // A log that was cut off, and a server that was flushed.
    for _ in 0..3 {
        let _at = commit(puts([("x", text("1"))]), &mut model).await;
    }
    server.ask(&["XTRIM", "sm:{a}:log", "MAXLEN", "1"]).await;
    assert_eq!(follow(&mut follower, &mut seen, revision.get()).await, 1);
    assert_eq!(seen, model);
    server.ask(&["FLUSHALL"]).await;
    let change = follower.next().await.unwrap().unwrap();
    assert!(change.is_whole && change.revision == 0 && change.puts.is_empty());
    store
        .commit(Batch {
            after: None,
            ..batch(3, [("x", text("9"))])
        })
        .await
        .unwrap();
    assert_eq!(follow(&mut follower, &mut seen, 3).await, 1);
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn a_follower_misses_no_commit_though_the_revision_stays() {
    let mut server = Server::start(&[]);
    let store = Store::Redis(server.store("a"));
    let mut follower = Follower::new(&server.store("a"), WAIT);
    let commit = async |writes, name: &str| {
        let at = |writes| Standing {
            writes,
            ..standing(1)
        };
        let batch = Batch {
            after: Some(at(writes - 1)),
            writes,
            ..batch(1, [(name, text("1"))])
        };
        store.commit(batch).await.unwrap();
    };
    store.commit(batch(1, [("show", text("1"))])).await.unwrap();
    assert!(follower.next().await.unwrap().unwrap().is_whole);
    for (writes, name) in [(2, "a"), (3, "b")] {
        commit(writes, name).await;
    }
    server.ask(&["XTRIM", "sm:{a}:log", "MAXLEN", "1"]).await;
    let change = follower.next().await.unwrap().unwrap();
    assert_eq!((change.is_whole, change.puts.len()), (true, 3));
    // A server in its place that never got the newest one.
    server.ask(&["SAVE"]).await;
    commit(4, "c").await;
    let change = follower.next().await.unwrap().unwrap();
    assert_eq!((change.writes, change.puts), (4, puts([("c", text("1"))])));
    server.kill();
    server.run();
    let change = std::cell::RefCell::new(None);
    let follower = tokio::sync::Mutex::new(follower);
    wait_until("it is seen", LONG, || async {
        let next = follower.lock().await.next().await;
        change.replace(next.ok().flatten()).is_none() && change.borrow().is_some()
    })
    .await;
    let change = change.into_inner().unwrap();
    assert_eq!((change.writes, change.puts.len()), (3, 3));
}

async fn lead(server: &Server, fence: u64) {
    let lease = format!("{fence}:leader");
    server.ask(&["SET", "sm:{a}:lease", &lease]).await;
}

fn command(id: &str) -> Command {
    Command {
        id: id.to_owned(),
        json: format!("{{\"do\": \"{id}\"}}"),
    }
}

/// The ids of what the reader takes next, and how many came twice.
async fn read(reader: &mut CommandReader) -> (Vec<String>, u64) {
    let taken = reader.next().await.unwrap();
    let ids = taken.commands.into_iter().map(|command| command.id);
    (ids.collect(), taken.repeated)
}

fn answer(id: &str, json: &str) -> Answer {
    Answer {
        id: id.to_owned(),
        json: json.to_owned(),
        kept: LONG,
    }
}

async fn add(server: &Server, fields: &[&str]) {
    add_at(server, "*", fields).await;
}

async fn add_at(server: &Server, entry: &str, fields: &[&str]) {
    let words = [&["XADD", "sm:{a}:commands", entry], fields].concat();
    server.ask(&words).await;
}

#[tokio::test]
async fn a_command_is_done_once_and_its_result_comes_back() {
    let server = Server::start(&[]);
    let store = server.store("a");
    lead(&server, 1).await;
    let mut reader = CommandReader::new(&store, 1, WAIT);
    let answers = CommandAnswers::new(&store, 1);
    let one = command("one");
    let sending = send_command(&store, &one, LONG);
    let doing = async {
        loop {
            let taken = reader.next().await.unwrap();
            if let [found] = &taken.commands[..] {
                assert_eq!((&found.id, &found.json), (&one.id, &Ok(one.json.clone())));
                let first = answer("one", r#"{"success":true}"#);
                let second = answer("one", r#"{"success":false}"#);
                answers.tell(&[first, second]).await.unwrap();
                break;
            }
        }
    };
    let (result, ()) = tokio::join!(sending, doing);
    assert_eq!(result.as_deref(), Some(r#"{"success":true}"#));
    // Sent again, it is not done again and has the same result. What other services send by hand is read too.
    let again = send_command(&store, &command("one"), LONG).await;
    assert_eq!(again.as_deref(), Some(r#"{"success":true}"#));
    assert_eq!(read(&mut reader).await, (vec![], 1));
    add(&server, &["id", "two", "json", "{}"]).await;
    add(&server, &["nothing", "good"]).await;
    add(&server, &["id", "with a space", "json", "{}"]).await;
    add(&server, &["id", "empty"]).await;
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    add(&server, &["id", "long", "json", &long]).await;
    let taken = reader.next().await.unwrap();
    assert_eq!((taken.nameless, taken.repeated), (2, 0));
    let found: Vec<_> = taken
        .commands
        .iter()
        .map(|command| (&*command.id, command.json.as_deref()))
        .collect();
    let expected = [
        ("two", Ok("{}")),
        ("empty", Err(&Unreadable::Missing)),
        ("long", Err(&Unreadable::TooLong)),
    ];
    assert_eq!(found, expected);
    let silence = send_command(&store, &command("four"), WAIT).await;
    assert_eq!(silence, None);
    assert_eq!(read(&mut reader).await, (vec!["four".to_owned()], 0));
    assert_eq!(read(&mut reader).await, (vec![], 0));
}

#[tokio::test]
async fn what_was_taken_is_given_again_after_an_answer_that_was_lost_and_to_nobody_else() {
    let server = Server::start(&[]);
    let store = server.store("a");
    lead(&server, 1).await;
    for id in ["one", "two"] {
        add(&server, &["id", id, "json", "{}"]).await;
    }
    let both = (vec!["one".to_owned(), "two".to_owned()], 0);
    let mut reader = CommandReader::new(&store, 1, WAIT);
    let answers = CommandAnswers::new(&store, 1);
    assert_eq!(read(&mut reader).await, both);
    // As after a call whose answer never came: a reader that knows the old place.
    server.ask(&["SET", "sm:{a}:cursor", "0-0"]).await;
    let mut same = CommandReader::new(&store, 1, WAIT);
    assert_eq!(read(&mut same).await, both);
    answers.tell(&[answer("one", "1")]).await.unwrap();
    // The leader dies; the next one answers what was begun, and goes on behind it.
    lead(&server, 2).await;
    add(&server, &["id", "three", "json", "{}"]).await;
    let fenced = reader.next().await;
    assert!(matches!(fenced, Err(StoreError::Fenced { .. })));
    let late = answers.tell(&[answer("two", "late")]).await;
    assert!(matches!(late, Err(StoreError::Fenced { .. })));
    let mut next = CommandReader::new(&store, 2, WAIT);
    assert_eq!(next.sweep("unknown").await.unwrap(), 1);
    assert_eq!(next.sweep("unknown").await.unwrap(), 0);
    assert_eq!(read(&mut next).await, (vec!["three".to_owned()], 0));
    for (id, result) in [("one", "1"), ("two", "unknown")] {
        let known = send_command(&store, &command(id), LONG).await;
        assert_eq!(known.as_deref(), Some(result));
    }
    // Nobody leads for a moment after all keys were deleted; then it goes on with what comes, whatever its number.
    server.ask(&["FLUSHALL"]).await;
    let nobody = next.next().await;
    assert!(matches!(nobody, Err(StoreError::Unavailable { .. })));
    lead(&server, 2).await;
    server
        .ask(&["XADD", "sm:{a}:commands", "5-1", "id", "new", "json", "{}"])
        .await;
    assert_eq!(read(&mut next).await, (vec!["new".to_owned()], 0));
}

#[tokio::test]
async fn what_was_done_is_not_given_again_where_the_last_writes_are_lost() {
    let server = Server::start(&[]);
    let store = server.store("a");
    lead(&server, 1).await;
    for entry in ["10-1", "10-2"] {
        add_at(&server, entry, &["id", entry, "json", "{}"]).await;
    }
    let mut reader = CommandReader::new(&store, 1, WAIT);
    let first = vec!["10-1".to_owned(), "10-2".to_owned()];
    assert_eq!(read(&mut reader).await, (first, 0));
    add_at(&server, "10-3", &["id", "10-3", "json", "{}"]).await;
    assert_eq!(read(&mut reader).await, (vec!["10-3".to_owned()], 0));
    // As the server was after the second, long after that was answered.
    server.ask(&["FLUSHALL"]).await;
    lead(&server, 1).await;
    for entry in ["10-1", "10-2"] {
        add_at(&server, entry, &["id", entry, "json", "{}"]).await;
    }
    server.ask(&["SET", "sm:{a}:cursor", "10-2"]).await;
    assert_eq!(read(&mut reader).await, (vec![], 0));
    // What comes then is new, though its number is not.
    add_at(&server, "10-3", &["id", "new", "json", "{}"]).await;
    assert_eq!(read(&mut reader).await, (vec!["new".to_owned()], 0));
}

#[tokio::test]
async fn what_is_taken_back_is_never_done_and_what_was_done_is_told() {
    let server = Server::start(&[]);
    let store = server.store("a");
    lead(&server, 1).await;
    let mut reader = CommandReader::new(&store, 1, WAIT);
    let answers = CommandAnswers::new(&store, 1);
    let back = async |id: &str, entry: &str| take_back(&store, id, entry).await.unwrap();
    // Answered, after its sender has looked for the last time.
    let done = add_command(&store, &command("done")).await.unwrap();
    assert_eq!(read(&mut reader).await, (vec!["done".to_owned()], 0));
    assert_eq!(back("done", &done).await, TakenBack::Begun);
    answers.tell(&[answer("done", "1")]).await.unwrap();
    let answered = TakenBack::Answered("1".to_owned());
    assert_eq!(back("done", &done).await, answered);
    // Not begun: it is gone, also where the call that sent it was made twice.
    add_command(&store, &command("before")).await.unwrap();
    add_command(&store, &command("undone")).await.unwrap();
    let undone = add_command(&store, &command("undone")).await.unwrap();
    add_command(&store, &command("behind")).await.unwrap();
    assert_eq!(back("undone", &undone).await, TakenBack::Undone);
    assert_eq!(back("undone", &undone).await, TakenBack::Undone);
    server.ask(&["DEL", "sm:{a}:begun:undone"]).await;
    let others = vec!["before".to_owned(), "behind".to_owned()];
    assert_eq!(read(&mut reader).await, (others, 0));
}

#[tokio::test]
async fn commands_that_were_read_are_let_go_of_and_others_are_not() {
    let server = Server::start(&[]);
    let store = server.store("a");
    lead(&server, 1).await;
    let mut reader = CommandReader::new(&store, 1, WAIT);
    let adding = redis::Script::new(
        "for n = 1, 3000 do redis.call('XADD', KEYS[1], '*', 'id', n, 'json', '{}') end",
    );
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let _done: () = adding
        .key("sm:{a}:commands")
        .invoke(&mut connection)
        .unwrap();
    let cursor = || async {
        let mut asking = redis::cmd("GET");
        asking.arg("sm:{a}:cursor");
        let cursor: Option<String> = store.link().ask(&asking).await.unwrap();
        cursor.unwrap_or_default()
    };
    let mut count = 0;
    while count < 3000 {
        let before = cursor().await;
        let ids = read(&mut reader).await.0;
        for id in &ids {
            count += 1;
            assert_eq!(*id, count.to_string());
        }
        // What was read last is there for a reader that has not got it.
        server.ask(&["SET", "sm:{a}:cursor", &before]).await;
        let mut same = CommandReader::new(&store, 1, WAIT);
        assert_eq!(read(&mut same).await, (ids, 0));
    }
    let redis::Value::Int(left) = server.ask(&["XLEN", "sm:{a}:commands"]).await else {
        panic!("no number");
    };
    assert!(left < 1200, "{left}");
}

#[tokio::test]
async fn commands_take_no_room_once_they_are_answered_also_where_there_is_none() {
    let server = Server::start(&[]);
    let store = server.store("a");
    lead(&server, 1).await;
    let mut reader = CommandReader::new(&store, 1, WAIT);
    let answers = CommandAnswers::new(&store, 1);
    let large = "x".repeat(TEXT_BYTES_MAX);
    let ids: Vec<String> = (0..20).map(|n| format!("large{n}")).collect();
    for id in &ids {
        add(&server, &["id", id, "json", &large]).await;
    }
    add(&server, &["id", &ids[0], "json", &large]).await;
    add(&server, &["json", &large]).await;
    add(&server, &["id", "long", "json", &(large + "x")]).await;
    // Full: nothing can be written but by what makes room.
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let error = add_command(&store, &command("refused")).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    let (mut taken, mut passed_over) = (Vec::new(), 0);
    while taken.len() < 21 {
        let next = reader.next().await.unwrap();
        assert!(next.commands.len() <= 5, "about 4 MiB at a time");
        passed_over += next.nameless + next.repeated;
        taken.extend(next.commands.into_iter().map(|command| command.id));
    }
    assert_eq!(
        (&taken[..20], &*taken[20], passed_over),
        (&ids[..], "long", 2)
    );
    for id in &taken[..20] {
        answers.tell(&[answer(id, "1")]).await.unwrap();
    }
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    // The leader dies before it answers the last one.
    lead(&server, 2).await;
    let next = CommandReader::new(&store, 2, WAIT);
    assert_eq!(next.sweep("unknown").await.unwrap(), 1);
    let left = server.ask(&["XLEN", "sm:{a}:commands"]).await;
    assert_eq!(left, redis::Value::Int(0));
    let known = send_command(&store, &command("large7"), LONG).await;
    assert_eq!(known.as_deref(), Some("1"));
}

#[tokio::test]
async fn events_are_heard_once_and_in_order_by_whoever_listens() {
    let server = Server::start(&[]);
    let store = server.store("a");
    lead(&server, 1).await;
    let teller = EventTeller::new(&store, 1);
    teller.tell([(6, &b"nobody"[..])]).await.unwrap();
    let mut one = EventListener::listen(&store).await.unwrap();
    let mut other = EventListener::listen(&server.store("a")).await.unwrap();
    let _elsewhere = EventListener::listen(&server.store("b")).await.unwrap();
    teller
        .tell([(6, &b"old"[..]), (7, b"seven"), (9, b"nine")])
        .await
        .unwrap();
    for listener in [&mut one, &mut other] {
        assert_eq!(listener.next().await.as_deref(), Some("seven"));
        assert_eq!(listener.next().await.as_deref(), Some("nine"));
    }
    lead(&server, 2).await;
    let fenced = teller.tell([(10, &b"ten"[..])]).await;
    assert!(matches!(fenced, Err(StoreError::Fenced { .. })));
    // The numbers of another leader are its own.
    let next = EventTeller::new(&store, 2);
    next.tell([(3, &b"three"[..])]).await.unwrap();
    assert_eq!(one.next().await.as_deref(), Some("three"));
    server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(one.next().await, None);
}

#[tokio::test]
async fn a_fleet_shares_its_channels_and_takes_over_those_of_who_is_gone() {
    let server = Server::start(&[]);
    let link = server.link();
    let join = |name: &str, capacity| {
        let time = Duration::from_millis(400);
        Fleet::new(
            &link,
            "eu",
            name.to_owned(),
            FleetOptions { capacity, time },
        )
    };
    let (one, two) = (join("one", 2), join("two", 3));
    for id in ["a", "b", "c", "d"] {
        let json = format!("{{\"scene\": \"{id}\"}}");
        one.want(&Channel {
            id: id.to_owned(),
            json,
        })
        .await
        .unwrap();
    }
    let mut held = [Vec::new(), Vec::new()];
    for _ in 0..4 {
        held = [
            one.beat(true, &[], 0).await.unwrap(),
            two.beat(true, &[], 0).await.unwrap(),
        ];
    }
    assert_eq!(held.each_ref().map(Vec::len), [2, 2]);
    assert!(held[0].iter().all(|channel| !held[1].contains(channel)));
    assert_eq!(held[0][0].json, r#"{"scene": "a"}"#);
    let instances = one.instances().await.unwrap();
    assert_eq!(instances.len(), 2);
    assert_eq!((instances[1].capacity, instances[1].channels), (3, 2));
    // One says nothing any more: the other takes as many as it can carry.
    wait_until("the other has three", LONG, || async {
        two.beat(true, &[], 0).await.unwrap().len() == 3
    })
    .await;
    let holdings = two.holdings().await.unwrap();
    let with_two = holdings
        .iter()
        .filter(|holding| holding.instance.as_deref() == Some("two"));
    assert_eq!(with_two.count(), 3);
    assert!(
        holdings
            .iter()
            .all(|holding| holding.since_ms.is_some() == holding.instance.is_some())
    );
    two.drop_channel(&held[1][0].id).await.unwrap();
    assert!(!two.beat(false, &[], 0).await.unwrap().contains(&held[1][0]));
    two.leave().await.unwrap();
    assert!(
        one.holdings()
            .await
            .unwrap()
            .iter()
            .all(|holding| holding.instance.is_none())
    );
}

#[tokio::test]
async fn what_is_carried_comes_back_after_redis_lost_it() {
    let server = Server::start(&[]);
    let link = server.link();
    let join = |name: &str| {
        let options = FleetOptions {
            capacity: 2,
            time: Duration::from_secs(60),
        };
        Fleet::new(&link, "eu", name.to_owned(), options)
    };
    let (one, two) = (join("one"), join("two"));
    for id in ["a", "b", "c"] {
        let (id, json) = (id.to_owned(), "{}".to_owned());
        assert!(one.want(&Channel { id, json }).await.unwrap());
    }
    let held = one.beat(true, &[], 0).await.unwrap();
    let carried = two.beat(true, &held, 0).await.unwrap();
    assert_eq!((held.len(), carried.len()), (1, 1));
    // Its leases ran out while Redis was away: who carries a channel has it again, and nobody else has taken it.
    server
        .ask(&["DEL", "sm:{fleet:eu}:holder:a", "sm:{fleet:eu}:holder:b"])
        .await;
    assert_eq!(two.beat(false, &carried, 0).await.unwrap(), carried);
    assert_eq!(one.beat(false, &held, 0).await.unwrap(), held);
    // Everything is lost: what is on air is wanted still, and what nobody carried is not known any more.
    server.ask(&["FLUSHALL"]).await;
    assert_eq!(two.beat(false, &carried, 0).await.unwrap(), carried);
    assert_eq!(one.beat(false, &held, 0).await.unwrap(), held);
    let holdings = one.holdings().await.unwrap();
    assert_eq!(holdings.len(), 2);
    // What was removed is not brought back by who carries it.
    assert!(one.drop_channel(&held[0].id).await.unwrap());
    assert!(!one.drop_channel(&held[0].id).await.unwrap());
    assert!(one.beat(true, &held, 0).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleets_beat_comes_in_time_over_a_connection_that_stalls() {
    let server = Server::start(&[]);
    let proxy = Proxy::start(server.port).await;
    let link = Link::new(RedisUrl::parse(&proxy.url()).unwrap(), Timeouts::default());
    let options = FleetOptions::default();
    let one = Fleet::new(&link, "eu", "one".to_owned(), options);
    let (id, json) = ("a".to_owned(), "{}".to_owned());
    one.want(&Channel { id, json }).await.unwrap();
    let held = one.beat(true, &[], 0).await.unwrap();
    assert_eq!(held.len(), 1);
    proxy.stall();
    let begun = Instant::now();
    assert_eq!(one.beat(true, &held, 0).await.unwrap(), held);
    assert!(
        begun.elapsed() < options.time * 2 / 3,
        "a beat is due each third"
    );
}

#[tokio::test]
async fn what_cannot_be_started_takes_no_room() {
    let server = Server::start(&[]);
    let link = server.link();
    let options = FleetOptions {
        capacity: 1,
        time: Duration::from_secs(60),
    };
    let one = Fleet::new(&link, "eu", "one".to_owned(), options);
    for id in ["a", "b", "c"] {
        let (id, json) = (id.to_owned(), "{}".to_owned());
        one.want(&Channel { id, json }).await.unwrap();
    }
    let ids = |held: &[Channel]| {
        held.iter()
            .map(|channel| channel.id.clone())
            .collect::<Vec<_>>()
    };
    let first = one.beat(true, &[], 0).await.unwrap();
    assert_eq!(ids(&first), ["a"]);
    let both = one.beat(true, &first, 1).await.unwrap();
    assert_eq!(ids(&both), ["a", "b"]);
    assert_eq!(ids(&one.beat(true, &both, 1).await.unwrap()), ["a", "b"]);
    let there = one.instances().await.unwrap();
    assert_eq!((there[0].capacity, there[0].channels), (1, 1));
    // Mended, it is not carried yet, and goes to whoever has room: what runs comes first.
    let running = &both[1..];
    assert_eq!(ids(&one.beat(true, running, 0).await.unwrap()), ["b"]);
}

#[tokio::test]
async fn two_streams_of_one_redis_know_nothing_of_each_other() {
    let server = Server::start(&[]);
    let (a, b): (RedisStore, RedisStore) = (server.store("a"), server.store("b{c}"));
    Store::Redis(a.clone())
        .commit(batch(1, [("x", text("a"))]))
        .await
        .unwrap();
    Store::Redis(b.clone())
        .commit(batch(1, [("x", text("b"))]))
        .await
        .unwrap();
    assert_eq!(
        &Store::Redis(a).load().await.unwrap().documents["x"][..],
        b"a"
    );
    assert_eq!(
        &Store::Redis(b).load().await.unwrap().documents["x"][..],
        b"b"
    );
}
