//! Same capture, same seed: the same state hash, whoever runs it and on however many threads. And another hash as soon
//! as anything that mattered is missing.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufWriter;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use demo::prng::Prng;
use demo::wire::{Wire, WireConfig};
use demo::{Datagrams, Generator, GeneratorConfig};
use overmind::cli::{ReplayArgs, ThreadsArg};
use overmind::commands::replay::replay;
use overmind::core_stage::CoreOutcome;
use overmind_tests::decoded;
use serde_json::Value;
use shred_resolve::Plan;
use shred_source::PcapWriter;
use shred_wire::Nanos;

const SLOTS: u64 = 60;
const SLOT_NS: u64 = 400_000_000;
const EPOCH_NS: u64 = 1_790_000_000_000_000_000;

/// A datagram and when it arrived.
type Arrived = (Nanos, Vec<u8>);

/// A capture that nobody's clock had a part in, its leaders, and the signatures of the launches in it.
struct Recorded {
    folder: PathBuf,
    leaders: PathBuf,
    datagrams: Vec<Arrived>,
    launches: BTreeSet<String>,
}

/// Replaced by whoever uses the same name: one name per test.
fn record(name: &str) -> Recorded {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("determinism-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    let mut generator = Generator::new(GeneratorConfig {
        seed: 11,
        ..GeneratorConfig::default()
    });
    let accidents = WireConfig {
        loss_bps: 100,
        duplicate_bps: 100,
        reorder_bps: 200,
        ..WireConfig::default()
    };
    let mut wire = Wire::new(accidents, Prng::new(12));
    let (mut out, mut datagrams, mut launches) = (Datagrams::new(), Vec::new(), BTreeSet::new());
    let first = generator.slot();
    while generator.slot() < first + SLOTS {
        out.clear();
        let begins = EPOCH_NS + (generator.slot() - first) * SLOT_NS;
        let report = generator.next_slot(&mut out);
        let succeeded = report
            .transactions
            .iter()
            .filter(|txn| txn.launch && txn.succeeded);
        launches.extend(succeeded.map(|txn| bs58::encode(txn.signature).into_string()));
        for (order, datagram) in (0..).zip(out.iter()) {
            let stamp = Nanos(begins + order * 50_000);
            let mut copies = 0;
            wire.pass(datagram, |bytes| {
                datagrams.push((Nanos(stamp.0 + copies), bytes.to_vec()));
                copies += 1;
            });
        }
    }
    let leaders = folder.join("leaders.json");
    std::fs::write(
        &leaders,
        generator
            .schedule()
            .identities_json(first..first + SLOTS + 8),
    )
    .unwrap();
    Recorded {
        folder,
        leaders,
        datagrams,
        launches,
    }
}

impl Recorded {
    fn write<'a>(&self, name: &str, datagrams: impl IntoIterator<Item = &'a Arrived>) -> PathBuf {
        let path = self.folder.join(name);
        let mut capture = PcapWriter::new(BufWriter::new(File::create(&path).unwrap())).unwrap();
        let end = SocketAddr::from((Ipv4Addr::LOCALHOST, 8_001));
        for (stamp, bytes) in datagrams {
            capture.write(*stamp, end, end, bytes).unwrap();
        }
        capture.flush().unwrap();
        path
    }

    fn args(&self, files: Vec<PathBuf>) -> ReplayArgs {
        ReplayArgs {
            files,
            config: None,
            leaders: Some(self.leaders.clone()),
            unverified: false,
            seed: None,
            as_fast_as_possible: true,
            threads: None,
            json: false,
        }
    }

    fn outcome(&self, file: &Path) -> CoreOutcome {
        replay(&self.args(vec![file.to_owned()])).unwrap()
    }

    /// Lines of `decode` that tell a launch.
    fn launch_lines(&self, file: &Path) -> Vec<Value> {
        let options = decoded::verified(&self.leaders, Plan::default());
        let mut lines = decoded::lines(&std::fs::read(file).unwrap(), &options);
        lines.retain(|line| {
            line["signature"]
                .as_str()
                .is_some_and(|name| self.launches.contains(name))
        });
        lines
    }
}

/// What a shred says of itself, read without the executor's readers (offsets: agave `ledger/src/shred.rs`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    slot: u64,
    set: u32,
    is_data: bool,
    index: u32,
}

fn place(shred: &[u8]) -> Place {
    let number = |at: usize| u32::from_le_bytes(shred[at..at + 4].try_into().unwrap());
    Place {
        slot: u64::from_le_bytes(shred[65..73].try_into().unwrap()),
        set: number(79),
        is_data: shred[64] & 0x80 != 0,
        index: number(73),
    }
}

#[test]
fn twice_and_fused_or_split_the_hash_is_the_same() {
    let recorded = record("same");
    let file = recorded.write("all.pcap", &recorded.datagrams);
    let mut outcomes = Vec::new();
    for threads in [
        ThreadsArg::Fused,
        ThreadsArg::Split,
        ThreadsArg::Fused,
        ThreadsArg::Split,
    ] {
        let args = ReplayArgs {
            threads: Some(threads),
            ..recorded.args(vec![file.clone()])
        };
        outcomes.push(replay(&args).unwrap());
    }
    let first = &outcomes[0];
    assert!(
        first.decided.intent_made >= 20,
        "{} intents",
        first.decided.intent_made
    );
    assert!(first.decided.bundle_handed > 0 && first.resolved.set_recovered > 0);
    assert!(
        first.refused.iter().map(|(_, count)| count).sum::<u64>() > 0,
        "refusals are hashed, so there must be some"
    );
    for outcome in &outcomes {
        assert_eq!(outcome.state_hash, first.state_hash);
        assert_eq!(outcome.resolved.named(), first.resolved.named());
    }
}

#[test]
fn another_wallet_is_another_hash() {
    let recorded = record("wallet");
    let file = recorded.write("all.pcap", &recorded.datagrams);
    let hash = |seed| {
        let args = ReplayArgs {
            seed,
            ..recorded.args(vec![file.clone()])
        };
        replay(&args).unwrap().state_hash
    };
    assert_eq!(hash(None), hash(Some(1)), "1 is the default");
    assert_ne!(hash(Some(1)), hash(Some(2)), "message bytes are hashed");
}

#[test]
fn several_files_are_one_stream() {
    let recorded = record("merged");
    let all = recorded.write("all.pcap", &recorded.datagrams);
    let every = |rest: usize| recorded.datagrams.iter().skip(rest).step_by(2);
    let halves = vec![
        recorded.write("even.pcap", every(0)),
        recorded.write("odd.pcap", every(1)),
    ];
    let mut stamps: Vec<_> = recorded.datagrams.iter().map(|(stamp, _)| *stamp).collect();
    stamps.dedup();
    assert!(
        stamps.is_sorted() && stamps.len() == recorded.datagrams.len(),
        "the merge has one answer"
    );
    let merged = replay(&recorded.args(halves.clone())).unwrap();
    assert_eq!(merged.state_hash, recorded.outcome(&all).state_hash);
    let half = recorded.outcome(&halves[0]);
    assert_ne!(merged.state_hash, half.state_hash);
}

#[test]
fn without_a_launchs_set_the_hash_is_another() {
    let recorded = record("set");
    let all = recorded.write("all.pcap", &recorded.datagrams);
    let hash = recorded.outcome(&all).state_hash;
    let line = &recorded.launch_lines(&all)[3];
    let lost = (
        line["slot"].as_u64().unwrap(),
        line["fec_set_index"].as_u64().unwrap() as u32,
    );
    let left = recorded.datagrams.iter().filter(|(_, shred)| {
        let place = place(shred);
        (place.slot, place.set) != lost
    });
    let without = recorded.write("without.pcap", left);
    let told = recorded.launch_lines(&without);
    assert!(
        !told
            .iter()
            .any(|other| other["signature"] == line["signature"]),
        "the launch is gone"
    );
    assert_ne!(recorded.outcome(&without).state_hash, hash);
}

#[test]
fn one_shred_decides_when_nothing_can_be_recovered() {
    let recorded = record("shred");
    let all = recorded.write("all.pcap", &recorded.datagrams);
    let whole = recorded.outcome(&all);
    // A launch whose set has lost no data shred: without its code shreds it has exactly the 32 it needs.
    let mut data: BTreeMap<(u64, u32), BTreeSet<u32>> = BTreeMap::new();
    for place in recorded
        .datagrams
        .iter()
        .map(|(_, shred)| place(shred))
        .filter(|place| place.is_data)
    {
        data.entry((place.slot, place.set))
            .or_default()
            .insert(place.index);
    }
    let (mut tried, mut shown) = (0, 0);
    for line in recorded.launch_lines(&all) {
        let set = (
            line["slot"].as_u64().unwrap(),
            line["fec_set_index"].as_u64().unwrap() as u32,
        );
        let belongs = |(_, shred): &Arrived| {
            let place = place(shred);
            (place.slot, place.set) == set
        };
        let last = line["datagram"].as_u64().unwrap() as usize;
        if data[&set].len() != 32 || !belongs(&recorded.datagrams[last]) || shown == 2 {
            continue;
        }
        tried += 1;
        // Neither code shreds nor second copies.
        let mut seen = BTreeSet::new();
        let bare: Vec<&Arrived> = recorded
            .datagrams
            .iter()
            .filter(|arrived| {
                !belongs(arrived)
                    || (place(&arrived.1).is_data && seen.insert(place(&arrived.1).index))
            })
            .collect();
        let bare_file = recorded.write("bare.pcap", bare.iter().copied());
        let told = recorded.launch_lines(&bare_file);
        let Some(line) = told
            .iter()
            .find(|other| other["signature"] == line["signature"])
        else {
            panic!("32 shreds are enough");
        };
        let needed = line["datagram"].as_u64().unwrap() as usize;
        if !belongs(bare[needed]) {
            continue;
        }
        shown += 1;
        let bare_hash = recorded.outcome(&bare_file).state_hash;
        assert_eq!(
            bare_hash, whole.state_hash,
            "what was not needed changes nothing"
        );
        let one_less = bare
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != needed)
            .map(|(_, arrived)| *arrived);
        let one_less = recorded.write("one-less.pcap", one_less);
        let told = recorded.launch_lines(&one_less);
        assert!(
            !told
                .iter()
                .any(|other| other["signature"] == line["signature"]),
            "the launch is gone"
        );
        assert_ne!(recorded.outcome(&one_less).state_hash, bare_hash);
    }
    assert!(
        shown > 0,
        "no launch of {} could be tried ({tried})",
        recorded.launches.len()
    );
}
