//! Who may sign a slot, and whether they did.

use crate::merkle::Root;
use ed25519_dalek::{Signature, VerifyingKey};
use shred_wire::Slot;
use shred_wire::shred::SIGNATURE_LEN;

/// What a leader source says about a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leader {
    /// This identity signs the slot.
    Identity([u8; 32]),
    /// There is a source, and it does not know: the slot's shreds are refused.
    Unnamed,
    /// There is no source: proofs are checked, signatures cannot be.
    NoSource,
}

/// Names the leader of a slot. A look-up in a snapshot; called for every new set.
pub trait Leaders {
    /// The leader of `slot`.
    fn leader(&self, slot: Slot) -> Leader;
}

/// No leader source: everything stays unverified.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLeaders;

impl Leaders for NoLeaders {
    fn leader(&self, _slot: Slot) -> Leader {
        Leader::NoSource
    }
}

const KEYS: usize = 8;
const FAILURES: usize = 64;

/// Checks leader signatures, remembering decompressed keys and what failed of late.
pub(crate) struct SignatureCheck {
    keys: [Option<VerifyingKey>; KEYS],
    next_key: usize,
    failures: [(Root, [u8; SIGNATURE_LEN]); FAILURES],
    pub(crate) checked: u64,
}

impl SignatureCheck {
    pub(crate) const fn new() -> Self {
        Self {
            keys: [None; KEYS],
            next_key: 0,
            failures: [([0; 32], [0; SIGNATURE_LEN]); FAILURES],
            checked: 0,
        }
    }

    /// Whether `leader` signed `root` (strict: no small-order keys, canonical only, as agave checks it).
    ///
    /// Cost: one Ed25519 verification, tens of microseconds; a repeated failure costs a comparison.
    pub(crate) fn verify(&mut self, leader: &[u8; 32], root: &Root, signature: &[u8; SIGNATURE_LEN]) -> bool {
        let place = usize::from(signature[0] ^ root[0]) % FAILURES;
        if self.failures[place].0 == *root && self.failures[place].1 == *signature {
            return false;
        }
        let Some(key) = self.key(leader) else { return false };
        self.checked += 1;
        let good = key.verify_strict(root, &Signature::from_bytes(signature)).is_ok();
        if !good {
            self.failures[place] = (*root, *signature);
        }
        good
    }

    fn key(&mut self, leader: &[u8; 32]) -> Option<VerifyingKey> {
        if let Some(key) = self.keys.iter().flatten().find(|key| key.as_bytes() == leader) {
            return Some(*key);
        }
        let key = VerifyingKey::from_bytes(leader).ok()?;
        self.keys[self.next_key] = Some(key);
        self.next_key = (self.next_key + 1) % KEYS;
        Some(key)
    }
}
