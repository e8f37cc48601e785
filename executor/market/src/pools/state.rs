//! What a pool's price depends on, whichever venue it is of.

use crate::event::{Form, Way};
use crate::lru::mix;
use crate::program::Program;
use crate::pump::WRAPPED_SOL;
use crate::quote::{Amount, QuoteReject, Swapped};
use crate::units::{Key, Lamports};
use crate::{launchlab, pump_amm, raydium_amm, raydium_cp};

/// A pool with all that its price depends on, but for [`pump_amm::Terms`], which all of PumpSwap's share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PoolState {
    /// PumpSwap.
    PumpAmm(pump_amm::Pool),
    /// Raydium AMM v4.
    RaydiumAmm(raydium_amm::Pool),
    /// Raydium CPMM, with its configuration.
    RaydiumCp(raydium_cp::Pool, raydium_cp::Config),
    /// LaunchLab, with what its configurations say.
    LaunchLab(launchlab::Pool, launchlab::Terms),
}

/// What a swap depends on beside the pool.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// PumpSwap's global account and fee schedule; without them no pool of it has a price.
    pub pump_amm: Option<&'a pump_amm::Terms>,
    /// Unix seconds: some pools open at a set time.
    pub now_s: u64,
}

impl PoolState {
    /// Its venue.
    #[must_use]
    pub const fn program(&self) -> Program {
        match self {
            Self::PumpAmm(_) => Program::PumpAmm,
            Self::RaydiumAmm(_) => Program::RaydiumAmm,
            Self::RaydiumCp(..) => Program::RaydiumCp,
            Self::LaunchLab(..) => Program::LaunchLab,
        }
    }

    /// Mints of side a and b.
    #[must_use]
    pub const fn mints(&self) -> [&Key; 2] {
        match self {
            Self::PumpAmm(pool) => [&pool.account.base_mint, &pool.account.quote_mint],
            Self::RaydiumAmm(pool) => [&pool.coin_mint, &pool.pc_mint],
            Self::RaydiumCp(pool, _) => [&pool.mints[0], &pool.mints[1]],
            Self::LaunchLab(pool, _) => [&pool.base_mint, &pool.quote_mint],
        }
    }

    /// Whom the creator fee is for, where there is one.
    #[must_use]
    pub const fn creator(&self) -> Option<&Key> {
        match self {
            Self::PumpAmm(pool) => Some(&pool.account.coin_creator),
            Self::RaydiumAmm(_) => None,
            Self::RaydiumCp(pool, _) => Some(&pool.creator),
            Self::LaunchLab(pool, _) => Some(&pool.creator),
        }
    }

    /// A launch pad's curve with nothing left to sell.
    #[must_use]
    pub fn is_sold_out(&self) -> bool {
        match self {
            Self::LaunchLab(pool, _) => pool.reserves.real_base >= pool.reserves.total_base_sell,
            _ => false,
        }
    }

    /// Whether no other pool of the coin can be the venue's own: a curve that still sells, and what Pump's own migration
    /// opened. Anybody may open the others.
    #[must_use]
    pub fn is_official(&self) -> bool {
        match self {
            Self::PumpAmm(pool) => pool.made_by_pump,
            Self::LaunchLab(..) => !self.is_sold_out(),
            Self::RaydiumAmm(_) | Self::RaydiumCp(..) => false,
        }
    }

    /// What the pool has to pay with of wrapped SOL; 0 where neither side is that.
    #[must_use]
    pub fn depth(&self) -> Lamports {
        let [a, b] = match self {
            Self::PumpAmm(pool) => [0, pool.quote_liquid().unwrap_or(0)],
            Self::RaydiumAmm(pool) => [
                pool.coin.saturating_sub(pool.need_take_coin),
                pool.pc.saturating_sub(pool.need_take_pc),
            ],
            Self::RaydiumCp(pool, _) => pool.held,
            Self::LaunchLab(pool, _) => [0, pool.reserves.virtual_quote],
        };
        let mints = self.mints();
        match (*mints[0] == WRAPPED_SOL, *mints[1] == WRAPPED_SOL) {
            (_, true) => Lamports(b),
            (true, false) => Lamports(a),
            (false, false) => Lamports(0),
        }
    }

    /// Swaps as the venue's program would with the instruction we build (PumpSwap: v2, or v1 on a cashback coin); on
    /// an error nothing has moved. See each venue's `swap` for rounding and cost.
    ///
    /// # Errors
    /// [`QuoteReject`].
    pub fn swap(
        &mut self,
        circumstances: &Circumstances<'_>,
        way: Way,
        amount: Amount,
    ) -> Result<Swapped, QuoteReject> {
        let now_s = circumstances.now_s;
        match self {
            Self::PumpAmm(pool) => {
                let terms = circumstances.pump_amm.ok_or(QuoteReject::Closed)?;
                let form = if pool.account.cashback {
                    Form::V1
                } else {
                    Form::V2
                };
                pool.swap(terms, form, way, amount)
            }
            Self::RaydiumAmm(pool) => pool.swap(now_s, way, amount),
            Self::RaydiumCp(pool, config) => pool.swap(config, now_s, way, amount),
            Self::LaunchLab(pool, terms) => pool.swap(terms, way, amount),
        }
    }

    /// Takes over what `told` says of the configurations and mints that the pool depends on, and nothing of what swaps move.
    pub(super) const fn take_terms(&mut self, told: &Self) {
        match (self, told) {
            (Self::RaydiumCp(pool, config), Self::RaydiumCp(told, told_config)) => {
                *config = *told_config;
                pool.transfer_fees = told.transfer_fees;
            }
            (Self::LaunchLab(pool, terms), Self::LaunchLab(told, told_terms)) => {
                *terms = *told_terms;
                pool.base_transfer_fee = told.base_transfer_fee;
                pool.quote_transfer_fee = told.quote_transfer_fee;
            }
            (Self::PumpAmm(pool), Self::PumpAmm(told)) => {
                pool.base_supply = told.base_supply;
                pool.base_fee = told.base_fee;
                pool.quote_fee = told.quote_fee;
            }
            _ => {}
        }
    }

    /// What the next price is reckoned from, less the fees that lie in the vaults: two states that agree in it price
    /// alike, whichever form of an instruction led there.
    fn priced(&self) -> [u64; 4] {
        match self {
            Self::PumpAmm(pool) => [
                pool.base_reserve,
                pool.quote_effective().unwrap_or(u64::MAX),
                0,
                0,
            ],
            Self::RaydiumAmm(pool) => [
                pool.coin.wrapping_sub(pool.need_take_coin),
                pool.pc.wrapping_sub(pool.need_take_pc),
                0,
                0,
            ],
            Self::RaydiumCp(pool, _) => {
                let [a, b] = [0, 1].map(|side| {
                    let raydium_cp::account::Owed {
                        protocol,
                        fund,
                        creator,
                    } = pool.owed[side];
                    [protocol, fund, creator]
                        .into_iter()
                        .fold(pool.held[side], u64::wrapping_sub)
                });
                [a, b, 0, 0]
            }
            Self::LaunchLab(pool, _) => [
                pool.reserves.virtual_base,
                pool.reserves.virtual_quote,
                pool.reserves.real_base,
                pool.reserves.real_quote,
            ],
        }
    }

    /// Two numbers whose ratio is the price, fees aside.
    pub(super) fn sides(&self) -> [u64; 2] {
        if let Self::LaunchLab(pool, terms) = self {
            return pool.reserves.sides(terms.curve);
        }
        let [a, b, ..] = self.priced();
        [a, b]
    }

    /// [`PoolState::priced`] in one number: two that differ in it are told apart but for a chance of 2^-64.
    pub(super) fn fingerprint(&self) -> u64 {
        self.priced().into_iter().fold(0, mix)
    }
}
