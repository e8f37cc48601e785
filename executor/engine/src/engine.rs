//! The path from a transaction to a bundle, and the account of what came of it.

mod booking;
mod laddering;

use std::sync::Arc;

use self::laddering::Rung;
use brain_wire::{ArmedSignal, Side as SignalSide};
use bundle::{
    BlockhashCell, BlockhashSource, BlockhashTracker, Builder, BundleCell, RecentBlockhash,
};
use market::told::SLOTS_AHEAD_MAX;
use market::{
    Applied, Circumstances, Corrected, Curve, CurveTable, CurveTruth, Decoded, HoldingTruth,
    Lamports, Lineage, Listing, LookupTables, MarketEvent, Mint, PoolAction, PoolApplied,
    PoolTable, PoolTruth, Side, TableApply, VenueTerms, decode, pump_amm,
};
use risk::{Approved, Control, Disabled, Failures, Gate, Limits, Reservation};
use shred_resolve::{BlockEnd, Equivocation, ResolvedTxn, Retract, RetractReason, Sink, Verdict};
use shred_wire::{Nanos, Slot};
use strategy::{
    Entry, Exit, Intent, LaneClass, Origin, ParamError, Params, Pass, Position, Proposal,
};
use strategy::{consider, consider_time, creator_denied, enter, exit};

use crate::armed::{ArmReject, ArmedTable, Occasion, Order};
use crate::config::{EngineConfig, EngineError};
use crate::counters::Counters;
use crate::hash::StateHash;
use crate::inflight::{Inclusion, Inflight, InflightTable, State, Told};
use crate::ladders::LadderDesk;
use crate::output::{NoTicks, Note, Output, Stages, Ticks};
use crate::positions::Positions;
use crate::recent::Recent;
use crate::tables::TableCell;

/// Longest time between two looks at open positions while transactions come in.
const SWEEP_EVERY: Nanos = Nanos(10_000_000);
/// Curve updates from unverified transactions remembered for a later verdict.
const UNVERIFIED_LEN: usize = 4_096;
/// What a transaction without lookups is read with.
static NO_TABLES: &LookupTables = &LookupTables::none();
/// How far the last account data may be behind the shreds for a lane on which failures land: without it nobody would know
/// whether an entry filled.
const TRUTH_BEHIND_MAX: u64 = 32;
/// Slots with two versions remembered.
const CONTESTED_LEN: usize = 16;

/// Market, strategy, risk gate, inflight and positions behind plain calls.
///
/// Single-threaded: the core thread owns it. Time is the latest stamp that came in; nothing reads a clock but
/// the optional `T`, whose stamps decide nothing.
pub struct Engine<T = NoTicks> {
    params: Params,
    curves: CurveTable,
    pools: PoolTable,
    /// PumpSwap's; none until an account said so.
    pump_amm: Box<Option<pump_amm::Terms>>,
    tables: Arc<TableCell>,
    lineage: Lineage,
    armed: ArmedTable,
    gate: Gate,
    failures: Failures,
    builder: Builder,
    tracker: BlockhashTracker,
    /// Slots after which a confirmed blockhash is not signed over any more.
    blockhash_slots_max: u64,
    confirmed: Option<Arc<BlockhashCell>>,
    inflight: InflightTable,
    positions: Positions,
    ladders: Option<LadderDesk>,
    /// Turns that [`Engine::rehearse`] has had.
    rehearsed: usize,
    /// From which armed signal on free places are filled next.
    ladder_turn: usize,
    cell: Box<BundleCell>,
    unverified: Recent<(u64, Touched)>,
    /// First sequence that is still in `unverified`.
    unverified_from: u64,
    contested: Recent<Slot>,
    /// Latest slot that account data was of; none before any came.
    told: Option<Slot>,
    act_on_unverified: bool,
    inflight_slots_max: u64,
    exit_retry_slots: u64,
    slot: Slot,
    now: Nanos,
    swept: (Slot, Nanos),
    next_intent: u64,
    hash: StateHash,
    counters: Counters,
    stages: Stages,
    ticks: T,
}

impl Engine {
    /// An engine without a clock: replay, simulation, tests.
    ///
    /// # Errors
    /// [`EngineError`] names what in `config` does not work.
    pub fn new(
        config: &EngineConfig,
        builder: Builder,
        control: Arc<Control>,
    ) -> Result<Self, EngineError> {
        Self::with_ticks(config, builder, control, NoTicks)
    }
}

impl<T: Ticks> Engine<T> {
    /// An engine whose stages are stamped by `ticks`. Allocates everything it will ever use.
    ///
    /// # Errors
    /// [`EngineError`] names what in `config` does not work.
    pub fn with_ticks(
        config: &EngineConfig,
        builder: Builder,
        control: Arc<Control>,
        ticks: T,
    ) -> Result<Self, EngineError> {
        config.check()?;
        let EngineConfig {
            signal_policy,
            signal_slots_max,
            dependent_sources,
            ..
        } = config;
        Ok(Self {
            params: config.params,
            curves: CurveTable::new(config.curve_capacity, config.hash_seed, config.schedule),
            pools: PoolTable::new(config.pool_capacity, config.hash_seed),
            pump_amm: Box::new(None),
            tables: Arc::default(),
            lineage: Lineage::new(),
            armed: ArmedTable::new(
                config.armed_capacity,
                *signal_policy,
                dependent_sources,
                *signal_slots_max,
            ),
            gate: Gate::new(config.limits, control)?,
            failures: Failures::new(config.failure_limit),
            builder,
            tracker: BlockhashTracker::new(config.blockhash_rule),
            blockhash_slots_max: u64::from(config.blockhash_rule.age_max),
            confirmed: None,
            inflight: InflightTable::new(config.inflight_capacity),
            positions: Positions::new(usize::from(config.limits.positions_max)),
            ladders: None,
            rehearsed: 0,
            ladder_turn: 0,
            cell: Box::default(),
            unverified: Recent::new(UNVERIFIED_LEN),
            unverified_from: 0,
            contested: Recent::new(CONTESTED_LEN),
            told: None,
            act_on_unverified: config.act_on_unverified,
            inflight_slots_max: config.inflight_slots_max,
            exit_retry_slots: config.exit_retry_slots,
            slot: Slot(0),
            now: Nanos(0),
            swept: (Slot(0), Nanos(0)),
            next_intent: 1,
            hash: StateHash::new(),
            counters: Counters::default(),
            stages: Stages::default(),
            ticks,
        })
    }

    /// Prefers the blockhash in `cell` (a confirmed one, from elsewhere) over the stream's. Replay has none.
    #[must_use]
    pub fn with_confirmed_blockhash(mut self, cell: Arc<BlockhashCell>) -> Self {
        self.confirmed = Some(cell);
        self
    }

    /// Looks accounts behind lookup tables up in `cell`. Without it they stay unknown.
    #[must_use]
    pub fn with_lookup_tables(mut self, cell: Arc<TableCell>) -> Self {
        self.tables = cell;
        self
    }

    /// Has transactions for armed signals and open positions signed ahead, where the coin is known, so that a trigger
    /// only chooses one. The other half of `desk` belongs on a thread off the core; without it nothing changes but
    /// that nothing arrives.
    ///
    /// # Panics
    /// When `desk` was not made for the key of this engine's builder ([`Builder::ladder_signer`]).
    #[must_use]
    pub fn with_ladders(mut self, desk: LadderDesk) -> Self {
        assert_eq!(
            desk.key(),
            self.builder.public_key(),
            "ladders are signed with the engine's key"
        );
        self.ladders = Some(desk);
        self
    }

    /// Lets the calling thread, which will drive the engine, do so without allocating: the first look at a snapshot
    /// takes the thread's place in a list.
    pub fn warm(&self) {
        self.tables.warm();
    }

    /// Takes one transaction as the resolver found it: moves curves, books what is ours, and hands at most one
    /// bundle per event to `out`.
    ///
    /// Unverified transactions are only counted unless [`EngineConfig::act_on_unverified`] says otherwise.
    pub fn transaction<O: Output + ?Sized>(&mut self, txn: &ResolvedTxn<'_>, out: &mut O) {
        let entered = self.ticks.now();
        self.transaction_at(entered, txn, out);
    }

    /// [`Engine::transaction`] by a host that has just read the engine's clock.
    pub fn transaction_at<O: Output + ?Sized>(
        &mut self,
        entered: u64,
        txn: &ResolvedTxn<'_>,
        out: &mut O,
    ) {
        self.stages.entered = entered;
        self.counters.transaction_handled += 1;
        if !self.admits(txn) {
            return;
        }
        self.advance(txn.slot, txn.at);
        self.lineage.note(txn.slot, txn.parent_slot);
        let own = if self.inflight.count() == 0 {
            None
        } else {
            self.inflight.find(txn.view.signature())
        };
        let mut fill = None;
        // A snapshot is only asked for where there is something to look up.
        let tables = (txn.view.lookups().len() != 0).then(|| self.tables.load());
        let tables = tables.as_deref().unwrap_or(NO_TABLES);
        let intent = own.and_then(|index| self.inflight.get(index));
        let intent = intent.map(|item| item.intent);
        let decoded = decode(&txn.view, tables, txn.slot, txn.at, &mut |mut event| {
            if let Some(intent) = &intent {
                tell(intent, &mut event);
            }
            let moved = self.event(&event, txn);
            match (own, moved) {
                (Some(_), Some(quote)) => fill = Some(quote),
                (None, Some(_)) => self.occasion(&event, out),
                (_, None) => {}
            }
            out.note(&Note::Event(&event));
        });
        self.count_rejected(&decoded);
        if let Some(index) = own {
            self.include(index, fill, txn, out);
            self.look_after_ladders();
        }
        self.sweep_if_due(out);
    }

    /// Takes a finished block: its hash for signing, its slot for expiry.
    pub fn block<O: Output + ?Sized>(&mut self, block: &BlockEnd, out: &mut O) {
        self.stages.entered = self.ticks.now();
        self.counters.block_handled += 1;
        self.hash
            .words([tag::BLOCK, block.slot.0, block.parent_slot.0]);
        self.hash.bytes(&block.blockhash);
        self.tracker.block(
            block.slot,
            block.parent_slot,
            &block.blockhash,
            block.ticks_complete,
        );
        self.advance(block.slot, block.at);
        self.settle_unknown(out);
        self.expire_inflight(out);
        self.reconcile_all();
        self.armed.sweep(self.now, self.slot);
        self.counters.signal_expired = self.armed.expired();
        self.sweep_if_due(out);
        self.look_after_ladders();
    }

    /// Lets time pass without an event, so that positions expire while nothing comes in. Not needed where
    /// transactions keep coming; a replay gives the same calls or none.
    pub fn tick<O: Output + ?Sized>(&mut self, now: Nanos, out: &mut O) {
        self.stages.entered = self.ticks.now();
        self.advance(self.slot, now);
        self.settle_unknown(out);
        self.armed.sweep(self.now, self.slot);
        self.counters.signal_expired = self.armed.expired();
        self.sweep_if_due(out);
    }

    /// For when nothing waits: puts ladders that have come in where a trigger would put them first, reckons what one of the
    /// armed signals and one of the positions would lead to and forgets it, so that code and state are in the caches when
    /// their trigger comes. Decides nothing, so it may be called as often as one likes, or never. Cost: up to some 500 ns.
    pub fn rehearse(&mut self) {
        self.rehearse_next();
    }

    /// Arms a signal for the event it names. `now` is realtime, as stamps of datagrams are.
    ///
    /// # Errors
    /// [`ArmReject`]; counted.
    pub fn arm(&mut self, signal: &ArmedSignal, now: Nanos) -> Result<(), ArmReject> {
        self.advance(self.slot, now);
        let armed = self.armed.arm(signal, self.now, self.slot);
        self.counters.signal_expired = self.armed.expired();
        let code = armed.err().map_or(u64::MAX, |reason| reason as u64);
        self.hash
            .words([tag::SIGNAL, signal.signal.signal_id, code]);
        match armed {
            Ok(()) => {
                self.counters.signal_armed += 1;
                self.hold_armed();
            }
            Err(reason) => self.counters.signal_rejected[reason as usize] += 1,
        }
        armed
    }

    /// A lane says it did not take the bundle of `intent_id`, so nobody else has it: its reservation is
    /// released now. Should it land all the same, it is adopted. After an exit the next one waits a little.
    pub fn rejected<O: Output + ?Sized>(&mut self, intent_id: u64, out: &mut O) {
        let Some(index) = self.inflight.find_intent(intent_id) else {
            return;
        };
        self.hash.words([tag::REJECTED, intent_id]);
        let intent = self.inflight.get(index).map(|item| item.intent);
        if self.give_up(index, out) {
            self.counters.own_rejected += 1;
            if let Some(intent) = intent {
                self.defer(&intent);
                if intent.side == Side::Sell {
                    self.positions.exit_missed(&intent.mint, self.slot);
                }
            }
        }
    }

    /// Somebody who ran the transaction of `intent_id` says which custom error its program ended with. Several of those
    /// that a moved layout makes ([`risk::DRIFT_CODES`]), of several intents in more than one coin, disable the venue for
    /// entries. To be told before
    /// [`Engine::rejected`], which may forget the intent.
    pub fn failed(&mut self, intent_id: u64, code: u32) {
        let index = self.inflight.find_intent(intent_id);
        let Some(item) = index.and_then(|index| self.inflight.get(index)) else {
            return;
        };
        let (venue, mint) = (item.intent.venue, item.intent.mint);
        self.hash.words([tag::ERROR, intent_id, u64::from(code)]);
        let told = if risk::DRIFT_CODES.contains(&code) {
            Told::Drift
        } else {
            Told::Other
        };
        // Several lanes may tell of the same failure.
        let before = index.and_then(|index| self.inflight.tell(index, told));
        self.counters.own_error_told += u64::from(before == Some(Told::Nothing));
        if told == Told::Drift
            && before.is_some_and(|before| before < told)
            && self.failures.note(venue, &mint, code, self.now)
            && self.gate.disable_venue(venue, Disabled::ErrorsRepeated)
        {
            self.counters.venue_disabled += 1;
        }
    }

    /// Part of a block is void: curves it may have moved become doubtful, and inclusions in it are undone.
    pub fn retract<O: Output + ?Sized>(&mut self, retract: &Retract, out: &mut O) {
        self.counters.retract_handled += 1;
        self.hash
            .words([tag::RETRACT, retract.slot.0, u64::from(retract.before.0)]);
        match retract.reason {
            RetractReason::Abandoned => {
                self.tracker.retract(retract.slot);
                self.retract_ladders(retract.slot);
                self.curves.drop_block(retract.slot, &self.lineage);
                self.pools.drop_block(retract.slot, &self.lineage);
            }
            // What comes after the marker stands, and some of it may have been told before: which of a curve's
            // trades are void is not known.
            RetractReason::UpdateParent { parent_slot } => {
                self.lineage.move_onto(retract.slot, parent_slot);
                self.curves.doubt_from(retract.slot);
                self.pools.doubt_from(retract.slot);
            }
        }
        for index in 0..self.inflight.count() {
            let within = |inclusion: &Inclusion| {
                inclusion.slot == retract.slot && inclusion.fec_set_index < retract.before
            };
            let item = self
                .inflight
                .get(index)
                .map(|item| (&item.intent, &item.state));
            match item {
                Some((intent, State::Included(inclusion))) if within(inclusion) => {
                    let (intent, inclusion) = (*intent, *inclusion);
                    self.uninclude(index, &intent, &inclusion, out);
                }
                Some((_, State::Unknown(unknown)))
                    if unknown.slot == retract.slot && unknown.fec_set_index < retract.before =>
                {
                    self.unsee(index);
                }
                _ => {}
            }
        }
    }

    /// A slot has two versions: its curves become doubtful and its further transactions are not followed.
    pub fn equivocation(&mut self, equivocation: &Equivocation) {
        self.counters.equivocation_handled += 1;
        self.hash.words([tag::EQUIVOCATION, equivocation.slot.0]);
        self.contested.push(equivocation.slot);
        self.curves.doubt_from(equivocation.slot);
        self.pools.doubt_from(equivocation.slot);
    }

    /// What became of transactions acted on unverified: curves that forged ones moved become doubtful.
    pub fn verdict(&mut self, verdict: &Verdict) {
        if verdict.authentic {
            return;
        }
        self.counters.verdict_forged += 1;
        self.hash.words([tag::VERDICT, verdict.from, verdict.to]);
        if verdict.from < self.unverified_from {
            // Which curves they moved is forgotten, so every one may be wrong.
            self.curves.doubt_from(Slot(0));
            self.pools.doubt_from(Slot(0));
            return;
        }
        let covered = self
            .unverified
            .iter()
            .filter(|(sequence, _)| (verdict.from..verdict.to).contains(sequence));
        for (_, touched) in covered {
            match touched {
                Touched::Curve(mint) => self.curves.doubt(mint),
                Touched::Pool(pool) => self.pools.doubt(pool),
            }
        }
    }

    /// Leaves every position now, at the stop's slippage, as far as the gate and the ring let it; those that
    /// they do not are for the next call. An exit already on its way is left to arrive.
    pub fn flatten<O: Output + ?Sized>(&mut self, out: &mut O) {
        self.stages.entered = self.ticks.now();
        for index in 0..self.positions.count() {
            let Some(position) = self
                .positions
                .at(index)
                .filter(|position| !position.exiting)
            else {
                continue;
            };
            let Some(listing) = self.listing(&position.mint) else {
                continue;
            };
            let now = Exit {
                origin: Origin::Stop,
                slippage: self.params.stop_slippage,
                slot: self.slot,
                at: self.now,
            };
            let left = exit(&listing, position, &self.params, &now);
            self.follow(left.map(|proposal| (proposal, None)), out);
        }
    }

    /// Forgets what is held of a coin: for a position that an operator or a reconciliation writes off, such as
    /// one on a completed curve. Returns it.
    pub fn write_off(&mut self, mint: &Mint) -> Option<Position> {
        self.gate.write_off(mint);
        self.set_held(mint, false);
        self.positions.close(mint)
    }

    /// Replaces the strategy's parameters.
    ///
    /// # Errors
    /// [`ParamError`]; the old ones stay.
    pub fn set_params(&mut self, params: &Params) -> Result<(), ParamError> {
        params.check()?;
        self.params = *params;
        Ok(())
    }

    /// Replaces the gate's bounds (see [`Gate::set_limits`]).
    ///
    /// # Errors
    /// [`risk::LimitError`]; the old ones stay.
    pub fn set_limits(&mut self, limits: Limits) -> Result<(), risk::LimitError> {
        self.gate.set_limits(limits)
    }

    /// Digest of every event, signal, intent, refusal and message so far. Equal inputs give equal digests on
    /// any machine; a host that drops bundles differs from one that does not.
    #[must_use]
    pub const fn state_hash(&self) -> u64 {
        self.hash.value()
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The gate, for its counters and exposures.
    #[must_use]
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Signatures given per [`bundle::Way`].
    #[must_use]
    pub const fn signature_counts(&self) -> &[u64; bundle::Way::COUNT] {
        self.builder.signature_counts()
    }

    /// Signatures that the armed way left to the deterministic one, per [`bundle::Fallback`].
    #[must_use]
    pub const fn signature_fallbacks(&self) -> &[u64; bundle::Fallback::COUNT] {
        self.builder.fallbacks()
    }

    /// Whether `signature` is of a transaction that pays from our account and that this engine does not know of: made
    /// before this start, given up since, or by somebody else who has the key.
    #[inline]
    #[must_use]
    pub fn is_ours_unknown(&self, payer: &market::Key, signature: &[u8; 64]) -> bool {
        payer == self.builder.public_key() && self.inflight.find(signature).is_none()
    }

    /// Takes note of a signature of ours seen outside, which somebody has verified: see [`Builder::remember`].
    pub fn remember(&mut self, signature: &[u8; 64]) {
        self.builder.remember(signature);
    }

    /// What is held ready, if anything is signed ahead.
    #[must_use]
    pub const fn ladders(&self) -> Option<&LadderDesk> {
        self.ladders.as_ref()
    }

    /// The curves, for their counters.
    #[must_use]
    pub const fn curves(&self) -> &CurveTable {
        &self.curves
    }

    /// The curves, to insert one as a test wants it.
    pub const fn curves_mut(&mut self) -> &mut CurveTable {
        &mut self.curves
    }

    /// The pools, for their counters.
    #[must_use]
    pub const fn pools(&self) -> &PoolTable {
        &self.pools
    }

    /// Takes account data of a curve: it wins over what was reckoned from the shreds.
    pub fn curve_truth(&mut self, truth: &CurveTruth) -> Corrected {
        let mint = truth.accounts.mint;
        let corrected = if self.is_believable(truth.slot) {
            self.curves.correct(truth, &self.lineage)
        } else {
            Corrected::Refused
        };
        self.hold_if_ours(&mint, corrected);
        self.truth_decides(&mint, None, truth.slot, corrected);
        if is_taken(corrected) && self.positions.get(&mint).is_some() {
            let curve = Curve::from_account(
                &truth.curve,
                truth.accounts,
                truth.supply.unwrap_or(truth.curve.supply),
                self.curves.schedule(),
                truth.slot,
            );
            let is_here = matches!(self.listing(&mint), Some(Listing::Curve(_)));
            self.refer(&mint, is_here, |tokens| {
                Listing::Curve(&curve).sell(tokens).map(|deal| deal.quote)
            });
        }
        self.note_truth(&truth.accounts.mint.0, truth.slot, corrected);
        corrected
    }

    /// Takes account data of a pool: it wins over what was reckoned from the shreds.
    pub fn pool_truth(&mut self, truth: &PoolTruth) -> Corrected {
        let corrected = if self.is_believable(truth.slot.max(truth.terms.slot)) {
            let circumstances = circumstances(&self.pump_amm, self.now);
            self.pools.correct(truth, &self.lineage, &circumstances)
        } else {
            Corrected::Refused
        };
        let mint = *truth.accounts.mint();
        self.hold_if_ours(&mint, corrected);
        self.truth_decides(&mint, Some(&truth.pool), truth.slot, corrected);
        if is_taken(corrected)
            && let Some(position) = self.positions.get(&mint)
        {
            let (tokens, need) = (position.tokens, position.cost);
            let circumstances = circumstances(&self.pump_amm, self.now);
            self.pools
                .leave_drained(&mint, tokens, need, &circumstances);
            let listing = self.listing(&mint);
            let is_here = matches!(listing, Some(Listing::Pool(pool, _)) if pool.key == truth.pool);
            let worth = truth.sell(tokens, &circumstances).map(|deal| deal.quote);
            self.refer(&mint, is_here, |_| worth);
        }
        self.note_truth(&truth.pool, truth.slot, corrected);
        corrected
    }

    /// Takes account data of what we hold of a coin: it says whether transactions of ours filled whose fate is not known.
    pub fn holding_truth(&mut self, truth: &HoldingTruth) {
        let slot = truth.version.slot;
        if !self.is_believable(slot) {
            return;
        }
        self.counters.holding_handled += 1;
        self.holding_decides(truth);
        if self.positions.tell(&truth.mint, slot, truth.tokens) {
            let booked = self.positions.get(&truth.mint).map(|held| held.tokens);
            self.counters.holding_surplus +=
                u64::from(booked.is_some_and(|booked| truth.tokens > booked));
            self.reconcile(&truth.mint);
        }
        let is_explained =
            self.positions.get(&truth.mint).is_some() || self.gate.exposure(&truth.mint).is_some();
        if truth.tokens.0 > 0 && !is_explained {
            self.counters.holding_unexplained += 1;
        }
        self.told = self.told.max(Some(slot));
        self.hash
            .words([tag::HOLDING, word(&truth.mint.0), slot.0, truth.tokens.0]);
    }

    /// Account data of where our position in the coin is sold now says what all of it would bring: its floor follows. Where
    /// it cannot be sold at all there is nothing to hold an exit to but what was known before.
    fn refer(
        &mut self,
        mint: &Mint,
        is_here: bool,
        worth: impl FnOnce(market::TokenAmount) -> Result<Lamports, market::QuoteReject>,
    ) {
        let Some(position) = self.positions.get(mint).filter(|_| is_here) else {
            return;
        };
        if let Ok(worth) = worth(position.tokens) {
            self.positions.set_reference(mint, worth);
        }
    }

    /// Whether account data of that slot can be; anything before the first shred, which may say otherwise.
    const fn is_believable(&self, slot: Slot) -> bool {
        self.slot.0 == 0 || slot.0 <= self.slot.0.saturating_add(SLOTS_AHEAD_MAX)
    }

    /// The first shred has come: what account data said before of slots that cannot be is void.
    #[cold]
    fn begin_at(&mut self, slot: Slot) {
        let last = Slot(slot.0.saturating_add(SLOTS_AHEAD_MAX));
        self.curves.disbelieve_after(last);
        self.pools.disbelieve_after(last);
        self.told = self.told.filter(|told| *told <= last);
    }

    /// What just came in and prices a coin that we hold, or are about to, must not give way.
    fn hold_if_ours(&mut self, mint: &Mint, corrected: Corrected) {
        let is_new = corrected == Corrected::New;
        if is_new && (self.positions.get(mint).is_some() || self.gate.exposure(mint).is_some()) {
            self.set_held(mint, true);
        }
    }

    fn note_truth(&mut self, key: &market::Key, slot: Slot, corrected: Corrected) {
        self.counters.truth_handled += 1;
        if corrected != Corrected::Refused {
            self.told = self.told.max(Some(slot));
        }
        self.hash
            .words([tag::TRUTH, word(key), slot.0, corrected as u64]);
    }

    /// Takes what a whole venue's trades depend on. Copies some 8 KiB: for a change on the chain, not for every event.
    pub fn set_terms(&mut self, terms: &VenueTerms) {
        self.curves.set_schedule(terms.pump);
        *self.pump_amm = terms.pump_amm;
    }

    /// Open positions. A position opens when our signature is seen in a block: that is *included*. Its tokens
    /// are the number the entry named, its cost is the curve's arithmetic at that place. *Filled* is the
    /// account's balance, which only account truth knows; this engine does not claim it.
    pub fn positions(&self) -> impl Iterator<Item = &Position> {
        self.positions.iter()
    }

    /// Transactions of ours that may still land or be undone.
    #[must_use]
    pub const fn inflight_count(&self) -> usize {
        self.inflight.count()
    }

    /// Signals waiting.
    #[must_use]
    pub const fn armed_count(&self) -> usize {
        self.armed.count()
    }

    /// Stamps of the last intent that reached the gate; zeroes without a clock.
    #[must_use]
    pub const fn stages(&self) -> &Stages {
        &self.stages
    }

    /// The blockhash the next bundle would be signed over: the confirmed one, unless who tells it has fallen behind.
    #[must_use]
    pub fn blockhash(&self) -> Option<RecentBlockhash> {
        let confirmed = self.confirmed.as_ref().and_then(|cell| cell.usable());
        let is_alive = |confirmed: &RecentBlockhash| {
            self.slot.0.saturating_sub(confirmed.slot.0) <= self.blockhash_slots_max
        };
        confirmed.filter(is_alive).or_else(|| self.tracker.usable())
    }

    /// The highest slot acted on.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// Whether the transaction may be acted on; counts when not.
    fn admits(&mut self, txn: &ResolvedTxn<'_>) -> bool {
        if txn.retracted {
            self.counters.transaction_retracted_skipped += 1;
            return false;
        }
        if !txn.verified && !self.act_on_unverified {
            self.counters.transaction_unverified_skipped += 1;
            return false;
        }
        if self.contested.iter().any(|slot| *slot == txn.slot) {
            self.counters.transaction_contested_skipped += 1;
            self.doubt_touched(txn);
            // Which of the slot's versions stands nobody knows yet.
            if let Some(index) = self.inflight.find(txn.view.signature()) {
                self.await_truth(index, txn);
            }
            return false;
        }
        true
    }

    /// What a transaction that is not followed may have moved is doubtful.
    fn doubt_touched(&mut self, txn: &ResolvedTxn<'_>) {
        let tables = (txn.view.lookups().len() != 0).then(|| self.tables.load());
        let tables = tables.as_deref().unwrap_or(NO_TABLES);
        decode(
            &txn.view,
            tables,
            txn.slot,
            txn.at,
            &mut |event| match Touched::by(&event) {
                Some(Touched::Curve(mint)) => self.curves.doubt(&mint),
                Some(Touched::Pool(pool)) => self.pools.doubt(&pool),
                None => {}
            },
        );
    }

    fn advance(&mut self, slot: Slot, now: Nanos) {
        if self.slot.0 == 0 && slot.0 > 0 {
            self.begin_at(slot);
        }
        self.slot = self.slot.max(slot);
        self.now = self.now.max(now);
    }

    /// Moves the curve or pool by `event` and returns the lamports its trader paid or got; a launch moves nothing but
    /// counts as a change.
    fn event(&mut self, event: &MarketEvent, txn: &ResolvedTxn<'_>) -> Option<Lamports> {
        let moved = match event {
            MarketEvent::Launch(launch) => {
                self.counters.launch_decoded += 1;
                self.hash.words([
                    tag::LAUNCH,
                    word(&launch.mint.0),
                    launch.slot.0,
                    launch.at.0,
                ]);
                self.curves
                    .launch(launch, &self.lineage)
                    .then(Lamports::default)
            }
            MarketEvent::Trade(trade) => {
                self.counters.trade_decoded += 1;
                let applied = self.curves.apply(trade, &self.lineage);
                let moved = match applied {
                    TableApply::Known(Applied::Moved(quote)) => Some(quote),
                    TableApply::Known(Applied::PredictedFailure)
                    | TableApply::Unknown
                    | TableApply::Counted => None,
                };
                let (tokens, net) = moved.map_or((0, 0), |quote| (quote.tokens.0, quote.net.0));
                self.hash.words([
                    tag::TRADE,
                    word(&trade.mint.0),
                    trade.slot.0,
                    trade.at.0,
                    tokens,
                    net,
                ]);
                moved.map(|quote| quote.quote)
            }
            MarketEvent::Pool(event) => self.pool_event(event),
            MarketEvent::Unresolved(unresolved) => {
                self.counters.trade_unresolved += 1;
                self.hash.words([
                    tag::UNRESOLVED,
                    word(&unresolved.trader),
                    unresolved.slot.0,
                    unresolved.at.0,
                ]);
                None
            }
        };
        self.hash.word(word(txn.view.signature()));
        if let (false, Some(touched)) = (txn.verified, Touched::by(event))
            && let Some((displaced, _)) = self.unverified.push((txn.sequence, touched))
        {
            self.unverified_from = self.unverified_from.max(displaced + 1);
        }
        moved
    }

    /// Moves the pool that `event` is of, and returns the lamports its trader paid or got.
    fn pool_event(&mut self, event: &market::PoolEvent) -> Option<Lamports> {
        self.counters.pool_event_decoded += 1;
        let circumstances = circumstances(&self.pump_amm, self.now);
        let applied = self.pools.apply(event, &self.lineage, &circumstances);
        let (code, amount_in, amount_out, quote) = match applied {
            PoolApplied::Moved(way, swapped) => {
                let pool = event.call.pool.and_then(|key| self.pools.get(&key));
                let buys = pool.is_some_and(|pool| pool.buys == way);
                let quote = if buys {
                    swapped.amount_in
                } else {
                    swapped.amount_out
                };
                (
                    1,
                    swapped.amount_in,
                    swapped.amount_out,
                    Some(Lamports(quote)),
                )
            }
            PoolApplied::Unknown => return None,
            PoolApplied::PredictedFailure => (2, 0, 0, None),
            PoolApplied::Unread => (3, 0, 0, None),
            PoolApplied::Counted => (4, 0, 0, None),
        };
        self.hash.words([
            tag::POOL,
            event.call.pool.as_ref().map_or(0, word),
            event.slot.0,
            event.at.0,
            code,
            amount_in,
            amount_out,
        ]);
        quote
    }

    /// The coin that `event` is of, when that is known.
    fn mint_of(&self, event: &MarketEvent) -> Option<Mint> {
        match event {
            MarketEvent::Pool(event) => {
                let pool = self.pools.get(&event.call.pool?)?;
                Some(pool.mint())
            }
            event => event.mint(),
        }
    }

    /// Where a coin trades now: its curve, and once that sold out the pool it became; a coin that never had one of ours,
    /// in its pool.
    fn listing(&self, mint: &Mint) -> Option<Listing<'_>> {
        let curve = self.curves.get(mint).map(Listing::Curve);
        if let Some(curve) = curve.filter(|curve| !curve.is_over()) {
            return Some(curve);
        }
        let circumstances = circumstances(&self.pump_amm, self.now);
        let pool = if curve.is_some() {
            self.pools.after_curve(mint)
        } else {
            self.pools.of_mint(mint)
        };
        pool.map(|pool| Listing::Pool(pool, circumstances))
            .or(curve)
    }

    /// Keeps what a coin's price is made of from giving way, or lets it go.
    fn set_held(&mut self, mint: &Mint, held: bool) {
        self.curves.set_held(mint, held);
        self.pools.set_held(mint, held);
    }

    /// Keeps what a coin that we buy is priced by, and sells it where it was bought.
    fn hold(&mut self, intent: &Intent) {
        self.set_held(&intent.mint, true);
        if let Some(pool) = intent.accounts.pool() {
            self.pools.set_bought(&intent.mint, pool);
        }
    }

    /// What a changed listing gives occasion to: an exit from our position, a launch entry, or an armed signal.
    fn occasion<O: Output + ?Sized>(&mut self, event: &MarketEvent, out: &mut O) {
        let Some(mint) = self.mint_of(event) else {
            return;
        };
        let Some(listing) = self.listing(&mint) else {
            return;
        };
        let listing = &listing;
        if let Some(position) = self.positions.get(&mint) {
            let considered = consider(listing, Some(position), &self.params, event, event.at());
            let chosen = match considered {
                Err(Pass::Holding) => self.signalled_exit(listing, position).ok_or(Pass::Holding),
                considered => considered.map(|proposal| (proposal, None)),
            };
            return self.follow(self.unless_deferred(chosen), out);
        }
        if self.gate.exposure(&mint).is_some() {
            return self.pass(Pass::Entering);
        }
        let considered = consider(listing, None, &self.params, event, event.at());
        let is_launch = matches!(considered, Ok(_) | Err(Pass::LaunchesOff));
        let mut chosen = match considered {
            Ok(proposal) => self
                .signalled_entry(listing, Occasion::Launch(mint), event)
                .map_or_else(|| self.unless_vetoed(proposal, Occasion::Launch(mint)), Ok),
            Err(Pass::LaunchesOff) => self
                .signalled_entry(listing, Occasion::Launch(mint), event)
                .ok_or(Chosen::Pass(Pass::LaunchesOff)),
            Err(pass @ Pass::AwaitsDevBuy) => Err(Chosen::Pass(pass)),
            Err(pass) => self
                .signalled_entry(listing, Occasion::Coin(mint), event)
                .ok_or(Chosen::Pass(pass)),
        };
        match &mut chosen {
            Ok((proposal, _)) if proposal.intent.lane == LaneClass::Public && !self.is_told() => {
                self.pass(Pass::NoAccountData)
            }
            Ok((proposal, _)) if !self.is_price_proven(&proposal.intent, is_launch) => {
                self.pass(Pass::PriceUnproven)
            }
            Ok((proposal, order)) => self.carry_out(proposal, *order, out),
            Err(Chosen::Pass(pass)) => self.pass(*pass),
            Err(Chosen::Vetoed) => self.counters.entry_vetoed += 1,
        }
    }

    /// Whether account data comes in: what became of an entry can be found out.
    fn is_told(&self) -> bool {
        self.told
            .is_some_and(|told| self.slot.0.saturating_sub(told.0) <= TRUTH_BEHIND_MAX)
    }

    /// Whether the price of an entry is near what account data said last, while any comes in; a launch's, near what its
    /// launcher made it. Transactions that fail move what we know of a price as any other does: whoever makes it up could
    /// have us pay it, by moving the true one there just before us.
    fn is_price_proven(&self, intent: &Intent, is_launch: bool) -> bool {
        let bound = self.params.entry_move_max;
        if bound.0 == 0 || !(is_launch || self.is_told()) {
            return true;
        }
        match intent.accounts.pool() {
            None if is_launch => self.curves.is_near_launch(&intent.mint, bound),
            None => self.curves.is_near_told(&intent.mint, bound),
            Some(pool) => self.pools.is_near_told(pool, bound),
        }
    }

    /// Adds what of a transaction was not read.
    fn count_rejected(&mut self, decoded: &Decoded) {
        if decoded.rejected.iter().all(|count| *count == 0) {
            return;
        }
        let Counters {
            decode_rejected,
            decode_rejected_of,
            ..
        } = &mut self.counters;
        for (total, count) in decode_rejected.iter_mut().zip(decoded.rejected) {
            *total += u64::from(count);
        }
        let of_programs = decode_rejected_of.as_flattened_mut().iter_mut();
        for (total, count) in of_programs.zip(decoded.rejected_of.as_flattened()) {
            *total += u64::from(*count);
        }
    }

    /// The launch entry of the strategy's own, if no veto stands.
    fn unless_vetoed(
        &self,
        proposal: Proposal,
        occasion: Occasion,
    ) -> Result<(Proposal, Option<Order>), Chosen> {
        let vetoed = self.armed.vetoes(occasion, self.now, self.slot);
        if vetoed {
            Err(Chosen::Vetoed)
        } else {
            Ok((proposal, None))
        }
    }

    /// The entry an armed signal asks for here: at most its own notional and slippage, at most the strategy's
    /// budget and slippage, at most what the gate lets one trade risk. Never past a veto or the deny list.
    fn signalled_entry(
        &self,
        listing: &Listing<'_>,
        occasion: Occasion,
        event: &MarketEvent,
    ) -> Option<(Proposal, Option<Order>)> {
        let order = self
            .armed
            .order(occasion, SignalSide::Buy, self.now, self.slot)?;
        let entry = self.entry_asked(listing, occasion, &order, event.slot(), event.at())?;
        let proposal = enter(listing, &self.params, &entry).ok()?;
        Some((proposal, Some(order)))
    }

    /// What `order` asks for, unless a veto stands or the creator is denied.
    fn entry_asked(
        &self,
        listing: &Listing<'_>,
        occasion: Occasion,
        order: &Order,
        slot: Slot,
        at: Nanos,
    ) -> Option<Entry> {
        if self.armed.vetoes(occasion, self.now, self.slot) || creator_denied(listing, &self.params)
        {
            return None;
        }
        let risked = self
            .gate
            .limits()
            .per_trade_max
            .saturating_sub(self.params.entry_tip);
        Some(Entry {
            origin: Origin::Signal(order.signal_id),
            spend: order.max_notional.min(self.params.budget).min(risked),
            slippage: order.max_slippage.min(self.params.entry_slippage),
            slot,
            at,
        })
    }

    /// The exit an armed signal asks for.
    fn signalled_exit(
        &self,
        listing: &Listing<'_>,
        position: &Position,
    ) -> Option<(Proposal, Option<Order>)> {
        let order = self.armed.order(
            Occasion::Coin(position.mint),
            SignalSide::Sell,
            self.now,
            self.slot,
        )?;
        let asked = Exit {
            origin: Origin::Signal(order.signal_id),
            slippage: order.max_slippage.min(self.params.stop_slippage),
            slot: self.slot,
            at: self.now,
        };
        let proposal = exit(listing, position, &self.params, &asked).ok()?;
        Some((proposal, Some(order)))
    }

    /// The exit chosen, unless one for the same reason failed so lately that this one has to wait.
    fn unless_deferred(
        &self,
        chosen: Result<(Proposal, Option<Order>), Pass>,
    ) -> Result<(Proposal, Option<Order>), Pass> {
        let (proposal, order) = chosen?;
        let Intent { mint, origin, .. } = &proposal.intent;
        if self.positions.is_deferred(mint, *origin, self.slot) {
            return Err(Pass::ExitDeferred);
        }
        Ok((proposal, order))
    }

    /// What was intended did not leave, or came back: an exit like it must not follow at the next event.
    fn defer(&mut self, intent: &Intent) {
        if intent.side == Side::Sell {
            self.positions
                .exit_failed(&intent.mint, intent.origin, self.slot);
        }
    }

    /// Places what was chosen, or counts why nothing was.
    fn follow<O: Output + ?Sized>(
        &mut self,
        mut chosen: Result<(Proposal, Option<Order>), Pass>,
        out: &mut O,
    ) {
        match &mut chosen {
            Ok((proposal, order)) => self.carry_out(proposal, *order, out),
            Err(pass) => self.pass(*pass),
        }
    }

    /// Counts why nothing was chosen.
    const fn pass(&mut self, pass: Pass) {
        self.counters.passed[pass as usize] += 1;
    }

    /// Places what was chosen; the signal behind it, if one is, has fired or was refused.
    fn carry_out<O: Output + ?Sized>(
        &mut self,
        proposal: &mut Proposal,
        order: Option<Order>,
        out: &mut O,
    ) {
        let is_handed = self.place(proposal, out);
        match order {
            Some(order) if is_handed => {
                self.armed.fire(&order);
                self.counters.signal_fired += 1;
            }
            Some(order) => {
                let is_spent = self.armed.refused(&order, self.slot);
                self.counters.signal_refused += u64::from(is_spent);
            }
            None => {}
        }
    }

    /// Gate, builder, ring: the intent becomes a bundle or a counted refusal, which defers the next exit. Whether it was
    /// handed over.
    fn place<O: Output + ?Sized>(&mut self, proposal: &mut Proposal, out: &mut O) -> bool {
        let Proposal { intent, given } = proposal;
        let rung = self.rung_for(intent, *given);
        if intent.id == 0 {
            intent.id = self.next_intent;
            self.next_intent += 1;
        }
        self.counters.intent_made += 1;
        self.stages = Stages {
            intent_id: intent.id,
            entered: self.stages.entered,
            ..Stages::default()
        };
        self.stages.decided = self.ticks.now();
        let checked = self.gate.check(*intent, self.now);
        self.stages.gated = self.ticks.now();
        let approved = match checked {
            Ok(approved) => approved,
            Err(refusal) => {
                self.give_up_rung(rung);
                self.hash_intent(intent);
                self.hash.words([tag::REFUSED, refusal as u64]);
                self.defer(intent);
                out.note(&Note::Refused(intent, refusal));
                return false;
            }
        };
        let Some(blockhash) = self.signed(&approved, rung) else {
            self.defer(intent);
            self.gate.release(approved.into_reservation());
            return false;
        };
        self.stages.built = self.ticks.now();
        self.cell.built_at = Nanos(self.stages.built);
        let taken = out.bundle(&self.cell);
        self.stages.handed = self.ticks.now();
        self.return_spent();
        self.hash_intent(intent);
        if !taken {
            self.counters.bundle_refused += 1;
            self.hash.word(tag::RING_FULL);
            self.defer(intent);
            self.gate.release(approved.into_reservation());
            return false;
        }
        self.handed(intent, blockhash, approved.into_reservation());
        out.note(&Note::Handed(intent));
        true
    }

    /// Puts the approved intent into the cell, as the rung signed ahead or built now; `None`, counted, when that cannot be.
    fn signed(&mut self, approved: &Approved, rung: Option<Rung>) -> Option<RecentBlockhash> {
        if !self.inflight.has_room() {
            self.counters.inflight_full += 1;
            self.give_up_rung(rung);
            return None;
        }
        if let Some(blockhash) = rung.and_then(|rung| self.released(approved, rung)) {
            return Some(blockhash);
        }
        let Some(blockhash) = self.blockhash() else {
            self.counters.blockhash_missing += 1;
            return None;
        };
        match self.builder.build(approved, &blockhash, &mut self.cell) {
            Ok(()) => Some(blockhash),
            Err(reject) => {
                self.counters.build_rejected[reject as usize] += 1;
                None
            }
        }
    }

    /// Remembers a bundle that is on its way.
    fn handed(&mut self, intent: &Intent, blockhash: RecentBlockhash, reservation: Reservation) {
        self.counters.bundle_handed += 1;
        self.counters.bundle_handed_for[usize::from(intent.origin.code())] += 1;
        for message in (0..self.cell.count()).filter_map(|index| self.cell.message(index)) {
            self.hash.bytes(message);
        }
        match intent.side {
            Side::Buy => {
                self.hold(intent);
                // The exit's addresses are derived now, when the entry is out, not when leaving is urgent.
                let _ = self.builder.prepare_exit(intent.venue, &intent.accounts);
            }
            Side::Sell => {
                if let Some(position) = self.positions.get_mut(&intent.mint) {
                    position.exiting = true;
                }
            }
        }
        let state = State::Pending(reservation);
        let inflight = Inflight {
            signature: self.cell.signature,
            intent: *intent,
            blockhash,
            state,
            told: Told::Nothing,
        };
        let displaced = self.inflight.insert(inflight);
        debug_assert!(displaced.is_none(), "room was checked before building");
    }

    /// Looks at every position once per slot and at least every [`SWEEP_EVERY`]: a coin nobody trades any more
    /// gives no event to leave on.
    fn sweep_if_due<O: Output + ?Sized>(&mut self, out: &mut O) {
        let (slot, at) = self.swept;
        if self.positions.count() == 0 || (self.slot == slot && self.now.since(at) < SWEEP_EVERY) {
            return;
        }
        self.swept = (self.slot, self.now);
        for index in 0..self.positions.count() {
            let Some(position) = self.positions.at(index) else {
                continue;
            };
            let Some(listing) = self.listing(&position.mint) else {
                continue;
            };
            let chosen = match consider_time(&listing, position, &self.params, self.slot, self.now)
            {
                Err(Pass::Holding) => self.signalled_exit(&listing, position).ok_or(Pass::Holding),
                considered => considered.map(|proposal| (proposal, None)),
            };
            let chosen = self.unless_deferred(chosen);
            if chosen.is_ok() {
                self.follow(chosen, out);
            }
        }
    }

    fn hash_intent(&mut self, intent: &Intent) {
        let origin = match intent.origin {
            Origin::Signal(signal_id) => signal_id,
            other => u64::from(other.code()),
        };
        let kinds = u64::from(intent.origin.code()) << 24 | (intent.venue as u64) << 16;
        let kinds = kinds | (intent.lane as u64) << 8 | intent.side as u64;
        let Intent {
            id,
            spend,
            tokens,
            receive_min,
            tip,
            slot,
            at,
            ..
        } = *intent;
        self.hash.words([
            tag::INTENT,
            id,
            origin,
            kinds,
            spend.0,
            tokens.0,
            receive_min.0,
            tip.0,
            slot.0,
            at.0,
        ]);
        self.hash.bytes(&intent.mint.0);
    }
}

impl<T> core::fmt::Debug for Engine<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Engine")
            .field("slot", &self.slot)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// What an event may have moved.
#[derive(Clone, Copy)]
enum Touched {
    Curve(Mint),
    Pool(market::Key),
}

impl Touched {
    fn by(event: &MarketEvent) -> Option<Self> {
        match event {
            MarketEvent::Pool(event) => event.call.pool.map(Self::Pool),
            event => event.mint().map(Self::Curve),
        }
    }
}

/// Adds to `event`, which a transaction of ours carries, what its bytes leave out: on venues that name no mint only who
/// sent it knows which way it goes.
fn tell(intent: &Intent, event: &mut MarketEvent) {
    if let MarketEvent::Pool(pool) = event
        && pool.call.pool.as_ref() == intent.accounts.pool()
        && let PoolAction::Swap(swap) = &mut pool.call.action
    {
        let (given, got) = match intent.side {
            Side::Buy => (*intent.accounts.quote_mint(), intent.mint.0),
            Side::Sell => (intent.mint.0, *intent.accounts.quote_mint()),
        };
        swap.mint_in = swap.mint_in.or(Some(given));
        swap.mint_out = swap.mint_out.or(Some(got));
    }
}

/// What pools are priced under at `now`, a stamp of the realtime clock.
const fn circumstances(terms: &Option<pump_amm::Terms>, now: Nanos) -> Circumstances<'_> {
    Circumstances {
        pump_amm: terms.as_ref(),
        now_s: now.0 / 1_000_000_000,
    }
}

/// Whether account data of a price said what it is now.
const fn is_taken(corrected: Corrected) -> bool {
    !matches!(
        corrected,
        Corrected::Stale | Corrected::Terms | Corrected::Refused
    )
}

/// Why an occasion without a position leads to nothing.
enum Chosen {
    Pass(Pass),
    Vetoed,
}

/// The first eight bytes, for the digest.
fn word<const N: usize>(bytes: &[u8; N]) -> u64 {
    bytes
        .first_chunk::<8>()
        .map_or(0, |word| u64::from_le_bytes(*word))
}

/// First word of each digest entry.
mod tag {
    pub(super) const LAUNCH: u64 = 1;
    pub(super) const TRADE: u64 = 2;
    pub(super) const UNRESOLVED: u64 = 3;
    pub(super) const INTENT: u64 = 4;
    pub(super) const REFUSED: u64 = 5;
    pub(super) const RING_FULL: u64 = 6;
    pub(super) const INCLUDED: u64 = 7;
    pub(super) const LOST: u64 = 8;
    pub(super) const BLOCK: u64 = 9;
    pub(super) const RETRACT: u64 = 10;
    pub(super) const EQUIVOCATION: u64 = 11;
    pub(super) const VERDICT: u64 = 12;
    pub(super) const SIGNAL: u64 = 13;
    pub(super) const REJECTED: u64 = 14;
    pub(super) const POOL: u64 = 15;
    pub(super) const TRUTH: u64 = 16;
    pub(super) const ERROR: u64 = 17;
    pub(super) const UNKNOWN: u64 = 18;
    pub(super) const HOLDING: u64 = 19;
    pub(super) const RECONCILED: u64 = 20;
}

/// An engine and its output as one resolver sink.
#[derive(Debug)]
pub struct EngineSink<'a, T, O: ?Sized> {
    /// The engine.
    pub engine: &'a mut Engine<T>,
    /// Where its bundles go.
    pub out: &'a mut O,
}

impl<T: Ticks, O: Output + ?Sized> Sink for EngineSink<'_, T, O> {
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        self.engine.transaction(txn, self.out);
    }

    fn block(&mut self, block: &BlockEnd) {
        self.engine.block(block, self.out);
    }

    fn retract(&mut self, retract: &Retract) {
        self.engine.retract(retract, self.out);
    }

    fn equivocation(&mut self, equivocation: &Equivocation) {
        self.engine.equivocation(equivocation);
    }

    fn verdict(&mut self, verdict: &Verdict) {
        self.engine.verdict(verdict);
    }
}
