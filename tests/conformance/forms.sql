-- Writes in every form that the capturing rewrite meets, on tables that are known by then.
create table forms (id int primary key, v text not null default 'd', n numeric(6,2), check (n < 1000));
create table forms_serial (id serial primary key, at date default '2026-01-02', forms int references forms);
create table forms_parted (id int primary key, v text) partition by range (id);
create table forms_low partition of forms_parted for values from (0) to (10);
create table forms_high partition of forms_parted for values from (10) to (20);
create table "Forms ""odd""" ("Id" int primary key, "forms" text);
create view forms_view as select id, v from forms;
\! sleep ${SETTLE:-0}
insert into forms values (1, 'one', 1.5);
INSERT INTO forms (id, v) VALUES (2, 'two'), (3, 'three') RETURNING *;
insert into forms values (4, default, null) returning id, v as value, n is null as "null";
insert into forms values (5, 'five') -- a comment behind
;
insert into forms values (6, 'six') /* another */ returning forms;
insert into forms select g, 'g' || g from generate_series(10, 14) g;
insert into forms as f values (7, 'seven') returning f.id;
insert into forms values (7, 'again') on conflict do nothing;
insert into forms values (7, 'again') on conflict (id) do update set v = excluded.v || forms.v returning *;
with s as (select 20 as id) insert into forms select id, 'with' from s;
update forms set v = upper(v) where id = 1;
update forms f set v = s.v from (values (2, 'from')) s(id, v) where f.id = s.id returning f.*, s.v;
update only forms set (v, n) = (select 'sub', 9.99) where id = 3;
update forms set v = 'none' where id = -1 returning id;
update forms set id = id + 100 where id = 20 returning id;
delete from forms where id = 14;
delete from forms as f using (values (13)) s(id) where f.id = s.id returning f.id, f.v;
delete from forms where false;
-- errors, with their positions
insert into forms values (1, 'duplicate');
insert into forms values (30, null);
insert into forms values (31, 'x', 5000);
insert into forms values (32, 'x', 123456.7);
insert into forms values ('a', 'x');
insert into forms (id, nothing) values (33, 'x');
insert into forms values (34, 'x', 1, 2);
insert into forms values (35, nothing);
insert into nothing values (1);
update forms set nothing = 1;
update forms set v = 1 / 0 where id = 1;
update forms set v = 'x' where nothing = 1 returning id;
update forms set v = 'x' returning nothing;
delete from forms where nothing('ü') = 1;
delete from forms f where forms.id = 1;
insert into forms values (36, 'ü') returning 'ü', nothing;
insert into forms_serial (forms) values (999);
delete from forms where id in (select id from forms_serial) returning 1 / 0;
insert into forms values (37, 'x' returning id;
insert into forms_parted values (99, 'nowhere');
-- several in one
insert into forms values (40, 'a') \; insert into forms values (41, 'b') \; select count(*) from forms where id in (40, 41);
insert into forms values (42, 'a') \; insert into forms values (42, 'b');
insert into forms values (43, 'a') \; select nothing;
begin \; insert into forms values (44, 'a') returning id \; commit;
-- transactions
begin;
insert into forms values (50, 'kept');
savepoint a;
insert into forms values (50, 'twice');
rollback to a;
update forms set v = 'later' where id = 50 returning v;
commit;
begin;
delete from forms where id = 50;
update forms set nothing = 1;
delete from forms where id = 1;
rollback;
-- prepared, cursors, EXPLAIN, COPY
prepare p (int, text) as insert into forms values ($1, $2) returning id;
execute p (60, 'prepared');
execute p (60, 'prepared');
explain (costs off) insert into forms values (61, 'explained');
explain (costs off) update forms set v = 'x' where id = 1 returning id;
explain (analyze, costs off, timing off, summary off) delete from forms where id = 60;
begin;
declare c cursor for select id from forms where id < 4 order by id for update;
fetch c;
update forms set v = 'current' where current of c returning id;
commit;
copy forms (id, v) from stdin;
70	copied
\.
copy forms (id, v) from stdin;
70	copied
\.
copy (update forms set v = 'told' where id = 70 returning id, v) to stdout;
-- other relations
insert into forms_serial (forms) values (1), (2) returning *;
update forms_serial set at = at + 1 returning at, id;
insert into forms_parted values (1, 'low'), (11, 'high') returning tableoid::regclass, *;
update forms_parted set v = v || '!' returning tableoid::regclass, v;
delete from forms_low where id = 1;
insert into "Forms ""odd""" values (1, 'x') returning *;
update "Forms ""odd""" set "forms" = 'y' where "Id" = 1;
delete from public."Forms ""odd""" as "forms" where "forms"."Id" = 1 returning "forms";
insert into forms_view values (80, 'view') returning *;
update forms_view set v = 'by view' where id = 80;
-- printed in other ways
set datestyle = 'German';
insert into forms_serial (forms) values (3) returning at;
reset datestyle;
\gdesc
insert into forms values (90, 'described') returning id, v \gdesc
insert into forms values (90, 'described') \gdesc
insert into forms values (91, 'set') returning v as var \gset
\echo :var :ROW_COUNT
update forms set v = 'counted' where id in (90, 91);
\echo :ROW_COUNT :SQLSTATE
\set FETCH_COUNT 2
update forms set v = v || '.' where id < 8 returning id;
\set FETCH_COUNT 0
select * from forms order by id;
select * from forms_serial order by id;
