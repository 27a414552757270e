//! The machine fed from both sides, as `net` feeds it.

mod capture;
mod commit;
mod follow;
mod leads;
mod pipeline;
mod primary;
mod protocol;
mod question;
mod retry;
mod support;
mod temporary;
mod texts;
