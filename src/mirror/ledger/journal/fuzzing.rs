//! What `fuzz/` asks of the journal.

use std::sync::Arc;

use super::record::{Record, WrittenShapes, decode, encode};
use crate::effect::Shape;
use crate::mirror::entry::Entry;

/// Reads the records of a segment, as far as they are some, writes them again and reads that: nothing may be lost.
pub fn journal(payloads: &[&[u8]]) {
    let read = entries(payloads);
    let (mut shapes, mut written) = (WrittenShapes::default(), Vec::new());
    for entry in &read {
        encode(entry, &mut shapes, |payload| written.push(payload.to_vec()));
    }
    let again = entries(&written.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let told = |entry: &Entry| (entry.seq, entry.flight, entry.bytes);
    assert_eq!(read.iter().map(told).collect::<Vec<_>>(), again.iter().map(told).collect::<Vec<_>>());
}

fn entries(payloads: &[&[u8]]) -> Vec<Entry> {
    let (mut shapes, mut entries): (Vec<Arc<Shape>>, _) = (Vec::new(), Vec::new());
    for payload in payloads {
        match decode(payload, &shapes) {
            Ok(Record::Shape(shape)) => shapes.push(Arc::new(shape)),
            Ok(Record::Entry(entry)) => entries.push(entry),
            Err(_) => break,
        }
    }
    entries
}
