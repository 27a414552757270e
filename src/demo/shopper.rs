//! One client of the shop: what it does in a turn, by both protocols, and what it checks of what it wrote itself.

use rand::RngExt as _;
use rand::rngs::SmallRng;
use thiserror::Error;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Statement};

use super::stage::connect;

/// Customers and orders below these are never written by a shopper: planted faults stay as they were planted.
const FIRST_CUSTOMER: i32 = 101;
const LAST_CUSTOMER: i32 = 500;
const PRODUCTS: i32 = 40;
/// Products that everybody looks at.
const HOT_PRODUCTS: i32 = 4;

/// What went wrong in a turn.
#[derive(Debug, Error)]
pub(super) enum Trouble {
    /// The server, or the proxy, said no where a plain connection would not.
    #[error("{}", told(.0))]
    Failed(#[from] tokio_postgres::Error),
    /// A read did not see what the same session had written before it.
    #[error("a session did not see its own write: {0}")]
    Stale(&'static str),
    /// A statement that must fail did not.
    #[error("a duplicate was accepted")]
    DuplicateAccepted,
    /// The machinery of the demo.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Trouble {
    /// Two clients met; any PostgreSQL client must be ready for it.
    pub(super) fn is_conflict(&self) -> bool {
        let code = match self {
            Self::Failed(error) => error.code(),
            _ => None,
        };
        code.is_some_and(|code| [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code))
    }

    /// The connection is gone.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_closed())
    }
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Turn {
    /// SELECTs outside a transaction.
    pub(super) reads: u64,
    /// Committed transactions that wrote.
    pub(super) writes: u64,
    /// Transactions rolled back on purpose, and statements that had to fail.
    pub(super) undone: u64,
}

impl Turn {
    const READ: Self = Self { reads: 1, writes: 0, undone: 0 };
    const UNDONE: Self = Self { reads: 0, writes: 0, undone: 1 };
    const WRITE_AND_READ: Self = Self { reads: 1, writes: 1, undone: 0 };
    const UNDONE_AND_READ: Self = Self { reads: 1, writes: 0, undone: 1 };
}

pub(super) struct Shopper {
    client: Client,
    rng: SmallRng,
    statements: Statements,
    /// Orders it placed and did not cancel.
    orders: Vec<i64>,
}

struct Statements {
    product: Statement,
    orders: Statement,
    order_status: Statement,
    place_order: Statement,
    add_item: Statement,
    take_stock: Statement,
    look: Statement,
    views: Statement,
    fill_cart: Statement,
    cart: Statement,
    register: Statement,
    customer: Statement,
}

impl Statements {
    async fn prepare(client: &Client) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            product: client.prepare("select name, price::text, stock from products where id = $1").await?,
            orders: client.prepare("select count(*), max(placed)::text from orders where customer_id = $1").await?,
            order_status: client.prepare("select status, reference::text from orders where id = $1").await?,
            place_order: client
                .prepare("insert into orders (customer_id) values ($1) returning id, reference::text")
                .await?,
            add_item: client
                .prepare(
                    "insert into order_items (order_id, line, product_id, quantity, price) \
                     select $1, $2::int, id, $3::int, price from products where id = $4",
                )
                .await?,
            take_stock: client.prepare("update products set stock = stock - $1, updated = now() where id = $2").await?,
            look: client
                .prepare("update products set views = views + 1, updated = now() where id = $1 returning views")
                .await?,
            views: client.prepare("select views from products where id = $1").await?,
            fill_cart: client
                .prepare(
                    "insert into carts (customer_id, product_id, quantity) values ($1, $2, $3) on conflict \
                     (customer_id, product_id) do update set quantity = excluded.quantity, changed = now()",
                )
                .await?,
            cart: client.prepare("select quantity from carts where customer_id = $1 and product_id = $2").await?,
            register: client
                .prepare("insert into customers (email, name) values ($1, $2) returning id, token::text")
                .await?,
            customer: client.prepare("select token::text from customers where id = $1").await?,
        })
    }
}

impl Shopper {
    pub(super) async fn connect(url: &str) -> Result<Self, Trouble> {
        let client = connect(url).await?;
        let statements = Statements::prepare(&client).await?;
        Ok(Self { client, rng: rand::make_rng(), statements, orders: Vec::new() })
    }

    /// Does one thing that clients of a shop do.
    pub(super) async fn turn(&mut self) -> Result<Turn, Trouble> {
        match self.rng.random_range(0..100) {
            0..60 => self.browse().await,
            60..70 => self.order().await,
            70..80 => self.look_at_a_hot_product().await,
            80..88 => self.fill_cart().await,
            88..92 => self.register().await,
            92..96 => self.cancel().await,
            _ => self.register_twice().await,
        }
    }

    async fn browse(&mut self) -> Result<Turn, Trouble> {
        let (product, customer) = (self.any_product(), self.any_customer());
        match self.rng.random_range(0..3) {
            0 => {
                let sql = format!("select id, name, price from products where id between {product} and {product} + 5");
                self.client.simple_query(&sql).await?;
            }
            1 => drop(self.client.query(&self.statements.product, &[&product]).await?),
            _ => drop(self.client.query(&self.statements.orders, &[&customer]).await?),
        }
        Ok(Turn::READ)
    }

    /// An order with its items, some of them thought better of, in part or in whole.
    async fn order(&mut self) -> Result<Turn, Trouble> {
        let (customer, first, dice) = (self.any_customer(), self.any_product(), self.rng.random_range(0..100));
        let quantity: i32 = self.rng.random_range(1..5);
        let statements = &self.statements;
        let mut transaction = self.client.transaction().await?;
        let row = transaction.query_one(&statements.place_order, &[&customer]).await?;
        let (id, reference): (i64, String) = (row.get(0), row.get(1));
        // Rising product numbers: two orders never wait for each other in a circle.
        for (line, product) in [(1, first), (2, first + 1)] {
            transaction.execute(&statements.add_item, &[&id, &line, &quantity, &product]).await?;
            transaction.execute(&statements.take_stock, &[&quantity, &product]).await?;
        }
        if dice < 40 {
            let savepoint = transaction.savepoint("second_thoughts").await?;
            let again = savepoint.execute(&statements.add_item, &[&id, &1, &quantity, &first]).await;
            must_be_duplicate(again)?;
            savepoint.rollback().await?;
        }
        if dice % 5 == 0 {
            transaction.rollback().await?;
            let found = self.client.query_opt(&statements.order_status, &[&id]).await?;
            return if found.is_none() {
                Ok(Turn::UNDONE_AND_READ)
            } else {
                Err(Trouble::Stale("a rolled back order"))
            };
        }
        transaction.commit().await?;
        let found = self.client.query_opt(&statements.order_status, &[&id]).await?;
        if found.map(|row| row.get::<_, String>(1)) != Some(reference) {
            return Err(Trouble::Stale("a placed order"));
        }
        self.orders.push(id);
        Ok(Turn::WRITE_AND_READ)
    }

    /// Everybody writes the same few rows, outside any transaction.
    async fn look_at_a_hot_product(&mut self) -> Result<Turn, Trouble> {
        let product = self.rng.random_range(1..=HOT_PRODUCTS);
        let mine: i64 = self.client.query_one(&self.statements.look, &[&product]).await?.get(0);
        let seen: i64 = self.client.query_one(&self.statements.views, &[&product]).await?.get(0);
        if seen < mine { Err(Trouble::Stale("a product's views")) } else { Ok(Turn::WRITE_AND_READ) }
    }

    async fn fill_cart(&mut self) -> Result<Turn, Trouble> {
        let (customer, product) = (self.any_customer(), self.any_product());
        let quantity: i32 = self.rng.random_range(1..1000);
        self.client.execute(&self.statements.fill_cart, &[&customer, &product, &quantity]).await?;
        // Another shopper may have filled the same cart meanwhile: only a missing one is wrong.
        let found = self.client.query_opt(&self.statements.cart, &[&customer, &product]).await?;
        if found.is_none() { Err(Trouble::Stale("a cart")) } else { Ok(Turn::WRITE_AND_READ) }
    }

    async fn register(&mut self) -> Result<Turn, Trouble> {
        let email = format!("new{:016x}@example.com", self.rng.random::<u64>());
        let row = self.client.query_one(&self.statements.register, &[&email, &"A new customer"]).await?;
        let (id, token): (i32, String) = (row.get(0), row.get(1));
        let found = self.client.query_opt(&self.statements.customer, &[&id]).await?;
        if found.map(|row| row.get(0)) == Some(token) {
            Ok(Turn::WRITE_AND_READ)
        } else {
            Err(Trouble::Stale("a customer"))
        }
    }

    async fn cancel(&mut self) -> Result<Turn, Trouble> {
        let Some(id) = self.orders.pop() else { return self.browse().await };
        let transaction = self.client.transaction().await?;
        transaction.execute("delete from order_items where order_id = $1", &[&id]).await?;
        transaction.execute("delete from orders where id = $1", &[&id]).await?;
        transaction.commit().await?;
        let found = self.client.query_opt(&self.statements.order_status, &[&id]).await?;
        if found.is_none() { Ok(Turn::WRITE_AND_READ) } else { Err(Trouble::Stale("a cancelled order")) }
    }

    /// A statement of its own that must fail, and leave nothing.
    async fn register_twice(&mut self) -> Result<Turn, Trouble> {
        let email = format!("customer{}@example.com", self.any_customer());
        must_be_duplicate(self.client.execute(&self.statements.register, &[&email, &"Nobody"]).await)?;
        Ok(Turn::UNDONE)
    }

    fn any_customer(&mut self) -> i32 {
        self.rng.random_range(FIRST_CUSTOMER..=LAST_CUSTOMER)
    }

    /// Never the last: its neighbour may be ordered with it.
    fn any_product(&mut self) -> i32 {
        self.rng.random_range(1..PRODUCTS)
    }
}

fn must_be_duplicate(outcome: Result<u64, tokio_postgres::Error>) -> Result<(), Trouble> {
    match outcome {
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Trouble::DuplicateAccepted),
    }
}

/// The server's own message where there is one: the client library says no more than "db error".
fn told(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)
}
