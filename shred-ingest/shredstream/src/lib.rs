//! Keeps a Jito ShredStream flowing: authentication, heartbeats, and a fresh start when it falls silent.
//!
//! Shreds come as plain UDP datagrams to a socket of `shred-source`; none passes through here. This crate tells the
//! block engine again and again where to send them:
//!
//! ```text
//!  sign closure --> tokens --> SendHeartbeat { our address, regions } --> ttl; again after a third of it
//!                                   |                   |
//!        any failure: new connection after a pause      shred counter stands still for 30 s: new connection
//! ```
//!
//! Wire-compatible with jito-labs/mev-protos, from definitions of our own under `proto/`; the same definitions give
//! the server side ([`proto`]) that the tests speak to. Everything runs on the caller's tokio runtime, in the one
//! future of [`Shredstream::run`]; memory does not grow, and a failure is a counter and a pause, never an exit.
//!
//! Nothing here holds a secret key: a closure of the caller's signs the challenge. Plain text is taken for loopback
//! addresses only, and `https://` only with the feature `tls` (see [`jito_auth::endpoint()`]).

mod backoff;
mod client;
mod config;
mod counters;

pub use client::{INTERVAL_MAX, INTERVAL_MIN, Shredstream};
pub use config::{ConfigError, REGIONS_MAX, ShredCount, ShredstreamConfig};
pub use counters::{End, ShredstreamCounters, ShredstreamTally};
pub use jito_auth::{AuthOptions, Sign};

/// Messages and services as generated from `proto/`, one module per package.
///
/// The modules are siblings because the generated code names its neighbours by `super::`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::unwrap_used)]
pub mod proto {
    /// A socket's address.
    pub mod shared {
        tonic::include_proto!("shared");
    }
    /// `shredstream.Shredstream`.
    pub mod shredstream {
        tonic::include_proto!("shredstream");
    }
}
