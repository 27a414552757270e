//! The background checker: compares both databases chunk by chunk while writes go on.
//!
//! It says *confirmed* only of differences that no write on its way can explain, *consistent* only of what was compared
//! whole and is not suspect, and never takes a timeout for a match. It reads both sides and writes to neither: a repair
//! is a mark in the mirror, answered by whoever heals marks.

mod agenda;
mod checker;
mod compare;
mod cost;
mod diff;
mod dry_run;
mod memory;
mod results;
mod round;
mod sample;
mod state;
mod table;
mod tally;
mod turn;
mod walk;

pub use checker::{CheckError, Checker};
pub use results::Results;
