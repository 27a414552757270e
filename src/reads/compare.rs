//! Running an eligible read on both sides once its client is served, at a fence, and saying whether the two agree. It never
//! stands in front of a client: what finds no room is dropped, and counted.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::asker::{Answer, Asker, Said, Silence};
use super::compared::{Times, Verdict};
use super::route::Route;
use super::service::Router;
use crate::catalog::Catalog;
use crate::config::PgUrl;
use crate::effect::{Seq, TableId};
use crate::mirror::Mirror;
use crate::session::{Described, Extended, ReadRequest};
use crate::sql::{Arrangement, Kind};

/// Comparisons at a time, and so connections of ours to either side.
const WORKERS: usize = 2;
/// Reads that wait for one.
const WAITING: usize = 32;
/// Longer texts or parameters are not kept for it.
const MAX_BYTES: usize = 64 << 10;
/// Without anything to compare, connections are closed after it.
const IDLE: Duration = Duration::from_mins(1);
/// A shadow that is not there by then is not compared.
const FENCE: Duration = Duration::from_secs(10);
/// A difference is asked for again so often.
const ROUNDS: usize = 3;

/// When the shadow has what the primary had.
pub(super) trait Fence: Send + Sync {
    /// Waits until all is applied that a read of these tables could see on the primary before the call.
    fn passed<'a>(&'a self, tables: &'a [TableId]) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

impl Fence for Mirror {
    fn passed<'a>(&'a self, tables: &'a [TableId]) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let mut last = Seq(0);
            for &table in tables {
                last = last.max(self.fence(table).await);
            }
            self.wait_applied(last).await;
        })
    }
}

/// Reads to be compared.
#[derive(Debug)]
pub(super) struct Queue(Sender<ReadRequest>);

/// Where workers take them from.
pub(super) type Waiting = Receiver<ReadRequest>;

impl Queue {
    /// Empty.
    pub(super) fn new() -> (Self, Waiting) {
        let (sender, receiver) = channel(WAITING);
        (Self(sender), receiver)
    }

    /// Whether there was room.
    pub(super) fn offer(&self, request: ReadRequest) -> bool {
        let bind = request.extended.as_ref().map_or(0, |extended| extended.bind.len());
        request.sql.len() + bind <= MAX_BYTES && self.0.try_send(request).is_ok()
    }
}

/// Compares what waits, as long as there is a router.
pub(super) fn start(router: &Arc<Router>, waiting: Waiting, primary: &PgUrl, shadow: &PgUrl) {
    let waiting = Arc::new(Mutex::new(waiting));
    for _ in 0..WORKERS {
        let sides = Sides::new(primary.clone(), shadow.clone());
        tokio::spawn(work(Arc::downgrade(router), Arc::clone(&waiting), sides));
    }
}

async fn work(router: Weak<Router>, waiting: Arc<Mutex<Waiting>>, mut sides: Sides) {
    loop {
        match timeout(IDLE, async { waiting.lock().await.recv().await }).await {
            Err(_) => sides.close(),
            Ok(None) => return,
            Ok(Some(request)) => {
                let Some(router) = router.upgrade() else { return };
                router.compare(&request, &mut sides).await;
            }
        }
    }
}

/// How rows of an answer are held against those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// One by one.
    InOrder,
    /// As a multiset.
    AnyOrder,
    /// As a multiset, and a difference says nothing.
    Open,
}

impl Rows {
    /// Of the one statement of `request`, which reads `tables`.
    pub(super) fn of(request: &ReadRequest, floating: bool, tables: &[TableId], catalog: &Catalog) -> Self {
        let ([statement], Ok(text)) = (request.script.statements.as_slice(), str::from_utf8(&request.sql)) else {
            return Self::Open;
        };
        let Kind::Read(read) = &*statement.kind else { return Self::Open };
        match Arrangement::of(text, read, floating) {
            Arrangement::Sorted { columns, .. } if is_total(&columns, tables, catalog) => Self::InOrder,
            Arrangement::Free | Arrangement::Sorted { limited: false, .. } => Self::AnyOrder,
            Arrangement::Found | Arrangement::Sorted { limited: true, .. } => Self::Open,
        }
    }

    fn are_same(self, one: &Answer, other: &Answer) -> bool {
        match (one.said, other.said) {
            (Said::Rows { digest: one, .. }, Said::Rows { digest: other, .. }) if self != Self::InOrder => {
                one.is_same_set(&other)
            }
            (one, other) => one == other,
        }
    }
}

/// Whether the columns hold a key of the only table. Of a parent without partitions, each child has a key of its own.
fn is_total(columns: &[String], tables: &[TableId], catalog: &Catalog) -> bool {
    let [table] = tables else { return false };
    catalog.tables.get(table).is_some_and(|table| {
        let holds = |key: &Vec<String>| !key.is_empty() && key.iter().all(|column| columns.contains(column));
        (table.partitioned || table.descendants.is_empty()) && table.unique_keys.iter().any(holds)
    })
}

/// A read, and how it is to be asked.
pub(super) struct Question<'a> {
    pub(super) request: &'a ReadRequest,
    pub(super) route: &'a Route,
    /// How long each side may take.
    pub(super) limit: Duration,
}

/// The two servers, by connections of one worker.
#[derive(Debug)]
pub(super) struct Sides {
    primary: Asker,
    shadow: Asker,
}

impl Sides {
    /// Connects when there is something to compare.
    pub(super) fn new(primary: PgUrl, shadow: PgUrl) -> Self {
        Self { primary: Asker::new(primary), shadow: Asker::new(shadow) }
    }

    fn close(&mut self) {
        self.primary.close();
        self.shadow.close();
    }

    /// Asks both, and where they differ both again and the primary twice. A difference counts when every round shows it and
    /// the primary said the same each time.
    pub(super) async fn compare(
        &mut self,
        question: &Question<'_>,
        fence: &dyn Fence,
        rows: impl Fn(bool) -> Rows,
    ) -> Result<(Verdict, Times), Silence> {
        let request = &described(question.request);
        let primary = self.primary.ask(request, &question.route.text, question.limit).await?;
        let shadow = match self.shadow_behind_fence(request, question, fence).await {
            Err(Silence::Slow) => {
                return Ok((Verdict::Slow, Times { primary: primary.took, shadow: question.limit }));
            }
            shadow => shadow?,
        };
        let times = Times { primary: primary.took, shadow: shadow.took };
        let matched = (Verdict::Matched(count(&primary)), times);
        if primary.said == shadow.said {
            return Ok(matched);
        }
        let rows = match primary.said {
            // Which ones were wanted first is open, unless all are ordered.
            Said::Rows { floating, suspended: true, .. } if rows(floating) == Rows::AnyOrder => Rows::Open,
            Said::Rows { floating, .. } => rows(floating),
            Said::Error(_) => rows(false),
        };
        if rows.are_same(&primary, &shadow) {
            return Ok(matched);
        }
        for _ in 0..ROUNDS {
            let before = self.primary.ask(request, &question.route.text, question.limit).await?;
            let shadow = self.shadow_behind_fence(request, question, fence).await?;
            let after = self.primary.ask(request, &question.route.text, question.limit).await?;
            if rows.are_same(&shadow, &before) || rows.are_same(&shadow, &after) {
                return Ok(matched);
            }
            let agrees = rows.are_same(&primary, &before) && rows.are_same(&before, &after);
            if !agrees || rows == Rows::Open {
                return Ok((Verdict::NotComparable, times));
            }
        }
        Ok((Verdict::Mismatched(count(&primary)), times))
    }

    /// What the shadow says once it has what the primary had.
    async fn shadow_behind_fence(
        &mut self,
        request: &ReadRequest,
        question: &Question<'_>,
        fence: &dyn Fence,
    ) -> Result<Answer, Silence> {
        timeout(FENCE, fence.passed(&question.route.tables)).await.map_err(|_| Silence::Other)?;
        self.shadow.ask(request, &question.route.text, question.limit).await
    }
}

fn count(answer: &Answer) -> u64 {
    match answer.said {
        Said::Rows { digest, .. } => digest.rows,
        Said::Error(_) => 0,
    }
}

/// The same read, asking for the description of its rows and nothing else.
fn described(request: &ReadRequest) -> ReadRequest {
    let mut request = request.clone();
    request.extended = request.extended.map(|extended| Extended {
        parse: false,
        describe_statement: false,
        described: Described::Portal,
        ..extended
    });
    request
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, ITEMS, ORDERS, read, request};
    use super::*;

    impl Fence for super::super::fresh::fakes::Fake {
        fn passed<'a>(&'a self, _: &'a [TableId]) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
            Box::pin(std::future::ready(()))
        }
    }

    #[test]
    fn rows_are_held_in_order_where_the_order_is_total() {
        let rows = |sql: &str, tables: &[TableId]| {
            let mut catalog = testing::catalog();
            let mut orders = crate::catalog::Table::clone(&catalog.tables[&ORDERS]);
            orders.unique_keys = vec![vec!["id".to_owned()], vec!["a".to_owned(), "b".to_owned()]];
            catalog.tables.insert(ORDERS, Arc::new(orders));
            Rows::of(&request(sql, Kind::Read(read(&["orders"]))), false, tables, &catalog)
        };
        for (sql, expected) in [
            ("SELECT * FROM orders ORDER BY v, id", Rows::InOrder),
            ("SELECT * FROM orders ORDER BY id LIMIT 1", Rows::InOrder),
            ("SELECT * FROM orders ORDER BY b DESC, a", Rows::InOrder),
            ("SELECT * FROM orders ORDER BY a", Rows::AnyOrder),
            ("SELECT * FROM orders ORDER BY a LIMIT 1", Rows::Open),
            ("SELECT * FROM orders", Rows::AnyOrder),
            ("SELECT * FROM orders LIMIT 1", Rows::Open),
        ] {
            assert_eq!(rows(sql, &[ORDERS]), expected, "{sql}");
        }
        assert_eq!(rows("SELECT * FROM of_a_view ORDER BY id", &[ITEMS, ORDERS]), Rows::AnyOrder);
    }

    #[tokio::test]
    async fn what_finds_no_room_is_refused_at_once() {
        let (queue, waiting) = Queue::new();
        let small = || request("SELECT", Kind::Read(read(&["orders"])));
        assert!(!queue.offer(request(&"x".repeat(MAX_BYTES + 1), Kind::Read(read(&["orders"])))));
        (0..WAITING).for_each(|_| assert!(queue.offer(small())));
        assert!(!queue.offer(small()));
        drop(waiting);
        assert!(!queue.offer(small()));
    }
}
