//! `overmind decode` against captures whose truth is known from elsewhere (tests/fixtures/README.md).
//!
//! A clone has the captures under tests/fixtures; where the complete set lies beside the checkout, that is used too.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use overmind::decode::DecodeOptions;
use overmind::leaders::LeaderSource;
use overmind_tests::decoded::{self, key, lines, transactions};
use serde_json::Value;
use shred_resolve::{Plan, Policy};

/// Key of a transaction: slot and signature.
type Txn = (u64, String);

fn folders() -> Vec<PathBuf> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let beside = workspace.join("../shared/data");
    let mut folders = vec![workspace.join("tests/fixtures")];
    folders.extend(beside.join("dev.clean.pcap").exists().then_some(beside));
    folders
}

/// The captures `names` that exist, each with its folder.
fn captures(names: &[&str]) -> Vec<(PathBuf, String)> {
    let found: Vec<_> = folders()
        .into_iter()
        .flat_map(|folder| {
            names
                .iter()
                .map(move |name| (folder.clone(), (*name).to_owned()))
        })
        .filter(|(folder, name)| folder.join(format!("{name}.pcap")).exists())
        .collect();
    assert!(!found.is_empty());
    found
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Room for what the captures hold: these tests build resolvers by the thousand.
fn plan(shred_version: Option<u16>) -> Plan {
    Plan {
        shred_version,
        sets_max: 64,
        versions_max: 256,
        ..Plan::default()
    }
}

fn with_leaders(folder: &std::path::Path, file: &str) -> DecodeOptions {
    decoded::verified(&folder.join(file), plan(None))
}

/// Transactions in the truth's order, with version, batch and whether they were retracted.
fn truth(folder: &std::path::Path, name: &str) -> Vec<Value> {
    let family = name.split('.').next().unwrap();
    let text = std::fs::read_to_string(folder.join(format!("{family}.truth.jsonl"))).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

const ARRIVALS: [&str; 6] = [
    "dev.clean",
    "dev.lossy",
    "dev.adversarial",
    "dev2.clean",
    "dev2.lossy",
    "dev2.adversarial",
];

/// Goal: exactly what the oracle calls knowable, each once, in order within its batch, at its datagram or earlier.
#[test]
fn decodes_what_is_knowable_when_it_becomes_knowable() {
    for policy in [Policy::VerifyThenEmit, Policy::EmitThenVerify] {
        for (folder, name) in captures(&ARRIVALS) {
            let options = DecodeOptions {
                policy,
                ..with_leaders(&folder, "leaders.json")
            };
            let out = lines(
                &std::fs::read(folder.join(format!("{name}.pcap"))).unwrap(),
                &options,
            );
            let oracle = json(folder.join(format!("{name}.oracle.json")));
            let mut knowable = BTreeMap::new();
            let mut place = BTreeMap::new();
            for (slot, ready) in truth(&folder, &name)
                .iter()
                .zip(oracle["slots"].as_array().unwrap())
            {
                let number = slot["slot"].as_u64().unwrap();
                assert_eq!(ready["slot"], slot["slot"]);
                let txns = slot["txs"].as_array().unwrap();
                for (order, (txn, at)) in txns
                    .iter()
                    .zip(ready["tx_ready_at"].as_array().unwrap())
                    .enumerate()
                {
                    let key = (number, txn["sig"].as_str().unwrap().to_owned());
                    place.insert(
                        key.clone(),
                        (
                            txn["batch"].as_u64().unwrap(),
                            order,
                            txn["version"].clone(),
                        ),
                    );
                    if let Some(at) = at.as_u64() {
                        knowable.insert(key, at);
                    }
                }
            }
            let mut told = BTreeSet::new();
            let mut last_in_batch = BTreeMap::new();
            for line in transactions(&out) {
                let key = key(line);
                let at = knowable
                    .get(&key)
                    .unwrap_or_else(|| panic!("{name}: {key:?} is not knowable"));
                assert!(
                    line["datagram"].as_u64().unwrap() <= *at,
                    "{name}: {key:?} is late"
                );
                let (batch, order, version) = &place[&key];
                assert_eq!(line["version"], *version, "{name}: {key:?}");
                assert!(
                    policy == Policy::EmitThenVerify || line["verified"] == true,
                    "{name}: {key:?}"
                );
                if let Some(before) = last_in_batch.insert((key.0, *batch), *order) {
                    assert!(before < *order, "{name}: {key:?} is out of order");
                }
                assert!(told.insert(key.clone()), "{name}: {key:?} twice");
            }
            assert_eq!(told.len(), knowable.len(), "{name}");
            assert!(!out.iter().any(|line| line["revoke"].is_object()), "{name}");
        }
    }
}

/// Goal: ordinals are real. Decoding the file cut after datagram k prints exactly the lines up to k.
#[test]
fn a_cut_capture_gives_the_lines_up_to_the_cut() {
    for (index, (folder, name)) in captures(&ARRIVALS).into_iter().enumerate() {
        let options = with_leaders(&folder, "leaders.json");
        let capture = std::fs::read(folder.join(format!("{name}.pcap"))).unwrap();
        let whole = lines(&capture, &options);
        let ends = record_ends(&capture);
        // Every cut of one capture; of the others a spread that no period of the data lines up with.
        let step = if index == 0 { 1 } else { 97 };
        for (k, end) in ends.iter().enumerate().skip(index).step_by(step) {
            let cut = lines(&capture[..*end], &options);
            let up_to_k = |line: &&Value| at_of(line).is_some_and(|at| at <= k as u64);
            let expected: Vec<_> = whole.iter().filter(up_to_k).collect();
            let got: Vec<_> = cut
                .iter()
                .filter(|line| line["summary"].is_null())
                .collect();
            assert_eq!(got, expected, "{name} cut after datagram {k}");
        }
    }
}

/// Datagram of a line of any kind but the summary.
fn at_of(line: &Value) -> Option<u64> {
    line["datagram"].as_u64().or_else(|| {
        line.as_object()?
            .values()
            .find_map(|inner| inner["datagram"].as_u64())
    })
}

/// Offsets at which the records of a little-endian pcap end.
fn record_ends(capture: &[u8]) -> Vec<usize> {
    let (mut at, mut ends) = (24, Vec::new());
    while let Some(len) = capture.get(at + 8..at + 12) {
        at += 16 + u32::from_le_bytes(len.try_into().unwrap()) as usize;
        ends.push(at);
    }
    ends
}

/// Goal: what an official validator's `getBlock` says of its blocks, from the blocks' shreds alone.
#[test]
fn a_validators_own_blocks() {
    for (folder, name) in captures(&["agave"]) {
        let options = with_leaders(&folder, "agave.leaders.json");
        let out = lines(
            &std::fs::read(folder.join(format!("{name}.pcap"))).unwrap(),
            &options,
        );
        let truth = json(folder.join("agave.truth.json"));
        let mut signatures: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for line in transactions(&out) {
            assert_eq!(line["verified"], true);
            signatures
                .entry(line["slot"].to_string())
                .or_default()
                .push(line["signature"].clone());
        }
        let blocks: BTreeMap<String, &Value> = out
            .iter()
            .filter(|line| line["block"].is_object())
            .map(|line| (line["block"]["slot"].to_string(), &line["block"]))
            .collect();
        for (slot, block) in truth.as_object().unwrap() {
            assert_eq!(
                Value::from(signatures[slot].clone()),
                block["signatures"],
                "slot {slot}"
            );
            assert_eq!(blocks[slot]["parent_slot"], block["parent"], "slot {slot}");
            assert_eq!(blocks[slot]["blockhash"], block["blockhash"], "slot {slot}");
            assert_eq!(
                blocks[slot]["transactions"],
                signatures[slot].len(),
                "slot {slot}"
            );
            assert_eq!(blocks[slot]["ticks_complete"], true, "slot {slot}");
        }
        assert_eq!(blocks.len(), truth.as_object().unwrap().len());
    }
}

/// Goal: two validly signed versions of a batch are told apart by root and reported, never mixed.
#[test]
fn equivocating_leaders_are_told_apart() {
    for (folder, name) in captures(&["dev.equivocation"]) {
        let truth = json(folder.join("dev.equivocation.truth.json"));
        let set = |value: &Value| -> BTreeSet<String> {
            match value {
                Value::Array(items) => items.iter().flat_map(set_of).collect(),
                _ => panic!("not a list"),
            }
        };
        let (common, a, b) = (
            set(&truth["common_batches"]),
            set(&truth["last_batch_A"]),
            set(&truth["last_batch_B"]),
        );
        let out = lines(
            &std::fs::read(folder.join(format!("{name}.pcap"))).unwrap(),
            &with_leaders(&folder, "leaders.json"),
        );
        let reports: Vec<_> = out
            .iter()
            .filter(|line| line["equivocation"].is_object())
            .collect();
        assert_eq!(reports.len(), 1);
        assert_ne!(
            reports[0]["equivocation"]["merkle_roots"][0],
            reports[0]["equivocation"]["merkle_roots"][1]
        );
        let mut by_root: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut told = BTreeSet::new();
        for line in transactions(&out) {
            let signature = line["signature"].as_str().unwrap().to_owned();
            let root = line["merkle_root"]
                .as_str()
                .expect("a root on every line")
                .to_owned();
            by_root.entry(root).or_default().insert(signature.clone());
            told.insert(signature);
        }
        for signatures in by_root.values() {
            assert!(
                signatures.is_subset(&common)
                    || signatures.is_subset(&a)
                    || signatures.is_subset(&b),
                "one root holds transactions of two versions"
            );
        }
        assert!(told.is_superset(&common));
        assert!(
            told.is_superset(&a) || told.is_superset(&b),
            "neither version is whole"
        );
    }
}

fn set_of(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(set_of).collect(),
        Value::String(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}

/// Goal: UpdateParent voids what came before it in the slot, and says so.
#[test]
fn update_parent_retracts() {
    for (folder, name) in captures(&["dev2.clean", "dev2.lossy", "dev2.adversarial"]) {
        let out = lines(
            &std::fs::read(folder.join(format!("{name}.pcap"))).unwrap(),
            &with_leaders(&folder, "leaders.json"),
        );
        let retracts: Vec<_> = out
            .iter()
            .filter(|line| line["retract"]["reason"] == "update_parent")
            .map(|line| &line["retract"])
            .collect();
        assert_eq!(retracts.len(), 1, "{name}");
        let before = retracts[0]["before_fec_set_index"].as_u64().unwrap();
        let retracted: BTreeSet<Txn> = truth(&folder, &name)
            .iter()
            .flat_map(|slot| {
                let number = slot["slot"].as_u64().unwrap();
                slot["txs"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|txn| txn["retracted"] == true)
                    .map(move |txn| (number, txn["sig"].as_str().unwrap().to_owned()))
                    .collect::<Vec<_>>()
            })
            .collect();
        for line in transactions(&out) {
            let void = line["slot"] == retracts[0]["slot"]
                && line["fec_set_index"].as_u64().unwrap() < before;
            assert_eq!(
                void,
                retracted.contains(&key(line)),
                "{name}: {:?}",
                key(line)
            );
        }
    }
}

/// Goal: without leaders nothing is called verified, and the same transactions come out.
#[test]
fn without_leaders_nothing_is_verified() {
    for (folder, name) in captures(&["dev.lossy"]) {
        let capture = std::fs::read(folder.join(format!("{name}.pcap"))).unwrap();
        let blind = DecodeOptions {
            plan: plan(Some(50093)),
            leaders: LeaderSource::Absent,
            policy: Policy::VerifyThenEmit,
        };
        let seen = lines(&capture, &blind);
        assert!(
            transactions(&seen)
                .iter()
                .all(|line| line["verified"] == false)
        );
        let keys = |lines: &[Value]| {
            transactions(lines)
                .iter()
                .map(|line| key(line))
                .collect::<BTreeSet<_>>()
        };
        assert!(keys(&seen).is_superset(&keys(&lines(
            &capture,
            &with_leaders(&folder, "leaders.json")
        ))));
    }
}
