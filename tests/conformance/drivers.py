"""The drivers: installed in the versions that are named here, and their suites and programs run against a port.

Everything stays in target/conformance, so that a second run needs no network.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

from exclusions import NOT_RUN
from servers import DATABASE
from source import CACHE, PROGRAMS, run

HERE = pathlib.Path(__file__).resolve().parent / "drivers"
ROOT = HERE.parents[2]
SUITE_TIMEOUT = 1500
PROGRAM_TIMEOUT = 180
JDBC = "/usr/share/java/postgresql.jar"
# What a failure may say, and no comparison may depend on: addresses and ids of processes.
CHANCE = [(re.compile(r"0x[0-9a-f]+"), "ADDRESS"), (re.compile(r"(PID|pid:?) \d+"), r"\1 PID")]


def asyncpg(port, root, tests):
    """asyncpg's own suite, which takes a server that PGHOST names for one that it does not control."""
    return own_suite("asyncpg", "asyncpg_paced.py", port, root, tests, {})


def psycopg2(port, root, tests):
    """psycopg2's own suite, with its tests of replication."""
    psql = [PROGRAMS / "bin/psql", "-X", "-q", "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-d", DATABASE]
    run([*psql, "-c", "create extension hstore"])
    return own_suite("psycopg2", "unittests.py", port, root, tests, {"PSYCOPG2_TESTDB": DATABASE, "PSYCOPG2_TEST_REPL_DSN": ""})


def own_suite(name, runner, port, root, tests, settings):
    """What became of each test of the suite that a driver's source distribution carries."""
    folder, results = sources(name), root / "results"
    command = [python(), HERE / runner, results, ",".join(NOT_RUN[name]), *tests]
    said = call(command, environment(port) | settings, folder, SUITE_TIMEOUT)
    outcomes = {}
    for line in results.read_text().splitlines() if results.exists() else []:
        test, outcome = json.loads(line)
        outcomes[test] = outcomes.get(test, "") + plain(outcome, port, root)
    # The suite's own words are shown where it ended early, and only there.
    return outcomes | {"exit": "exit 0" if said.startswith("exit 0\n") else said}


def psycopg(port, root, _tests):
    """A program of ours that goes through what psycopg 3 can do."""
    return program([python(), HERE / "psycopg_program.py"], port, root)


def node(port, root, _tests):
    """The same with node-postgres."""
    return program(["node", HERE / "node/program.js"], port, root, {"NODE_PATH": str(node_modules()), "NODE_NO_WARNINGS": "1"})


def tokio(port, root, _tests):
    """The same with tokio-postgres."""
    run(["cargo", "build", "--quiet", "--locked", "--example", "tokio_program"], cwd=ROOT)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return program([target / "debug/examples/tokio_program"], port, root)


def jdbc(port, root, _tests):
    """The same with pgjdbc."""
    return program(["java", "-Dfile.encoding=UTF-8", f"-Dprogram.folder={HERE}", "-cp", JDBC, HERE / "JdbcProgram.java"], port, root)


def program(command, port, root, settings=None):
    """What a program printed, by its sections: each begins with a line `== name`."""
    end, _, sections = call(command, environment(port) | (settings or {}), root, PROGRAM_TIMEOUT).partition("\n")
    parts = re.split(r"^== (.*)\n", sections, flags=re.MULTILINE)
    return {"exit": f"{end}\n{parts[0]}", **dict(zip(parts[1::2], parts[2::2]))}


def environment(port):
    """Where drivers find the server, and no other settings of theirs."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PSYCOPG2"))}
    return clean | {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres", "PGDATABASE": DATABASE}


def call(command, variables, folder, timeout):
    """How the command ended, and behind that all that it said."""
    command = [str(part) for part in command]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        done = subprocess.run(command, cwd=folder, env=variables, timeout=timeout, text=True, errors="replace", **pipes)
    except subprocess.TimeoutExpired as late:
        return f"no end within {timeout} s\n{(late.stdout or b'').decode(errors='replace')}"
    return f"exit {done.returncode}\n{done.stdout}"


def plain(text, port, root):
    """The text without what differs from run to run."""
    text = re.sub(rf"(?<!\d){port}(?!\d)", "PORT", text.replace(str(root), "FOLDER"))
    for pattern, name in CHANCE:
        text = pattern.sub(name, text)
    return text


def python():
    """An interpreter that has the drivers for Python."""
    folder, wanted = CACHE / "python", HERE / "requirements.txt"
    stamp = folder / "requirements.txt"
    if not stamp.exists() or stamp.read_bytes() != wanted.read_bytes():
        print("installing the drivers for Python", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", folder])
        run([folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted])
        shutil.copy(wanted, stamp)
    return folder / "bin/python"


def sources(name):
    """The folder with the tests that are in a source distribution, and nothing else of it: the driver is the installed one."""
    version = dict(line.split("==") for line in (HERE / "requirements.txt").read_text().split())[name]
    folder = CACHE / f"{name}-{version}"
    if not (folder / "tests").exists():
        run([python().with_name("pip"), "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", name,
             "--dest", CACHE / "download", f"{name}=={version}"])
        with tarfile.open(CACHE / f"download/{name}-{version}.tar.gz") as archive:
            tests = [member for member in archive.getmembers() if member.name.startswith(f"{name}-{version}/tests/")]
            archive.extractall(CACHE, tests, filter="data")
    return folder


def node_modules():
    """The folder with node-postgres, as the lock file names it."""
    folder, wanted = CACHE / "node", HERE / "node/package-lock.json"
    stamp = folder / "package-lock.json"
    if not (folder / "node_modules").exists() or stamp.read_bytes() != wanted.read_bytes():
        print("installing node-postgres", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        for file in ["package.json", "package-lock.json"]:
            shutil.copy(wanted.with_name(file), folder)
        run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder)
    return folder / "node_modules"
