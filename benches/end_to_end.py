#!/usr/bin/env python3
"""pgbench against the server itself and through crossfade (and PgBouncer and HAProxy where installed), in turn.

Makes two clusters and the proxy, runs every contender once a round so that a slow minute of the machine hits all of
them, and prints medians over the rounds as a Markdown table: throughput, p50 and p99 from pgbench's own log of every
transaction, and the CPU time of the proxy's process per transaction. Then TPC-B at a fixed rate while the shadow hangs
and is dead. Loopback only; leaves nothing behind.

Environment: ROUNDS (5), SECONDS_EACH (8), CLIENTS (8), SCALE (10), MODES ("simple extended prepared"),
WORKLOADS ("tpcb select"), RATE (300; of the last table, 0 leaves it out), CROSSFADE (target/release/crossfade).
"""

import contextlib
import json
import os
import pathlib
import platform
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS_EACH = int(os.environ.get("SECONDS_EACH", "8"))
CLIENTS = int(os.environ.get("CLIENTS", "8"))
SCALE = int(os.environ.get("SCALE", "10"))
MODES = os.environ.get("MODES", "simple extended prepared").split()
WORKLOADS = os.environ.get("WORKLOADS", "tpcb select").split()
RATE = int(os.environ.get("RATE", "300"))
CROSSFADE = pathlib.Path(os.environ.get("CROSSFADE", "target/release/crossfade")).resolve()
TICKS = os.sysconf("SC_CLK_TCK")


def server_programs():
    """The folder of initdb, the newest one."""
    found = shutil.which("initdb")
    folders = [pathlib.Path(found).parent] if found else sorted(
        pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name)
    )
    if not folders:
        sys.exit("no PostgreSQL server found: run `make deps`")
    return folders[-1]


BIN = server_programs()
# Servers refuse root: then they, and everything they must read, belong to this user.
SERVER_USER = None
if os.getuid() == 0:
    SERVER_USER = pwd.getpwnam("postgres")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run(command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def as_server_user():
    return {"user": SERVER_USER.pw_uid, "group": SERVER_USER.pw_gid, "extra_groups": []} if SERVER_USER else {}


class Server:
    """A cluster with default durability. Made stopped."""

    def __init__(self, root, name):
        self.home, self.port = root / name, free_port()
        self.home.mkdir()
        if SERVER_USER:
            os.chown(self.home, SERVER_USER.pw_uid, SERVER_USER.pw_gid)
        self.data = self.home / "data"
        self.control = [BIN / "pg_ctl", "-w", "-s", "-D", self.data]
        run([BIN / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"], cwd=self.home, **as_server_user())
        settings = "listen_addresses = '127.0.0.1'\nshared_buffers = '256MB'\nmax_connections = 100\nmax_wal_size = '4GB'\n"
        (self.data / "postgresql.auto.conf").write_text(settings)

    def start(self):
        # The server keeps the pipes of whoever starts it: files instead.
        started = subprocess.run(
            [*self.control, "start", "-l", self.home / "log", "-o", f"-p {self.port} -k {self.home}"], cwd=self.home,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_server_user(),
        )
        if started.returncode:
            sys.exit((self.home / "log").read_text())

    def stop(self):
        run([*self.control, "stop", "-m", "immediate"], cwd=self.home, **as_server_user())

    def signal(self, number):
        """To the postmaster and all its children: stopped, the server hangs with its connections open."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        children = run(["ps", "--ppid", str(postmaster), "-o", "pid="]).split()
        for pid in (postmaster, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@contextlib.contextmanager
def cluster(root, name):
    """A running server, stopped in the end."""
    server = Server(root, name)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def process(command, port, cwd):
    """A program of ours that listens on `port`; gives its process id."""
    log = (cwd / f"{pathlib.Path(command[0]).name}.log").open("w")
    child = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if child.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{command[0]} does not listen:\n{pathlib.Path(log.name).read_text()}")
            time.sleep(0.05)
        yield child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def crossfade(root, name, primary, shadow, database="postgres", settings=""):
    home = root / name
    home.mkdir()
    port, admin = free_port(), free_port()
    (home / "proxy.toml").write_text(
        f'[listen]\naddress = "127.0.0.1:{port}"\n[admin]\naddress = "127.0.0.1:{admin}"\n'
        f'[primary]\nurl = "postgres://postgres@127.0.0.1:{primary}/postgres"\n'
        f'[shadow]\nurl = "postgres://postgres@127.0.0.1:{shadow}/{database}"\n[check]\ninterval = "0s"\n{settings}'
    )
    return port, admin, process([CROSSFADE, "run", "--config", home / "proxy.toml"], port, home)


def pgbouncer(root, primary):
    home = root / "pgbouncer"
    home.mkdir()
    port = free_port()
    (home / "users").write_text('"postgres" ""\n')
    (home / "pgbouncer.ini").write_text(
        f"[databases]\npostgres = host=127.0.0.1 port={primary}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"auth_type = trust\nauth_file = {home}/users\npool_mode = session\ndefault_pool_size = 50\nunix_socket_dir =\n"
        "ignore_startup_parameters = extra_float_digits\n"
    )
    for path in (home, home / "users", home / "pgbouncer.ini"):
        if SERVER_USER:
            os.chown(path, SERVER_USER.pw_uid, SERVER_USER.pw_gid)
    user = ["-u", "postgres"] if SERVER_USER else []
    return port, process([shutil.which("pgbouncer"), *user, home / "pgbouncer.ini"], port, home)


def haproxy(root, primary):
    home = root / "haproxy"
    home.mkdir()
    port = free_port()
    (home / "haproxy.cfg").write_text(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n"
        f"listen postgres\n bind 127.0.0.1:{port}\n server primary 127.0.0.1:{primary}\n"
    )
    return port, process([shutil.which("haproxy"), "-db", "-f", home / "haproxy.cfg"], port, home)


def cpu_seconds(pid):
    """User and system time of a process and all its threads; nothing for no process."""
    if pid is None:
        return 0.0
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(root, port, pid, workload, mode, rate=None):
    """One run: transactions per second, p50 and p99 in ms, the proxy's CPU µs per transaction while it ran. With a
    rate, so many transactions a second are begun, whatever the last ones took."""
    with tempfile.TemporaryDirectory(dir=root) as logs:
        command = ["pgbench", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-n", "-M", mode, "-c", str(CLIENTS),
                   "-j", "2", "-T", str(SECONDS_EACH), "-l", "--log-prefix", f"{logs}/log"]
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
        "tps": count / SECONDS_EACH,
        "p50": latencies[count // 2] / 1000,
        "p99": latencies[count * 99 // 100] / 1000,
        "cpu": cpu * 1e6 / count,
    }


def wait_until_applied(admin):
    """Between two runs the mirror catches up, so that no run pays for the one before it."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/status", timeout=10) as answer:
            if json.load(answer)["mirror"]["settled"]:
                return
        time.sleep(0.2)
    sys.exit("the mirror did not settle within 5 minutes after a run")


def table(workload, mode, runs):
    print(f"\n{'TPC-B' if workload == 'tpcb' else 'SELECT only'}, {mode} protocol, {CLIENTS} clients, "
          f"median of {ROUNDS} rounds of {SECONDS_EACH} s (throughput: lowest to highest)\n")
    print("| | transactions/s | | p50 ms | | p99 ms | | proxy CPU µs/transaction |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    median = {name: {key: statistics.median(run[key] for run in each) for key in each[0]} for name, each in runs.items()}
    base = median["direct"]
    for name, values in median.items():
        rates = [run["tps"] for run in runs[name]]
        ratio = {key: f"× {values[key] / base[key]:.2f}" for key in ("tps", "p50", "p99")}
        cpu = f"{values['cpu']:.0f}" if name != "direct" else "–"
        print(f"| {name} | {values['tps']:.0f} ({min(rates):.0f} to {max(rates):.0f}) | {ratio['tps']} | {values['p50']:.2f} "
              f"| {ratio['p50']} | {values['p99']:.2f} | {ratio['p99']} | {cpu} |")
    sys.stdout.flush()


def outage(root, shadow, port, pid, admin):
    """TPC-B at a fixed rate while the shadow is healthy, hangs (SIGSTOP), is dead, and is back: clients must not tell."""
    states = {
        "healthy": (lambda: None, lambda: None),
        "hanging": (lambda: shadow.signal(signal.SIGSTOP), lambda: shadow.signal(signal.SIGCONT)),
        "dead": (shadow.stop, shadow.start),
        "back": (lambda: None, lambda: None),
    }
    runs = {name: [] for name in states}
    for _ in range(ROUNDS):
        for name, (begin, end) in states.items():
            begin()
            try:
                runs[name].append(measure(root, port, pid, "tpcb", "prepared", RATE))
            finally:
                end()
            wait_until_applied(admin)
    print(f"\nTPC-B through crossfade at {RATE} transactions a second, {CLIENTS} clients, {ROUNDS} rounds of {SECONDS_EACH} s, by what "
          "the shadow does: median (lowest to highest) over the rounds\n")
    print("| shadow | p50 ms | p99 ms |")
    print("|---|---:|---:|")
    for name, each in runs.items():
        cells = []
        for key in ("p50", "p99"):
            values = [run[key] for run in each]
            cells.append(f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        print(f"| {name} | {' | '.join(cells)} |")
    sys.stdout.flush()


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    version = run([BIN / "postgres", "--version"]).strip()
    return f"{os.cpu_count()} × {cpu}, Linux {platform.release()}, {version}, everything on this one machine, loopback"


def main():
    if not CROSSFADE.exists():
        sys.exit(f"{CROSSFADE} is missing: run `make bench`")
    with contextlib.ExitStack() as stack:
        root = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crossfade-bench-")))
        root.chmod(0o755)
        primary = stack.enter_context(cluster(root, "primary"))
        shadow = stack.enter_context(cluster(root, "shadow"))
        for server in (primary, shadow):
            run(["pgbench", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-i", "-q", "-s", str(SCALE), "postgres"])
        contenders = {"direct": (primary.port, None)}
        port, admin, started = crossfade(root, "crossfade", primary.port, shadow.port)
        contenders["crossfade"] = (port, stack.enter_context(started))
        # One database of the shadow belongs to one crossfade.
        run(["psql", "-h", "127.0.0.1", "-p", str(shadow.port), "-U", "postgres", "-qc", "create database idle", "postgres"])
        off, _, started = crossfade(root, "off", primary.port, shadow.port, "idle", "[mirror]\nenabled = false\n")
        contenders["crossfade, mirroring off"] = (off, stack.enter_context(started))
        for name, start in (("pgbouncer", pgbouncer), ("haproxy", haproxy)):
            if shutil.which(name):
                at, started = start(root, primary.port)
                contenders[name] = (at, stack.enter_context(started))
        print(machine())
        for workload in WORKLOADS:
            for mode in MODES:
                runs = {name: [] for name in contenders}
                for turn in range(ROUNDS):
                    # Another one begins each round: nobody always runs on the caches that one warmed.
                    order = list(contenders)[turn % len(contenders):] + list(contenders)[: turn % len(contenders)]
                    for name in order:
                        at, pid = contenders[name]
                        runs[name].append(measure(root, at, pid, workload, mode))
                        wait_until_applied(admin)
                table(workload, mode, runs)
        if RATE:
            outage(root, shadow, port, contenders["crossfade"][1], admin)


if __name__ == "__main__":
    # Ended by a signal, everything that was started is stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
