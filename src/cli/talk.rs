//! Commands that ask one question, or set one thing.

use std::io::Write;

use serde_json::json;

use super::args::{Talk, Target};
use super::client::{Answer, Client, percent_encoded};
use super::exit::{Exit, Failure};
use super::{once, render, work};
use crate::config::ReloadOutcome;
use crate::report::job::{Order, Repairs, Schema};
use crate::report::{Report, Status, Verdict};

/// Carries the command out against the running proxy.
pub(super) async fn talk(command: Talk) -> Result<Exit, Failure> {
    match command {
        Talk::Status { target } => {
            let answer = Client::new(&target)?.get("/status").await?;
            show_status(&target, &answer)
        }
        Talk::Report { table, values, target } => report(table.as_deref(), values, &target).await,
        Talk::Ramp { percent, target } => ramp(percent, &target).await,
        Talk::Check(args) if args.once => once::check(args).await,
        Talk::Check(args) => work::work(Order::Check, args.work).await,
        Talk::Backfill { create_schema, work: args } => {
            let schema = if create_schema { Schema::Created } else { Schema::Present };
            work::work(Order::Backfill(schema), args).await
        }
        Talk::Repair { dry_run, work: args } => {
            let repairs = if dry_run { Repairs::Shown } else { Repairs::Made };
            work::work(Order::Repair(repairs), args).await
        }
        Talk::Reload { target } => {
            let answer = Client::new(&target)?.post("/reload", None).await?;
            show(&target, &answer, &render::reload(&answer.parse::<ReloadOutcome>()?));
            Ok(Exit::Done)
        }
        Talk::Pause { target } => {
            let answer = Client::new(&target)?.post("/mirror/pause", None).await?;
            show_status(&target, &answer)
        }
        Talk::Resume { target } => {
            let answer = Client::new(&target)?.post("/mirror/resume", None).await?;
            show_status(&target, &answer)
        }
    }
}

async fn report(table: Option<&str>, values: bool, target: &Target) -> Result<Exit, Failure> {
    let table = table.map(|table| format!("table={}", percent_encoded(table)));
    let query: Vec<_> = table.into_iter().chain(values.then(|| "values=1".to_owned())).collect();
    let answer = Client::new(target)?.get(&format!("/report?{}", query.join("&"))).await?;
    let report: Report = answer.parse()?;
    show(target, &answer, &render::report(&report));
    Ok(exit_of(&report))
}

/// Diverged is a bad answer; unknown is none.
pub(super) fn exit_of(report: &Report) -> Exit {
    match report.verdict {
        Verdict::Diverged => Exit::Bad,
        Verdict::Consistent | Verdict::Unknown => Exit::Done,
    }
}

async fn ramp(percent: Option<f64>, target: &Target) -> Result<Exit, Failure> {
    let client = Client::new(target)?;
    let answer = match percent {
        Some(percent) => client.post("/ramp", Some(json!({"percent": percent}))).await?,
        None => client.get("/status").await?,
    };
    let Status { reads, .. } = answer.parse()?;
    show(target, &answer, &format!("{} % of eligible reads go to the shadow\n", reads.percent));
    Ok(Exit::Done)
}

fn show_status(target: &Target, answer: &Answer) -> Result<Exit, Failure> {
    show(target, answer, &render::status(&answer.parse()?));
    Ok(Exit::Done)
}

/// For machines as it came, for people in words.
fn show(target: &Target, answer: &Answer, words: &str) {
    if target.json { say(&format!("{}\n", answer.text())) } else { say(words) }
}

/// To stdout; whoever reads it may have left.
pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
