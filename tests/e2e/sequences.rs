//! Sequences of the shadow are ahead of the primary's, so that it can take over.

use crate::support::{Pair, eventually, psql};

#[tokio::test(flavor = "multi_thread")]
async fn the_shadow_draws_no_number_that_the_primary_drew() {
    let schema = "create table orders (id serial primary key, no int generated always as identity);
        create sequence down increment by -5; create sequence small as smallint minvalue 1; create sequence unused;
        create table left_out (id serial primary key); create function draw() returns bigint language sql as
        $$ select nextval('down') $$;";
    let pair = Pair::recipe().schema(schema).settings("[mirror]\nexclude = [\"public.left_out\"]\n").start().await;
    let draws = "insert into orders select from generate_series(1, 3000); insert into left_out default values;
        select draw() from generate_series(1, 40); select setval('small', 32000);
        begin; insert into orders default values; rollback";
    psql(&pair.url(), draws).await.must_succeed();
    let positions = "select max(last_value) from (select last_value from orders_id_seq union all
        select last_value from orders_no_seq) s; select last_value from down; select last_value from small";
    eventually("they follow", async || {
        let found = psql(&pair.shadow_url(), positions).await.must_succeed();
        let numbers: Vec<i64> = found.lines().filter_map(|line| line.parse().ok()).collect();
        matches!(numbers[..], [orders, down, 32_000] if orders > 3001 && down < -200)
    })
    .await;
    let took_over = "insert into orders default values returning id > 3001 and no > 3001; select nextval('unused');
        insert into left_out default values returning id";
    assert_eq!(psql(&pair.shadow_url(), took_over).await.must_succeed(), "t\n1\n1\n");
}
