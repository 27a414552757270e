//! Tables that a commit on its way may change (rule 3): tickets, the fence that waits for them, and the file that
//! remembers their tables over a crash (rule 22).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::effect::{TableId, Touched};
use crate::mirror::entry::Flight;

use super::in_flight_file::InFlightFile;

/// What is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Scope {
    /// One table.
    Table(TableId),
    /// It is not known which.
    All,
}

/// The tickets that are out.
#[derive(Debug)]
pub(super) struct InFlight {
    tickets: Mutex<Tickets>,
    resolved: Notify,
}

#[derive(Debug)]
struct Tickets {
    issued: u64,
    open: BTreeMap<u64, Touched>,
    /// What is in the file: everything with an open ticket, and what had one a short while ago.
    scopes: HashMap<Scope, Presence>,
    file: InFlightFile,
}

#[derive(Debug)]
struct Presence {
    tickets: usize,
    last_resolved: Instant,
}

impl Tickets {
    fn oldest(&self) -> u64 {
        self.open.first_key_value().map_or(self.issued + 1, |(number, _)| *number)
    }
}

impl InFlight {
    /// Tickets begin behind `issued`.
    pub(super) fn new(issued: u64, file: InFlightFile) -> Self {
        let tickets = Tickets { issued, open: BTreeMap::new(), scopes: HashMap::new(), file };
        Self { tickets: Mutex::new(tickets), resolved: Notify::new() }
    }

    /// Gives out a ticket; its tables are in the file when this returns.
    pub(super) fn enter(&self, touched: &Touched) -> u64 {
        let mut tickets = self.tickets.lock();
        let Tickets { issued, open, scopes, file } = &mut *tickets;
        *issued += 1;
        for scope in scopes_of(touched) {
            let presence = scopes.entry(scope).or_insert_with(|| {
                file.enter(scope);
                Presence { tickets: 0, last_resolved: Instant::now() }
            });
            presence.tickets += 1;
        }
        open.insert(*issued, touched.clone());
        *issued
    }

    /// The ticket's commit is in the ledger, or there will be none.
    pub(super) fn resolve(&self, number: u64) {
        {
            let mut tickets = self.tickets.lock();
            let Some(touched) = tickets.open.remove(&number) else { return };
            for scope in scopes_of(&touched) {
                if let Some(presence) = tickets.scopes.get_mut(&scope) {
                    presence.tickets -= 1;
                    presence.last_resolved = Instant::now();
                }
            }
        }
        self.resolved.notify_waiters();
    }

    /// Whether a ticket on any of `tables` is out.
    pub(super) fn touches(&self, tables: &[TableId]) -> bool {
        let tickets = self.tickets.lock();
        let is_out = |scope| tickets.scopes.get(&scope).is_some_and(|presence| presence.tickets > 0);
        is_out(Scope::All) || tables.iter().any(|table| is_out(Scope::Table(*table)))
    }

    /// Waits until every ticket on `table` that is out now is resolved.
    pub(super) async fn fence(&self, table: TableId) {
        let mut awaited: BTreeSet<u64> = {
            let tickets = self.tickets.lock();
            tickets.open.iter().filter(|(_, touched)| touched.contains(table)).map(|(number, _)| *number).collect()
        };
        loop {
            let resolved = self.resolved.notified();
            {
                let tickets = self.tickets.lock();
                awaited.retain(|number| tickets.open.contains_key(number));
            }
            if awaited.is_empty() {
                return;
            }
            resolved.await;
        }
    }

    /// The newest ticket given out.
    pub(super) fn issued(&self) -> u64 {
        self.tickets.lock().issued
    }

    /// The oldest ticket that is out, else the one that is next.
    pub(super) fn oldest(&self) -> u64 {
        self.tickets.lock().oldest()
    }

    /// The tickets of this moment.
    pub(super) fn flight(&self) -> Flight {
        let tickets = self.tickets.lock();
        Flight { oldest: tickets.oldest(), newest: tickets.issued }
    }

    /// Tables whose last ticket was resolved before `idle_since` leave the file: all of theirs is on disk.
    pub(super) fn leave_idle(&self, idle_since: Instant) {
        let mut tickets = self.tickets.lock();
        let Tickets { scopes, file, .. } = &mut *tickets;
        scopes.retain(|scope, presence| {
            let stays = presence.tickets > 0 || presence.last_resolved >= idle_since;
            if !stays {
                file.leave(*scope);
            }
            stays
        });
        file.compact(scopes.keys().copied());
    }

    /// Everything is on disk: only tables with a ticket out stay in the file.
    pub(super) fn close(&self) {
        let mut tickets = self.tickets.lock();
        let Tickets { scopes, file, .. } = &mut *tickets;
        scopes.retain(|_, presence| presence.tickets > 0);
        file.rewrite(scopes.keys().copied());
    }
}

fn scopes_of(touched: &Touched) -> impl Iterator<Item = Scope> {
    let (tables, all) = match touched {
        Touched::Tables(tables) => (&tables[..], None),
        Touched::All => (&[][..], Some(Scope::All)),
    };
    tables.iter().map(|table| Scope::Table(*table)).chain(all)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    const T: TableId = TableId(1);
    const U: TableId = TableId(2);

    fn in_flight() -> (tempfile::TempDir, Arc<InFlight>) {
        let folder = tempfile::tempdir().unwrap();
        let file = InFlightFile::create(folder.path(), std::iter::empty()).unwrap();
        (folder, Arc::new(InFlight::new(0, file)))
    }

    fn on(tables: &[TableId]) -> Touched {
        Touched::Tables(tables.to_vec())
    }

    #[test]
    fn rule_03_a_table_is_in_flight_from_enter_to_resolve() {
        let (_folder, in_flight) = in_flight();
        let both = in_flight.enter(&on(&[T, U]));
        let one = in_flight.enter(&on(&[T]));
        assert!(in_flight.touches(&[U]));
        in_flight.resolve(both);
        assert!(!in_flight.touches(&[U]) && in_flight.touches(&[U, T]));
        in_flight.resolve(one);
        assert!(!in_flight.touches(&[T, U]));
        let all = in_flight.enter(&Touched::All);
        assert!(in_flight.touches(&[T]) && in_flight.touches(&[]));
        in_flight.resolve(all);
        in_flight.resolve(all);
        assert!(!in_flight.touches(&[T]));
    }

    #[test]
    fn rule_26_the_fence_waits_for_the_tickets_before_it_in_any_order_and_for_no_other() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let (_folder, in_flight) = in_flight();
            let awaited = [&on(&[T]), &on(&[U, T]), &Touched::All].map(|touched| in_flight.enter(touched));
            let _elsewhere = in_flight.enter(&on(&[U]));
            let mut fence = Box::pin(in_flight.fence(T));
            assert!(fence.as_mut().now_or_never().is_none());
            let _later = in_flight.enter(&on(&[T]));
            for (done, index) in order.into_iter().enumerate() {
                in_flight.resolve(awaited[index]);
                assert_eq!(fence.as_mut().now_or_never().is_some(), done == 2, "{order:?} {done}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_waiting_fence_is_woken() {
        let (_folder, in_flight) = in_flight();
        for _ in 0..1000 {
            let ticket = in_flight.enter(&on(&[T]));
            let fence = tokio::spawn({
                let in_flight = in_flight.clone();
                async move { in_flight.fence(T).await }
            });
            tokio::task::yield_now().await;
            in_flight.resolve(ticket);
            tokio::time::timeout(Duration::from_mins(1), fence).await.unwrap().unwrap();
        }
    }

    #[test]
    fn rule_04_the_oldest_ticket_is_the_oldest_that_is_out_else_the_next() {
        let (_folder, in_flight) = in_flight();
        assert_eq!(in_flight.oldest(), 1);
        let [first, second] = [(); 2].map(|()| in_flight.enter(&on(&[T])));
        assert_eq!(in_flight.oldest(), first);
        in_flight.resolve(first);
        assert_eq!(in_flight.oldest(), second);
        in_flight.resolve(second);
        assert_eq!(in_flight.oldest(), second + 1);
    }

    #[test]
    fn rule_22_a_table_stays_in_the_file_while_busy_and_leaves_when_idle() {
        let (folder, in_flight) = in_flight();
        let named = || InFlightFile::read(folder.path()).unwrap().unwrap();
        let (t, u) = (in_flight.enter(&on(&[T])), in_flight.enter(&on(&[U])));
        in_flight.resolve(t);
        assert_eq!(named(), on(&[T, U]));
        in_flight.leave_idle(Instant::now() + Duration::from_secs(1));
        assert_eq!(named(), on(&[U]));
        in_flight.resolve(u);
        in_flight.leave_idle(Instant::now().checked_sub(Duration::from_secs(1)).unwrap());
        assert_eq!(named(), on(&[U]), "resolved a moment ago: it may not be on disk");
        in_flight.enter(&on(&[T]));
        in_flight.close();
        assert_eq!(named(), on(&[T]), "its outcome is not known");
    }
}
