//! The shredder, the entry hashes and the transaction reader against slots made by someone else.

#![allow(clippy::unwrap_used)]

use demo::entry::verify_batch;
use demo::keys::Key;
use demo::shredder::{CODE_LEN, DATA_LEN, Datagrams, Shredder};
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};

const SLOTS: &str = include_str!("data/reference-slots.txt");
const BATCHES: &[u8] = include_bytes!("data/reference-batches.bin");
const DIGESTS: &[u8] = include_bytes!("data/reference-digests.bin");
const DATAGRAMS: &[u8] = include_bytes!("data/reference-datagrams.bin");
const DIGEST_LEN: usize = 16;

struct Batch {
    bytes: &'static [u8],
    reference_tick: u8,
    last_in_slot: bool,
    entries: bool,
}

struct Slot {
    slot: u64,
    parent: u64,
    version: u16,
    leader: SigningKey,
    chained_root: Key,
    resigned: bool,
    datagram_count: usize,
    poh_start: Key,
    batches: Vec<Batch>,
}

fn key(hex: &str) -> Key {
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

fn slots() -> Vec<Slot> {
    let (mut slots, mut rest) = (Vec::<Slot>::new(), BATCHES);
    for line in SLOTS.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        if fields[0] == "slot" {
            slots.push(Slot {
                slot: fields[1].parse().unwrap(),
                parent: fields[2].parse().unwrap(),
                version: fields[3].parse().unwrap(),
                leader: SigningKey::from_bytes(&key(fields[4])),
                chained_root: key(fields[5]),
                resigned: fields[6] == "1",
                datagram_count: fields[7].parse().unwrap(),
                poh_start: key(fields[8]),
                batches: Vec::new(),
            });
        } else {
            let (bytes, after) = rest.split_at(fields[1].parse().unwrap());
            rest = after;
            slots.last_mut().unwrap().batches.push(Batch {
                bytes,
                reference_tick: fields[2].parse().unwrap(),
                last_in_slot: fields[3] == "1",
                entries: fields[4] == "entries",
            });
        }
    }
    assert!(rest.is_empty());
    slots
}

fn shred(slot: &Slot) -> Datagrams {
    let retransmitter = SigningKey::from_bytes(&[1; 32]);
    let retransmitter = slot.resigned.then_some(&retransmitter);
    let Slot {
        leader,
        version,
        chained_root,
        ..
    } = slot;
    let mut shredder = Shredder::new(
        leader,
        retransmitter,
        slot.slot,
        slot.parent,
        *version,
        *chained_root,
    );
    let mut out = Datagrams::new();
    for batch in &slot.batches {
        shredder.push_batch(
            batch.bytes,
            batch.reference_tick,
            batch.last_in_slot,
            &mut out,
        );
    }
    out
}

/// The datagram with the retransmitter's signature, which is not the leader's to know, zeroed.
fn without_retransmitter(datagram: &[u8]) -> Vec<u8> {
    let mut bytes = datagram.to_vec();
    if matches!(bytes[64] >> 4, 0xB | 0x7) {
        let at = bytes.len() - 64;
        bytes[at..].fill(0);
    }
    bytes
}

#[test]
fn shreds_are_byte_for_byte_those_of_the_reference() {
    let mut digests = DIGESTS.chunks(DIGEST_LEN);
    let slots = slots();
    for slot in &slots {
        let out = shred(slot);
        assert_eq!(out.len(), slot.datagram_count, "slot {}", slot.slot);
        for (at, datagram) in out.iter().enumerate() {
            let digest = Sha256::digest(without_retransmitter(datagram));
            assert_eq!(
                &digest[..DIGEST_LEN],
                digests.next().unwrap(),
                "slot {} datagram {at}",
                slot.slot
            );
        }
    }
    assert!(digests.next().is_none());
    // Both ends of a slot occur, and one slot with its last batch split.
    assert!(slots.iter().any(|slot| slot.resigned) && slots.iter().any(|slot| !slot.resigned));
    assert!(
        slots
            .iter()
            .any(|slot| slot.resigned && slot.batches.last().unwrap().bytes.len() > 28_768)
    );
}

#[test]
fn one_slot_equals_its_recorded_datagrams() {
    let (slot, mut rest) = (&slots()[0], DATAGRAMS);
    for (at, datagram) in shred(slot).iter().enumerate() {
        let len = if at % 64 < 32 { DATA_LEN } else { CODE_LEN };
        let (recorded, after) = rest.split_at(len);
        rest = after;
        assert_eq!(without_retransmitter(datagram), recorded, "datagram {at}");
    }
    assert!(rest.is_empty());
}

#[test]
fn entries_hash_and_transactions_verify_as_the_reference_says() {
    let mut transaction_count = 0;
    for slot in slots() {
        let mut hash = slot.poh_start;
        for batch in slot.batches.iter().filter(|batch| batch.entries) {
            // Firedancer's style fills a batch with zeroes after its last entry.
            let len = batch.bytes.len()
                - batch
                    .bytes
                    .iter()
                    .rev()
                    .take_while(|byte| **byte == 0)
                    .count();
            let content = (len..=batch.bytes.len())
                .find_map(|len| verify_batch(hash, &batch.bytes[..len]).ok())
                .expect("the chain holds");
            assert!(
                content
                    .transactions
                    .iter()
                    .all(|txn| txn.signatures_verify())
            );
            transaction_count += content.transactions.len();
            hash = content.hash;
        }
    }
    assert!(transaction_count > 400, "{transaction_count}");
}
