"""Much data through one session: COPY both ways and a SELECT of a million rows, in MB/s and CPU seconds per GB."""

import time

from load import spread
from raw import Connection
from stage import contenders, cpu_seconds, turns, wait_until_applied

NAMES = ["direct", "crossfade", "crossfade, mirroring off", "pgbouncer", "haproxy"]
ROWS = 1_000_000


def prepare(port):
    connection = Connection(port)
    connection.query(f"CREATE TABLE bulk AS SELECT i AS id, md5(i::text) || md5((i + 1)::text) AS text FROM generate_series(1, {ROWS}) i")
    connection.query("CREATE TABLE sink (id int, text text)")
    connection.close()


def copy_in(connection):
    rows = b"".join(b"%d\tsome text that is as long as the other text is, about so long\n" % number for number in range(1000))
    connection.query("TRUNCATE sink")
    return lambda: connection.copy_in("COPY sink FROM STDIN", rows, ROWS // 1000)


WORK = {
    "COPY out": lambda connection: lambda: connection.query("COPY bulk TO STDOUT"),
    "COPY in": copy_in,
    "SELECT": lambda connection: lambda: connection.query("SELECT * FROM bulk"),
}


def bulk(root, primary, shadow, options):
    for server in (primary, shadow):
        prepare(server.port)
    with contenders(root, primary, shadow, NAMES) as (found, admin):
        for work, begin in WORK.items():
            runs = {name: [] for name in found}
            for name, port, pid in turns(found, options.rounds):
                connection = Connection(port)
                act = begin(connection)
                wait_until_applied(admin)
                cpu, begun = cpu_seconds(pid), time.monotonic()
                size = act()
                seconds = time.monotonic() - begun
                runs[name].append((size / seconds / 1e6, (cpu_seconds(pid) - cpu) * 1e9 / size))
                connection.close()
            print(f"\n{work} of {ROWS} rows, {size / 1e6:.0f} MB, one client, median (lowest to highest) of {options.rounds} rounds\n")
            print("| | MB/s | proxy CPU s/GB |")
            print("|---|---:|---:|")
            for name, each in runs.items():
                cpu = spread([cpu for _, cpu in each], 2) if name != "direct" else "–"
                print(f"| {name} | {spread([speed for speed, _ in each])} | {cpu} |", flush=True)
