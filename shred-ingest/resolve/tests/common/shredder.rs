//! A shredder that can also do what leaders must not. Written from the wire facts, apart from the crate under test.

use super::Dice;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signer, SigningKey};
use reed_solomon_erasure::galois_8::ReedSolomon;
use sha2::{Digest, Sha256, Sha512};
use shred_resolve::Root;
use std::sync::LazyLock;

pub const VERSION: u16 = 50093;
pub const DATA_COMPLETE: u8 = 0x40;
pub const LAST_IN_SLOT: u8 = 0xc0;
const DATA_LEN: usize = 1203;
const CODE_LEN: usize = 1228;
const CODED_AT: [usize; 2] = [64, 89];
const HEAD_LEN: usize = 24;

pub static CODER: LazyLock<ReedSolomon> = LazyLock::new(|| ReedSolomon::new(32, 32).unwrap());

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// Payload bytes of a full data shred.
pub fn capacity(resigned: bool) -> usize {
    if resigned { 899 } else { 963 }
}

/// Offset of the chained root in data (0) or code (1) shreds.
pub fn chained_root_at(kind: usize, resigned: bool) -> usize {
    CODED_AT[kind] + HEAD_LEN + capacity(resigned)
}

/// What is coded of a data (0) or code (1) shred.
pub fn coded(shred: &[u8], kind: usize, resigned: bool) -> &[u8] {
    &shred[CODED_AT[kind]..chained_root_at(kind, resigned)]
}

pub fn leaf(shred: &[u8], kind: usize, resigned: bool) -> [u8; 20] {
    let end = chained_root_at(kind, resigned) + 32;
    cut(&hash(&[b"\x00SOLANA_MERKLE_SHREDS_LEAF", &shred[64..end]]))
}

pub fn join(left: &[u8; 20], right: &[u8; 20]) -> Root {
    hash(&[b"\x01SOLANA_MERKLE_SHREDS_NODE", left, right])
}

pub fn cut(root: &Root) -> [u8; 20] {
    *root.first_chunk().unwrap()
}

fn hash(parts: &[&[u8]]) -> Root {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// All levels of the tree over 64 leaves, the root aside.
fn levels(leaves: Vec<[u8; 20]>) -> (Vec<Vec<[u8; 20]>>, Root) {
    let mut levels = vec![leaves];
    loop {
        let last = levels.last().unwrap();
        if let [left, right] = last[..] {
            return (levels, join(&left, &right));
        }
        let above = last
            .chunks(2)
            .map(|pair| cut(&join(&pair[0], &pair[1])))
            .collect();
        levels.push(above);
    }
}

/// A second good signature over `root`: same key, another nonce.
pub fn sign_again(key: &SigningKey, root: &Root) -> [u8; 64] {
    let mut expanded = ExpandedSecretKey::from(&key.to_bytes());
    expanded.hash_prefix[0] ^= 1;
    raw_sign::<Sha512>(&expanded, root, &key.verifying_key()).to_bytes()
}

/// Everything that the shreds of a set have in common.
#[derive(Clone, Copy, Debug)]
pub struct SetHead {
    pub slot: u64,
    pub parent_offset: u16,
    pub version: u16,
    pub fec_set_index: u32,
    pub chained_root: Root,
    pub resigned: bool,
    pub flags: u8,
}

/// One FEC set: 32 data shreds, then 32 code shreds.
#[derive(Clone)]
pub struct Set {
    pub head: SetHead,
    pub root: Root,
    pub shreds: Vec<Vec<u8>>,
}

impl Set {
    /// Lays out and codes; call [`Set::seal`] to finish.
    pub fn new(head: SetHead, pieces: &[Vec<u8>]) -> Self {
        assert_eq!(pieces.len(), 32);
        let mut shreds: Vec<Vec<u8>> = (0..64).map(|at| head.blank(at)).collect();
        for (place, piece) in pieces.iter().enumerate() {
            let shred = &mut shreds[place];
            shred[86..88].copy_from_slice(&(88 + piece.len() as u16).to_le_bytes());
            shred[88..88 + piece.len()].copy_from_slice(piece);
        }
        let mut set = Self {
            head,
            root: [0; 32],
            shreds,
        };
        set.code();
        set
    }

    fn code(&mut self) {
        let resigned = self.head.resigned;
        let mut shards: Vec<Vec<u8>> = (0..64)
            .map(|at| coded(&self.shreds[at], at / 32, resigned).to_vec())
            .collect();
        CODER.encode(&mut shards).unwrap();
        for (shred, shard) in self.shreds.iter_mut().zip(shards).skip(32) {
            shred[CODED_AT[1]..chained_root_at(1, resigned)].copy_from_slice(&shard);
        }
    }

    /// Writes the proofs, and signs the root.
    pub fn seal(mut self, key: &SigningKey) -> Self {
        let resigned = self.head.resigned;
        let leaves = self
            .shreds
            .iter()
            .enumerate()
            .map(|(at, shred)| leaf(shred, at / 32, resigned))
            .collect();
        let (levels, root) = levels(leaves);
        self.root = root;
        for (at, shred) in self.shreds.iter_mut().enumerate() {
            let proof_at = chained_root_at(at / 32, resigned) + 32;
            for (level, nodes) in levels.iter().enumerate() {
                let to = proof_at + 20 * level;
                shred[to..to + 20].copy_from_slice(&nodes[(at >> level) ^ 1]);
            }
        }
        self.with_signature(&key.sign(&root).to_bytes())
    }

    /// The same set under another signature.
    pub fn with_signature(mut self, signature: &[u8; 64]) -> Self {
        for shred in &mut self.shreds {
            shred[..64].copy_from_slice(signature);
        }
        self
    }
}

impl SetHead {
    fn blank(&self, at: usize) -> Vec<u8> {
        let (kind, place) = (at / 32, at % 32);
        let mut shred = vec![0; if kind == 0 { DATA_LEN } else { CODE_LEN }];
        shred[64] = [[0x96, 0x66], [0xb6, 0x76]][usize::from(self.resigned)][kind];
        shred[65..73].copy_from_slice(&self.slot.to_le_bytes());
        shred[73..77].copy_from_slice(&(self.fec_set_index + place as u32).to_le_bytes());
        shred[77..79].copy_from_slice(&self.version.to_le_bytes());
        shred[79..83].copy_from_slice(&self.fec_set_index.to_le_bytes());
        if kind == 0 {
            shred[83..85].copy_from_slice(&self.parent_offset.to_le_bytes());
            shred[85] = if place == 31 { self.flags } else { 0 };
        } else {
            shred[83..85].copy_from_slice(&32u16.to_le_bytes());
            shred[85..87].copy_from_slice(&32u16.to_le_bytes());
            shred[87..89].copy_from_slice(&(place as u16).to_le_bytes());
        }
        let chained_at = chained_root_at(kind, self.resigned);
        shred[chained_at..chained_at + 32].copy_from_slice(&self.chained_root);
        shred
    }
}

/// How a batch is cut.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Full shreds, then empty ones up to the set's end.
    Full,
    /// As agave ends a slot: the last bytes in a re-signed set, what is left over in a padded set before it that
    /// does not complete the batch.
    Resigned,
    /// Data shreds of any length.
    Ragged(Dice),
    /// Exactly these pieces; empty ones up to the set's end.
    Pieces(Vec<usize>),
}

/// A block while it is being made.
#[derive(Clone)]
pub struct Block {
    pub key: SigningKey,
    pub slot: u64,
    pub parent_offset: u16,
    pub version: u16,
    pub chained_root: Root,
    pub sets: Vec<Set>,
}

impl Block {
    pub fn new(key: &SigningKey, slot: u64) -> Self {
        let parent_offset = u16::from(slot > 0);
        Self {
            key: key.clone(),
            slot,
            parent_offset,
            version: VERSION,
            chained_root: [3; 32],
            sets: Vec::new(),
        }
    }

    pub fn push(&mut self, bytes: &[u8], shape: Shape, flags: u8) -> &mut Self {
        let full = capacity(false);
        match shape {
            Shape::Full => self.push_pieces(bytes, std::iter::repeat(full), false, flags),
            Shape::Resigned => {
                let (head, tail) = bytes.split_at(bytes.len().saturating_sub(32 * capacity(true)));
                if !head.is_empty() {
                    self.push_pieces(head, std::iter::repeat(full), false, 0);
                }
                self.push_pieces(tail, std::iter::repeat(capacity(true)), true, flags);
            }
            Shape::Ragged(mut dice) => {
                let lens = std::iter::from_fn(|| {
                    Some(if dice.percent(40) {
                        full
                    } else {
                        dice.below(full + 1)
                    })
                });
                self.push_pieces(bytes, lens, false, flags);
            }
            Shape::Pieces(lens) => {
                assert_eq!(lens.iter().sum::<usize>(), bytes.len());
                self.push_pieces(bytes, lens.into_iter(), false, flags);
            }
        }
        self
    }

    /// A batch of its own.
    pub fn batch(&mut self, bytes: &[u8]) -> &mut Self {
        self.push(bytes, Shape::Full, DATA_COMPLETE)
    }

    /// The slot's last batch.
    pub fn last(&mut self, bytes: &[u8]) -> &mut Self {
        self.push(bytes, Shape::Resigned, LAST_IN_SLOT)
    }

    fn push_pieces(
        &mut self,
        bytes: &[u8],
        lens: impl Iterator<Item = usize>,
        resigned: bool,
        flags: u8,
    ) {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        for len in lens {
            let (piece, after) = rest.split_at(len.min(rest.len()));
            pieces.push(piece.to_vec());
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        pieces.resize(pieces.len().next_multiple_of(32), Vec::new());
        let count = pieces.len() / 32;
        for (at, pieces) in pieces.chunks(32).enumerate() {
            let head = SetHead {
                slot: self.slot,
                parent_offset: self.parent_offset,
                version: self.version,
                fec_set_index: 32 * self.sets.len() as u32,
                chained_root: self.sets.last().map_or(self.chained_root, |set| set.root),
                resigned,
                flags: if at + 1 == count { flags } else { 0 },
            };
            self.sets.push(Set::new(head, pieces).seal(&self.key));
        }
    }

    pub fn shreds(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.sets.iter().flat_map(|set| &set.shreds)
    }

    /// Data shreds only.
    pub fn data(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.sets.iter().flat_map(|set| &set.shreds[..32])
    }
}
