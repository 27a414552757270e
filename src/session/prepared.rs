//! Prepared statements and portals by name, as the client believes them to be.

use std::sync::Arc;

use bytes::Bytes;
use rapidhash::RapidHashMap;

use super::plan::{Capture, Era, Plan, Step};
use crate::effect::Shape;

/// A prepared statement.
#[derive(Debug)]
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

/// Objects by name, each change answered with what it takes to undo it.
#[derive(Debug)]
pub(super) struct Named<T> {
    objects: RapidHashMap<Vec<u8>, T>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { objects: RapidHashMap::default() }
    }
}

/// The object that a change replaced, to be put back if the server refuses the change.
#[derive(Debug)]
pub(super) struct Undo<T> {
    name: Vec<u8>,
    before: Option<T>,
}

impl<T> Named<T> {
    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        self.objects.get(name)
    }

    pub(super) fn set(&mut self, name: &[u8], object: T) -> Undo<T> {
        Undo { name: name.to_vec(), before: self.objects.insert(name.to_vec(), object) }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Undo<T> {
        Undo { name: name.to_vec(), before: self.objects.remove(name) }
    }

    pub(super) fn clear(&mut self) {
        self.objects.clear();
    }

    pub(super) fn undo(&mut self, undo: Undo<T>) {
        match undo.before {
            Some(before) => drop(self.objects.insert(undo.name, before)),
            None => drop(self.objects.remove(&undo.name)),
        }
    }
}
