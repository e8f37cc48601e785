//! What we hold in one coin.

use market::{BPS_WHOLE, Bps, Lamports, Mint, TokenAmount};
use shred_wire::{Nanos, Slot};

/// One open position. The tokens are those our entry named, exactly; what it cost is the curve's arithmetic at
/// its place of inclusion, at most what the entry allowed. Account truth corrects both where there is any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// The coin.
    pub mint: Mint,
    /// Tokens held.
    pub tokens: TokenAmount,
    /// Quote paid for them, fees included, tip not.
    pub cost: Lamports,
    /// Slot our entry was included in.
    pub opened_slot: Slot,
    /// Stamp of the datagram that showed it included.
    pub opened_at: Nanos,
    /// An exit is in flight; no second one is wanted.
    pub exiting: bool,
    /// What an exit is held to ([`Position::floor`]): at first the most that the entry allowed itself to cost, later what
    /// all of it would have brought when account data last told what it is priced by. Neither is moved by transactions
    /// that fail, which shreds do not tell from others.
    pub reference: Lamports,
    /// How often the floor has given way since the reference was set.
    pub floor_steps: u8,
}

impl Position {
    /// Whether `value` is at least `gain` above cost: `value * 10_000 >= cost * (10_000 + gain)`.
    #[must_use]
    pub fn gained(&self, value: Lamports, gain: Bps) -> bool {
        let target = u128::from(self.cost.0) * u128::from(BPS_WHOLE + u64::from(gain.0));
        u128::from(value.0) * u128::from(BPS_WHOLE) >= target
    }

    /// Whether `value` is at least `loss` below cost: `value * 10_000 <= cost * (10_000 - loss)`.
    #[must_use]
    pub fn lost(&self, value: Lamports, loss: Bps) -> bool {
        let floor =
            u128::from(self.cost.0) * u128::from(BPS_WHOLE.saturating_sub(u64::from(loss.0)));
        u128::from(value.0) * u128::from(BPS_WHOLE) <= floor
    }

    /// The least an exit from all of it asks for, whatever the price looks like: `share` of the reference, and a quarter
    /// of that for each step it has given way. Zero after enough of them: in a crash that is real the position can be left.
    #[must_use]
    pub fn floor(&self, share: Bps) -> Lamports {
        let floor = u128::from(self.reference.0) * u128::from(share.0) / u128::from(BPS_WHOLE);
        let given_way = floor
            .checked_shr(2 * u32::from(self.floor_steps))
            .unwrap_or(0);
        Lamports(u64::try_from(given_way).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_met_exactly_at_their_basis_points() {
        let position = Position {
            mint: Mint([1; 32]),
            tokens: TokenAmount(1),
            cost: Lamports(10_000),
            opened_slot: Slot(1),
            opened_at: Nanos(1),
            exiting: false,
            reference: Lamports(10_000),
            floor_steps: 0,
        };
        assert!(
            position.gained(Lamports(12_500), Bps(2_500))
                && !position.gained(Lamports(12_499), Bps(2_500))
        );
        assert!(
            position.lost(Lamports(8_000), Bps(2_000))
                && !position.lost(Lamports(8_001), Bps(2_000))
        );
        assert!(position.lost(Lamports(0), Bps(u16::MAX)));
        let floor = |floor_steps, share| {
            let position = Position {
                floor_steps,
                ..position
            };
            position.floor(Bps(share)).0
        };
        assert_eq!(
            [0, 1, 2, 3].map(|steps| floor(steps, 5_000)),
            [5_000, 1_250, 312, 78]
        );
        assert_eq!(
            (floor(7, 5_000), floor(u8::MAX, 5_000), floor(0, 0)),
            (0, 0, 0)
        );
    }
}
