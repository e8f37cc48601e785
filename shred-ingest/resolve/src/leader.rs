//! Who may sign a slot, and whether they did.

use crate::merkle::Root;
use crate::reject::Reject;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};
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

/// A leader's key, decompressed.
#[derive(Clone, Copy)]
struct LeaderKey {
    bytes: [u8; 32],
    negated: EdwardsPoint,
}

impl LeaderKey {
    fn new(bytes: &[u8; 32]) -> Option<Self> {
        let point = CompressedEdwardsY(*bytes).decompress()?;
        (!point.is_small_order()).then_some(Self {
            bytes: *bytes,
            negated: -point,
        })
    }

    /// As `VerifyingKey::verify_strict` of `ed25519-dalek` 2.2, whose refusals allocate: no small-order points,
    /// canonical encodings only.
    fn verify(&self, message: &Root, signature: &[u8; SIGNATURE_LEN]) -> bool {
        let (Some(r), Some(s)) = (signature.first_chunk::<32>(), signature.last_chunk::<32>())
        else {
            return false;
        };
        let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(*s)) else {
            return false;
        };
        let mut hasher = Sha512::new();
        hasher.update(r);
        hasher.update(self.bytes);
        hasher.update(message);
        let k = Scalar::from_bytes_mod_order_wide(&hasher.finalize().into());
        let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &self.negated, &s);
        // Equal to what was compressed just now, `r` is canonical, and of small order only if that is.
        expected.compress().as_bytes() == r && !expected.is_small_order()
    }
}

/// Checks leader signatures, remembering decompressed keys and what failed of late.
pub(crate) struct SignatureCheck {
    keys: [Option<LeaderKey>; KEYS],
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
    pub(crate) fn verify(
        &mut self,
        leader: &[u8; 32],
        root: &Root,
        signature: &[u8; SIGNATURE_LEN],
    ) -> bool {
        if self.check_bad(root, signature).is_err() {
            return false;
        }
        let Some(key) = self.key(leader) else {
            return false;
        };
        self.checked += 1;
        let good = key.verify(root, signature);
        if !good {
            self.note_bad(root, signature);
        }
        good
    }

    /// Refuses what has failed of late.
    pub(crate) fn check_bad(
        &self,
        root: &Root,
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), Reject> {
        let failed = &self.failures[failure_place(root, signature)];
        if failed.0 == *root && failed.1 == *signature {
            return Err(Reject::BadLeaderSignature);
        }
        Ok(())
    }

    /// Remembers what has failed.
    pub(crate) fn note_bad(&mut self, root: &Root, signature: &[u8; SIGNATURE_LEN]) {
        self.failures[failure_place(root, signature)] = (*root, *signature);
    }

    fn key(&mut self, leader: &[u8; 32]) -> Option<LeaderKey> {
        if let Some(key) = self.keys.iter().flatten().find(|key| key.bytes == *leader) {
            return Some(*key);
        }
        let key = LeaderKey::new(leader)?;
        self.keys[self.next_key] = Some(key);
        self.next_key = (self.next_key + 1) % KEYS;
        Some(key)
    }
}

fn failure_place(root: &Root, signature: &[u8; SIGNATURE_LEN]) -> usize {
    usize::from(signature[0] ^ root[0]) % FAILURES
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
    use proptest::prelude::*;

    /// What the library says, and that this crate says the same.
    fn verdict(key: &[u8; 32], message: &Root, signature: &[u8; SIGNATURE_LEN]) -> bool {
        let library = VerifyingKey::from_bytes(key).is_ok_and(|key| {
            key.verify_strict(message, &Signature::from_bytes(signature))
                .is_ok()
        });
        let own = LeaderKey::new(key).is_some_and(|key| key.verify(message, signature));
        assert_eq!(own, library, "key {key:?} signature {signature:?}");
        own
    }

    proptest! {
        #[test]
        fn equals_the_library(seed: [u8; 32], message: Root, bit in 0..512usize, key_bit in 0..256usize) {
            let signing = SigningKey::from_bytes(&seed);
            let mut key = signing.verifying_key().to_bytes();
            let mut signature = signing.sign(&message).to_bytes();
            prop_assert!(verdict(&key, &message, &signature));
            signature[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!verdict(&key, &message, &signature));
            signature[bit / 8] ^= 1 << (bit % 8);
            key[key_bit / 8] ^= 1 << (key_bit % 8);
            verdict(&key, &message, &signature);
        }
    }

    /// Goal: points of small order and scalars that are not reduced are refused wherever they stand.
    #[test]
    fn what_strict_verification_refuses() {
        let message = [7; 32];
        let signing = SigningKey::from_bytes(&[1; 32]);
        let key = signing.verifying_key().to_bytes();
        let good = signing.sign(&message).to_bytes();
        for point in EIGHT_TORSION {
            let small = point.compress().to_bytes();
            // With S = 0 the equation holds for a small-order key and commitment.
            let mut signature = [0; SIGNATURE_LEN];
            signature[..32].copy_from_slice(&small);
            for key in [key, small] {
                for negated in [point, -point] {
                    signature[..32].copy_from_slice(&negated.compress().to_bytes());
                    assert!(!verdict(&key, &message, &signature));
                }
            }
            // R = S * B + torsion.
            let s = Scalar::from(5u64);
            signature[..32]
                .copy_from_slice(&(ED25519_BASEPOINT_POINT * s + point).compress().to_bytes());
            signature[32..].copy_from_slice(s.as_bytes());
            verdict(&small, &message, &signature);
        }
        // S plus the group order: the same modulo the order, and not canonical.
        let order: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut high = good;
        let mut carry = 0u16;
        for (byte, add) in high[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = carry as u8;
            carry >>= 8;
        }
        assert!(verdict(&key, &message, &good));
        assert!(!verdict(&key, &message, &high));
    }
}
