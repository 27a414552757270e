"""Filling an empty shadow: `crossfade backfill` of one quiet table, beside COPY piped into COPY, in turn."""

import resource
import statistics
import subprocess
import time

from load import spread
from stage import contenders, cpu_seconds, resident_mib, run, work

TABLE = "CREATE TABLE copied (id bigint PRIMARY KEY, account int, amount numeric(12,2), at timestamptz, note text)"
ROWS = """INSERT INTO copied SELECT i, i % 1000, i / 100.0, '2026-01-01'::timestamptz + i * interval '1 second',
repeat(md5(i::text), 5) FROM generate_series(1, {rows}) i"""


def copy_rows(root, primary, shadow, options):
    for server in (primary, shadow):
        query(server.port, TABLE)
    query(primary.port, ROWS.format(rows=options.rows))
    query(primary.port, "VACUUM ANALYZE copied")
    runs = {"COPY to COPY": [], "crossfade backfill": []}
    with contenders(root, primary, shadow, ["crossfade"]) as (found, admin):
        pid = found["crossfade"][1]
        ways = {"COPY to COPY": lambda: pipe(primary.port, shadow.port), "crossfade backfill": lambda: work(admin, "backfill", "public.copied")}
        for turn in range(options.rounds):
            for name in list(ways)[:: 1 if turn % 2 else -1]:
                query(shadow.port, "TRUNCATE copied")
                for server in (primary, shadow):
                    query(server.port, "CHECKPOINT")
                before = cpu(primary, shadow, pid)
                begun = time.monotonic()
                ways[name]()
                seconds = time.monotonic() - begun
                runs[name].append((seconds, *(now - then for now, then in zip(cpu(primary, shadow, pid), before))))
                compare(primary.port, shadow.port)
        show(runs, options, resident_mib(pid))


def query(port, sql):
    run(["psql", "-X", "-q", "-h", "127.0.0.1", "-U", "postgres", "-d", "postgres", "-c", sql, "-p", str(port)])


def cpu(primary, shadow, pid):
    return primary.cpu_seconds(), shadow.cpu_seconds(), cpu_seconds(pid)


def pipe(source, target):
    psql = ["psql", "-X", "-q", "-h", "127.0.0.1", "-U", "postgres", "-d", "postgres", "-v", "ON_ERROR_STOP=1"]
    out = subprocess.Popen([*psql, "-p", str(source), "-c", "COPY copied TO STDOUT"], stdout=subprocess.PIPE)
    run_in = subprocess.run([*psql, "-p", str(target), "-c", "COPY copied FROM STDIN"], stdin=out.stdout, check=False)
    out.stdout.close()
    if out.wait() or run_in.returncode:
        raise SystemExit("COPY failed")


def compare(*ports):
    """A copy that is not whole would be no measurement."""
    sql = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM copied t"
    command = ["psql", "-X", "-At", "-h", "127.0.0.1", "-U", "postgres", "-d", "postgres", "-c", sql, "-p"]
    primary, shadow = (run([*command, str(port)]) for port in ports)
    if primary != shadow:
        raise SystemExit(f"the copy differs: {primary.strip()} on the primary, {shadow.strip()} on the shadow")


def show(runs, options, memory):
    print(f"\nFilling an empty table of {options.rows} rows, about 200 bytes each, median (lowest to highest) of {options.rounds} rounds; "
          f"crossfade takes {memory:.0f} MiB afterwards\n")
    print("| | seconds | rows/s | speed | primary's CPU s | shadow's CPU s | proxy's CPU s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    base = statistics.median(run[0] for run in runs["COPY to COPY"])
    for name, each in runs.items():
        seconds, *parts = zip(*each)
        median = statistics.median(seconds)
        cpus = " | ".join(spread(part, 1) for part in parts)
        print(f"| {name} | {spread(seconds, 1)} | {options.rows / median:.0f} | × {base / median:.2f} | {cpus} |", flush=True)
