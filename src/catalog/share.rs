//! Shares of a table whose rows have no identity but their text: a hash of the text says which share a row falls into,
//! so that identical rows stay together. Text only.

use std::fmt::Display;

use super::chunk::row_text;
use crate::effect::Shape;

/// One of `of` shares of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// `0..of`
    pub number: u32,
    /// How many.
    pub of: u32,
}

impl Share {
    /// All rows.
    pub const WHOLE: Self = Self { number: 0, of: 1 };

    /// The two shares it consists of, told apart by the hash's next bit; `None` when they can't be numbered any more.
    pub fn halves(self) -> Option<[Self; 2]> {
        let of = self.of.checked_mul(2)?;
        Some([self.number, self.number + self.of].map(|number| Self { number, of }))
    }
}

/// The text by which rows of alias `t` are told apart: of all columns that are written. Generated ones follow from them.
pub fn whole_text(shape: &Shape) -> String {
    row_text(shape.columns.iter().filter(|column| !column.generated))
}

/// The number of the share of `of` to which a text belongs: on every server the same, whatever its encoding.
pub fn share_number(text: &str, of: impl Display) -> String {
    let digest = digest(text);
    // Fifteen digits are no negative number, of which the remainder would be negative.
    format!("(('x' || pg_catalog.left({digest}, 15))::pg_catalog.bit(60)::pg_catalog.int8 % {of})")
}

/// SHA-256 of a text, in hex: on every server the same, whatever its encoding. (MD5 is forbidden on some.)
pub fn digest(text: &str) -> String {
    format!("pg_catalog.encode(pg_catalog.sha256({}), 'hex')", portable(text))
}

/// The bytes of a text in UTF-8; as they are where the database does not know their encoding, and would refuse those that
/// happen to be none.
pub(super) fn portable(text: &str) -> String {
    format!(
        "pg_catalog.convert_to({text}, CASE pg_catalog.getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)"
    )
}
