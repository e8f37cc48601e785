//! What the strategist sets. Read for every event, replaced as a whole.

use market::{BPS_WHOLE, Bps, Key, Lamports};
use shred_wire::Nanos;

use crate::intent::LaneClass;

/// A set of addresses in a sorted array of fixed size: at most seven compares, no allocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySet {
    keys: [Key; KeySet::CAPACITY],
    key_count: usize,
}

impl KeySet {
    /// Most addresses in a set.
    pub const CAPACITY: usize = 64;

    /// The empty set.
    pub const EMPTY: Self = Self {
        keys: [[0; 32]; Self::CAPACITY],
        key_count: 0,
    };

    /// The set of `keys`, in any order, repeats allowed.
    ///
    /// # Errors
    /// [`ParamError::SetTooLarge`] beyond [`KeySet::CAPACITY`].
    pub fn new(keys: &[Key]) -> Result<Self, ParamError> {
        let mut set = Self::EMPTY;
        set.keys
            .get_mut(..keys.len())
            .ok_or(ParamError::SetTooLarge)?
            .copy_from_slice(keys);
        set.key_count = keys.len();
        set.keys[..keys.len()].sort_unstable();
        Ok(set)
    }

    /// Whether `key` is in the set.
    #[inline]
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        self.keys[..self.key_count].binary_search(key).is_ok()
    }

    /// Whether the set is empty.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.key_count == 0
    }
}

/// Parameters of the launch strategy. How many positions may be open, and every bound on money, are the risk
/// gate's limits, not the strategy's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Params {
    /// Whether launches are bought at all; exits and armed signals go on without it.
    pub launches_enabled: bool,
    /// Creators (launch signers or creator arguments) bought from; empty: any.
    pub creators_allowed: KeySet,
    /// Creators never bought from.
    pub creators_denied: KeySet,
    /// Least the launcher must have put into the coin first. Zero: a launch without a buy of its own is taken.
    pub dev_buy_min: Lamports,
    /// Most the launcher may have put in.
    pub dev_buy_max: Lamports,
    /// Slots after the launch within which the launcher's buy still counts as an occasion.
    pub entry_slots_max: u64,
    /// Most quote spent per entry, fees included; what an entry costs at the price of its occasion is less by
    /// about `entry_slippage`.
    pub budget: Lamports,
    /// How many fewer tokens are asked for than the budget would buy at the price of the occasion: the room
    /// for the price to rise before our transaction. In a pool also the most that an entry may be of the SOL in it.
    pub entry_slippage: Bps,
    /// How far from what account data said last, the lower of the two being the whole, the price of an entry may be. The
    /// difference came of transactions alone, and those that fail look like any other. Until account data says more, an
    /// entry beyond it waits. Without account data, of a launch only, from what its launcher made it. Zero: no bound.
    pub entry_move_max: Bps,
    /// How far the quote received may fall short when taking profit.
    pub exit_slippage: Bps,
    /// The same for stops and expiries, where leaving matters more than the price.
    pub stop_slippage: Bps,
    /// Least share of a position's reference that an exit asks for, whatever the price looks like
    /// ([`Position::floor`](crate::Position::floor)): the bound on what a price made up by failing transactions can cost.
    /// It gives way step by step when exits are not taken, so that a crash can be left. Zero: no floor.
    pub exit_floor: Bps,
    /// Gain over cost at which profit is taken.
    pub take_profit: Bps,
    /// Loss below cost at which the position is given up.
    pub stop_loss: Bps,
    /// Longest holding time. Zero: no bound by time.
    pub hold_max: Nanos,
    /// Longest holding in slots, which replay needs no clock for. Zero: no bound by slots.
    pub hold_slots_max: u64,
    /// Tip of an entry.
    pub entry_tip: Lamports,
    /// Tip of an exit.
    pub exit_tip: Lamports,
    /// How transactions reach a leader.
    pub lane: LaneClass,
}

impl Default for Params {
    /// 0.05 SOL an entry after a dev buy of 0.1 to 5 SOL, out at +40 %, -20 %, 30 s or 100 slots, at first for no less than
    /// half of what was paid.
    fn default() -> Self {
        Self {
            launches_enabled: true,
            creators_allowed: KeySet::EMPTY,
            creators_denied: KeySet::EMPTY,
            dev_buy_min: Lamports(100_000_000),
            dev_buy_max: Lamports(5_000_000_000),
            entry_slots_max: 2,
            budget: Lamports(50_000_000),
            entry_slippage: Bps(1_000),
            entry_move_max: Bps(10_000),
            exit_slippage: Bps(500),
            stop_slippage: Bps(2_500),
            exit_floor: Bps(5_000),
            take_profit: Bps(4_000),
            stop_loss: Bps(2_000),
            hold_max: Nanos(30_000_000_000),
            hold_slots_max: 100,
            entry_tip: Lamports(100_000),
            exit_tip: Lamports(100_000),
            lane: LaneClass::PrivateBundle,
        }
    }
}

/// Which parameter does not make sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParamError {
    /// More addresses than a set holds.
    SetTooLarge,
    /// `budget` is zero.
    Budget,
    /// `dev_buy_min` exceeds `dev_buy_max`.
    DevBuyRange,
    /// A slippage reaches the whole: it would accept nothing in return.
    Slippage,
    /// `stop_loss` exceeds the whole, so it would never stop.
    StopLoss,
    /// `exit_floor` exceeds the whole: no exit would be taken at the price it is reckoned from.
    ExitFloor,
    /// Neither time nor slots end a position: a coin nobody trades again would be held for ever.
    NoExpiry,
}

impl Params {
    /// Whether the parameters make sense together.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), ParamError> {
        if self.budget.0 == 0 {
            return Err(ParamError::Budget);
        }
        if self.dev_buy_min > self.dev_buy_max {
            return Err(ParamError::DevBuyRange);
        }
        let slippages = [self.entry_slippage, self.exit_slippage, self.stop_slippage];
        if slippages
            .iter()
            .any(|slippage| u64::from(slippage.0) >= BPS_WHOLE)
        {
            return Err(ParamError::Slippage);
        }
        if u64::from(self.stop_loss.0) > BPS_WHOLE {
            return Err(ParamError::StopLoss);
        }
        if u64::from(self.exit_floor.0) > BPS_WHOLE {
            return Err(ParamError::ExitFloor);
        }
        if self.hold_max.0 == 0 && self.hold_slots_max == 0 {
            return Err(ParamError::NoExpiry);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_set_contains_what_was_put_in_and_nothing_else() {
        let keys: Vec<Key> = (0..64u8).rev().map(|byte| [byte * 2; 32]).collect();
        let set = KeySet::new(&keys).unwrap();
        assert!(
            (0..64u8)
                .all(|byte| set.contains(&[byte * 2; 32]) && !set.contains(&[byte * 2 + 1; 32]))
        );
        assert!(!KeySet::EMPTY.contains(&[0; 32]));
        assert_eq!(KeySet::new(&[[0; 32]; 65]), Err(ParamError::SetTooLarge));
    }

    #[test]
    fn senseless_parameters_are_named() {
        let with = |change: fn(&mut Params)| {
            let mut params = Params::default();
            change(&mut params);
            params.check()
        };
        assert_eq!(Params::default().check(), Ok(()));
        assert_eq!(
            with(|params| params.budget = Lamports(0)),
            Err(ParamError::Budget)
        );
        assert_eq!(
            with(|params| params.dev_buy_max = Lamports(1)),
            Err(ParamError::DevBuyRange)
        );
        assert_eq!(
            with(|params| params.stop_slippage = Bps(10_000)),
            Err(ParamError::Slippage)
        );
        assert_eq!(
            with(|params| params.stop_loss = Bps(10_001)),
            Err(ParamError::StopLoss)
        );
        assert_eq!(
            with(|params| params.exit_floor = Bps(10_001)),
            Err(ParamError::ExitFloor)
        );
        let endless =
            |params: &mut Params| (params.hold_max, params.hold_slots_max) = (Nanos(0), 0);
        assert_eq!(with(endless), Err(ParamError::NoExpiry));
    }
}
