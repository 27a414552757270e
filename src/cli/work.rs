//! Commands that start long work and follow it to its end.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::args::Work;
use super::client::Client;
use super::exit::{Exit, Failure};
use super::render;
use super::talk::{exit_of, say};
use crate::report::job::{Job, JobKind, JobState};
use crate::report::{Report, TableReport};

/// Between two looks at the job.
const LOOK: Duration = Duration::from_millis(250);
/// Between two plain lines where there is no terminal.
const LINE: Duration = Duration::from_secs(5);

/// Starts the work and stays with it. Ctrl-c ends the following, not the work.
pub(super) async fn work(kind: JobKind, args: Work) -> Result<Exit, Failure> {
    let Work { tables, target } = args;
    let client = Client::new(&target)?;
    let body = (!tables.is_empty()).then(|| json!({"tables": tables}));
    let started: Job = client.post(&format!("/{kind}"), body).await?.parse()?;
    let job = follow(&client, &started).await?;
    match (job.state, &job.error) {
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
    say(&if target.json { json_line(&job) } else { summary(&job) });
    Ok(Exit::Done)
}

fn json_line(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

/// The report of the tables that were asked for, all if none was named.
fn only(report: Report, tables: &[String]) -> Report {
    if tables.is_empty() {
        return report;
    }
    let asked = |table: &TableReport| tables.contains(&table.table);
    let kept = report.tables.into_iter().filter(asked).collect();
    Report::new(report.generated_at, kept, report.reads, report.mirror)
}

async fn follow(client: &Client, started: &Job) -> Result<Job, Failure> {
    let mut display = Display::new(started);
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
enum Display {
    Bar(ProgressBar),
    Lines { last: Instant },
}

impl Display {
    fn new(job: &Job) -> Self {
        let head = format!("{} {} has begun; ctrl-c leaves it running", job.kind, job.id);
        let _ = writeln!(std::io::stderr(), "{head}");
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: Instant::now() };
        }
        let template = "{bar:30} {percent:>3} %  {human_pos} of about {human_len} rows, {per_sec}  {msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self::Bar(ProgressBar::new(0).with_style(style))
    }

    fn update(&mut self, job: &Job) {
        let (done, estimated) = rows(job);
        match self {
            Self::Bar(bar) => {
                bar.set_length(estimated.max(done));
                bar.set_position(done);
                bar.set_message(job.tables.last().map(|table| table.table.clone()).unwrap_or_default());
            }
            Self::Lines { last } if last.elapsed() >= LINE => {
                *last = Instant::now();
                let _ = writeln!(std::io::stderr(), "{}", line(job));
            }
            Self::Lines { .. } => {}
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn rows(job: &Job) -> (u64, u64) {
    let sum = |of: fn(&crate::report::job::JobTable) -> u64| job.tables.iter().map(of).sum();
    (sum(|table| table.rows_done), sum(|table| table.rows_estimated))
}

fn line(job: &Job) -> String {
    let (done, estimated) = rows(job);
    let at = job.tables.last().map(|table| format!(", at {}", table.table)).unwrap_or_default();
    format!("{} {}: {done} of about {} rows{at}", job.kind, job.id, estimated.max(done))
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
    use crate::report::job::JobTable;

    fn job() -> Job {
        let table =
            |name: &str, rows_done| JobTable { table: name.into(), rows_done, rows_estimated: 1000, rows_per_s: 10.0 };
        let tables = vec![table("public.items", 1000), table("public.orders", 40)];
        Job { id: 3, kind: JobKind::Backfill, state: JobState::Running, tables, error: None }
    }

    #[test]
    fn work_is_told_in_words() {
        assert_eq!(line(&job()), "backfill 3: 1040 of about 2000 rows, at public.orders");
        assert_eq!(summary(&job()), "backfill 3 is done: 1040 rows in 2 tables\n");
        let begun = Job { tables: Vec::new(), ..job() };
        assert_eq!(line(&begun), "backfill 3: 0 of about 0 rows");
    }
}
