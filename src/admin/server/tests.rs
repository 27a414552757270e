//! Every endpoint over a real socket, in front of a proxy that only remembers what it was told.

use std::pin::Pin;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::admin::{ControlError, Jobs, Values};
use crate::config::{Place, Problem, Problems, ReloadOutcome};
use crate::report::job::{DryRun, Job, Order, Repairs, Schema};
use crate::report::{MirrorReport, ReadsReport, Report, Status};

#[derive(Default)]
struct Fake {
    told: Mutex<Vec<String>>,
    jobs: Jobs,
    sick: bool,
    broken_file: bool,
}

impl Fake {
    fn tell(&self, what: impl Into<String>) {
        self.told.lock().push(what.into());
    }

    fn well(&self) -> Result<(), String> {
        if self.sick { Err("the primary does not answer".into()) } else { Ok(()) }
    }
}

impl Control for Fake {
    fn status(&self) -> Status {
        Status {
            version: "0.1.0".into(),
            uptime_s: 1.0,
            generation: 1,
            sessions: Default::default(),
            primary: Default::default(),
            shadow: Default::default(),
            mirror: Default::default(),
            reads: Default::default(),
            guard: Default::default(),
            check: Default::default(),
        }
    }

    fn report<'a>(
        &'a self,
        table: Option<&'a str>,
        values: Values,
    ) -> Pin<Box<dyn Future<Output = Result<Report, ControlError>> + Send + 'a>> {
        self.tell(format!("report {table:?} {values:?}"));
        Box::pin(async move {
            match table {
                Some("public.nothing") => Err(ControlError::UnknownTable("public.nothing".into())),
                _ => Ok(Report::new(String::new(), Vec::new(), ReadsReport::default(), MirrorReport::default())),
            }
        })
    }

    fn healthy(&self) -> Result<(), String> {
        self.well()
    }

    fn ready(&self) -> Result<(), String> {
        self.well()
    }

    fn metrics(&self) -> String {
        "crossfade_uptime_seconds 1\n".into()
    }

    fn ramp(&self, percent: f64) {
        self.tell(format!("ramp {percent}"));
    }

    fn reload(&self) -> Result<ReloadOutcome, Problems> {
        if self.broken_file {
            let place = Place::File("proxy.toml".into());
            let complaint = "found 250, allowed: a number from 0 to 100".into();
            return Err(Problems(vec![Problem { place, key: Some("reads.percent".into()), complaint }]));
        }
        Ok(ReloadOutcome { changed: vec!["reads.percent".into()], generation: 2, ..ReloadOutcome::default() })
    }

    fn start_job(&self, order: Order, tables: Option<Vec<String>>) -> Result<Job, ControlError> {
        let (kind, shown) = (order.kind(), order == Order::Repair(Repairs::Shown));
        let more = if order == Order::Backfill(Schema::Created) { " with its schema" } else { "" };
        self.tell(format!("{kind} {tables:?}{}", if shown { " to be shown" } else { more }));
        let progress = self.jobs.begin(kind)?;
        if shown {
            let statements = vec!["DELETE FROM t WHERE secret = 'precious'".to_owned()];
            progress.shown(DryRun { table: "public.t".into(), rows: 1, statements, ..DryRun::default() });
            progress.end(Ok(()));
        }
        Ok(progress.job().without_values())
    }

    fn job(&self, id: u64, values: Values) -> Result<Job, ControlError> {
        self.jobs.job(id, values)
    }

    fn cancel(&self, id: u64) -> Result<Job, ControlError> {
        self.tell(format!("cancel {id}"));
        self.jobs.cancel(id)
    }

    fn reset_guard(&self) {
        self.tell("reset guard");
    }

    fn pause(&self) {
        self.tell("pause");
    }

    fn resume(&self) {
        self.tell("resume");
    }
}

struct Served {
    fake: Arc<Fake>,
    address: std::net::SocketAddr,
    _stop: oneshot::Sender<()>,
}

async fn served(fake: Fake, token: Token) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fake = Arc::new(fake);
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move { drop(stopped.await) };
    tokio::spawn(serve(listener, Arc::clone(&fake) as Arc<dyn Control>, token, shutdown));
    Served { fake, address, _stop: stop }
}

impl Served {
    async fn open() -> Self {
        served(Fake::default(), Token::NotAsked).await
    }

    /// Status and body.
    async fn raw(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request =
            format!("{method} {path} HTTP/1.0\r\nHost: proxy\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn json(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.raw(method, path, "", body).await;
        (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("not JSON: {body}")))
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.fake.told.lock())
    }
}

#[tokio::test]
async fn views_answer_without_a_token() {
    let proxy = served(Fake::default(), Token::Asked("t".into())).await;
    assert_eq!(proxy.raw("GET", "/healthz", "", "").await, (200, "ok\n".into()));
    assert_eq!(proxy.raw("GET", "/readyz", "", "").await, (200, "ok\n".into()));
    assert_eq!(proxy.raw("GET", "/metrics", "", "").await, (200, "crossfade_uptime_seconds 1\n".into()));
    let (code, status) = proxy.json("GET", "/status", "").await;
    assert_eq!((code, &status["version"], &status["mirror"]["pending"]), (200, &json!("0.1.0"), &json!(0)));
    let (code, report) = proxy.json("GET", "/report?table=public.orders&values=1", "").await;
    assert_eq!((code, &report["verdict"]), (200, &json!("unknown")));
    assert_eq!(proxy.told(), ["report Some(\"public.orders\") Shown"]);
}

#[tokio::test]
async fn health_follows_the_primary() {
    let proxy = served(Fake { sick: true, ..Fake::default() }, Token::NotAsked).await;
    let sick = json!({"error": "service unavailable", "detail": "the primary does not answer"});
    assert_eq!(proxy.json("GET", "/healthz", "").await, (503, sick.clone()));
    assert_eq!(proxy.json("GET", "/readyz", "").await, (503, sick));
}

#[tokio::test]
async fn the_ramp_takes_a_percentage() {
    let proxy = Served::open().await;
    let (code, status) = proxy.json("POST", "/ramp", "{\"percent\": 12.5}").await;
    assert_eq!((code, &status["generation"]), (200, &json!(1)));
    assert_eq!(proxy.told(), ["ramp 12.5"]);
    let allowed = |found: &str| format!("percent: found {found}, allowed: a number from 0 to 100");
    for (body, detail) in [
        ("{\"percent\": 101}", allowed("101")),
        ("{\"percent\": -1}", allowed("-1")),
        ("{}", "the body is not as expected: missing field `percent` at line 1 column 2".into()),
        ("", "the body is not as expected: EOF while parsing a value at line 1 column 0".into()),
        (
            "{\"percent\": \"much\"}",
            "the body is not as expected: invalid type: string \"much\", expected f64 at line 1 column 18".into(),
        ),
    ] {
        assert_eq!(proxy.json("POST", "/ramp", body).await, (400, json!({"error": "bad request", "detail": detail})));
    }
    assert!(proxy.told().is_empty());
}

#[tokio::test]
async fn jobs_are_started_watched_and_cancelled() {
    let proxy = Served::open().await;
    let (code, job) = proxy.json("POST", "/check", "").await;
    assert_eq!(code, 202);
    assert_eq!(job, json!({"id": 1, "kind": "check", "state": "running", "tables": [], "error": null}));
    let (code, _) = proxy.json("POST", "/check", "{\"tables\": [\"public.orders\"]}").await;
    assert_eq!(code, 409, "one of a kind at a time");
    let body = "{\"tables\": [\"public.orders\"], \"create_schema\": true}";
    assert_eq!(proxy.json("POST", "/backfill", body).await.0, 202);
    assert_eq!(proxy.json("POST", "/repair", "{}").await.0, 202);
    assert_eq!(proxy.json("POST", "/check", "{\"create_schema\": true}").await.0, 400);
    assert_eq!(proxy.json("GET", "/jobs/2", "").await.1["kind"], "backfill");
    assert_eq!(proxy.json("DELETE", "/jobs/2", "").await.0, 200);
    assert_eq!(
        proxy.told(),
        [
            "check None",
            "check Some([\"public.orders\"])",
            "backfill Some([\"public.orders\"]) with its schema",
            "repair None",
            "cancel 2"
        ]
    );
    assert_eq!(proxy.json("POST", "/backfill", "{\"tables\": []}").await.0, 400);
    assert_eq!(proxy.json("POST", "/backfill", "{\"table\": \"public.orders\"}").await.0, 400);
    assert_eq!(proxy.json("GET", "/jobs/77", "").await.0, 404);
    assert_eq!(proxy.json("GET", "/jobs/x", "").await.0, 404);
}

#[tokio::test]
async fn a_dry_run_shows_row_values_only_if_asked_and_until_the_next_repair() {
    let proxy = Served::open().await;
    assert_eq!(proxy.json("POST", "/check", "{\"dry_run\": true}").await.0, 400);
    let (code, started) = proxy.json("POST", "/repair", "{\"dry_run\": true}").await;
    assert_eq!((code, proxy.told()), (202, vec!["repair None to be shown".to_owned()]));
    assert!(!started.to_string().contains("precious"), "{started}");
    let (_, hidden) = proxy.json("GET", "/jobs/1", "").await;
    assert_eq!(
        hidden["dry_run"][0],
        json!({"table": "public.t", "rows": 1, "statements": [], "left_out": 0, "note": null})
    );
    let (_, shown) = proxy.json("GET", "/jobs/1?values=1", "").await;
    assert_eq!(shown["dry_run"][0]["statements"], json!(["DELETE FROM t WHERE secret = 'precious'"]));
    assert_eq!(proxy.json("GET", "/jobs/1?values=yes", "").await.0, 400);
    proxy.json("POST", "/repair", "").await;
    assert_eq!(proxy.json("GET", "/jobs/1?values=1", "").await.1.get("dry_run"), None);
}

#[tokio::test]
async fn switches_reach_the_proxy() {
    let proxy = Served::open().await;
    for path in ["/guard/reset", "/mirror/pause", "/mirror/resume"] {
        assert_eq!(proxy.json("POST", path, "").await.0, 200, "{path}");
    }
    assert_eq!(proxy.told(), ["reset guard", "pause", "resume"]);
}

#[tokio::test]
async fn a_reload_says_what_changed_or_what_is_wrong() {
    let proxy = Served::open().await;
    let changed = json!({"changed": ["reads.percent"], "needs_restart": [], "overridden": [], "generation": 2});
    assert_eq!(proxy.json("POST", "/reload", "").await, (200, changed));
    let proxy = served(Fake { broken_file: true, ..Fake::default() }, Token::NotAsked).await;
    let detail = "proxy.toml: reads.percent: found 250, allowed: a number from 0 to 100";
    let refused = json!({"error": "unprocessable entity", "detail": detail});
    assert_eq!(proxy.json("POST", "/reload", "").await, (422, refused));
}

#[tokio::test]
async fn every_change_needs_the_token() {
    let proxy = served(Fake::default(), Token::Asked("t0ken".into())).await;
    for (method, path) in [
        ("POST", "/ramp"),
        ("POST", "/check"),
        ("POST", "/backfill"),
        ("POST", "/repair"),
        ("POST", "/reload"),
        ("POST", "/guard/reset"),
        ("POST", "/mirror/pause"),
        ("POST", "/mirror/resume"),
        ("DELETE", "/jobs/1"),
    ] {
        for header in ["", "Authorization: Bearer wrong\r\n"] {
            let (code, body) = proxy.raw(method, path, header, "").await;
            assert_eq!(code, 401, "{method} {path}");
            assert!(body.contains("Authorization: Bearer TOKEN") && !body.contains("t0ken"), "{body}");
        }
    }
    assert!(proxy.told().is_empty());
    let (code, _) = proxy.raw("POST", "/mirror/pause", "Authorization: Bearer t0ken\r\n", "").await;
    assert_eq!((code, proxy.told()), (200, vec!["pause".to_owned()]));
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let proxy = Served::open().await;
    assert_eq!(proxy.raw("POST", "/mirror/pause", "Origin: http://evil.example\r\n", "").await.0, 403);
    assert_eq!(proxy.raw("POST", "/mirror/pause", "Origin: null\r\n", "").await.0, 403);
    assert!(proxy.told().is_empty());
    assert_eq!(proxy.raw("POST", "/mirror/pause", "Origin: http://proxy\r\n", "").await.0, 200);
}

#[tokio::test]
async fn what_is_not_there_is_refused_in_json() {
    let proxy = Served::open().await;
    let nothing = json!({"error": "not found", "detail": "there is nothing at /"});
    assert_eq!(proxy.json("GET", "/", "").await, (404, nothing));
    let wrong = json!({"error": "method not allowed", "detail": "/ramp does not take GET"});
    assert_eq!(proxy.json("GET", "/ramp", "").await, (405, wrong));
    let unknown = "public.nothing is not a table of the primary or the shadow (names are schema.table)";
    let answer = proxy.json("GET", "/report?table=public.nothing", "").await;
    assert_eq!(answer, (404, json!({"error": "not found", "detail": unknown})));
    assert_eq!(proxy.json("GET", "/report?tabel=x", "").await.0, 400);
    assert_eq!(proxy.json("POST", "/check", &" ".repeat(70_000)).await.0, 413);
}
