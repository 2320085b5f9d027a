//! What is logged says which node it is about.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use chisme::{Cluster, Cookie};

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_line_names_its_node() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _here = tracing::subscriber::set_default(subscriber);
    let mut nodes = Vec::new();
    for name in ["a@host", "b@host"] {
        let bind = "127.0.0.1:0".parse().expect("an address");
        let cookie = Cookie::new(&"5a".repeat(32)).expect("valid");
        let seed = nodes.first().map(|node: &Cluster| node.local_addrs()[0].to_string());
        let builder = Cluster::builder(name).cookie(cookie).bind(bind);
        let builder = seed.into_iter().fold(builder, |builder, seed| builder.seed(&seed));
        nodes.push(builder.start().await.expect("it starts"));
    }
    for node in &nodes {
        node.wait_for_members(2, std::time::Duration::from_secs(10)).await.expect("both");
    }
    for node in &nodes {
        node.leave().await;
    }
    let text = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let text = String::from_utf8(text).expect("text");
    for (name, peer) in [("a@host", "b@host"), ("b@host", "a@host")] {
        let line = text.lines().find(|line| line.contains(&format!("peer={peer}")));
        let line = line.unwrap_or_else(|| panic!("nothing about {peer}: {text}"));
        assert!(line.contains(&format!("node{{name={name}}}")), "{line}");
    }
    assert!(text.lines().any(|line| line.contains("seeds:") && line.contains("node{name=b@host}")));
}
