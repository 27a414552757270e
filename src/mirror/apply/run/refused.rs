//! Batches that did not commit: tried again in another form, put off, parked or quarantined (rules 19 and 20).

use std::sync::Arc;

use super::{
    Batch, Company, Crew, Done, End, Fill, Form, Gate, Item, Outcome, Place, Quarantined, Refresh, Run, Shadow,
};
use super::{Source, Trial, Trouble, WriteSet, marks, shapes, tables};
use crate::mirror::apply::batch::Task;
use crate::mirror::apply::outcome::{EXCLUSION_VIOLATION, FEATURE_NOT_SUPPORTED, Refusal, UNIQUE_VIOLATION};

impl<S: Source> Run<S> {
    /// A batch did not commit: waits for the others, then decides about the first that failed of itself.
    pub(super) async fn recover(&mut self, failed: Done, crew: &mut Crew, shadow: &mut Shadow) -> Result<(), End> {
        let mut failures = Vec::new();
        let mut next: Option<Result<Done, tokio::task::JoinError>> = Some(Ok(failed));
        while let Some(done) = next {
            let Done { worker, number, result } = done.map_err(|error| Trouble::Lost(error.to_string()))?;
            crew.idle.push(worker);
            match result {
                Ok(()) => self.committed(number, shadow),
                Err(Trouble::Withdrawn) => {}
                Err(trouble) => failures.push((number, trouble)),
            }
            next = crew.running.join_next().await;
        }
        self.scheduler.recall();
        crew.gate = Arc::new(Gate::new(self.scheduler.next_number()));
        let lost = failures.iter().position(|(_, trouble)| matches!(trouble, Trouble::Lost(_) | Trouble::Stuck));
        if let Some(lost) = lost {
            return Err(failures.swap_remove(lost).1.into());
        }
        let Some((_, trouble)) = failures.into_iter().min_by_key(|(number, _)| *number) else { return Ok(()) };
        let Some(batch) = self.scheduler.take_again() else { return Ok(()) };
        match trouble {
            Trouble::Refused(refusal) => {
                shadow.forget_standings();
                self.refused(&batch, &refusal);
            }
            trouble => {
                self.health.refused(tables(&batch), &trouble.to_string());
                tracing::warn!("the shadow puts off what comes at {}: {trouble}", batch.last().0);
                let batch = Batch { company: Company::Alone, ..Batch::clone(&batch) };
                self.scheduler.put_again(vec![batch]);
                if self.pause().await {
                    return Err(End::Stopped);
                }
            }
        }
        Ok(())
    }

    /// The next step down: all keys replaced at once, each transaction by itself, later, never. Rows read back yield to what
    /// stands in their way, which may be another's place: then these are read back again.
    fn refused(&mut self, batch: &Batch, refusal: &Refusal) {
        let in_the_way = [UNIQUE_VIOLATION, EXCLUSION_VIOLATION].contains(&&*refusal.sqlstate);
        let may_replace = (in_the_way || refusal.sqlstate == FEATURE_NOT_SUPPORTED)
            && batch.form == Form::Upsert
            && !batch.writes.holds(Place::ForeignKeys);
        if may_replace {
            let batch = Batch { form: Form::Replace, company: Company::Alone, ..batch.clone() };
            return self.scheduler.put_again(vec![batch]);
        }
        let [task] = &batch.tasks[..] else {
            return self.scheduler.put_again(batch.apart());
        };
        self.health.refused(tables(batch), &refusal.to_string());
        match (&task.entry.item, batch.trial) {
            (item @ (Item::Refresh(Refresh { shape, .. }) | Item::Fill(Fill { shape, .. })), _) => {
                tracing::warn!("the shadow refuses rows read back for {}: {refusal}", shape.display_name());
                self.source.mark(&marks::read_back_refused(item));
                if in_the_way && batch.form != Form::Yield && !batch.writes.holds(Place::ForeignKeys) {
                    return self.scheduler.put_again(vec![Batch { form: Form::Yield, ..batch.clone() }]);
                }
                self.decided(task.seq(), Outcome::Applied);
            }
            // What waits is passed by rows read back: an image by key may come behind them, a row without key would
            // be there twice.
            (Item::Transaction(_), Trial::First) if task.writes != WriteSet::Everything && !task.has_arrivals() => {
                self.progress.seq = self.progress.seq.max(task.seq());
                self.progress.parked.insert(task.seq());
                self.park(task);
            }
            (Item::Transaction(_), _) => self.quarantine(task, refusal),
        }
    }

    /// To be tried again when all that is pending or in flight now is applied.
    pub(super) fn park(&mut self, task: &Task) {
        let (begun, newest) = (self.horizon.begun(), self.source.newest_ticket());
        self.parked.park(task.entry.clone(), begun, newest, tokio::time::Instant::now());
    }

    fn quarantine(&mut self, task: &Task, refusal: &Refusal) {
        let first = || shapes(&task.entry).next().map(|shape| shape.display_name());
        let table = refusal.table.clone().or_else(first).unwrap_or_default();
        tracing::warn!("the shadow refuses the transaction at {} for good ({table}): {refusal}", task.seq().0);
        for mark in marks::quarantined(&task.entry) {
            self.source.mark(&mark);
        }
        let quarantined = Quarantined {
            seq: task.seq().0,
            sqlstate: refusal.sqlstate.clone(),
            table,
            message: refusal.message.clone(),
        };
        self.decided(task.seq(), Outcome::Quarantined(quarantined));
    }
}
