//! The command line: flags, their help and their environment variables. It knows no default of the
//! agent (that is `settings`), checks no value, and starts nothing.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cookie::CookieText;
use crate::demo;
use crate::sim::SimCommand;

const TOP_HELP: &str = "\
{about}

{usage-heading} {usage}

\x1b[1;4mRun:\x1b[0m
  agent        Run a node of a cluster in the foreground
  demo         Watch a cluster form from DNS, lose a node, be cut in two and heal
  sim          Simulate whole clusters under virtual time

\x1b[1;4mAsk a running agent:\x1b[0m
  connect      Connect to a peer; prints true or false
  nodes        The names of the other nodes
  members      The whole table: name, address, state, since when, address family
  events       Follow what happens in the cluster
  tags         The agent's tags: set, list, unset
  services     What all members offer; register, drain and deregister what this one does
  instances    The running instances of one service
  ping         Round trip to a member, through the cluster protocol
  status       What the agent is doing, its seeds, and what it rejects
  refresh      Ask the seeds now
  leave        Say goodbye to the cluster and stop the agent

\x1b[1;4mSet up:\x1b[0m
  cookie       Make a strong cookie file
  completions  Print completions for a shell

{options}{after-help}";

/// Gossip-based cluster membership: seeded by DNS, authenticated by a cookie.
#[derive(Debug, Parser)]
#[command(
    name = "chisme",
    version,
    help_template = TOP_HELP,
    disable_help_subcommand = true,
    after_help = "Two nodes on one host, each in its own terminal, after `chisme cookie` has made a cookie:\n  \
        chisme agent --sname node1 --cookie-file ~/.chisme.cookie\n  \
        chisme agent --sname node2 --cookie-file ~/.chisme.cookie\n\
        and in a third:\n  chisme connect --node node2 node1@$(hostname -s)\n\n\
        `chisme COMMAND --help` tells more and has an example."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node of a cluster in the foreground.
    #[command(after_long_help = AGENT_EXAMPLES, after_help = "Example:\n  \
        chisme agent --sname node1 --cookie-file ~/.chisme.cookie --connect db.example.com\n\n\
        `chisme agent --help` tells more.")]
    Agent(Box<AgentArgs>),
    /// Connect to a peer; prints true or false (and why, on stderr), exit status 0 or 1.
    #[command(after_help = "Examples:\n  chisme connect node1@myhost\n  \
        chisme connect 10.0.0.7:4747\n  chisme connect billing.default.svc.cluster.local\n  \
        chisme connect _chisme._udp.example.com")]
    Connect {
        /// name@host[:port], ip:port, host[:port], _service._proto.domain (SRV), dns+name[:port]
        /// or dnssrv+name.
        #[arg(value_name = "PEER")]
        peer: String,
        #[command(flatten)]
        target: Target,
    },
    /// The names of the other nodes, one per line.
    #[command(after_help = "Example:\n  chisme nodes --node node1")]
    Nodes {
        #[command(flatten)]
        target: Target,
    },
    /// The whole table: name, address, state, since when, address family.
    #[command(after_help = "Examples:\n  chisme members --watch\n  \
        chisme members --json | jq -r '.[] | select(.state == \"down\") | .name'")]
    Members {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Print the table again whenever it changes, until Ctrl-C.
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        target: Target,
    },
    /// What the agent's node says of itself: tags that all members see.
    #[command(after_help = "Examples:\n  chisme tags set zone=eu-1 rack=b7\n  \
        chisme tags list\n  chisme tags unset rack")]
    Tags {
        #[command(subcommand)]
        command: TagsCommand,
    },
    /// The services of all members, in any status; or a change of those of the agent's node.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  \
        chisme services --json | jq -r '.[] | .service.name' | sort | uniq -c\n  \
        chisme services register billing --port 8080 --version 2.3\n  \
        chisme services drain billing"
    )]
    Services {
        #[command(subcommand)]
        command: Option<ServicesCommand>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// The running instances of a service: that of the agent's node first, the others in an order
    /// that is new each time; exit status 1 if there is none.
    #[command(after_help = "Examples:\n  chisme instances billing\n  \
        chisme instances billing --json | jq -r '.[0].addrs[0]'\n  \
        chisme instances billing --watch")]
    Instances {
        /// The service.
        #[arg(value_name = "NAME")]
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Print them again whenever they change, until Ctrl-C.
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Follow what happens in the cluster, one line each, until Ctrl-C.
    #[command(
        after_help = "Example:\n  chisme events --json | jq -r 'select(.event == \"down\") | .peer'"
    )]
    Events {
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Round trip to a member, through the cluster protocol.
    #[command(after_help = "Example:\n  chisme ping node2@myhost")]
    Ping {
        /// The member, name@host.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Say goodbye to the cluster and stop the agent.
    #[command(after_help = "Example:\n  chisme leave --node node1")]
    Leave {
        #[command(flatten)]
        target: Target,
    },
    /// What the agent is doing, its seeds and what DNS last said, and what it rejects.
    #[command(after_help = "Example:\n  chisme status --json | jq .rejections")]
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Ask the seeds now instead of at the next moment of the agent's cadence.
    #[command(after_help = "Example:\n  chisme refresh")]
    Refresh {
        #[command(flatten)]
        target: Target,
    },
    /// Inject a fault: drop all datagrams from and to these addresses. Replaces the last list.
    #[command(hide = true, after_help = "Examples:\n  chisme block 10.0.0.7:4747\n  chisme block")]
    Block {
        /// None lifts the block.
        #[arg(value_name = "ADDR:PORT")]
        addrs: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Make a strong cookie file (64 random hexadecimal digits, mode 0400).
    #[command(after_help = "Example:\n  chisme cookie && scp -p ~/.chisme.cookie otherhost:")]
    Cookie {
        /// Where to; it must not exist yet. [default: ~/.chisme.cookie]
        #[arg(long, short, value_name = "FILE", env = "CHISME_COOKIE_OUTPUT")]
        output: Option<PathBuf>,
    },
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  \
        chisme completions bash > ~/.local/share/bash-completion/completions/chisme")]
    Completions {
        /// The shell.
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Watch a cluster form from DNS, lose a node, be cut in two and heal; needs no configuration.
    #[command(after_help = "Example:\n  chisme demo")]
    Demo(demo::Args),
    /// Simulate whole clusters under virtual time: partitions, crashes, loss, and what comes of them.
    #[command(after_help = "Examples:\n  chisme sim list\n  chisme sim run split-half-heal")]
    Sim {
        #[command(subcommand)]
        command: SimCommand,
    },
}

/// `chisme tags`
#[derive(Debug, Subcommand)]
pub(crate) enum TagsCommand {
    /// Add tags, or change their values; the others stay, unless they are to be replaced.
    #[command(after_help = "Examples:\n  chisme tags set zone=eu-1 rack=b7\n  \
        chisme tags set --replace zone=eu-1")]
    Set {
        /// Remove all other tags.
        #[arg(long)]
        replace: bool,
        /// A key and its value.
        #[arg(value_name = "KEY=VALUE", required = true)]
        tags: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
    /// The tags of the agent's node; those of others are in `chisme members --json`.
    #[command(after_help = "Example:\n  chisme tags list --json")]
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Remove tags.
    #[command(after_help = "Example:\n  chisme tags unset zone")]
    Unset {
        /// Which.
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
}

/// `chisme services`
#[derive(Debug, Subcommand)]
pub(crate) enum ServicesCommand {
    /// Offer a service on the agent's node, or change what is said of one.
    #[command(after_help = "Example:\n  \
        chisme services register billing --port 8080 --version 2.3 --meta proto=grpc")]
    Register(RegisterArgs),
    /// Change the status of a service: starting, running, draining or paused.
    #[command(after_help = "Example:\n  chisme services status billing paused")]
    Status {
        /// The service.
        #[arg(value_name = "NAME")]
        name: String,
        /// starting, running, draining or paused; only running ones are routed to.
        #[arg(value_name = "STATUS")]
        status: String,
        #[command(flatten)]
        target: Target,
    },
    /// Have nothing new come to a service: the same as status draining.
    #[command(after_help = "Example:\n  chisme services drain billing")]
    Drain {
        /// The service.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Offer a service no longer.
    #[command(after_help = "Example:\n  chisme services deregister billing")]
    Deregister {
        /// The service.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        target: Target,
    },
}

/// What `chisme services register` is told.
#[derive(Args, Debug)]
pub(crate) struct RegisterArgs {
    /// The service: letters, digits, _ - . and /.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Where it listens, at the node's address.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,
    /// Free text, such as 2.3.1.
    #[arg(long, value_name = "TEXT")]
    pub(crate) version: Option<String>,
    /// Free text by key (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) meta: Vec<String>,
    /// How often weighted selection takes it, compared with others; 0 is never.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) weight: u16,
    /// starting, running, draining or paused.
    #[arg(long, value_name = "STATUS", default_value = "running")]
    pub(crate) status: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Which agent of this host is meant.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which agent")]
pub(crate) struct Target {
    /// The name of the agent, name or name@host; needed only if several run on this host.
    #[arg(long, value_name = "NAME", env = "CHISME_NODE")]
    pub(crate) node: Option<String>,
    /// Where the agents of this user leave their sockets.
    /// [default: $XDG_RUNTIME_DIR/chisme, else /run/user/UID/chisme, else /tmp/chisme-UID]
    #[arg(long, value_name = "DIR", env = "CHISME_RUNTIME_DIR", value_parser = path())]
    pub(crate) runtime_dir: Option<PathBuf>,
}

const AGENT_EXAMPLES: &str = "\
Precedence:
  A flag is taken before its environment variable, that before the key in the configuration file,
  and that before the default. A list that is given replaces the list of a lower rank; the lists
  are not joined. In an environment variable a comma separates the entries of a list; an empty
  variable counts as not set, except for CHISME_COOKIE. --sname and --name are one setting: the
  one of the higher rank wins, both at the same rank are an error.

Cookie:
  The first of --cookie, CHISME_COOKIE, --cookie-file (or CHISME_COOKIE_FILE), the file's `cookie`,
  the file's `cookie_file`, ~/.chisme.cookie, ~/.erlang.cookie. Everybody on the host can see the
  arguments of a process (`ps`), so --cookie is for trying things out: prefer --cookie-file. A file
  that others can read is refused. `chisme cookie` makes a strong one.
  To change it without a break: give every node the new one by --accept-cookie-file, restart or
  SIGHUP them; then put it in every --cookie-file and SIGHUP again.

Seeds:
  Without any --connect: the value of CLUSTER_DNS_NAME, else malla.local. `--connect none` turns
  seeding off. A name that does not resolve is asked again and again; it never stops the agent.

Configuration file (TOML; every key is a flag with _ for -, or one of the tables tags and service;
unknown keys are refused):
  sname = \"node1\"
  cookie_file = \"/etc/chisme/cookie\"
  bind = [\"0.0.0.0:4747\", \"[::]:4747\"]
  connect = [\"_chisme._udp.example.com\"]
  [tags]
  zone = \"eu-1\"
  [[service]]
  name = \"billing\"
  port = 8080
  version = \"2.3\"            # and status, weight, metadata = { key = \"value\" }

Signals:
  SIGTERM and Ctrl-C leave the cluster gracefully, a second one stops at once.
  SIGHUP reads the configuration file's seeds, tags and services and the cookie files again. A new
  cookie seals from then on, and the one before is still accepted. Tags and services that the file
  no longer has are removed; those set at run time under other names stay. If anything is wrong,
  nothing changes.

Events (--events json), one object per line on stdout:
  {\"t\":1764000000000000000,\"node\":\"node1@a\",\"event\":\"up\",\"peer\":\"node2@b\",\"n\":2}
  t      unix time in nanoseconds
  node   this node
  event  ready, up, suspect, recovered, down, left, updated
  peer   the member that it is about (this node itself for ready)
  n      members that are up after it, this node included

Examples:
  chisme agent --sname node1 --cookie-file ~/.chisme.cookie
  chisme agent --name node1@db1.example.com --bind 0.0.0.0:4747 --connect _chisme._udp.example.com
  CLUSTER_DNS_NAME=billing.default.svc.cluster.local chisme agent --name billing@$POD_IP \\
      --advertise $POD_IP:4747 --cookie-file /etc/chisme/cookie

For tests: CHISME_TEST_PROTOCOL=\"2\" or \"2-3\" makes the agent speak these protocol versions.";

/// What `chisme agent` is told on the command line or in the environment.
#[derive(Args, Debug, Default)]
pub(crate) struct AgentArgs {
    /// A short name: node1 becomes node1@HOSTNAME, up to its first dot; node1@host is taken as it is.
    #[arg(long, value_name = "NAME", env = "CHISME_SNAME", help_heading = "Name")]
    pub(crate) sname: Option<String>,
    /// A long name, name@fully.qualified.host. A cluster has short names or long ones, never both.
    #[arg(long, value_name = "NAME@HOST", env = "CHISME_NAME", help_heading = "Name")]
    pub(crate) name: Option<String>,
    /// The cluster to be in. Nodes of different clusters are deaf to each other. [default: default]
    #[arg(long, value_name = "NAME", env = "CHISME_CLUSTER", help_heading = "Name")]
    pub(crate) cluster: Option<String>,

    /// The secret that the nodes share. Seen by everybody in `ps`: prefer --cookie-file.
    #[arg(
        long,
        value_name = "TEXT",
        env = "CHISME_COOKIE",
        hide_env_values = true,
        allow_hyphen_values = true,
        help_heading = "Cookie"
    )]
    pub(crate) cookie: Option<CookieText>,
    /// A file with that secret, readable by its owner only (recommended).
    /// [default: ~/.chisme.cookie, else ~/.erlang.cookie]
    #[arg(
        long,
        value_name = "FILE",
        env = "CHISME_COOKIE_FILE",
        value_parser = path(),
        help_heading = "Cookie"
    )]
    pub(crate) cookie_file: Option<PathBuf>,
    /// A file with one more cookie that is accepted but not used, to change cookies without a
    /// break (repeatable, at most 4).
    #[arg(
        long,
        value_name = "FILE",
        env = "CHISME_ACCEPT_COOKIE_FILE",
        value_parser = path(),
        value_delimiter = ',',
        help_heading = "Cookie"
    )]
    pub(crate) accept_cookie_file: Vec<PathBuf>,

    /// The address to listen on, IP:PORT or [IPV6]:PORT; once per family.
    /// [default: all addresses, port 4747 or the next free one up to 4762]
    #[arg(
        long,
        value_name = "ADDR:PORT",
        env = "CHISME_BIND",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    pub(crate) bind: Vec<String>,
    /// The address by which others reach this node; once per family. Port 0 stands for the bound
    /// one. [default: found out]
    #[arg(
        long,
        value_name = "ADDR:PORT",
        env = "CHISME_ADVERTISE",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    pub(crate) advertise: Vec<String>,
    /// Where to find first contacts: ip:port, host[:port], _service._proto.domain (SRV),
    /// dns+name[:port], dnssrv+name or name@host[:port]; `none` turns seeding off (repeatable).
    /// [default: $CLUSTER_DNS_NAME, else malla.local]
    #[arg(
        long,
        value_name = "SEED",
        env = "CHISME_CONNECT",
        value_delimiter = ',',
        num_args = 1..,
        help_heading = "Network"
    )]
    pub(crate) connect: Vec<String>,
    /// The DNS server to ask instead of the system's (repeatable).
    #[arg(
        long,
        value_name = "ADDR:PORT",
        env = "CHISME_DNS_SERVER",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    pub(crate) dns_server: Vec<String>,

    /// A TOML file with these settings.
    #[arg(
        long,
        value_name = "FILE",
        env = "CHISME_CONFIG",
        value_parser = path(),
        help_heading = "Surroundings"
    )]
    pub(crate) config: Option<PathBuf>,
    /// Print every change of this node's view on stdout.
    #[arg(long, value_name = "FORMAT", env = "CHISME_EVENTS", help_heading = "Surroundings")]
    pub(crate) events: Option<String>,
    /// How failures are looked for: lan, fast, wan or local. The same for all members.
    /// [default: lan]
    #[arg(long, env = "CHISME_PRESET", value_name = "PRESET", help_heading = "Surroundings")]
    pub(crate) preset: Option<String>,
    /// What to log on stderr: off, error, warn, info, debug, trace, or target=level,...
    /// [default: info]
    #[arg(long, value_name = "LEVEL", env = "CHISME_LOG", help_heading = "Surroundings")]
    pub(crate) log: Option<String>,
    /// Where this agent leaves its control socket.
    /// [default: $XDG_RUNTIME_DIR/chisme, else /run/user/UID/chisme, else /tmp/chisme-UID]
    #[arg(
        long,
        value_name = "DIR",
        env = "CHISME_RUNTIME_DIR",
        value_parser = path(),
        help_heading = "Surroundings"
    )]
    pub(crate) runtime_dir: Option<PathBuf>,
}

/// A path that may be empty, which for a variable means that it is not set; clap's own refuses that.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// How `--events` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventFormat {
    /// One JSON object per line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_and_its_line_in_the_grouped_list() {
        let mut cli = Cli::command();
        let help = cli.render_help().to_string();
        for command in cli.get_subcommands_mut() {
            let name = command.get_name().to_owned();
            let example = format!("  chisme {name}");
            for help in [command.render_help(), command.render_long_help()] {
                assert!(help.to_string().contains(&example), "{name} has no example");
            }
            let listed = help.lines().any(|line| line.starts_with(&format!("  {name} ")));
            assert_eq!(listed, !command.is_hide_set(), "{name}");
        }
    }

    #[test]
    fn every_flag_of_the_agent_is_a_variable_and_the_cookie_is_not_shown() {
        let cli = Cli::command();
        let agent = cli.find_subcommand("agent").expect("there");
        for flag in agent.get_arguments() {
            let key = flag.get_id().as_str();
            let variable = format!("CHISME_{}", key.to_ascii_uppercase());
            assert_eq!(flag.get_env().and_then(|env| env.to_str()), Some(&*variable), "{key}");
            assert_eq!(flag.get_long(), Some(&*key.replace('_', "-")));
        }
        let cookie = agent.get_arguments().find(|flag| flag.get_id() == "cookie").expect("there");
        assert!(cookie.is_hide_env_values_set());
    }
}
