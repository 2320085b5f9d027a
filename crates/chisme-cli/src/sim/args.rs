//! The command line of `chisme sim`.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};

/// Where scenarios are looked up by name, if nothing else is said and it is there.
pub(super) const USUAL_DIR: &str = "simulations";

/// Seeds at most: each one is a run.
const MAX_SEEDS: u64 = 1_000_000;

/// Runs at once at most: each one is a thread.
const MAX_JOBS: usize = 256;

/// What is asked of the simulator.
#[derive(Debug, Subcommand)]
pub(crate) enum SimCommand {
    /// Run scenarios, each with many seeds and over its grid, in parallel.
    #[command(after_help = "Examples:\n  chisme sim run split-half-heal\n  \
        chisme sim run simulations/*.toml --seeds 1..50 --report all.html\n  \
        chisme sim run steady-loss --set network.loss=0.15 --baseline\n\n\
        Exit status: 0 all passed, 1 an expectation was missed, 3 views did not become right, 4 a rule\n\
        was broken, 5 a node panicked, 6 the scenario or the simulator is wrong, a run does not repeat or\n\
        something cannot be written; the worst one counts. 2 if the question was wrong, 130 after Ctrl-C.")]
    Run(Box<RunArgs>),
    /// The scenarios that there are, and what each one is for.
    #[command(after_help = "Example:\n  chisme sim list")]
    List {
        #[command(flatten)]
        place: Place,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print a scenario as it is written, to make another of it.
    #[command(
        after_help = "Example:\n  chisme sim show split-half-heal > mine.toml && chisme sim run mine.toml"
    )]
    Show {
        /// A file, or the name of a scenario.
        #[arg(value_name = "FILE|NAME")]
        scenario: String,
        #[command(flatten)]
        place: Place,
    },
    /// Run one scenario with one seed, and tell everything.
    #[command(after_help = "Examples:\n  chisme sim replay split-half-heal --seed 7 -v\n  \
        chisme sim replay crash-one --seed 3 --report run.html --pcap run.pcap --window 5..20")]
    Replay(Box<ReplayArgs>),
    /// Draw scenarios at random within what a correct product must stand, until one fails.
    #[command(after_help = "Examples:\n  chisme sim swarm --for 10m\n  \
        chisme sim swarm --from-seed 1000 --shrink\n\n\
        Exit status: that of the failure, as for `chisme sim run`, also after Ctrl-C; 0 when its time is up and\n\
        nothing has failed, 130 if Ctrl-C ends it before.")]
    Swarm(SwarmArgs),
}

/// Where scenarios are looked for.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// The folder in which names are looked up. [default: simulations, if it is here; then the scenarios
    /// that are built into this program]
    #[arg(long, value_name = "DIR", env = "CHISME_SIM_DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// What is changed in a scenario.
#[derive(Args, Clone, Debug)]
pub(crate) struct Changes {
    /// Change a setting: the path of a key and a TOML value (repeatable), such as
    /// network.loss=0.2, fault.0.for=\"1m\" or nodes.count=64.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

impl Changes {
    pub(crate) const fn none() -> Self {
        Self { set: Vec::new() }
    }
}

/// What is written besides the table.
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("datagrams").args(["report", "pcap"]).multiple(true))]
#[command(next_help_heading = "Output")]
pub(crate) struct Outputs {
    /// Print a line for each change of a view.
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Print a JSON summary on stdout instead of tables; what --shrink finds is its field `shrunk`.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a report: one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Write every change of a view and of a process, one JSON object per line.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Write the datagrams as a capture, for Wireshark.
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,
    /// The seconds of the run whose datagrams are kept for the report and the capture, as 5..20. It
    /// begins before the run ends.
    #[arg(long, value_name = "FROM..TO", value_parser = window, requires = "datagrams")]
    pub(crate) window: Option<(f64, f64)>,
}

/// `chisme sim run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Files, or names of scenarios.
    #[arg(value_name = "FILE|NAME", required = true)]
    pub(crate) scenarios: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The seeds, both ends included. [default: those that the scenario names]
    #[arg(long, value_name = "FROM..TO", value_parser = seeds)]
    pub(crate) seeds: Option<(u64, u64)>,
    /// How many runs at once. [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub(crate) jobs: Option<NonZero<usize>>,
    #[command(flatten)]
    pub(crate) changes: Changes,
    /// Run everything once more with foca as it comes, on the same network.
    #[arg(long)]
    pub(crate) baseline: bool,
    /// Print the table as Markdown, with what was missed.
    #[arg(long, conflicts_with_all = ["json", "check_determinism"])]
    pub(crate) markdown: bool,
    /// Run each seed twice, and name the first event that differs.
    #[arg(long, conflicts_with_all = [
        "baseline", "json", "pcap", "report", "shrink", "trace", "verbose", "window",
    ])]
    pub(crate) check_determinism: bool,
    /// Make the first failure smaller: fewer faults, fewer nodes, shorter.
    #[arg(long)]
    pub(crate) shrink: bool,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

/// `chisme sim replay`.
#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// A file, or the name of a scenario.
    #[arg(value_name = "FILE|NAME")]
    pub(crate) scenario: String,
    #[command(flatten)]
    pub(crate) place: Place,
    /// The seed.
    #[arg(long, value_name = "N")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) changes: Changes,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

/// `chisme sim swarm`.
#[derive(Args, Debug)]
pub(crate) struct SwarmArgs {
    /// A file, or the name of a scenario, whose [swarm] says within what is drawn. [default: what a
    /// correct product must stand]
    #[arg(value_name = "FILE|NAME")]
    pub(crate) scenario: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Stop after this time. [default: never, until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub(crate) limit: Option<Duration>,
    /// The first seed; each one draws another scenario.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) from_seed: u64,
    /// How many runs at once. [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub(crate) jobs: Option<NonZero<usize>>,
    /// Make a failure smaller before it is written down.
    #[arg(long)]
    pub(crate) shrink: bool,
    /// Where the scenario of a failure is written; it is made if there is no such folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) failures: PathBuf,
}

fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; a time looks like 10m or 1h 30m"))
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    match (from.parse(), to.strip_prefix('=').unwrap_or(to).parse()) {
        (Ok(from), Ok(to)) if from <= to && to - from < MAX_SEEDS => Ok((from, to)),
        (Ok(from), Ok(to)) if from <= to => {
            Err(format!("more than {MAX_SEEDS} seeds; take them in parts"))
        }
        _ => Err("seeds look like 1..1000, or 7".to_owned()),
    }
}

fn jobs(text: &str) -> Result<NonZero<usize>, String> {
    match text.parse::<usize>().map(NonZero::new) {
        Ok(None) => Err("jobs: at least 1".to_owned()),
        Ok(Some(jobs)) if jobs.get() <= MAX_JOBS => Ok(jobs),
        Ok(Some(_)) => Err(format!("jobs: at most {MAX_JOBS}")),
        Err(_) => Err(format!("jobs are a number from 1 to {MAX_JOBS}")),
    }
}

fn window(text: &str) -> Result<(f64, f64), String> {
    let ends = text.split_once("..").map(|(from, to)| (from.parse(), to.parse()));
    match ends {
        Some((Ok(from), Ok(to))) if 0.0 <= from && from < to => Ok((from, to)),
        Some((Ok(from), Ok(to))) if from >= to => Err(format!(
            "from {from} to {to} there is nothing: the second number is larger, as in 5..20"
        )),
        _ => Err("a window looks like 5..20, in seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_nonsense_is_refused() {
        assert_eq!(seeds("1..50"), Ok((1, 50)));
        assert_eq!(seeds("7"), Ok((7, 7)));
        assert_eq!(window("5..20.5"), Ok((5.0, 20.5)));
        assert_eq!(seeds("1..1000000"), Ok((1, 1_000_000)));
        assert_eq!(seeds("1..=3"), Ok((1, 3)));
        for wrong in ["1..==3", "1..===3", "=1..3", "1...3"] {
            assert!(seeds(wrong).is_err_and(|error| error.contains("1..1000")), "{wrong}");
        }
        assert!(window("5..5").is_err_and(|error| error.contains("there is nothing")));
        for many in ["0..1000000", "0..18446744073709551615"] {
            assert!(seeds(many).is_err_and(|error| error.contains("1000000")), "{many}");
        }
        assert_eq!(jobs("256").map(NonZero::get), Ok(256));
        for wrong in ["0", "257", "-1"] {
            assert!(jobs(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "a..b", "5..1", "-1..2"] {
            assert!(seeds(wrong).is_err() && window(wrong).is_err(), "{wrong}");
        }
    }
}
