//! Transactions: how long one is, and what is in it.
//!
//! Two steps, because two questions are asked at different times. [`TxnScan`] finds the end of a
//! transaction while its bytes still arrive, and refuses only what leaves the end unknown or makes the
//! transaction longer than any block may carry. [`TxnView`] then answers every question about a whole
//! transaction, and refuses what a validator refuses to find in a block. A refusal by the first costs the rest
//! of the entry batch; one by the second costs one transaction.
//!
//! The three formats (all integers little-endian, `cu16` is [`crate::short_u16`]):
//!
//! ```text
//! legacy  cu16 signatures | 64 each ‖ required, readonly signed, readonly unsigned | cu16 keys | 32 each |
//!         blockhash 32 | cu16 instructions | { program u8, cu16 accounts, u8 each, cu16 data, u8 each }
//! v0      the same with 0x80 before the header, and at the end
//!         cu16 lookups | { table 32, cu16 writable, u8 each, cu16 readonly, u8 each }
//! v1      0x81 | required, readonly signed, readonly unsigned | config mask u32 | blockhash 32 |
//!         instructions u8 | keys u8 | 32 each | config words, 4 per mask bit |
//!         { program u8, accounts u8, data u16 } | { accounts, data } ‖ 64 per required signature
//! ```
//!
//! Everything but the signatures is the message, which is what is signed.
//!
//! Sources: crates `solana-transaction` 4.1.6 (`versioned/mod.rs`) and `solana-message` 4.4.1
//! (`legacy.rs`, `versions/v0`, `versions/v1`), `agave-transaction-view` 4.2.2, firedancer
//! `src/ballet/txn/fd_txn_parse.c`, SIMD-0296 and SIMD-0385; read 2026-11-21.
#![deny(clippy::indexing_slicing)]

mod check;
mod reject;
mod scan;
mod view;

#[cfg(test)]
mod tests;

pub use reject::TxnReject;
pub use scan::{ScanStep, TxnScan, TxnVersion};
pub use view::{InstructionIter, InstructionView, LookupIter, LookupView, TxnConfig, TxnView};

/// Bytes of an Ed25519 signature.
pub const SIGNATURE_LEN: usize = 64;
/// Bytes of an account key.
pub const KEY_LEN: usize = 32;
/// Bytes of a blockhash.
pub const BLOCKHASH_LEN: usize = 32;

/// Longest legacy or v0 transaction: what one packet carries. A longer one voids its block as well. Source:
/// `solana-packet` `PACKET_DATA_SIZE`; agave `Bank::verify_transaction`; firedancer `FD_TXN_MTU_V0`.
pub const LEGACY_AND_V0_LEN_MAX: usize = 1232;
/// Longest v1 transaction. Source: SIMD-0296; `solana-message` `v1::MAX_TRANSACTION_SIZE`.
pub const V1_LEN_MAX: usize = 4096;
/// Longest transaction of any version: what a buffer must hold.
pub const TXN_LEN_MAX: usize = V1_LEN_MAX;
/// Shortest transaction a view accepts: legacy, one signature, one key, no instruction.
pub const TXN_LEN_MIN: usize = 1 + SIGNATURE_LEN + 3 + 1 + KEY_LEN + BLOCKHASH_LEN + 1;

/// Most signatures. For v1 the format says so (SIMD-0385); in the older two a thirteenth, with the key that
/// must stand beside it, passes [`LEGACY_AND_V0_LEN_MAX`]. Source: firedancer `FD_TXN_SIG_MAX`.
pub const SIGNATURE_COUNT_MAX: usize = 12;
/// Most account keys of a v1 transaction. Source: SIMD-0385; `v1::MAX_ADDRESSES`.
pub const V1_KEY_COUNT_MAX: usize = 64;
/// Most instructions of a v1 transaction. Source: SIMD-0385; `v1::MAX_INSTRUCTIONS`.
pub const V1_INSTRUCTION_COUNT_MAX: usize = 64;
/// Most accounts, static and looked up together, of a v0 transaction, since an instruction names an account
/// with one byte. Source: `solana-message` `v0::Message::sanitize`.
pub const V0_ACCOUNT_COUNT_MAX: usize = 256;

/// First byte of a v0 message.
pub const V0_PREFIX: u8 = 0x80;
/// First byte of a v1 message, and so of a v1 transaction.
pub const V1_PREFIX: u8 = 0x81;

/// Smallest heap a v1 transaction may ask for, bytes. Source: `v1::MIN_HEAP_SIZE`.
pub const V1_HEAP_LEN_MIN: u32 = 32 * 1024;
/// Largest heap a v1 transaction may ask for, bytes. Source: `v1::MAX_HEAP_SIZE`.
pub const V1_HEAP_LEN_MAX: u32 = 256 * 1024;
/// A heap request is a multiple of this, bytes. Source: SIMD-0385.
pub const V1_HEAP_LEN_STEP: u32 = 1024;
