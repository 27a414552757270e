//! What is written beside the rows that a statement names: by triggers, foreign keys, inheritance, types, and also where
//! the statement's own table is not mirrored.

use crossfade::report::Way;
use tokio_postgres::Client;

use crate::support::{Pair, connect, psql, same_rows};

const SCHEMA: &str = "
create table log (id serial primary key, what text, at timestamptz default clock_timestamp());
create function note() returns trigger language plpgsql as
    $$ begin insert into log (what) values (tg_table_name || ' ' || tg_op); return null; end $$;
create function noted(v text) returns text language plpgsql as
    $$ begin insert into log (what) values ('by a type: ' || v); return v; end $$;
create type tone as (pitch int);
create function noted_cast(v int) returns tone language plpgsql as
    $$ begin insert into log (what) values (format('by a cast: %s', v)); return row(v); end $$;

create table tree (id int primary key, up int references tree on delete cascade);
insert into tree select g, nullif(g / 2, 0) from generate_series(1, 15) g;
create table chain (id int primary key, up int references chain on delete set null);
insert into chain select g, nullif(g - 1, 0) from generate_series(1, 9) g;

create table left_out (id int primary key, v text);
create trigger noted after insert or update or delete on left_out for each row execute function note();
create table left_out_parent (id int primary key, code text unique, v text);
create table child (id int primary key, parent int references left_out_parent on delete cascade,
    code text references left_out_parent (code) on update cascade);
insert into left_out_parent select g, 'c' || g, 'v' from generate_series(1, 9) g;
insert into child select g, g, 'c' || g from generate_series(1, 9) g;
create table left_out_elder (id int primary key, v text);
create table heir () inherits (left_out_elder);
alter table heir add primary key (id);
insert into heir select g, 'v' from generate_series(1, 9) g;

create table emptied (id int primary key);
create trigger noted after truncate on emptied for each statement execute function note();
create table elder (id int primary key, v text);
create table watched_heir () inherits (elder);
alter table watched_heir add primary key (id);
create trigger noted after update on watched_heir for each row execute function note();
insert into watched_heir values (1, 'v');

create domain given as text default noted('default');
create table by_default (id int primary key, v given);
create cast (int as tone) with function noted_cast(int) as assignment;
create table by_cast (id int primary key, v tone);
";

const TABLES: [&str; 8] = ["log", "tree", "chain", "child", "heir", "watched_heir", "by_default", "by_cast"];

async fn rows(side: &Client, table: &str) -> Vec<String> {
    let rows = side.query(&format!("select t::text from only {table} t order by 1"), &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// One statement after the other, each looked at by itself: what is marked for one must not heal what another lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_beside_the_statements_own_rows_arrives() {
    let settings = "[mirror]\nexclude = [\"public.left_out*\"]\n[check]\ninterval = \"0s\"\n";
    let pair = Pair::recipe().schema(SCHEMA).settings(settings).start().await;
    let (primary, shadow) = (connect(&pair.primary_url()).await, connect(&pair.shadow_url()).await);
    let mut lost = Vec::new();
    for statement in [
        "delete from tree where id = 2",
        "delete from chain where id = 4",
        "insert into left_out values (1, 'a')",
        "update left_out set v = 'b' where id = 1",
        "copy left_out from stdin;\n2\tc\n\\.\n",
        "with gone as (delete from left_out where id = 2 returning *) select * from gone",
        "delete from left_out_parent where id = 3",
        "update left_out_parent set code = 'new' where id = 4",
        "insert into left_out_parent values (5, 'c5', 'w') on conflict (id) do update set code = 'newer'",
        "update left_out_elder set v = 'w' where id = 2",
        "delete from left_out_elder where id = 3",
        "truncate emptied",
        "update elder set v = 'w'",
        "insert into by_default values (1)",
        "insert into by_cast values (1, 7)",
        "create temp table passing (id int);
         create trigger noted after insert on passing for each row execute function note();
         insert into passing values (1)",
    ] {
        psql(&pair.url(), statement).await.must_succeed();
        pair.wait_settled().await;
        for table in TABLES {
            if rows(&primary, table).await != rows(&shadow, table).await {
                lost.push(format!("{table}, by: {statement}"));
                pair.work("check").await;
                pair.work("repair").await;
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

/// A table of any size is not read from end to end for a few rows of it.
#[tokio::test(flavor = "multi_thread")]
async fn rule_16_rows_that_refer_to_a_deleted_one_are_looked_for_and_no_others() {
    let schema = "create table parents (a int, b text, primary key (b, a));
        create table cut (id int primary key, a bigint, b varchar, foreign key (a, b) references parents (a, b) on delete set null);
        create table gone (b text, a int, n int, primary key (b, a, n), foreign key (b, a) references parents on delete cascade);
        insert into parents select g, 'it''s ' || g from generate_series(1, 20) g;
        insert into cut select g, 1 + g % 20, 'it''s ' || 1 + g % 20 from generate_series(1, 2000) g;
        insert into gone select 'it''s ' || 1 + g % 20, 1 + g % 20, g from generate_series(1, 2000) g;";
    let left = Pair::recipe().schema(schema).settings("[check]\ninterval = \"0s\"\nrepair = \"off\"\n").start().await;
    let delete = "delete from parents where a in (3, 4)";
    psql(&left.url(), delete).await.must_succeed();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let mirror = left.status().await.mirror;
        if (mirror.pending, mirror.suspect_keys, mirror.suspect_tables.len()) == (0, 4, 0) && mirror.captured > 0 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{mirror:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    left.work("check").await;
    let report = left.report().await;
    assert!(report.tables.iter().all(|table| (table.missing, table.extra, table.different) == (0, 0, 0)), "{report:?}");
    drop(left);
    let pair = Pair::recipe().schema(schema).settings("[check]\ninterval = \"0s\"\n").start().await;
    psql(&pair.url(), delete).await.must_succeed();
    psql(&pair.url(), "update cut set a = 5, b = 'it''s 5' where id % 3 = 0; delete from cut where id % 7 = 0")
        .await
        .must_succeed();
    psql(&pair.url(), "insert into parents values (3, 'it''s 3'); insert into gone values ('it''s 3', 3, 1)")
        .await
        .must_succeed();
    psql(&pair.url(), "delete from parents where a > 15").await.must_succeed();
    pair.wait_settled().await;
    for table in ["parents", "cut", "gone"] {
        assert!(same_rows(&pair, table).await > 0, "{table} is empty");
    }
}

/// An audit and a counter: the tables that have such triggers stay exact, those that the triggers write are compared.
#[tokio::test(flavor = "multi_thread")]
async fn rule_10_tables_whose_triggers_write_others_by_name_are_captured_exactly() {
    let schema =
        "create table audit (id bigserial primary key, what text, row jsonb, at timestamptz default clock_timestamp());
        create table posts (id int primary key, comments int default 0);
        create table comments (id bigserial primary key, post int references posts on delete cascade, body text);
        create function audit() returns trigger language plpgsql as $$ begin
            if tg_op = 'DELETE' then
                insert into audit (what, row) values (tg_op, to_jsonb(old));
                return old;
            end if;
            insert into audit (what, row) select tg_op, to_jsonb(new);
            perform pg_notify('comments', new.id::text);
            return new;
        end $$;
        create function counted() returns trigger language plpgsql as $$ begin
            if tg_op = 'INSERT' then
                update posts set comments = comments + 1 where id = new.post;
            else
                update posts set comments = comments - 1 where id = old.post;
            end if;
            return null;
        end $$;
        create trigger audited after insert or update or delete on comments for each row execute function audit();
        create trigger counted after insert or delete on comments for each row execute function counted();
        insert into posts select g from generate_series(1, 10) g;";
    let pair = Pair::recipe().schema(schema).settings("[check]\ninterval = \"0s\"\n").start().await;
    let mut clients = Vec::new();
    for n in 0..4 {
        let url = pair.url();
        clients.push(tokio::spawn(async move {
            let client = connect(&url).await;
            for turn in 0..60 {
                let (post, old) = (1 + (turn * 7 + n) % 10, turn * 3 + n);
                client
                    .execute("insert into comments (post, body) values ($1, $2)", &[&post, &format!("by {n}")])
                    .await
                    .unwrap();
                client
                    .execute("update comments set body = body || '.' where id = $1", &[&i64::from(old)])
                    .await
                    .unwrap();
                client
                    .execute("delete from comments where id = $1 and post > 3", &[&i64::from(old + 1)])
                    .await
                    .unwrap();
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    psql(&pair.url(), "delete from posts where id = 5").await.must_succeed();
    pair.wait_settled().await;
    for table in ["posts", "comments", "audit"] {
        assert!(same_rows(&pair, table).await > 0, "{table} is empty");
    }
    let handled = pair.report().await.mirror.handled;
    let of_comments = handled.iter().filter(|one| one.table.as_deref() == Some("public.comments"));
    let ways: Vec<_> = of_comments.map(|one| (one.way, one.reason.as_deref())).collect();
    assert_eq!(ways, [(Way::Exact, None), (Way::Refreshed, Some("cascade"))]);
}
