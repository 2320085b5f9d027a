//! From what the user wrote to the name of a node. It knows the name of this host, nothing else.

use chisme::proto::NameError;
use chisme::{NameKind, NodeName};

use crate::usage::UsageError;

/// `--sname`: `node1` gets the name of this host, up to its first dot; `node1@host` is complete.
pub(crate) fn short(text: &str, origin: &str) -> Result<NodeName, UsageError> {
    let name = if text.contains('@') {
        parse(text, origin)?
    } else {
        let host = host_name(origin)?;
        if text.is_empty() {
            let why = "is not a name: it must look like node1 or node1@host";
            return Err(UsageError::new(format!("{origin}: {text:?} {why}")));
        }
        // What the user wrote is quoted, not what it would have become.
        NodeName::parse(&format!("{text}@{host}")).map_err(|problem| match problem {
            NameError::Character { character, .. } if text.contains(character) => {
                refuse(NameError::Character { name: text.to_owned(), character }, origin)
            }
            other => refuse(other, origin),
        })?
    };
    match name.kind() {
        NameKind::Short => Ok(name),
        NameKind::Long => Err(UsageError::new(format!(
            "{origin}: {text:?} is a long name (its host has a dot); give it as --name, or a host \
             without a dot"
        ))),
    }
}

/// `--name`: always complete, and the host has a dot.
pub(crate) fn long(text: &str, origin: &str) -> Result<NodeName, UsageError> {
    let name = parse(text, origin)?;
    match name.kind() {
        NameKind::Long => Ok(name),
        NameKind::Short => Err(UsageError::new(format!(
            "{origin}: {text:?} is a short name (its host has no dot); give it as --sname, or a \
             fully qualified host as in {}@{}.example.com",
            name.local(),
            name.host()
        ))),
    }
}

/// Reads `name@host`, either kind.
pub(crate) fn parse(text: &str, origin: &str) -> Result<NodeName, UsageError> {
    NodeName::parse(text).map_err(|problem| refuse(problem, origin))
}

fn refuse(problem: NameError, origin: &str) -> UsageError {
    UsageError::new(format!("{origin}: {problem}"))
}

fn host_name(origin: &str) -> Result<String, UsageError> {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    match host.split('.').next() {
        Some(host) if !host.is_empty() => Ok(host.to_owned()),
        _ => Err(UsageError::new(format!("{origin}: this host has no name; give name@host"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_gets_the_host_up_to_its_first_dot() {
        let name = short("node1", "--sname").expect("valid");
        assert_eq!(name.local(), "node1");
        assert_eq!(name.kind(), NameKind::Short);
        assert!(!name.host().is_empty());
        assert_eq!(short("node1@db", "--sname").expect("valid").as_str(), "node1@db");
    }

    #[test]
    fn each_kind_sends_the_other_to_its_flag() {
        let error = short("node1@a.example", "--sname").expect_err("long").to_string();
        assert!(error.contains("\"node1@a.example\"") && error.contains("--name"), "{error}");
        let error = long("node1@a", "CHISME_NAME").expect_err("short").to_string();
        assert!(error.contains("CHISME_NAME") && error.contains("--sname"), "{error}");
        assert_eq!(long("n@a.b", "--name").expect("valid").as_str(), "n@a.b");
    }

    #[test]
    fn a_bad_name_is_quoted() {
        for bad in ["no de", "node\u{e9}", "a@b@c", ""] {
            let error = short(bad, "--sname").expect_err(bad).to_string();
            assert!(error.starts_with(&format!("--sname: {bad:?} ")), "{error}");
        }
        let long_text = "n".repeat(300);
        assert!(short(&long_text, "--sname").expect_err("too long").to_string().contains("255"));
        assert!(long("node1", "--name").expect_err("no host").to_string().contains("name@host"));
    }
}
