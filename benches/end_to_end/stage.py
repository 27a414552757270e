"""What is measured: clusters, and the programs between them and the clients. Everything stops with its `with`."""

import contextlib
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

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

    def __init__(self, root, name, max_connections, more=""):
        self.home, self.port = root / name, free_port()
        self.home.mkdir()
        if SERVER_USER:
            os.chown(self.home, SERVER_USER.pw_uid, SERVER_USER.pw_gid)
        self.data = self.home / "data"
        self.control = [BIN / "pg_ctl", "-w", "-s", "-D", self.data]
        run([BIN / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"], cwd=self.home, **as_server_user())
        settings = f"listen_addresses = '127.0.0.1'\nshared_buffers = '256MB'\nmax_connections = {max_connections}\nmax_wal_size = '4GB'\n"
        (self.data / "postgresql.auto.conf").write_text(settings + more)

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

    def processes(self):
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        return [postmaster, *map(int, run(["ps", "--ppid", str(postmaster), "-o", "pid="]).split())]

    def signal(self, number):
        """To the postmaster and all its children: stopped, the server hangs with its connections open."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def cpu_seconds(self):
        """Of all its processes, those that ended included."""
        postmaster, *children = self.processes()
        total = cpu_seconds(postmaster, ended_children=True)
        for pid in children:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += cpu_seconds(pid)
        return total


@contextlib.contextmanager
def cluster(root, name, max_connections=100, settings=""):
    """A running server, stopped in the end."""
    server = Server(root, name, max_connections, settings)
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


def crossfade(root, name, primary, shadow, max_connections, database="postgres", settings=""):
    home = root / name
    home.mkdir(parents=True)
    port, admin = free_port(), free_port()
    (home / "proxy.toml").write_text(
        f'[listen]\naddress = "127.0.0.1:{port}"\nmax_connections = {max_connections + 200}\n[admin]\naddress = "127.0.0.1:{admin}"\n'
        f'[primary]\nurl = "postgres://postgres@127.0.0.1:{primary}/postgres"\n'
        f'[shadow]\nurl = "postgres://postgres@127.0.0.1:{shadow}/{database}"\n[check]\ninterval = "0s"\n{settings}'
    )
    return port, admin, process([CROSSFADE, "run", "--config", home / "proxy.toml"], port, home)


def pgbouncer(root, primary, max_connections):
    home = root / "pgbouncer"
    home.mkdir()
    port = free_port()
    (home / "users").write_text('"postgres" ""\n')
    (home / "pgbouncer.ini").write_text(
        f"[databases]\npostgres = host=127.0.0.1 port={primary}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"auth_type = trust\nauth_file = {home}/users\npool_mode = session\ndefault_pool_size = {max_connections}\n"
        f"max_client_conn = {max_connections + 200}\nunix_socket_dir =\n"
        "ignore_startup_parameters = extra_float_digits\n"
    )
    for path in (home, home / "users", home / "pgbouncer.ini"):
        if SERVER_USER:
            os.chown(path, SERVER_USER.pw_uid, SERVER_USER.pw_gid)
    user = ["-u", "postgres"] if SERVER_USER else []
    return port, process([shutil.which("pgbouncer"), *user, home / "pgbouncer.ini"], port, home)


def haproxy(root, primary, max_connections):
    home = root / "haproxy"
    home.mkdir()
    port = free_port()
    (home / "haproxy.cfg").write_text(
        f"global\n maxconn {max_connections + 200}\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n"
        f"listen postgres\n bind 127.0.0.1:{port}\n server primary 127.0.0.1:{primary}\n"
    )
    return port, process([shutil.which("haproxy"), "-db", "-f", home / "haproxy.cfg"], port, home)


def cpu_seconds(pid, ended_children=False):
    """User and system time of a process and all its threads; nothing for no process."""
    if pid is None:
        return 0.0
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11 : 15 if ended_children else 13])) / TICKS


def resident_mib(pid):
    """What the process has in memory."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1024


def get(admin, path):
    """GET"""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}{path}", timeout=10) as answer:
        return json.load(answer)


def status(admin):
    """GET /status"""
    return get(admin, "/status")


def post(admin, path, body=None):
    """POST"""
    request = urllib.request.Request(f"http://127.0.0.1:{admin}{path}", json.dumps(body or {}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def mirror(admin):
    """The mirror's part of /status."""
    return status(admin)["mirror"]


def tell(admin, path):
    """A command to the admin address."""
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{admin}{path}", method="POST"), timeout=10):
        pass


def wait_until_applied(admin):
    """Between two runs the mirror catches up, so that no run pays for the one before it."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if mirror(admin)["settled"]:
            return
        time.sleep(0.2)
    sys.exit("the mirror did not settle within 5 minutes after a run")


def check(admin):
    """A round of the checker over all tables, to its end."""
    job = post(admin, "/check")["id"]
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        state = get(admin, f"/jobs/{job}")["state"]
        if state == "done":
            return
        if state != "running":
            sys.exit(f"the check ended as {state}")
        time.sleep(0.2)
    sys.exit("the check did not end within 5 minutes")


@contextlib.contextmanager
def contenders(root, primary, shadow, names, max_connections=100, settings=""):
    """Who stands between clients and the primary: {name: (port, process id)}, and crossfade's admin port. Of those
    named, the ones that are installed; mirroring off is a crossfade of its own. `settings` are crossfade's."""
    found, admin = {}, None
    with contextlib.ExitStack() as stack:
        for name in names:
            if name == "direct":
                found[name] = (primary.port, None)
                continue
            if name == "crossfade":
                port, admin, started = crossfade(root, "crossfade", primary.port, shadow.port, max_connections, settings=settings)
            elif name == "crossfade, mirroring off":
                # One database of the shadow belongs to one crossfade.
                run(["psql", "-h", "127.0.0.1", "-p", str(shadow.port), "-U", "postgres", "-qc", "create database idle", "postgres"])
                port, _, started = crossfade(
                    root, "off", primary.port, shadow.port, max_connections, "idle", "[mirror]\nenabled = false\n"
                )
            elif shutil.which(name):
                port, started = {"pgbouncer": pgbouncer, "haproxy": haproxy}[name](root, primary.port, max_connections)
            else:
                continue
            found[name] = (port, stack.enter_context(started))
        yield found, admin


def work(admin, kind, table):
    """As the commands do it: starts the job and looks until it is done."""
    def ask(path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{admin}{path}", data=body)
        request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    job = ask(f"/{kind}", json.dumps({"tables": [table]}).encode())
    while job["state"] == "running":
        time.sleep(0.05)
        job = ask(f"/jobs/{job['id']}")
    if job["state"] != "done":
        sys.exit(f"the {kind} ended as {job}")


def turns(found, rounds):
    """Every contender once a round, another one first each time: a slow minute of the machine hits all of them."""
    names = list(found)
    for turn in range(rounds):
        for name in names[turn % len(names):] + names[: turn % len(names)]:
            yield name, *found[name]
