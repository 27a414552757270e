"""What a transaction is made of: messages, savepoints, cursors, settings, two phases, deferred constraints."""

import psycopg

from items import item
from sessions import Extended, Simple

LEDGER = "create table {0} (id bigserial primary key, v text, luck float8 default random());"


@item(LEDGER.format("scripted") + "create table once (id int primary key);")
async def multi_statement_queries(db):
    add = "insert into scripted (v) values "
    await db.script(f"{add} ('a'); {add} ('b'), ('c'); update scripted set luck = random() where v = 'a' and luck < 0.5")
    await db.script(f"{add} ('before'); begin; {add} ('within'); commit; {add} ('behind')")
    await db.script(f"begin; {add} ('undone'); rollback; {add} ('kept')")
    await db.script(f"{add} ('by commit'); commit; {add} ('behind commit')")
    for script in (
        f"{add} ('undone'); select 1 / 0; {add} ('never')",
        f"{add} ('kept by commit'); commit; {add} ('undone'); select 1 / 0",
        f"begin; {add} ('undone'); commit; begin; {add} ('undone'); insert into once values (1), (1); commit",
    ):
        await db.fails(db.script(script))
        await db.clean()
    await db.script(f";; {add} ('-- no comment; /* none */') -- a comment;\n; /* one; /* nested */ ; */ {add} ($$a;b$$);")


@item(LEDGER.format("piped") + "create table piped_once (id int primary key, v text);")
async def pipelines(db):
    n = db.dice.randrange(10**8)
    add = "insert into piped (v) values ($1)"
    if not isinstance(db, Extended) or isinstance(db, Simple):
        await db.many(add, [(f"many {n}",) for n in range(10)])
        await db.fails(db.many("insert into piped_once values ($1, 'twice')", [(n,), (n + 1,), (n,), (n + 2,)]))
        return
    cursor = psycopg.AsyncRawCursor(db.connection)
    try:
        async with db.connection.pipeline() as pipeline:
            for word in ("a", "b"):
                await cursor.execute(add, (word,))
            await pipeline.sync()
            await cursor.execute(add, ("undone",))
            await cursor.execute("insert into piped_once values ($1), ($1)", (n,))
            await cursor.execute(add, ("skipped",))
            await pipeline.sync()
            await cursor.execute(add, ("kept",))
    except psycopg.Error:
        await db.clean()
    async with db.connection.pipeline():
        await cursor.execute("begin")
        await cursor.execute(add, ("within",))
        await cursor.execute("update piped set luck = random() where id = (select max(id) from piped)")
        await cursor.execute("commit")
        await cursor.execute(add, ("behind",))


@item(LEDGER.format("saved") + "create table saved_once (id int primary key); insert into saved_once values (1);")
async def savepoints(db):
    """A walk of its own through them each time."""
    await db.run("begin")
    names = []
    for _ in range(db.dice.randrange(3, 15)):
        match db.dice.randrange(6):
            case 0 | 1:
                await db.run("insert into saved (v) values ($1)", "/".join(names))
            case 2:
                names.append(db.dice.choice("abc"))
                await db.run(f"savepoint {names[-1]}")
            case 3 if names:
                at = len(names) - 1 - names[::-1].index(db.dice.choice(names))
                await db.run(f"rollback to {names[at]}")
                del names[at + 1 :]
            case 4 if names:
                at = len(names) - 1 - names[::-1].index(db.dice.choice(names))
                await db.run(f"release savepoint {names[at]}")
                del names[at:]
            case 5 if names:
                await db.fails(db.run("insert into saved_once values (1)"))
                await db.run(f"rollback to savepoint {names[-1]}")
    await db.run(db.dice.choice(["commit", "commit", "end work", "rollback"]))


@item(LEDGER.format("chained"))
async def chains(db):
    await db.run("begin isolation level repeatable read")
    await db.run("insert into chained (v) values ('first')")
    await db.run("commit and chain")
    await db.run("insert into chained (v) values ('undone')")
    await db.run("rollback and chain")
    await db.run("insert into chained (v) values ('third')")
    await db.run("commit and chain")
    await db.run("insert into chained (v) values ('undone')")
    await db.fails(db.run("select 1 / 0"))
    await db.run("commit and chain")
    await db.run("insert into chained (v) values ('fifth')")
    await db.run("commit and no chain")


@item("create table walked (id int primary key, v float8, n int default 0); insert into walked select g, 0 from generate_series(1, 30) g;")
async def cursors(db):
    async with db.transaction():
        await db.run("declare c cursor for select * from walked where id >= $1 order by id for update".replace("$1", str(db.dice.randrange(1, 25))))
        await db.run("fetch 2 from c")
        await db.run("update walked set v = random(), n = n + 1 where current of c")
        await db.run("move c")
        await db.run("fetch c")
        await db.run("delete from walked where current of c")
        await db.run("close c")
    await db.run("insert into walked select g, 1 from generate_series(1, 30) g on conflict do nothing")
    async with db.transaction():
        await db.run("declare held cursor with hold for select id from walked")
        await db.run("update walked set v = random() where id = $1", db.dice.randrange(1, 31))
    await db.run("fetch all from held")
    await db.run("close held")


@item(
    LEDGER.format("styled")
    + """create schema other; create table other.styled (id bigserial primary key, v text, luck float8 default random());
    create table styled_types (id bigserial primary key, at timestamptz, i interval, f float8, b bytea, x xml, t text, m money);
    create table replica (id bigserial primary key, v text);
    create function never() returns trigger language plpgsql as $$ begin raise exception 'fired'; end $$;
    create trigger never before insert on replica for each row execute function never();""",
    expected=("22P05",),
)
async def settings_within_a_transaction(db):
    fill = "insert into styled_types (at, i, f, b, x, t, m) values (clock_timestamp(), '-1 day 2:03', random() / 3, '\\x00ff', '<a/>', $1, 1234.5)"
    change = "update styled_types set at = clock_timestamp(), f = random() / 3 where id = (select max(id) from styled_types)"
    for setting in (
        "datestyle = 'German'", "datestyle = 'SQL, DMY'", "intervalstyle = 'sql_standard'", "timezone = 'Asia/Kathmandu'",
        "extra_float_digits = 0", "extra_float_digits = -5", "bytea_output = 'escape'", "xmloption = 'document'",
        "lc_monetary = 'C'", "quote_all_identifiers = on",
    ):
        async with db.transaction():
            await db.run(f"set local {setting}")
            await db.run(fill, "ünï")
            await db.run(change)
    async with db.transaction():
        await db.run("set local search_path = other, public")
        await db.run("insert into styled (v) values ('other')")
        await db.run("set local search_path = public")
        await db.run("insert into styled (v) values ('public')")
        await db.run("savepoint a")
        await db.run("select set_config('search_path', 'other', true)")
        await db.run("insert into styled (v) values ('other')")
        await db.run("rollback to a")
        await db.run("insert into styled (v) values ('public again')")
    async with db.transaction():
        await db.run("set local session_replication_role = replica")
        await db.run("insert into replica (v) values ('no trigger')")
    await db.fails(db.run("insert into replica (v) values ('trigger')"))


@item(
    "create table encoded (id bigserial primary key, v text, w text);"
)
async def client_encodings(db):
    for encoding in ("latin1", "sjis", "gbk", "big5", "euc_jp", "win1252", "sql_ascii"):
        async with db.transaction():
            await db.script(f"set local client_encoding = '{encoding}'")
            await db.script("insert into encoded (v) values ('plain'), (chr(233))" if encoding == "latin1" else "insert into encoded (v) values ('plain')")
            await db.script("update encoded set w = 'x' || id where id = (select max(id) from encoded)")
        await db.script("select 1")


@item("create table quoted (id bigserial primary key, v text, w text default 'w');")
async def strings_with_backslashes(db):
    async with db.transaction():
        await db.script("set local standard_conforming_strings = off; set local escape_string_warning = off; set local backslash_quote = on")
        await db.script(r"insert into quoted (v) values ('it\'s; -- not the end') ")
        await db.script(r"update quoted set w = 'a\\' where v like 'it%' and id = (select max(id) from quoted)")
        await db.script(r"insert into quoted (v) values ('\'); delete from quoted; --')")
    await db.script(r"insert into quoted (v) values ('back\'), (E'it\'s'), (U&'d\0061t\+000061')")


@item(
    """create table deferred (id int primary key, place int unique deferrable initially deferred, v float8);
    insert into deferred select g, g, 0 from generate_series(1, 10) g;
    create table deferred_parent (id int primary key);
    create table deferred_child (id bigserial primary key, parent int references deferred_parent deferrable initially deferred, v float8 default random());
    create table deferrable_key (id int, v float8, primary key (id) deferrable);""",
    expected=("23505",),
)
async def deferred_constraints(db):
    a, b = db.dice.sample(range(1, 11), 2)
    async with db.transaction():
        await db.run("select 1 from deferred order by id for update")
        ((x,),) = await db.run("select place from deferred where id = $1", a)
        ((y,),) = await db.run("select place from deferred where id = $1", b)
        await db.run("update deferred set place = $2, v = random() where id = $1", a, y)
        await db.run("update deferred set place = $2, v = random() where id = $1", b, x)
    parent = db.dice.randrange(10**8)
    async with db.transaction():
        await db.run("insert into deferred_child (parent) values ($1)", parent)
        await db.run("insert into deferred_parent values ($1)", parent)
    async with db.transaction():
        await db.run("set constraints all deferred")
        await db.run("insert into deferrable_key values ($1, random())", db.dice.randrange(10**8))
        await db.run("update deferrable_key set id = id + 1, v = random() where id > (select max(id) / 2 from deferrable_key)")
    await db.run("begin")
    await db.run("insert into deferred_child (parent) values (-1)")
    await db.run("insert into deferred_parent values ($1)", parent + 1)
    await db.fails(db.run("commit"))
