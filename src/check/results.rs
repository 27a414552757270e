//! What the checks said so far: for the report, and for reads that ask whether a table is verified.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::state::{Checked, Circumstances, report};
use crate::catalog::{Handle, Pair, Pairs};
use crate::effect::{Reason, TableId};
use crate::mirror::Mirror;
use crate::report::{CheckState, CheckStatus, TableReport, Verdict};

/// Shared by the checker and all who ask.
#[derive(Debug)]
pub struct Results {
    mirror: Mirror,
    primary: Arc<Handle>,
    shadow: Arc<Handle>,
    tables: Mutex<BTreeMap<String, Checked>>,
    /// What `tables` says, for those who ask with every read.
    verified: ArcSwap<Verified>,
    running: AtomicBool,
    round: AtomicU64,
}

#[derive(Debug, Default)]
struct Verified {
    epoch: String,
    tables: HashSet<TableId>,
}

impl Results {
    pub(super) fn new(mirror: Mirror, primary: Arc<Handle>, shadow: Arc<Handle>) -> Self {
        Self {
            mirror,
            primary,
            shadow,
            tables: Mutex::default(),
            verified: ArcSwap::default(),
            running: AtomicBool::new(false),
            round: AtomicU64::new(0),
        }
    }

    /// Whether the last round over all chunks of the table ended without a confirmed difference, in this epoch, and it
    /// is not suspect. Cheap.
    pub fn is_verified(&self, table: TableId) -> bool {
        let verified = self.verified.load();
        verified.tables.contains(&table) && verified.epoch == self.primary.get().epoch && !self.mirror.is_suspect(table)
    }

    /// As in `/status`.
    pub fn status(&self) -> CheckStatus {
        let running = self.running.load(Ordering::Acquire);
        let state = if running { CheckState::Running } else { CheckState::Idle };
        let tables = self.tables(false, &HashMap::new());
        CheckStatus { state, round: self.round.load(Ordering::Acquire), verdict: Verdict::over(&tables) }
    }

    /// Every table of either side, sorted by name, with row values only if asked for. `troubles` says of suspect
    /// tables why they are not healed yet.
    pub fn tables(&self, values: bool, troubles: &HashMap<TableId, String>) -> Vec<TableReport> {
        let (primary, shadow) = (self.primary.get(), self.shadow.get());
        // Before its first load an empty catalog would read as a shadow without tables.
        let loaded = primary.generation > 0 && shadow.generation > 0;
        let pairs = if loaded { Pairs::new(&primary, &shadow) } else { Pairs::new(&primary, &primary) };
        let suspects = self.suspects(troubles);
        let tables = self.tables.lock();
        let show = |pair: &Pair| {
            let id = pair.primary.as_ref().map(|table| table.shape.table);
            let suspect = id.and_then(|id| suspects.get(&id));
            let now = Circumstances {
                epoch: &primary.epoch,
                suspect: suspect.map(|suspect| suspect.why.as_str()),
                suspect_keys: suspect.map_or(0, |suspect| suspect.keys),
            };
            report(pair, tables.get(&pair.name), now, values)
        };
        pairs.all.iter().map(show).collect()
    }

    /// A check of `name` ended.
    pub(super) fn record(&self, name: &str, checked: Checked) {
        self.tables.lock().insert(name.to_owned(), checked);
        self.publish();
    }

    /// Changes what is known of `name`.
    pub(super) fn amend(&self, name: &str, change: impl FnOnce(&mut Checked)) {
        if let Some(checked) = self.tables.lock().get_mut(name) {
            change(checked);
        }
        self.publish();
    }

    /// What the last check of `name` said, if it was in this epoch.
    pub(super) fn last(&self, name: &str) -> Option<Checked> {
        let epoch = &self.primary.get().epoch;
        self.tables.lock().get(name).filter(|checked| checked.epoch == *epoch).cloned()
    }

    pub(super) fn running(&self, running: bool) {
        self.running.store(running, Ordering::Release);
    }

    pub(super) fn next_round(&self) {
        self.round.fetch_add(1, Ordering::AcqRel);
    }

    fn publish(&self) {
        let primary = self.primary.get();
        let tables = self.tables.lock();
        let verified = primary.tables.values().filter(|table| {
            let checked = tables.get(&table.shape.display_name());
            checked.is_some_and(|checked| checked.epoch == primary.epoch && checked.is_verified())
        });
        let tables = verified.map(|table| table.shape.table).collect();
        self.verified.store(Arc::new(Verified { epoch: primary.epoch.clone(), tables }));
    }

    fn suspects(&self, troubles: &HashMap<TableId, String>) -> HashMap<TableId, SuspectTable> {
        let why = |table: TableId, reason: Reason| match troubles.get(&table) {
            Some(trouble) => trouble.clone(),
            None => format!("to be read back: {reason}"),
        };
        let mut found = HashMap::new();
        for suspect in self.mirror.suspect_tables() {
            found.insert(suspect.table, SuspectTable { why: why(suspect.table, suspect.reason), keys: 0 });
        }
        for suspect in self.mirror.suspect_keys() {
            let fresh = || SuspectTable { why: why(suspect.table, suspect.reason), keys: 0 };
            found.entry(suspect.table).or_insert_with(fresh).keys += suspect.keys.len() as u64;
        }
        found
    }
}

/// A table that is suspect, or some of whose rows are.
struct SuspectTable {
    why: String,
    keys: u64,
}
