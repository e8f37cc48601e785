//! Leaf hashes of a burst.
//!
//! So many leaves of data shreds (1,019 bytes behind a prefix of 26), all at hand, hashed together as the resolver
//! hashes them, and one after the other by the `sha2` package with the best that it finds. Nanoseconds a leaf, from calls over at least 64 leaves. The leaves lie in the second-level cache; each is
//! checked against the package before anything is timed.

use std::hint::black_box;

use overmind::clock::Ticker;
use sha2::{Digest, Sha256};
use shred_resolve::{hash_kernel, hash_leaves};
use shred_wire::shred::NODE_LEN;

use crate::figures::{Context, Findings};
use crate::row::{Entrant, Row};

/// Leaves hashed in one call.
const COUNTS: [usize; 5] = [1, 2, 4, 8, 32];
/// Bytes of a data shred's leaf, without the prefix.
const LEAF_LEN: usize = 1_019;
/// From one leaf to the next, as in a receive frame.
const STRIDE: usize = 2_048;
/// Leaves timed together.
const TIMED: usize = 64;
/// Source: agave `ledger/src/shred/merkle_tree.rs`.
const PREFIX: &[u8; 26] = b"\x00SOLANA_MERKLE_SHREDS_LEAF";

type Leaf = [u8; NODE_LEN];

/// Measures every count.
///
/// # Errors
/// A sentence when ours does not hash what the package hashes.
pub fn measure(context: &Context) -> Result<Findings, String> {
    let frames = frames();
    let leaves: Vec<&[u8]> = frames
        .chunks_exact(STRIDE)
        .map(|frame| &frame[..LEAF_LEN])
        .collect();
    let mut findings = Findings::default();
    for count in COUNTS {
        let leaves = &leaves[..count];
        let (mut ours, mut package) = (Entrant::default(), Entrant::default());
        check(leaves)?;
        for _ in 0..context.size(9, 5) {
            let samples = context.size(400, 40);
            package.book(&sampled(context.ticker, samples, leaves, one_by_one));
            ours.book(&sampled(context.ticker, samples, leaves, hash_leaves));
        }
        let row = Row::latency(format!("hash.{count}_together.ours"), &ours.total);
        findings.rows.push(row.beside("sha2", package.over(&ours)));
        let name = format!("hash.{count}_together.sha2");
        findings.rows.push(Row::latency(name, &package.total));
    }
    findings.notes.push(format!(
        "hash: nanoseconds a leaf; ours by `{}`",
        hash_kernel()
    ));
    Ok(findings)
}

/// Nanoseconds a leaf.
fn sampled(
    ticker: Ticker,
    samples: usize,
    jobs: &[&[u8]],
    mut hash: impl FnMut(&[&[u8]], &mut [Leaf]),
) -> hdrhistogram::Histogram<u64> {
    let mut log = overmind::rungs::histogram();
    let mut leaves = [[0; NODE_LEN]; COUNTS[COUNTS.len() - 1]];
    let calls = TIMED / jobs.len();
    for _ in 0..samples {
        let start = ticker.nanos();
        for _ in 0..calls {
            hash(black_box(jobs), &mut leaves[..jobs.len()]);
            black_box(&leaves);
        }
        let spent = ticker.nanos().wrapping_sub(start);
        log.saturating_record(spent / (calls * jobs.len()) as u64);
    }
    log
}

fn one_by_one(leaves: &[&[u8]], out: &mut [Leaf]) {
    for (out, leaf) in out.iter_mut().zip(leaves) {
        *out = one(leaf);
    }
}

fn one(job: &[u8]) -> Leaf {
    let mut hasher = Sha256::new();
    hasher.update(PREFIX);
    hasher.update(job);
    let digest: [u8; 32] = hasher.finalize().into();
    let mut leaf = [0; NODE_LEN];
    leaf.copy_from_slice(&digest[..NODE_LEN]);
    leaf
}

fn check(leaves: &[&[u8]]) -> Result<(), String> {
    let mut hashed = [[[0; NODE_LEN]; COUNTS[COUNTS.len() - 1]]; 2];
    let [ours, package] = &mut hashed;
    hash_leaves(leaves, &mut ours[..leaves.len()]);
    one_by_one(leaves, &mut package[..leaves.len()]);
    if ours == package {
        Ok(())
    } else {
        Err(format!("hash: {} hashes something else", hash_kernel()))
    }
}

/// Bytes that are all different.
fn frames() -> Vec<u8> {
    let mut state = 1_u64;
    (0..STRIDE * COUNTS[COUNTS.len() - 1])
        .map(|_| {
            // Knuth's MMIX generator: any bytes do.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}
