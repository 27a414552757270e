//! Writing rows on one connection: statements prepared once, values as arrays of text, sent without waiting in between.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt, SinkExt};
use tokio_postgres::Statement;
use tokio_postgres::types::{ToSql, Type};

use super::batch::{Filling, Form};
use super::compact::Group;
use super::outcome::{INVALID_TEXT, Refusal, Trouble, UNIQUE_VIOLATION};
use super::sql::{self, Bounds, Conflict};
use crate::catalog::Share;
use crate::effect::{Key, Shape, TableId, fields, line_fields, line_key, lines, without_keys};
use crate::mirror::entry::{Existing, Fill, Refresh, Scope};
use crate::server::Client;

/// Past so many prepared statements all are let go.
const MAX_STATEMENTS: usize = 256;
/// Sent as one message of a COPY.
const COPY_BYTES: usize = 64 << 10;
/// Images of one statement, and of what is sent before an answer is waited for: the driver holds them twice.
const PIECE_BYTES: usize = 1 << 20;

/// A connection and its prepared statements, by their text.
#[derive(Debug)]
pub(super) struct Rows {
    client: Client,
    prepared: HashMap<String, Statement>,
    /// How much of a table one statement may write.
    piece_bytes: usize,
}

/// One column of many rows.
type Array<'a> = Vec<Option<Cow<'a, str>>>;

/// A prepared statement with its parameters: arrays, then single texts.
#[derive(Debug)]
pub(super) struct Bound<'a> {
    statement: Statement,
    arrays: Vec<Array<'a>>,
    texts: Vec<&'a str>,
    /// Of the images in it.
    bytes: usize,
}

impl Rows {
    /// `replica`: no foreign key is checked. Where one is, rows of one table may need each other in one statement.
    pub(super) fn new(client: Client, replica: bool) -> Self {
        let piece_bytes = if replica { PIECE_BYTES } else { usize::MAX };
        Self { client, prepared: HashMap::new(), piece_bytes }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// What writes `groups`: deletes of all tables, then upserts, each in the order of the groups.
    pub(super) async fn statements<'a>(
        &mut self,
        groups: &[Group<'a>],
        form: impl Fn(TableId) -> Form,
    ) -> Result<Vec<Bound<'a>>, Trouble> {
        let mut bound = Vec::new();
        for Group { shape, deletes, upserts } in groups {
            let by_key = form(shape.table) == Form::Replace && !shape.key.is_empty();
            let replaced: &[_] = if by_key { upserts } else { &[] };
            let keys: Vec<&Key> = deletes.iter().copied().chain(replaced.iter().map(|(key, _)| *key)).collect();
            bound.extend(self.delete(shape, &keys).await?);
        }
        for Group { shape, upserts, .. } in groups {
            let conflict = if form(shape.table) == Form::Replace { Conflict::Raise } else { Conflict::Update };
            let images = upserts.iter().map(|(_, image)| *image);
            bound.extend(self.upsert(shape, conflict, images).await?);
        }
        Ok(bound)
    }

    /// Runs `statements` in order, behind a BEGIN if `begin`; waits for answers once much is sent.
    pub(super) async fn execute(&self, mut begin: bool, mut statements: &[Bound<'_>]) -> Result<(), Trouble> {
        loop {
            let mut bytes = 0;
            let fits = |bound: &&Bound<'_>| {
                bytes += bound.bytes;
                bytes <= PIECE_BYTES
            };
            let most = statements.iter().take_while(fits).count().max(1);
            let (now, later) = statements.split_at(most.min(statements.len()));
            self.send(begin, now).await?;
            if later.is_empty() {
                return Ok(());
            }
            (begin, statements) = (false, later);
        }
    }

    async fn send(&self, begin: bool, statements: &[Bound<'_>]) -> Result<(), Trouble> {
        let parameters: Vec<Vec<&(dyn ToSql + Sync)>> = statements.iter().map(Bound::parameters).collect();
        let mut sent: Vec<BoxFuture<'_, Result<(), tokio_postgres::Error>>> = Vec::new();
        if begin {
            sent.push(self.client.batch_execute("BEGIN").boxed());
        }
        for (bound, parameters) in statements.iter().zip(&parameters) {
            sent.push(self.client.execute(&bound.statement, parameters).map(|done| done.map(drop)).boxed());
        }
        // The first error is the cause of those behind it.
        join_all(sent).await.into_iter().collect::<Result<(), _>>()?;
        Ok(())
    }

    /// Puts rows read back in place of what is there, inside the open transaction.
    pub(super) async fn refresh(&mut self, refresh: &Refresh, form: Form) -> Result<(), Trouble> {
        let shape = &*refresh.shape;
        let images = refresh.rows.iter().map(|(_, image)| &**image);
        let mut bound = Vec::new();
        match &refresh.scope {
            Scope::Multiset { share, counts } => return self.make_equal(shape, *share, counts, images, form).await,
            Scope::Keys(keys) => {
                let there: HashSet<&Key> = match form {
                    Form::Upsert => refresh.rows.iter().map(|(key, _)| key).collect(),
                    Form::Replace | Form::Yield => HashSet::new(),
                };
                let gone = keys.iter().filter(|key| !refresh.newer.contains(*key) && !there.contains(key));
                let keys: Vec<&Key> = gone.collect();
                bound.extend(self.delete(shape, &keys).await?);
                bound.extend(self.upsert(shape, conflict(form), images).await?);
            }
            Scope::Range { after, upto } => {
                let rows = refresh.rows.iter().map(|(key, _)| key);
                let rows = rows.filter(|_| form == Form::Upsert);
                let kept: Vec<&Key> = refresh.newer.iter().chain(rows).collect();
                bound.push(self.delete_range(shape, &kept, after.as_ref(), upto.as_ref()).await?);
                bound.extend(self.upsert(shape, conflict(form), images).await?);
            }
        }
        self.execute(false, &bound).await
    }

    /// Puts rows where there are none or few, inside the open transaction.
    pub(super) async fn fill(&mut self, fill: &Fill, filling: Filling, form: Form) -> Result<(), Trouble> {
        let mut text = Cow::Borrowed(&*fill.lines);
        if !fill.newer.is_empty() {
            text = without_keys(&fill.shape, &text, |key| fill.newer.contains(key)).into();
        }
        let filling = if form == Form::Yield { Filling::Insert } else { filling };
        match &fill.existing {
            Existing::Kept => self.add(&fill.shape, &text, filling, form).await,
            Existing::Replaced { after, upto } => {
                let form = if filling == Filling::Copy { Form::Replace } else { form };
                let keys: Vec<Key> = match form {
                    Form::Upsert => lines(&text).filter_map(|line| line_key(&fill.shape, line)).collect(),
                    Form::Replace | Form::Yield => Vec::new(),
                };
                let kept: Vec<&Key> = fill.newer.iter().chain(&keys).collect();
                let range = self.delete_range(&fill.shape, &kept, after.as_ref(), upto.as_ref()).await?;
                self.replace(&fill.shape, &text, filling, form, range).await
            }
        }
    }

    /// Adds the rows that are not there. Mostly none is there.
    async fn add(&mut self, shape: &Shape, text: &str, filling: Filling, form: Form) -> Result<(), Trouble> {
        if filling == Filling::Copy {
            self.client.batch_execute("SAVEPOINT fill").await?;
            match self.copy_in(shape, text).await {
                Err(Trouble::Refused(refusal)) if refusal.sqlstate == UNIQUE_VIOLATION => {
                    self.client.batch_execute("ROLLBACK TO SAVEPOINT fill").await?;
                }
                copied => return copied,
            }
        }
        let arrays = line_columns(shape, text)?;
        let conflict = if form == Form::Yield { Conflict::Yield } else { Conflict::Nothing };
        let inserted = self.insert(shape, conflict, arrays).await?;
        self.execute(false, inserted.as_slice()).await
    }

    /// Puts the rows in place of those that `delete` takes away.
    async fn replace(
        &mut self,
        shape: &Shape,
        text: &str,
        filling: Filling,
        form: Form,
        delete: Bound<'_>,
    ) -> Result<(), Trouble> {
        if filling == Filling::Copy {
            self.execute(false, &[delete]).await?;
            return self.copy_in(shape, text).await;
        }
        let mut bound = vec![delete];
        let arrays = line_columns(shape, text)?;
        bound.extend(self.insert(shape, conflict(form), arrays).await?);
        self.execute(false, &bound).await
    }

    async fn copy_in(&self, shape: &Shape, text: &str) -> Result<(), Trouble> {
        let about = |error: tokio_postgres::Error| Trouble::from(error).about(|| shape.display_name());
        let sink = self.client.copy_in::<_, Bytes>(&sql::copy_in(shape)).await.map_err(about)?;
        let mut sink = pin!(sink);
        for part in text.as_bytes().chunks(COPY_BYTES) {
            sink.feed(Bytes::copy_from_slice(part)).await.map_err(about)?;
        }
        sink.finish().await.map_err(about)?;
        Ok(())
    }

    /// Makes a share of the shadow's rows equal to these, of each so many.
    async fn make_equal(
        &mut self,
        shape: &Shape,
        share: Share,
        counts: &[u64],
        images: impl Iterator<Item = &str>,
        form: Form,
    ) -> Result<(), Trouble> {
        self.client.batch_execute(&sql::lock(shape)).await?;
        let mut arrays = columns(shape, images)?;
        arrays.push(counts.iter().map(|count| Some(count.to_string().into())).collect());
        let share = [share.number, share.of].map(|number| number.to_string());
        let texts: Vec<&str> = share.iter().map(String::as_str).collect();
        let mut bound = Vec::new();
        for text in [sql::delete_surplus(shape), sql::insert_missing(shape, conflict(form))] {
            let statement = self.prepare(shape, text, arrays.len(), texts.len()).await?;
            bound.push(Bound { statement, arrays: arrays.clone(), texts: texts.clone(), bytes: 0 });
        }
        self.execute(false, &bound).await
    }

    async fn delete<'a>(&mut self, shape: &Shape, keys: &[&'a Key]) -> Result<Option<Bound<'a>>, Trouble> {
        if keys.is_empty() {
            return Ok(None);
        }
        let arrays = key_columns(shape, keys)?;
        let statement = self.prepare(shape, sql::delete(shape), arrays.len(), 0).await?;
        Ok(Some(Bound { statement, arrays, texts: Vec::new(), bytes: 0 }))
    }

    async fn upsert<'a>(
        &mut self,
        shape: &Shape,
        conflict: Conflict,
        images: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Bound<'a>>, Trouble> {
        let mut bound = Vec::new();
        for (bytes, piece) in pieces(images, self.piece_bytes) {
            let insert = self.insert(shape, conflict, columns(shape, piece.into_iter())?).await?;
            bound.extend(insert.map(|insert| Bound { bytes, ..insert }));
        }
        Ok(bound)
    }

    async fn insert<'a>(
        &mut self,
        shape: &Shape,
        conflict: Conflict,
        arrays: Vec<Array<'a>>,
    ) -> Result<Option<Bound<'a>>, Trouble> {
        if arrays.first().is_none_or(Vec::is_empty) {
            return Ok(None);
        }
        let statement = self.prepare(shape, sql::upsert(shape, conflict), arrays.len(), 0).await?;
        Ok(Some(Bound { statement, arrays, texts: Vec::new(), bytes: 0 }))
    }

    async fn delete_range<'a>(
        &mut self,
        shape: &Shape,
        kept: &[&'a Key],
        after: Option<&'a Key>,
        upto: Option<&'a Key>,
    ) -> Result<Bound<'a>, Trouble> {
        let arrays = key_columns(shape, kept)?;
        let bounds = Bounds { after: after.is_some(), upto: upto.is_some() };
        let texts: Vec<&str> = after.into_iter().chain(upto).flat_map(Key::parts).collect();
        let statement = self.prepare(shape, sql::delete_range(shape, bounds), arrays.len(), texts.len()).await?;
        Ok(Bound { statement, arrays, texts, bytes: 0 })
    }

    async fn prepare(
        &mut self,
        shape: &Shape,
        text: String,
        arrays: usize,
        texts: usize,
    ) -> Result<Statement, Trouble> {
        if let Some(statement) = self.prepared.get(&text) {
            return Ok(statement.clone());
        }
        let mut types = vec![Type::TEXT_ARRAY; arrays];
        types.resize(arrays + texts, Type::TEXT);
        // A missing table or column shows here.
        let prepared = self.client.prepare_typed(&text, &types).await;
        let statement = prepared.map_err(|error| Trouble::from(error).about(|| shape.display_name()))?;
        if self.prepared.len() >= MAX_STATEMENTS {
            self.prepared.clear();
        }
        self.prepared.insert(text, statement.clone());
        Ok(statement)
    }
}

impl Bound<'_> {
    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        let arrays = self.arrays.iter().map(|array| array as &(dyn ToSql + Sync));
        arrays.chain(self.texts.iter().map(|text| text as &(dyn ToSql + Sync))).collect()
    }
}

fn conflict(form: Form) -> Conflict {
    match form {
        Form::Upsert => Conflict::Update,
        Form::Replace => Conflict::Raise,
        Form::Yield => Conflict::Yield,
    }
}

/// Consecutive images of about so many bytes, with how many these are.
fn pieces<'a>(images: impl Iterator<Item = &'a str>, most: usize) -> Vec<(usize, Vec<&'a str>)> {
    let mut pieces: Vec<(usize, Vec<&str>)> = Vec::new();
    for image in images {
        match pieces.last_mut() {
            Some((bytes, piece)) if bytes.saturating_add(image.len()) <= most => {
                *bytes += image.len();
                piece.push(image);
            }
            _ => pieces.push((image.len(), vec![image])),
        }
    }
    pieces
}

/// Images turned into one array per written column.
fn columns<'a>(shape: &Shape, images: impl Iterator<Item = &'a str>) -> Result<Vec<Array<'a>>, Trouble> {
    let mut arrays: Vec<Array<'a>> = shape.written().map(|_| Vec::new()).collect();
    for image in images {
        let mut fields = fields(image).map_err(|error| unreadable(shape, &error.to_string()))?;
        if fields.len() != shape.columns.len() {
            return Err(unreadable(shape, "the row image has another number of columns than its table"));
        }
        for (array, (index, _)) in arrays.iter_mut().zip(shape.written()) {
            array.push(fields[index].take());
        }
    }
    Ok(arrays)
}

/// Lines turned into one array per written column.
fn line_columns<'a>(shape: &Shape, text: &'a str) -> Result<Vec<Array<'a>>, Trouble> {
    let mut arrays: Vec<Array<'a>> = shape.written().map(|_| Vec::new()).collect();
    for line in lines(text) {
        let mut fields = line_fields(line);
        for array in &mut arrays {
            array.push(fields.next().ok_or_else(|| unreadable(shape, "a line has fewer fields than its table"))?);
        }
        if fields.next().is_some() {
            return Err(unreadable(shape, "a line has more fields than its table"));
        }
    }
    Ok(arrays)
}

/// Keys turned into one array per key column.
fn key_columns<'a>(shape: &Shape, keys: &[&'a Key]) -> Result<Vec<Array<'a>>, Trouble> {
    let mut arrays: Vec<Array<'a>> = vec![Vec::with_capacity(keys.len()); shape.key.len()];
    for key in keys {
        let mut parts = key.parts();
        for array in &mut arrays {
            let part = parts.next().ok_or_else(|| unreadable(shape, "a key has fewer columns than its table's"))?;
            array.push(Some(Cow::Borrowed(part)));
        }
    }
    if arrays.is_empty() {
        return Err(unreadable(shape, "rows of a table without a key cannot be found by key"));
    }
    Ok(arrays)
}

fn unreadable(shape: &Shape, why: &str) -> Trouble {
    Trouble::Refused(Refusal::new(INVALID_TEXT, why)).about(|| shape.display_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_cut_into_pieces_that_lose_none() {
        let images = ["aaaa", "bb", "cc", "dddddddddd", "e"];
        let cut = pieces(images.into_iter(), 4);
        let expected = [(4, vec!["aaaa"]), (4, vec!["bb", "cc"]), (10, vec!["dddddddddd"]), (1, vec!["e"])];
        assert_eq!(cut, expected);
        assert_eq!(pieces(images.into_iter(), usize::MAX), [(19, images.to_vec())]);
        assert!(pieces(std::iter::empty(), 4).is_empty());
    }
}
