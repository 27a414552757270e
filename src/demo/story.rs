//! What the demo does, step by step.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::Cluster;
use super::fault::{self, FAULTS};
use super::load::{Load, Tally};
use super::screen::Screen;
use super::stage::Stage;
use super::summary::{Step, Summary};
use crate::report::{Status, Verdict};

/// Between two looks at `/status`.
const LOOK: Duration = Duration::from_millis(250);
/// A mirror that is not settled this long after the load ended will not be.
const SETTLE: Duration = Duration::from_secs(30);
/// Of the shop, as the demo itself compares them in the end.
const TABLES: [&str; 5] = ["customers", "products", "orders", "order_items", "carts"];

/// How long and how much.
#[derive(Debug, Clone)]
pub struct Script {
    /// Each step of the ramp: percent, and how long it lasts.
    pub ramp: Vec<(f64, Duration)>,
    /// Concurrent clients.
    pub clients: usize,
    /// A client's turns are at least this far apart.
    pub pace: Duration,
}

impl Default for Script {
    /// About a minute, and gentle enough for two slow cores that run everything.
    fn default() -> Self {
        let ramp = [(0.0, 6), (10.0, 8), (50.0, 8), (100.0, 10)];
        Self {
            ramp: ramp.map(|(percent, seconds)| (percent, Duration::from_secs(seconds))).to_vec(),
            clients: 8,
            pace: Duration::from_millis(50),
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything promised was seen.
    AsPromised,
    /// Something was not; the summary says what.
    Broken,
    /// By ctrl-c or a signal.
    Interrupted,
}

/// Plays the demo: progress on stderr, the summary on stdout. However it ends, nothing is left behind.
pub async fn run(script: &Script) -> anyhow::Result<Outcome> {
    let mut interrupt = Interrupt::listen()?;
    let mut screen = Screen::new();
    screen.say("Making two throw-away clusters with the same small shop, and a proxy in front of them");
    let stage = Stage::build().await;
    // Building is never cancelled, or servers that are starting would live on: whoever asked for the end waited.
    if interrupt.is_pending() {
        return Ok(Outcome::Interrupted);
    }
    let stage = stage?;
    tokio::select! {
        summary = play(&stage, script, &mut screen) => {
            let summary = summary?;
            drop(screen);
            println!("\n{summary}");
            Ok(if summary.all_kept() { Outcome::AsPromised } else { Outcome::Broken })
        }
        () = interrupt.wait() => Ok(Outcome::Interrupted),
    }
}

async fn play(stage: &Stage, script: &Script, screen: &mut Screen) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    introduce(stage, screen);
    let load = Load::start(&stage.url(), script.clients, script.pace).await.context("connecting the shoppers")?;
    screen.say("First check, while clients write: a table serves reads once it was compared");
    stage.proxy.admin().work("check").await?;
    load.take();
    for &(percent, lasts) in &script.ramp {
        screen.say(&format!("Reads to the shadow: {percent} %"));
        stage.proxy.admin().ramp(percent).await?;
        summary.steps.push(watch(stage, &load, screen, percent, lasts).await?);
    }
    heal(stage, screen, &mut summary).await?;
    screen.say("The load ends; waiting until everything written is on the shadow");
    let rest = load.stop().await;
    judge_clients(&mut summary, &rest);
    judge_mirror(stage, screen, &mut summary).await?;
    Ok(summary)
}

fn introduce(stage: &Stage, screen: &mut Screen) {
    let Stage { proxy, primary, shadow, .. } = stage;
    screen.say(&format!("  primary  {}", primary.url("postgres")));
    screen.say(&format!("  shadow   {}", shadow.url("postgres")));
    screen.say(&format!("  proxy    {}   (what an application would be given)", stage.url()));
    screen.say(&format!("  report   http://{}/report", proxy.admin().address()));
}

/// One step of the ramp.
async fn watch(stage: &Stage, load: &Load, screen: &mut Screen, percent: f64, lasts: Duration) -> anyhow::Result<Step> {
    let before = stage.proxy.admin().status().await?;
    load.take();
    let begun = Instant::now();
    let (mut now, mut max_lag_ms) = (before.clone(), 0);
    while begun.elapsed() < lasts {
        sleep(LOOK).await;
        now = stage.proxy.admin().status().await?;
        max_lag_ms = max_lag_ms.max(now.mirror.lag_ms);
        let rate = load.turns() as f64 / begun.elapsed().as_secs_f64();
        screen.now(&live_line(&before, &now, rate));
    }
    let shadow_reads = now.reads.shadow.saturating_sub(before.reads.shadow);
    Ok(Step::new(percent, begun.elapsed(), load.take(), shadow_reads, max_lag_ms))
}

fn live_line(before: &Status, now: &Status, rate: f64) -> String {
    format!(
        "{rate:.0} turns/s · {} reads by the shadow · {} transactions mirrored, {} pending · lag {} ms",
        now.reads.shadow.saturating_sub(before.reads.shadow),
        now.mirror.applied,
        now.mirror.pending,
        now.mirror.lag_ms
    )
}

/// Corrupts three rows, has them found, repaired, and checked again; all of it while the shoppers go on.
async fn heal(stage: &Stage, screen: &mut Screen, summary: &mut Summary) -> anyhow::Result<()> {
    let admin = stage.proxy.admin();
    screen.say("Corrupting three rows of the shadow, behind the proxy's back:");
    for fault in &FAULTS {
        screen.say(&format!("  {}", fault.told));
    }
    fault::plant(&stage.direct(&stage.shadow).await?).await.context("planting the faults")?;
    screen.now("checking all tables");
    admin.work("check").await?;
    let report = admin.report().await?;
    screen.say("The check, while clients write, found:");
    for line in fault::found(&report) {
        screen.say(&format!("  {line}"));
    }
    summary.promise(fault::are_exactly_those(&report), "the check found the three planted faults, and nothing else");
    screen.say("Repairing, and checking again");
    admin.work("repair").await?;
    admin.work("check").await?;
    let left = fault::found(&admin.report().await?);
    summary.promise(left.is_empty(), format!("after the repair {} differences were left", left.len()));
    Ok(())
}

fn judge_clients(summary: &mut Summary, rest: &Tally) {
    let all = || summary.steps.iter().map(|step| &step.tally).chain([rest]);
    let sum = |field: fn(&Tally) -> u64| all().map(field).sum::<u64>();
    let (errors, stale, conflicts) = (sum(|t| t.errors), sum(|t| t.stale), sum(|t| t.conflicts));
    let (writes, undone) = (sum(|t| t.writes), sum(|t| t.undone));
    let troubles = all().flat_map(|tally| tally.troubles.iter().cloned()).take(5).collect();
    let served = summary.steps.iter().all(|step| (step.percent > 0.0) == (step.shadow_reads > 0));
    summary.troubles = troubles;
    summary.promise(errors == 0, format!("clients met {errors} errors of the proxy's making"));
    summary.promise(stale == 0, format!("{stale} reads missed their own session's write"));
    summary.promise(served, "the shadow served reads at every step of the ramp above 0 %, and none at 0 %");
    summary.promise(
        writes > 0 && undone > 0,
        format!("{writes} transactions committed, {undone} undone on purpose, {conflicts} by conflict"),
    );
}

/// After the load: the proxy's own word, and a comparison that does not ask it.
async fn judge_mirror(stage: &Stage, screen: &mut Screen, summary: &mut Summary) -> anyhow::Result<()> {
    let admin = stage.proxy.admin();
    let begun = Instant::now();
    let mut status = admin.status().await?;
    while !status.mirror.settled && begun.elapsed() < SETTLE {
        screen.now(&format!("{} pending", status.mirror.pending));
        sleep(LOOK).await;
        status = admin.status().await?;
    }
    let mirror = &status.mirror;
    let accounted = mirror.applied + mirror.pending + mirror.quarantined + mirror.skipped == mirror.captured;
    summary.promise(mirror.settled, format!("{} transactions captured, {} pending", mirror.captured, mirror.pending));
    summary.promise(accounted && mirror.quarantined == 0, "each of them is accounted for, none was refused");
    admin.work("check").await?;
    let verdict = admin.report().await?.verdict;
    summary.promise(verdict == Verdict::Consistent, format!("the last check over all tables says {verdict:?}"));
    let (primary, shadow) = (digests(stage, &stage.primary).await?, digests(stage, &stage.shadow).await?);
    summary.promise(primary == shadow, "both databases hold the same rows, compared without the proxy");
    Ok(())
}

/// Number of rows and a hash over all of them, table by table.
async fn digests(stage: &Stage, side: &Cluster) -> anyhow::Result<Vec<(i64, Option<String>)>> {
    let client = stage.direct(side).await?;
    let mut digests = Vec::new();
    for table in TABLES {
        let sql = format!("select count(*), md5(string_agg(t::text, '|' order by t::text)) from {table} t");
        let row = client.query_one(&sql, &[]).await.context("comparing both sides")?;
        digests.push((row.get(0), row.get(1)));
    }
    Ok(digests)
}

/// Ctrl-c, and its like.
struct Interrupt([Signal; 3]);

impl Interrupt {
    fn listen() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("listening for signals");
        Ok(Self([on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?]))
    }

    async fn wait(&mut self) {
        let [int, term, hup] = &mut self.0;
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
    }

    fn is_pending(&mut self) -> bool {
        self.wait().now_or_never().is_some()
    }
}
