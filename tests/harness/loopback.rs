//! Addresses of 127.0.0.0/8 that no other test uses, so that tests run side by side on loopback.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};

/// The default port of `chisme`.
pub(crate) const PORT: u16 = 4747;

static TAKEN: AtomicU8 = AtomicU8::new(0);

/// A part of 127.0.0.0/8.
#[derive(Debug)]
pub(crate) struct Loopback {
    process: u8,
    test: u8,
}

impl Loopback {
    /// One that is new in this process, and very likely among all processes.
    pub(crate) fn new() -> Self {
        let process = u8::try_from(std::process::id() % 250).expect("below 250");
        Self { process: process + 2, test: TAKEN.fetch_add(1, Ordering::Relaxed) }
    }

    /// The address number `host`, 1 to 254.
    pub(crate) const fn ip(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.process, self.test, host)
    }

    /// The same with the default port, as text.
    pub(crate) fn at(&self, host: u8) -> String {
        format!("{}:{PORT}", self.ip(host))
    }
}
