//! How many rows a chunk should have, so that its statement takes about a given time.

use std::time::Duration;

/// Grows and shrinks with the time that chunks take; at most by half or double a step, so one slow answer changes little.
#[derive(Debug, Clone)]
pub struct Pace {
    rows: u64,
    most: u64,
    aim: Duration,
}

impl Pace {
    /// Begins with `rows`, aims at `aim`, never goes above `most`.
    pub fn new(rows: u64, most: u64, aim: Duration) -> Self {
        Self { rows: rows.clamp(1, most.max(1)), most: most.max(1), aim }
    }

    /// For the next chunk.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// A chunk of `rows` rows took `elapsed`.
    pub fn took(&mut self, rows: u64, elapsed: Duration) {
        let factor = self.aim.as_secs_f64() / elapsed.as_secs_f64().max(1e-6);
        // A chunk that was not full says nothing about a larger one.
        let full = rows >= self.rows;
        let wanted = (self.rows as f64 * factor.clamp(0.5, if full { 2.0 } else { 1.0 })) as u64;
        self.rows = wanted.clamp(1, self.most);
    }

    /// A chunk had to be given up: the next is half as large.
    pub fn shrink(&mut self) {
        self.rows = (self.rows / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_settle_where_they_take_the_time_aimed_at() {
        let mut pace = Pace::new(1000, 1_000_000, Duration::from_millis(200));
        for _ in 0..30 {
            let rows = pace.rows();
            pace.took(rows, Duration::from_micros(10 * rows));
        }
        assert!((15_000..=25_000).contains(&pace.rows()), "{}", pace.rows());
    }

    #[test]
    fn a_chunk_is_never_empty_and_never_above_the_bound() {
        let mut pace = Pace::new(5000, 1000, Duration::from_millis(200));
        assert_eq!(pace.rows(), 1000);
        for _ in 0..20 {
            pace.took(pace.rows(), Duration::from_secs(9));
        }
        assert_eq!(pace.rows(), 1);
        pace.shrink();
        assert_eq!(pace.rows(), 1);
        pace.took(1, Duration::ZERO);
        assert_eq!(pace.rows(), 2);
    }

    #[test]
    fn a_short_last_chunk_does_not_make_the_next_larger() {
        let mut pace = Pace::new(1000, 10_000, Duration::from_millis(200));
        pace.took(3, Duration::from_millis(1));
        assert_eq!(pace.rows(), 1000);
    }
}
