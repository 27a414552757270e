//! A captured row that would not be kept whatever it says: larger than a transaction may be (rule 23). It is not held
//! until it is whole, the client's part of it passes, the rest is dropped as it comes.

use super::capture;
use super::machine::Session;
use super::splice::Splice;
use super::transaction::MAX_BYTES;
use crate::effect::Reason;
use crate::sql::APPENDED_COLUMNS;
use crate::wire;

/// Where the client's columns must have ended; a row with longer ones is held.
const OWN: usize = 1 << 20;

/// What to do with the front of a captured row.
pub(super) enum Large {
    /// It is kept: to be seen whole.
    No,
    /// To be seen again with more of it.
    Wait,
    /// This much of it passes.
    Cut(usize),
}

impl Session {
    /// The row of `size` bytes whose front is `there`, at `at`.
    pub(super) fn large_row(&mut self, there: &[u8], size: usize, at: usize, splice: &mut Splice) -> Large {
        if size <= MAX_BYTES {
            return Large::No;
        }
        let Some((capture, _)) = self.captured() else { return Large::No };
        let mut passes = 0;
        if capture.own_columns {
            match wire::strip_columns(&there[..there.len().min(size)], APPENDED_COLUMNS) {
                Ok(strip) => {
                    splice.replace(at, strip.front.len(), &strip.front);
                    passes = strip.size;
                }
                Err(_) if there.len() < OWN => return Large::Wait,
                Err(_) => return Large::No,
            }
        }
        self.transaction.push(None, capture::unreadable(&capture, Reason::Overflow));
        Large::Cut(passes)
    }
}
