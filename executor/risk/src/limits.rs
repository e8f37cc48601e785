//! What the operator allows.

use market::Lamports;
use shred_wire::Nanos;

/// Bounds the gate holds every intent to. Checked once by [`Limits::check`], read for every intent after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most one entry may put at risk: spend and tip.
    pub per_trade_max: Lamports,
    /// Most all open positions and entries in flight may put at risk together, those in flight as if filled.
    pub open_notional_max: Lamports,
    /// Most one transaction may tip, entry or exit.
    pub tip_max: Lamports,
    /// Most positions open or being opened at once.
    pub positions_max: u16,
    /// Most entries within any stretch of `window`.
    pub entries_per_window_max: u16,
    /// Most exits within any stretch of `window`; a bound on a loop gone wrong, not on leaving.
    pub exits_per_window_max: u16,
    /// Length of the rolling window.
    pub window: Nanos,
}

impl Default for Limits {
    /// Small on purpose: 0.1 SOL a trade, 0.5 SOL in all, 0.002 SOL of tip, five positions, ten entries and
    /// sixty exits a minute.
    fn default() -> Self {
        Self {
            per_trade_max: Lamports(100_000_000),
            open_notional_max: Lamports(500_000_000),
            tip_max: Lamports(2_000_000),
            positions_max: 5,
            entries_per_window_max: 10,
            exits_per_window_max: 60,
            window: Nanos(60_000_000_000),
        }
    }
}

/// Which limit does not make sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LimitError {
    /// `positions_max` is 0 or above [`Limits::POSITIONS_MAX`].
    Positions,
    /// A rate is 0 or above [`Limits::RATE_MAX`].
    Rate,
    /// `window` is zero: no rate would hold.
    Window,
    /// `per_trade_max` exceeds `open_notional_max`.
    PerTradeAboveOpen,
}

impl Limits {
    /// The gate keeps positions in an array it scans; past this it would no longer be quick.
    pub const POSITIONS_MAX: u16 = 256;
    /// Stamps kept per rate.
    pub const RATE_MAX: u16 = 4096;

    /// Whether the limits can be held together.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn check(&self) -> Result<(), LimitError> {
        if !(1..=Self::POSITIONS_MAX).contains(&self.positions_max) {
            return Err(LimitError::Positions);
        }
        let rates = [self.entries_per_window_max, self.exits_per_window_max];
        if rates
            .iter()
            .any(|rate| !(1..=Self::RATE_MAX).contains(rate))
        {
            return Err(LimitError::Rate);
        }
        if self.window.0 == 0 {
            return Err(LimitError::Window);
        }
        if self.per_trade_max > self.open_notional_max {
            return Err(LimitError::PerTradeAboveOpen);
        }
        Ok(())
    }
}
