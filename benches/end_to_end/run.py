#!/usr/bin/env python3
"""What crossfade costs, beside the server itself, PgBouncer and HAProxy.

Makes two clusters and the proxies, runs every contender once a round so that a slow minute of the machine hits all of
them, and prints medians over the rounds as Markdown tables. Loopback only; leaves nothing behind.

Environment: PARTS ("throughput capture reads outage connections bulk copy check mirror"), ROUNDS (5), SECONDS_EACH (8), SCALE (10),
WORKLOADS ("tpcb select"), MODES ("simple extended prepared") and CLIENTS ("8") of the throughput, RATE (300; of
capture and outage), CONNECTIONS (5000), ROWS (5000000; of copy and check), OUTAGE (60; seconds, of mirror), CROSSFADE (target/release/crossfade).
"""

import contextlib
import dataclasses
import os
import pathlib
import platform
import resource
import signal
import sys
import tempfile

from bulk import bulk
from capture import capture, outage
from check import check
from connections import connections
from copy_rows import copy_rows
from load import initialize
from mirror import keeping_up
from reads import reads
from stage import BIN, CROSSFADE, cluster, run
from throughput import throughput

PARTS = {"throughput": throughput, "capture": capture, "reads": reads, "outage": outage, "connections": connections, "bulk": bulk, "copy": copy_rows, "check": check, "mirror": keeping_up}


def words(name, default):
    return os.environ.get(name, default).split()


@dataclasses.dataclass
class Options:
    """How much is measured."""

    parts: list = dataclasses.field(default_factory=lambda: words("PARTS", " ".join(PARTS)))
    rounds: int = int(os.environ.get("ROUNDS", "5"))
    seconds: int = int(os.environ.get("SECONDS_EACH", "8"))
    scale: int = int(os.environ.get("SCALE", "10"))
    workloads: list = dataclasses.field(default_factory=lambda: words("WORKLOADS", "tpcb select"))
    modes: list = dataclasses.field(default_factory=lambda: words("MODES", "simple extended prepared"))
    clients: list = dataclasses.field(default_factory=lambda: [int(count) for count in words("CLIENTS", "8")])
    rate: int = int(os.environ.get("RATE", "300"))
    connections: int = int(os.environ.get("CONNECTIONS", "5000"))
    rows: int = int(os.environ.get("ROWS", "5000000"))
    outage: int = int(os.environ.get("OUTAGE", "60"))


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    version = run([BIN / "postgres", "--version"]).strip()
    return f"{os.cpu_count()} × {cpu}, Linux {platform.release()}, {version}, everything on this one machine, loopback"


def main():
    options = Options()
    if not CROSSFADE.exists():
        sys.exit(f"{CROSSFADE} is missing: run `make bench`")
    # This program holds all the connections that it counts.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(machine(), flush=True)
    for part in options.parts:
        with contextlib.ExitStack() as stack:
            root = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crossfade-bench-")))
            root.chmod(0o755)
            primary, shadow = (stack.enter_context(cluster(root, name)) for name in ("primary", "shadow"))
            for server in (primary, shadow):
                initialize(server.port, options.scale)
            PARTS[part](root, primary, shadow, options)


if __name__ == "__main__":
    # Ended by a signal, everything that was started is stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
