//! The end of the demo in words: a line per step of the ramp, and every promise with whether it was kept.

use std::fmt;
use std::time::Duration;

use super::load::Tally;

/// One step of the ramp.
pub(super) struct Step {
    /// `reads.percent`.
    pub(super) percent: f64,
    /// How long it lasted.
    pub(super) lasted: Duration,
    /// What the shoppers did in it.
    pub(super) tally: Tally,
    /// Reads that the shadow answered.
    pub(super) shadow_reads: u64,
    /// The highest lag seen.
    pub(super) max_lag_ms: u64,
    p50: Duration,
    p99: Duration,
}

impl Step {
    pub(super) fn new(percent: f64, lasted: Duration, mut tally: Tally, shadow_reads: u64, max_lag_ms: u64) -> Self {
        let (p50, p99) = (tally.quantile(0.5), tally.quantile(0.99));
        Self { percent, lasted, tally, shadow_reads, max_lag_ms, p50, p99 }
    }

    /// Of all reads that the shoppers sent in it, in percent.
    pub(super) fn shadow_share(&self) -> f64 {
        if self.tally.reads == 0 { 0.0 } else { self.shadow_reads as f64 * 100.0 / self.tally.reads as f64 }
    }
}

/// Something the demo is to show, and whether it did.
pub(super) struct Promise {
    pub(super) text: String,
    pub(super) kept: bool,
}

/// What is printed last.
#[derive(Default)]
pub(super) struct Summary {
    pub(super) steps: Vec<Step>,
    pub(super) promises: Vec<Promise>,
    /// The first few things that went wrong with clients.
    pub(super) troubles: Vec<String>,
}

impl Summary {
    pub(super) fn promise(&mut self, kept: bool, text: impl Into<String>) {
        self.promises.push(Promise { text: text.into(), kept });
    }

    pub(super) fn all_kept(&self) -> bool {
        self.promises.iter().all(|promise| promise.kept)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  ramp   turns/s   p50 ms   p99 ms   reads   by the shadow   share   highest lag")?;
        for step in &self.steps {
            writeln!(
                f,
                "{:>4} %   {:>7.0}   {:>6.1}   {:>6.1}   {:>5}   {:>13}   {:>3.0} %   {:>8} ms",
                step.percent,
                step.tally.turns as f64 / step.lasted.as_secs_f64().max(0.001),
                step.p50.as_secs_f64() * 1000.0,
                step.p99.as_secs_f64() * 1000.0,
                step.tally.reads,
                step.shadow_reads,
                step.shadow_share(),
                step.max_lag_ms,
            )?;
        }
        writeln!(f)?;
        for Promise { text, kept } in &self.promises {
            writeln!(f, "  {}  {text}", if *kept { "kept  " } else { "BROKEN" })?;
        }
        for trouble in &self.troubles {
            writeln!(f, "          {trouble}")?;
        }
        writeln!(f)?;
        f.write_str(if self.all_kept() { "verdict: consistent" } else { "verdict: not as promised" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(reads: u64, shadow_reads: u64) -> Step {
        let tally = Tally { turns: 2 * reads, reads, ..Tally::default() };
        Step::new(50.0, Duration::from_secs(2), tally, shadow_reads, 7)
    }

    #[test]
    fn the_share_is_taken_of_all_reads_sent() {
        assert!((step(200, 50).shadow_share() - 25.0).abs() < 1e-9);
        assert!(step(0, 0).shadow_share().abs() < 1e-9);
    }

    #[test]
    fn one_broken_promise_breaks_the_verdict() {
        let mut summary = Summary { steps: vec![step(200, 50)], ..Summary::default() };
        summary.promise(true, "no client saw an error");
        assert!(summary.all_kept());
        assert!(summary.to_string().ends_with("verdict: consistent"), "{summary}");
        summary.promise(false, "three planted faults found");
        assert!(!summary.all_kept());
        let text = summary.to_string();
        assert!(text.contains("BROKEN  three planted faults found"), "{text}");
        assert!(text.ends_with("verdict: not as promised"), "{text}");
    }
}
