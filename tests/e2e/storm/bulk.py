"""Many rows by one message: COPY in every form, TRUNCATE, statements over whole tables."""

from items import item


def rows(db):
    return [(db.dice.randrange(10**9), db.dice.choice([None, "", "a\tb", 'q"', "back\\slash", "ünï"])) for _ in range(20)]


def text(value):
    if value is None:
        return "\\N"
    return str(value).replace("\\", "\\\\").replace("\t", "\\t")


def csv(value):
    return "" if value is None else '"%s"' % str(value).replace('"', '""')


COPIED = "create table {0} (id int primary key, v text, n bigserial, at timestamptz default clock_timestamp());"


@item(COPIED.format("copied_text") + "create table copied_without_key (v text, w float8 default random());", expected=("23505",))
async def copy_in_text(db):
    lines = ["\t".join(map(text, row)) + "\n" for row in rows(db)]
    await db.copy("copied_text", ["id", "v"], "".join(lines).encode())
    await db.copy("copied_text", None, f"{db.dice.randrange(10**9)}\tall\t{db.dice.randrange(99)}\tinfinity\n".encode())
    await db.copy("copied_without_key", ["v"], "".join(text(row[1]) + "\n" for row in rows(db)).encode())
    await db.run("update copied_text set v = 'changed' where id in (select max(id) from copied_text)")


@item(COPIED.format("copied_csv"), expected=("23505",))
async def copy_in_csv(db):
    lines = [",".join(map(csv, reversed(row))) + "\n" for row in rows(db)]
    await db.copy("copied_csv", ["v", "id"], "".join(lines).encode(), "csv")


@item(COPIED.format("copied_binary"), expected=("23505",))
async def copy_in_binary(db):
    await db.copy_binary("copied_binary", ["id", "v"], ["int4", "text"], rows(db))


@item(COPIED.format("copied_badly"), expected=("23505",))
async def copies_that_fail_half_way(db):
    lines = [f"{row[0]}\tnever seen\n" for row in rows(db)]
    lines.insert(db.dice.randrange(20), "not a number\toops\n")
    await db.run("insert into copied_badly (id, v) values ($1, 'kept')", db.dice.randrange(10**9))
    await db.fails(db.copy("copied_badly", ["id", "v"], "".join(lines).encode()))


@item("create table frozen (id int primary key, v text);")
async def copy_with_freeze(db):
    """Possible only in the transaction that made or emptied the table."""
    async with db.transaction():
        await db.script("truncate frozen")
        await db.copy("frozen", None, "".join(f"{n}\t{db.number}\n" for n in range(50)).encode(), freeze=True)


@item("create table many (id int primary key, n int default 0, v float8);")
async def statements_over_many_rows(db):
    await db.run("insert into many select g from generate_series($1::int, $1 + 1999) g on conflict do nothing", db.dice.randrange(5) * 1000)
    await db.run("update many set n = n + 1, v = random() where id % 5 = $1", db.number % 5)
    await db.run("delete from many where id % 100 = $1", db.dice.randrange(100))
