//! What an answer comes to, in a few bytes whatever its size: enough to tell two answers apart, in order or as multisets of
//! rows. Without I/O.

use sha2::{Digest as _, Sha256};

const HEADER: usize = 5;

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest {
    /// Of names and types of its columns.
    columns: u128,
    pub(super) rows: u64,
    /// The sum over all rows, which is the same in any order.
    set: u128,
    /// Of the rows as they came.
    order: u128,
}

impl Digest {
    /// Whether columns and rows are the same, the rows in any order.
    pub(super) fn is_same_set(&self, other: &Self) -> bool {
        let parts = |digest: &Self| (digest.columns, digest.rows, digest.set);
        parts(self) == parts(other)
    }
}

/// Takes an answer in whatever pieces it comes.
#[derive(Debug)]
pub(super) struct Digester {
    digest: Digest,
    order: Sha256,
    row: Sha256,
    /// The header of the next row, as far as it is there.
    header: Vec<u8>,
    /// Of the row that has begun, still to come.
    rest: usize,
}

impl Digester {
    /// `columns` is the RowDescription.
    pub(super) fn new(columns: &[u8]) -> Self {
        let digest = Digest { columns: number(Sha256::new_with_prefix(columns)), rows: 0, set: 0, order: 0 };
        Self { digest, order: Sha256::new(), row: Sha256::new(), header: Vec::new(), rest: 0 }
    }

    /// More DataRow messages, the first and the last of which may be parts.
    pub(super) fn rows(&mut self, mut bytes: &[u8]) {
        self.order.update(bytes);
        while !bytes.is_empty() {
            if self.header.len() < HEADER {
                let (taken, behind) = bytes.split_at(bytes.len().min(HEADER - self.header.len()));
                self.header.extend_from_slice(taken);
                bytes = behind;
                if let &[_, a, b, c, d] = &self.header[..] {
                    self.rest = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4);
                }
            }
            let (taken, behind) = bytes.split_at(bytes.len().min(self.rest));
            self.row.update(taken);
            self.rest -= taken.len();
            bytes = behind;
            if self.header.len() == HEADER && self.rest == 0 {
                self.header.clear();
                self.digest.rows += 1;
                self.digest.set = self.digest.set.wrapping_add(number(self.row.clone()));
                self.row = Sha256::new();
            }
        }
    }

    /// All rows are in.
    pub(super) fn end(self) -> Digest {
        Digest { order: number(self.order), ..self.digest }
    }
}

fn number(hash: Sha256) -> u128 {
    hash.finalize().iter().take(16).fold(0, |number, &byte| number << 8 | u128::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(row: &[u8]) -> Vec<u8> {
        [&b"D"[..], &(row.len() as u32 + 4).to_be_bytes(), row].concat()
    }

    fn digest(rows: &[Vec<u8>], size: usize) -> Digest {
        let mut digester = Digester::new(b"columns");
        let bytes: Vec<u8> = rows.iter().flat_map(|row| message(row)).collect();
        bytes.chunks(size).for_each(|piece| digester.rows(piece));
        digester.end()
    }

    fn rows() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..12)
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(rows in rows(), size in 1_usize..30) {
            let whole = digest(&rows, usize::MAX);
            prop_assert_eq!(whole, digest(&rows, size));
            prop_assert_eq!(whole.rows, rows.len() as u64);
        }

        #[test]
        fn multisets_are_the_same_when_sorted_rows_are(one in rows(), other in rows(), shuffled in rows().prop_shuffle()) {
            let sorted = |rows: &[Vec<u8>]| { let mut rows = rows.to_vec(); rows.sort(); rows };
            for (a, b) in [(&one, &other), (&shuffled, &sorted(&shuffled))] {
                prop_assert_eq!(digest(a, 7).is_same_set(&digest(b, 7)), sorted(a) == sorted(b));
                prop_assert_eq!(digest(a, 7) == digest(b, 7), a == b);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut digester = Digester::new(&[]);
            digester.rows(&bytes);
            digester.end();
        }
    }

    #[test]
    fn rows_that_come_twice_count_twice_and_columns_count() {
        let (once, twice) = (vec![vec![1]], vec![vec![1], vec![1]]);
        assert!(!digest(&once, 9).is_same_set(&digest(&twice, 9)));
        assert!(!Digester::new(b"a").end().is_same_set(&Digester::new(b"b").end()));
    }
}
