"""pgbench, run by run."""

import pathlib
import statistics
import tempfile

from stage import cpu_seconds, run


def initialize(port, scale):
    run(["pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-i", "-q", "-s", str(scale), "postgres"])


def pgbench(root, port, pid, workload, mode, clients, seconds, rate=None):
    """One run: transactions, transactions per second, p50 and p99 in ms, the proxy's CPU µs per transaction while it
    ran. With a rate, so many transactions a second are begun, whatever the last ones took."""
    with tempfile.TemporaryDirectory(dir=root) as logs:
        command = ["pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-n", "-M", mode, "-c", str(clients),
                   "-j", str(min(clients, 2)), "-T", str(seconds), "-l", "--log-prefix", f"{logs}/log"]
        command += ["-S"] if workload == "select" else []
        command += ["-R", str(rate)] if rate else []
        before = cpu_seconds(pid)
        run([*command, "postgres"])
        cpu = cpu_seconds(pid) - before
        latencies = sorted(
            int(line.split()[2]) for log in pathlib.Path(logs).iterdir() for line in log.read_text().splitlines()
        )
    count = len(latencies)
    return {
        "count": count,
        "tps": count / seconds,
        "p50": latencies[count // 2] / 1000,
        "p99": latencies[count * 99 // 100] / 1000,
        "cpu": cpu * 1e6 / count,
    }


def spread(values, digits=0):
    """The median, and what it lies between."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
