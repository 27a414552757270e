//! Whether the reads of an open transaction block may be answered elsewhere (rule 31): in one that is READ COMMITTED and READ
//! ONLY each statement sees what was committed when it began, and none sees what the block itself wrote.

use super::Profile;
use crate::sql::{Access, Setting, SettingValue};

/// What an open block has said of its reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Block {
    /// They see its own snapshot, or it is not known what they see; or there is none.
    #[default]
    Bound,
    /// READ COMMITTED: they see its own writes, too.
    Writable,
    /// And READ ONLY, by how it began.
    Free,
    /// The same by a SET TRANSACTION, which a rollback to a savepoint may take back.
    FreedSince,
}

impl Block {
    /// BEGIN was done.
    pub(super) fn begun(access: Access, repeatable: bool, profile: &Profile) -> Self {
        let default = |name: &str| profile.settings.get(name).map(String::as_str);
        if repeatable || default("default_transaction_isolation").is_some_and(|level| !is_read_committed(level)) {
            return Self::Bound;
        }
        match access {
            Access::ReadOnly => Self::Free,
            Access::Default if default("default_transaction_read_only").is_some_and(is_on) => Self::Free,
            Access::Default | Access::ReadWrite => Self::Writable,
        }
    }

    /// SET TRANSACTION was done in it, or something that looks like it.
    pub(super) fn set(&mut self, setting: &Setting) {
        if !setting.name.starts_with("transaction") {
            return;
        }
        let SettingValue::Values(modes) = &setting.value else {
            *self = Self::Bound;
            return;
        };
        for mode in modes {
            *self = match (mode.split_once('='), *self) {
                (Some(("transaction_read_only", value)), Self::Writable) if is_on(value) => Self::FreedSince,
                (Some(("transaction_read_only", value)), block) if is_on(value) => block,
                (Some(("transaction_isolation", level)), block) if is_read_committed(level) => block,
                (Some(("transaction_deferrable", _)), block) => block,
                _ => Self::Bound,
            };
        }
    }

    /// ROLLBACK TO was done.
    pub(super) fn rolled_back_to_savepoint(&mut self) {
        if *self == Self::FreedSince {
            *self = Self::Writable;
        }
    }

    /// Whether its reads may be answered elsewhere.
    pub(super) fn is_free(self) -> bool {
        matches!(self, Self::Free | Self::FreedSince)
    }
}

/// READ UNCOMMITTED is the same.
fn is_read_committed(level: &str) -> bool {
    ["read committed", "read uncommitted"].iter().any(|name| level.eq_ignore_ascii_case(name))
}

fn is_on(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "on" | "true" | "yes" | "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str, value: &str) -> Profile {
        Profile { settings: [(name.to_owned(), value.to_owned())].into(), ..Profile::default() }
    }

    fn set(modes: &[&str]) -> Setting {
        let modes = modes.iter().map(|mode| (*mode).to_owned()).collect();
        Setting { name: "transaction".into(), local: true, value: SettingValue::Values(modes) }
    }

    #[test]
    fn rule_31_read_only_and_read_committed_free_the_reads_of_a_block() {
        let plain = Profile::default();
        let read_only = profile("default_transaction_read_only", "on");
        let serializable = profile("default_transaction_isolation", "Serializable");
        assert_eq!(Block::begun(Access::ReadOnly, false, &plain), Block::Free);
        assert_eq!(Block::begun(Access::ReadOnly, true, &plain), Block::Bound);
        assert_eq!(Block::begun(Access::ReadOnly, false, &serializable), Block::Bound);
        assert_eq!(Block::begun(Access::Default, false, &plain), Block::Writable);
        assert_eq!(Block::begun(Access::Default, false, &read_only), Block::Free);
        assert_eq!(Block::begun(Access::ReadWrite, false, &read_only), Block::Writable);
    }

    #[test]
    fn rule_31_set_transaction_frees_and_binds() {
        let mut block = Block::Writable;
        block.set(&set(&["transaction_isolation=read committed", "transaction_read_only=1"]));
        assert_eq!(block, Block::FreedSince);
        block.rolled_back_to_savepoint();
        assert_eq!(block, Block::Writable);
        let mut block = Block::Free;
        block.set(&set(&["transaction_deferrable=1"]));
        block.rolled_back_to_savepoint();
        assert_eq!(block, Block::Free);
        for modes in [["transaction_isolation=repeatable read"], ["transaction_read_only=0"], ["transaction_new=1"]] {
            let mut block = Block::Free;
            block.set(&set(&modes));
            assert_eq!(block, Block::Bound, "{modes:?}");
        }
        let mut block = Block::Free;
        block.set(&Setting { name: "transaction_isolation".into(), local: true, value: SettingValue::Default });
        assert_eq!(block, Block::Bound);
    }

    #[test]
    fn rule_31_nothing_frees_a_block_with_a_snapshot_of_its_own() {
        let repeatable = set(&["transaction_isolation=repeatable read", "transaction_read_only=1"]);
        for begun in [Block::Writable, Block::Free, Block::FreedSince] {
            let mut block = begun;
            block.set(&repeatable);
            block.set(&set(&["transaction_read_only=1"]));
            block.rolled_back_to_savepoint();
            assert_eq!(block, Block::Bound, "{begun:?}");
        }
    }
}
