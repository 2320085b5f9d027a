//! Nodes of this crate on real sockets of the loopback interface.

mod addresses;
mod events;
mod lifecycle;
mod refused;
mod services;

use std::net::SocketAddr;
use std::time::Duration;

use chisme::{Builder, Cluster, Cookie, Detector};

/// Long enough for any step on a busy machine; nothing waits this long when it works.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A cookie that is a random key, so that nothing has to be stretched.
pub(crate) fn cookie() -> Cookie {
    Cookie::new(&"5a".repeat(32)).expect("64 digits are a cookie")
}

/// A node of this name, bound to `addr` and not yet started. It detects failures within a second.
pub(crate) fn node(name: &str, addr: &str) -> Builder {
    let mut detector = Detector::default();
    detector.probe_period = Duration::from_millis(100);
    detector.probe_timeout = Duration::from_millis(50);
    detector.suspicion_timeout = Duration::from_millis(600);
    let addr: SocketAddr = addr.parse().expect("an address");
    Cluster::builder(name).cookie(cookie()).bind(addr).detector(detector)
}

/// Started, on a port of the system's choice on 127.0.0.1.
pub(crate) async fn started(name: &str) -> Cluster {
    node(name, "127.0.0.1:0").start().await.expect("it starts")
}

pub(crate) fn port(cluster: &Cluster) -> u16 {
    cluster.local_addrs()[0].port()
}

/// Connects `from` to `to`, and waits until both see each other.
pub(crate) async fn join(from: &Cluster, to: &Cluster) {
    let report = from.connect(&to.local_addrs()[0].to_string()).await.expect("an address");
    assert!(report.joined(), "{report:?}");
    from.wait_for_members(2, SOON).await.expect("it sees the other");
    to.wait_for_members(2, SOON).await.expect("the other sees it");
}
