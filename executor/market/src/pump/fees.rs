//! Fee rates of curve and pool trades: a schedule by market cap, unless the coin has its own creator rate.
//!
//! Both Pump programs take their rates from an account of the fee program (`FeeConfig`), each from its own.

use crate::account::{AccountReject, Fields};
use crate::base58::key;
use crate::pump::WRAPPED_SOL;
use crate::units::{BPS_WHOLE, Key};

/// Rates charged on one curve trade, basis points.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FeeRates {
    /// Protocol fee; its buyback share is part of it.
    pub protocol_bps: u64,
    /// Creator fee; zero on a curve without a creator.
    pub creator_bps: u64,
}

impl FeeRates {
    /// Both rates together. Saturates: a rate that large is refused where it is used.
    #[inline]
    #[must_use]
    pub const fn total_bps(self) -> u64 {
        self.protocol_bps.saturating_add(self.creator_bps)
    }
}

/// Rates charged on one pool trade, basis points.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PoolRates {
    /// What stays with the liquidity.
    pub lp_bps: u64,
    /// Protocol fee; its buyback share is part of it.
    pub protocol_bps: u64,
    /// Creator fee; zero on a pool without a coin creator.
    pub creator_bps: u64,
}

impl PoolRates {
    /// All three together.
    #[inline]
    #[must_use]
    pub const fn total_bps(self) -> u64 {
        self.lp_bps
            .saturating_add(self.protocol_bps)
            .saturating_add(self.creator_bps)
    }
}

/// Which part of a schedule a quote mint asks for.
///
/// Source: pump-rust-client 0.5.0 `src/math/fees.rs` (`is_sol_like_quote_mint`, `USDC_MINT`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuoteKind {
    /// SOL in any of its forms; the zero key stands for it on older curves.
    Sol,
    /// USDC.
    Stable,
    /// Anything else.
    Other,
}

impl QuoteKind {
    const NATIVE_2022: Key = key("9pan9bMn5HatX4EJdBwg9VgCa7Uz5HL8N1m5D3NdXej9");
    const USDC: Key = key("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v");

    /// The part for `quote_mint`.
    #[inline]
    #[must_use]
    pub fn of(quote_mint: &Key) -> Self {
        match *quote_mint {
            mint if mint == WRAPPED_SOL || mint == [0; 32] || mint == Self::NATIVE_2022 => {
                Self::Sol
            }
            Self::USDC => Self::Stable,
            _ => Self::Other,
        }
    }
}

/// One step of the schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FeeTier {
    /// Least market cap, lamports, this tier applies from.
    pub market_cap_min: u128,
    /// Rates from there on.
    pub rates: FeeRates,
}

/// Tiers kept; the deployed schedules hold 25 at most.
pub const TIERS_MAX: usize = 32;

/// The fee program's `FeeConfig` of one of the Pump programs, and the switch in that program's global account that
/// lets a coin's own creator rate win.
///
/// About 4 KiB: kept once, passed by reference.
/// Source: pump-rust-client 0.5.0 `src/math/fees.rs` (`fees_for_quote_mint`, `compute_bonding_curve_fee_bps`,
/// `compute_amm_fee_bps`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeeSchedule {
    sol: Tiers,
    stable: Tiers,
    others: Option<Others>,
    creator_fee_configurable: bool,
}

/// Rates that do not depend on the market cap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Others {
    /// Pools that Pump did not make.
    flat: PoolRates,
    /// Coins priced in neither SOL nor USDC; all zero while unset.
    exotic: PoolRates,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Tier {
    market_cap_min: u128,
    rates: PoolRates,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tiers {
    kept: [Tier; TIERS_MAX],
    count: usize,
}

/// Why tiers do not make a schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FeeScheduleError {
    /// No tier at all: the program refuses to trade (`FeeTiersEmpty`).
    Empty,
    /// More tiers than [`TIERS_MAX`].
    TooMany,
    /// A tier's rates together reach the whole amount.
    RateTooHigh,
}

/// First eight bytes of a `FeeConfig` account (pump-rust-client 0.5.0 `idls/pump.json`).
const FEE_CONFIG: [u8; 8] = [0x8f, 0x34, 0x92, 0xbb, 0xdb, 0x7b, 0x4c, 0x9b];

impl FeeSchedule {
    /// Rates on mainnet: one tier for bonding curves, 0.95 % protocol and 0.30 % creator, and the per-coin
    /// creator rate switched on (it is zero on every SOL-priced coin). For SOL-priced curves only.
    ///
    /// Source: pump.fun/docs/fees ("bonding curve fees", last updated 1 September 2025) and the help centre's
    /// "Transaction fees on pump.fun". Changes on chain without notice: an operator passes what the
    /// `FeeConfig` account says.
    #[must_use]
    pub fn mainnet() -> Self {
        let mut sol = Tiers::NONE;
        sol.kept[0].rates = PoolRates {
            lp_bps: 0,
            protocol_bps: 95,
            creator_bps: 30,
        };
        sol.count = 1;
        Self {
            sol,
            stable: Tiers::NONE,
            others: None,
            creator_fee_configurable: true,
        }
    }

    /// A schedule for SOL-priced curves of `tiers` in the order the account holds them.
    ///
    /// # Errors
    /// [`FeeScheduleError`] when there are none, too many, or one takes everything.
    pub fn new(
        tiers: &[FeeTier],
        creator_fee_configurable: bool,
    ) -> Result<Self, FeeScheduleError> {
        if tiers.is_empty() {
            return Err(FeeScheduleError::Empty);
        }
        if tiers.iter().any(|tier| tier.rates.total_bps() >= BPS_WHOLE) {
            return Err(FeeScheduleError::RateTooHigh);
        }
        let mut sol = Tiers::NONE;
        for tier in tiers {
            let rates = PoolRates {
                lp_bps: 0,
                protocol_bps: tier.rates.protocol_bps,
                creator_bps: tier.rates.creator_bps,
            };
            sol.push(tier.market_cap_min, rates)
                .ok_or(FeeScheduleError::TooMany)?;
        }
        Ok(Self {
            sol,
            stable: Tiers::NONE,
            others: None,
            creator_fee_configurable,
        })
    }

    /// The schedule of a `FeeConfig` account; `creator_fee_configurable` is for the program's global account to say
    /// ([`Global`](crate::pump::account::Global), [`GlobalConfig`](crate::pump_amm::GlobalConfig)).
    ///
    /// Accounts older than the stable tiers or the exotic rates read as without them, as the program reads them.
    ///
    /// # Errors
    /// [`AccountReject`]: `Unknown` for more tiers than [`TIERS_MAX`], `BadField` for rates that reach the whole
    /// amount or no tier for SOL.
    pub fn parse(data: &[u8], creator_fee_configurable: bool) -> Result<Self, AccountReject> {
        let mut reader = Reader {
            fields: Fields::of_kind(data, FEE_CONFIG)?,
            // The discriminator, the bump and the administrator.
            at: 8 + 1 + 32,
        };
        let flat = reader.rates()?;
        let sol = reader.tiers()?;
        if sol.count == 0 {
            return Err(AccountReject::BadField);
        }
        let stable = if reader.is_at_end() {
            Tiers::NONE
        } else {
            reader.tiers()?
        };
        let exotic = if reader.is_at_end() {
            PoolRates::default()
        } else {
            reader.rates()?
        };
        Ok(Self {
            sol,
            stable,
            others: Some(Others { flat, exotic }),
            creator_fee_configurable,
        })
    }

    /// Rates of a trade on a SOL-priced curve at `market_cap` whose stored creator rate is `coin_creator_bps` (0:
    /// none set).
    ///
    /// The last tier in order whose threshold is reached, unless the first one's is not: then the first.
    #[must_use]
    pub fn rates(&self, market_cap: u128, coin_creator_bps: u64) -> FeeRates {
        self.rates_at(|| market_cap, coin_creator_bps)
    }

    /// [`FeeSchedule::rates`] at a market cap that is only reckoned where tiers differ by it.
    #[inline]
    pub(crate) fn rates_at(
        &self,
        market_cap: impl FnOnce() -> u128,
        coin_creator_bps: u64,
    ) -> FeeRates {
        let rates = match self.sol.count {
            1 => self.sol.kept[0].rates,
            _ => self.sol.at(market_cap()).unwrap_or_default(),
        };
        FeeRates {
            protocol_bps: rates.protocol_bps,
            creator_bps: self.creator_bps(rates, coin_creator_bps),
        }
    }

    /// Rates of a trade on a pool at `market_cap`; the coin's creator rate as for [`FeeSchedule::rates`], whether or
    /// not the pool has a creator to pay.
    ///
    /// `None` where the schedule has no rates for such a pool: the program refuses (`FeeTiersEmpty`), or the schedule
    /// is not from an account.
    #[must_use]
    pub fn pool_rates(
        &self,
        made_by_pump: bool,
        quote: QuoteKind,
        market_cap: u128,
        coin_creator_bps: u64,
    ) -> Option<PoolRates> {
        let rates = match quote {
            _ if !made_by_pump => self.others?.flat,
            QuoteKind::Sol => self.sol.at(market_cap)?,
            QuoteKind::Stable => self.stable.at(market_cap)?,
            QuoteKind::Other => {
                let Others { flat, exotic } = self.others?;
                if exotic == PoolRates::default() {
                    flat
                } else {
                    exotic
                }
            }
        };
        Some(PoolRates {
            creator_bps: self.creator_bps(rates, coin_creator_bps),
            ..rates
        })
    }

    #[inline]
    const fn creator_bps(&self, rates: PoolRates, coin_creator_bps: u64) -> u64 {
        if self.creator_fee_configurable && coin_creator_bps != 0 {
            coin_creator_bps
        } else {
            rates.creator_bps
        }
    }
}

impl Tiers {
    const NONE: Self = Self {
        kept: [Tier {
            market_cap_min: 0,
            rates: PoolRates {
                lp_bps: 0,
                protocol_bps: 0,
                creator_bps: 0,
            },
        }; TIERS_MAX],
        count: 0,
    };

    fn push(&mut self, market_cap_min: u128, rates: PoolRates) -> Option<()> {
        *self.kept.get_mut(self.count)? = Tier {
            market_cap_min,
            rates,
        };
        self.count += 1;
        Some(())
    }

    fn at(&self, market_cap: u128) -> Option<PoolRates> {
        let tiers = &self.kept[..self.count.min(TIERS_MAX)];
        let first = tiers.first()?;
        if market_cap < first.market_cap_min {
            return Some(first.rates);
        }
        let reached = |tier: &&Tier| market_cap >= tier.market_cap_min;
        Some(tiers.iter().rev().find(reached).unwrap_or(first).rates)
    }
}

/// Reads an account whose fields move with the length of its lists.
struct Reader<'a> {
    fields: Fields<'a>,
    at: usize,
}

impl Reader<'_> {
    const fn is_at_end(&self) -> bool {
        self.at >= self.fields.len()
    }

    fn u64(&mut self) -> Result<u64, AccountReject> {
        let value = self.fields.u64(self.at)?;
        self.at += 8;
        Ok(value)
    }

    fn rates(&mut self) -> Result<PoolRates, AccountReject> {
        let rates = PoolRates {
            lp_bps: self.u64()?,
            protocol_bps: self.u64()?,
            creator_bps: self.u64()?,
        };
        if rates.total_bps() >= BPS_WHOLE {
            return Err(AccountReject::BadField);
        }
        Ok(rates)
    }

    fn tiers(&mut self) -> Result<Tiers, AccountReject> {
        let count = self.fields.u32(self.at)? as usize;
        self.at += 4;
        if count > TIERS_MAX {
            return Err(AccountReject::Unknown);
        }
        let mut tiers = Tiers::NONE;
        for _ in 0..count {
            let market_cap_min = self.fields.u128(self.at)?;
            self.at += 16;
            let rates = self.rates()?;
            tiers
                .push(market_cap_min, rates)
                .ok_or(AccountReject::Unknown)?;
        }
        Ok(tiers)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tier(market_cap_min: u128, protocol_bps: u64, creator_bps: u64) -> FeeTier {
        FeeTier {
            market_cap_min,
            rates: FeeRates {
                protocol_bps,
                creator_bps,
            },
        }
    }

    #[test]
    fn the_highest_reached_tier_applies_and_the_first_below_all() {
        let schedule = FeeSchedule::new(&[tier(10, 100, 1), tier(20, 90, 2)], false).unwrap();
        let of = |cap| schedule.rates(cap, 77);
        assert_eq!(
            (of(0).protocol_bps, of(10).protocol_bps, of(19).protocol_bps),
            (100, 100, 100)
        );
        assert_eq!((of(20).protocol_bps, of(u128::MAX).creator_bps), (90, 2));
    }

    #[test]
    fn below_the_first_tier_the_first_applies_even_when_a_later_one_is_reached() {
        let schedule = FeeSchedule::new(&[tier(20, 100, 1), tier(10, 90, 2)], false).unwrap();
        assert_eq!(schedule.rates(15, 0).protocol_bps, 100);
        assert_eq!(schedule.rates(20, 0).protocol_bps, 90);
    }

    #[test]
    fn a_schedule_made_by_hand_has_no_rates_for_other_pools() {
        let schedule = FeeSchedule::mainnet();
        assert!(schedule.pool_rates(true, QuoteKind::Sol, 0, 0).is_some());
        assert_eq!(schedule.pool_rates(false, QuoteKind::Sol, 0, 0), None);
        assert_eq!(schedule.pool_rates(true, QuoteKind::Stable, 0, 0), None);
        assert_eq!(schedule.pool_rates(true, QuoteKind::Other, 0, 0), None);
    }

    #[test]
    fn a_coins_own_rate_wins_only_while_configurable_and_set() {
        let on = FeeSchedule::new(&[tier(0, 95, 30)], true).unwrap();
        assert_eq!(on.rates(0, 250).creator_bps, 250);
        assert_eq!(on.rates(0, 0).creator_bps, 30);
        let off = FeeSchedule::new(&[tier(0, 95, 30)], false).unwrap();
        assert_eq!(off.rates(0, 250).creator_bps, 30);
    }

    #[test]
    fn schedules_that_cannot_be_are_refused() {
        assert_eq!(FeeSchedule::new(&[], true), Err(FeeScheduleError::Empty));
        assert_eq!(
            FeeSchedule::new(&[tier(0, 9_000, 1_000)], true),
            Err(FeeScheduleError::RateTooHigh)
        );
        assert_eq!(
            FeeSchedule::new(&[tier(0, 1, 1); TIERS_MAX + 1], true),
            Err(FeeScheduleError::TooMany)
        );
    }
}
