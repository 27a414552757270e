//! What the tests of this room share: a small catalog, requests and sessions made by hand, servers and answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::Notify;

use super::pool::{Lease, Pool};
use super::route::Route;
use super::statements::Text;
use crate::catalog::{Canonical, Catalog, ColumnFacts, Extent, KeyKind, Leads, Resolved, Table, Volatility};
use crate::config::{Live, Settings};
use crate::demo::{Cluster, Options, Role};
use crate::effect::{Column, Shape, TableId};
use crate::server::{self, Client, Purpose};
use crate::session::{Described, Extended, Lot, Profile, ReadReply, ReadRequest};
use crate::sql::{Kind, Name, Read, Script, Statement};
use crate::wire::TransactionStatus;

pub(super) const ORDERS: TableId = TableId(20_001);
pub(super) const ITEMS: TableId = TableId(20_002);

/// `public.orders`, `shop.items`, views on them, and relations that are not mirrored.
pub(super) fn catalog() -> Catalog {
    let mut catalog = Catalog { generation: 1, ..Catalog::default() };
    let tables = [table(ORDERS, "public", "orders", &["id", "v"]), table(ITEMS, "shop", "items", &["id"])];
    for table in tables {
        insert(&mut catalog, table);
    }
    // Reachable without its schema, too.
    let items = Resolved::Table(Arc::clone(&catalog.tables[&ITEMS]));
    name(&mut catalog, "public", "items", items);
    name(&mut catalog, "public", "open_orders", Resolved::View(Some(vec![ITEMS, ORDERS])));
    name(&mut catalog, "public", "odd_orders", Resolved::View(None));
    name(&mut catalog, "public", "excluded", Resolved::Unmirrored(Arc::default()));
    name(&mut catalog, "pg_catalog", "pg_class", Resolved::Unmirrored(Arc::default()));
    catalog.functions.insert("lower".to_owned(), vec![("pg_catalog".to_owned(), Volatility::Safe)]);
    catalog
}

/// One more table.
pub(super) fn insert(catalog: &mut Catalog, table: Arc<Table>) {
    let shape = &table.shape;
    catalog.roots.insert(shape.table.0, shape.table);
    name(catalog, &shape.schema, &shape.name, Resolved::Table(Arc::clone(&table)));
    catalog.tables.insert(shape.table, table);
}

/// Puts `table` in the place of the one of its name.
pub(super) fn replace(catalog: &mut Catalog, table: Table) {
    let table = Arc::new(table);
    let named = catalog.names.get_mut(&table.shape.name).unwrap();
    named.retain(|(schema, _)| *schema != table.shape.schema);
    named.push((table.shape.schema.clone(), Resolved::Table(Arc::clone(&table))));
    catalog.tables.insert(table.shape.table, table);
}

fn name(catalog: &mut Catalog, schema: &str, name: &str, resolved: Resolved) {
    catalog.names.entry(name.to_owned()).or_default().push((schema.to_owned(), resolved));
}

pub(super) fn table(id: TableId, schema: &str, name: &str, columns: &[&str]) -> Arc<Table> {
    let column =
        |name: &&str| Column { name: (*name).to_owned(), type_name: "pg_catalog.int4".to_owned(), generated: false };
    let facts = |number| ColumnFacts {
        number,
        canonical: Canonical::Native { sample: 1 },
        kind: KeyKind::Plain,
        extent: Extent::Bounded,
        order: String::new(),
        definition: "integer".to_owned(),
    };
    let shape = Shape {
        table: id,
        schema: schema.to_owned(),
        name: name.to_owned(),
        columns: columns.iter().map(column).collect(),
        key: vec![0],
    };
    Arc::new(Table {
        shape: Arc::new(shape),
        columns: (1..).map(facts).take(columns.len()).collect(),
        key_kind: KeyKind::Plain,
        unique_keys: Vec::new(),
        exact: Ok(()),
        leads: Leads::NOWHERE,
        entangled: false,
        text_sample: Arc::default(),
        rows_estimate: 0,
        partitioned: false,
        descendants: Vec::new(),
        strays: false,
    })
}

/// The facts of a read of these tables, `schema.name` or `name`.
pub(super) fn read(tables: &[&str]) -> Read {
    let name = |table: &&str| match table.split_once('.') {
        Some((schema, name)) => Name { schema: Some(schema.to_owned()), name: name.to_owned() },
        None => Name { schema: None, name: (*table).to_owned() },
    };
    Read { tables: tables.iter().map(name).collect(), ..Read::default() }
}

/// A simple Query by `postgres`.
pub(super) fn request(sql: &str, kind: Kind) -> ReadRequest {
    ReadRequest {
        sql: Bytes::copy_from_slice(sql.as_bytes()),
        script: Arc::new(Script { statements: vec![Statement { span: 0..sql.len(), kind: Arc::new(kind) }] }),
        profile: Some(profile("postgres", &[])),
        own_writes: None,
        extended: None,
        cancelled: Arc::new(Notify::new()),
        status: TransactionStatus::Idle,
        settings: None,
        lot: Lot { place: Some(0.0), compared: false },
    }
}

/// A session's role and settings, those that every profile has included.
pub(super) fn profile(role: &str, settings: &[(&str, &str)]) -> Arc<Profile> {
    let every = [("client_encoding", "UTF8"), ("datestyle", "ISO, MDY"), ("timezone", "UTC")];
    let settings = every.iter().chain(settings).map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Arc::new(Profile { role: role.to_owned(), settings })
}

/// The same as an extended read, every message asked for, without parameters.
pub(super) fn extended(sql: &str, parameter_types: &[u32], bind: &[u8]) -> ReadRequest {
    let extended = Extended {
        parameter_types: parameter_types.to_vec(),
        parse: true,
        describe_statement: true,
        bind: Bytes::copy_from_slice(bind),
        described: Described::Portal,
        limit: 0,
    };
    ReadRequest { extended: Some(extended), ..request(sql, Kind::Read(Read::default())) }
}

/// The rest of a Bind with one parameter, all in text.
pub(super) fn text_parameter(value: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 1][..], &(value.len() as u32).to_be_bytes(), value, &[0, 0]].concat()
}

/// A server in which `sql` was run in database `postgres`.
pub(super) async fn cluster(sql: &str) -> (Cluster, Client) {
    let cluster = Cluster::start(&Options::for_test(Role::Shadow)).unwrap();
    let client = server::connect(&cluster.url("postgres").parse().unwrap(), Purpose::Catalog).await.unwrap();
    client.batch_execute("SET search_path TO public").await.unwrap();
    client.batch_execute(sql).await.unwrap();
    (cluster, client)
}

/// Settings with this cluster on both sides.
pub(super) fn settings(cluster: &Cluster) -> Settings {
    let url = serde_json::json!({ "url": cluster.url("postgres") });
    serde_json::from_value(serde_json::json!({ "primary": url, "shadow": url })).unwrap()
}

pub(super) fn pool(cluster: &Cluster) -> (Arc<Pool>, Arc<Live>) {
    let live = Live::new(settings(cluster));
    (Pool::new(cluster.url("postgres").parse().unwrap(), Arc::clone(&live)), live)
}

/// With one connection, over which every read goes.
pub(super) fn pool_of_one(cluster: &Cluster) -> Arc<Pool> {
    let (pool, live) = pool(cluster);
    let mut one = settings(cluster);
    one.reads.pool_size = 1;
    live.swap(one);
    pool
}

/// Wherever it leads.
pub(super) fn route(request: &ReadRequest) -> Route {
    let parameter_types =
        request.extended.as_ref().map(|extended| extended.parameter_types.clone()).unwrap_or_default();
    let profile = request.profile.clone().unwrap();
    let text = Arc::new(Text { sql: request.sql.clone(), parameter_types, profile });
    Route { text, tables: Arc::default(), twins: Arc::default(), fingerprint: 0 }
}

/// Asks the pool until it has a connection.
pub(super) async fn lease(pool: &Arc<Pool>) -> Lease {
    eventually(|| pool.take(&Arc::default())).await
}

/// Asks until there is an answer.
pub(super) async fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), asking).await.expect("an answer within a minute")
}

/// All that a client gets, message by message.
pub(super) async fn received(reply: &mut dyn ReadReply) -> Vec<(char, Bytes)> {
    let mut bytes = Vec::new();
    while let Some(more) = reply.next().await {
        bytes.extend_from_slice(&more.unwrap());
    }
    let mut rest = Bytes::from(bytes);
    let mut messages = Vec::new();
    while rest.has_remaining() {
        let tag = char::from(rest.get_u8());
        let length = rest.get_u32() as usize - 4;
        messages.push((tag, rest.split_to(length)));
    }
    messages
}

/// The types of messages, in order.
pub(super) fn tags(messages: &[(char, Bytes)]) -> String {
    messages.iter().map(|(tag, _)| tag).collect()
}

/// The values of all rows, as text.
pub(super) fn rows(messages: &[(char, Bytes)]) -> Vec<String> {
    let mut values = Vec::new();
    for (_, body) in messages.iter().filter(|(tag, _)| *tag == 'D') {
        let mut body = body.clone();
        for _ in 0..body.get_u16() {
            let length = body.get_u32() as usize;
            values.push(String::from_utf8_lossy(&body.split_to(length)).into_owned());
        }
    }
    values
}
