//! The connections to the shadow for as long as all of them live: one to ask and to hold the lock, and the workers'.
//! When any of them is lost all are given up, and [`open`](Shadow::open) starts over from what the shadow says it has.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::batch::{Entangled, Standing};
use super::outcome::{INSUFFICIENT_PRIVILEGE, Trouble};
use super::progress::{Claim, Claimed};
use super::worker::{REPLICA, Worker};
use super::{ApplySettings, health::Health};
use crate::effect::{Shape, TableId};
use crate::server::{Client, Purpose, connect};

/// A shadow that answered.
#[derive(Debug)]
pub(super) struct Shadow {
    pub(super) control: Arc<Client>,
    /// Whether triggers and foreign keys are stopped in the workers' sessions.
    replica: bool,
    standings: HashMap<TableId, Standing>,
}

/// Connecting, and any question, may take so long.
const PATIENCE: Duration = Duration::from_secs(15);

const TRIGGERS_FIRE: &str = "triggers and foreign keys fire on the shadow: \
    GRANT SET ON PARAMETER session_replication_role to the user of `shadow.url`";

/// Of the table `$1.$2` with the key columns `$3`, sorted, and of its partitions: has it unique indexes besides the
/// key or exclusion constraints, foreign keys or triggers, identity columns besides the key that refuse an UPDATE; and
/// have all the columns `$4` the types `$5`?
const STANDING: &str = r#"
    WITH target AS (
        SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = $1::pg_catalog.text AND c.relname = $2::pg_catalog.text),
    family AS (
        SELECT oid FROM target
        UNION SELECT p.relid::pg_catalog.oid FROM target, pg_catalog.pg_partition_tree(target.oid) AS p)
    SELECT
        EXISTS (SELECT FROM pg_catalog.pg_index AS i JOIN family ON i.indrelid = family.oid
            WHERE (i.indisunique OR i.indisexclusion)
            AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL OR i.indisexclusion
                OR ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute AS a
                    WHERE a.attrelid = i.indrelid
                    AND a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])
                    ORDER BY a.attname::pg_catalog.text COLLATE "C") <> $3::pg_catalog.text[])),
        EXISTS (SELECT FROM pg_catalog.pg_constraint AS c JOIN family ON family.oid IN (c.conrelid, c.confrelid)
            WHERE c.contype = 'f')
        OR EXISTS (SELECT FROM pg_catalog.pg_trigger AS g JOIN family ON g.tgrelid = family.oid
            WHERE NOT g.tgisinternal AND g.tgenabled <> 'D'),
        EXISTS (SELECT FROM pg_catalog.pg_attribute AS a JOIN target ON a.attrelid = target.oid
            WHERE a.attidentity = 'a' AND NOT a.attisdropped AND a.attname::pg_catalog.text <> ALL ($3)),
        NOT EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($4::pg_catalog.text[]),
                pg_catalog.unnest($5::pg_catalog.text[])) AS w(name, type)
            WHERE NOT EXISTS (SELECT FROM target JOIN pg_catalog.pg_attribute AS a ON a.attrelid = target.oid
                JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
                JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
                WHERE a.attname::pg_catalog.text = w.name AND a.attnum > 0 AND NOT a.attisdropped
                AND pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname) = w.type))
"#;

impl Shadow {
    /// Connects `settings.workers` workers, or as many as the shadow lets in, at least one.
    pub(super) async fn open(
        settings: &ApplySettings,
        health: &Health,
    ) -> Result<(Self, Vec<Worker>, Claimed), Trouble> {
        timeout(PATIENCE, Self::connect(settings, health)).await.unwrap_or(Err(Trouble::Stuck))
    }

    async fn connect(settings: &ApplySettings, health: &Health) -> Result<(Self, Vec<Worker>, Claimed), Trouble> {
        let shadow = &settings.shadow;
        let control = connect(shadow, Purpose::Apply).await.map_err(|error| Trouble::Lost(error.to_string()))?;
        control.batch_execute("SET lock_timeout = '10s'").await?;
        let version: String = control.query_one("SHOW server_version", &[]).await?.try_get(0)?;
        let claimed = Claim::take(&control, &settings.source).await?;
        let replica = stops_triggers(&control).await?;
        let opened = (0..settings.workers.max(1)).map(|_| Worker::open(shadow, &claimed.claim, replica));
        let (mut workers, mut refused) = (Vec::new(), None);
        for opened in join_all(opened).await {
            match opened {
                Ok(worker) => workers.push(worker),
                Err(trouble) => refused = Some(trouble),
            }
        }
        match refused {
            Some(trouble) if workers.is_empty() => return Err(trouble),
            Some(trouble) => tracing::warn!("applying with {} connections: {trouble}", workers.len()),
            None => {}
        }
        health.reached(version, (!replica).then(|| TRIGGERS_FIRE.to_owned()));
        Ok((Self { control: Arc::new(control), replica, standings: HashMap::new() }, workers, claimed))
    }

    /// What the shadow says of a table, asked once.
    pub(super) async fn learn(&mut self, shape: &Shape) -> Result<(), Trouble> {
        if self.standings.contains_key(&shape.table) {
            return Ok(());
        }
        let standing = timeout(PATIENCE, self.ask(shape)).await.unwrap_or(Err(Trouble::Stuck))?;
        self.standings.insert(shape.table, standing);
        Ok(())
    }

    /// What was learnt of a table.
    pub(super) fn standing(&self, shape: &Shape) -> Standing {
        self.standings.get(&shape.table).copied().unwrap_or_default()
    }

    /// The shadow's definitions may have changed.
    pub(super) fn forget_standings(&mut self) {
        self.standings.clear();
    }

    async fn ask(&self, shape: &Shape) -> Result<Standing, Trouble> {
        let mut key: Vec<&str> = shape.key_columns().map(|column| column.name.as_str()).collect();
        key.sort_unstable();
        let (names, types): (Vec<&str>, Vec<&str>) =
            shape.written().map(|(_, column)| (column.name.as_str(), column.type_name.as_str())).unzip();
        let row = self.control.query_one(STANDING, &[&shape.schema, &shape.name, &key, &names, &types]).await?;
        let (unique, acts): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
        let entangled = match (unique, acts && !self.replica) {
            (_, true) => Entangled::ForeignKeys,
            (true, false) => Entangled::Itself,
            (false, false) => Entangled::No,
        };
        Ok(Standing { entangled, always_identity: row.try_get(2)?, types_agree: row.try_get(3)? })
    }
}

/// Whether the shadow lets us stop its triggers and foreign keys.
async fn stops_triggers(control: &Client) -> Result<bool, Trouble> {
    match control.batch_execute(REPLICA).await.map_err(Trouble::from) {
        Ok(()) => Ok(true),
        Err(Trouble::Refused(refusal)) if refusal.sqlstate == INSUFFICIENT_PRIVILEGE => Ok(false),
        Err(trouble) => Err(trouble),
    }
}
