//! Addresses of 127.0.0.0/8 that no other test uses, so that tests run side by side on loopback.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The default port of `chisme`. Agents that are given no address take it for all of them, so those
/// who need it go one after another.
const DEFAULT_PORT: u16 = 4747;

/// For everybody else: none of those that an agent takes by itself, or the kernel gives out.
const PORT: u16 = 14_747;

static TAKEN: AtomicU8 = AtomicU8::new(0);
static DEFAULT_PORT_IN_USE: Mutex<()> = Mutex::new(());

/// The right to use the default port, for as long as it is kept. Drop it after the agents.
pub(crate) fn default_port() -> MutexGuard<'static, ()> {
    // A test that failed has dropped its agents all the same.
    DEFAULT_PORT_IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A part of 127.0.0.0/8.
#[derive(Debug)]
pub(crate) struct Loopback {
    process: u8,
    test: u8,
    port: u16,
    _default_port: Option<MutexGuard<'static, ()>>,
}

impl Loopback {
    /// One that is new in this process, and very likely among all processes.
    pub(crate) fn new() -> Self {
        Self::with(PORT, None)
    }

    /// One where agents have the default port, for what is found by a name without a port.
    pub(crate) fn on_default_port() -> Self {
        Self::with(DEFAULT_PORT, Some(default_port()))
    }

    fn with(port: u16, _default_port: Option<MutexGuard<'static, ()>>) -> Self {
        let process = u8::try_from(std::process::id() % 250).expect("below 250");
        let test = TAKEN.fetch_add(1, Ordering::Relaxed);
        Self { process: process + 2, test, port, _default_port }
    }

    /// The address number `host`, 1 to 254.
    pub(crate) const fn ip(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.process, self.test, host)
    }

    /// The same with the port of this test's agents, as text.
    pub(crate) fn at(&self, host: u8) -> String {
        format!("{}:{}", self.ip(host), self.port)
    }
}
