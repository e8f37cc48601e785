//! What the core thread does: frames in, bundles out, by plain calls.
//!
//! One duty cycle takes signals, reports and a burst of datagrams from every source; each datagram goes through the
//! resolver, and what the resolver tells goes straight into the engine. After construction nothing here allocates,
//! locks, logs, waits or makes a system call.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use brain_wire::ArmedSignal;
use bundle::BundleCell;
use engine::{Engine, Note, Output, Stages};
use market::Side;
use rtrb::{Consumer, Producer};
use shred_resolve::{
    Arrival, BlockEnd, Equivocation, Policy, ResolvedTxn, Resolver, Retract, Sink, Verdict,
};
use shred_source::{CoreFrames, RX_BURST};
use submit::{Outcome, Report};

use crate::clock::{Ticker, realtime};
use crate::leaders::LeaderSource;
use crate::published::Published;
use crate::rungs::Rungs;
use crate::stage::Stage;

/// Nanoseconds between two publications of the counters.
const PUBLISH_EVERY: u64 = 20_000_000;

/// Ends of the rings that the core owns.
pub struct CoreRings {
    /// One per source.
    pub frames: Vec<CoreFrames>,
    /// Verified signals, if there is a bridge.
    pub signals: Option<Consumer<ArmedSignal>>,
    /// Signed bundles.
    pub bundles: Producer<BundleCell>,
    /// What became of them.
    pub reports: Consumer<Report>,
}

/// Whether time passes by itself or only with the stamps of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// The wall clock: positions expire while nothing comes in.
    Wall,
    /// The capture's: a replay is the same on any machine.
    Capture,
}

/// What a core is built from.
pub struct CoreParts {
    /// Its ends of the rings.
    pub rings: CoreRings,
    /// When each source's transactions are handed on, by source number.
    pub policies: Vec<Policy>,
    /// Datagrams to transactions.
    pub resolver: Resolver,
    /// Who signs which slot.
    pub leaders: Arc<LeaderSource>,
    /// Transactions to bundles.
    pub engine: Engine<Ticker>,
    /// Measures.
    pub ticker: Ticker,
    /// What makes time pass.
    pub time: Time,
    /// Where counters are published.
    pub published: Arc<Published>,
}

/// The core.
pub struct CoreStage {
    frames: Vec<CoreFrames>,
    signals: Option<Consumer<ArmedSignal>>,
    reports: Consumer<Report>,
    policies: Vec<Policy>,
    resolver: Resolver,
    leaders: Arc<LeaderSource>,
    engine: Engine<Ticker>,
    exit: Exit,
    time: Time,
    published: Arc<Published>,
    published_at: u64,
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

/// What a core leaves behind.
pub struct CoreOutcome {
    /// Latencies.
    pub rungs: Rungs,
    /// Own transactions.
    pub trades: Trades,
    /// What was resolved.
    pub resolved: shred_resolve::Counters,
    /// What was decided.
    pub decided: engine::Counters,
    /// Intents the gate refused, by reason.
    pub refused: Vec<(&'static str, u64)>,
    /// Digest over events, intents, refusals and message bytes.
    pub state_hash: u64,
    /// Positions still open.
    pub positions: usize,
}

impl CoreStage {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: CoreParts) -> Self {
        let CoreParts {
            rings,
            policies,
            resolver,
            leaders,
            engine,
            ticker,
            time,
            published,
        } = parts;
        let CoreRings {
            frames,
            signals,
            bundles,
            reports,
        } = rings;
        let exit = Exit {
            bundles,
            ticker,
            taken_at: 0,
            rungs: Rungs::new(),
            trades: Trades::default(),
            time,
        };
        Self {
            frames,
            signals,
            reports,
            policies,
            resolver,
            leaders,
            engine,
            exit,
            time,
            published,
            published_at: 0,
        }
    }

    /// Ends the core and takes what it has measured and counted.
    #[must_use]
    pub fn finish(mut self) -> CoreOutcome {
        self.publish();
        let names = risk::Refusal::names();
        let refused = names
            .into_iter()
            .zip(self.engine.gate().counters().refused)
            .collect();
        CoreOutcome {
            rungs: self.exit.rungs,
            trades: self.exit.trades,
            resolved: self.resolver.counters().clone(),
            decided: *self.engine.counters(),
            refused,
            state_hash: self.engine.state_hash(),
            positions: self.engine.positions().count(),
        }
    }

    /// True when every source has ended and was read to its end.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.frames.iter().all(CoreFrames::is_ended)
    }

    fn take_signals(&mut self) -> usize {
        let mut taken = 0;
        while let Some(signal) = self.signals.as_mut().and_then(|signals| signals.pop().ok()) {
            // A refusal is counted by the engine under its reason.
            let _ = self.engine.arm(&signal, realtime());
            taken += 1;
        }
        taken
    }

    fn take_reports(&mut self) -> usize {
        let mut taken = 0;
        while let Ok(report) = self.reports.pop() {
            if let Outcome::Rejected(_) = report.outcome {
                self.engine.rejected(report.intent_id, &mut self.exit);
            }
            taken += 1;
        }
        taken
    }

    fn take_datagrams(&mut self) -> usize {
        let Self {
            frames,
            policies,
            resolver,
            leaders,
            engine,
            exit,
            published,
            ..
        } = self;
        let mut taken = 0;
        for source in frames {
            taken += source.drain(RX_BURST, |descriptor, datagram| {
                exit.taken_at = exit.ticker.nanos();
                let policy = policies
                    .get(usize::from(descriptor.source.0))
                    .copied()
                    .unwrap_or_default();
                let arrival = Arrival {
                    source: descriptor.source,
                    policy,
                    at: descriptor.stamp,
                };
                // A refusal is counted by the resolver under its reason.
                let _ = resolver.handle(
                    datagram,
                    arrival,
                    leaders.as_ref(),
                    &mut Wiring { engine, exit },
                );
                published.datagram_at.store(descriptor.stamp.0, Relaxed);
            });
        }
        taken
    }

    /// What is done a few times a second: publishing, and letting time pass while nothing comes in.
    fn housekeeping(&mut self) {
        let now = self.exit.ticker.nanos();
        if now.wrapping_sub(self.published_at) < PUBLISH_EVERY {
            return;
        }
        self.published_at = now;
        if self.time == Time::Wall {
            self.exit.taken_at = now;
            self.engine.tick(realtime(), &mut self.exit);
        }
        self.publish();
    }

    fn publish(&mut self) {
        let refused = self.engine.gate().counters().refused;
        self.published
            .publish(self.resolver.counters(), self.engine.counters(), &refused);
        let slot = self.resolver.highest_slot().unwrap_or_default();
        self.published.slot.store(slot.0, Relaxed);
    }
}

impl Stage for CoreStage {
    #[inline]
    fn poll(&mut self) -> usize {
        let taken = self.take_signals() + self.take_reports() + self.take_datagrams();
        self.housekeeping();
        taken
    }
}

/// From the resolver into the engine.
struct Wiring<'a> {
    engine: &'a mut Engine<Ticker>,
    exit: &'a mut Exit,
}

impl Sink for Wiring<'_> {
    #[inline]
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        let emitted_at = self.exit.ticker.nanos();
        self.exit
            .rungs
            .l0
            .saturating_record(emitted_at.wrapping_sub(self.exit.taken_at));
        let intents = self.engine.counters().intent_made;
        self.engine.transaction(txn, self.exit);
        if self.engine.counters().intent_made != intents {
            self.exit.time_intent(self.engine.stages());
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

/// Where the engine's work goes, and how long it took to get there.
struct Exit {
    bundles: Producer<BundleCell>,
    ticker: Ticker,
    /// When the current datagram was taken.
    taken_at: u64,
    rungs: Rungs,
    trades: Trades,
    time: Time,
}

impl Exit {
    /// Books the stages of the last intent that a transaction led to.
    fn time_intent(&mut self, stages: &Stages) {
        self.rungs
            .l2
            .saturating_record(stages.gated.wrapping_sub(stages.decided));
        if stages.handed != 0 {
            self.rungs
                .l1
                .saturating_record(stages.handed.wrapping_sub(self.taken_at));
        }
    }
}

impl Output for Exit {
    #[inline]
    fn bundle(&mut self, cell: &BundleCell) -> bool {
        // A replay waits for room, so that its outcome does not depend on the submit thread's pace.
        while self.time == Time::Capture && self.bundles.is_full() && !self.bundles.is_abandoned() {
            std::thread::yield_now();
        }
        self.bundles.push(cell.clone()).is_ok()
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
