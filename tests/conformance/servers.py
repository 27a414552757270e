"""Throw-away clusters and the proxy before them: on free ports of the loopback interface, in a folder that goes with them."""

import json
import os
import pathlib
import pwd
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from source import PROGRAMS

# Servers refuse root: they, and everything they must read, then belong to this user.
SERVER_USER = pwd.getpwnam("postgres") if os.getuid() == 0 else None
DATABASE = "regression"
SETTINGS = """
listen_addresses = '127.0.0.1'
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = 2GB
max_connections = 200
max_prepared_transactions = 10
autovacuum = off
wal_level = logical
log_statement = mod
"""
# As pg_regress sets up a database that it creates itself.
PREPARE = [
    f'create database "{DATABASE}" template template0 lc_collate "C" lc_ctype "C"',
    *(
        f'alter database "{DATABASE}" set {setting} to \'{value}\''
        for setting, value in [
            ("lc_messages", "C"),
            ("lc_monetary", "C"),
            ("lc_numeric", "C"),
            ("lc_time", "C"),
            ("bytea_output", "hex"),
            ("timezone_abbreviations", "Default"),
        ]
    ),
]


def as_server_user(command, **options):
    """Options for subprocess: run as the user that servers run as."""
    if SERVER_USER:
        options |= {"user": SERVER_USER.pw_uid, "group": SERVER_USER.pw_gid, "extra_groups": []}
    return {"args": [str(part) for part in command], "stdin": subprocess.DEVNULL, **options}


def folder(path):
    """Makes a folder that belongs to the servers' user."""
    path.mkdir(parents=True)
    if SERVER_USER:
        os.chown(path, SERVER_USER.pw_uid, SERVER_USER.pw_gid)
    return path


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Cluster:
    """A running server with an empty database for the suite."""

    def __init__(self, root):
        self.root = folder(root)
        self.port = free_port()
        self._run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
        with (self.root / "data/postgresql.conf").open("a") as conf:
            conf.write(SETTINGS)
        self._run("pg_ctl", "start", "-w", "-s", "-D", "data", "-l", "server.log", "-o", f"-p {self.port} -k {self.root}")
        for statement in PREPARE:
            self._run("psql", "-X", "-q", "-h", "127.0.0.1", "-p", self.port, "-U", "postgres", "-c", statement)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._run("pg_ctl", "stop", "-w", "-s", "-m", "immediate", "-D", "data")

    def rewritten(self):
        """How many statements came with the added RETURNING."""
        with (self.root / "server.log").open(errors="replace") as log:
            return sum("pg_catalog.pg_current_wal_insert_lsn()" in line for line in log)

    def url(self):
        return f"postgres://postgres@127.0.0.1:{self.port}/{DATABASE}"

    def _run(self, program, *arguments):
        # pg_ctl's child keeps inherited pipes open for good: a file instead.
        with (self.root / f"{program}.out").open("w") as out:
            command = as_server_user([PROGRAMS / "bin" / program, *arguments], cwd=self.root, stdout=out, stderr=out)
            if subprocess.run(**command, timeout=120).returncode:
                raise SystemExit(f"{program} failed:\n{(self.root / f'{program}.out').read_text()}")


class Proxy:
    """A running crossfade between two clusters."""

    def __init__(self, root, primary, shadow, stage):
        root.mkdir()
        self.port, self.admin, self.log = free_port(), free_port(), root / "proxy.log"
        (root / "proxy.toml").write_text(
            f'[listen]\naddress = "127.0.0.1:{self.port}"\n[admin]\naddress = "127.0.0.1:{self.admin}"\n'
            f'[primary]\nurl = "{primary}"\n[shadow]\nurl = "{shadow}"\n'
            f'[mirror]\nenabled = {str(stage != "off").lower()}\njournal = "journal"\n[check]\ninterval = "0s"\n'
            f'[reads]\npercent = {100 if stage == "reads" else 0}\nrequire = "mirrored"\n'
            # The suites ask for errors, and the guard takes those for the shadow's.
            '[guard]\nmax_error_percent = 100\n'
        )
        executable = pathlib.Path(os.environ.get("CROSSFADE", "target/debug/crossfade")).resolve()
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [executable, "run", "--config", "proxy.toml"], cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._wait_ready()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _wait_ready(self):
        for _ in range(300):
            if self.process.poll() is not None:
                break
            try:
                return self._get("/readyz")
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.process.kill()
        raise SystemExit(f"the proxy did not become ready:\n{self.log.read_text()[-4000:]}")

    def faults(self):
        """What must not have happened to the proxy meanwhile."""
        if self.process.poll() is not None:
            return [f"the proxy ended with {self.process.returncode}:\n{self.log.read_text()[-4000:]}"]
        faults = [line for line in self.log.read_text(errors="replace").splitlines() if "panicked" in line]
        counters = self._get("/metrics").splitlines()
        panics = [line for line in counters if line.startswith("crossfade_session_panics_total")]
        return faults + [line for line in panics if float(line.split()[-1]) > 0]

    def memory(self):
        """Resident, and at its highest, in MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        values = dict(line.split(":", 1) for line in status)
        return [int(values[key].split()[0]) // 1024 for key in ("VmRSS", "VmHWM")]

    def mirrored(self):
        """The mirror's books: how much of the suite was captured."""
        books = self.status()["mirror"]
        return {name: books[name] for name in ("captured", "applied", "pending", "quarantined", "skipped")}

    def status(self):
        return json.loads(self._get("/status"))

    def reads(self):
        """What became of the reads: drawn ones that were served, that the shadow failed at, and that had to stay, by reason."""
        reads = self.status()["reads"]
        stayed = re.findall(r'^crossfade_reads_ineligible_by_reason_total\{reason="(\w+)"\} (\d+)', self._get("/metrics"), re.MULTILINE)
        return {name: reads[name] for name in ("shadow", "fallback", "ineligible")} | dict(stayed)

    def _get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as answer:
            return answer.read().decode()
