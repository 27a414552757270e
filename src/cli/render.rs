//! Status, report and reload in plain words.

use std::fmt::Write;

use super::columns::{Align, columns};
use crate::config::{ReloadOutcome, RuleOf};
use crate::report::{
    CheckState, Difference, DifferenceKind, GuardState, KeptReads, MirrorStatus, QueryReads, ReadsReport, ReadsStatus,
    Report, RoundReport, RuleStatus, SchemaDifference, SchemaKind, ServerState, ServerStatus, Status, TableReport,
    TableStatus, Verdict, Way,
};

/// Kinds of reads that stay on the primary in a status for people.
const KEPT: usize = 5;
/// Kinds of queries in a report for people.
const SHOWN: usize = 20;

/// `crossfade status`
pub(super) fn status(status: &Status) -> String {
    let Status { version, uptime_s, generation, sessions, primary, shadow, mirror, reads, guard, check } = status;
    let guard_state = match guard.state {
        GuardState::Closed => "closed: the ramp works",
        GuardState::Open => "open: every read goes to the primary",
        GuardState::HalfOpen => "half open: a few reads are tried on the shadow",
    };
    let checking = match check.state {
        CheckState::Idle => "idle",
        CheckState::Running => "running",
    };
    let mut text = format!("crossfade {version}, up {}, configuration {generation}\n\n", span(*uptime_s));
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<10}{value}");
    };
    line("sessions", format!("{} open, {} in all", sessions.open, sessions.total));
    line("primary", server(primary));
    line("shadow", server(shadow));
    for (i, value) in mirror_lines(mirror).into_iter().enumerate() {
        line(if i == 0 { "mirror" } else { "" }, value);
    }
    for (i, value) in reads_lines(reads).into_iter().enumerate() {
        line(if i == 0 { "reads" } else { "" }, value);
    }
    line("guard", format!("{guard_state}{}", guard.reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()));
    line("check", format!("{checking}, round {}, verdict {}", check.round, verdict(check.verdict)));
    text
}

fn server(server: &ServerStatus) -> String {
    let state = match server.state {
        ServerState::Up => "up",
        ServerState::Down => "down",
        ServerState::Degraded => "degraded",
    };
    let version = server.server_version.as_ref().map(|version| format!(", PostgreSQL {version}")).unwrap_or_default();
    let error = server.last_error.as_ref().map(|error| format!(", last error: {error}")).unwrap_or_default();
    format!("{state}{version}{error}")
}

fn mirror_lines(mirror: &MirrorStatus) -> Vec<String> {
    let MirrorStatus { captured, applied, pending, quarantined, skipped, .. } = mirror;
    let state = match (mirror.enabled, mirror.paused, mirror.settled) {
        (false, ..) => "off",
        (true, true, _) => "paused",
        (true, false, true) => "settled",
        (true, false, false) => "at work",
    };
    let backlog = bytes(mirror.backlog_bytes);
    let mut lines = vec![
        format!("{state}, {pending} pending, lag {} ms, backlog {backlog}", mirror.lag_ms),
        format!(
            "{captured} captured = {applied} applied + {pending} pending + {quarantined} quarantined + {skipped} skipped"
        ),
    ];
    if !mirror.suspect_tables.is_empty() || mirror.suspect_keys > 0 {
        let tables =
            if mirror.suspect_tables.is_empty() { "no table".into() } else { mirror.suspect_tables.join(", ") };
        lines.push(format!("suspect, to be read back: {tables}; {} single rows", mirror.suspect_keys));
    }
    lines
}

fn reads_lines(reads: &ReadsStatus) -> Vec<String> {
    let ReadsStatus { percent, eligible, shadow, fallback, ineligible, compared, mismatched, .. } = reads;
    let ReadsStatus { not_comparable, comparisons_dropped, .. } = reads;
    let effective = reads.effective_percent.map(|share| format!(", {share:.1} % in effect over the last minute"));
    let mut lines = vec![
        format!("{percent} % to the shadow{}", effective.unwrap_or_default()),
        format!("{eligible} eligible = {shadow} by the shadow + {fallback} fallback; {ineligible} not eligible"),
    ];
    lines.extend(reads.rules.iter().map(rule_line));
    let kept = |kept: &KeptReads| format!("kept on the primary, {}: {} times {}", kept.reason, kept.count, kept.query);
    lines.extend(reads.kept.iter().take(KEPT).map(kept));
    let (open, dropped) = (*not_comparable, *comparisons_dropped);
    if compared + open + dropped > 0 {
        lines.push(compared_line(*compared, *mismatched, open, dropped));
    }
    lines
}

fn definitions(difference: &SchemaDifference) -> String {
    let kind = match difference.kind {
        SchemaKind::Table => "table",
        SchemaKind::Column => "column",
        SchemaKind::Constraint => "constraint",
        SchemaKind::Index => "index",
        SchemaKind::Sequence => "sequence",
        SchemaKind::SequencePosition => "position of sequence",
        SchemaKind::Extension => "extension",
        SchemaKind::Collation => "collation",
        SchemaKind::Owner => "owner of",
        SchemaKind::Grants => "grants on",
    };
    let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let (primary, shadow) = (side(&difference.primary), side(&difference.shadow));
    format!("  {kind} {}: {primary} on the primary, {shadow} on the shadow\n", difference.object)
}

fn rule_line(rule: &RuleStatus) -> String {
    let RuleStatus { of, percent, eligible, shadow, fallback, .. } = rule;
    let of = match of {
        RuleOf::Table(pattern) => format!("of table {pattern}"),
        RuleOf::Query(text) => format!("like {text}"),
    };
    let effective = rule.effective_percent.map(|share| format!(", {share:.1} % in effect")).unwrap_or_default();
    format!("{percent} % {of}{effective}: {eligible} eligible = {shadow} by the shadow + {fallback} fallback")
}

fn compared_line(compared: u64, mismatched: u64, open: u64, dropped: u64) -> String {
    format!("{compared} compared, {mismatched} with different answers; {open} not comparable, {dropped} given up")
}

/// Rounds shown.
const ROUNDS: usize = 10;

/// `crossfade check --once`: the tables alone.
pub(super) fn comparison(report: &Report) -> String {
    let mut text = format!("verdict: {}  ({})\n", verdict(report.verdict), report.generated_at);
    let schema = report.schema.iter().flatten();
    let mut schema = schema.map(definitions).peekable();
    if schema.peek().is_some() {
        text.push_str("\ndefinitions that differ:\n");
        text.extend(schema);
    }
    if report.tables.is_empty() {
        text.push_str("\nno tables\n");
    } else {
        text.push('\n');
        text.push_str(&tables(&report.tables));
    }
    for table in &report.tables {
        text.push_str(&notes(table));
    }
    let samples: Vec<_> = report.tables.iter().flat_map(|t| t.samples.iter().map(|s| (t.table.as_str(), s))).collect();
    if !samples.is_empty() {
        text.push_str("\ndifferences (some of them, where there are many):\n");
        for (table, sample) in samples {
            text.push_str(&difference(table, sample));
        }
    }
    text
}

/// `crossfade report`
pub(super) fn report(report: &Report) -> String {
    let mut text = comparison(report);
    if !report.history.is_empty() {
        let _ = write!(text, "\n{}", rounds(&report.history[..report.history.len().min(ROUNDS)]));
    }
    if !report.reads.by_query.is_empty() {
        let ReadsReport { compared, mismatched, not_comparable, dropped, by_query, .. } = &report.reads;
        let _ = writeln!(text, "\nreads: {}\n", compared_line(*compared, *mismatched, *not_comparable, *dropped));
        text.push_str(&queries(by_query));
    }
    let _ = writeln!(text, "\nmirror: {}", mirror_lines(&report.mirror.status).join("\n        "));
    for refused in &report.mirror.quarantine {
        let (seq, sqlstate, table) = (refused.seq, &refused.sqlstate, &refused.table);
        let _ = writeln!(text, "refused by the shadow: {table}, SQLSTATE {sqlstate}: {} (seq {seq})", refused.message);
    }
    for replayed in &report.mirror.replayed {
        let _ = writeln!(text, "replayed {} times: {} ({})", replayed.count, replayed.query, replayed.reason);
    }
    for handled in &report.mirror.handled {
        let table = handled.table.as_deref().unwrap_or("unknown tables");
        let how = match handled.way {
            Way::Exact => "captured exactly",
            Way::Refreshed => "to be read back",
            Way::Replayed => "to be replayed",
        };
        let why = handled.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
        let _ = writeln!(text, "{table}: {} transactions {how}{why}", handled.transactions);
    }
    text
}

fn tables(tables: &[TableReport]) -> String {
    let header = [
        ("TABLE", Align::Left),
        ("STATUS", Align::Left),
        ("ROWS", Align::Right),
        ("COVERED", Align::Right),
        ("MISSING", Align::Right),
        ("EXTRA", Align::Right),
        ("DIFFERENT", Align::Right),
        ("REPAIRED", Align::Right),
        ("CHECKED AT", Align::Left),
        ("WHY", Align::Left),
    ];
    let row = |table: &TableReport| {
        [
            table.table.clone(),
            table_status(table.status).to_owned(),
            table.rows_checked.to_string(),
            format!("{} %", table.coverage_percent),
            table.missing.to_string(),
            table.extra.to_string(),
            table.different.to_string(),
            table.repaired.to_string(),
            table.checked_at.clone().unwrap_or_else(|| "never".to_owned()),
            table.reason.clone().unwrap_or_default(),
        ]
    };
    columns(header, &tables.iter().map(row).collect::<Vec<_>>())
}

/// The first of many.
fn queries(queries: &[QueryReads]) -> String {
    let header = [
        ("COMPARED", Align::Right),
        ("DIFFERENT", Align::Right),
        ("ROWS", Align::Right),
        ("PRIMARY P50", Align::Right),
        ("P99", Align::Right),
        ("SHADOW P50", Align::Right),
        ("P99", Align::Right),
        ("PLAN", Align::Left),
        ("QUERY", Align::Left),
    ];
    let row = |query: &QueryReads| {
        [
            query.compared.to_string(),
            query.mismatched.to_string(),
            query.rows.to_string(),
            format!("{:.2} ms", query.primary_p50_ms),
            format!("{:.2} ms", query.primary_p99_ms),
            format!("{:.2} ms", query.shadow_p50_ms),
            format!("{:.2} ms", query.shadow_p99_ms),
            if query.plan_regression { "slower" } else { "" }.to_owned(),
            query.query.clone(),
        ]
    };
    let mut text = columns(header, &queries.iter().take(SHOWN).map(row).collect::<Vec<_>>());
    if queries.len() > SHOWN {
        let _ = writeln!(text, "and {} more: --json shows all", queries.len() - SHOWN);
    }
    text
}

/// What does not fit into a row: a check that runs, chunks that nothing could be said of, columns left out.
fn notes(table: &TableReport) -> String {
    let mut text = String::new();
    let name = &table.table;
    if let Some(left) = table.left_s {
        let _ = writeln!(text, "{name} is being compared: {:.0} rows/s, {} left", table.rows_per_s, span(left));
    }
    let chunks = &table.chunks;
    if chunks.busy + chunks.unverifiable > 0 {
        let _ = writeln!(
            text,
            "{name}, chunks: {} match, {} differ, {} were busy, {} could not be compared",
            chunks.matched, chunks.confirmed, chunks.busy, chunks.unverifiable
        );
    }
    for skipped in &table.skipped_columns {
        let _ = writeln!(text, "{name}: column {} is not compared: {}", skipped.column, skipped.reason);
    }
    text
}

fn rounds(history: &[RoundReport]) -> String {
    let header = [
        ("ROUND", Align::Right),
        ("ENDED AT", Align::Left),
        ("VERDICT", Align::Left),
        ("TABLES", Align::Right),
        ("CONSISTENT", Align::Right),
        ("ROWS", Align::Right),
        ("MISSING", Align::Right),
        ("EXTRA", Align::Right),
        ("DIFFERENT", Align::Right),
    ];
    let row = |round: &RoundReport| {
        [
            round.round.to_string(),
            round.ended_at.clone(),
            verdict(round.verdict).to_owned(),
            round.tables.to_string(),
            round.consistent.to_string(),
            round.rows_checked.to_string(),
            round.missing.to_string(),
            round.extra.to_string(),
            round.different.to_string(),
        ]
    };
    columns(header, &history.iter().map(row).collect::<Vec<_>>())
}

fn difference(table: &str, difference: &Difference) -> String {
    let key: Vec<_> = difference.key.iter().map(|(column, value)| format!("{column} = {value}")).collect();
    let what = match difference.kind {
        DifferenceKind::Missing => "is missing on the shadow".to_owned(),
        DifferenceKind::Extra => "is on the shadow only".to_owned(),
        DifferenceKind::Different => format!("differs in {}", difference.columns.join(", ")),
    };
    let mut text = format!("  {table}: the row {} {what}\n", key.join(", "));
    for (side, row) in [("primary", &difference.primary), ("shadow", &difference.shadow)] {
        let Some(row) = row else { continue };
        let null = || "NULL".to_owned();
        let values: Vec<_> = row
            .iter()
            .map(|(column, value)| format!("{column} = {}", value.as_ref().map_or_else(null, |v| format!("{v:?}"))))
            .collect();
        let _ = writeln!(text, "    {side:<8}{}", values.join(", "));
    }
    text
}

/// `crossfade reload`
pub(super) fn reload(outcome: &ReloadOutcome) -> String {
    let ReloadOutcome { changed, needs_restart, overridden, generation } = outcome;
    let mut text = format!("configuration {generation} is in force\n");
    if changed.is_empty() && needs_restart.is_empty() {
        text.push_str("nothing changed\n");
    }
    for (name, keys) in [
        ("changed", changed),
        ("waiting for a restart", needs_restart),
        ("overridden by environment or command line", overridden),
    ] {
        if !keys.is_empty() {
            let _ = writeln!(text, "{name}: {}", keys.join(", "));
        }
    }
    text
}

pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Consistent => "consistent",
        Verdict::Diverged => "diverged",
        Verdict::Unknown => "unknown",
    }
}

fn table_status(status: TableStatus) -> &'static str {
    match status {
        TableStatus::Consistent => "consistent",
        TableStatus::Diverged => "diverged",
        TableStatus::Suspect => "suspect",
        TableStatus::Unchecked => "unchecked",
        TableStatus::Unverifiable => "unverifiable",
    }
}

fn span(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut scaled = bytes as f64 / 1024.0;
    let mut unit = 0;
    while scaled >= 1024.0 && unit + 1 < units.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", units[unit])
}

#[cfg(test)]
mod tests;
