//! The other nodes of this user and host, kept current from the runtime directory.

use std::time::{Duration, SystemTime};

use chisme::NodeName;
use chisme::proto::Sibling;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::runtime::{NodeFile, RuntimeDir};

/// How often the directory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A directory that changed more recently is read again, whatever its time stamp says: two changes
/// may share one.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// Looks at the directory now and then. File access here is a few system calls on a memory file
/// system: a blocking call costs less than a thread for it would.
pub(crate) struct Siblings {
    dir: RuntimeDir,
    name: NodeName,
    cluster: String,
    modified: Option<SystemTime>,
    files: Vec<NodeFile>,
}

impl Siblings {
    /// Siblings of `name` in `cluster`.
    pub(crate) const fn new(dir: RuntimeDir, name: NodeName, cluster: String) -> Self {
        Self { dir, name, cluster, modified: None, files: Vec::new() }
    }

    /// Who is there now.
    pub(crate) fn look(&mut self) -> Vec<Sibling> {
        let modified = self.dir.modified();
        let settled = modified.is_some_and(|at| at.elapsed().is_ok_and(|age| age > SETTLED_AFTER));
        if !settled || modified != self.modified {
            self.files = self.dir.node_files();
            self.files
                .retain(|node| node.name != self.name.as_str() && node.cluster == self.cluster);
            self.modified = modified;
        }
        let dir = &self.dir;
        self.files.retain(|node| dir.seems_live(node));
        self.files.iter().filter_map(sibling).collect()
    }

    /// Keeps `current` current, for ever.
    pub(crate) async fn follow(mut self, current: watch::Sender<Vec<Sibling>>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let found = self.look();
            current.send_if_modified(|known| {
                let changed = *known != found;
                *known = found;
                changed
            });
        }
    }
}

fn sibling(node: &NodeFile) -> Option<Sibling> {
    let name = NodeName::parse(&node.name).ok()?;
    Some(Sibling { name, port: node.addrs.first()?.port() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::runtime::Claim;

    fn runs(dir: &RuntimeDir, name: &str, cluster: &str, port: u16) -> (Claim, UnixListener) {
        let (claim, listener) = dir.claim(&name.parse().expect("valid")).expect("free");
        claim
            .publish(NodeFile {
                name: name.to_owned(),
                pid: std::process::id(),
                session: "1".to_owned(),
                cluster: cluster.to_owned(),
                addrs: vec![([0, 0, 0, 0], port).into()],
                socket: String::new(),
            })
            .expect("written");
        (claim, listener)
    }

    #[test]
    fn others_of_the_same_cluster_come_and_go() {
        let temp = tempfile::tempdir().expect("made");
        let dir = RuntimeDir::open(Some(temp.path())).expect("opened");
        let _ourselves = runs(&dir, "n1@a", "default", 4747);
        let second = runs(&dir, "n2@a", "default", 4748);
        let _stranger = runs(&dir, "n3@a", "other", 4749);
        let name: NodeName = "n1@a".parse().expect("valid");
        let mut siblings = Siblings::new(dir, name, "default".to_owned());
        let n2 = Sibling { name: "n2@a".parse().expect("valid"), port: 4748 };
        assert_eq!(siblings.look(), [n2]);
        drop(second);
        assert_eq!(siblings.look(), []);
    }
}
