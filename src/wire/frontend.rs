//! What clients send: views of the bodies that decide anything. A body is a message without its header.

use super::Malformed;

/// A zero-terminated string at the front of `bytes`, and what follows it.
pub fn cstring(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = memchr::memchr(0, bytes).ok_or(Malformed("a string without its end"))?;
    Ok((&bytes[..end], &bytes[end + 1..]))
}

fn int16(bytes: &[u8]) -> Result<(u16, &[u8]), Malformed> {
    let (value, rest) = bytes.split_first_chunk().ok_or(Malformed("too short"))?;
    Ok((u16::from_be_bytes(*value), rest))
}

/// `Parse`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parse<'a> {
    /// Of the statement; empty: the unnamed one.
    pub name: &'a [u8],
    /// The query text.
    pub sql: &'a [u8],
    /// Where the text ends inside the body.
    pub sql_end: usize,
    /// Four bytes a parameter type.
    types: &'a [u8],
}

impl Parse<'_> {
    /// Types of the parameters as far as given.
    pub fn types(&self) -> Vec<u32> {
        self.types.as_chunks().0.iter().map(|oid| u32::from_be_bytes(*oid)).collect()
    }
}

/// The body of a Parse.
pub fn parse(body: &[u8]) -> Result<Parse<'_>, Malformed> {
    let (name, rest) = cstring(body)?;
    let (sql, rest) = cstring(rest)?;
    let (_, types) = int16(rest)?;
    Ok(Parse { name, sql, sql_end: name.len() + 1 + sql.len(), types })
}

/// `Bind`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bind<'a> {
    /// Of the portal.
    pub portal: &'a [u8],
    /// Of the statement.
    pub statement: &'a [u8],
    /// Everything behind the names.
    pub rest: &'a [u8],
    /// Where the result formats begin inside the body, at their count.
    pub formats_at: usize,
    /// The result formats, two bytes each.
    formats: &'a [u8],
}

impl Bind<'_> {
    /// How many result formats are given: none (all text), one (for all columns), or one a column.
    pub fn formats(&self) -> usize {
        self.formats.len() / 2
    }

    /// Whether the format for a column behind the given ones, when there is one for all, is binary.
    pub fn all_binary(&self) -> bool {
        self.formats == [0, 1]
    }
}

/// The body of a Bind.
pub fn bind(body: &[u8]) -> Result<Bind<'_>, Malformed> {
    let (portal, rest) = cstring(body)?;
    let (statement, rest) = cstring(rest)?;
    let (count, mut tail) = int16(rest)?;
    tail = tail.get(usize::from(count) * 2..).ok_or(Malformed("too short"))?;
    let (parameters, mut tail) = int16(tail)?;
    for _ in 0..parameters {
        let (length, rest) = tail.split_first_chunk::<4>().ok_or(Malformed("too short"))?;
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        tail = rest.get(length..).ok_or(Malformed("a parameter longer than its message"))?;
    }
    let formats_at = body.len() - tail.len();
    let (count, formats) = int16(tail)?;
    if formats.len() != usize::from(count) * 2 {
        return Err(Malformed("result formats that do not fit their count"));
    }
    Ok(Bind { portal, statement, rest, formats_at, formats })
}

/// What a Describe or Close names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A prepared statement.
    Statement(&'a [u8]),
    /// A portal.
    Portal(&'a [u8]),
}

/// The body of a Describe or Close.
pub fn close_or_describe(body: &[u8]) -> Result<Target<'_>, Malformed> {
    let (&kind, rest) = body.split_first().ok_or(Malformed("too short"))?;
    let (name, _) = cstring(rest)?;
    match kind {
        b'S' => Ok(Target::Statement(name)),
        b'P' => Ok(Target::Portal(name)),
        _ => Err(Malformed("neither a statement nor a portal")),
    }
}

/// `Execute`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execute<'a> {
    /// The portal.
    pub portal: &'a [u8],
    /// 0: all rows.
    pub limit: i32,
    /// Where the limit stands inside the body.
    pub limit_at: usize,
}

/// The body of an Execute.
pub fn execute(body: &[u8]) -> Result<Execute<'_>, Malformed> {
    let (portal, rest) = cstring(body)?;
    let (limit, _) = rest.split_first_chunk().ok_or(Malformed("too short"))?;
    Ok(Execute { portal, limit: i32::from_be_bytes(*limit), limit_at: portal.len() + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bind_finds_its_result_formats_behind_forty_thousand_parameters() {
        let mut body = b"p\0s\0\0\0".to_vec();
        body.extend_from_slice(&40_000_u16.to_be_bytes());
        for i in 0..40_000 {
            body.extend_from_slice(if i % 2 == 0 { b"\0\0\0\x01x" } else { b"\xff\xff\xff\xff" });
        }
        let at = body.len();
        body.extend_from_slice(&[0, 1, 0, 1]);
        let bind = bind(&body).unwrap();
        assert_eq!((bind.portal, bind.statement), (&b"p"[..], &b"s"[..]));
        assert_eq!((bind.formats_at, bind.formats(), bind.all_binary()), (at, 1, true));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (parse(&body).map(|p| p.types()), bind(&body), close_or_describe(&body), execute(&body));
        }
    }
}
