-- The tables of the programs, with keys and without, and a value of every common type.
create type mood as enum ('sad', 'ok', 'happy');
create type pair as (one int, other text);
create domain positive as int check (value > 0);
create table keyed (id serial primary key, name text unique, n int check (n < 1000), big text, parent int references keyed);
create table keyless (name text, n int);
create table made (id int generated always as identity primary key, n int, twice int generated always as (n * 2) stored, at date default '2026-01-02');
create table parted (id int primary key, name text) partition by range (id);
create table parted_low partition of parted for values from (0) to (100);
create table parted_high partition of parted for values from (100) to (1000);
create table typed (
    id int primary key, bool bool, int2 int2, int4 int4, int8 int8, float4 float4, float8 float8, numeric numeric, text text,
    varchar varchar(20), char char(5), bytea bytea, date date, time time, timetz timetz, timestamp timestamp,
    timestamptz timestamptz, interval interval, uuid uuid, json json, jsonb jsonb, inet inet, cidr cidr, macaddr macaddr,
    varbit varbit, int4range int4range, ints int[], texts text[], nested int[][], xml xml, money money, point point, mood mood,
    pair pair, positive positive, oid oid, tsvector tsvector
);
-- Of types that both sides know by the same number, and not written any more: its reads may go to the shadow.
create table settled (
    id int primary key, label text, n int, bool bool, int8 int8, float8 float8, numeric numeric, bytea bytea, at timestamptz,
    day date, span interval, uuid uuid, json jsonb, ints int[], texts text[]
);
insert into settled select
    g, 'label ' || g, nullif(g % 7, 0), g % 2 = 0, g * 10000000000, g / 8.0, g * 1.10, decode(lpad(to_hex(g), 4, '0'), 'hex'),
    timestamptz '2026-01-02 03:04:05+00' + g * interval '1 hour', date '2026-01-02' + g, g * interval '1 day 1 minute',
    lpad(g::text, 32, '0')::uuid, jsonb_build_object('n', g), array[g, null, g + 1], array['a' || g, null, '"']
    from generate_series(1, 500) g;
create function typed_values() returns typed language sql as $$ select (
    1, true, -2, 2147483647, -9223372036854775808, 1.5, 'NaN', 123456789.123456789, 'ü € 😀 '' " \', 'varchar', 'char', '\x00ff5c',
    '2026-01-02', '03:04:05.678901', '03:04:05+02', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678901+00',
    '1 year 2 mons 3 days 04:05:06.7', '00000000-0000-0000-0000-000000000007', '{"k": [1, null]}', '{"k": [1, null]}', '10.1.2.3/24',
    '10.1.0.0/16', '08:00:2b:01:02:03', B'10101', '[1,10)', '{1,NULL,3}', '{a,NULL,"b,c","\"",""}', '{{1,2},{3,4}}', '<a>b</a>', '12.34',
    '(1,2)', 'happy', '(1,"two, three")', 5, 4294967295, 'a:1 b:2')::typed $$;
