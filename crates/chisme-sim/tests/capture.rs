//! Capture files: what a cluster really sent, read by tcpdump.
//!
//! Without tcpdump this says so and passes; with `CHISME_REQUIRE_TCPDUMP=1` it fails.

use std::fs;
use std::path::Path;
use std::process::Command;

use chisme_sim::outcome::Captured;
use chisme_sim::{Cluster, report, secs};

#[test]
fn tcpdump_reads_a_capture_and_finds_all_checksums_right() {
    let mut cluster = Cluster::of(4, 11);
    cluster.record_datagrams();
    cluster.expect_complete_within(secs(5));
    cluster.run_for(secs(5));
    let sent: Vec<Captured> = (0_u64..)
        .zip(cluster.recorded())
        .map(|(n, datagram)| Captured {
            at: 1_000_000_000 + n * 1_000_001,
            from: datagram.from,
            to: datagram.to,
            bytes: datagram.bytes.clone(),
        })
        .collect();
    assert!(sent.len() > 20);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster.pcap");
    fs::write(&path, report::pcap(&sent)).expect("a capture is written");

    let tcpdump =
        Command::new("tcpdump").args(["-nn", "-vv", "--nano", "-tt", "-r"]).arg(&path).output();
    let output = match tcpdump {
        Ok(output) => output,
        Err(error) => {
            let required = std::env::var_os("CHISME_REQUIRE_TCPDUMP").is_some_and(|set| set == "1");
            assert!(!required, "tcpdump: {error}");
            return eprintln!("SKIPPED: tcpdump: {error} (apt-get install tcpdump)");
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.matches("[udp sum ok]").count(), sent.len(), "{text}");
    assert!(!text.contains("bad"), "{text}");
    let first = &sent[0];
    let line = format!(
        "{}.{} > {}.{}: [udp sum ok] UDP, length {}",
        first.from.ip(),
        first.from.port(),
        first.to.ip(),
        first.to.port(),
        first.bytes.len()
    );
    assert!(text.contains(&line), "no {line} in {text}");
    assert!(text.starts_with("1.000000000 IP"), "{text}");
}
