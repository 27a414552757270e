//! End to end: the executable between real clusters, seen only through what its users touch.
//!
//! One binary with a module per promise, so that it links once. Every test makes what it needs and leaves nothing.

mod cancel;
mod check;
mod demo;
mod drivers;
mod mirror;
mod outage;
mod reads;
mod relay;
mod support;
mod tls;
