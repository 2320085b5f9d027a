//! `chisme status`, for people.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use super::agent;
use crate::agent::notices::{self, WRONG_KEY_HINT};
use crate::args::Target;
use crate::control::wire::StatusReport;
use crate::output::out;

/// `chisme status`
pub(crate) async fn status(json: bool, target: &Target) -> anyhow::Result<ExitCode> {
    let report = agent(target)?.status().await?;
    if json {
        out(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        out(&text(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn text(report: &StatusReport) -> String {
    let mut text = String::new();
    let mut line = |what: &str, value: String| {
        // Writing to a string cannot fail.
        _ = writeln!(text, "{what:<12} {value}");
    };
    let addrs = |addrs: &[std::net::SocketAddr]| {
        addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    line("node", format!("{} (pid {}, session {})", report.name, report.pid, report.session));
    line("cluster", report.cluster.clone());
    line("cookie", format!("from {}", report.cookie));
    line("version", report.version.clone());
    let uptime = humantime::format_duration(Duration::from_secs(report.uptime_s));
    line("up for", uptime.to_string());
    line("listens at", addrs(&report.bound));
    line(
        "advertises",
        match report.advertised.as_slice() {
            [] => "nothing yet".to_owned(),
            advertised => addrs(advertised),
        },
    );
    line(
        "members",
        format!("{} up (itself included), {} down, {} left", report.up, report.down, report.left),
    );
    if report.seeds.is_empty() {
        line("seeds", "none".to_owned());
    }
    for seed in &report.seeds {
        let contacts = match seed.contacts.as_slice() {
            [] => String::new(),
            contacts => format!(" [{}]", addrs(contacts)),
        };
        line(
            "seed",
            format!("{}: {}{contacts} (from {})", seed.source, seed.detail, report.seeds_from),
        );
    }
    if let Some(why) = notices::unanswered(report) {
        line("notice", why);
    }
    for (reason, count) in &report.rejections {
        let hint = match reason.as_str() {
            "unknown_key" | "bad_tag" => format!(" ({WRONG_KEY_HINT})"),
            _ => String::new(),
        };
        line("rejected", format!("{count} datagrams: {reason}{hint}"));
    }
    for notice in &report.notices {
        let times =
            if notice.count > 1 { format!(" (× {})", notice.count) } else { String::new() };
        line("notice", format!("{} {}{times}", notice.at, notice.text));
    }
    let counter = |name: &str| report.counters.get(name).copied().unwrap_or(0);
    line(
        "traffic",
        format!(
            "{} datagrams ({} bytes) out, {} ({} bytes) in",
            counter("datagrams_sent"),
            counter("bytes_sent"),
            counter("datagrams_received"),
            counter("bytes_received")
        ),
    );
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::control::wire::{Notice, SeedRow};

    #[test]
    fn the_likely_reason_of_a_rejection_is_said() {
        let report = StatusReport {
            name: "n1@a".to_owned(),
            cluster: "default".to_owned(),
            pid: 7,
            session: "1".to_owned(),
            version: "0.1.0".to_owned(),
            uptime_s: 61,
            bound: vec![([0, 0, 0, 0], 4747).into()],
            advertised: Vec::new(),
            cookie: "--cookie".to_owned(),
            up: 2,
            down: 1,
            left: 0,
            seeds_from: "the default".to_owned(),
            seeds: vec![SeedRow {
                source: "malla.local".to_owned(),
                last: "no_such_name".to_owned(),
                detail: "no such name".to_owned(),
                at: None,
                contacts: Vec::new(),
            }],
            rejections: BTreeMap::from([("unknown_key".to_owned(), 12)]),
            notices: vec![Notice {
                at: "2026-11-23T15:00:00.000Z".to_owned(),
                kind: "refused".to_owned(),
                text: "refused 10.0.0.7:4747: why".to_owned(),
                count: 2,
            }],
            counters: BTreeMap::from([("datagrams_sent".to_owned(), 5)]),
        };
        let text = text(&report);
        for part in [
            "12 datagrams: unknown_key (different cookie or cluster name?)",
            "malla.local: no such name (from the default)",
            "2 up (itself included), 1 down, 0 left",
            "refused 10.0.0.7:4747: why (× 2)",
            "5 datagrams",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
