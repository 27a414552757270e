"""What an application does with asyncpg, each step printed: run directly and through crossfade, it must print the same."""

import asyncio
import datetime
import sys
import uuid

import asyncpg

url = sys.argv[1]


def tell(*what):
    print(*what, flush=True)


def refused(error):
    tell("refused", type(error).__name__, error.sqlstate, str(error), error.as_dict().get("constraint_name"))


async def session(connection):
    await connection.execute("drop table if exists asyncpg_items")
    tell(
        await connection.execute(
            "create table asyncpg_items (id serial primary key, name text unique, price numeric, token uuid, tags text[], raw bytea, at timestamptz)"
        )
    )

    # Binary parameters and results, prepared and cached by the driver.
    at = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc)
    row = await connection.fetchrow(
        "insert into asyncpg_items (name, price, token, tags, raw, at) values ($1, $2, $3, $4, $5, $6) returning *",
        "one", 1, uuid.UUID(int=7), ["a", None, "b,c"], b"\x00\xff", at,
    )
    tell(dict(row))
    insert = await connection.prepare("insert into asyncpg_items (name, price) values ($1, $2)")
    tell(insert.get_parameters(), insert.get_attributes())
    for n in range(20):
        await insert.fetch(f"item {n}", n)
    tell(insert.get_statusmsg())
    update = await connection.prepare("update asyncpg_items set price = price + $1 where id < $2 returning name")
    tell([a.name for a in update.get_attributes()], [r["name"] for r in await update.fetch(1, 4)])
    tell(await connection.execute("update asyncpg_items set price = $1 where id > $2", 3, 15))
    tell(await connection.execute("delete from asyncpg_items where name = 'item 19'"))
    await connection.executemany("update asyncpg_items set tags = $2 where name = $1", [(f"item {n}", ["x", str(n)]) for n in range(10)])

    # Transactions and savepoints.
    try:
        async with connection.transaction():
            await connection.execute("insert into asyncpg_items (name) values ('undone')")
            await connection.execute("insert into asyncpg_items (name) values ('one')")
    except asyncpg.PostgresError as error:
        refused(error)
    async with connection.transaction():
        await connection.execute("insert into asyncpg_items (name) values ('outer')")
        try:
            async with connection.transaction():
                await connection.execute("insert into asyncpg_items (name) values ('inner')")
                await connection.fetch("select 1 / 0")
        except asyncpg.PostgresError as error:
            refused(error)
    async with connection.transaction(isolation="serializable"):
        await connection.execute("update asyncpg_items set price = 0 where name = 'outer'")
        tell(sum([r["id"] async for r in connection.cursor("select id from asyncpg_items order by id", prefetch=3)]))

    # Errors outside a transaction, and the next statement after each.
    for statement in (
        "insert into asyncpg_items (nope) values (1)",
        "update asyncpg_items set price = 'x'",
        "delete from asyncpg_items where",
        "insert into asyncpg_items (id) values (1)",
    ):
        try:
            await connection.execute(statement)
        except asyncpg.PostgresError as error:
            refused(error)
        tell(await connection.fetchval("select count(*) from asyncpg_items"))
    try:
        await connection.execute("insert into asyncpg_items (name) values ('a'); insert into asyncpg_items (name) values ('a')")
    except asyncpg.PostgresError as error:
        refused(error)
    tell(await connection.execute("insert into asyncpg_items (name) values ('b'); update asyncpg_items set price = 9 where name = 'b'"))

    # COPY, both ways.
    tell(await connection.copy_records_to_table("asyncpg_items", records=[(f"copied {n}", n) for n in range(50)], columns=["name", "price"]))
    received = bytearray()

    async def receive(data):
        received.extend(data)

    tell(await connection.copy_from_query("select name, price from asyncpg_items order by id", output=receive, format="csv"))
    tell(len(received))

    # Notices, notifications, a timeout that cancels.
    notices = []
    connection.add_log_listener(lambda _, message: notices.append(message.message))
    await connection.execute("do $$ begin raise notice 'hello'; end $$")
    await asyncio.sleep(0)
    tell(notices)
    heard = asyncio.Queue()
    await connection.add_listener("asyncpg_news", lambda _c, _pid, channel, payload: heard.put_nowait((channel, payload)))
    await connection.execute("notify asyncpg_news, 'payload'")
    tell(await asyncio.wait_for(heard.get(), 5))
    try:
        await connection.execute("select pg_sleep(30)", timeout=0.5)
    except asyncio.TimeoutError:
        tell("timed out")
    tell(await connection.fetchval("select sum(price) from asyncpg_items"), connection.get_settings().client_encoding)


async def main():
    connection = await asyncpg.connect(url)
    try:
        await session(connection)
    finally:
        await connection.close()
    # Many at once, from a pool, which resets each session behind its user.
    async with asyncpg.create_pool(url, min_size=4, max_size=4) as pool:
        async def add(n):
            await pool.execute("insert into asyncpg_items (name, price) values ($1, $2)", f"pooled {n}", n)
            return await pool.fetchval("select price from asyncpg_items where name = $1", f"pooled {n}")

        tell(sum(await asyncio.gather(*(add(n) for n in range(40)))))


asyncio.run(main())
