//! Aligned columns for people.

use std::fmt::Write;

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// The header and the rows, two spaces between columns, no space at the end of a line.
pub(super) fn columns<const N: usize>(header: [(&str, Align); N], rows: &[[String; N]]) -> String {
    let width = |i: usize| {
        let cells = rows.iter().map(|row| row[i].chars().count());
        cells.chain([header[i].0.chars().count()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for ((cell, (_, align)), width) in cells.into_iter().zip(header).zip(widths) {
            let _ = match align {
                Align::Left => write!(line, "{cell:<width$}  "),
                Align::Right => write!(line, "{cell:>width$}  "),
            };
        }
        line.trim_end().to_owned() + "\n"
    };
    let head = line(header.map(|(name, _)| name));
    head + &rows.iter().map(|row| line(row.each_ref().map(String::as_str))).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_numbers_right() {
        let rows = [["public.größe".to_owned(), "5".to_owned()], ["b".to_owned(), "12345".to_owned()]];
        let text = columns([("TABLE", Align::Left), ("ROWS", Align::Right)], &rows);
        assert_eq!(text, "TABLE          ROWS\npublic.größe      5\nb             12345\n");
    }
}
