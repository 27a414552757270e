"""Values of every kind, and those that the server makes itself."""

import uuid

from items import item

TYPES = {
    "bool": ["t", "f"],
    "int2": ["-32768", "32767", "0"],
    "int4": ["-2147483648", "2147483647"],
    "int8": ["-9223372036854775808", "9223372036854775807"],
    "float4": ["NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4028235e38", "0.1"],
    "float8": ["NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308", "0.1"],
    "numeric": ["NaN", "Infinity", "-Infinity", "0.000", "1e100", "-123456789012345678901234567890.12345"],
    "numeric(10,2)": ["0", "99999999.99", "-0.005"],
    "text": ["", " ", "null", "NULL", "a,b", '"', "\\", "\\N", "'", "tab\tnew\nline\r", "ünï ☃ 𝄞", "({[", "$1", "%s"],
    "varchar(20)": ["", "twenty characters ok"],
    "char(5)": ["", "ab", "abcde"],
    '"char"': ["", "x", "\\351"],
    "name": ["", "a name"],
    "bytea": ["", "\\x00ff0a27225c", "\\\\"],
    "date": ["infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "2026-02-28"],
    "time": ["00:00", "24:00", "12:34:56.789012"],
    "timetz": ["00:00+15:59", "23:59:59.999999-12"],
    "timestamp": ["infinity", "-infinity", "294276-12-31 23:59:59.999999", "0044-03-15 12:00 BC"],
    "timestamptz": ["infinity", "-infinity", "2026-03-29 02:30+00", "0044-03-15 12:00+00 BC"],
    "interval": ["0", "1 year -2 mons 3 days -04:05:06.7", "-178000000 years", "1 mon", "30 days"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "json": ['{"b": 1,  "a": [1, null, "x\\u00e9"], "a": 2}', "null", '""', "[]"],
    "jsonb": ['{"b": 1, "a": {"c": [1.50, 1e3, "\\"", "\\\\"]}}', "null", '"x"', "[]", "{}"],
    "xml": ["<a b='\"'>t&amp;u</a>", "text only", "<?xml version=\"1.0\"?><a/>"],
    "inet": ["10.1.2.3/8", "::1", "::ffff:1.2.3.4/96"],
    "cidr": ["10.0.0.0/8", "2001:db8::/32"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "point": ["(1,2)", "(NaN,Infinity)", "(-0,1e-300)"],
    "line": ["{1,-1,0}"],
    "lseg": ["[(0,0),(1,0.1)]"],
    "box": ["(2,2),(0,0)"],
    "path": ["[(0,0),(1,1)]", "((0,0),(1,1),(2,0))"],
    "polygon": ["((0,0),(1,1),(2,0))"],
    "circle": ["<(1,2),0.3>"],
    "bit(5)": ["10101"],
    "varbit": ["", "1", "0101010101"],
    "tsvector": ["", "'a':1A 'b c':2,3", "'it''s'"],
    "tsquery": ["", "'fat' & ( 'rat' | !'cat' ) <-> 'x':*"],
    "int4range": ["empty", "[1,5)", "(,)", "[,3)"],
    "int8range": ["[1,9223372036854775807)"],
    "numrange": ["[0.10,0.1]", "(NaN,NaN]", "[1,infinity]"],
    "tsrange": ['["2026-01-01 00:00","infinity")'],
    "tstzrange": ['["2026-01-01 00:00+02",)', '["-infinity","infinity"]'],
    "daterange": ["[2026-01-01,2026-12-31]"],
    "int4multirange": ["{}", "{[1,2),[5,9)}"],
    "datemultirange": ["{[2026-01-01,infinity)}"],
    "oid": ["0", "4294967295"],
    "xid": ["4294967295"],
    "xid8": ["18446744073709551615"],
    "tid": ["(4294967295,65535)"],
    "pg_lsn": ["16/B374D848"],
    "pg_snapshot": ["10:20:10,14"],
    "jsonpath": ['$."a"[*] ? (@ > 1)'],
    "int4[]": ["{}", "{1,NULL,3}", "[0:2]={1,2,3}", "{{1,2},{3,4}}"],
    "text[]": ["{}", '{"",NULL,"NULL","a,b","\\"","\\\\"," {"}'],
    "numeric[]": ["{1.0,1.00,NaN}"],
    "bytea[]": ['{"\\\\x00ff",NULL}'],
    "timestamptz[]": ['{infinity,"2026-01-01 00:00:00+00"}'],
    "mood": ["sad", "it's \"ok\"", ""],
    "mood[]": ["{sad,\"it's \\\"ok\\\"\",NULL}"],
    "evens": ["2", "-4"],
    "evens[]": ["{2,NULL}"],
    "tags": ["{a,b}", "{}"],
    "pair": ['(1,"a ""quoted"" \\\\ one")', "(,)", '(7,"")'],
    "pair[]": ['{"(1,\\"x y\\")",NULL}'],
    "moods": ["[sad,\"it's \\\"ok\\\"\"]", "empty"],
}
# They print by settings of the session.
BY_SETTINGS = {"money": ["-92233720368547758.08", "12.34"], "regtype": ["integer", "text"], "money[]": ["{1.00,NULL}"]}
COLUMNS = [f"c{n}" for n in range(len(TYPES))]
CASTS = ", ".join(f"${n}::text::{name}" for n, name in enumerate(TYPES, 2))


def any_values(dice):
    return [dice.choice([None, *literals]) for literals in TYPES.values()]


@item(
    f"""create type mood as enum ('sad', 'it''s "ok"', '');
    create domain evens as int check (value % 2 = 0);
    create domain tags as text[];
    create type pair as (n int, "te xt" text);
    create type moods as range (subtype = mood);
    create table types (id bigint primary key, {", ".join(f"{c} {t}" for c, t in zip(COLUMNS, TYPES))});"""
)
async def all_types(db):
    id = db.dice.randrange(40)
    assign = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS)
    await db.run(
        f"insert into types values ($1, {CASTS}) on conflict (id) do update set {assign}", id, *any_values(db.dice)
    )
    n = db.dice.randrange(len(COLUMNS))
    literals = list(TYPES.values())[n]
    update = f"update types set c{n} = $2::text::{list(TYPES)[n]} where id = $1"
    await db.run(update, db.dice.randrange(40), db.dice.choice([None, *literals]))
    await db.run("delete from types where id = $1", db.dice.randrange(40))


# Up to those that need types of our own.
PLAIN = {name: literals for name, literals in TYPES.items() if name.split("[")[0] not in ("mood", "evens", "tags", "pair", "moods")}


@item("create table types_without_key (%s);" % ", ".join(f"c{n} {type}" for n, type in enumerate(PLAIN)))
async def all_types_without_key(db):
    casts = ", ".join(f"${n}::text::{type}" for n, type in enumerate(PLAIN, 1))
    values = [db.dice.choice([None, *literals]) for literals in PLAIN.values()]
    await db.run(f"insert into types_without_key values ({casts})", *values)


@item("create table types_by_settings (id int primary key, a money, b regtype, c money[]);")
async def types_that_print_by_settings(db):
    values = [db.dice.choice([None, *literals]) for literals in BY_SETTINGS.values()]
    upsert = (
        "insert into types_by_settings values ($1, $2::text::money, $3::text::regtype, $4::text::money[])"
        " on conflict (id) do update set a = excluded.a, b = excluded.b, c = excluded.c"
    )
    await db.run(upsert, db.dice.randrange(9), *values)


@item("create table big (id int primary key, n int, plain text, packed text, raw bytea, doc jsonb);")
async def toasted(db):
    id, kilobytes = db.dice.randrange(6), db.dice.choice([1, 3, 30, 300, 1500])
    letters = "".join(db.dice.choices("abcdefghijklmnopqrstuvwxyz\u00e4\u2603\"\\,'()", k=1000))
    upsert = (
        "insert into big values ($1, 0, $2, repeat($3, 5000), convert_to($2, 'UTF8'), jsonb_build_object('k', $2::text))"
        " on conflict (id) do update set plain = excluded.plain, raw = excluded.raw, doc = excluded.doc"
    )
    await db.run(upsert, id, letters * kilobytes, letters[:10])
    # What is stored out of line stays where it is.
    await db.run("update big set n = n + 1 where id = $1", db.dice.randrange(6))


@item(
    """create table serials (id serial primary key, small smallserial, big bigserial, v text);
    create table always (id int generated always as identity (start 10 increment 3) primary key, v text);
    create table by_default (id bigint generated by default as identity primary key, v text);
    create table numbered (name text primary key, n int generated always as identity, v int default 0);""",
    expected=("23505",),
)
async def identities(db):
    await db.run("insert into serials (v) values ($1), (default) returning id", "a")
    await db.run("insert into always (v) select 'b' from generate_series(1, 3) returning *")
    await db.run("insert into always overriding system value values ($1, 'overridden')", -db.dice.randrange(1000))
    await db.run("insert into by_default (v) values ('c') returning id")
    await db.run("insert into by_default values ($1, 'given')", -db.dice.randrange(1000))
    await db.run("insert into by_default overriding user value values (5, 'not 5')")
    await db.run("insert into numbered (name) values ($1) on conflict (name) do update set v = numbered.v + 1", f"n{db.dice.randrange(9)}")
    await db.run("update numbered set n = default where name = $1", f"n{db.dice.randrange(9)}")
    await db.run("update serials set v = $1 where id in (select id from serials order by id desc limit 2)", "last")
    await db.run("delete from always where id = (select min(id) from always where id > 0)")


@item(
    """create sequence tickets;
    create table drawn (
        id uuid primary key default gen_random_uuid(), at timestamptz not null default now(),
        exact timestamptz not null default clock_timestamp(), luck float8 not null default random(),
        twice float8 generated always as (luck * 2) stored, words tsvector generated always as (to_tsvector('simple', note)) stored,
        ticket bigint default nextval('tickets'), who text default current_user, xid xid8 default pg_current_xact_id(), note text default '');
    create table keyed_by_generated (a int, b int, c int generated always as (a * 1000 + b) stored primary key, v float8);""",
    expected=("23505",),
)
async def generated_and_volatile(db):
    await db.run("insert into drawn default values")
    await db.run("insert into drawn (note) select 'some words ' || g from generate_series(1, 3) g returning id, luck, twice")
    await db.run("update drawn set luck = random(), note = note || '!' where id = (select id from drawn order by luck limit 1 for update skip locked)")
    await db.run("insert into drawn (id, luck) values ($1, default)", uuid.UUID(int=db.dice.getrandbits(128)))
    await db.run("insert into keyed_by_generated (a, b, v) values ($1, $2, random())", db.dice.randrange(100), db.dice.randrange(100))
    await db.run("update keyed_by_generated set b = b + 1000000, v = random() where c = (select max(c) from keyed_by_generated where b < 1000)")
