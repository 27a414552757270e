//! What was known before a check that came to no end: differences do not vanish because it did not get to them.

use std::collections::HashSet;

use super::Round;
use crate::catalog::Pair;
use crate::check::compare::Busy;
use crate::check::state::{Checked, definition};
use crate::check::table::Left;
use crate::check::turn::Turn;
use crate::effect::Key;

impl Round {
    /// `checked`, a check that did not come to its end (`left`; `None`: a side refused), with the differences that were
    /// known before it: those that are not seen to be gone now, as far as the turn lasts.
    pub(super) async fn with_known(
        &mut self,
        pair: &Pair,
        mut checked: Checked,
        left: Option<Left>,
        turn: &Turn<'_>,
    ) -> Checked {
        let last = self.results.last(&pair.name);
        let Some(last) = last.filter(|last| last.definition == definition(pair) && last.tally.total() > 0) else {
            return checked;
        };
        // Differences without a key that is held are known by their number alone.
        let are_keys_held = last.tally.all_keys().is_some() && checked.tally.all_keys().is_some();
        let knows_less = !are_keys_held && checked.tally.total() < last.tally.total();
        if left.is_none() || knows_less {
            return Checked { outcome: checked.outcome, chunks: checked.chunks, ..last };
        }
        if !are_keys_held {
            return checked;
        }
        let mut still = last.tally.beyond(&checked.tally);
        // A shadow that was not in time would not be in time for these either.
        if !still.is_empty() && left != Some(Left::Busy(Busy::Behind)) {
            let keys = still.iter().map(|row| row.key.clone()).collect();
            let probed = self.compare_keys(pair, keys, turn).await.unwrap_or_default();
            let equal: HashSet<Key> = probed.equal.into_iter().collect();
            still.retain(|row| !equal.contains(&row.key));
        }
        still.iter().for_each(|row| checked.tally.confirm(row));
        let still: HashSet<Key> = still.into_iter().map(|row| row.key).collect();
        checked.samples.extend(last.samples.into_iter().filter(|(key, _)| still.contains(key)));
        checked.samples.sort_by(|(one, _), (other, _)| one.cmp(other));
        checked.samples.truncate(self.live.get().check.samples);
        checked
    }
}
