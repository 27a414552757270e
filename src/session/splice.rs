//! Edits to a chunk of bytes on its way through: most chunks have none and go out as they came in.

/// What to cut from and insert into a chunk, in order.
#[derive(Debug, Default)]
pub struct Splice {
    edits: Vec<Edit>,
    inserted: Vec<u8>,
}

#[derive(Debug)]
struct Edit {
    at: usize,
    cut: usize,
    insert: usize,
}

impl Splice {
    /// Whether the chunk goes out unchanged.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Replaces `cut` bytes at `at` by `insert`. Positions never go back.
    pub(super) fn replace(&mut self, at: usize, cut: usize, insert: &[u8]) {
        debug_assert!(self.edits.last().is_none_or(|last| last.at + last.cut <= at), "edits go forward");
        match self.edits.last_mut() {
            Some(last) if last.at + last.cut == at => {
                last.cut += cut;
                last.insert += insert.len();
            }
            _ => self.edits.push(Edit { at, cut, insert: insert.len() }),
        }
        self.inserted.extend_from_slice(insert);
    }

    /// Appends the edited chunk to `out` and forgets the edits.
    pub fn apply(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let (mut from, mut inserted) = (0, 0);
        for edit in self.edits.drain(..) {
            out.extend_from_slice(&chunk[from..edit.at]);
            out.extend_from_slice(&self.inserted[inserted..inserted + edit.insert]);
            from = edit.at + edit.cut;
            inserted += edit.insert;
        }
        out.extend_from_slice(&chunk[from..]);
        self.inserted.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_apply_in_order_and_are_forgotten() {
        let mut splice = Splice::default();
        assert!(splice.is_empty());
        splice.replace(1, 2, b"XY");
        splice.replace(3, 1, b"Z");
        splice.replace(6, 0, b"!");
        let mut out = Vec::new();
        splice.apply(b"abcdef", &mut out);
        assert_eq!(out, b"aXYZef!");
        assert!(splice.is_empty());
        splice.apply(b"ab", &mut out);
        assert_eq!(out, b"aXYZef!ab");
    }
}
