//! The bridge: ZeroMQ on one side, a lock-free ring to the core on the other, and between them
//! everything that makes a stranger's bytes into a signal worth arming.
//!
//! # What it promises
//!
//! - The core never waits for it. The only things shared are the ring and atomics
//!   ([`BridgeShared`]); if the bridge dies, heartbeats stop and [`BrainState`] says so.
//! - Memory is bounded and sized at start: 256 connections, 64 producers, 65,536 remembered signal
//!   ids. Nothing a peer sends makes it grow, with one exception that belongs to libzmq: parts of a
//!   multipart message that never ends are held by the library. File rights on the socket
//!   keep that to processes of the same user.
//! - Every message from an identifiable peer is answered: Ack, Pong, HelloAck, or a Nack with its
//!   reason. A message beyond 4,096 bytes is not: libzmq cuts the connection before we see it.
//! - A signal is acknowledged only after it is in the ring.
//!
//! # Layers
//!
//! `desk` is the protocol without sockets or clocks: bytes, peer and time in, 160 bytes out.
//! `bridge` is the thread around it. `client` is the other end, for `signal-inject` and tests; the
//! Python client in `brain-bridge/python` speaks the same frames and shares golden vectors.
//!
//! # Not in this version
//!
//! The strict JSON form (first byte `{`) is answered with `json_not_supported`; attachments in a
//! second message part with `extra_frame`; TCP endpoints are refused at start because this build
//! of libzmq has no CURVE.

#![deny(unsafe_code)] // `clock` alone may: it reads the raw monotonic clock

mod bridge;
mod client;
mod clock;
mod config;
mod decimal;
mod dedupe;
mod desk;
mod epoch;
mod key;
mod peer;
mod shared;
mod strikes;

pub use bridge::{Bridge, BridgeHandle};
pub use client::{Answer, BridgeClient, ClientError};
pub use clock::now;
pub use config::{BridgeConfig, BridgeError, ProducerConfig};
pub use decimal::{DecimalError, parse_decimal};
pub use key::{KeyError, SharedKey};
pub use shared::{BrainState, BridgeShared, BridgeStats};
