//! An instance that stands by: it follows what the leader saves, shows that on its ports, has the leader do what is asked of it, and
//! waits for the lease.

mod mirror;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use self::mirror::{Seen, View};
use super::house::House;
use super::{Program, Signals};
use crate::config::Role;
use crate::control::assets::sharing::AssetSharing;
use crate::control::keep::{Member, Opened, Origin, Stand, begin};
use crate::prepare;
use crate::scene::SceneErrors;
use crate::store::shared::{Change, Follower, LeaseState};
use crate::store::{RedisStore, Saved};

/// How often it is said what is waited for, and how long a program that is to lead waits for another one: the lease of one that died
/// runs out sooner.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// The least time from one look at what is saved to the next.
const PACE: Duration = Duration::from_millis(50);
/// How long the connection waits for a change before it asks again.
const CHANGE_WAIT: Duration = Duration::from_secs(1);
/// What keeps this instance from taking over is looked at again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// What is saved is waited for no longer where it was followed until then.
const LOAD_MAX: Duration = Duration::from_secs(1);
/// The pause after what is saved could not be asked for.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Stands by until this instance leads; `None` where a signal came before.
///
/// # Errors
/// What is saved cannot be read, another instance leads though this one is to (`ROLE=leader`), or it is needed what the scene's file
/// says, and that cannot be read.
pub(super) async fn until_lead(
    member: Member,
    program: &Program<'_>,
    house: &House,
    signals: &mut Signals,
) -> anyhow::Result<Option<Opened>> {
    let (following, followed) = follow(member.redis());
    let sharing = AssetSharing::spawn(program.assets.clone(), member.redis(), false, |news| {
        tracing::debug!(?news, "an asset of the leader's");
    });
    let (leader, led) = (watch::Sender::new(None), watch::Sender::new(false));
    let mut watcher = Watcher {
        member: &member,
        program,
        house,
        leader: leader.clone(),
        view: None,
        trouble: watch::Sender::new(String::new()),
        decoded: None,
        missing: String::new(),
    };
    let fence = tokio::select! {
        biased;
        () = signals.come() => None,
        fence = until_held(&member, program.settings.role, house, &leader, &led) => Some(fence?),
        error = watcher.watch(followed.clone(), led.subscribe()) => return Err(error),
    };
    following.abort();
    sharing.stop().await;
    if let Some(view) = watcher.view.take() {
        view.close().await;
    }
    house.show_start();
    let loaded = match fence {
        None => None,
        Some(fence) => tokio::select! {
            () = signals.come() => None,
            loaded = take_over(&member, &followed) => Some((loaded, fence)),
        },
    };
    match loaded {
        Some((Ok((saved, has_let_go)), fence)) => {
            let is_takeover = *led.borrow() || has_let_go;
            Ok(Some(member.lead(saved, fence, is_takeover)))
        }
        Some((Err(error), _)) => {
            // Another one may be able to.
            member.leave().await;
            Err(error)
        }
        None => {
            member.leave().await;
            Ok(None)
        }
    }
}

/// Waits until this instance leads, and gives the fence. Says meanwhile who does.
async fn until_held(
    member: &Member,
    role: Role,
    house: &House,
    leader: &watch::Sender<Option<String>>,
    led: &watch::Sender<bool>,
) -> anyhow::Result<u64> {
    let (mut lease, begun) = (member.state(), Instant::now());
    let mut said = String::new();
    loop {
        let state = lease.borrow_and_update().clone();
        if let Some(fence) = state.fence() {
            return Ok(fence);
        }
        let words = words(&state, role);
        if !words.is_empty() && words != said {
            tracing::warn!("{}: {words}", member.place());
            said = words;
            house.tell();
        }
        let now = match &state {
            LeaseState::Standby { leader } => Some(leader.clone()),
            _ => None,
        };
        if let Some(name) = &now {
            led.send_replace(true);
            anyhow::ensure!(
                role != Role::Leader || begun.elapsed() < SAY_EVERY,
                "{}: `{name}` leads this stream, and ROLE=leader says that this program must",
                member.place()
            );
        }
        leader.send_if_modified(|known| {
            let is_changed = *known != now;
            *known = now;
            is_changed
        });
        tokio::select! {
            changed = lease.changed() => changed.context("the task of the lease ended")?,
            () = sleep(SAY_EVERY) => said.clear(),
        }
    }
}

/// What is saved, now that nobody else can save, and whether the instance before was there and has let go.
async fn take_over(
    member: &Member,
    followed: &watch::Receiver<Followed>,
) -> anyhow::Result<(Saved, bool)> {
    let followed = Arc::clone(&followed.borrow().saved);
    let loading = async {
        let Ok(loaded) = timeout(LOAD_MAX, member.load()).await else {
            if followed.revision > 0 {
                tracing::warn!(
                    revision = followed.revision,
                    "the state cannot be read in time; what was followed counts"
                );
                return Ok((*followed).clone());
            }
            return member.load().await;
        };
        let loaded = loaded?;
        if is_older(&loaded, &followed) {
            tracing::warn!(
                found = %loaded.standing(),
                followed = %followed.standing(),
                "the store has lost changes; what was followed counts"
            );
            return Ok((*followed).clone());
        }
        Ok(loaded)
    };
    let (loaded, has_let_go) = tokio::join!(loading, member.relieve());
    Ok((loaded?, has_let_go))
}

/// What is waited for.
fn words(state: &LeaseState, role: Role) -> String {
    match state {
        LeaseState::Standby { leader } => {
            format!("`{leader}` leads this stream, and this instance stands by")
        }
        LeaseState::Seeking { reason: None } if role == Role::Standby => {
            "nobody leads this stream, and ROLE=standby says that this program never does"
                .to_owned()
        }
        LeaseState::Seeking { reason } => reason.clone().unwrap_or_default(),
        LeaseState::Unconfirmed { reason, .. } => reason.clone(),
        LeaseState::Held { .. } => String::new(),
    }
}

/// Whether a server that gives this has lost changes that were seen here; what stands beside the show makes no revision. Another world than
/// the one that was seen has a higher revision, where it was taken in, or a higher fence, where somebody has led it.
fn is_older(found: &Saved, seen: &Saved) -> bool {
    (found.revision, found.writes) < (seen.revision, seen.writes) && found.fence <= seen.fence
}

/// What was seen of what the leader saves.
#[derive(Debug, Default)]
struct Followed {
    saved: Arc<Saved>,
    /// Why what is saved by now cannot be read here; empty where it can.
    unreadable: String,
}

/// Follows what is saved, from whole revision to whole revision. What was seen stays where the server has lost it.
fn follow(redis: &RedisStore) -> (JoinHandle<()>, watch::Receiver<Followed>) {
    let (sender, followed) = watch::channel(Followed::default());
    let mut follower = Follower::new(redis, CHANGE_WAIT);
    let task = tokio::spawn(async move {
        // As it is there, from which the next change goes on.
        let mut found = Arc::new(Saved::default());
        while !sender.is_closed() {
            match follower.next().await {
                Ok(Some(change)) => {
                    found = Arc::new(changed(&found, change));
                    sender.send_modify(|seen| {
                        seen.unreadable.clear();
                        if is_older(&found, &seen.saved) {
                            let (found, seen) = (found.revision, seen.saved.revision);
                            tracing::warn!(
                                found,
                                seen,
                                "the store has lost changes that were seen here"
                            );
                        } else {
                            seen.saved = Arc::clone(&found);
                        }
                    });
                    sleep(PACE).await;
                }
                Ok(None) => {}
                Err(error) if error.is_unreadable() => {
                    sender.send_modify(|seen| seen.unreadable = error.to_string());
                    sleep(LOOK_AGAIN).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "what is saved cannot be followed at the moment");
                    sleep(AGAIN_AFTER).await;
                }
            }
        }
    });
    (task, followed)
}

fn changed(before: &Saved, change: Change) -> Saved {
    let mut documents = match change.is_whole {
        true => Default::default(),
        false => before.documents.clone(),
    };
    for (name, bytes) in change.puts {
        match bytes {
            Some(bytes) => drop(documents.insert(name, bytes)),
            None => drop(documents.remove(&name)),
        }
    }
    Saved {
        revision: change.revision,
        fence: change.fence,
        writes: change.writes,
        format: crate::store::format::FORMAT,
        documents,
    }
}

/// Keeps the ports' view of what the leader has on air, and all that is needed to take its place.
struct Watcher<'a> {
    member: &'a Member,
    program: &'a Program<'a>,
    house: &'a House,
    leader: watch::Sender<Option<String>>,
    view: Option<View>,
    /// Why this instance could not take the leader's place; empty where it could.
    trouble: watch::Sender<String>,
    /// The scene all of whose files were decoded last.
    decoded: Option<Bytes>,
    /// The files that it lacks.
    missing: String,
}

impl Watcher<'_> {
    /// Looks at all that is saved, once another instance has led: before, it is nobody's program. Ends where this instance was started
    /// with a scene that cannot be read and is not the leader's.
    async fn watch(
        &mut self,
        mut followed: watch::Receiver<Followed>,
        mut led: watch::Receiver<bool>,
    ) -> anyhow::Error {
        if led.wait_for(|led| *led).await.is_err() {
            return std::future::pending().await;
        }
        loop {
            let (newest, unreadable) = {
                let followed = followed.borrow_and_update();
                (Arc::clone(&followed.saved), followed.unreadable.clone())
            };
            if !unreadable.is_empty() {
                self.note(unreadable);
            } else if newest.revision > 0 {
                let looked = self.look(newest).await;
                if let Some(error) = looked.err().filter(|error| error.is::<SceneErrors>()) {
                    return error;
                }
            }
            let is_whole = self.trouble.borrow().is_empty() && self.missing.is_empty();
            let changed = match is_whole {
                true => followed.changed().await,
                // A file that was missing may be there by now.
                false => timeout(LOOK_AGAIN, followed.changed())
                    .await
                    .unwrap_or(Ok(())),
            };
            if changed.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Shows what is saved now. Where that cannot be read, what was shown before stays, and the lease is left to others.
    async fn look(&mut self, saved: Arc<Saved>) -> anyhow::Result<()> {
        let looked = self.try_look(saved).await;
        let words = match &looked {
            Ok(()) => String::new(),
            Err(error) => format!("{error:#}"),
        };
        self.note(words);
        looked
    }

    /// Why this instance could not take the leader's place, empty where it could: the lease is left to others then.
    fn note(&self, words: String) {
        self.member.set_may_take(words.is_empty());
        let is_other = self.trouble.send_if_modified(|trouble| {
            let is_other = *trouble != words;
            *trouble = words;
            is_other
        });
        if !is_other {
            return;
        }
        let trouble = self.trouble.borrow();
        let trouble = (!trouble.is_empty()).then_some(&**trouble);
        if let Some(trouble) = trouble {
            tracing::warn!("this instance could not take the leader's place: {trouble}");
        }
        if self.view.is_none() {
            self.house.show_trouble(trouble);
        }
    }

    async fn try_look(&mut self, saved: Arc<Saved>) -> anyhow::Result<()> {
        let seen = self.read(Arc::clone(&saved)).await?;
        let Some(seen) = seen else {
            return Ok(());
        };
        if let Some(view) = &self.view {
            view.show(seen);
            return Ok(());
        }
        let view = View::open(self, seen, &saved).await?;
        self.house.show(view.api(), self.program.settings);
        self.view = Some(view);
        Ok(())
    }

    /// What this instance would begin with now; `None` where nothing is on air. A large scene takes a while to be read.
    async fn read(&mut self, saved: Arc<Saved>) -> anyhow::Result<Option<Seen>> {
        let program = self.program;
        let (scene, settings) = (program.scene.clone(), program.settings.clone());
        let library = program.library.clone();
        let (place, name) = (
            self.member.place().to_owned(),
            self.member.name().to_owned(),
        );
        let scene_document = saved.documents.get("scene").cloned();
        let is_decoded = scene_document.is_some() && scene_document == self.decoded;
        let reading = tokio::task::spawn_blocking(move || {
            let stand = Stand {
                place: &place,
                instance: Some(&name),
                leads: false,
            };
            let begin = begin(&saved, stand, &scene, &settings, &library, Origin::TakeOver)?;
            // All is decoded before it is needed, within what the cache may hold.
            let missing = match is_decoded {
                true => Vec::new(),
                false => prepare::bundle_without_missing(&begin.scene, library.assets()).1,
            };
            anyhow::Ok((Seen::of(begin), missing))
        });
        let (seen, missing) = reading.await.context("reading what is saved failed")??;
        if !is_decoded {
            let words: Vec<String> = missing.iter().map(ToString::to_string).collect();
            let words = words.join("; ");
            if !words.is_empty() && words != self.missing {
                tracing::warn!("files that the stream shows are not here: {words}");
            }
            self.decoded = scene_document.filter(|_| words.is_empty());
            self.missing = words;
        }
        Ok(seen)
    }
}
