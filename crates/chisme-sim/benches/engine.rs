//! How fast simulations run, beside their targets: `cargo bench -p chisme-sim`, on one core.
//!
//! `cargo bench -p chisme-sim -- large` runs the clusters of 1,000 nodes too, which takes minutes.

use std::time::Instant;

use chisme_sim::{Cluster, secs};

fn main() {
    let large = std::env::args().any(|argument| argument == "large");
    let mut cluster = Cluster::of(128, 1);
    cluster.run_for(secs(60));
    report("128 nodes at rest, events", rate(&mut cluster, 600, false), "/s", ">= 1,000,000");
    let seconds = rate(&mut cluster, 600, true);
    report("128 nodes at rest, virtual seconds", seconds, "/s", "-");
    if !large {
        return;
    }
    let begun = Instant::now();
    let mut cluster = Cluster::of(1_000, 1);
    cluster.run_for(secs(60));
    let took = begun.elapsed().as_secs_f64();
    report("1,000 nodes from one seed, 60 virtual seconds", took, "s", "< 60");
    report(
        "1,000 nodes, views complete after that",
        f64::from(u8::from(cluster.is_complete())),
        "",
        "1",
    );
    let seconds = rate(&mut cluster, 60, true);
    report("1,000 nodes at rest, virtual seconds", seconds, "/s", ">= 80");
    report("1,000 nodes, resident", resident_mb(), "MB", "-");
}

/// Events, or virtual seconds, per second of this machine.
fn rate(cluster: &mut Cluster, virtual_seconds: u64, seconds: bool) -> f64 {
    let (before, begun) = (cluster.happenings(), Instant::now());
    cluster.run_for(secs(virtual_seconds));
    let took = begun.elapsed().as_secs_f64();
    let done =
        if seconds { virtual_seconds as f64 } else { (cluster.happenings() - before) as f64 };
    done / took
}

fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) / 1024.0
}

fn report(what: &str, figure: f64, unit: &str, target: &str) {
    println!("{what:<48} {figure:>12.1} {unit:<4} target {target}");
}
