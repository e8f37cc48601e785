//! The bytes of FEC sets, in slabs that are allocated once and reused.

use crate::field::{Coded, GROUP, Kernel, Row, Rows, bits};
use crate::merkle::{NodeCache, Root};
use crate::sha256::{HashKernel, LeafJob, leaf_hashes};
use shred_wire::shred::{
    CODED_HEAD_LEN, CODED_MAX, DataHead, NODE_LEN, PAYLOAD_MAX, SET_SHREDS, SetIdentity, ShredKind,
    ShredVariant, ShredView,
};
use std::cell::Cell;

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
    /// The best for this processor, chosen when the slab was made.
    kernel: &'static Kernel,
}

impl Slab {
    pub(crate) fn new() -> Self {
        Self {
            area: [0; SET_SHREDS * PAYLOAD_MAX],
            heads: [[0; CODED_HEAD_LEN]; SET_SHREDS],
            parity: [[0; CODED_MAX]; SET_SHREDS],
            carry: [0; CARRY_LEN],
            nodes: NodeCache::new(),
            kernel: Kernel::best(),
        }
    }

    /// Header of the data shred at `place`.
    #[inline]
    pub(crate) fn head(&self, place: usize) -> DataHead<'_> {
        DataHead::new(&self.heads[place])
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

    /// Whether what lies in the place of `shred` is what the erasure code covers of it.
    pub(crate) fn holds(&self, shred: &ShredView<'_>) -> bool {
        let (place, area) = (shred.place(), shred.area());
        match shred.variant().kind {
            ShredKind::Data => {
                let at = place * area.len();
                self.heads[place] == *shred.data_head().bytes()
                    && self.area[at..at + area.len()] == *area
            }
            ShredKind::Code => self.parity[place][..area.len()] == *area,
        }
    }

    /// Brings back the data shreds missing from `data`, in index order. `false`, with nothing touched, when
    /// `data` and `code` together hold fewer than 32 shreds.
    ///
    /// The result is a candidate: only the Merkle tree can say whether the code shreds belonged to the data.
    /// Cost: 32 multiplications of the coded bytes for each missing shred; nothing is copied.
    pub(crate) fn recover(&mut self, data: u32, code: u32, capacity: usize) -> bool {
        let Some(code) = lowest(code, data.count_zeros()) else {
            return false;
        };
        match data.count_zeros() {
            // What there is room for is also written, and for few shreds that would be felt.
            0..=4 => self.recover_from::<4>(data, code, capacity),
            _ => self.recover_from::<SET_SHREDS>(data, code, capacity),
        }
        true
    }

    /// Brings back the up to `MAX` data shreds missing from `data` by as many code shreds.
    fn recover_from<const MAX: usize>(&mut self, data: u32, code: u32, capacity: usize) {
        let rows = Rows::<MAX>::new(data, code);
        self.recover_rows::<MAX>(data, code, capacity, !data, rows.as_slice());
    }

    /// The next shreds of a recovery, in index order, as many as are worked on together; which ones. 0 when there
    /// are no more.
    pub(crate) fn recover_next(&mut self, recovery: &mut Recovery) -> u32 {
        let Recovery {
            data,
            code,
            capacity,
            rows,
            left,
        } = recovery;
        let brought: u32 = bits(*left)
            .take(GROUP)
            .fold(0, |set, place| set | 1 << place);
        let first = (data.count_zeros() - left.count_ones()) as usize;
        let rows = &rows.as_slice()[first..first + brought.count_ones() as usize];
        *left &= !brought;
        if brought != 0 {
            self.recover_rows::<GROUP>(*data, *code, *capacity, brought, rows);
        }
        brought
    }

    /// Brings back the data shreds in `wanted`, at most `MAX`, whose rows are `rows`.
    fn recover_rows<const MAX: usize>(
        &mut self,
        data: u32,
        code: u32,
        capacity: usize,
        wanted: u32,
        rows: &[Row],
    ) {
        let Self {
            area,
            heads,
            parity,
            kernel,
            ..
        } = self;
        let heads = Cell::from_mut(heads).as_array_of_cells();
        let parity = Cell::from_mut(parity).as_array_of_cells();
        let area = Cell::from_mut(area).as_array_of_cells();
        let data_shred = |place: usize| Coded {
            point: place as u8,
            head: heads[place].as_array_of_cells(),
            area: &area[place * capacity..(place + 1) * capacity],
        };
        let code_shred = |place: usize| {
            let (head, area) = parity[place]
                .as_array_of_cells()
                .split_first_chunk()
                .expect("a head fits");
            Coded {
                point: (SET_SHREDS + place) as u8,
                head,
                area: &area[..capacity],
            }
        };
        let mut known = [data_shred(0); SET_SHREDS];
        let shreds = bits(data).map(data_shred).chain(bits(code).map(code_shred));
        known
            .iter_mut()
            .zip(shreds)
            .for_each(|(known, shred)| *known = shred);
        let mut lost = [data_shred(0); MAX];
        let shreds = bits(wanted).map(data_shred);
        lost.iter_mut()
            .zip(shreds)
            .for_each(|(lost, shred)| *lost = shred);
        kernel.recover(&known, &lost[..rows.len()], rows);
    }
}

/// A recovery of which some is done: what is back can be read while the rest is not.
pub(crate) struct Recovery {
    data: u32,
    code: u32,
    capacity: usize,
    rows: Rows<SET_SHREDS>,
    /// Data shreds that are still missing.
    left: u32,
}

impl Recovery {
    /// Of the data shreds missing from `data`. `None` as for [`Slab::recover`].
    pub(crate) fn new(data: u32, code: u32, capacity: usize) -> Option<Self> {
        let code = lowest(code, data.count_zeros())?;
        Some(Self {
            data,
            code,
            capacity,
            rows: Rows::new(data, code),
            left: !data,
        })
    }
}

/// The `count` lowest members of `set`; `None` when there are fewer.
fn lowest(mut set: u32, count: u32) -> Option<u32> {
    let mut surplus = set.count_ones().checked_sub(count)?;
    while surplus > 0 {
        set ^= 1 << (31 - set.leading_zeros());
        surplus -= 1;
    }
    Some(set)
}

impl Slab {
    /// Whether the candidates for the `missing` data shreds are what the leader signed: headers in order, and
    /// leaves that fit the tree. On success their leaves are known.
    pub(crate) fn admit_recovered(
        &mut self,
        missing: u32,
        identity: &SetIdentity,
        chained_root: &Root,
        hashing: &HashKernel,
    ) -> bool {
        let variant = ShredVariant {
            kind: ShredKind::Data,
            resigned: identity.resigned,
        };
        let capacity = variant.capacity();
        let Self {
            area, heads, nodes, ..
        } = self;
        let in_order = bits(missing).all(|place| {
            DataHead::new(&heads[place])
                .check_recovered(identity, place)
                .is_ok()
        });
        if !in_order {
            return false;
        }
        // Of a trusted source's shreds not even the leaves are known.
        let unknown = missing | !nodes.known_data();
        let places = || bits(unknown);
        // Side by side, as they are hashed; then each at its place.
        let mut jobs = [LeafJob::Received(&[]); SET_SHREDS];
        for (job, place) in jobs.iter_mut().zip(places()) {
            *job = LeafJob::Recovered {
                head: &heads[place],
                area: &area[place * capacity..(place + 1) * capacity],
                chained_root,
            };
        }
        let count = unknown.count_ones() as usize;
        let mut hashed = [[0; NODE_LEN]; SET_SHREDS];
        leaf_hashes(hashing, &jobs[..count], &mut hashed[..count]);
        let mut leaves = [[0; NODE_LEN]; SET_SHREDS];
        for (place, leaf) in places().zip(hashed) {
            leaves[place] = leaf;
        }
        nodes.admit_recovered(unknown, &leaves, hashing)
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
        holds(&slab, shards, capacity);
        let mut slab = slab_with(shards, data, code, capacity);
        let mut recovery = Recovery::new(data, code, capacity).expect("enough shreds");
        let mut there = data;
        while let brought @ 1.. = slab.recover_next(&mut recovery) {
            assert_eq!(there & brought, 0);
            // In index order: nothing lower is missing.
            assert!((!there).trailing_zeros() == brought.trailing_zeros());
            there |= brought;
        }
        assert_eq!(there, u32::MAX);
        holds(&slab, shards, capacity);
    }

    fn holds(slab: &Slab, shards: &[Vec<u8>], capacity: usize) {
        for (place, shard) in shards[..SET_SHREDS].iter().enumerate() {
            assert_eq!(
                slab.heads[place],
                shard[..CODED_HEAD_LEN],
                "head of {place}"
            );
            assert_eq!(
                slab.area[place * capacity..(place + 1) * capacity],
                shard[CODED_HEAD_LEN..],
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
            for capacity in [963, 899] {
                recovers(&library_set(seed, capacity), data, code, capacity);
            }
        }
    }
}
