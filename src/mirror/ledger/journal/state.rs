//! The state file: what the segments do not tell. Written every now and then, so it may lag behind them.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::effect::Seq;
use crate::mirror::ledger::counters::Books;
use crate::mirror::ledger::suspects::SavedMarks;

use super::folder::{Durability, replace_file};

const NAME: &str = "state";

/// How the last run ended, as far as it had been written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::mirror::ledger) struct State {
    /// Closed, not killed.
    pub(in crate::mirror::ledger) clean: bool,
    /// Of the machine; `None` where it has none.
    pub(in crate::mirror::ledger) boot_id: Option<String>,
    /// The last place given out.
    pub(in crate::mirror::ledger) last: Seq,
    /// The last place in the segments.
    pub(in crate::mirror::ledger) written: Seq,
    /// Everything up to it was settled.
    pub(in crate::mirror::ledger) applied: Seq,
    /// Segments up to it are removed.
    pub(in crate::mirror::ledger) trimmed: Seq,
    /// The last ticket given out.
    pub(in crate::mirror::ledger) issued: u64,
    /// Segments were removed that late arrivals may have to be measured against.
    pub(in crate::mirror::ledger) history_cut: bool,
    /// Counters and lists.
    pub(in crate::mirror::ledger) books: Books,
    /// What is suspect.
    pub(in crate::mirror::ledger) marks: SavedMarks,
}

impl State {
    /// Writes it: a line with the checksum, then JSON.
    pub(in crate::mirror::ledger) fn save(&self, folder: &Path, durability: Durability) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        let mut content = format!("{:08x}\n", crc32fast::hash(&text)).into_bytes();
        content.extend_from_slice(&text);
        replace_file(&folder.join(NAME), &content, durability)
    }

    /// The state of the last run. `Ok(None)`: there is none. `Err(InvalidData)`: it is damaged.
    pub(super) fn load(folder: &Path) -> io::Result<Option<Self>> {
        let content = match std::fs::read(folder.join(NAME)) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        parse(&content).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn parse(content: &[u8]) -> Option<State> {
    let (crc, text) = content.split_at_checked(8)?;
    let text = text.strip_prefix(b"\n")?;
    let crc = u32::from_str_radix(std::str::from_utf8(crc).ok()?, 16).ok()?;
    (crc == crc32fast::hash(text)).then(|| serde_json::from_slice(text).ok())?
}

/// Which boot of the machine this is; `None` where that is not told.
pub(in crate::mirror::ledger) fn boot_id() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(State::load(folder.path()).unwrap().is_none());
        let state = State {
            clean: true,
            boot_id: boot_id(),
            last: Seq(9),
            written: Seq(8),
            applied: Seq(7),
            trimmed: Seq(3),
            issued: 12,
            history_cut: false,
            books: Books::default(),
            marks: SavedMarks::default(),
        };
        state.save(folder.path(), Durability::Power).unwrap();
        assert_eq!(State::load(folder.path()).unwrap().as_ref(), Some(&state));
        let path = folder.path().join(NAME);
        let content = std::fs::read(&path).unwrap();
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            assert!(State::load(folder.path()).is_err(), "{at}");
        }
    }
}
