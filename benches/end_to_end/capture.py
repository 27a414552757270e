"""What capture costs the primary, and what clients notice of it and of the shadow's troubles: the same build, with
mirroring off and on, in turn."""

import signal
import statistics

from load import pgbench, spread
from stage import contenders, turns, wait_until_applied

NAMES = ["crossfade, mirroring off", "crossfade"]


def capture(root, primary, shadow, options):
    """The primary's CPU per TPC-B transaction at full speed, and latency at a fixed rate."""
    with contenders(root, primary, shadow, NAMES) as (found, admin):
        for mode in options.modes:
            runs = {name: [] for name in found}
            for name, port, pid in turns(found, options.rounds):
                runs[name].append(run_and_settle(root, primary, admin, port, pid, mode, options.seconds))
            paced = {name: [] for name in found}
            for name, port, pid in turns(found, options.rounds):
                paced[name].append(run_and_settle(root, primary, admin, port, pid, mode, options.seconds, options.rate))
            show(mode, runs, paced, options)


def run_and_settle(root, primary, admin, port, pid, mode, seconds, rate=None):
    """What the mirror asks of the primary afterwards is its cost too."""
    before = primary.cpu_seconds()
    done = pgbench(root, port, pid, "tpcb", mode, 8, seconds, rate)
    wait_until_applied(admin)
    return done | {"primary": (primary.cpu_seconds() - before) * 1e6 / done["count"]}


def show(mode, runs, paced, options):
    print(f"\nCapture: TPC-B, {mode} protocol, 8 clients, median (lowest to highest) of {options.rounds} rounds of {options.seconds} s; "
          f"then at {options.rate} transactions a second\n")
    print("| | primary's CPU µs/transaction | | paced | | p50 ms | p99 ms |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in runs:
        row = [name]
        for each in (runs, paced):
            cpu, base = ([run["primary"] for run in each[one]] for one in (name, NAMES[0]))
            row += [spread(cpu), f"× {statistics.median(cpu) / statistics.median(base):.2f}"]
        row += [spread([run[key] for run in paced[name]], 2) for key in ("p50", "p99")]
        print(f"| {' | '.join(row)} |", flush=True)


def outage(root, primary, shadow, options):
    """TPC-B at a fixed rate while the shadow is healthy, hangs (SIGSTOP), is dead, and is back: clients must not tell."""
    states = {
        "healthy": (lambda: None, lambda: None),
        "hanging": (lambda: shadow.signal(signal.SIGSTOP), lambda: shadow.signal(signal.SIGCONT)),
        "dead": (shadow.stop, shadow.start),
        "back": (lambda: None, lambda: None),
    }
    runs = {name: [] for name in states}
    with contenders(root, primary, shadow, ["crossfade"]) as (found, admin):
        port, pid = found["crossfade"]
        for _ in range(options.rounds):
            for name, (begin, end) in states.items():
                begin()
                try:
                    runs[name].append(pgbench(root, port, pid, "tpcb", "prepared", 8, options.seconds, options.rate))
                finally:
                    end()
                wait_until_applied(admin)
    print(f"\nTPC-B through crossfade at {options.rate} transactions a second, 8 clients, {options.rounds} rounds of {options.seconds} s, by "
          "what the shadow does: median (lowest to highest) over the rounds\n")
    print("| shadow | p50 ms | p99 ms |")
    print("|---|---:|---:|")
    for name, each in runs.items():
        print(f"| {name} | {spread([run['p50'] for run in each], 2)} | {spread([run['p99'] for run in each], 2)} |", flush=True)
