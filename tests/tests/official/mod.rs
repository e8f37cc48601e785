//! A second reader of captures, by other hands where others have written one: it shares no line with the executor.
//!
//! Recovery is `reed-solomon-erasure`'s, transactions and their signatures are read and checked by the official
//! crates, and the little that is left (pcap, shred and entry headers) is written here, slowly and plainly: whole
//! capture in, everything out. It trusts the capture: nothing is authenticated.

use std::collections::BTreeMap;

use reed_solomon_erasure::galois_8::ReedSolomon;
use solana_transaction::versioned::VersionedTransaction;

/// Data shreds of a set, and code shreds.
const HALF: usize = 32;
/// Length of a data shred (agave `ledger/src/shred.rs`, `ShredData::SIZE_OF_PAYLOAD`).
const DATA_LEN: usize = 1_203;
/// Length of a code shred.
const CODE_LEN: usize = 1_228;
/// Where the part of a data shred begins that is erasure coded: behind the signature.
const CODED_FROM: usize = 64;
/// Chained root and six proof entries of 20 bytes.
const TRAILER_LEN: usize = 32 + 6 * 20;
/// A retransmitter's signature.
const RESIGNED_LEN: usize = 64;
/// Behind the header of a data shred.
const PAYLOAD_FROM: usize = 88;
/// Behind the header of a code shred.
const CODE_FROM: usize = 89;
/// Flag on the last shred of an entry batch.
const DATA_COMPLETE: u8 = 0x40;

/// Payloads of the UDP datagrams of a nanosecond pcap with Ethernet and IPv4, in order.
pub(crate) fn datagrams(pcap: &[u8]) -> Vec<&[u8]> {
    assert_eq!(
        number::<4>(pcap, 0),
        0xa1b2_3c4d,
        "little-endian, nanoseconds"
    );
    let (mut found, mut at) = (Vec::new(), 24);
    while at < pcap.len() {
        let len = number::<4>(pcap, at + 8) as usize;
        let packet = &pcap[at + 16..at + 16 + len];
        assert_eq!(packet[12..14], [0x08, 0x00], "IPv4");
        let ip_len = usize::from(packet[14] & 0x0f) * 4;
        found.push(&packet[14 + ip_len + 8..]);
        at += 16 + len;
    }
    found
}

/// Every transaction that the datagrams hold, with its slot, in order of slot and place.
pub(crate) fn transactions(datagrams: &[&[u8]]) -> Vec<(u64, VersionedTransaction)> {
    let mut sets: BTreeMap<(u64, u32), Set> = BTreeMap::new();
    for datagram in datagrams {
        let slot = number::<8>(datagram, 65);
        let (index, first) = (
            number::<4>(datagram, 73) as u32,
            number::<4>(datagram, 79) as u32,
        );
        let set = sets.entry((slot, first)).or_default();
        // Repair replies carry a nonce behind the shred.
        match datagram[64] {
            0x96 | 0xb6 => set.take((index - first) as usize, &datagram[..DATA_LEN], CODED_FROM),
            0x66 | 0x76 => {
                let position = number::<2>(datagram, 87) as usize;
                set.take(HALF + position, &datagram[..CODE_LEN], CODE_FROM);
            }
            other => panic!("variant {other:#x}"),
        }
    }
    let mut slots: BTreeMap<u64, BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
    for ((slot, first), set) in sets {
        let shreds = slots.entry(slot).or_default();
        for (offset, shred) in set.data().into_iter().enumerate() {
            if let Some(shred) = shred {
                shreds.insert(first + offset as u32, shred);
            }
        }
    }
    let mut found = Vec::new();
    for (slot, shreds) in slots {
        found.extend(
            batches(&shreds)
                .iter()
                .flat_map(|batch| entries(batch))
                .map(|txn| (slot, txn)),
        );
    }
    found
}

/// What arrived of an FEC set: the coded slices, by position.
#[derive(Default)]
struct Set {
    slices: BTreeMap<usize, Vec<u8>>,
}

impl Set {
    fn take(&mut self, position: usize, shred: &[u8], from: usize) {
        let resigned = if matches!(shred[64], 0xb6 | 0x76) {
            RESIGNED_LEN
        } else {
            0
        };
        let end = shred.len() - TRAILER_LEN - resigned;
        self.slices.insert(position, shred[from..end].to_vec());
    }

    /// Coded slices of the data shreds, recovered where enough arrived.
    fn data(mut self) -> Vec<Option<Vec<u8>>> {
        let mut slices: Vec<_> = (0..2 * HALF)
            .map(|position| self.slices.remove(&position))
            .collect();
        let arrived = slices.iter().flatten().count();
        if arrived >= HALF && slices[..HALF].iter().any(Option::is_none) {
            ReedSolomon::new(HALF, HALF)
                .unwrap()
                .reconstruct_data(&mut slices)
                .unwrap();
        }
        slices.truncate(HALF);
        slices
    }
}

/// Payloads joined from one batch's first shred on, as far as nothing is missing.
fn batches(shreds: &BTreeMap<u32, Vec<u8>>) -> Vec<Vec<u8>> {
    let (mut found, mut batch) = (Vec::new(), Some(Vec::new()));
    let mut expected = 0;
    for (index, slice) in shreds {
        if *index != expected {
            // What follows has no known beginning until the next batch starts.
            found.extend(batch.take());
        }
        expected = index + 1;
        let (flags, size) = (
            slice[85 - CODED_FROM],
            number::<2>(slice, 86 - CODED_FROM) as usize,
        );
        if let Some(batch) = &mut batch {
            batch.extend_from_slice(&slice[PAYLOAD_FROM - CODED_FROM..size - CODED_FROM]);
        }
        if flags & DATA_COMPLETE != 0 {
            found.extend(batch.take());
            batch = Some(Vec::new());
        }
    }
    found.extend(batch);
    found
}

/// Transactions of a batch's entries, as far as its bytes reach.
pub(crate) fn entries(batch: &[u8]) -> Vec<VersionedTransaction> {
    let mut found = Vec::new();
    let mut rest = batch;
    let Some(count) = take_number(&mut rest) else {
        return found;
    };
    for _ in 0..count {
        // Steps of the hash chain and the hash.
        let Some(head) = rest.split_off(..8 + 32) else {
            return found;
        };
        assert_eq!(head.len(), 40);
        let Some(transactions) = take_number(&mut rest) else {
            return found;
        };
        for _ in 0..transactions {
            let Ok(txn) = wincode::deserialize_from::<VersionedTransaction>(&mut rest) else {
                return found;
            };
            found.push(txn);
        }
    }
    found
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    Some(number::<8>(bytes.split_off(..8)?, 0))
}

fn number<const LEN: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number[..LEN].copy_from_slice(&bytes[at..at + LEN]);
    u64::from_le_bytes(number)
}
