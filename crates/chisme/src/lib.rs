//! Gossip-based cluster membership for tokio services: seeded by DNS, spread and checked by SWIM,
//! authenticated by a shared cookie.
//!
//! ```no_run
//! use chisme::{Cluster, Cookie, Event};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::builder("web-1@10.0.0.7")
//!     .cookie(Cookie::new(&std::env::var("CHISME_COOKIE")?)?)
//!     .seed("web.default.svc.cluster.local")
//!     .start()
//!     .await?;
//! let mut events = cluster.events();
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::Up(member) => println!("{} is up", member.name),
//!         Event::Down(member) | Event::Left(member) => println!("{} is gone", member.name),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//!
//! [`Builder`] checks settings, binds sockets (`socket`, `refused`), guesses endpoints (`endpoint`) and starts
//! the `driver`: one task that owns the sockets, the timers and the state machine of
//! [`chisme_proto`]. [`Cluster`] is the handle to it; `view` and [`Events`] are what it shows.
//! [`seed`] finds first contacts. `record` changes what the node says of itself, `registration` undoes
//! a part of it; `services` is what all say of their services, and [`select`] chooses among them. Nothing here knows a rule of the protocol.

mod builder;
mod driver;
mod endpoint;
mod events;
mod handle;
mod log;
mod owners;
mod record;
mod refused;
mod registration;
mod rtt;
pub mod seed;
pub mod select;
mod services;
mod socket;
mod stretch;
mod view;

pub use builder::{Builder, StartError};
pub use chisme_proto as proto;
pub use chisme_proto::{
    ClusterName, ContactReport, ContactResult, Cookie, CookieError, Counters, DEFAULT_PORT,
    Detector, Endpoints, MemberState, NameError, NameKind, NodeName, NodeStatus, PORT_SPAN, Preset,
    Record, RecordEdit, RecordError, Refusal, Rejection, SeedCadence, Service, ServiceStatus,
    Session, Sibling, StopReason, VersionRange,
};
pub use events::{Event, Events};
pub use handle::{Cluster, ConnectError, ConnectReport, PingError, Status, Stopped, WaitError};
pub use record::ChangeError;
pub use registration::Registration;
pub use services::{Instance, ServiceWatch, WaitForServicesError};
pub use view::{Member, Snapshot};
