//! Compute unit limits by venue and side.
//!
//! Block engines rank by what is paid per unit asked for, so asking for more than a trade uses costs rank; asking for
//! less fails it. A limit is therefore what the trade was measured to use at most, with room on top.

use market::Side;
use strategy::Venue;

/// What a whole transaction of ours used at most when executed by the real programs, and a quarter on top: entries by
/// venue in the order of [`Venue`], buys before sells.
///
/// The largest of 10,000 random trades each (`tests/svm`, pump-rust-client 0.5.0's builds) were 104,792 and 70,761 (v3),
/// 136,524 and 102,140 (v2), 106,346 and 83,277 (PumpSwap), 59,543 and 46,707 (AMM v4); what spreads them is mostly
/// how many bumps the programs try when they derive addresses.
///
/// `None` was not measured, and the limit of the side's budget holds: 400,000 by default, which is what Pump's
/// documentation uses for v2 (pump-public-docs `BUY.md`).
pub const MEASURED_UNITS: UnitLimits = UnitLimits([
    [Some(130_000), Some(90_000)],  // PumpV3
    [Some(170_000), Some(130_000)], // PumpV2
    [Some(135_000), Some(105_000)], // PumpSwap
    [Some(75_000), Some(60_000)],   // RaydiumAmm
    [None, None],                   // RaydiumCp
    [None, None],                   // LaunchLab
]);

/// Unit limits that stand in for those of the budgets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitLimits([[Option<u32>; 2]; Venue::COUNT]);

impl UnitLimits {
    /// The budgets' limits hold everywhere.
    #[must_use]
    pub const fn none() -> Self {
        Self([[None; 2]; Venue::COUNT])
    }

    /// These, with `units` for one venue and side.
    #[must_use]
    pub const fn with(mut self, venue: Venue, side: Side, units: u32) -> Self {
        self.0[venue as usize][side as usize] = Some(units);
        self
    }

    /// These, with `units` for one side wherever it is traded.
    #[must_use]
    pub const fn with_side(mut self, side: Side, units: u32) -> Self {
        let mut venue = 0;
        while venue < self.0.len() {
            self.0[venue][side as usize] = Some(units);
            venue += 1;
        }
        self
    }

    /// The limit for one venue and side, if there is one.
    #[must_use]
    pub const fn of(&self, venue: Venue, side: Side) -> Option<u32> {
        self.0[venue as usize][side as usize]
    }
}

impl Default for UnitLimits {
    fn default() -> Self {
        MEASURED_UNITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::ComputeBudget;

    #[test]
    fn one_side_is_set_on_every_venue_and_the_other_left() {
        let limits = MEASURED_UNITS.with_side(Side::Sell, 7);
        for venue in Venue::ALL {
            assert_eq!(limits.of(venue, Side::Sell), Some(7));
            let buys = MEASURED_UNITS.of(venue, Side::Buy);
            assert_eq!(limits.of(venue, Side::Buy), buys);
        }
    }

    /// Goal: asking for fewer units does not make the same budget pay less, nor ever more, than a unit's rounding.
    #[test]
    fn a_budget_costs_the_same_for_other_units() {
        for (price, limit) in [
            (25_000, 400_000),
            (1, 400_000),
            (0, 10_000),
            (u64::MAX, 1_400_000),
        ] {
            let budget = ComputeBudget {
                unit_limit: limit,
                unit_price_micro_lamports: price,
                loaded_accounts_data_size_limit: 0,
            };
            for units in [60_000, 130_000, 400_000, 1_400_000] {
                let other = budget.for_units(units);
                assert_eq!(other.unit_limit, units);
                let (was, is) = (
                    budget.priority_fee_lamports(),
                    other.priority_fee_lamports(),
                );
                let rounding = u64::from(units).div_ceil(1_000_000);
                assert!(
                    is <= was && (was - is <= rounding || price == u64::MAX),
                    "{was} {is}"
                );
            }
        }
    }
}
