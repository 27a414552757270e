//! Rows as COPY prints and reads them in text format: a line each, of the columns that are written (PostgreSQL
//! documentation, COPY, "Text Format").

use std::borrow::Cow;

use super::{Key, Shape};

/// The lines of a text, each with its end.
pub fn lines(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split_inclusive('\n')
}

/// The fields of a line; NULL is `None`.
pub fn line_fields(line: &str) -> impl Iterator<Item = Option<Cow<'_, str>>> {
    line.strip_suffix('\n').unwrap_or(line).split('\t').map(field)
}

/// The key of a line's row; `None` if the line has none, as where a column of the key is generated.
pub fn line_key(shape: &Shape, line: &str) -> Option<Key> {
    let place = |index: &usize| shape.written().position(|(written, _)| written == *index);
    let part = |index: &usize| line_fields(line).nth(place(index)?)?;
    let parts: Vec<Cow<'_, str>> = shape.key.iter().map(part).collect::<Option<_>>()?;
    (!parts.is_empty()).then(|| Key::new(parts.iter().map(|part| &**part)))
}

/// The text without the rows whose keys are left out.
pub fn without_keys(shape: &Shape, text: &str, left_out: impl Fn(&Key) -> bool) -> String {
    lines(text).filter(|line| !line_key(shape, line).is_some_and(|key| left_out(&key))).collect()
}

fn field(text: &str) -> Option<Cow<'_, str>> {
    if text == "\\N" {
        return None;
    }
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else { return Some(Cow::Borrowed(text)) };
    let mut plain = String::with_capacity(text.len());
    plain.push_str(&text[..first]);
    let mut rest = text[first..].chars();
    while let Some(char) = rest.next() {
        let escaped = if char == '\\' { rest.next() } else { Some(char) };
        plain.extend(if char == '\\' { escaped.map(unescaped) } else { escaped });
    }
    Some(Cow::Owned(plain))
}

fn unescaped(char: char) -> char {
    match char {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::{Column, TableId};
    use proptest::prelude::*;

    /// As `CopyAttributeOutText` does.
    fn print(values: &[Option<String>]) -> String {
        let field = |value: &Option<String>| match value {
            None => "\\N".to_owned(),
            Some(text) => {
                let escapes = [('\\', "\\\\"), ('\u{8}', "\\b"), ('\u{c}', "\\f"), ('\n', "\\n"), ('\r', "\\r")];
                let more = [('\t', "\\t"), ('\u{b}', "\\v")];
                escapes.into_iter().chain(more).fold(text.clone(), |text, (char, escape)| text.replace(char, escape))
            }
        };
        values.iter().map(field).collect::<Vec<_>>().join("\t") + "\n"
    }

    fn shape(columns: &[(&str, bool)], key: &[usize]) -> Shape {
        let column = |&(name, generated): &(&str, bool)| Column {
            name: name.into(),
            type_name: "pg_catalog.text".into(),
            generated,
        };
        let columns = columns.iter().map(column).collect();
        Shape { table: TableId(1), schema: "public".into(), name: "t".into(), columns, key: key.to_vec() }
    }

    #[test]
    fn null_empty_and_a_backslash_before_n_differ() {
        let read: Vec<_> = line_fields("\\N\t\t\\\\N\ta\\tb\n").map(|field| field.map(Cow::into_owned)).collect();
        assert_eq!(read, [None, Some(String::new()), Some("\\N".into()), Some("a\tb".into())]);
    }

    #[test]
    fn a_key_is_found_behind_generated_columns_and_in_its_own_order() {
        let shape = shape(&[("g", true), ("a", false), ("b", false)], &[2, 1]);
        assert_eq!(line_key(&shape, "1\tx\\ny\n"), Some(Key::new(["x\ny", "1"])));
        assert_eq!(line_key(&Shape { key: vec![0], ..shape.clone() }, "1\t2\n"), None);
        assert_eq!(line_key(&Shape { key: vec![], ..shape }, "1\t2\n"), None);
    }

    #[test]
    fn the_rows_of_some_keys_are_left_out() {
        let shape = shape(&[("id", false), ("v", false)], &[0]);
        let keys = ["2", "9"].map(|key| Key::new([key]));
        assert_eq!(without_keys(&shape, "1\t2\n2\t1\n22\t9\n", |key| keys.contains(key)), "1\t2\n22\t9\n");
    }

    proptest! {
        #[test]
        fn every_line_reads_back(rows in prop::collection::vec(prop::collection::vec(prop::option::of(any::<String>()), 1..5), 0..5)) {
            let text: String = rows.iter().map(|row| print(row)).collect();
            let read = |line| line_fields(line).map(|field| field.map(Cow::into_owned)).collect::<Vec<_>>();
            prop_assert_eq!(lines(&text).map(read).collect::<Vec<_>>(), rows);
        }

        #[test]
        fn no_text_panics(text: String) {
            let shape = shape(&[("id", false), ("v", false)], &[1]);
            let _ = without_keys(&shape, &text, |_| false);
        }
    }
}
