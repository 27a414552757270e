//! Healing what a check confirmed: the rows are marked, read back like all that is suspect, and compared again.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::{Ended, Round, comparable};
use crate::catalog::Pair;
use crate::check::checker::CheckError;
use crate::check::state::{Checked, Outcome, has_keys};
use crate::check::tally::Tally;
use crate::check::turn::Turn;
use crate::effect::{Key, Mark, Reason, TableId, Touched};
use crate::mirror::Mirror;
use crate::report::job::Progress;

/// Longest wait for marks of a repair to be answered.
const HEALING: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);

impl Round {
    /// Heals the confirmed differences of one table, and compares those rows again.
    ///
    /// Somebody else's turn ends the waiting; what was marked is healed and compared all the same, as all that is.
    pub(in crate::check) async fn repair(
        &mut self,
        pair: &Pair,
        progress: Option<&Progress>,
        turn: &Turn<'_>,
    ) -> Result<(), CheckError> {
        let (Some(shape), Some(last)) = (comparable(pair), self.results.last(&pair.name)) else { return Ok(()) };
        if last.tally.total() == 0 {
            return Ok(());
        }
        let compared = match last.tally.all_keys().filter(|_| has_keys(pair)) {
            Some(keys) => self.repair_keys(pair, shape.table, keys, turn).await?,
            None => self.repair_table(pair, shape.table, &last, progress, turn).await?,
        };
        if !compared {
            return Ok(());
        }
        match self.results.last(&pair.name).map(|checked| checked.tally.total()) {
            None | Some(0) => Ok(()),
            Some(left) => {
                let why = format!("{left} rows differ still, or were written each time they were compared");
                Err(CheckError::NotRepaired { table: pair.name.clone(), why })
            }
        }
    }

    /// False: somebody is to be answered first, before the rows were compared again.
    async fn repair_keys(
        &mut self,
        pair: &Pair,
        table: TableId,
        keys: Vec<Key>,
        turn: &Turn<'_>,
    ) -> Result<bool, CheckError> {
        let marked: HashSet<&Key> = keys.iter().collect();
        self.mirror.mark(&Mark::Keys { table, keys: keys.clone(), reason: Reason::Repair });
        let healed = self.healed(pair, turn, |mirror| {
            let mut suspects = mirror.suspect_keys();
            suspects.retain(|suspect| suspect.table == table);
            !is_marked(mirror, table)
                && !suspects.iter().flat_map(|suspect| &suspect.keys).any(|key| marked.contains(key))
        });
        if !healed.await? {
            return Ok(false);
        }
        let probed = self.compare_keys(pair, keys.clone(), &Turn::Asked).await;
        let equal = probed.map_err(|why| CheckError::NotRepaired { table: pair.name.clone(), why })?.equal;
        self.results.amend(&pair.name, |checked| checked.repair(&equal));
        Ok(true)
    }

    /// Without keys, or with too many: the whole table is read back and checked again.
    async fn repair_table(
        &mut self,
        pair: &Pair,
        table: TableId,
        last: &Checked,
        progress: Option<&Progress>,
        turn: &Turn<'_>,
    ) -> Result<bool, CheckError> {
        self.mirror.mark(&Mark::Tables { touched: Touched::Tables(vec![table]), reason: Reason::Repair });
        let healed = self.healed(pair, turn, |mirror| !is_marked(mirror, table));
        if !healed.await? {
            return Ok(false);
        }
        // A check that comes to no end must not bring back what was read back.
        self.results.amend(&pair.name, |checked| {
            checked.outcome = Outcome::Unfinished("it was read back and is still to be compared".into());
            (checked.tally, checked.samples) = (Tally::default(), Vec::new());
        });
        match self.check(pair, None, progress, turn).await {
            Ended::Paused => {
                self.paused.remove(&pair.name);
                self.results.given_up(&pair.name);
                Ok(false)
            }
            // What was not compared is not said to be repaired.
            Ended::Unfinished(_) => {
                let why = "it was read back, and not all of it could be compared since: see the report".to_owned();
                Err(CheckError::NotRepaired { table: pair.name.clone(), why })
            }
            Ended::Complete(_) => {
                self.results.amend(&pair.name, |checked| {
                    checked.repaired = last.repaired + last.tally.total().saturating_sub(checked.tally.total());
                });
                Ok(true)
            }
        }
    }

    /// False: somebody is to be answered first.
    async fn healed(
        &self,
        pair: &Pair,
        turn: &Turn<'_>,
        is_healed: impl Fn(&Mirror) -> bool,
    ) -> Result<bool, CheckError> {
        let until = Instant::now() + HEALING;
        while !is_healed(&self.mirror) {
            if turn.is_over() {
                return Ok(false);
            }
            if Instant::now() > until {
                return Err(CheckError::NotHealed(pair.name.clone()));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(true)
    }
}

fn is_marked(mirror: &Mirror, table: TableId) -> bool {
    mirror.suspect_tables().iter().any(|suspect| suspect.table == table)
}
