//! Facts of texts seen before.

use std::sync::Arc;

use super::Script;

/// Bounded, shared by all sessions.
#[derive(Debug)]
pub struct Cache {}

impl Cache {
    /// Holds about `capacity` scripts.
    pub fn new(_capacity: usize) -> Self {
        todo!()
    }

    /// The facts of `text`, from memory or by analysis.
    pub fn analyze(&self, _text: &[u8]) -> Arc<Script> {
        todo!()
    }
}
