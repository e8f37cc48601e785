//! Seeded fuzz drivers, one per parser of outside bytes. They run on the stable toolchain and need nothing else.
//!
//! `fuzz TARGET|all [--seconds N] [--seed N]`. A finding is a panic: the driver prints seed and case, and running it
//! with that seed and `--case N` repeats it.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use brain_wire::{Message, Signal, SignalFrame};
use demo::shredder::{Datagrams, Shredder};
use ed25519_dalek::SigningKey;
use shred_resolve::{
    Arrival, Arrived, Checker, Leader, Leaders, NoLeaders, Plan, Policy, ResolvedTxn, Resolver,
    Sink, SourceId, Verdict,
};
use shred_source::PcapReader;
use shred_wire::batch::Marker;
use shred_wire::shred::{ShredLimits, ShredView};
use shred_wire::txn::{ScanStep, TxnScan, TxnView};
use shred_wire::{Nanos, Slot};

fn main() {
    let mut args = std::env::args().skip(1);
    let wanted = args.next().unwrap_or_else(|| "all".to_owned());
    let (mut seconds, mut seed, mut only) = (5u64, 1u64, None);
    while let Some(flag) = args.next() {
        let value = args.next().and_then(|value| value.parse().ok());
        match (flag.as_str(), value) {
            ("--seconds", Some(value)) => seconds = value,
            ("--seed", Some(value)) => seed = value,
            ("--case", Some(value)) => only = Some(value),
            _ => usage(),
        }
    }
    let targets: Vec<_> = TARGETS
        .iter()
        .filter(|(name, _)| wanted == "all" || wanted == *name)
        .collect();
    if targets.is_empty() {
        usage();
    }
    let corpus = Corpus::load();
    for (name, target) in targets {
        let cases = drive(
            name,
            *target,
            &corpus,
            Duration::from_secs(seconds),
            seed,
            only,
        );
        println!("fuzz {name}: {cases} cases, seed {seed}, no finding");
    }
    println!(
        "{} passed, 0 failed",
        if wanted == "all" { TARGETS.len() } else { 1 }
    );
}

fn usage() -> ! {
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    eprintln!(
        "usage: fuzz {}|all [--seconds N] [--seed N] [--case N]",
        names.join("|")
    );
    std::process::exit(2);
}

type Target = fn(&mut Dice, &Corpus);

const TARGETS: [(&str, Target); 6] = [
    ("shred", fuzz_shred),
    ("batch", fuzz_batch),
    ("transaction", fuzz_transaction),
    ("pcap", fuzz_pcap),
    ("signal", fuzz_signal),
    ("resolver", fuzz_resolver),
];

/// Runs `target` on case after case until the time is up. Each case has its own seed, so that any can be repeated
/// alone.
fn drive(
    name: &str,
    target: Target,
    corpus: &Corpus,
    time: Duration,
    seed: u64,
    only: Option<u64>,
) -> u64 {
    let start = Instant::now();
    let mut case = only.unwrap_or(0);
    loop {
        let mut dice = Dice(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ case.wrapping_mul(0xd1b5_4a32_d192_ed03),
        );
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&mut dice, corpus)));
        if outcome.is_err() {
            eprintln!("fuzz {name}: finding; repeat with: fuzz {name} --seed {seed} --case {case}");
            std::process::exit(1);
        }
        case += 1;
        if only.is_some() || (case.is_multiple_of(16) && start.elapsed() >= time) {
            return case;
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough to choose mutations.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Changes `bytes` in up to eight ways that parsers dislike.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(9) {
            let at = self.below(bytes.len());
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => {
                    let len = self.below(64);
                    bytes.extend((0..len).map(|_| 0));
                }
                2 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                3 if !bytes.is_empty() => bytes[at] = self.next() as u8,
                4 if !bytes.is_empty() => bytes[at] = *self.pick(&[0, 1, 0x7f, 0x80, 0x81, 0xff]),
                5 if !bytes.is_empty() => {
                    let end = (at + self.below(16)).min(bytes.len());
                    bytes[at..end].fill(0xff);
                }
                6 if !bytes.is_empty() => {
                    let end = (at + self.below(200)).min(bytes.len());
                    bytes.drain(at..end);
                }
                7 if !bytes.is_empty() => {
                    let end = (at + self.below(200)).min(bytes.len());
                    let copied = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, copied);
                }
                _ => {}
            }
        }
    }
}

/// Real bytes to start from.
struct Corpus {
    leaders: BTreeMap<u64, [u8; 32]>,
    captures: Vec<Vec<u8>>,
    datagrams: Vec<(u64, Vec<u8>)>,
    transactions: Vec<Vec<u8>>,
}

impl Corpus {
    fn load() -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let captures: Vec<Vec<u8>> = ["dev.lossy.pcap", "dev2.adversarial.pcap"]
            .iter()
            .map(|name| std::fs::read(folder.join(name)).unwrap())
            .collect();
        let mut datagrams = Vec::new();
        for capture in &captures {
            let mut reader = PcapReader::new(capture.as_slice()).unwrap();
            while let Some(datagram) = reader.next().unwrap() {
                datagrams.push((datagram.stamp.0, datagram.payload.to_vec()));
            }
        }
        let mut collected = Collect::default();
        resolve(&datagrams, Policy::VerifyThenEmit, &mut collected);
        assert!(
            collected.transactions.len() > 500,
            "the corpus has transactions"
        );
        let leaders = std::fs::read(folder.join("leaders.json")).unwrap();
        let leaders: BTreeMap<String, String> = serde_json::from_slice(&leaders).unwrap();
        let leaders = leaders.iter().map(|(slot, leader)| {
            let mut key = [0; 32];
            bs58::decode(leader).onto(&mut key).unwrap();
            (slot.parse().unwrap(), key)
        });
        Self {
            leaders: leaders.collect(),
            captures,
            datagrams,
            transactions: collected.transactions,
        }
    }

    /// A datagram from not far behind `at`, as it was or not, and its stamp.
    fn draw(&self, at: usize, dice: &mut Dice) -> (u64, Vec<u8>) {
        let (stamp, datagram) = &self.datagrams[(at + dice.below(96)) % self.datagrams.len()];
        let mut bytes = datagram.clone();
        match dice.below(10) {
            0 => dice.mutate(&mut bytes),
            1 if bytes.len() > 80 => {
                let slot = Slot(dice.next() >> dice.below(64));
                bytes[65..73].copy_from_slice(&slot.0.to_le_bytes());
            }
            2 if bytes.len() > 80 => bytes[dice.below(64)] ^= 1,
            _ => {}
        }
        (*stamp, bytes)
    }
}

#[derive(Default)]
struct Collect {
    transactions: Vec<Vec<u8>>,
    revoked: u64,
    sequence: u64,
}

impl Sink for Collect {
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        assert_eq!(txn.sequence, self.sequence, "sequences have no gap");
        self.sequence += 1;
        self.transactions.push(txn.view.bytes().to_vec());
    }

    fn verdict(&mut self, verdict: &Verdict) {
        assert!(verdict.from < verdict.to && verdict.to <= self.sequence);
        self.revoked += if verdict.authentic {
            0
        } else {
            verdict.to - verdict.from
        };
    }
}

/// A resolver small enough that every kind of exhaustion happens.
fn small_plan() -> Plan {
    Plan {
        slots_behind: 5,
        slots_ahead: 2,
        sets_max: 8,
        versions_max: 24,
        ..Plan::default()
    }
}

fn resolve(datagrams: &[(u64, Vec<u8>)], policy: Policy, sink: &mut Collect) {
    let mut resolver = Resolver::new(&Plan {
        sets_max: 128,
        versions_max: 512,
        ..Plan::default()
    });
    for (at, datagram) in datagrams {
        let _ = resolver.handle(
            datagram,
            Arrival {
                source: SourceId(0),
                policy,
                at: Nanos(*at),
            },
            &NoLeaders,
            sink,
        );
    }
}

/// Shreds: a view that parses can be read everywhere, and says the same with trailing bytes cut off.
fn fuzz_shred(dice: &mut Dice, corpus: &Corpus) {
    let mut bytes = dice.pick(&corpus.datagrams).1.clone();
    dice.mutate(&mut bytes);
    let limits = ShredLimits {
        shreds_per_slot_max: 1 << dice.below(33).min(31),
    };
    if let Ok(view) = ShredView::parse(&bytes, &limits) {
        assert!(
            view.index() < limits.shreds_per_slot_max
                && view.place() < 32
                && view.leaf_index() < 64
        );
        assert_eq!(view.area().len(), view.variant().capacity());
        assert_eq!(view.leaf_bytes().last_chunk(), Some(view.chained_root()));
        assert!(view.data_head().payload_len() <= 963 || view.leaf_index() >= 32);
        for level in 0..6 {
            let _ = view.sibling(level);
        }
        let exact = ShredView::parse(&bytes[..view.variant().shred_len()], &limits).unwrap();
        assert_eq!(exact.leaf_bytes(), view.leaf_bytes());
        assert_eq!(exact.chained_root(), view.chained_root());
    }
}

/// Transactions: a scan in pieces of any size ends where a scan in one piece does, and the view agrees.
fn fuzz_transaction(dice: &mut Dice, corpus: &Corpus) {
    let mut bytes = dice.pick(&corpus.transactions).clone();
    dice.mutate(&mut bytes);
    let whole = TxnScan::default().advance(&bytes);
    let (mut scan, mut at) = (TxnScan::default(), 0);
    let in_pieces = loop {
        match scan.advance(&bytes[..at]) {
            Ok(ScanStep::NeedMore) if at < bytes.len() => {
                at = (at + 1 + dice.below(97)).min(bytes.len())
            }
            other => break other,
        }
    };
    match (&whole, &in_pieces) {
        (Ok(ScanStep::Done { len: a }), Ok(ScanStep::Done { len: b })) => assert_eq!(a, b),
        (Ok(ScanStep::NeedMore), Ok(ScanStep::NeedMore)) | (Err(_), Err(_)) => {}
        _ => panic!("in one piece and in several differ"),
    }
    if let Ok(ScanStep::Done { len }) = whole
        && let Ok(view) = TxnView::parse(&bytes[..len])
    {
        assert_eq!(view.bytes().len(), len);
        let accounts: usize = view
            .instructions()
            .map(|instruction| instruction.accounts.len())
            .sum();
        let data: usize = view
            .instructions()
            .map(|instruction| instruction.data.len())
            .sum();
        assert!(accounts + data < len);
        assert!(view.signatures().len() >= view.required_signature_count().min(1));
        for index in 0..view.keys().len() {
            let _ = (view.is_signer(index), view.is_writable_static(index));
        }
        for lookup in view.lookups() {
            assert!(lookup.writable.len() + lookup.readonly.len() < len);
        }
    }
}

/// Batches: mutated bytes in validly made shreds never stop the resolver, and nothing is told twice.
fn fuzz_batch(dice: &mut Dice, corpus: &Corpus) {
    let mut batch = Vec::new();
    match dice.below(8) {
        0 => batch.extend_from_slice(&[0; 8][..dice.below(9)]),
        1 => {
            batch.extend_from_slice(&[0; 8]);
            batch.extend_from_slice(&1u16.to_le_bytes());
            batch.push(dice.below(5) as u8);
            batch.extend_from_slice(&(dice.below(300) as u16).to_le_bytes());
            batch.extend(
                (0..dice.below(300))
                    .map(|_| dice.next() as u8)
                    .collect::<Vec<_>>(),
            );
        }
        _ => {
            let entries = 1 + dice.below(4) as u64;
            batch.extend_from_slice(&entries.to_le_bytes());
            for _ in 0..entries {
                let txns = dice.below(12) as u64;
                batch.extend_from_slice(&1u64.to_le_bytes());
                batch.extend_from_slice(&[7; 32]);
                batch.extend_from_slice(&txns.to_le_bytes());
                for _ in 0..txns {
                    let txn: &Vec<u8> = dice.pick(&corpus.transactions);
                    batch.extend_from_slice(txn);
                }
            }
        }
    }
    if dice.below(4) > 0 {
        dice.mutate(&mut batch);
    }
    let _ = Marker::parse(&batch);
    let mut datagrams = Datagrams::new();
    let key = SigningKey::from_bytes(&[3; 32]);
    let mut shredder = Shredder::new(&key, None, 1000, 999, 1, [0; 32]);
    shredder.push_batch(&batch, 3, false, &mut datagrams);
    shredder.push_batch(&batch, 60, true, &mut datagrams);
    let mut order: Vec<_> = datagrams.iter().map(<[u8]>::to_vec).collect();
    for at in (1..order.len()).rev() {
        let other = at.saturating_sub(dice.below(40));
        order.swap(at, other);
    }
    let mut sink = Collect::default();
    let mut resolver = Resolver::new(&Plan {
        slots_behind: 1,
        slots_ahead: 1,
        ..small_plan()
    });
    for (at, datagram) in order.iter().enumerate() {
        let arrival = Arrival {
            source: SourceId(0),
            policy: Policy::VerifyThenEmit,
            at: Nanos(at as u64),
        };
        let _ = resolver.handle(datagram, arrival, &NoLeaders, &mut sink);
    }
    assert_eq!(sink.revoked, 0);
}

/// Captures: the reader ends, and every payload it gives lies within the file's bytes.
fn fuzz_pcap(dice: &mut Dice, corpus: &Corpus) {
    let capture = dice.pick(&corpus.captures);
    let keep = 24 + dice.below(6000);
    let mut bytes = capture[..keep.min(capture.len())].to_vec();
    if dice.below(4) == 0 {
        let link = *dice.pick(&[1u32, 101, 113, 228, 229, 276, 12]);
        bytes[20..24].copy_from_slice(&link.to_le_bytes());
    }
    dice.mutate(&mut bytes);
    let Ok(mut reader) = PcapReader::new(bytes.as_slice()) else {
        return;
    };
    let mut total = 0;
    while let Ok(Some(datagram)) = reader.next() {
        total += datagram.payload.len();
        assert!(total <= bytes.len());
    }
}

/// Signals: whatever the bytes, parsing ends in a message or a reason, and a signal survives its own frame.
fn fuzz_signal(dice: &mut Dice, _corpus: &Corpus) {
    let mut bytes = vec![0u8; 160];
    for byte in &mut bytes {
        *byte = dice.next() as u8;
    }
    bytes[..4].copy_from_slice(b"SGB1");
    bytes[4..6].copy_from_slice(&160u16.to_le_bytes());
    bytes[6..8].copy_from_slice(&(1 + dice.below(8) as u16).to_le_bytes());
    bytes[8..12].copy_from_slice(&[1, 0, 1, 0]);
    if dice.below(2) == 0 {
        bytes[54] = dice.below(10) as u8;
        bytes[55] = dice.below(4) as u8;
        bytes[96..100].copy_from_slice(&(dice.below(2_000_001) as i32 - 1_000_000).to_le_bytes());
        bytes[100..104].copy_from_slice(&(dice.below(1_000_001) as u32).to_le_bytes());
    }
    dice.mutate(&mut bytes);
    let _ = Message::parse(&bytes);
    if let Ok(frame) = SignalFrame::parse(&bytes)
        && let Ok(signal) = Signal::decode(&frame)
    {
        let again = Signal::decode(&signal.frame()).unwrap();
        assert_eq!(format!("{signal:?}"), format!("{again:?}"));
    }
}

/// The resolver as a state machine under duress: any sequence of real, mutated, repeated and foreign datagrams, any
/// policy, leaders known or not or not asked for, bursts, stamps that jump, signatures answered late or never, and too
/// little memory for it all. What comes out with memory to spare is `ingest-fuzz`'s business, which has a reference.
fn fuzz_resolver(dice: &mut Dice, corpus: &Corpus) {
    let plan = Plan {
        checks_max: *dice.pick(&[0, 0, 1, 4]),
        ..small_plan()
    };
    let mut resolver = Resolver::new(&plan);
    let mut sink = Collect::default();
    let leaders = SomeLeaders::draw(dice, &corpus.leaders);
    let start = dice.below(corpus.datagrams.len());
    let (mut step, mut ahead) = (0, 0);
    let mut under_way = Vec::new();
    while step < 300 {
        let source = SourceId(dice.below(3) as u8);
        let policy = *dice.pick(&[Policy::EmitThenVerify, Policy::VerifyThenEmit]);
        match dice.below(40) {
            0 => ahead += dice.next() % 5_000_000_000,
            1 => ahead = dice.next() >> dice.below(64),
            _ => {}
        }
        let together: Vec<_> = (step..step + 1 + dice.below(8))
            .map(|step| {
                let (stamp, bytes) = corpus.draw(start + step / 2, dice);
                let at = Nanos(stamp.saturating_add(ahead));
                (bytes, Arrival { source, policy, at })
            })
            .collect();
        let burst: Vec<_> = together
            .iter()
            .map(|(bytes, arrival)| Arrived::new(bytes, *arrival))
            .collect();
        for index in 0..burst.len() {
            let _ = resolver.handle_in(&burst, index, &leaders, &mut sink);
            under_way.extend(std::iter::from_fn(|| resolver.next_check()));
            assert!(under_way.len() <= plan.checks_max);
        }
        while !under_way.is_empty() && dice.below(3) > 0 {
            let check = under_way.swap_remove(dice.below(under_way.len()));
            resolver.checked(Checker::new().check(&check), &mut sink);
            under_way.extend(std::iter::from_fn(|| resolver.next_check()));
        }
        step += burst.len();
    }
    let counters = resolver.counters();
    let refused: u64 = counters.rejected.iter().sum();
    assert_eq!(
        counters.datagram,
        counters.shred_accepted + refused,
        "every datagram is used or counted"
    );
    assert_eq!(counters.transaction, sink.sequence);
    assert_eq!(counters.transaction_revoked, sink.revoked);
}

/// Nobody to ask, or some who can be named.
enum SomeLeaders {
    Nobody,
    These(BTreeMap<u64, [u8; 32]>),
}

impl SomeLeaders {
    fn draw(dice: &mut Dice, all: &BTreeMap<u64, [u8; 32]>) -> Self {
        match dice.below(3) {
            0 => Self::Nobody,
            known => {
                let some = all.iter().filter(|_| known == 1 || dice.below(4) > 0);
                Self::These(some.map(|(slot, leader)| (*slot, *leader)).collect())
            }
        }
    }
}

impl Leaders for SomeLeaders {
    fn leader(&self, slot: Slot) -> Leader {
        match self {
            Self::Nobody => NoLeaders.leader(slot),
            Self::These(leaders) => leaders
                .get(&slot.0)
                .map_or(Leader::Unnamed, |leader| Leader::Identity(*leader)),
        }
    }
}
