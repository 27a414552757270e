"""What a read costs by where it goes: the proxy and the primary, with the ramp at 0, so low that none is drawn, and at 100."""

import statistics
import sys

from load import pgbench, spread
from stage import check, crossfade, post, status, turns

# Of one text and one parameter in a billion: the dice are thrown, and nobody is drawn.
STATES = {"relayed (ramp at 0)": 0, "not drawn": 1e-7, "from the shadow (ramp at 100)": 100}
SETTINGS = '[reads]\nsample_by = "random"\npool_size = 32\n'


def reads(root, primary, shadow, options):
    port, admin, started = crossfade(root, "crossfade", primary.port, shadow.port, 100, settings=SETTINGS)
    with started as pid:
        check(admin)
        for mode in options.modes:
            runs = {name: [] for name in STATES}
            for name, _, _ in turns({name: (port, pid) for name in STATES}, options.rounds):
                post(admin, "/ramp", {"percent": STATES[name]})
                # Connections to the shadow, and plans.
                pgbench(root, port, pid, "select", mode, 8, 1)
                served, busy = status(admin)["reads"]["shadow"], primary.cpu_seconds()
                done = pgbench(root, port, pid, "select", mode, 8, options.seconds)
                share = (status(admin)["reads"]["shadow"] - served) * 100 / done["count"]
                runs[name].append(done | {"primary": (primary.cpu_seconds() - busy) * 1e6 / done["count"], "share": share})
            show(mode, runs, options)
            if statistics.median(run["share"] for run in runs["from the shadow (ramp at 100)"]) < 90:
                sys.exit(f"the shadow did not serve: {status(admin)['reads']} {status(admin)['guard']}")


def show(mode, runs, options):
    print(f"\nReads: SELECT only, {mode} protocol, 8 clients, median (lowest to highest) of {options.rounds} rounds of {options.seconds} s\n")
    print("| | served by the shadow | proxy CPU µs/read | | primary's CPU µs/read | | reads/s | p50 ms | p99 ms |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    base = {key: statistics.median(run[key] for run in next(iter(runs.values()))) for key in ("cpu", "primary")}
    for name, each in runs.items():
        of = {key: [run[key] for run in each] for key in each[0]}
        ratio = {key: f"× {statistics.median(of[key]) / base[key]:.2f}" for key in base}
        print(f"| {name} | {statistics.median(of['share']):.0f} % | {spread(of['cpu'])} | {ratio['cpu']} | {spread(of['primary'], 1)} | "
              f"{ratio['primary']} | {statistics.median(of['tps']):.0f} | {spread(of['p50'], 2)} | {spread(of['p99'], 2)} |", flush=True)
