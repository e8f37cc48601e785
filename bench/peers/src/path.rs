//! Datagrams to transactions: ours without checks, before and after checking, and the `shredstream` package, as it
//! comes and with the checks it leaves to others. `trusted` checks what that package checks: nothing but the form.
//!
//! Captures are taken by fresh state in every pass, generated traffic chunk after chunk by state that lives on. Making
//! the state is outside the clock.

use std::collections::{BTreeSet, HashSet};
use std::hint::black_box;
use std::net::{Ipv4Addr, UdpSocket};

use bench::figures::Findings;
use bench::ours::{for_bursts, resolver, small_resolver};
use bench::row::{Entrant, Row};
use bench::traffic::Stream;
use demo::Datagrams;
use hdrhistogram::Histogram;
use overmind::clock::Ticker;
use overmind::leaders::LeaderSource;
use overmind::rungs::histogram;
use shred_resolve::{Policy, ResolvedTxn, Resolver, Sink};
use shredstream::{ListenerOptions, ShredListener};

use crate::Context;
use crate::reference::Shred;

const SEED: u64 = 21;
/// Datagrams per chunk of generated traffic.
const CHUNK: usize = 100_000;
/// Datagrams timed together.
const SLICE: usize = 2_048;
/// Slots the leader schedule covers.
const SLOTS: u64 = 20_000;

/// Who takes part, in the order of the rows.
const CONTESTANTS: [&str; 5] = ["trusted", "unverified", "verified", RIVAL, CHECKED_RIVAL];
const RIVAL: &str = "shredstream";
const CHECKED_RIVAL: &str = "shredstream_checked";

/// Measures every capture and generated traffic.
///
/// # Errors
/// A sentence when a contestant found nothing.
pub(crate) fn measure(context: &Context) -> Result<Findings, String> {
    let mut findings = Findings::default();
    for capture in &context.captures {
        let is_long = capture.datagrams.len() > 5_000;
        let (runs, passes) = context.size((9, if is_long { 5 } else { 15 }), (5, 3));
        let make = |at| contestant(at, &capture.leaders, small_resolver);
        let mut lanes = lanes();
        // The first run warms up and books nothing.
        for run in 0..=runs {
            for turn in 0..lanes.len() {
                let at = (turn + run) % lanes.len();
                let mut log = histogram();
                for _ in 0..passes {
                    let mut contestant = make(at)?;
                    let slice = capture.datagrams.len();
                    lanes[at].take(
                        contestant.as_mut(),
                        &capture.datagrams,
                        slice,
                        context.ticker,
                        &mut log,
                    );
                }
                lanes[at].entrant.book(&log);
            }
            if run == 0 {
                lanes = self::lanes();
            }
        }
        let slice = capture.datagrams.len();
        findings.rows.extend(rows(capture.name, &lanes, slice));
        let all = (0..CONTESTANTS.len()).map(make).collect::<Result<_, _>>()?;
        let found = Found::by(all, &[&capture.datagrams]);
        findings.notes.push(found.sentence(capture.name)?);
    }
    generated(context, &mut findings)?;
    Ok(findings)
}

/// Full blocks, 4 % of the datagrams lost on their way.
fn generated(context: &Context, findings: &mut Findings) -> Result<(), String> {
    let mut stream = Stream::new(SEED, 1_000);
    let leaders = stream.leaders(SLOTS);
    let make = || -> Result<Vec<_>, String> {
        let each = 0..CONTESTANTS.len();
        each.map(|at| contestant(at, &leaders, resolver)).collect()
    };
    let (mut all, mut lanes, mut kept) = (make()?, lanes(), Vec::new());
    for chunk in 0..=context.size(9, 5) {
        let mut datagrams = Datagrams::new();
        stream.fill(context.size(CHUNK, CHUNK / 5), &mut datagrams);
        for turn in 0..lanes.len() {
            let at = (turn + chunk) % lanes.len();
            let (contestant, mut log) = (all[at].as_mut(), histogram());
            lanes[at].take(contestant, &datagrams, SLICE, context.ticker, &mut log);
            lanes[at].entrant.book(&log);
        }
        if chunk == 0 {
            lanes = self::lanes();
        }
        if kept.len() < 2 {
            kept.push(datagrams);
        }
    }
    findings.rows.extend(rows("generated", &lanes, SLICE));
    let kept: Vec<&Datagrams> = kept.iter().collect();
    let found = Found::by(make()?, &kept);
    findings.notes.push(found.sentence("generated")?);
    Ok(())
}

/// What one contestant took.
#[derive(Default)]
struct Lane {
    /// Nanoseconds of slices, by run.
    entrant: Entrant,
    datagrams: u64,
    nanos: u64,
}

fn lanes() -> Vec<Lane> {
    CONTESTANTS.map(|_| Lane::default()).into()
}

impl Lane {
    fn take(
        &mut self,
        contestant: &mut dyn Contestant,
        datagrams: &Datagrams,
        slice: usize,
        ticker: Ticker,
        log: &mut Histogram<u64>,
    ) {
        let mut all = datagrams.iter();
        let mut left = datagrams.len();
        while left > 0 {
            let count = slice.min(left);
            let start = ticker.nanos();
            contestant.take(&mut all.by_ref().take(count));
            let spent = ticker.nanos().wrapping_sub(start);
            if count == slice {
                log.saturating_record(spent);
            }
            self.nanos += spent;
            left -= count;
        }
        self.datagrams += datagrams.len() as u64;
    }
}

fn rows(name: &str, lanes: &[Lane], slice: usize) -> Vec<Row> {
    let [trusted, unverified, verified, rival, checked_rival] = lanes else {
        return Vec::new();
    };
    let row = |at: usize| {
        let lane = &lanes[at];
        Row::rate(
            format!("path.{name}.{}", CONTESTANTS[at]),
            "datagrams/s",
            slice as u64,
            &lane.entrant.total,
            lane.datagrams,
            lane.nanos,
        )
    };
    let against = |row: Row, ours: &Lane| {
        row.beside(RIVAL, rival.entrant.over(&ours.entrant))
            .beside(CHECKED_RIVAL, checked_rival.entrant.over(&ours.entrant))
    };
    vec![
        against(row(0), trusted),
        against(row(1), unverified),
        against(row(2), verified),
        row(3),
        row(4),
    ]
}

/// One way to take datagrams.
trait Contestant {
    /// In the clock.
    fn take(&mut self, datagrams: &mut dyn Iterator<Item = &[u8]>);
    /// The same, outside of it.
    fn find(&mut self, datagrams: &Datagrams, found: &mut Ids);
    /// Transactions it has found and not given out by the door it is fed through.
    fn withheld(&self) -> u64 {
        0
    }
}

/// The contestant at this place among [`CONTESTANTS`], fresh.
fn contestant<'a>(
    at: usize,
    leaders: &'a LeaderSource,
    resolver: impl Fn() -> Resolver,
) -> Result<Box<dyn Contestant + 'a>, String> {
    let ours = |policy, leaders| Ours {
        resolver: resolver(),
        policy,
        leaders,
        arrived: 0,
    };
    Ok(match at {
        0 => Box::new(ours(Policy::Trusted, &LeaderSource::Absent)),
        1 => Box::new(ours(Policy::EmitThenVerify, &LeaderSource::Absent)),
        2 => Box::new(ours(Policy::VerifyThenEmit, leaders)),
        3 => Box::new(Shredstream::new()?),
        _ => Box::new(Checked {
            rival: Shredstream::new()?,
            leaders,
            signed: HashSet::new(),
        }),
    })
}

struct Ours<'a> {
    resolver: Resolver,
    policy: Policy,
    leaders: &'a LeaderSource,
    arrived: u64,
}

impl Ours<'_> {
    /// In bursts, as the core takes them.
    #[inline]
    fn feed<'d>(&mut self, datagrams: impl Iterator<Item = &'d [u8]>, seen: impl FnMut(&[u8; 64])) {
        let mut teller = Teller(seen);
        for_bursts(datagrams, self.arrived, self.policy, |burst| {
            self.arrived += burst.len() as u64;
            for index in 0..burst.len() {
                let _ = self
                    .resolver
                    .handle_in(burst, index, self.leaders, &mut teller);
            }
        });
    }
}

impl Contestant for Ours<'_> {
    fn take(&mut self, datagrams: &mut dyn Iterator<Item = &[u8]>) {
        self.feed(datagrams, |signature| {
            black_box(signature);
        });
    }

    fn find(&mut self, datagrams: &Datagrams, found: &mut Ids) {
        self.feed(datagrams.iter(), |signature| found.add(signature));
    }
}

struct Teller<F>(F);

impl<F: FnMut(&[u8; 64])> Sink for Teller<F> {
    #[inline]
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        (self.0)(txn.view.signature());
    }
}

/// The package by its own door: `ShredListener::handle_packet`, which its receive loop comes down to as well. Its
/// default options; the socket it wants is bound and never read.
struct Shredstream {
    listener: ShredListener,
}

impl Shredstream {
    fn new() -> Result<Self, String> {
        let said = |error: std::io::Error| format!("shredstream: {error}");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(said)?;
        let made = quietly(|| ShredListener::from_socket(socket, ListenerOptions::default()));
        Ok(Self {
            listener: made.map_err(said)?,
        })
    }

    #[inline]
    fn feed(&mut self, datagram: &[u8], mut seen: impl FnMut(&[u8; 64])) {
        if let Some((_, transactions)) = self.listener.handle_packet(datagram) {
            let ids = transactions.iter().filter_map(|one| one.signatures.first());
            ids.for_each(|signature| seen(signature.as_array()));
        }
    }
}

impl Contestant for Shredstream {
    fn take(&mut self, datagrams: &mut dyn Iterator<Item = &[u8]>) {
        for datagram in datagrams {
            self.feed(datagram, |signature| {
                black_box(signature);
            });
        }
    }

    fn find(&mut self, datagrams: &Datagrams, found: &mut Ids) {
        for datagram in datagrams.iter() {
            self.feed(datagram, |signature| found.add(signature));
        }
    }

    fn withheld(&self) -> u64 {
        self.listener.salvaged_tail_tx_total()
    }
}

/// The package behind what it leaves to its user: every shred's Merkle path hashed, one signature checked per set.
struct Checked<'a> {
    rival: Shredstream,
    leaders: &'a LeaderSource,
    /// Slot, set and root of what a leader has signed.
    signed: HashSet<(u64, u32, [u8; 32])>,
}

impl Checked<'_> {
    #[inline]
    fn feed(&mut self, datagram: &[u8], seen: impl FnMut(&[u8; 64])) {
        let Some(shred) = Shred::parse(datagram) else {
            return;
        };
        let root = shred.root();
        let key = (shred.slot, shred.set, root);
        if !self.signed.contains(&key) {
            if !shred.is_signed(&root, self.leaders) {
                return;
            }
            self.signed.insert(key);
        }
        self.rival.feed(datagram, seen);
    }
}

impl Contestant for Checked<'_> {
    fn take(&mut self, datagrams: &mut dyn Iterator<Item = &[u8]>) {
        for datagram in datagrams {
            self.feed(datagram, |signature| {
                black_box(signature);
            });
        }
    }

    fn find(&mut self, datagrams: &Datagrams, found: &mut Ids) {
        for datagram in datagrams.iter() {
            self.feed(datagram, |signature| found.add(signature));
        }
    }

    fn withheld(&self) -> u64 {
        self.rival.withheld()
    }
}

/// Without the line that the package writes to standard error for every listener.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: plain calls on descriptors that are ours; this program has one thread, so nobody else writes between.
    unsafe {
        let kept = libc::dup(libc::STDERR_FILENO);
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if kept < 0 || null < 0 {
            return work();
        }
        libc::dup2(null, libc::STDERR_FILENO);
        let made = work();
        libc::dup2(kept, libc::STDERR_FILENO);
        libc::close(kept);
        libc::close(null);
        made
    }
}

/// Ids of transactions, and how many were told: generated traffic repeats its transactions.
#[derive(Default)]
struct Ids {
    distinct: BTreeSet<[u8; 64]>,
    told: u64,
}

impl Ids {
    fn add(&mut self, signature: &[u8; 64]) {
        self.distinct.insert(*signature);
        self.told += 1;
    }
}

/// The transactions each contestant finds in the same datagrams.
struct Found {
    datagrams: usize,
    by: Vec<Ids>,
    withheld: Vec<u64>,
}

impl Found {
    fn by(contestants: Vec<Box<dyn Contestant + '_>>, datagrams: &[&Datagrams]) -> Self {
        let mut found = Self {
            datagrams: datagrams.iter().map(|some| some.len()).sum(),
            by: Vec::new(),
            withheld: Vec::new(),
        };
        for mut contestant in contestants {
            let mut ids = Ids::default();
            for some in datagrams {
                contestant.find(some, &mut ids);
            }
            found.by.push(ids);
            found.withheld.push(contestant.withheld());
        }
        found
    }

    fn sentence(&self, name: &str) -> Result<String, String> {
        let [trusted, unverified, verified, rival, checked_rival] = &self.by[..] else {
            return Err(format!("path.{name}: not everybody took part"));
        };
        let told: Vec<u64> = self.by.iter().map(|ids| ids.told).collect();
        if told.contains(&0) {
            return Err(format!("path.{name}: somebody found nothing: {told:?}"));
        }
        let rivals = [
            (RIVAL, rival, self.withheld[3]),
            (CHECKED_RIVAL, checked_rival, self.withheld[4]),
        ];
        let rivals = rivals.map(|(name, ids, withheld)| {
            let more = match withheld {
                0 => String::new(),
                more => format!(
                    " (and {more} from evicted slots, which only its socket loop hands out)"
                ),
            };
            let strange = ids.distinct.difference(&verified.distinct).count();
            format!(
                "{} by {name}{more}, {strange} of them not by ours",
                ids.told
            )
        });
        Ok(format!(
            "path.{name}: {} datagrams; transactions found: {} trusted, {} unverified, {} verified; {}",
            self.datagrams,
            trusted.told,
            unverified.told,
            verified.told,
            rivals.join("; "),
        ))
    }
}
