//! Where the verifiers of clients come from: `listen.auth_file`, else the primary's `pg_authid` by a connection of our own.

use thiserror::Error;
use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;

use super::scram::Verifier;
use crate::config::Settings;
use crate::server::{self, Client, ConnectError, Purpose};

/// Why nothing can be said of a user's password.
#[derive(Debug, Error)]
pub(super) enum VerifierError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("asking the primary for it: {0}")]
    Ask(#[from] tokio_postgres::Error),
    #[error(
        "with TLS on both sides and SCRAM it needs listen.auth_file, or a role in primary.url that may read pg_authid"
    )]
    NotAllowed,
}

/// Asks, over one connection that is kept.
#[derive(Debug, Default)]
pub(super) struct Verifiers {
    client: Mutex<Option<Client>>,
}

impl Verifiers {
    /// The verifier of `user`; one that nothing fits where there is none.
    pub(super) async fn of(&self, user: &str, settings: &Settings) -> Result<Verifier, VerifierError> {
        let mock = || Verifier::mock(user, &settings.listen.secret());
        // A bad file was refused when it was loaded.
        if let Some(verifier) = settings.listen.verifiers().unwrap_or_default().get(user) {
            return Ok(Verifier::parse(verifier).unwrap_or_else(mock));
        }
        match self.ask(user, settings).await {
            Ok(verifier) => Ok(verifier.as_deref().and_then(Verifier::parse).unwrap_or_else(mock)),
            Err(VerifierError::Ask(error)) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                if settings.listen.auth_file.is_some() { Ok(mock()) } else { Err(VerifierError::NotAllowed) }
            }
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, user: &str, settings: &Settings) -> Result<Option<String>, VerifierError> {
        let mut kept = self.client.lock().await;
        let client = match kept.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => server::connect(&settings.primary.url, Purpose::Catalog).await?,
        };
        let sql = "SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1 AND rolcanlogin";
        let row = client.query_opt(sql, &[&user]).await;
        *kept = Some(client);
        Ok(row?.and_then(|row| row.get(0)))
    }
}
