"""Tables that do more than hold rows: triggers, foreign keys, partitions, inheritance, views, rules, policies, functions."""

from items import item


@item(
    """create table stamped (id int primary key, v text, n int default 0, at timestamptz);
    create function stamp() returns trigger language plpgsql as $$ begin
        if new.v = 'dropped' then return null; end if;
        new.n := new.n + (random() * 1000)::int; new.at := clock_timestamp(); return new; end $$;
    create trigger stamp before insert or update on stamped for each row execute function stamp();
    create table rekeyed (id int primary key, v text);
    create function rekey() returns trigger language plpgsql as $$ begin new.id := new.id + 1000; return new; end $$;
    create trigger rekey before insert on rekeyed for each row execute function rekey();""",
    expected=("23505",),
)
async def before_triggers(db):
    n = db.dice.randrange(20)
    await db.run("insert into stamped (id, v) values ($1, 'a') on conflict (id) do update set v = excluded.v", n)
    await db.run("insert into stamped (id, v) values ($1, 'dropped')", n + 100)
    await db.run("update stamped set v = $2 where id = $1", n, db.dice.choice(["b", "dropped"]))
    await db.run("delete from stamped where id = $1", db.dice.randrange(20))
    await db.run("insert into rekeyed values ($1, 'a')", db.dice.randrange(10**8))


@item(
    """create table watched (id int primary key, v text, touched int default 0);
    create table audit (id bigserial primary key, what text, at timestamptz default clock_timestamp());
    create table totals (op text primary key, n bigint);
    create function note() returns trigger language plpgsql as $$ begin
        insert into audit (what) values (tg_op || coalesce(new.id, old.id));
        if tg_op = 'INSERT' then update watched set touched = touched + 1 where id = new.id; end if;
        return null; end $$;
    create function count_them() returns trigger language plpgsql as $$ begin
        insert into totals values (tg_op, 1) on conflict (op) do update set n = totals.n + 1; return null; end $$;
    create trigger note after insert or delete or update of v on watched for each row execute function note();
    create trigger count_them after insert or delete or update on watched for each statement execute function count_them();"""
)
async def after_triggers(db):
    n = db.dice.randrange(20)
    await db.run("insert into watched values ($1, 'a') on conflict (id) do update set v = watched.v || '.'", n)
    await db.run("update watched set v = 'c' where id = $1", db.dice.randrange(20))
    await db.run("delete from watched where id = $1", db.dice.randrange(20))


@item(
    """create table parents (id int primary key, code text unique, v int default 0);
    create table cascaded (id bigserial primary key, parent int references parents on delete cascade on update cascade, v float8);
    create table grandchildren (id bigserial primary key, child bigint references cascaded on delete cascade);
    create table nulled (id bigserial primary key, parent int references parents on delete set null on update set null);
    create table defaulted (id bigserial primary key, parent int default 0 references parents on delete set default on update set default);
    create table by_code (id bigserial primary key, code text references parents (code) on update cascade on delete set null);
    create table restricted (id bigserial primary key, parent int references parents on delete restrict on update no action);
    insert into parents values (0, 'zero');
    create table tree (id int primary key, up int references tree on delete cascade on update cascade);""",
    expected=("23503", "23505"),
)
async def foreign_keys(db):
    n = db.dice.randrange(1, 12)
    await db.run("insert into parents values ($1, $2) on conflict do nothing", n, f"code {n}")
    match db.dice.randrange(6):
        case 0:
            await db.run("with c as (insert into cascaded (parent, v) values ($1, random()) returning id) insert into grandchildren (child) select id from c", n)
            await db.run("insert into nulled (parent) values ($1), (null)", n)
        case 1:
            await db.run("insert into defaulted (parent) values ($1), (default)", n)
            await db.run("insert into by_code (code) values ($1)", f"code {n}")
            await db.run("insert into restricted (parent) values ($1)", n)
        case 2:
            await db.run("delete from restricted where parent = $1", n)
            await db.run("delete from parents where id = $1", n)
        case 3:
            await db.run("update parents set id = $2, code = code || '!' where id = $1", n, db.dice.randrange(12, 30))
        case 4:
            await db.run("update parents set code = code || '?', v = v + 1 where id = $1", n)
            await db.run("delete from parents where id > 11")
        case 5:
            await db.run("insert into tree select g, nullif(g - 1, 0) from generate_series(1, 5) g on conflict do nothing")
            await db.run("delete from tree where id = $1", db.dice.randrange(1, 6))
            await db.run("update tree set id = id + 10 where id = $1", db.dice.randrange(1, 6))


@item(
    """create table measured (id int, region text, v float8, primary key (id, region)) partition by list (region);
    create table measured_eu partition of measured for values in ('eu');
    create table measured_us partition of measured for values in ('us') partition by range (id);
    create table measured_us_low partition of measured_us for values from (minvalue) to (50);
    create table measured_us_high (v float8, region text not null, id int not null, primary key (id, region));
    alter table measured_us attach partition measured_us_high for values from (50) to (maxvalue);
    create table measured_rest partition of measured default;
    create table hashed (id uuid primary key default gen_random_uuid(), v float8) partition by hash (id);
    create table hashed_0 partition of hashed for values with (modulus 2, remainder 0);
    create table hashed_1 partition of hashed for values with (modulus 2, remainder 1);
    create table ranged (at date, v float8, note text) partition by range (at);
    create table ranged_old partition of ranged for values from (minvalue) to ('2026-01-01');
    create table ranged_new partition of ranged for values from ('2026-01-01') to (maxvalue);
    create table by_status (id int, status text, v float8) partition by list (status);
    create table by_status_open (id int primary key, status text, v float8);
    alter table by_status attach partition by_status_open for values in ('open');
    create table by_status_closed partition of by_status for values in ('closed');""",
    expected=("23505",),
)
async def partitions(db):
    n, region = db.dice.randrange(100), db.dice.choice(["eu", "us", "moon"])
    await db.run("insert into measured values ($1, $2, random()) on conflict (id, region) do update set v = random()", n, region)
    await db.run("update measured set region = $2 where id = $1 and region <> $2", n, region)
    await db.run("update measured set id = 99 - id where id = $1", n)
    await db.run("insert into measured_us_high (id, region, v) values ($1, 'us', random()) on conflict do nothing", 50 + n % 50)
    await db.run("update measured_us set v = random() where id = $1", n)
    await db.run("delete from measured_eu where id = $1", n)
    await db.run("insert into hashed (v) values (random())")
    await db.run("update hashed set v = random() where id = (select id from hashed order by v limit 1)")
    await db.run("insert into ranged values ($1::text::date, random(), 'n')", db.dice.choice(["2025-06-01", "2026-06-01", "infinity"]))
    await db.run("update ranged set at = '2025-01-01' where at = '2026-06-01' and v < $1", db.dice.random() / 10)
    await db.run("insert into by_status values ($1, 'open', random())", db.dice.randrange(10**8))
    await db.run("update by_status set status = 'closed' where id in (select id from by_status where status = 'open' limit 1)")


@item(
    """create table animals (id int primary key, name text);
    create table dogs (tricks text[], primary key (id)) inherits (animals);
    create table cats (lives int default 9) inherits (animals);"""
)
async def inheritance(db):
    n = db.dice.randrange(20)
    await db.run("insert into animals values ($1, 'animal') on conflict (id) do update set name = animals.name || '.'", n)
    await db.run("insert into dogs values ($1, 'dog', '{sit}') on conflict (id) do update set tricks = dogs.tricks || '{roll}'", n)
    await db.run("insert into cats values ($1, 'cat')", n)
    await db.run("update animals set name = 'any' where id = $1", db.dice.randrange(20))
    await db.run("update only animals set name = 'only' where id = $1", db.dice.randrange(20))
    await db.run("delete from animals where id = $1", db.dice.randrange(20))
    await db.run("delete from cats where lives > 8 and id = $1", n)


@item(
    """create role storm_user;
    create table guarded (id int primary key, owner text, v float8);
    alter table guarded enable row level security;
    create policy own on guarded to storm_user using (owner = 'storm') with check (owner = 'storm');
    create table part_hidden (id int primary key, shown text, hidden text default 'secret');
    create table write_only (id int primary key, v text);
    create table its_own (id int primary key, v float8);
    grant select, insert, update, delete on guarded, its_own to storm_user;
    grant insert, select (id, shown), update (shown), delete on part_hidden to storm_user;
    grant insert on write_only to storm_user;""",
    expected=("23505",),
)
async def row_security_and_hidden_columns(db):
    n = db.dice.randrange(40)
    await db.run("insert into guarded values ($1, $2, random()) on conflict (id) do update set owner = excluded.owner", n, db.dice.choice(["storm", "else"]))
    async with db.transaction():
        await db.run("set local role storm_user")
        await db.run("update guarded set v = random()")
        await db.run("delete from guarded where id = $1", db.dice.randrange(40))
        await db.run("insert into part_hidden (id, shown) values ($1, 'a')", db.dice.randrange(10**8))
        await db.run("update part_hidden set shown = shown || 'b' where id in (select max(id) from part_hidden)")
        await db.run("delete from part_hidden where id in (select min(id) from part_hidden)")
        await db.run("insert into write_only values ($1, 'w')", db.dice.randrange(10**8))
        await db.run("insert into its_own values ($1, random()) on conflict (id) do update set v = random()", n)
    await db.run("begin")
    await db.run("set local role storm_user")
    await db.fails(db.run("insert into guarded values ($1, 'not storm', 1)", n))


@item(
    """create unlogged table unlogged (id int primary key, v float8);
    create table covered (id int primary key, v text); create table not_covered (id int primary key, v text);"""
)
async def unlogged_and_temporary(db):
    n = db.dice.randrange(30)
    await db.run("insert into unlogged values ($1, random()) on conflict (id) do update set v = random()", n)
    await db.run("insert into covered values ($1, 'real') on conflict (id) do update set v = covered.v || '.'", n)
    await db.script("create temp table covered (id int primary key, v text)")
    await db.run("insert into covered values ($1, 'temporary')", n)
    await db.run("update covered set v = 'hidden' where id = $1", n)
    await db.run("insert into public.covered values ($1, 'real') on conflict (id) do update set v = 'below'", n + 1)
    await db.run("delete from covered")
    await db.script("drop table covered")
    await db.run("update covered set v = v || '!' where id = $1", n)
    await db.script("do $$ begin create temp table not_covered (id int, v text) on commit drop; insert into not_covered values (1, 'temporary'); end $$")
    await db.run("insert into not_covered values ($1, 'real') on conflict (id) do update set v = not_covered.v || '.'", n)
    await db.script("create temp table made as select 1 as id; insert into made values (2); drop table made")
