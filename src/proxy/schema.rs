//! Compares what the sides are made of, every so often, for the report.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::debug;

use crate::catalog::{Definitions, Handle, Pairs};
use crate::config::Live;
use crate::report::SchemaDifference;
use crate::server::{Both, Purpose};

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(10);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// What the last look found; `None` where there was none.
#[derive(Debug, Default)]
pub(super) struct Schemas(Mutex<Option<Vec<SchemaDifference>>>);

impl Schemas {
    pub(super) fn differences(&self) -> Option<Vec<SchemaDifference>> {
        self.0.lock().clone()
    }

    /// Looks, and looks again, forever.
    pub(super) async fn follow(self: Arc<Self>, live: Arc<Live>, primary: Arc<Handle>, shadow: Arc<Handle>) {
        let mut both = None;
        loop {
            let found = look(&live, &mut both, &primary, &shadow).await;
            if let Err(error) = &found {
                debug!("comparing the definitions of both sides: {error:#}");
                both = None;
            }
            *self.0.lock() = found.ok();
            tokio::time::sleep(PERIOD).await;
        }
    }
}

async fn look(
    live: &Live,
    both: &mut Option<Both>,
    primary: &Handle,
    shadow: &Handle,
) -> anyhow::Result<Vec<SchemaDifference>> {
    let (kept, settings) = (both.take(), Arc::clone(&live.get()));
    let both = both.insert(Both::kept_or_new(kept, &settings, Purpose::Check, STATEMENT_TIMEOUT).await?);
    // The primary first: what it gave out since then of a sequence, the shadow may be ahead.
    let ours = Definitions::read(&both.primary).await?;
    let theirs = Definitions::read(&both.shadow).await?;
    let pairs = Pairs::new(&primary.get(), &shadow.get());
    Ok(ours.differences(&theirs, |table| pairs.all.iter().any(|pair| pair.name == table)))
}
