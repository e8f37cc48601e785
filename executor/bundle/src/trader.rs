//! The accounts that depend on the trader alone.

use market::Key;

use crate::address::PUMP_AMM_PROGRAM;
use crate::pda;

/// Our own accounts, derived once at start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trader {
    pub(crate) user: Key,
    pub(crate) wrapped_sol_account: Key,
    /// Pump's count of our volume.
    pub(crate) volume_accumulator: Key,
    pub(crate) volume_accumulator_wrapped_sol_account: Key,
    /// PumpSwap's count of our volume; it need not exist.
    pub(crate) swap_volume_accumulator: Key,
}

impl Trader {
    /// `None` when an address cannot be derived, which no real key provokes.
    pub(crate) fn derive(user: &Key) -> Option<Self> {
        let volume_accumulator = pda::user_volume_accumulator(user)?;
        // The same seeds as Pump's, under PumpSwap (pump-rust-client 0.5.0 `idls/pump_amm.json`).
        let seeds: [&[u8]; 2] = [b"user_volume_accumulator", user];
        let (swap_volume_accumulator, _) = pda::find_program_address(&seeds, &PUMP_AMM_PROGRAM)?;
        Some(Self {
            user: *user,
            wrapped_sol_account: pda::wrapped_sol_account(user)?,
            volume_accumulator,
            volume_accumulator_wrapped_sol_account: pda::wrapped_sol_account(&volume_accumulator)?,
            swap_volume_accumulator,
        })
    }
}
