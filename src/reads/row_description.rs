//! The types of a result, and whose tables its columns are from: so that no client sees two databases.

use bytes::{Bytes, BytesMut};

use super::eligible::FIRST_USER_OID;
use super::frames::{Malformed, body};

/// Types whose values are, or hold, oids of objects: `regclass` and its kin, `record` and its array.
const OID_BEARING: [u32; 13] = [24, 2202, 2203, 2204, 2205, 2206, 2249, 2287, 3734, 3769, 4089, 4096, 4191];

/// `float4` and `float8`.
const FLOATING: [u32; 2] = [700, 701];

/// Behind a column's name: table oid, attribute number, type oid, type length, type modifier, format.
const FIXED: usize = 18;

/// Whether a ParameterDescription names a type that differs between databases.
pub(super) fn has_foreign_parameter(frame: &[u8]) -> Result<bool, Malformed> {
    let (_, oids) = body(frame).split_first_chunk::<2>().ok_or(Malformed)?;
    let (oids, rest) = oids.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(Malformed);
    }
    Ok(oids.iter().any(|oid| is_foreign(u32::from_be_bytes(*oid))))
}

/// Whether a RowDescription (or NoData) names a type that differs between databases.
pub(super) fn has_foreign_column(frame: &[u8]) -> Result<bool, Malformed> {
    has_column(frame, is_foreign)
}

/// Whether one names a type of floating point.
pub(super) fn has_floating_column(frame: &[u8]) -> Result<bool, Malformed> {
    has_column(frame, |type_oid| FLOATING.contains(&type_oid))
}

fn has_column(frame: &[u8], is_such: impl Fn(u32) -> bool) -> Result<bool, Malformed> {
    let mut found = false;
    for column in columns(frame)? {
        let type_oid = frame.get(column + 6..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
        found |= is_such(u32::from_be_bytes(*type_oid));
    }
    Ok(found)
}

/// The same RowDescription with each column's table and attribute as `translate` gives them; zero, which means none, where
/// it gives nothing.
pub(super) fn translated(
    frame: &Bytes,
    translate: impl Fn(u32, i16) -> Option<(u32, i16)>,
) -> Result<Bytes, Malformed> {
    let mut out = BytesMut::from(&frame[..]);
    for column in columns(frame)? {
        let place = out.get_mut(column..).and_then(<[u8]>::first_chunk_mut::<6>).ok_or(Malformed)?;
        let [table @ .., high, low] = *place;
        let (table, attribute) =
            translate(u32::from_be_bytes(table), i16::from_be_bytes([high, low])).unwrap_or_default();
        place[..4].copy_from_slice(&table.to_be_bytes());
        place[4..].copy_from_slice(&attribute.to_be_bytes());
    }
    Ok(out.freeze())
}

/// Where in the frame the fixed part of each column begins. NoData has none.
fn columns(frame: &[u8]) -> Result<Vec<usize>, Malformed> {
    if frame.first() == Some(&b'n') {
        return Ok(Vec::new());
    }
    let (count, _) = body(frame).split_first_chunk::<2>().ok_or(Malformed)?;
    let mut at = frame.len() - body(frame).len() + count.len();
    let mut columns = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let rest = frame.get(at..).ok_or(Malformed)?;
        let name = memchr::memchr(0, rest).ok_or(Malformed)?;
        columns.push(at + name + 1);
        at += name + 1 + FIXED;
    }
    if at == frame.len() { Ok(columns) } else { Err(Malformed) }
}

fn is_foreign(type_oid: u32) -> bool {
    type_oid >= FIRST_USER_OID || OID_BEARING.contains(&type_oid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn description(columns: &[(&str, u32, i16, u32)]) -> Bytes {
        let mut body = (columns.len() as u16).to_be_bytes().to_vec();
        for &(name, table, attribute, type_oid) in columns {
            body.extend_from_slice(name.as_bytes());
            body.push(0);
            body.extend_from_slice(&table.to_be_bytes());
            body.extend_from_slice(&attribute.to_be_bytes());
            body.extend_from_slice(&type_oid.to_be_bytes());
            body.extend_from_slice(&[0, 4, 255, 255, 255, 255, 0, 0]);
        }
        [&b"T"[..], &(body.len() as u32 + 4).to_be_bytes(), &body].concat().into()
    }

    #[test]
    fn tables_and_attributes_become_the_primarys_or_none() {
        let shadow = description(&[("id", 100, 1, 23), ("", 101, 2, 25), ("sum", 0, 0, 20)]);
        let translate = |table, attribute| (table == 100).then_some((7, attribute + 1));
        let primary = description(&[("id", 7, 2, 23), ("", 0, 0, 25), ("sum", 0, 0, 20)]);
        assert_eq!(translated(&shadow, translate), Ok(primary));
    }

    #[test]
    fn user_types_and_types_that_hold_oids_are_foreign() {
        let foreign = |type_oid| has_foreign_column(&description(&[("a", 1, 1, 23), ("b", 1, 2, type_oid)])).unwrap();
        assert!(!foreign(1184) && foreign(16_384) && foreign(2205) && foreign(2249));
        let floating = |type_oid| has_floating_column(&description(&[("a", 1, 1, type_oid)])).unwrap();
        assert!(floating(701) && !floating(1700));
        assert_eq!(has_foreign_column(b"n\0\0\0\x04"), Ok(false));
        assert_eq!(has_foreign_parameter(b"t\0\0\0\x0a\0\x01\0\0\0\x17"), Ok(false));
        assert_eq!(has_foreign_parameter(b"t\0\0\0\x0a\0\x01\0\0\x40\x00"), Ok(true));
    }

    #[test]
    fn a_description_cut_short_or_too_long_is_refused() {
        let whole = description(&[("id", 1, 1, 23)]);
        for end in 0..whole.len() {
            assert_eq!(translated(&whole.slice(..end), |_, _| None), Err(Malformed), "{end}");
        }
        let longer: Bytes = [&whole[..], b"x"].concat().into();
        assert_eq!(has_foreign_column(&longer), Err(Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = (has_foreign_column(&bytes), has_foreign_parameter(&bytes));
            let _ = translated(&bytes.into(), |_, _| None);
        }
    }
}
