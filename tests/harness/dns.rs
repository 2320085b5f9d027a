//! A real name server whose records change while it runs: dnsmasq, on a host of a network or on loopback.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::wait::until;
use super::{Host, Loopback, Net, needs};

/// A dnsmasq that knows only what it is told.
pub(crate) struct Dns {
    host: Option<Host>,
    at: SocketAddr,
    dir: TempDir,
    options: Vec<String>,
    process: Option<Child>,
}

impl Dns {
    /// One on the name server's host of a network.
    pub(crate) fn start(net: &Net) -> Self {
        let host = net.dns_host();
        let at = SocketAddr::new(host.ip().into(), 53);
        Self::launch(Some(host.clone()), at)
    }

    /// One on loopback, or none if this machine has no dnsmasq.
    pub(crate) fn on_loopback(loopback: &Loopback) -> Option<Self> {
        let at = SocketAddr::new(loopback.ip(253).into(), 5353);
        needs::dnsmasq().then(|| Self::launch(None, at))
    }

    fn launch(host: Option<Host>, at: SocketAddr) -> Self {
        let dir = TempDir::with_prefix("chisme-dns").expect("a temporary directory");
        let mut dns = Self { host, at, dir, options: Vec::new(), process: None };
        dns.write_hosts("");
        dns.resume();
        dns
    }

    /// Where it is asked, as `--dns-server` takes it.
    pub(crate) fn addr(&self) -> String {
        self.at.to_string()
    }

    /// From now on these are all its A and AAAA records. It goes on running.
    pub(crate) fn publish<A: Into<IpAddr> + Copy>(&self, records: &[(&str, &[A])]) {
        let mut hosts = String::new();
        for (name, addresses) in records {
            for &address in *addresses {
                let address: IpAddr = address.into();
                writeln!(hosts, "{address} {name}").expect("a String takes everything");
            }
        }
        self.write_hosts(&hosts);
        if let Some(process) = &self.process {
            kill_process(Pid::from_child(process), Signal::HUP).expect("dnsmasq runs");
        }
    }

    /// Adds an SRV record, for which it starts anew.
    pub(crate) fn publish_srv(&mut self, name: &str, target: &str, port: u16) {
        self.add_option(&format!("--srv-host={name},{target},{port}"));
    }

    /// Makes a name exist without any address, for which it starts anew.
    pub(crate) fn publish_without_address(&mut self, name: &str) {
        self.add_option(&format!("--txt-record={name},nothing-here"));
    }

    fn add_option(&mut self, option: &str) {
        self.options.push(option.to_owned());
        self.stop();
        self.resume();
    }

    /// Stops it.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again, with the same records.
    #[track_caller]
    pub(crate) fn resume(&mut self) {
        let program = needs::find("dnsmasq").expect("looked for before");
        let program = program.to_str().expect("a plain path");
        let mut command = match &self.host {
            Some(host) => host.command(program),
            None => Command::new(program),
        };
        command
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
            .args(["--bind-interfaces", "--local=/test/", "--local-ttl=1", "--log-facility=-"])
            .args(["--user=", "--group=", "--pid-file="])
            .arg(format!("--addn-hosts={}", self.hosts_file().display()))
            .arg(format!("--port={}", self.at.port()))
            .arg(format!("--listen-address={}", self.at.ip()))
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.process = Some(command.spawn().expect("dnsmasq can be started"));
        self.expect_listening();
    }

    fn expect_listening(&mut self) {
        let process = self.process.as_mut().expect("just started");
        let hosts = self.host.as_ref().map(|host| host.namespace.clone());
        let port = format!("{:04X}", self.at.port());
        until("dnsmasq listens", Duration::from_secs(10), || {
            let ended = process.try_wait().expect("it is our child");
            assert!(ended.is_none(), "dnsmasq ended with {ended:?}");
            if hosts.is_none() {
                return answers(self.at);
            }
            let table = std::fs::read_to_string(format!("/proc/{}/net/udp", process.id()));
            table.is_ok_and(|table| table.contains(&format!(":{port} ")))
        });
    }

    fn write_hosts(&self, text: &str) {
        let new = self.dir.path().join("new");
        std::fs::write(&new, text).expect("the directory is ours");
        std::fs::rename(new, self.hosts_file()).expect("the directory is ours");
    }

    fn hosts_file(&self) -> std::path::PathBuf {
        self.dir.path().join("hosts")
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether a question (the NS of the root) gets any answer.
fn answers(at: SocketAddr) -> bool {
    const QUESTION: [u8; 17] = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    let Ok(socket) = UdpSocket::bind("127.0.0.1:0") else { return false };
    let _ = socket.set_read_timeout(Some(Duration::from_millis(100)));
    let _ = socket.send_to(&QUESTION, at);
    socket.recv(&mut [0; 512]).is_ok()
}
