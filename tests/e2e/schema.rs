//! What the sides are made of stands first in the report, and no verdict hangs on it.

use crossfade::report::{SchemaKind, Verdict};

use crate::support::{Pair, eventually, psql};

const BOTH: &str = "
create role reader; create role owner;
create table same (id int primary key, v text default 'd', check (id > 0)); create index on same (v);
create table other (id int primary key, v text, n int); create sequence numbers; grant select on same to reader;
";
/// Nothing in which the rows could differ. The sequence cannot follow: it ends too soon.
const SHADOW: &str = "
alter table other add check (id > 0); create index lonely on other (n); alter table other alter n set default 7;
alter table other owner to owner; grant insert, select on other to reader; alter sequence numbers increment 5 maxvalue 500;
create extension hstore; alter table same alter v type text collate \"C\";
";

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_differ_are_told_by_kind_and_make_no_table_diverged() {
    let pair = Pair::start(BOTH).await;
    let told = async || -> Vec<(SchemaKind, String)> {
        let schema = pair.report().await.schema.unwrap_or_default();
        schema.into_iter().map(|difference| (difference.kind, difference.object)).collect()
    };
    eventually("both sides' definitions", async || pair.report().await.schema.is_some()).await;
    let major = async |url: String| psql(&url, "select current_setting('server_version_num')::int / 10000").await;
    let same_major = major(pair.primary_url()).await == major(pair.shadow_url()).await;
    if same_major {
        assert_eq!(told().await, []);
    }

    psql(&pair.shadow_url(), SHADOW).await.must_succeed();
    psql(&pair.primary_url(), "select nextval('numbers'); create table gone (id int primary key)").await.must_succeed();
    let expected = [
        (SchemaKind::Table, "public.gone"),
        (SchemaKind::Column, "public.other.n"),
        (SchemaKind::Column, "public.same.v"),
        (SchemaKind::Constraint, "public.other.other_id_check"),
        (SchemaKind::Index, "public.lonely"),
        (SchemaKind::Sequence, "public.numbers"),
        (SchemaKind::SequencePosition, "public.numbers"),
        (SchemaKind::Extension, "hstore"),
        (SchemaKind::Owner, "public.other"),
        (SchemaKind::Grants, "public.other"),
    ];
    let expected = expected.map(|(kind, object)| (kind, object.to_owned()));
    eventually("the differences", async || told().await.iter().filter(|told| expected.contains(told)).count() == 10)
        .await;
    if same_major {
        assert_eq!(told().await, expected);
    }
    let report = pair.report().await;
    let column = report.schema.iter().flatten().find(|difference| difference.object == "public.same.v").unwrap();
    assert_eq!(column.primary.as_deref(), Some("text default 'd'::text"));
    assert_eq!(column.shadow.as_deref(), Some("text collate C default 'd'::text"));

    psql(&pair.primary_url(), "drop table gone").await.must_succeed();
    eventually("the table's end", async || pair.report().await.tables.len() == 2).await;
    pair.work("check").await;
    assert_eq!(pair.report().await.verdict, Verdict::Consistent, "{:?}", pair.report().await.tables);
}
