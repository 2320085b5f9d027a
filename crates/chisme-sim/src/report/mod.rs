//! What is made of outcomes: a page to look at, a summary and a trace for programs, a capture file.
//!
//! It owns how things are shown; it knows outcomes and nothing of how they came about.

mod axis;
mod compare;
mod flights;
mod grid;
mod groups;
mod heat;
mod latency;
mod lines;
mod overtime;
mod page;
mod pcap;
mod ribbons;
#[cfg(test)]
mod sample;
mod summary;
mod tables;
mod text;

pub use compare::{Comparison, compare};
pub(crate) use grid::figure_keys;
pub use lines::trace_jsonl;
pub use page::html;
pub use pcap::pcap;
pub use summary::json;

/// Of the JSON documents. It grows when a field changes its meaning or goes away.
const VERSION: u32 = 1;
