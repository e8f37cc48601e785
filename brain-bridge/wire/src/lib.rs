//! Frames between the brain and the executor: layout, codes, refusals, MAC, and the rules a
//! signal must pass. No heap, no clock, no socket: bytes and time come in as arguments.
//!
//! # One frame
//!
//! Every message on the bridge is one block of [`FRAME_LEN`] bytes, little-endian, naturally
//! aligned, without padding. The first 32 bytes ([`Head`]) and the last 16 (the MAC) stand at
//! the same offsets in every template; see [`frame`] for each table.
//!
//! A reader skips what it does not know: a later schema version may only *append* bytes after
//! offset 160 and say so in `block_length`; a new `schema_id` means a layout that old readers
//! refuse. The MAC covers bytes 0..144 and, when there is a tail, 160..`block_length` after them,
//! so nobody can append bytes that the sender did not sign.
//!
//! # Who may say what
//!
//! | template | id | direction | MAC key |
//! |---|--:|---|---|
//! | Signal | 1 | brain to executor | session, brain's half |
//! | Heartbeat | 2 | brain to executor | session, brain's half |
//! | Hello | 3 | brain to executor | hello key of the producer |
//! | HelloAck | 4 | executor to brain | session, executor's half |
//! | Ack | 5 | executor to brain | session, executor's half |
//! | Nack | 6 | executor to brain | session, executor's half; all zero when there is no session |
//! | Pong | 13 | executor to brain | session, executor's half |
//!
//! 7 to 12 are kept for credit, execution reports, replay and control.
//!
//! # A session
//!
//! The brain sends Hello with a random nonce; the executor answers HelloAck with a random
//! challenge and a session epoch that it has made durable and never used before. Both sides derive
//! the session keys ([`mac::SessionKeys`]) from the shared key, nonce, challenge, producer and
//! epoch. The HelloAck's MAC proves the executor to the brain; the first frame whose MAC verifies
//! proves the brain to the executor, and only then does the new session replace an older one. A
//! recording of a whole session, played back later, meets another challenge and another epoch, so
//! not one of its frames verifies.

#![no_std]
#![deny(unsafe_code)] // only the `bytemuck` derives in `frame` may; they are checked by the macro

pub mod codes;
pub mod frame;
pub mod mac;
pub mod reason;
pub mod rule;
pub mod signal;

pub use codes::{Family, FamilySet, Side, SignalFlags, Template};
pub use frame::{
    FRAME_LEN, FRAME_LEN_MAX, Head, HeartbeatFrame, HelloAckFrame, HelloFrame, MAC_LEN, Message,
    ReplyFrame, SCHEMA_ID, SCHEMA_VERSION, SignalFrame,
};
pub use mac::{HelloKey, MacKey, SessionKeys};
pub use reason::{NackReason, SignalReject};
pub use rule::{Grant, Now, Rules, Sequence, TokenBucket};
pub use signal::{ArmedSignal, Signal};
