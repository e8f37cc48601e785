//! The chain as the block engine sees it: the embedded market, or a small one written by hand in tests.

use crate::exchange::{Exchange, Landing, LandingCallback, LandingReject, Simulation};
use crate::keys::Key;

/// What became of a bundle that was forwarded.
pub type LandResult = Result<Landing, LandingReject>;

/// What the engine asks of the chain. [`Exchange`] answers in the demonstration.
pub trait Venue: Send + Sync + 'static {
    /// The slot whose leader is on now.
    fn current_slot(&self) -> u64;
    /// The first slot at or after `from` whose leader takes bundles, with that leader.
    fn next_jito_leader(&self, from: u64) -> Option<(u64, Key)>;
    /// Identity of `slot`'s leader, and whether it takes bundles.
    fn leader(&self, slot: u64) -> (Key, bool);
    /// Blocks since `blockhash`; `None` when it is unknown or too old.
    fn blockhash_age(&self, blockhash: &Key) -> Option<u64>;
    /// The accounts a tip may be paid to.
    fn tip_accounts(&self) -> [Key; 8];
    /// Lamports of `account`.
    fn balance(&self, account: &Key) -> u64;
    /// Executes `bundle` and takes every effect back.
    ///
    /// # Errors
    /// The first reason found.
    fn simulate(&self, bundle: &[Vec<u8>]) -> Result<Simulation, LandingReject>;
    /// Queues `bundle` for a leader that takes bundles, until `last_slot`; `done` is called once.
    fn land(&self, bundle: Vec<Vec<u8>>, last_slot: u64, done: LandingCallback);
}

impl Venue for Exchange {
    fn current_slot(&self) -> u64 {
        self.current_slot()
    }

    fn next_jito_leader(&self, from: u64) -> Option<(u64, Key)> {
        self.next_jito_leader(from)
    }

    fn leader(&self, slot: u64) -> (Key, bool) {
        self.leader(slot)
    }

    fn blockhash_age(&self, blockhash: &Key) -> Option<u64> {
        self.blockhash_age(blockhash)
    }

    fn tip_accounts(&self) -> [Key; 8] {
        self.tip_accounts()
    }

    fn balance(&self, account: &Key) -> u64 {
        self.balance(account)
    }

    fn simulate(&self, bundle: &[Vec<u8>]) -> Result<Simulation, LandingReject> {
        self.simulate(bundle)
    }

    fn land(&self, bundle: Vec<Vec<u8>>, last_slot: u64, done: LandingCallback) {
        self.land(bundle, last_slot, done);
    }
}
