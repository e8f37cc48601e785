//! The formats of the wire: shreds, transactions, batches, captures, signals.

use brain_wire::{Message, Signal, SignalFrame};
use demo::shredder::{Datagrams, Shredder};
use ed25519_dalek::SigningKey;
use shred_resolve::{Arrival, NoLeaders, Plan, Policy, Resolver, SourceId};
use shred_source::PcapReader;
use shred_wire::Nanos;
use shred_wire::batch::Marker;
use shred_wire::shred::{ShredLimits, ShredView};
use shred_wire::txn::{ScanStep, TxnScan, TxnView};

use super::corpus::{Collect, small_plan};
use super::{Corpus, Dice};

/// Shreds: a view that parses can be read everywhere, and says the same with trailing bytes cut off.
pub(super) fn shred(dice: &mut Dice, corpus: &Corpus) {
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

/// Transactions: a scan in pieces of any size ends where a scan in one piece does, the view agrees, and the market's
/// decoders read it to its end.
pub(super) fn transaction(dice: &mut Dice, corpus: &Corpus) {
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
        super::market::read(dice, &view);
    }
}

/// Batches: mutated bytes in validly made shreds never stop the resolver, and nothing is told twice.
pub(super) fn batch(dice: &mut Dice, corpus: &Corpus) {
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
pub(super) fn pcap(dice: &mut Dice, corpus: &Corpus) {
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
pub(super) fn signal(dice: &mut Dice, _corpus: &Corpus) {
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
