//! Reading a side's catalogs.

use std::sync::Arc;

use thiserror::Error;
use tokio_postgres::Client;

use super::{Catalog, Patterns};

/// Why a catalog could not be read.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The server refused a query, or is gone.
    #[error("reading the catalogs: {0}")]
    Query(#[from] tokio_postgres::Error),
}

/// What of the settings decides which tables are mirrored, and how.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `mirror.include`
    pub include: Patterns,
    /// `mirror.exclude`
    pub exclude: Patterns,
    /// `mirror.no_rewrite`
    pub no_rewrite: Patterns,
    /// The other side's catalog, as far as it is known: a table of the same name there must have a unique index over
    /// the key too, else nothing is exact (rule 14).
    pub other: Option<Arc<Catalog>>,
}

/// Reads everything through one connection of [`server::connect`](crate::server::connect), in one snapshot. A future
/// dropped halfway leaves a transaction open: the connection is then to be dropped too.
pub async fn load(_client: &Client, _options: &LoadOptions, _generation: u64) -> Result<Catalog, LoadError> {
    todo!()
}
