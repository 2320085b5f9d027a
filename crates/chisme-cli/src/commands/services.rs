//! `chisme services` and `chisme instances`: what members offer, and what the agent's own node does.

use std::process::ExitCode;

use chisme::{Record, RecordError, Service, ServiceStatus};
use tokio::time::timeout;

use super::members::CALM;
use super::{agent, edit_record};
use crate::args::{RegisterArgs, Target};
use crate::control::client::{Client, ClientError};
use crate::control::wire::{InstanceRow, RecordRequest, ServiceRow};
use crate::output::{complain, out, reader_gone};
use crate::pairs::pairs;
use crate::style;
use crate::usage::UsageError;

/// `chisme services`
pub(crate) async fn list(json: bool, target: &Target) -> anyhow::Result<ExitCode> {
    let rows = agent(target)?.services().await?;
    out(&format!("{}\n", text(&rows, json)?))?;
    Ok(ExitCode::SUCCESS)
}

/// `chisme services register`
pub(crate) async fn register(args: &RegisterArgs) -> anyhow::Result<ExitCode> {
    let mut service = Service::new(&args.name, args.port)
        .version(args.version.as_deref().unwrap_or_default())
        .weight(args.weight)
        .status(status(&args.status)?);
    service.metadata = pairs("--meta", &args.meta)?;
    check(Record::default().with_service(service.clone()).check())?;
    edit_record(&args.target, &RecordRequest::Register(ServiceRow::of(&service))).await
}

/// `chisme services status`, and `drain`, which is one of it.
pub(crate) async fn set_status(name: &str, to: &str, target: &Target) -> anyhow::Result<ExitCode> {
    valid(name)?;
    let status = status(to)?.to_string();
    edit_record(target, &RecordRequest::SetStatus { name: name.to_owned(), status }).await
}

/// `chisme services deregister`
pub(crate) async fn deregister(name: &str, target: &Target) -> anyhow::Result<ExitCode> {
    valid(name)?;
    edit_record(target, &RecordRequest::Deregister(name.to_owned())).await
}

/// `chisme instances`: exit status 1 if there is none.
pub(crate) async fn instances(
    name: &str,
    json: bool,
    watch: bool,
    target: &Target,
) -> anyhow::Result<ExitCode> {
    valid(name)?;
    let client = agent(target)?;
    if !watch {
        let rows = client.instances(name).await?;
        out(&format!("{}\n", text(&rows, json)?))?;
        return Ok(if rows.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    tokio::select! {
        ended = follow(&client, name, json) => ended?,
        () = reader_gone() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows the instances whenever they change, until the agent stops.
async fn follow(client: &Client, name: &str, json: bool) -> anyhow::Result<()> {
    let mut events = client.events().await?;
    let mut shown = None;
    while let Some(event) = events.next().await.transpose() {
        event?;
        // A burst of events is one change.
        let more = async { while let Ok(Some(_)) = events.next().await {} };
        if timeout(CALM, more).await.is_ok() {
            break;
        }
        let mut rows = match client.instances(name).await {
            Err(ClientError::NoAgent { .. }) => break,
            rows => rows?,
        };
        // Their order is new each time, and no change.
        rows.sort_by(|a, b| (!a.local, &a.node).cmp(&(!b.local, &b.node)));
        if shown.as_ref() != Some(&rows) {
            out(&format!("{}\n", text(&rows, json)?))?;
            shown = Some(rows);
        }
    }
    complain("the agent has stopped");
    Ok(())
}

fn text(rows: &[InstanceRow], json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(serde_json::to_string(rows)?);
    }
    let header = ["SERVICE", "NODE", "ADDRESS", "STATUS", "VERSION", "WEIGHT", "METADATA"];
    let mut table = style::table(style::stdout_has_colours(), &header);
    for row in rows {
        let InstanceRow { node, addrs, local, service } = row;
        let addrs: Vec<String> = addrs.iter().map(ToString::to_string).collect();
        let metadata: Vec<String> =
            service.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        table.add_row([
            service.name.clone().into(),
            if *local { format!("{node} (this node)") } else { node.clone() }.into(),
            or_dash(addrs.join(" ")).into(),
            style::state(&service.status),
            or_dash(service.version.clone()).into(),
            service.weight.to_string().into(),
            or_dash(metadata.join(" ")).into(),
        ]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim().to_owned()).collect();
    Ok(lines.join("\n"))
}

/// Whether this can be the name of a service: if not, nobody need be asked.
fn valid(name: &str) -> Result<(), UsageError> {
    check(Record::default().with_service(Service::new(name, 0)).check())
}

fn status(text: &str) -> Result<ServiceStatus, UsageError> {
    text.parse().map_err(|problem: RecordError| UsageError::new(problem.to_string()))
}

fn check(result: Result<(), RecordError>) -> Result<(), UsageError> {
    result.map_err(|problem| UsageError::new(problem.to_string()))
}
