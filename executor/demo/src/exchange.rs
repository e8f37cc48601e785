//! What the block engine may ask of the chain, and the one door through which bundles enter it.
//!
//! An [`Exchange`] is a cheap clone that can be used from any thread. The market thread takes the
//! queued bundles when it cuts its next entry batch, executes each of them all-or-nothing against
//! the state of that moment, in the order of their tips, and writes the ones that held into the
//! same shreds as everybody else's transactions. Nothing lands before those shreds are made.
//!
//! Locks are held for the execution of a batch at most (about a millisecond); nothing here is meant
//! for a hot thread.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::keys::{Key, TIP_ACCOUNTS, base58};
use crate::leader::Schedule;
use crate::market::{ExecError, Fill, Market};
use crate::txn::{ParsedTxn, TxnError};

/// Transactions in one bundle, at most (Jito block engine).
pub const BUNDLE_TRANSACTIONS_MAX: usize = 5;
/// Smallest tip the block engine takes, in lamports (Jito docs, `lowlatencytxnsend.md`).
pub const TIP_LAMPORTS_MIN: u64 = 1_000;
/// Blocks for which a blockhash stays valid (agave `MAX_PROCESSING_AGE`).
pub const BLOCKHASH_AGE_MAX: usize = 150;

/// Why a bundle did not land.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectReason {
    /// No transaction in it.
    Empty,
    /// More than [`BUNDLE_TRANSACTIONS_MAX`].
    TooManyTransactions,
    /// The bytes are not one whole transaction.
    Malformed(TxnError),
    /// A signature does not verify.
    SignatureInvalid,
    /// The recent blockhash is unknown or older than [`BLOCKHASH_AGE_MAX`] blocks.
    BlockhashNotFound,
    /// A transaction with the same signature is in a block, or twice in this bundle.
    AlreadyProcessed,
    /// The bundle pays less than [`TIP_LAMPORTS_MIN`] to the tip accounts.
    TipTooLow,
    /// An instruction failed; nothing of the bundle took effect.
    Execution(ExecError),
    /// No leader that takes bundles came up before the bundle's last slot.
    Expired,
    /// The market has stopped.
    Stopped,
}

/// A refused bundle: the reason and, when one transaction is to blame, which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LandingReject {
    /// Why.
    pub reason: RejectReason,
    /// Index in the bundle and first signature (zeroes when the bytes hold none) of the culprit.
    pub transaction: Option<(usize, [u8; 64])>,
}

impl fmt::Display for LandingReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transaction {
            Some((index, _)) => write!(f, "transaction {index}: {:?}", self.reason),
            None => write!(f, "{:?}", self.reason),
        }
    }
}

impl std::error::Error for LandingReject {}

/// Where a bundle landed and what it did there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    /// Slot of the block that holds it.
    pub slot: u64,
    /// Identity of the slot's leader.
    pub leader: Key,
    /// Ordinal among the bundles of its slot, from 0.
    pub bundle_index: u64,
    /// What the bundle did.
    pub effect: Simulation,
}

/// What a bundle does, or would do, to the market.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulation {
    /// Lamports paid to the tip accounts, over all transactions.
    pub tip_lamports: u64,
    /// Trades that filled, in order.
    pub fills: Vec<Fill>,
    /// First signatures, in order.
    pub signatures: Vec<[u8; 64]>,
}

/// Told once what became of a bundle. Runs on the market thread: it must not block.
pub type LandingCallback = Box<dyn FnOnce(Result<Landing, LandingReject>) + Send>;

/// The chain as the block engine sees it. Clones share one state.
#[derive(Clone)]
pub struct Exchange {
    shared: Arc<Shared>,
}

struct Shared {
    chain: Mutex<Chain>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    closed: bool,
    pending: VecDeque<Pending>,
}

/// A bundle waiting for its batch.
pub(crate) struct Pending {
    pub(crate) bundle: Vec<Vec<u8>>,
    pub(crate) last_slot: u64,
    pub(crate) done: LandingCallback,
}

/// State shared by the market thread and the block engine.
pub(crate) struct Chain {
    /// Slot now being produced (or waited out, when its leader skips it).
    pub(crate) slot: u64,
    pub(crate) schedule: Schedule,
    pub(crate) market: Market,
    /// Youngest last: (blockhash, slot that ended with it).
    blockhashes: VecDeque<(Key, u64)>,
    /// First signatures on chain that an executable transaction could repeat, with their slot.
    signatures: BTreeSet<[u8; 64]>,
    signature_order: VecDeque<(u64, [u8; 64])>,
}

impl Exchange {
    pub(crate) fn new(chain: Chain) -> Self {
        let (chain, queue) = (Mutex::new(chain), Mutex::new(Queue::default()));
        Self {
            shared: Arc::new(Shared { chain, queue }),
        }
    }

    /// The slot whose leader is on now.
    pub fn current_slot(&self) -> u64 {
        self.chain().slot
    }

    /// Identity of `slot`'s leader, and whether it takes bundles. Total: the schedule repeats.
    pub fn leader(&self, slot: u64) -> (Key, bool) {
        self.chain().schedule.leader(slot)
    }

    /// The first slot at or after `from` whose leader takes bundles, with that leader.
    pub fn next_jito_leader(&self, from: u64) -> Option<(u64, Key)> {
        let chain = self.chain();
        let horizon = from..from.saturating_add(chain.schedule.period());
        horizon
            .into_iter()
            .find_map(|slot| match chain.schedule.leader(slot) {
                (identity, true) => Some((slot, identity)),
                (_, false) => None,
            })
    }

    /// Slots since the block that ended with `blockhash`; `None` when it is unknown or no longer
    /// among the last [`BLOCKHASH_AGE_MAX`].
    pub fn blockhash_age(&self, blockhash: &Key) -> Option<u64> {
        self.chain().blockhash_age(blockhash)
    }

    /// The youngest blockhash and the slot that ended with it; `None` before the first block ends.
    pub fn latest_blockhash(&self) -> Option<(Key, u64)> {
        self.chain().latest_blockhash()
    }

    /// The accounts a tip may be paid to.
    pub fn tip_accounts(&self) -> [Key; 8] {
        TIP_ACCOUNTS
    }

    /// Lamports of `account`; 0 for one nobody has paid.
    pub fn balance(&self, account: &Key) -> u64 {
        self.chain().market.lamports(account)
    }

    /// Raw token units of `mint` that `owner` holds.
    pub fn token_balance(&self, owner: &Key, mint: &Key) -> u64 {
        self.chain().market.tokens(owner, mint)
    }

    /// Gives `lamports` to `account` out of nothing. The faucet of the demonstration.
    pub fn airdrop(&self, account: &Key, lamports: u64) {
        self.chain().market.credit(account, lamports);
    }

    /// Checks and executes `bundle` against the state of this moment and takes every effect back.
    ///
    /// A bundle that passes may still be refused by [`Exchange::land`]: others may trade first.
    ///
    /// # Errors
    /// The first reason found, in order of transactions.
    pub fn simulate(&self, bundle: &[Vec<u8>]) -> Result<Simulation, LandingReject> {
        let parsed = parse_bundle(bundle)?;
        let mut chain = self.chain();
        chain.check(&parsed)?;
        let mark = chain.market.mark();
        let result = execute(&mut chain.market, &parsed);
        chain.market.roll_back(mark);
        result
    }

    /// Queues `bundle` for the first batch of a leader that takes bundles, until `last_slot`.
    ///
    /// `done` is called exactly once, on the market thread, when the batch that decides about it
    /// has been cut, or at once when the market has stopped.
    pub fn land(&self, bundle: Vec<Vec<u8>>, last_slot: u64, done: LandingCallback) {
        let mut queue = lock(&self.shared.queue);
        if queue.closed {
            drop(queue);
            return done(Err(LandingReject {
                reason: RejectReason::Stopped,
                transaction: None,
            }));
        }
        queue.pending.push_back(Pending {
            bundle,
            last_slot,
            done,
        });
    }

    /// Bundles queued and undecided.
    pub fn queued(&self) -> usize {
        lock(&self.shared.queue).pending.len()
    }

    pub(crate) fn chain(&self) -> MutexGuard<'_, Chain> {
        lock(&self.shared.chain)
    }

    /// Takes everything that waits, in order of arrival.
    pub(crate) fn take_pending(&self) -> Vec<Pending> {
        lock(&self.shared.queue).pending.drain(..).collect()
    }

    /// Puts back what must wait for a later batch, ahead of newer arrivals.
    pub(crate) fn put_back(&self, waiting: Vec<Pending>) {
        let mut queue = lock(&self.shared.queue);
        for pending in waiting.into_iter().rev() {
            queue.pending.push_front(pending);
        }
    }

    /// Refuses what waits and all that comes later.
    pub(crate) fn close(&self) {
        let pending = {
            let mut queue = lock(&self.shared.queue);
            queue.closed = true;
            std::mem::take(&mut queue.pending)
        };
        for Pending { done, .. } in pending {
            done(Err(LandingReject {
                reason: RejectReason::Stopped,
                transaction: None,
            }));
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = self.chain();
        let latest = chain.latest_blockhash().map(|(hash, _)| base58(&hash));
        f.debug_struct("Exchange")
            .field("slot", &chain.slot)
            .field("blockhash", &latest)
            .finish()
    }
}

impl Chain {
    pub(crate) fn new(slot: u64, schedule: Schedule, market: Market) -> Self {
        Self {
            slot,
            schedule,
            market,
            blockhashes: VecDeque::with_capacity(BLOCKHASH_AGE_MAX + 1),
            signatures: BTreeSet::new(),
            signature_order: VecDeque::new(),
        }
    }

    /// Makes `hash` the youngest blockhash, drops those too old, and forgets the signatures of
    /// transactions that could not be repeated any more.
    pub(crate) fn register_blockhash(&mut self, hash: Key, slot: u64) {
        self.blockhashes.push_back((hash, slot));
        if self.blockhashes.len() > BLOCKHASH_AGE_MAX {
            self.blockhashes.pop_front();
        }
        let oldest = self.blockhashes.front().map_or(0, |(_, slot)| *slot);
        while let Some((slot, signature)) = self.signature_order.front().copied() {
            if slot >= oldest {
                break;
            }
            self.signatures.remove(&signature);
            self.signature_order.pop_front();
        }
    }

    /// Notes that a transaction with this signature is in the block of the current slot.
    pub(crate) fn note_signature(&mut self, signature: [u8; 64]) {
        if self.signatures.insert(signature) {
            self.signature_order.push_back((self.slot, signature));
        }
    }

    pub(crate) fn latest_blockhash(&self) -> Option<(Key, u64)> {
        self.blockhashes.back().copied()
    }

    /// Executes one bundle all-or-nothing and keeps its effects when every transaction holds.
    ///
    /// # Errors
    /// As [`Exchange::simulate`].
    pub(crate) fn apply(&mut self, bundle: &[Vec<u8>]) -> Result<Simulation, LandingReject> {
        let parsed = parse_bundle(bundle)?;
        self.check(&parsed)?;
        let mark = self.market.mark();
        let result = execute(&mut self.market, &parsed);
        match &result {
            Ok(_) => {
                self.market.commit();
                for txn in &parsed {
                    self.note_signature(*txn.signature());
                }
            }
            Err(_) => self.market.roll_back(mark),
        }
        result
    }

    fn blockhash_age(&self, blockhash: &Key) -> Option<u64> {
        let (_, slot) = self
            .blockhashes
            .iter()
            .rev()
            .find(|(hash, _)| hash == blockhash)?;
        Some(self.slot.saturating_sub(*slot))
    }

    /// Signatures, blockhashes and repeats: what a leader checks before it executes.
    fn check(&self, bundle: &[ParsedTxn<'_>]) -> Result<(), LandingReject> {
        for (index, txn) in bundle.iter().enumerate() {
            let reject = |reason| LandingReject {
                reason,
                transaction: Some((index, *txn.signature())),
            };
            if self.blockhash_age(txn.blockhash()).is_none() {
                return Err(reject(RejectReason::BlockhashNotFound));
            }
            let repeated = bundle[..index]
                .iter()
                .any(|earlier| earlier.signature() == txn.signature());
            if repeated || self.signatures.contains(txn.signature()) {
                return Err(reject(RejectReason::AlreadyProcessed));
            }
            if !txn.signatures_verify() {
                return Err(reject(RejectReason::SignatureInvalid));
            }
        }
        Ok(())
    }
}

fn parse_bundle<'a>(bundle: &'a [Vec<u8>]) -> Result<Vec<ParsedTxn<'a>>, LandingReject> {
    if bundle.is_empty() {
        return Err(LandingReject {
            reason: RejectReason::Empty,
            transaction: None,
        });
    }
    if bundle.len() > BUNDLE_TRANSACTIONS_MAX {
        return Err(LandingReject {
            reason: RejectReason::TooManyTransactions,
            transaction: None,
        });
    }
    let parse = |(index, bytes): (usize, &'a Vec<u8>)| {
        ParsedTxn::parse(bytes).map_err(|error| LandingReject {
            reason: RejectReason::Malformed(error),
            transaction: Some((index, [0; 64])),
        })
    };
    bundle.iter().enumerate().map(parse).collect()
}

fn execute(market: &mut Market, bundle: &[ParsedTxn<'_>]) -> Result<Simulation, LandingReject> {
    let mut effect = Simulation::default();
    for (index, txn) in bundle.iter().enumerate() {
        let outcome = market.execute(txn).map_err(|error| LandingReject {
            reason: RejectReason::Execution(error),
            transaction: Some((index, *txn.signature())),
        })?;
        effect.tip_lamports += outcome.tip_lamports;
        effect.fills.extend(outcome.fills);
        effect.signatures.push(*txn.signature());
    }
    if effect.tip_lamports < TIP_LAMPORTS_MIN {
        return Err(LandingReject {
            reason: RejectReason::TipTooLow,
            transaction: None,
        });
    }
    Ok(effect)
}

/// A panic on another thread does not make the data here unusable: every change is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
