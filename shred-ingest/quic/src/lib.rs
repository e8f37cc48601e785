//! Shreds over QUIC: a source that fills the same frames as a UDP socket, and the sender that feeds one.
//!
//! ```text
//!  QuicSender::offer --ring--> tx-<name>: queue per destination --DATAGRAM--> [network]
//!                                                                                 |
//!                frame of the arena + descriptor --> core  <-- rx-<name>: copy <--+
//! ```
//!
//! The protocol is the one that Agave's Turbine spoke over QUIC until it was removed (agave
//! `turbine/src/quic_endpoint.rs`, last in alpenglow's tree): ALPN `solana-turbine`, TLS 1.3, one shred per DATAGRAM
//! frame (RFC 9221), no streams, packets of 1280 bytes without MTU discovery, a keep-alive every 4 s, death after 10 s
//! of silence, both sides known by the Ed25519 key in a self-signed certificate. No public feed serves it today: it
//! joins the nodes of one operator, and partners who pin each other.
//!
//! What costs what: each end runs quinn on a current-thread runtime of its own thread. Unlike the UDP source it
//! decrypts, allocates per datagram and copies it once more, and its stamps are taken in user space
//! ([`STAMPED_BY_HOST`](shred_source::Descriptor::STAMPED_BY_HOST)). What crosses to the hot threads are the same
//! frames and rings as ever, without a lock or an allocation on their side.
//!
//! Congestion control is Cubic (see [`sender`]); what is dropped, where, and which of them, is said at [`source`] and
//! [`sender`] and counted.
#![forbid(unsafe_code)]

pub mod counters;
pub mod identity;
pub mod sender;
pub mod source;
mod stray;
mod tls;
mod transport;

#[cfg(test)]
mod loopback;

use std::sync::Arc;

pub use counters::{
    DestinationTally, QuicCounters, QuicRefusal, QuicTally, SenderCounters, SenderTally,
};
pub use identity::{Identity, IdentityReject, PeerId, peer_id};
pub use sender::{Destination, OfferReject, QuicSender, QuicSenderConfig, QuicSenderHandle};
pub use source::{QuicHandle, QuicSource, QuicSourceConfig};
pub use tls::Peers;

/// Longest shred that is taken: 1228 bytes and the nonce of a repair answer (`PACKET_DATA_SIZE`, agave
/// `packet/src/lib.rs`).
pub const SHRED_LEN_MAX: usize = 1232;

/// Application protocol of Turbine over QUIC (agave `turbine/src/quic_endpoint.rs`).
pub const ALPN_TURBINE: &[u8] = b"solana-turbine";

/// Runs first on a thread of this crate, to pin it or to set its priority.
pub type AtThreadStart = Arc<dyn Fn() + Send + Sync>;

/// Why an end could not be started.
#[derive(Debug, thiserror::Error)]
pub enum QuicError {
    /// The socket or the thread.
    #[error("quic {name}: {step}: {source}")]
    Io {
        /// Name from the configuration.
        name: String,
        /// What was being done.
        step: &'static str,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The TLS library does not take what it was given.
    #[error("quic {name}: {source}")]
    Tls {
        /// Name from the configuration.
        name: String,
        /// Its answer.
        source: rustls::Error,
    },
    /// A value out of range.
    #[error("quic {name}: {field} = {value}: {must}")]
    Config {
        /// Name from the configuration.
        name: String,
        /// The field.
        field: &'static str,
        /// What it was.
        value: usize,
        /// What it must be.
        must: &'static str,
    },
}
