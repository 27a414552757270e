//! The table of paths, and what each does.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answer::Failure;
use super::{Control, Token, Values};
use crate::config::ReloadOutcome;
use crate::report::job::{Job, JobKind, Order, Repairs, Schema};
use crate::report::{Report, Status};

/// More than a list of every table's name needs.
const MAX_BODY: usize = 64 << 10;

type Proxy = State<Arc<dyn Control>>;
type Body = Result<Bytes, BytesRejection>;
type JobId = Result<Path<u64>, PathRejection>;
type Answer<T> = Result<T, Failure>;

/// All paths over `control`; changing requests must bear `token`.
pub(super) fn router(control: Arc<dyn Control>, token: Token) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .route("/report", get(report))
        .route("/metrics", get(metrics))
        .route("/ramp", post(ramp))
        .route("/check", post(async |proxy: Proxy, body: Body| start(proxy, JobKind::Check, body)))
        .route("/backfill", post(async |proxy: Proxy, body: Body| start(proxy, JobKind::Backfill, body)))
        .route("/repair", post(async |proxy: Proxy, body: Body| start(proxy, JobKind::Repair, body)))
        .route("/jobs/{id}", get(job).delete(cancel))
        .route("/reload", post(reload))
        .route("/guard/reset", post(reset_guard))
        .route("/mirror/pause", post(pause))
        .route("/mirror/resume", post(resume))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn_with_state(token, admit))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(control)
}

async fn admit(State(token): State<Token>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    if is_from_elsewhere(request.headers()) {
        let detail = "a page of another site may not change anything here";
        return Failure::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    let borne = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes().to_owned());
    if !token.admits(borne.as_deref()) {
        let detail = "this request must bear the token of admin.token_file: Authorization: Bearer TOKEN";
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (challenge, Failure::new(StatusCode::UNAUTHORIZED, detail)).into_response();
    }
    next.run(request).await
}

/// A browser on this machine would carry a foreign page's POST to the loopback address: it says so by `Origin`.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    host.is_none() || host != text(header::HOST)
}

async fn healthz(State(proxy): Proxy) -> Answer<&'static str> {
    proxy.healthy().map(|()| "ok\n").map_err(unavailable)
}

async fn readyz(State(proxy): Proxy) -> Answer<&'static str> {
    proxy.ready().map(|()| "ok\n").map_err(unavailable)
}

fn unavailable(detail: String) -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

async fn status(State(proxy): Proxy) -> Json<Status> {
    Json(proxy.status())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportQuery {
    table: Option<String>,
    values: Option<String>,
}

async fn report(State(proxy): Proxy, uri: Uri) -> Answer<Json<Report>> {
    let query = Query::<ReportQuery>::try_from_uri(&uri).map_err(|error| Failure::bad_request(error.body_text()))?;
    let values = values(query.values.as_deref())?;
    Ok(Json(proxy.report(query.table.as_deref(), values).await?))
}

fn values(asked: Option<&str>) -> Answer<Values> {
    match asked {
        None | Some("0") => Ok(Values::Hidden),
        Some("1") => Ok(Values::Shown),
        Some(_) => Err(Failure::bad_request("values: allowed are 0 and 1")),
    }
}

async fn metrics(State(proxy): Proxy) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], proxy.metrics()).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RampBody {
    percent: f64,
}

async fn ramp(State(proxy): Proxy, body: Body) -> Answer<Json<Status>> {
    let RampBody { percent } = parse(&body?)?;
    if !(0.0..=100.0).contains(&percent) {
        return Err(Failure::bad_request(format!("percent: found {percent}, allowed: a number from 0 to 100")));
    }
    proxy.ramp(percent);
    Ok(Json(proxy.status()))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct TablesBody {
    tables: Option<Vec<String>>,
    create_schema: Option<bool>,
    dry_run: Option<bool>,
}

fn start(State(proxy): Proxy, kind: JobKind, body: Body) -> Answer<(StatusCode, Json<Job>)> {
    let body = body?;
    let TablesBody { tables, create_schema, dry_run } =
        if body.is_empty() { TablesBody::default() } else { parse(&body)? };
    if tables.as_ref().is_some_and(Vec::is_empty) {
        return Err(Failure::bad_request("tables: the list is empty; leave it out to mean all tables"));
    }
    if create_schema.is_some() && kind != JobKind::Backfill {
        return Err(Failure::bad_request("create_schema: only a backfill creates a schema"));
    }
    if dry_run.is_some() && kind != JobKind::Repair {
        return Err(Failure::bad_request("dry_run: only a repair can be shown instead of done"));
    }
    let order = match kind {
        JobKind::Check => Order::Check,
        JobKind::Backfill => {
            Order::Backfill(if create_schema == Some(true) { Schema::Created } else { Schema::Present })
        }
        JobKind::Repair => Order::Repair(if dry_run == Some(true) { Repairs::Shown } else { Repairs::Made }),
    };
    Ok((StatusCode::ACCEPTED, Json(proxy.start_job(order, tables)?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobQuery {
    values: Option<String>,
}

async fn job(State(proxy): Proxy, id: JobId, uri: Uri) -> Answer<Json<Job>> {
    let query = Query::<JobQuery>::try_from_uri(&uri).map_err(|error| Failure::bad_request(error.body_text()))?;
    Ok(Json(proxy.job(job_id(id)?, values(query.values.as_deref())?)?))
}

async fn cancel(State(proxy): Proxy, id: JobId) -> Answer<Json<Job>> {
    Ok(Json(proxy.cancel(job_id(id)?)?))
}

fn job_id(id: JobId) -> Answer<u64> {
    id.map(|Path(id)| id).map_err(|_| Failure::new(StatusCode::NOT_FOUND, "the id of a job is a number"))
}

async fn reload(State(proxy): Proxy) -> Answer<Json<ReloadOutcome>> {
    let outcome = tokio::task::spawn_blocking(move || proxy.reload()).await;
    let outcome = outcome.map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(Json(outcome?))
}

async fn reset_guard(State(proxy): Proxy) -> Json<Status> {
    proxy.reset_guard();
    Json(proxy.status())
}

async fn pause(State(proxy): Proxy) -> Json<Status> {
    proxy.pause();
    Json(proxy.status())
}

async fn resume(State(proxy): Proxy) -> Json<Status> {
    proxy.resume();
    Json(proxy.status())
}

async fn unknown_path(uri: Uri) -> Failure {
    Failure::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
}

async fn unknown_method(method: Method, uri: Uri) -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}

/// Whatever its content type says: `curl -d` claims a form.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Answer<T> {
    serde_json::from_slice(body).map_err(|error| Failure::bad_request(format!("the body is not as expected: {error}")))
}
