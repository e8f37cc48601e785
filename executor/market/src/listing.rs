//! A coin where it trades: what strategy asks prices of, whichever venue it is.

use crate::accounts::VenueAccounts;
use crate::pools::{Circumstances, Pool};
use crate::pump::curve::{Curve, Untradable};
use crate::quote::QuoteReject;
use crate::units::{Key, Lamports, Mint, TokenAmount};

/// One coin on one venue, now.
#[derive(Clone, Copy, Debug)]
pub enum Listing<'a> {
    /// On its Pump curve.
    Curve(&'a Curve),
    /// In a pool.
    Pool(&'a Pool, Circumstances<'a>),
}

/// What one trade of ours would move.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Deal {
    /// Tokens bought or sold.
    pub tokens: TokenAmount,
    /// Buy: lamports taken from us, every fee included. Sell: lamports we get after every fee.
    pub quote: Lamports,
    /// The buy takes everything that is left, and trading stops.
    pub completes: bool,
}

impl<'a> Listing<'a> {
    /// The coin.
    #[must_use]
    pub const fn mint(&self) -> Mint {
        match self {
            Self::Curve(curve) => curve.accounts.mint,
            Self::Pool(pool, _) => pool.mint(),
        }
    }

    /// What instructions name.
    #[must_use]
    pub const fn accounts(&self) -> VenueAccounts {
        match self {
            Self::Curve(curve) => VenueAccounts::Pump(curve.accounts),
            Self::Pool(pool, _) => pool.accounts,
        }
    }

    /// Whether it may be entered.
    #[must_use]
    pub const fn is_tradable(&self) -> bool {
        match self {
            Self::Curve(curve) => curve.tradable.is_ok(),
            Self::Pool(pool, _) => pool.tradable.is_ok(),
        }
    }

    /// Whether trading here has ended for good: the curve sold out, and what is held is sold in the pool it becomes.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self {
            Self::Curve(curve) => curve.tradable == Err(Untradable::Complete),
            Self::Pool(pool, _) => pool.state.is_sold_out(),
        }
    }

    /// What a pool has to pay with; `None` of a curve, whose depth its own launch gives it.
    #[must_use]
    pub fn depth(&self) -> Option<Lamports> {
        match self {
            Self::Curve(_) => None,
            Self::Pool(pool, _) => Some(pool.state.depth()),
        }
    }

    /// Who made the coin, as far as it is known: who launched it, and whom the creator fee is for.
    #[must_use]
    pub const fn creators(&self) -> [Option<&'a Key>; 2] {
        match self {
            Self::Curve(curve) => [Some(&curve.launcher), Some(&curve.accounts.creator)],
            Self::Pool(pool, _) => [pool.state.creator(), None],
        }
    }

    /// What spending `spend`, fees included, would buy.
    ///
    /// # Errors
    /// [`QuoteReject`].
    pub fn buy(&self, spend: Lamports) -> Result<Deal, QuoteReject> {
        match self {
            Self::Curve(curve) => curve.buy_exact_quote(spend).map(|quote| Deal {
                tokens: quote.tokens,
                quote: quote.quote,
                completes: quote.completes,
            }),
            Self::Pool(pool, circumstances) => pool.buy(spend, circumstances),
        }
    }

    /// What selling `tokens` would bring.
    ///
    /// # Errors
    /// [`QuoteReject`].
    pub fn sell(&self, tokens: TokenAmount) -> Result<Deal, QuoteReject> {
        match self {
            Self::Curve(curve) => curve.sell(tokens).map(|quote| Deal {
                tokens: quote.tokens,
                quote: quote.quote,
                completes: false,
            }),
            Self::Pool(pool, circumstances) => pool.sell(tokens, circumstances),
        }
    }
}

impl<'a> From<&'a Curve> for Listing<'a> {
    fn from(curve: &'a Curve) -> Self {
        Self::Curve(curve)
    }
}
