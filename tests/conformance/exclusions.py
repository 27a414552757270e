"""What may differ in a stage or does not run, and why: only what shows on the server, or is chance, and never in the protocol."""

import re

# Its generator must not have come to its end when the server's error arrives: how much of its 4 MiB the sockets take until
# then is chance, directly too, and with a proxy there are two more of them.
EXECUTEMANY = "tests.test_execute.TestExecuteMany.test_executemany_server_failure_during_writes"

# A future that nobody waits for, of a connection that ends early, is told when the collector comes by: this test or another.
PERSISTENCE = "tests.test_pool.TestPool.test_pool_config_persistence"

# Tests, by stage.
EXCLUDED = {stage: {EXECUTEMANY, PERSISTENCE} for stage in ("off", "on", "reads")}

# What EXPLAIN prints.
PLAN = re.compile(r"^ *QUERY PLAN *\n.*?^\(\d+ rows?\)$", re.MULTILINE | re.DOTALL)

# Parts of tests, by stage.
PARTS = {
    # VACUUM marks no page as visible to all while another session holds a snapshot, as crossfade's reading of the
    # catalog does for some milliseconds; EXPLAIN then shows another plan.
    "on": {"create_index": PLAN},
    "reads": {"create_index": PLAN},
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
        # It wants an answer within a quarter of a second.
        "tests.test_introspection.TestIntrospection.test_introspection_on_large_db",
        # It wants a cancel and an answer within a fifth of one: on a busy machine it fails one time in twelve, directly too.
        "tests.test_timeout.TestConnectionCommandTimeout.test_command_timeout_01",
        # They want a Kerberos service of their own.
        "tests.test_connect.TestGssAuthentication.*",
    ],
    "psycopg2": [],
}


def compared(stage, results):
    """The results without the parts that may differ."""
    parts = PARTS.get(stage, {})
    return {name: parts[name].sub("", text) if name in parts else text for name, text in results.items()}
