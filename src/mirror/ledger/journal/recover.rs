//! What a journal holds when it is opened, and what cannot be trusted after the way it ended (rules 4 and 22).

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use crate::effect::{Mark, Reason, Seq, Touched};
use crate::mirror::entry::{Entry, Item};
use crate::mirror::ledger::OpenError;
use crate::mirror::ledger::in_flight_file::InFlightFile;
use crate::mirror::ledger::placement::Placement;

use super::folder::{segment_path, segments};
use super::segment::{Bookmark, ReadError, SegmentInfo, SegmentReader};
use super::state::{State, boot_id};

/// Places left out after an unclean end: the shadow may know some that the journal lost, and none is used twice.
const PLACES_LEFT_OUT: u64 = 1_000_000;

/// How the last run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mirror::ledger) enum LastEnd {
    /// There was none, or it was closed.
    Clean,
    /// It was killed.
    Unclean,
}

/// The ledger as it was left.
#[derive(Debug)]
pub(in crate::mirror::ledger) struct Recovered {
    pub(in crate::mirror::ledger) last_end: LastEnd,
    /// As saved: entries behind `state.applied` are to be applied.
    pub(in crate::mirror::ledger) state: State,
    /// The last ticket that was given out.
    pub(in crate::mirror::ledger) issued: u64,
    /// The last place in the segments.
    pub(in crate::mirror::ledger) written: Seq,
    pub(in crate::mirror::ledger) segments: Vec<SegmentInfo>,
    pub(in crate::mirror::ledger) placement: Placement,
    /// What is suspect for the way it ended, beside what the state names.
    pub(in crate::mirror::ledger) marks: Vec<Mark>,
}

/// Reads the journal in `folder`; cuts off what cannot be read.
pub(in crate::mirror::ledger) fn recover(folder: &Path) -> Result<Recovered, OpenError> {
    let state = match State::load(folder) {
        Ok(state) => state,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::error!(folder = %folder.display(), "the state of the journal is damaged: all tables are compared");
            None
        }
        Err(error) => return Err(OpenError::io(folder)(error)),
    };
    let in_flight = InFlightFile::read(folder).map_err(OpenError::io(folder))?;
    let firsts = segments(folder).map_err(OpenError::io(folder))?;
    let is_new = state.is_none() && in_flight.is_none() && firsts.is_empty();
    let has_state = state.is_some();
    let state = state.unwrap_or_default();
    let last_end = if state.clean || is_new { LastEnd::Clean } else { LastEnd::Unclean };

    let mut scan = Scan::behind(&state);
    let damage = scan.segments(folder, &firsts)?;
    let lost = damage == Damage::Records || scan.written.max(state.trimmed) < state.written;
    let marks = match last_end {
        _ if is_new => Vec::new(),
        _ if !has_state || lost => vec![all(Reason::Crash)],
        LastEnd::Unclean if boot_id().is_none() || boot_id() != state.boot_id => vec![all(Reason::Crash)],
        LastEnd::Unclean if in_flight.is_none() => vec![all(Reason::Crash)],
        _ if state.history_cut && scan.placement.outstanding() > 0 => vec![all(Reason::Late)],
        _ => in_flight.filter(|touched| !touched.is_empty()).map(crashed).into_iter().collect(),
    };
    scan.placement.books.recount(scan.known, scan.unknown);
    if last_end == LastEnd::Unclean || lost {
        scan.placement.leave_out(PLACES_LEFT_OUT);
    }
    Ok(Recovered {
        last_end,
        issued: scan.horizon.max(state.issued),
        written: scan.written,
        segments: scan.infos,
        placement: scan.placement,
        marks,
        state,
    })
}

fn all(reason: Reason) -> Mark {
    Mark::Tables { touched: Touched::All, reason }
}

fn crashed(touched: Touched) -> Mark {
    Mark::Tables { touched, reason: Reason::Crash }
}

/// What was found unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// Nothing.
    None,
    /// A last record that was being written: no other behind it.
    Tail,
    /// Records, nobody knows of which tables.
    Records,
}

/// What the segments hold.
struct Scan {
    saved_last: Seq,
    saved_applied: Seq,
    placement: Placement,
    written: Seq,
    horizon: u64,
    infos: Vec<SegmentInfo>,
    /// Pending transactions that were placed when the state was saved.
    known: u64,
    /// Pending transactions placed since.
    unknown: u64,
}

impl Scan {
    fn behind(state: &State) -> Self {
        Self {
            saved_last: state.last,
            saved_applied: state.applied,
            placement: Placement::behind(state.last, state.applied, state.books.clone()),
            written: Seq(0),
            horizon: 0,
            infos: Vec::new(),
            known: 0,
            unknown: 0,
        }
    }

    fn segments(&mut self, folder: &Path, firsts: &[u64]) -> Result<Damage, OpenError> {
        for (index, &first) in firsts.iter().enumerate() {
            let behind = firsts.get(index + 1..).unwrap_or_default();
            let error = match self.segment(folder, first) {
                Ok(()) => continue,
                Err(ReadError::Io { path, source }) => return Err(OpenError::Io { path, source }),
                Err(error) => error,
            };
            let damage = match &error {
                ReadError::Torn { .. } if behind.is_empty() => Damage::Tail,
                _ => Damage::Records,
            };
            tracing::error!(%error, ?damage, "the journal is cut off there");
            cut(folder, first, &error, behind)?;
            return Ok(damage);
        }
        Ok(Damage::None)
    }

    fn segment(&mut self, folder: &Path, first: u64) -> Result<(), ReadError> {
        let mut reader = SegmentReader::open(folder, Bookmark::front(first))?;
        let mut info = SegmentInfo { first, last: Seq(first.saturating_sub(1)), horizon: 0, bytes: 0 };
        let end = loop {
            match reader.next() {
                Ok(Some(entry)) if entry.seq <= self.written => break Err(reader.damaged()),
                Ok(Some(entry)) => {
                    info.last = entry.seq;
                    info.horizon = info.horizon.max(entry.flight.newest);
                    self.entry(&entry);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        info.bytes = reader.offset();
        self.horizon = self.horizon.max(info.horizon);
        self.infos.push(info);
        end
    }

    fn entry(&mut self, entry: &Entry) {
        self.written = entry.seq;
        if entry.seq <= self.saved_applied {
            return;
        }
        self.placement.recover(entry);
        match entry.item {
            Item::Refresh(_) | Item::Fill(_) => {}
            Item::Transaction(_) if entry.seq <= self.saved_last => self.known += 1,
            Item::Transaction(_) => self.unknown += 1,
        }
    }
}

/// Cuts the segment off at the damage and puts those behind it aside.
fn cut(folder: &Path, first: u64, error: &ReadError, behind: &[u64]) -> Result<(), OpenError> {
    let path = segment_path(folder, first);
    if let ReadError::Torn { offset, .. } | ReadError::Damaged { offset, .. } = error {
        let file = OpenOptions::new().write(true).open(&path).map_err(OpenError::io(&path))?;
        file.set_len(*offset).and_then(|()| file.sync_all()).map_err(OpenError::io(&path))?;
    }
    for &first in behind {
        let path = segment_path(folder, first);
        std::fs::rename(&path, path.with_extension("log.broken")).map_err(OpenError::io(&path))?;
    }
    Ok(())
}
