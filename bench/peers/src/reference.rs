//! When each transaction of a capture could be known, worked out after the fact, slowly and plainly.
//!
//! Every authentic shred is kept with the ordinal of its datagram; a set is whole at its 32nd; a data shred is known
//! when it arrives or when its set is whole. From there the three ways of decoding are maxima over ordinals:
//!
//! - streaming: all shreds from the batch's first to the one with the transaction's last byte, and the mark that says
//!   where the batch begins;
//! - whole batch: all shreds of the batch, and that mark;
//! - whole set: all sets of the slot up to the one with the transaction's last byte, each whole.
//!
//! It shares no code with our decoder. Of two versions of a set the one that came first counts.

use std::collections::BTreeMap;

use ed25519_dalek::{Signature, VerifyingKey};
use reed_solomon_erasure::galois_8::ReedSolomon;
use sha2::{Digest, Sha256};
use shred_resolve::{Leader, Leaders};
use shred_wire::Slot;
use solana_transaction::versioned::VersionedTransaction;

const DATA_SHREDS: usize = 32;
const SHREDS: usize = 64;
const DATA_COMPLETE: u8 = 0x40;

/// Ordinals of the datagrams at which a transaction becomes known; `None` for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) slot: u64,
    pub(crate) signature: [u8; 64],
    pub(crate) streaming: usize,
    pub(crate) whole_batch: Option<usize>,
    pub(crate) whole_set: Option<usize>,
}

/// All that was received of a capture.
pub(crate) struct Received {
    sets: BTreeMap<(u64, u32), Set>,
}

struct Set {
    root: [u8; 32],
    /// A shred with another one, or with a damaged one, is not counted.
    signature: [u8; 64],
    /// What the erasure code covers, data before code.
    shards: Vec<Option<Vec<u8>>>,
    arrived: [Option<usize>; SHREDS],
    whole_at: Option<usize>,
}

/// One data shred.
struct Piece {
    payload: Vec<u8>,
    ends_batch: bool,
    known_at: usize,
}

impl Received {
    /// Keeps every authentic shred of `datagrams` and recovers what can be.
    pub(crate) fn new<'a>(
        datagrams: impl Iterator<Item = &'a [u8]>,
        leaders: &impl Leaders,
    ) -> Self {
        let mut sets = BTreeMap::new();
        for (ordinal, datagram) in datagrams.enumerate() {
            let Some(shred) = Shred::parse(datagram) else {
                continue;
            };
            let key = (shred.slot, shred.set);
            let root = shred.root();
            let is_known = sets
                .get(&key)
                .is_some_and(|set: &Set| set.root == root && set.signature == *shred.signature);
            if !is_known && (sets.contains_key(&key) || !shred.is_signed(&root, leaders)) {
                continue;
            }
            let set = sets.entry(key).or_insert_with(|| Set {
                root,
                signature: *shred.signature,
                shards: vec![None; SHREDS],
                arrived: [None; SHREDS],
                whole_at: None,
            });
            if set.whole_at.is_none() && set.arrived[shred.place].is_none() {
                set.arrived[shred.place] = Some(ordinal);
                set.shards[shred.place] = Some(shred.shard.to_vec());
                if set.arrived.iter().flatten().count() == DATA_SHREDS {
                    set.whole_at = Some(ordinal);
                }
            }
        }
        let code = ReedSolomon::new(DATA_SHREDS, DATA_SHREDS).expect("32:32 is a code");
        for set in sets.values_mut().filter(|set| set.whole_at.is_some()) {
            if code.reconstruct_data(&mut set.shards).is_err() {
                set.whole_at = None;
            }
        }
        Self { sets }
    }

    /// The ordinal at which a set's 32nd shred came.
    #[cfg(test)]
    pub(crate) fn set_whole_at(&self, slot: u64, set: u32) -> Option<usize> {
        self.sets.get(&(slot, set))?.whole_at
    }

    /// Every transaction that became known in any of the ways.
    pub(crate) fn transactions(&self) -> Vec<Known> {
        let mut slots: Vec<u64> = self.sets.keys().map(|(slot, _)| *slot).collect();
        slots.dedup();
        slots
            .into_iter()
            .flat_map(|slot| self.of_slot(slot))
            .collect()
    }

    fn of_slot(&self, slot: u64) -> Vec<Known> {
        let pieces = self.pieces(slot);
        let mut found = Vec::new();
        for start in pieces.keys().copied() {
            let boundary = match start.checked_sub(1) {
                None => Some(0),
                Some(before) => pieces
                    .get(&before)
                    .filter(|piece| piece.ends_batch)
                    .map(|piece| piece.known_at),
            };
            if let Some(boundary) = boundary {
                self.of_batch(slot, &pieces, start, boundary, &mut found);
            }
        }
        found
    }

    /// The transactions of the batch that begins with data shred `start`, as far as it reaches without a gap.
    fn of_batch(
        &self,
        slot: u64,
        pieces: &BTreeMap<u32, Piece>,
        start: u32,
        boundary: usize,
        found: &mut Vec<Known>,
    ) {
        let (mut bytes, mut ends, mut known_at) = (Vec::new(), Vec::new(), boundary);
        let mut whole = false;
        while let (false, Some(piece)) = (whole, pieces.get(&(start + ends.len() as u32))) {
            bytes.extend_from_slice(&piece.payload);
            known_at = known_at.max(piece.known_at);
            ends.push((bytes.len(), known_at));
            whole = piece.ends_batch;
        }
        for (end, signature) in transactions(&bytes) {
            let last = ends
                .iter()
                .position(|(bytes, _)| *bytes >= end)
                .expect("a transaction ends inside its batch");
            found.push(Known {
                slot,
                signature,
                streaming: ends[last].1,
                whole_batch: whole.then_some(known_at),
                whole_set: self.whole_through(slot, start + last as u32),
            });
        }
    }

    /// When all sets up to that of data shred `index` are whole.
    fn whole_through(&self, slot: u64, index: u32) -> Option<usize> {
        (0..=index)
            .step_by(DATA_SHREDS)
            .map(|set| self.sets.get(&(slot, set))?.whole_at)
            .try_fold(0, |latest, whole_at| Some(latest.max(whole_at?)))
    }

    fn pieces(&self, slot: u64) -> BTreeMap<u32, Piece> {
        let mut pieces = BTreeMap::new();
        for ((_, first), set) in self.sets.range((slot, 0)..=(slot, u32::MAX)) {
            for place in 0..DATA_SHREDS {
                let known_at = [set.arrived[place], set.whole_at].into_iter().flatten();
                if let (Some(shard), Some(known_at)) = (&set.shards[place], known_at.min())
                    && let Some(piece) = Piece::of(shard, known_at)
                {
                    pieces.insert(first + place as u32, piece);
                }
            }
        }
        pieces
    }
}

impl Piece {
    fn of(shard: &[u8], known_at: usize) -> Option<Self> {
        let size = usize::from(u16::from_le_bytes(*shard.get(22..)?.first_chunk()?));
        Some(Self {
            payload: shard.get(24..size.checked_sub(64)?)?.to_vec(),
            ends_batch: shard[21] & DATA_COMPLETE != 0,
            known_at,
        })
    }
}

/// End and id of every transaction of a batch, as far as its bytes go.
fn transactions(batch: &[u8]) -> Vec<(usize, [u8; 64])> {
    let mut found = Vec::new();
    let mut rest = batch;
    let Some(entries) = number(&mut rest) else {
        return found;
    };
    for _ in 0..entries {
        let Some(Some(count)) = rest.split_at_checked(40).map(|(_, tail)| {
            rest = tail;
            number(&mut rest)
        }) else {
            return found;
        };
        for _ in 0..count {
            let Ok(transaction) = wincode::deserialize::<VersionedTransaction>(rest) else {
                return found;
            };
            let len = wincode::serialized_size(&transaction).expect("what was read can be written");
            rest = &rest[len as usize..];
            found.push((batch.len() - rest.len(), transaction.signatures[0].into()));
        }
    }
    found
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (number, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(u64::from_le_bytes(*number))
}

/// One shred's place and parts.
pub(crate) struct Shred<'a> {
    signature: &'a [u8; 64],
    pub(crate) slot: u64,
    pub(crate) set: u32,
    /// Among the set's 64.
    place: usize,
    /// What the erasure code covers.
    shard: &'a [u8],
    /// What the leaf covers.
    leaf: &'a [u8],
    proof: &'a [u8],
}

impl<'a> Shred<'a> {
    pub(crate) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (is_data, resigned) = match datagram.get(64)? {
            0x96 => (true, 0),
            0xb6 => (true, 64),
            0x66 => (false, 0),
            0x76 => (false, 64),
            _ => return None,
        };
        let bytes = datagram.get(..if is_data { 1_203 } else { 1_228 })?;
        let u32_at = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let (index, set) = (u32_at(73)?, u32_at(79)?);
        let within = index.checked_sub(set).filter(|within| *within < 32)? as usize;
        let proof_at = bytes.len() - resigned - 6 * 20;
        let root_at = proof_at - 32;
        Some(Self {
            signature: bytes.first_chunk()?,
            slot: u64::from_le_bytes(*bytes.get(65..)?.first_chunk()?),
            set,
            place: within + if is_data { 0 } else { DATA_SHREDS },
            shard: &bytes[if is_data { 64 } else { 89 }..root_at],
            leaf: &bytes[64..proof_at],
            proof: &bytes[proof_at..proof_at + 6 * 20],
        })
    }

    /// Where leaf and proof lead.
    pub(crate) fn root(&self) -> [u8; 32] {
        let mut node = hash(&[b"\x00SOLANA_MERKLE_SHREDS_LEAF", self.leaf]);
        let mut place = self.place;
        for sibling in self.proof.chunks_exact(20) {
            let (left, right) = match place % 2 {
                0 => (&node[..20], sibling),
                _ => (sibling, &node[..20]),
            };
            node = hash(&[b"\x01SOLANA_MERKLE_SHREDS_NODE", left, right]);
            place /= 2;
        }
        node
    }

    /// Whether the slot's leader signed it.
    pub(crate) fn is_signed(&self, root: &[u8; 32], leaders: &impl Leaders) -> bool {
        let Leader::Identity(identity) = leaders.leader(Slot(self.slot)) else {
            return false;
        };
        let signature = Signature::from_bytes(self.signature);
        VerifyingKey::from_bytes(&identity)
            .is_ok_and(|key| key.verify_strict(root, &signature).is_ok())
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::captures;
    use serde_json::Value;
    use std::path::Path;

    /// Goal: the reference says of every set and every transaction what the captures' own oracle says, which was
    /// made by others. Method: both, over the lossy and adversarial captures.
    #[test]
    fn it_agrees_with_the_captures_oracle() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
        let json = |path: &Path| -> Vec<Value> {
            let text = std::fs::read_to_string(path).unwrap();
            let lines = serde_json::Deserializer::from_str(&text).into_iter();
            lines.map(|value| value.unwrap()).collect()
        };
        for capture in captures::read().unwrap() {
            let Some((family, _)) = capture.name.split_once('.') else {
                continue;
            };
            let oracle = folder.join(format!("{}.oracle.json", capture.name));
            let truth = folder.join(format!("{family}.truth.jsonl"));
            if !oracle.exists() || !truth.exists() {
                continue;
            }
            let received = Received::new(capture.datagrams.iter(), &capture.leaders);
            let known: BTreeMap<_, _> = received
                .transactions()
                .into_iter()
                .map(|known| ((known.slot, known.signature), known))
                .collect();
            let truth: BTreeMap<u64, Value> = json(&truth)
                .into_iter()
                .map(|slot| (slot["slot"].as_u64().unwrap(), slot))
                .collect();
            let (mut sets, mut transactions) = (0, 0);
            for slot in json(&oracle)[0]["slots"].as_array().unwrap() {
                let number = slot["slot"].as_u64().unwrap();
                for set in slot["fec_sets"].as_array().unwrap() {
                    let first = set["fec_set_index"].as_u64().unwrap() as u32;
                    let said = set["recoverable_at"].as_u64().map(|at| at as usize);
                    let name = format!("{} slot {number} set {first}", capture.name);
                    assert_eq!(received.set_whole_at(number, first), said, "{name}");
                    sets += 1;
                }
                let txs = truth[&number]["txs"].as_array().unwrap();
                let ready = slot["tx_ready_at"].as_array().unwrap();
                let batches = slot["batches"].as_array().unwrap();
                for (tx, ready) in txs.iter().zip(ready) {
                    let signature = bs58::decode(tx["sig"].as_str().unwrap()).into_vec();
                    let key = (number, signature.unwrap().try_into().unwrap());
                    let said = ready.as_u64().map(|at| at as usize);
                    let found = known.get(&key);
                    assert_eq!(found.map(|known| known.streaming), said, "{key:?}");
                    let batch = &batches[tx["batch"].as_u64().unwrap() as usize];
                    let said = batch["ready_at"].as_u64().map(|at| at as usize);
                    if let Some(found) = found {
                        assert_eq!(found.whole_batch, said, "{key:?}");
                    }
                    transactions += 1;
                }
            }
            eprintln!("{}: {sets} sets, {transactions} transactions", capture.name);
            assert!(sets > 10 && transactions > 100, "{}", capture.name);
        }
    }
}
