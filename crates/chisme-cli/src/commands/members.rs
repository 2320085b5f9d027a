//! `chisme members`: the table, once or whenever it changes.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::agent;
use crate::args::Target;
use crate::control::client::{Client, ClientError};
use crate::control::wire::MemberRow;
use crate::output::{complain, out, reader_gone};
use crate::style;

/// Changes that come this close together are shown together.
pub(super) const CALM: Duration = Duration::from_millis(50);

/// How often the ages in the table on a terminal are brought up to date.
const TICK: Duration = Duration::from_secs(1);

/// Clears the terminal and goes to its upper left corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// `chisme members`
pub(crate) async fn members(json: bool, watch: bool, target: &Target) -> anyhow::Result<ExitCode> {
    let client = agent(target)?;
    if !watch {
        show(&client.members().await?, json, "")?;
        return Ok(ExitCode::SUCCESS);
    }
    tokio::select! {
        ended = follow(&client, json) => ended?,
        () = reader_gone() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows the table whenever it changes, until the agent stops.
async fn follow(client: &Client, json: bool) -> anyhow::Result<()> {
    let live = style::stdout_is_live() && !json;
    let (clear, patience) = if live { (CLEAR, TICK) } else { ("", Duration::MAX) };
    let mut events = client.events().await?;
    let mut shown = None;
    loop {
        match timeout(patience, events.next()).await.map(Result::transpose) {
            Ok(None) => break,
            Ok(Some(event)) => {
                event?;
                let more = async { while let Ok(Some(_)) = events.next().await {} };
                // A burst of events is one change of the table, and its end that of the agent.
                if timeout(CALM, more).await.is_ok() {
                    break;
                }
            }
            // Nothing has happened, but everybody is older.
            Err(_) => shown = None,
        }
        let rows = match client.members().await {
            Err(ClientError::NoAgent { .. }) => break,
            rows => rows?,
        };
        if shown.as_ref() != Some(&rows) {
            show(&rows, json, clear)?;
            shown = Some(rows);
        }
    }
    complain("the agent has stopped");
    Ok(())
}

fn show(rows: &[MemberRow], json: bool, clear: &str) -> anyhow::Result<()> {
    let text = if json {
        serde_json::to_string(rows)?
    } else {
        table(rows, SystemTime::now(), style::stdout_has_colours())
    };
    out(&format!("{clear}{text}\n"))
}

/// The members, one per line.
pub(crate) fn table(rows: &[MemberRow], now: SystemTime, colours: bool) -> String {
    let mut table = style::table(colours, &["NAME", "ADDRESS", "STATE", "SINCE", "FAMILY", "RTT"]);
    for row in rows {
        let addrs: Vec<String> = row.addrs.iter().map(ToString::to_string).collect();
        let name = if row.local { format!("{} (this node)", row.name) } else { row.name.clone() };
        table.add_row([
            name.into(),
            if addrs.is_empty() { "-".to_owned() } else { addrs.join(" ") }.into(),
            style::state(&row.state),
            ago(&row.since, now).into(),
            row.family.clone().into(),
            row.rtt_us.map_or_else(|| "-".to_owned(), milliseconds).into(),
        ]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim().to_owned()).collect();
    lines.join("\n")
}

/// A round trip, as `ping` prints it.
fn milliseconds(micros: u64) -> String {
    format!("{}.{:03} ms", micros / 1_000, micros % 1_000)
}

/// How long ago `since` was, in its two largest units; as it stands if it cannot be read.
fn ago(since: &str, now: SystemTime) -> String {
    let Ok(since) = humantime::parse_rfc3339(since) else { return since.to_owned() };
    let age = Duration::from_secs(now.duration_since(since).unwrap_or_default().as_secs());
    let text = humantime::format_duration(age).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, state: &str, local: bool) -> MemberRow {
        MemberRow {
            name: name.to_owned(),
            state: state.to_owned(),
            addrs: vec![([10, 0, 0, 7], 4747).into()],
            family: "ipv4".to_owned(),
            since: "2026-11-23T15:00:00Z".to_owned(),
            session: "1".to_owned(),
            local,
            rtt_us: (!local).then_some(1_250),
            tags: std::collections::BTreeMap::new(),
            services: Vec::new(),
        }
    }

    #[test]
    fn the_table_has_a_line_per_member_and_no_colours_unless_wanted() {
        let now = humantime::parse_rfc3339("2026-11-23T16:02:03Z").expect("valid");
        let rows = [row("n1@a", "alive", true), row("n2@a", "down", false)];
        let text = table(&rows, now, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].starts_with("n1@a (this node)") && lines[1].contains("1h 2m"), "{text}");
        assert!(lines[2].contains("10.0.0.7:4747") && lines[2].contains("down"), "{text}");
        assert!(lines[1].ends_with('-') && lines[2].ends_with("1.250 ms"), "{text}");
        assert!(!text.contains('\x1b') && table(&rows, now, true).contains('\x1b'));
    }
}
