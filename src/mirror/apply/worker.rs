//! One connection to the shadow: runs a batch in a transaction, waits for its turn, commits it with its progress.

use std::time::Duration;

use tokio::time::timeout;

use super::batch::{Batch, Step};
use super::compact::compact;
use super::gate::Gate;
use super::outcome::{ACTIVE_SQL_TRANSACTION, Trouble};
use super::progress::{Advance, Claim, Progress};
use super::replay;
use super::rows::Rows;
use crate::config::PgUrl;
use crate::server::{Client, Purpose, connect};

/// A logged-in connection with our settings.
#[derive(Debug)]
pub(super) struct Worker {
    rows: Rows,
    advance: Advance,
}

/// What a batch needs beside itself.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) gate: &'a Gate,
    pub(super) number: u64,
    /// What the shadow has once it has committed.
    pub(super) progress: &'a Progress,
    /// How long the shadow may take over it.
    pub(super) patience: Duration,
}

/// Settings of a session that applies: what it commits is durable, whatever the shadow's default is, for the ledger
/// forgets it then; it does not wait long for a lock, and looks rows up by key.
const SETTINGS: &str = "SET synchronous_commit = on; SET lock_timeout = '10s'; SET enable_seqscan = off";

impl Worker {
    /// Connects. `replica`: whether the shadow lets us stop its triggers and foreign keys.
    pub(super) async fn open(shadow: &PgUrl, claim: &Claim, replica: bool) -> Result<Self, Trouble> {
        let client = connect(shadow, Purpose::Apply).await.map_err(|error| Trouble::Lost(error.to_string()))?;
        client.batch_execute(SETTINGS).await?;
        if replica {
            client.batch_execute(REPLICA).await?;
        }
        let advance = claim.prepare(&client).await?;
        Ok(Self { rows: Rows::new(client, replica), advance })
    }

    /// Runs the batch and commits it in its turn. After an error nothing of it is on the shadow, unless the
    /// connection was lost while the commit was on its way.
    pub(super) async fn run(&mut self, batch: &Batch, turn: Turn<'_>) -> Result<(), Trouble> {
        let result = self.attempt(batch, &turn).await;
        match &result {
            Ok(()) => turn.gate.passed(turn.number),
            Err(trouble) => {
                turn.gate.fail(turn.number);
                if !matches!(trouble, Trouble::Lost(_) | Trouble::Stuck) {
                    bounded(turn.patience, async { Ok(self.client().batch_execute("ROLLBACK").await?) }).await?;
                }
            }
        }
        result
    }

    async fn attempt(&mut self, batch: &Batch, turn: &Turn<'_>) -> Result<(), Trouble> {
        // A statement that is replayed takes the time it takes.
        let steps = batch.steps();
        let replays = steps.iter().any(|step| matches!(step, Step::Replay(_)));
        let executed = if replays {
            self.execute(batch, steps).await
        } else {
            bounded(turn.patience, self.execute(batch, steps)).await
        };
        if let Err(Trouble::Refused(refusal)) = &executed
            && refusal.sqlstate == ACTIVE_SQL_TRANSACTION
            && let [Step::Replay(statement)] = batch.steps()[..]
        {
            self.client().batch_execute("ROLLBACK").await?;
            replay::outside_a_transaction(self.client(), statement).await?;
            self.client().batch_execute("BEGIN").await?;
        } else {
            executed?;
        }
        turn.gate.wait(turn.number).await?;
        bounded(turn.patience, self.advance.commit(self.rows.client(), turn.progress)).await
    }

    async fn execute(&mut self, batch: &Batch, steps: Vec<Step<'_>>) -> Result<(), Trouble> {
        let mut begun = false;
        for step in steps {
            match step {
                Step::Rows(changes) => {
                    let groups = compact(changes);
                    let statements = self.rows.statements(&groups, |table| batch.form_for(table)).await?;
                    self.rows.execute(!begun, &statements).await?;
                }
                Step::Replay(statement) => {
                    self.begin(begun).await?;
                    replay::inside_a_transaction(self.client(), statement).await?;
                }
                Step::Refresh(refresh) => {
                    self.begin(begun).await?;
                    self.rows.refresh(refresh, batch.form_for(refresh.shape.table)).await?;
                }
                Step::Fill(fill, filling) => {
                    self.begin(begun).await?;
                    self.rows.fill(fill, filling, batch.form_for(fill.shape.table)).await?;
                }
            }
            begun = true;
        }
        self.begin(begun).await
    }

    async fn begin(&self, begun: bool) -> Result<(), Trouble> {
        if !begun {
            self.client().batch_execute("BEGIN").await?;
        }
        Ok(())
    }

    fn client(&self) -> &Client {
        self.rows.client()
    }
}

/// Stops triggers and foreign keys of the session: images already hold what they did on the primary.
pub(super) const REPLICA: &str = "SET session_replication_role = replica";

async fn bounded(patience: Duration, work: impl Future<Output = Result<(), Trouble>>) -> Result<(), Trouble> {
    timeout(patience, work).await.unwrap_or(Err(Trouble::Stuck))
}
