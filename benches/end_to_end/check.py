"""A round of the checker over a quiet table of 200 bytes a row, by the CPU that it costs the primary, beside what a script
would do: md5 of all rows in order, and all rows fetched to be compared."""

from load import spread
from stage import contenders, run, work

COLUMNS = "id bigint PRIMARY KEY, account int, amount numeric(12,2), at timestamptz, note text, more {type}"
ROWS = """INSERT INTO {table} SELECT i, i % 1000, i / 100.0, '2026-01-01'::timestamptz + i * interval '1 second',
repeat(md5(i::text), 4), {more} FROM generate_series(1, {rows}) i"""
# A document has no hash of its own: it goes by its text.
TABLES = {"typed": ("text", "md5(i::text)"), "texted": ("json", "json_build_object('number', i, 'odd', i % 2 = 1)")}


def check(root, primary, shadow, options):
    for server in (primary, shadow):
        for table, (kind, more) in TABLES.items():
            query(server.port, f"CREATE TABLE {table} ({COLUMNS.format(type=kind)})")
            query(server.port, ROWS.format(table=table, more=more, rows=options.rows))
        query(server.port, "CREATE TABLE texts AS SELECT id, account::float8, amount::float8, to_json(note) AS note, to_json(more) AS more FROM typed")
        query(server.port, "ALTER TABLE texts ADD PRIMARY KEY (id)")
        query(server.port, "VACUUM ANALYZE")
    ways = {
        "crossfade, hashed by type": lambda admin: work(admin, "check", "public.typed"),
        "crossfade, one column as text": lambda admin: work(admin, "check", "public.texted"),
        "crossfade, all but the key as text": lambda admin: work(admin, "check", "public.texts"),
        "md5(string_agg(…))": lambda _: query(primary.port, "SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM typed t"),
        "all rows fetched": lambda _: query(primary.port, "COPY typed TO STDOUT"),
        "count(*)": lambda _: query(primary.port, "SELECT count(*) FROM typed"),
    }
    runs = {way: [] for way in ways}
    with contenders(root, primary, shadow, ["crossfade"]) as (_, admin):
        for turn in range(options.rounds):
            for name in list(ways)[:: 1 if turn % 2 else -1]:
                before = primary.cpu_seconds()
                ways[name](admin)
                runs[name].append(options.rows / (primary.cpu_seconds() - before))
    bytes_each = int(query(primary.port, "SELECT sum(octet_length(t::text)) / count(*) FROM typed t"))
    print(f"\n### Checking {options.rows:,} rows of {bytes_each} bytes, {options.rounds} rounds\n")
    print("| way | rows per CPU-second of the primary |\n|---|---|")
    for name, rates in runs.items():
        print(f"| {name} | {spread(rates)} |", flush=True)


def query(port, sql):
    return run(["psql", "-X", "-q", "-At", "-h", "127.0.0.1", "-U", "postgres", "-d", "postgres", "-c", sql, "-p", str(port)])
