//! How the shadow stands, for `/status`: kept right within a second, also while nothing is to be applied.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use crate::report::{ServerState, ServerStatus};
use crate::server::Client;

/// What is known of the shadow; written by the appliers, read by everyone.
#[derive(Debug, Default)]
pub(super) struct Health {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    version: Option<String>,
    /// Why it does not answer.
    down: Option<String>,
    /// What is missing for as long as we are connected.
    handicap: Option<String>,
    /// Tables with a refused transaction and no accepted one since, and the shadow's words.
    refusing: BTreeMap<String, String>,
}

const PERIOD: Duration = Duration::from_millis(400);
const ANSWER: Duration = Duration::from_millis(500);
/// After so many pings without an answer the connections are given up.
const MAX_UNANSWERED: u32 = 15;

impl Health {
    pub(super) fn status(&self) -> ServerStatus {
        let known = self.known.lock();
        let trouble = known.handicap.as_ref().or_else(|| known.refusing.values().next());
        let (state, last_error) = match (&known.down, &known.version, trouble) {
            (Some(why), ..) => (ServerState::Down, Some(why.clone())),
            (None, None, _) => (ServerState::Down, None),
            (None, Some(_), Some(trouble)) => (ServerState::Degraded, Some(trouble.clone())),
            (None, Some(_), None) => (ServerState::Up, None),
        };
        ServerStatus { state, server_version: known.version.clone(), last_error }
    }

    /// It answered, and calls itself `version`.
    pub(super) fn reached(&self, version: String, handicap: Option<String>) {
        let mut known = self.known.lock();
        known.version = Some(version);
        known.down = None;
        known.handicap = handicap;
    }

    /// It answers again, or does not.
    pub(super) fn answers(&self, down: Option<String>) {
        self.known.lock().down = down;
    }

    /// It refused a transaction that writes to `tables`.
    pub(super) fn refused(&self, tables: impl Iterator<Item = String>, words: &str) {
        let mut known = self.known.lock();
        for table in tables {
            known.refusing.insert(table, words.to_owned());
        }
    }

    /// It took writes to `tables`, which are asked for only if it refused any before.
    pub(super) fn took<T: Iterator<Item = String>>(&self, tables: impl FnOnce() -> T) {
        let mut known = self.known.lock();
        if !known.refusing.is_empty() {
            tables().for_each(|table| drop(known.refusing.remove(&table)));
        }
    }
}

/// Asks the shadow for a sign of life again and again; returns when it is gone, or was silent for too long.
pub(super) async fn watch(control: Arc<Client>, health: Arc<Health>) {
    let mut unanswered = 0;
    while unanswered < MAX_UNANSWERED {
        match timeout(ANSWER, control.check_connection()).await {
            Ok(Ok(())) => {
                unanswered = 0;
                health.answers(None);
            }
            Ok(Err(error)) => return health.answers(Some(error.to_string())),
            Err(_) => {
                unanswered += 1;
                health.answers(Some("the shadow does not answer".to_owned()));
            }
        }
        sleep(PERIOD).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degraded_lasts_until_the_table_that_was_refused_is_written() {
        let health = Health::default();
        assert_eq!(health.status().state, ServerState::Down);
        health.reached("15.1".into(), None);
        assert_eq!(health.status().state, ServerState::Up);
        health.refused(["public.t".to_owned()].into_iter(), "no");
        health.took(|| ["public.u".to_owned()].into_iter());
        assert_eq!(health.status().state, ServerState::Degraded);
        assert_eq!(health.status().last_error.as_deref(), Some("no"));
        health.answers(Some("gone".into()));
        assert_eq!(health.status().state, ServerState::Down);
        health.answers(None);
        health.took(|| ["public.t".to_owned()].into_iter());
        assert_eq!(health.status().state, ServerState::Up);
    }
}
