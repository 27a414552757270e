"""The suites: each runs against a port and gives what every test of it said, by name."""

import os
import pathlib
import re
import shutil
import subprocess

import drivers
import source
from pauses import TESTS, paced
from servers import DATABASE, as_server_user, folder

# The forms that rows are captured in, where pg_regress would have dates and intervals in forms of its own.
FORMS = "env PGDATESTYLE=ISO,MDY PGOPTIONS=-cintervalstyle=postgres"
REGRESS_TIMEOUT = 1200
PIPELINE_TIMEOUT = 60


def regress(port, root, tests):
    """PostgreSQL's regression suite: all of the parallel schedule, or what `tests` names behind `test_setup`."""
    return pg_regress(port, regress_folder(root), tests)


def capture(port, root, tests):
    """Tests of the same suite that write rows, one after the other, with pauses in which the catalog is read."""
    work = regress_folder(root)
    for script in (work / "sql").glob("*.sql"):
        script.write_text(paced(script.read_text(errors="surrogateescape")), errors="surrogateescape")
    return pg_regress(port, work, tests or TESTS)


def forms(port, root, _tests):
    """A script of ours, with every form of write, in the same harness."""
    work = regress_folder(root)
    shutil.copy(pathlib.Path(__file__).with_name("forms.sql"), work / "sql")
    (work / "expected/forms.out").touch()
    return pg_regress(port, work, ["forms"])


def regress_folder(root):
    """A copy of the suite that the servers' user may read and write in."""
    inputs = source.tree() / "src/test/regress"
    work = folder(root / "regress")
    for name in ["sql", "expected", "data", "parallel_schedule", "resultmap"]:
        copy = shutil.copytree if (inputs / name).is_dir() else shutil.copy
        copy(inputs / name, work / name)
    shutil.copytree(source.libraries(), work / "lib")
    return work


def pg_regress(port, work, tests):
    what = ["test_setup", *tests] if tests else [f"--schedule={work / 'parallel_schedule'}", "--max-concurrent-tests=20"]
    options = ["--use-existing", f"--dbname={DATABASE}", f"--launcher={FORMS}"]
    places = [f"--inputdir={work}", f"--outputdir={work}", f"--dlpath={work / 'lib'}", f"--bindir={source.PROGRAMS / 'bin'}"]
    server = ["--host=127.0.0.1", f"--port={port}", "--user=postgres"]
    with (work / "pg_regress.out").open("w") as out:
        # It fails where the expected files differ, which is not asked here.
        command = as_server_user([source.PG_REGRESS, *options, *places, *server, *what], cwd=work, stdout=out, stderr=out)
        subprocess.run(**command, timeout=REGRESS_TIMEOUT)
    paths = re.compile(re.escape(str(work)))
    results = {file.stem: file.read_text(errors="surrogateescape") for file in (work / "results").glob("*.out")}
    number = re.compile(rf"(?<!\d){port}(?!\d)")
    return {name: number.sub("PORT", paths.sub("FOLDER", text)) for name, text in results.items()}


def pipeline(port, _root, tests):
    """libpq's pipeline program, test by test, with the trace of the protocol that it offers."""
    program = source.pipeline_program()
    names = subprocess.run([program, "tests"], capture_output=True, text=True, check=True).stdout.split()
    chosen = [name for name in names if not tests or name in tests]
    return {key: text for name in chosen for key, text in pipeline_test(program, name, port).items()}


def pipeline_test(program, name, port):
    """What it said, and what the protocol said: the latter depends on timing in tests that fill the socket's buffer."""
    trace = source.CACHE / "pipeline.trace"
    trace.unlink(missing_ok=True)
    connection = f"host=127.0.0.1 port={port} user=postgres dbname={DATABASE}"
    environment = {**os.environ, "PGOPTIONS": "-c lc_messages=C -c client_min_messages=warning"}
    done = subprocess.run(
        [program, "-r", "700", "-t", trace, name, connection],
        capture_output=True, text=True, errors="replace", timeout=PIPELINE_TIMEOUT, env=environment,
    )
    traced = trace.read_text(errors="replace").splitlines(keepends=True) if trace.exists() else []
    # What each side said, in its order: when the program, which does not block, reads between its writes is chance.
    by_side = "".join(sorted(traced, key=lambda line: line[:1]))
    return {name: f"exit {done.returncode}\n{done.stdout}{done.stderr}", f"{name}.trace": by_side}


OF_POSTGRESQL = [regress, capture, forms, pipeline]
OF_DRIVERS = [drivers.asyncpg, drivers.psycopg2, drivers.psycopg, drivers.node, drivers.tokio, drivers.jdbc]
SUITES = {suite.__name__: suite for suite in OF_POSTGRESQL + OF_DRIVERS}
