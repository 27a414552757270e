//! An answer of the shadow on its way to the client. It begins only when all of it, or [`HELD`] bytes, are at hand: until then
//! nothing has reached the client, and the primary can still answer. From then on it streams.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quick_cache::sync::Cache;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::leg::{More, Piece};
use super::messages;
use super::pool::Lease;
use super::route::Route;
use super::tally::Tally;
use super::trouble::Trouble;
use crate::session::{ReadReply, ReadRequest, Truncated};
use crate::wire::TransactionStatus;

/// How much is kept back.
const HELD: usize = 64 << 10;

/// What most answers fit into.
const FIRST: usize = 512;

/// An answer that has begun may pause so long; then the client gets an error rather than nothing.
const STALL: Duration = Duration::from_secs(30);

/// An answer under way.
#[derive(Debug)]
pub(super) struct Reply {
    /// What the client gets next.
    held: Option<Bytes>,
    /// Where more comes from; `None`: nothing comes behind `held`.
    rest: Option<Lease>,
    cancelled: Arc<Notify>,
    tally: Arc<Tally>,
    suspension: Option<Suspension>,
}

/// What a break behind the first byte means for the query: it stays on the primary for a while.
#[derive(Debug)]
struct Suspension {
    fingerprint: u64,
    suspended: Arc<Cache<u64, Instant>>,
}

impl Reply {
    /// Sends the read over `lease` and waits for as much of the answer as is held back. Dropped meanwhile, the read is
    /// cancelled on the shadow.
    pub(super) async fn begin(
        mut lease: Lease,
        request: &ReadRequest,
        route: &Route,
        tally: &Arc<Tally>,
    ) -> Result<Self, Trouble> {
        let is_in_block = request.status != TransactionStatus::Idle;
        let mut held = BytesMut::with_capacity(FIRST);
        lease.start(request, &route.text, &route.twins, &mut held).await?;
        let rest = loop {
            if lease.more(&mut held).await? == More::Ready {
                held.extend_from_slice(if is_in_block { messages::READY_IN_BLOCK } else { messages::READY });
                break None;
            }
            if held.len() > HELD && is_in_block {
                return Err(Trouble::Large);
            }
            if held.len() > HELD {
                break Some(lease);
            }
        };
        let (cancelled, tally) = (Arc::clone(&request.cancelled), Arc::clone(tally));
        Ok(Self { held: Some(held.freeze()), rest, cancelled, tally, suspension: None })
    }

    /// What a client gets that cancelled before the shadow had answered.
    pub(super) fn cancelled(request: &ReadRequest, tally: &Arc<Tally>) -> Self {
        let error = messages::error("57014", "canceling statement due to user request");
        let held = Some([&error[..], messages::READY].concat().into());
        let (cancelled, tally) = (Arc::clone(&request.cancelled), Arc::clone(tally));
        Self { held, rest: None, cancelled, tally, suspension: None }
    }

    /// Should the answer break off, the query of this fingerprint is noted here, with the time.
    pub(super) fn suspends(mut self, fingerprint: u64, suspended: &Arc<Cache<u64, Instant>>) -> Self {
        self.suspension = Some(Suspension { fingerprint, suspended: Arc::clone(suspended) });
        self
    }

    async fn stream(&mut self) -> Option<Result<Bytes, Truncated>> {
        if let Some(held) = self.held.take() {
            return Some(Ok(held));
        }
        let lease = self.rest.as_mut()?;
        let mut end = BytesMut::new();
        loop {
            let piece = tokio::select! {
                piece = timeout(STALL, lease.piece()) => piece.unwrap_or(Err(Trouble::Slow)),
                () = self.cancelled.notified() => {
                    lease.cancel();
                    continue;
                }
            };
            match piece {
                Ok(Piece::Rows(rows)) => return Some(Ok(rows)),
                Ok(Piece::Complete(frame) | Piece::Suspended(frame)) => end.extend_from_slice(&frame),
                Ok(Piece::Error(frame)) => {
                    if !lease.is_cancelled() {
                        broke_off(&self.tally, self.suspension.as_ref());
                    }
                    end.extend_from_slice(&frame);
                }
                Ok(Piece::Ready) => break,
                Err(_) if !end.is_empty() => break,
                Err(_) => {
                    let truncated = lease.is_inside_a_row();
                    self.rest = None;
                    broke_off(&self.tally, self.suspension.as_ref());
                    if truncated {
                        return Some(Err(Truncated));
                    }
                    let text = "the server that was answering this read is gone: run it again";
                    end.extend_from_slice(&messages::error("08006", text));
                    break;
                }
            }
        }
        self.rest = None;
        end.extend_from_slice(messages::READY);
        Some(Ok(end.freeze()))
    }
}

fn broke_off(tally: &Tally, suspension: Option<&Suspension>) {
    tally.broken();
    if let Some(Suspension { fingerprint, suspended }) = suspension {
        suspended.insert(*fingerprint, Instant::now());
    }
}

impl ReadReply for Reply {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Result<Bytes, Truncated>>> + Send + '_>> {
        Box::pin(self.stream())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::pool::Pool;
    use super::super::testing::{self, extended, lease, profile, received, request, rows, tags};
    use super::super::trouble::Trouble;
    use super::*;
    use crate::session::{Described, Extended};
    use crate::sql::{Kind, Read};

    const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, v text);
        INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 3) i;
        CREATE SCHEMA other; CREATE TABLE other.t (v text); INSERT INTO other.t VALUES ('elsewhere');
        CREATE ROLE reader; GRANT USAGE ON SCHEMA other TO reader; GRANT SELECT ON other.t TO reader;
        CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE moods (m mood); CREATE SEQUENCE s;";

    fn simple(sql: &str) -> ReadRequest {
        request(sql, Kind::Read(Read::default()))
    }

    /// One parameter in this format, results in their own.
    fn bind(format: u8, value: &[u8], result: u8) -> Vec<u8> {
        [&[0, 1, 0, format, 0, 1][..], &(value.len() as u32).to_be_bytes(), value, &[0, 1, 0, result]].concat()
    }

    async fn begin(pool: &Arc<Pool>, request: &ReadRequest) -> Result<Reply, Trouble> {
        let tally = Arc::new(Tally::new(pool.live()));
        Reply::begin(lease(pool).await, request, &testing::route(request), &tally).await
    }

    async fn answer(pool: &Arc<Pool>, request: &ReadRequest) -> Vec<(char, Bytes)> {
        received(&mut begin(pool, request).await.unwrap()).await
    }

    #[tokio::test]
    async fn a_simple_query_is_answered_as_one() {
        let (cluster, _client) = testing::cluster(SCHEMA).await;
        let (pool, _) = testing::pool(&cluster);
        let messages = answer(&pool, &simple("SELECT id, v FROM t ORDER BY id")).await;
        assert_eq!(tags(&messages), "TDDDCZ");
        assert_eq!(rows(&messages), ["1", "row 1", "2", "row 2", "3", "row 3"]);
        assert_eq!(messages.last().unwrap().1, "I");
        assert_eq!(tags(&answer(&pool, &simple("SELECT FROM t WHERE false")).await), "TCZ");
    }

    #[tokio::test]
    async fn simple_reads_over_one_connection_are_described_each_as_its_own() {
        let (cluster, _client) = testing::cluster(SCHEMA).await;
        let pool = testing::pool_of_one(&cluster);
        for column in ["id", "v", "v", "id"] {
            let messages = answer(&pool, &simple(&format!("SELECT {column} FROM t WHERE id = 1"))).await;
            let ('T', described) = &messages[0] else { panic!("{messages:?}") };
            assert!(described[2..].starts_with(format!("{column}\0").as_bytes()), "{column}: {described:?}");
        }
    }

    #[tokio::test]
    async fn an_extended_read_gets_the_messages_it_asked_for() {
        let (cluster, client) = testing::cluster(SCHEMA).await;
        let pool = testing::pool_of_one(&cluster);
        let sql = "SELECT v FROM t WHERE id = $1";
        let whole = extended(sql, &[23], &bind(1, &2_u32.to_be_bytes(), 0));
        let messages = answer(&pool, &whole).await;
        assert_eq!((tags(&messages).as_str(), rows(&messages)), ("1tT2TDCZ", vec!["row 2".to_owned()]));
        let mut again = extended(sql, &[23], &bind(0, b"3", 0));
        again.extended = again.extended.map(|extended| Extended {
            parse: false,
            describe_statement: false,
            described: Described::Nothing,
            ..extended
        });
        let messages = answer(&pool, &again).await;
        assert_eq!((tags(&messages).as_str(), rows(&messages)), ("2DCZ", vec!["row 3".to_owned()]));
        again.extended = again.extended.map(|extended| Extended { described: Described::Statement, ..extended });
        assert_eq!(tags(&answer(&pool, &again).await), "2tTDCZ");
        let binary = answer(&pool, &extended("SELECT id FROM t WHERE v = $1", &[0], &bind(0, b"row 1", 1))).await;
        assert_eq!(rows(&binary), ["\0\0\0\u{1}"]);
        drop(client);
    }

    #[tokio::test]
    async fn statements_kept_on_the_shadow_are_bounded() {
        let (cluster, _client) = testing::cluster(SCHEMA).await;
        let (pool, _) = testing::pool(&cluster);
        for number in 0..100 {
            let sql = format!("SELECT id + {number} FROM t WHERE id = 1");
            let messages = answer(&pool, &extended(&sql, &[], &[0; 6])).await;
            assert_eq!(rows(&messages), [(number + 1).to_string()]);
        }
        let kept = answer(&pool, &simple("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")).await;
        assert_eq!(rows(&kept), ["64"]);
    }

    #[tokio::test]
    async fn an_error_before_the_first_byte_is_no_answer_and_the_connection_stays() {
        let (cluster, _client) = testing::cluster(SCHEMA).await;
        let (pool, _) = testing::pool(&cluster);
        let pid = rows(&answer(&pool, &simple("SELECT pg_backend_pid()")).await);
        for request in [simple("SELECT 1 / (id - id) FROM t"), extended("SELECT 1 / (id - id) FROM t", &[], &[0; 6])] {
            assert_eq!(begin(&pool, &request).await.unwrap_err(), Trouble::Refused(*b"22012"));
        }
        assert_eq!(begin(&pool, &simple("SELECT nextval('s')")).await.unwrap_err(), Trouble::Refused(*b"25006"));
        assert_eq!(begin(&pool, &extended("SELECT", &[], b"")).await.unwrap_err(), Trouble::Refused(*b"08P01"));
        assert_eq!(rows(&answer(&pool, &simple("SELECT pg_backend_pid()")).await), pid);
    }

    #[tokio::test]
    async fn types_whose_oids_differ_between_databases_are_no_answer() {
        let (cluster, _client) = testing::cluster(SCHEMA).await;
        let (pool, _) = testing::pool(&cluster);
        for sql in ["SELECT m FROM moods", "SELECT ARRAY['good'::mood]", "SELECT 't'::regclass", "SELECT t FROM t"] {
            assert_eq!(begin(&pool, &simple(sql)).await.unwrap_err(), Trouble::UserType, "{sql}");
            assert_eq!(begin(&pool, &extended(sql, &[], &[0; 6])).await.unwrap_err(), Trouble::UserType, "{sql}");
        }
        let parameter = extended("SELECT 1 FROM moods WHERE m = $1", &[0], &bind(0, b"good", 0));
        assert_eq!(begin(&pool, &parameter).await.unwrap_err(), Trouble::UserType);
    }

    #[tokio::test]
    async fn a_connection_takes_on_role_and_settings_and_keeps_its_own_when_that_fails() {
        let (cluster, _client) = testing::cluster(SCHEMA).await;
        let pool = testing::pool_of_one(&cluster);
        let under = |role, settings: &[(&str, &str)], sql| ReadRequest {
            profile: Some(profile(role, settings)),
            ..simple(sql)
        };
        let path = ("search_path", "other, public");
        assert_eq!(
            rows(&answer(&pool, &under("reader", &[path], "SELECT v, current_user FROM t")).await),
            ["elsewhere", "reader"]
        );
        let denied = begin(&pool, &under("reader", &[], "SELECT v FROM t")).await;
        assert_eq!(denied.unwrap_err(), Trouble::Refused(*b"42501"));
        let nobody = begin(&pool, &under("nobody at all", &[], "SELECT v FROM t")).await;
        assert_eq!(nobody.unwrap_err(), Trouble::Refused(*b"22023"));
        let zone = under(
            "postgres",
            &[("timezone", "Asia/Tokyo")],
            "SELECT '2026-01-01 00:00+00'::timestamptz, current_setting('search_path')",
        );
        assert_eq!(rows(&answer(&pool, &zone).await), ["2026-01-01 09:00:00+09", "\"$user\", public"]);
        assert_eq!(
            rows(&answer(&pool, &simple("SELECT count(*), current_setting('timezone') FROM t")).await),
            ["3", "UTC"]
        );
    }

    #[tokio::test]
    async fn a_large_answer_streams_in_small_pieces() {
        let (cluster, _client) = testing::cluster(SCHEMA).await;
        let (pool, _) = testing::pool(&cluster);
        let mut reply = begin(&pool, &simple("SELECT repeat('x', 100) FROM generate_series(1, 100000)")).await.unwrap();
        let (mut total, mut largest) = (0, 0);
        while let Some(bytes) = reply.next().await {
            let length = bytes.unwrap().len();
            total += length;
            largest = largest.max(length);
        }
        assert!(total > 100_000 * 110, "{total}");
        assert!(largest < 2 * HELD, "{largest}");
        let messages = answer(&pool, &simple("SELECT repeat('x', 200000) FROM generate_series(1, 3)")).await;
        assert_eq!(tags(&messages), "TDDDCZ");
        assert!(rows(&messages).iter().all(|value| value.len() == 200_000));
    }

    #[tokio::test]
    async fn an_error_behind_the_first_byte_is_the_clients() {
        let (cluster, _client) = testing::cluster(SCHEMA).await;
        let (pool, _) = testing::pool(&cluster);
        let messages = answer(&pool, &simple("SELECT 1 / (50000 - i) FROM generate_series(1, 100000) i")).await;
        assert_eq!(tags(&messages).trim_start_matches('T').trim_start_matches('D'), "EZ");
        assert_eq!(rows(&messages).len(), 49_999);
        assert_eq!(tags(&answer(&pool, &simple("SELECT 1")).await), "TDCZ");
    }

    #[tokio::test]
    async fn a_read_given_up_is_cancelled_on_the_shadow() {
        let (cluster, client) = testing::cluster(SCHEMA).await;
        let (pool, _) = testing::pool(&cluster);
        let sleeper = simple("SELECT pg_sleep(600)");
        let given_up = tokio::time::timeout(Duration::from_millis(500), begin(&pool, &sleeper)).await;
        assert!(given_up.is_err());
        let sleeping = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()";
        while !client.query(sleeping, &[]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(tags(&answer(&pool, &simple("SELECT 1")).await), "TDCZ");
    }

    #[tokio::test]
    async fn a_cancel_that_outruns_the_read_it_is_meant_for_is_repeated() {
        let (cluster, client) = testing::cluster(SCHEMA).await;
        let (pool, _) = testing::pool(&cluster);
        let pid = rows(&answer(&pool, &simple("SELECT pg_backend_pid()")).await).remove(0);
        let signal = |name: &str| assert!(Command::new("kill").arg(name).arg(&pid).status().unwrap().success());
        // The server gets to the cancel before it reads what it is to run.
        signal("-STOP");
        let sleeper = simple("SELECT pg_sleep(600)");
        let given_up = tokio::time::timeout(Duration::from_millis(200), begin(&pool, &sleeper)).await;
        assert!(given_up.is_err());
        tokio::time::sleep(Duration::from_millis(200)).await;
        signal("-CONT");
        let gone = format!("SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid})");
        let wait = async {
            while client.query(&gone, &[]).await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), wait).await.expect("the read ends");
    }

    #[tokio::test]
    async fn a_connection_that_was_cancelled_serves_nobody_else() {
        let (cluster, _client) = testing::cluster(SCHEMA).await;
        let pool = testing::pool_of_one(&cluster);
        let pid = rows(&answer(&pool, &simple("SELECT pg_backend_pid()")).await);
        let mut cancelled = lease(&pool).await;
        cancelled.cancel();
        drop(cancelled);
        assert_ne!(rows(&answer(&pool, &simple("SELECT pg_backend_pid()")).await), pid);
    }

    #[tokio::test]
    async fn a_cancel_reaches_an_answer_under_way() {
        let (cluster, _client) = testing::cluster(SCHEMA).await;
        let (pool, _) = testing::pool(&cluster);
        let endless = simple("SELECT repeat('x', 10000), pg_sleep(0.01) FROM generate_series(1, 1000000)");
        let suspended = Arc::new(Cache::new(1));
        let mut reply = begin(&pool, &endless).await.unwrap().suspends(7, &suspended);
        endless.cancelled.notify_one();
        let messages = received(&mut reply).await;
        assert_eq!(tags(&messages).trim_start_matches('T').trim_start_matches('D'), "EZ");
        let (_, error) = &messages[messages.len() - 2];
        assert!(error.windows(6).any(|field| field == b"C57014"));
        assert!(suspended.get(&7).is_none(), "the client wanted it so");
    }

    #[tokio::test]
    async fn a_shadow_lost_behind_the_first_byte_is_an_error_and_within_a_row_the_end() {
        let (cluster, _client) = testing::cluster(SCHEMA).await;
        let (pool, _) = testing::pool(&cluster);
        let slow = simple("SELECT repeat('x', 10000), pg_sleep(0.05) FROM generate_series(1, 1000000)");
        let mut reply = begin(&pool, &slow).await.unwrap();
        cluster.stop_server("immediate").unwrap();
        let mut last = None;
        while let Some(bytes) = reply.next().await {
            last = Some(bytes);
        }
        if let Ok(bytes) = last.unwrap() {
            assert!(bytes.ends_with(messages::READY));
        }
    }
}
