//! What goes over the control socket, and what `--json` prints. The field names are stable.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use chisme::proto::{ContactReport, ContactResult, Endpoints, MemberState};
use chisme::seed::{SeedError, SeedOutcome, SeedStatus};
use chisme::{Instance, Member, RecordEdit, RecordError, Service};
use serde::{Deserialize, Serialize};

/// One member as the agent sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberRow {
    /// `name@host`.
    pub(crate) name: String,
    /// `alive`, `suspect`, `down` or `left`.
    pub(crate) state: String,
    /// Where it can be reached, IPv4 first.
    pub(crate) addrs: Vec<SocketAddr>,
    /// `ipv4`, `ipv6`, `dual` or `none`.
    pub(crate) family: String,
    /// Since when it is up, down or left: RFC 3339, UTC.
    pub(crate) since: String,
    /// Which run of its process, in hexadecimal digits.
    pub(crate) session: String,
    /// Whether it is the agent itself.
    pub(crate) local: bool,
    /// The round trip to it in microseconds, smoothed, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rtt_us: Option<u64>,
    /// What it says of itself; nothing unless it is up.
    #[serde(default)]
    pub(crate) tags: BTreeMap<String, String>,
    /// What it offers, by name.
    #[serde(default)]
    pub(crate) services: Vec<ServiceRow>,
}

impl MemberRow {
    /// The row of `member`.
    pub(crate) fn of(member: &Member) -> Self {
        Self {
            name: member.name.to_string(),
            state: state_word(member.state).to_owned(),
            addrs: member.endpoints.iter().collect(),
            family: family(&member.endpoints).to_owned(),
            since: rfc3339(member.since),
            session: member.session.to_string(),
            local: member.is_local,
            rtt_us: member.rtt().map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            tags: member.record.tags.clone(),
            services: member.record.services.values().map(ServiceRow::of).collect(),
        }
    }
}

/// A service as its member describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceRow {
    /// Its name.
    pub(crate) name: String,
    /// Free text; may be empty.
    #[serde(default)]
    pub(crate) version: String,
    /// 0 if it has none.
    #[serde(default)]
    pub(crate) port: u16,
    /// `starting`, `running`, `draining` or `paused`.
    pub(crate) status: String,
    /// How often weighted selection takes it.
    pub(crate) weight: u16,
    /// Free text by key.
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
}

impl ServiceRow {
    /// The row of `service`.
    pub(crate) fn of(service: &Service) -> Self {
        Self {
            name: service.name.clone(),
            version: service.version.clone(),
            port: service.port,
            status: service.status.to_string(),
            weight: service.weight,
            metadata: service.metadata.clone(),
        }
    }

    /// The service that the row describes; its status may be no status.
    pub(crate) fn service(self) -> Result<Service, RecordError> {
        let mut service = Service::new(&self.name, self.port)
            .version(&self.version)
            .status(self.status.parse()?)
            .weight(self.weight);
        service.metadata = self.metadata;
        Ok(service)
    }
}

/// A service on one member. `instances --json` prints these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstanceRow {
    /// The member, `name@host`.
    pub(crate) node: String,
    /// Where the service listens: the member's addresses with the service's port; none without one.
    pub(crate) addrs: Vec<SocketAddr>,
    /// Whether it is on the agent that was asked.
    pub(crate) local: bool,
    /// What the member says of it.
    pub(crate) service: ServiceRow,
}

impl InstanceRow {
    /// The row of `instance`.
    pub(crate) fn of(instance: &Instance) -> Self {
        Self {
            node: instance.node.to_string(),
            addrs: instance.addrs().collect(),
            local: instance.is_local,
            service: ServiceRow::of(&instance.service),
        }
    }
}

/// What a client wants changed of what the agent says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum RecordRequest {
    /// Puts these in the place of all tags.
    SetTags(BTreeMap<String, String>),
    /// Adds tags, or changes their values.
    MergeTags(BTreeMap<String, String>),
    /// Removes tags.
    RemoveTags(Vec<String>),
    /// Adds a service, or puts it in the place of the one of its name.
    Register(ServiceRow),
    /// Changes the status of a service.
    SetStatus {
        /// Which.
        name: String,
        /// To what.
        status: String,
    },
    /// Removes a service.
    Deregister(String),
}

impl RecordRequest {
    /// As the library knows it.
    pub(crate) fn edit(self) -> Result<RecordEdit, RecordError> {
        Ok(match self {
            Self::SetTags(tags) => RecordEdit::SetTags(tags),
            Self::MergeTags(tags) => RecordEdit::MergeTags(tags),
            Self::RemoveTags(keys) => RecordEdit::RemoveTags(keys),
            Self::Register(row) => RecordEdit::Put(row.service()?),
            Self::SetStatus { name, status } => {
                RecordEdit::SetStatus { name, status: status.parse()? }
            }
            Self::Deregister(name) => RecordEdit::Deregister(name),
        })
    }
}

/// One change of the agent's view. `agent --events json` prints exactly this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ViewLine {
    /// When: unix time in nanoseconds.
    pub(crate) t: u64,
    /// The agent.
    pub(crate) node: String,
    /// `ready`, `up`, `suspect`, `recovered`, `down`, `left` or `updated`.
    pub(crate) event: String,
    /// Whom it is about.
    pub(crate) peer: String,
    /// Members that are up after it, the agent included.
    pub(crate) n: usize,
}

/// One line of `chisme events`: a change of the view, or something that an operator should see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventLine {
    /// When: unix time in nanoseconds.
    pub(crate) t: u64,
    /// The agent.
    pub(crate) node: String,
    /// As in [`ViewLine`], or `snapshot`, `name_conflict`, `refused`, `address_mismatch`,
    /// `rejected`, `lagged`, `stopped`.
    pub(crate) event: String,
    /// Whom it is about, if it is a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<String>,
    /// Members that are up after it, the agent included.
    pub(crate) n: usize,
    /// What a person may want to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

/// A peer to connect to, in the grammar of seeds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectRequest {
    /// As the user wrote it.
    pub(crate) peer: String,
}

/// What came of a connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConnectAnswer {
    /// Whether a peer was joined or was a member already.
    pub(crate) connected: bool,
    /// One per address that was tried.
    pub(crate) contacts: Vec<ContactRow>,
    /// Why there was nothing to try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// What came of one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContactRow {
    /// The address.
    pub(crate) addr: SocketAddr,
    /// `joined`, `already_known`, `ourselves`, `somebody_else`, `refused` or `no_answer`.
    pub(crate) result: String,
    /// For people.
    pub(crate) detail: String,
}

/// A member to ping.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PingRequest {
    /// `name@host`.
    pub(crate) name: String,
}

/// A round trip, or why there was none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PingAnswer {
    /// Nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rtt_ns: Option<u64>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// Addresses to cut off; replaces the last list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockRequest {
    /// An empty list lifts the block.
    pub(crate) addrs: Vec<SocketAddr>,
}

/// What the agent is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatusReport {
    /// Its name.
    pub(crate) name: String,
    /// The cluster that it is in.
    pub(crate) cluster: String,
    /// Its process.
    pub(crate) pid: u32,
    /// This run of it.
    pub(crate) session: String,
    /// Its version.
    pub(crate) version: String,
    /// Seconds since its start.
    pub(crate) uptime_s: u64,
    /// The addresses that it is bound to.
    pub(crate) bound: Vec<SocketAddr>,
    /// The addresses that it advertises.
    pub(crate) advertised: Vec<SocketAddr>,
    /// Where its cookie comes from; never the cookie.
    pub(crate) cookie: String,
    /// Members that are up, itself included.
    pub(crate) up: usize,
    /// Members that it remembers as Down.
    pub(crate) down: usize,
    /// Members that it remembers as Left.
    pub(crate) left: usize,
    /// Who asked for the seeds.
    pub(crate) seeds_from: String,
    /// What each seed last said.
    pub(crate) seeds: Vec<SeedRow>,
    /// Datagrams that were dropped, by reason; reasons with none are left out.
    pub(crate) rejections: BTreeMap<String, u64>,
    /// What an operator should look at, latest last.
    pub(crate) notices: Vec<Notice>,
    /// Everything that is counted.
    pub(crate) counters: BTreeMap<String, u64>,
}

/// What a seed last said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeedRow {
    /// As it was given.
    pub(crate) source: String,
    /// `not_asked`, `found`, `no_such_name`, `no_data`, `server_failure`, `timeout`, `failed`, or
    /// `unknown`, for what this version has no word for.
    pub(crate) last: String,
    /// For people.
    pub(crate) detail: String,
    /// When it said so: RFC 3339, UTC.
    pub(crate) at: Option<String>,
    /// The addresses in use, from the last good answer.
    pub(crate) contacts: Vec<SocketAddr>,
}

/// Something that an operator should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// When it last happened: RFC 3339, UTC.
    pub(crate) at: String,
    /// `refused`, `name_conflict`, `address_mismatch` or `rejected`.
    pub(crate) kind: String,
    /// For people.
    pub(crate) text: String,
    /// How often.
    pub(crate) count: u64,
}

/// Why a request was not answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// For people.
    pub(crate) error: String,
}

/// The word for a state.
pub(crate) const fn state_word(state: MemberState) -> &'static str {
    match state {
        MemberState::Alive => "alive",
        MemberState::Suspect => "suspect",
        MemberState::Down => "down",
        MemberState::Left => "left",
    }
}

/// `time` for people and programs: RFC 3339, UTC, milliseconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// Unix time in nanoseconds; a clock before 1970 gives 0.
pub(crate) fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

const fn family(endpoints: &Endpoints) -> &'static str {
    match (endpoints.v4.is_some(), endpoints.v6.is_some()) {
        (true, true) => "dual",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "none",
    }
}

impl ContactRow {
    /// The row of `report`.
    pub(crate) fn of(report: &ContactReport) -> Self {
        let (result, detail) = match &report.result {
            ContactResult::Joined(name) => ("joined", format!("joined {name}")),
            ContactResult::AlreadyKnown(name) => ("already_known", format!("{name} is a member")),
            ContactResult::Ourselves => ("ourselves", "leads back to this node".to_owned()),
            ContactResult::SomebodyElse(name) => {
                ("somebody_else", format!("{name} lives there, not the node that was asked for"))
            }
            ContactResult::Refused(reason) => ("refused", format!("refused: {reason}")),
            ContactResult::NoAnswer => (
                "no_answer",
                "no answer: nobody there, or a different cookie or cluster name".to_owned(),
            ),
            other => ("unknown", format!("{other:?}")),
        };
        Self { addr: report.addr, result: result.to_owned(), detail }
    }
}

impl SeedRow {
    /// The row of `status`.
    pub(crate) fn of(status: &SeedStatus) -> Self {
        let (last, detail) = match &status.last {
            SeedOutcome::NotAsked => ("not_asked", "not asked yet".to_owned()),
            SeedOutcome::Found(1) => ("found", "1 address".to_owned()),
            SeedOutcome::Found(n) => ("found", format!("{n} addresses")),
            SeedOutcome::Failed(error) => (seed_error_word(error), error.to_string()),
            other => ("unknown", format!("{other:?}")),
        };
        Self {
            source: status.source.clone(),
            last: last.to_owned(),
            detail,
            at: status.at.map(rfc3339),
            contacts: status.contacts.clone(),
        }
    }
}

const fn seed_error_word(error: &SeedError) -> &'static str {
    match error {
        SeedError::NoSuchName => "no_such_name",
        SeedError::NoData => "no_data",
        SeedError::ServerFailure(_) => "server_failure",
        SeedError::Timeout => "timeout",
        _ => "failed",
    }
}
