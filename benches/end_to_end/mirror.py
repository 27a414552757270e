"""Whether the shadow keeps up, beside native logical replication under the same load on a pair of its own: lag, what a
transaction costs either server, how fast a backlog drains, and how the number of workers tells."""

import contextlib
import subprocess
import threading
import time

from load import initialize, pgbench, spread
from stage import cluster, contenders, mirror, run, tell, turns, wait_until_applied

# Between two looks at the lag, in seconds.
LOOK = 0.05
WORKERS = [1, 2, 4, 8]


class Mirrored:
    """A pair with crossfade between."""

    def __init__(self, primary, shadow, port, pid, admin):
        self.primary, self.shadow, self.port, self.pid, self.admin = primary, shadow, port, pid, admin

    @contextlib.contextmanager
    def lags(self):
        """In milliseconds, as /status has it: the list is filled until the end of the `with`."""
        found, done = [], threading.Event()

        def look():
            while not done.wait(LOOK):
                found.append(mirror(self.admin)["lag_ms"])

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield found
        finally:
            done.set()
            thread.join()

    def wait(self):
        deadline = time.monotonic() + 900
        while mirror(self.admin)["pending"]:
            if time.monotonic() > deadline:
                raise SystemExit("the mirror did not catch up within 15 minutes")
            time.sleep(0.05)


class Replicated:
    """A pair with a publication and a subscription."""

    pid = None

    def __init__(self, primary, shadow):
        self.primary, self.shadow, self.port = primary, shadow, primary.port
        self.ask(primary, "create publication bench for all tables")
        self.ask(shadow, f"create subscription bench connection 'host=127.0.0.1 port={primary.port} user=postgres dbname=postgres' "
                         "publication bench with (copy_data = false)")

    @staticmethod
    def command(server, *arguments):
        return ["psql", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-XAtq", *arguments, "postgres"]

    def ask(self, server, sql):
        return run(self.command(server, "-c", sql)).strip()

    @contextlib.contextmanager
    def lags(self):
        """In milliseconds, as the primary measures it."""
        found = []
        watching = subprocess.Popen(self.command(self.primary), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        watching.stdin.write("select coalesce(extract(epoch from max(replay_lag)) * 1000, 0) from pg_stat_replication "
                             f"\\watch {LOOK}\n")
        watching.stdin.flush()
        reader = threading.Thread(target=lambda: found.extend(float(line) for line in watching.stdout if is_number(line)))
        reader.start()
        try:
            yield found
        finally:
            watching.terminate()
            watching.wait()
            reader.join()

    def wait(self):
        written = self.ask(self.primary, "select pg_current_wal_lsn()")
        caught_up = f"select exists (select from pg_replication_slots where confirmed_flush_lsn >= '{written}')"
        deadline = time.monotonic() + 900
        while self.ask(self.primary, caught_up) != "t":
            if time.monotonic() > deadline:
                raise SystemExit("replication did not catch up within 15 minutes")
            time.sleep(0.05)


def is_number(line):
    return line.strip().replace(".", "", 1).isdigit()


def keeping_up(root, primary, shadow, options):
    with contextlib.ExitStack() as stack:
        other = [stack.enter_context(cluster(root, f"replicated-{name}", settings="wal_level = logical\n")) for name in ("primary", "shadow")]
        for server in other:
            initialize(server.port, options.scale)
        found, admin = stack.enter_context(contenders(root, primary, shadow, ["crossfade"]))
        port, pid = found["crossfade"]
        pairs = {"crossfade": Mirrored(primary, shadow, port, pid, admin), "logical replication": Replicated(*other)}
        wait_until_applied(admin)
        under_load(root, pairs, options)
        after_outage(root, pairs, options)
    by_workers(root, primary, shadow, options)


def under_load(root, pairs, options):
    """Both in turn: a slow minute of the machine hits both."""
    runs = {name: [] for name in pairs}
    lags = {name: [] for name in pairs}
    for name, pair in turns({name: (pair,) for name, pair in pairs.items()}, options.rounds):
        before = [server.cpu_seconds() for server in (pair.primary, pair.shadow)]
        with pair.lags() as found:
            done = pgbench(root, pair.port, pair.pid, "tpcb", "prepared", 8, options.seconds)
        pair.wait()
        after = [server.cpu_seconds() for server in (pair.primary, pair.shadow)]
        costs = [(late - early) * 1e6 / done["count"] for early, late in zip(before, after)]
        runs[name].append({"tps": done["tps"], "primary": costs[0], "shadow": costs[1], "ratio": costs[1] / costs[0]})
        lags[name].extend(found)
    print(f"\nTPC-B at full load, prepared protocol, 8 clients, median (lowest to highest) of {options.rounds} rounds of {options.seconds} s; "
          f"lag looked at every {LOOK * 1000:.0f} ms\n")
    print("| | transactions/s | lag ms p50 | p90 | p99 | primary's CPU µs/transaction | shadow's | shadow's by primary's |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, each in runs.items():
        column = {key: [one[key] for one in each] for key in each[0]}
        seen = sorted(lags[name])
        lag = " | ".join(f"{seen[len(seen) * percent // 100]:.0f}" for percent in (50, 90, 99)) if seen else "– | – | –"
        print(f"| {name} | {spread(column['tps'])} | {lag} | {spread(column['primary'])} | {spread(column['shadow'])} "
              f"| {spread(column['ratio'], 2)} |", flush=True)


def after_outage(root, pairs, options):
    """The shadow's server is stopped while clients go on at full load; then it is started, and they rest."""
    print(f"\nThe shadow away for {options.outage} s of TPC-B at full load, then back\n")
    print("| | backlog grew, transactions/s | drained, transactions/s | times | shadow's CPU µs/transaction |")
    print("|---|---:|---:|---:|---:|")
    for name, pair in pairs.items():
        pair.shadow.stop()
        done = pgbench(root, pair.port, pair.pid, "tpcb", "prepared", 8, options.outage)
        pair.shadow.start()
        begun = time.monotonic()
        pair.wait()
        drained = done["count"] / (time.monotonic() - begun)
        cost = pair.shadow.cpu_seconds() * 1e6 / done["count"]
        print(f"| {name} | {done['tps']:.0f} | {drained:.0f} | × {drained / done['tps']:.1f} | {cost:.0f} |", flush=True)


def by_workers(root, primary, shadow, options):
    """A backlog made while the mirror was paused, drained without load."""
    rates = {workers: [] for workers in WORKERS}
    costs = {workers: [] for workers in WORKERS}
    for turn, (workers,) in enumerate(turns({workers: () for workers in WORKERS}, options.rounds)):
        with contenders(root / f"workers-{turn}", primary, shadow, ["crossfade"], settings=f"[mirror]\nworkers = {workers}\n") as (found, admin):
            port, pid = found["crossfade"]
            pair = Mirrored(primary, shadow, port, pid, admin)
            wait_until_applied(admin)
            tell(admin, "/mirror/pause")
            done = pgbench(root, port, pid, "tpcb", "prepared", 8, options.seconds)
            before, begun = shadow.cpu_seconds(), time.monotonic()
            tell(admin, "/mirror/resume")
            pair.wait()
            rates[workers].append(done["count"] / (time.monotonic() - begun))
            costs[workers].append((shadow.cpu_seconds() - before) * 1e6 / done["count"])
    print(f"\nA backlog of {options.seconds} s of TPC-B drained without load, median (lowest to highest) of {options.rounds} rounds\n")
    print("| workers | transactions/s | shadow's CPU µs/transaction |")
    print("|---|---:|---:|")
    for workers in WORKERS:
        print(f"| {workers} | {spread(rates[workers])} | {spread(costs[workers])} |", flush=True)
