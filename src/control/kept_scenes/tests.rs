//! Folder and documents on machines of their own.

use super::*;

const SCENE: &str =
    r#"{"version": 1, "name": "NAME", "canvas": {"width": 64, "height": 64}, "layers": []}"#;

fn named(name: &str) -> String {
    SCENE.replace("NAME", name)
}

/// A machine with folders of its own.
struct Machine {
    _root: tempfile::TempDir,
    data_dir: PathBuf,
    library: Library,
    is_shared: bool,
}

impl Machine {
    fn new(is_shared: bool) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let [data_dir, scenes] = ["data", "scenes"].map(|name| root.path().join(name));
        fs::create_dir_all(&data_dir).expect("a folder");
        fs::create_dir_all(&scenes).expect("a folder");
        Self {
            library: Library::new(scenes, data_dir.join("assets")),
            data_dir,
            _root: root,
            is_shared,
        }
    }

    /// Starts on these documents, saves what the start gives, and says which files it wrote.
    fn start(&self, documents: &mut Documents) -> Vec<String> {
        let folder = self.library.folder();
        let kept = KeptScenes::open(&self.data_dir, folder, "there", self.is_shared);
        let synced = kept.sync(&self.library, documents, "first");
        self.library.keep(kept);
        let (beside, pile) = Beside::pile();
        self.library.hand_to(&beside, &synced).expect("room");
        save(documents, &pile);
        synced.files.into_iter().collect()
    }

    fn save(&self, documents: &mut Documents, id: &str, name: &str) {
        let (beside, pile) = Beside::pile();
        let none = Synced::default();
        self.library.hand_to(&beside, &none).expect("room");
        let spec = scene(id, named(name).as_bytes()).expect("a scene");
        self.library.write(id, &spec).expect("written");
        save(documents, &pile);
    }

    fn delete(&self, documents: &mut Documents, id: &str) {
        let (beside, pile) = Beside::pile();
        let none = Synced::default();
        self.library.hand_to(&beside, &none).expect("room");
        self.library.delete(id).expect("deleted");
        save(documents, &pile);
    }

    fn edit(&self, id: &str, name: &str) {
        fs::write(self.path(id), named(name)).expect("written");
    }

    fn path(&self, id: &str) -> PathBuf {
        self.library.folder().join(format!("{id}.json"))
    }

    fn name(&self, id: &str) -> Option<String> {
        let text = fs::read(self.path(id)).ok()?;
        Some(scene(id, &text).expect("a scene").name)
    }

    fn replaced(&self, id: &str) -> bool {
        let folder = self.data_dir.join(REPLACED_FOLDER);
        folder.join(format!("{id}.json")).exists()
    }
}

fn save(documents: &mut Documents, pile: &Mutex<Puts>) {
    for (name, text) in std::mem::take(&mut *lock(pile)) {
        match text {
            Some(text) => drop(documents.insert(name, text)),
            None => drop(documents.remove(&name)),
        }
    }
}

fn shown() -> Documents {
    Documents::from([("show".into(), Bytes::from_static(b"{}"))])
}

fn document(documents: &Documents, id: &str) -> Option<String> {
    let text = documents.get(&*name(id))?;
    Some(scene(id, text).expect("a scene").name)
}

#[test]
fn a_scene_that_was_saved_on_one_machine_reaches_the_other_and_goes_with_it() {
    let mut saved = shown();
    let [one, other] = [(); 2].map(|()| Machine::new(true));
    assert!(one.start(&mut saved).is_empty());
    one.save(&mut saved, "late", "first");
    assert_eq!(other.start(&mut saved), ["late"]);
    assert_eq!(other.name("late").as_deref(), Some("first"));
    assert!(other.library.is_own(
        "late",
        &scene("late", named("first").as_bytes()).expect("a scene")
    ));
    one.save(&mut saved, "late", "second");
    assert_eq!(other.start(&mut saved), ["late"]);
    assert_eq!(other.name("late").as_deref(), Some("second"));
    assert!(other.start(&mut saved).is_empty(), "it is the same by now");
    // The other way round, and gone.
    other.save(&mut saved, "late", "third");
    assert_eq!(one.start(&mut saved), ["late"]);
    one.delete(&mut saved, "late");
    assert_eq!(other.start(&mut saved), ["late"]);
    assert_eq!(other.name("late"), None);
    assert!(other.replaced("late"), "a copy is kept");
}

#[test]
fn a_file_that_somebody_has_written_to_counts_and_is_saved() {
    let mut saved = shown();
    let [one, other] = [(); 2].map(|()| Machine::new(true));
    one.start(&mut saved);
    one.save(&mut saved, "late", "first");
    other.start(&mut saved);
    other.edit("late", "by hand");
    one.save(&mut saved, "late", "second");
    assert!(other.start(&mut saved).is_empty());
    assert_eq!(other.name("late").as_deref(), Some("by hand"));
    assert_eq!(document(&saved, "late").as_deref(), Some("by hand"));
    assert_eq!(one.start(&mut saved), ["late"]);
    assert_eq!(one.name("late").as_deref(), Some("by hand"));
    // One that cannot be read is nobody's scene.
    fs::write(other.path("late"), "{").expect("written");
    assert!(other.start(&mut saved).is_empty());
    assert_eq!(document(&saved, "late").as_deref(), Some("by hand"));
    assert_eq!(fs::read(other.path("late")).expect("a file"), b"{");
}

#[test]
fn a_file_of_the_same_name_that_was_never_saved_gives_way_with_a_copy() {
    let mut saved = shown();
    let [one, other] = [(); 2].map(|()| Machine::new(true));
    one.start(&mut saved);
    one.save(&mut saved, "first", "saved");
    other.edit("first", "as it was delivered");
    other.edit("own", "never saved");
    assert_eq!(other.start(&mut saved), ["first"]);
    assert_eq!(other.name("first").as_deref(), Some("saved"));
    assert!(other.replaced("first") && !other.replaced("own"));
    assert_eq!(other.name("own").as_deref(), Some("never saved"));
    // The scene that the program is started with stays, and an emptied store deletes nothing.
    saved.remove(&*name("first"));
    assert!(other.start(&mut saved).is_empty() && other.name("first").is_some());
    one.save(&mut saved, "late", "late");
    other.start(&mut saved);
    assert!(other.start(&mut Documents::new()).is_empty());
    assert!(other.name("late").is_some());
}

#[test]
fn what_follows_is_brought_to_the_folder_while_another_leads() {
    let [one, other] = [(); 2].map(|()| Machine::new(true));
    let mut saved = shown();
    one.start(&mut saved);
    let kept = || {
        let folder = other.library.folder();
        KeptScenes::open(&other.data_dir, folder, "there", true)
    };
    let look = |saved: &Documents| {
        let kept = other.library.kept_or(kept);
        let synced = kept.mirror(&other.library, saved, "first");
        synced.files.into_iter().collect::<Vec<String>>()
    };
    one.save(&mut saved, "late", "one");
    assert_eq!(look(&saved), ["late"]);
    assert!(look(&saved).is_empty(), "it is the same by now");
    one.save(&mut saved, "late", "two");
    one.save(&mut saved, "more", "more");
    assert_eq!(look(&saved), ["late", "more"]);
    assert_eq!(other.name("late").as_deref(), Some("two"));
    // Written to here, which this machine cannot save; the file stays, whatever comes.
    other.edit("more", "by hand");
    one.save(&mut saved, "more", "more again");
    assert!(look(&saved).is_empty());
    assert_eq!(other.name("more").as_deref(), Some("by hand"));
    assert!(look(&Documents::new()).is_empty(), "the store was emptied");
    assert!(look(&saved).is_empty() && other.name("late").is_some());
    one.delete(&mut saved, "late");
    assert_eq!(look(&saved), ["late"]);
    assert_eq!(other.name("late"), None);
    for bad in ["scenes/../up", "scenes/.hidden", "scenes/a/b", "scenes/"] {
        saved.insert(bad.into(), named("bad").into());
        assert!(look(&saved).is_empty(), "{bad}");
    }
    saved.insert("scenes/none".into(), Bytes::from_static(b"no scene"));
    assert!(look(&saved).is_empty());
    // Once it leads, what was written to here is saved.
    for bad in ["scenes/../up", "scenes/.hidden", "scenes/a/b", "scenes/"] {
        saved.remove(bad);
    }
    assert!(other.start(&mut saved).is_empty());
    assert_eq!(document(&saved, "more").as_deref(), Some("by hand"));
}

#[test]
fn on_one_machine_the_files_count_and_each_folder_has_its_own() {
    let mut saved = shown();
    let machine = Machine::new(false);
    machine.start(&mut saved);
    machine.save(&mut saved, "late", "first");
    machine.edit("late", "by hand");
    assert!(machine.start(&mut saved).is_empty());
    assert_eq!(document(&saved, "late").as_deref(), Some("by hand"));
    // A file that is lost comes back, and one whose document is lost stays.
    fs::remove_file(machine.path("late")).expect("deleted");
    assert_eq!(machine.start(&mut saved), ["late"]);
    saved.remove(&*name("late"));
    assert!(machine.start(&mut saved).is_empty() && machine.name("late").is_some());
    machine.save(&mut saved, "late", "second");
    let mut second = Machine::new(false);
    second.data_dir.clone_from(&machine.data_dir);
    assert!(second.start(&mut saved).is_empty());
    assert_eq!(second.name("late"), None, "it is of the other folder");
    // On a machine of its own, what was imported is written.
    assert_eq!(Machine::new(false).start(&mut saved), ["late"]);
}
