//! What the core thread does: signals, reports, account data and a burst of datagrams from every source go through the
//! wiring, and
//! what was counted is published. After construction nothing here allocates, locks, logs, waits or makes a system call.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use accounts::Update;
use arrayvec::ArrayVec;
use brain_wire::ArmedSignal;
use bundle::{BundleCell, Way};
use engine::{Engine, TermsReader};
use rtrb::{Consumer, Producer};
use shred_resolve::{Arbiter, Arrival, Arrived, Policy, Reject, Resolver};
use shred_source::{CoreFrames, RX_BURST};
use submit::{Outcome, Report};

use crate::chain::Chain;
use crate::clock::{Ticker, realtime};
use crate::leaders::LeaderSource;
use crate::published::{MarketCounts, Published};
use crate::rungs::Rungs;
use crate::signing_stage::OwnRings;
use crate::stage::Stage;
use crate::verify_stage::VerifyRings;
use crate::wiring::{Time, Trades, Wiring};

/// Nanoseconds between two publications of the counters.
const PUBLISH_EVERY: u64 = 20_000_000;
/// Nanoseconds between two rehearsals of an idle core: rare enough that a datagram hardly ever waits for one.
const REHEARSE_EVERY: u64 = 20_000;
/// Records of account data taken in one duty cycle: shreds must not wait for a flood of them.
const ACCOUNTS_A_CYCLE: usize = 16;

/// Ends of the rings that the core owns.
pub struct CoreRings {
    /// One per source.
    pub frames: Vec<CoreFrames>,
    /// Verified signals, if there is a bridge.
    pub signals: Option<Consumer<ArmedSignal>>,
    /// To and from the thread that checks signatures, if there is one.
    pub verify: Option<VerifyRings>,
    /// Signed bundles.
    pub bundles: Producer<BundleCell>,
    /// What became of them.
    pub reports: Consumer<Report>,
    /// What account data says, if somebody tells accounts.
    pub accounts: Option<Consumer<Update>>,
    /// To and from the thread that verifies transactions said to be ours, if nonces are made ahead.
    pub own: Option<OwnRings>,
}

/// What a core is built from.
pub struct CoreParts {
    /// Its ends of the rings.
    pub rings: CoreRings,
    /// When each source's transactions are handed on, by source number.
    pub policies: Vec<Policy>,
    /// Datagrams to transactions.
    pub resolver: Resolver,
    /// Who brings what first.
    pub arbiter: Arbiter,
    /// Who signs which slot.
    pub leaders: Arc<LeaderSource>,
    /// Transactions to bundles.
    pub engine: Engine<Ticker>,
    /// Terms of the venues, as account data has them.
    pub terms: TermsReader,
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
    verify: Option<VerifyRings>,
    reports: Consumer<Report>,
    accounts: Option<Consumer<Update>>,
    terms: TermsReader,
    policies: Vec<Policy>,
    leaders: Arc<LeaderSource>,
    wiring: Wiring<Rungs>,
    arbiter: Arbiter,
    ticker: Ticker,
    time: Time,
    published: Arc<Published>,
    published_at: u64,
    rehearsed_at: u64,
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
    /// Signatures, by the way they were made.
    pub signatures: [(&'static str, u64); Way::COUNT],
    /// Intents the gate refused, by reason.
    pub refused: Vec<(&'static str, u64)>,
    /// Curves, pools, and what account data said of them.
    pub market: MarketCounts,
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
            arbiter,
            leaders,
            engine,
            terms,
            ticker,
            time,
            published,
        } = parts;
        let CoreRings {
            frames,
            signals,
            verify,
            bundles,
            reports,
            accounts,
            own,
        } = rings;
        let rungs = Rungs::new();
        let chain = Chain::new(leaders.cell().cloned());
        Self {
            frames,
            signals,
            verify,
            reports,
            accounts,
            terms,
            policies,
            leaders,
            wiring: Wiring::new(resolver, engine, bundles, ticker, time, rungs)
                .following(chain)
                .witnessed_by(own),
            arbiter,
            ticker,
            time,
            published,
            published_at: 0,
            rehearsed_at: 0,
        }
    }

    /// Ends the core and takes what it has measured and counted.
    #[must_use]
    pub fn finish(mut self) -> CoreOutcome {
        self.arbiter.settle_all();
        self.publish();
        self.published.sources.publish_all(&self.arbiter);
        let engine = self.wiring.engine();
        let names = risk::Refusal::names();
        let refused = names
            .into_iter()
            .zip(engine.gate().counters().refused)
            .collect();
        let (ways, counts) = (Way::names(), engine.signature_counts());
        CoreOutcome {
            signatures: std::array::from_fn(|way| (ways[way], counts[way])),
            trades: self.wiring.trades(),
            resolved: self.wiring.resolver().counters().clone(),
            decided: *engine.counters(),
            market: MarketCounts::of(engine),
            refused,
            state_hash: engine.state_hash(),
            positions: engine.positions().count(),
            rungs: self.wiring.into_probe(),
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
            self.wiring.signal(&signal, realtime());
            taken += 1;
        }
        taken
    }

    fn take_reports(&mut self) -> usize {
        let mut taken = 0;
        while let Ok(report) = self.reports.pop() {
            if let Some(code) = report.program_error {
                self.wiring.failed(report.intent_id, code);
            }
            if let Outcome::Rejected(_) = report.outcome {
                self.wiring.rejected(report.intent_id);
            }
            taken += 1;
        }
        taken
    }

    /// Takes account data, what a whole venue depends on first. After the datagrams of the cycle: what shreds tell is
    /// newer.
    fn take_accounts(&mut self) -> usize {
        if let Some(terms) = self.terms.changed() {
            self.wiring.terms(&terms);
        }
        let Some(accounts) = &mut self.accounts else {
            return 0;
        };
        let mut taken = 0;
        while taken < ACCOUNTS_A_CYCLE
            && let Ok(update) = accounts.pop()
        {
            self.wiring.account(&update);
            taken += 1;
        }
        taken
    }

    /// Takes answers of the thread that checks signatures. Never 0 while one is awaited, so that neither an idle
    /// core sleeps nor a stopping one ends before it has come.
    fn take_answers(&mut self) -> usize {
        let Some(verify) = &mut self.verify else {
            return 0;
        };
        let mut taken = 0;
        while let Some(checked) = verify.receive() {
            self.wiring.checked(checked);
            taken += 1;
        }
        taken + usize::from(verify.is_waiting())
    }

    fn take_datagrams(&mut self) -> usize {
        let Self {
            frames,
            verify,
            policies,
            leaders,
            wiring,
            arbiter,
            published,
            ..
        } = self;
        let mut taken = 0;
        for source in frames {
            taken += source.drain_burst(RX_BURST, |burst| {
                let burst: ArrayVec<Arrived<'_>, RX_BURST> = burst
                    .map(|(descriptor, datagram)| {
                        let policy = policies
                            .get(usize::from(descriptor.source.0))
                            .copied()
                            .unwrap_or_default();
                        let arrival = Arrival {
                            source: descriptor.source,
                            policy,
                            at: descriptor.stamp,
                        };
                        Arrived::new(datagram, arrival)
                    })
                    .collect();
                for (index, arrived) in burst.iter().enumerate() {
                    let outcome = wiring.datagram(&burst, index, leaders.as_ref());
                    let (bytes, at) = (arrived.bytes(), arrived.arrival());
                    if let Err(reason) = outcome
                        && !matches!(reason, Reject::Duplicate | Reject::Surplus)
                    {
                        published.note_stray(bytes, reason);
                    }
                    arbiter.note(bytes, at.source, at.at, outcome, leaders.as_ref());
                    if let Some(verify) = verify {
                        while let Some(check) = wiring.next_check() {
                            verify.send(check);
                        }
                    }
                    published.datagram_at.store(at.at.0, Relaxed);
                }
            });
        }
        taken
    }

    /// Keeps what a trigger needs in the caches while nothing comes in. A replay has no use for it.
    fn rehearse(&mut self) {
        if self.time != Time::Wall {
            return;
        }
        let now = self.ticker.nanos();
        if now.wrapping_sub(self.rehearsed_at) >= REHEARSE_EVERY {
            self.rehearsed_at = now;
            self.wiring.rehearse();
        }
    }

    /// What is done a few times a second: publishing, and letting time pass while nothing comes in.
    fn housekeeping(&mut self) {
        let now = self.ticker.nanos();
        if now.wrapping_sub(self.published_at) < PUBLISH_EVERY {
            return;
        }
        self.published_at = now;
        if self.time == Time::Wall {
            self.wiring.tick(realtime());
        }
        self.publish();
    }

    fn publish(&mut self) {
        let (resolver, engine) = (self.wiring.resolver(), self.wiring.engine());
        let refused = engine.gate().counters().refused;
        self.published
            .publish(resolver.counters(), engine.counters(), &refused);
        let slot = resolver.highest_slot().unwrap_or_default();
        self.published.slot.store(slot.0, Relaxed);
        self.published.market.publish(&MarketCounts::of(engine));
        let dropped = self.wiring.own_dropped();
        self.published.signing.publish(engine, dropped);
        self.published.sources.publish(&self.arbiter);
        if let Some(chain) = self.wiring.chain() {
            self.published.chain.publish(chain);
        }
        let gate = engine.gate();
        let pending = gate.exposures().iter().filter(|exposure| !exposure.held);
        let published = &self.published;
        for (cell, count) in [
            (&published.positions_open, engine.positions().count()),
            (&published.positions_pending, pending.count()),
            (&published.positions_max, gate.limits().positions_max.into()),
        ] {
            cell.store(count as u64, Relaxed);
        }
    }
}

impl Stage for CoreStage {
    #[inline]
    fn poll(&mut self) -> usize {
        let taken =
            self.take_signals() + self.take_reports() + self.take_answers() + self.take_datagrams();
        let told = self.take_accounts();
        self.wiring.take_witnessed();
        self.housekeeping();
        if taken + told == 0 {
            self.rehearse();
        }
        taken + told
    }

    fn begin(&mut self) {
        self.leaders.warm();
        self.terms.warm();
        self.wiring.warm();
    }
}
