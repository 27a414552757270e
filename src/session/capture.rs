//! From a row that the primary told to a change: the appended columns read back.

use std::sync::Arc;

use super::accounts::Env;
use super::plan::Capture;
use super::prepared::RowFormat;
use crate::catalog::Table;
use crate::effect::{self, Change, Key, Lsn, Mark, Reason, Referring, RowChange, Stamp, Touched, Xid};
use crate::sql::{APPENDED_COLUMNS, Verb};
use crate::wire::data_row_fields;

/// What a captured row says.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    /// A change of this transaction.
    Change(Xid, Change),
    /// A row of a table that is not mirrored.
    Unmirrored,
    /// It cannot be told: what the statement may have written is marked, for this reason.
    Unreadable(Reason),
    /// Nor which table it is of: one of these, for definitions change.
    Undefined(Touched),
}

/// Reads the body of a DataRow whose last columns were appended.
pub(super) fn told(body: &[u8], capture: &Capture, format: RowFormat, env: &Env<'_>) -> Told {
    let Some(appended) = appended(body, format) else { return Told::Unreadable(Reason::Image) };
    let Some(table) = env.catalog.by_oid(appended.relation) else {
        let known = env.catalog.unmirrored.get(&appended.relation);
        // It may be a partition of any table.
        let leads_nowhere = known.is_some_and(|leads| leads.are_nowhere());
        return if leads_nowhere { Told::Unmirrored } else { Told::Undefined(Touched::All) };
    };
    if env.currency.is_nothing() || !env.currency.trusts_reach(table) || !leads_where_it_did(table, &capture.table) {
        return Told::Undefined(Touched::All);
    }
    if !env.currency.trusts(table) {
        let mut touched = env.currency.doubted();
        touched.extend(&capture.touched);
        return Told::Undefined(touched);
    }
    let stamp = Stamp { epoch: env.epoch, lsn: appended.lsn };
    match row(table, capture.verb, &appended, stamp) {
        Some(change) => Told::Change(appended.xid, change),
        None => Told::Unreadable(Reason::Image),
    }
}

/// Whether all that is written with a row is what was known when its statement was planned, of whatever table it was.
fn leads_where_it_did(now: &Arc<Table>, then: &Arc<Table>) -> bool {
    let is_as_exact = now.exact.is_ok() || now.exact == then.exact;
    Arc::ptr_eq(now, then) || is_as_exact && now.leads.are_same_as(&then.leads)
}

/// The marks on rows of other tables that foreign keys write with one that was deleted (rule 16).
pub(super) fn referring(change: &Change, capture: &Capture) -> Vec<Change> {
    let (Change::Row(row), Verb::Delete) = (change, capture.verb) else { return Vec::new() };
    let mark = |referring: &Arc<Referring>| {
        Change::Mark(Mark::Referring {
            referring: Arc::clone(referring),
            key: row.key.clone(),
            reason: Reason::Cascade,
        })
    };
    capture.table.leads.removal.referring.iter().map(mark).collect()
}

/// The mark for a statement whose rows cannot be read.
pub(super) fn unreadable(capture: &Capture, reason: Reason) -> Change {
    Change::Mark(Mark::Tables { touched: capture.touched.clone(), reason })
}

/// The mark for a row of one of these.
pub(super) fn undefined(touched: Touched) -> Change {
    Change::Mark(Mark::Tables { touched, reason: Reason::Ddl })
}

struct Appended<'a> {
    image: &'a str,
    relation: u32,
    xid: Xid,
    lsn: Lsn,
}

fn appended(body: &[u8], format: RowFormat) -> Option<Appended<'_>> {
    let fields = data_row_fields(body).ok()?;
    let [image, relation, xid, lsn] = *fields.last_chunk::<APPENDED_COLUMNS>()?;
    let image = std::str::from_utf8(image?).ok()?;
    let (relation, xid, lsn) = (relation?, xid?, lsn?);
    match format {
        RowFormat::Text => {
            let number = |field| std::str::from_utf8(field).ok();
            let (relation, xid) = (number(relation)?.parse().ok()?, Xid(number(xid)?.parse().ok()?));
            Some(Appended { image, relation, xid, lsn: number(lsn)?.parse().ok()? })
        }
        RowFormat::Binary => Some(Appended {
            image,
            relation: u32::from_be_bytes(relation.try_into().ok()?),
            xid: Xid(u64::from_be_bytes(xid.try_into().ok()?)),
            lsn: Lsn(u64::from_be_bytes(lsn.try_into().ok()?)),
        }),
        RowFormat::Unknown => None,
    }
}

fn row(table: &Table, verb: Verb, appended: &Appended<'_>, stamp: Stamp) -> Option<Change> {
    let shape = &table.shape;
    let fields = effect::fields(appended.image).ok()?;
    let is_whole = verb != Verb::Delete && fields.len() == shape.columns.len();
    let lost = shape.key.is_empty() && verb != Verb::Insert;
    if lost || !is_whole && fields.len() != shape.key.len() {
        return None;
    }
    let positions = if is_whole { shape.key.clone() } else { (0..shape.key.len()).collect() };
    let parts = positions.iter().map(|&position| fields.get(position)?.as_deref()).collect::<Option<Vec<_>>>()?;
    let key = Key::new(parts);
    if !is_whole && verb != Verb::Delete {
        // The row has a value too long to be told (rule 10).
        return Some(Change::Mark(Mark::rows(shape.table, vec![key], Reason::Image)));
    }
    let image = is_whole.then(|| appended.image.into());
    Some(Change::Row(RowChange { shape: shape.clone(), key, stamp, image }))
}
