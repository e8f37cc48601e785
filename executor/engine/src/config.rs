//! What an engine is built from. Everything is sized here; nothing grows later.

use bundle::BlockhashRule;
use market::FeeSchedule;
use risk::{FailureLimit, LimitError, Limits};
use strategy::{ParamError, Params};

use crate::armed::SignalPolicy;

/// Sizes, limits and policies of one engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Launch strategy.
    pub params: Params,
    /// Bounds of the risk gate.
    pub limits: Limits,
    /// Pump's fee schedule.
    pub schedule: FeeSchedule,
    /// Curves kept, about 1,900 bytes each.
    pub curve_capacity: usize,
    /// Pools kept, about 4 KiB each.
    pub pool_capacity: usize,
    /// Places curves in the table; changes no answer. Random in production, fixed in replay or not at all.
    pub hash_seed: u64,
    /// Transactions of ours remembered until they can no longer land, which is the life of their blockhash even
    /// for those that landed: at least as many as may be sent in 150 blocks, about 900 bytes each. When it is
    /// full nothing more is sent.
    pub inflight_capacity: usize,
    /// Slots after its blockhash's own at which a transaction of ours is given up for expired, when the
    /// observed chain has not proven it earlier. A blockhash lives 150 blocks; skipped slots stretch that.
    pub inflight_slots_max: u64,
    /// Slots after which an exit that was not seen may be tried again at the price of the day; 0 for never
    /// before its blockhash dies. Both may land, but the first leaves the second nothing to sell.
    pub exit_retry_slots: u64,
    /// Signals waiting at once.
    pub armed_capacity: usize,
    /// Slots after its evidence at which a signal is too old to act on; 0 for no such bound.
    pub signal_slots_max: u64,
    /// What it takes for a signal to become an order.
    pub signal_policy: SignalPolicy,
    /// Pairs of signal sources of which one derives from the other: together they are one.
    pub dependent_sources: Vec<(u16, u16)>,
    /// Whether transactions whose leader signature is not checked yet may move curves and lead to orders.
    /// Faster and forgeable: anybody who can send us datagrams can then write our market.
    pub act_on_unverified: bool,
    /// Which blockhash is taken from the stream.
    pub blockhash_rule: BlockhashRule,
    /// How many failures of our own transactions, as a layout that moved makes them, disable a venue.
    pub failure_limit: FailureLimit,
}

impl Default for EngineConfig {
    /// Verified transactions only, 4,096 curves, 1,024 own transactions, 64 signals.
    fn default() -> Self {
        Self {
            params: Params::default(),
            limits: Limits::default(),
            schedule: FeeSchedule::mainnet(),
            curve_capacity: 4_096,
            pool_capacity: 1_024,
            hash_seed: 0,
            inflight_capacity: 1_024,
            inflight_slots_max: 300,
            exit_retry_slots: 8,
            armed_capacity: 64,
            signal_slots_max: 32,
            signal_policy: SignalPolicy::Single,
            dependent_sources: Vec::new(),
            act_on_unverified: false,
            blockhash_rule: BlockhashRule::default(),
            failure_limit: FailureLimit::default(),
        }
    }
}

/// Why an engine cannot be built. Start-up only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineError {
    /// The strategy's parameters do not make sense.
    Params(ParamError),
    /// The gate's limits do not make sense.
    Limits(LimitError),
    /// `curve_capacity` is 0, beyond 2^24, or below what positions may hold.
    CurveCapacity,
    /// `pool_capacity` is 0, beyond 2^24, or below what positions may hold.
    PoolCapacity,
    /// `inflight_capacity` is 0 or above 4,096.
    InflightCapacity,
    /// `armed_capacity` is 0 or above 4,096.
    ArmedCapacity,
}

impl core::fmt::Display for EngineError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Params(error) => write!(f, "strategy parameters: {error:?}"),
            Self::Limits(error) => write!(f, "risk limits: {error:?}"),
            Self::CurveCapacity => write!(
                f,
                "curve_capacity: must be above limits.positions_max and at most 2^24"
            ),
            Self::PoolCapacity => write!(
                f,
                "pool_capacity: must be above limits.positions_max and at most 2^24"
            ),
            Self::InflightCapacity => write!(f, "inflight_capacity: must be 1 to 4096"),
            Self::ArmedCapacity => write!(f, "armed_capacity: must be 1 to 4096"),
        }
    }
}

impl core::error::Error for EngineError {}

impl From<ParamError> for EngineError {
    fn from(error: ParamError) -> Self {
        Self::Params(error)
    }
}

impl From<LimitError> for EngineError {
    fn from(error: LimitError) -> Self {
        Self::Limits(error)
    }
}

/// Most signals a table scans, and most own transactions looked at when a block ends.
const SCANNED_MAX: usize = 4_096;

impl EngineConfig {
    /// Whether an engine can be built from this.
    ///
    /// # Errors
    /// The first [`EngineError`].
    pub fn check(&self) -> Result<(), EngineError> {
        self.params.check()?;
        self.limits.check()?;
        // What is held is never evicted; one place must stay free for what is new.
        let places = usize::from(self.limits.positions_max) + 1..=1 << 24;
        if !places.contains(&self.curve_capacity) {
            return Err(EngineError::CurveCapacity);
        }
        if !places.contains(&self.pool_capacity) {
            return Err(EngineError::PoolCapacity);
        }
        if !(1..=SCANNED_MAX).contains(&self.inflight_capacity) {
            return Err(EngineError::InflightCapacity);
        }
        if !(1..=SCANNED_MAX).contains(&self.armed_capacity) {
            return Err(EngineError::ArmedCapacity);
        }
        Ok(())
    }
}
