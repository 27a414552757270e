//! The limit on open files: shells and service managers set it low, and a session takes two.

use tracing::warn;

/// What is open besides the sessions: journal, our own connections, logs.
const OTHERS: u64 = 200;

/// Raises the limit as far as it may go, and says when that is not enough for `sessions`.
pub(super) fn raise_for(sessions: usize) {
    let wanted = 2 * sessions as u64 + OTHERS;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < wanted => warn!(
            "listen.max_connections = {sessions} takes up to {wanted} open files, and this process may have {limit}: \
             raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower the setting"
        ),
        Ok(_) => {}
        Err(error) => warn!(%error, "the limit on open files could not be raised"),
    }
}
