//! How fast simulations run, beside their targets: `cargo bench -p chisme-sim`, on one core, with
//! authentication on, as in production. Seconds are those that this process had the core.
//!
//! `cargo bench -p chisme-sim -- large` runs clusters of 1,000 nodes too (`bootstrap` and `rest` one
//! each), which takes a minute, and `huge` one of 10,000, which takes ten.

use std::sync::LazyLock;
use std::time::Instant;

use chisme_sim::{Cluster, secs};

fn main() {
    let asked = |what: &str| std::env::args().any(|argument| argument == what);
    small();
    if asked("large") || asked("bootstrap") {
        bootstrap();
    }
    if asked("large") || asked("rest") {
        large();
    }
    if asked("huge") {
        huge();
    }
}

fn small() {
    let mut cluster = Cluster::of(128, 1);
    cluster.run_for(secs(60));
    assert!(cluster.is_complete(), "128 nodes have found each other");
    let rest = rest(&mut cluster, 1_200);
    report("128 nodes at rest, events", rest.events, "/s", ">= 1,000,000");
    report("128 nodes at rest, virtual seconds", rest.seconds, "/s", "-");
}

fn bootstrap() {
    let begun = busy();
    let mut cluster = Cluster::of(1_000, 1);
    cluster.run_for(secs(60));
    let took = busy() - begun;
    report("1,000 nodes from one seed, 60 virtual seconds", took, "s", "< 60");
    let complete = f64::from(u8::from(cluster.is_complete()));
    report("1,000 nodes, views complete after that", complete, "", "1");
    report("1,000 nodes, resident then", resident_mb(), "MB", "-");
}

fn large() {
    let mut cluster = Cluster::builder().nodes(1_000).seed(1).acquainted();
    // The questions of the first minute, one node to another, die down.
    cluster.run_for(secs(120));
    assert!(cluster.is_complete(), "1,000 nodes know each other");
    let rest = rest(&mut cluster, 240);
    report("1,000 nodes at rest, virtual seconds", rest.seconds, "/s", ">= 80");
    report("1,000 nodes at rest, events", rest.events, "/s", "-");
}

fn huge() {
    let before = resident_mb();
    let begun = busy();
    let mut cluster = Cluster::builder().nodes(10_000).seed(1).acquainted();
    let took = busy() - begun;
    report("10,000 nodes that know each other, made in", took, "s", "-");
    report("10,000 nodes, resident before they run", resident_mb() - before, "MB", "-");
    let rest = rest(&mut cluster, 60);
    report("10,000 nodes at rest, virtual seconds", rest.seconds, "/s", "-");
    report("10,000 nodes at rest, events", rest.events, "/s", "-");
    let resident = resident_mb() - before;
    report("10,000 nodes at rest, resident", resident, "MB", "< 6,000");
    let a_pair = resident * 1e6 / (10_000.0 * 10_000.0);
    report("10,000 nodes at rest, for each of 10^8 pairs", a_pair, "B", "< 60");
}

/// What one second of this machine gets through.
struct Rates {
    events: f64,
    seconds: f64,
}

fn rest(cluster: &mut Cluster, virtual_seconds: u64) -> Rates {
    let (before, begun) = (cluster.happenings(), busy());
    cluster.run_for(secs(virtual_seconds));
    let took = busy() - begun;
    Rates {
        events: (cluster.happenings() - before) as f64 / took,
        seconds: virtual_seconds as f64 / took,
    }
}

/// For how many seconds this thread had a core so far: what others do meanwhile on the machine does
/// not count. The time that has passed, where the system does not say.
fn busy() -> f64 {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let passed = BEGUN.elapsed().as_secs_f64();
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = schedule.split_whitespace().next().and_then(|first| first.parse::<f64>().ok());
    nanos.map_or(passed, |nanos| nanos / 1e9)
}

fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) * 1024.0 / 1e6
}

fn report(what: &str, figure: f64, unit: &str, target: &str) {
    println!("{what:<48} {figure:>12.1} {unit:<4} target {target}");
}
