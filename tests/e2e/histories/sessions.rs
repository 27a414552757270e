//! Sessions that write and read registers and lists by every protocol, and note what they did and saw. One that loses its
//! connection goes on as another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, NoTls, Row, SimpleQueryMessage};

use super::judge::{Deed, Event, Id, Tick};
use crate::support::{eventually, must_be_a_loss};

/// Registers in tables of their own, so that not every write keeps every read on the primary.
pub(super) const TABLES: [&str; 6] = ["registers_0", "registers_1", "registers_2", "registers_3", "lefts", "rights"];
const REGISTER_TABLES: i64 = 4;
const REGISTERS: i64 = 16;

/// So many steps of the clock, and the next list is begun.
const LIST: Tick = 2000;

/// Between two tries to connect.
const RETRY: Duration = Duration::from_millis(20);

pub(super) fn schema() -> String {
    let registers = (0..REGISTER_TABLES).map(|number| {
        format!(
            "create table registers_{number} (id bigint primary key, value bigint not null, place bigint not null); \
             insert into registers_{number} select g, 0, 0 from generate_series(0, {REGISTERS} - 1) g \
             where g % {REGISTER_TABLES} = {number};"
        )
    });
    let halves = ["lefts", "rights"].map(|half| {
        format!("create table {half} (id bigserial primary key, list bigint, element bigint); create index on {half} (list);")
    });
    registers.chain(halves).collect()
}

/// All of them, and what they noted.
pub(super) struct Sessions {
    tasks: JoinSet<()>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    done: AtomicBool,
    clock: AtomicU64,
    sessions: AtomicU32,
    values: AtomicI64,
    history: Mutex<Vec<Event>>,
}

impl Sessions {
    pub(super) fn start(url: &str, count: u32) -> Self {
        let (mut tasks, shared) = (JoinSet::new(), Arc::<Shared>::default());
        for _ in 0..count {
            tasks.spawn(go_on(url.to_owned(), Arc::clone(&shared)));
        }
        Self { tasks, shared }
    }

    /// Lets them do so much more.
    pub(super) async fn go_on(&self, deeds: usize) {
        let count = || self.shared.history.lock().len();
        let target = count() + deeds;
        eventually("more deeds of the sessions", async || count() >= target).await;
    }

    /// How many there were.
    pub(super) fn count(&self) -> u32 {
        self.shared.sessions.load(Ordering::Relaxed)
    }

    /// Lets every one finish its deed.
    pub(super) async fn stop(mut self) -> Vec<Event> {
        self.shared.done.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        std::mem::take(&mut self.shared.history.lock())
    }
}

async fn go_on(url: String, shared: Arc<Shared>) {
    let goes_on = || !shared.done.load(Ordering::Relaxed);
    while goes_on() {
        match tokio_postgres::connect(&url, NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                let number = shared.sessions.fetch_add(1, Ordering::Relaxed);
                let mut session = Session { number, client, shared: &shared };
                while goes_on() {
                    if let Err(error) = session.act().await {
                        must_be_a_loss(&error);
                        break;
                    }
                }
            }
            Err(error) => {
                must_be_a_loss(&error);
                sleep(RETRY).await;
            }
        }
    }
}

struct Session<'a> {
    number: u32,
    client: Client,
    shared: &'a Shared,
}

impl Session<'_> {
    async fn act(&mut self) -> Result<(), Error> {
        let (die, pause) = (rand::rng().random_range(0..100), rand::rng().random_range(0..8));
        match die {
            0..10 => self.write().await?,
            10..14 => self.write_two().await?,
            14..16 => self.write_in_vain().await?,
            16..24 => self.append().await?,
            24..80 => self.read(die % 4).await?,
            _ => self.read_list().await?,
        }
        sleep(Duration::from_millis(pause)).await;
        Ok(())
    }

    fn tick(&self) -> Tick {
        self.shared.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn new_value(&self) -> i64 {
        self.shared.values.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn note(&self, began: Tick, deed: Deed) {
        let ended = Some(self.tick());
        self.shared.history.lock().push(Event { session: self.number, began, ended, deed });
    }

    /// The deed was done, or it is not known whether it was.
    fn note_write<T>(
        &self,
        began: Tick,
        done: Result<T, Error>,
        deed: impl FnOnce(Option<T>) -> Deed,
    ) -> Result<(), Error> {
        match done {
            Ok(told) => self.note(began, deed(Some(told))),
            Err(error) => {
                let deed = deed(None);
                self.shared.history.lock().push(Event { session: self.number, began, ended: None, deed });
                return Err(error);
            }
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Error> {
        let (register, value, began) = (any_register(), self.new_value(), self.tick());
        let done = self.client.query_one(&write(register), &[&register, &value]).await.map(|row| row.get(0));
        self.note_write(began, done, |place| Deed::Write { register, value, place })
    }

    async fn write_two(&mut self) -> Result<(), Error> {
        let first = rand::rng().random_range(0..REGISTERS - 1);
        let written = [(first, self.new_value()), (first + 1, self.new_value())];
        let began = [self.tick(), self.tick()];
        let done = async {
            let transaction = self.client.transaction().await?;
            let mut places = Vec::new();
            for (register, value) in &written {
                places.push(transaction.query_one(&write(*register), &[register, value]).await?.get(0));
            }
            transaction.commit().await?;
            Ok::<Vec<i64>, Error>(places)
        };
        let done = done.await;
        for (at, (register, value)) in written.into_iter().enumerate() {
            let place = done.as_ref().ok().map(|places| places[at]);
            let ended = place.is_some().then(|| self.tick());
            let deed = Deed::Write { register, value, place };
            self.shared.history.lock().push(Event { session: self.number, began: began[at], ended, deed });
        }
        done.map(drop)
    }

    /// Nobody may ever see it.
    async fn write_in_vain(&mut self) -> Result<(), Error> {
        let (register, value) = (any_register(), self.new_value());
        let transaction = self.client.transaction().await?;
        transaction.query_one(&write(register), &[&register, &value]).await?;
        transaction.rollback().await
    }

    async fn append(&mut self) -> Result<(), Error> {
        let (element, began) = (self.new_value(), self.tick());
        let list = list_at(began);
        let append = format!(
            "begin; insert into lefts (list, element) values ({list}, {element}); \
             insert into rights (list, element) values ({list}, {element}); commit"
        );
        let done = self.client.batch_execute(&append).await;
        self.note_write(began, done, |_| Deed::Append { list, element })
    }

    async fn read(&mut self, form: i32) -> Result<(), Error> {
        let (register, began) = (any_register(), self.tick());
        let sql = format!("select value, place from {} where id = ", table(register));
        let [value, place] = match form {
            0 => self.simple(&format!("{sql}{register}")).await?,
            1 => {
                let prepared = self.client.prepare(&format!("{sql}$1")).await?;
                columns(&self.client.query_one(&prepared, &[&register]).await?)
            }
            2 => {
                let transaction = self.client.build_transaction().read_only(true).start().await?;
                let row = transaction.query_one(&format!("{sql}$1"), &[&register]).await?;
                transaction.commit().await?;
                columns(&row)
            }
            _ => {
                let rows = self.client.query_typed(&format!("{sql}$1"), &[(&register, Type::INT8)]).await?;
                columns(&rows[0])
            }
        };
        self.note(began, Deed::Read { register, value, place });
        Ok(())
    }

    async fn simple(&self, sql: &str) -> Result<[i64; 2], Error> {
        let messages = self.client.simple_query(sql).await?;
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some([0, 1].map(|at| row.get(at).unwrap().parse().unwrap())),
            _ => None,
        });
        Ok(row.expect("every register is there"))
    }

    /// The list that grows, or the one before.
    async fn read_list(&mut self) -> Result<(), Error> {
        let began = self.tick();
        let list = (list_at(began) - rand::rng().random_range(0..2)).max(0);
        let sql =
            "select 0, element from lefts where list = $1 union all select 1, element from rights where list = $1";
        let rows = self.client.query_typed(sql, &[(&list, Type::INT8)]).await?;
        let half =
            |wanted: i32| rows.iter().filter(|row| row.get::<_, i32>(0) == wanted).map(|row| row.get(1)).collect();
        self.note(began, Deed::ReadList { list, halves: [half(0), half(1)] });
        Ok(())
    }
}

fn any_register() -> Id {
    rand::rng().random_range(0..REGISTERS)
}

fn list_at(tick: Tick) -> Id {
    i64::try_from(tick / LIST).expect("a short test")
}

fn table(register: Id) -> String {
    format!("registers_{}", register % REGISTER_TABLES)
}

fn write(register: Id) -> String {
    format!("update {} set value = $2, place = place + 1 where id = $1 returning place", table(register))
}

fn columns(row: &Row) -> [i64; 2] {
    [row.get(0), row.get(1)]
}
