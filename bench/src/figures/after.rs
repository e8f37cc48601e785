//! What comes after the resolver on the core's thread: the arbiter, which is told every datagram, and the chain (forks,
//! votes, the slot's clock), which is told sets, transactions and blocks.
//!
//! Generated traffic, verified, with leaders and the stakes of its 24 voters among 1,000 others. Four lanes take the same
//! slices of 512 datagrams by turns: the resolver alone, with the arbiter, with the chain, with both. What one adds is
//! the slice's nanoseconds less those of the resolver alone, slice by slice, and the row is the distribution of that.
//! Differences below nothing, which disturbed slices have, count as 0. The arbiter stands for one source; each further
//! source that brings a shred costs the same again.

use std::hint::black_box;
use std::sync::Arc;

use demo::Datagrams;
use hdrhistogram::Histogram;
use overmind::chain::Chain;
use overmind::clock::Ticker;
use overmind::commands::demo::resolve_plan;
use overmind::leaders::{Follower, LeaderCell, LeaderSource};
use overmind::rungs::histogram;
use shred_resolve::{
    Arbiter, ArbiterPlan, BlockEnd, Equivocation, Policy, ResolvedTxn, Resolver, Retract, SeenVote,
    SetLink, Sink, SourceId,
};
use sidecar::{Refreshed, StakeAnswer};

use crate::figures::{Context, Findings};
use crate::ours::{for_bursts, resolver};
use crate::row::{Entrant, Row};
use crate::traffic::{Stream, arrival};

const SEED: u64 = 13;
/// Datagrams timed together.
const SLICE: usize = 512;
/// Bytes fetched together.
const CACHE_LINE: usize = 64;
/// Slots the leader schedule covers.
const SLOTS: u64 = 10_000;
/// Voters that nobody hears of: mainnet has some 1,000.
const OTHER_VOTERS: usize = 1_000;
const POLICY: Policy = Policy::VerifyThenEmit;

/// Measures all four.
///
/// # Errors
/// A sentence when nothing was resolved, or no vote counted.
pub fn measure(context: &Context) -> Result<Findings, String> {
    let mut stream = Stream::signed(SEED);
    let leaders = stream.leaders(SLOTS);
    let mut datagrams = Datagrams::new();
    stream.fill(context.size(128, 24) * SLICE, &mut datagrams);
    let cell = stakes_of(&datagrams, &leaders)?;
    let (mut alone, mut added) = (Entrant::default(), LANES.map(|_| Added::default()));
    let mut last = None;
    // The first pass warms up.
    for pass in 0..=context.size(7, 2) {
        let mut lanes = LANES.map(|(_, arbiter, chain)| Lane::new(arbiter, chain, &cell));
        let mut logs = Logs::new();
        let all: Vec<&[u8]> = datagrams.iter().collect();
        for (number, slice) in all.chunks_exact(SLICE).enumerate() {
            let mut took = [0; LANES.len()];
            for turn in 0..LANES.len() {
                let at = (turn + number) % LANES.len();
                took[at] = lanes[at].take(slice, &leaders, context.ticker);
            }
            logs.book(took, lanes[0].last_transactions);
        }
        if pass > 0 {
            alone.book(&logs.alone);
            for (added, logs) in added.iter_mut().zip(&logs.added) {
                added.datagram.book(&logs.0);
                added.transaction.book(&logs.1);
            }
        }
        last = Some(lanes);
    }
    let mut findings = Findings::default();
    let name = "after.resolver_alone.datagram";
    findings.rows.push(Row::latency(name, &alone.total));
    for ((name, ..), added) in LANES.iter().zip(&added).skip(1) {
        for (per, entrant) in [
            ("datagram", &added.datagram),
            ("transaction", &added.transaction),
        ] {
            let row = Row::latency(format!("after.{name}.added_per_{per}"), &entrant.total);
            findings.rows.push(match per {
                "datagram" => row.beside("resolver_alone", alone.over(entrant)),
                _ => row,
            });
        }
    }
    let Some([.., both]) = last else {
        return Err("after: no pass".to_owned());
    };
    findings.notes.push(both.in_words(&datagrams)?);
    Ok(findings)
}

/// Name, with an arbiter, with a chain. The first is what the others are compared with.
const LANES: [(&str, bool, bool); 4] = [
    ("resolver_alone", false, false),
    ("arbiter", true, false),
    ("chain", false, true),
    ("both", true, true),
];

#[derive(Default)]
struct Added {
    datagram: Entrant,
    transaction: Entrant,
}

/// One pass.
struct Logs {
    alone: Histogram<u64>,
    added: [(Histogram<u64>, Histogram<u64>); LANES.len()],
}

impl Logs {
    fn new() -> Self {
        Self {
            alone: histogram(),
            added: LANES.map(|_| (histogram(), histogram())),
        }
    }

    fn book(&mut self, took: [u64; LANES.len()], transactions: u64) {
        let alone = took[0];
        self.alone.saturating_record(alone / SLICE as u64);
        for (logs, took) in self.added.iter_mut().zip(took).skip(1) {
            let added = took.saturating_sub(alone);
            logs.0.saturating_record(added / SLICE as u64);
            if let Some(added) = added.checked_div(transactions) {
                logs.1.saturating_record(added);
            }
        }
    }
}

/// One of the four, with state that lives for a pass.
struct Lane {
    resolver: Resolver,
    arbiter: Option<Arbiter>,
    told: ToldOn,
    arrived: u64,
    last_transactions: u64,
}

impl Lane {
    fn new(arbiter: bool, chain: bool, cell: &Arc<LeaderCell>) -> Self {
        Self {
            resolver: resolver(),
            arbiter: arbiter.then(|| Arbiter::new(&ArbiterPlan::beside(&resolve_plan(None), 2))),
            told: ToldOn {
                chain: chain.then(|| Box::new(Chain::new(Some(Arc::clone(cell))))),
                transactions: 0,
            },
            arrived: 0,
            last_transactions: 0,
        }
    }

    /// Nanoseconds for a slice.
    fn take(&mut self, slice: &[&[u8]], leaders: &LeaderSource, ticker: Ticker) -> u64 {
        let before = self.told.transactions;
        // Whichever lane is first would otherwise fetch the bytes for all.
        for datagram in slice {
            black_box(
                datagram
                    .iter()
                    .step_by(CACHE_LINE)
                    .fold(0, |sum, byte| sum ^ byte),
            );
        }
        let start = ticker.nanos();
        let (resolver, arbiter, told) = (&mut self.resolver, &mut self.arbiter, &mut self.told);
        let first = self.arrived;
        for_bursts(slice.iter().copied(), first, POLICY, |burst| {
            for (index, arrived) in burst.iter().enumerate() {
                let outcome = resolver.handle_in(burst, index, leaders, told);
                if let Some(arbiter) = arbiter {
                    let (bytes, at) = (arrived.bytes(), arrived.arrival());
                    arbiter.note(bytes, at.source, at.at, outcome, leaders);
                }
            }
        });
        let spent = ticker.nanos().wrapping_sub(start);
        self.arrived += slice.len() as u64;
        self.last_transactions = self.told.transactions - before;
        spent
    }

    fn in_words(&self, datagrams: &Datagrams) -> Result<String, String> {
        let (Some(arbiter), Some(chain)) = (&self.arbiter, &self.told.chain) else {
            return Err("after: a lane with both has neither".to_owned());
        };
        let counted = chain.votes().counters().vote_counted;
        let tally = &arbiter.sources()[usize::from(SourceId(0).0)];
        if self.told.transactions == 0 || counted == 0 || tally.first == 0 {
            return Err(format!(
                "after: {} transactions, {counted} votes counted, {} shreds first",
                self.told.transactions, tally.first
            ));
        }
        Ok(format!(
            "after: {} datagrams a pass, {} transactions, {counted} votes counted, {} shreds first by the arbiter",
            datagrams.len(),
            self.told.transactions,
            tally.first
        ))
    }
}

/// Counts, and tells the chain if there is one.
struct ToldOn {
    chain: Option<Box<Chain>>,
    transactions: u64,
}

impl Sink for ToldOn {
    #[inline]
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        black_box(txn.view.signature());
        self.transactions += 1;
        if let Some(chain) = &mut self.chain {
            chain.transaction(txn);
        }
    }

    fn set(&mut self, link: &SetLink) {
        if let Some(chain) = &mut self.chain {
            chain.set(link);
        }
    }

    fn block(&mut self, block: &BlockEnd) {
        if let Some(chain) = &mut self.chain {
            chain.block(block);
        }
    }

    fn retract(&mut self, retract: &Retract) {
        if let Some(chain) = &mut self.chain {
            chain.retract(retract);
        }
    }

    fn equivocation(&mut self, equivocation: &Equivocation) {
        if let Some(chain) = &mut self.chain {
            chain.equivocation(equivocation);
        }
    }
}

/// Stakes for all that vote in `datagrams`, and for others.
fn stakes_of(datagrams: &Datagrams, leaders: &LeaderSource) -> Result<Arc<LeaderCell>, String> {
    let mut voters = Voters::default();
    let mut resolver = resolver();
    for (ordinal, datagram) in datagrams.iter().enumerate() {
        let at = arrival(ordinal as u64, POLICY);
        let _ = resolver.handle(datagram, at, leaders, &mut voters);
    }
    let others = (0..OTHER_VOTERS).map(|number| {
        let mut voter = [0xee; 32];
        voter[..8].copy_from_slice(&(number as u64).to_le_bytes());
        (voter, [0xef; 32])
    });
    let stakes: Vec<StakeAnswer> = voters
        .0
        .into_iter()
        .chain(others)
        .map(|(voter, node)| StakeAnswer {
            voter,
            node,
            lamports: 1_000_000_000,
        })
        .collect();
    let cell = Arc::new(LeaderCell::default());
    Follower::new(Arc::clone(&cell), resolve_plan(None).slots_behind).stakes(1, &stakes)?;
    cell.warm();
    Ok(cell)
}

/// Vote accounts with the first signer of their votes.
#[derive(Default)]
struct Voters(std::collections::BTreeMap<[u8; 32], [u8; 32]>);

impl Sink for Voters {
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        if let (Some(Ok(vote)), Some(node)) = (SeenVote::of(&txn.view), txn.view.keys().first()) {
            self.0.entry(vote.voter).or_insert(*node);
        }
    }
}
