"""What psycopg 3 can do, section by section, each step printed: directly and through crossfade it must print the same."""

import logging
import os
import pathlib
import threading
import time

import psycopg
from psycopg import sql
from psycopg.rows import dict_row, namedtuple_row
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.json import Jsonb

FIELDS = """severity sqlstate message_primary message_detail message_hint statement_position internal_position internal_query
context schema_name table_name column_name datatype_name constraint_name source_file source_line source_function""".split()

# Types that psycopg reads into values that it would send as another type.
NOT_SENT = ["json", "jsonb", "macaddr", "money", "mood", "point", "tsvector", "varbit", "xml"]

# What it says of a pipeline that was given up depends on how far that had come.
logging.getLogger("psycopg").setLevel(logging.ERROR)


def tell(*what):
    print(*what, flush=True)


def result(cursor):
    """All that a result shows but for its rows."""
    described = [(c.name, c.type_code, c.type_display, c.internal_size) for c in cursor.description or []]
    tell(cursor.statusmessage, cursor.rowcount, described)


def refused(error):
    tell("refused", type(error).__name__, {name: value for name in FIELDS if (value := getattr(error.diag, name, None)) is not None})


def attempt(connection, *statement, **options):
    try:
        cursor = connection.execute(*statement, **options)
        tell(cursor.statusmessage)
    except psycopg.Error as error:
        refused(error)


def parameters(connection):
    info = connection.info
    names = """server_version client_encoding DateStyle IntervalStyle TimeZone integer_datetimes standard_conforming_strings
    application_name is_superuser session_authorization in_hot_standby default_transaction_read_only scram_iterations""".split()
    tell({name: info.parameter_status(name) for name in names})
    tell(info.encoding, info.user, info.dbname, info.backend_pid == connection.execute("select pg_backend_pid()").fetchone()[0])
    options = {"application_name": "the program", "options": "-c work_mem=5MB -c DateStyle=German", "client_encoding": "latin1"}
    with psycopg.connect(autocommit=True, **options) as other:
        tell(other.info.parameter_status("DateStyle"), other.info.parameter_status("application_name"), other.info.encoding)
        tell(other.execute("show work_mem").fetchone(), other.execute("select 'ü', date '2026-01-02'::text").fetchone())
        result(other.execute("insert into keyed (name) values ('Münze') returning name"))
        other.execute("set application_name = 'another'")
        tell(other.info.parameter_status("application_name"))
    for wrong in ({"dbname": "nowhere"}, {"user": "nobody"}, {"options": "-c nothing=1"}):
        try:
            psycopg.connect(**wrong)
        except psycopg.OperationalError as error:
            tell("refused", str(error).split("failed: ")[-1])


def reads(connection):
    for binary in (False, True):
        for prepare in (False, True):
            for n in range(1, 4):
                cursor = connection.execute("select * from settled where id = %s", (n,), prepare=prepare, binary=binary)
                result(cursor)
                tell(cursor.fetchall())
        for statement, values in (
            ("select count(*), count(n), sum(int8), min(label), max(day) from settled where n > %s", (3,)),
            ("select a.id, b.label from settled a join settled b on b.id = a.n where a.id < %s order by a.id", (20,)),
            ("select upper(label), length(label), n + 1 from settled where label = any(%s) order by id", (["label 5", "label 50"],)),
            ("select id from settled where id = %s", (-1,)), ("values (1), (2)", ()), ("table settled order by id limit 2", ()),
        ):
            result(cursor := connection.execute(statement, values, binary=binary))
            tell(cursor.fetchall())
    for wrong in ("select 1 / (id - 1) from settled where id = 1", "select nothing from settled", "select 'x'::int from settled"):
        attempt(connection, wrong)
        attempt(connection, wrong + " and true" if "where" in wrong else wrong, prepare=True)
        tell(connection.execute("select label from settled where id = 7").fetchall())
    tell(len(connection.execute("select a.label, b.label from settled a, settled b where b.id <= 20 order by a.id, b.id").fetchall()))
    tell([row[0] for row in connection.cursor().stream("select label from settled where id <= 5 order by id")])
    for setting in ("TimeZone = 'Asia/Tokyo'", "DateStyle = 'SQL, DMY'", "bytea_output = 'escape'", "extra_float_digits = -3", "search_path = pg_catalog, public"):
        connection.execute(f"set {setting}")
        tell(connection.execute("select at::text, day::text, bytea::text, float8::text, span from settled where id = 9").fetchone())
    connection.execute("reset all")
    with connection.pipeline():
        cursors = [connection.execute("select label from settled where id = %s", (n,)) for n in range(5)]
        tell([cursor.fetchall() for cursor in cursors])
    for start in ("begin read only", "begin isolation level repeatable read", "begin"):
        connection.execute(start)
        tell(connection.execute("select sum(n) from settled").fetchone(), connection.execute("select label from settled where id = 3").fetchone())
        connection.execute("commit")
    # What was just written is read, wherever it is read.
    for n in range(5):
        connection.execute("insert into keyed (name, n) values (%s, %s)", (f"read {n}", n))
        tell(connection.execute("select name, n from keyed where name like 'read %' order by name").fetchall())
        connection.execute("update keyed set n = n + 1 where name like 'read %'")
        tell(connection.execute("select sum(n) from keyed where name like %s", ("read %",), prepare=True).fetchone())


def types(connection):
    pair = CompositeInfo.fetch(connection, "pair")
    register_composite(pair, connection)
    result(connection.execute("insert into typed select (typed_values()).*"))
    for binary in (False, True):
        cursor = connection.cursor(binary=binary)
        cursor.execute("select * from typed where id = 1")
        result(cursor)
        row = cursor.fetchone()
        tell(row)
        names = [column.name for column in cursor.description][1:]
        kept = [(name, value) for name, value in zip(names, row[1:]) if name not in NOT_SENT]
        columns = sql.SQL(", ").join(sql.Identifier(name) for name, _ in kept)
        marks = sql.SQL(", ").join(sql.SQL("%s") for _ in kept)
        insert = sql.SQL("insert into typed (id, {}) values (%s, {}) returning *").format(columns, marks)
        again = connection.cursor(binary=binary)
        again.execute(insert, (10 + binary, *(value for _, value in kept)), binary=binary)
        result(again)
        tell(again.fetchall())
    for mark in ("%s", "%b", "%t"):
        result(connection.execute(f"update typed set int8 = int8 + {mark}, float8 = {mark}, bytea = {mark} where id > 1", (1, 2.5, b"\x01\x00")))
        tell(connection.execute(f"select {mark}::int, {mark}::text, {mark}::bool", (-7, "text", False)).fetchone())
    result(connection.execute("update typed set jsonb = %s, ints = %s, texts = %s where id = 10", (Jsonb({"a": 1}), [], [None, "x"])))
    result(connection.execute("update typed set text = null, int4 = %s where id = 11 returning text, int4", (None,)))
    tell(connection.execute("select id, to_jsonb(t) from typed t order by id").fetchall())


def prepared(connection):
    for n in range(12):
        cursor = connection.execute("insert into keyed (name, n) values (%s, %s)", (f"name {n}", n))
        result(cursor)
    for n in range(8):
        cursor = connection.execute("update keyed set n = n + %s where name = %s returning id - id as zero, n", (n, f"name {n}"), prepare=True)
        tell(cursor.fetchall())
    for n in range(3):
        result(connection.execute("insert into keyless values (%s, %s)", ("again", n), prepare=True))
        result(connection.execute("delete from keyless where n = %s", (n,), prepare=False))
    # By hand, in SQL; and what the driver does when its statements are gone.
    connection.execute("prepare mine (int, text) as update keyed set n = $1 where name = $2")
    result(connection.execute("execute mine (5, 'name 1')"))
    result(connection.execute("execute mine (6, 'nothing')"))
    connection.execute("deallocate mine")
    attempt(connection, "execute mine (5, 'name 1')")
    connection.execute("alter table keyless add extra text")
    attempt(connection, "insert into keyless values (%s, %s) returning *", ("changed", 1), prepare=True)
    connection.execute("alter table keyless drop extra")
    attempt(connection, "insert into keyless values (%s, %s) returning *", ("changed", 1), prepare=True)
    attempt(connection, "insert into keyless values (%s, %s)", ("changed", 1), prepare=True)
    connection.execute("deallocate all")
    attempt(connection, "select 1")


def many(connection):
    cursor = connection.cursor()
    cursor.executemany("insert into keyed (name, n) values (%s, %s)", [(f"many {n}", n) for n in range(30)])
    result(cursor)
    cursor.executemany("update keyed set n = n + 1 where name = %s returning name, n", [(f"many {n}",) for n in range(3)], returning=True)
    while True:
        result(cursor)
        tell(cursor.fetchall())
        if not cursor.nextset():
            break
    try:
        cursor.executemany("insert into keyed (name, n) values (%s, %s)", [("many 100", 1), ("many 101", 2), ("many 1", 3), ("many 102", 4)])
    except psycopg.Error as error:
        refused(error)
    tell(connection.execute("select count(*) from keyed where name like 'many 10%'").fetchone())
    cursor.executemany("insert into keyless values (%s, %s)", [(None, n) for n in range(3)])
    result(cursor)


def pipelines(connection):
    with connection.pipeline():
        cursors = [connection.execute("insert into keyed (name) values (%s) returning name", (f"piped {n}",)) for n in range(5)]
        cursors += [connection.execute("update keyed set n = 1 where name = %s", (f"piped {n}",)) for n in range(5)]
        cursors += [connection.execute("select name from keyed where name like 'piped%' order by name")]
        cursors += [connection.execute("delete from keyed where name = 'piped 4'"), connection.execute("insert into keyless values ('piped', 1)")]
        for cursor in cursors:
            result(cursor)
            tell(cursor.fetchall() if cursor.description else None)
    cursors = []
    try:
        with connection.pipeline() as pipeline:
            cursors.append(connection.execute("insert into keyed (name) values ('kept')"))
            pipeline.sync()
            cursors.append(connection.execute("insert into keyed (name) values ('undone')"))
            connection.execute("insert into keyed (name) values ('kept')")
            connection.execute("insert into keyed (name) values ('never run')")
            pipeline.sync()
    except psycopg.Error as error:
        refused(error)
    tell([cursor.statusmessage for cursor in cursors])
    with connection.pipeline(), connection.transaction():
        connection.execute("update keyed set n = 2 where name = 'kept'")
        with connection.transaction():
            connection.execute("insert into keyed (name) values ('nested')")
        connection.execute("delete from keyed where name = 'nested'")
    try:
        with connection.pipeline(), connection.transaction():
            connection.execute("update keyed set n = 3 where name = 'kept'")
            connection.execute("update keyed set n = 1 / (n - 3) where name = 'kept'")
            connection.execute("delete from keyed")
    except psycopg.Error as error:
        refused(error)
    tell(connection.execute("select name, n from keyed where name in ('kept', 'undone', 'never run', 'nested')").fetchall())


def copies(connection):
    cursor = connection.cursor()
    with cursor.copy("copy keyed (name, n) from stdin") as copy:
        for n in range(20):
            copy.write_row((f"copied\t{n}", n))
    result(cursor)
    with cursor.copy("copy keyless from stdin (format binary)") as copy:
        copy.set_types(["text", "int4"])
        for n in range(20):
            copy.write_row((f"copied {n}", n))
    result(cursor)
    with cursor.copy("copy keyed (name, n) from stdin (format csv, header)") as copy:
        copy.write("name,n\n\"csv, one\",1\ncsv two,\n")
    result(cursor)
    for statement in ("copy (select name, n from keyed order by id) to stdout", "copy keyless to stdout (format csv)"):
        with cursor.copy(statement) as copy:
            tell(b"".join(copy))
        result(cursor)
    with cursor.copy("copy (select n, name from keyless order by name, n limit 3) to stdout (format binary)") as copy:
        copy.set_types(["int4", "text"])
        tell(list(copy.rows()))
    for lines in ("copied\t1\nnonsense\n", "a\tb\n", "kept\t1\n"):
        try:
            with cursor.copy("copy keyed (name, n) from stdin") as copy:
                copy.write(lines)
        except psycopg.Error as error:
            refused(error)
    try:
        with cursor.copy("copy keyed (name) from stdin") as copy:
            copy.write("half\n")
            raise KeyError("the client's own")
    except KeyError as error:
        tell("gave up", error)
    tell(connection.execute("select count(*), count(n) from keyed").fetchone())


def cursors(connection):
    with connection.transaction():
        with connection.cursor(name="portions", row_factory=namedtuple_row, scrollable=True, withhold=True) as portions:
            portions.itersize = 7
            portions.execute("select g as number, 'row ' || g as label from generate_series(1, 40) g")
            tell(sum(row.number for row in portions), portions.rownumber)
            portions.scroll(3, mode="absolute")
            tell(portions.fetchmany(2), portions.fetchone())
            portions.scroll(-2)
            tell(portions.fetchone())
        connection.execute("declare writer cursor for select id, name from keyed order by id for update")
        tell(len(connection.execute("fetch 2 from writer").fetchall()))
        result(connection.execute("update keyed set n = 77 where current of writer"))
        result(connection.execute("delete from keyless where name = 'again'"))
        connection.execute("close writer")
    tell([tuple(row) for row in connection.cursor().stream("select g, g * g from generate_series(1, 5) g")])
    tell(list(connection.cursor().stream("insert into keyless select 'streamed', g from generate_series(1, 3) g returning n")))
    tell(connection.cursor(row_factory=dict_row).execute("select 1 as a, 2 as a, 3 as \"B c\"").fetchall())


def transactions(connection):
    def state():
        return connection.info.transaction_status.name

    connection.autocommit = False
    for level in psycopg.IsolationLevel:
        connection.isolation_level = level
        connection.execute("update keyed set n = 1 where name = 'kept'")
        tell(connection.execute("show transaction_isolation").fetchone(), state())
        connection.commit()
    connection.isolation_level = None
    connection.read_only = True
    attempt(connection, "insert into keyless values ('read only')")
    tell(state())
    attempt(connection, "select 1")
    connection.rollback()
    connection.read_only = None
    connection.execute("insert into keyed (name) values ('rolled back')")
    connection.rollback()
    connection.execute("insert into keyed (name, n) values ('in parts', 0)")
    connection.execute("savepoint one")
    connection.execute("update keyed set n = 1 where name = 'in parts'")
    connection.execute("savepoint two")
    attempt(connection, "insert into keyed (name) values ('in parts')")
    tell(state())
    connection.execute("rollback to one")
    connection.execute("insert into keyless values ('behind the savepoint')")
    connection.execute("release one")
    connection.commit()
    tell(state(), connection.execute("select n from keyed where name = 'in parts'").fetchall())
    connection.rollback()
    with connection.transaction():
        for inner in (psycopg.Rollback(), ZeroDivisionError("the client's own")):
            try:
                with connection.transaction("inner"):
                    connection.execute("insert into keyed (name) values ('inner')")
                    raise inner
            except ZeroDivisionError as error:
                tell(error)
        connection.execute("insert into keyed (name) values ('outer')")
    tell(connection.execute("select name from keyed where name in ('inner', 'outer', 'rolled back')").fetchall())
    connection.rollback()
    connection.tpc_begin("the program")
    connection.execute("insert into keyed (name) values ('two phases')")
    connection.tpc_prepare()
    tell(state())
    connection.tpc_commit()
    connection.autocommit = True
    tell(connection.execute("select count(*) from keyed where name = 'two phases'").fetchone())
    connection.execute("begin; insert into keyless values ('one message', 1); commit and chain; insert into keyless values ('one message', 2); rollback")
    tell(connection.execute("select n from keyless where name = 'one message'").fetchall(), state())


def errors(connection):
    for statement in (
        "insert into keyed (id, name) values (1, 'taken')", "insert into keyed (name) values ('kept')", "insert into keyed (n) values (1000)",
        "insert into keyed (parent) values (-1)", "insert into keyed (nothing) values (1)", "insert into nothing values (1)",
        "update keyed set n = 'x'", "update keyed set n = 1 / 0", "update keyed set n = nothing(1)", "delete from keyed where",
        "delete from keyed where 'ü' = nothing", "insert into made (id) values (1)", "update made set twice = 1", "insert into parted values (5000)",
        "insert into typed (id, positive) values (99, -1)", "insert into typed (id, mood) values (99, 'bored')", "selec 1",
        "insert into typed (id, varchar) values (99, 'more than twenty characters')", "insert into typed (varchar) values ('no id')",
        "do $$ begin raise exception 'raised' using errcode = 'UX001', detail = 'd', hint = 'h', column = 'c', table = 't', schema = 's', datatype = 'x', constraint = 'y'; end $$",
        "insert into keyed (name) values ('a'); insert into keyed (name) values ('a')", "insert into keyed (name) values ('a'); selec 1",
    ):
        attempt(connection, statement)
        attempt(connection, statement + " ", binary=True) if ";" not in statement else None
        attempt(connection, "insert into keyless values ('after it', 0)")
    attempt(connection, "insert into keyed (name, n) values (%s, %s)", ("a", "b"))
    attempt(connection, "insert into keyed (name, n) values (%s, %s)", (b"\xff", 1))
    attempt(connection, "insert into keyed (n) values (%s / %s)", (1, 0), prepare=True)
    attempt(connection, "select $1", ())
    tell(connection.execute("select count(*) from keyless where name = 'after it'").fetchone())


def several(connection):
    cursor = connection.execute(
        "insert into keyed (name, n) values ('several', 1); update keyed set n = 2 where name = 'several' returning n; select 1 as one, 2;"
        "insert into keyless values ('several'), ('several'); delete from keyed where name = 'several'; set work_mem = '6MB'; values (1), (2);;"
    )
    while True:
        result(cursor)
        tell(cursor.fetchall() if cursor.description else None)
        if not cursor.nextset():
            break
    result(connection.execute(""))
    result(connection.execute(" ; "))
    tell(connection.execute("show work_mem").fetchone())


def generated(connection):
    cursor = connection.cursor(row_factory=dict_row)
    tell(cursor.execute("insert into made (n) values (%s), (%s) returning *", (4, 5)).fetchall())
    tell(cursor.execute("insert into made (id, n) overriding system value values (100, 1) returning id, twice as t").fetchall())
    tell(cursor.execute("update made set n = n + 1 where n > 3 returning id, made, n as \"the n\"").fetchall())
    tell(cursor.execute("insert into keyed (name) values ('conflict'), ('kept') on conflict (name) do update set n = 9 returning name, n, xmax = 0 as fresh").fetchall())
    result(cursor.execute("insert into keyed (name) values ('conflict') on conflict do nothing"))
    tell(cursor.execute("insert into parted values (1, 'low'), (500, 'high') returning tableoid::regclass::text, *").fetchall())
    tell(cursor.execute("update parted set id = id + 200 where id = 1 returning tableoid::regclass::text, *").fetchall())
    tell(cursor.execute("delete from parted returning id").fetchall())
    tell(cursor.execute("with gone as (delete from keyless where name = 'several' returning *) select count(*) from gone").fetchall())
    tell(cursor.execute("merge into keyed k using (values ('kept')) s(name) on k.name = s.name when matched then update set n = 10").statusmessage)


def large(connection):
    big = "0123456789abcdef" * 250_000
    tell(connection.execute("insert into keyed (name, big) values ('big', %s) returning length(big)", (big,)).fetchone())
    tell(connection.execute("update keyed set big = big || 'x' where name = 'big' returning big", binary=True).fetchone()[0] == big + "x")
    result(connection.execute("update keyed set big = %s where name = 'big'", (big,)))
    result(connection.execute(f"insert into keyless values ('{big}', 1)"))
    result(connection.execute("delete from keyless where length(name) > 100"))
    tell(sum(len(row[0]) for row in connection.execute("select repeat('x', 1000) from generate_series(1, 20000)")))
    result(connection.execute("insert into keyless select 'wide', g from generate_series(1, 20000) g"))
    result(connection.execute("delete from keyless where name = 'wide' returning n"))


def talk(connection):
    notices = []
    connection.add_notice_handler(lambda diag: notices.append((diag.severity, diag.sqlstate, diag.message_primary, diag.message_hint)))
    connection.execute("do $$ begin raise notice 'hello' using hint = 'h'; raise warning 'careful'; end $$")
    connection.execute("drop table if exists nothing")
    connection.execute("rollback")
    connection.execute("create temp table passing (n int) on commit drop")
    tell(notices)
    connection.execute("listen news")
    with psycopg.connect(autocommit=True) as other:
        other.execute("notify news, 'from another'")
        with other.transaction():
            other.execute("insert into keyless values ('notified', 1)")
            other.execute("select pg_notify('news', 'in a transaction')")
    connection.execute("notify news, 'from myself'")
    heard = [(n.channel, n.payload, n.pid == connection.info.backend_pid) for n in connection.notifies(timeout=10, stop_after=3)]
    tell(sorted(heard))
    connection.execute("unlisten *")


def cancel(connection):
    for statement in ("select pg_sleep(60)", "update keyed set n = 1 where pg_sleep(60) is not null", "insert into keyless select 'x', 1 from pg_sleep(60)"):
        timer = threading.Timer(0.5, connection.cancel_safe)
        timer.start()
        attempt(connection, statement)
        timer.join()
        attempt(connection, "insert into keyless values ('after the cancel', 1)")
    connection.execute("set statement_timeout = '200ms'")
    attempt(connection, "update keyed set n = 1 where pg_sleep(60) is not null")
    connection.execute("reset statement_timeout")


def session(connection):
    connection.execute("set role pg_read_all_data")
    attempt(connection, "insert into keyless values ('not mine', 1)")
    tell(connection.execute("select current_user").fetchone())
    connection.execute("reset role")
    connection.execute("create schema if not exists other; create table other.keyless (name text, n int, more int); set search_path = other, public")
    result(connection.execute("insert into keyless values (%s, 1, 2) returning *", ("elsewhere",)))
    connection.execute("set search_path = public")
    result(connection.execute("insert into keyless values (%s, 1) returning *", ("here",)))
    connection.execute("set TimeZone = 'Asia/Tokyo'; set DateStyle = 'SQL, DMY'; set bytea_output = 'escape'; set extra_float_digits = 0")
    tell(connection.execute("update typed set text = 'seen' where id = 1 returning timestamptz::text, date::text, bytea::text, float4::text").fetchone())
    tell(connection.info.parameter_status("TimeZone"), connection.info.parameter_status("DateStyle"))
    connection.execute("discard all")
    tell(connection.info.parameter_status("TimeZone") == "Asia/Tokyo", connection.info.parameter_status("DateStyle"))
    result(connection.execute("truncate keyless"))
    tell(connection.execute("select count(*) from keyed").fetchone())


with psycopg.connect(autocommit=True) as setup:
    setup.execute(pathlib.Path(__file__).with_name("tables.sql").read_text())
# Writes are captured once the new tables are known.
time.sleep(float(os.environ["SETTLE"]))
for section in (parameters, reads, types, prepared, many, pipelines, copies, cursors, transactions, errors, several, generated, large, talk, cancel, session):
    tell("==", section.__name__)
    with psycopg.connect(autocommit=True) as connection:
        section(connection)
