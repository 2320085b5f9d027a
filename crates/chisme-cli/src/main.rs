//! `chisme`, the binary: an agent in the foreground, commands that ask a running one, and a demo.
//!
//! `args` is the command line; `settings`, `config_file`, `cookie` and `names` turn it into what an
//! agent will do; `agent` does it, and ends as a whole if it panics (`abort`); `runtime` is the
//! directory in which agents and commands meet, and `control` what they say to each other;
//! `commands` ask, `output` prints, `sim` runs simulations. The protocol is in the library `chisme`.

mod abort;
mod agent;
mod args;
mod commands;
mod config_file;
mod control;
mod cookie;
mod demo;
mod lines;
mod logs;
mod names;
mod output;
mod pairs;
mod runtime;
mod settings;
mod sim;
mod style;
mod usage;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::args::{Cli, Command, ServicesCommand, TagsCommand};
use crate::usage::UsageError;

/// The exit status for what the user got wrong, as clap has it.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli.command, &matches) {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("error: {}", usage::with_causes(error.as_ref())));
            if error.chain().any(|cause| cause.is::<UsageError>()) {
                ExitCode::from(EXIT_USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(command: Command, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    match command {
        Command::Agent(args) => {
            let matches = matches.subcommand_matches("agent").unwrap_or(matches);
            agent::run(*args, matches)
        }
        Command::Demo(args) => demo::run(args),
        Command::Sim { command } => sim::run(command),
        Command::Cookie { output } => {
            let path = cookie::make(output)?;
            output::out(&format!("{}\n", path.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "chisme", &mut script);
            output::out(&String::from_utf8(script)?)?;
            Ok(ExitCode::SUCCESS)
        }
        command => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(ask(command)),
    }
}

/// The commands that ask a running agent.
async fn ask(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Connect { peer, target } => commands::connect(&peer, &target).await,
        Command::Nodes { target } => commands::nodes(&target).await,
        Command::Members { json, watch, target } => commands::members(json, watch, &target).await,
        Command::Events { json, target } => commands::events(json, &target).await,
        Command::Ping { name, target } => commands::ping(&name, &target).await,
        Command::Leave { target } => commands::leave(&target).await,
        Command::Refresh { target } => commands::refresh(&target).await,
        Command::Status { json, target } => commands::status(json, &target).await,
        Command::Tags { command } => match command {
            TagsCommand::Set { replace, tags, target } => {
                commands::tags::set(&tags, replace, &target).await
            }
            TagsCommand::List { json, target } => commands::tags::list(json, &target).await,
            TagsCommand::Unset { keys, target } => commands::tags::unset(&keys, &target).await,
        },
        Command::Services { command: None, json, target } => {
            commands::services::list(json, &target).await
        }
        Command::Services { command: Some(command), .. } => services(command).await,
        Command::Instances { name, json, watch, target } => {
            commands::services::instances(&name, json, watch, &target).await
        }
        Command::Block { addrs, target } => commands::block(&addrs, &target).await,
        Command::Agent(_)
        | Command::Demo(_)
        | Command::Sim { .. }
        | Command::Cookie { .. }
        | Command::Completions { .. } => {
            unreachable!("run has taken these")
        }
    }
}

async fn services(command: ServicesCommand) -> anyhow::Result<ExitCode> {
    match command {
        ServicesCommand::Register(args) => commands::services::register(&args).await,
        ServicesCommand::Status { name, status, target } => {
            commands::services::set_status(&name, &status, &target).await
        }
        ServicesCommand::Drain { name, target } => {
            commands::services::set_status(&name, "draining", &target).await
        }
        ServicesCommand::Deregister { name, target } => {
            commands::services::deregister(&name, &target).await
        }
    }
}
