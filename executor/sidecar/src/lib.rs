//! Everything slow beside the hot path: metrics, the HTTP pages, and what an RPC node knows of the cluster.
//!
//! [`refresh`] asks an RPC node for leaders and stakes and hands over what it says; the page below only reads.
//!
//! Hot threads only add to relaxed atomics (their own counters, [`LatencyCells`]). When somebody
//! asks, the `sidecar` thread calls the reading function that the app gave it, gets a [`Snapshot`],
//! and renders it: `/health` as JSON, `/metrics` as OpenMetrics, `/` as a page for people. The app
//! does not wait for any of it, and nothing here can change anything.
//!
//! ```no_run
//! use std::sync::Arc;
//! use sidecar::{Control, Health, Snapshot, State};
//!
//! let read = Arc::new(|| {
//!     let health = Health { mode: "paper", state: State::Running, control: Control::Running, ..Health::default() };
//!     let mut snapshot = Snapshot::new(health);
//!     snapshot.counter("ingest_datagram_received", "Datagrams received.").with(&[("source", "local")], 42);
//!     snapshot
//! });
//! let page = sidecar::spawn("127.0.0.1:8080".parse().unwrap(), read)?;
//! println!("http://{}/", page.address());
//! # Ok::<(), std::io::Error>(())
//! ```

mod asker;
mod connection;
mod health;
mod http;
mod latency;
mod metrics;
mod page;
mod refresh;
mod rpc;
mod snapshot;
mod text;

pub use asker::{Asker, AskerEnd, asker};
pub use health::{Control, Health, State};
pub use http::{Sidecar, spawn};
pub use latency::{LATENCY_BUCKET_COUNT, LatencyCells, LatencyRead};
pub use metrics::{METRICS_CONTENT_TYPE, render_metrics};
pub use refresh::{
    EpochAnswer, EpochInfo, EpochScheduleAnswer, EpochWanted, RefreshCounters, RefreshPlan,
    Refreshed, Refresher, StakeAnswer, refresh,
};
pub use rpc::{Endpoint, EndpointReject, RpcError};
pub use snapshot::{CounterFamily, GaugeFamily, LatencyFamily, NanosFamily, Read, Snapshot};
pub use text::printable;
