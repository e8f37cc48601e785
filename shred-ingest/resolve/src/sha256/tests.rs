//! Every way that this processor can run, at every count, against the `sha2` package.

use super::*;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

/// Leaf bytes of data and code shreds, and of resigned ones.
const WIRE_LENS: [usize; 4] = [1019, 1044, 955, 980];
const COUNT_MAX: usize = 32;

/// A kernel that takes all counts by one way alone, however badly they fit.
macro_rules! forced {
    ($name:literal, $lanes:expr, $way:expr) => {{
        static FORCED: HashKernel = HashKernel {
            name: $name,
            steps: &[Step::new(1, $lanes, $way)],
        };
        &FORCED
    }};
}

/// Streams are no lanes: they have to be filled, and what is over goes one by one.
#[cfg(target_arch = "x86_64")]
macro_rules! streams {
    ($name:literal, $count:literal) => {{
        static FORCED: HashKernel = HashKernel {
            name: $name,
            steps: &[
                Step::new($count, $count, shani::hash::<$count>),
                Step::new(1, 1, shani::hash::<1>),
            ],
        };
        &FORCED
    }};
}

fn kernels() -> &'static [&'static HashKernel] {
    static HERE: OnceLock<Vec<&HashKernel>> = OnceLock::new();
    HERE.get_or_init(|| {
        let mut here: Vec<&HashKernel> = HashKernel::available().into_iter().flatten().collect();
        if here.len() < HashKernel::available().len() {
            let names: Vec<&str> = here.iter().map(|kernel| kernel.name()).collect();
            eprintln!("this processor lacks the features of some kernels; tested are {names:?}");
        }
        let has = |name| here.iter().any(|kernel| kernel.name() == name);
        let (sha, avx512, avx2) = (has("sha"), has("avx512"), has("avx2"));
        #[cfg(target_arch = "x86_64")]
        {
            if sha {
                here.extend([
                    streams!("sha, 1 stream", 1),
                    streams!("sha, 2 streams", 2),
                    streams!("sha, 3 streams", 3),
                ]);
            }
            if avx512 {
                here.push(forced!("avx512, 16 lanes", 16, avx512::sixteen::hash));
                here.push(forced!("avx512, 8 lanes", 8, avx512::eight::hash));
            }
            if avx2 {
                here.push(forced!("avx2, 8 lanes", 8, avx2::hash));
            }
        }
        here.push(forced!("portable, 1", 1, portable::hash));
        here
    })
}

/// Bytes that look random.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect()
}

fn expected_leaf(leaf: &[u8]) -> [u8; NODE_LEN] {
    let mut hasher = Sha256::new();
    hasher.update(b"\x00SOLANA_MERKLE_SHREDS_LEAF");
    hasher.update(leaf);
    let digest: [u8; 32] = hasher.finalize().into();
    *digest.first_chunk().expect("32 bytes")
}

fn expected_join(left: &[u8; NODE_LEN], right: &[u8; NODE_LEN]) -> [u8; ROOT_LEN] {
    let mut hasher = Sha256::new();
    hasher.update(b"\x01SOLANA_MERKLE_SHREDS_NODE");
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// The same bytes as they lie when the shred was recovered.
fn recovered(leaf: &[u8]) -> LeafJob<'_> {
    let (head, rest) = leaf.split_first_chunk().expect("longer than a head");
    let (area, chained_root) = rest.split_last_chunk().expect("longer than a root");
    LeafJob::Recovered {
        head,
        area,
        chained_root,
    }
}

/// By every kernel; every other leaf in parts if `parts`.
fn check_leaves(leaves: &[Vec<u8>], parts: bool) {
    let expected: Vec<_> = leaves.iter().map(|leaf| expected_leaf(leaf)).collect();
    let jobs: Vec<_> = leaves
        .iter()
        .enumerate()
        .map(|(i, leaf)| match parts && i % 2 == 1 {
            true => recovered(leaf),
            false => LeafJob::Received(leaf),
        })
        .collect();
    for kernel in kernels() {
        let mut out = vec![[0; NODE_LEN]; leaves.len()];
        leaf_hashes(kernel, &jobs, &mut out);
        assert_eq!(out, expected, "{} at {}", kernel.name(), leaves.len());
    }
}

#[test]
fn every_count_of_leaves_as_they_are_on_the_wire() {
    for count in 0..=COUNT_MAX {
        let leaves: Vec<_> = (0..count)
            .map(|i| bytes((count * COUNT_MAX + i) as u64, WIRE_LENS[i % 2]))
            .collect();
        check_leaves(&leaves, false);
        check_leaves(&leaves, true);
    }
}

#[test]
fn every_count_with_leaves_of_different_block_counts() {
    for count in 2..=COUNT_MAX {
        // The odd one out is in turn the first, the last and one between.
        for odd in [0, count / 2, count - 1] {
            for (most, one) in [(1044, 955), (955, 1044)] {
                let leaves: Vec<_> = (0..count)
                    .map(|i| bytes(i as u64, if i == odd { one } else { most }))
                    .collect();
                check_leaves(&leaves, true);
            }
        }
    }
}

/// What is over after whole blocks decides whether the padding takes one block or two.
#[test]
fn every_length_of_the_last_block() {
    let shortest = CODED_HEAD_LEN + AREA_START + ROOT_LEN;
    for len in shortest..shortest + 3 * BLOCK {
        let leaves: Vec<_> = (0..3).map(|i| bytes(i, len + i as usize)).collect();
        check_leaves(&leaves, false);
        check_leaves(&leaves, true);
    }
}

#[test]
fn every_count_of_joins() {
    for count in 0..=COUNT_MAX {
        let pairs: Vec<([u8; NODE_LEN], [u8; NODE_LEN])> = (0..count)
            .map(|i| {
                let both = bytes((count * COUNT_MAX + i) as u64, 2 * NODE_LEN);
                let (left, right) = both.split_first_chunk().expect("two nodes");
                (*left, *right.first_chunk().expect("two nodes"))
            })
            .collect();
        let expected: Vec<_> = pairs.iter().map(|(l, r)| expected_join(l, r)).collect();
        for kernel in kernels() {
            let mut out = vec![[0; ROOT_LEN]; count];
            joins(kernel, &pairs, &mut out);
            assert_eq!(out, expected, "{} at {count}", kernel.name());
        }
    }
}

#[test]
fn the_best_kernel_is_the_first_of_those_the_processor_can_run() {
    let names: Vec<&str> = HashKernel::available()
        .iter()
        .flatten()
        .map(|kernel| kernel.name())
        .collect();
    let order = ["sha", "avx512", "avx2", "portable"];
    let ranks: Vec<_> = names
        .iter()
        .map(|name| order.iter().position(|other| other == name))
        .collect();
    assert!(ranks.is_sorted() && !ranks.contains(&None), "{names:?}");
    assert_eq!(names.last(), Some(&"portable"));
    assert_eq!(HashKernel::best().name(), names[0]);
}

#[test]
#[should_panic(expected = "left == right")]
fn places_and_jobs_are_as_many() {
    let leaf = bytes(1, 1044);
    leaf_hashes(
        HashKernel::best(),
        &[LeafJob::Received(&leaf)],
        &mut [[0; NODE_LEN]; 2],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_lengths_and_contents(
        leaves in prop::collection::vec(
            (955..=1044usize).prop_flat_map(|len| prop::collection::vec(any::<u8>(), len)),
            1..=COUNT_MAX,
        ),
        parts: bool,
    ) {
        check_leaves(&leaves, parts);
    }
}
