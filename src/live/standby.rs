//! An instance that stands by: it follows what the leader saves, shows that on its ports, has the leader do what is asked of it, and
//! waits for the lease.

mod mirror;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use self::mirror::View;
use super::Signals;
use super::house::House;
use crate::config::{Role, Settings};
use crate::control::Library;
use crate::control::keep::{Begin, Member, Opened, Origin, Stand, begin};
use crate::scene::LoadedScene;
use crate::store::shared::{Change, Follower, LeaseState};
use crate::store::{RedisStore, Saved};

/// How often it is said what is waited for, and how long a program that is to lead waits for another one: the lease of one that died
/// runs out sooner.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// The least time from one look at what is saved to the next.
const PACE: Duration = Duration::from_millis(50);
/// How long the connection waits for a change before it asks again.
const CHANGE_WAIT: Duration = Duration::from_secs(1);
/// The pause after what is saved could not be asked for.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Stands by until this instance leads; `None` where a signal came before.
///
/// # Errors
/// What is saved cannot be read, or another instance leads though this one is to (`ROLE=leader`).
pub(super) async fn until_lead(
    member: Member,
    scene: &LoadedScene,
    settings: &Settings,
    library: &Library,
    house: &House,
    signals: &mut Signals,
) -> anyhow::Result<Option<Opened>> {
    let (mut lease, begun) = (member.state(), Instant::now());
    let (followed, mut saved) = follow(member.redis());
    let (mut news, leader) = (saved.clone(), watch::Sender::new(None));
    let mut watcher = Watcher {
        member: &member,
        scene,
        settings,
        library,
        house,
        leader: leader.clone(),
        view: None,
        trouble: String::new(),
    };
    let (mut before, mut said) = (None::<String>, String::new());
    let is_held = loop {
        let state = lease.borrow_and_update().clone();
        if state.fence().is_some() {
            break true;
        }
        let words = words(&state);
        if !words.is_empty() && words != said {
            tracing::warn!("{}: {words}", member.place());
            said = words;
            house.tell();
        }
        leader.send_if_modified(|known| {
            let now = match &state {
                LeaseState::Standby { leader } => Some(leader.clone()),
                _ => None,
            };
            let is_changed = *known != now;
            *known = now;
            is_changed
        });
        if let LeaseState::Standby { leader } = &state {
            before = Some(leader.clone());
            anyhow::ensure!(
                settings.role != Role::Leader || begun.elapsed() < SAY_EVERY,
                "{}: `{leader}` leads this stream, and ROLE=leader says that this program must",
                member.place()
            );
        }
        // What lay there before another instance led is nobody's program yet.
        if before.is_some() && saved.has_changed().unwrap_or(false) {
            let newest = Arc::clone(&saved.borrow_and_update());
            watcher.look(newest).await;
        }
        tokio::select! {
            () = signals.come() => break false,
            changed = lease.changed() => changed.context("the task of the lease ended")?,
            changed = news.changed() => changed.context("the task that follows what is saved ended")?,
            () = sleep(SAY_EVERY) => said.clear(),
        }
    };
    followed.abort();
    if let Some(view) = watcher.view.take() {
        view.close();
    }
    house.show_start();
    if !is_held {
        member.leave().await;
        return Ok(None);
    }
    let loading = async {
        let relieving = async {
            if let Some(before) = &before {
                member.relieve(before).await;
            }
        };
        let (loaded, ()) = tokio::join!(member.load(), relieving);
        loaded
    };
    let loaded = tokio::select! {
        () = signals.come() => None,
        loaded = loading => Some(loaded?),
    };
    match loaded {
        Some(saved) => Ok(Some(member.lead(saved, before.is_some()))),
        None => {
            member.leave().await;
            Ok(None)
        }
    }
}

/// What is waited for.
fn words(state: &LeaseState) -> String {
    match state {
        LeaseState::Standby { leader } => {
            format!("`{leader}` leads this stream, and this instance stands by")
        }
        LeaseState::Seeking { reason } => reason.clone().unwrap_or_default(),
        LeaseState::Unconfirmed { reason, .. } => reason.clone(),
        LeaseState::Held { .. } => String::new(),
    }
}

/// Follows what is saved, from whole revision to whole revision.
fn follow(redis: &RedisStore) -> (JoinHandle<()>, watch::Receiver<Arc<Saved>>) {
    let (sender, saved) = watch::channel(Arc::new(Saved::default()));
    let mut follower = Follower::new(redis, CHANGE_WAIT);
    let task = tokio::spawn(async move {
        loop {
            match follower.next().await {
                Ok(Some(change)) => {
                    let next = Arc::new(changed(&sender.borrow(), change));
                    if sender.send(next).is_err() {
                        return;
                    }
                    sleep(PACE).await;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "what is saved cannot be followed at the moment");
                    sleep(AGAIN_AFTER).await;
                }
            }
        }
    });
    (task, saved)
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
        format: crate::store::format::FORMAT,
        documents,
    }
}

/// Keeps the ports' view of what the leader has on air.
struct Watcher<'a> {
    member: &'a Member,
    scene: &'a LoadedScene,
    settings: &'a Settings,
    library: &'a Library,
    house: &'a House,
    leader: watch::Sender<Option<String>>,
    view: Option<View>,
    /// Why the newest show could not be shown; empty where it could.
    trouble: String,
}

impl Watcher<'_> {
    /// Shows what is saved now. Where that cannot be read, what was shown before stays.
    async fn look(&mut self, saved: Arc<Saved>) {
        let words = match self.try_look(saved).await {
            Ok(()) => String::new(),
            Err(error) => format!("{error:#}"),
        };
        // Each change would say it again.
        if !words.is_empty() && words != self.trouble {
            tracing::warn!("what the leader has saved cannot be shown: {words}");
        }
        self.trouble = words;
    }

    async fn try_look(&mut self, saved: Arc<Saved>) -> anyhow::Result<()> {
        let begin = self.begin(Arc::clone(&saved)).await?;
        if begin.resumed.is_none() {
            return Ok(());
        }
        if let Some(view) = &self.view {
            view.show(&begin, self.library);
            return Ok(());
        }
        let leader = self.leader.subscribe();
        let redis = self.member.redis();
        let view = View::open(self, &begin, &saved, redis, leader).await?;
        self.house.show(view.api(), self.settings);
        self.view = Some(view);
        Ok(())
    }

    /// What this instance would begin with now. A large scene takes a while to be read.
    async fn begin(&self, saved: Arc<Saved>) -> anyhow::Result<Begin> {
        let (scene, settings) = (self.scene.clone(), self.settings.clone());
        let library = self.library.clone();
        let (place, name) = (
            self.member.place().to_owned(),
            self.member.name().to_owned(),
        );
        let reading = tokio::task::spawn_blocking(move || {
            let stand = Stand {
                place: &place,
                instance: Some(&name),
                leads: false,
            };
            begin(&saved, stand, &scene, &settings, &library, Origin::TakeOver)
        });
        reading.await.context("reading what is saved failed")?
    }
}
