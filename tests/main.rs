//! What a user can rely on, checked with the built binary: real processes, sockets, networks and
//! name servers.
//!
//! Tests on loopback run everywhere. Those with networks of their own need root, `ip`, `nft` and
//! `dnsmasq`; where these are missing they say that they were skipped, unless
//! `CHISME_REQUIRE_NETNS=1` makes that a failure.

mod harness;

mod addresses;
mod bad_input;
mod clocks;
mod control_socket;
mod demo;
mod dns_faults;
mod failure;
mod form;
mod guide;
mod names;
mod partition;
mod readers;
mod records;
mod security;
mod settings;
mod sim;
