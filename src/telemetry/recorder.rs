//! The one table of metrics, and the recorder that renders them for Prometheus.

use metrics::{describe_counter, describe_gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use thiserror::Error;

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Up only; the name ends in `_total`.
    Counter,
    /// Up and down.
    Gauge,
}

use Kind::{Counter, Gauge};

macro_rules! metrics {
    ($($constant:ident $name:literal $kind:ident $help:literal)*) => {
        $(pub(super) const $constant: &str = $name;)*
        const METRICS: &[(&str, Kind, &str)] = &[$(($name, $kind, $help)),*];
    };
}

metrics! {
    BUILD_INFO "crossfade_build_info" Gauge "1, with the version as a label."
    UPTIME "crossfade_uptime_seconds" Gauge "Since start."
    GENERATION "crossfade_config_generation" Gauge "Accepted configurations."
    SESSIONS_OPEN "crossfade_sessions_open" Gauge "Client connections now."
    SESSIONS "crossfade_sessions_total" Counter "Client connections since start."
    SESSION_PANICS "crossfade_session_panics_total" Counter "Sessions that ended by a bug in crossfade."
    REFUSED_REWRITES "crossfade_refused_rewrites_total" Counter "Capturing rewrites that the primary refused, by what became of them: retried (in the client's form, unseen), told (the client got the error, which may be its own)."
    SERVER_STATE "crossfade_server_state" Gauge "1 for the state that primary or shadow is in, else 0."
    MIRROR_ENABLED "crossfade_mirror_enabled" Gauge "1 if writes are mirrored."
    MIRROR_PAUSED "crossfade_mirror_paused" Gauge "1 if applying is paused by the operator."
    MIRROR_CAPTURED "crossfade_mirror_captured_total" Counter "Committed transactions that wrote."
    MIRROR_APPLIED "crossfade_mirror_applied_total" Counter "Of these, committed on the shadow."
    MIRROR_SKIPPED "crossfade_mirror_skipped_total" Counter "Of these, nothing went to the ledger."
    MIRROR_PENDING "crossfade_mirror_pending" Gauge "Of these, in the ledger."
    MIRROR_QUARANTINED "crossfade_mirror_quarantined" Gauge "Of these, refused by the shadow and not healed yet."
    MIRROR_SETTLED "crossfade_mirror_settled" Gauge "1 if nothing is pending, suspect, or being read back."
    MIRROR_LAG "crossfade_mirror_lag_seconds" Gauge "Age of the oldest pending commit."
    MIRROR_BACKLOG "crossfade_mirror_backlog_bytes" Gauge "Size of the ledger, memory and disk."
    SUSPECT_TABLES "crossfade_mirror_suspect_tables" Gauge "Tables to be read back."
    SUSPECT_KEYS "crossfade_mirror_suspect_keys" Gauge "Single rows to be read back."
    READS_RAMP "crossfade_reads_ramp_ratio" Gauge "Share of eligible reads to be sent to the shadow, 0 to 1."
    READS_EFFECTIVE "crossfade_reads_effective_ratio" Gauge "Share of eligible reads the shadow served over the last minute, 0 to 1; NaN without any."
    READS "crossfade_reads_total" Counter "Drawn reads, by what became of them: shadow, fallback (allowed, answered by the primary), ineligible."
    READS_COMPARED "crossfade_reads_compared_total" Counter "Reads run on both sides."
    READS_MISMATCHED "crossfade_reads_mismatched_total" Counter "Of these, with different answers."
    READS_NOT_COMPARABLE "crossfade_reads_not_comparable_total" Counter "Reads run on both sides of which nothing can be said: the primary does not agree with itself, or the shadow took too long."
    READS_COMPARISONS_DROPPED "crossfade_reads_comparisons_dropped_total" Counter "Comparisons of reads given up: no room, no connection, no end."
    GUARD_OPENED "crossfade_guard_opened_total" Counter "How often the guard opened, by the limit that was passed."
    GUARD_STATE "crossfade_guard_state" Gauge "1 for the state the guard is in, else 0. Open: every read goes to the primary."
    CHECK_RUNNING "crossfade_check_running" Gauge "1 while a round compares."
    CHECK_ROUNDS "crossfade_check_rounds_total" Counter "Rounds begun."
    CHECK_VERDICT "crossfade_check_verdict" Gauge "1 for the verdict over all tables, else 0."
    TABLES "crossfade_tables" Gauge "Tables, by how they stand."
    DIFFERENCES "crossfade_row_differences" Gauge "Confirmed differences of the last check not repaired yet, by kind."
    REPAIRED "crossfade_row_differences_repaired" Gauge "Differences of the last check repaired since."
}

/// Why there are no metrics.
#[derive(Debug, Error)]
pub enum MetricsError {
    /// A second start.
    #[error("metrics have been started already in this process")]
    Started,
}

/// Everything measured in this process, as text.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// For the whole process, once.
    pub fn start() -> Result<Self, MetricsError> {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Started)?;
        describe();
        Ok(Self(handle))
    }

    /// In the text format of Prometheus.
    pub fn render(&self) -> String {
        self.0.render()
    }
}

fn describe() {
    for &(name, kind, help) in METRICS {
        match kind {
            Counter => describe_counter!(name, help),
            Gauge => describe_gauge!(name, help),
        }
    }
}

/// What `measure` records, for a test.
#[cfg(test)]
pub(super) fn rendered(measure: impl Fn()) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        measure();
    });
    recorder.handle().render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_one_form() {
        for (name, kind, help) in METRICS {
            assert!(name.starts_with("crossfade_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Counter, "{name}");
            assert!(help.ends_with('.'), "{name}");
        }
    }
}
