"""pgbench against everyone in turn: throughput, latency, and what the proxy's process costs."""

import statistics

from load import pgbench
from stage import contenders, turns, wait_until_applied

NAMES = ["direct", "crossfade", "crossfade, mirroring off", "pgbouncer", "haproxy"]


def throughput(root, primary, shadow, options):
    with contenders(root, primary, shadow, NAMES) as (found, admin):
        for workload in options.workloads:
            for mode in options.modes:
                tables = {clients: measured(root, found, admin, workload, mode, clients, options) for clients in options.clients}
                for clients, runs in tables.items():
                    show(workload, mode, clients, runs, options)


def measured(root, found, admin, workload, mode, clients, options):
    runs = {name: [] for name in found}
    for name, port, pid in turns(found, options.rounds):
        runs[name].append(pgbench(root, port, pid, workload, mode, clients, options.seconds))
        wait_until_applied(admin)
    return runs


def show(workload, mode, clients, runs, options):
    print(f"\n{'TPC-B' if workload == 'tpcb' else 'SELECT only'}, {mode} protocol, {clients} client{'s' if clients > 1 else ''}, "
          f"median of {options.rounds} rounds of {options.seconds} s (throughput: lowest to highest)\n")
    print("| | transactions/s | | p50 ms | | p99 ms | | proxy CPU µs/transaction |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    median = {name: {key: statistics.median(run[key] for run in each) for key in each[0]} for name, each in runs.items()}
    base = median["direct"]
    for name, values in median.items():
        rates = [run["tps"] for run in runs[name]]
        ratio = {key: f"× {values[key] / base[key]:.2f}" for key in ("tps", "p50", "p99")}
        cpu = f"{values['cpu']:.0f}" if name != "direct" else "–"
        print(f"| {name} | {values['tps']:.0f} ({min(rates):.0f} to {max(rates):.0f}) | {ratio['tps']} | {values['p50']:.2f} "
              f"| {ratio['p50']} | {values['p99']:.2f} | {ratio['p99']} | {cpu} |", flush=True)
