//! What stands in a segment: shapes, each before its first use and referred to by its number there, and entries.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::Share;
use crate::effect::{
    Change, Column, Epoch, Key, Lsn, Replay, RowChange, Seq, Shape, Stamp, TableId, Touched, Transaction, Xid,
};
use crate::mirror::entry::{Entry, Existing, Fill, Flight, Item, Refresh, Scope};

use super::codec::{Decoder, Encoder, Malformed};

const SHAPE: u64 = 1;
const TRANSACTION: u64 = 2;
const REFRESH: u64 = 3;
const FILL: u64 = 4;

/// One record.
#[derive(Debug)]
pub(super) enum Record {
    /// Its number is how many came before it in the segment.
    Shape(Shape),
    Entry(Entry),
}

/// The shapes written to a segment so far.
#[derive(Debug, Default)]
pub(super) struct WrittenShapes {
    shapes: Vec<Arc<Shape>>,
    /// By address, which the shape beside it keeps from being used again.
    numbers: HashMap<usize, (Arc<Shape>, u64)>,
}

impl WrittenShapes {
    /// How many are written, to go back to with [`WrittenShapes::forget_behind`].
    pub(super) fn len(&self) -> usize {
        self.shapes.len()
    }

    /// The shapes behind these did not reach the disk.
    pub(super) fn forget_behind(&mut self, len: usize) {
        self.shapes.truncate(len);
        self.numbers.retain(|_, (_, number)| *number < len as u64);
    }

    /// The number of a shape, and whether it is new.
    fn number(&mut self, shape: &Arc<Shape>) -> (u64, bool) {
        let address = Arc::as_ptr(shape) as usize;
        if let Some((_, number)) = self.numbers.get(&address) {
            return (*number, false);
        }
        let written = self.shapes.iter().position(|written| written == shape);
        if written.is_none() {
            self.shapes.push(shape.clone());
        }
        let number = written.unwrap_or(self.shapes.len() - 1) as u64;
        self.numbers.insert(address, (shape.clone(), number));
        (number, written.is_none())
    }
}

/// Gives `frame` the payloads of an entry: the shapes it needs first.
pub(super) fn encode(entry: &Entry, shapes: &mut WrittenShapes, mut frame: impl FnMut(&[u8])) {
    let mut payload = Vec::with_capacity(entry.bytes);
    let mut number = |shape: &Arc<Shape>| {
        let (number, new) = shapes.number(shape);
        if new {
            let mut payload = Vec::new();
            encode_shape(&mut Encoder(&mut payload), shape);
            frame(&payload);
        }
        number
    };
    let mut encoder = Encoder(&mut payload);
    let kind = match &entry.item {
        Item::Transaction(_) => TRANSACTION,
        Item::Refresh(_) => REFRESH,
        Item::Fill(_) => FILL,
    };
    encoder.number(kind);
    encoder.number(entry.seq.0);
    encoder.number(entry.flight.oldest);
    encoder.number(entry.flight.newest);
    match &entry.item {
        Item::Transaction(transaction) => encode_transaction(&mut encoder, transaction, &mut number),
        Item::Refresh(refresh) => encode_refresh(&mut encoder, refresh, &mut number),
        Item::Fill(fill) => {
            encoder.number(number(&fill.shape));
            encoder.text(&fill.lines);
            encoder.list(fill.newer.iter(), |encoder, key| encoder.bytes(key.as_bytes()));
            encode_existing(&mut encoder, &fill.existing);
        }
    }
    frame(&payload);
}

/// Reads a payload back; `shapes` are those of the segment so far.
pub(super) fn decode(payload: &[u8], shapes: &[Arc<Shape>]) -> Result<Record, Malformed> {
    let mut decoder = Decoder(payload);
    let kind = decoder.number()?;
    if kind == SHAPE {
        let shape = decode_shape(&mut decoder)?;
        decoder.end()?;
        return Ok(Record::Shape(shape));
    }
    let seq = Seq(decoder.number()?);
    let flight = Flight { oldest: decoder.number()?, newest: decoder.number()? };
    let item = match kind {
        TRANSACTION => Item::Transaction(decode_transaction(&mut decoder, shapes)?),
        REFRESH => Item::Refresh(decode_refresh(&mut decoder, shapes)?),
        FILL => {
            let shape = shape_numbered(decoder.number()?, shapes)?;
            let (lines, newer) = (decoder.text()?.into(), decoder.list(decode_key)?.into_iter().collect());
            Item::Fill(Fill { shape, lines, newer, existing: decode_existing(&mut decoder)? })
        }
        _ => return Err(Malformed),
    };
    decoder.end()?;
    Ok(Record::Entry(Entry::new(seq, flight, item)))
}

fn encode_shape(encoder: &mut Encoder<'_>, shape: &Shape) {
    encoder.number(SHAPE);
    encoder.number(shape.table.0.into());
    encoder.text(&shape.schema);
    encoder.text(&shape.name);
    encoder.list(shape.columns.iter(), |encoder, column| {
        encoder.text(&column.name);
        encoder.text(&column.type_name);
        encoder.number(column.generated.into());
    });
    encoder.list(shape.key.iter(), |encoder, index| encoder.number(*index as u64));
}

fn decode_shape(decoder: &mut Decoder<'_>) -> Result<Shape, Malformed> {
    let table = TableId(decoder.number32()?);
    let (schema, name) = (decoder.text()?.to_owned(), decoder.text()?.to_owned());
    let columns = decoder.list(|decoder| {
        let (name, type_name) = (decoder.text()?.to_owned(), decoder.text()?.to_owned());
        Ok(Column { name, type_name, generated: decoder.flag()? })
    })?;
    let key = decoder.list(|decoder| {
        let index = usize::try_from(decoder.number()?).map_err(|_| Malformed)?;
        if index < columns.len() { Ok(index) } else { Err(Malformed) }
    })?;
    Ok(Shape { table, schema, name, columns, key })
}

type Numbers<'a> = &'a mut dyn FnMut(&Arc<Shape>) -> u64;

fn shape_numbered(number: u64, shapes: &[Arc<Shape>]) -> Result<Arc<Shape>, Malformed> {
    usize::try_from(number).ok().and_then(|number| shapes.get(number)).cloned().ok_or(Malformed)
}

const ROW: u64 = 1;
const REPLAY: u64 = 2;

fn encode_transaction(encoder: &mut Encoder<'_>, transaction: &Transaction, number: Numbers<'_>) {
    encoder.option(transaction.xid, |encoder, xid| encoder.number(xid.0));
    encoder.number(transaction.committed_ms);
    // Marks went to the suspects and have no place here.
    let effects: Vec<_> = transaction.changes.iter().filter(|change| !matches!(change, Change::Mark(_))).collect();
    encoder.list(effects.into_iter(), |encoder, change| match change {
        Change::Row(row) => {
            encoder.number(ROW);
            encoder.number(number(&row.shape));
            encoder.bytes(row.key.as_bytes());
            encoder.number(row.stamp.epoch.0.into());
            encoder.number(row.stamp.lsn.0);
            encoder.option(row.image.as_deref(), Encoder::text);
        }
        Change::Replay(replay) => {
            encoder.number(REPLAY);
            encode_replay(encoder, replay);
        }
        Change::Mark(_) => {}
    });
}

fn decode_transaction(decoder: &mut Decoder<'_>, shapes: &[Arc<Shape>]) -> Result<Transaction, Malformed> {
    let xid = decoder.option(Decoder::number)?.map(Xid);
    let committed_ms = decoder.number()?;
    let changes = decoder.list(|decoder| match decoder.number()? {
        ROW => {
            let shape = shape_numbered(decoder.number()?, shapes)?;
            let key = decode_key(decoder)?;
            let stamp = Stamp { epoch: Epoch(decoder.number32()?), lsn: Lsn(decoder.number()?) };
            let image = decoder.option(Decoder::text)?.map(Box::from);
            Ok(Change::Row(RowChange { shape, key, stamp, image }))
        }
        REPLAY => Ok(Change::Replay(decode_replay(decoder)?)),
        _ => Err(Malformed),
    })?;
    Ok(Transaction { xid, committed_ms, changes })
}

fn encode_replay(encoder: &mut Encoder<'_>, replay: &Replay) {
    encoder.text(&replay.sql);
    encoder.list(replay.settings.iter(), |encoder, (name, value)| {
        encoder.text(name);
        encoder.text(value);
    });
    let tables = match &replay.touched {
        Touched::Tables(tables) => Some(tables),
        Touched::All => None,
    };
    encoder.option(tables, |encoder, tables| {
        encoder.list(tables.iter(), |encoder, table| encoder.number(table.0.into()));
    });
    encoder.text(&replay.reason);
}

fn decode_replay(decoder: &mut Decoder<'_>) -> Result<Replay, Malformed> {
    let sql = decoder.text()?.to_owned();
    let settings = decoder.list(|decoder| Ok((decoder.text()?.to_owned(), decoder.text()?.to_owned())))?;
    let tables = decoder.option(|decoder| decoder.list(|decoder| decoder.number32().map(TableId)))?;
    let touched = tables.map_or(Touched::All, Touched::Tables);
    Ok(Replay { sql, settings, touched, reason: decoder.text()?.to_owned() })
}

const RANGE: u64 = 1;
const KEYS: u64 = 2;
const MULTISET: u64 = 3;

fn encode_refresh(encoder: &mut Encoder<'_>, refresh: &Refresh, number: Numbers<'_>) {
    let key = |encoder: &mut Encoder<'_>, key: &Key| encoder.bytes(key.as_bytes());
    encoder.number(number(&refresh.shape));
    match &refresh.scope {
        Scope::Range { after, upto } => {
            encoder.number(RANGE);
            encoder.option(after.as_ref(), key);
            encoder.option(upto.as_ref(), key);
        }
        Scope::Keys(keys) => {
            encoder.number(KEYS);
            encoder.list(keys.iter(), key);
        }
        Scope::Multiset { share, counts } => {
            encoder.number(MULTISET);
            encoder.number(share.number.into());
            encoder.number(share.of.into());
            encoder.list(counts.iter(), |encoder, count| encoder.number(*count));
        }
    }
    encoder.list(refresh.rows.iter(), |encoder, (row_key, row)| {
        key(encoder, row_key);
        encoder.text(row);
    });
    encoder.list(refresh.newer.iter(), key);
}

fn decode_refresh(decoder: &mut Decoder<'_>, shapes: &[Arc<Shape>]) -> Result<Refresh, Malformed> {
    let shape = shape_numbered(decoder.number()?, shapes)?;
    let scope = match decoder.number()? {
        RANGE => Scope::Range { after: decoder.option(decode_key)?, upto: decoder.option(decode_key)? },
        KEYS => Scope::Keys(decoder.list(decode_key)?),
        MULTISET => {
            let share = Share { number: decoder.number32()?, of: decoder.number32()? };
            Scope::Multiset { share, counts: decoder.list(Decoder::number)? }
        }
        _ => return Err(Malformed),
    };
    let rows = decoder.list(|decoder| Ok((decode_key(decoder)?, Box::from(decoder.text()?))))?;
    let newer = decoder.list(decode_key)?.into_iter().collect();
    Ok(Refresh { shape, scope, rows, newer })
}

fn encode_existing(encoder: &mut Encoder<'_>, existing: &Existing) {
    let key = |encoder: &mut Encoder<'_>, key: &Key| encoder.bytes(key.as_bytes());
    match existing {
        Existing::Kept => encoder.number(0),
        Existing::Replaced { after, upto } => {
            encoder.number(1);
            encoder.option(after.as_ref(), key);
            encoder.option(upto.as_ref(), key);
        }
    }
}

fn decode_existing(decoder: &mut Decoder<'_>) -> Result<Existing, Malformed> {
    if !decoder.flag()? {
        return Ok(Existing::Kept);
    }
    Ok(Existing::Replaced { after: decoder.option(decode_key)?, upto: decoder.option(decode_key)? })
}

fn decode_key(decoder: &mut Decoder<'_>) -> Result<Key, Malformed> {
    Key::from_bytes(decoder.bytes()?).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::ledger::fixture::strategy;
    use proptest::prelude::*;

    fn read_back(entries: &[Entry]) -> Vec<Entry> {
        let (mut written, mut shapes, mut read) = (WrittenShapes::default(), Vec::new(), Vec::new());
        let mut payloads = Vec::new();
        for entry in entries {
            encode(entry, &mut written, |payload| payloads.push(payload.to_vec()));
        }
        for payload in payloads {
            match decode(&payload, &shapes).unwrap() {
                Record::Shape(shape) => shapes.push(Arc::new(shape)),
                Record::Entry(entry) => read.push(entry),
            }
        }
        read
    }

    fn same(left: &Entry, right: &Entry) -> bool {
        let items = match (&left.item, &right.item) {
            (Item::Transaction(left), Item::Transaction(right)) => left == right,
            (Item::Refresh(left), Item::Refresh(right)) => {
                let parts = |refresh: &Refresh| (refresh.shape.clone(), refresh.rows.clone(), refresh.newer.clone());
                parts(left) == parts(right) && format!("{:?}", left.scope) == format!("{:?}", right.scope)
            }
            (Item::Fill(left), Item::Fill(right)) => left == right,
            _ => false,
        };
        items && left.seq == right.seq && left.flight == right.flight && left.bytes == right.bytes
    }

    proptest! {
        #[test]
        fn every_entry_reads_back(items in prop::collection::vec(strategy::item(), 1..6), oldest: u64, newest: u64) {
            let placed = |(item, seq)| Entry::new(Seq(seq), Flight { oldest, newest }, item);
            let entries: Vec<_> = items.into_iter().zip(1..).map(placed).collect();
            let read = read_back(&entries);
            prop_assert_eq!(read.len(), entries.len());
            for (read, entry) in read.iter().zip(&entries) {
                prop_assert!(same(read, entry), "{:?} {:?}", read, entry);
            }
        }

        #[test]
        fn no_payload_panics(payload: Vec<u8>) {
            let _ = decode(&payload, &[]);
        }

        #[test]
        fn no_damaged_payload_panics(item in strategy::item(), at: prop::sample::Index, flip in 1..=255_u8) {
            let mut payloads = Vec::new();
            let entry = Entry::new(Seq(1), Flight { oldest: 1, newest: 0 }, item);
            encode(&entry, &mut WrittenShapes::default(), |payload| payloads.push(payload.to_vec()));
            for payload in &mut payloads {
                let at = at.index(payload.len());
                payload[at] ^= flip;
                let _ = decode(payload, &[]);
            }
        }
    }
}
