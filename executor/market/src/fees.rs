//! Fee rates of a curve trade: a schedule by market cap, unless the coin has its own creator rate.

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

/// The SOL side of the fee program's `FeeConfig` for bonding curves, and the switch in `Global` that lets a
/// coin's own creator rate win.
///
/// Source: pump-rust-client 0.5.0 `src/math/fees.rs` (`fees_for_quote_mint`, `compute_bonding_curve_fee_bps`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeeSchedule {
    tiers: [FeeTier; TIERS_MAX],
    tier_count: usize,
    creator_fee_configurable: bool,
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

impl FeeSchedule {
    /// Rates on mainnet: one tier for bonding curves, 0.95 % protocol and 0.30 % creator, and the per-coin
    /// creator rate switched on (it is zero on every SOL-priced coin).
    ///
    /// Source: pump.fun/docs/fees ("bonding curve fees", last updated 1 September 2025) and the help centre's
    /// "Transaction fees on pump.fun". Changes on chain without notice: an operator passes what the
    /// `FeeConfig` account says.
    #[must_use]
    pub fn mainnet() -> Self {
        let rates = FeeRates {
            protocol_bps: 95,
            creator_bps: 30,
        };
        let mut tiers = [FeeTier::default(); TIERS_MAX];
        tiers[0] = FeeTier {
            market_cap_min: 0,
            rates,
        };
        Self {
            tiers,
            tier_count: 1,
            creator_fee_configurable: true,
        }
    }

    /// A schedule of `tiers` in the order the account holds them.
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
        if tiers
            .iter()
            .any(|tier| tier.rates.total_bps() >= crate::units::BPS_WHOLE)
        {
            return Err(FeeScheduleError::RateTooHigh);
        }
        let mut kept = [FeeTier::default(); TIERS_MAX];
        kept.get_mut(..tiers.len())
            .ok_or(FeeScheduleError::TooMany)?
            .copy_from_slice(tiers);
        Ok(Self {
            tiers: kept,
            tier_count: tiers.len(),
            creator_fee_configurable,
        })
    }

    /// Rates of a trade at `market_cap` on a coin whose stored creator rate is `coin_creator_bps` (0: none set).
    ///
    /// The last tier in order whose threshold is reached, else the first.
    #[must_use]
    pub fn rates(&self, market_cap: u128, coin_creator_bps: u64) -> FeeRates {
        let tiers = &self.tiers[..self.tier_count.min(TIERS_MAX)];
        let reached = tiers
            .iter()
            .rev()
            .find(|tier| market_cap >= tier.market_cap_min);
        let mut rates = reached.unwrap_or(&self.tiers[0]).rates;
        if self.creator_fee_configurable && coin_creator_bps != 0 {
            rates.creator_bps = coin_creator_bps;
        }
        rates
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
