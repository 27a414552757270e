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

/// The number of the share of `of` to which a text belongs.
pub fn share_number(text: &str, of: impl Display) -> String {
    // The sign bit is cut off: the remainder of a negative number would be negative.
    format!("((pg_catalog.hashtextextended({text}, 0) & 9223372036854775807) % {of})")
}
