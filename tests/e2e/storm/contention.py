"""Rows that everyone writes, and statements that read what they write."""

from items import item


@item(
    "create table hot (id int primary key, v bigint default 0, by int, at timestamptz, luck float8);"
    " insert into hot select g from generate_series(1, 4) g;"
)
async def hot_keys(db):
    first, number = db.dice.randrange(1, 5), db.number
    await db.run("update hot set v = v + 1, by = $1, at = clock_timestamp(), luck = random() where id = $2", number, first)
    async with db.transaction():
        for id in range(first, 5):
            await db.run("update hot set v = v + 1, by = $1, luck = random() where id = $2", number, id)
    await db.run("begin")
    await db.run("update hot set v = -1 where id = $1", first)
    await db.run("rollback")
    await db.run("delete from hot where id = $1", first)
    await db.run("insert into hot values ($1, $2) on conflict (id) do update set v = hot.v + excluded.v", first, number)


@item(
    """create table upserted (id int primary key, code text unique, v int default 0, at timestamptz default clock_timestamp());
    create table upserted_partly (id bigint generated always as identity primary key, name text, active bool, v float8);
    create unique index only_active on upserted_partly (lower(name)) where active;
    create table excluded_ranges (id int primary key, during int4range, exclude using gist (during with &&));""",
    expected=("23505", "23P01"),
)
async def upserts(db):
    n = db.dice.randrange(12)
    await db.run("insert into upserted (id, code) values ($1, $2) on conflict do nothing", n, f"c{n}")
    await db.run("insert into upserted (id, code) values ($1, $2) on conflict (code) do update set v = upserted.v + 1, at = default", n + 100, f"c{n}")
    await db.run("insert into upserted (id, v) values ($1, 1) on conflict on constraint upserted_pkey do update set v = excluded.v + upserted.v where upserted.v < 50 returning v", n)
    await db.run("insert into upserted as old (id, code) values ($1, 'new') on conflict (id) do update set (v, at) = (select old.v + 2, clock_timestamp())", n)
    await db.run("insert into upserted (id) select $1 + g from generate_series(0, 3) g on conflict (id) do update set v = excluded.id", n)
    await db.run("insert into upserted_partly (name, active, v) values ($1, true, random()) on conflict (lower(name)) where active do update set v = random()", f"N{n}")
    await db.run("update upserted_partly set active = false where name = $1", f"N{n}")
    await db.run("insert into excluded_ranges values ($1, int4range($2, $2 + 3)) on conflict do nothing", n, db.dice.randrange(50))
    await db.run("delete from upserted where v > 60")
    # The same row twice, which the server refuses.
    await db.fails(db.run("insert into upserted (id) values ($1), ($1) on conflict (id) do update set v = 9", n))


@item(
    """create table stock (id int primary key, n int, v float8); insert into stock select g, 100 from generate_series(1, 20) g;
    create table orders (id bigserial primary key, stock_id int, n int, done bool default false);"""
)
async def joined_writes(db):
    n = db.dice.randrange(1, 21)
    await db.run("insert into orders (stock_id, n) select id, 1 from stock where id between $1 and $1 + 2", n)
    async with db.transaction():
        await db.run("select 1 from stock order by id for update")
        await db.run("update stock set n = stock.n - o.n, v = random() from orders o where o.stock_id = stock.id and not o.done and stock.id = $1", n)
        await db.run("update orders as o set done = true from stock s where s.id = o.stock_id and s.id = $1 returning o.id, s.n", n)
        await db.run("update stock set (n, v) = (select count(*), random() from orders where stock_id = stock.id) where id = $1", n)
        await db.run("delete from orders using stock as s where s.id = orders.stock_id and orders.done and s.id = $1 returning s.*, orders.*", n)


@item("create table queue (id bigserial primary key, state text default 'new', by int, at timestamptz);")
async def queues_with_skip_locked(db):
    await db.run("insert into queue select from generate_series(1, 5)")
    take = "update queue set state = 'taken', by = $1, at = clock_timestamp() where id = (select id from queue where state = 'new' order by id for update skip locked limit 1) returning id"
    for row in await db.run(take, db.number):
        await db.run("update queue set state = 'done' where id = $1", row[0])
    async with db.transaction():
        await db.run("delete from queue where id in (select id from queue where state = 'done' for update skip locked limit 3)")
        await db.run("delete from queue where id in (select id from queue where state = 'new' order by random() for update skip locked limit 1)")


@item(
    """create table live (id bigserial primary key, v float8);
    create table archive (id bigint primary key, v float8, at timestamptz default clock_timestamp());
    create table log_of_moves (n bigint, what text);"""
)
async def writing_ctes(db):
    await db.run("with new as (insert into live (v) select random() from generate_series(1, 4) returning id) insert into log_of_moves select id, 'new' from new")
    await db.run("with gone as (delete from live where id in (select id from live order by id for update skip locked limit 2) returning *) insert into archive (id, v) select id, v from gone")
    await db.run("with a as (update archive set v = random() where id in (select min(id) from archive) returning id), b as (insert into log_of_moves select id, 'again' from a) select * from a")
    await db.run("with only_read as (select max(id) as id from live) update live set v = random() from only_read where live.id = only_read.id")
    await db.run("with recursive up(n) as (values (1) union all select n + 1 from up where n < 3) insert into live (v) select n + random() from up")


@item(
    """create table merged (id int primary key, v float8, n int default 0); create table changes (id int primary key, v float8);
    insert into changes select g, g / 7.0 from generate_series(1, 30) g;""",
    expected=("23505",),
    since=150000,
)
async def merges(db):
    await db.run(
        "merge into merged m using (select id, v from changes where id between $1 and $1 + 5) c on m.id = c.id"
        " when matched and m.n > 5 then delete when matched then update set v = random(), n = n + 1"
        " when not matched then insert values (c.id, random())",
        db.dice.randrange(1, 30),
    )
    await db.run("merge into merged m using changes c on m.id = c.id and c.id = $1 when matched then update set n = 0 when not matched and c.id = $1 then insert (id) values (c.id)", db.dice.randrange(1, 30))


@item(
    "create table serial_counters (id int primary key, n int); insert into serial_counters values (1, 0), (2, 0);"
)
async def isolation_levels(db):
    for level in ("serializable", "repeatable read"):
        async with db.transaction(f"begin isolation level {level}"):
            rows = await db.run("select n from serial_counters where id = 1")
            await db.run("update serial_counters set n = $1 where id = 2", rows[0][0] + 1)
            await db.run("update serial_counters set n = n + 1 where id = 1")
