//! A modest load of writes of every captured kind, and the comparison that ends every test.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error};

use crate::support::{Pair, Survivors, Workers, same_rows};

/// Hot rows, rows that come and go, and rows without a key.
pub(super) const SCHEMA: &str = "
    create table counters (id int primary key, n bigint not null, at timestamptz default '2001-02-03');
    insert into counters (id, n) select g, 0 from generate_series(1, 32) g;
    create table log (id bigserial primary key, worker int, luck float8 default random(), word text);
    create table arrivals (worker int, luck float8 default random());
";

const TABLES: [&str; 3] = ["counters", "log", "arrivals"];

/// No statement of a client may take longer, whatever the shadow does.
const HANG: Duration = Duration::from_secs(10);

/// Clients that bear no error and no waiting.
pub(super) async fn workers(pair: &Pair) -> Workers {
    Workers::start(&pair.url(), 4, |client, number| {
        Box::pin(async move { timeout(HANG, write(client, number)).await.expect("a client waited").unwrap() })
    })
    .await
}

/// Clients that bear the loss of their connections.
pub(super) fn survivors(pair: &Pair) -> Survivors {
    Survivors::start(&pair.url(), 4, |client, number| Box::pin(write(client, number)))
}

fn write(client: &mut Client, number: u32) -> BoxFuture<'_, Result<(), Error>> {
    let number = i32::try_from(number).unwrap();
    Box::pin(async move {
        client.execute("update counters set n = n + 1, at = now() where id = $1 % 32 + 1", &[&number]).await?;
        let mut transaction = client.transaction().await?;
        let inserted = "insert into log (worker, word) values ($1, repeat('word ', 20)) returning id";
        let id: i64 = transaction.query_one(inserted, &[&number]).await?.get(0);
        transaction.execute("update counters set n = n + 1 where id = $1 % 8 + 1", &[&number]).await?;
        let savepoint = transaction.savepoint("s").await?;
        savepoint.execute("update counters set n = 0 where id = $1 + 20", &[&number]).await?;
        savepoint.rollback().await?;
        transaction.execute("insert into arrivals values ($1, 0.5), ($1, 0.5)", &[&number]).await?;
        transaction.commit().await?;
        client.execute("delete from log where id = $1::bigint - 20 and id % 2 = 0", &[&id]).await?;
        // A bounded load.
        sleep(Duration::from_millis(10)).await;
        Ok(())
    })
}

/// Settled, the books balanced at every look, and every table equal row by row.
pub(super) async fn must_be_the_same(pair: &Pair) {
    pair.wait_settled().await;
    for table in TABLES {
        same_rows(pair, table).await;
    }
}
