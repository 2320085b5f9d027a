//! What an agent will do: flags, environment, configuration file and defaults made into one checked
//! whole, with the origin of each setting for error messages. It opens no socket and starts nothing.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use chisme::proto::VersionRange;
use chisme::seed::Seed;
use chisme::{ClusterName, NodeName, Preset, Record};
use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::args::{AgentArgs, EventFormat};
use crate::config_file::{ConfigFile, OneOrMany};
use crate::cookie::CookieSources;
use crate::names;
use crate::usage::{UsageError, tilde};

/// The seed of an agent that is given none and finds no `CLUSTER_DNS_NAME`, as in Malla's guide.
pub(crate) const DEFAULT_SEED: &str = "malla.local";

/// The most further cookies that are accepted, as many as a key ring holds.
pub(crate) const MAX_ACCEPTED_COOKIES: usize = chisme::proto::MAX_ACCEPTED_KEYS;

/// The most entries of a list; more is a mistake.
const MAX_ENTRIES: usize = 256;

/// Everything that `chisme agent` needs to know before it starts.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: NodeName,
    pub(crate) cluster: ClusterName,
    pub(crate) cookie: CookieSources,
    pub(crate) accept_cookie_files: Vec<PathBuf>,
    pub(crate) bind: Setting<Vec<SocketAddr>>,
    pub(crate) advertise: Vec<SocketAddr>,
    pub(crate) seeds: Setting<Vec<String>>,
    pub(crate) dns_servers: Vec<SocketAddr>,
    pub(crate) events: Option<EventFormat>,
    pub(crate) log: Option<Setting<String>>,
    pub(crate) runtime_dir: Option<PathBuf>,
    pub(crate) preset: Preset,
    pub(crate) versions: Option<VersionRange>,
    pub(crate) record: Record,
}

/// A value, and who asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// Who asked for a value, highest rank first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// The flag, as "--bind".
    Flag(String),
    /// The environment variable.
    Env(String),
    /// The key and the configuration file.
    File(String, PathBuf),
    /// Nobody.
    Default,
}

/// What the agent takes from its environment besides the variables of its flags.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// `CLUSTER_DNS_NAME`.
    pub(crate) cluster_dns_name: Option<String>,
    /// `CHISME_TEST_PROTOCOL`.
    pub(crate) test_protocol: Option<String>,
}

impl Surroundings {
    /// Reads the environment of this process.
    pub(crate) fn read() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|text: &String| !text.is_empty());
        Self {
            cluster_dns_name: variable("CLUSTER_DNS_NAME"),
            test_protocol: variable("CHISME_TEST_PROTOCOL"),
        }
    }
}

impl Settings {
    /// Puts the settings together. `matches` are those of `args`.
    ///
    /// # Errors
    /// The first setting that is wrong, quoted, with who asked for it and what is allowed.
    pub(crate) fn resolve(
        args: &AgentArgs,
        matches: &ArgMatches,
        surroundings: &Surroundings,
    ) -> Result<Self, UsageError> {
        let config = Ranks { matches, path: Path::new("") }.path("config", &args.config, &None)?;
        let path = config.map(|setting| setting.value);
        let file = path.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
        let ranks = Ranks { matches, path: path.as_deref().unwrap_or(Path::new("")) };
        let cluster = match ranks.one("cluster", &args.cluster, &file.cluster) {
            None => ClusterName::default(),
            Some(text) => ClusterName::parse(&text.value)
                .map_err(|problem| UsageError::new(format!("{}: {problem}", text.origin)))?,
        };
        let bind = ranks.list("bind", &args.bind, &file.bind);
        let bind = one_per_family(addresses(bind, Port::MayBeZero)?)?;
        let events = match ranks.one("events", &args.events, &file.events) {
            None => None,
            Some(format) if format.value == "json" => Some(EventFormat::Json),
            Some(format) => return Err(format.refuse("is no format of events: json is allowed")),
        };
        Ok(Self {
            name: name(&ranks, args, &file)?,
            cluster,
            cookie: cookie_sources(&ranks, args, &file)?,
            accept_cookie_files: accept_cookie_files(&ranks, args, &file)?,
            bind,
            advertise: one_host_each(one_per_family(addresses(
                ranks.list("advertise", &args.advertise, &file.advertise),
                Port::MayBeZero,
            )?)?)?,
            seeds: seeds(ranks.list("connect", &args.connect, &file.connect), surroundings)?,
            dns_servers: addresses(
                ranks.list("dns_server", &args.dns_server, &file.dns_server),
                Port::Given,
            )?
            .value,
            events,
            log: ranks.one("log", &args.log, &file.log),
            runtime_dir: ranks
                .path("runtime_dir", &args.runtime_dir, &file.runtime_dir)?
                .map(|dir| dir.value),
            preset: preset(ranks.one("preset", &args.preset, &file.preset))?,
            versions: surroundings.test_protocol.as_deref().map(versions).transpose()?,
            record: record::record(&file, ranks.path)?,
        })
    }
}

impl<T: fmt::Debug> Setting<T> {
    fn refuse(&self, why: &str) -> UsageError {
        UsageError::new(format!("{}: {:?} {why}", self.origin, self.value))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Env(name) => f.write_str(name),
            Self::File(key, path) => write!(f, "`{key}` in {}", tilde(path)),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// Decides between flag, environment and file, key by key.
struct Ranks<'a> {
    matches: &'a ArgMatches,
    path: &'a Path,
}

impl Ranks<'_> {
    /// Flag or environment: clap has decided between these two.
    fn given_as(&self, key: &str) -> Option<Origin> {
        match self.matches.value_source(key)? {
            ValueSource::CommandLine => Some(Origin::Flag(format!("--{}", key.replace('_', "-")))),
            ValueSource::EnvVariable => {
                Some(Origin::Env(format!("CHISME_{}", key.to_ascii_uppercase())))
            }
            _ => None,
        }
    }

    fn file(&self, key: &str) -> Origin {
        Origin::File(key.to_owned(), self.path.to_owned())
    }

    fn one<T: Clone + AsRef<std::ffi::OsStr>>(
        &self,
        key: &str,
        given: &Option<T>,
        in_file: &Option<T>,
    ) -> Option<Setting<T>> {
        if let (Some(value), Some(origin)) = (given, self.given_as(key)) {
            let unset = matches!(origin, Origin::Env(_)) && value.as_ref().is_empty();
            if !unset {
                return Some(Setting { value: value.clone(), origin });
            }
        }
        in_file.clone().map(|value| Setting { value, origin: self.file(key) })
    }

    /// As [`one`](Self::one), for a path.
    fn path(
        &self,
        key: &str,
        given: &Option<PathBuf>,
        in_file: &Option<PathBuf>,
    ) -> Result<Option<Setting<PathBuf>>, UsageError> {
        match self.one(key, given, in_file) {
            Some(setting) if setting.value.as_os_str().is_empty() => {
                Err(setting.refuse("leads nowhere: a path is needed"))
            }
            setting => Ok(setting),
        }
    }

    fn list(
        &self,
        key: &str,
        given: &[String],
        in_file: &Option<OneOrMany>,
    ) -> Option<Setting<Vec<String>>> {
        if let Some(origin) = self.given_as(key) {
            let unset =
                matches!(origin, Origin::Env(_)) && given.iter().all(|entry| entry.is_empty());
            if !unset {
                let value = given.iter().map(|entry| entry.trim().to_owned()).collect();
                return Some(Setting { value, origin });
            }
        }
        in_file.as_ref().map(|list| Setting { value: list.0.clone(), origin: self.file(key) })
    }
}

fn name(ranks: &Ranks<'_>, args: &AgentArgs, file: &ConfigFile) -> Result<NodeName, UsageError> {
    let sname = ranks.one("sname", &args.sname, &file.sname);
    let name = ranks.one("name", &args.name, &file.name);
    let rank = |setting: &Setting<String>| match setting.origin {
        Origin::Flag(_) => 0,
        Origin::Env(_) => 1,
        Origin::File(..) => 2,
        Origin::Default => 3,
    };
    match (sname, name) {
        (None, None) => Err(UsageError::new(
            "the node needs a name: --sname node1 (short) or --name node1@host.example.com (long)",
        )),
        (Some(s), Some(n)) if rank(&s) == rank(&n) => Err(UsageError::new(format!(
            "{} {:?} and {} {:?}: a node has one name, short or long; give one of them",
            s.origin, s.value, n.origin, n.value
        ))),
        (Some(s), Some(n)) if rank(&s) > rank(&n) => names::long(&n.value, &n.origin.to_string()),
        (Some(s), _) => names::short(&s.value, &s.origin.to_string()),
        (None, Some(n)) => names::long(&n.value, &n.origin.to_string()),
    }
}

fn cookie_sources(
    ranks: &Ranks<'_>,
    args: &AgentArgs,
    file: &ConfigFile,
) -> Result<CookieSources, UsageError> {
    if let (Some(origin), Some(text)) = (ranks.given_as("cookie"), &args.cookie) {
        let text = Some((origin.to_string(), text.clone()));
        return Ok(CookieSources { text, file: None });
    }
    let named = ranks.path("cookie_file", &args.cookie_file, &file.cookie_file)?;
    let named_in_file = matches!(&named, Some(Setting { origin: Origin::File(..), .. }));
    match (&file.cookie, named) {
        (Some(_), Some(_)) if named_in_file => Err(UsageError::new(format!(
            "config file {}: `cookie` and `cookie_file` are both set; keep one",
            tilde(ranks.path)
        ))),
        (Some(text), None) => {
            let origin = ranks.file("cookie").to_string();
            Ok(CookieSources { text: Some((origin, text.clone())), file: None })
        }
        (_, named) => Ok(CookieSources {
            text: None,
            file: named.map(|setting| (setting.origin.to_string(), setting.value)),
        }),
    }
}

fn accept_cookie_files(
    ranks: &Ranks<'_>,
    args: &AgentArgs,
    file: &ConfigFile,
) -> Result<Vec<PathBuf>, UsageError> {
    const KEY: &str = "accept_cookie_file";
    let given: Vec<String> =
        args.accept_cookie_file.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let Some(list) = ranks.list(KEY, &given, &file.accept_cookie_file) else {
        return Ok(Vec::new());
    };
    if list.value.len() > MAX_ACCEPTED_COOKIES {
        return Err(UsageError::new(format!(
            "{}: {} files; at most {MAX_ACCEPTED_COOKIES} further cookies are accepted",
            list.origin,
            list.value.len()
        )));
    }
    if list.value.iter().any(String::is_empty) {
        return Err(list.refuse("has an empty path: each entry names a file"));
    }
    Ok(list.value.into_iter().map(PathBuf::from).collect())
}

/// Whether port 0 makes sense: the kernel's choice, and for an advertised address the bound port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    MayBeZero,
    Given,
}

fn addresses(
    list: Option<Setting<Vec<String>>>,
    port: Port,
) -> Result<Setting<Vec<SocketAddr>>, UsageError> {
    let Some(Setting { value, origin }) = list else {
        return Ok(Setting { value: Vec::new(), origin: Origin::Default });
    };
    let mut addrs = Vec::new();
    for text in value {
        match text.parse::<SocketAddr>() {
            Ok(addr) if addr.port() != 0 || port == Port::MayBeZero => addrs.push(addr),
            Ok(_) => {
                return Err(UsageError::new(format!("{origin}: {text:?} needs a port above 0")));
            }
            Err(_) => {
                return Err(UsageError::new(format!(
                    "{origin}: {text:?} is not an address: IP:PORT or [IPV6]:PORT, as in \
                     10.0.0.7:4747 or [::]:4747"
                )));
            }
        }
    }
    Ok(Setting { value: addrs, origin })
}

fn one_per_family(list: Setting<Vec<SocketAddr>>) -> Result<Setting<Vec<SocketAddr>>, UsageError> {
    for family in [SocketAddr::is_ipv4, SocketAddr::is_ipv6] {
        if let Some(second) = list.value.iter().filter(|addr| family(addr)).nth(1) {
            return Err(UsageError::new(format!(
                "{}: {second} is a second address of its family; one IPv4 and one IPv6 address \
                 are allowed",
                list.origin
            )));
        }
    }
    Ok(list)
}

/// Refuses advertised addresses that lead to no host or to many.
fn one_host_each(list: Setting<Vec<SocketAddr>>) -> Result<Vec<SocketAddr>, UsageError> {
    let vague = |addr: &&SocketAddr| {
        let ip = addr.ip().to_canonical();
        let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        ip.is_unspecified() || ip.is_multicast() || broadcast
    };
    match list.value.iter().find(vague) {
        Some(addr) => Err(UsageError::new(format!(
            "{}: \"{addr}\" is no address by which others reach one node; give one of this host, or \
             leave it out",
            list.origin
        ))),
        None => Ok(list.value),
    }
}

/// The seeds as texts, each of them valid. `none`, alone, is an empty list.
fn seeds(
    list: Option<Setting<Vec<String>>>,
    surroundings: &Surroundings,
) -> Result<Setting<Vec<String>>, UsageError> {
    let seeds = list.unwrap_or_else(|| match &surroundings.cluster_dns_name {
        Some(name) => Setting {
            value: vec![name.clone()],
            origin: Origin::Env("CLUSTER_DNS_NAME".to_owned()),
        },
        None => Setting { value: vec![DEFAULT_SEED.to_owned()], origin: Origin::Default },
    });
    if seeds.value.iter().any(|seed| seed == "none") {
        if let Some(other) = seeds.value.iter().find(|seed| *seed != "none") {
            return Err(UsageError::new(format!(
                "{}: \"none\" stands alone, but {other:?} is given too",
                seeds.origin
            )));
        }
        return Ok(Setting { value: Vec::new(), origin: seeds.origin });
    }
    if seeds.value.len() > MAX_ENTRIES {
        return Err(UsageError::new(format!(
            "{}: {} seeds; at most {MAX_ENTRIES} are allowed",
            seeds.origin,
            seeds.value.len()
        )));
    }
    for text in &seeds.value {
        text.parse::<Seed>()
            .map_err(|problem| UsageError::new(format!("{}: {problem}", seeds.origin)))?;
    }
    Ok(seeds)
}

/// The name of a preset.
fn preset(given: Option<Setting<String>>) -> Result<Preset, UsageError> {
    let Some(given) = given else { return Ok(Preset::default()) };
    given.value.parse().map_err(|_| given.refuse("is no preset: lan, fast, wan and local are"))
}

/// "2" or "2-3".
fn versions(text: &str) -> Result<VersionRange, UsageError> {
    let (min, max) = text.split_once('-').unwrap_or((text, text));
    match (min.parse(), max.parse()) {
        (Ok(min), Ok(max)) if min <= max => Ok(VersionRange { min, max }),
        _ => Err(UsageError::new(format!(
            "CHISME_TEST_PROTOCOL: {text:?} is no range of versions, as 2 or 2-3"
        ))),
    }
}

mod record;
#[cfg(test)]
mod tests;
