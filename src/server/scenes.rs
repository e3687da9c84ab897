//! Scenes: the library, the one on air, and the one in preview.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use components::scene::SceneSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Api;
use super::answer::{Answered, Asking, Json, MaybeJson, Name, Reply, asked};
use super::keys::blocking;
use super::routes::{Doc, Routes, schema_of};
use crate::control::authored;
use crate::control::change::{ActivateScene, PreviewScene};
use crate::control::library::SceneEntry;
use crate::control::outputs::{keep_scene_secrets, masked_scene};
use crate::control::schema::{self, NAME_PATTERN};
use crate::control::show::fingerprint;
use crate::control::{ApiError, Change, ErrorCode, Library, Staged, Terms, Work};
use crate::scene::{LoadedScene, scene_from_text};

const TAG: &str = "scenes";

/// The library and what is on air.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SceneList {
    /// Every scene, by name.
    scenes: Vec<SceneEntry>,
    /// How many there are.
    count: usize,
    /// The scene on air.
    program: Program,
    /// The name of the scene in preview.
    preview: Option<String>,
}

/// The scene on air.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Program {
    /// Its name.
    id: String,
    /// Its title.
    name: String,
    /// Whether it was changed since it was read or saved.
    edited: bool,
}

/// A scene that was written.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Written {
    /// Its name.
    id: String,
    /// Whether it is the scene on air, which follows it.
    on_air: bool,
}

/// What is in preview.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Preview {
    /// The scene's name; null when there is none.
    scene: Option<String>,
}

/// How a scene is to be saved.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Save {
    /// The name to save it under; its own when absent.
    #[serde(rename = "as")]
    #[schemars(schema_with = "schema::optional_name")]
    name: Option<String>,
}

/// How a scene is to come on air.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Activate {
    /// How it comes; the scene's own way when absent.
    #[schemars(schema_with = "schema::transition")]
    transition: Option<components::transition::Transition>,
}

/// The routes.
pub fn routes() -> Routes {
    let doc = |id, summary| {
        let pattern = json!({"type": "string", "pattern": NAME_PATTERN});
        Doc::new(TAG, id, summary).path(
            "id",
            pattern,
            "The scene's name: that of its file without `.json`.",
        )
    };
    Routes::new()
        .get(
            "/scenes",
            Doc::new(TAG, "listScenes", "Lists the scenes, and says which is on air and which in preview")
                .answers::<SceneList>("The scenes."),
            list,
        )
        .get(
            "/scenes/{id}",
            doc("getScene", "Gives a scene as its file has it; the one on air with every change made to it")
                .error(ErrorCode::Conflict)
                .answers::<SceneSpec>("The scene."),
            get,
        )
        .put(
            "/scenes/{id}",
            doc("putScene", "Writes a scene; where it is on air, the air follows")
                .more("The answer comes once the file is on the disk. Nothing is written when the scene has a problem.")
                .body::<SceneSpec>()
                .error(ErrorCode::Conflict)
                .changes::<Written>("It is written.")
                .answer(201, "It is new.", schema_of::<Written>, true)
                .leads("id", &["getScene", "activateScene", "previewScene", "loadScene", "deleteScene"]),
            put,
        )
        .delete(
            "/scenes/{id}",
            doc("deleteScene", "Deletes a scene that is not on air, nor stands in the one that is")
                .error(ErrorCode::Conflict)
                .changes::<Written>("It is gone."),
            delete,
        )
        .post(
            "/scenes/{id}/activate",
            doc("activateScene", "Takes a scene on air")
                .more("Its files are read before; the answer carries the tick of its first frame.")
                .optional_body::<Activate>()
                .example(json!({"transition": {"type": "fade", "duration": 0.5}}))
                .terms()
                .changes::<Program>("It is on air."),
            activate,
        )
        .post(
            "/scenes/{id}/load",
            doc("loadScene", "Reads a scene's file anew; the one on air goes back to it, any other comes into preview")
                .error(ErrorCode::Conflict)
                .changes::<Written>("It is read."),
            load,
        )
        .post(
            "/scenes/{id}/preview",
            doc("previewScene", "Makes a scene ready to come on air next")
                .terms()
                .changes::<Preview>("What is in preview."),
            preview,
        )
        .post(
            "/scenes/{id}/save",
            doc("saveScene", "Writes the scene on air, with every change made to it, to its file")
                .more("What is authored is written, never a value of a running animation. `id` must be the scene on air.")
                .optional_body::<Save>()
                .error(ErrorCode::Conflict)
                .changes::<Written>("It is on the disk."),
            save,
        )
        .get(
            "/preview",
            Doc::new(TAG, "getPreview", "Says which scene is in preview")
                .answers::<Preview>("What is in preview."),
            get_preview,
        )
        .post(
            "/preview/take",
            Doc::new(TAG, "takePreview", "Takes the scene in preview on air")
                .optional_body::<Activate>()
                .terms()
                .changes::<Program>("It is on air."),
            take,
        )
}

fn program(staged: &Staged) -> Program {
    Program {
        id: staged.id.clone(),
        name: staged.spec.name.clone(),
        edited: staged.is_edited,
    }
}

async fn list(State(api): State<Api>) -> Answered {
    let library = api.library().clone();
    let scenes = blocking(move || Ok(library.list())).await?;
    let snapshot = api.director().snapshot();
    Reply::of(SceneList {
        count: scenes.len(),
        scenes,
        program: program(&snapshot.show.program),
        preview: snapshot.show.preview.as_ref().map(|scene| scene.id.clone()),
    })
}

async fn get(State(api): State<Api>, Name(id): Name) -> Answered {
    let show = api.director().snapshot().show.clone();
    if show.program.id == id {
        return Reply::of(masked_scene(&show.program.spec));
    }
    let (library, max_layers) = (api.library().clone(), show.config.max_layers);
    let scene = blocking(move || library.load(&id, max_layers)).await?;
    Reply::of(masked_scene(&scene.spec))
}

/// Reads a scene that came in a body.
fn read(api: &Api, id: &str, value: &Value, library: &Library) -> Result<SceneSpec, ApiError> {
    let options = library.options(api.director().snapshot().show.config.max_layers);
    let text = value.to_string();
    scene_from_text(&text, id, Some(library.folder()), &options).map_err(|errors| {
        let problems: Vec<components::Problem> = errors
            .problems()
            .iter()
            .map(|problem| components::Problem {
                path: problem.path.clone(),
                message: problem.message.clone(),
                help: problem.help.clone(),
                on_key: false,
            })
            .collect();
        authored::refused(&problems)
    })
}

async fn put(State(api): State<Api>, Name(id): Name, Json(value): Json) -> Answered {
    Library::check_id(&id)?;
    let on_air = api.director().snapshot().show.program.id == id;
    let engine = api.director().engine_settings();
    // Everything that can be wrong with it is found before anything is written.
    let (is_new, prepared) = {
        let (api, library, id) = (api.clone(), api.library().clone(), id.clone());
        blocking(move || {
            let is_new = !library.list().iter().any(|entry| entry.id == id);
            let mut value = value;
            let before = if is_new {
                None
            } else {
                library.load(&id, usize::MAX).ok()
            };
            keep_scene_secrets(&mut value, before.as_ref().map(|scene| &scene.spec))?;
            let spec = read(&api, &id, &value, &library)?;
            let scene = LoadedScene::new(spec, library.folder().to_owned(), PathBuf::new());
            let prepared = library.prepare_loaded(&id, &scene, &engine)?;
            Ok((is_new, prepared))
        })
        .await?
    };
    let (library, file, spec) = (
        api.library().clone(),
        id.clone(),
        prepared.staged.spec.clone(),
    );
    let work = if on_air {
        let prepared = Arc::new(prepared);
        // Tried first: a scene that cannot be on air is not written.
        let terms = Terms {
            dry_run: true,
            ..Terms::default()
        };
        let trial = Work::Reload(Arc::clone(&prepared));
        api.director().ask(trial, terms).await?;
        Work::Reload(prepared)
    } else {
        Work::Forget(id.clone())
    };
    blocking(move || library.write(&file, &spec)).await?;
    let outcome = api.director().ask(work, Terms::default()).await?;
    let reply = Reply::changed(&outcome, Written { id, on_air })?.kept();
    Ok(if is_new { reply.created() } else { reply })
}

/// A scene's file is another one now: what was made of it is made anew.
async fn follow_file(api: &Api, id: &str) -> Answered {
    let show = api.director().snapshot().show.clone();
    let on_air = show.program.id == id;
    let work = if on_air {
        let (library, name) = (api.library().clone(), id.to_owned());
        let max_layers = show.config.max_layers;
        let engine = api.director().engine_settings();
        let prepared = blocking(move || library.prepare(&name, max_layers, &engine)).await?;
        Work::Reload(Arc::new(prepared))
    } else {
        Work::Forget(id.to_owned())
    };
    let outcome = api.director().ask(work, Terms::default()).await?;
    let id = id.to_owned();
    Reply::changed(&outcome, Written { id, on_air })
}

async fn delete(State(api): State<Api>, Name(id): Name) -> Answered {
    let program = api.director().snapshot().show.program.clone();
    let is_held = program.spec.holds_scene(&id);
    if is_held || program.id == id {
        let place = if is_held {
            "in the scene on air"
        } else {
            "on air"
        };
        return Err(ApiError::conflict(format!(
            "the scene `{id}` is {place}; activate another one first"
        )));
    }
    let (library, name) = (api.library().clone(), id.clone());
    blocking(move || library.delete(&name)).await?;
    let work = Work::Forget(id.clone());
    let outcome = api.director().ask(work, Terms::default()).await?;
    Ok(Reply::changed(&outcome, Written { id, on_air: false })?.kept())
}

async fn activate(
    State(api): State<Api>,
    Name(id): Name,
    Asking(terms): Asking,
    body: MaybeJson,
) -> Answered {
    let Activate { transition } = body.read()?;
    take_scene(&api, Some(id), transition, terms).await
}

async fn take(State(api): State<Api>, Asking(terms): Asking, body: MaybeJson) -> Answered {
    let Activate { transition } = body.read()?;
    take_scene(&api, None, transition, terms).await
}

async fn take_scene(
    api: &Api,
    scene: Option<String>,
    transition: Option<components::transition::Transition>,
    terms: Terms,
) -> Answered {
    let change = Change::ActivateScene(ActivateScene { scene, transition });
    let outcome = api.director().change(asked(change), terms).await?;
    Reply::changed(&outcome, program(&outcome.show.program))
}

async fn load(State(api): State<Api>, Name(id): Name) -> Answered {
    if api.director().snapshot().show.program.id == id {
        return follow_file(&api, &id).await;
    }
    // What was prepared of it is stale, and the preview has it prepared anew.
    let forget = Work::Forget(id.clone());
    api.director().ask(forget, Terms::default()).await?;
    let change = Change::PreviewScene(PreviewScene { scene: id.clone() });
    let outcome = api
        .director()
        .change(asked(change), Terms::default())
        .await?;
    Reply::changed(&outcome, Written { id, on_air: false })
}

async fn preview(State(api): State<Api>, Name(id): Name, Asking(terms): Asking) -> Answered {
    let change = Change::PreviewScene(PreviewScene { scene: id });
    let outcome = api.director().change(asked(change), terms).await?;
    let scene = outcome.show.preview.as_ref().map(|scene| scene.id.clone());
    Reply::changed(&outcome, Preview { scene })
}

async fn get_preview(State(api): State<Api>) -> Answered {
    let show = api.director().snapshot().show.clone();
    Reply::of(Preview {
        scene: show.preview.as_ref().map(|scene| scene.id.clone()),
    })
}

async fn save(State(api): State<Api>, Name(id): Name, body: MaybeJson) -> Answered {
    let Save { name } = body.read()?;
    let show = api.director().snapshot().show.clone();
    if show.program.id != id {
        return Err(ApiError::conflict(format!(
            "the scene on air is `{}`; it alone can have changes to save",
            show.program.id
        )));
    }
    let name = name.unwrap_or(id);
    Library::check_id(&name)?;
    let (library, file, spec) = (
        api.library().clone(),
        name.clone(),
        show.program.spec.clone(),
    );
    let write = move || {
        library.write(&file, &spec)?;
        Ok(fingerprint(&spec))
    };
    let file = blocking(write).await?;
    let work = Work::Saved {
        id: name.clone(),
        spec: show.program.spec.clone(),
        file,
    };
    let outcome = api.director().ask(work, Terms::default()).await?;
    let on_air = outcome.show.program.id == name;
    Ok(Reply::changed(&outcome, Written { id: name, on_air })?.kept())
}
