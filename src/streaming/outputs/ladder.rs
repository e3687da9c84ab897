//! An HLS folder and the renditions in it.
//!
//! Each rendition is written by a thread of its own. Here they agree on when to begin, so that all playlists have one time 0 and
//! their segments the same borders, and on when the folder is ready to be watched: only then it gets its `master.m3u8`.
//!
//! ```text
//! one rendition:  DIR/program.m3u8          several:  DIR/<rendition>/program.m3u8
//!                 DIR/master.m3u8                     DIR/master.m3u8
//! ```
//!
//! A *run* is what they write together. When one of them fails, the run is over for all, and the next one begins in a clean folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::master::{self, Variant};
use super::target::{MASTER, PLAYLIST, clear_folder, failed, next_segment};
use crate::streaming::error::StreamingError;

/// A rendition that gives nothing for so long is not waited for; it joins when it can.
const MEETING_MAX: Duration = Duration::from_secs(10);

/// What the threads of the renditions share.
#[derive(Debug)]
pub(super) struct HlsLadder {
    folder: PathBuf,
    variants: Vec<Variant>,
    meeting: Mutex<Meeting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Meeting {
    run: u64,
    /// Whether the folder was cleared for this run.
    is_prepared: bool,
    /// Who writes, and in which run.
    inside: Vec<Option<u64>>,
    /// Whose thread has ended.
    gone: BTreeSet<usize>,
    /// Keyframes that could be time 0, in nanoseconds.
    proposals: Vec<Option<i64>>,
    first_proposal: Option<Instant>,
    /// Time 0 of this run.
    start_ns: Option<i64>,
    /// The number of its first segment.
    first_number: u32,
    /// Whose playlist is there.
    listed: BTreeSet<usize>,
}

/// What becomes of a keyframe that was proposed as time 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proposal {
    /// The run begins, with this time 0, and the keyframe is the first.
    Begin(i64),
    /// A later keyframe is needed, from this time on.
    Later(i64),
    /// The others have not decided yet.
    Wait,
    /// The run is over.
    Over,
}

impl HlsLadder {
    /// `variants` in the order of the parts, at least one.
    pub(super) fn new(folder: PathBuf, variants: Vec<Variant>) -> Self {
        let count = variants.len();
        Self {
            folder,
            variants,
            meeting: Mutex::new(Meeting {
                inside: vec![None; count],
                proposals: vec![None; count],
                ..Meeting::default()
            }),
            changed: Condvar::new(),
        }
    }

    /// The playlist of a rendition.
    pub(super) fn playlist(&self, part: usize) -> PathBuf {
        match self.variants.get(part) {
            Some(variant) if self.variants.len() > 1 => {
                self.folder.join(&variant.id).join(PLAYLIST)
            }
            _ => self.folder.join(PLAYLIST),
        }
    }

    /// Takes part in the next run. The first who does clears the folder, once all have left the run before; `None` means that
    /// they have not by now, and that it is to be asked again.
    pub(super) fn join(&self, part: usize) -> Result<Option<u64>, StreamingError> {
        let mut meeting = self.lock();
        if meeting.inside.get(part).copied().flatten().is_some() {
            meeting.leave(part);
        }
        // All have left after an end that was ordered: what comes is another run.
        let is_left = meeting.inside.iter().all(Option::is_none);
        if is_left && meeting.start_ns.is_some() {
            meeting.begin_anew();
        }
        let run = meeting.run;
        if !meeting.is_prepared {
            if meeting.inside.iter().flatten().any(|inside| *inside != run) {
                drop(self.changed.wait_timeout(meeting, WAIT));
                return Ok(None);
            }
            meeting.first_number = meeting.first_number.max(next_segment(&self.folder));
            clear_folder(&self.folder)?;
            meeting.is_prepared = true;
        }
        if let Some(folder) = self.playlist(part).parent() {
            fs::create_dir_all(folder).map_err(failed(folder))?;
        }
        if let Some(inside) = meeting.inside.get_mut(part) {
            *inside = Some(run);
        }
        Ok(Some(run))
    }

    /// Offers a keyframe as time 0 of a run. All must offer the same moment; whoever has an earlier one is told to go on to the
    /// latest that was offered.
    pub(super) fn propose(&self, run: u64, part: usize, time_ns: i64) -> Proposal {
        let mut meeting = self.lock();
        if meeting.run != run {
            return Proposal::Over;
        }
        let first = *meeting.first_proposal.get_or_insert_with(Instant::now);
        if let Some(start_ns) = meeting.start_ns {
            return if time_ns < start_ns {
                Proposal::Later(start_ns)
            } else {
                Proposal::Begin(start_ns)
            };
        }
        if let Some(proposal) = meeting.proposals.get_mut(part) {
            *proposal = Some(time_ns);
        }
        let latest_ns = meeting.proposals.iter().flatten().max().copied();
        let latest_ns = latest_ns.unwrap_or(time_ns);
        let awaits_nobody = first.elapsed() >= MEETING_MAX;
        let is_agreed = (0..self.variants.len()).all(|other| match meeting.proposals[other] {
            Some(time_ns) => time_ns == latest_ns,
            None => awaits_nobody || meeting.gone.contains(&other),
        });
        self.changed.notify_all();
        if is_agreed {
            meeting.start_ns = Some(latest_ns);
            Proposal::Begin(latest_ns)
        } else if time_ns < latest_ns {
            Proposal::Later(latest_ns)
        } else {
            Proposal::Wait
        }
    }

    /// Waits a moment for the others.
    pub(super) fn wait(&self) {
        drop(self.changed.wait_timeout(self.lock(), WAIT));
    }

    /// The number of the first segment of the run under way: one more than the last of the one before, in all renditions.
    pub(super) fn first_number(&self) -> u32 {
        self.lock().first_number
    }

    /// Whether a run goes on.
    pub(super) fn goes_on(&self, run: u64) -> bool {
        self.lock().run == run
    }

    /// Ends a run for all: one of them has failed.
    pub(super) fn end(&self, run: u64) {
        let mut meeting = self.lock();
        if meeting.run == run {
            meeting.begin_anew();
            self.changed.notify_all();
        }
    }

    /// A rendition writes no more; it may join again.
    pub(super) fn leave(&self, part: usize) {
        self.lock().leave(part);
        self.changed.notify_all();
    }

    /// A rendition's thread ends.
    pub(super) fn go(&self, part: usize) {
        let mut meeting = self.lock();
        meeting.leave(part);
        meeting.gone.insert(part);
        self.changed.notify_all();
    }

    /// Looks whether a rendition's playlist has appeared. Once all have theirs, the folder gets the playlist that names them.
    pub(super) fn list(&self, run: u64, part: usize) -> Result<(), StreamingError> {
        let mut meeting = self.lock();
        if meeting.run != run || meeting.listed.contains(&part) || !self.playlist(part).is_file() {
            return Ok(());
        }
        meeting.listed.insert(part);
        let is_listed = |other: &usize| meeting.listed.contains(other);
        // One that nobody waited for when the run began is named when it has come.
        let is_complete = (0..self.variants.len()).all(|other| {
            is_listed(&other)
                || meeting.inside[other].is_none()
                || meeting.proposals[other].is_none()
        });
        if !is_complete {
            return Ok(());
        }
        let listed: Vec<(&Variant, String)> = self
            .variants
            .iter()
            .enumerate()
            .filter(|(other, _)| is_listed(other))
            .map(|(_, variant)| {
                let uri = if self.variants.len() > 1 {
                    format!("{}/{PLAYLIST}", variant.id)
                } else {
                    PLAYLIST.to_owned()
                };
                (variant, uri)
            })
            .collect();
        write_whole(&self.folder.join(MASTER), &master::playlist(&listed))
    }

    fn lock(&self) -> MutexGuard<'_, Meeting> {
        self.meeting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait for the others is looked up from so often.
const WAIT: Duration = Duration::from_millis(50);

impl Meeting {
    fn begin_anew(&mut self) {
        self.run += 1;
        self.is_prepared = false;
        self.proposals.fill(None);
        self.first_proposal = None;
        self.start_ns = None;
        self.listed.clear();
    }

    fn leave(&mut self, part: usize) {
        if let Some(inside) = self.inside.get_mut(part) {
            *inside = None;
        }
    }
}

/// Readers see the old file or the new one, never a part of it.
fn write_whole(path: &Path, text: &str) -> Result<(), StreamingError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let aside = PathBuf::from(name);
    fs::write(&aside, text).map_err(failed(&aside))?;
    fs::rename(&aside, path).map_err(failed(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(folder: &Path, ids: &[&str]) -> HlsLadder {
        let variants = ids.iter().map(|id| Variant {
            id: (*id).to_owned(),
            width: 64,
            height: 36,
            frame_rate: 30.0,
            video_kbps: 100,
            audio_kbps: 0,
            codecs: "avc1.64000a".to_owned(),
        });
        HlsLadder::new(folder.to_owned(), variants.collect())
    }

    #[test]
    fn a_run_begins_at_the_first_keyframe_that_all_have() {
        let folder = tempfile::tempdir().expect("a folder");
        let ladder = ladder(folder.path(), &["a", "b"]);
        let run = ladder.join(0).expect("a folder").expect("a run");
        assert_eq!(ladder.join(1).expect("a folder"), Some(run));
        assert_eq!(ladder.propose(run, 0, 0), Proposal::Wait);
        // One that the other does not have.
        assert_eq!(ladder.propose(run, 1, 50), Proposal::Wait);
        assert_eq!(ladder.propose(run, 0, 0), Proposal::Later(50));
        assert_eq!(ladder.propose(run, 0, 60), Proposal::Wait);
        assert_eq!(ladder.propose(run, 1, 50), Proposal::Later(60));
        assert_eq!(ladder.propose(run, 1, 60), Proposal::Begin(60));
        assert_eq!(ladder.propose(run, 0, 60), Proposal::Begin(60));
    }

    #[test]
    fn a_failure_ends_the_run_for_all_and_the_next_has_a_clean_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let ladder = ladder(folder.path(), &["a", "b"]);
        let run = ladder.join(0).expect("a folder").expect("a run");
        ladder.join(1).expect("a folder");
        ladder.propose(run, 0, 0);
        assert_eq!(ladder.propose(run, 1, 0), Proposal::Begin(0));
        fs::write(ladder.playlist(0), "x").expect("a playlist");
        ladder.list(run, 0).expect("no playlist yet");
        assert!(!folder.path().join(MASTER).exists());
        fs::write(ladder.playlist(1), "x").expect("a playlist");
        ladder.list(run, 1).expect("a playlist");
        assert!(folder.path().join(MASTER).exists());

        ladder.end(run);
        ladder.end(run);
        assert!(!ladder.goes_on(run));
        assert_eq!(ladder.propose(run, 0, 0), Proposal::Over);
        // The other one has not left yet.
        assert_eq!(ladder.join(1).expect("a folder"), None);
        assert!(folder.path().join(MASTER).exists());
        ladder.leave(0);
        let next = ladder.join(1).expect("a folder").expect("a run");
        assert_eq!(next, run + 1);
        assert!(!folder.path().join(MASTER).exists() && !ladder.playlist(0).exists());
        // One that has ended is not waited for.
        ladder.go(0);
        assert_eq!(ladder.propose(next, 1, 90), Proposal::Begin(90));
    }

    #[test]
    fn one_rendition_is_in_the_folder_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let ladder = ladder(folder.path(), &["main"]);
        assert_eq!(ladder.playlist(0), folder.path().join("program.m3u8"));
        let run = ladder.join(0).expect("a folder").expect("a run");
        assert_eq!(ladder.propose(run, 0, 7), Proposal::Begin(7));
        fs::write(ladder.playlist(0), "x").expect("a playlist");
        ladder.list(run, 0).expect("a playlist");
        let text = fs::read_to_string(folder.path().join(MASTER)).expect("the playlist");
        assert!(text.ends_with("\nprogram.m3u8\n"), "{text}");
    }
}
