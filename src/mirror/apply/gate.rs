//! The commit gate: batches that ran in parallel commit in the order of the ledger (rule 18).

use tokio::sync::watch;

use super::outcome::Trouble;

/// Where a run of batches stands. A new gate is made after each failure.
#[derive(Debug)]
pub(super) struct Gate {
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// The batch that may commit now.
    turn: u64,
    /// This one failed: it and all behind it withdraw.
    failed: Option<u64>,
}

impl Gate {
    /// Opens with the turn of batch `first`.
    pub(super) fn new(first: u64) -> Self {
        Self { state: watch::Sender::new(State { turn: first, failed: None }) }
    }

    /// Returns when every batch before `number` has committed.
    pub(super) async fn wait(&self, number: u64) -> Result<(), Trouble> {
        let mut state = self.state.subscribe();
        let decided = |state: &State| state.turn == number || state.withdraws(number);
        match state.wait_for(decided).await {
            Ok(state) if !state.withdraws(number) => Ok(()),
            _ => Err(Trouble::Withdrawn),
        }
    }

    /// `number` has committed.
    pub(super) fn passed(&self, number: u64) {
        self.state.send_modify(|state| state.turn = number + 1);
    }

    /// `number` will not commit; earlier ones still may.
    pub(super) fn fail(&self, number: u64) {
        self.state.send_modify(|state| {
            state.failed = Some(state.failed.map_or(number, |earlier| earlier.min(number)));
        });
    }
}

impl State {
    fn withdraws(self, number: u64) -> bool {
        self.failed.is_some_and(|failed| number >= failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn rule_18_batches_pass_in_order_and_those_behind_a_failure_withdraw() {
        let gate = Arc::new(Gate::new(7));
        let passed = Arc::new(Mutex::new(Vec::new()));
        let mut running = JoinSet::new();
        for number in [12, 9, 11, 8, 10, 7] {
            let (gate, passed) = (gate.clone(), passed.clone());
            running.spawn(async move {
                if number == 10 {
                    gate.fail(number);
                    return;
                }
                if gate.wait(number).await.is_ok() {
                    passed.lock().push(number);
                    gate.passed(number);
                }
            });
        }
        running.join_all().await;
        assert_eq!(*passed.lock(), [7, 8, 9]);
    }
}
