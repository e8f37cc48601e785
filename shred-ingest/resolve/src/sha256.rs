//! SHA-256 of several Merkle nodes at once.
//!
//! The shreds of a set arrive together, and one hash alone leaves most of a processor idle: each of its 64 rounds
//! waits for the one before. So those that have arrived are hashed together, by the SHA extensions in interleaved
//! streams or by vectors with a message in each lane. Nothing waits for more to arrive: a [`HashKernel`] knows from
//! which count on each of its ways is the quickest.
//!
//! Leaves are read where they lie. Only the ends of a message are laid out anew, because the domain prefix shifts
//! the blocks and the padding follows.
//!
//! Sources: FIPS 180-4; prefixes and cuts from agave `ledger/src/shred/merkle_tree.rs`.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod portable;
#[cfg(target_arch = "x86_64")]
mod shani;

use shred_wire::shred::{CODED_HEAD_LEN, NODE_LEN, ROOT_LEN};
use std::cell::Cell;
use std::mem::MaybeUninit;

const LEAF_PREFIX: &[u8; 26] = b"\x00SOLANA_MERKLE_SHREDS_LEAF";
const NODE_PREFIX: &[u8; 26] = b"\x01SOLANA_MERKLE_SHREDS_NODE";
const PREFIX_LEN: usize = 26;

/// Bytes of a block (FIPS 180-4, 5.2.1).
const BLOCK: usize = 64;
/// Bytes of a leaf in its message's first block.
const LEAF_START: usize = BLOCK - PREFIX_LEN;
/// Bytes of a recovered shred's area in its message's first block.
const AREA_START: usize = LEAF_START - CODED_HEAD_LEN;
/// A message ends with a bit and its own length in bits (FIPS 180-4, 5.1.1).
const PADDING_MIN: usize = 1 + size_of::<u64>();

/// Eight words: the state between blocks, and after the last the digest.
type State = [u32; 8];

/// State before the first block (FIPS 180-4, 5.3.3).
const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Constants of the rounds (FIPS 180-4, 4.2.2), aligned for vector loads.
#[cfg(target_arch = "x86_64")]
#[repr(align(64))]
struct RoundConstants([u32; 64]);

#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
static ROUND: RoundConstants = RoundConstants([
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
]);

/// Bytes of one leaf, where they lie.
#[derive(Clone, Copy)]
pub(crate) enum LeafJob<'a> {
    /// Of a received shred, all in one piece, at least 38. Those on the wire are 955 to 1044.
    Received(&'a [u8]),
    /// Of a recovered data shred.
    Recovered {
        /// Header bytes that the erasure code covers.
        head: &'a [u8; CODED_HEAD_LEN],
        /// The payload area with its padding, at least 14 bytes.
        area: &'a [u8],
        /// Root of the set before.
        chained_root: &'a [u8; ROOT_LEN],
    },
}

/// Name of the way nodes are hashed on this processor.
#[must_use]
pub fn hash_kernel() -> &'static str {
    HashKernel::best().name()
}

/// Hashes of the leaves of received shreds, `leaves` without the prefix of their domain, as a resolver hashes those
/// that have arrived together. For measurements.
///
/// # Panics
/// When there are not as many places in `out`, or a leaf is shorter than any on the wire.
pub fn hash_leaves(leaves: &[&[u8]], out: &mut [[u8; NODE_LEN]]) {
    let kernel = HashKernel::best();
    for (leaves, out) in leaves.chunks(LANES_MAX).zip(out.chunks_mut(LANES_MAX)) {
        let mut jobs = [LeafJob::Received(&[]); LANES_MAX];
        for (job, leaf) in jobs.iter_mut().zip(leaves) {
            *job = LeafJob::Received(leaf);
        }
        leaf_hashes(kernel, &jobs[..leaves.len()], out);
    }
}

/// Hashes the leaves of `jobs` into `out`, in order.
///
/// Cost: 16 or 17 blocks for each on the wire; see [`HashKernel`] for what they cost together.
///
/// # Panics
/// When there are not as many places in `out` as jobs, or a leaf is shorter than any on the wire.
pub(crate) fn leaf_hashes(kernel: &HashKernel, jobs: &[LeafJob<'_>], out: &mut [[u8; NODE_LEN]]) {
    kernel.hash(jobs, out, Message::leaf);
}

/// Joins each of `pairs`, left and right, into its place in `out`: whole, as only a root is wanted; other nodes are
/// the first 20 bytes.
///
/// Cost: two blocks for each.
///
/// # Panics
/// When there are not as many places in `out` as pairs.
pub(crate) fn joins(
    kernel: &HashKernel,
    pairs: &[([u8; NODE_LEN], [u8; NODE_LEN])],
    out: &mut [[u8; ROOT_LEN]],
) {
    kernel.hash(pairs, out, |(left, right)| Message::join(left, right));
}

/// A message in blocks: those in the middle are the leaf's own bytes.
struct Message<'a> {
    first: [u8; BLOCK],
    middle: &'a [[u8; BLOCK]],
    /// What is over, padded.
    last: [[u8; BLOCK]; 2],
    last_count: usize,
    /// Before the first block, until a [`Way`] has been over them all.
    state: Cell<State>,
}

impl<'a> Message<'a> {
    #[inline]
    fn leaf(job: &LeafJob<'a>) -> Self {
        match *job {
            LeafJob::Received(bytes) => {
                let (start, rest) = bytes
                    .split_first_chunk::<LEAF_START>()
                    .expect("a leaf is longer than the start of its message");
                let mut first = [0; BLOCK];
                first[..PREFIX_LEN].copy_from_slice(LEAF_PREFIX);
                first[PREFIX_LEN..].copy_from_slice(start);
                Self::new(first, rest, &[])
            }
            LeafJob::Recovered {
                head,
                area,
                chained_root,
            } => {
                let (start, rest) = area
                    .split_first_chunk::<AREA_START>()
                    .expect("an area is longer than the start of its message");
                let mut first = [0; BLOCK];
                first[..PREFIX_LEN].copy_from_slice(LEAF_PREFIX);
                first[PREFIX_LEN..BLOCK - AREA_START].copy_from_slice(head);
                first[BLOCK - AREA_START..].copy_from_slice(start);
                Self::new(first, rest, chained_root)
            }
        }
    }

    #[inline]
    fn join(left: &[u8; NODE_LEN], right: &[u8; NODE_LEN]) -> Self {
        const FITTING: usize = BLOCK - PREFIX_LEN - NODE_LEN;
        let mut first = [0; BLOCK];
        first[..PREFIX_LEN].copy_from_slice(NODE_PREFIX);
        first[PREFIX_LEN..BLOCK - FITTING].copy_from_slice(left);
        first[BLOCK - FITTING..].copy_from_slice(&right[..FITTING]);
        let rest: &[u8; NODE_LEN - FITTING] = right.last_chunk().expect("shorter than a node");
        Self::new(first, &[], rest)
    }

    /// After `first` come `bytes` and then `end`, which is at most a root.
    #[inline]
    fn new<const END: usize>(first: [u8; BLOCK], bytes: &'a [u8], end: &[u8; END]) -> Self {
        const { assert!(BLOCK + END + PADDING_MIN <= 2 * BLOCK) };
        let (middle, over) = bytes.as_chunks::<BLOCK>();
        let mut last = [[0; BLOCK]; 2];
        let tail = last.as_flattened_mut();
        tail[..over.len()].copy_from_slice(over);
        tail[over.len()..over.len() + END].copy_from_slice(end);
        tail[over.len() + END] = 0x80;
        let last_count = (over.len() + END + PADDING_MIN).div_ceil(BLOCK);
        let bit_len = 8 * (BLOCK + bytes.len() + END) as u64;
        tail[last_count * BLOCK - size_of::<u64>()..last_count * BLOCK]
            .copy_from_slice(&bit_len.to_be_bytes());
        Self {
            first,
            middle,
            last,
            last_count,
            state: Cell::new(INITIAL),
        }
    }

    #[inline]
    const fn block_count(&self) -> usize {
        1 + self.middle.len() + self.last_count
    }

    /// The block at `index`, or after the last something that may be read in its place.
    #[inline]
    fn block(&self, index: usize) -> &[u8; BLOCK] {
        match index.checked_sub(1) {
            None => &self.first,
            Some(index) => match self.middle.get(index) {
                Some(block) => block,
                None => &self.last[(index - self.middle.len()).min(1)],
            },
        }
    }
}

/// Brings the states of at least one message, and at most as many as it takes, to behind their last blocks.
///
/// Safety: the caller has seen that this processor has the way's features.
type Way = unsafe fn(&[Message<'_>]);

/// A way of hashing messages together, and for which counts.
struct Step {
    /// Messages from which on this way is quicker than those after it.
    from: usize,
    /// Messages that it takes at the most.
    lanes: usize,
    way: Way,
}

impl Step {
    const fn new(from: usize, lanes: usize, way: Way) -> Self {
        assert!(from >= 1 && lanes >= 1 && lanes <= LANES_MAX);
        Self { from, lanes, way }
    }
}

/// The most messages that any way takes.
pub(crate) const LANES_MAX: usize = 16;

/// How nodes are hashed on this processor, chosen once. There is one only where the processor has what it needs.
///
/// On Zen 4, in ns for each of 1, 2, 8 and 32 leaves of 1,044 bytes: `sha` 620, 347, 327, 323; `avx512` 3020, 1460,
/// 387, 341; `avx2` 3020, 2440, 627, 627. One by one, the `sha2` package takes 634 with the SHA extensions and 3130
/// without.
pub(crate) struct HashKernel {
    name: &'static str,
    /// Of those that have their count, the first is taken, until none is left; the last takes any count.
    steps: &'static [Step],
}

/// The SHA extensions, by threes; four are two and two. Vectors are never quicker: on Zen 4 the sixteen lanes of
/// AVX-512, all filled, take 6 % longer.
#[cfg(target_arch = "x86_64")]
static EXTENSIONS: HashKernel = HashKernel {
    name: "sha",
    steps: &[
        Step::new(5, 3, shani::hash::<3>),
        Step::new(4, 2, shani::hash::<2>),
        Step::new(3, 3, shani::hash::<3>),
        Step::new(2, 2, shani::hash::<2>),
        Step::new(1, 1, shani::hash::<1>),
    ],
};

/// AVX-512. One message costs as much in eight lanes as by the package; nine cost less in sixteen lanes than in eight
/// and by the package (measured on Zen 4, with the extensions switched off).
#[cfg(target_arch = "x86_64")]
static AVX512: HashKernel = HashKernel {
    name: "avx512",
    steps: &[
        Step::new(9, 16, avx512::sixteen::hash),
        Step::new(2, 8, avx512::eight::hash),
        Step::new(1, LANES_MAX, portable::hash),
    ],
};

/// AVX2. Eight lanes cost as much as 1.7 messages by the package (measured as above).
#[cfg(target_arch = "x86_64")]
static AVX2: HashKernel = HashKernel {
    name: "avx2",
    steps: &[
        Step::new(2, 8, avx2::hash),
        Step::new(1, LANES_MAX, portable::hash),
    ],
};

static PORTABLE: HashKernel = HashKernel {
    name: "portable",
    steps: &[Step::new(1, LANES_MAX, portable::hash)],
};

impl HashKernel {
    /// The best for this processor. Reads what the standard library remembers of its features.
    #[must_use]
    pub(crate) fn best() -> &'static Self {
        Self::available()[0].expect("the portable kernel is always there")
    }

    /// Those that this processor can run, best first: `sha`, `avx512`, `avx2`, `portable`.
    #[must_use]
    pub(crate) fn available() -> [Option<&'static Self>; 4] {
        let mut kernels = [None; 4];
        let mut count = 0;
        let mut add = |kernel| {
            kernels[count] = Some(kernel);
            count += 1;
        };
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("sha") && is_x86_feature_detected!("avx") {
                add(&EXTENSIONS);
            }
            let avx2 = is_x86_feature_detected!("avx2");
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
            {
                add(&AVX512);
            }
            if avx2 {
                add(&AVX2);
            }
        }
        add(&PORTABLE);
        kernels
    }

    /// Which this is.
    #[must_use]
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// How many messages make the most of it; no more than [`LANES_MAX`]. One where there is nothing to gain.
    #[inline]
    #[must_use]
    pub(crate) const fn lanes(&self) -> usize {
        if self.steps.len() == 1 {
            1
        } else {
            self.steps[0].lanes
        }
    }

    /// Hashes what `message` makes of the `jobs`, and puts as much of each digest into `out` as it has room for.
    #[inline]
    fn hash<'a, J, const OUT: usize>(
        &self,
        jobs: &'a [J],
        out: &mut [[u8; OUT]],
        message: impl Fn(&'a J) -> Message<'a>,
    ) {
        assert_eq!(jobs.len(), out.len());
        let mut messages = [const { MaybeUninit::uninit() }; LANES_MAX];
        let mut done = 0;
        for step in self.steps {
            while jobs.len() - done >= step.from {
                let count = step.lanes.min(jobs.len() - done);
                for (place, job) in messages[..count].iter_mut().zip(&jobs[done..]) {
                    place.write(message(job));
                }
                // SAFETY: so many have just been written.
                let messages = unsafe { messages[..count].assume_init_ref() };
                // SAFETY: only `available` hands out kernels, and only those whose features it has seen.
                unsafe { (step.way)(messages) };
                for (out, message) in out[done..].iter_mut().zip(messages) {
                    let bytes = message.state.get().map(u32::to_be_bytes);
                    out.copy_from_slice(&bytes.as_flattened()[..OUT]);
                }
                done += count;
            }
        }
    }
}

#[cfg(test)]
mod tests;
