//! A token account's address, ours and the official derivation, each on the same mints.

use std::hint::black_box;

use bench::figures::Findings;
use bundle::address::ASSOCIATED_TOKEN_PROGRAM;
use bundle::pda;
use market::Key;
use market::pump::TOKEN_2022_PROGRAM;
use solana_sdk::pubkey::Pubkey;

use crate::Context;
use crate::coin::Keys;
use crate::contest::{Contest, each};

/// Measures it.
///
/// # Errors
/// A sentence when the two disagree.
pub(crate) fn measure(context: &Context) -> Result<Findings, String> {
    let mut keys = Keys::new(41);
    let owner = keys.key();
    let mints: Vec<Key> = (0..context.size(10_000, 1_000))
        .map(|_| keys.key())
        .collect();
    if let Some(mint) = mints
        .iter()
        .find(|mint| ours(&owner, mint) != Some(official(&owner, mint)))
    {
        return Err(format!("derive: another address for {mint:?}"));
    }
    let ticker = context.ticker;
    let contest = Contest::single("derive.token_account", |log| {
        each(ticker, log, &mints, |mint| {
            black_box(ours(&owner, black_box(mint)));
        });
    })
    .against("solana_sdk", |log| {
        each(ticker, log, &mints, |mint| {
            black_box(official(&owner, black_box(mint)));
        });
    });
    Ok(Findings {
        rows: contest.rows(context),
        notes: vec![format!(
            "derive: {} mints, the same address from both for every one",
            mints.len()
        )],
    })
}

#[inline]
fn ours(owner: &Key, mint: &Key) -> Option<Key> {
    pda::associated_token_account(owner, &TOKEN_2022_PROGRAM, mint)
}

#[inline]
fn official(owner: &Key, mint: &Key) -> Key {
    let seeds = [owner.as_slice(), &TOKEN_2022_PROGRAM, mint];
    let program = Pubkey::from(ASSOCIATED_TOKEN_PROGRAM);
    Pubkey::find_program_address(&seeds, &program).0.to_bytes()
}
