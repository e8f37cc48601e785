//! Proof of history: one SHA-256 chain, cut into ticks, into which entries mix their transactions.
//!
//! Rules (agave `entry/src/{poh,entry}.rs`): a tick is the hash after `hashes_per_tick` steps since
//! the one before, entries included. An entry with transactions takes one step whose input is the
//! hash so far followed by the Merkle root of all their signatures in order (leaf
//! `sha256(0 | signature)`, node `sha256(1 | left | right)`, the last node of an odd level is its
//! own right neighbour). An entry's `num_hashes` counts the steps since the entry before it, its
//! own included. The last tick's hash of a slot is the slot's blockhash.

use sha2::{Digest, Sha256};

use crate::keys::Key;

/// Ticks in a slot (solana `DEFAULT_TICKS_PER_SLOT`).
pub const TICKS_PER_SLOT: u64 = 64;

/// The chain.
#[derive(Debug, Clone)]
pub struct Poh {
    hash: Key,
    hashes_per_tick: u64,
    /// Steps since the last tick.
    steps_in_tick: u64,
    /// Steps since the last entry.
    steps_in_entry: u64,
}

/// Head of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryHead {
    /// Steps since the entry before.
    pub num_hashes: u64,
    /// Hash at the entry's end.
    pub hash: Key,
}

impl Poh {
    /// A chain that goes on from `hash`, right after a tick. `hashes_per_tick` is at least 2.
    pub fn new(hash: Key, hashes_per_tick: u64) -> Self {
        Self {
            hash,
            hashes_per_tick: hashes_per_tick.max(2),
            steps_in_tick: 0,
            steps_in_entry: 0,
        }
    }

    /// Hash now.
    pub fn hash(&self) -> Key {
        self.hash
    }

    /// Entries with transactions that still fit before the tick, which needs a step of its own.
    pub fn room(&self) -> u64 {
        self.hashes_per_tick - 1 - self.steps_in_tick
    }

    /// Takes up to `steps` plain steps, and never the ones a tick or `reserve` entries need.
    pub fn advance(&mut self, steps: u64, reserve: u64) {
        for _ in 0..steps.min(self.room().saturating_sub(reserve)) {
            self.step();
        }
    }

    /// Ends an entry whose transactions' signatures have the root `mixin`; `None` when there is no
    /// room for it before the tick.
    pub fn record(&mut self, mixin: &Key) -> Option<EntryHead> {
        if self.room() == 0 {
            return None;
        }
        self.hash = mix(&self.hash, mixin);
        self.steps_in_tick += 1;
        self.steps_in_entry += 1;
        Some(self.end_entry())
    }

    /// Takes the steps that are left to the tick and ends it.
    pub fn tick(&mut self) -> EntryHead {
        while self.steps_in_tick < self.hashes_per_tick {
            self.step();
        }
        self.steps_in_tick = 0;
        self.end_entry()
    }

    fn step(&mut self) {
        self.hash = Sha256::digest(self.hash).into();
        self.steps_in_tick += 1;
        self.steps_in_entry += 1;
    }

    fn end_entry(&mut self) -> EntryHead {
        let num_hashes = std::mem::take(&mut self.steps_in_entry);
        EntryHead {
            num_hashes,
            hash: self.hash,
        }
    }
}

/// The step that mixes transactions in.
pub fn mix(hash: &Key, mixin: &Key) -> Key {
    Sha256::new()
        .chain_update(hash)
        .chain_update(mixin)
        .finalize()
        .into()
}

/// Merkle root of signatures; zeroes for none.
pub fn signature_root<'a>(signatures: impl Iterator<Item = &'a [u8; 64]>) -> Key {
    let mut level: Vec<Key> = signatures
        .map(|signature| {
            Sha256::new()
                .chain_update([0])
                .chain_update(signature)
                .finalize()
                .into()
        })
        .collect();
    while level.len() > 1 {
        let node = |pair: &[Key]| {
            let (left, right) = (&pair[0], pair.last().unwrap_or(&pair[0]));
            Sha256::new()
                .chain_update([1])
                .chain_update(left)
                .chain_update(right)
                .finalize()
                .into()
        };
        level = level.chunks(2).map(node).collect();
    }
    level.first().copied().unwrap_or([0; 32])
}
