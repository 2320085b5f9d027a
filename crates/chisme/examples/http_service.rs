//! A tiny HTTP service that knows its live peers.
//!
//! Two terminals, and `curl localhost:8001/peers` shows the other one within a second:
//!
//! ```text
//! CHISME_COOKIE=a-long-shared-secret cargo run -p chisme --example http_service -- web-1@127.0.0.1 8001
//! CHISME_COOKIE=a-long-shared-secret cargo run -p chisme --example http_service -- web-2@127.0.0.1 8002 127.0.0.1:4747
//! ```

use anyhow::Context;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use chisme::{Cluster, Cookie};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().init();
    let mut args = std::env::args().skip(1);
    let name = args.next().context("usage: http_service NAME@HOST HTTP_PORT [SEED...]")?;
    let port: u16 = args.next().context("the HTTP port is missing")?.parse()?;

    let cookie = Cookie::new(&std::env::var("CHISME_COOKIE").context("set CHISME_COOKIE")?)?;
    let mut builder = Cluster::builder(&name).cookie(cookie);
    for seed in args {
        builder = builder.seed(&seed);
    }
    let cluster = builder.start().await?;

    let routes = Router::new()
        .route("/peers", get(peers))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(cluster.clone());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("{name} serves http://127.0.0.1:{port}/peers");
    axum::serve(listener, routes).with_graceful_shutdown(interrupted()).await?;

    // Peers see us leave instead of failing.
    cluster.leave().await;
    Ok(())
}

/// The names of the members that are up, this one included. It never waits for the network.
async fn peers(State(cluster): State<Cluster>) -> Json<Vec<String>> {
    Json(cluster.members().into_iter().map(|member| member.name.to_string()).collect())
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
