//! Seeds from DNS, against a real server on loopback that changes, lies, is silent and stops.

mod cluster;
mod lookup;
mod name_server;
mod sources;
