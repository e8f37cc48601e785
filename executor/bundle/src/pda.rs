//! The derived addresses that our transactions name.

use market::Key;
pub use program_address::{SEED_COUNT_MAX, SEED_LEN_MAX, find_program_address, is_on_curve};

use crate::address::{
    ASSOCIATED_TOKEN_PROGRAM, PUMP_FEE_PROGRAM, PUMP_PROGRAM, TOKEN_PROGRAM, WRAPPED_SOL,
};

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
