"""PostgreSQL's source, and what is compiled from it: the regression suite's library and libpq's pipeline program.

Everything stays in target/conformance, so that a second run needs no network.
"""

import os
import pathlib
import shutil
import subprocess

CACHE = pathlib.Path(__file__).resolve().parents[2] / "target" / "conformance"
MAJOR = "15"
PROGRAMS = pathlib.Path(f"/usr/lib/postgresql/{MAJOR}")
PG_REGRESS = PROGRAMS / "lib/pgxs/src/test/regress/pg_regress"
PACKAGES = ["build-essential", "dpkg-dev", "libpq-dev", f"postgresql-{MAJOR}", f"postgresql-server-dev-{MAJOR}"]
# What one suite needs besides: packages, and packages unless their command is there from elsewhere.
SUITE_PACKAGES = {name: ["python3-dev"] for name in ["asyncpg", "psycopg2", "psycopg"]} | {"jdbc": ["libpostgresql-jdbc-java"]}
SUITE_COMMANDS = {"node": ("npm", ["nodejs", "npm"]), "jdbc": ("javac", ["default-jdk-headless"])}
BOOKWORM = """Types: deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def install_packages(suites):
    """Installs what is missing for the suites; upgrades nothing."""
    query = ["dpkg-query", "-W", "-f=${db:Status-Status}"]
    wanted = PACKAGES + [package for name in suites for package in SUITE_PACKAGES.get(name, [])]
    for command, packages in (SUITE_COMMANDS[name] for name in suites if name in SUITE_COMMANDS):
        wanted += [] if shutil.which(command) else packages
    missing = [package for package in dict.fromkeys(wanted) if output([*query, package], check=False) != "installed"]
    if not missing:
        return
    print("installing:", *missing, flush=True)
    root = [] if os.getuid() == 0 else ["sudo"]
    run([*root, "apt-get", "update", "-q"])
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "--no-upgrade"]
    run([*root, "env", "DEBIAN_FRONTEND=noninteractive", *install, *missing])


def tree():
    """The folder of the source, fetched from Debian the first time."""
    folder = CACHE / "source"
    if (folder / "src/test/regress/parallel_schedule").exists():
        return folder
    lists, download = CACHE / "apt/lists", CACHE / "download"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    download.mkdir(exist_ok=True)
    sources = CACHE / "apt/bookworm.sources"
    sources.write_text(BOOKWORM)
    of_our_own = [
        f"-oDir::Etc::sourcelist={sources}",
        "-oDir::Etc::sourceparts=/dev/null",
        f"-oDir::State::lists={lists}",
        "-oAPT::Sandbox::User=root",
    ]
    run(["apt-get", *of_our_own, "update", "-q"])
    run(["apt-get", *of_our_own, "source", "--download-only", "-q", f"postgresql-{MAJOR}"], cwd=download)
    description = next(download.glob("*.dsc"))
    shutil.rmtree(folder, ignore_errors=True)
    run(["dpkg-source", "--skip-patches", "-x", description, folder], stdout=subprocess.DEVNULL)
    return folder


def libraries():
    """The folder in which the suite looks for the libraries that it loads into the server."""
    folder = CACHE / "lib"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "regress.so").exists():
        headers = output([PROGRAMS / "bin/pg_config", "--includedir-server"])
        source = tree() / "src/test/regress/regress.c"
        run(["gcc", "-O2", "-w", "-fPIC", "-shared", f"-I{headers}", "-o", folder / "regress.so", source])
    for name in ["autoinc.so", "refint.so"]:
        shutil.copy(PROGRAMS / "lib" / name, folder)
    return folder


def pipeline_program():
    """libpq's own test of pipelines."""
    program = CACHE / "libpq_pipeline"
    if not program.exists():
        config = PROGRAMS / "bin/pg_config"
        source = tree() / "src/test/modules/libpq_pipeline/libpq_pipeline.c"
        headers = [f"-I{output([config, '--includedir-server'])}", f"-I{output([config, '--includedir'])}"]
        static = output([config, "--pkglibdir"])
        command = ["gcc", "-O2", "-w", *headers, "-o", program, source, f"-L{static}", "-lpq", "-lpgcommon", "-lpgport", "-lm"]
        run(command)
    return program


def run(command, **options):
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL, timeout=900, **options)


def output(command, check=True):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
    if check and done.returncode != 0:
        raise SystemExit(f"{command[0]} failed: {done.stderr}")
    return done.stdout.strip()
