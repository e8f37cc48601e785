//! From a datagram to a bundle, on one thread, by plain calls: the resolver tells, the engine decides, a probe
//! measures what it took.
//!
//! The service's core thread and the benchmark run this same wiring, each with its own probe. After construction
//! nothing here allocates, locks, logs, waits or makes a system call.

use accounts::Update;
use brain_wire::ArmedSignal;
use bundle::BundleCell;
use engine::{Engine, Note, Output, Stages};
use market::{Side, VenueTerms};
use rtrb::Producer;
use shred_resolve::{
    Arrived, BlockEnd, Check, Checked, Equivocation, Leaders, Reject, ResolvedTxn, Resolver,
    Retract, SetLink, Sink, Verdict,
};
use shred_wire::Nanos;

use crate::chain::Chain;
use crate::clock::Ticker;
use crate::rungs::Rungs;
use crate::signing_stage::OwnRings;

/// What makes time pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// The wall clock: positions expire while nothing comes in.
    Wall,
    /// The capture's stamps: a replay is the same on any machine.
    Capture,
}

/// Takes the measures of the hot path. Called on the core's thread: what it does, the path pays.
pub trait Probe {
    /// A transaction was told, so many nanoseconds after its last datagram was taken.
    fn transaction(&mut self, nanos: u64);
    /// A transaction, whose last datagram was taken at `taken_at` of the same clock, led to an intent.
    fn intent(&mut self, txn: &ResolvedTxn<'_>, taken_at: u64, stages: &Stages);
}

impl Probe for Rungs {
    #[inline]
    fn transaction(&mut self, nanos: u64) {
        self.l0.saturating_record(nanos);
    }

    fn intent(&mut self, _txn: &ResolvedTxn<'_>, taken_at: u64, stages: &Stages) {
        self.l2
            .saturating_record(stages.gated.wrapping_sub(stages.decided));
        if stages.handed != 0 {
            self.l1
                .saturating_record(stages.handed.wrapping_sub(taken_at));
        }
    }
}

/// Sums over own transactions, as the curve's arithmetic has them: the model's, not an account's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trades {
    /// Lamports paid in entries, fees included.
    pub paid: u64,
    /// Lamports received in exits.
    pub received: u64,
    /// Entries seen in blocks.
    pub entries: u64,
    /// Exits seen in blocks.
    pub exits: u64,
    /// Own transactions that can no longer land, or that a lane rejected.
    pub lost: u64,
}

/// Resolver and engine, joined.
pub struct Wiring<P> {
    resolver: Resolver,
    engine: Engine<Ticker>,
    exit: Exit<P>,
    chain: Option<Box<Chain>>,
    own: Option<OwnRings>,
}

impl<P: Probe> Wiring<P> {
    /// Joins them; signed bundles go into `bundles`.
    #[must_use]
    pub fn new(
        resolver: Resolver,
        engine: Engine<Ticker>,
        bundles: Producer<BundleCell>,
        ticker: Ticker,
        time: Time,
        probe: P,
    ) -> Self {
        Self {
            resolver,
            engine,
            exit: Exit {
                bundles,
                ticker,
                taken_at: 0,
                probe,
                trades: Trades::default(),
                time,
            },
            chain: None,
            own: None,
        }
    }

    /// Tells `chain` all that becomes known from here on, after the engine.
    #[must_use]
    pub fn following(mut self, chain: Chain) -> Self {
        self.chain = Some(Box::new(chain));
        self
    }

    /// Shows transactions said to be ours that the engine does not know of to whoever verifies them.
    #[must_use]
    pub fn witnessed_by(mut self, own: Option<OwnRings>) -> Self {
        self.own = own;
        self
    }

    /// Takes what was found to be ours: its nonces are never released again.
    #[inline]
    pub fn take_witnessed(&mut self) {
        let Some(own) = &mut self.own else { return };
        while let Some(signature) = own.next_verified() {
            self.engine.remember(&signature);
        }
    }

    /// Transactions said to be ours that could not be shown.
    #[must_use]
    pub fn own_dropped(&self) -> u64 {
        self.own.as_ref().map_or(0, OwnRings::dropped)
    }

    /// Forks, votes and the slot's clock, if they are followed.
    #[must_use]
    pub fn chain(&self) -> Option<&Chain> {
        self.chain.as_deref()
    }

    /// Takes the datagram at `index` of a burst, and everything that it makes known.
    ///
    /// # Errors
    /// As [`Resolver::handle_in`], which has counted it under its reason.
    #[inline]
    pub fn datagram(
        &mut self,
        burst: &[Arrived<'_>],
        index: usize,
        leaders: &impl Leaders,
    ) -> Result<(), Reject> {
        let Self {
            resolver,
            engine,
            exit,
            chain,
            own,
        } = self;
        exit.taken_at = exit.ticker.nanos();
        resolver.handle_in(
            burst,
            index,
            leaders,
            &mut Told {
                engine,
                exit,
                chain,
                own,
            },
        )
    }

    /// The next leader signature to be checked elsewhere, if that is planned.
    #[inline]
    pub fn next_check(&mut self) -> Option<Check> {
        self.resolver.next_check()
    }

    /// Takes the answer to a check, and everything that it makes known.
    #[inline]
    pub fn checked(&mut self, checked: Checked) {
        let Self {
            resolver,
            engine,
            exit,
            chain,
            own,
        } = self;
        exit.taken_at = exit.ticker.nanos();
        resolver.checked(
            checked,
            &mut Told {
                engine,
                exit,
                chain,
                own,
            },
        );
    }

    /// For when nothing waits: see [`Engine::rehearse`].
    #[inline]
    pub fn rehearse(&mut self) {
        self.engine.rehearse();
    }

    /// Arms a brain's signal.
    #[inline]
    pub fn signal(&mut self, signal: &ArmedSignal, now: Nanos) {
        // A refusal is counted by the engine under its reason.
        let _ = self.engine.arm(signal, now);
    }

    /// Lets the calling thread, which drives this from then on, do so without allocating.
    pub fn warm(&self) {
        self.engine.warm();
    }

    /// Takes what account data says of a curve or a pool: it wins over what was reckoned.
    #[inline]
    pub fn account(&mut self, update: &Update) {
        // What came of it is counted by the tables, by venue.
        match update {
            Update::Curve(truth) => _ = self.engine.curve_truth(truth),
            Update::Pool(truth) => _ = self.engine.pool_truth(truth),
            Update::Holding(truth) => self.engine.holding_truth(truth),
        }
    }

    /// Takes what a whole venue's trades depend on, when it has changed.
    pub fn terms(&mut self, terms: &VenueTerms) {
        self.engine.set_terms(terms);
    }

    /// Whoever ran a bundle says which error its program ended with. Before [`Self::rejected`].
    pub fn failed(&mut self, intent_id: u64, code: u32) {
        self.engine.failed(intent_id, code);
    }

    /// A lane rejected a bundle: nothing stays reserved for it.
    pub fn rejected(&mut self, intent_id: u64) {
        self.engine.rejected(intent_id, &mut self.exit);
    }

    /// Lets time pass while nothing comes in.
    pub fn tick(&mut self, now: Nanos) {
        self.exit.taken_at = self.exit.ticker.nanos();
        self.engine.tick(now, &mut self.exit);
    }

    /// Datagrams to transactions.
    #[must_use]
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Transactions to bundles.
    #[must_use]
    pub fn engine(&self) -> &Engine<Ticker> {
        &self.engine
    }

    /// What was measured.
    #[must_use]
    pub fn probe(&self) -> &P {
        &self.exit.probe
    }

    /// What measures, between two datagrams.
    pub fn probe_mut(&mut self) -> &mut P {
        &mut self.exit.probe
    }

    /// Own transactions.
    #[must_use]
    pub fn trades(&self) -> Trades {
        self.exit.trades
    }

    /// Ends it and gives the probe back.
    #[must_use]
    pub fn into_probe(self) -> P {
        self.exit.probe
    }
}

/// From the resolver into the engine.
struct Told<'a, P> {
    engine: &'a mut Engine<Ticker>,
    exit: &'a mut Exit<P>,
    chain: &'a mut Option<Box<Chain>>,
    own: &'a mut Option<OwnRings>,
}

impl<P: Probe> Sink for Told<'_, P> {
    #[inline]
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        let Self {
            engine,
            exit,
            chain,
            own,
        } = self;
        let told_at = exit.ticker.nanos();
        exit.probe.transaction(told_at.wrapping_sub(exit.taken_at));
        let intents = engine.counters().intent_made;
        engine.transaction_at(told_at, txn, *exit);
        if engine.counters().intent_made != intents {
            exit.probe.intent(txn, exit.taken_at, engine.stages());
        }
        if let Some(own) = own {
            own.look_at(&txn.view, engine);
        }
        if let Some(chain) = chain {
            chain.transaction(txn);
        }
    }

    fn set(&mut self, link: &SetLink) {
        if let Some(chain) = self.chain {
            chain.set(link);
        }
    }

    fn block(&mut self, block: &BlockEnd) {
        self.engine.block(block, self.exit);
        if let Some(chain) = self.chain {
            chain.block(block);
        }
    }

    fn retract(&mut self, retract: &Retract) {
        self.engine.retract(retract, self.exit);
        if let Some(chain) = self.chain {
            chain.retract(retract);
        }
    }

    fn equivocation(&mut self, equivocation: &Equivocation) {
        self.engine.equivocation(equivocation);
        if let Some(chain) = self.chain {
            chain.equivocation(equivocation);
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        self.engine.verdict(verdict);
    }
}

/// Where the engine's work goes.
struct Exit<P> {
    bundles: Producer<BundleCell>,
    ticker: Ticker,
    /// When the current datagram was taken.
    taken_at: u64,
    probe: P,
    trades: Trades,
    time: Time,
}

impl<P> Output for Exit<P> {
    #[inline]
    fn bundle(&mut self, cell: &BundleCell) -> bool {
        // A replay waits for room, so that its outcome does not depend on the submit thread's pace.
        while self.time == Time::Capture && self.bundles.is_full() && !self.bundles.is_abandoned() {
            std::thread::yield_now();
        }
        // In place, and only what is in use: the slot's lines are cold, and a cell has a hundred.
        let Ok(mut chunk) = self.bundles.write_chunk(1) else {
            return false;
        };
        if let ([slot, ..], _) = chunk.as_mut_slices() {
            slot.clone_from(cell);
        }
        chunk.commit_all();
        true
    }

    fn note(&mut self, note: &Note<'_>) {
        match note {
            Note::Included { intent, quote, .. } => match intent.side {
                Side::Buy => {
                    self.trades.entries += 1;
                    self.trades.paid = self.trades.paid.saturating_add(quote.0);
                }
                Side::Sell => {
                    self.trades.exits += 1;
                    self.trades.received = self.trades.received.saturating_add(quote.0);
                }
            },
            Note::Lost { .. } => self.trades.lost += 1,
            _ => {}
        }
    }
}
