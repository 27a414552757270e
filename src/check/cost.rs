//! What the checker may cost the primary: no more rows a second than it was told, nothing while the primary answers
//! slowly or the mirror is behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::catalog::{ProbeError, Side, Throttle};
use crate::config::Live;

/// Kept over all tables: what one read, the next pays for.
#[derive(Debug)]
pub(super) struct Cost {
    live: Arc<Live>,
    throttle: Throttle,
    meter: Meter,
}

impl Cost {
    pub(super) fn new(live: Arc<Live>) -> Self {
        Self { live, throttle: Throttle::default(), meter: Meter::default() }
    }

    /// Before the primary is asked for rows; `lag` is the mirror's.
    pub(super) async fn rest(&mut self, primary: &Side<'_>, lag: Duration) -> Result<(), ProbeError> {
        tokio::time::sleep(self.meter.wait(Instant::now())).await;
        let asked = Instant::now();
        primary.query("SELECT 1").await?;
        tokio::time::sleep(self.throttle.rest(asked.elapsed(), lag)).await;
        Ok(())
    }

    /// The primary read so many rows for us since `began`.
    pub(super) fn read(&mut self, rows: u64, began: Instant) {
        self.meter.read(rows, began, self.limit());
    }

    /// Rows that one statement may read: a second's worth.
    pub(super) fn most(&self) -> u64 {
        match self.limit() {
            0 => u64::MAX,
            limit => limit,
        }
    }

    fn limit(&self) -> u64 {
        self.live.get().check.max_rows_per_second
    }
}

/// Rows by the clock. Time in which nothing is read is not saved up.
#[derive(Debug, Default)]
struct Meter {
    /// When what was read so far has been paid for.
    due: Option<Instant>,
}

impl Meter {
    /// With a `limit` of zero rows are free.
    fn read(&mut self, rows: u64, began: Instant, limit: u64) {
        if limit == 0 {
            self.due = None;
            return;
        }
        let from = self.due.map_or(began, |due| due.max(began));
        self.due = from.checked_add(Duration::from_secs_f64(rows as f64 / limit as f64));
    }

    fn wait(&self, now: Instant) -> Duration {
        self.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rows_are_paid_for_by_time_and_idle_time_is_not_saved_up() {
        let (mut meter, now) = (Meter::default(), Instant::now());
        meter.read(1000, now, 500);
        assert_eq!(meter.wait(now), 2 * SECOND);
        assert_eq!(meter.wait(now + SECOND), SECOND, "the time that reading took counts");
        meter.read(500, now + SECOND, 500);
        assert_eq!(meter.wait(now + SECOND), 2 * SECOND, "what was not paid for is added to");
        meter.read(500, now + 60 * SECOND, 500);
        assert_eq!(meter.wait(now + 60 * SECOND), SECOND);
    }

    #[test]
    fn without_a_limit_rows_are_free_also_those_read_before() {
        let (mut meter, now) = (Meter::default(), Instant::now());
        meter.read(1000, now, 1);
        meter.read(1000, now, 0);
        assert_eq!(meter.wait(now), Duration::ZERO);
    }
}
