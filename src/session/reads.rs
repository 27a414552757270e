//! What a session asks when a read is at hand, and the service (`reads/`) that answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::Profile;
use crate::config::Settings;
use crate::effect::Seq;
use crate::sql;
use crate::wire::TransactionStatus;

/// What the dice need (`reads.sample_by`).
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// A stable hash of text and parameters as sent.
    pub query: u64,
    /// A number drawn at connect.
    pub session: u64,
    /// The settings that hold for the open transaction block.
    pub settings: Option<&'a Arc<Settings>>,
}

/// What the dice gave a read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lot {
    /// Where it stands in [0, 100): a share above that asks the shadow for it. `None`: no share does.
    pub place: Option<f64>,
    /// Whether it is run on both sides once its client is served.
    pub compared: bool,
}

/// A drawn read, whole: from its first message to the Sync, or one simple Query.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// The one statement, without what follows it.
    pub sql: Bytes,
    /// Its facts; [`sql::Kind::Read`].
    pub script: Arc<sql::Script>,
    /// Role and settings; `None` when the session has state that another connection cannot share.
    pub profile: Option<Arc<Profile>>,
    /// The last place in the ledger of this session's own writes.
    pub own_writes: Option<Seq>,
    /// Extended protocol: what was asked; `None`: a simple Query.
    pub extended: Option<Extended>,
    /// Notified when the client cancels: by `notify_one`, so that it is not missed.
    pub cancelled: Arc<Notify>,
    /// How its ReadyForQuery ends: within a transaction block nothing can go wrong behind the first byte, for the block
    /// would have to fail with it.
    pub status: TransactionStatus,
    /// Within a block, the settings with which it began: a ramp that is turned up turns between transactions.
    pub settings: Option<Arc<Settings>>,
    /// Why it was drawn.
    pub lot: Lot,
}

/// The messages of an extended read: `Parse? Describe(statement)? Bind Describe? Execute Sync`, all names given
/// by the client already resolved, the portal the unnamed one.
#[derive(Debug, Clone)]
pub struct Extended {
    /// Types of the parameters as given in Parse.
    pub parameter_types: Vec<u32>,
    /// A Parse of the unnamed statement is among the messages: the client expects ParseComplete.
    pub parse: bool,
    /// Describe of the statement is among them in front of Bind: it expects ParameterDescription and RowDescription.
    pub describe_statement: bool,
    /// The body of Bind behind the two names: parameter formats, parameters, result formats.
    pub bind: Bytes,
    /// What is described behind Bind.
    pub described: Described,
    /// The most rows that Execute wants; all, if it is not above zero.
    pub limit: i32,
}

/// What a Describe behind Bind asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Described {
    /// There is none.
    Nothing,
    /// The portal: the client expects RowDescription.
    Portal,
    /// The statement: it expects ParameterDescription and RowDescription.
    Statement,
}

/// The read was not served, and nothing of it may have reached the client: the primary answers. Counted by the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback;

/// The shadow was lost within a row of which the client has got a part: nothing can follow, the session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated;

/// What a trait object gives when it is ready.
pub(super) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An answer under way. All bytes are for the client as they are, the last ones end with ReadyForQuery.
pub trait ReadReply: Send {
    /// The next bytes; `None` behind the last. An error after the first byte has become an ErrorResponse and
    /// ReadyForQuery in these bytes, unless it came within a row.
    fn next(&mut self) -> Pending<'_, Option<Result<Bytes, Truncated>>>;
}

/// Who serves reads from the shadow.
pub trait ReadService: Send + Sync + std::fmt::Debug {
    /// Whether a read is drawn, to be served or to be compared. Comes first, costs nothing when the shares are 0, parses
    /// nothing.
    fn draws(&self, sample: &Sample<'_>) -> Option<Lot>;

    /// Whether a share above 0 is asked for at all: else no hash is taken.
    fn is_on(&self) -> bool;

    /// Serves a drawn read, or says why not in its counters. Returns once the first bytes are at hand.
    fn serve<'a>(&'a self, request: &'a ReadRequest) -> Pending<'a, Result<Box<dyn ReadReply>, Fallback>>;

    /// The client has its answer to a drawn read, from whichever side. Waits for nothing.
    fn answered(&self, request: ReadRequest);

    /// A drawn read that never became a request: its batch was incomplete or of another form.
    fn ineligible(&self, reason: &'static str);
}
