//! Where log lines go: stderr, filtered by `--log`, coloured only on a terminal.

use anyhow::Context;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::lines::Lines;
use crate::settings::Setting;
use crate::style;
use crate::usage::UsageError;

/// What others' crates say at these levels helps nobody who runs a node.
const QUIET: &str = "info,foca=warn,hickory_proto=error,hickory_resolver=error";

/// Reads a filter: a level, or `target=level,...`.
pub(crate) fn filter(setting: Option<&Setting<String>>) -> Result<Targets, UsageError> {
    let Some(setting) = setting else {
        return Ok(QUIET.parse().expect("the constant is a filter"));
    };
    let refuse = || {
        UsageError::new(format!(
            "{}: {:?} is no log level: off, error, warn, info, debug, trace, or target=level,...",
            setting.origin, setting.value
        ))
    };
    // A word that is no level would be taken for the name of a target.
    let known = |part: &str| {
        let level = part.parse::<tracing::level_filters::LevelFilter>();
        !part.is_empty() && (part.contains('=') || level.is_ok())
    };
    if !setting.value.split(',').all(known) {
        return Err(refuse());
    }
    setting.value.parse().map_err(|_| refuse())
}

/// Sends what is logged from now on to stderr. Flush the returned lines before the process ends.
pub(crate) fn start(filter: Targets) -> anyhow::Result<Lines> {
    let lines = Lines::to("stderr", std::io::stderr()).context("cannot start the log thread")?;
    let format = tracing_subscriber::fmt::layer()
        .with_ansi(style::stderr_has_colours())
        .with_writer(lines.clone());
    tracing_subscriber::registry()
        .with(filter)
        .with(format)
        .try_init()
        .context("logging was started before")?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Origin;

    #[test]
    fn a_level_or_targets_are_taken_and_anything_else_is_quoted() {
        let filter_of = |text: &str| {
            filter(Some(&Setting {
                value: text.to_owned(),
                origin: Origin::Env("CHISME_LOG".to_owned()),
            }))
        };
        assert!(filter(None).is_ok());
        for good in ["off", "info", "DEBUG", "chisme=debug", "warn,chisme=trace"] {
            assert!(filter_of(good).is_ok(), "{good}");
        }
        for bad in ["loud", "chisme=loud", "info,,"] {
            let error = filter_of(bad).expect_err(bad).to_string();
            assert!(error.starts_with(&format!("CHISME_LOG: {bad:?}")), "{error}");
        }
    }
}
