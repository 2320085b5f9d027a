//! The configuration file: its keys and how it is read. It knows nothing of flags or precedence, and
//! an error never shows a line of the file, which may hold a cookie.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, SeqAccess, Visitor};

use crate::cookie::{self, CookieText};
use crate::usage::{UsageError, system};

/// The longest file that is read, in bytes.
const MAX_CONFIG_BYTES: u64 = 64 * 1024;

/// Every key is a flag of `chisme agent` with `_` for `-`, or one of the tables at the end.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConfigFile {
    pub(crate) sname: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) cookie: Option<CookieText>,
    pub(crate) cookie_file: Option<PathBuf>,
    pub(crate) accept_cookie_file: Option<OneOrMany>,
    pub(crate) bind: Option<OneOrMany>,
    pub(crate) advertise: Option<OneOrMany>,
    pub(crate) connect: Option<OneOrMany>,
    pub(crate) dns_server: Option<OneOrMany>,
    pub(crate) events: Option<String>,
    pub(crate) log: Option<String>,
    pub(crate) preset: Option<String>,
    pub(crate) runtime_dir: Option<PathBuf>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) service: Vec<ServiceTable>,
}

/// A service that the agent offers from its start on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceTable {
    pub(crate) name: String,
    pub(crate) port: u16,
    #[serde(default)]
    pub(crate) version: String,
    pub(crate) status: Option<String>,
    pub(crate) weight: Option<u16>,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
}

/// The keys, as they stand in the file. Only these are shown in an error: what is not a key may be a
/// slip that put a cookie there.
const KEYS: [&str; 19] = [
    "sname",
    "name",
    "cluster",
    "cookie",
    "cookie_file",
    "accept_cookie_file",
    "bind",
    "advertise",
    "connect",
    "dns_server",
    "events",
    "log",
    "preset",
    "runtime_dir",
    "port",
    "version",
    "status",
    "weight",
    "metadata",
];

/// A list, or one string that stands for a list of one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct OneOrMany(pub(crate) Vec<String>);

impl ConfigFile {
    /// Reads `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, UsageError> {
        let shown = path.display();
        let failed =
            |e: std::io::Error| UsageError::new(format!("config file {shown}: {}", system(&e)));
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            // A pipe could be read once, but SIGHUP reads again.
            return Err(UsageError::new(format!("config file {shown} is not a file")));
        }
        if metadata.len() > MAX_CONFIG_BYTES {
            return Err(UsageError::new(format!(
                "config file {shown} has {} bytes; at most {MAX_CONFIG_BYTES} are read",
                metadata.len()
            )));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let file = Self::parse(&text)
            .map_err(|problem| UsageError::new(format!("config file {shown}, {problem}")))?;
        if file.cookie.is_some() {
            cookie::check_private(
                &format!("config file {shown}, which has a cookie,"),
                path,
                &metadata,
            )?;
        }
        Ok(file)
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..start].iter().filter(|&&b| b == b'\n').count();
            let key = text.lines().nth(line).and_then(|line| line.split('=').next());
            let key = match key.map(str::trim).filter(|key| KEYS.contains(key)) {
                Some(key) => format!(", `{key}`"),
                None => String::new(),
            };
            format!("line {}{key}: {}", line + 1, error.message())
        })
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strings;

        impl<'de> Visitor<'de> for Strings {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = seq.next_element()? {
                    entries.push(entry);
                }
                Ok(OneOrMany(entries))
            }
        }

        deserializer.deserialize_any(Strings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_of_the_agent_is_a_key() {
        let file = ConfigFile::parse(
            "sname = 'a'\nname = 'a@b.c'\ncluster = 'x'\ncookie = 'secret'\n\
             cookie_file = '/c'\naccept_cookie_file = ['/d', '/e']\nbind = '0.0.0.0:1'\n\
             advertise = ['10.0.0.1:1']\nconnect = ['one', 'two']\ndns_server = '127.0.0.1:53'\n\
             events = 'json'\nlog = 'debug'\npreset = 'fast'\nruntime_dir = '/run/x'\n",
        )
        .expect("valid");
        assert_eq!(file.connect, Some(OneOrMany(vec!["one".to_owned(), "two".to_owned()])));
        assert_eq!(file.bind, Some(OneOrMany(vec!["0.0.0.0:1".to_owned()])));
        assert_eq!(file.runtime_dir, Some(PathBuf::from("/run/x")));
    }

    #[test]
    fn an_unknown_key_is_quoted_with_its_line_and_what_is_allowed() {
        let error = ConfigFile::parse("sname = 'a'\nsnmae = 'b'\n").expect_err("unknown");
        assert!(error.starts_with("line 2: "), "{error}");
        assert!(error.contains("`snmae`") && error.contains("`sname`"), "{error}");
    }

    #[test]
    fn no_error_shows_a_cookie() {
        for broken in [
            "cookie = 'hunter2-hunter2",
            "cookie = 'hunter2' 'x'",
            "cookei = 'hunter2'",
            "cookie = ['hunter2']",
            "cookie = 31415926535",
            "cookie = 3.1415926535",
            "cookie = { hunter2 = 'hunter2' }",
            "cookie = hunter2",
        ] {
            let error = ConfigFile::parse(broken).expect_err(broken);
            assert!(!error.contains("hunter2") && !error.contains("1415926535"), "{error}");
        }
    }

    #[test]
    fn a_wrong_type_is_named() {
        let error = ConfigFile::parse("\nconnect = 7").expect_err("not a list");
        assert!(error.starts_with("line 2, `connect`: "), "{error}");
        assert!(error.contains("a string or a list of strings"), "{error}");
        let error = ConfigFile::parse("sname = ").expect_err("no value");
        assert!(error.starts_with("line 1, `sname`: "), "{error}");
    }
}
