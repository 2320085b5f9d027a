//! Contacts from anywhere: here, from what a command prints, one `ip:port` a line.
//!
//! `CHISME_COOKIE=... cargo run -p chisme --example custom_seed_source -- n1@10.0.0.7 'consul ...'`

use chisme::seed::{Contact, SeedError, SeedFuture, SeedSource};
use chisme::{Cluster, Cookie};

/// Runs a shell command whenever the node looks for contacts.
struct Command(String);

impl SeedSource for Command {
    fn name(&self) -> String {
        format!("`{}`", self.0)
    }

    fn contacts(&self) -> SeedFuture<'_> {
        Box::pin(async {
            // After five seconds this future is dropped, and with it goes the process.
            let mut shell = tokio::process::Command::new("sh");
            let ran = shell.args(["-c", &self.0]).kill_on_drop(true).output().await;
            let out = ran.map_err(|error| SeedError::Other(error.to_string()))?;
            let text = String::from_utf8_lossy(&out.stdout);
            let addrs = text.lines().filter_map(|line| line.trim().parse().ok());
            Ok(addrs.map(|addr| Contact { addr, expect: None }).collect())
        })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "n1@127.0.0.1".to_owned());
    let command = args.next().unwrap_or_else(|| "echo 127.0.0.1:4747".to_owned());
    let cluster = Cluster::builder(&name)
        .cookie(Cookie::new(&std::env::var("CHISME_COOKIE")?)?)
        .seed_source(Command(command))
        .start()
        .await?;
    let mut events = cluster.events();
    while let Some(event) = events.next().await {
        println!("{event:?}");
    }
    Ok(())
}
