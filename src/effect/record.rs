//! The text of a composite value, as `record_out` prints it (PostgreSQL documentation, 8.16.6).

use std::borrow::Cow;

use thiserror::Error;

/// A text that `record_out` did not print.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the row image is not the text of a composite value")]
pub struct MalformedRecord;

/// The fields of a record's text; NULL is `None`, the empty string is `Some("")`.
pub fn fields(text: &str) -> Result<Vec<Option<Cow<'_, str>>>, MalformedRecord> {
    let inner = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).ok_or(MalformedRecord)?;
    let mut fields = Vec::new();
    let mut rest = inner;
    loop {
        let (field, tail) = if rest.starts_with('"') { quoted(rest)? } else { plain(rest)? };
        fields.push(field);
        match tail.strip_prefix(',') {
            Some(next) => rest = next,
            None if tail.is_empty() => return Ok(fields),
            None => return Err(MalformedRecord),
        }
    }
}

type Field<'a> = (Option<Cow<'a, str>>, &'a str);

fn plain(text: &str) -> Result<Field<'_>, MalformedRecord> {
    let end = memchr::memchr(b',', text.as_bytes()).unwrap_or(text.len());
    let field = &text[..end];
    if memchr::memchr3(b'"', b'\\', b')', field.as_bytes()).is_some() {
        return Err(MalformedRecord);
    }
    Ok(((!field.is_empty()).then_some(Cow::Borrowed(field)), &text[end..]))
}

/// A field in double quotes, in which `""` is a quote and `\\` a backslash.
fn quoted(text: &str) -> Result<Field<'_>, MalformedRecord> {
    let body = &text[1..];
    let mut owned: Option<String> = None;
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', &body.as_bytes()[from..]).ok_or(MalformedRecord)?;
        let next = body.as_bytes().get(at + 1).copied();
        if next != Some(body.as_bytes()[at]) {
            if body.as_bytes()[at] == b'\\' {
                return Err(MalformedRecord);
            }
            let last = &body[from..at];
            let field = match owned {
                Some(mut start) => {
                    start.push_str(last);
                    Cow::Owned(start)
                }
                None => Cow::Borrowed(last),
            };
            return Ok((Some(field), &body[at + 1..]));
        }
        owned.get_or_insert_default().push_str(&body[from..=at]);
        from = at + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn print(values: &[Option<String>]) -> String {
        let field = |value: &Option<String>| match value {
            None => String::new(),
            Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\"")),
        };
        format!("({})", values.iter().map(field).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn null_empty_and_quotes_differ() {
        let read = |text| fields(text).unwrap().into_iter().map(|f| f.map(Cow::into_owned)).collect::<Vec<_>>();
        assert_eq!(
            read("(1,,\"\",\"a \"\"b\"\" \\\\\")"),
            [Some("1".into()), None, Some(String::new()), Some("a \"b\" \\".into())]
        );
        assert_eq!(read("()"), [None]);
        for bad in ["", "(", "(1", "(\"a)", "(\"a\"b)", "(a\"b)", "1,2"] {
            assert_eq!(fields(bad), Err(MalformedRecord), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_record_reads_back(values in prop::collection::vec(prop::option::of(".*"), 1..8)) {
            let text = print(&values);
            let read: Vec<_> = fields(&text).unwrap().into_iter().map(|f| f.map(Cow::into_owned)).collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = fields(&text);
        }
    }
}
