//! Whether the shadow is fit for a read of these tables just now (rule 29): `reads.consistency`, `require`, `max_lag`.
//!
//! `session` is served here by the stricter `table` rule and the session's own writes: what a session saw on the primary
//! was acknowledged, or in flight, when it saw it, so a table on which nothing is pending or in flight is never behind it.

use std::time::Duration;

use super::eligible::Ineligible;
use crate::config::{Consistency, Reads, Require};
use crate::effect::{Seq, TableId};
use crate::mirror::Mirror;

/// Who knows which tables were checked without a difference (`check/`, joined by `proxy.rs`).
pub trait Verified: Send + Sync {
    /// Whether the last round over all of `table` ended without a confirmed difference, in this epoch, and no difference
    /// was confirmed since.
    fn is_verified(&self, table: TableId) -> bool;
}

/// How far the shadow is: what of the mirror a read asks.
pub(super) trait Watermark: Send + Sync {
    /// Nothing pending or in flight on any of them.
    fn is_fresh(&self, tables: &[TableId]) -> bool;
    /// It, or any of its keys, may be wrong.
    fn is_suspect(&self, table: TableId) -> bool;
    /// Age of the oldest pending commit.
    fn lag(&self) -> Duration;
    /// Everything up to it is applied.
    fn applied(&self) -> Seq;
    /// Somebody waits for what is pending.
    fn hurry(&self);
}

impl Watermark for Mirror {
    fn is_fresh(&self, tables: &[TableId]) -> bool {
        Mirror::is_fresh(self, tables)
    }

    fn is_suspect(&self, table: TableId) -> bool {
        Mirror::is_suspect(self, table)
    }

    fn lag(&self) -> Duration {
        Mirror::lag(self)
    }

    fn applied(&self) -> Seq {
        Mirror::applied(self)
    }

    fn hurry(&self) {
        Mirror::hurry(self);
    }
}

/// Whether a read of `tables` by a session whose last own write stands at `own_writes` may be served now.
///
/// Freshness is asked before suspicion: a commit that ends as a mark, or in quarantine, marks before it ceases to be
/// pending, so one of the two answers always shows it.
pub(super) fn is_fit(
    tables: &[TableId],
    own_writes: Option<Seq>,
    settings: &Reads,
    mirror: &dyn Watermark,
    verified: &dyn Verified,
) -> Result<(), Ineligible> {
    if mirror.lag() > settings.max_lag {
        return Err(Ineligible::Lag);
    }
    let is_fresh = || mirror.is_fresh(tables);
    let is_own_applied = || own_writes.is_none_or(|own| mirror.applied() >= own);
    let is_consistent = match settings.consistency {
        Consistency::Table => is_fresh(),
        Consistency::Session => is_own_applied() && is_fresh(),
        Consistency::None => true,
    };
    if !is_consistent {
        return Err(Ineligible::Stale);
    }
    if settings.require != Require::Any && tables.iter().any(|&table| mirror.is_suspect(table)) {
        return Err(Ineligible::Suspect);
    }
    if settings.require == Require::Verified && !tables.iter().all(|&table| verified.is_verified(table)) {
        return Err(Ineligible::Unverified);
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod fakes {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{Duration, Seq, TableId, Verified, Watermark};

    /// A mirror in the state that a test wants.
    #[derive(Debug, Clone, Default)]
    pub(in crate::reads) struct Fake {
        pub(in crate::reads) stale: Vec<TableId>,
        /// So often everything is stale.
        pub(in crate::reads) stale_looks: Arc<AtomicU32>,
        pub(in crate::reads) suspect: Vec<TableId>,
        pub(in crate::reads) verified: Vec<TableId>,
        pub(in crate::reads) lag: Duration,
        pub(in crate::reads) applied: u64,
    }

    impl Watermark for Fake {
        fn is_fresh(&self, tables: &[TableId]) -> bool {
            let is_over = |looks: u32| looks.checked_sub(1);
            self.stale_looks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_over).is_err()
                && !tables.iter().any(|table| self.stale.contains(table))
        }

        fn is_suspect(&self, table: TableId) -> bool {
            self.suspect.contains(&table)
        }

        fn lag(&self) -> Duration {
            self.lag
        }

        fn applied(&self) -> Seq {
            Seq(self.applied)
        }

        fn hurry(&self) {}
    }

    impl Verified for Fake {
        fn is_verified(&self, table: TableId) -> bool {
            self.verified.contains(&table)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fakes::Fake;
    use super::*;

    const A: TableId = TableId(1);
    const B: TableId = TableId(2);

    fn ask(fake: &Fake, own: Option<u64>, consistency: Consistency, require: Require) -> Result<(), Ineligible> {
        let settings = Reads { consistency, require, ..Reads::default() };
        is_fit(&[A, B], own.map(Seq), &settings, fake, fake)
    }

    #[test]
    fn rule_29_a_table_with_a_write_pending_or_in_flight_is_read_on_the_primary() {
        let stale = Fake { stale: vec![B], ..Fake::default() };
        assert_eq!(ask(&stale, None, Consistency::Table, Require::Any), Err(Ineligible::Stale));
        assert_eq!(ask(&stale, None, Consistency::None, Require::Any), Ok(()));
        assert_eq!(ask(&Fake::default(), None, Consistency::Table, Require::Any), Ok(()));
    }

    #[test]
    fn rule_29_a_session_sees_its_own_writes_and_never_goes_back() {
        let applied = Fake { applied: 7, ..Fake::default() };
        assert_eq!(ask(&applied, Some(8), Consistency::Session, Require::Any), Err(Ineligible::Stale));
        assert_eq!(ask(&applied, Some(7), Consistency::Session, Require::Any), Ok(()));
        let stale = Fake { stale: vec![A], ..applied };
        assert_eq!(ask(&stale, Some(7), Consistency::Session, Require::Any), Err(Ineligible::Stale));
    }

    #[test]
    fn a_suspect_table_serves_only_who_requires_nothing() {
        let suspect = Fake { suspect: vec![A], verified: vec![A, B], ..Fake::default() };
        assert_eq!(ask(&suspect, None, Consistency::None, Require::Verified), Err(Ineligible::Suspect));
        assert_eq!(ask(&suspect, None, Consistency::None, Require::Mirrored), Err(Ineligible::Suspect));
        assert_eq!(ask(&suspect, None, Consistency::None, Require::Any), Ok(()));
    }

    #[test]
    fn verified_asks_it_of_every_table() {
        let half = Fake { verified: vec![A], ..Fake::default() };
        assert_eq!(ask(&half, None, Consistency::Table, Require::Verified), Err(Ineligible::Unverified));
        assert_eq!(ask(&half, None, Consistency::Table, Require::Mirrored), Ok(()));
        let whole = Fake { verified: vec![A, B], ..Fake::default() };
        assert_eq!(ask(&whole, None, Consistency::Table, Require::Verified), Ok(()));
    }

    #[test]
    fn a_shadow_that_lags_serves_nothing() {
        let late = Fake { lag: Duration::from_millis(1001), ..Fake::default() };
        assert_eq!(ask(&late, None, Consistency::None, Require::Any), Err(Ineligible::Lag));
        let just = Fake { lag: Duration::from_secs(1), ..Fake::default() };
        assert_eq!(ask(&just, None, Consistency::None, Require::Any), Ok(()));
    }
}
