//! Running a statement of the primary again on the shadow, under the settings it ran with.

use super::outcome::{Refusal, Trouble};
use crate::effect::Replay;
use crate::server::Client;

const EXCHANGE: &str = "SELECT pg_catalog.current_setting($1, true), pg_catalog.set_config($1, $2, $3)";

/// How long a setting holds, as `set_config` asks.
#[derive(Clone, Copy)]
enum Scope {
    Transaction,
    Session,
}

/// Inside the open transaction. Its settings are taken back, so that what follows runs under ours.
pub(super) async fn inside_a_transaction(client: &Client, replay: &Replay) -> Result<(), Trouble> {
    let before = set(client, &replay.settings, Scope::Transaction).await?;
    run(client, replay).await?;
    set(client, &before, Scope::Transaction).await?;
    Ok(())
}

/// For what cannot run inside one (CREATE INDEX CONCURRENTLY).
pub(super) async fn outside_a_transaction(client: &Client, replay: &Replay) -> Result<(), Trouble> {
    let before = set(client, &replay.settings, Scope::Session).await?;
    let done = run(client, replay).await;
    set(client, &before, Scope::Session).await?;
    done
}

/// States that mean a lost connection or a passing trouble where rows are written, and here that the statement needs what
/// only the client's session or the primary's machine has: a prepared statement, a file, an extension.
const NOT_HERE: [&str; 3] = ["26000", "58P01", "58P02"];

async fn run(client: &Client, replay: &Replay) -> Result<(), Trouble> {
    client.batch_execute(&replay.sql).await.map_err(|error| match error.as_db_error() {
        Some(said) if NOT_HERE.contains(&said.code().code()) => {
            Trouble::Refused(Refusal::new(said.code().code(), said.message()))
        }
        _ => error.into(),
    })
}

/// Sets, and gives what was set before, in the order in which it is to be taken back.
async fn set(client: &Client, settings: &[(String, String)], scope: Scope) -> Result<Vec<(String, String)>, Trouble> {
    let local = matches!(scope, Scope::Transaction);
    let mut before = Vec::with_capacity(settings.len());
    for (name, value) in settings {
        let row = client.query_one(EXCHANGE, &[name, value, &local]).await?;
        let old: Option<String> = row.try_get(0)?;
        before.insert(0, (name.clone(), old.unwrap_or_default()));
    }
    Ok(before)
}
