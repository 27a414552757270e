//! What every test stands on: two clusters with the proxy between them, and the programs of a PostgreSQL user.

mod authority;
mod compare;
mod disk;
mod line;
mod pair;
mod programs;
mod survivors;
pub(crate) mod wire;
mod workers;

pub(crate) use authority::{Authority, speak_tls};
pub(crate) use compare::{same_rows, same_rows_of_all};
pub(crate) use disk::SmallDisk;
pub(crate) use line::{Line, Traffic};
pub(crate) use pair::{Pair, Recipe, send};
pub(crate) use programs::{PGBENCH, Program, finish, pgbench, psql, python, repository};
pub(crate) use survivors::{Survivors, must_be_a_loss};
pub(crate) use workers::{Workers, connect, eventually};

/// Seconds of load: the long form of a test under `make soak`, which sets `CROSSFADE_SOAK`, else the short one.
pub(crate) fn seconds(short: u64, long: u64) -> u64 {
    if std::env::var_os("CROSSFADE_SOAK").is_some() { long } else { short }
}

/// The database of both sides.
pub(crate) const DATABASE: &str = "postgres";
