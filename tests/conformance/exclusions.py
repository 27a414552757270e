"""Tests that may differ in a stage or do not run, and why: only what shows on the server and never in the protocol."""

EXCLUDED = {
    # VACUUM marks no page as visible to all while another session holds a snapshot, as crossfade's reading of the
    # catalog does for some milliseconds; EXPLAIN then shows another plan.
    "on": {"create_index"},
}

# Patterns of tests that do not run, by suite: what they test is not the server that the harness names.
NOT_RUN = {
    "asyncpg": [
        # flake8 and mypy over asyncpg's source.
        "tests.test__sourcecode.*",
        # They start servers of their own, a primary and its standby.
        "tests.test_connect.TestConnectionAttributes.*",
        "tests.test_pool.TestHotStandby.*",
        # They write in the database of PGDATABASE and read in "postgres", as if it were the same.
        "tests.test_cache_invalidation.TestCacheInvalidation.test_*_cache_invalidation_in_pool",
        # They want a Kerberos service of their own.
        "tests.test_connect.TestGssAuthentication.*",
    ],
    "psycopg2": [],
}
