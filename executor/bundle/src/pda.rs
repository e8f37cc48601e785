//! Program-derived addresses.
//!
//! A program address is the SHA-256 of its seeds, one more seed byte (the bump), the program id and a
//! marker, and counts only when it is no point of the ed25519 curve, so that no key can sign for it. The
//! bump is the highest value that gives such an address.
//!
//! Source: solana-address `find_program_address` and `bytes_are_curve_point`.

use curve25519_dalek::edwards::CompressedEdwardsY;
use market::Key;
use sha2::{Digest, Sha256};

use crate::address::{
    ASSOCIATED_TOKEN_PROGRAM, PUMP_FEE_PROGRAM, PUMP_PROGRAM, TOKEN_PROGRAM, WRAPPED_SOL,
};

/// Longest single seed.
pub const SEED_LEN_MAX: usize = 32;
/// Most seeds of one address, the bump included.
pub const SEED_COUNT_MAX: usize = 16;

const MARKER: &[u8] = b"ProgramDerivedAddress";

/// Derives the address of `seeds` under `program`, with its bump.
///
/// `None` when a seed is longer than [`SEED_LEN_MAX`], when there are more than [`SEED_COUNT_MAX`] with the
/// bump, or when no bump gives an address off the curve. Cost: one SHA-256 and one point decompression per
/// bump tried, two tries on average, 256 at most. Does not allocate.
#[must_use]
pub fn find_program_address(seeds: &[&[u8]], program: &Key) -> Option<(Key, u8)> {
    if seeds.len() >= SEED_COUNT_MAX || seeds.iter().any(|seed| seed.len() > SEED_LEN_MAX) {
        return None;
    }
    let mut prefix = Sha256::new();
    for seed in seeds {
        prefix.update(seed);
    }
    (0..=u8::MAX).rev().find_map(|bump| {
        let mut hash = prefix.clone();
        hash.update([bump]);
        hash.update(program);
        hash.update(MARKER);
        let address: Key = hash.finalize().into();
        (!is_on_curve(&address)).then_some((address, bump))
    })
}

/// Whether `bytes` decode to a point of the ed25519 curve, that is, could be somebody's public key.
#[must_use]
pub fn is_on_curve(bytes: &Key) -> bool {
    CompressedEdwardsY(*bytes).decompress().is_some()
}

/// The associated token account of `owner` for `mint` under `token_program`.
#[must_use]
pub fn associated_token_account(owner: &Key, token_program: &Key, mint: &Key) -> Option<Key> {
    address_of(&[owner, token_program, mint], &ASSOCIATED_TOKEN_PROGRAM)
}

/// The wrapped-SOL account of `owner`.
#[must_use]
pub fn wrapped_sol_account(owner: &Key) -> Option<Key> {
    associated_token_account(owner, &TOKEN_PROGRAM, &WRAPPED_SOL)
}

/// The Pump bonding curve of a coin.
#[must_use]
pub fn bonding_curve(mint: &Key) -> Option<Key> {
    address_of(&[b"bonding-curve", mint], &PUMP_PROGRAM)
}

/// The Pump vault that collects the fees of a coin's canonical creator.
#[must_use]
pub fn creator_vault(creator: &Key) -> Option<Key> {
    address_of(&[b"creator-vault", creator], &PUMP_PROGRAM)
}

/// The account that counts a trader's volume on Pump.
#[must_use]
pub fn user_volume_accumulator(user: &Key) -> Option<Key> {
    address_of(&[b"user_volume_accumulator", user], &PUMP_PROGRAM)
}

/// The fee-sharing configuration of a coin; the account need not exist.
#[must_use]
pub fn sharing_config(mint: &Key) -> Option<Key> {
    address_of(&[b"sharing-config", mint], &PUMP_FEE_PROGRAM)
}

fn address_of(seeds: &[&[u8]], program: &Key) -> Option<Key> {
    find_program_address(seeds, program).map(|(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_beyond_the_limits_have_no_address() {
        let long = [7u8; SEED_LEN_MAX + 1];
        assert_eq!(find_program_address(&[&long], &PUMP_PROGRAM), None);
        let many: [&[u8]; SEED_COUNT_MAX] = [b"x"; SEED_COUNT_MAX];
        assert_eq!(find_program_address(&many, &PUMP_PROGRAM), None);
        assert!(find_program_address(&many[1..], &PUMP_PROGRAM).is_some());
    }

    #[test]
    fn a_public_key_is_on_the_curve_and_a_derived_address_is_not() {
        let public = ed25519_dalek::SigningKey::from_bytes(&[9; 32])
            .verifying_key()
            .to_bytes();
        assert!(is_on_curve(&public));
        assert!(!is_on_curve(&bonding_curve(&public).unwrap_or(public)));
    }
}
