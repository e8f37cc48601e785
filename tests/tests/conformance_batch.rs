//! Entry batches and block markers against the official crate, by what it wrote down
//! (`tests/fixtures/batch/README.md`).

#![allow(clippy::unwrap_used)]

use serde_json::{Map, Value, json};
use shred_wire::batch::{
    BATCH_HEAD_LEN, ENTRY_HEAD_LEN, EntryHead, Footer, MARKER_HEAD_LEN, Marker, MarkerStep,
    entry_count,
};
use shred_wire::txn::{ScanStep, TxnScan};

/// One thing that the official crate said.
enum Case {
    /// A marker that it wrote, and its fields.
    Marker(Vec<u8>, Value),
    /// A marker with one byte changed, and the fields that it reads there; nothing where it reads no marker.
    Damaged(Vec<u8>, Option<Value>),
    /// A batch of entries that it wrote, and the entries.
    Entries(Vec<u8>, Value),
}

fn cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/batch/batches.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut cases, mut intact, mut fields) = (Vec::new(), Vec::new(), Map::new());
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["entries"].is_array() {
            cases.push(Case::Entries(
                bytes(&line["batch"]),
                line["entries"].clone(),
            ));
        } else if line["batch"].is_string() {
            intact = bytes(&line["batch"]);
            fields = line["read"].as_object().unwrap().clone();
            cases.push(Case::Marker(intact.clone(), line["read"].clone()));
        } else {
            let mut damaged = intact.clone();
            damaged[line["at"].as_u64().unwrap() as usize] = line["to"].as_u64().unwrap() as u8;
            let read = line["read"].as_object().map(|now| merged(&fields, now));
            cases.push(Case::Damaged(damaged, read));
        }
    }
    cases
}

/// What differs, laid over what was; alone where another kind of marker has come of it.
fn merged(intact: &Map<String, Value>, now: &Map<String, Value>) -> Value {
    let mut fields = if now.contains_key("kind") {
        Map::new()
    } else {
        intact.clone()
    };
    fields.extend(now.clone());
    Value::Object(fields)
}

/// What we read, in the words of the fixture.
fn told(marker: &Marker<'_>) -> Value {
    match marker {
        Marker::Footer(footer) => json!({
            "kind": "footer", "bank_hash": hex(footer.bank_hash),
            "producer_time": footer.producer_time.0, "user_agent": hex(footer.user_agent),
        }),
        Marker::Header(parent) => json!({
            "kind": "header", "slot": parent.slot.0, "block_id": hex(parent.block_id),
        }),
        Marker::UpdateParent(parent) => json!({
            "kind": "update_parent", "slot": parent.slot.0, "block_id": hex(parent.block_id),
        }),
        Marker::GenesisCertificate(genesis) => json!({
            "kind": "genesis_certificate", "slot": genesis.slot.0, "block_id": hex(genesis.block_id),
            "bls_signature": hex(genesis.bls_signature), "bitmap": hex(genesis.bitmap),
        }),
    }
}

/// Goal: every field of every kind of marker, and the marker's length; and not a byte earlier.
#[test]
fn official_markers_read_back_field_by_field() {
    let mut seen = 0;
    for case in cases() {
        let Case::Marker(batch, read) = case else {
            continue;
        };
        assert_eq!(entry_count(&batch), Some(0));
        let Ok(MarkerStep::Done { marker, len }) = Marker::parse(&batch) else {
            panic!("{read}: {:?}", Marker::parse(&batch));
        };
        assert_eq!((told(&marker), len), (read, batch.len()));
        if let Marker::Footer(footer) = marker {
            assert_eq!(footer.certificates, certificates(&batch, &footer));
        }
        for len in 0..batch.len() {
            let cut = Marker::parse(&batch[..len]);
            assert!(
                matches!(cut, Ok(MarkerStep::NeedMore { len: more }) if more > len && more <= batch.len()),
                "{len} of {}: {cut:?}",
                batch.len()
            );
        }
        seen += 1;
    }
    assert_eq!(seen, 160);
}

/// Behind payload version, bank hash, time, the user agent's length and the user agent: at least three option bytes.
fn certificates<'a>(batch: &'a [u8], footer: &Footer<'_>) -> &'a [u8] {
    let certificates = &batch[MARKER_HEAD_LEN + 1 + 32 + 8 + 1 + footer.user_agent.len()..];
    assert!(certificates.len() >= 3);
    certificates
}

/// Goal: what the official reader takes for a marker we take for the same one, and nothing else, damaged lengths
/// included.
#[test]
fn damaged_markers_are_read_as_the_official_reader_reads_them() {
    let (mut same, mut refused, mut other) = (0, 0, 0);
    for case in cases() {
        let Case::Damaged(batch, read) = case else {
            continue;
        };
        let ours = Marker::parse(&batch);
        match (&ours, read.as_ref().map(|read| &read["kind"])) {
            // We do not look into a footer's certificates, and they may be damaged.
            (
                Ok(MarkerStep::Done {
                    marker: Marker::Footer(_),
                    ..
                }),
                None,
            ) => other += 1,
            (Ok(MarkerStep::Done { marker, .. }), _) => {
                assert_eq!(Some(told(marker)), read);
                same += 1;
            }
            (_, None) => refused += 1,
            // A footer whose written length is past the batch: its certificates are waited for.
            (Ok(MarkerStep::NeedMore { .. }), Some(kind)) if kind == "footer" => other += 1,
            (_, Some(_)) => panic!("{read:?}: {ours:?}"),
        }
    }
    assert!(same > 1_000, "{same}");
    assert!(refused > 1_000, "{refused}");
    assert!(other < 60, "{other}");
}

/// Goal: entry heads where the official crate puts them, and transactions of the length it gives them.
#[test]
fn official_entries_are_walked_to_their_end() {
    let mut seen = 0;
    for case in cases() {
        let Case::Entries(batch, entries) = case else {
            continue;
        };
        let entries = entries.as_array().unwrap();
        assert_eq!(entry_count(&batch), Some(entries.len() as u64));
        let mut rest = &batch[BATCH_HEAD_LEN..];
        for entry in entries {
            let head = EntryHead::parse(rest).unwrap();
            let transactions = entry["transactions"].as_array().unwrap();
            assert_eq!(head.num_hashes(), entry["num_hashes"]);
            assert_eq!(hex(head.hash()), entry["hash"]);
            assert_eq!(head.txn_count(), transactions.len() as u64);
            assert_eq!(head.is_tick(), entry["is_tick"]);
            rest = &rest[ENTRY_HEAD_LEN..];
            for txn in transactions {
                let Ok(ScanStep::Done { len }) = TxnScan::default().advance(rest) else {
                    panic!("{txn}");
                };
                assert_eq!(hex(&rest[..len]), *txn);
                rest = &rest[len..];
            }
        }
        assert!(rest.is_empty());
        seen += 1;
    }
    assert_eq!(seen, 24);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let digits = hex.as_str().unwrap();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}
