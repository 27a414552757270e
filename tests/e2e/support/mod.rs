//! What every test stands on: two clusters with the proxy between them, and the programs of a PostgreSQL user.

mod compare;
mod pair;
mod programs;
mod workers;

pub(crate) use compare::same_rows;
pub(crate) use pair::Pair;
pub(crate) use programs::{PGBENCH, Program, finish, pgbench, psql};
pub(crate) use workers::{Workers, connect, eventually};

/// The database of both sides.
pub(crate) const DATABASE: &str = "postgres";
