//! The client commands: each asks a running agent and prints what it said. What is printed is for
//! people, or JSON with `--json`; the exit status is 0 for yes, 1 for no, 2 for a wrong question.

mod members;
mod report;
pub(crate) mod services;
pub(crate) mod tags;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use chisme::NodeName;
use chisme::seed::Seed;

pub(crate) use self::members::members;
pub(crate) use self::report::status;
use crate::args::Target;
use crate::control::client::{Client, ClientError};
use crate::control::wire::{ContactRow, EventLine, RecordRequest};
use crate::output::{complain, out, reader_gone};
use crate::runtime::RuntimeDir;
use crate::style;
use crate::usage::UsageError;

/// The agent that `target` means.
pub(crate) fn agent(target: &Target) -> anyhow::Result<Client> {
    let empty = |text: &&str| !text.is_empty();
    let dir = target.runtime_dir.as_deref().filter(|dir| !dir.as_os_str().is_empty());
    let dir = RuntimeDir::find(dir)?;
    Ok(Client::open(dir.select(target.node.as_deref().filter(empty))?))
}

/// Has the agent change what it says of itself. What cannot be is a wrong question.
async fn edit_record(target: &Target, request: &RecordRequest) -> anyhow::Result<ExitCode> {
    match agent(target)?.edit_record(request).await {
        Err(ClientError::Wrong(why)) => Err(UsageError::new(why).into()),
        edited => Ok(edited.map(|()| ExitCode::SUCCESS)?),
    }
}

/// `chisme connect`
pub(crate) async fn connect(peer: &str, target: &Target) -> anyhow::Result<ExitCode> {
    peer.parse::<Seed>().map_err(|problem| UsageError::new(format!("PEER: {problem}")))?;
    if peer == "none" {
        return Err(UsageError::new("PEER: \"none\" stands for no seeds, it is no peer").into());
    }
    let answer = agent(target)?.connect(peer).await?;
    reasons(&answer.contacts).iter().for_each(|line| complain(line));
    if let Some(error) = &answer.error {
        complain(error);
    } else if answer.contacts.is_empty() {
        complain(&format!("{peer}: no address to try"));
    }
    out(&format!("{}\n", answer.connected))?;
    Ok(if answer.connected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Why each address that led to no member did not, one line for all that share a reason.
fn reasons(contacts: &[ContactRow]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<SocketAddr>)> = Vec::new();
    for contact in contacts {
        if matches!(contact.result.as_str(), "joined" | "already_known") {
            continue;
        }
        match reasons.iter_mut().find(|(detail, _)| *detail == contact.detail) {
            Some((_, addrs)) => addrs.push(contact.addr),
            None => reasons.push((&contact.detail, vec![contact.addr])),
        }
    }
    let line = |(detail, addrs): (&str, Vec<SocketAddr>)| match addrs.as_slice() {
        [first, others @ .., last] if others.len() > 1 => {
            format!("{first} ... {last} ({} addresses): {detail}", addrs.len())
        }
        few => {
            let few: Vec<String> = few.iter().map(ToString::to_string).collect();
            format!("{}: {detail}", few.join(" "))
        }
    };
    reasons.into_iter().map(line).collect()
}

/// `chisme nodes`
pub(crate) async fn nodes(target: &Target) -> anyhow::Result<ExitCode> {
    let names = agent(target)?.nodes().await?;
    out(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
    Ok(ExitCode::SUCCESS)
}

/// `chisme events`
pub(crate) async fn events(json: bool, target: &Target) -> anyhow::Result<ExitCode> {
    let mut events = agent(target)?.events().await?;
    let colours = style::stdout_has_colours();
    let follow = async {
        while let Some(event) = events.next().await? {
            let line =
                if json { serde_json::to_string(&event)? } else { for_people(&event, colours) };
            out(&format!("{line}\n"))?;
        }
        complain("the agent has stopped");
        Ok(ExitCode::SUCCESS)
    };
    tokio::select! {
        ended = follow => ended,
        () = reader_gone() => Ok(ExitCode::SUCCESS),
    }
}

/// `chisme ping`
pub(crate) async fn ping(name: &str, target: &Target) -> anyhow::Result<ExitCode> {
    NodeName::parse(name).map_err(|problem| UsageError::new(format!("NAME: {problem}")))?;
    let answer = agent(target)?.ping(name).await?;
    match answer.rtt_ns {
        Some(nanos) => {
            out(&format!("{name}: {}\n", round_trip(Duration::from_nanos(nanos))))?;
            Ok(ExitCode::SUCCESS)
        }
        None => {
            complain(answer.error.as_deref().unwrap_or("no answer"));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// `chisme leave`
pub(crate) async fn leave(target: &Target) -> anyhow::Result<ExitCode> {
    agent(target)?.leave().await?;
    Ok(ExitCode::SUCCESS)
}

/// `chisme refresh`
pub(crate) async fn refresh(target: &Target) -> anyhow::Result<ExitCode> {
    agent(target)?.refresh().await?;
    Ok(ExitCode::SUCCESS)
}

/// `chisme block`
pub(crate) async fn block(addrs: &[String], target: &Target) -> anyhow::Result<ExitCode> {
    let parse = |text: &String| {
        text.parse::<SocketAddr>().map_err(|_| {
            UsageError::new(format!("{text:?} is not an address: IP:PORT or [IPV6]:PORT"))
        })
    };
    let addrs = addrs.iter().map(parse).collect::<Result<_, _>>()?;
    agent(target)?.block(addrs).await?;
    Ok(ExitCode::SUCCESS)
}

fn for_people(event: &EventLine, colours: bool) -> String {
    let at = std::time::UNIX_EPOCH + Duration::from_nanos(event.t);
    let mut line =
        format!("{} {}", humantime::format_rfc3339_millis(at), style::event(&event.event, colours));
    for part in [&event.peer, &event.detail].into_iter().flatten() {
        line.push(' ');
        line.push_str(part);
    }
    format!("{line} ({} up)", event.n)
}

fn round_trip(rtt: Duration) -> String {
    let micros = rtt.as_secs_f64() * 1e6;
    if micros < 1000.0 { format!("{micros:.0} µs") } else { format!("{:.2} ms", micros / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = EventLine {
            t: 1_764_000_000_123_456_789,
            node: "n1@a".to_owned(),
            event: "up".to_owned(),
            peer: Some("n2@b".to_owned()),
            n: 2,
            detail: Some("10.0.0.7:4747".to_owned()),
        };
        assert_eq!(
            for_people(&event, false),
            "2025-11-24T16:00:00.123Z up n2@b 10.0.0.7:4747 (2 up)"
        );
        assert!(for_people(&event, true).contains("\x1b[32mup\x1b[0m"));
    }

    #[test]
    fn a_reason_that_many_addresses_share_is_said_once() {
        let row = |port: u16, result: &str, detail: &str| ContactRow {
            addr: ([127, 0, 0, 1], port).into(),
            result: result.to_owned(),
            detail: detail.to_owned(),
        };
        let mut contacts: Vec<_> = (1..=5).map(|port| row(port, "no_answer", "silent")).collect();
        contacts.insert(2, row(7, "ourselves", "leads back"));
        contacts.push(row(8, "joined", "fine"));
        assert_eq!(
            reasons(&contacts),
            ["127.0.0.1:1 ... 127.0.0.1:5 (5 addresses): silent", "127.0.0.1:7: leads back"]
        );
        assert_eq!(reasons(&contacts[..2]), ["127.0.0.1:1 127.0.0.1:2: silent"]);
    }

    #[test]
    fn a_round_trip_has_a_fitting_unit() {
        assert_eq!(round_trip(Duration::from_nanos(234_567)), "235 µs");
        assert_eq!(round_trip(Duration::from_nanos(12_345_678)), "12.35 ms");
    }
}
