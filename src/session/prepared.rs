//! Prepared statements and portals by name.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rapidhash::RapidHashMap;

use super::plan::{Capture, Era, Plan, Step};
use crate::effect::Shape;

/// A prepared statement.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    /// The client's text; empty if it was too long to be kept.
    pub(super) sql: Bytes,
    /// Types of the parameters as given in Parse.
    pub(super) types: Vec<u32>,
    /// What its one statement does; `None`: an empty query.
    pub(super) step: Option<Step>,
    /// When that was planned.
    pub(super) era: Era,
    /// Of the table that it writes, as the client knows it, if it was ever captured.
    pub(super) shape: Option<Arc<Shape>>,
}

impl Prepared {
    /// How it is captured, if it is.
    pub(super) fn capture(&self) -> Option<&Arc<Capture>> {
        match &self.step.as_ref()?.plan {
            Plan::Captured(capture) => Some(capture),
            _ => None,
        }
    }
}

/// A portal of a prepared statement.
#[derive(Debug, Clone)]
pub(super) struct Portal {
    pub(super) prepared: Arc<Prepared>,
    pub(super) rows: RowFormat,
}

/// How the appended columns come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowFormat {
    /// All as text.
    Text,
    /// All as the client asked: binary.
    Binary,
    /// The Bind was too long to look at its end.
    Unknown,
}

/// Objects by name: as the server has them by what it answered, and what it was asked to make of them since.
#[derive(Debug)]
pub(super) struct Named<T> {
    objects: RapidHashMap<Vec<u8>, Versions<T>>,
}

#[derive(Debug)]
struct Versions<T> {
    answered: Option<T>,
    /// In the order in which they were asked for.
    asked: VecDeque<Version<T>>,
}

/// What a name stands for from a request on; `None`: nothing.
#[derive(Debug)]
struct Version<T> {
    series: Series,
    object: Option<T>,
}

/// The messages up to a Sync, counted: after an error the server skips the rest of one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series(pub(super) u64);

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server did it.
    Done,
    /// It refused or skipped it.
    Undone,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { objects: RapidHashMap::default() }
    }
}

impl<T> Default for Versions<T> {
    fn default() -> Self {
        Self { answered: None, asked: VecDeque::new() }
    }
}

impl<T> Named<T> {
    /// What the name stands for once all that was asked is done.
    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        let versions = self.objects.get(name)?;
        versions.asked.back().map_or(versions.answered.as_ref(), |last| last.object.as_ref())
    }

    /// The server is asked to let a name stand for this.
    pub(super) fn ask(&mut self, name: &[u8], series: Series, object: Option<T>) {
        self.objects.entry(name.to_vec()).or_default().asked.push_back(Version { series, object });
    }

    /// The oldest of what was asked for this name is decided.
    pub(super) fn decide(&mut self, name: &[u8], outcome: Outcome) {
        let Some(versions) = self.objects.get_mut(name) else { return };
        if let (Some(version), Outcome::Done) = (versions.asked.pop_front(), outcome) {
            versions.answered = version.object;
        }
        self.drop_if_unused(name);
    }

    /// Whether the name was asked for in this series.
    pub(super) fn is_asked_in(&self, name: &[u8], series: Series) -> bool {
        let last = self.objects.get(name).and_then(|versions| versions.asked.back());
        last.is_some_and(|last| last.series == series)
    }

    /// Whether a message of this series may find another object than [`Named::get`] does, for something that was asked in
    /// an earlier one may fail. That it may find none does not count: then the server refuses it.
    pub(super) fn is_doubtful(&self, name: &[u8], series: Series) -> bool {
        let Some(Versions { answered, asked }) = self.objects.get(name) else { return false };
        let Some(last) = asked.back() else { return false };
        let may_stay = answered.is_some() || asked.iter().rev().skip(1).any(|version| version.object.is_some());
        last.series < series && may_stay
    }

    /// The same object with something else known of it.
    pub(super) fn correct(&mut self, name: &[u8], object: T) {
        let Some(Versions { answered, asked }) = self.objects.get_mut(name) else { return };
        *asked.back_mut().map_or(answered, |last| &mut last.object) = Some(object);
    }

    /// Has this object by other ways than a request.
    pub(super) fn set(&mut self, name: &[u8], object: T) {
        self.objects.entry(name.to_vec()).or_default().answered = Some(object);
    }

    /// The server has it no more.
    pub(super) fn forget(&mut self, name: &[u8]) {
        if let Some(versions) = self.objects.get_mut(name) {
            versions.answered = None;
            self.drop_if_unused(name);
        }
    }

    /// The server has none of them any more.
    pub(super) fn forget_all(&mut self) {
        self.objects.retain(|_, versions| {
            versions.answered = None;
            !versions.asked.is_empty()
        });
    }

    fn drop_if_unused(&mut self, name: &[u8]) {
        if self.objects.get(name).is_some_and(|versions| versions.answered.is_none() && versions.asked.is_empty()) {
            self.objects.remove(name);
        }
    }
}
