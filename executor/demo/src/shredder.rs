//! Entry batches to shreds: chained Merkle sets of 32 data and 32 code shreds, as leaders send them.
//!
//! Layouts: agave `ledger/src/shred/{wire,merkle}.rs`; a data shred is 1203 bytes, a code shred 1228:
//!
//! | bytes | data shred | code shred |
//! |------:|---|---|
//! | 0-63 | leader's signature over the set's Merkle root | the same |
//! | 64-82 | variant, slot, index, version, FEC set index | the same |
//! | 83-87 (88) | parent offset, flags, size | data count, code count, position |
//! | 88 (89)- | 963 payload bytes | 987 parity bytes |
//! | then | chained root 32, proof 6 x 20 | the same |
//!
//! The last set of a slot may be re-signed: 64 bytes less payload, and the retransmitter's
//! signature over the root at the end.

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};

use crate::keys::Key;
use crate::reed_solomon::{self, SHARDS};

/// Bytes of a data shred.
pub const DATA_LEN: usize = 1_203;
/// Bytes of a code shred.
pub const CODE_LEN: usize = 1_228;
/// Payload of a full set whose shreds are not re-signed.
pub const SET_PAYLOAD_LEN: usize = SHARDS * Kind::Chained.data_capacity();
/// Payload of a full re-signed set.
pub const RESIGNED_SET_PAYLOAD_LEN: usize = SHARDS * Kind::Resigned.data_capacity();

const SIGNATURE_LEN: usize = 64;
const DATA_HEADER_LEN: usize = 88;
const CODE_HEADER_LEN: usize = 89;
const ROOT_LEN: usize = 32;
const PROOF_COUNT: usize = 6;
const PROOF_ENTRY_LEN: usize = 20;
const PROOF_LEN: usize = PROOF_COUNT * PROOF_ENTRY_LEN;
const FLAG_DATA_COMPLETE: u8 = 0x40;
const FLAG_LAST_IN_SLOT: u8 = 0xC0;
const REFERENCE_TICK_MAX: u8 = 0x3F;
const LEAF_PREFIX: &[u8] = b"\x00SOLANA_MERKLE_SHREDS_LEAF";
const NODE_PREFIX: &[u8] = b"\x01SOLANA_MERKLE_SHREDS_NODE";

/// Datagrams in one buffer, in order of sending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Datagrams {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Datagrams {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of datagrams.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets all and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The datagram at `at`, if there is one.
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        let to = *self.ends.get(at)?;
        let from = if at == 0 { 0 } else { self.ends[at - 1] };
        Some(&self.bytes[from..to])
    }

    /// All, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.ends.iter().enumerate().map(|(index, to)| {
            let from = index.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.bytes[from..*to]
        })
    }

    /// Appends one.
    pub fn push(&mut self, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.ends.push(self.bytes.len());
    }

    /// Appends `count` zeroed datagrams of `len` bytes and returns where they start.
    fn grow(&mut self, count: usize, len: usize) -> usize {
        let from = self.bytes.len();
        self.ends.extend((1..=count).map(|at| from + at * len));
        self.bytes.resize(from + count * len, 0);
        from
    }
}

/// What a set carries besides 32 data and 32 code shreds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Chained,
    Resigned,
}

impl Kind {
    const fn tail_len(self) -> usize {
        match self {
            Self::Chained => ROOT_LEN + PROOF_LEN,
            Self::Resigned => ROOT_LEN + PROOF_LEN + SIGNATURE_LEN,
        }
    }

    const fn data_capacity(self) -> usize {
        DATA_LEN - DATA_HEADER_LEN - self.tail_len()
    }

    const fn code_capacity(self) -> usize {
        CODE_LEN - CODE_HEADER_LEN - self.tail_len()
    }

    const fn variants(self) -> [u8; 2] {
        match self {
            Self::Chained => [0x90 | PROOF_COUNT as u8, 0x60 | PROOF_COUNT as u8],
            Self::Resigned => [0xB0 | PROOF_COUNT as u8, 0x70 | PROOF_COUNT as u8],
        }
    }
}

/// Makes the shreds of one slot, batch by batch.
pub struct Shredder<'a> {
    leader: &'a SigningKey,
    /// Signs the last set again; `None` leaves it as the others.
    retransmitter: Option<&'a SigningKey>,
    slot: u64,
    parent_offset: u16,
    version: u16,
    chained_root: Key,
    next_index: u32,
}

impl<'a> Shredder<'a> {
    /// Starts `slot`. `chained_root` is the root of the parent's last set.
    ///
    /// # Panics
    /// When `parent` is not an ancestor within reach of the two-byte offset.
    pub fn new(
        leader: &'a SigningKey,
        retransmitter: Option<&'a SigningKey>,
        slot: u64,
        parent: u64,
        version: u16,
        chained_root: Key,
    ) -> Self {
        let offset = slot
            .checked_sub(parent)
            .and_then(|offset| u16::try_from(offset).ok());
        let parent_offset = offset.expect("the parent is at most 65,535 slots back");
        Self {
            leader,
            retransmitter,
            slot,
            parent_offset,
            version,
            chained_root,
            next_index: 0,
        }
    }

    /// Goes on at `next_index`, a multiple of 32, instead of 0.
    pub fn continued(self, next_index: u32) -> Self {
        Self { next_index, ..self }
    }

    /// Index of the next data shred.
    pub fn next_index(&self) -> u32 {
        self.next_index
    }

    /// Root of the last set made: the next slot chains to it.
    pub fn chained_root(&self) -> Key {
        self.chained_root
    }

    /// Appends the shreds of one batch: whole sets, in the order of the wire (32 data, 32 code).
    ///
    /// The last batch of a slot is split as agave does it (`merkle.rs make_shreds_from_data`): its
    /// last [`RESIGNED_SET_PAYLOAD_LEN`] bytes go to the re-signed set and what comes before to sets
    /// of its own, the last of which is padded without a data-complete mark.
    pub fn push_batch(
        &mut self,
        bytes: &[u8],
        reference_tick: u8,
        last_in_slot: bool,
        out: &mut Datagrams,
    ) {
        let tick = reference_tick.min(REFERENCE_TICK_MAX);
        if last_in_slot && self.retransmitter.is_some() {
            let (front, back) =
                bytes.split_at(bytes.len().saturating_sub(RESIGNED_SET_PAYLOAD_LEN));
            for payload in front.chunks(SET_PAYLOAD_LEN) {
                self.push_set(Kind::Chained, payload, tick, 0, out);
            }
            return self.push_set(Kind::Resigned, back, tick, FLAG_LAST_IN_SLOT, out);
        }
        let end_flag = if last_in_slot {
            FLAG_LAST_IN_SLOT
        } else {
            FLAG_DATA_COMPLETE
        };
        let set_count = bytes.len().div_ceil(SET_PAYLOAD_LEN).max(1);
        for set in 0..set_count {
            let from = set * SET_PAYLOAD_LEN;
            let payload = &bytes[from..bytes.len().min(from + SET_PAYLOAD_LEN)];
            let flag = if set + 1 == set_count { end_flag } else { 0 };
            self.push_set(Kind::Chained, payload, tick, flag, out);
        }
    }

    /// One set. `end_flag` goes on its last data shred.
    fn push_set(
        &mut self,
        kind: Kind,
        payload: &[u8],
        tick: u8,
        end_flag: u8,
        out: &mut Datagrams,
    ) {
        let from = out.grow(SHARDS, DATA_LEN);
        out.grow(SHARDS, CODE_LEN);
        let (data, code) = out.bytes[from..].split_at_mut(SHARDS * DATA_LEN);
        self.write_data(kind, payload, tick, end_flag, data);
        self.write_code(kind, data, code);
        let leaves = leaves(kind, &self.chained_root, data, code);
        let tree = tree(leaves);
        let root = tree[tree.len() - 1];
        let signature = self.leader.sign(&root).to_bytes();
        let resigned = match kind {
            Kind::Chained => None,
            Kind::Resigned => self.retransmitter.map(|key| key.sign(&root).to_bytes()),
        };
        for (leaf, shred) in shreds(data, code).enumerate() {
            shred[..SIGNATURE_LEN].copy_from_slice(&signature);
            let proof_at = shred.len() - kind.tail_len() + ROOT_LEN;
            write_proof(&tree, leaf, &mut shred[proof_at..proof_at + PROOF_LEN]);
            if let Some(signature) = &resigned {
                shred[proof_at + PROOF_LEN..].copy_from_slice(signature);
            }
        }
        self.chained_root = root;
        self.next_index += SHARDS as u32;
    }

    fn write_data(&self, kind: Kind, payload: &[u8], tick: u8, end_flag: u8, data: &mut [u8]) {
        let capacity = kind.data_capacity();
        for (at, shred) in data.chunks_mut(DATA_LEN).enumerate() {
            let from = payload.len().min(at * capacity);
            let piece = &payload[from..payload.len().min(from + capacity)];
            let flags = tick | if at + 1 == SHARDS { end_flag } else { 0 };
            self.write_common(kind.variants()[0], at, shred);
            shred[83..85].copy_from_slice(&self.parent_offset.to_le_bytes());
            shred[85] = flags;
            shred[86..88].copy_from_slice(&((DATA_HEADER_LEN + piece.len()) as u16).to_le_bytes());
            shred[DATA_HEADER_LEN..DATA_HEADER_LEN + piece.len()].copy_from_slice(piece);
        }
    }

    fn write_code(&self, kind: Kind, data: &[u8], code: &mut [u8]) {
        for (at, shred) in code.chunks_mut(CODE_LEN).enumerate() {
            self.write_common(kind.variants()[1], at, shred);
            shred[83..85].copy_from_slice(&(SHARDS as u16).to_le_bytes());
            shred[85..87].copy_from_slice(&(SHARDS as u16).to_le_bytes());
            shred[87..89].copy_from_slice(&(at as u16).to_le_bytes());
        }
        let coded = SIGNATURE_LEN..SIGNATURE_LEN + kind.code_capacity();
        let mut shreds = data.chunks(DATA_LEN);
        let shards: [&[u8]; SHARDS] =
            std::array::from_fn(|_| &shreds.next().expect("32 data shreds")[coded.clone()]);
        let mut shreds = code.chunks_mut(CODE_LEN);
        let mut parity: [&mut [u8]; SHARDS] = std::array::from_fn(|_| {
            &mut shreds.next().expect("32 code shreds")
                [CODE_HEADER_LEN..CODE_HEADER_LEN + kind.code_capacity()]
        });
        reed_solomon::encode(&shards, &mut parity);
    }

    fn write_common(&self, variant: u8, position: usize, shred: &mut [u8]) {
        shred[64] = variant;
        shred[65..73].copy_from_slice(&self.slot.to_le_bytes());
        shred[73..77].copy_from_slice(&(self.next_index + position as u32).to_le_bytes());
        shred[77..79].copy_from_slice(&self.version.to_le_bytes());
        shred[79..83].copy_from_slice(&self.next_index.to_le_bytes());
    }
}

fn shreds<'b>(data: &'b mut [u8], code: &'b mut [u8]) -> impl Iterator<Item = &'b mut [u8]> {
    data.chunks_mut(DATA_LEN).chain(code.chunks_mut(CODE_LEN))
}

/// Writes the chained root into every shred and hashes what the leader vouches for: all from the
/// variant byte to the chained root, code shreds included.
fn leaves(kind: Kind, chained_root: &Key, data: &mut [u8], code: &mut [u8]) -> [Key; 2 * SHARDS] {
    let mut leaves = [[0; ROOT_LEN]; 2 * SHARDS];
    for (leaf, shred) in leaves.iter_mut().zip(shreds(data, code)) {
        let root_at = shred.len() - kind.tail_len();
        shred[root_at..root_at + ROOT_LEN].copy_from_slice(chained_root);
        let mut hasher = Sha256::new_with_prefix(LEAF_PREFIX);
        hasher.update(&shred[SIGNATURE_LEN..root_at + ROOT_LEN]);
        *leaf = hasher.finalize().into();
    }
    leaves
}

/// All nodes, level by level from the leaves; the root comes last.
fn tree(leaves: [Key; 2 * SHARDS]) -> [Key; 4 * SHARDS - 1] {
    let mut nodes = [[0; ROOT_LEN]; 4 * SHARDS - 1];
    nodes[..2 * SHARDS].copy_from_slice(&leaves);
    let (mut level, mut width) = (0, 2 * SHARDS);
    while width > 1 {
        for pair in 0..width / 2 {
            let mut hasher = Sha256::new_with_prefix(NODE_PREFIX);
            hasher.update(&nodes[level + 2 * pair][..PROOF_ENTRY_LEN]);
            hasher.update(&nodes[level + 2 * pair + 1][..PROOF_ENTRY_LEN]);
            nodes[level + width + pair] = hasher.finalize().into();
        }
        level += width;
        width /= 2;
    }
    nodes
}

/// The siblings on the way from `leaf` to the root, 20 bytes each.
fn write_proof(tree: &[Key; 4 * SHARDS - 1], leaf: usize, proof: &mut [u8]) {
    let (mut level, mut width, mut node) = (0, 2 * SHARDS, leaf);
    for entry in proof.chunks_mut(PROOF_ENTRY_LEN) {
        entry.copy_from_slice(&tree[level + (node ^ 1)][..PROOF_ENTRY_LEN]);
        level += width;
        width /= 2;
        node /= 2;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use ed25519_dalek::{Signature, Verifier};

    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32])
    }

    fn payload(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    fn shred(batches: &[usize], resign: bool) -> Datagrams {
        let (leader, retransmitter) = (key(1), key(2));
        let mut shredder = Shredder::new(
            &leader,
            resign.then_some(&retransmitter),
            100,
            98,
            7,
            [5; 32],
        );
        let mut out = Datagrams::new();
        for (at, len) in batches.iter().enumerate() {
            shredder.push_batch(&payload(*len), 9, at + 1 == batches.len(), &mut out);
        }
        out
    }

    fn u16_at(shred: &[u8], at: usize) -> u16 {
        u16::from_le_bytes(shred[at..at + 2].try_into().unwrap())
    }

    fn u32_at(shred: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(shred[at..at + 4].try_into().unwrap())
    }

    fn tail_len(shred: &[u8]) -> usize {
        if matches!(shred[64] >> 4, 0xB | 0x7) {
            216
        } else {
            152
        }
    }

    /// Root from one shred alone, walked by the parity of its leaf index.
    fn root_of(shred: &[u8]) -> Key {
        let data = shred.len() == DATA_LEN;
        let position = u32_at(shred, 73) - u32_at(shred, 79);
        let mut index = position as usize + if data { 0 } else { SHARDS };
        let proof_at = shred.len() - tail_len(shred) + 32;
        let mut node: Key = Sha256::new_with_prefix(LEAF_PREFIX)
            .chain_update(&shred[64..proof_at])
            .finalize()
            .into();
        for sibling in shred[proof_at..proof_at + 120].chunks(20) {
            let (left, right) = if index.is_multiple_of(2) {
                (&node[..20], sibling)
            } else {
                (sibling, &node[..20])
            };
            node = Sha256::new_with_prefix(NODE_PREFIX)
                .chain_update(left)
                .chain_update(right)
                .finalize()
                .into();
            index /= 2;
        }
        assert_eq!(index, 0);
        node
    }

    #[test]
    fn every_proof_leads_to_the_signed_and_chained_root() {
        let out = shred(&[5_000, 40_000, 70_000], true);
        let (leader, retransmitter) = (key(1).verifying_key(), key(2).verifying_key());
        let mut chained = [5; 32];
        for set in out.iter().collect::<Vec<_>>().chunks(64) {
            let root = root_of(set[0]);
            for shred in set {
                assert_eq!(root_of(shred), root);
                let tail = shred.len() - tail_len(shred);
                assert_eq!(shred[tail..tail + 32], chained);
                let signature = Signature::from_slice(&shred[..64]).unwrap();
                leader.verify(&root, &signature).unwrap();
                if tail_len(shred) == 216 {
                    let signature = Signature::from_slice(&shred[shred.len() - 64..]).unwrap();
                    retransmitter.verify(&root, &signature).unwrap();
                }
            }
            chained = root;
        }
    }

    #[test]
    fn payloads_concatenate_back_to_the_batches() {
        for (lens, resign) in [
            ([10, 30_816, 30_817], true),
            ([1, 963, 28_768], true),
            ([2, 61_633, 100], false),
        ] {
            let out = shred(&lens, resign);
            let (mut batches, mut current) = (Vec::new(), Vec::new());
            for shred in out.iter().filter(|shred| shred.len() == DATA_LEN) {
                current.extend_from_slice(&shred[88..usize::from(u16_at(shred, 86))]);
                if shred[85] & FLAG_DATA_COMPLETE != 0 {
                    assert_eq!(u32_at(shred, 73) % 32, 31);
                    batches.push(std::mem::take(&mut current));
                }
            }
            assert!(current.is_empty());
            assert_eq!(batches, lens.map(payload));
        }
    }

    #[test]
    fn headers_say_what_the_wire_rules_ask() {
        let out = shred(&[100, 40_000], true);
        // One set, then the split: 11,232 bytes before the last 28,768.
        assert_eq!(out.len(), 3 * 64);
        for (at, shred) in out.iter().enumerate() {
            let (set, position) = (at / 64, at % 64);
            assert_eq!(u64::from_le_bytes(shred[65..73].try_into().unwrap()), 100);
            assert_eq!((u16_at(shred, 77), u32_at(shred, 79)), (7, set as u32 * 32));
            assert_eq!(u32_at(shred, 73), (set * 32 + position % 32) as u32);
            let resigned = if set == 2 { 0x20 } else { 0 };
            if position < 32 {
                assert_eq!((shred.len(), shred[64]), (DATA_LEN, 0x96 | resigned));
                let flags = match (set, position) {
                    (0, 31) => 0x40 | 9,
                    (2, 31) => 0xC0 | 9,
                    _ => 9,
                };
                assert_eq!((u16_at(shred, 83), shred[85]), (2, flags));
            } else {
                assert_eq!((shred.len(), shred[64]), (CODE_LEN, 0x66 | resigned >> 1));
                assert_eq!(
                    [u16_at(shred, 83), u16_at(shred, 85), u16_at(shred, 87)],
                    [32, 32, position as u16 - 32]
                );
            }
        }
        let middle_end = out.get(64 + 31).unwrap();
        assert_eq!(
            (u16_at(middle_end, 86), middle_end[85] & 0xC0),
            (88, 0),
            "padded without a mark"
        );
    }
}
