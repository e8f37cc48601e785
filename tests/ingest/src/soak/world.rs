//! What is sent: slot after slot of numbered transactions, and where in the slot each of them lies.

use demo::Datagrams;
use demo::prng::Prng;
use demo::shredder::{RESIGNED_SET_PAYLOAD_LEN, SET_PAYLOAD_LEN, Shredder};
use ed25519_dalek::SigningKey;

use crate::common::{payload, shredder};

/// Where slots begin.
pub(super) const FIRST_SLOT: u64 = 400_000_000;
/// At the default rate a slot then lasts a third of a second: its number of shreds is five times mainnet's, too.
const BATCHES_PER_SLOT: usize = 64;
/// Transactions of a slot are numbered in the low bits.
const NUMBER_BITS: u32 = 24;

/// Who signs every slot.
pub(super) fn leader() -> SigningKey {
    shredder::key(77)
}

/// Slot of a transaction's number, and its place in that slot.
pub(super) const fn place_of(number: u64) -> (u64, usize) {
    (
        FIRST_SLOT + (number >> NUMBER_BITS),
        (number & ((1 << NUMBER_BITS) - 1)) as usize,
    )
}

/// Where the last byte of a transaction lies, and where its batch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) first_set: usize,
    pub(super) set: usize,
    pub(super) shred: usize,
}

/// Makes slots.
pub(super) struct World {
    prng: Prng,
    leader: SigningKey,
    retransmitter: SigningKey,
    chained_root: [u8; 32],
    slot: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            prng: Prng::new(seed).fork("world"),
            leader: leader(),
            retransmitter: shredder::key(78),
            chained_root: [3; 32],
            slot: FIRST_SLOT,
        }
    }

    /// The next slot: its number, its datagrams in `out`, 64 to a set, and the places of its transactions.
    pub(super) fn next_slot(&mut self, out: &mut Datagrams) -> (u64, Vec<Place>) {
        out.clear();
        let slot = self.slot;
        self.slot += 1;
        let (leader, retransmitter) = (self.leader.clone(), self.retransmitter.clone());
        let mut shredder = Shredder::new(
            &leader,
            Some(&retransmitter),
            slot,
            slot - 1,
            shredder::VERSION,
            self.chained_root,
        );
        let mut places = Vec::new();
        for batch in 0..BATCHES_PER_SLOT {
            let is_last = batch + 1 == BATCHES_PER_SLOT;
            let first_set = out.len() / 64;
            let (bytes, ends) = self.batch(slot, places.len());
            shredder.push_batch(&bytes, 1, is_last, out);
            let front = match is_last {
                true => bytes.len().saturating_sub(RESIGNED_SET_PAYLOAD_LEN),
                false => bytes.len(),
            };
            places.extend(ends.iter().map(|end| place(first_set, front, end - 1)));
        }
        self.chained_root = shredder.chained_root();
        (slot, places)
    }

    /// A batch of one to two sets, and where its transactions end.
    fn batch(&mut self, slot: u64, mut number: usize) -> (Vec<u8>, Vec<usize>) {
        let len = SET_PAYLOAD_LEN / 2 + self.prng.below(SET_PAYLOAD_LEN as u64) as usize;
        let mut bytes = vec![0; 8];
        let (mut ends, mut entries) = (Vec::new(), 0u64);
        while bytes.len() < len {
            let head_at = bytes.len();
            bytes.resize(head_at + 48, 7);
            let count = self.prng.below(24);
            bytes[head_at + 40..].copy_from_slice(&count.to_le_bytes());
            for _ in 0..count {
                let id = ((slot - FIRST_SLOT) << NUMBER_BITS) | number as u64;
                let data_len = self.prng.between(20, 500) as usize;
                bytes.extend(match self.prng.below(8) {
                    0 => payload::v1(id, data_len),
                    1 | 2 => payload::v0(id, data_len),
                    _ => payload::legacy(id, data_len),
                });
                ends.push(bytes.len());
                number += 1;
            }
            entries += 1;
        }
        bytes[..8].copy_from_slice(&entries.to_le_bytes());
        (bytes, ends)
    }
}

/// Where byte `at` of a batch lies, of which what is beyond `front` is in the slot's re-signed set.
fn place(first_set: usize, front: usize, at: usize) -> Place {
    let (set, at, set_len) = match at.checked_sub(front) {
        Some(beyond) => (
            front.div_ceil(SET_PAYLOAD_LEN),
            beyond,
            RESIGNED_SET_PAYLOAD_LEN,
        ),
        None => (at / SET_PAYLOAD_LEN, at % SET_PAYLOAD_LEN, SET_PAYLOAD_LEN),
    };
    Place {
        first_set,
        set: first_set + set,
        shred: at / (set_len / 32),
    }
}
