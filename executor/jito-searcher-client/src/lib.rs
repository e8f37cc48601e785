//! A client of Jito's searcher gRPC service, wire-compatible, written from its public field numbers.
//!
//! The crate of this name on the registry has no library in it, so the definitions under `proto/` and
//! everything else here are ours. The same definitions give the server side ([`proto`]), which the
//! embedded block engine implements; Harmonic speaks the subset {authentication, `SendBundle`}.
//!
//! ```text
//! transactions --EncodedBundle::new--> bytes --SearcherClient::send_bundle--> block engine
//!                                                                                  |
//!       BundleResult <--BundleResults::next-- reconnecting stream, bounded <-------+
//! ```
//!
//! Everything runs on the caller's tokio runtime. Nothing here holds a secret key: authentication, which
//! most block engines no longer ask for, signs through a closure of the caller's.
//!
//! Transport: plain text, and by default to loopback addresses only. `https://` endpoints are refused with
//! [`ClientError::TlsNotBuilt`] unless the crate is built with the feature `tls`.

pub mod bundle_id;
pub mod client;
pub mod encode;
pub mod error;
pub mod results;
pub mod transport;

pub use bundle_id::BundleId;
pub use client::{ConnectOptions, SearcherClient};
pub use encode::{EncodeError, EncodedBundle};
pub use error::ClientError;
pub use jito_auth::{AuthOptions, Sign};
pub use results::{BundleResults, ResultEvent};
pub use transport::WriteStamps;

/// Messages and services as generated from `proto/`, one module per package.
///
/// The modules are siblings because the generated code names its neighbours by `super::`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::unwrap_used)]
pub mod proto {
    pub use jito_auth::proto::auth;
    /// Bundles and what became of them.
    pub mod bundle {
        tonic::include_proto!("bundle");
    }
    /// One serialised transaction.
    pub mod packet {
        tonic::include_proto!("packet");
    }
    /// `searcher.SearcherService`.
    pub mod searcher {
        tonic::include_proto!("searcher");
    }
    /// The header messages share.
    pub mod shared {
        tonic::include_proto!("shared");
    }
}
