//! Our own path as the core thread runs it, with a stamp at each end.

use std::sync::Arc;

use bundle::{Builder, BuilderConfig, BundleCell, Signer, ThrowAway};
use demo::Datagrams;
use engine::{Engine, EngineConfig, Output};
use hdrhistogram::Histogram;
use market::Lamports;
use overmind::clock::Ticker;
use overmind::commands::demo::{engine_config, resolve_plan, wallet_seed};
use risk::{Control, Limits, Mode};
use rtrb::{Consumer, Producer, RingBuffer};
use shred_resolve::{
    BlockEnd, Equivocation, Leaders, Policy, ResolvedTxn, Resolver, Retract, Sink, Verdict,
};

use crate::launch::Order;
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
    Order {
        spend: params.budget.0,
        slippage_bps: u64::from(params.entry_slippage.0),
        dev_buy_min: params.dev_buy_min.0,
        dev_buy_max: params.dev_buy_max.0,
        tip: params.entry_tip.0,
        tip_account: builder.tip_accounts[0],
        buyback_recipient: builder.buyback_fee_recipients[0],
        budget: builder.entry_budget,
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
    Resolver::new(&shred_resolve::Plan {
        sets_max: 192,
        versions_max: 2_048,
        ..resolve_plan(None)
    })
}

/// Resolver, engine and builder, wired as the core thread wires them. Every bundle is rejected by its lane at
/// once, so that nothing stays reserved.
pub struct Core {
    /// Datagrams to transactions.
    pub resolver: Resolver,
    /// Transactions to bundles.
    pub engine: Engine<Ticker>,
    exit: Exit,
    bundles: Consumer<BundleCell>,
    arrived: u64,
}

/// What a core measured; all in nanoseconds.
#[derive(Debug)]
pub struct Measured {
    /// Datagram to bundle in the ring.
    pub l1: Histogram<u64>,
    /// The risk gate.
    pub l2: Histogram<u64>,
    /// Approved intent to signed bytes.
    pub build: Histogram<u64>,
    /// Signatures of the transactions that led to bundles.
    pub triggers: Vec<[u8; 64]>,
    /// Restricts `l1` to these triggers.
    pub only: Option<std::collections::BTreeSet<[u8; 64]>>,
}

struct Exit {
    ring: Producer<BundleCell>,
    ticker: Ticker,
    entered: u64,
    measured: Measured,
}

impl Output for Exit {
    #[inline]
    fn bundle(&mut self, cell: &BundleCell) -> bool {
        self.ring.push(cell.clone()).is_ok()
    }
}

impl Core {
    /// A fresh one.
    #[must_use]
    pub fn new(policy: Policy, ticker: Ticker) -> Self {
        let signer = Signer::<ThrowAway>::from_seed(&seed()).expect("32 bytes are a seed");
        let builder = Builder::new(&builder_config(), signer).expect("the default lists are good");
        let control = Arc::new(Control::new(Mode::Active));
        let engine = Engine::with_ticks(&config(policy), builder, control, ticker)
            .expect("the configuration makes sense");
        let (ring, bundles) = RingBuffer::new(64);
        let measured = Measured {
            l1: overmind::rungs::histogram(),
            l2: overmind::rungs::histogram(),
            build: overmind::rungs::histogram(),
            triggers: Vec::new(),
            only: None,
        };
        Self {
            resolver: resolver(),
            engine,
            exit: Exit {
                ring,
                ticker,
                entered: 0,
                measured,
            },
            bundles,
            arrived: 0,
        }
    }

    /// Records L1 for these triggers alone.
    #[must_use]
    pub fn only(mut self, triggers: &std::collections::BTreeSet<[u8; 64]>) -> Self {
        self.exit.measured.only = Some(triggers.clone());
        self
    }

    /// Takes one datagram. `bundle` gets what came of it, after the clock.
    #[inline]
    pub fn handle(
        &mut self,
        datagram: &[u8],
        policy: Policy,
        leaders: &impl Leaders,
        mut bundle: impl FnMut(&BundleCell),
    ) {
        let Self {
            resolver,
            engine,
            exit,
            ..
        } = self;
        exit.entered = exit.ticker.nanos();
        let arrival = arrival(self.arrived, policy);
        self.arrived += 1;
        // A refusal is counted by the resolver under its reason.
        let _ = resolver.handle(datagram, arrival, leaders, &mut Wiring { engine, exit });
        while let Ok(cell) = self.bundles.pop() {
            bundle(&cell);
            self.engine.rejected(cell.intent_id, &mut self.exit);
        }
    }

    /// What was measured.
    #[must_use]
    pub fn finish(self) -> Measured {
        self.exit.measured
    }
}

struct Wiring<'a> {
    engine: &'a mut Engine<Ticker>,
    exit: &'a mut Exit,
}

impl Sink for Wiring<'_> {
    #[inline]
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        let intents = self.engine.counters().intent_made;
        self.engine.transaction(txn, self.exit);
        if self.engine.counters().intent_made != intents {
            let stages = self.engine.stages();
            let measured = &mut self.exit.measured;
            let signature = txn.view.signature();
            if stages.handed != 0
                && measured
                    .only
                    .as_ref()
                    .is_none_or(|only| only.contains(signature))
            {
                measured
                    .l1
                    .saturating_record(stages.handed.wrapping_sub(self.exit.entered));
                measured
                    .l2
                    .saturating_record(stages.gated.wrapping_sub(stages.decided));
                measured
                    .build
                    .saturating_record(stages.built.wrapping_sub(stages.gated));
                measured.triggers.push(*signature);
            }
        }
    }

    fn block(&mut self, block: &BlockEnd) {
        self.engine.block(block, self.exit);
    }

    fn retract(&mut self, retract: &Retract) {
        self.engine.retract(retract, self.exit);
    }

    fn equivocation(&mut self, equivocation: &Equivocation) {
        self.engine.equivocation(equivocation);
    }

    fn verdict(&mut self, verdict: &Verdict) {
        self.engine.verdict(verdict);
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
        first: overmind::rungs::histogram(),
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
