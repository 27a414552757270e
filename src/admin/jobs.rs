//! The jobs of this run: those at work, and a bounded memory of those that ended.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::{ControlError, Values};
use crate::report::job::{Job, JobKind, JobState, Progress};

/// Ended jobs that are remembered.
const REMEMBERED: usize = 100;

/// Gives out ids and finds jobs by them.
#[derive(Debug, Default)]
pub struct Jobs(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    jobs: BTreeMap<u64, Progress>,
}

impl Jobs {
    /// Begins a job. One of a kind runs at a time: they would meet on the same tables.
    pub fn begin(&self, kind: JobKind) -> Result<Progress, ControlError> {
        let mut inner = self.0.lock();
        let running = inner.jobs.values().map(Progress::job).find(|job| is_running(job) && job.kind == kind);
        if let Some(Job { id, .. }) = running {
            let detail =
                format!("{kind} {id} is running: wait for it (GET /jobs/{id}), or cancel it (DELETE /jobs/{id})");
            return Err(ControlError::Conflict(detail));
        }
        inner.last += 1;
        // What was shown bears row values: one such job's are held, no more.
        inner.jobs.values().filter(|_| kind == JobKind::Repair).for_each(Progress::forget_shown);
        let progress = Progress::begin(inner.last, kind);
        inner.jobs.insert(progress.job().id, progress.clone());
        let ended: Vec<u64> = inner.jobs.values().map(Progress::job).filter(|j| !is_running(j)).map(|j| j.id).collect();
        for id in ended.iter().take(ended.len().saturating_sub(REMEMBERED)) {
            inner.jobs.remove(id);
        }
        Ok(progress)
    }

    /// How a job stands.
    pub fn job(&self, id: u64, values: Values) -> Result<Job, ControlError> {
        let job = self.find(id)?.job();
        Ok(if values == Values::Shown { job } else { job.without_values() })
    }

    /// Asks a job to end; one that has ended stays as it ended.
    pub fn cancel(&self, id: u64) -> Result<Job, ControlError> {
        let progress = self.find(id)?;
        progress.cancel();
        Ok(progress.job().without_values())
    }

    /// Asks every job to end.
    pub fn cancel_all(&self) {
        self.0.lock().jobs.values().for_each(Progress::cancel);
    }

    fn find(&self, id: u64) -> Result<Progress, ControlError> {
        self.0.lock().jobs.get(&id).cloned().ok_or(ControlError::UnknownJob(id))
    }
}

fn is_running(job: &Job) -> bool {
    job.state == JobState::Running
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_job_of_a_kind_runs_at_a_time() {
        let jobs = Jobs::default();
        let check = jobs.begin(JobKind::Check).unwrap();
        assert_eq!(
            jobs.begin(JobKind::Check).unwrap_err().to_string(),
            "check 1 is running: wait for it (GET /jobs/1), or cancel it (DELETE /jobs/1)"
        );
        jobs.begin(JobKind::Backfill).unwrap();
        check.end(Ok(()));
        assert_eq!(jobs.begin(JobKind::Check).unwrap().job().id, 3);
    }

    #[test]
    fn the_memory_of_ended_jobs_is_bounded_and_keeps_running_ones() {
        let jobs = Jobs::default();
        jobs.begin(JobKind::Backfill).unwrap();
        for _ in 0..2 * REMEMBERED {
            jobs.begin(JobKind::Check).unwrap().end(Ok(()));
        }
        assert_eq!(jobs.job(1, Values::Hidden).unwrap().state, JobState::Running);
        assert_eq!(jobs.job(2, Values::Hidden), Err(ControlError::UnknownJob(2)));
        assert!(jobs.0.lock().jobs.len() <= REMEMBERED + 2);
    }

    #[test]
    fn cancelling_asks_the_work_to_end() {
        let jobs = Jobs::default();
        let work = jobs.begin(JobKind::Repair).unwrap();
        jobs.cancel(1).unwrap();
        assert!(work.is_cancelled());
        assert_eq!(jobs.cancel(2), Err(ControlError::UnknownJob(2)));
    }
}
