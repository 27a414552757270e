"""What an application does with psycopg 3, each step printed: run directly and through crossfade, it must print the same."""

import sys
import threading

import psycopg
from psycopg.rows import dict_row

url = sys.argv[1]


def tell(*what):
    print(*what, flush=True)


def refused(error):
    tell("refused", error.sqlstate, error.diag.message_primary, error.diag.constraint_name, error.diag.column_name)


with psycopg.connect(url, autocommit=True) as connection:
    connection.execute("drop table if exists psycopg_items")
    connection.execute(
        "create table psycopg_items (id serial primary key, name text unique, price numeric, tags text[], doc jsonb, raw bytea, at timestamptz)"
    )

with psycopg.connect(url) as connection:
    notices = []
    connection.add_notice_handler(lambda diag: notices.append((diag.severity, diag.message_primary)))
    cursor = connection.cursor(row_factory=dict_row)

    # Parameters, by server-side binding; RETURNING of the client's own.
    cursor.execute(
        "insert into psycopg_items (name, price, tags, doc, raw, at) values (%s, %s, %s, %s, %s, %s) returning id, name",
        ("one", 1.5, ["a", None, "b,c"], '{"k": [1, null]}', b"\x00\xff", "2026-01-02 03:04:05+00"),
    )
    tell(cursor.fetchall(), cursor.statusmessage, [(c.name, c.type_code) for c in cursor.description])
    connection.commit()

    # Many executions: prepared by the driver after a few, rewritten or not.
    for n in range(20):
        cursor.execute("insert into psycopg_items (name, price) values (%s, %s)", (f"item {n}", n))
    tell(cursor.rowcount, cursor.statusmessage, cursor.description)
    connection.commit()
    for n in range(20):
        cursor.execute("update psycopg_items set price = price * 2 where name = %s", (f"item {n}",), prepare=True)
    tell(cursor.rowcount, cursor.statusmessage, cursor.description)
    cursor.executemany("update psycopg_items set tags = %s where name = %s", [(["x"], f"item {n}") for n in range(5)])
    tell(cursor.rowcount)
    connection.commit()

    # Binary results.
    binary = connection.cursor(binary=True)
    tell(binary.execute("select id, name, price, tags, doc, raw from psycopg_items order by id limit 3").fetchall())
    tell(binary.execute("update psycopg_items set price = 7 where id = 1 returning *").fetchone()[:3])
    tell(binary.execute("delete from psycopg_items where name = 'item 19' returning id, price").fetchall())
    connection.commit()

    # Errors, and a transaction that goes on behind a savepoint.
    for statement in (
        "insert into psycopg_items (name) values ('one')",
        "insert into psycopg_items (nope) values (1)",
        "update psycopg_items set price = price / 0",
        "selec 1",
    ):
        try:
            with connection.transaction():
                cursor.execute("insert into psycopg_items (name) values ('never seen')")
                cursor.execute(statement)
        except psycopg.Error as error:
            refused(error)
    try:
        with connection.transaction():
            cursor.execute("insert into psycopg_items (name) values ('outer')")
            try:
                with connection.transaction():
                    cursor.execute("insert into psycopg_items (name) values ('inner')")
                    cursor.execute("insert into psycopg_items (name) values ('one')")
            except psycopg.errors.UniqueViolation as error:
                refused(error)
    finally:
        tell(connection.execute("select name from psycopg_items where name in ('outer', 'inner', 'never seen')").fetchall())
    connection.execute("do $$ begin raise notice 'hello'; end $$")
    tell(notices)
    connection.commit()

    # COPY both ways.
    with cursor.copy("copy psycopg_items (name, price) from stdin") as copy:
        for n in range(100):
            copy.write_row((f"copied {n}", n))
    with cursor.copy("copy (select name, price from psycopg_items order by id) to stdout") as copy:
        tell(sum(len(block) for block in copy))
    connection.commit()

    # A cursor of the server, and rows in portions.
    with connection.cursor(name="portions") as portions:
        portions.itersize = 7
        portions.execute("select id, name from psycopg_items order by id")
        tell(sum(row[0] for row in portions))
    connection.commit()

with psycopg.connect(url, autocommit=True) as connection:
    # Pipelines: many statements before the first answer, an error in the middle, and what stands behind it.
    with connection.pipeline():
        cursors = [
            connection.execute("insert into psycopg_items (name) values (%s) returning name", (f"piped {n}",)) for n in range(10)
        ]
        tell([c.fetchone()[0] for c in cursors])
    try:
        with connection.pipeline() as pipeline:
            connection.execute("insert into psycopg_items (name) values ('kept')")
            pipeline.sync()
            connection.execute("insert into psycopg_items (name) values ('undone')")
            connection.execute("insert into psycopg_items (name) values ('kept')")
            connection.execute("insert into psycopg_items (name) values ('never run')")
            pipeline.sync()
    except psycopg.Error as error:
        refused(error)
    try:
        with connection.pipeline(), connection.transaction():
            connection.execute("update psycopg_items set price = 1 where name = 'kept'")
            connection.execute("delete from psycopg_items where name like 'piped%' and id % 2 = 0")
            connection.execute("insert into psycopg_items (name) values ('one')")
    except psycopg.Error as error:
        refused(error)
    with connection.pipeline(), connection.transaction():
        connection.execute("update psycopg_items set price = 2 where name = 'kept'")
        connection.execute("delete from psycopg_items where name = 'piped 3'")
    tell(connection.execute("select name, price from psycopg_items where name in ('kept', 'undone', 'never run', 'piped 3')").fetchall())

    # Notifications, and a cancel from another thread.
    connection.execute("listen psycopg_news")
    connection.execute("notify psycopg_news, 'payload'")
    tell([(n.channel, n.payload) for n in connection.notifies(timeout=5, stop_after=1)])
    timer = threading.Timer(0.5, connection.cancel_safe)
    timer.start()
    try:
        connection.execute("select pg_sleep(30)")
    except psycopg.errors.QueryCanceled as error:
        refused(error)
    timer.join()

    # The client's own look at the session.
    tell(connection.info.parameter_status("server_version"), connection.info.encoding, connection.info.transaction_status.name)
    tell(connection.execute("select count(*), sum(price) from psycopg_items").fetchone())
