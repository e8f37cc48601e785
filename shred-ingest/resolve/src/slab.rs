//! The bytes of FEC sets, in slabs that are allocated once and reused.

use crate::field::{Lagrange, add_scaled};
use crate::merkle::{NodeCache, Root, leaf_of_parts};
use shred_wire::shred::{
    CODED_HEAD_LEN, CODED_MAX, DataHead, PAYLOAD_MAX, SET_SHREDS, SetIdentity, ShredKind,
    ShredVariant, ShredView,
};

/// Longest thing in a batch that is read as one piece: a v1 transaction (SIMD-0296).
pub(crate) const CARRY_LEN: usize = 4096;

/// Bytes of one version of one set.
///
/// Payload areas lie end to end, so that a run of full data shreds is one contiguous piece of the entry batch
/// and transactions inside it are read in place.
pub(crate) struct Slab {
    /// Payload areas of the 32 data shreds; the stride is the variant's capacity.
    pub(crate) area: [u8; SET_SHREDS * PAYLOAD_MAX],
    /// Coded header bytes of the data shreds.
    heads: [[u8; CODED_HEAD_LEN]; SET_SHREDS],
    parity: [[u8; CODED_MAX]; SET_SHREDS],
    /// The piece of an item that lies before a break in contiguity.
    pub(crate) carry: [u8; CARRY_LEN],
    pub(crate) nodes: NodeCache,
}

impl Slab {
    pub(crate) const fn new() -> Self {
        Self {
            area: [0; SET_SHREDS * PAYLOAD_MAX],
            heads: [[0; CODED_HEAD_LEN]; SET_SHREDS],
            parity: [[0; CODED_MAX]; SET_SHREDS],
            carry: [0; CARRY_LEN],
            nodes: NodeCache::new(),
        }
    }

    /// Header of the data shred at `place`.
    #[inline]
    pub(crate) fn head(&self, place: usize) -> DataHead<'_> {
        DataHead::new(&self.heads[place])
    }

    /// Payload area of the data shred at `place`, padding included.
    #[inline]
    pub(crate) fn data(&self, place: usize, capacity: usize) -> &[u8] {
        &self.area[place * capacity..(place + 1) * capacity]
    }

    /// Copies in what the erasure code covers.
    #[inline]
    pub(crate) fn store(&mut self, shred: &ShredView<'_>) {
        let place = shred.place();
        let area = shred.area();
        match shred.variant().kind {
            ShredKind::Data => {
                let at = place * area.len();
                self.area[at..at + area.len()].copy_from_slice(area);
                self.heads[place] = *shred.data_head().bytes();
            }
            ShredKind::Code => self.parity[place][..area.len()].copy_from_slice(area),
        }
    }

    /// Brings back the data shreds missing from `data`, in index order. `false`, with nothing touched, when
    /// `data` and `code` together hold fewer than 32 shreds.
    ///
    /// The result is a candidate: only the Merkle tree can say whether the code shreds belonged to the data.
    /// Cost: 32 multiply-adds over the coded bytes for each missing shred.
    pub(crate) fn recover(&mut self, data: u32, code: u32, capacity: usize) -> bool {
        let Some(lagrange) = Lagrange::new(u64::from(data) | u64::from(code) << SET_SHREDS) else {
            return false;
        };
        let mut shred = [0u8; CODED_MAX];
        for place in (0..SET_SHREDS).filter(|place| data >> place & 1 == 0) {
            let row = lagrange.row(place as u8);
            let shred = &mut shred[..CODED_HEAD_LEN + capacity];
            shred.fill(0);
            for (point, coefficient) in lagrange.points().iter().zip(row) {
                let point = usize::from(*point);
                if point < SET_SHREDS {
                    let (head, area) = shred.split_at_mut(CODED_HEAD_LEN);
                    add_scaled(head, &self.heads[point], coefficient);
                    add_scaled(area, self.data(point, capacity), coefficient);
                } else {
                    add_scaled(
                        shred,
                        &self.parity[point - SET_SHREDS][..CODED_HEAD_LEN + capacity],
                        coefficient,
                    );
                }
            }
            let (head, area) = shred.split_at(CODED_HEAD_LEN);
            self.heads[place].copy_from_slice(head);
            self.area[place * capacity..(place + 1) * capacity].copy_from_slice(area);
        }
        true
    }
}

impl Slab {
    /// Whether the candidates for the `missing` data shreds are what the leader signed: headers in order, and
    /// leaves that fit the tree. On success their leaves are known.
    pub(crate) fn admit_recovered(
        &mut self,
        missing: u32,
        identity: &SetIdentity,
        chained_root: &Root,
    ) -> bool {
        let variant = ShredVariant {
            kind: ShredKind::Data,
            resigned: identity.resigned,
        };
        let capacity = variant.capacity();
        let Self {
            area, heads, nodes, ..
        } = self;
        let in_order = (0..SET_SHREDS)
            .filter(|place| missing >> place & 1 == 1)
            .all(|place| {
                DataHead::new(&heads[place])
                    .check_recovered(identity, place)
                    .is_ok()
            });
        in_order
            && nodes.admit_recovered(missing, |place| {
                leaf_of_parts(
                    &heads[place],
                    &area[place * capacity..(place + 1) * capacity],
                    chained_root,
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reed_solomon_erasure::galois_8::ReedSolomon;

    /// A set as the library codes it: 64 shards of `CODED_HEAD_LEN + capacity` bytes.
    fn library_set(seed: u8, capacity: usize) -> Vec<Vec<u8>> {
        let len = CODED_HEAD_LEN + capacity;
        let mut shards: Vec<Vec<u8>> = (0..64u32)
            .map(|i| {
                (0..len as u32)
                    .map(|j| (i * 131 + j * 17 + u32::from(seed) * 7919 + i * j) as u8)
                    .collect()
            })
            .collect();
        ReedSolomon::new(32, 32)
            .expect("32:32")
            .encode(&mut shards)
            .expect("encodes");
        shards
    }

    fn slab_with(shards: &[Vec<u8>], data: u32, code: u32, capacity: usize) -> Box<Slab> {
        let mut slab = Box::new(Slab::new());
        for place in 0..SET_SHREDS {
            if data >> place & 1 == 1 {
                slab.heads[place].copy_from_slice(&shards[place][..CODED_HEAD_LEN]);
                slab.area[place * capacity..(place + 1) * capacity]
                    .copy_from_slice(&shards[place][CODED_HEAD_LEN..]);
            }
            if code >> place & 1 == 1 {
                slab.parity[place][..CODED_HEAD_LEN + capacity]
                    .copy_from_slice(&shards[SET_SHREDS + place]);
            }
        }
        slab
    }

    fn recovers(shards: &[Vec<u8>], data: u32, code: u32, capacity: usize) {
        let mut slab = slab_with(shards, data, code, capacity);
        assert!(slab.recover(data, code, capacity));
        for (place, shard) in shards[..SET_SHREDS].iter().enumerate() {
            assert_eq!(
                slab.heads[place],
                shard[..CODED_HEAD_LEN],
                "head of {place}"
            );
            assert_eq!(
                slab.data(place, capacity),
                &shard[CODED_HEAD_LEN..],
                "area of {place}"
            );
        }
    }

    /// Goal: any 32 of 64 shreds give the library's data shreds, for each number of losses.
    #[test]
    fn equals_the_library_for_every_number_of_losses() {
        for capacity in [963, 899] {
            let shards = library_set(1, capacity);
            for lost in 0..=32u32 {
                let data = ((u64::from(u32::MAX) << lost) as u32).rotate_left(lost * 3);
                let code = ((1u64 << lost) - 1) as u32;
                recovers(&shards, data, code.rotate_left(lost), capacity);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_library_for_random_patterns(seed: u8, keep in prop::sample::subsequence((0..64usize).collect::<Vec<_>>(), 32..=64)) {
            let (mut data, mut code) = (0u32, 0u32);
            for shard in keep {
                if shard < 32 { data |= 1 << shard } else { code |= 1 << (shard - 32) }
            }
            recovers(&library_set(seed, 963), data, code, 963);
        }
    }
}
