//! Redis behind sentinels, as a cluster, over TLS and over a socket.

use std::process;
use std::time::Duration;

use rustix::process::Signal;
use stream_manager::store::remote::{Link, Timeouts};
use stream_manager::store::shared::{
    Answer, Command, CommandAnswers, CommandReader, EventListener, EventTeller,
};
use stream_manager::store::{RedisStore, RedisUrl, Store};

use super::support::{
    LONG, Server, batch, free_port, link, persist, puts, send_command, text, wait_ok, wait_until,
};

fn shell(program: &str, arguments: &[&str]) {
    let output = process::Command::new(program)
        .args(arguments)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {told} {answer}"
    );
}

#[tokio::test]
async fn sentinels_name_the_master_and_the_next_one() {
    let master = Server::start(&[]);
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
    let sentinel = Server::sentinel(&format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 300\nsentinel failover-timeout main 3000\n",
        master.port
    ));
    let dead = free_port();
    let url = format!(
        "redis+sentinel://127.0.0.1:{dead},127.0.0.1:{}/main",
        sentinel.port
    );
    let store = Store::Redis(RedisStore::new(link(&url), "a"));
    let persister = persist(store).await;
    persister.put(1, puts([("x", text("1"))])).unwrap();
    persister.durable(1, LONG).await.unwrap();
    wait_until(
        "the replica has it, and the sentinel knows the replica",
        LONG,
        || async {
            let has = Store::Redis(replica.store("a"))
                .load()
                .await
                .is_ok_and(|saved| saved.revision == 1);
            let known = format!(
                "{:?}",
                sentinel.ask(&["SENTINEL", "REPLICAS", "main"]).await
            );
            has && known.contains(&replica.port.to_string())
        },
    )
    .await;
    master.signal(Signal::STOP);
    persister.put(2, puts([("x", text("2"))])).unwrap();
    persister.durable(2, LONG).await.unwrap();
    let saved = Store::Redis(replica.store("a")).load().await.unwrap();
    assert_eq!((saved.revision, &saved.documents["x"][..]), (2, &b"2"[..]));
    wait_ok(&persister).await;
    let error = Store::Redis(RedisStore::new(link(&url.replace("/main", "/other")), "a"));
    let error = error.load().await.unwrap_err();
    assert!(error.to_string().contains("knows no `other`"), "{error}");
}

/// Sends a command, has it done as the leader would, and tells an event.
async fn commands_and_events_pass(store: &RedisStore) {
    let mut leading = redis::cmd("SET");
    leading.arg(store.keys().of("lease")).arg("1:leader");
    let _done: redis::Value = store.link().ask(&leading).await.unwrap();
    let mut listener = EventListener::listen(store).await.unwrap();
    let mut reader = CommandReader::new(store, 1, LONG);
    let command = Command {
        id: "one".to_owned(),
        json: "{}".to_owned(),
    };
    let doing = async {
        assert_eq!(reader.sweep("unknown").await.unwrap(), 0);
        let taken = reader.next().await.unwrap();
        assert_eq!(taken.commands.len(), 1);
        let answer = Answer {
            id: "one".to_owned(),
            json: "done".to_owned(),
            kept: LONG,
        };
        let answers = CommandAnswers::new(store, 1);
        answers.tell(&[answer]).await.unwrap();
        let teller = EventTeller::new(store, 1);
        teller.tell([(1, &b"told"[..])]).await.unwrap();
    };
    let (result, ()) = tokio::join!(send_command(store, &command, LONG), doing);
    assert_eq!(result.as_deref(), Some("done"));
    assert_eq!(listener.next().await.as_deref(), Some("told"));
}

#[tokio::test]
async fn a_cluster_is_found_whichever_server_is_asked() {
    let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
    // The bus takes the port 10,000 above, so the port is chosen low.
    let port = || loop {
        let port = free_port();
        if port < 55_000 {
            break port;
        }
    };
    let nodes: Vec<Server> = (0..3)
        .map(|_| Server::start_at(port(), &arguments))
        .collect();
    let addresses: Vec<String> = nodes
        .iter()
        .map(|node| format!("127.0.0.1:{}", node.port))
        .collect();
    let mut words = vec!["--cluster", "create"];
    words.extend(addresses.iter().map(String::as_str));
    words.extend(["--cluster-yes"]);
    shell("redis-cli", &words);
    // The first of the seeds is not there.
    let url = format!("redis+cluster://127.0.0.1:{},{}", free_port(), addresses[0]);
    for id in ["a", "b", "c", "d", "e", "f"] {
        let store = Store::Redis(RedisStore::new(link(&url), id));
        wait_until("the cluster is well", LONG, || async {
            store.load().await.is_ok()
        })
        .await;
        for revision in 1..=3 {
            store
                .commit(batch(revision, [("id", text(id))]))
                .await
                .unwrap();
        }
        let saved = store.load().await.unwrap();
        assert_eq!(
            (saved.revision, &saved.documents["id"][..]),
            (3, id.as_bytes())
        );
    }
    for id in ["a", "b", "c"] {
        commands_and_events_pass(&RedisStore::new(link(&url), id)).await;
    }
    let mut with_keys = 0;
    for node in &nodes {
        with_keys += i32::from(node.ask(&["DBSIZE"]).await != redis::Value::Int(0));
    }
    assert!(with_keys > 1, "the streams lie on several servers");
}

#[tokio::test]
async fn tls_holds_the_server_to_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let make = |name: &str, more: &[&str]| {
        let mut words = vec![
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ];
        let (key, certificate) = (at(&format!("{name}.key")), at(&format!("{name}.pem")));
        let subject = format!("/CN={name}");
        words.extend(["-subj", &subject, "-keyout", &key, "-out", &certificate]);
        words.extend(more);
        shell("openssl", &words);
    };
    make("authority", &[]);
    make("other", &[]);
    let (authority, authority_key) = (at("authority.pem"), at("authority.key"));
    make(
        "server",
        &[
            "-CA",
            &authority,
            "-CAkey",
            &authority_key,
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ],
    );
    let port = free_port();
    let number = port.to_string();
    let server = Server::start_at(
        port,
        &[
            "--port",
            "0",
            "--tls-port",
            &number,
            "--tls-cert-file",
            &at("server.pem"),
            "--tls-key-file",
            &at("server.key"),
            "--tls-ca-cert-file",
            &authority,
            "--tls-auth-clients",
            "no",
            "--requirepass",
            "hush",
        ],
    );
    let open = |ca: &str| {
        let url = format!("rediss://127.0.0.1:{port}?ca={}", at(ca));
        let url = RedisUrl::parse(&url).unwrap().with_password(Some("hush"));
        Store::Redis(RedisStore::new(Link::new(url, Timeouts::default()), "a"))
    };
    let store = open("authority.pem");
    store.commit(batch(1, [("x", text("1"))])).await.unwrap();
    assert_eq!(store.load().await.unwrap().revision, 1);
    for ca in ["other.pem", "missing.pem"] {
        let error = open(ca).load().await.unwrap_err();
        assert!(!error.to_string().contains("hush"), "{error}");
    }
    drop(server);
}

#[tokio::test]
async fn a_socket_is_as_good_as_a_port() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock").display().to_string();
    let _server = Server::start(&["--unixsocket", &socket]);
    let store = Store::Redis(RedisStore::new(
        link(&format!("redis+unix://{socket}?db=1")),
        "a",
    ));
    store.commit(batch(1, [("x", text("1"))])).await.unwrap();
    assert_eq!(store.load().await.unwrap().revision, 1);
    let nowhere = link(&format!("redis+unix://{socket}.not"));
    let begun = std::time::Instant::now();
    assert!(
        Store::Redis(RedisStore::new(nowhere, "a"))
            .load()
            .await
            .unwrap_err()
            .is_away()
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
}
