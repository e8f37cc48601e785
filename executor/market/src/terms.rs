//! What the trades of a whole venue depend on, and nobody's single pool: a snapshot that somebody slower replaces.

use crate::pump::fees::FeeSchedule;
use crate::pump_amm;

/// Terms of the venues. About 8 KiB, kept once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VenueTerms {
    /// Rates on Pump's curves.
    pub pump: FeeSchedule,
    /// PumpSwap's global account and rates; `None` while its accounts were not read, and then none of its pools has a
    /// price.
    pub pump_amm: Option<pump_amm::Terms>,
}
