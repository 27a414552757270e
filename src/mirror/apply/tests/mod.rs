//! The appliers against real servers, fed from memory.

mod faults;
mod order;
mod refreshes;
mod stage;
mod values;
