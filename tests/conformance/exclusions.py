"""Tests that may differ in a stage, and why: only what shows on the server and never in the protocol."""

EXCLUDED = {
    # VACUUM marks no page as visible to all while another session holds a snapshot, as crossfade's reading of the
    # catalog does for some milliseconds; EXPLAIN then shows another plan.
    "on": {"create_index"},
}
