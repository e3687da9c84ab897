//! Everything as one file, and `stream-manager state`.

use std::path::Path;
use std::process::{Command, Output};

use bytes::Bytes;
use stream_manager::store::archive::{self, AssetFile};
use stream_manager::store::{Embedded, Store, StoreError};

use super::support::{Server, batch, file, text};

async fn filled(folder: &Path) -> Store {
    let store = Store::Embedded(Embedded::open(file(folder)).await.unwrap());
    let bytes = Some(Bytes::from_static(&[0, 159, 146, 150]));
    store
        .commit(batch(
            1,
            [
                ("show", text("{\"pause\":null}")),
                ("outputs", text("{\"key\":\"hush\"}")),
            ],
        ))
        .await
        .unwrap();
    store
        .commit(batch(2, [("odd \"name\"", bytes)]))
        .await
        .unwrap();
    store
}

#[tokio::test]
async fn what_was_exported_is_imported_by_either_engine() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("state.json");
    let store = filled(&folder.path().join("one")).await;
    let saved = store.load().await.unwrap();
    archive::export(&saved, &[], &export).unwrap();
    let (read, _) = archive::read(&export).unwrap();
    assert_eq!((read.revision, &read.documents), (2, &saved.documents));
    let server = Server::start(&[]);
    let redis = Store::Redis(server.store("a"));
    redis.commit(batch(7, [])).await.unwrap_err();
    assert_eq!(archive::import(&redis, &read).await.unwrap(), 2);
    assert_eq!(redis.load().await.unwrap().documents, saved.documents);
    // A second time it is a later revision, so that whoever follows sees it; and nobody is overrun who leads.
    assert_eq!(archive::import(&redis, &read).await.unwrap(), 3);
    server.ask(&["SET", "sm:{a}:lease", "5:leader"]).await;
    let error = archive::import(&redis, &read).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
    let other = Store::Embedded(
        Embedded::open(file(&folder.path().join("two")))
            .await
            .unwrap(),
    );
    archive::import(&other, &read).await.unwrap();
    assert_eq!(other.load().await.unwrap().documents, saved.documents);
}

#[tokio::test]
async fn an_export_that_was_changed_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("state.json");
    let saved = filled(folder.path()).await.load().await.unwrap();
    archive::export(&saved, &[], &export).unwrap();
    let good = std::fs::read_to_string(&export).unwrap();
    for (from, to) in [
        ("pause", "cause"),
        ("\"revision\": 2", "\"revision\": 3"),
        ("\"format\": 1", "\"format\": 2"),
        ("\"show\"", "\"snow\""),
        ("stream-manager-state", "something"),
        ("009f9296", "009f9297"),
        ("\"documents\"", "\"papers\""),
        ("{", ""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        std::fs::write(&export, bad).unwrap();
        let error = archive::read(&export).unwrap_err().to_string();
        assert!(!error.contains("hush"), "{error}");
    }
    std::fs::write(&export, &good).unwrap();
    assert_eq!(archive::read(&export).unwrap().0.documents, saved.documents);
}

#[tokio::test]
async fn an_export_of_the_release_before_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/export-1.json");
    let (saved, assets) = archive::read(&path).unwrap();
    assert_eq!((saved.revision, saved.documents.len(), assets), (4, 9, 0));
    let data = &saved.documents["data"];
    assert_eq!(&data[..], br#"{"word":"of the earlier release"}"#);
    // One without assets is written as it was.
    let folder = tempfile::tempdir().unwrap();
    let again = folder.path().join("again.json");
    archive::export(&saved, &[], &again).unwrap();
    assert_eq!(
        std::fs::read(&again).unwrap(),
        std::fs::read(&path).unwrap()
    );
}

#[tokio::test]
async fn assets_travel_with_the_documents_and_are_held_to_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("state.json");
    let saved = filled(folder.path()).await.load().await.unwrap();
    let assets: Vec<AssetFile> = [&b"one"[..], &[0, 255, 10, 13]]
        .into_iter()
        .map(|bytes| {
            let id = archive::sha256(bytes)[..32].to_owned();
            let path = folder.path().join(&id);
            std::fs::write(&path, bytes).unwrap();
            AssetFile {
                name: format!("{}.bin", bytes.len()),
                created_at: 7,
                id,
                path,
            }
        })
        .collect();
    archive::export(&saved, &assets, &export).unwrap();
    let (read, count) = archive::read(&export).unwrap();
    assert_eq!((&read.documents, count), (&saved.documents, 2));
    let mut taken = Vec::new();
    archive::read_with_assets(&export, |asset| {
        taken.push((asset.name, asset.created_at, asset.bytes));
        Ok(())
    })
    .unwrap();
    assert_eq!(taken[0], ("3.bin".to_owned(), 7, b"one".to_vec()));
    assert_eq!(taken[1].2, [0, 255, 10, 13]);
    let error = archive::read_with_assets(&export, |_| Err("no room".to_owned()));
    assert!(error.unwrap_err().to_string().contains("no room"));

    let good = std::fs::read_to_string(&export).unwrap();
    let last = good.trim_end().rfind('\n').unwrap();
    let twice = format!("{good}{}", &good[last + 1..]);
    for bad in [
        good[..last].to_owned(),
        good[..good.len() - 3].to_owned(),
        twice,
        good.replace("b25l", "b25m"),
        good.replace(&assets[0].id, &assets[1].id),
        good.replacen(&format!("\"{}\",", assets[0].id), "", 1),
    ] {
        assert_ne!(bad, good);
        std::fs::write(&export, bad).unwrap();
        archive::read(&export).unwrap_err();
    }
    std::fs::write(&assets[1].path, b"other").unwrap();
    let error = archive::export(&saved, &assets, &export).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}

fn state(words: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stream-manager"))
        .arg("state")
        .args(words)
        .current_dir(folder)
        .env_remove("REDIS_URL")
        .env_remove("DATA_DIR")
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(both).unwrap()
}

#[tokio::test]
async fn the_command_line_looks_inside_and_moves_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let none = state(&["show"], root);
    assert_eq!(none.status.code(), Some(1));
    assert!(told(&none).contains("nothing is saved") && !root.join("data").exists());
    let store = filled(&root.join("data")).await;
    let busy = state(&["verify"], root);
    assert!(!busy.status.success() && told(&busy).contains("in use by another process"));
    store.close().await;
    let shown = told(&state(&["show"], root));
    assert!(
        shown.contains("revision   2") && !shown.contains("hush"),
        "{shown}"
    );
    assert!(told(&state(&["show", "show"], root)).contains("\"pause\": null"));
    assert_eq!(told(&state(&["list"], root)).lines().count(), 3);
    assert!(told(&state(&["verify"], root)).contains("ok; read 3 documents"));
    assert!(state(&["export", "all.json"], root).status.success());
    let twice = state(&["export", "all.json"], root);
    assert!(!twice.status.success() && told(&twice).contains("--force"));
    let kept = state(&["import", "all.json"], root);
    assert!(
        !kept.status.success() && told(&kept).contains("--replace"),
        "{}",
        told(&kept)
    );
    assert!(
        state(&["import", "all.json", "--data-dir", "other"], root)
            .status
            .success()
    );
    let server = Server::start(&[]);
    let url = server.url();
    let redis = ["--redis-url", &url, "--stream-id", "tv"];
    let imported = state(&[&["import", "all.json"], &redis[..]].concat(), root);
    assert!(imported.status.success(), "{}", told(&imported));
    let listed = told(&state(&[&["list"], &redis[..]].concat(), root));
    assert_eq!(listed, told(&state(&["list"], root)));
    assert_eq!(
        Store::Redis(server.store("tv"))
            .load()
            .await
            .unwrap()
            .revision,
        2
    );
    let wrong = state(&["show", "--redis-url", "http://host"], root);
    assert_eq!(wrong.status.code(), Some(2));
}
