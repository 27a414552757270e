//! How long a check may go on before others get their turn: it is looked at between two statements.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::checker::Request;

/// A check that nobody asked for lets others pass after so long.
const TURN: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(50);

/// Of one check or repair.
#[derive(Debug)]
pub(super) enum Turn<'a> {
    /// Somebody waits for its end.
    Asked,
    /// Until somebody asks for something.
    UntilAsked(&'a mpsc::Receiver<Request>),
    /// Until then, or until somebody asks for something.
    Until(Instant, &'a mpsc::Receiver<Request>),
}

impl<'a> Turn<'a> {
    /// One that begins now.
    pub(super) fn begin(requests: &'a mpsc::Receiver<Request>) -> Self {
        Self::Until(Instant::now() + TURN, requests)
    }

    /// Whether others are to pass.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Asked => false,
            Self::UntilAsked(requests) => !requests.is_empty(),
            Self::Until(until, requests) => !requests.is_empty() || Instant::now() >= *until,
        }
    }

    /// Waits, not longer than the turn lasts.
    pub(super) async fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.is_over() {
            tokio::time::sleep(POLL.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }
}
