//! The counters against a simple model, under any sequence of events.

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;

use super::take;
use crate::effect::{Change, Reason};
use crate::mirror::entry::{Entry, Item};
use crate::mirror::ledger::fixture::{T, U, mark_keys, open, refresh, refusal, row, snapshot, transaction};
use crate::mirror::ledger::{Counters, Feed, Mirror, Outcome};

#[derive(Debug, Clone, Copy)]
enum Event {
    Write,
    WriteAndMark,
    Mark,
    Skip,
    Refresh,
    Apply,
    Refuse,
    Heal,
    Restart,
    Kill,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Write),
        1 => Just(Event::WriteAndMark),
        1 => Just(Event::Mark),
        1 => Just(Event::Skip),
        1 => Just(Event::Refresh),
        4 => Just(Event::Apply),
        1 => Just(Event::Refuse),
        1 => Just(Event::Heal),
        1 => Just(Event::Restart),
        1 => Just(Event::Kill),
    ]
}

/// What the counters should say, and what is in the ledger.
#[derive(Default)]
struct Model {
    counters: Counters,
    entries: VecDeque<Arc<Entry>>,
    settled: u64,
}

struct World {
    folder: tempfile::TempDir,
    mirror: Mirror,
    feed: Feed,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mirror, feed) = open(folder.path());
        Self { folder, mirror, feed }
    }

    fn reopen(self) -> Self {
        let Self { folder, mirror, feed } = self;
        drop((mirror, feed));
        let (mirror, feed) = open(folder.path());
        Self { folder, mirror, feed }
    }
}

impl Model {
    async fn entered(&mut self, world: &mut World) {
        self.entries.extend(take(&mut world.feed, 1).await);
    }

    async fn step(&mut self, world: World, event: Event) -> World {
        let mut world = world;
        match event {
            Event::Write | Event::WriteAndMark => {
                let mut changes = vec![row(T, "a", 1)];
                if let Event::WriteAndMark = event {
                    changes.push(Change::Mark(mark_keys(U, &["k"], Reason::Image)));
                }
                world.mirror.submit(transaction(1, changes), None).unwrap();
                self.counters.pending += 1;
                self.entered(&mut world).await;
            }
            Event::Mark => {
                let mark = Change::Mark(mark_keys(U, &["k"], Reason::Image));
                assert_eq!(world.mirror.submit(transaction(1, vec![mark]), None), None);
                self.counters.skipped += 1;
            }
            Event::Skip => {
                world.mirror.skip();
                self.counters.skipped += 1;
            }
            Event::Refresh => {
                let window = world.mirror.open_window(T);
                world.mirror.place(window, &snapshot("9:9:"), refresh(T, &["a"])).unwrap();
                self.entered(&mut world).await;
            }
            Event::Apply => self.settle(&world, false),
            Event::Refuse => self.settle(&world, true),
            Event::Heal => {
                for table in [T, U] {
                    world.mirror.clear_table(table, u64::MAX);
                }
                self.counters.applied += std::mem::take(&mut self.counters.quarantined);
            }
            Event::Restart => {
                world.mirror.close().await;
                world = self.recovered(world.reopen()).await;
            }
            Event::Kill => {
                // What a kill may lose is what was counted since the state was last saved.
                let mirror = &world.mirror;
                super::eventually("saved", || saved_as_now(world.folder.path(), mirror)).await;
                world = self.recovered(world.reopen()).await;
            }
        }
        world
    }

    fn settle(&mut self, world: &World, refuse: bool) {
        let Some(entry) = self.entries.pop_front() else { return };
        let counted = u64::from(matches!(entry.item, Item::Transaction(_)));
        self.counters.pending -= counted;
        if refuse {
            self.counters.quarantined += counted;
            world.feed.settle(&entry, Outcome::Quarantined(refusal(entry.seq.0)));
        } else {
            self.counters.applied += counted;
            world.feed.settle(&entry, Outcome::Applied);
        }
        self.settled = entry.seq.0;
    }

    /// What was not settled comes again, and nothing else.
    async fn recovered(&mut self, mut world: World) -> World {
        world.feed.resume_behind(crate::effect::Seq(self.settled));
        let again = take(&mut world.feed, self.entries.len()).await;
        assert_eq!(super::seqs(&again), super::seqs(self.entries.make_contiguous()));
        self.entries = again.into();
        world
    }
}

fn saved_as_now(folder: &std::path::Path, mirror: &Mirror) -> bool {
    let content = std::fs::read_to_string(folder.join("journal/state")).unwrap();
    let state: serde_json::Value = serde_json::from_str(content.split_once('\n').unwrap().1).unwrap();
    let count = |name: &str| state["books"][name].as_u64().unwrap();
    let counters = mirror.counters();
    (counters.applied, counters.pending) == (count("applied"), count("pending"))
        && (counters.quarantined, counters.skipped) == (count("quarantined"), count("skipped"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn captured_is_always_applied_pending_quarantined_and_skipped(events in prop::collection::vec(event(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut model, mut world) = (Model::default(), World::new());
            for event in events {
                world = model.step(world, event).await;
                let mut expected = model.counters;
                expected.captured = expected.applied + expected.pending + expected.quarantined + expected.skipped;
                assert_eq!(world.mirror.counters(), expected, "after {event:?}");
            }
        });
    }
}
