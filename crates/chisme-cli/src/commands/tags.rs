//! `chisme tags`: what the agent's own node says of itself.

use std::process::ExitCode;

use anyhow::Context;

use super::{agent, edit_record};
use crate::args::Target;
use crate::control::client::Client;
use crate::control::wire::{MemberRow, RecordRequest};
use crate::output::out;
use crate::pairs::pairs;
use crate::usage::UsageError;

/// `chisme tags set`
pub(crate) async fn set(
    tags: &[String],
    replace: bool,
    target: &Target,
) -> anyhow::Result<ExitCode> {
    let tags = pairs("KEY=VALUE", tags)?;
    let request =
        if replace { RecordRequest::SetTags(tags) } else { RecordRequest::MergeTags(tags) };
    edit_record(target, &request).await
}

/// `chisme tags unset`. A key that is not there is a mistake worth telling.
pub(crate) async fn unset(keys: &[String], target: &Target) -> anyhow::Result<ExitCode> {
    let tags = own(&agent(target)?).await?.tags;
    if let Some(key) = keys.iter().find(|key| !tags.contains_key(*key)) {
        let there: Vec<&str> = tags.keys().map(String::as_str).collect();
        let there = if there.is_empty() { "no tags".to_owned() } else { there.join(", ") };
        return Err(UsageError::new(format!(
            "KEY: there is no tag {key:?}; the agent has {there}"
        ))
        .into());
    }
    edit_record(target, &RecordRequest::RemoveTags(keys.to_vec())).await
}

/// `chisme tags list`
pub(crate) async fn list(json: bool, target: &Target) -> anyhow::Result<ExitCode> {
    let tags = own(&agent(target)?).await?.tags;
    if json {
        out(&format!("{}\n", serde_json::to_string(&tags)?))?;
    } else {
        out(&tags.iter().map(|(key, value)| format!("{key}={value}\n")).collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The row of the agent's own node.
async fn own(client: &Client) -> anyhow::Result<MemberRow> {
    let mut rows = client.members().await?.into_iter();
    rows.find(|row| row.local).context("the agent does not name itself among its members")
}
