//! What this system says of names: its hosts file and its name servers, read anew when they change.
//!
//! It knows files and how hickory is set up; what is asked and what an answer means it does not.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver};

use super::SeedError;

/// One try of one query. A second is made, so a silent server costs twice this.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

const HOSTS_FILE: &str = "/etc/hosts";
const RESOLVER_FILE: &str = "/etc/resolv.conf";

/// The name servers and the hosts file.
pub(super) struct System {
    nameservers: Vec<SocketAddr>,
    hosts_path: PathBuf,
    resolver: Mutex<Option<Kept<TokioResolver>>>,
    hosts: Mutex<Option<Kept<Hosts>>>,
}

/// What was read from a file, and when that file was last changed.
struct Kept<T> {
    value: T,
    modified: Option<SystemTime>,
}

impl System {
    /// Asks `nameservers`; if there are none, those of the system. Nothing is read yet.
    pub(super) fn new(nameservers: &[SocketAddr]) -> Self {
        Self {
            nameservers: nameservers.to_vec(),
            hosts_path: PathBuf::from(HOSTS_FILE),
            resolver: Mutex::new(None),
            hosts: Mutex::new(None),
        }
    }

    /// The addresses that the hosts file has for `host`.
    pub(super) fn hosts_file(&self, host: &str) -> Vec<IpAddr> {
        let Ok(name) = host.parse::<Name>() else { return Vec::new() };
        let read = || {
            let mut hosts = Hosts::default();
            // Without the file, or with half of it, DNS is asked.
            _ = File::open(&self.hosts_path).and_then(|file| hosts.read_hosts_conf(file));
            Ok(hosts)
        };
        let found = fresh(&self.hosts, &self.hosts_path, read, |hosts| {
            let lookup = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
            let found = [RecordType::A, RecordType::AAAA].map(lookup);
            let records = found.iter().flatten().flat_map(|lookup| lookup.answers());
            records.filter_map(|record| record.data.ip_addr()).collect()
        });
        found.unwrap_or_default()
    }

    /// Asks the name servers. An agent may well start before the network has told who they are.
    ///
    /// # Errors
    /// If the system's configuration cannot be read or has no name server.
    pub(super) fn resolver(&self) -> Result<TokioResolver, SeedError> {
        let read = || {
            build(&self.nameservers).map_err(|error| {
                SeedError::Other(format!("no name server is configured ({error})"))
            })
        };
        fresh(&self.resolver, Path::new(RESOLVER_FILE), read, Clone::clone)
    }
}

/// Looks at what is kept of `file`, and reads it before that if it has changed.
fn fresh<T, R>(
    kept: &Mutex<Option<Kept<T>>>,
    file: &Path,
    read: impl FnOnce() -> Result<T, SeedError>,
    look: impl FnOnce(&T) -> R,
) -> Result<R, SeedError> {
    let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let current = match kept.take() {
        Some(current) if current.modified == modified => current,
        _ => Kept { value: read()?, modified },
    };
    Ok(look(&kept.insert(current).value))
}

fn build(nameservers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = if nameservers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = nameservers.iter().map(|addr| {
            // With UDP alone a truncated answer would read as no data.
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut c| {
                c.port = addr.port();
                c
            });
            NameServerConfig::new(addr.ip(), true, connections.into())
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options: &mut ResolverOpts = builder.options_mut();
    options.timeout = QUERY_TIMEOUT;
    options.attempts = 1;
    options.cache_size = 0;
    // It would be read once, when the resolver is made.
    options.use_hosts_file = ResolveHosts::Never;
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is gone after the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("chisme-{name}-{}", std::process::id())))
        }

        /// Two changes may share a time stamp: `age` tells them apart.
        fn write(&self, text: &str, age: u64) {
            std::fs::write(&self.0, text).expect("written");
            let file = File::options().write(true).open(&self.0).expect("there");
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).expect("set");
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn what_is_kept_is_read_again_when_its_file_changes_and_only_then() {
        let file = Scratch::new("fresh");
        let kept = Mutex::new(None);
        let mut reads = 0;
        let mut look = || {
            let read = || {
                reads += 1;
                std::fs::read_to_string(&file.0).map_err(|e| SeedError::Other(e.to_string()))
            };
            fresh(&kept, &file.0, read, String::clone)
        };
        assert!(look().is_err(), "not there yet");
        for (text, age) in [("one", 20), ("two", 10)] {
            file.write(text, age);
            assert_eq!(look().as_deref(), Ok(text));
            assert_eq!(look().as_deref(), Ok(text), "kept");
        }
        std::fs::remove_file(&file.0).expect("removed");
        assert!(look().is_err(), "gone");
        assert_eq!(reads, 4);
    }

    #[test]
    fn the_hosts_file_gives_both_families_and_its_changes_are_seen() {
        let file = Scratch::new("hosts");
        let system = System { hosts_path: file.0.clone(), ..System::new(&[]) };
        let ips = |host: &str| {
            system.hosts_file(host).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(ips("db"), [""; 0], "there is no file");
        file.write("10.0.0.1 db db.example\nfd00::1 db\nnonsense\n", 20);
        assert_eq!(ips("db"), ["10.0.0.1", "fd00::1"]);
        assert_eq!(ips("DB.example."), ["10.0.0.1"]);
        file.write("10.0.0.2 db\n", 10);
        assert_eq!(ips("db"), ["10.0.0.2"]);
    }
}
