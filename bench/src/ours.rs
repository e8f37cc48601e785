//! Our own path as the core thread runs it, with a stamp at each end.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrayvec::ArrayVec;
use brain_wire::ArmedSignal;
use bundle::{BuilderConfig, BundleCell, Way};
use demo::Datagrams;
use engine::{Engine, EngineConfig, Stages};
use hdrhistogram::Histogram;
use market::{Lamports, Side};
use overmind::clock::Ticker;
use overmind::commands::demo::{engine_config, resolve_plan, wallet_seed};
use overmind::rungs::histogram;
use overmind::stage::Stage;
use overmind::topology::{Cell, cells};
use overmind::verify_stage::{VerifyRings, VerifyStage};
use overmind::wiring::{Probe, Time, Wiring};
use risk::{Control, Limits, Mode};
use rtrb::{Consumer, RingBuffer};
use shred_resolve::{Arrived, Leaders, Plan, Policy, ResolvedTxn, Resolver, Sink};
use shred_source::RX_BURST;
use shred_wire::Slot;
use strategy::Venue;

use crate::launch::Order;
use crate::sign::{Sign, Stock, Supply};
use crate::traffic::arrival;

/// Seed of the throw-away wallet that ours and the rivals sign with.
#[must_use]
pub fn seed() -> [u8; 32] {
    wallet_seed(1)
}

/// The demo's strategy with limits that a benchmark does not reach.
#[must_use]
pub fn config(policy: Policy) -> EngineConfig {
    let config = engine_config(policy);
    let limits = Limits {
        open_notional_max: Lamports(1 << 50),
        positions_max: 64,
        entries_per_window_max: Limits::RATE_MAX,
        exits_per_window_max: Limits::RATE_MAX,
        ..config.limits
    };
    EngineConfig { limits, ..config }
}

/// One address per list, so that the rivals' bytes can be compared with ours.
#[must_use]
pub fn builder_config() -> BuilderConfig {
    let mut config = BuilderConfig::default();
    config.tip_accounts.truncate(1);
    config.buyback_fee_recipients.truncate(1);
    config
}

/// What the rivals buy: the same as our strategy does.
#[must_use]
pub fn order() -> Order {
    let (params, builder) = (config(Policy::VerifyThenEmit).params, builder_config());
    let mut budget = builder.entry_budget;
    if let Some(units) = builder.unit_limits.of(Venue::PumpV3, Side::Buy) {
        budget = budget.for_units(units);
    }
    Order {
        spend: params.budget.0,
        slippage_bps: u64::from(params.entry_slippage.0),
        dev_buy_min: params.dev_buy_min.0,
        dev_buy_max: params.dev_buy_max.0,
        tip: params.entry_tip.0,
        tip_account: builder.tip_accounts[0],
        buyback_recipient: builder.buyback_fee_recipients[0],
        budget,
    }
}

/// A resolver as the demo's.
#[must_use]
pub fn resolver() -> Resolver {
    Resolver::new(&resolve_plan(None))
}

/// A resolver with room for one capture.
#[must_use]
pub fn small_resolver() -> Resolver {
    Resolver::new(&small_plan())
}

/// What [`small_resolver`] is built from.
#[must_use]
pub fn small_plan() -> Plan {
    Plan {
        sets_max: 192,
        versions_max: 2_048,
        ..resolve_plan(None)
    }
}

/// Triggers after which what they used up is made again, off the clock: half a pool of nonces, with a burst to spare.
const RESTOCK_EVERY: u64 = 16;
/// Triggers that a run may record without growing its list.
const TRIGGERS_MAX: usize = 1 << 16;

/// What a core is made with, beyond what all of them have in common.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// When transactions are told.
    pub policy: Policy,
    /// How its bundles are signed.
    pub sign: Sign,
    /// Whether launches are bought, or armed signals alone acted on.
    pub launches: bool,
    /// Restricts what is measured to these triggers.
    pub only: Option<&'a BTreeSet<[u8; 64]>>,
}

impl Setup<'_> {
    /// Launches, signed the deterministic way, all measured.
    #[must_use]
    pub const fn launches(policy: Policy) -> Self {
        Self {
            policy,
            sign: Sign::Deterministic,
            launches: true,
            only: None,
        }
    }
}

/// The core thread's own wiring. Every bundle is rejected by its lane at once, so that nothing stays reserved. To be
/// driven by the thread that made it, which is warmed as the core's is.
pub struct Core {
    wiring: Wiring<Measured>,
    verify: Option<VerifyRings>,
    bundles: Consumer<BundleCell>,
    arrived: u64,
    supply: Supply,
    answered: u64,
}

/// What a core measured; all in nanoseconds. Of several triggers that one datagram makes known only the first counts:
/// the others waited for it.
pub struct Measured {
    /// Datagram to bundle in the ring.
    pub l1: Histogram<u64>,
    /// The same for triggers that are the first transaction their datagram makes known: nothing was handled before them.
    pub first: Histogram<u64>,
    /// Of which: datagram to transaction in the engine's hands.
    pub told: Histogram<u64>,
    /// Of which: transaction to intent.
    pub decided: Histogram<u64>,
    /// Of which: the risk gate.
    pub l2: Histogram<u64>,
    /// Of which: approved intent to signed bytes.
    pub build: Histogram<u64>,
    /// Of which: signed bytes to the ring.
    pub hand: Histogram<u64>,
    /// Signatures of the transactions that led to bundles.
    pub triggers: Vec<[u8; 64]>,
    /// Restricts all of them to these triggers.
    pub only: Option<BTreeSet<[u8; 64]>>,
    l0: Histogram<u64>,
    last_taken_at: u64,
    /// Transactions that the datagram has made known so far.
    told_count: u32,
}

impl Probe for Measured {
    #[inline]
    fn transaction(&mut self, nanos: u64) {
        // Nobody shows this one; the core thread does the same work.
        self.l0.saturating_record(nanos);
        self.told_count += 1;
    }

    fn intent(&mut self, txn: &ResolvedTxn<'_>, taken_at: u64, stages: &Stages) {
        let signature = txn.view.signature();
        let is_first = std::mem::replace(&mut self.last_taken_at, taken_at) != taken_at;
        let is_asked = self
            .only
            .as_ref()
            .is_none_or(|only| only.contains(signature));
        if stages.handed == 0 || !is_asked || !is_first {
            return;
        }
        if self.told_count == 1 {
            let l1 = stages.handed.wrapping_sub(taken_at);
            self.first.saturating_record(l1);
        }
        for (log, from, to) in [
            (&mut self.l1, taken_at, stages.handed),
            (&mut self.told, taken_at, stages.entered),
            (&mut self.decided, stages.entered, stages.decided),
            (&mut self.l2, stages.decided, stages.gated),
            (&mut self.build, stages.gated, stages.built),
            (&mut self.hand, stages.built, stages.handed),
        ] {
            log.saturating_record(to.wrapping_sub(from));
        }
        self.triggers.push(*signature);
    }
}

impl Core {
    /// A fresh one that takes launches, signed the deterministic way.
    #[must_use]
    pub fn new(policy: Policy, ticker: Ticker) -> Self {
        let stock = Sign::Deterministic.stock().expect("nothing can be amiss");
        Self::stocked(&Setup::launches(policy), ticker, &resolve_plan(None), stock)
    }

    /// One whose signatures are checked by a thread of its own.
    #[must_use]
    pub fn with_verify_thread(policy: Policy, ticker: Ticker) -> Self {
        let plan = Plan {
            checks_max: cells(Cell::Check),
            ..resolve_plan(None)
        };
        let (rings, mut stage) = verify_stage();
        std::thread::spawn(move || run_verify(&mut stage));
        let stock = Sign::Deterministic.stock().expect("nothing can be amiss");
        Self {
            verify: Some(rings),
            ..Self::stocked(&Setup::launches(policy), ticker, &plan, stock)
        }
    }

    /// One as `setup` wants it.
    ///
    /// # Errors
    /// A sentence when this host does not protect memory enough for nonces to wait in.
    pub fn of(setup: &Setup<'_>, ticker: Ticker) -> Result<Self, String> {
        let stock = setup.sign.stock()?;
        let plan = resolve_plan(None);
        Ok(Self::stocked(setup, ticker, &plan, stock))
    }

    fn stocked(setup: &Setup<'_>, ticker: Ticker, plan: &Plan, stock: Stock) -> Self {
        let Stock {
            builder,
            desk,
            supply,
        } = stock;
        let control = Arc::new(Control::new(Mode::Active));
        let mut config = config(setup.policy);
        config.params.launches_enabled = setup.launches;
        let mut engine = Engine::with_ticks(&config, builder, control, ticker)
            .expect("the configuration makes sense");
        if let Some(desk) = desk {
            engine = engine.with_ladders(desk);
        }
        let (ring, bundles) = RingBuffer::new(64);
        let measured = Measured {
            l1: histogram(),
            first: histogram(),
            told: histogram(),
            decided: histogram(),
            l2: histogram(),
            build: histogram(),
            hand: histogram(),
            triggers: Vec::with_capacity(TRIGGERS_MAX),
            only: setup.only.cloned(),
            l0: histogram(),
            last_taken_at: 0,
            told_count: 0,
        };
        let wiring = Wiring::new(
            Resolver::new(plan),
            engine,
            ring,
            ticker,
            Time::Wall,
            measured,
        );
        wiring.warm();
        Self {
            wiring,
            verify: None,
            bundles,
            arrived: 0,
            supply,
            answered: 0,
        }
    }

    /// Takes datagrams that have arrived together, as the core takes them. `bundle` gets what came of each, after
    /// the clock.
    #[inline]
    pub fn handle<'a>(
        &mut self,
        datagrams: impl Iterator<Item = &'a [u8]>,
        policy: Policy,
        leaders: &impl Leaders,
        mut bundle: impl FnMut(&BundleCell),
    ) {
        for_bursts(datagrams, self.arrived, policy, |burst| {
            self.arrived += burst.len() as u64;
            // As the core does when nothing waits; here there is always more, so it is done between bursts.
            self.wiring.rehearse();
            for index in 0..burst.len() {
                while let Some(checked) = self.verify.as_mut().and_then(VerifyRings::receive) {
                    self.wiring.checked(checked);
                }
                self.wiring.probe_mut().told_count = 0;
                // The resolver has counted a refusal.
                let _ = self.wiring.datagram(burst, index, leaders);
                if let Some(verify) = &mut self.verify {
                    while let Some(check) = self.wiring.next_check() {
                        verify.send(check);
                    }
                }
                while let Ok(cell) = self.bundles.pop() {
                    bundle(&cell);
                    self.wiring.rejected(cell.intent_id);
                    self.answered += 1;
                    if self.answered.is_multiple_of(RESTOCK_EVERY) {
                        self.supply.restock();
                    }
                }
            }
        });
    }

    /// Waits for the signatures that are being checked.
    pub fn settle(&mut self) {
        while let Some(verify) = self.verify.as_mut().filter(|verify| verify.is_waiting()) {
            if let Some(checked) = verify.receive() {
                self.wiring.checked(checked);
            }
        }
    }

    /// Arms a brain's signal, at the time of the datagram last taken.
    #[inline]
    pub fn signal(&mut self, signal: &ArmedSignal) {
        let now = arrival(self.arrived, Policy::default()).at;
        self.wiring.signal(signal, now);
        // The ladder that a signal is held ready with is made by the time anything meets it.
        self.supply.restock();
    }

    /// What was resolved.
    #[must_use]
    pub fn resolved(&self) -> &shred_resolve::Counters {
        self.wiring.resolver().counters()
    }

    /// What was decided.
    #[must_use]
    pub fn decided(&self) -> &engine::Counters {
        self.wiring.engine().counters()
    }

    /// Signatures given per [`bundle::Way`].
    #[must_use]
    pub fn signatures(&self) -> [u64; Way::COUNT] {
        *self.wiring.engine().signature_counts()
    }

    /// Datagrams taken.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Slot of the newest authenticated shred.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        self.wiring.resolver().highest_slot()
    }

    /// What was measured.
    #[must_use]
    pub fn finish(self) -> Measured {
        self.wiring.into_probe()
    }
}

/// A stage that checks signatures, and the core's ends of its rings.
#[must_use]
pub fn verify_stage() -> (VerifyRings, VerifyStage) {
    let (to_verify, checks) = RingBuffer::new(cells(Cell::Check));
    let (answers, from_verify) = RingBuffer::new(cells(Cell::Check));
    (
        VerifyRings::new(to_verify, from_verify),
        VerifyStage::new(checks, answers),
    )
}

/// Runs the stage on this thread until the core's ends are gone.
pub fn run_verify(stage: &mut VerifyStage) {
    while !stage.is_abandoned() {
        if stage.poll() == 0 {
            std::hint::spin_loop();
        }
    }
}

/// Hands `datagrams` on in bursts as the core thread takes them.
#[inline]
pub fn for_bursts<'a>(
    datagrams: impl Iterator<Item = &'a [u8]>,
    first: u64,
    policy: Policy,
    mut each: impl FnMut(&[Arrived<'a>]),
) {
    let mut arrived = (first..)
        .zip(datagrams)
        .map(|(ordinal, bytes)| Arrived::new(bytes, arrival(ordinal, policy)));
    loop {
        let burst: ArrayVec<Arrived<'a>, RX_BURST> = arrived.by_ref().take(RX_BURST).collect();
        if burst.is_empty() {
            return;
        }
        each(&burst);
    }
}

/// Stamps every transaction.
pub struct Stamps<'a> {
    /// The clock.
    pub ticker: Ticker,
    /// When the current datagram was taken.
    pub entered: u64,
    /// Number of the current datagram.
    pub ordinal: usize,
    /// Nanoseconds from there to the transaction.
    pub latency: &'a mut Histogram<u64>,
    /// The same for the first transaction of each datagram: those after it waited for their siblings.
    pub first: Histogram<u64>,
    /// Whether the current datagram has brought a transaction.
    pub begun: bool,
    /// Called with ordinal and signature after the stamp.
    pub seen: &'a mut dyn FnMut(usize, &[u8; 64]),
}

impl Sink for Stamps<'_> {
    #[inline]
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        let latency = self.ticker.nanos().wrapping_sub(self.entered);
        self.latency.saturating_record(latency);
        if !std::mem::replace(&mut self.begun, true) {
            self.first.saturating_record(latency);
        }
        (self.seen)(self.ordinal, txn.view.signature());
    }
}

/// L0 of every transaction in `datagrams` with `resolver`; returns that of each datagram's first.
pub fn l0(
    resolver: &mut Resolver,
    datagrams: &Datagrams,
    policy: Policy,
    leaders: &impl Leaders,
    ticker: Ticker,
    latency: &mut Histogram<u64>,
    seen: &mut dyn FnMut(usize, &[u8; 64]),
) -> Histogram<u64> {
    let mut stamps = Stamps {
        ticker,
        entered: 0,
        ordinal: 0,
        latency,
        first: histogram(),
        begun: false,
        seen,
    };
    for (ordinal, datagram) in datagrams.iter().enumerate() {
        stamps.ordinal = ordinal;
        stamps.begun = false;
        stamps.entered = ticker.nanos();
        let _ = resolver.handle(
            datagram,
            arrival(ordinal as u64, policy),
            leaders,
            &mut stamps,
        );
    }
    stamps.first
}
