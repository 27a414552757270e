//! Sets the metrics from the same snapshot that `/status` shows, so that the two never disagree.

use metrics::{counter, gauge};

use super::guard::CAUSES;
use super::recorder as name;
use super::refusals::OUTCOMES;
use crate::report::{
    CheckState, CheckStatus, GuardState, MirrorStatus, ReadsStatus, ServerState, ServerStatus, Status, TableReport,
    TableStatus, Verdict,
};

/// To be called before rendering.
pub fn publish(status: &Status, tables: &[TableReport]) {
    gauge!(name::BUILD_INFO, "version" => status.version.clone()).set(1.0);
    gauge!(name::UPTIME).set(status.uptime_s);
    gauge!(name::GENERATION).set(status.generation as f64);
    gauge!(name::SESSIONS_OPEN).set(status.sessions.open as f64);
    counter!(name::SESSIONS).absolute(status.sessions.total);
    // Shown from the start, not from the first one on.
    counter!(name::SESSION_PANICS).increment(0);
    for outcome in OUTCOMES {
        counter!(name::REFUSED_REWRITES, "outcome" => outcome).increment(0);
    }
    for cause in CAUSES {
        counter!(name::GUARD_OPENED, "cause" => cause).increment(0);
    }
    server("primary", &status.primary);
    server("shadow", &status.shadow);
    mirror(&status.mirror);
    reads(&status.reads);
    for (label, state) in
        [("closed", GuardState::Closed), ("open", GuardState::Open), ("half_open", GuardState::HalfOpen)]
    {
        gauge!(name::GUARD_STATE, "state" => label).set(flag(status.guard.state == state));
    }
    check(&status.check, tables);
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

fn server(server: &'static str, status: &ServerStatus) {
    for (label, state) in [("up", ServerState::Up), ("down", ServerState::Down), ("degraded", ServerState::Degraded)] {
        gauge!(name::SERVER_STATE, "server" => server, "state" => label).set(flag(status.state == state));
    }
}

fn mirror(mirror: &MirrorStatus) {
    gauge!(name::MIRROR_ENABLED).set(flag(mirror.enabled));
    gauge!(name::MIRROR_PAUSED).set(flag(mirror.paused));
    counter!(name::MIRROR_CAPTURED).absolute(mirror.captured);
    counter!(name::MIRROR_APPLIED).absolute(mirror.applied);
    counter!(name::MIRROR_SKIPPED).absolute(mirror.skipped);
    gauge!(name::MIRROR_PENDING).set(mirror.pending as f64);
    gauge!(name::MIRROR_QUARANTINED).set(mirror.quarantined as f64);
    gauge!(name::MIRROR_SETTLED).set(flag(mirror.settled));
    gauge!(name::MIRROR_LAG).set(mirror.lag_ms as f64 / 1000.0);
    gauge!(name::MIRROR_BACKLOG).set(mirror.backlog_bytes as f64);
    gauge!(name::SUSPECT_TABLES).set(mirror.suspect_tables.len() as f64);
    gauge!(name::SUSPECT_KEYS).set(mirror.suspect_keys as f64);
}

fn reads(reads: &ReadsStatus) {
    gauge!(name::READS_RAMP).set(reads.percent / 100.0);
    gauge!(name::READS_EFFECTIVE).set(reads.effective_percent.map_or(f64::NAN, |percent| percent / 100.0));
    counter!(name::READS, "outcome" => "shadow").absolute(reads.shadow);
    counter!(name::READS, "outcome" => "fallback").absolute(reads.fallback);
    counter!(name::READS, "outcome" => "ineligible").absolute(reads.ineligible);
    counter!(name::READS_COMPARED).absolute(reads.compared);
    counter!(name::READS_MISMATCHED).absolute(reads.mismatched);
    counter!(name::READS_NOT_COMPARABLE).absolute(reads.not_comparable);
    counter!(name::READS_COMPARISONS_DROPPED).absolute(reads.comparisons_dropped);
}

/// By status and kind, not by table: how many tables there are is not ours to bound.
fn check(check: &CheckStatus, tables: &[TableReport]) {
    gauge!(name::CHECK_RUNNING).set(flag(check.state == CheckState::Running));
    counter!(name::CHECK_ROUNDS).absolute(check.round);
    for (label, verdict) in
        [("consistent", Verdict::Consistent), ("diverged", Verdict::Diverged), ("unknown", Verdict::Unknown)]
    {
        gauge!(name::CHECK_VERDICT, "verdict" => label).set(flag(check.verdict == verdict));
    }
    for (label, status) in [
        ("consistent", TableStatus::Consistent),
        ("diverged", TableStatus::Diverged),
        ("suspect", TableStatus::Suspect),
        ("unchecked", TableStatus::Unchecked),
        ("unverifiable", TableStatus::Unverifiable),
    ] {
        let count = tables.iter().filter(|table| table.status == status).count();
        gauge!(name::TABLES, "status" => label).set(count as f64);
    }
    let sum = |of: fn(&TableReport) -> u64| tables.iter().map(of).sum::<u64>() as f64;
    gauge!(name::DIFFERENCES, "kind" => "missing").set(sum(|table| table.missing));
    gauge!(name::DIFFERENCES, "kind" => "extra").set(sum(|table| table.extra));
    gauge!(name::DIFFERENCES, "kind" => "different").set(sum(|table| table.different));
    gauge!(name::REPAIRED).set(sum(|table| table.repaired));
}

#[cfg(test)]
mod tests {
    use super::super::recorder::rendered;
    use super::*;

    fn status() -> Status {
        Status {
            version: "0.1.0".into(),
            uptime_s: 12.5,
            generation: 3,
            sessions: crate::report::SessionsStatus { open: 2, total: 9 },
            primary: ServerStatus { state: ServerState::Up, ..ServerStatus::default() },
            shadow: ServerStatus { state: ServerState::Degraded, ..ServerStatus::default() },
            mirror: MirrorStatus { captured: 10, applied: 7, pending: 3, lag_ms: 1500, ..MirrorStatus::default() },
            reads: ReadsStatus { percent: 25.0, shadow: 4, ..ReadsStatus::default() },
            guard: crate::report::GuardStatus::default(),
            check: CheckStatus::default(),
        }
    }

    #[test]
    fn the_status_is_told_in_base_units() {
        let text = rendered(|| publish(&status(), &[]));
        for line in [
            "crossfade_build_info{version=\"0.1.0\"} 1",
            "crossfade_mirror_captured_total 10",
            "crossfade_mirror_lag_seconds 1.5",
            "crossfade_reads_ramp_ratio 0.25",
            "crossfade_reads_effective_ratio NaN",
            "crossfade_reads_total{outcome=\"shadow\"} 4",
            "crossfade_server_state{server=\"shadow\",state=\"degraded\"} 1",
            "crossfade_server_state{server=\"shadow\",state=\"up\"} 0",
            "crossfade_guard_state{state=\"closed\"} 1",
            "# TYPE crossfade_sessions_total counter",
            "# HELP crossfade_sessions_open Client connections now.",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn every_metric_of_the_status_has_help() {
        let text = rendered(|| publish(&status(), &[]));
        let types = text.lines().filter(|line| line.starts_with("# TYPE")).count();
        let helps = text.lines().filter(|line| line.starts_with("# HELP")).count();
        assert_eq!(types, helps);
    }

    #[test]
    fn counters_follow_a_second_scrape() {
        let mut later = status();
        later.mirror.applied = 10;
        later.mirror.pending = 0;
        let text = rendered(|| {
            publish(&status(), &[]);
            publish(&later, &[]);
        });
        assert!(text.contains("crossfade_mirror_applied_total 10\n"), "{text}");
        assert!(text.contains("crossfade_mirror_pending 0\n"), "{text}");
    }
}
