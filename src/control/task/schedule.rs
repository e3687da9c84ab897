//! Batches that wait for their tick: put off, taken up again after a restart, and run.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Snapshot, Task};
use crate::control::change::Asked;
use crate::control::director::{Answer, Job, Outcome, SCHEDULED_MAX, Scheduled, Terms, Work};
use crate::control::error::{ApiError, ErrorCode};
use crate::control::show::Waiting;

/// The most bytes of JSON that all that waits may have: it is saved as one document.
const BYTES_MAX: usize = 8 << 20;

fn bytes(commands: &[Value]) -> usize {
    commands
        .iter()
        .map(|command| command.to_string().len())
        .sum()
}

impl Task {
    /// Lets a job wait for its tick.
    pub(super) fn put_off(&mut self, mut job: Job, tick: u64) {
        let next = self.ticks.next();
        if tick < next {
            let message = format!("tick {tick} is past; the next one is {next}");
            let error = ApiError::conflict(message).with("tick", next);
            return self.settle(job.answer, Err(error));
        }
        if self.waiting.len() >= SCHEDULED_MAX {
            let message = format!("{SCHEDULED_MAX} batches are scheduled, which is the most");
            let error = ApiError::new(ErrorCode::Unavailable, message);
            return self.settle(job.answer, Err(error));
        }
        let commands = match &job.work {
            Work::Changes(asked) => asked.iter().map(|asked| asked.change.to_json()).collect(),
            _ => Vec::new(),
        };
        let own_bytes = bytes(&commands);
        let all_bytes: usize = self.kept.values().map(|(_, bytes)| bytes).sum();
        if all_bytes + own_bytes > BYTES_MAX {
            let message = format!("what is scheduled may have {BYTES_MAX} bytes in all");
            let error = ApiError::new(ErrorCode::Unavailable, message);
            return self.settle(job.answer, Err(error));
        }
        let id = self.next_id;
        self.next_id += 1;
        let outcome = Outcome {
            tick,
            revision: self.show.revision,
            show: Arc::clone(&self.show),
            scheduled: Some(id),
        };
        let caller = std::mem::replace(&mut job.answer, Answer::Events(id));
        job.terms.at_tick = None;
        let waiting = Arc::new(Waiting {
            id,
            tick,
            commands,
            if_revision: job.terms.if_revision,
        });
        self.kept.insert(id, (waiting, own_bytes));
        self.waiting.insert((tick, id), job);
        self.publish_schedule();
        self.settle(caller, Ok(outcome));
    }

    /// Sends what is due on the tick that comes next.
    pub(super) fn run_due(&mut self) {
        self.end_mix();
        let next = self.ticks.next();
        while let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= next
        {
            let job = entry.remove();
            self.take_job(job);
        }
        self.publish_schedule();
    }

    /// Takes up what an earlier run has left. What is due by now is run with the first tick.
    pub(super) fn take_up(&mut self, left: &[Arc<Waiting>]) {
        for waiting in left {
            let read = |(index, command)| Asked::parse(command, &format!("commands[{index}]"));
            let asked: Result<Vec<_>, _> = waiting.commands.iter().enumerate().map(read).collect();
            match asked {
                Ok(asked) => {
                    let job = Job {
                        work: Work::Changes(asked),
                        terms: Terms {
                            if_revision: waiting.if_revision,
                            ..Terms::default()
                        },
                        answer: Answer::Events(waiting.id),
                        _planned: None,
                        attempt: 0,
                        read: HashMap::new(),
                        scenes: HashMap::new(),
                        sounds: HashMap::new(),
                    };
                    self.waiting.insert((waiting.tick, waiting.id), job);
                    let bytes = bytes(&waiting.commands);
                    self.kept.insert(waiting.id, (Arc::clone(waiting), bytes));
                    self.next_id = self.next_id.max(waiting.id + 1);
                }
                Err(error) => {
                    let id = waiting.id;
                    tracing::warn!(id, %error, "a scheduled batch of the last run cannot be read");
                }
            }
        }
        self.publish_schedule();
    }

    /// What is saved of the schedule; that of before where nothing differs.
    pub(super) fn saved_schedule(&self, before: &Snapshot) -> Arc<Vec<Arc<Waiting>>> {
        let same = before.schedule.iter().map(|waiting| waiting.id);
        if same.eq(self.kept.keys().copied()) {
            return Arc::clone(&before.schedule);
        }
        Arc::new(
            self.kept
                .values()
                .map(|(waiting, _)| Arc::clone(waiting))
                .collect(),
        )
    }

    pub(super) fn publish_schedule(&self) {
        let list = self.waiting.iter().map(|((tick, id), job)| Scheduled {
            id: *id,
            tick: *tick,
            commands: match &job.work {
                Work::Changes(changes) => changes.len(),
                _ => 1,
            },
        });
        self.schedule.send_replace(Arc::new(list.collect()));
        let before = Arc::clone(&self.publish.borrow());
        let schedule = self.saved_schedule(&before);
        if !Arc::ptr_eq(&schedule, &before.schedule) {
            let snapshot = Snapshot {
                schedule,
                ..(*before).clone()
            };
            self.publish.send_replace(Arc::new(snapshot));
        }
    }
}
