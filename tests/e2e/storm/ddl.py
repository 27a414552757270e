"""Definitions that change between writes; and what no mirror of rows can follow."""

from items import item

BUSY_SCHEMA = ("0A000", "23502", "42703", "42P01", "42P07", "42701", "55P03", "42710", "42704", "23505")


@item("create schema made;", expected=BUSY_SCHEMA)
async def tables_made_and_dropped(db):
    name = f"made.t{db.number}_{db.dice.randrange(3)}"
    await db.script(f"drop table if exists {name} cascade")
    match db.dice.randrange(4):
        case 0:
            await db.script(f"create table {name} (id bigserial primary key, v text, luck float8 default random())")
        case 1:
            await db.script(f"create table {name} as select g::bigint as id, 'v' || g as v, random() as luck from generate_series(1, 5) g")
        case 2:
            await db.script(f"select 1::bigint as id, 'into' as v, random() as luck into {name}")
        case 3:
            await db.script(f"begin; create table {name} (id bigint generated always as identity primary key, v text unique, luck float8); commit")
    await db.run(f"insert into {name} (v, luck) values ($1, random()), (null, 1)", "first")
    await db.run(f"update {name} set luck = random() where v = $1", "first")


@item("create table altered (id bigserial primary key, v text);", expected=BUSY_SCHEMA)
async def columns_altered_under_writes(db):
    column = f"c{db.dice.randrange(4)}"
    await db.run("insert into altered (v) values ($1)", "a")
    await db.script(
        db.dice.choice(
            [
                f"alter table altered add column if not exists {column} float8 default random()",
                f"alter table altered add column if not exists {column} text default 'd' not null",
                f"alter table altered drop column if exists {column}",
                f"alter table altered rename column {column} to c{db.dice.randrange(4)}",
                f"alter table altered alter column {column} type text using {column}::text || '!'",
                f"alter table altered alter column {column} set default null",
                f"comment on column altered.v is 'number {db.number}'",
            ]
        )
    )
    await db.run("update altered set v = v || $1 where id in (select id from altered order by id desc limit 2)", ".")
    await db.run("delete from altered where id in (select min(id) from altered)")


@item("create schema reindexed;", expected=BUSY_SCHEMA)
async def indexes_concurrently(db):
    """Each session in its own table: those that wait for each other end in deadlock."""
    table, name = f"reindexed.t{db.number}", f"reindexed.i{db.number}"
    await db.script(f"create table if not exists {table} (id bigserial primary key, v int, w text)")
    await db.run(f"insert into {table} (v) select g from generate_series(1, 50) g")
    await db.run(f"drop index concurrently if exists {name}")
    await db.run(f"update {table} set v = v + 1, w = $1 where id = $2", f"by {db.number}", db.dice.randrange(1, 50))
    await db.run(f"create index concurrently i{db.number} on {table} (w, v desc)")
    await db.run(f"insert into {table} (v) values ($1)", db.dice.randrange(100))
    await db.run(f"alter index {name} rename to j{db.number}")
    await db.run(f"drop index reindexed.j{db.number}")
    await db.run(f"delete from {table} where v < 5")


@item(
    """create table grown (id bigserial primary key, at date, v float8);
    create table by_month (id int, month int, v float8, primary key (id, month)) partition by list (month);""",
    expected=(*BUSY_SCHEMA, "23514", "42P17"),
)
async def definitions_of_other_kinds(db):
    n = f"{db.number}"
    month = db.number * 10 + db.dice.randrange(3)
    for statement in (
        f"create table if not exists by_month_{month} partition of by_month for values in ({month})",
        f"insert into by_month values ({db.dice.randrange(50)}, {month}, random()) on conflict (id, month) do update set v = random()",
        f"alter table by_month detach partition by_month_{month}",
        f"update by_month_{month} set v = random()",
        f"alter table by_month attach partition by_month_{month} for values in ({month})",
        f"drop type if exists state_{n} cascade; create type state_{n} as enum ('a', 'b')",
        f"create table if not exists with_type_{n} (id bigserial primary key, s text)",
        f"alter table with_type_{n} add column s2 state_{n} default 'a'",
        f"insert into with_type_{n} (s, s2) values ('x', 'b')",
        f"alter type state_{n} add value 'c'",
        f"insert into with_type_{n} (s, s2) values ('y', 'c')",
        f"alter type state_{n} rename value 'c' to 'd'",
        f"create or replace view seen_{n} as select * from grown",
        f"insert into seen_{n} (at, v) values ('2026-01-01', random())",
        f"drop view seen_{n}",
        f"create or replace function f_{n}() returns int language sql as $$ insert into grown (v) values (random()); select 1 $$",
        f"select f_{n}()",
        f"alter table grown add constraint positive_{n} check (v >= 0) not valid",
        f"alter table grown validate constraint positive_{n}",
        f"insert into grown (v) values (random())",
        f"alter table grown drop constraint positive_{n}",
        f"create sequence if not exists own_{n}",
        f"insert into grown (v) values (nextval('own_{n}'))",
        f"create table renamed_{n}_a (id int primary key, v text); insert into renamed_{n}_a values (1, 'a')",
        f"alter table renamed_{n}_a rename to renamed_{n}_b",
        f"insert into renamed_{n}_b values (2, 'b')",
        f"drop table renamed_{n}_b",
    ):
        await db.script(statement)


@item("create table with_objects (id bigserial primary key, object oid);")
async def large_objects_and_notify(db):
    """Not mirrored; the rows that name them are."""
    ((object,),) = await db.run("select lo_from_bytea(0, '\\x00ff')")
    await db.run("insert into with_objects (object) values ($1)", object)
    async with db.transaction():
        await db.run("listen storm")
        await db.run("notify storm, 'now'")
        await db.run("select pg_notify('storm', 'again')")
        await db.run("unlisten *")
