//! To whom a session tells what it writes, and what it is told about the world.

use std::sync::Arc;

use crate::catalog::{Catalog, Currency};
use crate::config::Ddl;
use crate::effect::{Change, Disturbed, Epoch, Touched, Xid};
use crate::sql;

/// Keeps the books of one session; `net` joins it to the mirror. No call may block.
pub trait Accounts {
    /// A message that may commit writes to these tables is about to be forwarded (rule 3).
    fn enter(&mut self, touched: &Touched);

    /// Changes are committed, and the bytes that say so are about to go to the client.
    fn commit(&mut self, xid: Option<Xid>, changes: Vec<Change>);

    /// A transaction committed that wrote only what is not mirrored.
    fn skip(&mut self);

    /// What the oldest `count` calls of [`Accounts::enter`] announced is decided.
    fn resolve(&mut self, count: usize);

    /// The definition of these is about to change.
    fn ddl(&mut self, disturbed: Disturbed);

    /// It changes no more: all transactions in which it did have ended.
    fn defined(&mut self);

    /// A rewrite was refused for which the catalog let it pass: that is to be read anew.
    fn refused(&mut self);

    /// What the client sees of a refused rewrite.
    fn count_refusal(&mut self, outcome: RefusalOutcome);
}

/// What became of a refused rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalOutcome {
    /// The original is under way.
    Retried,
    /// The client gets the error, which may be its own.
    Told,
}

/// What the world looks like while a chunk of bytes is processed.
#[derive(Debug, Clone, Copy)]
pub struct Env<'a> {
    /// Of the primary.
    pub catalog: &'a Arc<Catalog>,
    /// What of it may be trusted.
    pub currency: &'a Currency,
    /// Of statements seen before.
    pub cache: &'a sql::Cache,
    /// What happens to DDL.
    pub ddl: Ddl,
    /// The primary's life.
    pub epoch: Epoch,
}
