//! The tables with writes in flight, in a small file beside the journal (rule 22).
//!
//! A table is in it before its first write is forwarded. Only appended to, eight bytes a change, so that entering costs
//! the client one small write; rewritten when it has grown. What it still names at the next start may have lost writes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::effect::{TableId, Touched};

use super::in_flight::Scope;

const NAME: &str = "in-flight";
const RECORD: usize = 8;

/// Records after which the file is rewritten.
const COMPACT_AFTER: usize = 8192;

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct InFlightFile {
    path: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    Open {
        file: File,
        records: usize,
    },
    /// It could not be written and was removed: the next start takes all tables for suspect, unless closed cleanly.
    Lost,
}

impl InFlightFile {
    /// A new file with these tables in it, in place of the old one.
    pub(super) fn create(folder: &Path, scopes: impl Iterator<Item = Scope>) -> io::Result<Self> {
        let path = folder.join(NAME);
        let (file, records) = write_anew(&path, scopes)?;
        Ok(Self { path, state: State::Open { file, records } })
    }

    /// What the file named at the last end; `None` if there is none.
    pub(super) fn read(folder: &Path) -> io::Result<Option<Touched>> {
        match std::fs::read(folder.join(NAME)) {
            Ok(records) => Ok(Some(replay(&records))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn enter(&mut self, scope: Scope) {
        self.append(b'+', scope);
    }

    pub(super) fn leave(&mut self, scope: Scope) {
        self.append(b'-', scope);
    }

    /// Rewrites the file with these tables only, if it has grown.
    pub(super) fn compact(&mut self, scopes: impl Iterator<Item = Scope>) {
        if matches!(&self.state, State::Open { records, .. } if *records > COMPACT_AFTER) {
            self.rewrite(scopes);
        }
    }

    /// Rewrites the file with these tables only.
    pub(super) fn rewrite(&mut self, scopes: impl Iterator<Item = Scope>) {
        match write_anew(&self.path, scopes) {
            Ok((file, records)) => self.state = State::Open { file, records },
            Err(error) => self.give_up(&error),
        }
    }

    fn append(&mut self, op: u8, scope: Scope) {
        let State::Open { file, records } = &mut self.state else { return };
        match file.write_all(&record(op, scope)) {
            Ok(()) => *records += 1,
            Err(error) => self.give_up(&error),
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        tracing::error!(path = %self.path.display(), %error, "the file of tables in flight cannot be written: if \
            crossfade is killed now, every table will be compared at the next start");
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::error!(path = %self.path.display(), %error, "and it cannot be removed");
        }
        self.state = State::Lost;
    }
}

fn write_anew(path: &Path, scopes: impl Iterator<Item = Scope>) -> io::Result<(File, usize)> {
    let content: Vec<_> = scopes.map(|scope| record(b'+', scope)).collect();
    let draft = path.with_extension("new");
    std::fs::write(&draft, content.concat())?;
    std::fs::rename(&draft, path)?;
    Ok((OpenOptions::new().append(true).open(path)?, content.len()))
}

fn record(op: u8, scope: Scope) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    let (kind, table) = match scope {
        Scope::Table(TableId(oid)) => (b't', oid),
        Scope::All => (b'*', 0),
    };
    record[0] = op;
    record[1] = kind;
    record[4..].copy_from_slice(&table.to_le_bytes());
    record
}

/// An incomplete last record is left out: nothing was forwarded for it. One that makes no sense stands for all tables.
fn replay(records: &[u8]) -> Touched {
    let mut scopes = std::collections::BTreeSet::new();
    for record in records.as_chunks::<RECORD>().0 {
        let [op, kind, 0, 0, table @ ..] = *record else { return Touched::All };
        let scope = match kind {
            b't' => Scope::Table(TableId(u32::from_le_bytes(table))),
            b'*' => Scope::All,
            _ => return Touched::All,
        };
        match op {
            b'+' => scopes.insert(scope),
            b'-' => scopes.remove(&scope),
            _ => return Touched::All,
        };
    }
    let mut touched = Touched::NONE;
    for scope in scopes {
        touched.extend(&match scope {
            Scope::Table(table) => Touched::Tables(vec![table]),
            Scope::All => Touched::All,
        });
    }
    touched
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Scope = Scope::Table(TableId(7));
    const U: Scope = Scope::Table(TableId(9));

    fn read(folder: &Path) -> Option<Touched> {
        InFlightFile::read(folder).unwrap()
    }

    #[test]
    fn rule_22_tables_that_entered_and_did_not_leave_are_named() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()), None);
        let mut file = InFlightFile::create(folder.path(), std::iter::empty()).unwrap();
        assert_eq!(read(folder.path()), Some(Touched::NONE));
        file.enter(T);
        file.enter(U);
        file.leave(T);
        assert_eq!(read(folder.path()), Some(Touched::Tables(vec![TableId(9)])));
        file.enter(Scope::All);
        assert_eq!(read(folder.path()), Some(Touched::All));
        file.rewrite([T].into_iter());
        file.enter(U);
        assert_eq!(read(folder.path()), Some(Touched::Tables(vec![TableId(7), TableId(9)])));
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = InFlightFile::create(folder.path(), std::iter::empty()).unwrap();
        for _ in 0..3 * COMPACT_AFTER {
            file.enter(T);
            file.leave(T);
            file.compact([U].into_iter());
        }
        assert!(std::fs::metadata(folder.path().join(NAME)).unwrap().len() < ((COMPACT_AFTER + 4) * RECORD) as u64);
        assert_eq!(read(folder.path()), Some(Touched::Tables(vec![TableId(9)])));
    }

    #[test]
    fn an_incomplete_record_is_left_out_and_a_damaged_one_stands_for_all() {
        let whole = [record(b'+', T), record(b'+', U)].concat();
        assert_eq!(replay(&whole[..whole.len() - 1]), Touched::Tables(vec![TableId(7)]));
        for at in [0, 1, 2] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            assert_eq!(replay(&damaged), Touched::All, "{at}");
        }
    }
}
