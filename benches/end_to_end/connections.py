"""Connections: how long one takes, what a thousand idle ones cost, and that thousands work."""

import time

from load import spread
from raw import Connection
from stage import contenders, cluster, resident_mib, turns

NAMES = ["direct", "crossfade", "crossfade, mirroring off", "pgbouncer", "haproxy"]
CONNECTS = 100
IDLE = 1000


def connections(root, _primary, _shadow, options):
    # Servers of their own: with many connections allowed, all of a server's processes cost more.
    with cluster(root, "many", options.connections + 100) as primary, cluster(root, "few") as shadow:
        with contenders(root, primary, shadow, NAMES, options.connections) as (found, _):
            connecting(found, options)
            idle(found)
    # And none that another proxy keeps for later.
    with cluster(root, "most", options.connections + 100) as primary, cluster(root, "fewer") as shadow:
        with contenders(root / "most", primary, shadow, ["crossfade"], options.connections) as (found, _):
            many(found, options.connections)


def connecting(found, options):
    runs = {name: [] for name in found}
    for name, port, _ in turns(found, options.rounds * 5):
        times = []
        for _ in range(CONNECTS):
            begun = time.monotonic()
            connection = Connection(port)
            times.append((time.monotonic() - begun) * 1e3)
            connection.close()
        runs[name].append(sorted(times)[CONNECTS // 2])
    print(f"\nConnecting, median (lowest to highest) of {options.rounds * 5} rounds of {CONNECTS} connections, one after the other\n")
    print("| | ms |")
    print("|---|---:|")
    for name, each in runs.items():
        print(f"| {name} | {spread(each, 2)} |", flush=True)


def idle(found):
    print(f"\n{IDLE} idle connections: resident memory of the proxy's process\n")
    print("| | MiB before | MiB more |")
    print("|---|---:|---:|")
    for name, (port, pid) in found.items():
        if pid is None:
            continue
        warm = Connection(port)
        warm.query("SELECT 1")
        before = resident_mib(pid)
        opened = [Connection(port) for _ in range(IDLE)]
        for connection in opened:
            connection.query("SELECT 1")
        print(f"| {name} | {before:.1f} | {resident_mib(pid) - before:.1f} |", flush=True)
        for connection in [warm, *opened]:
            connection.close()


def many(found, count):
    port, pid = found["crossfade"]
    opened = [Connection(port) for _ in range(count)]
    for connection in opened:
        connection.query("SELECT 1")
    print(f"\n{count} connections at once through crossfade, a query on each: all answered; {resident_mib(pid):.0f} MiB resident")
    for connection in opened:
        connection.close()
