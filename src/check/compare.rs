//! One chunk under window and fence: exact under live writes, without locks and without long snapshots.
//!
//! A key that differs is *confirmed* when the primary's snapshot saw all that was written to it so far and all of that
//! had been applied when the shadow was asked. Keys for which that cannot be said are asked again.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::cost::Cost;
use super::diff::{Differing, differences};
use crate::catalog::{Chunk, Pace, ProbeError, Sides};
use crate::effect::{Key, TableId};
use crate::mirror::Mirror;

/// Longest wait for the shadow to catch up with what the primary showed.
const FENCE_WAIT: Duration = Duration::from_secs(10);

/// Why nothing can be said of a chunk for now: never a match, never a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    /// The shadow did not catch up in time.
    Behind,
    /// It was written in a way that names no key.
    Voided,
    /// The table is to be read back.
    Suspect,
}

/// A chunk by its sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChunkVerdict {
    /// Both sides hold the same rows.
    Match {
        rows: u64,
    },
    /// They do not, or not yet; so many rows on either side.
    Unequal {
        primary: u64,
        shadow: u64,
    },
    Busy(Busy),
}

/// A chunk row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowsVerdict {
    Listed {
        confirmed: Vec<Differing>,
        /// They differ, but were written meanwhile: to be asked again.
        retry: Vec<Key>,
    },
    Busy(Busy),
}

/// One table of both sides.
#[derive(Debug)]
pub(super) struct Comparer<'a> {
    pub(super) mirror: &'a Mirror,
    pub(super) sides: Sides<'a>,
    pub(super) cost: &'a mut Cost,
    /// How many rows a chunk should have.
    pub(super) pace: Pace,
}

impl Comparer<'_> {
    /// Compares sums. Equal ones need no look at what is newer: 64 bits say that the shadow's rows, once everything
    /// the snapshot saw was applied, are those of the snapshot.
    pub(super) async fn chunk(&mut self, chunk: &Chunk) -> Result<ChunkVerdict, ProbeError> {
        self.rest().await?;
        let window = matches!(chunk, Chunk::Share(_)).then(|| self.mirror.open_window(self.table()));
        let began = Instant::now();
        let (_, ours) = self.sides.primary.sums(chunk).await?;
        let took = began.elapsed();
        self.cost.read(ours.rows, began);
        if !self.catch_up().await {
            return Ok(ChunkVerdict::Busy(Busy::Behind));
        }
        let began = Instant::now();
        let (_, theirs) = self.sides.shadow.sums(chunk).await?;
        // Neither side's snapshot should be held for longer.
        self.pace.took(ours.rows, took.max(began.elapsed()));
        // A row without key that is missing, and one like it that came meanwhile, look equal.
        let may_be_another = window.is_some_and(|window| !window.is_quiet());
        if ours == theirs && (!may_be_another || self.sides.primary.sums(chunk).await?.1 == ours) {
            return Ok(ChunkVerdict::Match { rows: ours.rows });
        }
        Ok(ChunkVerdict::Unequal { primary: ours.rows, shadow: theirs.rows })
    }

    /// Compares row by row and confirms what can be confirmed.
    pub(super) async fn rows(&mut self, chunk: &Chunk) -> Result<RowsVerdict, ProbeError> {
        self.rest().await?;
        let began = Instant::now();
        let window = self.mirror.open_window(self.table());
        let (snapshot, ours) = self.sides.primary.row_hashes(chunk).await?;
        self.cost.read(ours.iter().map(|row| row.rows).sum(), began);
        if !self.catch_up().await {
            return Ok(RowsVerdict::Busy(Busy::Behind));
        }
        // Asked before the shadow is: a mark that is gone by now has been answered on the shadow, and one that comes
        // later is for a write that the window tells of.
        let Some(marked) = self.marked() else { return Ok(RowsVerdict::Busy(Busy::Suspect)) };
        let (_, theirs) = self.sides.shadow.row_hashes(chunk).await?;
        let found = differences(ours, theirs);
        if found.is_empty() {
            return Ok(RowsVerdict::Listed { confirmed: Vec::new(), retry: Vec::new() });
        }
        let Ok(newer) = window.newer(&snapshot) else { return Ok(RowsVerdict::Busy(Busy::Voided)) };
        let (retry, confirmed): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|row| newer.contains(&row.key) || marked.contains(&row.key));
        Ok(RowsVerdict::Listed { confirmed, retry: retry.into_iter().map(|row| row.key).collect() })
    }

    async fn rest(&mut self) -> Result<(), ProbeError> {
        self.cost.rest(&self.sides.primary, self.mirror.lag()).await
    }

    /// Waits until all that a snapshot taken before the call saw is on the shadow; false if that takes too long.
    pub(super) async fn catch_up(&self) -> bool {
        let caught_up = async {
            let seq = self.mirror.fence(self.table()).await;
            self.mirror.wait_applied(seq).await;
        };
        tokio::time::timeout(FENCE_WAIT, caught_up).await.is_ok()
    }

    /// Keys that are to be read back; `None`: the whole table is, or rows that were not looked for yet.
    fn marked(&self) -> Option<HashSet<Key>> {
        let table = self.table();
        if !self.mirror.is_suspect(table) {
            return Some(HashSet::new());
        }
        if self.mirror.suspect_tables().iter().any(|suspect| suspect.table == table) {
            return None;
        }
        match self.mirror.suspect_keys().into_iter().find(|suspect| suspect.table == table) {
            // Which rows those are is not known yet.
            Some(suspect) if !suspect.referring.is_empty() => None,
            Some(suspect) => Some(suspect.keys.into_iter().collect()),
            None => Some(HashSet::new()),
        }
    }

    pub(super) fn table(&self) -> TableId {
        self.sides.shape().table
    }
}
