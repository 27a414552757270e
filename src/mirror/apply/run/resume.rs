//! Where the shadow stands when it is reached, the first time and again.

use super::{Batch, Claimed, Mark, Progress, Reason, Run, Source, Touched};

impl<S: Source> Run<S> {
    /// What the shadow says it has: batches whose commit was on its way when the connection was lost are in it or not.
    pub(super) fn resume(&mut self, claimed: Claimed) {
        let shadow = claimed.progress;
        if claimed.inherited {
            self.compare_all("it was filled under another journal, which may have held more");
        }
        let progress = if shadow.seq <= self.source.last() { shadow } else { self.disown(&shadow) };
        if progress.seq < self.committed || progress.low_mark() < self.source.recovered() {
            self.compare_all("it went back behind what it had committed (restored, or failed over?)");
        }
        self.committed = progress.seq;
        if self.resumed.is_none() {
            self.source.resume_behind(progress.low_mark());
            self.taken = self.taken.max(progress.low_mark());
            self.progress = progress.clone();
            self.resumed = Some(progress);
            return;
        }
        while let Some(batch) = self.scheduler.take_again() {
            if batch.tasks.iter().all(|task| progress.has(task.seq())) {
                self.applied(&batch);
            } else {
                self.scheduler.put_again(vec![Batch::clone(&batch)]);
                return;
            }
        }
    }

    /// A journal that has not come so far is not the one this shadow was filled from.
    fn disown(&self, shadow: &Progress) -> Progress {
        let (theirs, ours) = (shadow.seq.0, self.source.last().0);
        self.compare_all(&format!("crossfade.progress is at {theirs}, and the journal has lost what is behind {ours}"));
        Progress::default()
    }

    /// What the shadow holds is not known any more.
    fn compare_all(&self, why: &str) {
        tracing::warn!("every table is compared with the shadow: {why}");
        self.source.mark(&Mark::Tables { touched: Touched::All, reason: Reason::Crash });
    }
}
