"""Keys of every kind, none at all, and names that are hard to quote."""

import uuid

from items import item


@item(
    """create table composite (a int, b text, c timestamptz, v float8, primary key (c, a, b));
    create table by_text (k text primary key, v int);
    create table by_c_text (k text collate "C" primary key, v int);
    create table by_char (k char(5) primary key, v int);
    create table by_uuid (k uuid primary key, v float8);
    create table by_bytea (k bytea primary key, v float8);
    create table by_date (k date primary key, v float8);
    create table by_bool (k bool primary key, v float8);
    create table by_unique (a int not null, b int not null, v float8, unique (b, a));
    create unique index on by_unique (v);"""
)
async def kinds_of_keys(db):
    text = db.dice.choice(["", " ", "a", "A", "ä", "a'b", 'a"b', "a\\b", "a,b", "null", "(x)", "z\n"])
    a = db.dice.randrange(4)
    when = db.dice.choice(["infinity", "-infinity", "2026-03-29 02:30:00+01", "0044-03-15 12:00+00 BC"])
    await db.run(
        "insert into composite values ($1, $2, $3::text::timestamptz, random()) on conflict (a, b, c) do update set v = excluded.v",
        a, text, when,
    )
    await db.run("update composite set v = random() where a = $1", a)
    await db.run("delete from composite where b = $1", text)
    for table in ("by_text", "by_c_text", "by_char"):
        key = text.strip()[:5]
        await db.run(f"insert into {table} values ($1, 1) on conflict (k) do update set v = {table}.v + 1", key)
        await db.run(f"delete from {table} where k = $1 and v > 5", key)
    id = uuid.UUID(int=a)
    await db.run("insert into by_uuid values ($1, random()) on conflict do nothing", id)
    await db.run("update by_uuid set v = random() where k = $1", id)
    await db.run("insert into by_bytea values ($1, random()) on conflict (k) do update set v = random()", bytes([a, 0, 255]))
    await db.run("insert into by_date values ($1::text::date, random()) on conflict (k) do update set v = random()", when.split()[0] if "BC" not in when else "0044-03-15 BC")
    await db.run("insert into by_bool values ($1, random()) on conflict (k) do update set v = random()", a % 2 == 0)
    await db.run("insert into by_unique values ($1, $2, random()) on conflict (b, a) do update set v = random()", a, 7)
    await db.run("delete from by_unique where a = $1", db.dice.randrange(20))


@item(
    """create table by_numeric (k numeric primary key, v float8);
    create table by_float (k float8 primary key, v float8);
    create table by_interval (k interval primary key, v float8);
    create table by_jsonb (k jsonb primary key, v float8);
    create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create table by_nocase (k text collate nocase primary key, v float8);""",
    expected=("23505",),
)
async def keys_that_print_in_several_ways(db):
    """Equal keys with different texts: `1.0` and `1.00`, `0` and `-0`, a day and 24 hours, `a` and `A`."""
    for table, type, keys in (
        ("by_numeric", "numeric", ["1", "1.0", "1.00", "2.50", "2.5", "NaN"]),
        ("by_float", "float8", ["0", "-0", "NaN", "Infinity", "0.1"]),
        ("by_interval", "interval", ["1 day", "24:00", "1 mon", "30 days"]),
        ("by_jsonb", "jsonb", ['{"a": 1.0}', '{"a": 1.00}', "[]"]),
        ("by_nocase", "text", ["a", "A", "ä", "Ä"]),
    ):
        upsert = f"insert into {table} values ($1::text::{type}, random()) on conflict (k) do update set v = random()"
        await db.run(upsert, db.dice.choice(keys))
        await db.run(f"delete from {table} where k = $1::text::{type}", db.dice.choice(keys))
        await db.run(f"insert into {table} values ($1::text::{type}, random()) on conflict do nothing", db.dice.choice(keys))


@item(
    '''create schema "Weird ""Schema""";
    create table "Weird ""Schema"""."Täble ☃ $1" ("Col umn" int primary key, "ünï""q" text, "select" text, "a.b" int, "%s" int);
    create table "Order" ("Order" int primary key, "order" int);'''
)
async def hard_names(db):
    table, n = '"Weird ""Schema"""."Täble ☃ $1"', db.dice.randrange(9)
    await db.script(f'insert into {table} values ({n}, \'a\', \'b\', 1, 2) on conflict ("Col umn") do update set "a.b" = 3')
    await db.script(f'update only {table} as "Alias X" set "select" = "Alias X"."ünï""q" || \'!\' where "Col umn" = {n}')
    await db.script(f'delete from {table} where "Col umn" = {db.dice.randrange(20)}')
    await db.run('insert into "Order" values ($1, 1) on conflict ("Order") do update set "order" = "Order"."order" + 1 returning "Order"', n)
    await db.run('update "Order" set "order" = $1 where "Order" = $2 returning "Order".*', n, n)


@item(
    """create table t (id int primary key, t text);
    create table u (u int primary key, v float8);
    create table row_of (id int primary key, row_of int[], old int, new int, excluded int);"""
)
async def columns_named_like_their_table(db):
    n = db.dice.randrange(9)
    await db.run("insert into t values ($1, 'a') on conflict (id) do update set t = t.t || 'b'", n)
    await db.run("update t set t = 'c' where id = $1 and length(t.t) > 5 returning t", n)
    await db.run("update t as u set t = u.t || 'd' from u as t where t.u = u.id and u.id = $1", n)
    await db.run("insert into u as t values ($1, random()) on conflict (u) do update set v = t.v + 1", n)
    await db.run("update u set v = random() where u = $1", n)
    await db.run("delete from u using t where t.id = u.u and u.u = $1", db.dice.randrange(30))
    await db.run("insert into row_of values ($1, '{1}', 1, 2, 3) on conflict (id) do update set old = row_of.new, new = excluded.old + 1, row_of = row_of.row_of || 1", n)
    await db.run("update row_of set old = 1, row_of = '{}' where id = $1", n)


@item(
    """create table bag (v int, w float8, at timestamptz default clock_timestamp());
    create table bag_with_index (v int unique, w float8);
    create table events (what text, at timestamptz default clock_timestamp());
    create table nothing ();""",
    expected=("23505",),
)
async def tables_without_a_key(db):
    n = db.dice.randrange(10)
    await db.run("insert into events (what) values ($1), ($1)", f"event {n}")
    await db.run("insert into nothing default values")
    match db.dice.randrange(4):
        case 0:
            await db.run("insert into bag select $1::int, random() from generate_series(1, 3)", n)
        case 1:
            await db.run("update bag set w = random() where v = $1", n)
        case 2:
            await db.run("delete from bag where ctid in (select ctid from bag where v = $1 limit 2)", n)
        case 3:
            await db.run("insert into bag_with_index values ($1, random()), (null, 1)", n)
            await db.run("update bag_with_index set w = random() where v = $1", n)


@item(
    """create table moved (id int primary key, v float8); insert into moved select g, 0 from generate_series(1, 20) g;
    create table swapped (id int primary key, place int unique deferrable, v text);
    insert into swapped select g, g, 'v' || g from generate_series(1, 10) g;
    create table renamed (a text, b int, v int, primary key (a, b)); insert into renamed select 'k', g, 0 from generate_series(1, 10) g;""",
    expected=("23505",),
)
async def key_changes(db):
    n = db.dice.randrange(1, 21)
    await db.run("update moved set id = $2, v = random() where id = $1", n, db.dice.randrange(1, 41))
    await db.run("insert into moved values ($1, random()) on conflict (id) do update set id = $2, v = random()", n, db.dice.randrange(100, 10**6))
    await db.run("delete from moved where id > 1000")
    await db.run("update swapped set place = 11 - place, v = v || 'x' where place in ($1, 11 - $1)", n % 5 + 1)
    await db.run("update renamed set a = a || 'x', v = v + 1 where b = $1", n % 10 + 1)
    async with db.transaction():
        await db.run("update moved set v = random() where id = $1", n)
        await db.run("update moved set id = -id where id = $1", n)
        await db.run("insert into moved values ($1, random()) on conflict do nothing", n)
