//! The prepared statements of one connection to the shadow: bounded, under names of our own, the least used closed first.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::session::Profile;

/// Each keeps a plan in the memory of the shadow.
const CAPACITY: usize = 64;

/// What makes a statement the same. The profile belongs to it: time zone and the like decide what a literal means when it
/// is parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    /// As sent.
    pub(super) sql: Bytes,
    /// As given in Parse.
    pub(super) parameter_types: Vec<u32>,
    /// Role and settings.
    pub(super) profile: Arc<Profile>,
}

/// How a statement looks to the client: frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    /// ParameterDescription.
    pub(super) parameters: Bytes,
    /// RowDescription or NoData, as the shadow sent it.
    pub(super) row: Bytes,
}

/// A statement that the connection has.
#[derive(Debug)]
pub(super) struct Prepared {
    /// On the shadow.
    pub(super) name: String,
    text: Arc<Text>,
    /// Of its parameters and result.
    pub(super) description: Description,
    /// How its portal was described last.
    pub(super) portal: Option<Portal>,
}

/// A portal's RowDescription, or NoData.
#[derive(Debug)]
pub(super) struct Portal {
    /// As the shadow sent it.
    pub(super) sent: Bytes,
    /// As the client gets it, by the twins of these catalogs.
    pub(super) translated: Bytes,
    pub(super) generations: (u64, u64),
}

/// All of them, the one used last at the back.
#[derive(Debug, Default)]
pub(super) struct Statements {
    prepared: VecDeque<Prepared>,
    named: u64,
}

impl Statements {
    /// The statement of this text, now the one used last.
    pub(super) fn find(&mut self, text: &Arc<Text>) -> Option<&mut Prepared> {
        let at = self.prepared.iter().rposition(|prepared| prepared.text == *text)?;
        if at + 1 < self.prepared.len() {
            let found = self.prepared.remove(at)?;
            self.prepared.push_back(found);
        }
        self.prepared.back_mut()
    }

    /// A name that was never used.
    pub(super) fn new_name(&mut self) -> String {
        self.named += 1;
        format!("crossfade_{}", self.named)
    }

    /// Gives up the statement used least, once there is no room for one more: its name, which is to be closed.
    pub(super) fn make_room(&mut self) -> Option<String> {
        if self.prepared.len() < CAPACITY { None } else { self.prepared.pop_front().map(|prepared| prepared.name) }
    }

    /// The shadow has it.
    pub(super) fn add(&mut self, name: String, text: Arc<Text>, description: Description) {
        self.prepared.push_back(Prepared { name, text, description, portal: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sql: String, role: &str) -> Arc<Text> {
        let profile = Profile { role: role.to_owned(), ..Profile::default() };
        Arc::new(Text { sql: sql.into(), parameter_types: vec![23], profile: Arc::new(profile) })
    }

    #[test]
    fn the_least_used_makes_room() {
        let mut statements = Statements::default();
        let description = Description { parameters: Bytes::new(), row: Bytes::new() };
        for number in 0..CAPACITY {
            assert_eq!(statements.make_room(), None);
            let name = statements.new_name();
            statements.add(name, text(number.to_string(), "app"), description.clone());
        }
        assert!(statements.find(&text("0".to_owned(), "app")).is_some());
        assert_eq!(statements.make_room().as_deref(), Some("crossfade_2"));
        assert!(statements.find(&text("1".to_owned(), "app")).is_none());
        assert!(statements.find(&text("0".to_owned(), "app")).is_some());
        assert!(statements.find(&text("0".to_owned(), "other")).is_none(), "another role, another statement");
    }
}
