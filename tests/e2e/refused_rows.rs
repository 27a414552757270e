//! Rows read back that stand in each other's way on the shadow, and such that it will not take.

use crate::support::{Pair, psql, same_rows};

const STILL: &str = "[check]\ninterval = \"0s\"\n";

/// Every new version has the key of an old one, which is in another share of the table.
#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_keys_have_other_texts_are_read_back_share_by_share() {
    let schema = "create table parted (id int, at timestamptz, v text, primary key (id, at));
        insert into parted select g, '2026-01-01'::timestamptz + g * interval '1 minute', 'v' from generate_series(1, 50000) g;";
    let pair = Pair::recipe().schema(schema).settings(STILL).start().await;
    psql(&pair.url(), "update parted set v = 'w' where id <= 300").await.must_succeed();
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "parted").await, 50_000);
}

/// A shadow that was made from an older copy: all have moved, beyond the range that is read at once.
#[tokio::test(flavor = "multi_thread")]
async fn places_that_rows_of_other_ranges_hold_are_taken_in_turn() {
    let schema = "create table places (id int primary key, place int unique);
        insert into places select g, g from generate_series(1, 6000) g;";
    let pair = Pair::recipe().schema(schema).settings(STILL).start().await;
    let older = "begin; alter table places drop constraint places_place_key;
        update places set place = 1 + (id + 2500) % 6000; alter table places add unique (place); commit";
    psql(&pair.shadow_url(), older).await.must_succeed();
    pair.work("backfill").await;
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "places").await, 6000);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_exclude_each_other_are_swapped_in_one_transaction() {
    let schema = "create table bookings (id int primary key, during int4range, exclude using gist (during with &&));
        insert into bookings values (1, '[1,5)'), (2, '[5,9)');";
    let pair = Pair::recipe().schema(schema).settings(STILL).start().await;
    let swap = "begin; update bookings set during = '[100,105)' where id = 1; update bookings set during = '[1,5)' where id = 2;
        update bookings set during = '[5,9)' where id = 1; commit";
    psql(&pair.url(), swap).await.must_succeed();
    let status = pair.wait_settled().await;
    assert_eq!(status.mirror.quarantined, 0);
    assert_eq!(same_rows(&pair, "bookings").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_whose_rows_the_shadow_refuses_does_not_say_that_it_is_done() {
    let schema = "create table bounded (id int primary key, v int); insert into bounded values (1, 1), (2, -2)";
    let pair = Pair::recipe().schema(schema).settings(STILL).start().await;
    let stricter = "delete from bounded; alter table bounded add check (v > 0)";
    psql(&pair.shadow_url(), stricter).await.must_succeed();
    let why = pair.admin().work("backfill").await.unwrap_err().to_string();
    assert!(why.contains("public.bounded") && why.contains("refused"), "{why}");
    psql(&pair.shadow_url(), "alter table bounded drop constraint bounded_v_check").await.must_succeed();
    pair.wait_settled().await;
    assert_eq!(same_rows(&pair, "bounded").await, 2);
}

/// What was marked by itself is not read back with `check.repair = "off"`; what somebody asks for is.
#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_reads_back_what_is_suspect_already_though_nothing_is_by_itself() {
    let schema = "create table copied (id int primary key); create table other (id int primary key)";
    let settings = "[check]\ninterval = \"0s\"\nrepair = \"off\"\n";
    let pair = Pair::recipe().schema(schema).settings(settings).start().await;
    psql(&pair.url(), "copy copied from stdin;\n1\n2\n\\.\n").await.must_succeed();
    pair.work("backfill").await;
    assert_eq!(same_rows(&pair, "copied").await, 2);
}
