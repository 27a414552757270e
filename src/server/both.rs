//! A connection to each side, for those who look at both.

use std::time::Duration;

use super::{Client, ConnectError, Purpose, connect};
use crate::config::Settings;

/// One connection to the primary and one to the shadow.
#[derive(Debug)]
pub struct Both {
    /// To the primary.
    pub primary: Client,
    /// To the shadow.
    pub shadow: Client,
}

impl Both {
    /// Connects; a statement that takes longer than `statement_timeout` fails.
    pub async fn connect(
        settings: &Settings,
        purpose: Purpose,
        statement_timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let bounded = async |url| {
            let client = connect(url, purpose).await?;
            let set = format!("SET statement_timeout = {}", statement_timeout.as_millis());
            match client.batch_execute(&set).await {
                Ok(()) => Ok(client),
                Err(source) => Err(ConnectError::Postgres { url: url.to_string(), source }),
            }
        };
        Ok(Self { primary: bounded(&settings.primary.url).await?, shadow: bounded(&settings.shadow.url).await? })
    }

    /// Those that were kept, if they still live, else new ones.
    pub async fn kept_or_new(
        kept: Option<Self>,
        settings: &Settings,
        purpose: Purpose,
        statement_timeout: Duration,
    ) -> Result<Self, ConnectError> {
        match kept.filter(|both| !both.is_closed()) {
            Some(both) => Ok(both),
            None => Self::connect(settings, purpose, statement_timeout).await,
        }
    }

    /// Whether either connection has ended.
    pub fn is_closed(&self) -> bool {
        self.primary.is_closed() || self.shadow.is_closed()
    }
}
