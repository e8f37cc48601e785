//! The Merkle tree over the 64 shreds of an FEC set.
//!
//! Nodes are SHA-256 cut to 20 bytes, the root is whole. A shred brings its leaf's six siblings, so a set whose
//! root is authenticated needs, per further shred, one leaf hash and only those joins that no earlier shred of
//! the set has paid for.
//!
//! Source: agave `ledger/src/shred/merkle_tree.rs`.

use crate::sha256::{HashKernel, joins};
use sha2::digest::generic_array::GenericArray;
use shred_wire::shred::{NODE_LEN, PROOF_LEN, ROOT_LEN, SET_SHREDS, ShredView};

/// A Merkle root: what the leader signs and what identifies a set.
pub type Root = [u8; ROOT_LEN];
/// An inner node or leaf.
pub(crate) type Node = [u8; NODE_LEN];

const NODE_PREFIX: &[u8; 26] = b"\x01SOLANA_MERKLE_SHREDS_NODE";

/// First node of each level in [`NodeCache::nodes`]: 64 leaves, then 32, 16, 8, 4 and the root's 2 children.
const LEVEL_AT: [usize; PROOF_LEN] = [0, 64, 96, 112, 120, 124];
const NODE_COUNT: usize = 126;

/// SHA-256's initial state (FIPS 180-4, 5.3.3).
const SHA256_INIT: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Joins two children. The message is 66 bytes, so its two blocks are laid out here, padding included.
#[inline]
pub(crate) fn join(left: &Node, right: &Node) -> Root {
    const PREFIX: usize = NODE_PREFIX.len();
    const MESSAGE: usize = PREFIX + 2 * NODE_LEN;
    let mut blocks = [0u8; 128];
    blocks[..PREFIX].copy_from_slice(NODE_PREFIX);
    blocks[PREFIX..PREFIX + NODE_LEN].copy_from_slice(left);
    blocks[PREFIX + NODE_LEN..MESSAGE].copy_from_slice(right);
    blocks[MESSAGE] = 0x80;
    blocks[120..].copy_from_slice(&(8 * MESSAGE as u64).to_be_bytes());
    let mut state = SHA256_INIT;
    let (first, second) = blocks.split_at(64);
    sha2::compress256(
        &mut state,
        &[
            *GenericArray::from_slice(first),
            *GenericArray::from_slice(second),
        ],
    );
    let mut root = [0; ROOT_LEN];
    for (bytes, word) in root.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    root
}

#[inline]
fn cut(root: &Root) -> Node {
    let mut node = [0; NODE_LEN];
    node.copy_from_slice(&root[..NODE_LEN]);
    node
}

/// Joins `node`, at `index` of its level, with its sibling in the order the tree wants.
#[inline]
fn join_at(index: usize, node: &Node, sibling: &Node) -> Root {
    if index.is_multiple_of(2) {
        join(node, sibling)
    } else {
        join(sibling, node)
    }
}

/// The root that `shred`, whose leaf hashes to `leaf`, claims by its proof. Cost: six joins.
pub(crate) fn claimed_root(shred: &ShredView<'_>, leaf: &Node) -> Root {
    let mut node = *leaf;
    let mut index = shred.leaf_index();
    let mut root = [0; ROOT_LEN];
    for level in 0..PROOF_LEN {
        root = join_at(index, &node, shred.sibling(level));
        node = cut(&root);
        index /= 2;
    }
    root
}

/// Nodes of one set's tree that are known to belong to its authenticated root.
#[derive(Clone)]
pub(crate) struct NodeCache {
    known: u128,
    nodes: [Node; NODE_COUNT],
}

impl NodeCache {
    pub(crate) const fn new() -> Self {
        Self {
            known: 0,
            nodes: [[0; NODE_LEN]; NODE_COUNT],
        }
    }

    pub(crate) fn clear(&mut self) {
        self.known = 0;
    }

    #[inline]
    fn get(&self, at: usize) -> Option<&Node> {
        (self.known >> at & 1 == 1).then(|| &self.nodes[at])
    }

    #[inline]
    fn put(&mut self, at: usize, node: &Node) {
        self.nodes[at] = *node;
        self.known |= 1 << at;
    }

    /// Whether `shred`, whose leaf hashes to `leaf`, is in the tree under `root`; if so, its path and siblings
    /// become known.
    ///
    /// Cost: one join for each node on the path that is not known yet.
    #[inline]
    pub(crate) fn admit(&mut self, shred: &ShredView<'_>, leaf: &Node, root: &Root) -> bool {
        let leaf_index = shred.leaf_index();
        let mut path = [[0; NODE_LEN]; PROOF_LEN];
        let mut node = *leaf;
        let mut index = leaf_index;
        let mut levels = 0;
        let authentic = loop {
            if levels == PROOF_LEN {
                break false;
            }
            if let Some(known) = self.get(LEVEL_AT[levels] + index) {
                if *known != node {
                    break false;
                }
                if let Some(agrees) = self.goes_on_as_known(shred, levels, index) {
                    break agrees;
                }
            }
            path[levels] = node;
            let joined = join_at(index, &node, shred.sibling(levels));
            levels += 1;
            index /= 2;
            if levels == PROOF_LEN {
                break joined == *root;
            }
            node = cut(&joined);
        };
        if authentic {
            for (level, node) in path[..levels].iter().enumerate() {
                let index = leaf_index >> level;
                self.put(LEVEL_AT[level] + index, node);
                self.put(LEVEL_AT[level] + (index ^ 1), shred.sibling(level));
            }
        }
        authentic
    }

    /// Whether the proof of `shred` is, as far as nodes are known, this tree's.
    pub(crate) fn agrees_with(&self, shred: &ShredView<'_>) -> bool {
        let index = shred.leaf_index();
        (0..PROOF_LEN).all(|level| {
            let sibling = self.get(LEVEL_AT[level] + (index >> level ^ 1));
            sibling.is_none_or(|known| known == shred.sibling(level))
        })
    }

    /// Whether the proof of `shred`, from `level` up, is the one that is known. The leaf needs no more proof by
    /// then, but nobody else would take a shred that is damaged above, and feeds must not differ in what counts.
    ///
    /// Where a node is known, so are all siblings from it up, unless it is only believed: then `None`.
    fn goes_on_as_known(
        &self,
        shred: &ShredView<'_>,
        level: usize,
        mut index: usize,
    ) -> Option<bool> {
        for (level, first) in LEVEL_AT.iter().enumerate().skip(level) {
            let sibling = self.get(first + (index ^ 1))?;
            if sibling != shred.sibling(level) {
                return Some(false);
            }
            index /= 2;
        }
        Some(true)
    }

    /// Takes over the proof of `shred` unseen. Its own leaf stays unknown, and what it says of nodes that are known
    /// already does not count.
    #[inline]
    pub(crate) fn believe(&mut self, shred: &ShredView<'_>) {
        let index = shred.leaf_index();
        for (level, first) in LEVEL_AT.iter().enumerate() {
            let at = first + (index >> level ^ 1);
            if self.get(at).is_none() {
                self.put(at, shred.sibling(level));
            }
        }
    }

    /// The data shreds whose leaves are known, a bit each.
    pub(crate) const fn known_data(&self) -> u32 {
        self.known as u32
    }

    /// Whether the data shreds in `recovered` (bit i: data shred i), whose leaves hash to `hashed`, belong to the tree. All
    /// other data leaves must be known. On success they become known; otherwise nothing changes.
    ///
    /// The code shreds' half is not needed: some shred of the set brought the left subtree's root.
    pub(crate) fn admit_recovered(
        &mut self,
        recovered: u32,
        hashed: &[Node; SET_SHREDS],
        hashing: &HashKernel,
    ) -> bool {
        let mut fresh = u64::from(recovered);
        let mut trial = [[0; NODE_LEN]; SET_SHREDS];
        for (place, node) in trial.iter_mut().enumerate() {
            *node = if fresh >> place & 1 == 1 {
                hashed[place]
            } else {
                self.nodes[place]
            };
        }
        let leaves = trial;
        let mut parents = [[[0; NODE_LEN]; SET_SHREDS / 2]; PROOF_LEN];
        for level in 1..PROOF_LEN {
            let width = SET_SHREDS >> level;
            let mut fresh_above = 0;
            let mut pairs = [([0; NODE_LEN], [0; NODE_LEN]); SET_SHREDS / 2];
            let mut places = [0; SET_SHREDS / 2];
            let mut count = 0;
            for index in 0..width {
                if fresh >> (2 * index) & 3 == 0
                    && let Some(known) = self.get(LEVEL_AT[level] + index)
                {
                    parents[level][index] = *known;
                } else {
                    pairs[count] = (trial[2 * index], trial[2 * index + 1]);
                    places[count] = index;
                    count += 1;
                }
            }
            let mut roots = [[0; ROOT_LEN]; SET_SHREDS / 2];
            joins(hashing, &pairs[..count], &mut roots[..count]);
            for (index, root) in places.into_iter().zip(&roots).take(count) {
                let joined = cut(root);
                let known = self.get(LEVEL_AT[level] + index);
                if known.is_some_and(|known| *known != joined) {
                    return false;
                }
                parents[level][index] = joined;
                fresh_above |= 1 << index;
            }
            trial[..width].copy_from_slice(&parents[level][..width]);
            fresh = fresh_above;
        }
        // The left subtree's root itself has to have been known, or nothing was compared with the signed root.
        if self.get(LEVEL_AT[PROOF_LEN - 1]).is_none() {
            return false;
        }
        for (place, node) in leaves.iter().enumerate() {
            self.put(place, node);
        }
        for (level, row) in parents.iter().enumerate().skip(1) {
            for (index, node) in row[..SET_SHREDS >> level].iter().enumerate() {
                self.put(LEVEL_AT[level] + index, node);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn join_equals_the_library_over_the_same_bytes() {
        let (left, right) = ([7; NODE_LEN], [9; NODE_LEN]);
        let mut hasher = Sha256::new();
        hasher.update(NODE_PREFIX);
        hasher.update(left);
        hasher.update(right);
        let expected: Root = hasher.finalize().into();
        assert_eq!(join(&left, &right), expected);
    }
}
