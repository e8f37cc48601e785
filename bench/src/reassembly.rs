//! Shreds to entry batches the straightforward way: what most tools on the network do.
//!
//! Maps of shreds per slot, a `Vec` per shred, recovery by `reed-solomon-erasure` once a set holds 32 shreds, and
//! nothing is handed on before the batch is whole to its DATA_COMPLETE shred. It reads the wire by itself and
//! shares no code with ours. With a leader source it hashes every shred's path to the root and checks one
//! signature per set.

use std::collections::{BTreeMap, HashMap, HashSet};

use ed25519_dalek::{Signature, VerifyingKey};
use reed_solomon_erasure::galois_8::ReedSolomon;
use sha2::{Digest, Sha256};
use shred_resolve::{Leader, Leaders};
use shred_wire::Slot;

const SET_SHREDS: usize = 32;
const SIGNATURE_LEN: usize = 64;
const PROOF_COUNT: usize = 6;
const PROOF_ENTRY_LEN: usize = 20;
const FLAG_DATA_COMPLETE: u8 = 0x40;
/// Header bytes of a data shred after the signature: the part that recovery brings back.
const HEAD_LEN: usize = 24;
/// Slots kept.
const SLOTS_MAX: usize = 64;
const LEAF_PREFIX: &[u8] = b"\x00SOLANA_MERKLE_SHREDS_LEAF";
const NODE_PREFIX: &[u8] = b"\x01SOLANA_MERKLE_SHREDS_NODE";

/// Shreds in, whole entry batches out.
pub struct Reassembler<'a> {
    leaders: Option<&'a dyn Leaders>,
    slots: HashMap<u64, SlotShreds>,
    code: ReedSolomon,
    /// Sets brought back.
    pub recovered: u64,
}

#[derive(Default)]
struct SlotShreds {
    sets: HashMap<u32, Set>,
    data: BTreeMap<u32, Piece>,
    /// First indexes of batches handed on.
    done: HashSet<u32>,
}

struct Set {
    shards: Vec<Option<Vec<u8>>>,
    count: usize,
    whole: bool,
    root: Option<[u8; 32]>,
}

struct Piece {
    payload: Vec<u8>,
    complete: bool,
}

/// One shred's place and parts.
struct Shred<'a> {
    bytes: &'a [u8],
    is_data: bool,
    slot: u64,
    index: u32,
    set: u32,
    /// Among the set's 64.
    place: usize,
    /// Where parity or payload ends and the chained root begins.
    area_end: usize,
}

impl<'a> Shred<'a> {
    fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (is_data, resigned) = match datagram.get(SIGNATURE_LEN)? {
            0x96 => (true, false),
            0xb6 => (true, true),
            0x66 => (false, false),
            0x76 => (false, true),
            _ => return None,
        };
        let bytes = datagram.get(..if is_data { 1_203 } else { 1_228 })?;
        let tail = 32 + PROOF_COUNT * PROOF_ENTRY_LEN + if resigned { SIGNATURE_LEN } else { 0 };
        let u32_at = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let (index, set) = (u32_at(73)?, u32_at(79)?);
        let within = index
            .checked_sub(set)
            .filter(|within| (*within as usize) < SET_SHREDS)? as usize;
        Some(Self {
            bytes,
            is_data,
            slot: u64::from_le_bytes(*bytes.get(65..)?.first_chunk()?),
            index,
            set,
            place: if is_data { within } else { SET_SHREDS + within },
            area_end: bytes.len() - tail,
        })
    }

    /// What the erasure code covers (data), or the parity itself.
    fn shard(&self) -> Vec<u8> {
        let start = if self.is_data { SIGNATURE_LEN } else { 89 };
        self.bytes[start..self.area_end].to_vec()
    }

    /// The root that leaf and proof lead to.
    fn root(&self) -> [u8; 32] {
        let proof = &self.bytes[self.area_end + 32..];
        let mut node = hash(&[LEAF_PREFIX, &self.bytes[SIGNATURE_LEN..self.area_end + 32]]);
        let mut place = self.place;
        for sibling in proof.chunks_exact(PROOF_ENTRY_LEN).take(PROOF_COUNT) {
            let own = &node[..PROOF_ENTRY_LEN];
            node = if place.is_multiple_of(2) {
                hash(&[NODE_PREFIX, own, sibling])
            } else {
                hash(&[NODE_PREFIX, sibling, own])
            };
            place /= 2;
        }
        node
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

impl Piece {
    /// From the bytes after the signature; `None` when the size makes no sense.
    fn of(shard: &[u8]) -> Option<Self> {
        let size = usize::from(u16::from_le_bytes(*shard.get(22..)?.first_chunk()?));
        let payload = shard.get(HEAD_LEN..size.checked_sub(SIGNATURE_LEN)?)?;
        Some(Self {
            payload: payload.to_vec(),
            complete: shard[21] & FLAG_DATA_COMPLETE != 0,
        })
    }
}

impl<'a> Reassembler<'a> {
    /// Checks proofs and signatures when there are `leaders`; takes everything otherwise.
    #[must_use]
    pub fn new(leaders: Option<&'a dyn Leaders>) -> Self {
        Self {
            leaders,
            slots: HashMap::new(),
            code: ReedSolomon::new(SET_SHREDS, SET_SHREDS).expect("32:32 is a code"),
            recovered: 0,
        }
    }

    /// Takes a datagram and hands on every batch that it made whole: slot and bytes.
    pub fn handle(&mut self, datagram: &[u8], mut batch: impl FnMut(u64, &[u8])) {
        let Some(shred) = Shred::parse(datagram) else {
            return;
        };
        if !self.slots.contains_key(&shred.slot) && self.slots.len() == SLOTS_MAX {
            let oldest = self.slots.keys().min().copied();
            oldest.and_then(|oldest| self.slots.remove(&oldest));
        }
        let slot = self.slots.entry(shred.slot).or_default();
        let set = slot.sets.entry(shred.set).or_insert_with(|| Set {
            shards: vec![None; 2 * SET_SHREDS],
            count: 0,
            whole: false,
            root: None,
        });
        if set.whole || set.shards[shred.place].is_some() {
            return;
        }
        if self
            .leaders
            .is_some_and(|leaders| !is_authentic(&shred, set, leaders))
        {
            return;
        }
        let shard = shred.shard();
        let mut added = Vec::new();
        if let (true, Some(piece)) = (shred.is_data, Piece::of(&shard)) {
            slot.data.insert(shred.index, piece);
            added.push(shred.index);
        }
        set.shards[shred.place] = Some(shard);
        set.count += 1;
        if set.count == SET_SHREDS {
            set.whole = true;
            let missing: Vec<usize> = (0..SET_SHREDS)
                .filter(|place| set.shards[*place].is_none())
                .collect();
            if !missing.is_empty() && self.code.reconstruct_data(&mut set.shards).is_ok() {
                self.recovered += 1;
                for place in missing {
                    if let Some(piece) = set.shards[place].as_deref().and_then(Piece::of) {
                        let index = shred.set + place as u32;
                        slot.data.insert(index, piece);
                        added.push(index);
                    }
                }
            }
            set.shards = Vec::new();
        }
        for index in added {
            slot.complete(index, |bytes| batch(shred.slot, bytes));
        }
    }
}

impl SlotShreds {
    /// Hands on the batch that `index` belongs to, if it is whole.
    fn complete(&mut self, index: u32, batch: impl FnOnce(&[u8])) {
        let mut last = index;
        while !match self.data.get(&last) {
            Some(piece) => piece.complete,
            None => return,
        } {
            last += 1;
        }
        let mut first = index;
        while let Some(before) = first.checked_sub(1) {
            match self.data.get(&before) {
                Some(piece) if piece.complete => break,
                Some(_) => first = before,
                None => return,
            }
        }
        if self.done.insert(first) {
            let mut bytes = Vec::new();
            self.data
                .range(first..=last)
                .for_each(|(_, piece)| bytes.extend_from_slice(&piece.payload));
            batch(&bytes);
        }
    }
}

fn is_authentic(shred: &Shred<'_>, set: &mut Set, leaders: &dyn Leaders) -> bool {
    let root = shred.root();
    if let Some(known) = set.root {
        return known == root;
    }
    let Leader::Identity(identity) = leaders.leader(Slot(shred.slot)) else {
        return false;
    };
    let (Ok(key), Some(signature)) = (
        VerifyingKey::from_bytes(&identity),
        shred.bytes.first_chunk(),
    ) else {
        return false;
    };
    let signed = key
        .verify_strict(&root, &Signature::from_bytes(signature))
        .is_ok();
    if signed {
        set.root = Some(root);
    }
    signed
}
