"""Writes whose statement does not tell which tables: functions, views, rules, two phases, statements prepared by SQL."""

from items import item

LEDGER = "create table {0} (id bigserial primary key, v text, luck float8 default random());"


@item(
    """create table by_function (id bigserial primary key, v float8, who text);
    create function write_some(n int) returns int language sql as $$ insert into by_function (v, who) select random(), 'sql' from generate_series(1, n); select n $$;
    create function write_and_fail(n int) returns int language plpgsql as $$ begin
        insert into by_function (v, who) values (random(), 'plpgsql');
        begin insert into by_function (v, who) values (random(), 'undone'); raise exception 'inner'; exception when others then null; end;
        if n = 0 then raise exception 'outer'; end if; return n; end $$;
    create procedure commit_inside(n int) language plpgsql as $$ begin
        for i in 1..n loop insert into by_function (v, who) values (random(), 'procedure'); if i % 2 = 0 then commit; else rollback; end if; end loop; end $$;
    create function sets_path() returns void language plpgsql as $$ begin perform set_config('search_path', 'elsewhere, public', true); end $$;
    create schema elsewhere; create table elsewhere.found_by_path (id bigserial primary key, v text); create table found_by_path (id bigserial primary key, v text);
    create table calls (id int primary key, v int);
    create view calling as select write_some(1) as n;""",
    )
async def functions_procedures_and_do(db):
    await db.run("select write_some(3)")
    await db.run("select * from calling")
    await db.run("insert into calls values ($1, write_some(1)) on conflict (id) do update set v = calls.v + write_some(1)", db.dice.randrange(9))
    await db.run("update calls set v = write_and_fail(1) where id = $1", db.dice.randrange(9))
    await db.run("call commit_inside(4)")
    await db.script("do $$ begin insert into by_function (v, who) values (random(), 'do'); delete from by_function where v < 0.1 and who = 'sql'; end $$")
    async with db.transaction():
        await db.run("select sets_path()")
        await db.run("insert into found_by_path (v) values ('by path')")
    await db.run("insert into found_by_path (v) values ('public')")
    await db.run("explain analyze insert into by_function (v) values (random())")
    await db.fails(db.run("select write_and_fail(0)"))


@item(
    """create table behind (id int primary key, v text, n int default 0);
    create view plain_view as select id, v from behind where id < 50 with check option;
    create view view_of_view as select * from plain_view where v <> '';
    create view instead as select id, v || '!' as shout from behind;
    create function instead() returns trigger language plpgsql as $$ begin
        if tg_op = 'DELETE' then delete from behind where id = old.id; return old; end if;
        insert into behind values (new.id, new.shout) on conflict (id) do update set v = excluded.v; return new; end $$;
    create trigger instead instead of insert or update or delete on instead for each row execute function instead();
    create table ruled (id int primary key, v text);
    create table ruled_log (id int, v text, at timestamptz default clock_timestamp());
    create rule also as on insert to ruled do also insert into ruled_log values (new.id, new.v);
    create rule never as on delete to ruled do instead nothing;
    create rule other as on update to ruled where new.v = 'other' do instead update behind set n = n + 1 where id = old.id;
    create materialized view summary as select count(*) from behind;""",
    expected=("23505",),
)
async def views_and_rules(db):
    n = db.dice.randrange(40)
    await db.run("insert into plain_view values ($1, 'v') on conflict (id) do update set v = excluded.v", n)
    await db.run("update view_of_view set v = v || '.' where id = $1", n)
    await db.run("delete from plain_view where id = $1", db.dice.randrange(40))
    await db.run("insert into instead values ($1, 'shouted') returning shout", n)
    await db.run("update instead set shout = 'again' where id = $1", n)
    await db.run("delete from instead where id = $1", db.dice.randrange(40))
    await db.run("insert into ruled values ($1, 'a')", db.dice.randrange(10**8))
    await db.run("update ruled set v = $1 where id = (select min(id) from ruled)", db.dice.choice(["other", "b"]))
    await db.run("delete from ruled")


@item(LEDGER.format("two_phased") + "create table in_doubt (gid text primary key);", expected=("42704", "55000"))
async def two_phases(db):
    gid = f"storm {db.number} {db.dice.getrandbits(60)}"
    await db.run("begin")
    await db.run("insert into two_phased (v) values ($1)", gid)
    await db.run("update two_phased set luck = random() where id = (select max(id) - 5 from two_phased)")
    await db.run(f"prepare transaction '{gid}'")
    await db.run("insert into in_doubt values ($1)", gid)
    # Whoever comes first ends it, in whatever session.
    for (other,) in await db.run("delete from in_doubt where gid in (select gid from in_doubt for update skip locked limit 1) returning gid"):
        await db.run(f"{db.dice.choice(['commit', 'commit', 'rollback'])} prepared '{other}'")


@item(LEDGER.format("prepared") + "insert into prepared (v, luck) select 'old', 0 from generate_series(1, 10);", expected=("26000",))
async def sql_prepare(db):
    """psycopg forgets them all when it thinks that its own have to go."""
    await db.script("prepare add (text) as insert into prepared (v) values ($1) returning id")
    await db.script("prepare change (bigint) as update prepared set luck = random(), v = v || '.' where id = $1")
    await db.script("execute add ('by execute')")
    await db.run("execute change (3)")
    async with db.transaction():
        await db.run("execute add ('within')")
        await db.run("savepoint a")
        await db.run("execute change (4)")
        await db.run("rollback to a")
    await db.script("deallocate add; deallocate change")
    await db.script("create temp table executed as select 1; drop table executed")


@item(
    """create table attribute_log (id bigserial primary key, v text);
    create table pair_of (id int primary key, name text);
    create function get_name(p pair_of) returns text language sql volatile as
        $$ insert into attribute_log (v) values (p.name); select p.name $$;
    create table attributed (id bigserial primary key, v text);
    insert into pair_of values (1, 'one'), (2, 'two');"""
)
async def attribute_notation(db):
    """`t.f` calls the function `f` with the row of `t`."""
    await db.run("select p.get_name from pair_of p where p.id = $1", db.dice.randrange(1, 3))
    await db.run("insert into attributed (v) select (p).get_name from pair_of p")
    await db.run("update attributed set v = p.get_name from pair_of p where p.id = 1 and attributed.id = (select max(id) from attributed)")


@item(
    """create table emptied (id bigserial primary key, v float8);
    create table emptied_parent (id bigint generated always as identity primary key);
    create table emptied_child (id bigserial primary key, parent bigint references emptied_parent);"""
)
async def truncates(db):
    await db.run("insert into emptied (v) select random() from generate_series(1, 5)")
    match db.dice.randrange(5):
        case 0:
            await db.run("truncate emptied")
        case 1:
            await db.run("truncate table only emptied restart identity")
        case 2:
            await db.run("truncate emptied_parent restart identity cascade")
        case 3:
            async with db.transaction():
                await db.run("insert into emptied (v) values (1)")
                await db.run("truncate emptied")
                await db.run("insert into emptied (v) values (2)")
        case 4:
            await db.script("begin; truncate emptied, emptied_child; rollback")
    async with db.transaction():
        ((parent,),) = await db.run("insert into emptied_parent default values returning id")
        await db.run("insert into emptied_child (parent) values ($1)", parent)
