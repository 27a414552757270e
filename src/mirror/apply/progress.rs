//! How far the shadow has come, stored in the shadow with the data (rule 21), and who may write to it (rule 24).
//!
//! Schema `crossfade`, table `progress`, one row per journal. `writer` is a fence: each time we connect it is raised,
//! and a transaction begun under an older number cannot commit. So what the row says after a claim is final, even if
//! an old connection of ours hangs on the server with its COMMIT on the way.

use std::collections::BTreeSet;

use futures_util::future::join;
use tokio_postgres::Statement;
use tokio_postgres::types::{ToSql, Type};

use super::outcome::{Refusal, Trouble};
use crate::effect::Seq;
use crate::server::Client;

/// What the shadow has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Everything up to it is applied …
    pub(super) seq: Seq,
    /// … but these, which the shadow refused so far.
    pub(super) parked: BTreeSet<Seq>,
}

/// What a shadow that is claimed says of itself.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) claim: Claim,
    pub(super) progress: Progress,
    /// It was written to under another journal, and nothing was applied under this one yet: what that journal still held
    /// is lost. Said at every claim until then, so that a claim that came to nothing does not hide it.
    pub(super) inherited: bool,
}

/// The right to write, held by the connection that claimed it.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    source: String,
    writer: i64,
}

/// The statement by which a transaction says how far it brings the shadow.
#[derive(Debug)]
pub(super) struct Advance {
    claim: Claim,
    statement: Statement,
}

/// `crossfade`, `fade`: the one-writer lock of a database.
const LOCK: &str = "SELECT pg_catalog.pg_try_advisory_lock(1668443763, 1717658725)";
const EXISTS: &str = "SELECT pg_catalog.to_regclass('crossfade.progress') IS NOT NULL";
/// Room on the page for the row's next versions: updates stay on it.
const CREATE: &str = "CREATE SCHEMA IF NOT EXISTS crossfade;
    CREATE TABLE IF NOT EXISTS crossfade.progress (source text PRIMARY KEY, seq bigint NOT NULL,
        parked bigint[] NOT NULL DEFAULT '{}', writer bigint NOT NULL) WITH (fillfactor = 20)";
const CLAIM: &str = "INSERT INTO crossfade.progress AS p (source, seq, writer) VALUES ($1, 0, 1)
    ON CONFLICT (source) DO UPDATE SET writer = p.writer + 1 RETURNING seq, parked, writer";
const OTHERS: &str = "SELECT EXISTS (SELECT FROM crossfade.progress WHERE source <> $1)";
/// A raised fence makes `seq` NULL, which the table refuses: the transaction fails.
const ADVANCE: &str = "UPDATE crossfade.progress SET seq = CASE WHEN writer = $2 THEN $3 END, parked = $4
    WHERE source = $1";

impl Progress {
    /// Whether the entry at `seq` is applied.
    pub(super) fn has(&self, seq: Seq) -> bool {
        seq <= self.seq && !self.parked.contains(&seq)
    }

    /// Everything up to it is applied, without exception.
    pub(super) fn low_mark(&self) -> Seq {
        self.parked.first().map_or(self.seq, |first| Seq(first.0.saturating_sub(1)).min(self.seq))
    }
}

impl Claim {
    /// Takes the lock and raises the fence; waits for an older transaction of ours that is just committing.
    pub(super) async fn take(control: &Client, source: &str) -> Result<Claimed, Trouble> {
        let free: bool = control.query_one(LOCK, &[]).await?.try_get(0)?;
        if !free {
            return Err(Trouble::Passing(Refusal::new(
                "55P03",
                "another crossfade writes to this shadow: stop it, or give this one a shadow of its own",
            )));
        }
        let exists: bool = control.query_one(EXISTS, &[]).await?.try_get(0)?;
        if !exists {
            control.batch_execute(CREATE).await?;
        }
        let row = control.query_one(CLAIM, &[&source]).await?;
        let (parked, writer): (Vec<i64>, i64) = (row.try_get(1)?, row.try_get(2)?);
        let progress = Progress {
            seq: Seq(row.try_get::<_, i64>(0)?.cast_unsigned()),
            parked: parked.into_iter().map(|seq| Seq(seq.cast_unsigned())).collect(),
        };
        let others: bool = control.query_one(OTHERS, &[&source]).await?.try_get(0)?;
        let claim = Self { source: source.to_owned(), writer };
        let inherited = others && progress.seq == Seq(0);
        Ok(Claimed { claim, progress, inherited })
    }

    /// Prepares what each transaction on `client` ends with.
    pub(super) async fn prepare(&self, client: &Client) -> Result<Advance, Trouble> {
        let types = [Type::TEXT, Type::INT8, Type::INT8, Type::INT8_ARRAY];
        let statement = client.prepare_typed(ADVANCE, &types).await?;
        Ok(Advance { claim: self.clone(), statement })
    }
}

impl Advance {
    /// Says within the open transaction that it brings the shadow to `progress`, and commits. Both go out together.
    pub(super) async fn commit(&self, client: &Client, progress: &Progress) -> Result<(), Trouble> {
        let seq = progress.seq.0.cast_signed();
        let parked: Vec<i64> = progress.parked.iter().map(|seq| seq.0.cast_signed()).collect();
        let parameters: [&(dyn ToSql + Sync); 4] = [&self.claim.source, &self.claim.writer, &seq, &parked];
        let (advanced, committed) =
            join(client.execute(&self.statement, &parameters), client.batch_execute("COMMIT")).await;
        let advanced = advanced?;
        committed?;
        if advanced == 1 { Ok(()) } else { Err(Trouble::Lost("the row in crossfade.progress is gone".to_owned())) }
    }
}
