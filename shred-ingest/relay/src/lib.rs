//! Passes shreds on, each once, and serves the entries in them.
//!
//! ```text
//!  rings of redistributable sources --> [Relay] --sendmmsg--> UDP destinations of the allow list
//!                                          |-----offer-----> other nodes over QUIC
//!                                          '--copy, ring--> [Assembler] --batches--> [EntryServer] --gRPC--> clients
//! ```
//!
//! Three parts, so that what is slow cannot hold up what is quick: [`Relay`] and [`Assembler`] are stages with
//! `poll()` for threads of the caller's (`relay` and `entries`), [`EntryServer`] brings its own thread with a runtime.
//!
//! # What is passed on
//!
//! What a [`Sieve`](shred_resolve::Sieve) admits: shreds of the right version, inside the slot window, of today's
//! shape, and, unless that is turned off, authentic: with their set's proof and, where leaders are known, the leader's
//! signature over its root. That is the default because what is not authenticated cannot be told apart either: a forged
//! shred that comes first would pass for the true one, which would then be dropped as its duplicate, and a relay that
//! passes on whatever it is sent multiplies a stranger's junk by its destinations. It costs a hash and about two joins
//! a shred, and a signature for each set. The alternative, number and signature alone, is for private feeds.
//!
//! A shred goes on once, whatever source it comes from and however often. So relays that feed each other do not loop:
//! what comes back is a duplicate. Beyond the window nothing passes, so nothing passes again once it is forgotten. Bytes
//! behind the shred (a repair nonce) are cut. Destinations come from the configuration and from nowhere else.
//!
//! # What is dropped, and who is told
//!
//! | where | when | what | told by |
//! |---|---|---|---|
//! | UDP destination | its socket is full | the rest of the burst | [`DestinationTally::full_dropped`] |
//! | UDP destination | the kernel refuses | the rest of the burst | [`DestinationTally::failed_dropped`] |
//! | other nodes | the sender's ring is full | newest | [`RelayTally::quic_refused`] |
//! | assembler | its frames are used up | newest | [`RelayTally::entries_dropped`] |
//! | gRPC client | it reads slower than entries come | oldest | the client, by a status or a mark: [`Lagging`] |
//!
//! # What the entries are
//!
//! The service is `shredstream.ShredstreamProxy/SubscribeEntries` of jito-labs' shredstream-proxy, which its clients
//! find here unchanged. Its `entries` are the concatenated payload of one batch (proxy `deshred.rs`, `forwarder.rs` at
//! d8b4481): a count of 8 bytes and the entries, in the bincode and wincode form of `Vec<solana_entry::entry::Entry>`.
//! What differs here: batches come from authenticated shreds only (where leaders are known), recovered ones included;
//! bytes behind the last entry are cut; block markers and aborts (a count of 0) hold no entry and are not sent; a batch
//! that is not well-formed is not sent; one beyond [`EntriesPlan::message_len_max`] is split between entries. A batch
//! with a v1 transaction is sent as it is: see [`V1Batches`].
#![deny(unsafe_code)]

mod assembler;
mod batches;
mod counters;
#[allow(unsafe_code)]
mod fan;
mod feed;
mod proto;
mod relay;
mod server;

pub use assembler::Assembler;
pub use batches::{BatchTally, EntriesPlan, V1Batches};
pub use counters::{AssemblerCounters, DestinationTally, InputTally, RelayCounters, RelayTally};
pub use feed::{EntryFeed, entry_feed};
pub use relay::{Input, Relay, RelayConfig};
pub use server::{
    EntryServer, EntryServerConfig, Lagging, ServerCounters, ServerRefusal, ServerTally,
};

/// Why a relay could not be built. Nothing runs then.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// A source that is not marked redistributable.
    #[error(
        "source {0}: not marked redistributable; set `redistributable = true` where its terms allow it"
    )]
    NotRedistributable(String),
    /// A destination that nothing may be sent to.
    #[error("destination {address}: {why}")]
    Destination {
        /// As configured.
        address: std::net::SocketAddr,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A value out of range.
    #[error("{field} = {value}: {must}")]
    Config {
        /// The field.
        field: &'static str,
        /// What it was.
        value: String,
        /// What it must be.
        must: &'static str,
    },
    /// A socket or a thread.
    #[error("{step}: {source}")]
    Io {
        /// What was being done.
        step: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
}

impl RelayError {
    pub(crate) fn io(step: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            step: step.into(),
            source,
        }
    }
}
