//! A service that others find, and that knows which of its instances a customer belongs to.
//!
//! Two terminals; each says what it finds whenever that changes, until Ctrl-C:
//!
//! ```text
//! CHISME_COOKIE=a-long-shared-secret cargo run -p chisme --example billing -- bill-1@127.0.0.1 8001
//! CHISME_COOKIE=a-long-shared-secret cargo run -p chisme --example billing -- bill-2@127.0.0.1 8002 127.0.0.1:4747
//! ```

use anyhow::Context;
use chisme::{Cluster, Cookie, Service, ServiceStatus, select};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().context("usage: billing NAME@HOST PORT [SEED...]")?;
    let port: u16 = args.next().context("the port of the service is missing")?.parse()?;
    let cookie = Cookie::new(&std::env::var("CHISME_COOKIE").context("set CHISME_COOKIE")?)?;
    let mut builder = Cluster::builder(&name).cookie(cookie).tag("zone", "eu-1");
    for seed in args {
        builder = builder.seed(&seed);
    }
    let cluster = builder.start().await?;

    // Others know of it, and do not come yet.
    let billing = Service::new("billing", port).version("2.3").status(ServiceStatus::Starting);
    let registered = cluster.register(billing).await?;
    // Here it would open its port and warm its caches.
    registered.set_status(ServiceStatus::Running).await?;

    let mut instances = cluster.watch("billing");
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            found = instances.next() => {
                let Some(found) = found else { break };
                for customer in ["ada", "grace", "barbara"] {
                    let owner = select::rendezvous(&found, customer.as_bytes());
                    let owner = owner.map(|instance| instance.node.as_str());
                    println!("{customer} belongs to {}", owner.unwrap_or("nobody"));
                }
            }
        }
    }
    // Nothing new comes; what is under way would be finished here.
    registered.drain().await?;
    drop(registered);
    cluster.leave().await;
    Ok(())
}
