//! The chain as a pure machine: no socket, no clock. Each step makes one leader's next entry batch.
//!
//! Bytes are a function of the configuration, its seed, and the bundles that were landed between
//! steps; nothing else.

use std::collections::VecDeque;

use ed25519_dalek::SigningKey;

use crate::accounts::AccountWrite;
use crate::background::Background;
use crate::curve::FeeTier;
use crate::entry::BatchWriter;
use crate::exchange::{Chain, Exchange, Landing, LandingReject, Pending, RejectReason};
use crate::keys::Key;
use crate::leader::Schedule;
use crate::market::{Fill, Market};
use crate::poh::{Poh, TICKS_PER_SLOT, signature_root};
use crate::prng::Prng;
use crate::shredder::{Datagrams, SET_PAYLOAD_LEN, Shredder};
use crate::traders::{TraderConfig, Traders};
use crate::txn::ParsedTxn;

/// A batch is cut early when it exceeds this (agave coalesces up to two sets' payload).
const BATCH_LEN_MAX: usize = 2 * SET_PAYLOAD_LEN;
/// Most transactions a leader puts into one entry (agave `MAX_NUM_TRANSACTIONS_PER_BATCH`).
const ENTRY_TRANSACTIONS_MAX: u64 = 64;

/// What a generator makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratorConfig {
    /// Decides everything that is drawn.
    pub seed: u64,
    /// First slot.
    pub first_slot: u64,
    /// Shred version on every shred.
    pub shred_version: u16,
    /// Steps of the hash chain per tick.
    pub hashes_per_tick: u64,
    /// Entry batches per slot, 1 to 64; anything else counts as the nearer bound.
    pub batches_per_slot: u64,
    /// Throw-away leaders.
    pub leader_count: usize,
    /// Leaders that take bundles, per 10,000; one always does.
    pub jito_bps: u16,
    /// Slots whose leader makes no block, per 10,000.
    pub skip_bps: u16,
    /// Whether the last set of a slot carries a retransmitter's signature.
    pub resign_last_set: bool,
    /// Background transactions per slot: votes, transfers, unknown programs. Some 80,000 would reach
    /// the 32,768 data shreds a slot may have.
    pub txns_per_slot: u64,
    /// Background transactions signed once and repeated; 0 signs each.
    pub presigned_txns: usize,
    /// Launches per 10,000 slots.
    pub launches_per_10k_slots: u64,
    /// Fees of curve trades.
    pub tier: FeeTier,
    /// Traders.
    pub traders: TraderConfig,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            first_slot: 460_000_000,
            shred_version: 50_093,
            hashes_per_tick: 64,
            batches_per_slot: 8,
            leader_count: 16,
            jito_bps: 5_000,
            skip_bps: 300,
            resign_last_set: true,
            txns_per_slot: 200,
            presigned_txns: 0,
            launches_per_10k_slots: 12_000,
            tier: FeeTier::default(),
            traders: TraderConfig::default(),
        }
    }
}

impl GeneratorConfig {
    /// Full blocks at the lowest cost per datagram: repeated background transactions, few launches.
    pub fn bulk(seed: u64) -> Self {
        Self {
            seed,
            txns_per_slot: 3_000,
            presigned_txns: 2_048,
            launches_per_10k_slots: 1_000,
            ..Self::default()
        }
    }
}

/// Where a transaction in a block came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Landed by the block engine.
    Bundle,
    /// A launch or trade by the market's own traders.
    Trader,
    /// Vote, transfer or unknown program.
    Background,
}

/// One transaction of a block, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxnRecord {
    /// First signature.
    pub signature: [u8; 64],
    /// Where it came from.
    pub origin: Origin,
    /// Whether it took effect; background transactions are not executed and count as done.
    pub succeeded: bool,
    /// Whether it launched a coin.
    pub launch: bool,
}

/// What one step made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepReport {
    /// Slot.
    pub slot: u64,
    /// Parent of the slot's block.
    pub parent_slot: u64,
    /// The slot has no block; the step stands for all of it.
    pub skipped: bool,
    /// The block ended with this step, with this blockhash.
    pub blockhash: Option<Key>,
    /// Transactions, in order.
    pub transactions: Vec<TxnRecord>,
    /// Trades that took effect, in order; routed ones and bundles' too.
    pub fills: Vec<Fill>,
    /// Accounts that its transactions have written, in order.
    pub accounts: Vec<AccountWrite>,
    /// Bundles landed.
    pub bundles_landed: u64,
    /// Bundles refused.
    pub bundles_refused: u64,
}

/// What one slot made.
pub type SlotReport = StepReport;

/// Makes shreds, slot after slot.
pub struct Generator {
    config: GeneratorConfig,
    exchange: Exchange,
    schedule: Schedule,
    prng: Prng,
    traders: Traders,
    background: Background,
    retransmitter: SigningKey,
    poh: Poh,
    chained_root: Key,
    slot: u64,
    parent_slot: u64,
    /// Step within the slot.
    batch: u64,
    /// Steps ever made: the traders' time.
    batch_number: u64,
    /// Launches due, in 10,000ths per step share.
    launch_credit: u64,
    next_index: u32,
    ticks_in_slot: u64,
    bundles_in_slot: u64,
    writer: BatchWriter,
    first_accounts: Vec<AccountWrite>,
}

impl Generator {
    /// Starts at the configured slot, on a chain whose history is made up.
    pub fn new(config: GeneratorConfig) -> Self {
        let batches_per_slot = config.batches_per_slot.clamp(1, TICKS_PER_SLOT);
        let config = GeneratorConfig {
            batches_per_slot,
            ..config
        };
        let root = Prng::new(config.seed);
        let mut keys = root.fork("keys");
        let schedule = Schedule::new(&mut keys, config.leader_count, config.jito_bps);
        let retransmitter = SigningKey::from_bytes(&keys.bytes());
        let (genesis, chained_root): (Key, Key) = (keys.bytes(), keys.bytes());
        let mut market = Market::new(config.tier);
        let traders = Traders::new(root.fork("traders"), config.traders, &mut market);
        market.write_first();
        let first_accounts = market.take_writes(config.first_slot.saturating_sub(1));
        let background = Background::new(root.fork("background"), config.presigned_txns, &genesis);
        let mut chain = Chain::new(config.first_slot, schedule.clone(), market);
        let parent_slot = config.first_slot.saturating_sub(1);
        chain.register_blockhash(genesis, parent_slot);
        Self {
            exchange: Exchange::new(chain),
            schedule,
            prng: root.fork("blocks"),
            traders,
            background,
            retransmitter,
            poh: Poh::new(genesis, config.hashes_per_tick),
            chained_root,
            slot: config.first_slot,
            parent_slot,
            batch: 0,
            batch_number: 0,
            launch_credit: 0,
            next_index: 0,
            ticks_in_slot: 0,
            bundles_in_slot: 0,
            writer: BatchWriter::default(),
            first_accounts,
            config,
        }
    }

    /// The door for bundles and questions.
    pub fn exchange(&self) -> Exchange {
        self.exchange.clone()
    }

    /// Who leads which slot.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The configuration.
    pub fn config(&self) -> &GeneratorConfig {
        &self.config
    }

    /// Accounts that are there before the first block: Pump's terms and the lookup tables.
    pub fn first_accounts(&self) -> &[AccountWrite] {
        &self.first_accounts
    }

    /// Slot of the next step.
    pub fn slot(&self) -> u64 {
        self.slot
    }

    /// Hash the next block's first entry follows, after the ticks of slots skipped before it.
    pub fn poh_hash(&self) -> Key {
        self.poh.hash()
    }

    /// Makes the rest of the current slot (all of it, when nothing of it was made) and appends its
    /// datagrams to `out`.
    pub fn next_slot(&mut self, out: &mut Datagrams) -> SlotReport {
        let mut slot = self.step(out);
        while !slot.skipped && slot.blockhash.is_none() {
            let step = self.step(out);
            slot.blockhash = step.blockhash;
            slot.transactions.extend(step.transactions);
            slot.fills.extend(step.fills);
            slot.accounts.extend(step.accounts);
            slot.bundles_landed += step.bundles_landed;
            slot.bundles_refused += step.bundles_refused;
        }
        slot
    }

    /// Makes the next entry batch (or passes over a slot without a block) and appends its datagrams
    /// to `out`, in the order they leave the leader.
    pub fn step(&mut self, out: &mut Datagrams) -> StepReport {
        if self.batch == 0 && self.begin_slot() {
            let report = StepReport {
                slot: self.slot,
                parent_slot: self.parent_slot,
                skipped: true,
                ..Default::default()
            };
            self.batch_number += self.config.batches_per_slot;
            self.slot += 1;
            return report;
        }
        let mut report = StepReport {
            slot: self.slot,
            parent_slot: self.parent_slot,
            ..Default::default()
        };
        let (blocks, callbacks) = self.collect(&mut report);
        report.accounts = self.exchange.chain().market.take_writes(self.slot);
        self.write_batches(blocks, &mut report, out);
        self.batch += 1;
        self.batch_number += 1;
        if self.batch == self.config.batches_per_slot {
            self.end_slot(&mut report);
        }
        // Only now: whoever hears of a landing may ask the exchange for the state after it.
        callbacks.into_iter().for_each(|call| call());
        report
    }

    /// Opens the slot; true when its leader makes no block.
    fn begin_slot(&mut self) -> bool {
        self.exchange.chain().slot = self.slot;
        (self.next_index, self.bundles_in_slot) = (0, 0);
        let first = self.slot == self.config.first_slot;
        !first && self.prng.chance_bps(self.config.skip_bps)
    }

    fn end_slot(&mut self, report: &mut StepReport) {
        report.blockhash = Some(self.poh.hash());
        self.exchange
            .chain()
            .register_blockhash(self.poh.hash(), self.slot);
        self.parent_slot = self.slot;
        self.slot += 1;
        self.batch = 0;
        self.ticks_in_slot = 0;
    }

    /// Decides what goes into this step's entries: bundles, then traders' and background
    /// transactions, the latter two mixed.
    fn collect(&mut self, report: &mut StepReport) -> (Vec<Vec<u8>>, Vec<Callback>) {
        let mut ordered = Vec::new();
        let callbacks = self.land_bundles(&mut ordered, report);
        let trades = self.trade(report);
        let count = self.share(self.config.txns_per_slot);
        let blockhash = self.recent_blockhash();
        let mut trades = VecDeque::from(trades);
        for left in (1..=count).rev() {
            // Every remaining place is as likely to hold the next trade as any other.
            while self.prng.below(left + trades.len() as u64) >= left {
                ordered.extend(trades.pop_front().map(|trade| note(report, trade)));
            }
            let bytes = self.background.next(self.parent_slot, &blockhash);
            let record = TxnRecord {
                signature: first_signature(&bytes),
                origin: Origin::Background,
                succeeded: true,
                launch: false,
            };
            report.transactions.push(record);
            ordered.push(bytes);
        }
        for trade in trades {
            ordered.push(note(report, trade));
        }
        (ordered, callbacks)
    }

    /// Lands what waits, best tip first. A leader that takes no bundles leaves them waiting.
    fn land_bundles(
        &mut self,
        ordered: &mut Vec<Vec<u8>>,
        report: &mut StepReport,
    ) -> Vec<Callback> {
        let (leader, jito) = self.schedule.leader(self.slot);
        let (mut waiting, mut due, mut callbacks) =
            (Vec::new(), Vec::new(), Vec::<Callback>::new());
        for pending in self.exchange.take_pending() {
            if pending.last_slot < self.slot {
                report.bundles_refused += 1;
                let expired = LandingReject {
                    reason: RejectReason::Expired,
                    transaction: None,
                };
                callbacks.push(Box::new(move || (pending.done)(Err(expired))));
            } else if jito {
                due.push(pending);
            } else {
                waiting.push(pending);
            }
        }
        self.exchange.put_back(waiting);
        due.sort_by_key(|pending| std::cmp::Reverse(tip_of(pending)));
        let exchange = self.exchange.clone();
        let mut chain = exchange.chain();
        for Pending { bundle, done, .. } in due {
            match chain.apply(&bundle) {
                Ok(effect) => {
                    report.bundles_landed += 1;
                    report.fills.extend(effect.fills.iter().copied());
                    let record = |signature| TxnRecord {
                        signature,
                        origin: Origin::Bundle,
                        succeeded: true,
                        launch: false,
                    };
                    report
                        .transactions
                        .extend(effect.signatures.iter().map(|signature| record(*signature)));
                    let landing = Landing {
                        slot: self.slot,
                        leader,
                        bundle_index: self.bundles_in_slot,
                        effect,
                    };
                    self.bundles_in_slot += 1;
                    ordered.extend(bundle);
                    callbacks.push(Box::new(move || done(Ok(landing))));
                }
                Err(reject) => {
                    report.bundles_refused += 1;
                    callbacks.push(Box::new(move || done(Err(reject))));
                }
            }
        }
        callbacks
    }

    /// Launches what is due and lets the traders act; every transaction is executed at once, so
    /// that the next one is decided on the state it left.
    fn trade(&mut self, report: &mut StepReport) -> Vec<(Vec<u8>, TxnRecord)> {
        let exchange = self.exchange.clone();
        let mut chain = exchange.chain();
        let blockhash = chain.latest_blockhash().map_or([0; 32], |(hash, _)| hash);
        let mut done = Vec::new();
        self.launch_credit += self.config.launches_per_10k_slots;
        let price = 10_000 * self.config.batches_per_slot;
        let mut launches = self.launch_credit / price;
        self.launch_credit %= price;
        loop {
            let launch = launches > 0;
            let bytes = if launch {
                launches -= 1;
                self.traders
                    .launch(&chain.market, self.batch_number, &blockhash)
            } else {
                match self
                    .traders
                    .next_due(&chain.market, self.batch_number, &blockhash)
                {
                    Some(bytes) => bytes,
                    None => break done,
                }
            };
            let txn = ParsedTxn::parse(&bytes).expect("the writer's transactions can be read");
            let outcome = chain.market.execute(&txn);
            chain.market.commit();
            let signature = *txn.signature();
            chain.note_signature(signature);
            let succeeded = outcome.is_ok();
            report
                .fills
                .extend(outcome.into_iter().flat_map(|outcome| outcome.fills));
            done.push((
                bytes,
                TxnRecord {
                    signature,
                    origin: Origin::Trader,
                    succeeded,
                    launch,
                },
            ));
        }
    }

    /// Puts transactions into entries between this step's ticks and shreds the batch, or several
    /// when it grows too long.
    fn write_batches(
        &mut self,
        transactions: Vec<Vec<u8>>,
        report: &mut StepReport,
        out: &mut Datagrams,
    ) {
        let first = self.batch == 0;
        let last = self.batch + 1 == self.config.batches_per_slot;
        let skipped = self.slot - self.parent_slot - 1;
        for _ in 0..if first { skipped * TICKS_PER_SLOT } else { 0 } {
            self.writer.push(&self.poh.tick(), std::iter::empty());
        }
        let ticks = self.share(TICKS_PER_SLOT);
        let mut rest = transactions.as_slice();
        for ticks_left in (1..=ticks).rev() {
            let (now, later) = rest.split_at(rest.len().div_ceil(ticks_left as usize));
            rest = later;
            self.write_entries(now, out);
            self.writer.push(&self.poh.tick(), std::iter::empty());
            self.ticks_in_slot += 1;
        }
        self.cut(last, out);
        debug_assert_eq!(report.transactions.len(), transactions.len());
    }

    /// Entries of a few transactions each, as many as the tick has room for.
    fn write_entries(&mut self, transactions: &[Vec<u8>], out: &mut Datagrams) {
        let mut rest = transactions;
        while !rest.is_empty() {
            let needed = (rest.len() as u64).div_ceil(self.poh.room().max(1));
            let len = self
                .prng
                .between(1, 8)
                .max(needed)
                .clamp(1, ENTRY_TRANSACTIONS_MAX.max(needed));
            let (entry, later) = rest.split_at(rest.len().min(len as usize));
            rest = later;
            let steps = self.prng.below(4);
            self.poh
                .advance(steps, 1 + (rest.len() as u64).div_ceil(len));
            let signatures: Vec<[u8; 64]> = entry
                .iter()
                .flat_map(|bytes| all_signatures(bytes))
                .collect();
            let head = self
                .poh
                .record(&signature_root(signatures.iter()))
                .expect("room was kept");
            self.writer.push(&head, entry.iter().map(Vec::as_slice));
            if self.writer.bytes().len() > BATCH_LEN_MAX {
                self.cut(false, out);
            }
        }
    }

    /// Shreds what the writer holds.
    fn cut(&mut self, last_in_slot: bool, out: &mut Datagrams) {
        let retransmitter = self.config.resign_last_set.then_some(&self.retransmitter);
        let leader = &self.schedule.at(self.slot).identity;
        let mut shredder = Shredder::new(
            leader,
            retransmitter,
            self.slot,
            self.parent_slot,
            self.config.shred_version,
            self.chained_root,
        )
        .continued(self.next_index);
        shredder.push_batch(
            self.writer.bytes(),
            self.ticks_in_slot as u8,
            last_in_slot,
            out,
        );
        self.chained_root = shredder.chained_root();
        self.next_index = shredder.next_index();
        self.writer.clear();
    }

    fn recent_blockhash(&self) -> Key {
        self.exchange
            .latest_blockhash()
            .map_or([0; 32], |(hash, _)| hash)
    }

    /// This step's share of something there are `total` of in a slot.
    fn share(&self, total: u64) -> u64 {
        let per_slot = self.config.batches_per_slot;
        total * (self.batch + 1) / per_slot - total * self.batch / per_slot
    }
}

type Callback = Box<dyn FnOnce() + Send>;

fn note(report: &mut StepReport, (bytes, record): (Vec<u8>, TxnRecord)) -> Vec<u8> {
    report.transactions.push(record);
    bytes
}

/// Lamports a queued bundle offers, by reading it; what it really pays shows on execution.
fn tip_of(pending: &Pending) -> u64 {
    let tips =
        |bytes: &Vec<u8>| ParsedTxn::parse(bytes).map_or(0, |txn| crate::market::tip_of(&txn));
    pending.bundle.iter().map(tips).fold(0, u64::saturating_add)
}

/// All signatures of a transaction its writer made or a bundle check passed.
fn all_signatures(bytes: &[u8]) -> Vec<[u8; 64]> {
    ParsedTxn::parse(bytes).map_or(Vec::new(), |txn| txn.signatures().to_vec())
}

fn first_signature(bytes: &[u8]) -> [u8; 64] {
    all_signatures(bytes).first().copied().unwrap_or([0; 64])
}
