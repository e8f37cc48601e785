//! L0 in an open loop: captures at their own pace.
//!
//! Each datagram is due when its stamp says. The core's loop runs on this thread: it spins until the next is due, takes
//! all that are due by then as one burst and handles them one after the other; where it is behind it goes on at once.
//! Time starts at the *scheduled* arrival of the datagram with which a transaction became knowable and ends at the sink,
//! so that waiting for the datagrams before counts. Which datagram that is comes from a pass of the same resolver
//! without a clock, which also warms up code and tables; each timed pass then has a fresh resolver, all of whose
//! memory has been touched. Every transaction counts once, at its first telling.
//!
//! Not in it: receive and rings. While the core waits, the datagram that is due next is copied into a receive frame, as the
//! kernel does on a core that receives for itself. Not in the captures: real-time stamps of a cluster. Those of `dev` and
//! `dev2` are drawn by a model of one; `agave` has a datagram every 10 us, without pause.
//!
//! `floor` is what nothing can be quicker than, for each transaction by the datagram that completed it: a leaf hash, the
//! joins that no earlier shred of the set has paid for, a copy and, for a set's first shred, the leader's signature, all
//! as measured on this host in this run. What a set costs to recover, the transactions told before it by the same
//! datagram and the bursts before it have no part in the floor.

use std::collections::{HashMap, HashSet};
use std::hint::spin_loop;

use arrayvec::ArrayVec;
use hdrhistogram::Histogram;
use overmind::clock::Ticker;
use overmind::leaders::LeaderSource;
use overmind::rungs::histogram;
use overmind::topology::{Cell, cells};
use overmind::verify_stage::VerifyRings;
use shred_resolve::{Arrival, Arrived, Plan, Policy, ResolvedTxn, Resolver, Sink, SourceId};
use shred_source::RX_BURST;
use shred_wire::Nanos;
use shred_wire::shred::{SET_SHREDS, SIGNATURE_LEN, ShredLimits, ShredView};

use crate::figures::{Context, Findings};
use crate::floors::Floors;
use crate::ours::{run_verify, small_plan, verify_stage};
use crate::row::Row;
use crate::traffic::{Capture, all_captures};

/// Of longer captures only so much is played.
const SPAN_MAX: u64 = 3_000_000_000;
const SPAN_MAX_QUICK: u64 = 300_000_000;
/// Short captures are played again until so much time has passed.
const PLAYED_MIN: u64 = 500_000_000;
/// From building a pass to its first datagram.
const LEAD: u64 = 2_000_000;
/// A burst that starts later than this after its first datagram was due counts as late.
const LATE: u64 = 1_000;
/// What is due within this time is copied to a frame while the core waits.
const AHEAD: u64 = 20_000;
/// Bytes of a frame: the longest datagram in the captures is shorter.
const FRAME_LEN: usize = 2_048;

/// One way to play a capture.
struct Mode {
    name: &'static str,
    policy: Policy,
    /// Whether there is a leader schedule; without one signatures are not checked.
    leaders: bool,
    /// Whether signatures are checked by a second thread, or within the call.
    second_thread: bool,
}

impl Mode {
    /// A source that brings forgeries is no trusted one, and a second thread needs a second core.
    fn takes_part(&self, capture: &str) -> bool {
        let is_honest = self.policy != Policy::Trusted || !capture.contains("adversarial");
        is_honest && (!self.second_thread || has_second_core())
    }
}

const MODES: [Mode; 6] = [
    Mode {
        name: "unverified",
        policy: Policy::EmitThenVerify,
        leaders: false,
        second_thread: false,
    },
    Mode {
        name: "trusted",
        policy: Policy::Trusted,
        leaders: true,
        second_thread: false,
    },
    Mode {
        name: "unverified_leaders",
        policy: Policy::EmitThenVerify,
        leaders: true,
        second_thread: false,
    },
    Mode {
        name: "unverified_leaders.verify_thread",
        policy: Policy::EmitThenVerify,
        leaders: true,
        second_thread: true,
    },
    Mode {
        name: "verified",
        policy: Policy::VerifyThenEmit,
        leaders: true,
        second_thread: false,
    },
    Mode {
        name: "verified.verify_thread",
        policy: Policy::VerifyThenEmit,
        leaders: true,
        second_thread: true,
    },
];

/// Measures all captures that are there.
///
/// # Errors
/// A sentence when a capture cannot be read or nothing was found in it.
pub fn measure(context: &Context) -> Result<Findings, String> {
    let mut findings = Findings::default();
    let captures = match context.quick {
        true => crate::traffic::captures()?,
        false => all_captures()?,
    };
    for capture in captures {
        case(context, &capture, &mut findings)?;
    }
    Ok(findings)
}

fn case(context: &Context, capture: &Capture, findings: &mut Findings) -> Result<(), String> {
    let (ticker, floors) = (context.ticker, &context.floors);
    let played = Played::new(capture, context.size(SPAN_MAX, SPAN_MAX_QUICK));
    let turns = (PLAYED_MIN / played.span().max(1)).clamp(context.size(3, 1), 25);
    let name = capture.name;
    let mut floor = histogram();
    let mut results: Vec<Outcome> = Vec::new();
    let (absent, verified) = (LeaderSource::Absent, Policy::VerifyThenEmit);
    let truths = MODES.each_ref().map(|mode| {
        let leaders = if mode.leaders {
            &capture.leaders
        } else {
            &absent
        };
        played.learn(mode.policy, leaders)
    });
    for _ in &MODES {
        results.push(Outcome::default());
    }
    for turn in 0..turns as usize {
        for at in 0..MODES.len() {
            let at = (at + turn) % MODES.len();
            let (mode, truth) = (&MODES[at], &truths[at]);
            let leaders = if mode.leaders {
                &capture.leaders
            } else {
                &absent
            };
            if !mode.takes_part(name) {
                continue;
            }
            let mut told = Told::with_room(truth.known.len() * 2 + 1_024, ticker);
            let late = played.play(mode, leaders, &mut told);
            results[at].book(&played, truth, &told, late);
        }
    }
    let verified_truth = MODES.iter().position(|mode| mode.policy == verified);
    let verified_truth = &truths[verified_truth.unwrap_or_default()];
    for datagram in verified_truth.known.values() {
        floor.saturating_record(verified_truth.floor(*datagram, floors));
    }
    let parts = [
        ("copy", floors.copy),
        ("leaf", floors.leaf),
        ("join", floors.join),
        ("signature", floors.verify),
    ];
    for (mode, outcome) in MODES.iter().zip(&results) {
        if !mode.takes_part(name) {
            continue;
        }
        if outcome.latency.is_empty() {
            return Err(format!("open.{name}.{}: no transaction", mode.name));
        }
        let parts = if mode.policy == verified {
            &parts[..]
        } else {
            &parts[..1]
        };
        findings
            .rows
            .push(Row::latency(format!("open.{name}.{}", mode.name), &outcome.latency).over(parts));
        findings
            .notes
            .push(format!("open.{name}.{}: {}", mode.name, outcome.in_words()));
    }
    findings
        .rows
        .push(Row::latency(format!("open.{name}.floor"), &floor));
    findings.notes.push(format!(
        "open.{name}: {} datagrams in {} ms, {turns} times; {} of {} transactions knowable by a datagram that opens its \
         set, {} by one that makes a set recoverable",
        played.count,
        played.span() / 1_000_000,
        verified_truth.count(Kind::First),
        verified_truth.known.len(),
        verified_truth.count(Kind::Recovering),
    ));
    if !has_second_core() {
        let note = format!("open.{name}: one core only, so no `.verify_thread`");
        findings.notes.push(note);
    }
    Ok(())
}

fn has_second_core() -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

/// What a datagram did that made transactions known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// It went on with a set.
    Next,
    /// It was the first of its set: its signature was checked, where there are leaders.
    First,
    /// It made its set recoverable.
    Recovering,
}

/// What a pass without a clock found out about one datagram.
#[derive(Clone, Copy, Debug)]
struct Did {
    kind: Kind,
    joins: u64,
    signature: bool,
}

/// With which datagram each transaction becomes knowable, and what that datagram did.
struct Truth {
    /// By signature.
    known: HashMap<[u8; SIGNATURE_LEN], usize>,
    did: Vec<Did>,
}

impl Truth {
    fn floor(&self, datagram: usize, floors: &Floors) -> u64 {
        let did = self.did[datagram];
        floors.authenticated(did.joins, did.signature)
    }

    fn count(&self, kind: Kind) -> usize {
        let kinds = self.known.values().map(|datagram| self.did[*datagram].kind);
        kinds.filter(|other| *other == kind).count()
    }
}

/// The part of a capture that is played.
struct Played<'a> {
    capture: &'a Capture,
    count: usize,
    /// By datagram: nanoseconds after the first.
    due: Vec<u64>,
}

impl<'a> Played<'a> {
    fn new(capture: &'a Capture, span_max: u64) -> Self {
        let first = capture.stamps.first().copied().unwrap_or_default();
        // Stamps that go back are due at once.
        let mut latest = 0;
        let due: Vec<u64> = capture
            .stamps
            .iter()
            .map(|stamp| {
                latest = stamp.saturating_sub(first).max(latest);
                latest
            })
            .collect();
        let count = due.partition_point(|due| *due <= span_max);
        Self {
            capture,
            count,
            due,
        }
    }

    fn span(&self) -> u64 {
        self.count.checked_sub(1).map_or(0, |last| self.due[last])
    }

    fn bytes(&self, datagram: usize) -> &'a [u8] {
        self.capture.datagrams.get(datagram).unwrap_or_default()
    }

    fn arrived<'b>(&self, datagram: usize, bytes: &'b [u8], policy: Policy) -> Arrived<'b> {
        let arrival = Arrival {
            source: SourceId(0),
            policy,
            at: Nanos(self.capture.stamps[datagram]),
        };
        Arrived::new(bytes, arrival)
    }

    /// Goes through it without a clock.
    fn learn(&self, policy: Policy, leaders: &LeaderSource) -> Truth {
        let mut resolver = Resolver::new(&small_plan());
        let mut joins = Joins::default();
        let mut truth = Truth {
            known: HashMap::new(),
            did: Vec::with_capacity(self.count),
        };
        for datagram in 0..self.count {
            let arrived = [self.arrived(datagram, self.bytes(datagram), policy)];
            let counted = |resolver: &Resolver| {
                let counters = resolver.counters();
                [
                    counters.set_opened,
                    counters.set_recovered,
                    counters.signature_checked,
                ]
            };
            let before = counted(&resolver);
            let mut first = First {
                known: &mut truth.known,
                datagram,
            };
            let taken = resolver.handle_in(&arrived, 0, leaders, &mut first);
            let after = counted(&resolver);
            let kind = match () {
                () if after[1] > before[1] => Kind::Recovering,
                () if after[0] > before[0] => Kind::First,
                () => Kind::Next,
            };
            truth.did.push(Did {
                kind,
                joins: taken.map_or(0, |()| joins.of(arrived[0].bytes())),
                signature: after[2] > before[2],
            });
        }
        truth
    }

    /// Goes through it at its own pace.
    fn play(&self, mode: &Mode, leaders: &LeaderSource, told: &mut Told) -> Late {
        if !mode.second_thread {
            return self.run(mode, Resolver::new(&small_plan()), None, leaders, told);
        }
        let plan = Plan {
            checks_max: cells(Cell::Check),
            ..small_plan()
        };
        let resolver = Resolver::new(&plan);
        let (rings, mut stage) = verify_stage();
        std::thread::scope(|scope| {
            scope.spawn(move || run_verify(&mut stage));
            // The thread ends with the rings.
            self.run(mode, resolver, Some(rings), leaders, told)
        })
    }

    fn run(
        &self,
        mode: &Mode,
        mut resolver: Resolver,
        mut verify: Option<VerifyRings>,
        leaders: &LeaderSource,
        told: &mut Told,
    ) -> Late {
        let ticker = told.ticker;
        let mut frames = Frames::new();
        told.started = ticker.nanos() + LEAD;
        let (started, mut late, mut next) = (told.started, Late::default(), 0);
        while next < self.count {
            let due = started + self.due[next];
            let mut has_waited = false;
            let now = loop {
                while let Some(checked) = verify.as_mut().and_then(VerifyRings::receive) {
                    resolver.checked(checked, told);
                }
                let now = ticker.nanos();
                if now >= due {
                    break now;
                }
                has_waited = true;
                frames.fill(self, next, now.saturating_sub(started));
                spin_loop();
            };
            late.book(now - due, has_waited);
            let burst: ArrayVec<Arrived<'_>, RX_BURST> = (next..self.count)
                .take_while(|datagram| started + self.due[*datagram] <= now)
                .take(RX_BURST)
                .map(|datagram| {
                    let bytes = frames.bytes(self, datagram);
                    self.arrived(datagram, bytes, mode.policy)
                })
                .collect();
            next += burst.len();
            for index in 0..burst.len() {
                // A refusal is counted by the resolver.
                let _ = resolver.handle_in(&burst, index, leaders, told);
                if let Some(verify) = &mut verify {
                    while let Some(check) = resolver.next_check() {
                        verify.send(check);
                    }
                }
            }
        }
        while let Some(verify) = verify.as_mut().filter(|verify| verify.is_waiting()) {
            if let Some(checked) = verify.receive() {
                resolver.checked(checked, told);
            }
        }
        late
    }
}

/// Where datagrams lie that are due soon.
struct Frames {
    bytes: Vec<[u8; FRAME_LEN]>,
    /// Datagrams below were copied, the last [`RX_BURST`] of them are at hand.
    filled: usize,
}

impl Frames {
    fn new() -> Self {
        Self {
            bytes: vec![[1; FRAME_LEN]; RX_BURST],
            filled: 0,
        }
    }

    /// Copies what is due within [`AHEAD`] of `now`, from `next` on, one datagram a call. Both count from the first.
    #[inline]
    fn fill(&mut self, played: &Played<'_>, next: usize, now: u64) {
        let datagram = self.filled.max(next);
        let last = (next + RX_BURST).min(played.count);
        if datagram >= last || played.due[datagram] > now + AHEAD {
            return;
        }
        let bytes = played.bytes(datagram);
        let frame = &mut self.bytes[datagram % RX_BURST];
        if let Some(room) = frame.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            self.filled = datagram + 1;
        }
    }

    /// The datagram's bytes: in its frame if it was copied.
    #[inline]
    fn bytes<'b>(&'b self, played: &Played<'b>, datagram: usize) -> &'b [u8] {
        let bytes = played.bytes(datagram);
        let is_here = datagram < self.filled && datagram + RX_BURST >= self.filled;
        match self.bytes[datagram % RX_BURST].get(..bytes.len()) {
            Some(frame) if is_here => frame,
            _ => bytes,
        }
    }
}

/// Notes with which datagram each signature is told first.
struct First<'a> {
    known: &'a mut HashMap<[u8; SIGNATURE_LEN], usize>,
    datagram: usize,
}

impl Sink for First<'_> {
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        let signature = *txn.view.signature();
        self.known.entry(signature).or_insert(self.datagram);
    }
}

/// Transactions with the time of their telling, in memory that has been touched.
struct Told {
    ticker: Ticker,
    started: u64,
    transactions: Vec<(u64, [u8; SIGNATURE_LEN])>,
}

impl Told {
    fn with_room(count: usize, ticker: Ticker) -> Self {
        let mut transactions = vec![(1, [1; SIGNATURE_LEN]); count];
        transactions.clear();
        Self {
            ticker,
            started: 0,
            transactions,
        }
    }
}

impl Sink for Told {
    #[inline]
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        let now = self.ticker.nanos();
        self.transactions.push((now, *txn.view.signature()));
    }
}

/// Bursts that started late.
#[derive(Default, Clone, Copy)]
struct Late {
    bursts: u64,
    /// Though the core was waiting for them: the host took its time away.
    woken: u64,
    /// Because the core was at the ones before.
    queued: u64,
    /// The latest start, nanoseconds.
    most: u64,
}

impl Late {
    fn book(&mut self, late: u64, has_waited: bool) {
        self.bursts += 1;
        self.most = self.most.max(late);
        if late > LATE {
            *(if has_waited {
                &mut self.woken
            } else {
                &mut self.queued
            }) += 1;
        }
    }
}

/// All turns of one mode.
struct Outcome {
    latency: Histogram<u64>,
    /// By [`Kind`].
    kinds: [Histogram<u64>; 3],
    /// Of the first transaction that a datagram made knowable: those after it waited for their siblings.
    first: Histogram<u64>,
    late: Late,
    unknown: u64,
}

impl Default for Outcome {
    fn default() -> Self {
        Self {
            latency: histogram(),
            kinds: [histogram(), histogram(), histogram()],
            first: histogram(),
            late: Late::default(),
            unknown: 0,
        }
    }
}

impl Outcome {
    fn book(&mut self, played: &Played<'_>, truth: &Truth, told: &Told, late: Late) {
        let (mut seen, mut begun) = (HashSet::new(), HashSet::new());
        for (at, signature) in &told.transactions {
            if !seen.insert(signature) {
                continue;
            }
            let Some(datagram) = truth.known.get(signature) else {
                self.unknown += 1;
                continue;
            };
            let nanos = at.saturating_sub(told.started + played.due[*datagram]);
            self.latency.saturating_record(nanos);
            self.kinds[truth.did[*datagram].kind as usize].saturating_record(nanos);
            if begun.insert(*datagram) {
                self.first.saturating_record(nanos);
            }
        }
        self.late.bursts += late.bursts;
        self.late.woken += late.woken;
        self.late.queued += late.queued;
        self.late.most = self.late.most.max(late.most);
    }

    fn in_words(&self) -> String {
        let Late {
            bursts,
            woken,
            queued,
            most,
        } = self.late;
        let said = |log: &Histogram<u64>| {
            let [p50, p99, ..] = overmind::rungs::quantiles(log);
            format!("{} p50 {p50} p99 {p99}", log.len())
        };
        let [next, first, recovering] = self.kinds.each_ref().map(said);
        let alone = said(&self.first);
        let unknown = match self.unknown {
            0 => String::new(),
            unknown => format!("; {unknown} that the pass without a clock did not tell"),
        };
        format!(
            "the first of each datagram {alone}; by a set's next shred {next}, by its first {first}, by recovery \
             {recovering}; of {bursts} bursts {woken} \
             late by more than 1 us though waited for, {queued} because of those before, at most {most} ns{unknown}"
        )
    }
}

/// Counts the joins that shreds have to pay for, as the resolver's cache of nodes has them.
#[derive(Default)]
struct Joins {
    limits: ShredLimits,
    /// Nodes known by set and signature, numbered as in a heap from the root, which is 1.
    known: HashMap<(u64, u32, [u8; SIGNATURE_LEN]), u128>,
}

impl Joins {
    /// Of a shred that was taken.
    fn of(&mut self, datagram: &[u8]) -> u64 {
        let Ok(shred) = ShredView::parse(datagram, &self.limits) else {
            return 0;
        };
        let set = (shred.slot().0, shred.fec_set_index().0, *shred.signature());
        let known = self.known.entry(set).or_default();
        let mut node = 2 * SET_SHREDS + shred.leaf_index();
        let mut joins = 0;
        while node > 1 && *known >> node & 1 == 0 {
            *known |= 1 << node | 1 << (node ^ 1);
            node /= 2;
            joins += 1;
        }
        joins
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Goal: at a capture's pace, in bursts and with signatures checked elsewhere, exactly the transactions come out
    /// that come out one datagram at a time.
    #[test]
    fn every_mode_tells_what_a_pass_without_a_clock_tells() {
        let ticker = Ticker::calibrate();
        let captures = crate::traffic::captures().unwrap();
        let capture = captures.iter().find(|c| c.name == "agave").unwrap();
        let played = Played::new(capture, SPAN_MAX);
        assert_eq!(played.count, capture.datagrams.len());
        for mode in &MODES {
            let leaders = if mode.leaders {
                &capture.leaders
            } else {
                &LeaderSource::Absent
            };
            let truth = played.learn(mode.policy, leaders);
            assert!(!truth.known.is_empty(), "{}", mode.name);
            let mut told = Told::with_room(16, ticker);
            played.play(mode, leaders, &mut told);
            let found: HashSet<_> = told.transactions.iter().map(|told| told.1).collect();
            let expected: HashSet<_> = truth.known.keys().copied().collect();
            assert_eq!(found, expected, "{}", mode.name);
        }
    }

    /// Goal: all shreds of a set pay for each join of its tree once, the first of them for six.
    #[test]
    fn joins_are_paid_for_once() {
        let captures = crate::traffic::captures().unwrap();
        let capture = captures.iter().find(|c| c.name == "agave").unwrap();
        let (mut joins, mut by_set) = (Joins::default(), HashMap::<_, Vec<u64>>::new());
        for datagram in capture.datagrams.iter() {
            let shred = ShredView::parse(datagram, &ShredLimits::default()).unwrap();
            let set = by_set.entry((shred.slot(), shred.fec_set_index()));
            set.or_default().push(joins.of(datagram));
        }
        assert!(by_set.len() > 10);
        for counts in by_set.values().filter(|set| set.len() == 2 * SET_SHREDS) {
            assert_eq!(counts[0], 6);
            assert_eq!(counts.iter().sum::<u64>(), 2 * SET_SHREDS as u64 - 1);
        }
    }
}
