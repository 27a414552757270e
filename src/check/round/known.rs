//! What was known before a check that came to no end: differences do not vanish because it did not get to them.

use std::collections::{HashMap, HashSet};

use super::Round;
use crate::catalog::Pair;
use crate::check::diff::Differing;
use crate::check::state::{Checked, Outcome, definition, has_keys};
use crate::check::table::Probed;
use crate::effect::Key;

impl Round {
    /// `checked`, a check that did not come to its end, with those differences of the last one that were not seen to be gone.
    pub(super) async fn with_known(&mut self, pair: &Pair, mut checked: Checked) -> Checked {
        let last = self.results.last(&pair.name);
        let Some(last) = last.filter(|last| last.definition == definition(pair) && last.tally.total() > 0) else {
            return checked;
        };
        let knows_less = !has_keys(pair) && checked.tally.total() < last.tally.total();
        if knows_less || matches!(checked.outcome, Outcome::Failed(_)) {
            return Checked { outcome: checked.outcome, chunks: checked.chunks, ..last };
        }
        let unseen = last.tally.beyond(&checked.tally);
        let equal = match checked.chunks.busy {
            0 if !unseen.is_empty() => {
                self.compare_keys(pair, unseen.iter().map(|row| row.key.clone()).collect()).await
            }
            // Where chunks were busy, the rows are.
            _ => Ok(Probed::default()),
        };
        let equal: HashSet<Key> = equal.map(|probed| probed.equal).unwrap_or_default().into_iter().collect();
        let still: HashMap<&Key, &Differing> =
            unseen.iter().filter(|row| !equal.contains(&row.key)).map(|row| (&row.key, row)).collect();
        still.values().for_each(|row| checked.tally.confirm(row));
        checked.samples.extend(last.samples.into_iter().filter(|(key, _)| still.contains_key(key)));
        checked.samples.truncate(self.live.get().check.samples);
        checked
    }
}
