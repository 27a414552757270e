//! What tokio-postgres can do, section by section, each step printed: directly and through crossfade it must print the same.

use std::env;
use std::error::Error as StdError;
use std::pin::pin;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::future::{join_all, poll_fn};
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::config::Config;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{
    AsyncMessage, Client, Error, GenericClient, IsolationLevel, NoTls, Row, SimpleQueryMessage, Statement,
};

/// A value as it is on the wire, of any type.
#[derive(Debug, Clone)]
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} says where the server is"))
}

fn port() -> u16 {
    variable("PGPORT").parse().expect("a port")
}

fn config() -> Config {
    let mut config = Config::new();
    config.host(variable("PGHOST")).port(port());
    config.user(variable("PGUSER")).dbname(variable("PGDATABASE"));
    config
}

/// A session, and what it hears beside the answers.
async fn connect(config: &Config) -> Result<(Client, UnboundedReceiver<AsyncMessage>), Error> {
    let (client, mut connection) = config.connect(NoTls).await?;
    let (tell, hear) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            let _ = tell.send(message);
        }
    });
    Ok((client, hear))
}

fn refused(error: &Error) {
    let Some(said) = error.as_db_error() else { return println!("refused {error}") };
    println!(
        "refused {} {:?} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        said.severity(),
        said.code(),
        said.message(),
        said.detail(),
        said.hint(),
        said.position(),
        said.where_(),
        said.schema(),
        said.table(),
        said.column(),
        said.datatype(),
        said.constraint(),
        said.file(),
        said.line(),
        said.routine(),
    );
}

fn show(rows: &[Row]) {
    for row in rows {
        let values = (0..row.len()).map(|at| match row.get::<_, Option<Raw>>(at) {
            None => "null".to_owned(),
            Some(Raw(bytes)) if bytes.len() > 200 => format!("{} bytes", bytes.len()),
            Some(Raw(bytes)) => format!("{:?}", Bytes::from(bytes)),
        });
        println!("row {}", values.collect::<Vec<_>>().join(" | "));
    }
}

fn describe(statement: &Statement) {
    let columns = statement.columns().iter();
    let columns = columns.map(|column| {
        format!("{} {} {:?} {:?}", column.name(), column.type_(), column.table_oid().is_some(), column.column_id())
    });
    println!("parameters {:?} columns {:?}", statement.params(), columns.collect::<Vec<_>>());
}

/// Prepares and runs it for its rows; `RowStream` would hide that there are none.
async fn query(client: &impl GenericClient, text: &str, values: Parameters<'_>) {
    let rows = async {
        let statement = client.prepare(text).await?;
        describe(&statement);
        client.query(&statement, values).await
    };
    match rows.await {
        Ok(rows) => show(&rows),
        Err(error) => refused(&error),
    }
}

async fn execute(client: &impl GenericClient, text: &str, values: Parameters<'_>) {
    match client.execute(text, values).await {
        Ok(count) => println!("count {count}"),
        Err(error) => refused(&error),
    }
}

async fn simple(client: &Client, text: &str) {
    let messages = match client.simple_query(text).await {
        Ok(messages) => messages,
        Err(error) => return refused(&error),
    };
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                println!(
                    "row {:?}",
                    (0..row.len()).map(|at| (row.columns()[at].name(), row.get(at))).collect::<Vec<_>>()
                );
            }
            SimpleQueryMessage::CommandComplete(count) => println!("complete {count}"),
            SimpleQueryMessage::RowDescription(columns) => {
                println!("columns {:?}", columns.iter().map(tokio_postgres::SimpleColumn::name).collect::<Vec<_>>());
            }
            other => println!("{other:?}"),
        }
    }
}

async fn parameters(client: &Client) -> Result<(), Error> {
    let mut set = config();
    set.application_name("the program").options("-c work_mem=5MB -c DateStyle=German");
    let (other, _hear) = connect(&set).await?;
    query(
        &other,
        "select current_setting('work_mem'), current_setting('application_name'), date '2026-01-02'::text",
        &[],
    )
    .await;
    query(&other, "insert into keyed (name) values ($1) returning name", &[&"Münze"]).await;
    for wrong in [config().dbname("nowhere"), config().user("nobody"), config().options("-c nothing=1")] {
        if let Err(error) = connect(wrong).await {
            refused(&error);
        }
    }
    client.check_connection().await
}

async fn reads(client: &Client) -> Result<(), Error> {
    let kept = client.prepare("select * from settled where id = $1").await?;
    for id in 1_i32..5 {
        show(&client.query(&kept, &[&id]).await?);
        query(client, "select * from settled where id = $1", &[&id]).await;
        show(&client.query_typed("select label, n, at from settled where id = $1", &[(&id, Type::INT4)]).await?);
        simple(client, &format!("select * from settled where id = {id}")).await;
    }
    for text in [
        "select count(*), sum(int8), min(label), max(day) from settled where n > $1",
        "select a.id, b.label from settled a join settled b on b.id = a.n where a.n > $1 order by a.id",
        "select id from settled where id = -$1::int",
        "select 1 / (id - $1::int) from settled where id = $1",
        "select nothing from settled where id = $1",
    ] {
        query(client, text, &[&3]).await;
        simple(client, &text.replace("$1", "3")).await;
    }
    let wide =
        client.query("select a.label, b.label from settled a, settled b where b.id <= 20 order by a.id, b.id", &[]);
    println!("{}", wide.await?.len());
    let together = (0_i32..20).map(|id| {
        let kept = kept.clone();
        async move { client.query(&kept, &[&id]).await.map(|rows| rows.len()) }
    });
    println!("{:?}", join_all(together).await.into_iter().collect::<Result<Vec<_>, _>>()?);
    for setting in ["TimeZone = 'Asia/Tokyo'", "DateStyle = 'SQL, DMY'", "bytea_output = 'escape'"] {
        client.batch_execute(&format!("set {setting}")).await?;
        query(client, "select at::text, day::text, bytea::text, at from settled where id = $1", &[&9]).await;
    }
    client.batch_execute("reset all").await?;
    for n in 0_i32..5 {
        execute(client, "insert into keyed (name, n) values ($1, $2)", &[&format!("read {n}"), &n]).await;
        query(client, "select name, n from keyed where name like 'read %' order by name", &[]).await;
        execute(client, "update keyed set n = n + 1 where name like $1", &[&"read %"]).await;
        query(client, "select sum(n) from keyed where name like $1", &[&"read %"]).await;
    }
    Ok(())
}

async fn types(client: &Client) -> Result<(), Error> {
    execute(client, "insert into typed select (typed_values()).*", &[]).await;
    query(client, "select * from typed", &[]).await;
    simple(client, "select * from typed").await;
    // Every value again as it came, in binary.
    let row = client.query_one("select * from typed", &[]).await?;
    let mut values: Vec<Option<Raw>> = (0..row.len()).map(|at| row.get(at)).collect();
    let marks: Vec<_> = (1..=values.len()).map(|n| format!("${n}")).collect();
    let insert = format!("insert into typed values ({})", marks.join(", "));

    for id in 2_i32..5 {
        values[0] = Some(Raw(id.to_be_bytes().to_vec()));
        let held = values.clone();
        let held: Vec<&(dyn ToSql + Sync)> = held.iter().map(|value| value as _).collect();
        query(client, &format!("{insert}{}", ["", " returning *", " returning id"][id as usize - 2]), &held).await;
    }
    let at = std::time::UNIX_EPOCH + Duration::from_micros(1_767_323_045_678_901);
    query(
        client,
        "update typed set bool = $1, int2 = $2, int8 = $3, float4 = $4, float8 = $5, text = $6, bytea = $7, timestamptz = $8, ints = $9, texts = $10 where id = $11 returning *",
        &[&false, &-1_i16, &i64::MAX, &0.5_f32, &f64::INFINITY, &None::<&str>, &&[0_u8, 255][..], &at, &vec![Some(1), None], &Vec::<String>::new(), &2],
    )
    .await;
    query(client, "update typed set int8 = int8 - 1 where id = $1 returning typed", &[&2]).await;
    query(client, "select id, to_jsonb(t)::text from typed t order by id", &[]).await;
    // A number that is none, found by the server's reading of the binary form.
    execute(client, "update typed set numeric = $1 where id = 2", &[&Raw(vec![1, 2, 3])]).await;
    execute(client, "update typed set text = $1 where id = 2", &[&Raw(vec![0xff])]).await;
    Ok(())
}

async fn prepared(client: &Client) -> Result<(), Error> {
    let insert = client.prepare("insert into keyed (name, n) values ($1, $2)").await?;
    let update =
        client.prepare_typed("update keyed set n = n + $1 where name = $2 returning name, n", &[Type::INT4]).await?;
    let keyless = client.prepare("insert into keyless values ($1, $2)").await?;
    let delete = client.prepare("delete from keyless where n = $1").await?;
    [&insert, &update, &keyless, &delete].into_iter().for_each(describe);
    for n in 0..6 {
        let name = format!("name {n}");
        println!("{}", client.execute(&insert, &[&name, &n]).await?);
        show(&client.query(&update, &[&n, &name]).await?);
        println!("{} {}", client.execute(&update, &[&n, &name]).await?, client.execute(&keyless, &[&name, &n]).await?);
        println!("{}", client.execute(&delete, &[&n]).await?);
    }
    if let Err(error) = client.execute(&insert, &[&"name 1", &1]).await {
        refused(&error);
    }
    // Types given with the values, all in one message; and statements that are dropped, hence closed.
    show(
        &client
            .query_typed(
                "insert into keyed (name, n) values ($1, $2) returning name",
                &[(&"typed", Type::TEXT), (&1, Type::INT4)],
            )
            .await?,
    );
    println!("{}", client.execute_typed("update keyed set n = $1 where name = 'typed'", &[(&2, Type::INT4)]).await?);
    drop(update);
    client.batch_execute("alter table keyless add extra text").await?;
    println!("{}", client.execute(&keyless, &[&"changed", &1]).await?);
    client.batch_execute("alter table keyless drop extra").await?;
    println!("{}", client.execute(&keyless, &[&"changed", &1]).await?);
    client.batch_execute("deallocate all").await?;
    if let Err(error) = client.execute(&insert, &[&"gone", &1]).await {
        refused(&error);
    }
    execute(client, "insert into keyed (name, n) values ($1, $2)", &[&"gone", &1]).await;
    Ok(())
}

async fn several(client: &Client) -> Result<(), Error> {
    for text in [
        "insert into keyed (name, n) values ('several', 1); update keyed set n = 2 where name = 'several' returning n; select 1 as one, null as two;\
         insert into keyless values ('several'), ('several'); delete from keyed where name = 'several';; values (1), (2)",
        "insert into keyed (name) values ('a'); insert into keyed (name) values ('a')",
        "insert into keyed (name) values ('a'); selec 1",
        "begin; insert into keyless values ('one message', 1); commit; insert into keyless values ('one message', 2) returning *; select 1 / 0",
        "select * from keyless where name = 'one message'",
        "",
        ";;",
    ] {
        simple(client, text).await;
    }
    execute(client, "", &[]).await;
    execute(client, "select 1; select 2", &[]).await;
    Ok(())
}

async fn pipelined(client: &Client) -> Result<(), Error> {
    // All at once: the driver sends them before the first answer.
    let insert = client.prepare("insert into keyed (name, n) values ($1, $2) returning name").await?;
    let update = client.prepare("update keyed set n = n + 1 where name = $1").await?;
    let names: Vec<_> = (0..20_i32).map(|n| (format!("piped {}", n % 13), n)).collect();
    let answers = join_all(names.iter().map(async |(name, n)| {
        let inserted = client.query(&insert, &[name, n]).await;
        (inserted, client.execute(&update, &[name]).await)
    }));
    for (inserted, updated) in answers.await {
        inserted.as_deref().map_or_else(refused, show);
        println!("{updated:?}");
    }
    let mixed = tokio::join!(
        client.execute("insert into keyless values ('mixed', 1)", &[]),
        client.simple_query("insert into keyless values ('mixed', 2); select 1 / 0"),
        client.query("select 1 / $1", &[&0]),
        client.batch_execute("delete from keyless where name = 'mixed'"),
    );
    println!("{:?} {} {} {:?}", mixed.0, mixed.1.is_err(), mixed.2.is_err(), mixed.3);
    Ok(())
}

async fn copies(client: &Client) -> Result<(), Error> {
    let fill = async |text: &str, lines: &[&str]| {
        let mut sink = pin!(client.copy_in::<_, Bytes>(text).await?);
        for line in lines {
            sink.send(Bytes::copy_from_slice(line.as_bytes())).await?;
        }
        sink.finish().await
    };
    let lines: Vec<_> = (0..200).map(|n| format!("copied {n}\t{n}\n")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    println!("{:?}", fill("copy keyed (name, n) from stdin", &lines).await);
    println!(
        "{:?}",
        fill("copy keyless from stdin (format csv, header)", &["name,n\n\"csv, o", "ne\",1\ncsv two,\n"]).await
    );
    for wrong in ["copied\t1\nnonsense\n", "a\tb\n", "copied 1\t1\n"] {
        if let Err(error) = fill("copy keyed (name, n) from stdin", &[wrong]).await {
            refused(&error);
        }
    }
    {
        let mut given_up = pin!(client.copy_in::<_, Bytes>("copy keyed (name, n) from stdin").await?);
        given_up.send(Bytes::from_static(b"half\t1\n")).await?;
    }
    for text in ["copy (select name, n from keyed order by id) to stdout", "copy keyless to stdout (format binary)"] {
        let parts: Vec<Bytes> = client.copy_out(text).await?.try_collect().await?;
        println!("{} parts {:?}", parts.len(), Bytes::from(parts.concat()));
    }
    query(client, "select count(*), count(n) from keyed", &[]).await;
    Ok(())
}

async fn portals(client: &mut Client) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    for (text, size) in [
        ("select g, 'row ' || g from generate_series(1, 10) g where g > $1", 3),
        ("insert into keyless select 'portion', g from generate_series(1, 10) g where g > $1 returning n", 4),
        ("update keyed set n = n + 1 where name like 'copied 1%' and n > $1 returning name", 5),
        ("delete from keyed where name like 'copied 19%' and n > $1 returning name, n", 2),
        ("insert into keyless select 'whole', g from generate_series(1, 10) g where g > $1", 3),
    ] {
        let portal = transaction.bind(text, &[&0]).await?;
        for _ in 0..4 {
            let mut stream = pin!(transaction.query_portal_raw(&portal, size).await?);
            let mut rows = Vec::new();
            while let Some(row) = stream.next().await {
                match row {
                    Ok(row) => rows.push(row),
                    Err(error) => refused(&error),
                }
            }
            show(&rows);
            println!("affected {:?}", stream.rows_affected());
            if stream.rows_affected().is_some() {
                break;
            }
        }
    }
    // Two at once, the one that writes left in its middle.
    let reader = transaction.bind("select n from keyless where name = 'portion' order by n", &[]).await?;
    let writer = transaction.bind("update keyless set n = -n where name = 'portion' returning n", &[]).await?;
    for _ in 0..2 {
        show(&transaction.query_portal(&reader, 2).await?);
        show(&transaction.query_portal(&writer, 2).await?);
    }
    transaction.commit().await?;
    query(client, "select name, count(*), sum(n) from keyless group by name order by name", &[]).await;
    Ok(())
}

async fn transactions(client: &mut Client) -> Result<(), Error> {
    for level in [IsolationLevel::ReadCommitted, IsolationLevel::RepeatableRead, IsolationLevel::Serializable] {
        let transaction = client.build_transaction().isolation_level(level).start().await?;
        execute(&transaction, "update keyed set n = n + 1 where name = $1", &[&"copied 1"]).await;
        query(&transaction, "select current_setting('transaction_isolation')", &[]).await;
        transaction.commit().await?;
    }
    let read_only = client.build_transaction().read_only(true).deferrable(true).start().await?;
    execute(&read_only, "insert into keyless values ('read only')", &[]).await;
    execute(&read_only, "select 1", &[]).await;
    println!("{:?}", read_only.commit().await.is_ok());
    {
        let dropped = client.transaction().await?;
        execute(&dropped, "insert into keyed (name) values ('dropped')", &[]).await;
    }
    let mut transaction = client.transaction().await?;
    execute(&transaction, "insert into keyed (name, n) values ('in parts', 0)", &[]).await;
    {
        let mut one = transaction.savepoint("one").await?;
        execute(&one, "update keyed set n = 1 where name = 'in parts'", &[]).await;
        let two = one.transaction().await?;
        execute(&two, "insert into keyed (name) values ($1)", &[&"in parts"]).await;
        execute(&two, "insert into keyless values ('never')", &[]).await;
        two.rollback().await?;
        execute(&one, "insert into keyless values ('behind the savepoint')", &[]).await;
        one.commit().await?;
    }
    transaction.commit().await?;
    query(client, "select name, n from keyed where name in ('in parts', 'dropped')", &[]).await;
    Ok(())
}

async fn errors(client: &Client) -> Result<(), Error> {
    for text in [
        "insert into keyed (id, name) values (1, 'taken')",
        "insert into keyed (name) values ('copied 1')",
        "insert into keyed (n) values (1000)",
        "insert into keyed (parent) values (-1)",
        "insert into keyed (nothing) values (1)",
        "insert into nothing values (1)",
        "update keyed set n = 'x'",
        "update keyed set n = 1 / 0",
        "update keyed set n = nothing(1)",
        "delete from keyed where",
        "delete from keyed where 'ü' = nothing",
        "insert into made (id) values (1)",
        "update made set twice = 1",
        "insert into parted values (5000)",
        "insert into typed (id, positive) values (99, -1)",
        "selec 1",
        "do $$ begin raise exception 'raised' using errcode = 'UX001', detail = 'd', hint = 'h', column = 'c', table = 't', schema = 's', datatype = 'x', constraint = 'y'; end $$",
    ] {
        simple(client, text).await;
        execute(client, text, &[]).await;
        query(client, text, &[]).await;
        execute(client, "insert into keyless values ($1, 0)", &[&"after it"]).await;
    }
    for divisor in [0, 2, 0] {
        execute(client, "insert into keyed (n) values (4 / $1::int)", &[&divisor]).await;
    }
    query(client, "select count(*) from keyless where name = 'after it'", &[]).await;
    Ok(())
}

async fn generated(client: &Client) -> Result<(), Error> {
    query(client, "insert into made (n) values ($1), ($2) returning *", &[&4, &5]).await;
    query(client, "insert into made (id, n) overriding system value values (100, 1) returning id, twice as t", &[])
        .await;
    query(client, "update made set n = n + 1 where n > $1 returning id, made, n as \"the n\"", &[&3]).await;
    let conflict = "insert into keyed (name) values ('conflict'), ('copied 3') on conflict (name) do update set n = 9 returning name, n, xmax = 0 as fresh";
    query(client, conflict, &[]).await;
    execute(client, "insert into keyed (name) values ('conflict') on conflict do nothing", &[]).await;
    query(client, "insert into parted values (1, 'low'), (500, 'high') returning *", &[]).await;
    query(client, "update parted set id = id + 200 where id = $1 returning *", &[&1]).await;
    query(client, "delete from parted returning id", &[]).await;
    Ok(())
}

async fn large(client: &Client) -> Result<(), Error> {
    let big = "0123456789abcdef".repeat(250_000);
    query(client, "insert into keyed (name, big) values ('big', $1) returning length(big)", &[&big]).await;
    query(client, "update keyed set big = big || 'x' where name = 'big' returning big, md5(big)", &[]).await;
    simple(client, &format!("insert into keyless values ('{big}', 1)")).await;
    execute(client, "delete from keyless where length(name) > 100", &[]).await;
    execute(client, "insert into keyless select 'wide', g from generate_series(1, 20000) g", &[]).await;
    println!("{}", client.query("delete from keyless where name = 'wide' returning n", &[]).await?.len());
    let numbers: Vec<i32> = (0..40_000).collect();
    let marks: Vec<_> = (1..=numbers.len()).map(|n| format!("(${n})")).collect();
    let values: Vec<_> = numbers.iter().map(|number| number as &(dyn ToSql + Sync)).collect();
    execute(client, &format!("insert into keyless (n) values {}", marks.join(",")), &values).await;
    Ok(())
}

async fn talk(client: &Client, hear: &mut UnboundedReceiver<AsyncMessage>) -> Result<(), Error> {
    client.batch_execute("do $$ begin raise notice 'hello' using hint = 'h'; raise warning 'careful'; end $$").await?;
    client.batch_execute("drop table if exists nothing; rollback; listen news").await?;
    let (other, _hear) = connect(&config()).await?;
    other.batch_execute("notify news, 'from another'").await?;
    other
        .batch_execute(
            "begin; insert into keyless values ('notified', 1); select pg_notify('news', 'in a transaction'); commit",
        )
        .await?;
    client.batch_execute("notify news, 'from myself'").await?;
    let mut heard = Vec::new();
    while heard.len() < 3 {
        match tokio::time::timeout(Duration::from_secs(10), hear.recv()).await {
            Ok(Some(AsyncMessage::Notification(news))) => {
                heard.push((news.channel().to_owned(), news.payload().to_owned()));
            }
            Ok(Some(AsyncMessage::Notice(notice))) => {
                println!("notice {} {:?} {} {:?}", notice.severity(), notice.code(), notice.message(), notice.hint());
            }
            other => {
                println!("{other:?}");
                break;
            }
        }
    }
    heard.sort();
    println!("{heard:?}");
    Ok(())
}

async fn cancel(client: &Client) -> Result<(), Error> {
    for text in ["select pg_sleep(60)", "update keyed set n = 1 where pg_sleep(60) is not null"] {
        let token = client.cancel_token();
        let cancelled = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let mut canceller = TcpStream::connect((variable("PGHOST"), port())).await.expect("a connection");
            token.cancel_query_raw(&mut canceller, NoTls).await?;
            // The server signals twice, and closes behind that: what comes now is not hit by the second one.
            canceller.read_to_end(&mut Vec::new()).await.expect("the end of the connection");
            Ok(())
        };
        let ((), cancelled) = tokio::join!(execute(client, text, &[]), cancelled);
        cancelled?;
        execute(client, "insert into keyless values ('after the cancel')", &[]).await;
    }
    client.batch_execute("set statement_timeout = '200ms'").await?;
    execute(client, "update keyed set n = 1 where pg_sleep(60) is not null", &[]).await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (client, _hear) = connect(&config()).await?;
    client.batch_execute(include_str!("tables.sql")).await?;
    // Writes are captured once the new tables are known.
    let settle = env::var("SETTLE").ok().and_then(|seconds| seconds.parse().ok()).expect("SETTLE in seconds");
    tokio::time::sleep(Duration::from_secs_f64(settle)).await;
    for name in [
        "parameters",
        "reads",
        "types",
        "prepared",
        "several",
        "pipelined",
        "copies",
        "portals",
        "transactions",
        "errors",
        "generated",
        "large",
        "talk",
        "cancel",
    ] {
        println!("== {name}");
        let (mut client, mut hear) = connect(&config()).await?;
        match name {
            "parameters" => parameters(&client).await?,
            "reads" => reads(&client).await?,
            "types" => types(&client).await?,
            "prepared" => prepared(&client).await?,
            "several" => several(&client).await?,
            "pipelined" => pipelined(&client).await?,
            "copies" => copies(&client).await?,
            "portals" => portals(&mut client).await?,
            "transactions" => transactions(&mut client).await?,
            "errors" => errors(&client).await?,
            "generated" => generated(&client).await?,
            "large" => large(&client).await?,
            "talk" => talk(&client, &mut hear).await?,
            _ => cancel(&client).await?,
        }
    }
    Ok(())
}
