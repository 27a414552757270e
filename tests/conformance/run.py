#!/usr/bin/env python3
"""Foreign suites give through crossfade exactly what they give directly.

Each suite runs twice directly, on a fresh cluster each time: what differs between these two says nothing about the
proxy and is left out, by name. Then it runs through crossfade with mirroring off, then on, and where STAGES says "reads"
with every read that may on the shadow besides; and every test must say the same as directly.

Environment: SUITES ("regress capture forms pipeline asyncpg psycopg2 psycopg node tokio jdbc"), STAGES ("off on"; "reads"),
TESTS (names; all), CROSSFADE (target/debug/crossfade), KEEP (a folder for the results of every run).
"""

import os
import pathlib
import signal
import sys
import tempfile
import time

import source
from pauses import PAUSES
from exclusions import EXCLUDED, compared
from servers import SERVER_USER, Cluster, Proxy
from suites import SUITES
from verdict import differing, show

# How many tests are shown with what differs in them.
SHOWN = 20


def direct(suite, tests, root):
    os.environ |= {"PAUSE": "0", "SETTLE": "0"}
    with Cluster(root / "primary") as primary:
        results = suite(primary.port, root, tests)
    # What ends early even so compares nothing.
    if not results.get("exit", "exit 0").startswith("exit 0"):
        raise SystemExit(f"the suite does not come through directly: {results['exit']}{list(results.values())[-1]}")
    return results


def proxied(suite, tests, root, stage):
    os.environ |= PAUSES if stage != "off" else {"PAUSE": "0", "SETTLE": "0"}
    with Cluster(root / "primary") as primary, Cluster(root / "shadow") as shadow:
        with Proxy(root / "proxy", primary.url(), shadow.url(), stage) as proxy:
            results = suite(proxy.port, root, tests)
            faults = proxy.faults()
            if not faults:
                resident, highest = proxy.memory()
                print(f"    the proxy's memory: {resident} MiB at the end, {highest} MiB at its highest", flush=True)
                print("    the mirror:", *(f"{name} {count}" for name, count in proxy.mirrored().items()), flush=True)
                print(f"    {primary.rewritten()} statements were rewritten", flush=True)
                if stage == "reads":
                    print("    reads:", *(f"{name} {count}" for name, count in proxy.reads().items()), flush=True)
            for fault in faults:
                print("    fault:", fault)
            return results, faults


class Run:
    """One run of the program: its folder, and what is kept of it."""

    def __init__(self, root):
        self.root = root
        self.keep = os.environ.get("KEEP")

    def stage(self, name, act, *arguments):
        begun = time.monotonic()
        folder = self.root / name
        folder.mkdir()
        folder.chmod(0o755)
        results = act(*arguments[:2], folder, *arguments[2:])
        print(f"  {name}: {time.monotonic() - begun:.0f} s", flush=True)
        self._keep(name, results[0] if isinstance(results, tuple) else results)
        return results

    def _keep(self, stage, results):
        if self.keep:
            folder = pathlib.Path(self.keep) / stage
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in results.items():
                (folder / f"{name}.out").write_text(text, errors="surrogateescape")

    def suite(self, name, stages, tests):
        """Whether every test of the suite said the same in all stages."""
        print(name, flush=True)
        suite = SUITES[name]
        first = self.stage(f"{name}-direct", direct, suite, tests)
        unstable = set(differing(first, self.stage(f"{name}-direct-again", direct, suite, tests)))
        print(f"    {len(first)} tests; unstable by themselves: {' '.join(sorted(unstable)) or 'none'}")
        passed = bool(first)
        for stage in stages:
            results, faults = self.stage(f"{name}-{stage}", proxied, suite, tests, stage)
            left_out = unstable | EXCLUDED.get(stage, set())
            expected, results = compared(stage, first), compared(stage, results)
            different = [test for test in differing(expected, results) if test not in left_out]
            print(f"    {stage}: {len(first.keys() - left_out) - len(different)} equal, {len(different)} different")
            for test in different[:SHOWN]:
                show(test, expected, results)
            if different[SHOWN:]:
                print(f"--- and: {' '.join(different[SHOWN:])}")
            passed &= not different and not faults
        return passed


def main():
    # Ends as after an error: what was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    suites = os.environ.get("SUITES", " ".join(SUITES)).split()
    stages = os.environ.get("STAGES", "off on").split()
    tests = os.environ.get("TESTS", "").split()
    source.install_packages(suites)
    with tempfile.TemporaryDirectory(prefix="crossfade-conformance-") as root:
        root = pathlib.Path(root)
        root.chmod(0o755)
        if SERVER_USER:
            os.chown(root, SERVER_USER.pw_uid, SERVER_USER.pw_gid)
        run = Run(root)
        passed = [run.suite(name, stages, tests) for name in suites]
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
