//! Any bytes at all: the parser gives a frame or a reason, and nothing forged verifies.
#![allow(clippy::unwrap_used)]

use brain_wire::frame::Frame;
use brain_wire::{
    FRAME_LEN, Family, FamilySet, Grant, Head, Message, NackReason, Now, Rules, SessionKeys, Side,
    Signal, SignalFlags, SignalFrame,
};
use proptest::prelude::*;

fn keys() -> SessionKeys {
    SessionKeys::derive(&[3; 32], 1, &[4; 16], &[5; 32], 6)
}

/// A message that gets past the first checks more often than pure noise does.
fn near_frame() -> impl Strategy<Value = Vec<u8>> {
    (
        prop::collection::vec(any::<u8>(), 160..=200),
        0_u16..16,
        0_u16..3,
    )
        .prop_map(|(mut bytes, template, version)| {
            let length = bytes.len() as u16;
            bytes[..4].copy_from_slice(b"SGB1");
            bytes[4..6].copy_from_slice(&length.to_le_bytes());
            bytes[6..8].copy_from_slice(&template.to_le_bytes());
            bytes[8..10].copy_from_slice(&1_u16.to_le_bytes());
            bytes[10..12].copy_from_slice(&version.to_le_bytes());
            bytes
        })
}

fn signal() -> impl Strategy<Value = Signal> {
    (
        any::<[u64; 6]>(),
        any::<[u8; 48]>(),
        -1_000_000..=1_000_000_i32,
        0..=1_000_000_u32,
        1..=11_u8,
        0..=2_u8,
    )
        .prop_map(
            |(numbers, bytes, conviction_ppm, confidence_ppm, family, side)| {
                let side = Side::from_code(side).unwrap();
                let veto = if side == Side::None {
                    SignalFlags::VETO
                } else {
                    SignalFlags::default()
                };
                Signal {
                    producer_id: numbers[0] as u16,
                    session_epoch: numbers[1],
                    seq: numbers[2],
                    flags: veto.with(SignalFlags::SAME_HOST_CLOCK),
                    t_event_ns: numbers[3],
                    t_send_ns: numbers[4],
                    ttl_us: numbers[0] as u32,
                    source_id: numbers[1] as u16,
                    family: Family::from_code(family).unwrap(),
                    side,
                    as_of_slot: numbers[5],
                    mint: *bytes.first_chunk().unwrap(),
                    conviction_ppm,
                    confidence_ppm,
                    max_notional_lamports: numbers[2] | 1,
                    max_slippage_bps: confidence_ppm % 10_001,
                    expected_edge_bps: numbers[3] as i32,
                    evidence_id: *bytes.last_chunk().unwrap(),
                    signal_id: numbers[4] | 1,
                }
            },
        )
}

proptest! {
    #[test]
    fn noise_never_panics_and_never_verifies(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        let _ = Message::parse(&bytes);
        let _ = Head::parse(&bytes);
        prop_assert!(!keys().brain.verify(&bytes));
    }

    #[test]
    fn near_frames_never_panic_through_decode_and_rules(bytes in near_frame(), slot: u64, clock: [u64; 2]) {
        prop_assert!(!keys().brain.verify(&bytes));
        let Ok(frame) = SignalFrame::parse(&bytes) else { return Ok(()) };
        let Ok(signal) = Signal::decode(&frame) else { return Ok(()) };
        let now = Now { monotonic_ns: clock[0], realtime_ns: clock[1] };
        let grant = Grant { families: FamilySet::ALL, max_notional_lamports: 1 };
        let _ = Rules::default().judge(&signal, &grant, now, Some(slot));
    }

    #[test]
    fn signals_round_trip_and_no_changed_byte_verifies(signal in signal(), at in 0..FRAME_LEN, flip in 1..=255_u8) {
        let key = keys().brain;
        let sealed = signal.frame().sealed(&key);
        let mut bytes = sealed.as_bytes().to_vec();
        prop_assert!(key.verify(&bytes));
        prop_assert_eq!(SignalFrame::parse(&bytes).and_then(|frame| Signal::decode(&frame)), Ok(signal));
        bytes[at] ^= flip;
        prop_assert!(!key.verify(&bytes));
        // Whoever appends bytes that the sender did not seal is found out too.
        bytes[at] ^= flip;
        bytes.push(flip);
        prop_assert!(!key.verify(&bytes));
        prop_assert_eq!(SignalFrame::parse(&bytes), Err(NackReason::BadLength));
    }

    /// Whatever a signal says, what is armed never exceeds the grant, the ttl cap or the window.
    #[test]
    fn nothing_armed_exceeds_the_grant(mut signal in signal(), age_ns in 0..6_000_000_000_u64, cap: u64) {
        let now = Now { monotonic_ns: 1 << 40, realtime_ns: 1 << 60 };
        (signal.t_send_ns, signal.t_event_ns) = (now.monotonic_ns - age_ns, now.realtime_ns - age_ns);
        (signal.ttl_us, signal.confidence_ppm) = (signal.ttl_us % 6_000_000, 900_000);
        let grant = Grant { families: FamilySet::ALL, max_notional_lamports: cap };
        if let Ok(armed) = Rules::default().judge(&signal, &grant, now, None) {
            prop_assert!(armed.max_notional_lamports <= cap.min(signal.max_notional_lamports));
            prop_assert!(age_ns < u64::from(signal.ttl_us) * 1_000);
            prop_assert_eq!(armed.expires_monotonic_ns, signal.t_send_ns + u64::from(signal.ttl_us) * 1_000);
            prop_assert!(signal.ttl_us <= 5_000_000);
        }
    }
}
