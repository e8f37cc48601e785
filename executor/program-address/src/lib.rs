//! Program-derived addresses.
//!
//! A program address is the SHA-256 of its seeds, one more seed byte (the bump), the program id and a
//! marker, and counts only when it is no point of the ed25519 curve, so that no key can sign for it. The
//! bump is the highest value that gives such an address.
//!
//! Source: solana-address `find_program_address` and `bytes_are_curve_point`.
#![forbid(unsafe_code)]

mod residue;

use sha2::compress256;
use sha2::digest::generic_array::GenericArray;

/// A 32-byte account address.
type Key = [u8; 32];

/// Longest single seed.
pub const SEED_LEN_MAX: usize = 32;
/// Most seeds of one address, the bump included.
pub const SEED_COUNT_MAX: usize = 16;

const MARKER: &[u8; 21] = b"ProgramDerivedAddress";

/// Derives the address of `seeds` under `program`, with its bump.
///
/// `None` when a seed is longer than [`SEED_LEN_MAX`], when there are more than [`SEED_COUNT_MAX`] with the
/// bump, or when no bump gives an address off the curve. Cost: per bump tried one or two SHA-256 blocks (what
/// stands before the bump is hashed once) and one Jacobi symbol, two tries on average, 256 at most. Does not
/// allocate.
#[must_use]
pub fn find_program_address(seeds: &[&[u8]], program: &Key) -> Option<(Key, u8)> {
    let mut preimage = Preimage::new(seeds, program)?;
    (0..=u8::MAX).rev().find_map(|bump| {
        let address = preimage.hash(bump);
        (!is_on_curve(&address)).then_some((address, bump))
    })
}

/// Whether `bytes` decode to a point of the ed25519 curve, that is, could be somebody's public key.
#[must_use]
pub fn is_on_curve(bytes: &Key) -> bool {
    residue::is_ordinate(bytes)
}

/// What is hashed, padded to whole SHA-256 blocks, with the state before the block that holds the bump.
struct Preimage {
    blocks: [[u8; BLOCK_LEN]; BLOCK_COUNT_MAX],
    block_count: usize,
    bump_at: usize,
    state: [u32; 8],
}

const BLOCK_LEN: usize = 64;
/// Fifteen full seeds, the bump, program and marker, then the padding: one bit and the length.
const BLOCK_COUNT_MAX: usize = padded_block_count(15 * SEED_LEN_MAX + 1 + 32 + MARKER.len());
/// Source: FIPS 180-4 section 5.3.3.
const SHA256_START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Source: FIPS 180-4 section 5.1.1.
const fn padded_block_count(len: usize) -> usize {
    (len + 1 + 8).div_ceil(BLOCK_LEN)
}

impl Preimage {
    fn new(seeds: &[&[u8]], program: &Key) -> Option<Self> {
        if seeds.len() >= SEED_COUNT_MAX || seeds.iter().any(|seed| seed.len() > SEED_LEN_MAX) {
            return None;
        }
        let mut blocks = [[0; BLOCK_LEN]; BLOCK_COUNT_MAX];
        let bytes = blocks.as_flattened_mut();
        let mut len = 0;
        let mut append = |part: &[u8]| {
            bytes[len..len + part.len()].copy_from_slice(part);
            len += part.len();
            len
        };
        let bump_at = seeds.iter().fold(0, |_, seed| append(seed));
        append(&[0]);
        append(program);
        let len = append(MARKER);
        let block_count = padded_block_count(len);
        bytes[len] = 0x80;
        bytes[block_count * BLOCK_LEN - 8..block_count * BLOCK_LEN]
            .copy_from_slice(&(len as u64 * 8).to_be_bytes());
        let mut state = SHA256_START;
        compress(&mut state, &blocks[..bump_at / BLOCK_LEN]);
        Some(Self {
            blocks,
            block_count,
            bump_at,
            state,
        })
    }

    #[inline]
    fn hash(&mut self, bump: u8) -> Key {
        let Self {
            blocks,
            block_count,
            bump_at,
            state,
        } = self;
        blocks.as_flattened_mut()[*bump_at] = bump;
        let mut state = *state;
        compress(&mut state, &blocks[*bump_at / BLOCK_LEN..*block_count]);
        let mut hash = [0; 32];
        for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        hash
    }
}

#[inline]
fn compress(state: &mut [u32; 8], blocks: &[[u8; BLOCK_LEN]]) {
    for block in blocks {
        compress256(
            state,
            core::slice::from_ref(GenericArray::from_slice(block)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: Key = [6; 32];

    #[test]
    fn seeds_beyond_the_limits_have_no_address() {
        let long = [7u8; SEED_LEN_MAX + 1];
        assert_eq!(find_program_address(&[&long], &PROGRAM), None);
        let many: [&[u8]; SEED_COUNT_MAX] = [b"x"; SEED_COUNT_MAX];
        assert_eq!(find_program_address(&many, &PROGRAM), None);
        assert!(find_program_address(&many[1..], &PROGRAM).is_some());
    }

    #[test]
    fn a_public_key_is_on_the_curve_and_a_derived_address_is_not() {
        let public = ed25519_dalek::SigningKey::from_bytes(&[9; 32])
            .verifying_key()
            .to_bytes();
        assert!(is_on_curve(&public));
        let derived = find_program_address(&[&public], &PROGRAM).map(|(address, _)| address);
        assert!(!is_on_curve(&derived.unwrap_or(public)));
    }
}
