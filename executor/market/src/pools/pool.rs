//! One pool: what it is, whether it may be traded, what a trade of ours would move.

use shred_wire::Slot;

use super::{Circumstances, PoolState, PoolTruth, Succession};
use crate::accounts::{PumpSwapAccounts, VenueAccounts};
use crate::event::Way;
use crate::listing::Deal;
use crate::pump::WRAPPED_SOL;
use crate::pump_amm;
use crate::quote::{Amount, QuoteReject};
use crate::token::TransferFee;
use crate::told::Version;
use crate::units::{Key, Lamports, Mint, TokenAmount};

/// Why a pool must not be traded. One byte: counted and explained.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PoolUntradable {
    /// Neither side is wrapped SOL, or both are not the coin.
    QuoteNotSol,
    /// A cashback coin's PumpSwap pool: none of the instructions we build trades it.
    CashbackNeedsV1,
    /// Liquidity moved, or a swap whose way or amount the shreds do not tell: until account data says what came of it, or
    /// goes on without a word of this pool, so that nothing did.
    Behind,
    /// Its last updates came from a block that was retracted, equivocated or failed authentication.
    Doubtful,
    /// Somebody can take the coin from whoever holds it, or keep it from being sold.
    Dangerous,
}

impl PoolUntradable {
    /// How many reasons there are.
    pub const COUNT: usize = 5;

    /// Marks what may be traded, or is behind, as doubtful; tells whether it did. Being behind is no firmer a reason: silence
    /// ends it, and not doubt.
    pub(super) fn doubt(tradable: &mut Result<(), Self>) -> bool {
        let doubts = matches!(tradable, Ok(()) | Err(Self::Behind));
        if doubts {
            *tradable = Err(Self::Doubtful);
        }
        doubts
    }

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        [
            "quote_not_sol",
            "cashback_needs_v1",
            "behind",
            "doubtful",
            "dangerous",
        ]
    }
}

/// One pool as the table keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Its address.
    pub key: Key,
    /// What our instructions name; its mint is the coin.
    pub accounts: VenueAccounts,
    /// As the block of `slot` left it.
    pub state: PoolState,
    /// Which way buys the coin.
    pub buys: Way,
    /// Whether it may be traded, and if not, why.
    pub tradable: Result<(), PoolUntradable>,
    /// Slot of the block it stands at.
    pub slot: Slot,
    /// Of the last account data taken.
    pub truth: Version,
    /// Of the latest configuration or mint that its price depends on.
    pub terms: Version,
    /// Of a launch pad's curve: where it goes on.
    pub succession: Option<Succession>,
}

impl Pool {
    pub(super) fn of(truth: &PoolTruth) -> Self {
        let mints = truth.state.mints();
        let coin = &truth.accounts.mint().0;
        let (buys, is_sol) = if mints[0] == coin {
            (Way::BToA, *mints[1] == WRAPPED_SOL)
        } else {
            (Way::AToB, *mints[0] == WRAPPED_SOL && mints[1] == coin)
        };
        Self {
            key: truth.pool,
            accounts: truth.accounts,
            state: truth.state,
            buys,
            tradable: match truth.state {
                _ if !is_sol => Err(PoolUntradable::QuoteNotSol),
                _ if truth.is_dangerous => Err(PoolUntradable::Dangerous),
                PoolState::PumpAmm(pool) if pool.account.cashback => {
                    Err(PoolUntradable::CashbackNeedsV1)
                }
                _ => Ok(()),
            },
            slot: truth.slot,
            truth: truth.version(),
            terms: truth.terms,
            succession: truth.succession,
        }
    }

    /// The coin.
    #[must_use]
    pub const fn mint(&self) -> Mint {
        *self.accounts.mint()
    }

    /// Which way sells the coin.
    #[must_use]
    pub const fn sells(&self) -> Way {
        match self.buys {
            Way::AToB => Way::BToA,
            Way::BToA => Way::AToB,
        }
    }

    /// What spending `quote_in`, fees included, would buy.
    ///
    /// # Errors
    /// [`QuoteReject`].
    pub fn buy(
        &self,
        quote_in: Lamports,
        circumstances: &Circumstances<'_>,
    ) -> Result<Deal, QuoteReject> {
        let mut after = self.state;
        let swapped = after.swap(circumstances, self.buys, Amount::In(quote_in.0))?;
        Ok(Deal {
            tokens: TokenAmount(swapped.amount_out),
            quote: Lamports(swapped.amount_in),
            completes: after.is_sold_out(),
        })
    }

    /// What selling `tokens` would bring.
    ///
    /// # Errors
    /// [`QuoteReject`].
    pub fn sell(
        &self,
        tokens: TokenAmount,
        circumstances: &Circumstances<'_>,
    ) -> Result<Deal, QuoteReject> {
        let mut after = self.state;
        let swapped = after.swap(circumstances, self.sells(), Amount::In(tokens.0))?;
        Ok(Deal {
            tokens: TokenAmount(swapped.amount_in),
            quote: Lamports(swapped.amount_out),
            completes: false,
        })
    }

    /// By what it is preferred to others of its coin.
    pub(super) fn rank(&self) -> (bool, bool, Lamports) {
        (
            self.state.is_official(),
            !self.state.is_sold_out(),
            self.state.depth(),
        )
    }

    /// Marks it as doubtful, unless a firmer reason forbids it; tells whether it did.
    pub(super) fn doubt(&mut self) -> bool {
        PoolUntradable::doubt(&mut self.tradable)
    }

    /// What an unused place holds.
    pub(super) fn blank() -> Self {
        Self {
            key: [0; 32],
            accounts: VenueAccounts::PumpSwap(PumpSwapAccounts::default()),
            state: PoolState::PumpAmm(pump_amm::Pool {
                account: pump_amm::PoolAccount::default(),
                made_by_pump: false,
                base_reserve: 0,
                quote_reserve: 0,
                base_supply: 0,
                base_fee: TransferFee::NONE,
                quote_fee: TransferFee::NONE,
            }),
            buys: Way::BToA,
            tradable: Err(PoolUntradable::Doubtful),
            slot: Slot(0),
            truth: Version::NONE,
            terms: Version::NONE,
            succession: None,
        }
    }
}
