//! Derived addresses of the coins we trade, remembered.
//!
//! Deriving one address costs microseconds, so what the triggering transaction carries is taken first when
//! buying: if it lies, the program's own seed checks fail our transaction and nothing is spent. Selling must
//! not depend on what a stranger's transaction claimed, so an exit names only addresses derived here, which
//! a preparation can do ahead of need. Only derived addresses are remembered.

use market::{Key, Mint, PumpAccounts, Side};
use strategy::Venue;

use crate::pda;
use crate::template::{KeyField, Patch};

/// No program address exists for some seeds: all 256 bumps fell on the curve. No real input does that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Underivable;

/// Coins whose addresses are remembered: fixed capacity, open addressing, nothing allocated after `new`.
///
/// A coin may stand in any of [`PROBE_LEN`] places after its own; when all are taken the one used least
/// recently is overwritten, and costs its derivations again.
pub(crate) struct CoinTable {
    user: Key,
    coins: Box<[Coin]>,
    clock: u64,
}

/// Places a coin can stand in.
const PROBE_LEN: usize = 8;

/// The addresses of one coin, as far as they were derived.
#[derive(Clone, Copy, Default)]
struct Coin {
    mint: Key,
    token_program: Key,
    /// Value of the table's clock at the last use; zero for an empty place.
    used: u64,
    user_base_account: Option<Key>,
    bonding_curve: Option<Key>,
    curve_base_account: Option<Key>,
    curve_quote_account: Option<Key>,
    /// With the curve it belongs to, which a trade showed and nobody derived.
    shown_curve_quote_account: Option<(Key, Key)>,
    sharing_config: Option<Key>,
    /// With the creator it belongs to.
    creator_vault: Option<(Key, Key)>,
    /// With the vault it belongs to.
    vault_quote_account: Option<(Key, Key)>,
}

impl CoinTable {
    /// A table for coins held by `user`, with room for at least `capacity` of them.
    pub(crate) fn new(user: &Key, capacity: usize) -> Self {
        let len = capacity.max(PROBE_LEN).next_power_of_two();
        Self {
            user: *user,
            coins: vec![Coin::default(); len].into(),
            clock: 0,
        }
    }

    /// Fills the keys of a coin on a Pump curve into `patch`.
    pub(crate) fn fill(
        &mut self,
        venue: Venue,
        side: Side,
        accounts: &PumpAccounts,
        patch: &mut Patch,
    ) -> Result<(), Underivable> {
        let user = self.user;
        let coin = self.coin(&accounts.mint, &accounts.token_program);
        let carried = side == Side::Buy;
        let curve = coin.bonding_curve(carried.then_some(accounts.bonding_curve))?;
        let curve_base =
            coin.curve_base_account(carried.then_some(accounts.associated_bonding_curve))?;
        let shown_quote = accounts.associated_quote_bonding_curve.filter(|_| carried);
        patch.set_key(KeyField::BaseMint, accounts.mint.0);
        patch.set_key(KeyField::UserBaseAccount, coin.user_base_account(&user)?);
        patch.set_key(KeyField::Pool, curve);
        patch.set_key(KeyField::BaseVault, curve_base);
        patch.set_key(
            KeyField::QuoteVault,
            coin.curve_quote_account(&curve, shown_quote)?,
        );
        if venue == Venue::PumpV2 {
            // The canonical creator is not ours to derive: a vault another trade used beats the launch's word.
            let vault = coin.creator_vault(&accounts.creator, accounts.creator_vault)?;
            let shown_config = accounts.sharing_config.filter(|_| carried);
            patch.set_key(KeyField::CreatorVault, vault);
            patch.set_key(
                KeyField::CreatorVaultQuoteAccount,
                coin.vault_quote_account(&vault)?,
            );
            patch.set_key(KeyField::SharingConfig, coin.sharing_config(shown_config)?);
        }
        Ok(())
    }

    /// Fills the keys of a coin that trades in a pool: itself and our account for it. The pool's own keys come
    /// from the pool's account and are not derived.
    pub(crate) fn fill_in_pool(
        &mut self,
        mint: &Mint,
        token_program: &Key,
        patch: &mut Patch,
    ) -> Result<(), Underivable> {
        let user = self.user;
        let account = self.coin(mint, token_program).user_base_account(&user)?;
        patch.set_key(KeyField::BaseMint, mint.0);
        patch.set_key(KeyField::UserBaseAccount, account);
        Ok(())
    }

    /// The coin's place, emptied for it when it was not there.
    fn coin(&mut self, mint: &Mint, token_program: &Key) -> &mut Coin {
        self.clock += 1;
        let home = home(&mint.0);
        let mask = self.coins.len() - 1;
        let places = (0..PROBE_LEN).map(|step| (home + step) & mask);
        let is_this = |coin: &Coin| {
            coin.used != 0 && coin.mint == mint.0 && coin.token_program == *token_program
        };
        let found = places.clone().find(|&place| is_this(&self.coins[place]));
        let place = found.unwrap_or_else(|| {
            let oldest = places
                .min_by_key(|&place| self.coins[place].used)
                .unwrap_or(home & mask);
            self.coins[oldest] = Coin {
                mint: mint.0,
                token_program: *token_program,
                ..Coin::default()
            };
            oldest
        });
        let coin = &mut self.coins[place];
        coin.used = self.clock;
        coin
    }
}

impl Coin {
    fn user_base_account(&mut self, user: &Key) -> Result<Key, Underivable> {
        let (mint, token_program) = (self.mint, self.token_program);
        remember(&mut self.user_base_account, || {
            pda::associated_token_account(user, &token_program, &mint)
        })
    }

    fn bonding_curve(&mut self, shown: Option<Key>) -> Result<Key, Underivable> {
        let mint = self.mint;
        choose(&mut self.bonding_curve, shown, || pda::bonding_curve(&mint))
    }

    fn curve_base_account(&mut self, shown: Option<Key>) -> Result<Key, Underivable> {
        if let Some(known) = self.curve_base_account.or(shown) {
            return Ok(known);
        }
        let curve = self.bonding_curve(None)?;
        let (mint, token_program) = (self.mint, self.token_program);
        remember(&mut self.curve_base_account, || {
            pda::associated_token_account(&curve, &token_program, &mint)
        })
    }

    /// Under the `curve` in use, which need not be the derived one when buying; one that was only shown is remembered apart.
    fn curve_quote_account(&mut self, curve: &Key, shown: Option<Key>) -> Result<Key, Underivable> {
        if self.bonding_curve == Some(*curve) {
            return choose(&mut self.curve_quote_account, shown, || {
                pda::wrapped_sol_account(curve)
            });
        }
        match shown {
            Some(key) => Ok(key),
            None => remember_for(
                &mut self.shown_curve_quote_account,
                curve,
                pda::wrapped_sol_account,
            ),
        }
    }

    fn sharing_config(&mut self, shown: Option<Key>) -> Result<Key, Underivable> {
        let mint = self.mint;
        choose(&mut self.sharing_config, shown, || {
            pda::sharing_config(&mint)
        })
    }

    fn creator_vault(&mut self, creator: &Key, shown: Option<Key>) -> Result<Key, Underivable> {
        if let Some(vault) = shown {
            return Ok(vault);
        }
        remember_for(&mut self.creator_vault, creator, pda::creator_vault)
    }

    fn vault_quote_account(&mut self, vault: &Key) -> Result<Key, Underivable> {
        remember_for(
            &mut self.vault_quote_account,
            vault,
            pda::wrapped_sol_account,
        )
    }
}

/// What was derived, else what was shown, else a derivation that is then remembered.
fn choose(
    derived: &mut Option<Key>,
    shown: Option<Key>,
    derive: impl FnOnce() -> Option<Key>,
) -> Result<Key, Underivable> {
    match derived.or(shown) {
        Some(key) => Ok(key),
        None => remember(derived, derive),
    }
}

fn remember(
    derived: &mut Option<Key>,
    derive: impl FnOnce() -> Option<Key>,
) -> Result<Key, Underivable> {
    if derived.is_none() {
        *derived = derive();
    }
    derived.ok_or(Underivable)
}

/// Like [`remember`], for an address that belongs to an owner that may change.
fn remember_for(
    derived: &mut Option<(Key, Key)>,
    owner: &Key,
    derive: impl FnOnce(&Key) -> Option<Key>,
) -> Result<Key, Underivable> {
    if derived.is_none_or(|(known_owner, _)| known_owner != *owner) {
        *derived = derive(owner).map(|key| (*owner, key));
    }
    derived.map(|(_, key)| key).ok_or(Underivable)
}

/// Where a coin's search starts. Mints are ground for their ending, so the beginning is taken, and mixed
/// because it can be ground as well; the worst that does is an eviction.
fn home(mint: &Key) -> usize {
    let [a, b, c, d] = [0, 8, 16, 24].map(|at| {
        let mut word = [0; 8];
        word.copy_from_slice(&mint[at..at + 8]);
        u64::from_le_bytes(word)
    });
    crate::builder::mix(a ^ b.rotate_left(17) ^ c.rotate_left(31) ^ d.rotate_left(47)) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::address::{TOKEN_2022_PROGRAM, WRAPPED_SOL};

    const USER: Key = [1; 32];

    fn accounts(mint: u8) -> PumpAccounts {
        PumpAccounts {
            mint: Mint([mint; 32]),
            bonding_curve: [200; 32],
            associated_bonding_curve: [201; 32],
            token_program: TOKEN_2022_PROGRAM,
            quote_mint: WRAPPED_SOL,
            creator: [9; 32],
            associated_quote_bonding_curve: None,
            creator_vault: None,
            associated_creator_vault: None,
            sharing_config: None,
            fee_recipient: None,
            buyback_fee_recipient: None,
        }
    }

    fn filled(table: &mut CoinTable, venue: Venue, side: Side, accounts: &PumpAccounts) -> Patch {
        let mut patch = Patch::default();
        table.fill(venue, side, accounts, &mut patch).unwrap();
        patch
    }

    #[test]
    fn a_buy_takes_what_was_shown_and_a_sell_does_not() {
        let mut table = CoinTable::new(&USER, 16);
        let shown = accounts(7);
        let buy = filled(&mut table, Venue::PumpV3, Side::Buy, &shown);
        assert_eq!(buy.key(KeyField::Pool), [200; 32]);
        assert_eq!(
            buy.key(KeyField::QuoteVault),
            pda::wrapped_sol_account(&[200; 32]).unwrap()
        );
        let sell = filled(&mut table, Venue::PumpV3, Side::Sell, &shown);
        let curve = pda::bonding_curve(&shown.mint.0).unwrap();
        assert_eq!(sell.key(KeyField::Pool), curve);
        assert_eq!(
            sell.key(KeyField::QuoteVault),
            pda::wrapped_sol_account(&curve).unwrap()
        );
        // Once derived, the truth also serves the next buy.
        assert_eq!(
            filled(&mut table, Venue::PumpV3, Side::Buy, &shown).key(KeyField::Pool),
            curve
        );
    }

    #[test]
    fn a_vault_that_was_shown_beats_the_launchs_creator() {
        let mut table = CoinTable::new(&USER, 16);
        let mut shown = accounts(7);
        let from_creator = filled(&mut table, Venue::PumpV2, Side::Sell, &shown);
        assert_eq!(
            from_creator.key(KeyField::CreatorVault),
            pda::creator_vault(&[9; 32]).unwrap()
        );
        shown.creator_vault = Some([77; 32]);
        let from_trade = filled(&mut table, Venue::PumpV2, Side::Sell, &shown);
        assert_eq!(from_trade.key(KeyField::CreatorVault), [77; 32]);
        let quote = pda::wrapped_sol_account(&[77; 32]).unwrap();
        assert_eq!(from_trade.key(KeyField::CreatorVaultQuoteAccount), quote);
    }

    #[test]
    fn a_full_table_forgets_the_coin_used_least_recently_and_stays_right() {
        let mut table = CoinTable::new(&USER, 1);
        assert_eq!(table.coins.len(), PROBE_LEN);
        for round in 0..3 {
            for mint in 1..40 {
                let sell = filled(&mut table, Venue::PumpV3, Side::Sell, &accounts(mint));
                let expect =
                    pda::associated_token_account(&USER, &TOKEN_2022_PROGRAM, &[mint; 32]).unwrap();
                assert_eq!(sell.key(KeyField::UserBaseAccount), expect, "round {round}");
            }
        }
    }
}
