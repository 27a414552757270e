//! End to end: the executable between real clusters, seen only through what its users touch.
//!
//! One binary with a module per promise, so that it links once. Every test makes what it needs and leaves nothing.

mod backfill;
mod binding;
mod bulk;
mod cancel;
mod check;
mod check_cost;
mod check_encodings;
mod check_lanes;
mod check_once;
mod compare;
mod demo;
mod drivers;
mod dry_run;
mod endings;
mod faults;
mod guard;
mod histories;
mod leads;
mod memory;
mod mirror;
mod outage;
mod planted;
mod planted_types;
mod question;
mod read_only;
mod reads;
mod refusal;
mod refused_rows;
mod relay;
mod rules;
mod schema;
mod sequences;
mod startup;
mod storm;
mod support;
mod tls;
mod unseen;
mod wire;
