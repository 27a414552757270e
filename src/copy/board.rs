//! What the healer tells those who ask: troubles, how far a table is, and what has been read back.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::effect::TableId;
use crate::report::job::Progress;

/// Shared by the healer's task and its handle.
#[derive(Debug, Default)]
pub(super) struct Board {
    tables: Mutex<HashMap<TableId, Entry>>,
    changed: Notify,
}

/// Why a table is not read back yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A server is away: it goes on by itself.
    Waiting(String),
    /// Tried and failed; it is tried again, and is likely to fail again.
    Failed(String),
}

impl Trouble {
    fn text(&self) -> &str {
        match self {
            Self::Waiting(why) | Self::Failed(why) => why,
        }
    }
}

#[derive(Debug, Default)]
struct Entry {
    trouble: Option<Trouble>,
    progress: Option<Progress>,
    /// Marks up to it have been answered.
    healed: u64,
}

impl Board {
    /// Work on `table` shows in `progress` from now on, until it is healed; earlier trouble is forgotten.
    pub(super) fn watch(&self, table: TableId, progress: Progress) {
        let mut tables = self.tables.lock();
        let entry = tables.entry(table).or_default();
        (entry.progress, entry.trouble) = (Some(progress), None);
    }

    pub(super) fn progress(&self, table: TableId) -> Option<Progress> {
        self.tables.lock().get(&table).and_then(|entry| entry.progress.clone())
    }

    /// Marks on the whole table up to `generation` are answered.
    pub(super) fn healed(&self, table: TableId, generation: u64) {
        let mut tables = self.tables.lock();
        let entry = tables.entry(table).or_default();
        *entry = Entry { trouble: None, progress: None, healed: entry.healed.max(generation) };
        drop(tables);
        self.changed.notify_waiters();
    }

    /// Why `table` could not be healed; `None`: it could.
    pub(super) fn trouble(&self, table: TableId, why: Option<Trouble>) {
        self.tables.lock().entry(table).or_default().trouble = why;
        self.changed.notify_waiters();
    }

    pub(super) fn troubles(&self) -> HashMap<TableId, String> {
        let tables = self.tables.lock();
        tables.iter().filter_map(|(&table, entry)| Some((table, entry.trouble.as_ref()?.text().to_owned()))).collect()
    }

    /// Waits until marks on the whole table up to `generation` are answered, or a try failed.
    pub(super) async fn wait_healed(&self, table: TableId, generation: u64) -> Result<(), String> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.tables.lock().get(&table) {
                Some(entry) if entry.healed >= generation => return Ok(()),
                Some(Entry { trouble: Some(Trouble::Failed(why)), .. }) => return Err(why.clone()),
                _ => {}
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_waiter_returns_when_its_mark_is_answered_and_no_sooner() {
        let (board, table) = (Board::default(), TableId(1));
        board.healed(table, 4);
        let waiter = board.wait_healed(table, 5);
        tokio::pin!(waiter);
        assert!(waiter.as_mut().now_or_never().is_none());
        board.healed(table, 3);
        board.trouble(table, Some(Trouble::Waiting("the shadow is away".into())));
        assert!(waiter.as_mut().now_or_never().is_none());
        board.healed(table, 5);
        assert_eq!(waiter.now_or_never(), Some(Ok(())));
    }

    #[tokio::test]
    async fn a_waiter_hears_of_a_try_that_failed() {
        let (board, table) = (Board::default(), TableId(1));
        board.trouble(table, Some(Trouble::Failed("it is missing".into())));
        assert_eq!(board.wait_healed(table, 1).await, Err("it is missing".into()));
        board.watch(table, Progress::begin(1, crate::report::job::JobKind::Backfill));
        assert!(board.wait_healed(table, 1).now_or_never().is_none());
    }

    #[test]
    fn what_is_healed_has_no_trouble() {
        let (board, table) = (Board::default(), TableId(1));
        board.trouble(table, Some(Trouble::Failed("it has no key".into())));
        assert_eq!(board.troubles().get(&table).map(String::as_str), Some("it has no key"));
        board.healed(table, 1);
        assert!(board.troubles().is_empty());
    }
}
