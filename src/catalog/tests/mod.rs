//! The catalog against real servers.

mod chunks;
mod code;
mod following;
mod pairs;
mod roles;
mod tables;

use std::sync::Arc;

use tokio_postgres::{Client, NoTls};

use super::{Catalog, LoadOptions, Patterns, Resolved, Table, load};
use crate::demo::{Cluster, Options, Role};

fn cluster() -> Cluster {
    Cluster::start(&Options::for_test(Role::Primary)).unwrap()
}

/// A connection with the settings that matter here, as `server::connect` pins them.
async fn client(cluster: &Cluster, database: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(&cluster.url(database), NoTls).await.unwrap();
    tokio::spawn(connection);
    let pins = "SET search_path = pg_catalog; SET jit = off; SET extra_float_digits = 3; SET bytea_output = hex";
    client.batch_execute(pins).await.unwrap();
    client
}

/// A new cluster, and a connection to its database `postgres`.
async fn server() -> (Cluster, Client) {
    let cluster = cluster();
    let client = client(&cluster, "postgres").await;
    (cluster, client)
}

/// Runs it as an application would, with `public` on the path.
async fn run(client: &Client, sql: &str) {
    let sql = format!("SET search_path = public; {sql}; SET search_path = pg_catalog");
    client.batch_execute(&sql).await.unwrap();
}

fn everything() -> LoadOptions {
    LoadOptions { include: Patterns::new(&["*".to_owned()]), ..LoadOptions::default() }
}

async fn catalog(client: &Client) -> Catalog {
    load(client, &everything(), 1).await.unwrap()
}

impl Catalog {
    fn table(&self, name: &str) -> Arc<Table> {
        match self.resolve(Some("public"), name, &[]) {
            Resolved::Table(table) => table,
            other => panic!("{name} is {other:?}"),
        }
    }
}
