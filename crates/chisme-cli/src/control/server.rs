//! Answers clients on the control socket. It owns the limits of a connection and what each path does;
//! what the agent does it does not know, it asks the [`Cluster`](chisme::Cluster).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chisme::seed::Seed;
use chisme::{ChangeError, Member, NodeName, Stopped};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::guard::Guarded;
use super::wire::{
    BlockRequest, ConnectAnswer, ConnectRequest, InstanceRow, MemberRow, PingAnswer, PingRequest,
    Problem, RecordRequest,
};
use crate::agent::follower::Follower;
use crate::agent::state::AgentState;

/// The most connections at a time; the next one waits for one of them to end.
const MAX_CONNECTIONS: usize = 64;

/// The most of them that may follow events, which has no end.
const MAX_FOLLOWERS: usize = 32;

/// How long a client may take for its request, headers and body each.
const REQUEST_PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer may take to find: a look-up in DNS and 16 ports that do not answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(25);

/// How long a client may take nothing of its answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// How long answers that are on their way may take when the agent stops.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// The longest body of a request, in bytes: the largest record, with its quotes and escapes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The least that hyper allows, in bytes; it bounds the headers of a request.
const MAX_HEADER_BYTES: usize = 8192;

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    agent: Arc<AgentState>,
    followers: Arc<Semaphore>,
}

/// Serves clients until `stop` is true or has no sender any more.
pub(crate) async fn serve(
    listener: UnixListener,
    agent: Arc<AgentState>,
    mut stop: watch::Receiver<bool>,
) {
    let service = router(Shared { agent, followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)) });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // A wait for the limit must not keep the agent from stopping.
            _ = stop.wait_for(|&stop| stop) => break,
            Some(_) = connections.join_next() => {}
            stream = accept(&listener), if connections.len() < MAX_CONNECTIONS => {
                connections.spawn(converse(stream, service.clone()));
            }
        }
    }
    let rest = async { while connections.join_next().await.is_some() {} };
    // Followers never end by themselves.
    _ = timeout(STOP_PATIENCE, rest).await;
}

async fn accept(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Out of file descriptors, most likely: trying again at once would only burn the CPU.
            Err(error) => {
                tracing::warn!(%error, "a client of the control socket could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One request and its answer.
async fn converse(stream: UnixStream, service: Router) {
    let io = TokioIo::new(Guarded::new(stream, WRITE_PATIENCE));
    let ended = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_PATIENCE)
        .max_buf_size(MAX_HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(io, TowerToHyperService::new(service))
        .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a client of the control socket was dropped");
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/members", get(members))
        .route("/services", get(services))
        .route("/instances/{*name}", get(instances))
        .route("/record", post(edit_record))
        .route("/nodes", get(nodes))
        .route("/status", get(status))
        .route("/events", get(events))
        .route("/connect", post(connect))
        .route("/ping", post(ping))
        .route("/leave", post(leave))
        .route("/refresh", post(refresh))
        .route("/block", post(block))
        .layer(middleware::from_fn(in_time))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(shared)
}

/// A body must arrive in time, and an answer be found in time.
async fn in_time(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = match timeout(REQUEST_PATIENCE, axum::body::to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            return problem(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a request may have {MAX_BODY_BYTES} bytes"),
            );
        }
        Err(_) => return problem(StatusCode::REQUEST_TIMEOUT, "half a request".to_owned()),
    };
    let answer = next.run(Request::from_parts(parts, Body::from(body)));
    match timeout(ANSWER_PATIENCE, answer).await {
        Ok(response) => response,
        Err(_) => problem(
            StatusCode::GATEWAY_TIMEOUT,
            format!("the agent found no answer within {ANSWER_PATIENCE:?}"),
        ),
    }
}

fn problem(status: StatusCode, error: String) -> Response {
    (status, Json(Problem { error })).into_response()
}

async fn members(State(shared): State<Shared>) -> Json<Vec<MemberRow>> {
    let cluster = &shared.agent.cluster;
    let snapshot = cluster.snapshot();
    let up = std::iter::once(&snapshot.local).chain(&snapshot.members);
    let mut rows: Vec<MemberRow> = up.map(MemberRow::of).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows.extend(snapshot.departed.iter().map(MemberRow::of));
    Json(rows)
}

async fn services(State(shared): State<Shared>) -> Json<Vec<InstanceRow>> {
    let services = shared.agent.cluster.services();
    Json(services.values().flatten().map(InstanceRow::of).collect())
}

async fn instances(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Json<Vec<InstanceRow>> {
    Json(shared.agent.cluster.instances(&name).iter().map(InstanceRow::of).collect())
}

async fn edit_record(State(shared): State<Shared>, Json(request): Json<RecordRequest>) -> Response {
    let edited = match request.edit() {
        Ok(edit) => shared.agent.cluster.edit_record(edit).await,
        Err(error) => Err(error.into()),
    };
    match edited {
        Ok(()) => Json(()).into_response(),
        Err(ChangeError::Stopped(stopped)) => or_stopped::<()>(Err(stopped)),
        Err(error) => problem(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
    }
}

async fn nodes(State(shared): State<Shared>) -> Json<Vec<String>> {
    let name = |member: &Member| member.name.to_string();
    Json(shared.agent.cluster.snapshot().members.iter().map(name).collect())
}

async fn status(State(shared): State<Shared>) -> Response {
    or_stopped(shared.agent.report().await)
}

async fn events(State(shared): State<Shared>) -> Response {
    let Ok(permit) = shared.followers.try_acquire_owned() else {
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{MAX_FOLLOWERS} clients follow the events already"),
        );
    };
    let follower = Follower::new(shared.agent.cluster.clone());
    // Everything that a follower needs lives in the stream, and goes with its connection.
    let lines = futures_util::stream::unfold((follower, permit), async |(mut follower, permit)| {
        let line = follower.next_json().await?;
        Some((Ok::<_, Infallible>(Bytes::from(line)), (follower, permit)))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

async fn connect(State(shared): State<Shared>, Json(request): Json<ConnectRequest>) -> Response {
    if let Err(error) = request.peer.parse::<Seed>() {
        return problem(StatusCode::BAD_REQUEST, error.to_string());
    }
    let answer = match shared.agent.cluster.connect(&request.peer).await {
        Ok(report) => ConnectAnswer {
            connected: report.joined(),
            contacts: report.contacts.iter().map(super::wire::ContactRow::of).collect(),
            error: None,
        },
        Err(error) => ConnectAnswer {
            connected: false,
            contacts: Vec::new(),
            error: Some(crate::usage::with_causes(&error)),
        },
    };
    Json(answer).into_response()
}

async fn ping(State(shared): State<Shared>, Json(request): Json<PingRequest>) -> Response {
    if let Err(error) = NodeName::parse(&request.name) {
        return problem(StatusCode::BAD_REQUEST, error.to_string());
    }
    if request.name == shared.agent.cluster.name().as_str() {
        let error = Some(format!("{} is this node itself", request.name));
        return Json(PingAnswer { rtt_ns: None, error }).into_response();
    }
    let answer = match shared.agent.cluster.ping(&request.name).await {
        Ok(rtt) => PingAnswer {
            rtt_ns: Some(u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX)),
            error: None,
        },
        Err(error) => PingAnswer { rtt_ns: None, error: Some(crate::usage::with_causes(&error)) },
    };
    Json(answer).into_response()
}

async fn leave(State(shared): State<Shared>) -> Json<()> {
    tracing::info!("leaving: asked by a client");
    shared.agent.cluster.leave().await;
    Json(())
}

async fn refresh(State(shared): State<Shared>) -> Response {
    or_stopped(shared.agent.cluster.refresh_seeds().await)
}

async fn block(State(shared): State<Shared>, Json(request): Json<BlockRequest>) -> Response {
    tracing::warn!(addrs = ?request.addrs, "fault injection: these addresses are cut off");
    or_stopped(shared.agent.cluster.block(request.addrs).await)
}

fn or_stopped<T: Serialize>(answer: Result<T, Stopped>) -> Response {
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(stopped) => problem(StatusCode::SERVICE_UNAVAILABLE, stopped.to_string()),
    }
}
