use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_postgres::error::SqlState;

use super::isolated;
use crate::config::{Live, Settings};
use crate::demo::{Cluster, Options, Role};
use crate::effect::{TableId, Touched};
use crate::mirror::{Feed, Identity, LedgerSettings, Mirror};
use crate::net::books::Books;
use crate::net::{Gate, Leaving, Shared, Threads, serve};
use crate::session::{Accounts, Fallback, Lot, ReadReply, ReadRequest, ReadService, Sample};
use crate::telemetry::Metrics;
use crate::{catalog, sql};

/// Dice that fall off the table: while it is there, a bug in the loop of every session that asks something outside a
/// transaction.
#[derive(Debug, Default)]
struct Bug(AtomicBool);

impl ReadService for Bug {
    fn draws(&self, _: &Sample<'_>) -> Option<Lot> {
        panic!("the row was s3cret")
    }

    fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn serve<'a>(
        &'a self,
        _: &'a ReadRequest,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Box<dyn ReadReply>, Fallback>> + Send + 'a>> {
        Box::pin(async { Err(Fallback) })
    }

    fn answered(&self, _: ReadRequest) {}

    fn ineligible(&self, _: &'static str) {}
}

#[tokio::test]
async fn a_panic_is_an_answer_and_leaves_the_thread_to_others() {
    assert_eq!(isolated(async { 7 }).await, Some(7));
    assert_eq!(isolated(async { panic!("s3cret") }).await, None::<()>);
    assert_eq!(isolated(async { 8 }).await, Some(8));
}

fn mirror(folder: &Path) -> (Mirror, Feed) {
    let ledger = LedgerSettings { journal: folder.join("journal"), journal_max_bytes: 1 << 30, memory: 1 << 20 };
    let identity = Identity { system_identifier: "1".into(), database: "postgres".into() };
    Mirror::open(&ledger, &identity).unwrap()
}

#[tokio::test]
async fn what_a_panicking_session_had_announced_and_not_decided_is_marked() {
    let folder = tempfile::TempDir::new().unwrap();
    let (mirror, _feed) = mirror(folder.path());
    mirror.set_tables(vec![TableId(1), TableId(2)]);
    let mut books = Books::new(mirror.clone(), Arc::new(catalog::Handle::default()));
    let session = async move {
        books.enter(&Touched::Tables(vec![TableId(2)]));
        panic!("while the commit is on its way")
    };
    assert_eq!(isolated(session).await, None::<()>);
    while mirror.suspect_tables().is_empty() {
        tokio::task::yield_now().await;
    }
    let suspect: Vec<_> = mirror.suspect_tables().iter().map(|suspect| suspect.table).collect();
    assert_eq!(suspect, [TableId(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bug_in_one_session_ends_that_session_alone() {
    let metrics = Metrics::start().unwrap();
    let cluster = Cluster::start(&Options::for_test(Role::Primary)).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let url = serde_json::json!({ "url": cluster.url("postgres") });
    let settings: Settings = serde_json::from_value(serde_json::json!({ "primary": url, "shadow": url })).unwrap();
    let (mirror, _feed) = mirror(folder.path());
    let bug = Arc::new(Bug::default());
    let shared = Shared {
        live: Live::new(settings),
        mirror,
        catalog: Arc::new(catalog::Handle::default()),
        statements: sql::Cache::new(10),
        profiles: crate::session::Profiles::default(),
        reads: Arc::clone(&bug) as Arc<dyn ReadService>,
        epoch: Arc::default(),
        room: Arc::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (leave, leaving) = watch::channel(Leaving::No);
    let gate = Arc::new(Gate::default());
    let serving =
        tokio::spawn(serve(listener, Threads::start().unwrap(), Arc::new(shared), Arc::clone(&gate), leaving));

    let connect = async || {
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    // As many as there can be threads: one of them shares the victim's.
    let cores = std::thread::available_parallelism().unwrap().get();
    let mut others = Vec::new();
    for _ in 0..cores {
        let other = connect().await;
        other.batch_execute("begin").await.unwrap();
        others.push(other);
    }
    let victim = connect().await;
    bug.0.store(true, Ordering::Relaxed);
    let error = victim.simple_query("select 1").await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INTERNAL_ERROR), "{error:?}");
    assert!(!error.to_string().contains("s3cret"));
    assert!(metrics.render().contains("crossfade_session_panics_total 1"), "{}", metrics.render());
    for other in others {
        other.batch_execute("select 1; commit").await.expect("the others go on");
    }
    bug.0.store(false, Ordering::Relaxed);
    let newcomer = connect().await;
    newcomer.batch_execute("begin; commit").await.expect("and new ones come");
    while gate.status().open > 1 {
        tokio::task::yield_now().await;
    }
    leave.send_replace(Leaving::Now);
    serving.await.unwrap();
}
