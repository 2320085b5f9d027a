//! Hosts in network namespaces on one bridge, with cuts and loss made by nftables on that bridge.
//!
//! Every network has its own bridge in its own namespace, so all may use the same addresses:
//! host number 7 is 10.77.0.7 and fd77::7.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Run, needs};

static NETS: AtomicU32 = AtomicU32::new(0);

/// The number of the host that serves names in every network.
pub(crate) const DNS_HOST: u8 = 250;

/// One machine of a [`Net`].
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Its number in the network.
    pub(crate) number: u8,
    /// Its namespace, as `ip netns` knows it.
    pub(crate) namespace: String,
}

impl Host {
    /// Its first IPv4 address.
    pub(crate) const fn ip(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, self.number)
    }

    /// Its IPv6 address.
    pub(crate) fn ip6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, self.number.into())
    }

    /// Gives the host one more address.
    pub(crate) fn add_address(&self, ip: IpAddr) {
        let spec = match ip {
            IpAddr::V4(ip) => format!("addr add {ip}/16 dev eth0"),
            IpAddr::V6(ip) => format!("addr add {ip}/64 dev eth0 nodad"),
        };
        in_namespace(&self.namespace, &spec);
    }

    /// A command that will run on this host; the process becomes the program, so its id is the program's.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }
}

/// Hosts on one bridge. Dropping it removes everything that it made.
pub(crate) struct Net {
    prefix: String,
    hosts: Vec<Host>,
}

impl Net {
    /// A network of `hosts` hosts and one name server's host, or none if this machine cannot make it.
    pub(crate) fn build(hosts: u8) -> Option<Self> {
        if !needs::namespaces() {
            return None;
        }
        let number = NETS.fetch_add(1, Ordering::Relaxed);
        let mut net =
            Self { prefix: format!("chisme-{}-{number}", std::process::id()), hosts: Vec::new() };
        let switch = net.switch();
        ip(&format!("netns add {switch}"));
        in_namespace(&switch, "link add br0 type bridge forward_delay 0 mcast_snooping 0");
        in_namespace(&switch, "link set br0 up");
        nft(&switch, RULES);
        for number in (1..=hosts).chain([DNS_HOST]) {
            net.plug_in(number);
        }
        Some(net)
    }

    fn plug_in(&mut self, number: u8) {
        let host = Host { number, namespace: format!("{}-h{number}", self.prefix) };
        let (switch, namespace) = (self.switch(), &host.namespace);
        ip(&format!("netns add {namespace}"));
        self.hosts.push(host.clone());
        in_namespace(
            &switch,
            &format!("link add p{number} type veth peer name eth0 netns {namespace}"),
        );
        in_namespace(&switch, &format!("link set p{number} master br0 up"));
        in_namespace(namespace, "link set lo up");
        in_namespace(namespace, "link set eth0 up");
        host.add_address(host.ip().into());
        host.add_address(host.ip6().into());
        in_namespace(namespace, "route add default dev eth0");
    }

    /// The host with this number.
    #[track_caller]
    pub(crate) fn host(&self, number: u8) -> &Host {
        self.hosts.iter().find(|host| host.number == number).expect("a host of this network")
    }

    /// The host for a name server.
    pub(crate) fn dns_host(&self) -> &Host {
        self.host(DNS_HOST)
    }

    /// Drops every frame between the two groups, both ways.
    pub(crate) fn partition(&self, left: &[u8], right: &[u8]) {
        self.cut_one_way(left, right);
        self.cut_one_way(right, left);
    }

    /// Drops every frame from one group to the other, and none the other way.
    pub(crate) fn cut_one_way(&self, from: &[u8], to: &[u8]) {
        let pairs: Vec<_> = from
            .iter()
            .flat_map(|from| to.iter().map(move |to| format!(r#""p{from}" . "p{to}""#)))
            .collect();
        let pairs = pairs.join(", ");
        nft(&self.switch(), &format!("add element bridge faults cuts {{ {pairs} }}"));
    }

    /// Pulls the plug of one host.
    pub(crate) fn unplug(&self, number: u8) {
        in_namespace(&self.switch(), &format!("link set p{number} down"));
    }

    /// Puts it back.
    pub(crate) fn plug(&self, number: u8) {
        in_namespace(&self.switch(), &format!("link set p{number} up"));
    }

    /// Loses this share of all IP packets at random.
    pub(crate) fn lose(&self, percent: u8) {
        let rule = "add rule bridge faults loss meta protocol { ip, ip6 }";
        let switch = self.switch();
        nft(&switch, &format!("{rule} numgen random mod 100 < {percent} counter drop"));
    }

    /// How many packets were lost at random since [`lose`](Self::lose).
    pub(crate) fn lost(&self) -> u64 {
        let mut command = Command::new("ip");
        let switch = self.switch();
        command.args(["netns", "exec", &switch, "nft", "list chain bridge faults loss"]);
        let rules = Run::of(&mut command).expect_success();
        let count = rules.split("packets ").nth(1).and_then(|rest| rest.split(' ').next());
        count.and_then(|count| count.parse().ok()).expect("a rule with a counter")
    }

    /// Undoes all cuts and all loss.
    pub(crate) fn heal(&self) {
        nft(&self.switch(), "flush set bridge faults cuts; flush chain bridge faults loss");
    }

    fn switch(&self) -> String {
        format!("{}-sw", self.prefix)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for namespace in self.hosts.iter().map(|host| host.namespace.clone()).chain([self.switch()])
        {
            let _ = Command::new("ip").args(["netns", "del", &namespace]).status();
        }
    }
}

const RULES: &str = "
table bridge faults {
    set cuts { type ifname . ifname; }
    chain cut { type filter hook forward priority 0; iifname . oifname @cuts drop; }
    chain loss { type filter hook forward priority 1; }
}";

fn ip(arguments: &str) {
    Run::of(Command::new("ip").args(arguments.split_whitespace())).expect_success();
}

fn in_namespace(namespace: &str, arguments: &str) {
    ip(&format!("-n {namespace} {arguments}"));
}

fn nft(namespace: &str, script: &str) {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, "nft", script]).stdin(Stdio::null());
    Run::of(&mut command).expect_success();
}
