//! What the tables are: columns, keys, privileges, triggers, functions; loaded, refreshed, compared. And the SQL over
//! ranges of their keys that copy and check share. Knows no statement and no session.

mod actions;
mod assemble;
mod builtin;
mod chunk;
mod compare;
mod currency;
mod definitions;
mod facts;
mod follow;
mod functions;
mod handle;
mod hashing;
mod keys;
mod leads;
mod load;
mod names;
mod pace;
mod pattern;
mod plpgsql;
mod probe;
mod quiet;
mod relations;
mod share;
mod snapshot;
mod stream;
mod table;
mod throttle;
mod types;

pub use chunk::{Bound, Chunk, Seed, hash_row, hash_sums, key_after, key_texts, predicate, record_text};
pub use compare::{Pair, Pairs};
pub use currency::Currency;
pub use definitions::Definitions;
pub use follow::Changed;
pub use handle::{Handle, Invalidation};
pub use hashing::{Hashing, Md5, Method, TextSample};
pub use leads::{Leads, Removal};
pub use load::{LoadError, LoadOptions, load};
pub use pace::Pace;
pub use pattern::Patterns;
pub use probe::{ProbeError, RowHash, ShareSums, Side, Sides, Sums, Way, key};
pub use share::{Share, digest, share_number, whole_text};
pub use snapshot::{Catalog, Resolved, Volatility};
pub use stream::snapshot_line;
pub use table::{Canonical, ColumnFacts, Extent, KeyKind, Table};
pub use throttle::Throttle;

#[cfg(test)]
mod tests;
