//! Shreds per second through one core.
//!
//! Traffic is made and lost in chunks outside the clock; every contestant takes each chunk in turn with state that
//! lives as long as the traffic.

use std::hint::black_box;

use demo::Datagrams;
use hdrhistogram::Histogram;
use overmind::clock::Ticker;
use overmind::leaders::LeaderSource;
use overmind::rungs::histogram;
use shred_resolve::{Counters, Leaders, Policy, Reject, ResolvedTxn, Resolver, Sink};

use crate::figures::{Context, Findings};
use crate::ours::{Core, for_bursts, resolver};
use crate::reassembly::Reassembler;
use crate::row::{Row, median_ratio};
use crate::traffic::{Stream, arrival};
use crate::usual;

const SEED: u64 = 11;
/// Datagrams per chunk: 120 MB, twice.
const CHUNK: usize = 100_000;
/// Datagrams timed together.
const SLICE: usize = 2_048;
/// Slots the leader schedule covers; 1,000,000 datagrams take some 300.
const SLOTS: u64 = 20_000;

/// One way to take shreds.
trait Contestant {
    fn name(&self) -> &'static str;
    /// Whether it takes everything, or only what a resolver would use.
    fn takes_all(&self) -> bool {
        true
    }
    fn take(&mut self, datagrams: &mut dyn Iterator<Item = &[u8]>);
    fn note(&self) -> String;
    /// What may not be zero: transactions, recovered sets and, where there is an engine, intents.
    fn vital(&self) -> Vec<u64>;
}

struct Lane<'a> {
    contestant: Box<dyn Contestant + 'a>,
    slices: Histogram<u64>,
    datagrams: u64,
    nanos: u64,
    /// Nanoseconds per 1,000 datagrams, by chunk.
    chunks: Vec<u64>,
}

impl Lane<'_> {
    fn run(&mut self, datagrams: &Datagrams, ticker: Ticker) {
        let mut all = datagrams.iter();
        let (mut taken, mut nanos) = (0, 0);
        while taken < datagrams.len() {
            let count = SLICE.min(datagrams.len() - taken);
            let start = ticker.nanos();
            self.contestant.take(&mut all.by_ref().take(count));
            let spent = ticker.nanos().wrapping_sub(start);
            taken += count;
            nanos += spent;
            if count == SLICE {
                self.slices.saturating_record(spent);
            }
        }
        self.datagrams += taken as u64;
        self.nanos += nanos;
        self.chunks.push(nanos * 1_000 / (taken as u64).max(1));
    }
}

/// Measures them all.
///
/// # Errors
/// A sentence when one contestant found no transaction, recovered nothing, or intended nothing.
pub fn measure(context: &Context) -> Result<Findings, String> {
    let chunks = context.size(11, 2);
    let mut stream = Stream::new(SEED, 1_000);
    let leaders = stream.leaders(SLOTS);
    let absent = LeaderSource::Absent;
    let (early, late) = (Policy::EmitThenVerify, Policy::VerifyThenEmit);
    let ticker = context.ticker;
    let resolve = |name, policy, leaders, all| Resolve::lane(name, policy, leaders, all);
    let core = |name, policy, leaders, all| CoreLane::lane(name, policy, leaders, all, ticker);
    let mut lanes = vec![
        resolve("resolver.trusted", Policy::Trusted, &leaders, true),
        resolve("resolver.unverified", early, &absent, true),
        resolve("resolver.unverified_leaders", early, &leaders, true),
        resolve("resolver.verified", late, &leaders, true),
        core("core.trusted", Policy::Trusted, &leaders, true),
        core("core.unverified", early, &absent, true),
        core("core.unverified_leaders", early, &leaders, true),
        core("core.verified", late, &leaders, true),
        CoreLane::with_verify_thread("core.unverified.verify_thread", early, &leaders, ticker),
        CoreLane::with_verify_thread("core.verified.verify_thread", late, &leaders, ticker),
        core("core.unverified.used_only", early, &absent, false),
        core("core.verified.used_only", late, &leaders, false),
        Usual::lane("usual.unverified", None),
        Usual::lane("usual.verified", Some(&leaders)),
    ];
    let (mut filter, mut filtered) = (resolver(), 0);
    let (mut arrived, mut used) = (Datagrams::new(), Datagrams::new());
    for chunk in 0..chunks {
        stream.fill(context.size(CHUNK, CHUNK / 2), &mut arrived);
        used.clear();
        for datagram in arrived.iter() {
            let at = arrival(filtered, late);
            filtered += 1;
            if filter.handle(datagram, at, &absent, &mut Nobody).is_ok() {
                used.push(datagram);
            }
        }
        let count = lanes.len();
        for turn in 0..count {
            let lane = &mut lanes[(turn + chunk) % count];
            let all = lane.contestant.takes_all();
            lane.run(if all { &arrived } else { &used }, ticker);
        }
    }
    let (duplicated, delivered) = stream.duplicated();
    let mut findings = Findings::default();
    findings.notes.push(format!(
        "shreds: {delivered} datagrams up to slot {}, {:.1} % new, 4 % lost on the way, {} launches; used_only: the \
         {} % of them that a set needed",
        stream.slot(),
        100.0 * (1.0 - duplicated as f64 / delivered as f64),
        stream.launches,
        used.len() * 100 / arrived.len().max(1),
    ));
    for lane in &lanes {
        let note = lane.contestant.note();
        if lane.contestant.vital().contains(&0) {
            return Err(format!("shreds.{}: {note}", lane.contestant.name()));
        }
        findings
            .notes
            .push(format!("shreds.{}: {note}", lane.contestant.name()));
        findings.rows.push(row(lane, &lanes));
    }
    Ok(findings)
}

fn row(lane: &Lane<'_>, lanes: &[Lane<'_>]) -> Row {
    let name = lane.contestant.name();
    let row = Row::rate(
        format!("shreds.{name}"),
        "shreds/s",
        SLICE as u64,
        &lane.slices,
        lane.datagrams,
        lane.nanos,
    );
    if name.starts_with("usual") || !lane.contestant.takes_all() {
        return row;
    }
    let ratio = |rival: &str| {
        let against = lanes.iter().find(|lane| lane.contestant.name() == rival);
        against.and_then(|against| median_ratio(&against.chunks, &lane.chunks))
    };
    // Ours checks every shred, before or after it is told, unless its source is trusted; the unverified usual way never
    // does.
    let (checking, not_checking) = ("usual.verified", "usual.unverified");
    let row = row.beside(checking, ratio(checking));
    if name.contains("unverified") || name.contains("trusted") {
        row.beside(not_checking, ratio(not_checking))
    } else {
        row
    }
}

fn lane<'a>(contestant: impl Contestant + 'a) -> Lane<'a> {
    Lane {
        contestant: Box::new(contestant),
        slices: histogram(),
        datagrams: 0,
        nanos: 0,
        chunks: Vec::new(),
    }
}

/// Wants nothing.
struct Nobody;

impl Sink for Nobody {
    #[inline]
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        black_box(txn.view.signature());
    }
}

fn counted(counters: &Counters) -> String {
    format!(
        "{} transactions in {} blocks, {} sets recovered, {} shreds used, {} surplus, {} duplicate",
        counters.transaction,
        counters.block_completed,
        counters.set_recovered,
        counters.shred_accepted,
        counters.rejected_for(Reject::Surplus),
        counters.rejected_for(Reject::Duplicate),
    )
}

/// The resolver alone.
struct Resolve<'a, L> {
    name: &'static str,
    policy: Policy,
    leaders: &'a L,
    all: bool,
    resolver: Resolver,
    arrived: u64,
}

impl<'a, L: Leaders> Resolve<'a, L> {
    fn lane(name: &'static str, policy: Policy, leaders: &'a L, all: bool) -> Lane<'a> {
        lane(Self {
            name,
            policy,
            leaders,
            all,
            resolver: resolver(),
            arrived: 0,
        })
    }
}

impl<L: Leaders> Contestant for Resolve<'_, L> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn takes_all(&self) -> bool {
        self.all
    }

    fn take(&mut self, datagrams: &mut dyn Iterator<Item = &[u8]>) {
        for_bursts(datagrams, self.arrived, self.policy, |burst| {
            self.arrived += burst.len() as u64;
            for index in 0..burst.len() {
                let _ = self
                    .resolver
                    .handle_in(burst, index, self.leaders, &mut Nobody);
            }
        });
    }

    fn note(&self) -> String {
        counted(self.resolver.counters())
    }

    fn vital(&self) -> Vec<u64> {
        let counters = self.resolver.counters();
        vec![counters.transaction, counters.set_recovered]
    }
}

/// Resolver, engine and builder, with the clock readings of the core thread.
struct CoreLane<'a, L> {
    name: &'static str,
    policy: Policy,
    leaders: &'a L,
    all: bool,
    core: Core,
}

impl<'a, L: Leaders> CoreLane<'a, L> {
    fn lane(
        name: &'static str,
        policy: Policy,
        leaders: &'a L,
        all: bool,
        ticker: Ticker,
    ) -> Lane<'a> {
        let core = Core::new(policy, ticker);
        lane(Self {
            name,
            policy,
            leaders,
            all,
            core,
        })
    }

    fn with_verify_thread(
        name: &'static str,
        policy: Policy,
        leaders: &'a L,
        ticker: Ticker,
    ) -> Lane<'a> {
        lane(Self {
            name,
            policy,
            leaders,
            all: true,
            core: Core::with_verify_thread(policy, ticker),
        })
    }
}

impl<L: Leaders> Contestant for CoreLane<'_, L> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn takes_all(&self) -> bool {
        self.all
    }

    fn take(&mut self, datagrams: &mut dyn Iterator<Item = &[u8]>) {
        self.core
            .handle(datagrams, self.policy, self.leaders, |cell| {
                black_box(cell.count());
            });
        // What others have yet to check is work too.
        self.core.settle();
    }

    fn note(&self) -> String {
        let decided = self.core.decided();
        format!(
            "{} intents, {} bundles signed, {} signatures checked, {}",
            decided.intent_made,
            decided.bundle_handed,
            self.core.resolved().signature_checked,
            counted(self.core.resolved())
        )
    }

    fn vital(&self) -> Vec<u64> {
        let (resolved, decided) = (self.core.resolved(), self.core.decided());
        vec![
            resolved.transaction,
            resolved.set_recovered,
            decided.intent_made,
            decided.bundle_handed,
        ]
    }
}

/// The usual way, transactions deserialised.
struct Usual<'a> {
    name: &'static str,
    reassembler: Reassembler<'a>,
    transactions: u64,
}

impl<'a> Usual<'a> {
    fn lane(name: &'static str, leaders: Option<&'a LeaderSource>) -> Lane<'a> {
        lane(Self {
            name,
            reassembler: Reassembler::new(leaders.map(|leaders| leaders as &dyn Leaders)),
            transactions: 0,
        })
    }
}

impl Contestant for Usual<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn take(&mut self, datagrams: &mut dyn Iterator<Item = &[u8]>) {
        let transactions = &mut self.transactions;
        for datagram in datagrams {
            self.reassembler.handle(datagram, |_, batch| {
                for entry in usual::entries(batch) {
                    *transactions += black_box(entry.transactions).len() as u64;
                }
            });
        }
    }

    fn note(&self) -> String {
        format!(
            "{} transactions, {} sets recovered",
            self.transactions, self.reassembler.recovered
        )
    }

    fn vital(&self) -> Vec<u64> {
        vec![self.transactions, self.reassembler.recovered]
    }
}
