//! Commands that start long work and follow it to its end.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::args::Work;
use super::client::Client;
use super::exit::{Exit, Failure};
use super::talk::{exit_of, say};
use super::{render, script};
use crate::report::job::{Finding, Job, JobKind, JobState, JobTable, Order, Repairs, Schema, Severity};
use crate::report::{Report, TableReport};

/// Between two looks at the job.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// Between two plain lines where there is no terminal.
const LINE: Duration = Duration::from_secs(5);

/// Starts the work and stays with it. Ctrl-c ends the following, not the work.
pub(super) async fn work(order: Order, args: Work) -> Result<Exit, Failure> {
    let kind = order.kind();
    let Work { tables, target } = args;
    let client = Client::new(&target)?;
    let mut body = serde_json::Map::new();
    if !tables.is_empty() {
        body.insert("tables".into(), json!(tables));
    }
    if order == Order::Backfill(Schema::Created) {
        body.insert("create_schema".into(), json!(true));
    }
    if order == Order::Repair(Repairs::Shown) {
        body.insert("dry_run".into(), json!(true));
    }
    let body = (!body.is_empty()).then(|| body.into());
    let started: Job = client.post(&format!("/{kind}"), body).await?.parse()?;
    let job = follow(&client, &started).await?;
    let _ = write!(std::io::stderr(), "{}", findings(&job));
    match (job.state, &job.error) {
        (JobState::Failed, _) if target.json => {
            say(&json_line(&job));
            return Ok(Exit::Bad);
        }
        (JobState::Failed, _) if job.findings.iter().any(|finding| finding.severity == Severity::Refused) => {
            return Err(Failure::new(Exit::Bad, format!("{kind} refused: nothing was copied")));
        }
        (JobState::Failed, Some(error)) => return Err(Failure::new(Exit::Bad, format!("{kind} failed: {error}"))),
        (JobState::Failed, None) => return Err(Failure::new(Exit::Bad, format!("{kind} failed"))),
        (JobState::Cancelled, _) => return Err(Failure::new(Exit::Bad, format!("{kind} was cancelled"))),
        (JobState::Running | JobState::Done, _) => {}
    }
    if kind == JobKind::Check {
        let report = only(client.get("/report").await?.parse()?, &tables);
        say(&if target.json { json_line(&report) } else { render::report(&report) });
        return Ok(exit_of(&report));
    }
    if order == Order::Repair(Repairs::Shown) {
        let job: Job = client.get(&format!("/jobs/{}?values=1", job.id)).await?.parse()?;
        say(&if target.json { json_line(&job) } else { script::script(&job.dry_run) });
        return Ok(Exit::Done);
    }
    say(&if target.json { json_line(&job) } else { summary(&job) });
    Ok(Exit::Done)
}

pub(super) fn json_line(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

/// The report of the tables that were asked for, all if none was named.
fn only(report: Report, tables: &[String]) -> Report {
    if tables.is_empty() {
        return report;
    }
    let asked = |table: &TableReport| tables.contains(&table.table);
    let kept = report.tables.into_iter().filter(asked).collect();
    let schema = report.schema;
    Report { schema, ..Report::new(report.generated_at, kept, report.reads, report.mirror) }
}

async fn follow(client: &Client, started: &Job) -> Result<Job, Failure> {
    let head = format!("{} {} has begun; ctrl-c leaves it running", started.kind, started.id);
    let mut display = Display::new(&head);
    let path = format!("/jobs/{}", started.id);
    loop {
        let job: Job = client.get(&path).await?.parse()?;
        display.update(&job);
        if job.state != JobState::Running {
            display.finish();
            return Ok(job);
        }
        sleep(LOOK).await;
    }
}

/// A bar on a terminal, now and then a line elsewhere; always on stderr.
pub(super) enum Display {
    Bar(ProgressBar),
    Lines { last: Instant },
}

impl Display {
    pub(super) fn new(head: &str) -> Self {
        let _ = writeln!(std::io::stderr(), "{head}");
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: Instant::now() };
        }
        let template = "{bar:30} {percent:>3} %  {human_pos} of about {human_len} rows, {msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::new(0).with_style(style))
    }

    pub(super) fn update(&mut self, job: &Job) {
        let (done, estimated) = rows(job);
        match self {
            // Nothing of nothing would be shown as all of it.
            Self::Bar(_) if estimated.max(done) == 0 => {}
            Self::Bar(bar) => {
                bar.set_length(estimated.max(done));
                bar.set_position(done);
                bar.set_message(format!("{}{}", speed(job), at_work(job)));
            }
            Self::Lines { last } if last.elapsed() >= LINE => {
                *last = Instant::now();
                let _ = writeln!(std::io::stderr(), "{}", line(job));
            }
            Self::Lines { .. } => {}
        }
    }

    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn rows(job: &Job) -> (u64, u64) {
    let sum = |of: fn(&JobTable) -> u64| job.tables.iter().map(of).sum();
    (sum(|table| table.rows_done), sum(|table| table.rows_estimated))
}

fn line(job: &Job) -> String {
    let (done, estimated) = rows(job);
    format!("{} {}: {done} of about {} rows, {}{}", job.kind, job.id, estimated.max(done), speed(job), at_work(job))
}

/// Rows a second of the tables at work, and how long the rest takes at that speed.
fn speed(job: &Job) -> String {
    let (done, estimated) = rows(job);
    // An empty sum of floats is minus zero.
    let per_second = at_work_on(job).fold(0.0, |sum, table| sum + table.rows_per_s);
    let left = estimated.saturating_sub(done);
    let speed = HumanCount(per_second.round() as u64);
    if per_second < 1.0 || left == 0 {
        return format!("{speed} rows/s");
    }
    let seconds = Duration::from_secs((left as f64 / per_second) as u64);
    format!("{speed} rows/s, {} left", HumanDuration(seconds))
}

/// Those of which rows are missing still; their order is that in which they were begun.
fn at_work_on(job: &Job) -> impl Iterator<Item = &JobTable> {
    job.tables.iter().filter(|table| table.rows_done > 0 && table.rows_done < table.rows_estimated)
}

fn at_work(job: &Job) -> String {
    let names: Vec<_> = at_work_on(job).map(|table| table.table.as_str()).take(2).collect();
    if names.is_empty() { String::new() } else { format!(", at {}", names.join(" and ")) }
}

/// What was found before the first row, a line each.
fn findings(job: &Job) -> String {
    let line = |finding: &Finding| {
        let word = match finding.severity {
            Severity::Refused => "refused",
            Severity::Warning => "warning",
        };
        format!("{word}: {}: {}\n", finding.table, finding.what)
    };
    job.findings.iter().map(line).collect()
}

fn summary(job: &Job) -> String {
    let (done, _) = rows(job);
    let tables = job.tables.len();
    format!(
        "{} {} is done: {done} rows in {tables} {}\n",
        job.kind,
        job.id,
        if tables == 1 { "table" } else { "tables" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        let table =
            |name: &str, rows_done| JobTable { table: name.into(), rows_done, rows_estimated: 1000, rows_per_s: 10.0 };
        let tables = vec![table("public.items", 1000), table("public.orders", 40)];
        let (kind, state) = (JobKind::Backfill, JobState::Running);
        Job { id: 3, kind, state, tables, error: None, findings: Vec::new(), dry_run: Vec::new() }
    }

    #[test]
    fn work_is_told_in_words() {
        assert_eq!(line(&job()), "backfill 3: 1040 of about 2000 rows, 10 rows/s, 2 minutes left, at public.orders");
        assert_eq!(summary(&job()), "backfill 3 is done: 1040 rows in 2 tables\n");
        let finding = |severity, what: &str| Finding { table: "public.t".into(), severity, what: what.into() };
        let found = vec![finding(Severity::Refused, "it is missing"), finding(Severity::Warning, "it has no key")];
        let told = findings(&Job { findings: found, ..job() });
        assert_eq!(told, "refused: public.t: it is missing\nwarning: public.t: it has no key\n");
        let begun = Job { tables: Vec::new(), ..job() };
        assert_eq!(line(&begun), "backfill 3: 0 of about 0 rows, 0 rows/s");
    }
}
